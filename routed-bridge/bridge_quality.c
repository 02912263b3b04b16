/* Path quality's glue: who is asked, when, and what the answers change. A tunnel whose quality is
 * not good keeps its routes, with another metric or tag, and its peer stands in a prefix list of
 * bgpd's; one that does not answer any more is repaired around. */
#include "routed-bridge/bridge_parts.h"
#include "lib/netlink.h"
#include "routed-bridge/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <uthash.h>

#define SILENT_AFTER (10 * MONO_S) /* then it is said that nobody answers */

struct measured {
	struct bridge_quality *owner;
	char *conn;
	char interface[IF_NAMESIZE];
	int ifindex; /* 0: paused */
	struct bridge_quality_options options;
	struct quality *q;
	uint64_t cookie;
	struct addr target, from; /* who is asked; who answered */
	mono_time began;
	bool steered, dead, said;
	ev_timer probe;
	UT_hash_handle hh, hh_cookie;
};

struct bridge_quality {
	struct bridge *b;
	struct probes *probes;
	struct netlink *netlink;
	struct quality_lists *lists;
	struct measured *all, *by_cookie;
	bool refused; /* sockets: was said */
};

/* ---- who is asked ---- */

/* The other end of a network of two: /31, /127 (RFC 3021, RFC 6164), /30, /126. */
static bool other_end(const struct prefix *own, struct addr *out)
{
	size_t bits = addr_size(own->addr.family) * 8, last = bits / 8 - 1;
	uint8_t low = own->addr.bytes[last] & 3;

	if (own->len != bits - 1 && own->len != bits - 2)
		return false;
	if (own->len == bits - 2 && (low == 0 || low == 3))
		return false;
	*out = own->addr;
	out->bytes[last] ^= own->len == bits - 1 ? 1 : 3;
	return true;
}

static void look_at(void *ctx, const struct netlink_addr *a)
{
	static const struct addr all_nodes = {.family = AF_INET6,
					      .bytes = {0xff, 2, [15] = 1}}; /* RFC 4291 2.7.1 */
	struct measured *m = ctx;
	struct addr other;

	if (addr_is_link_local(&a->prefix.addr)) {
		if (!m->target.family)
			m->target = all_nodes;
	} else if (other_end(&a->prefix, &other) &&
		   (!m->target.family || m->target.bytes[0] == 0xff)) {
		m->target = other;
	}
}

static bool find_target(struct measured *m)
{
	if (m->target.family)
		return true;
	m->target = m->options.peer;
	if (!m->target.family && m->owner->netlink)
		netlink_addr_list(m->owner->netlink, m->ifindex, look_at, m);
	if (!m->target.family && !m->said) {
		log_to(m->owner->b->log, LOG_LEVEL_WARN, "quality", m->conn,
		       "%s has no address whose other end is known; 'quality peer ADDRESS' says it",
		       m->interface);
		m->said = true;
	}
	return m->target.family != 0;
}

/* ---- what it changes ---- */

static void tell_lists(struct bridge_quality *bq)
{
	struct measured *m, *next;

	quality_lists_begin(bq->lists);
	HASH_ITER (hh, bq->all, m, next)
		if (m->options.list[0])
			quality_lists_put(bq->lists, m->options.list,
					  m->steered && m->from.family ? &m->from : NULL);
	quality_lists_sync(bq->lists);
}

static void set_dead(struct measured *m, bool dead, const char *why)
{
	if (m->dead == dead)
		return;
	m->dead = dead;
	if (dead)
		bridge_tunnel_dead(m->owner->b, m->interface, WITNESS_QUALITY, why);
	else
		bridge_tunnel_alive(m->owner->b, m->interface, WITNESS_QUALITY, why);
}

static void changed(struct measured *m)
{
	struct bridge *b = m->owner->b;
	struct quality_view v;
	bool steered;

	quality_view(m->q, &v);
	log_to(b->log, v.state == QUALITY_GOOD ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARN, "quality",
	       m->conn, "%s is %s%s%s (round trip %.1f ms, jitter %.1f ms, loss %u.%u %%)",
	       m->interface, quality_state_name(v.state), v.why[0] ? ": " : "", v.why,
	       (double)v.rtt / (double)MONO_MS, (double)v.jitter / (double)MONO_MS, v.loss / 10,
	       v.loss % 10);
	set_dead(m, v.state == QUALITY_BAD, v.state == QUALITY_BAD ? v.why : "the peer answers");
	steered = v.state == QUALITY_DEGRADED || v.state == QUALITY_BAD;
	if (m->steered == steered)
		return;
	m->steered = steered;
	tell_lists(m->owner);
	tunnels_touch_one(b->tunnels, m->conn, steered ? "path quality" : "its path is good again");
	bridge_reconcile(b);
}

/* ---- probes ---- */

static void judge(struct measured *m, mono_time now)
{
	if (quality_judge(m->q, now))
		changed(m);
}

static void say_silent(struct measured *m, mono_time now)
{
	struct quality_view v;
	char text[ADDR_TEXT];

	if (m->said || now - m->began < SILENT_AFTER)
		return;
	quality_view(m->q, &v);
	if (v.answered)
		return;
	m->said = true;
	log_to(m->owner->b->log, LOG_LEVEL_WARN, "quality", m->conn,
	       "%s: %s answers no echo request; does a filter drop them?", m->interface,
	       addr_format(&m->target, text));
}

static void on_probe(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct measured *m = w->data;
	mono_time now;
	struct probe_echo e = {.id = (uint16_t)m->cookie, .cookie = m->cookie};

	(void)loop;
	(void)revents;
	if (!find_target(m))
		return;
	probes_read(m->owner->probes);
	if (!m->ifindex)
		return;
	now = mono_now();
	judge(m, now);
	if (!m->ifindex) /* that was the end of it */
		return;
	e.seq = quality_sent(m->q, now);
	probes_send(m->owner->probes, m->ifindex, &m->target, &e); /* refused: lost */
	say_silent(m, now);
}

static void on_answer(void *ctx, int ifindex, const struct addr *from, const struct probe_echo *e,
		      mono_time at)
{
	struct bridge_quality *bq = ctx;
	struct measured *m;

	HASH_FIND(hh_cookie, bq->by_cookie, &e->cookie, sizeof(e->cookie), m);
	if (!m || m->ifindex != ifindex || !quality_answered(m->q, e->seq, at))
		return;
	m->from = *from;
	judge(m, mono_now());
}

static bool open_sockets(struct bridge_quality *bq)
{
	const struct probes_host host = {.answer = on_answer, .ctx = bq, .loop = bq->b->loop};

	if (bq->probes)
		return true;
	bq->probes = probes_open(&host);
	if (!bq->probes && !bq->refused)
		log_to(bq->b->log, LOG_LEVEL_ERROR, "quality", "",
		       "raw ICMP sockets: %s%s: no path quality", strerror(errno),
		       errno == EPERM ? " (CAP_NET_RAW is missing)" : "");
	bq->refused = !bq->probes;
	return bq->probes != NULL;
}

/* ---- tunnels ---- */

static struct bridge_quality *owner_of(struct bridge *b)
{
	struct bridge_quality *bq = b->quality;

	if (bq)
		return bq;
	bq = calloc(1, sizeof(*bq));
	if (!bq)
		return NULL;
	bq->b = b;
	bq->lists = quality_lists_new(b);
	bq->netlink = netlink_open();
	if (!bq->lists) {
		netlink_close(bq->netlink);
		free(bq);
		return NULL;
	}
	b->quality = bq;
	return bq;
}

static struct measured *find(const struct bridge *b, const char *conn)
{
	struct measured *m = NULL;

	if (b->quality)
		HASH_FIND_STR(b->quality->all, conn, m);
	return m;
}

static void forget(struct measured *m)
{
	struct bridge_quality *bq = m->owner;

	set_dead(m, false, "it is measured no longer");
	ev_timer_stop(bq->b->loop, &m->probe);
	HASH_DELETE(hh, bq->all, m);
	HASH_DELETE(hh_cookie, bq->by_cookie, m);
	quality_free(m->q);
	free(m->conn);
	free(m);
}

static struct measured *add(struct bridge_quality *bq, const char *conn,
			    const struct bridge_quality_options *o)
{
	struct measured *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->owner = bq;
	m->options = *o;
	m->conn = strdup(conn);
	m->q = quality_new(&o->limits, mono_now());
	if (!m->conn || !m->q || getrandom(&m->cookie, sizeof(m->cookie), 0) < 0) {
		quality_free(m->q);
		free(m->conn);
		free(m);
		return NULL;
	}
	ev_timer_init(&m->probe, on_probe, 0., 0.);
	m->probe.data = m;
	HASH_ADD_KEYPTR(hh, bq->all, m->conn, strlen(m->conn), m);
	HASH_ADD(hh_cookie, bq->by_cookie, cookie, sizeof(m->cookie), m);
	if (o->list[0]) /* what an earlier bridge left in it goes */
		tell_lists(bq);
	return m;
}

static bool same_options(const struct bridge_quality_options *a,
			 const struct bridge_quality_options *b)
{
	return quality_limits_equal(&a->limits, &b->limits) && a->metric == b->metric &&
	       a->tag == b->tag && strcmp(a->list, b->list) == 0 && addr_equal(&a->peer, &b->peer);
}

static void start(struct measured *m, const struct interface *i)
{
	double every = (double)m->options.limits.probe / (double)MONO_S;

	if (m->ifindex == (int)i->ifindex || !open_sockets(m->owner))
		return;
	if (strcmp(m->interface, i->name) != 0)
		set_dead(m, false, "it is on another device");
	memcpy(m->interface, i->name, sizeof(m->interface));
	m->ifindex = (int)i->ifindex;
	m->target = (struct addr){0};
	m->said = false;
	m->began = mono_now();
	/* Tunnels that come together are not asked together. */
	ev_now_update(m->owner->b->loop);
	ev_timer_set(&m->probe, every * (double)(m->cookie >> 48) / 65536., every);
	ev_timer_start(m->owner->b->loop, &m->probe);
}

static void pause_it(struct measured *m)
{
	if (!m->ifindex)
		return;
	ev_timer_stop(m->owner->b->loop, &m->probe);
	m->ifindex = 0;
	quality_pause(m->q, mono_now());
}

void bridge_quality_tunnel(struct bridge *b, const struct tunnel_view *tunnel,
			   const struct bridge_section *section, const struct interface *i)
{
	const struct bridge_quality_options *o = section ? &section->options.quality : NULL;
	struct measured *m = find(b, tunnel->conn);

	if (m && (!o || !same_options(o, &m->options))) {
		forget(m); /* estimates belong to their limits */
		m = NULL;
		tell_lists(b->quality);
	}
	if (!o || !o->limits.probe)
		return;
	if (!m && owner_of(b))
		m = add(b->quality, tunnel->conn, o);
	if (!m)
		return;
	if (tunnel->up && i && i->operative)
		start(m, i);
	else
		pause_it(m);
}

void bridge_quality_steer(const struct bridge *b, const char *conn, struct bridge_options *o)
{
	const struct measured *m = find(b, conn);

	if (!m || !m->steered)
		return;
	o->metric = o->metric + m->options.metric < o->metric ? UINT32_MAX
							      : o->metric + m->options.metric;
	if (m->options.tag)
		o->tag = m->options.tag;
}

void bridge_quality_each(const struct bridge *b,
			 void (*call)(void *ctx, const struct quality_stats *s), void *ctx)
{
	struct measured *m, *next;

	if (!b->quality)
		return;
	HASH_ITER (hh, b->quality->all, m, next) {
		struct quality_stats s = {.conn = m->conn,
					  .interface = m->interface,
					  .options = &m->options,
					  .target = m->target,
					  .running = m->ifindex != 0,
					  .steered = m->steered};

		quality_view(m->q, &s.view);
		call(ctx, &s);
	}
}

/* bgpd may be behind another socket now; each tunnel is looked at behind this. */
void bridge_quality_fit(struct bridge *b)
{
	if (!b->quality)
		return;
	quality_lists_free(b->quality->lists);
	b->quality->lists = quality_lists_new(b);
	if (b->quality->lists)
		tell_lists(b->quality);
	else
		bridge_quality_end(b);
}

void bridge_quality_end(struct bridge *b)
{
	struct bridge_quality *bq = b->quality;
	struct measured *m, *next;

	if (!bq)
		return;
	HASH_ITER (hh, bq->all, m, next)
		forget(m);
	probes_close(bq->probes);
	netlink_close(bq->netlink);
	quality_lists_free(bq->lists);
	b->quality = NULL;
	free(bq);
}
