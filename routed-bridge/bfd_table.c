#include "routed-bridge/bfd_table.h"

#include <stdlib.h>

struct bfd_table {
	struct bfd_peer *by_discriminator, *by_key;
	struct bfd_queue sends, expiries;
	struct bfd_peer *changes, **changes_end;
	unsigned n_former; /* sessions with a former discriminator */
	uint32_t random;
	struct bfd_stats stats;
};

struct bfd_table *bfd_table_new(uint32_t seed)
{
	struct bfd_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->random = seed ? seed : 1;
	t->changes_end = &t->changes;
	return t;
}

void bfd_table_free(struct bfd_table *t)
{
	if (!t)
		return;
	while (t->by_discriminator)
		bfd_table_remove(t, t->by_discriminator);
	bfd_queue_free(&t->sends);
	bfd_queue_free(&t->expiries);
	free(t);
}

/* ---- what changes ---- */

static void note_change(struct bfd_table *t, struct bfd_peer *p)
{
	p->session.changed = false;
	if (p->in_changes)
		return;
	p->in_changes = true;
	p->next_change = NULL;
	*t->changes_end = p;
	t->changes_end = &p->next_change;
}

static void forget_change(struct bfd_table *t, const struct bfd_peer *p)
{
	for (struct bfd_peer **at = &t->changes; *at; at = &(*at)->next_change) {
		if (*at != p)
			continue;
		*at = p->next_change;
		if (!*at)
			t->changes_end = at;
		return;
	}
}

struct bfd_peer *bfd_table_changed(struct bfd_table *t)
{
	struct bfd_peer *p = t->changes;

	if (!p)
		return NULL;
	t->changes = p->next_change;
	if (!t->changes)
		t->changes_end = &t->changes;
	p->in_changes = false;
	return p;
}

/* After every step of a session: its deadlines, the count of those that are up, observers. */
static void settle(struct bfd_table *t, struct bfd_peer *p, bool was_up)
{
	bool up = p->session.state == BFD_UP;

	t->stats.up += (uint32_t)up - (uint32_t)was_up;
	bfd_queue_set(&t->sends, &p->send, bfd_session_send_at(&p->session));
	bfd_queue_set(&t->expiries, &p->expire, bfd_session_judge_at(&p->session));
	if (p->session.changed)
		note_change(t, p);
}

/* ---- sessions ---- */

static struct bfd_settings settings_of(const struct bfddp_session *from)
{
	return (struct bfd_settings){
		.discriminator = from->discriminator,
		.min_tx = from->min_tx,
		.min_rx = from->min_rx,
		.multiplier = from->multiplier,
		.passive = from->flags & BFDDP_PASSIVE,
		.independent = from->flags & BFDDP_CBIT,
		.admin_down = from->flags & BFDDP_SHUTDOWN,
	};
}

static struct bfd_key key_of(const struct bfddp_session *from)
{
	struct bfd_key key = {
		.peer = from->peer,
		.local = from->local,
		.multihop = (from->flags & BFDDP_MULTIHOP) != 0,
	};

	memcpy(key.ifname, from->ifname, strnlen(from->ifname, sizeof(key.ifname) - 1));
	return key;
}

struct bfd_peer *bfd_table_find(struct bfd_table *t, uint32_t discriminator)
{
	struct bfd_peer *p;

	HASH_FIND(by_discriminator, t->by_discriminator, &discriminator, sizeof(discriminator), p);
	return p;
}

static struct bfd_peer *find_key(const struct bfd_table *t, const struct bfd_key *key)
{
	struct bfd_peer *p;

	HASH_FIND(by_key, t->by_key, key, sizeof(*key), p);
	return p;
}

/* A bfdd that has just begun gives a session of one hop without its device when zebra has not
 * told it of any yet, and never again with it. Then the addresses have to do. */
static bool fits_without_device(const struct bfd_peer *p, const struct bfd_key *key)
{
	return !key->ifname[0] && !key->multihop && !p->key.multihop &&
	       addr_equal(&p->key.peer, &key->peer) && addr_equal(&p->key.local, &key->local);
}

/* The session that waits for such a bfdd; NULL: none, or more than one could be meant. */
static struct bfd_peer *find_waiting(const struct bfd_table *t, const struct bfd_key *key)
{
	struct bfd_peer *found = NULL;

	if (key->ifname[0] || key->multihop)
		return NULL; /* nearly all of them: without a look at each that there is */
	for (struct bfd_peer *p = bfd_table_first(t); p; p = bfd_table_next(p)) {
		if (p->owner != BFD_NO_OWNER || !fits_without_device(p, key))
			continue;
		if (found)
			return NULL;
		found = p;
	}
	return found;
}

static bool is_meant(const struct bfd_peer *p, const struct bfd_key *key, int owner)
{
	return memcmp(&p->key, key, sizeof(*key)) == 0 ||
	       (p->owner == owner && fits_without_device(p, key));
}

static bool index_discriminator(struct bfd_table *t, struct bfd_peer *p)
{
	HASH_ADD(by_discriminator, t->by_discriminator, session.set.discriminator,
		 sizeof(p->session.set.discriminator), p);
	return p->by_discriminator.tbl != NULL;
}

static void add_former(struct bfd_table *t, struct bfd_peer *p, uint32_t former)
{
	t->n_former += p->former[0] == 0;
	p->former[1] = p->former[0];
	p->former[0] = former;
}

static void clear_former(struct bfd_table *t, struct bfd_peer *p)
{
	t->n_former -= p->former[0] != 0;
	p->former[0] = p->former[1] = 0;
}

static uint32_t next_random(struct bfd_table *t)
{
	t->random = t->random * 1664525 + 1013904223;
	return t->random;
}

static struct bfd_peer *add(struct bfd_table *t, const struct bfddp_session *from, mono_time now)
{
	struct bfd_settings set = settings_of(from);
	struct bfd_peer *p = calloc(1, sizeof(*p));
	size_t n = t->stats.sessions + (size_t)1;

	if (!p || !bfd_queue_reserve(&t->sends, n) || !bfd_queue_reserve(&t->expiries, n)) {
		free(p);
		return NULL;
	}
	p->key = key_of(from);
	p->send.at = p->expire.at = MONO_NEVER;
	bfd_session_start(&p->session, &set, from->hold * MONO_MS, next_random(t), now);
	if (!index_discriminator(t, p)) {
		free(p);
		return NULL;
	}
	HASH_ADD(by_key, t->by_key, key, sizeof(p->key), p);
	if (!p->by_key.tbl) {
		HASH_DELETE(by_discriminator, t->by_discriminator, p);
		free(p);
		return NULL;
	}
	t->stats.sessions++;
	return p;
}

/* The session under its new settings; false: no memory, and it is as it was. */
static bool change(struct bfd_table *t, struct bfd_peer *p, const struct bfd_settings *set)
{
	uint32_t before = p->session.set.discriminator;
	bool up = p->session.state == BFD_UP;

	if (set->discriminator != before) {
		HASH_DELETE(by_discriminator, t->by_discriminator, p);
		p->session.set.discriminator = set->discriminator;
		if (!index_discriminator(t, p)) {
			p->session.set.discriminator = before;
			return index_discriminator(t, p) && false;
		}
		p->session.set.discriminator = before;
		add_former(t, p, before);
	}
	bfd_session_set(&p->session, set);
	settle(t, p, up);
	return true;
}

static bool same_settings(const struct bfd_settings *a, const struct bfd_settings *b)
{
	return a->discriminator == b->discriminator && a->min_tx == b->min_tx &&
	       a->min_rx == b->min_rx && a->multiplier == b->multiplier &&
	       a->passive == b->passive && a->independent == b->independent &&
	       a->admin_down == b->admin_down;
}

/* Its discriminator is another session's from here on; it gets a free one, and waits for its
 * owner as if that were gone. false: no memory. */
static bool evict(struct bfd_table *t, struct bfd_peer *p, mono_time now)
{
	struct bfd_settings set = p->session.set;

	do
		set.discriminator = next_random(t);
	while (set.discriminator == 0 || bfd_table_find(t, set.discriminator));
	p->owner = BFD_NO_OWNER;
	p->orphan_until = now + BFD_ORPHAN_TIME;
	if (!change(t, p, &set))
		return false;
	note_change(t, p); /* observers know it by the number that it had */
	return true;
}

enum bfd_put bfd_table_put(struct bfd_table *t, const struct bfddp_session *from, int owner,
			   mono_time now, struct bfd_peer **out)
{
	struct bfd_settings set = settings_of(from);
	struct bfd_key key = key_of(from);
	struct bfd_peer *p = bfd_table_find(t, set.discriminator);
	enum bfd_put put = BFD_PUT_CHANGED;

	if (p && !is_meant(p, &key, owner)) {
		if (!evict(t, p, now))
			return BFD_PUT_NO_MEMORY;
		p = NULL;
	}
	if (!p)
		p = find_key(t, &key);
	if (!p)
		p = find_waiting(t, &key);
	if (!p) {
		p = add(t, from, now);
		put = BFD_PUT_NEW;
		if (!p)
			return BFD_PUT_NO_MEMORY;
		settle(t, p, false);
	} else if (p->owner == owner && same_settings(&p->session.set, &set)) {
		put = BFD_PUT_SAME;
	} else if (!change(t, p, &set)) {
		return BFD_PUT_NO_MEMORY;
	} else if (p->owner != owner) {
		put = BFD_PUT_TAKEN_OVER;
	}
	if (put == BFD_PUT_TAKEN_OVER || put == BFD_PUT_NEW)
		note_change(t, p); /* the new owner knows nothing */
	p->owner = owner;
	p->min_ttl = from->min_ttl;
	if (from->ifindex)
		p->ifindex = from->ifindex;
	*out = p;
	return put;
}

void bfd_table_remove(struct bfd_table *t, struct bfd_peer *p)
{
	t->stats.sessions--;
	t->stats.up -= p->session.state == BFD_UP;
	clear_former(t, p);
	if (p->in_changes)
		forget_change(t, p);
	bfd_queue_set(&t->sends, &p->send, MONO_NEVER);
	bfd_queue_set(&t->expiries, &p->expire, MONO_NEVER);
	HASH_DELETE(by_discriminator, t->by_discriminator, p);
	HASH_DELETE(by_key, t->by_key, p);
	free(p);
}

struct bfd_peer *bfd_table_first(const struct bfd_table *t)
{
	return t->by_discriminator;
}

struct bfd_peer *bfd_table_next(const struct bfd_peer *p)
{
	return p->by_discriminator.next;
}

void bfd_table_orphan(struct bfd_table *t, int owner, mono_time now)
{
	for (struct bfd_peer *p = bfd_table_first(t); p; p = bfd_table_next(p)) {
		if (p->owner != owner)
			continue;
		p->owner = BFD_NO_OWNER;
		p->orphan_until = now + BFD_ORPHAN_TIME;
	}
}

struct bfd_peer *bfd_table_lost(struct bfd_table *t, mono_time now)
{
	for (struct bfd_peer *p = bfd_table_first(t); p; p = bfd_table_next(p)) {
		if (p->owner == BFD_NO_OWNER && p->orphan_until <= now)
			return p;
	}
	return NULL;
}

void bfd_table_shut_one(struct bfd_table *t, struct bfd_peer *p)
{
	struct bfd_settings set = p->session.set;

	set.admin_down = true;
	change(t, p, &set);
}

/* ---- packets ---- */

/* RFC 5881 3: a first packet is told by interface and addresses. */
static struct bfd_peer *by_address(const struct bfd_table *t, const struct bfd_arrival *a)
{
	struct addr any = {.family = a->to.family};

	for (unsigned i = 0; i < 4; i++) {
		struct bfd_key key = {
			.peer = a->from,
			.local = i & 1 ? any : a->to,
			.multihop = a->multihop,
		};
		struct bfd_peer *p;

		if (i < 2)
			memcpy(key.ifname, a->ifname, strnlen(a->ifname, sizeof(key.ifname) - 1));
		p = find_key(t, &key);
		if (p)
			return p;
	}
	return NULL;
}

static bool is_from_peer(const struct bfd_peer *p, const struct bfd_arrival *a)
{
	return p->key.multihop == a->multihop && addr_equal(&p->key.peer, &a->from) &&
	       (p->key.ifname[0] == '\0' || strcmp(p->key.ifname, a->ifname) == 0);
}

/* By our discriminator, and for a moment by those that it had before. */
static struct bfd_peer *by_discriminator(struct bfd_table *t, const struct bfd_arrival *a,
					 uint32_t yours)
{
	struct bfd_peer *found = bfd_table_find(t, yours), *p;

	if (t->n_former == 0)
		return found;
	if (found && is_from_peer(found, a)) {
		clear_former(t, found); /* the peer has learned the new one */
		return found;
	}
	for (p = bfd_table_first(t); p; p = bfd_table_next(p)) {
		if ((p->former[0] == yours || p->former[1] == yours) && is_from_peer(p, a))
			return p;
	}
	return found;
}

static enum bfd_drop find(struct bfd_table *t, const struct bfd_arrival *a,
			  const struct bfd_packet *packet, struct bfd_peer **out)
{
	struct bfd_peer *p =
		packet->yours ? by_discriminator(t, a, packet->yours) : by_address(t, a);

	if (!p)
		return BFD_DROP_NO_SESSION;
	if (!is_from_peer(p, a))
		return BFD_DROP_SOURCE;
	/* RFC 5881 5: without authentication TTL 255 or discarded. RFC 5883: as configured. */
	if (a->ttl < (a->multihop ? p->min_ttl : BFD_TTL))
		return BFD_DROP_TTL;
	*out = p;
	return BFD_TAKEN;
}

enum bfd_drop bfd_table_receive(struct bfd_table *t, const struct bfd_arrival *a, mono_time now)
{
	struct bfd_packet packet;
	struct bfd_peer *p = NULL;
	enum bfd_drop drop = bfd_packet_parse(a->payload, &packet, NULL);
	bool up;

	if (drop == BFD_TAKEN)
		drop = find(t, a, &packet, &p);
	if (drop != BFD_TAKEN) {
		t->stats.drops[drop]++;
		return drop;
	}
	up = p->session.state == BFD_UP;
	bfd_session_receive(&p->session, &packet, now);
	if (a->ifindex)
		p->ifindex = a->ifindex;
	p->in_packets++;
	p->in_bytes += a->payload.len;
	t->stats.in_packets++;
	t->stats.in_bytes += a->payload.len;
	settle(t, p, up);
	return BFD_TAKEN;
}

#define member_of(due, member) \
	((struct bfd_peer *)(void *)((char *)(due)-offsetof(struct bfd_peer, member)))

struct bfd_peer *bfd_table_send(struct bfd_table *t, struct buf *b, mono_time now)
{
	struct bfd_due *due = bfd_queue_first(&t->sends);
	struct bfd_packet packet;
	struct bfd_peer *p;

	if (!due || due->at > now)
		return NULL;
	p = member_of(due, send);
	if (!bfd_session_send(&p->session, &packet, now))
		return NULL;
	bfd_packet_encode(b, &packet);
	p->out_packets++;
	p->out_bytes += BFD_PACKET_SIZE;
	t->stats.out_packets++;
	t->stats.out_bytes += BFD_PACKET_SIZE;
	settle(t, p, p->session.state == BFD_UP);
	return p;
}

void bfd_table_expire(struct bfd_table *t, mono_time late, bfd_witness_of *witness, void *ctx,
		      mono_time now)
{
	struct bfd_due *due;

	while ((due = bfd_queue_first(&t->expiries)) && due->at <= now) {
		struct bfd_peer *p = member_of(due, expire);
		struct bfd_session *s = &p->session;
		mono_time grace = s->grace, excuse = s->excuse;
		bool up = s->state == BFD_UP, bearing = s->bearing;
		struct bfd_witness w;
		bool known = up && witness && witness(ctx, p, &w);

		if (bfd_session_judge(s, known ? &w : NULL, late, now)) {
			t->stats.detections++;
			t->stats.last_detection = s->last_since / 1000;
		}
		t->stats.graces += s->grace != grace;
		t->stats.excuses += s->excuse != excuse;
		t->stats.borne += s->bearing && !bearing;
		settle(t, p, up);
	}
}

mono_time bfd_table_deadline(const struct bfd_table *t)
{
	const struct bfd_due *send = bfd_queue_first(&t->sends);
	const struct bfd_due *expire = bfd_queue_first(&t->expiries);
	mono_time at = send ? send->at : MONO_NEVER;

	return expire && expire->at < at ? expire->at : at;
}

void bfd_table_shut(struct bfd_table *t)
{
	for (struct bfd_peer *p = bfd_table_first(t); p; p = bfd_table_next(p))
		bfd_table_shut_one(t, p);
}

void bfd_table_repeat(struct bfd_table *t)
{
	for (struct bfd_peer *p = bfd_table_first(t); p; p = bfd_table_next(p)) {
		bfd_session_repeat(&p->session);
		settle(t, p, p->session.state == BFD_UP);
	}
}

struct bfd_stats *bfd_table_stats(struct bfd_table *t)
{
	return &t->stats;
}
