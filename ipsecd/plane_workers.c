/* Plane's other threads: owns them, their sockets' hosts, and the way of what they only pass on. */
#include "ipsecd/plane_workers.h"
#include "ipsecd/esp_udp.h"
#include "lib/log_mail.h"
#include "lib/mailbox.h"
#include "lib/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAIL_MOST ((size_t)1 << 20) /* bytes that wait for the main thread */

enum mail { MAIL_IKE, MAIL_TOO_BIG, MAIL_SEND_FAILED };

struct mail_path {
	struct endpoint local, remote;
	int error; /* of a send */
};

struct mail_mtu {
	struct addr to;
	uint32_t mtu;
};

/* One of them. */
struct hand {
	struct plane_workers *all;
	unsigned lane;
	struct worker *worker;
	struct udp *udp;
};

struct plane_workers {
	struct plane_workers_host host;
	struct mailbox *mail;
	struct log_mail *lines;
	unsigned n;    /* threads, with the main one */
	unsigned most; /* as the processors were before the sandbox, which hides them */
	struct hand hands[WORKERS_MAX];
	int spare[WORKERS_MAX][UDP_SPARE]; /* sockets */
};

/* ---- in a worker: what it passes on ---- */

/* false: without room it is lost, as on a network. */
static bool pass_on(const struct hand *h, enum mail kind, const void *head, size_t len,
		    struct span body)
{
	const struct span parts[] = {span_of(head, len), body};

	return mailbox_put(h->all->mail, kind, parts, 2);
}

static void on_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   struct span datagram, mono_time now)
{
	struct mail_path path = {.local = *local, .remote = *remote};
	const struct hand *h = ctx;

	(void)now;
	if (!pass_on(h, MAIL_IKE, &path, sizeof(path), datagram))
		udp_lost(h->udp);
}

static void on_too_big(void *ctx, const struct addr *to, uint32_t mtu)
{
	struct mail_mtu m = {.to = *to, .mtu = mtu};

	/* The next packet brings another one. */
	pass_on(ctx, MAIL_TOO_BIG, &m, sizeof(m), span_of(NULL, 0));
}

static void on_send_failed(void *ctx, const struct esp_run *run, int error)
{
	struct mail_path path = {.local = *run->from, .remote = *run->to, .error = error};

	pass_on(ctx, MAIL_SEND_FAILED, &path, sizeof(path), span_of(NULL, 0));
}

/* ---- in a worker: packets ---- */

static void on_esp(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now)
{
	const struct hand *h = ctx;
	const struct plane_workers_host *host = &h->all->host;

	host->ops->esp_input(host->plane, h->lane, local, remote, tos, packets, len, size, now);
}

static void on_esp_end(void *ctx, mono_time now)
{
	const struct hand *h = ctx;

	h->all->host.ops->esp_flush(h->all->host.plane, h->lane, now);
}

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	struct hand *h = ctx;

	esp_udp_send(h->udp, runs, n, on_send_failed, h);
}

/* ---- in the main thread ---- */

static void take_mail(void *ctx, unsigned kind, struct span body)
{
	const struct plane_workers_host *host = &((struct plane_workers *)ctx)->host;
	struct mail_path path;
	struct mail_mtu m;

	switch ((enum mail)kind) {
	case MAIL_IKE:
		memcpy(&path, body.ptr, sizeof(path));
		host->ike(host->ctx, &path.local, &path.remote,
			  span_of(body.ptr + sizeof(path), body.len - sizeof(path)), mono_now());
		return;
	case MAIL_TOO_BIG:
		memcpy(&m, body.ptr, sizeof(m));
		host->too_big(host->ctx, &m.to, m.mtu);
		return;
	case MAIL_SEND_FAILED:
		memcpy(&path, body.ptr, sizeof(path));
		host->send_failed(host->ctx, &path.local, &path.remote, path.error);
		return;
	}
}

/* ---- starting ---- */

/* Those that we may run on. */
static unsigned processors(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) < 0) /* there are more than it holds */
		return WORKERS_MAX;
	n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

unsigned plane_workers_most(const struct plane_workers *p)
{
	return p->most;
}

struct plane_workers *plane_workers_new(void)
{
	struct plane_workers *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->n = 1;
	p->most = processors();
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		memset(p->spare[i], 0xff, sizeof(p->spare[i])); /* -1 */
	for (unsigned i = 1; i < p->most; i++)
		udp_spare(p->spare[i]);
	return p;
}

void plane_workers_use(struct plane_workers *p, const struct plane_workers_host *host)
{
	if (p)
		p->host = *host;
}

static bool join_plane(const struct hand *h, char *why, size_t size)
{
	const struct plane_workers_host *host = &h->all->host;
	const struct dataplane_worker lane = {.worker = h->worker,
					      .send_esp = send_esp,
					      .ctx = (void *)(uintptr_t)h,
					      .log = log_mail_sink(h->all->lines)};

	if (host->ops->add_worker(host->plane, &lane))
		return true;
	snprintf(why, size, "%s", host->ops->last_error(host->plane));
	return false;
}

/* It stands still until the plane, too, is ready for it. */
static bool join(struct hand *h, char *why, size_t size)
{
	const struct udp_host host = {.ike = on_ike,
				      .esp = on_esp,
				      .esp_end = on_esp_end,
				      .too_big = on_too_big,
				      .ctx = h,
				      .log = log_mail_sink(h->all->lines),
				      .esp_here = true};
	bool ok = false;

	worker_pause(h->worker);
	h->udp = udp_join(h->all->host.udp, h->worker, &host, h->all->spare[h->lane], why, size);
	if (h->udp)
		ok = join_plane(h, why, size);
	if (!ok)
		udp_close(h->udp);
	worker_resume(h->worker);
	return ok;
}

static bool start_one(struct plane_workers *p, char *why, size_t size)
{
	struct hand *h = &p->hands[p->n];

	*h = (struct hand){.all = p, .lane = p->n};
	h->worker = worker_start();
	if (!h->worker) {
		snprintf(why, size, "a thread: %s", strerror(errno));
		return false;
	}
	if (join(h, why, size))
		return true;
	worker_stop(h->worker);
	return false;
}

static void start(struct plane_workers *p, unsigned wanted)
{
	char why[192] = "out of memory";

	p->mail = mailbox_new(p->host.loop, MAIL_MOST, take_mail, p);
	p->lines = log_mail_new(p->host.loop, p->host.log);
	while (p->mail && p->lines && p->n < wanted && start_one(p, why, sizeof(why)))
		p->n++;
	if (p->n < wanted)
		log_to(p->host.log, LOG_LEVEL_ERROR, "tun", "",
		       "workers: %u carry packets, not %u: %s", p->n, wanted, why);
}

unsigned plane_workers_set(struct plane_workers *p, unsigned wanted)
{
	if (!p || !p->host.ops || !p->host.ops->add_worker)
		return 0;
	if (wanted == 0 || wanted > p->most)
		wanted = p->most;
	if (p->n == 1 && wanted > 1 && !p->mail)
		start(p, wanted);
	return p->n;
}

/* ---- ending ---- */

void plane_workers_halt(struct plane_workers *p)
{
	for (unsigned i = 1; p && i < p->n; i++)
		worker_pause(p->hands[i].worker);
}

static void close_spare(const struct plane_workers *p)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		for (unsigned f = 0; f < UDP_SPARE; f++)
			if (p->spare[i][f] >= 0)
				close(p->spare[i][f]);
}

void plane_workers_free(struct plane_workers *p)
{
	if (!p)
		return;
	for (unsigned i = 1; i < p->n; i++) {
		worker_resume(p->hands[i].worker);
		worker_stop(p->hands[i].worker);
	}
	mailbox_free(p->mail);
	log_mail_free(p->lines);
	close_spare(p);
	free(p);
}
