/* Graceful down: link DORMANT first, SAs deleted when routing has moved.
 *
 * Owns the pending drains and their timers. Which tunnels a command would leave
 * without a usable CHILD_SA is asked of the engine's list; carrying it out is the
 * daemon's. */
#include "ipsecd/drain.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct drain {
	struct drains *owner;
	struct ike_command command;
	char *ike, *child; /* what command.select points to */
	char **conns;
	unsigned n_conns;
	uint64_t *children; /* that were meant when it began, and what replaced them: handles, which
			       a rekey of the IKE_SA leaves as they are */
	unsigned n_children;
	ev_timer timer;
	struct drain *prev, *next;
};

struct drains {
	struct ev_loop *loop;
	const struct ike_engine *engine;
	struct tunnels *tunnels;
	struct drains_host host;
	struct drain *list;
};

/* One conn seen in the engine's list: its children, and those the command selects. */
struct tally {
	const char *conn;
	unsigned all, selected;
	UT_hash_handle hh;
};

struct survey {
	const struct ike_select *select;
	struct drain *drain;
	struct tally *tallies;
};

static bool selects(const struct ike_select *s, const struct ike_sa_info *ike,
		    const struct ike_child_info *child)
{
	if (s->ike && strcmp(s->ike, ike->conn) != 0)
		return false;
	if (s->ike_id && s->ike_id != ike->id)
		return false;
	if (s->child && strcmp(s->child, child->name) != 0)
		return false;
	return !s->child_id || s->child_id == child->id;
}

static struct tally *tally_of(struct survey *v, const char *conn)
{
	struct tally *t;

	HASH_FIND_STR(v->tallies, conn, t);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->conn = conn;
	HASH_ADD_KEYPTR(hh, v->tallies, conn, strlen(conn), t);
	return t;
}

/* Replaced CHILD_SAs that only linger carry nothing out: they do not count. */
static bool carries(const struct ike_child_info *child)
{
	return strcmp(child->state, "INSTALLED") == 0 || strcmp(child->state, "REKEYING") == 0;
}

/* Without memory for it, a rekey of the IKE_SA leaves it behind, as if it had not been meant. */
static void remember(struct drain *d, uint64_t child)
{
	uint64_t *more = realloc(d->children, (d->n_children + 1) * sizeof(*more));

	if (!more)
		return;
	d->children = more;
	d->children[d->n_children++] = child;
}

static void survey_child(void *ctx, const struct ike_sa_info *ike,
			 const struct ike_child_info *child)
{
	struct survey *v = ctx;
	struct tally *t;

	if (!child || !carries(child))
		return;
	t = tally_of(v, ike->conn);
	if (!t)
		return;
	t->all++;
	if (!selects(v->select, ike, child))
		return;
	t->selected++;
	remember(v->drain, child->child_sa);
}

static void drain_free(struct drain *d)
{
	ev_timer_stop(d->owner->loop, &d->timer);
	DL_DELETE(d->owner->list, d);
	for (unsigned i = 0; i < d->n_conns; i++)
		free(d->conns[i]);
	free(d->conns);
	free(d->children);
	free(d->ike);
	free(d->child);
	free(d);
}

static bool meant(const struct drain *d, uint64_t child)
{
	for (unsigned i = 0; i < d->n_children; i++) {
		if (d->children[i] == child)
			return true;
	}
	return false;
}

/* One that was meant and still carries, under an IKE_SA that stays. */
static bool left(const struct drain *d, const struct ike_sa_info *ike,
		 const struct ike_child_info *child)
{
	return child && carries(child) && strcmp(ike->state, "DELETING") != 0 &&
	       meant(d, child->child_sa);
}

/* Those of an IKE_SA come in the order in which they were made: what replaces one behind it. */
static void follow(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	struct drain *d = ctx;

	if (!child)
		return;
	if (!meant(d, child->child_sa) && meant(d, child->replaces))
		remember(d, child->child_sa);
	if (d->command.select.ike_id && left(d, ike, child))
		d->command.select.ike_id = ike->id;
	/* The peer deletes one that is REKEYED; if it does not, nobody does. */
	if (d->command.select.child_id && !d->command.successors && meant(d, child->child_sa) &&
	    (carries(child) || strcmp(child->state, "REKEYED") == 0)) {
		d->command.select.child_id = child->id;
		d->command.successors = true;
	}
}

/* What was rekeyed meanwhile has another id: meant is the IKE_SA that has the CHILD_SAs now (RFC
 * 7296 2.18), and the CHILD_SA that has its traffic (2.8). */
static void follow_rekey(struct drain *d)
{
	if (d->command.select.ike_id || d->command.select.child_id)
		ike_engine_each_sa(d->owner->engine, follow, d);
}

static void end_left(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	const struct drain *d = ctx;

	if (left(d, ike, child))
		tunnels_drain_end(d->owner->tunnels, ike->conn, "still there behind the drain");
}

/* The count decides again only behind the command: a link must not come back up
 * between the end of the drain and the removal of the SAs. */
static void over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;

	(void)loop;
	(void)revents;
	follow_rekey(d);
	d->owner->host.terminate(d->owner->host.ctx, &d->command);
	/* What the command did not hit would otherwise pass packets on a DORMANT link. */
	ike_engine_each_sa(d->owner->engine, end_left, d);
	drain_free(d);
}

static struct drain *drain_new(struct drains *owner, const struct ike_command *command)
{
	struct drain *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->owner = owner;
	d->command = *command;
	if (command->select.ike)
		d->command.select.ike = d->ike = strdup(command->select.ike);
	if (command->select.child)
		d->command.select.child = d->child = strdup(command->select.child);
	ev_timer_init(&d->timer, over, (double)DRAIN_TIME / (double)MONO_S, 0.);
	d->timer.data = d;
	DL_APPEND(owner->list, d);
	/* A selector that got lost would select everything. */
	if ((!d->ike && command->select.ike) || (!d->child && command->select.child)) {
		drain_free(d);
		return NULL;
	}
	return d;
}

/* Drains the tunnels that the command leaves without a CHILD_SA; frees the tallies. */
static void drain_tallied(struct drain *d, struct survey *v)
{
	struct tally *t, *next;

	d->conns = calloc(HASH_COUNT(v->tallies) + 1, sizeof(*d->conns));
	HASH_ITER (hh, v->tallies, t, next) {
		char *name = d->conns && t->selected == t->all ? strdup(t->conn) : NULL;

		if (name && tunnels_drain(d->owner->tunnels, name, "taken down by command"))
			d->conns[d->n_conns++] = name;
		else
			free(name);
		HASH_DEL(v->tallies, t);
		free(t);
	}
}

bool drains_start(struct drains *owner, const struct ike_command *command)
{
	struct drain *d = drain_new(owner, command);
	struct survey v = {.select = &command->select, .drain = d};

	if (!d)
		return false;
	ike_engine_each_sa(owner->engine, survey_child, &v);
	drain_tallied(d, &v);
	if (d->n_conns == 0) {
		drain_free(d);
		return false;
	}
	ev_timer_start(owner->loop, &d->timer);
	return true;
}

static bool concerns(const struct drain *d, const char *conn)
{
	for (unsigned i = 0; i < d->n_conns; i++) {
		if (strcmp(d->conns[i], conn) == 0)
			return true;
	}
	return false;
}

void drains_call_off(struct drains *owner, const char *conn)
{
	struct drain *d, *next;

	DL_FOREACH_SAFE (owner->list, d, next) {
		if (!concerns(d, conn))
			continue;
		for (unsigned i = 0; i < d->n_conns; i++)
			tunnels_drain_end(owner->tunnels, d->conns[i], "initiated again");
		owner->host.called_off(owner->host.ctx, d->command.tag);
		drain_free(d);
	}
}

struct drains *drains_new(struct ev_loop *loop, const struct ike_engine *engine,
			  struct tunnels *tunnels, const struct drains_host *host)
{
	struct drains *d = calloc(1, sizeof(*d));

	if (d)
		*d = (struct drains){
			.loop = loop, .engine = engine, .tunnels = tunnels, .host = *host};
	return d;
}

void drains_free(struct drains *owner)
{
	struct drain *d, *next;

	if (!owner)
		return;
	DL_FOREACH_SAFE (owner->list, d, next)
		drain_free(d);
	free(owner);
}
