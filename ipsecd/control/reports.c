/* Commands that report on the daemon itself: version, stats, algorithms, counters. */
#include "ipsecd/control/bodies.h"
#include "ipsecd/control/server.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>
#include <utlist.h>

void command_version(struct client *c, struct span body)
{
	struct buf b = client_response(c);
	struct utsname u;

	(void)body;
	vici_put(&b, "daemon", "ipsecd");
	vici_put(&b, "version", DETOUR_VERSION);
	if (uname(&u) == 0) {
		vici_put(&b, "sysname", u.sysname);
		vici_put(&b, "release", u.release);
		vici_put(&b, "machine", u.machine);
	}
	client_respond(c, &b);
}

/* ---- stats ---- */

static void put_uptime(struct buf *b, const struct control *control)
{
	uint64_t s = (control->host.now(control->host.ctx) - control->opened) / MONO_S;
	time_t since = (time_t)control->opened_wall;
	struct tm tm;
	char text[64];

	vici_put_section(b, "uptime");
	if (s < 120)
		vici_put_format(b, "running", "%" PRIu64 " seconds", s);
	else if (s < 7200)
		vici_put_format(b, "running", "%" PRIu64 " minutes", s / 60);
	else if (s < 172800)
		vici_put_format(b, "running", "%" PRIu64 " hours", s / 3600);
	else
		vici_put_format(b, "running", "%" PRIu64 " days", s / 86400);
	if (localtime_r(&since, &tm) && strftime(text, sizeof(text), "%b %d %H:%M:%S %Y", &tm))
		vici_put(b, "since", text);
	vici_put_section_end(b);
}

/* One thread runs everything, and it is busy with this request: that is what the
 * fields of a thread pool can truthfully say. */
static void put_priorities(struct buf *b, const char *section, const char *medium)
{
	vici_put_section(b, section);
	vici_put(b, "critical", "0");
	vici_put(b, "high", "0");
	vici_put(b, "medium", medium);
	vici_put(b, "low", "0");
	vici_put_section_end(b);
}

static void put_memory(struct buf *b)
{
	struct mallinfo2 m = mallinfo2();

	vici_put_section(b, "mallinfo");
	vici_put_format(b, "sbrk", "%zu", m.arena);
	vici_put_format(b, "mmap", "%zu", m.hblkhd);
	vici_put_format(b, "used", "%zu", m.uordblks);
	vici_put_format(b, "free", "%zu", m.fordblks);
	vici_put_section_end(b);
}

/* Events that are told, each as often as there are clients who want it. */
static unsigned registrations(const struct control *c)
{
	const struct client *client;
	unsigned n = 0;

	DL_FOREACH (c->clients, client) {
		if (!client->dead)
			n += (unsigned)__builtin_popcount(client->events);
	}
	return n;
}

static void put_clients(struct buf *b, const struct control *c)
{
	const struct control_counters *n = &c->counters;

	vici_put_section(b, "vici");
	vici_put_format(b, "clients", "%" PRIu64, n->clients);
	vici_put_format(b, "registrations", "%u", registrations(c));
	vici_put_format(b, "commands", "%" PRIu64, n->commands);
	vici_put_format(b, "events", "%" PRIu64, n->events);
	vici_put_format(b, "dropped-slow", "%" PRIu64, n->dropped_slow);
	vici_put_format(b, "dropped-malformed", "%" PRIu64, n->dropped_malformed);
	vici_put_section_end(b);
}

static void put_processes(struct buf *b, const struct control_host *host)
{
	struct control_process p;

	if (!host->process(host->ctx, 0, &p))
		return;
	vici_put_section(b, "processes");
	for (unsigned i = 0; host->process(host->ctx, i, &p); i++) {
		vici_put_section(b, p.role);
		vici_put_format(b, "pid", "%ld", p.pid);
		if (i == 0)
			vici_put_format(b, "upgrades", "%u", p.upgrades);
		else
			vici_put_format(b, "restarts", "%u", p.restarts);
		if (p.last_death[0])
			vici_put(b, "last-death", p.last_death);
		vici_put_section_end(b);
	}
	vici_put_section_end(b);
}

/* As many as surely fit a packet; the log has all. */
#define REFUSED_MAX 200

struct refused_list {
	struct buf *b;
	unsigned n;
};

static void put_refused(void *ctx, const char *name, const char *why)
{
	struct refused_list *l = ctx;

	if (l->n == 0)
		vici_put_section(l->b, "not-loaded");
	if (l->n++ < REFUSED_MAX)
		vici_put(l->b, name, why);
}

static void put_configuration(struct buf *b, const struct control_host *host)
{
	const char *failure = host->reload_failure(host->ctx);
	struct refused_list l = {b, 0};

	vici_put_section(b, "configuration");
	if (failure[0])
		vici_put(b, "last-reload", failure);
	host->refused(host->ctx, put_refused, &l);
	if (l.n)
		vici_put_section_end(b);
	if (l.n > REFUSED_MAX)
		vici_put_format(b, "more-not-loaded", "%u", l.n - REFUSED_MAX);
	vici_put_section_end(b);
}

void command_stats(struct client *c, struct span body)
{
	const struct ike_counters *n = ike_engine_counters(c->control->host.engine);
	struct buf b = client_response(c);

	(void)body;
	put_uptime(&b, c->control);
	vici_put_section(&b, "workers");
	vici_put(&b, "total", "1");
	vici_put(&b, "idle", "0");
	put_priorities(&b, "active", "1");
	vici_put_section_end(&b);
	put_priorities(&b, "queues", "0");
	vici_put_format(&b, "scheduled", "%u", ev_pending_count(c->control->host.loop));
	vici_put_section(&b, "ikesas");
	vici_put_format(&b, "total", "%u", n->ike_sas);
	vici_put_format(&b, "half-open", "%u", n->half_open);
	vici_put_section_end(&b);
	vici_put_section(&b, "dataplane");
	vici_put(&b, "name", c->control->host.plane);
	vici_put(&b, "why", c->control->host.plane_why);
	vici_put(&b, "offloads", c->control->host.plane_offloads);
	if (c->control->host.plane_workers)
		vici_put_format(&b, "workers", "%u", *c->control->host.plane_workers);
	vici_put_section_end(&b);
	vici_put_list(&b, "plugins");
	vici_put_item(&b, "openssl");
	vici_put_item(&b, "vici");
	vici_put_item(&b, c->control->host.plane);
	vici_put_list_end(&b);
	put_memory(&b);
	put_clients(&b, c->control);
	put_configuration(&b, &c->control->host);
	put_processes(&b, &c->control->host);
	client_respond(c, &b);
}

/* ---- algorithms ---- */

static void put_ciphers(struct buf *b, const char *section, bool aead)
{
	const struct algorithm_encr *e, *last = NULL;
	char text[32];

	vici_put_section(b, section);
	for (unsigned i = 0; (e = algorithm_encr_at(i)); i++) {
		if ((e->icv_len > 0) != aead || (last && last->id == e->id))
			continue; /* one line for all key sizes: the table has them in a row */
		vici_put(b, body_encr_name(e, text), "openssl");
		last = e;
	}
	vici_put_section_end(b);
}

void command_get_algorithms(struct client *c, struct span body)
{
	struct buf b = client_response(c);

	(void)body;
	put_ciphers(&b, "encryption", false);
	vici_put_section(&b, "integrity");
	for (unsigned i = 0; algorithm_integ_at(i); i++)
		vici_put(&b, algorithm_integ_at(i)->name, "openssl");
	vici_put_section_end(&b);
	put_ciphers(&b, "aead", true);
	vici_put_section(&b, "prf");
	for (unsigned i = 0; algorithm_prf_at(i); i++)
		vici_put(&b, algorithm_prf_at(i)->name, "openssl");
	vici_put_section_end(&b);
	vici_put_section(&b, "ke");
	for (unsigned i = 0; algorithm_ke_at(i); i++)
		vici_put(&b, algorithm_ke_at(i)->name, "openssl");
	vici_put_section_end(&b);
	client_respond(c, &b);
}

/* ---- counters ---- */

static void put_counters(struct buf *b, const struct control *control)
{
	const struct ike_counters *n = ike_engine_counters(control->host.engine);
	const struct ike_counters *zero = &control->zeroed;
	const uint64_t *plane = control->host.plane_counters(control->host.ctx);
	struct control_counter net[CONTROL_NET_COUNTERS_MAX];
	unsigned n_net = control->host.net_counters(control->host.ctx, net);
	char name[64];

#define PUT_COUNTER(field, text) vici_put_format(b, text, "%" PRIu64, n->field - zero->field);
	IKE_COUNTERS(PUT_COUNTER)
#undef PUT_COUNTER
	for (unsigned i = 0; plane && i < DATAPLANE_COUNTERS; i++) {
		snprintf(name, sizeof(name), "esp-%s",
			 dataplane_counter_name((enum dataplane_counter)i));
		vici_put_format(b, name, "%" PRIu64, plane[i] - control->plane_zeroed[i]);
	}
	for (unsigned i = 0; i < n_net; i++)
		vici_put_format(b, net[i].name, "%" PRIu64, net[i].value - control->net_zeroed[i]);
}

/* Counters are kept for the whole daemon. A name is refused rather than answered with
 * numbers that mean something else. */
static bool check_scope(struct client *c, struct span body)
{
	char name[CONTROL_NAME_MAX], all[8] = "";
	bool everything = false;

	if (vici_get_str(body, "all", all, sizeof(all)))
		everything = strcmp(all, "yes") == 0;
	if (everything || !vici_get_str(body, "name", name, sizeof(name)))
		return true;
	client_fail(c, "there are no counters of connection '%s' alone: ask without a name", name);
	return false;
}

void command_get_counters(struct client *c, struct span body)
{
	struct buf b;

	if (!check_scope(c, body))
		return;
	b = client_response(c);
	vici_put_section(&b, "counters");
	vici_put_section(&b, "");
	put_counters(&b, c->control);
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	vici_put(&b, "success", "yes");
	client_respond(c, &b);
}

void command_reset_counters(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	const uint64_t *plane = host->plane_counters(host->ctx);
	struct control_counter net[CONTROL_NET_COUNTERS_MAX];
	unsigned n_net = host->net_counters(host->ctx, net);

	if (!check_scope(c, body))
		return;
	c->control->zeroed = *ike_engine_counters(host->engine);
	if (plane)
		memcpy(c->control->plane_zeroed, plane, sizeof(c->control->plane_zeroed));
	for (unsigned i = 0; i < n_net; i++)
		c->control->net_zeroed[i] = net[i].value;
	client_succeed(c);
}
