/* The contract on the userspace plane in a process of its own, behind the link by which ike uses
 * it. Needs root. */
#include "tests/contract/kernel.h"
#include "tests/contract/tun_host.h"

#include "ipsecd/remote/remote.h"
#include "tests/support/plane_child.h"

#include <ev.h>

#define PLANES 2

static struct dataplane_ops ops;

/* What stands behind a struct dataplane. */
static struct far {
	struct dataplane_host host;
	struct plane_child *child;
	struct remote *remote;
} fars[PLANES];

static struct far *far_of(const struct dataplane *d)
{
	for (unsigned i = 0; i < PLANES; i++) {
		if (fars[i].remote && remote_means(fars[i].remote)->plane == d)
			return &fars[i];
	}
	fail_msg("no such plane");
	return NULL;
}

/* ---- the verbs that are the process's own ---- */

static bool on_sent(void *ctx, const struct endpoint *from, const struct endpoint *to,
		    struct span esp)
{
	struct esp_run run = {.from = from, .to = to, .esps = esp, .size = esp.len};
	const struct far *f = ctx;

	f->host.send_esp(f->host.ctx, &run, 1);
	return run.sent;
}

static void on_event(void *ctx, const struct dataplane_event *event)
{
	const struct far *f = ctx;

	f->host.event(f->host.ctx, event);
}

static void far_close(struct dataplane *d)
{
	struct far *f = far_of(d);
	struct means *m = remote_means(f->remote);

	m->act->close(m);
	plane_child_close(f->child);
	*f = (struct far){0};
}

static void far_input(struct dataplane *d, unsigned lane, const struct endpoint *local,
		      const struct endpoint *remote, uint8_t tos, uint8_t *packet, size_t len,
		      size_t size, mono_time now)
{
	(void)tos;
	(void)lane;
	assert_int_equal(size, len);
	plane_child_input(far_of(d)->child, local, remote, span_of(packet, len), now);
}

/* Done with the packet, in the process itself. */
static void far_flush(struct dataplane *d, unsigned lane, mono_time now)
{
	(void)d;
	(void)lane;
	(void)now;
}

static void far_tick(struct dataplane *d, mono_time now)
{
	plane_child_tick(far_of(d)->child, now);
}

static struct dataplane *far_open(const struct dataplane_host *host)
{
	struct far *f = &fars[fars[0].remote != NULL];
	const struct plane_child_host child = {
		.ops = &dataplane_userspace, .loop = host->loop, .send_esp = on_sent, .ctx = f};
	const struct means_host means = {.event = on_event, .ctx = f, .loop = host->loop};
	char why[128];
	bool other;

	f->host = *host;
	f->child = plane_child_new(&child);
	f->remote = remote_new(&means);
	assert_non_null(f->remote);
	if (!remote_link(f->remote, plane_child_link(f->child), &other, why, sizeof(why)))
		fail_msg("%s", why);
	ops = *remote_means(f->remote)->ops;
	assert_string_equal(ops.name, "userspace");
	ops.name = "userspace behind a link";
	ops.open = far_open;
	ops.close = far_close;
	ops.esp_input = far_input;
	ops.esp_flush = far_flush;
	ops.tick = far_tick;
	return remote_means(f->remote)->plane;
}

/* ---- the driver ---- */

static void transmit(struct side *s, struct span packet, mono_time now)
{
	struct plane_child *child = far_of(s->plane)->child;

	plane_child_refuse(child, s->refuse_send);
	tun_transmit(s, packet, now);
	plane_child_sync(child);
}

int main(void)
{
	int failed;
	const struct contract_driver driver = {
		.ops = &ops,
		.loop = ev_loop_new(0),
		.watch = tun_watch,
		.unwatch = tun_unwatch,
		.transmit = transmit,
		.received = tun_received,
		.oper_up = tun_oper_up,
		.set_admin = tun_set_admin,
		.now = mono_now,
		.alone = true, /* its plane is in another process, which is killed elsewhere */
		.behind_a_link = true,
	};

	kernel_namespace("contract_remote");
	ops = (struct dataplane_ops){.name = "userspace behind a link", .open = far_open};
	failed = contract_run(&driver);
	ev_loop_destroy(driver.loop);
	return failed;
}
