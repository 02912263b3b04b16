/* struct dataplane_ops over the link. */
#include "ipsecd/remote/parts.h"

#include <stdio.h>
#include <stdlib.h>

static struct far_tunnel *tunnel_of(const struct remote *r, uint32_t id)
{
	struct far_tunnel *t;

	HASH_FIND(hh, r->tunnels, &id, sizeof(id), t);
	return t;
}

static const struct table_shape by_id = TABLE_SHAPE(struct far_child, in_ids, id);

static struct far_child *child_of(const struct remote *r, uint64_t id)
{
	return table_find(&r->children_by_id, &by_id, &id);
}

static void forget_child(struct remote *r, struct far_child *c)
{
	table_remove(&r->children_by_id, &by_id, c);
	DL_DELETE(r->children, c);
	free(c);
}

/* Its CHILD_SAs go with it. */
static void forget_tunnel(struct remote *r, struct far_tunnel *t)
{
	struct far_child *c, *next;

	DL_FOREACH_SAFE (r->children, c, next) {
		if (c->tunnel == t->id)
			forget_child(r, c);
	}
	HASH_DEL(r->tunnels, t);
	free(t);
}

void far_free(struct remote *r)
{
	struct far_child *c, *next_child;
	struct far_tunnel *t, *next;

	DL_FOREACH_SAFE (r->children, c, next_child)
		forget_child(r, c);
	table_free(&r->children_by_id);
	HASH_ITER (hh, r->tunnels, t, next) {
		HASH_DEL(r->tunnels, t);
		free(t);
	}
}

/* The plane keeps its words; those of ours are said here. */
static enum dataplane_error say(struct remote *r, enum dataplane_error e, const char *words)
{
	snprintf(r->error, sizeof(r->error), "%s", words);
	return e;
}

static enum dataplane_error plane_error(struct remote *r, int error)
{
	return error >= DATAPLANE_OK && error <= DATAPLANE_SYSTEM
		       ? (enum dataplane_error)error
		       : say(r, DATAPLANE_SYSTEM, "an unknown error");
}

/* ---- tunnels ---- */

static void take_made(struct remote *r, struct span answer, struct far_tunnel *t, int *error)
{
	struct ipc_made made;

	memcpy(&made, answer.ptr, sizeof(made));
	*error = made.done.error;
	if (made.done.error)
		memcpy(r->error, made.done.words, sizeof(r->error));
	if (t && made.info.tunnel == t->id)
		far_take_info(t, &made.info, far_round(r));
}

bool far_make(struct remote *r, uint32_t verb, const void *body, size_t len, struct far_tunnel *t,
	      int *error)
{
	struct span answer;

	if (!far_call(r, verb, body, len, sizeof(struct ipc_made), &answer))
		return false;
	take_made(r, answer, t, error);
	return true;
}

static struct far_tunnel *tunnel_new(struct remote *r, uint32_t id,
				     const struct tunnel_config *config)
{
	struct far_tunnel *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->id = id;
	t->config = *config;
	t->info.kind = "";
	memcpy(t->info.name, config->name, sizeof(t->info.name));
	HASH_ADD(hh, r->tunnels, id, sizeof(t->id), t);
	if (t->hh.tbl)
		return t;
	free(t);
	return NULL;
}

/* Asked, and answered while ike does something else. */
static void far_tunnel_prepare(struct dataplane *d, uint32_t id, const struct tunnel_config *config)
{
	const struct ipc_tunnel body = {.tunnel = id, .config = *config};
	const struct span part = span_of(&body, sizeof(body));
	struct remote *r = d->remote;
	struct far_tunnel *t = r->link && !tunnel_of(r, id) ? tunnel_new(r, id, config) : NULL;

	if (t)
		t->asked = ipc_ask(r->link, IPC_TUNNEL_CREATE, &part, 1, NULL, 0);
}

/* false: it is to be asked now. */
static bool was_prepared(struct remote *r, struct far_tunnel *t, const struct tunnel_config *config,
			 int *error)
{
	uint32_t asked = t->asked;
	struct span answer;

	t->asked = 0;
	if (!asked || !far_await(r, IPC_TUNNEL_CREATE, asked, sizeof(struct ipc_made), &answer))
		return false;
	take_made(r, answer, t, error);
	if (*error == DATAPLANE_OK && tunnel_config_equal(&t->config, config))
		return true;
	*error = DATAPLANE_OK; /* what was in the way may be gone by now */
	return false;
}

static enum dataplane_error far_tunnel_create(struct dataplane *d, uint32_t id,
					      const struct tunnel_config *config)
{
	const struct ipc_tunnel body = {.tunnel = id, .config = *config};
	struct far_tunnel *known = tunnel_of(d->remote, id), *t = known;
	struct remote *r = d->remote;
	int error = DATAPLANE_OK;

	if (!t)
		t = tunnel_new(r, id, config);
	if (!t)
		return say(r, DATAPLANE_NO_MEMORY, "out of memory");
	if (t->asked)
		known = NULL;
	if (!was_prepared(r, t, config, &error))
		far_make(r, IPC_TUNNEL_CREATE, &body, sizeof(body), t, &error);
	if (error == DATAPLANE_OK)
		t->config = *config;
	else if (!known)
		forget_tunnel(r, t);
	return plane_error(r, error);
}

static enum dataplane_error far_tunnel_update(struct dataplane *d, uint32_t id,
					      const struct tunnel_config *config)
{
	const struct ipc_tunnel body = {.tunnel = id, .config = *config};
	struct remote *r = d->remote;
	struct far_tunnel *t = tunnel_of(r, id);
	int error = DATAPLANE_OK;

	if (!far_make(r, IPC_TUNNEL_UPDATE, &body, sizeof(body), t, &error) && !t)
		return say(r, DATAPLANE_NOT_FOUND, "no such tunnel");
	if (error == DATAPLANE_OK && t)
		t->config = *config;
	return plane_error(r, error);
}

static enum dataplane_error far_tunnel_remove(struct dataplane *d, uint32_t id)
{
	struct remote *r = d->remote;
	struct far_tunnel *t = tunnel_of(r, id);
	int error = DATAPLANE_OK;

	if (!far_done(r, IPC_TUNNEL_REMOVE, &id, sizeof(id), &error) && !t)
		return say(r, DATAPLANE_NOT_FOUND, "no such tunnel");
	if (t)
		forget_tunnel(r, t);
	return plane_error(r, error);
}

static enum dataplane_error far_tunnel_set_link(struct dataplane *d, uint32_t id, bool up)
{
	const struct ipc_tunnel_link body = {.tunnel = id, .up = up};
	struct remote *r = d->remote;
	struct far_tunnel *t = tunnel_of(r, id);
	int error = DATAPLANE_OK;

	if (t) {
		t->link_set = true;
		t->link_up = t->info.link_up = up;
	}
	if (!far_make(r, IPC_TUNNEL_LINK, &body, sizeof(body), t, &error) && !t)
		return say(r, DATAPLANE_NOT_FOUND, "no such tunnel");
	return plane_error(r, error);
}

static void take_infos(struct remote *r, struct span answer)
{
	for (size_t at = 0; at < answer.len; at += sizeof(struct ipc_info)) {
		struct ipc_info info;
		struct far_tunnel *t;

		memcpy(&info, answer.ptr + at, sizeof(info));
		t = tunnel_of(r, info.tunnel);
		if (t)
			far_take_info(t, &info, far_round(r));
	}
}

/* Also of others that are not known in this turn. */
static void ask_infos(struct remote *r, struct far_tunnel *wanted)
{
	size_t n = 0, most = 1 + far_ahead(r, IPC_INFOS_MAX);
	unsigned round = far_round(r);
	uint32_t ids[IPC_INFOS_MAX];
	struct span answer;

	ids[n++] = wanted->id;
	for (struct far_tunnel *t = wanted->hh.next; t && n < most; t = t->hh.next) {
		if (t->round != round)
			ids[n++] = t->id;
	}
	for (struct far_tunnel *t = r->tunnels; t != wanted && n < most; t = t->hh.next) {
		if (t->round != round)
			ids[n++] = t->id;
	}
	if (far_call(r, IPC_TUNNEL_INFO, ids, n * sizeof(ids[0]), n * sizeof(struct ipc_info),
		     &answer))
		take_infos(r, answer);
}

static bool far_tunnel_info(struct dataplane *d, uint32_t id, struct dataplane_tunnel_info *out)
{
	struct remote *r = d->remote;
	struct far_tunnel *t = tunnel_of(r, id);

	if (!t)
		return false;
	if (t->round != far_round(r))
		ask_infos(r, t);
	*out = t->info;
	return true;
}

/* No two planes' numbers are the same. */
static uint64_t far_tunnel_changes(struct dataplane *d)
{
	struct remote *r = d->remote;
	struct span answer;
	uint64_t n;

	if (!far_call(r, IPC_CHANGES, NULL, 0, sizeof(n), &answer))
		return 0;
	memcpy(&n, answer.ptr, sizeof(n));
	return n && n <= UINT32_MAX ? (uint64_t)r->links << 32 | n : 0;
}

static void far_tunnel_disinherit(struct dataplane *d, uint32_t id)
{
	const struct span part = span_of(&id, sizeof(id));

	if (d->remote->link)
		ipc_send(d->remote->link, IPC_TUNNEL_DISINHERIT, 0, &part, 1, NULL, 0);
}

/* ---- CHILD_SAs ---- */

/* Its tunnel's MTU, and what it inherits, may be others now. */
static void stale(struct remote *r, uint32_t tunnel)
{
	struct far_tunnel *t = tunnel_of(r, tunnel);

	if (t)
		t->round = 0;
}

int far_install(struct remote *r, const struct child_sa *sa, bool *gone)
{
	int error = DATAPLANE_OK;

	*gone = !far_done(r, IPC_CHILD_INSTALL, sa, sizeof(*sa), &error);
	return error;
}

static void note_install(struct far_child *c, const struct child_sa *sa, bool answered)
{
	c->tunnel = sa->tunnel;
	c->resumed = sa->resumed;
	c->answered |= answered;
	c->skip_out = sa->skip_out;
}

static enum dataplane_error far_child_install(struct dataplane *d, const struct child_sa *sa)
{
	struct remote *r = d->remote;
	bool gone;
	struct far_child *c;
	int error;

	if (!tunnel_of(r, sa->tunnel))
		return say(r, DATAPLANE_NOT_FOUND, "no such tunnel");
	error = far_install(r, sa, &gone);
	if (error != DATAPLANE_OK)
		return plane_error(r, error);
	stale(r, sa->tunnel);
	c = child_of(r, sa->id);
	if (!c) {
		c = table_make(&r->children_by_id, &by_id, sizeof(*c), &sa->id);
		if (c)
			DL_APPEND(r->children, c);
	}
	if (c) {
		note_install(c, sa, !gone);
		return DATAPLANE_OK;
	}
	far_done(r, IPC_CHILD_REMOVE, &sa->id, sizeof(sa->id), &error);
	return say(r, DATAPLANE_NO_MEMORY, "out of memory");
}

/* What no plane has done yet adds up; an install does it, too. */
static void skip_later(struct far_child *c, uint64_t more)
{
	uint64_t room = UINT64_MAX - c->skip_out;

	c->skip_out += more < room ? more : room;
}

static enum dataplane_error far_child_update(struct dataplane *d, const struct child_sa *sa)
{
	const struct ipc_child_update body = {.child = sa->id,
					      .skip_out = sa->skip_out,
					      .outbound = sa->outbound,
					      .udp_encap = sa->udp_encap,
					      .local = sa->local,
					      .remote = sa->remote};
	struct remote *r = d->remote;
	struct far_child *c = child_of(r, sa->id);
	int error = DATAPLANE_OK;
	bool gone = !far_done(r, IPC_CHILD_UPDATE, &body, sizeof(body), &error);

	if (gone && !c)
		return say(r, DATAPLANE_NOT_FOUND, "no such CHILD_SA");
	if (gone)
		skip_later(c, sa->skip_out);
	if (error == DATAPLANE_OK && c)
		stale(r, c->tunnel);
	return plane_error(r, error);
}

static enum dataplane_error far_child_remove(struct dataplane *d, uint64_t id)
{
	struct remote *r = d->remote;
	struct far_child *c = child_of(r, id);
	int error = DATAPLANE_OK;

	if (!far_done(r, IPC_CHILD_REMOVE, &id, sizeof(id), &error) && !c)
		return say(r, DATAPLANE_NOT_FOUND, "no such CHILD_SA");
	if (c) {
		stale(r, c->tunnel);
		forget_child(r, c);
	}
	return plane_error(r, error);
}

static void take_stats(struct remote *r, struct span answer)
{
	for (size_t at = 0; at < answer.len; at += sizeof(struct ipc_stats)) {
		struct ipc_stats stats;
		struct far_child *c;

		memcpy(&stats, answer.ptr + at, sizeof(stats));
		c = child_of(r, stats.child);
		if (!c)
			continue;
		c->have_stats = stats.there;
		c->stats = stats.stats;
		c->round = far_round(r);
	}
}

static void ask_stats(struct remote *r, struct far_child *wanted)
{
	size_t n = 0, most = 1 + far_ahead(r, IPC_STATS_MAX);
	unsigned round = far_round(r);
	uint64_t ids[IPC_STATS_MAX];
	struct span answer;

	ids[n++] = wanted->id;
	for (struct far_child *c = wanted->next; c && n < most; c = c->next) {
		if (c->round != round)
			ids[n++] = c->id;
	}
	for (struct far_child *c = r->children; c != wanted && n < most; c = c->next) {
		if (c->round != round)
			ids[n++] = c->id;
	}
	if (far_call(r, IPC_CHILD_STATS, ids, n * sizeof(ids[0]), n * sizeof(struct ipc_stats),
		     &answer))
		take_stats(r, answer);
}

static bool far_child_stats(struct dataplane *d, uint64_t id, struct dataplane_child_stats *out)
{
	struct remote *r = d->remote;
	struct far_child *c = child_of(r, id);

	if (!c)
		return false;
	if (c->round != far_round(r))
		ask_stats(r, c);
	if (c->have_stats)
		*out = c->stats;
	return c->have_stats;
}

/* ---- the rest ---- */

static void far_settled(struct dataplane *d)
{
	struct remote *r = d->remote;

	r->settled = true;
	if (r->link)
		ipc_send(r->link, IPC_SETTLED, 0, NULL, 0, NULL, 0);
}

static bool same_suite(const struct ipc_suite *a, const struct ipc_suite *b)
{
	return a->encr_id == b->encr_id && a->key_bits == b->key_bits &&
	       a->integ_id == b->integ_id && a->esn == b->esn;
}

static bool far_resources(struct dataplane *d)
{
	return d->remote->hello.resources;
}

/* What a kernel can do does not change while we run. */
static bool far_supports(struct dataplane *d, uint16_t encr_id, uint16_t key_bits,
			 uint16_t integ_id, bool esn)
{
	const struct ipc_suite q = {encr_id, key_bits, integ_id, esn};
	struct remote *r = d->remote;
	int error;

	for (unsigned i = 0; i < r->n_suites; i++) {
		if (same_suite(&r->suites[i].suite, &q))
			return r->suites[i].ok;
	}
	if (!far_done(r, IPC_SUPPORTS, &q, sizeof(q), &error))
		return true; /* the install will tell */
	if (r->n_suites < FAR_SUITES_MAX)
		r->suites[r->n_suites++] = (struct far_suite){q, error == DATAPLANE_OK};
	return error == DATAPLANE_OK;
}

static const uint64_t *far_counters(struct dataplane *d)
{
	struct remote *r = d->remote;
	struct span answer;

	if (far_call(r, IPC_COUNTERS, NULL, 0, sizeof(r->counters), &answer))
		memcpy(&r->counters, answer.ptr, sizeof(r->counters));
	return r->counters.drops;
}

static const char *far_last_error(struct dataplane *d)
{
	return d->remote->error;
}

/* ESP is the plane's at once, and its time too. */
static void far_esp_input(struct dataplane *d, unsigned lane, const struct endpoint *local,
			  const struct endpoint *remote, uint8_t tos, uint8_t *packets, size_t len,
			  size_t size, mono_time now)
{
	(void)d;
	(void)lane;
	(void)local;
	(void)remote;
	(void)tos;
	(void)packets;
	(void)len;
	(void)size;
	(void)now;
}

static void far_esp_flush(struct dataplane *d, unsigned lane, mono_time now)
{
	(void)d;
	(void)lane;
	(void)now;
}

static void far_tick(struct dataplane *d, mono_time now)
{
	(void)d;
	(void)now;
}

/* The name and the flags are what the plane says. */
const struct dataplane_ops far_ops = {
	.settled = far_settled,
	.supports = far_supports,
	.resources = far_resources,
	.tunnel_prepare = far_tunnel_prepare,
	.tunnel_create = far_tunnel_create,
	.tunnel_update = far_tunnel_update,
	.tunnel_remove = far_tunnel_remove,
	.tunnel_set_link = far_tunnel_set_link,
	.tunnel_info = far_tunnel_info,
	.changes = far_tunnel_changes,
	.tunnel_disinherit = far_tunnel_disinherit,
	.child_install = far_child_install,
	.child_update = far_child_update,
	.child_remove = far_child_remove,
	.child_stats = far_child_stats,
	.esp_input = far_esp_input,
	.esp_flush = far_esp_flush,
	.tick = far_tick,
	.counters = far_counters,
	.last_error = far_last_error,
};
