/* What BFD's process reports, as words about tunnels: a device is dead when a session over it
 * has failed and none is Up. Neither side's "administratively down" is a failure (RFC 5882
 * 3.2), nor is a session that never was Up. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/bfd_client.h"
#include "lib/hash.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK  0.25 /* seconds */
#define LOOKS 16   /* sessions each time: what has many paths takes its time */

struct watched {
	struct bfd_link_session now; /* its patience: what was told */
	bool listed;
	bool untold; /* what patience its process has is not known */
	UT_hash_handle hh;
};

/* A device that was called dead. */
struct verdict {
	char ifname[IF_NAMESIZE];
	UT_hash_handle hh;
};

struct bridge_bfd {
	struct bridge *bridge;
	struct bfd_client_host host;
	struct bfd_client *client;
	struct watched *sessions; /* by discriminator */
	struct verdict *dead;
	struct bfd_stats stats;
	ev_timer look;
	unsigned next; /* to be looked at */
};

/* ---- verdicts ---- */

static bool is_dead(const struct bridge_bfd *f, const char *ifname)
{
	bool failed = false;

	for (const struct watched *w = f->sessions; w; w = w->hh.next) {
		if (strcmp(w->now.ifname, ifname) != 0)
			continue;
		if (w->now.state == BFD_UP)
			return false;
		failed = failed || w->now.failed;
	}
	return failed;
}

static void call_dead(struct bridge_bfd *f, const char *ifname, const char *cause)
{
	struct verdict *v = calloc(1, sizeof(*v));

	if (v) {
		memcpy(v->ifname, ifname, strnlen(ifname, sizeof(v->ifname) - 1));
		HASH_ADD_STR(f->dead, ifname, v);
		if (!v->hh.tbl) {
			free(v);
			v = NULL;
		}
	}
	if (!v)
		log_to(f->bridge->log, LOG_LEVEL_ERROR, "bfd", ifname, "out of memory");
	bridge_tunnel_dead(f->bridge, ifname, WITNESS_BFD, cause);
}

static void judge(struct bridge_bfd *f, const char *ifname, const char *cause)
{
	bool dead = ifname[0] && is_dead(f, ifname);
	struct verdict *v;

	HASH_FIND_STR(f->dead, ifname, v);
	if (dead && !v) {
		call_dead(f, ifname, cause);
	} else if (!dead && v) {
		HASH_DEL(f->dead, v);
		free(v);
		bridge_tunnel_alive(f->bridge, ifname, WITNESS_BFD, cause);
	}
}

/* ---- the last way ---- */

struct search {
	struct bridge *bridge;
	const char *ifname;
	bool found;
};

static void look_at_tunnel(void *ctx, const struct tunnel_view *tunnel)
{
	struct search *s = ctx;
	const struct bridge_section *section = bridge_config_match(s->bridge->config, tunnel->conn);
	const char *interface =
		section ? bridge_interface_of(section, tunnel->conn, tunnel->interface)
			: tunnel->interface;

	/* Without a device it is no way for anything that is routed. */
	if (tunnel->up && interface[0] && strcmp(interface, s->ifname) != 0)
		s->found = true;
}

/* A failure there moves nothing elsewhere. BGP's paths tell; where they are not known, nothing
 * else that could be a way may be up. */
static bool is_last_way(struct bridge_bfd *f, const char *ifname)
{
	struct search other = {.bridge = f->bridge, .ifname = ifname};
	bool last;

	if (bridge_repair_last_way(f->bridge, ifname, &last))
		return last;
	for (const struct watched *w = f->sessions; w; w = w->hh.next) {
		if (w->now.state == BFD_UP && strcmp(w->now.ifname, ifname) != 0)
			return false;
	}
	tunnels_each_view(f->bridge->tunnels, look_at_tunnel, &other);
	return !other.found;
}

static void fit_patience(struct bridge_bfd *f, struct watched *w)
{
	uint32_t hold = f->bridge->config->bfd_hold * 1000, wanted = 0;

	if (hold && w->now.state == BFD_UP && w->now.ifname[0] && !w->now.multihop &&
	    is_last_way(f, w->now.ifname))
		wanted = hold;
	if ((wanted == w->now.patience && !w->untold) ||
	    !bfd_client_patience(f->client, w->now.discriminator, wanted))
		return;
	w->untold = false;
	if (wanted == w->now.patience)
		return;
	w->now.patience = wanted;
	log_to(f->bridge->log, LOG_LEVEL_DEBUG, "bfd", w->now.ifname,
	       wanted ? "the last way: silence is borne for %g ms" : "not the last way",
	       wanted / 1e3);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge_bfd *f = timer->data;
	unsigned at = 0, from = f->next < HASH_COUNT(f->sessions) ? f->next : 0;

	(void)loop;
	(void)events;
	f->next = from + LOOKS;
	for (struct watched *w = f->sessions; w && at < f->next; w = w->hh.next, at++) {
		if (at >= from)
			fit_patience(f, w);
	}
}

/* ---- reports ---- */

static void describe(const struct bfd_link_session *s, char *text, size_t size)
{
	char peer[ADDR_TEXT];

	addr_format(&s->peer, peer);
	if (s->bearing)
		snprintf(text, size,
			 "session with %s is silent for more than %g ms: borne, for "
			 "there is no other way",
			 peer, s->detect / 1e3);
	else if (s->state == BFD_UP)
		snprintf(text, size, "session with %s is Up: sends every %g ms, detects in %g ms",
			 peer, s->tx / 1e3, s->detect / 1e3);
	else if (s->diag == BFD_DIAG_EXPIRED)
		snprintf(text, size, "session with %s is %s: %s, %.1f ms of silence", peer,
			 bfd_state_name(s->state), bfd_diag_name(s->diag),
			 (double)s->silence / 1e3);
	else
		snprintf(text, size, "session with %s is %s: %s", peer, bfd_state_name(s->state),
			 bfd_diag_name(s->diag == BFD_DIAG_NONE ? s->remote_diag : s->diag));
}

static void log_session(const struct bridge_bfd *f, const struct bfd_link_session *before,
			const struct bfd_link_session *s, const char *text)
{
	enum log_level level = LOG_LEVEL_NOTICE;

	if (before && before->state == s->state && before->bearing != s->bearing) {
		level = s->bearing ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO;
	} else if (before && before->state == s->state) {
		if (s->state != BFD_UP || (before->tx == s->tx && before->detect == s->detect))
			return;
		level = LOG_LEVEL_INFO;
	} else if (s->state == BFD_INIT || !before) {
		level = LOG_LEVEL_DEBUG;
	}
	log_to(f->bridge->log, level, "bfd", s->ifname, "%s", text);
}

static struct watched *put(struct bridge_bfd *f, struct watched *w)
{
	HASH_ADD(hh, f->sessions, now.discriminator, sizeof(w->now.discriminator), w);
	if (w->hh.tbl)
		return w;
	free(w);
	return NULL;
}

static struct watched *watch(struct bridge_bfd *f, const struct bfd_link_session *s)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->now = *s;
	return put(f, w);
}

static bool is_session(const struct bfd_link_session *a, const struct bfd_link_session *b)
{
	return addr_equal(&a->peer, &b->peer) && addr_equal(&a->local, &b->local) &&
	       a->multihop == b->multihop && strcmp(a->ifname, b->ifname) == 0;
}

/* Another bfdd has other discriminators for the same sessions: what the former ones said is not
 * to stand for ever. */
static struct watched *find(struct bridge_bfd *f, const struct bfd_link_session *s)
{
	struct watched *w;

	HASH_FIND(hh, f->sessions, &s->discriminator, sizeof(s->discriminator), w);
	if (w)
		return w;
	for (w = f->sessions; w; w = w->hh.next) {
		if (!is_session(&w->now, s))
			continue;
		HASH_DEL(f->sessions, w);
		w->now.discriminator = s->discriminator;
		w->untold = true; /* told again, to the one that it is by now */
		return put(f, w);
	}
	return NULL;
}

static void on_session(void *ctx, const struct bfd_link_session *s)
{
	struct bridge_bfd *f = ctx;
	struct bfd_link_session before = {0};
	struct watched *w = find(f, s);
	char cause[160];

	describe(s, cause, sizeof(cause));
	if (w) {
		before = w->now;
		w->now = *s;
		w->now.patience = before.patience;
	}
	log_session(f, w ? &before : NULL, s, cause);
	if (!w)
		w = watch(f, s);
	if (!w)
		return;
	w->listed = true;
	judge(f, s->ifname, cause);
	if (before.ifname[0] && strcmp(before.ifname, s->ifname) != 0)
		judge(f, before.ifname, cause);
}

static void forget(struct bridge_bfd *f, struct watched *w, const char *cause)
{
	char ifname[IF_NAMESIZE];

	memcpy(ifname, w->now.ifname, sizeof(ifname));
	HASH_DEL(f->sessions, w);
	free(w);
	judge(f, ifname, cause);
}

static void on_gone(void *ctx, uint32_t discriminator)
{
	struct bridge_bfd *f = ctx;
	struct watched *w;

	HASH_FIND(hh, f->sessions, &discriminator, sizeof(discriminator), w);
	if (w)
		forget(f, w, "its BFD session is deleted");
}

static void on_begin(void *ctx)
{
	struct bridge_bfd *f = ctx;

	for (struct watched *w = f->sessions; w; w = w->hh.next) {
		w->listed = w->untold = false;
		w->now.patience = 0;
	}
}

static void on_listed(void *ctx)
{
	struct bridge_bfd *f = ctx;

	for (struct watched *w = f->sessions, *next; w; w = next) {
		next = w->hh.next;
		if (!w->listed)
			forget(f, w, "its BFD session is gone");
	}
}

static void on_stats(void *ctx, const struct bfd_stats *stats)
{
	struct bridge_bfd *f = ctx;

	if (stats->late_worst > f->stats.late_worst)
		log_to(f->bridge->log, LOG_LEVEL_INFO, "bfd", "",
		       "BFD's process was kept from running for %llu us",
		       (unsigned long long)stats->late_worst);
	f->stats = *stats;
}

/* ---- life ---- */

static void release(struct bridge_bfd *f)
{
	struct watched *w, *next_session;
	struct verdict *v, *next_verdict;

	ev_timer_stop(f->bridge->loop, &f->look);
	HASH_ITER (hh, f->sessions, w, next_session) {
		HASH_DEL(f->sessions, w);
		free(w);
	}
	HASH_ITER (hh, f->dead, v, next_verdict) {
		HASH_DEL(f->dead, v);
		free(v);
	}
	free(f);
}

/* BFD ends, the bridge does not. */
static void switch_off(struct bridge_bfd *f)
{
	bfd_client_free(f->client, true);
	while (f->sessions)
		forget(f, f->sessions, "BFD is switched off");
	release(f);
}

static struct bridge_bfd *begin(struct bridge *b)
{
	struct bridge_bfd *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->bridge = b;
	f->host = (struct bfd_client_host){
		.begin = on_begin,
		.listed = on_listed,
		.session = on_session,
		.gone = on_gone,
		.stats = on_stats,
		.ctx = f,
		.log = b->log,
		.loop = b->loop,
	};
	f->client = bfd_client_new(&f->host, b->config->bfd_dplane);
	if (f->client) {
		ev_timer_init(&f->look, on_look, LOOK, LOOK);
		f->look.data = f;
		ev_timer_start(b->loop, &f->look);
		return f;
	}
	free(f);
	return NULL;
}

void bridge_bfd_fit(struct bridge *b)
{
	const char *path = b->config->bfd_dplane;

	if (b->bfd && strcmp(bfd_client_path(b->bfd->client), path) != 0) {
		switch_off(b->bfd);
		b->bfd = NULL;
	}
	if (b->bfd || !path[0])
		return;
	b->bfd = begin(b);
	if (!b->bfd)
		log_to(b->log, LOG_LEVEL_ERROR, "bfd", "", "out of memory: no BFD");
}

void bridge_bfd_end(struct bridge *b)
{
	if (!b->bfd)
		return;
	bfd_client_free(b->bfd->client, false);
	release(b->bfd);
	b->bfd = NULL;
}

const struct bfd_stats *bridge_bfd_stats(const struct bridge *b)
{
	return b->bfd ? &b->bfd->stats : NULL;
}

void bridge_bfd_each(const struct bridge *b,
		     void (*call)(void *ctx, const struct bfd_link_session *s), void *ctx)
{
	for (struct watched *w = b->bfd ? b->bfd->sessions : NULL; w; w = w->hh.next)
		call(ctx, &w->now);
}
