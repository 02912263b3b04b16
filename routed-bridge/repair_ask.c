/* When a repair is looked at again: whether zebra has something else, or took it at all. */
#include "routed-bridge/repair_parts.h"

#include <utlist.h>

#define WAIT_FIRST   (100 * MONO_MS)
#define NOTHING_KEPT (1 * MONO_S) /* how long BGP may have nothing before it counts */

const mono_time repair_bucket_limits[REPAIR_BUCKETS - 1] = {
	1 * MONO_MS,   2 * MONO_MS,   5 * MONO_MS,   10 * MONO_MS, 20 * MONO_MS, 50 * MONO_MS,
	100 * MONO_MS, 200 * MONO_MS, 500 * MONO_MS, 1 * MONO_S,   10 * MONO_S,
};

void repair_count_time(struct repair_histogram *h, mono_time took)
{
	unsigned i = 0;

	while (i < REPAIR_BUCKETS - 1 && took > repair_bucket_limits[i])
		i++;
	h->bucket[i]++;
	h->count++;
	h->sum_ns += took;
}

/* ---- waiting: each list has one delay, so that its first one is its earliest ---- */

void repair_wait_no_more(struct repair *r, struct repair_route *e)
{
	if (e->waiting)
		DL_DELETE2(r->wait[e->level], e, wprev, wnext);
	e->waiting = false;
}

void repair_wait(struct repair *r, struct repair_route *e, unsigned level, mono_time now)
{
	repair_wait_no_more(r, e);
	e->level = level < REPAIR_LEVELS ? level : REPAIR_LEVELS - 1;
	e->due = now + (e->level ? WAIT_FIRST << (e->level - 1) : 0);
	e->waiting = true;
	DL_APPEND2(r->wait[e->level], e, wprev, wnext);
}

static struct repair_route *earliest(const struct repair *r)
{
	struct repair_route *e = NULL;

	for (unsigned i = 0; i < REPAIR_LEVELS; i++) {
		if (r->wait[i] && (!e || r->wait[i]->due < e->due))
			e = r->wait[i];
	}
	return e;
}

mono_time repair_deadline(const struct repair *r)
{
	const struct repair_route *e = r->asking < REPAIR_ASKING_MAX ? earliest(r) : NULL;
	mono_time at = e ? e->due : MONO_NEVER;

	if (r->queue || r->links_changed || r->turn_changes || r->turns_stale)
		return 0;
	if (r->turns_due < at)
		at = r->turns_due;
	if (r->lost && r->lost->lost_at + REPAIR_LOST_KEPT < at)
		at = r->lost->lost_at + REPAIR_LOST_KEPT;
	return at;
}

bool repair_question(struct repair *r, struct prefix *out, mono_time now)
{
	struct repair_route *e;

	while (r->asking < REPAIR_ASKING_MAX && (e = earliest(r)) && e->due <= now) {
		if (e->state == REPAIR_FAILED) {
			repair_tell(r, e);
			repair_wait(r, e, e->level + 1, now);
			continue;
		}
		repair_wait_no_more(r, e);
		if (e->asking)
			continue;
		e->asking = true;
		r->asking++;
		r->stats.questions++;
		*out = e->prefix;
		return true;
	}
	return false;
}

/* ---- answers ---- */

/* A route whose path or neighbour is gone stays in zebra until bgpd has decided: it is no reason to
 * stop. */
static bool acceptable(struct repair *r, const struct repair_best *b,
		       const struct repair_hops *hops)
{
	for (unsigned i = 0; i < hops->n; i++) {
		if (repair_hop_lost(r, &hops->hop[i]))
			return false;
	}
	return repair_hops_usable(r, hops) &&
	       !(b->path_gone && repair_hops_equal(hops, &b->group->hops));
}

/* Zebra has it, and tells of it when ours is out: until then this is what it will select. */
static void converged(struct repair *r, struct repair_best *b, const struct repair_hops *hops,
		      mono_time now)
{
	struct zapi_route route = {
		.type = (enum zapi_route_type)b->type,
		.prefix = b->prefix,
		.n_nexthops = hops->n,
	};

	memcpy(route.nexthops, hops->hop, sizeof(route.nexthops));
	repair_remove(r, b, REPAIR_END_CONVERGED, now);
	if (repair_put(r, &route))
		repair_look_at_paths(r, b);
}

static void nothing(struct repair *r, struct repair_best *b, mono_time now)
{
	struct repair_route *e = b->route;

	if (!e->nothing_since)
		e->nothing_since = now;
	if (now - e->nothing_since < NOTHING_KEPT) {
		repair_wait(r, e, 2, now);
		return;
	}
	repair_remove(r, b, REPAIR_END_NOTHING, now);
	repair_drop(r, b);
}

void repair_answer(struct repair *r, const struct prefix *prefix,
		   const struct repair_answer *answer, mono_time now)
{
	struct repair_best *b = repair_find(r, prefix);
	struct repair_route *e = b ? b->route : NULL;
	struct repair_hops hops;

	r->asking -= r->asking > 0;
	if (!e || !e->asking)
		return;
	e->asking = false;
	if (answer->valid && answer->hops.n == 0) {
		nothing(r, b, now);
		return;
	}
	e->nothing_since = 0;
	repair_copy_hops(&hops, answer->hops.hop, answer->hops.n);
	if (answer->valid && acceptable(r, b, &hops))
		converged(r, b, &hops, now);
	else if (!e->waiting)
		repair_wait(r, e, e->level + 1, now);
}

/* ---- confirmations ---- */

static void set_state(struct repair *r, struct repair_route *e, enum repair_state to)
{
	r->stats.installed += to == REPAIR_INSTALLED;
	r->stats.installed -= e->state == REPAIR_INSTALLED;
	e->state = to;
}

static void installed(struct repair *r, struct repair_route *e, mono_time now)
{
	if (e->state == REPAIR_SENT && e->level <= 1)
		repair_count_time(&r->stats.install, now - e->since);
	set_state(r, e, REPAIR_INSTALLED);
}

static void refused(struct repair *r, struct repair_route *e, const char *note, mono_time now)
{
	char text[PREFIX_TEXT];

	log_to(r->log, LOG_LEVEL_DEBUG, "repair", "", "%s: %s", prefix_format(&e->prefix, text),
	       note);
	set_state(r, e, REPAIR_FAILED);
	r->stats.refused++;
	repair_wait(r, e, e->level ? e->level : 1, now);
}

void repair_notify(struct repair *r, const struct zapi_notify *notify, mono_time now)
{
	struct repair_best *b = repair_find(r, &notify->prefix);
	struct repair_route *e = b ? b->route : NULL;

	if (!e || e->queued)
		return; /* about one that is withdrawn or replaced already */
	switch (notify->note) {
	case ZAPI_NOTE_INSTALLED:
		installed(r, e, now);
		break;
	case ZAPI_NOTE_BETTER_ADMIN_WON:
		repair_remove(r, b, REPAIR_END_CONVERGED, now);
		repair_drop(r, b);
		break;
	case ZAPI_NOTE_REMOVED:
		if (e->state != REPAIR_INSTALLED)
			break;
		/* fall through */
	case ZAPI_NOTE_FAIL_INSTALL:
		refused(r, e, zapi_note_name(notify->note), now);
		break;
	case ZAPI_NOTE_REMOVE_FAIL:
	case ZAPI_NOTES:
		break;
	}
}
