/* What is repaired, how, and until when. A best route is dead when a nexthop of it leads
 * over a device that a witness calls dead, or when its path was withdrawn; then its repair
 * is in as long as there is an alternative and nothing else usable in zebra.
 *
 *	(best dead, alternative) --ADD--> SENT --INSTALLED--> INSTALLED
 *	                                   |  --FAIL_INSTALL--> FAILED --later--> SENT
 *	any --answer: usable route of another's, nothing at all; no alternative left--> removed */
#include "routed-bridge/repair_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

const char *repair_cause_name(unsigned cause)
{
	return cause == REPAIR_BY_PATH ? "path" : tunnel_witness_name((enum tunnel_witness)cause);
}

const char *repair_end_name(enum repair_end_reason reason)
{
	static const char *const names[] = {
		[REPAIR_END_CONVERGED] = "converged",
		[REPAIR_END_NOTHING] = "nothing left",
		[REPAIR_END_NO_ALTERNATIVE] = "no alternative",
		[REPAIR_END_ZEBRA] = "zebra gone",
		[REPAIR_END_OFF] = "switched off",
	};

	return (unsigned)reason < REPAIR_ENDS ? names[reason] : "unknown reason";
}

struct repair *repair_new(const struct paths *paths, const struct log_sink *log)
{
	struct repair *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->paths = paths;
	r->turns_due = MONO_NEVER;
	r->log = log;
	return r;
}

/* ---- one repair ---- */

void repair_tell(struct repair *r, struct repair_route *e)
{
	e->state = REPAIR_SENT;
	if (e->queued)
		return;
	e->queued = true;
	DL_APPEND2(r->queue, e, qprev, qnext);
}

static const char *hops_text(struct repair *r, const struct repair_hops *hops, char *text,
			     size_t size)
{
	const struct repair_link *l = repair_hop_link(r, &hops->hop[0]);
	char gateway[ADDR_TEXT];

	snprintf(text, size, "%s%s%s%s",
		 hops->hop[0].gateway.family ? addr_format(&hops->hop[0].gateway, gateway) : "",
		 hops->hop[0].gateway.family ? " " : "", l ? l->name : "?",
		 hops->n > 1 ? " and others" : "");
	return text;
}

static void begin(struct repair *r, struct repair_best *b, const struct repair_hops *via,
		  unsigned cause, mono_time now)
{
	struct repair_route *e = calloc(1, sizeof(*e));
	char prefix[PREFIX_TEXT], hops[96];

	if (!e) {
		log_to(r->log, LOG_LEVEL_ERROR, "repair", "", "out of memory: %s is not repaired",
		       prefix_format(&b->prefix, prefix));
		return;
	}
	e->prefix = b->prefix;
	e->best = b;
	e->via = *via;
	e->cause = cause;
	e->since = now;
	b->route = e;
	DL_APPEND(r->active, e);
	r->stats.active++;
	r->stats.begun[cause]++;
	log_to(r->log, LOG_LEVEL_DEBUG, "repair", "", "%s via %s (%s)",
	       prefix_format(&e->prefix, prefix), hops_text(r, via, hops, sizeof(hops)),
	       repair_cause_name(cause));
	repair_tell(r, e);
	repair_wait(r, e, 1, now);
}

/* Takes it out of everything but the queue. */
static void detach(struct repair *r, struct repair_route *e, enum repair_end_reason why,
		   mono_time now)
{
	repair_wait_no_more(r, e);
	DL_DELETE(r->active, e);
	r->stats.active--;
	r->stats.installed -= e->state == REPAIR_INSTALLED;
	r->stats.ended[why]++;
	repair_count_time(&r->stats.lasted, now - e->since);
	e->best->route = NULL;
	e->best = NULL;
}

void repair_remove(struct repair *r, struct repair_best *b, enum repair_end_reason why,
		   mono_time now)
{
	struct repair_route *e = b->route;
	char prefix[PREFIX_TEXT];

	log_to(r->log, LOG_LEVEL_DEBUG, "repair", "", "%s ends after %llu ms: %s",
	       prefix_format(&e->prefix, prefix), (unsigned long long)((now - e->since) / MONO_MS),
	       repair_end_name(why));
	detach(r, e, why, now);
	if (!e->queued) {
		e->queued = true;
		DL_APPEND2(r->queue, e, qprev, qnext);
	}
}

static void replace(struct repair *r, struct repair_route *e, const struct repair_hops *via,
		    mono_time now)
{
	if (repair_hops_equal(&e->via, via))
		return;
	e->via = *via;
	r->stats.installed -= e->state == REPAIR_INSTALLED;
	repair_tell(r, e);
	repair_wait(r, e, 1, now);
}

void repair_evaluate(struct repair *r, struct repair_best *b, unsigned cause, mono_time now)
{
	bool dead = b->lost || !repair_alive(r, b);
	struct repair_hops via;
	bool found = r->up && (dead || b->route) && repair_choose(r, b, &via);

	if (b->route && found) {
		replace(r, b->route, &via, now);
	} else if (b->route) {
		repair_remove(r, b, REPAIR_END_NO_ALTERNATIVE, now);
		repair_lose(r, b, now); /* zebra tells of what it has instead */
	} else if (found) {
		begin(r, b, &via, cause, now);
	}
	repair_set_helpless(r, b, dead && !b->lost && !b->route);
}

/* ---- devices ---- */

static bool group_uses(struct repair *r, const struct repair_hops *hops,
		       const struct repair_link *l)
{
	for (unsigned i = 0; i < hops->n; i++) {
		if (repair_hop_link(r, &hops->hop[i]) == l)
			return true;
	}
	return false;
}

static void evaluate_group(struct repair *r, const struct repair_group *g, bool usable,
			   unsigned cause, mono_time now)
{
	struct repair_best *b;

	DL_FOREACH (g->bests, b) {
		repair_evaluate(r, b, cause, now);
		if (usable && b->route)
			repair_wait(r, b->route, 0, now);
	}
}

/* Routes of ours name their devices. */
static bool leads_over(const struct repair_hops *hops, uint32_t ifindex)
{
	for (unsigned i = 0; i < hops->n; i++) {
		if (hops->hop[i].ifindex == ifindex)
			return true;
	}
	return false;
}

/* Repairs that lead over the device need another way. */
static void evaluate_repairs(struct repair *r, const struct repair_link *l, mono_time now)
{
	struct repair_route *e, *next;

	DL_FOREACH_SAFE (r->active, e, next) {
		if (leads_over(&e->via, l->ifindex))
			repair_evaluate(r, e->best, e->cause, now);
	}
}

static unsigned cause_of(const struct repair_link *l)
{
	for (unsigned w = 0; w < TUNNEL_WITNESSES; w++) {
		if (l->dead & (1u << w))
			return w;
	}
	return WITNESS_LINK;
}

static unsigned cause_of_best(struct repair *r, const struct repair_best *b)
{
	const struct repair_link *l;

	for (unsigned i = 0; i < b->group->hops.n; i++) {
		l = repair_hop_link(r, &b->group->hops.hop[i]);
		if (l && !repair_link_usable(l))
			return cause_of(l);
	}
	return REPAIR_BY_PATH;
}

/* The device is a way around again for those that had none. */
static void evaluate_helpless(struct repair *r, mono_time now)
{
	struct repair_best *b, *next;

	DL_FOREACH_SAFE2 (r->hopeful, b, next, hnext) {
		if (!repair_hops_usable(r, &b->group->hops))
			repair_evaluate(r, b, cause_of_best(r, b), now);
	}
}

static void evaluate_groups_of(struct repair *r, const struct repair_link *l, bool usable,
			       unsigned cause, mono_time now)
{
	const struct repair_use *u;

	DL_FOREACH2 (l->ifindex ? repair_uses_of(r, l->ifindex) : NULL, u, next) {
		evaluate_group(r, u->group, usable, cause, now);
	}
	DL_FOREACH2 (repair_uses_of(r, 0), u, next) {
		if (group_uses(r, &u->group->hops, l))
			evaluate_group(r, u->group, usable, cause, now);
	}
}

static void look_at_link(struct repair *r, struct repair_link *l, mono_time now)
{
	bool usable = repair_link_usable(l);
	unsigned cause = cause_of(l), helpless = r->stats.helpless;
	uint64_t begun = r->stats.begun[cause];

	if (usable == l->usable)
		return;
	l->usable = usable;
	repair_peers(r); /* turns may lead over it */
	evaluate_groups_of(r, l, usable, cause, now);
	if (usable)
		evaluate_helpless(r, now);
	else
		evaluate_repairs(r, l, now);
	if (r->stats.begun[cause] == begun && r->stats.helpless <= helpless)
		return;
	log_to(r->log, LOG_LEVEL_NOTICE, "repair", l->name,
	       "%s (%s): %llu prefixes repaired, %u have no alternative",
	       l->cause[0] ? l->cause : "not operative", repair_cause_name(cause),
	       (unsigned long long)(r->stats.begun[cause] - begun),
	       r->stats.helpless > helpless ? r->stats.helpless - helpless : 0);
}

static void look_at_links(struct repair *r, mono_time now)
{
	struct repair_link *l;

	while ((l = r->links_changed)) {
		DL_DELETE2(r->links_changed, l, cprev, cnext);
		l->changed = false;
		look_at_link(r, l, now);
	}
}

static void changed(struct repair *r, struct repair_link *l)
{
	if (l->changed)
		return;
	l->changed = true;
	DL_APPEND2(r->links_changed, l, cprev, cnext);
}

static void unchanged(struct repair *r, struct repair_link *l)
{
	if (l->changed)
		DL_DELETE2(r->links_changed, l, cprev, cnext);
	l->changed = false;
}

/* Routes over it lead nowhere as long as they are there, and it is to be known why. */
static bool is_needed(const struct repair *r, const struct repair_link *l)
{
	return l->changed || l->dead || (l->ifindex && repair_uses_of(r, l->ifindex));
}

static void drop_oldest(struct repair *r)
{
	struct repair_link *l = r->links.gone;

	if (r->links.n_gone <= REPAIR_GONE_MAX)
		return;
	if (is_needed(r, l)) { /* the next time another one */
		DL_DELETE2(r->links.gone, l, gprev, gnext);
		DL_APPEND2(r->links.gone, l, gprev, gnext);
		return;
	}
	repair_seen_forget(r, l);
	repair_links_drop(&r->links, l);
}

static void forget_links(struct repair *r)
{
	struct repair_link *l, *next;

	HASH_ITER (by_name, r->links.names, l, next) {
		if (l->dead) {
			repair_links_forget(&r->links, l);
			continue;
		}
		unchanged(r, l);
		repair_links_drop(&r->links, l);
	}
}

void repair_interface(struct repair *r, const struct zapi_interface *i, bool present)
{
	struct repair_link *l = repair_links_named(&r->links, i->name);
	bool anew = present && l && l->gone;

	if (!l || l->ifindex != i->ifindex || l->gone == present)
		repair_peers(r);
	l = repair_links_report(&r->links, i, present);
	if (!l)
		return;
	if (anew)
		repair_seen_forget(r, l);
	changed(r, l);
	if (!present)
		drop_oldest(r);
}

void repair_address(struct repair *r, const struct zapi_address *a, bool present)
{
	repair_links_address(&r->links, a, present);
	repair_peers(r);
}

void repair_tunnel(struct repair *r, const char *interface, enum tunnel_witness who, bool dead,
		   const char *cause)
{
	struct repair_link *l = dead ? repair_links_add(&r->links, interface)
				     : repair_links_named(&r->links, interface);
	unsigned bit = 1u << who;

	if (!l)
		return;
	if (dead)
		snprintf(l->cause, sizeof(l->cause), "%s", cause);
	l->dead = dead ? l->dead | bit : l->dead & ~bit;
	if (!l->dead)
		l->cause[0] = '\0';
	changed(r, l);
}

/* ---- routes and paths ---- */

void repair_best(struct repair *r, const struct zapi_route *route, mono_time now)
{
	struct repair_best *b = repair_put(r, route);

	if (!b)
		return;
	repair_look_at_paths(r, b);
	repair_turn_look(r, b);
	/* It is selected, so that ours is not there yet, or no longer. */
	if (b->route && repair_alive(r, b))
		repair_remove(r, b, REPAIR_END_CONVERGED, now);
	else
		repair_evaluate(r, b, cause_of_best(r, b), now);
}

void repair_best_gone(struct repair *r, const struct zapi_route *route, mono_time now)
{
	struct repair_best *b = repair_find(r, &route->prefix);

	/* While it is repaired our own route is why: it is asked for. */
	if (!b || b->type != route->type || b->route)
		return;
	if (repair_alive(r, b)) {
		repair_drop(r, b);
		return;
	}
	repair_set_helpless(r, b, false);
	repair_lose(r, b, now);
	repair_turn_look(r, b);
}

void repair_path(struct repair *r, const struct prefix *prefix, mono_time now)
{
	struct repair_best *b = repair_find(r, prefix);

	if (!b)
		return;
	repair_look_at_paths(r, b);
	repair_turn_look(r, b);
	repair_evaluate(r, b, REPAIR_BY_PATH, now);
	if (b->route && b->route->level > 1)
		repair_wait(r, b->route, 1, now);
}

static void forget_lost(struct repair *r, mono_time now)
{
	while (r->lost && r->lost->lost_at + REPAIR_LOST_KEPT <= now) {
		struct repair_best *b = r->lost;

		repair_found(r, b);
		if (!b->route)
			repair_drop(r, b);
	}
}

/* ---- output ---- */

bool repair_next(struct repair *r, struct repair_action *out, mono_time now)
{
	struct repair_route *e;

	look_at_links(r, now);
	forget_lost(r, now);
	repair_turns_refresh(r, now);
	e = r->queue;
	if (!e)
		return repair_turn_next(r, out);
	DL_DELETE2(r->queue, e, qprev, qnext);
	e->queued = false;
	*out = (struct repair_action){.add = e->best, .prefix = e->prefix, .hops = e->via};
	if (!e->best)
		free(e);
	return true;
}

/* ---- all of them ---- */

static void empty_queue(struct repair *r)
{
	struct repair_route *e, *next;

	DL_FOREACH_SAFE2 (r->queue, e, next, qnext) {
		DL_DELETE2(r->queue, e, qprev, qnext);
		e->queued = false;
		if (!e->best)
			free(e);
	}
}

void repair_end(struct repair *r, const char *cause)
{
	unsigned n = r->stats.active;

	repair_turns(r, false);
	while (r->active)
		repair_remove(r, r->active->best, REPAIR_END_OFF, r->active->since);
	if (n)
		log_to(r->log, LOG_LEVEL_NOTICE, "repair", "", "%u repairs taken out: %s", n,
		       cause);
}

void repair_session(struct repair *r, bool up, mono_time now)
{
	struct repair_route *e;

	r->up = up;
	if (up)
		return;
	while ((e = r->active)) {
		detach(r, e, REPAIR_END_ZEBRA, now);
		if (!e->queued)
			free(e);
	}
	empty_queue(r);
	repair_clear(r);
	repair_turns_clear(r);
	forget_links(r);
}

void repair_free(struct repair *r)
{
	if (!r)
		return;
	repair_session(r, false, 0);
	repair_links_clear(&r->links);
	repair_peers_forget(r);
	free(r);
}

void repair_each(const struct repair *r, void (*each)(void *ctx, const struct prefix *prefix),
		 void *ctx)
{
	const struct repair_route *e;

	DL_FOREACH (r->active, e)
		each(ctx, &e->prefix);
}

struct repair_stats repair_stats(const struct repair *r)
{
	struct repair_stats stats = r->stats;

	stats.devices = HASH_CNT(by_name, r->links.names);
	return stats;
}
