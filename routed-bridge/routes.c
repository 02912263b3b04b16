/* The route table: claims against what zebra holds. Owns every route's state; knows
 * neither sockets nor tunnels.
 *
 *	ABSENT --ADD--> SENT --INSTALLED--> INSTALLED
 *	                 |  --FAIL_INSTALL--> FAILED --retry--> SENT
 *	                 |  --BETTER_ADMIN_WON--> SHADOWED
 *	any --DELETE or session gone--> ABSENT
 *
 * zebra answers a DELETE only when something was in the kernel, so a DELETE is never
 * waited for, and a late REMOVED means nothing unless the route counts as installed. */
#include "routed-bridge/route_told.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#define RETRY_FIRST	 (100 * MONO_MS)
#define RETRY_MAX	 (5 * MONO_S)
#define UNANSWERED_FIRST (5 * MONO_S)
#define UNANSWERED_MAX	 (60 * MONO_S)

enum route_state { ABSENT, SENT, INSTALLED, SHADOWED, FAILED };

static const char *const state_names[] = {"absent", "sent", "installed", "shadowed", "failed"};

/* Hashed as bytes: every copy comes from key_of, which zeroes the padding. */
struct key {
	struct prefix prefix;
	uint32_t vrf, table;
	uint16_t instance;
	uint8_t type;
};

struct owner;
struct route;

struct claim {
	struct route_claim value;
	struct owner *owner;
	struct route *route;
	bool keep;			       /* mark of routes_set */
	struct claim *prev, *next;	       /* in the route, best first */
	struct claim *owner_prev, *owner_next; /* in the owner */
};

struct owner {
	char *name;
	struct claim *claims;
	UT_hash_handle hh;
};

struct route {
	struct key key;
	struct claim *claims;
	enum route_state state;
	struct route_told told; /* unless ABSENT: what zebra was told last */
	unsigned attempts;	/* since it was last in order */
	mono_time retry_at;
	bool resend, renew;
	unsigned renewal;
	bool queued;
	struct route *prev, *next; /* in the queue */
	char cause[96];		   /* of the next change */
	char teller[64];	   /* whose claim `told` was, for the log */
	UT_hash_handle hh;
};

struct session {
	enum zapi_route_type type;
	uint16_t instance;
	bool up;
	struct session *next;
};

struct routes {
	const struct log_sink *log;
	struct owner *owners;
	struct route *by_key;
	struct route *queue;
	struct session *sessions;
	mono_time deadline; /* nothing is due before it */
	struct routes_count count;
};

struct routes *routes_new(const struct log_sink *log)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->log = log;
	r->deadline = MONO_NEVER;
	return r;
}

/* ---- lookup ---- */

static struct key key_of(const struct zapi_route *route)
{
	struct key k;

	memset(&k, 0, sizeof(k));
	k.prefix = route->prefix;
	k.vrf = route->vrf;
	k.table = route->table;
	k.instance = route->instance;
	k.type = (uint8_t)route->type;
	return k;
}

static struct route *find_route(const struct routes *r, const struct key *k)
{
	struct route *e;

	HASH_FIND(hh, r->by_key, k, sizeof(*k), e);
	return e;
}

static struct session *find_session(const struct routes *r, uint8_t type, uint16_t instance)
{
	struct session *s;

	LL_FOREACH (r->sessions, s) {
		if (s->type == type && s->instance == instance)
			return s;
	}
	return NULL;
}

static bool session_up(const struct routes *r, const struct route *e)
{
	const struct session *s = find_session(r, e->key.type, e->key.instance);

	return s && s->up;
}

/* ---- one route ---- */

static void set_state(struct routes *r, struct route *e, enum route_state to, const char *cause)
{
	char text[PREFIX_TEXT];

	if (e->state == to)
		return;
	/* Shadowed is how it is meant to be where BGP tells the same with a better distance. */
	log_to(r->log,
	       to == FAILED	? LOG_LEVEL_WARN
	       : to == SHADOWED ? LOG_LEVEL_INFO
				: LOG_LEVEL_DEBUG,
	       "route", e->teller, "%s: %s -> %s: %s", prefix_format(&e->key.prefix, text),
	       state_names[e->state], state_names[to], cause);
	r->count.installed += (to == INSTALLED) - (e->state == INSTALLED);
	r->count.shadowed += (to == SHADOWED) - (e->state == SHADOWED);
	r->count.failed += (to == FAILED) - (e->state == FAILED);
	e->state = to;
	if (to == INSTALLED || to == SHADOWED || to == ABSENT) {
		e->attempts = 0;
		e->retry_at = MONO_NEVER;
	}
}

static void enqueue(struct routes *r, struct route *e, const char *cause)
{
	if (cause)
		snprintf(e->cause, sizeof(e->cause), "%s", cause);
	if (e->queued)
		DL_DELETE(r->queue, e);
	/* Withdrawals overtake: a black hole is worse than a late route. */
	if (e->claims)
		DL_APPEND(r->queue, e);
	else
		DL_PREPEND(r->queue, e);
	e->queued = true;
}

static void plan_retry(struct routes *r, struct route *e, mono_time first, mono_time max,
		       mono_time now)
{
	mono_time wait = first;

	for (unsigned i = 0; i < e->attempts && wait < max; i++)
		wait *= 2;
	e->retry_at = now + (wait < max ? wait : max);
	if (e->retry_at < r->deadline)
		r->deadline = e->retry_at;
}

static void forget_route(struct routes *r, struct route *e)
{
	if (e->queued)
		DL_DELETE(r->queue, e);
	HASH_DEL(r->by_key, e);
	free(e);
}

/* ---- claims ---- */

static int claim_order(const struct claim *a, const struct claim *b)
{
	const struct zapi_route *x = &a->value.route, *y = &b->value.route;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	if (x->metric != y->metric)
		return x->metric < y->metric ? -1 : 1;
	return strcmp(a->owner->name, b->owner->name);
}

/* What one owner claims for one prefix, or did. */
static bool same_claim(const struct route_claim *a, const struct route_claim *b)
{
	struct route_told x, y;

	route_told_start(&x, a);
	route_told_start(&y, b);
	return route_told_same(&x, &y);
}

/* What zebra is to be told of the claims: the best, and those that are as good beside it. */
static void tell_of(const struct route *e, struct route_told *out)
{
	const struct claim *best = e->claims, *c;

	route_told_start(out, &best->value);
	DL_FOREACH (e->claims, c) {
		if (c != best && route_claims_equal(&c->value, &best->value))
			route_told_join(out, &c->value);
	}
	route_told_finish(out);
}

static struct owner *find_or_add_owner(struct routes *r, const char *name)
{
	struct owner *o;

	HASH_FIND_STR(r->owners, name, o);
	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->name = strdup(name);
	if (!o->name) {
		free(o);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, r->owners, o->name, strlen(o->name), o);
	return o;
}

static struct route *find_or_add_route(struct routes *r, const struct zapi_route *wanted)
{
	struct key k = key_of(wanted);
	struct route *e = find_route(r, &k);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->key = k;
	e->retry_at = MONO_NEVER;
	HASH_ADD(hh, r->by_key, key, sizeof(e->key), e);
	return e;
}

static void put_claim(struct routes *r, struct owner *o, struct route *e,
		      const struct route_claim *value, const char *cause)
{
	struct claim *c;

	DL_FOREACH (e->claims, c) {
		if (c->owner == o)
			break;
	}
	if (c) {
		c->keep = true;
		if (same_claim(&c->value, value))
			return;
		DL_DELETE(e->claims, c);
		r->count.wanted -= !e->claims;
	} else {
		c = calloc(1, sizeof(*c));
		if (!c)
			return;
		*c = (struct claim){.owner = o, .route = e, .keep = true};
		DL_APPEND2(o->claims, c, owner_prev, owner_next);
	}
	c->value = *value;
	r->count.wanted += !e->claims;
	DL_INSERT_INORDER(e->claims, c, claim_order);
	enqueue(r, e, cause);
}

static void drop_claim(struct routes *r, struct claim *c, const char *cause)
{
	struct route *e = c->route;

	DL_DELETE2(c->owner->claims, c, owner_prev, owner_next);
	DL_DELETE(e->claims, c);
	r->count.wanted -= !e->claims;
	free(c);
	if (!e->claims && e->state == ABSENT)
		forget_route(r, e);
	else
		enqueue(r, e, cause);
}

bool routes_set(struct routes *r, const char *owner, const struct route_claim *claims, size_t n,
		const char *cause)
{
	struct owner *o = find_or_add_owner(r, owner);
	struct claim *c, *next;
	bool complete = true;

	if (!o)
		return false;
	DL_FOREACH2 (o->claims, c, owner_next)
		c->keep = false;
	for (size_t i = 0; i < n; i++) {
		struct route *e = find_or_add_route(r, &claims[i].route);

		if (e)
			put_claim(r, o, e, &claims[i], cause);
		complete = complete && e && e->claims;
	}
	DL_FOREACH_SAFE2 (o->claims, c, next, owner_next) {
		if (!c->keep)
			drop_claim(r, c, cause);
	}
	if (!o->claims) {
		HASH_DEL(r->owners, o);
		free(o->name);
		free(o);
	}
	return complete;
}

void routes_free(struct routes *r)
{
	struct session *s, *next_session;
	struct owner *o, *next_owner;
	struct route *e, *next;
	struct claim *c, *next_claim;

	if (!r)
		return;
	HASH_ITER (hh, r->owners, o, next_owner) {
		DL_FOREACH_SAFE2 (o->claims, c, next_claim, owner_next)
			free(c);
		HASH_DEL(r->owners, o);
		free(o->name);
		free(o);
	}
	HASH_ITER (hh, r->by_key, e, next) {
		HASH_DEL(r->by_key, e);
		free(e);
	}
	LL_FOREACH_SAFE (r->sessions, s, next_session)
		free(s);
	free(r);
}

/* ---- sessions and confirmations ---- */

void routes_session(struct routes *r, enum zapi_route_type type, uint16_t instance, bool up)
{
	struct session *s = find_session(r, (uint8_t)type, instance);
	const char *cause = up ? "a session came" : "the session went";
	struct route *e, *next;

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return;
		*s = (struct session){.type = type, .instance = instance};
		LL_PREPEND(r->sessions, s);
	}
	s->up = up;
	HASH_ITER (hh, r->by_key, e, next) {
		if (e->key.type != type || e->key.instance != instance)
			continue;
		set_state(r, e, ABSENT, cause);
		if (!e->claims)
			forget_route(r, e);
		else
			enqueue(r, e, cause);
	}
}

void routes_notify(struct routes *r, enum zapi_route_type type, uint16_t instance,
		   const struct zapi_notify *notify, mono_time now)
{
	struct zapi_route about = {.type = type,
				   .instance = instance,
				   .prefix = notify->prefix,
				   .vrf = notify->vrf,
				   .table = notify->table};
	struct key k = key_of(&about);
	struct route *e = find_route(r, &k);

	if (!e || e->state == ABSENT)
		return; /* about a route that is withdrawn already */
	switch (notify->note) {
	case ZAPI_NOTE_INSTALLED:
		set_state(r, e, INSTALLED, "confirmed");
		break;
	case ZAPI_NOTE_BETTER_ADMIN_WON:
		set_state(r, e, SHADOWED, "zebra prefers another protocol's route");
		break;
	case ZAPI_NOTE_REMOVED:
		if (e->state != INSTALLED)
			break;
		/* fall through */
	case ZAPI_NOTE_FAIL_INSTALL:
		set_state(r, e, FAILED, zapi_note_name(notify->note));
		plan_retry(r, e, RETRY_FIRST, RETRY_MAX, now);
		break;
	case ZAPI_NOTE_REMOVE_FAIL:
	case ZAPI_NOTES:
		break;
	}
}

void routes_shadowed(struct routes *r, const struct zapi_route *route)
{
	struct key k = key_of(route);
	struct route *e = find_route(r, &k);

	/* Otherwise zebra has said something since it was asked. */
	if (e && e->state == SENT)
		set_state(r, e, SHADOWED, "zebra has it, and prefers another protocol's route");
}

void routes_renew(struct routes *r, const struct zapi_route *route, unsigned renewal)
{
	struct key k = key_of(route);
	struct route *e = find_route(r, &k);

	if (!e || e->state != INSTALLED || !e->claims)
		return;
	e->renewal = renewal;
	e->renew = e->resend = true;
	enqueue(r, e, "the kernel lacks a nexthop");
}

void routes_expire(struct routes *r, mono_time now)
{
	struct route *e, *next;

	if (now < r->deadline)
		return;
	r->deadline = MONO_NEVER;
	HASH_ITER (hh, r->by_key, e, next) {
		if (e->retry_at <= now) {
			e->retry_at = MONO_NEVER;
			e->resend = true;
			enqueue(r, e, e->state == FAILED ? "retry" : "zebra did not answer");
		} else if (e->retry_at < r->deadline) {
			r->deadline = e->retry_at;
		}
	}
}

mono_time routes_deadline(const struct routes *r)
{
	return r->deadline;
}

/* ---- output ---- */

/* The prefix, and where it is if not in the main table. */
static const char *place(const struct route *e, char *text, size_t size)
{
	char prefix[PREFIX_TEXT], vrf[16] = "", table[20] = "";

	if (e->key.vrf)
		snprintf(vrf, sizeof(vrf), " vrf %u", e->key.vrf);
	if (e->key.table)
		snprintf(table, sizeof(table), " table %u", e->key.table);
	snprintf(text, size, "%s%s%s", prefix_format(&e->key.prefix, prefix), vrf, table);
	return text;
}

static void tell_delete(struct routes *r, struct route *e, struct route_action *out)
{
	char text[PREFIX_TEXT + 36], devices[ROUTE_TOLD_TEXT];

	log_to(r->log, LOG_LEVEL_INFO, "route", e->teller, "withdraw %s dev %s: %s",
	       place(e, text, sizeof(text)), route_told_devices(&e->told, devices), e->cause);
	*out = (struct route_action){.kind = ROUTE_ACTION_DELETE, .route = e->told.route};
	e->resend = false;
	set_state(r, e, ABSENT, e->cause);
}

static void tell_add(struct routes *r, struct route *e, const struct route_told *next,
		     struct route_action *out, mono_time now)
{
	char text[PREFIX_TEXT + 36], devices[ROUTE_TOLD_TEXT];

	e->told = *next;
	snprintf(e->teller, sizeof(e->teller), "%s", e->claims->owner->name);
	log_to(r->log, e->resend ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "route", e->teller,
	       "add %s dev %s distance %u metric %u tag %u: %s", place(e, text, sizeof(text)),
	       route_told_devices(&e->told, devices), e->told.route.distance, e->told.route.metric,
	       e->told.route.tag, e->cause);
	*out = (struct route_action){.kind = ROUTE_ACTION_ADD, .route = e->told.route};
	if (!e->resend)
		e->attempts = 0;
	e->resend = false;
	set_state(r, e, SENT, e->cause);
	plan_retry(r, e, UNANSWERED_FIRST, UNANSWERED_MAX, now);
	e->attempts++;
}

/* Whether this route has something to say; it leaves the queue unless more follows. */
static bool route_step(struct routes *r, struct route *e, struct route_action *out, mono_time now)
{
	struct route_told next;

	DL_DELETE(r->queue, e);
	e->queued = false;
	if (!session_up(r, e))
		return false;
	if (!e->claims) {
		tell_delete(r, e, out);
		forget_route(r, e);
		return true;
	}
	tell_of(e, &next);
	if (e->state != ABSENT)
		route_told_follow(&next, &e->told);
	if (e->state != ABSENT && e->renew)
		zapi_route_renew(&next.route, &e->told.route, e->renewal);
	e->renew = false;
	/* The same name on a new device: zebra would take the ADD for a repetition. */
	if (e->state != ABSENT && route_told_remade(&e->told, &next)) {
		tell_delete(r, e, out);
		enqueue(r, e, NULL);
		return true;
	}
	if (e->state != ABSENT && !e->resend && route_told_same(&e->told, &next))
		return false;
	tell_add(r, e, &next, out, now);
	return true;
}

bool routes_next(struct routes *r, struct route_action *out, mono_time now)
{
	while (r->queue) {
		if (route_step(r, r->queue, out, now))
			return true;
	}
	return false;
}

bool routes_claimed(const struct routes *r, const struct zapi_route *route)
{
	struct key k = key_of(route);
	const struct route *e = find_route(r, &k);

	return e && e->claims;
}

struct routes_count routes_count(const struct routes *r)
{
	return r->count;
}

void routes_each(const struct routes *r, void (*cb)(void *ctx, const struct route_view *route),
		 void *ctx)
{
	for (const struct route *e = r->by_key; e; e = e->hh.next) {
		const struct claim *c = e->claims;
		struct route_view view = {.state = state_names[e->state], .attempts = e->attempts};

		if (!c)
			continue; /* on its way out */
		view.route = &c->value.route;
		view.conn = c->owner->name;
		view.interface = c->value.interface;
		for (; c; c = c->next)
			view.claims++;
		cb(ctx, &view);
	}
}
