/* What zebra was told with several nexthops, and how far each is known to be in the kernel.
 *
 *	TOLD --confirmed--> CONFIRMED --seen--> FINE
 *	  ^                  |      \--lacks, told again in vain--> LACKING
 *	  \--lacks at LOOKS--/
 */
#include "routed-bridge/fib_check.h"

#include <stdlib.h>
#include <uthash.h>

#define LOOKS	 2
#define RENEWALS 4 /* of one route; one where they were of no use for others */

enum state { TOLD, CONFIRMED, FINE, LACKING };

/* Hashed as bytes: key_of zeroes the padding. */
struct key {
	struct prefix prefix;
	uint32_t table;
	uint16_t instance;
	uint8_t type;
};

struct entry {
	struct key key;
	enum state state;
	struct zapi_route route;
	uint32_t seen; /* bits of its nexthops */
	unsigned looks, renewals;
	unsigned round; /* in which it was judged */
	UT_hash_handle hh;
};

struct fib_check {
	struct entry *entries;
	unsigned round, renewal, confirmed;
	bool futile; /* the last route that was told again so often as one may still lacks */
	struct fib_check_count count;
};

struct fib_check *fib_check_new(void)
{
	return calloc(1, sizeof(struct fib_check));
}

static struct key key_of(const struct zapi_route *route, uint32_t table)
{
	struct key k;

	memset(&k, 0, sizeof(k));
	k.prefix = prefix_mask(&route->prefix);
	k.table = table;
	k.instance = route->instance;
	k.type = (uint8_t)route->type;
	return k;
}

static struct entry *find(const struct fib_check *f, const struct key *k)
{
	struct entry *e;

	HASH_FIND(hh, f->entries, k, sizeof(*k), e);
	return e;
}

static void set_state(struct fib_check *f, struct entry *e, enum state to)
{
	f->confirmed += (to == CONFIRMED) - (e->state == CONFIRMED);
	f->count.lacking += (to == LACKING) - (e->state == LACKING);
	e->state = to;
	e->seen = 0;
}

static void forget(struct fib_check *f, struct entry *e)
{
	set_state(f, e, TOLD);
	HASH_DEL(f->entries, e);
	free(e);
}

void fib_check_free(struct fib_check *f)
{
	struct entry *e, *next;

	if (!f)
		return;
	HASH_ITER (hh, f->entries, e, next)
		forget(f, e);
	free(f);
}

/* ---- zebra ---- */

static bool same_devices(const struct zapi_route *a, const struct zapi_route *b)
{
	if (a->n_nexthops != b->n_nexthops)
		return false;
	for (unsigned i = 0; i < a->n_nexthops; i++) {
		if (a->nexthops[i].ifindex != b->nexthops[i].ifindex)
			return false;
	}
	return true;
}

void fib_check_told(struct fib_check *f, const struct zapi_route *route, uint32_t table)
{
	struct key k = key_of(route, table);
	struct entry *e = find(f, &k);

	if (route->n_nexthops < 2 || !table) {
		fib_check_withdrawn(f, route, table);
		return;
	}
	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return;
		e->key = k;
		HASH_ADD(hh, f->entries, key, sizeof(e->key), e);
	}
	if (!same_devices(&e->route, route))
		e->renewals = 0;
	e->route = *route;
	e->looks = 0;
	set_state(f, e, TOLD);
}

void fib_check_withdrawn(struct fib_check *f, const struct zapi_route *route, uint32_t table)
{
	struct key k = key_of(route, table);
	struct entry *e = find(f, &k);

	if (e)
		forget(f, e);
}

void fib_check_session(struct fib_check *f, enum zapi_route_type type, uint16_t instance)
{
	struct entry *e, *next;

	HASH_ITER (hh, f->entries, e, next) {
		if (e->key.type == type && e->key.instance == instance)
			forget(f, e);
	}
}

/* Where zebra has selected another protocol's, or could not install ours, what the kernel has says
 * nothing. */
bool fib_check_note(struct fib_check *f, const struct zapi_route *route, uint32_t table,
		    enum zapi_note note)
{
	struct key k = key_of(route, table);
	struct entry *e = find(f, &k);

	if (e) {
		e->looks = 0;
		set_state(f, e, note == ZAPI_NOTE_INSTALLED ? CONFIRMED : TOLD);
	}
	return f->confirmed;
}

/* ---- a look ---- */

bool fib_check_begin(struct fib_check *f)
{
	f->round++;
	return f->confirmed;
}

static bool is_due(const struct fib_check *f, const struct entry *e)
{
	return e->state == CONFIRMED && e->round != f->round;
}

bool fib_check_next(const struct fib_check *f, struct fib_place *out)
{
	struct entry *e, *next;

	if (!f->confirmed)
		return false;
	HASH_ITER (hh, f->entries, e, next) {
		if (!is_due(f, e))
			continue;
		*out = (struct fib_place){
			.type = e->route.type,
			.instance = e->key.instance,
			.family = e->key.prefix.addr.family,
			.table = e->key.table,
		};
		return true;
	}
	return false;
}

static bool is_at(const struct entry *e, const struct fib_place *p)
{
	return e->key.type == p->type && e->key.instance == p->instance &&
	       e->key.prefix.addr.family == p->family && e->key.table == p->table;
}

static void mark(struct entry *e, int ifindex)
{
	for (unsigned i = 0; i < e->route.n_nexthops; i++) {
		if (e->route.nexthops[i].ifindex == (uint32_t)ifindex)
			e->seen |= 1u << i;
	}
}

void fib_check_seen(struct fib_check *f, const struct fib_place *place,
		    const struct netlink_route *route)
{
	struct zapi_route about = {
		.type = place->type, .instance = place->instance, .prefix = route->dst};
	struct key k = key_of(&about, place->table);
	struct entry *e = find(f, &k);

	if (!e)
		return;
	/* net.ipv4.nexthop_compat_mode=0: it is there, and more is not said. */
	if (!route->ifindex && !route->n_nexthops)
		e->seen = ~0u;
	mark(e, route->ifindex);
	for (unsigned i = 0; i < route->n_nexthops; i++)
		mark(e, route->nexthops[i].ifindex);
}

/* The nexthop that the kernel lacks; n_nexthops: none. */
static unsigned lacks(const struct entry *e)
{
	unsigned i = 0;

	while (i < e->route.n_nexthops && e->seen & 1u << i)
		i++;
	return i;
}

static void is_fine(struct fib_check *f, struct entry *e)
{
	if (e->renewals)
		f->futile = false;
	e->renewals = 0;
	set_state(f, e, FINE);
}

/* Whether it is to be told again. */
static bool judge(struct fib_check *f, struct entry *e, bool complete)
{
	e->round = f->round;
	if (!complete) {
		set_state(f, e, FINE); /* as far as anybody knows */
		return false;
	}
	if (lacks(e) == e->route.n_nexthops) {
		is_fine(f, e);
		return false;
	}
	if (++e->looks < LOOKS) {
		e->seen = 0;
		return false;
	}
	if (e->renewals < (f->futile ? 1 : RENEWALS)) {
		e->renewals++;
		set_state(f, e, TOLD);
		return true;
	}
	f->futile = true;
	set_state(f, e, LACKING);
	return false;
}

struct fib_verdict fib_check_done(struct fib_check *f, const struct fib_place *place, bool complete,
				  void (*renew)(void *ctx, const struct zapi_route *route,
						unsigned renewal),
				  void *ctx)
{
	struct fib_verdict v = {0};
	struct entry *e, *next;

	HASH_ITER (hh, f->entries, e, next) {
		unsigned lacked = lacks(e);
		bool again;

		if (!is_due(f, e) || !is_at(e, place))
			continue;
		again = judge(f, e, complete);
		if (!again && e->state != LACKING)
			continue;
		v.renewed += again;
		v.lacking += !again;
		v.example = &e->route;
		v.ifindex = e->route.nexthops[lacked].ifindex;
		if (again)
			renew(ctx, &e->route, f->renewal + 1);
	}
	f->renewal += v.renewed > 0;
	f->count.renewed += v.renewed;
	return v;
}

struct fib_check_count fib_check_count(const struct fib_check *f)
{
	return f->count;
}
