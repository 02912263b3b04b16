/* One function for each type of message. Owns what must be known of a session to read its
 * UPDATEs: which numbers its AS_PATHs have and which ASes its ends are. */
#include "routed-bridge/bmp_feed.h"
#include "lib/hash.h"

#include <stdio.h>
#include <stdlib.h>

#define QUIET	  (5 * MONO_S) /* without a message of a table: it was told completely */
#define SYNC_MAX  (60 * MONO_S)
#define LOG_BURST 5

struct session {
	struct path_peer_key key;
	uint32_t as, local_as;
	bool as4;
	UT_hash_handle hh;
};

struct bmp_feed {
	struct paths *paths;
	const struct log_sink *log;
	struct session *sessions;
	mono_time began, last_route;
	bool synced, monitored, warned;
	struct log_limit limit;
	struct bmp_feed_count count;
	char speaker[64];
	struct bgp_update update; /* of the message at hand: too large for a stack */
};

struct bmp_feed *bmp_feed_new(struct paths *paths, const struct log_sink *log, mono_time now)
{
	struct bmp_feed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->paths = paths;
	f->log = log;
	f->limit.burst = LOG_BURST;
	f->began = f->last_route = now;
	paths_resync_begin(paths);
	return f;
}

void bmp_feed_free(struct bmp_feed *f)
{
	struct session *s, *next;

	if (!f)
		return;
	HASH_ITER (hh, f->sessions, s, next) {
		HASH_DEL(f->sessions, s);
		free(s);
	}
	free(f);
}

static void __attribute__((format(printf, 4, 5)))
odd(struct bmp_feed *f, mono_time now, const struct bmp_peer *peer, const char *format, ...)
{
	char text[ADDR_TEXT];
	va_list args;

	if (!log_limit_pass(&f->limit, now))
		return;
	va_start(args, format);
	log_to_v(f->log, LOG_LEVEL_WARN, "bmp", addr_format(&peer->addr, text), format, args);
	va_end(args);
}

/* ---- sessions ---- */

static struct path_peer_key key_of(const struct bmp_peer *peer)
{
	struct path_peer_key k;

	memset(&k, 0, sizeof(k)); /* memcmp compares it */
	k.distinguisher = peer->distinguisher;
	k.id = peer->id;
	k.addr = peer->addr;
	return k;
}

static struct session *find_session(const struct bmp_feed *f, const struct path_peer_key *key)
{
	struct session *s;

	HASH_FIND(hh, f->sessions, key, sizeof(*key), s);
	return s;
}

static void end_session(struct bmp_feed *f, const struct path_peer_key *key)
{
	struct session *s = find_session(f, key);

	if (!s)
		return;
	HASH_DEL(f->sessions, s);
	free(s);
}

static struct session *begin_session(struct bmp_feed *f, const struct path_peer_key *key)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->key = *key;
	HASH_ADD(hh, f->sessions, key, sizeof(s->key), s);
	if (s->hh.tbl)
		return s;
	free(s);
	return NULL;
}

static enum bmp_error on_up(struct bmp_feed *f, struct span body, mono_time now,
			    struct bmp_fault *fault)
{
	struct bmp_up up;
	enum bmp_error e = bmp_parse_up(body, &up, fault);
	struct path_peer peer = {0};
	struct session *s;

	if (e != BMP_OK || !bmp_is_adj_rib_in(&up.peer))
		return e;
	peer.key = key_of(&up.peer);
	peer.local = up.local;
	peer.as = up.peer.as;
	peer.local_as = up.sent.as;
	if (find_session(f, &peer.key)) {
		/* RFC 7854 4.10: each tells of a session that has just begun. */
		end_session(f, &peer.key);
		paths_peer_down(f->paths, &peer.key, "a new session has begun");
	}
	s = begin_session(f, &peer.key);
	if (!s || !paths_peer_up(f->paths, &peer)) {
		end_session(f, &peer.key);
		odd(f, now, &up.peer,
		    "out of memory, or more than %u peers: its paths are not kept",
		    PATHS_PEERS_MAX);
		return BMP_OK;
	}
	s->as = peer.as;
	s->local_as = peer.local_as;
	/* RFC 6793 3; bgpd that has forgotten the OPENs has sent empty ones. */
	s->as4 = (up.sent.as4 && up.received.as4) || !up.sent.as || !up.received.as;
	return BMP_OK;
}

static enum bmp_error on_down(struct bmp_feed *f, struct span body, struct bmp_fault *fault)
{
	struct bmp_down down;
	enum bmp_error e = bmp_parse_down(body, &down, fault);
	struct path_peer_key key;
	char text[96];

	if (e != BMP_OK || !bmp_is_adj_rib_in(&down.peer))
		return e;
	key = key_of(&down.peer);
	end_session(f, &key);
	paths_peer_down(f->paths, &key, bmp_down_format(&down, text, sizeof(text)));
	return BMP_OK;
}

/* ---- routes ---- */

/* bgpd writes AS_PATH as if it sent the route to the peer where it came from: its own AS
 * stands in front, with `local-as` two of them. A path cannot have begun so, because bgpd
 * takes none with its own AS. */
static void drop_own_as(const struct session *s, struct path_attrs *a)
{
	if (s->as == s->local_as || !s->local_as)
		return;
	for (unsigned i = 0; i < 2 && a->n_as && a->as_path[0] != s->as; i++) {
		if (a->as_path[0] != s->local_as && !(a->n_as > 1 && a->as_path[1] == s->as))
			return;
		a->as_path++;
		a->n_as--;
		a->as_length -= a->as_length > 0;
	}
}

/* Where bgpd has left it out, the next hop is the peer (RFC 8950 sessions). */
static void set_nexthop(struct path_attrs *a, const struct addr *global, const struct addr *local,
			const struct addr *peer)
{
	a->nexthop = *global;
	a->nexthop_local = *local;
	if (global->family || local->family)
		return;
	if (addr_is_link_local(peer))
		a->nexthop_local = *peer;
	else
		a->nexthop = *peer;
}

static void withdraw(struct bmp_feed *f, const struct path_peer_key *key, struct bgp_prefixes list)
{
	struct prefix prefix;

	while (bgp_next_prefix(&list, &prefix)) {
		f->count.withdrawn++;
		if (!paths_withdraw(f->paths, key, &prefix))
			f->count.doubts++;
	}
}

static void announce(struct bmp_feed *f, const struct path_peer_key *key, struct bgp_prefixes list,
		     const struct path_attrs *attrs)
{
	struct prefix prefix;

	while (bgp_next_prefix(&list, &prefix)) {
		f->count.announced++;
		if (!paths_announce(f->paths, key, &prefix, attrs))
			f->count.faults++;
	}
}

static void take_update(struct bmp_feed *f, const struct session *s)
{
	static const struct addr none;
	const struct bgp_update *u = &f->update;
	struct path_attrs a = {
		.as_path = u->as_path,
		.n_as = u->n_as,
		.as_length = u->as_length,
		.origin = u->origin,
		.med = u->med,
		.has_med = u->has_med,
		.local_pref = u->local_pref,
		.has_local_pref = u->has_local_pref,
	};

	for (unsigned i = 0; i < 2; i++)
		withdraw(f, &s->key, u->withdrawn[i]);
	drop_own_as(s, &a);
	for (unsigned i = 0; i < 2; i++) {
		if (u->fault != BGP_OK) { /* RFC 7606 2 */
			withdraw(f, &s->key, u->announced[i]);
			continue;
		}
		set_nexthop(&a, i ? &u->mp_nexthop : &u->nexthop, i ? &u->mp_nexthop_local : &none,
			    &s->key.addr);
		announce(f, &s->key, u->announced[i], &a);
	}
}

static void on_end_of_rib(struct bmp_feed *f, const struct path_peer_key *key, uint8_t family)
{
	/* All Peer Ups come before the first table. */
	paths_resync_peers(f->paths, "bgpd has no such session any more");
	paths_resync_family(f->paths, key, family);
}

/* Before our policy a path may be one that we refuse: of no use. */
static void not_post_policy(struct bmp_feed *f, const struct bmp_peer *peer, mono_time now)
{
	f->count.not_post_policy++;
	if (f->monitored || f->warned || now - f->began < QUIET)
		return;
	f->warned = true;
	odd(f, now, peer,
	    "bgpd tells paths before our policy alone: 'bmp monitor ipv4 unicast post-policy' "
	    "(and ipv6) is needed");
}

static enum bmp_error on_monitoring(struct bmp_feed *f, struct span body, mono_time now,
				    struct bmp_fault *fault)
{
	struct bmp_monitoring m;
	enum bmp_error e = bmp_parse_monitoring(body, &m, fault);
	struct bgp_fault where = {0};
	struct path_peer_key key;
	struct session *s;
	enum bgp_error bgp;

	if (e != BMP_OK)
		return e;
	if (!m.peer.post_policy || !bmp_is_adj_rib_in(&m.peer)) {
		not_post_policy(f, &m.peer, now);
		return BMP_OK;
	}
	f->monitored = true;
	f->last_route = now;
	key = key_of(&m.peer);
	s = find_session(f, &key);
	if (!s) {
		f->count.not_up++;
		return BMP_OK;
	}
	bgp = bgp_parse_update(m.update, s->as4 && !m.peer.as2, &f->update, &where);
	if (bgp != BGP_OK) {
		*fault = (struct bmp_fault){
			.offset = (size_t)(m.update.ptr - body.ptr) + BMP_HEADER_SIZE -
				  BGP_HEADER_SIZE + where.offset,
			.value = where.value,
			.bgp = bgp,
		};
		return BMP_BAD_BGP;
	}
	if (f->update.fault != BGP_OK) {
		f->count.faults++;
		odd(f, now, &m.peer, "UPDATE: %s (offset %zu, value %llu): counts as a withdrawal",
		    bgp_strerror(f->update.fault), f->update.where.offset,
		    (unsigned long long)f->update.where.value);
	}
	take_update(f, s);
	if (f->update.end_of_rib)
		on_end_of_rib(f, &key, f->update.end_of_rib);
	return BMP_OK;
}

/* ---- the connection ---- */

static enum bmp_error on_initiation(struct bmp_feed *f, struct span body, struct bmp_fault *fault)
{
	struct bmp_initiation i;
	enum bmp_error e = bmp_parse_initiation(body, &i, fault);

	if (e != BMP_OK)
		return e;
	snprintf(f->speaker, sizeof(f->speaker), "%.*s", (int)(i.description.len & 0xff),
		 i.description.len ? (const char *)i.description.ptr : "");
	for (char *c = f->speaker; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return BMP_OK;
}

enum bmp_error bmp_feed_take(struct bmp_feed *f, const struct bmp_message *m, mono_time now,
			     struct bmp_fault *fault, bool *ended, char *why, size_t size)
{
	*ended = false;
	f->count.messages++;
	switch (m->type) {
	case BMP_ROUTE_MONITORING:
		return on_monitoring(f, m->body, now, fault);
	case BMP_PEER_UP:
		return on_up(f, m->body, now, fault);
	case BMP_PEER_DOWN:
		return on_down(f, m->body, fault);
	case BMP_INITIATION:
		return on_initiation(f, m->body, fault);
	case BMP_TERMINATION:
		*ended = true;
		return bmp_parse_termination(m->body, why, size, fault);
	case BMP_STATISTICS:
	case BMP_ROUTE_MIRRORING:
		return BMP_OK;
	default:
		f->count.unknown++;
		return BMP_OK;
	}
}

/* ---- the end of a resynchronisation ---- */

/* Not every session ends each family with End-of-RIB (one that has not the family does not,
 * nor one that came up later): what is stale when routes have ceased to come is over. */
mono_time bmp_feed_deadline(const struct bmp_feed *f)
{
	if (f->synced)
		return MONO_NEVER;
	return f->last_route + QUIET < f->began + SYNC_MAX ? f->last_route + QUIET
							   : f->began + SYNC_MAX;
}

void bmp_feed_expire(struct bmp_feed *f, mono_time now)
{
	if (f->synced || now < bmp_feed_deadline(f))
		return;
	paths_resync_end(f->paths, "bgpd has no such session any more");
	f->synced = true;
}

bool bmp_feed_synced(const struct bmp_feed *f)
{
	return f->synced;
}

mono_time bmp_feed_last_route(const struct bmp_feed *f)
{
	return f->last_route;
}

mono_time bmp_feed_took(const struct bmp_feed *f)
{
	return f->last_route - f->began;
}

const char *bmp_feed_speaker(const struct bmp_feed *f)
{
	return f->speaker;
}

struct bmp_feed_count bmp_feed_count(const struct bmp_feed *f)
{
	return f->count;
}
