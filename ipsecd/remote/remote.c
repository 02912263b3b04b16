/* The link to the plane's process: what comes by it, and what a new one is told. */
#include "ipsecd/remote/remote.h"
#include "ipsecd/ipc/check.h"
#include "ipsecd/remote/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* ---- what comes ---- */

static void on_event(struct remote *r, struct span body)
{
	struct dataplane_event e;
	struct far_tunnel *t;

	memcpy(&e, body.ptr, sizeof(e));
	HASH_FIND(hh, r->tunnels, &e.tunnel, sizeof(e.tunnel), t);
	if (t)
		t->round = 0; /* it is not any more as it was in this turn */
	r->host.event(r->host.ctx, &e);
}

/* Copied: what the engine makes of it are calls over the same link, whose answers come to lie
 * where the datagram does. */
static void on_ike(struct remote *r, struct span body)
{
	struct ipc_path p;
	size_t len = body.len - sizeof(p);

	memcpy(&p, body.ptr, sizeof(p));
	memcpy(r->datagram, body.ptr + sizeof(p), len);
	r->host.ike(r->host.ctx, &p.local, &p.remote, span_of(r->datagram, len), mono_now());
}

static void on_send_failed(struct remote *r, struct span body)
{
	struct ipc_send_failed f;

	memcpy(&f, body.ptr, sizeof(f));
	r->host.send_failed(r->host.ctx, &f.path.local, &f.path.remote, f.error, f.esp);
}

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	const char *why = m->verb < IPC_EVENT ? "no such message" : ipc_check(m->verb, m->body);
	static struct log_limit limit = {.burst = 5};
	struct remote *r = ctx;

	(void)link;
	if (m->verb == IPC_ANSWER) /* of a call that gave up waiting */
		return;
	if (why) {
		if (log_limit_pass(&limit, mono_now()))
			log_to(r->host.log, LOG_LEVEL_ERROR, "tun", "",
			       "the plane's process tells %s wrongly: %s",
			       ipc_plane_verb_name(m->verb), why);
		return;
	}
	switch (m->verb) {
	case IPC_EVENT:
		on_event(r, m->body);
		break;
	case IPC_IKE:
		on_ike(r, m->body);
		break;
	default:
		on_send_failed(r, m->body);
		break;
	}
}

void far_drop_link(struct remote *r)
{
	ipc_link_free(r->link);
	r->link = NULL;
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	struct remote *r = ctx;

	if (r->link != link)
		return;
	log_to(r->host.log, LOG_LEVEL_WARN, "tun", "",
	       "the link to the plane's process is closed: %s; what is to be done there waits for "
	       "the next one",
	       why);
	far_drop_link(r);
}

/* ---- a new plane ---- */

static bool greet(struct remote *r, bool *other, char *why, size_t size)
{
	struct ipc_plane p;
	struct span answer;

	if (!far_call(r, IPC_PLANE_HELLO, NULL, 0, sizeof(p), &answer)) {
		snprintf(why, size, "the plane's process does not answer");
		return false;
	}
	memcpy(&p, answer.ptr, sizeof(p));
	if (r->hello.name[0] &&
	    (strcmp(p.name, r->hello.name) != 0 || p.encap_better != r->hello.encap_better ||
	     p.plain != r->hello.plain || p.aggfrag != r->hello.aggfrag)) {
		*other = true;
		snprintf(why, size, "the data plane is %s now, not %s", p.name, r->hello.name);
		return false;
	}
	r->hello = p;
	r->ops.name = r->hello.name;
	r->ops.encap_better = p.encap_better;
	r->ops.plain = p.plain;
	r->ops.persistent = p.persistent;
	r->ops.aggfrag = p.aggfrag;
	r->ops.supports = p.asks_supports ? far_ops.supports : NULL;
	memcpy(r->means.why, p.why, sizeof(r->means.why));
	memcpy(r->means.offloads, p.offloads, sizeof(r->means.offloads));
	return true;
}

struct change {
	uint32_t tunnel; /* 0: of a CHILD_SA */
	uint64_t child;
};

/* What is not as it was, to be told when all is done. */
struct changes {
	size_t n, room;
	struct change *list;
};

static void note(struct changes *c, uint32_t tunnel, uint64_t child)
{
	if (c->n < c->room)
		c->list[c->n++] = (struct change){tunnel, child};
}

static void again_tunnel(struct remote *r, struct far_tunnel *t, struct changes *changes)
{
	const struct ipc_tunnel body = {.tunnel = t->id, .config = t->config};
	const struct dataplane_tunnel_info was = t->info;
	int error = DATAPLANE_OK;

	t->round = 0;
	t->asked = 0; /* of another plane */
	if (far_make(r, IPC_TUNNEL_CREATE, &body, sizeof(body), t, &error) &&
	    error == DATAPLANE_EXISTS)
		far_make(r, IPC_TUNNEL_UPDATE, &body, sizeof(body), t, &error);
	if (!r->link)
		return; /* the next one */
	if (error != DATAPLANE_OK) {
		log_to(r->host.log, LOG_LEVEL_ERROR, "tun", "",
		       "%s: the new plane can't have the device: %s", t->config.name, r->error);
		t->info.ifindex = 0;
	}
	if (t->info.ifindex != was.ifindex || t->info.admin_up != was.admin_up)
		note(changes, t->id, 0);
}

static void again_child(struct remote *r, struct far_child *c, struct changes *changes)
{
	struct child_sa sa;
	bool gone;
	int error;

	if (!r->host.child(r->host.ctx, c->id, &sa)) {
		log_to(r->host.log, LOG_LEVEL_ERROR, "tun", "",
		       "the new plane can't have a CHILD_SA that is not known any more");
		note(changes, 0, c->id);
		return;
	}
	sa.skip_out = c->skip_out;
	sa.resumed = c->resumed || c->answered;
	error = far_install(r, &sa, &gone);
	if (!gone && error == DATAPLANE_OK) {
		c->answered = true;
		c->skip_out = 0;
	}
	if (error != DATAPLANE_OK) {
		log_to(r->host.log, LOG_LEVEL_ERROR, "tun", "",
		       "the new plane can't have CHILD_SA %08x/%08x: %s", sa.spi_in, sa.spi_out,
		       r->error);
		note(changes, 0, c->id);
	}
	child_sa_cleanse(&sa);
}

static void again_link(struct remote *r, struct far_tunnel *t)
{
	const struct ipc_tunnel_link body = {.tunnel = t->id, .up = t->link_up};
	int error;

	if (t->link_set && t->info.ifindex)
		far_make(r, IPC_TUNNEL_LINK, &body, sizeof(body), t, &error);
}

/* The listener changes the tables: what is told is what was found before. */
static void tell(struct remote *r, const struct changes *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		const struct change *c = &changes->list[i];
		struct dataplane_event e = {.kind = DATAPLANE_CHILD_HARD_EXPIRE, .child = c->child};
		struct dataplane_tunnel_info info;

		if (c->tunnel) {
			if (!r->ops.tunnel_info(&r->plane, c->tunnel, &info))
				continue;
			e = (struct dataplane_event){.kind = DATAPLANE_DEVICE_CHANGED,
						     .tunnel = c->tunnel,
						     .admin_up = info.admin_up,
						     .present = info.ifindex != 0};
		}
		r->host.event(r->host.ctx, &e);
	}
}

static void got_on(const struct remote *r)
{
	if (r->host.alive)
		r->host.alive(r->host.ctx);
}

/* Links last: a device is not UP before it can send. */
static void again(struct remote *r, struct changes *changes)
{
	struct far_tunnel *t, *next;
	struct far_child *c, *next_child;
	struct far_addr *a;
	bool gone;

	if (r->bind_told)
		far_bind(r, &gone);
	if (r->workers_set) /* before devices are made */
		far_workers(r);
	HASH_ITER (hh, r->tunnels, t, next) {
		again_tunnel(r, t, changes);
		got_on(r);
	}
	DL_FOREACH_SAFE (r->children, c, next_child) {
		again_child(r, c, changes);
		got_on(r);
	}
	HASH_ITER (hh, r->tunnels, t, next) {
		again_link(r, t);
		got_on(r);
	}
	DL_FOREACH (r->addrs, a)
		far_address(r, a->device, &a->prefix, true, &gone);
	far_changes(r);
	if (r->settled && r->link)
		ipc_send(r->link, IPC_SETTLED, 0, NULL, 0, NULL, 0);
}

static bool put_all_again(struct remote *r)
{
	struct changes changes = {.room = HASH_COUNT(r->tunnels) + r->children_by_id.n};

	if (changes.room == 0 && !r->addrs && !r->changes && !r->bind_told && !r->workers_set)
		return true;
	changes.list = calloc(changes.room + 1, sizeof(*changes.list));
	if (!changes.list)
		return false;
	again(r, &changes);
	log_to(r->host.log, LOG_LEVEL_NOTICE, "tun", "",
	       "the new plane's process has its %u tunnels and %zu CHILD_SAs; %zu differ",
	       HASH_COUNT(r->tunnels), r->children_by_id.n, changes.n);
	tell(r, &changes);
	free(changes.list);
	return true;
}

bool remote_link(struct remote *r, int fd, bool *other, char *why, size_t size)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed, .ctx = r};

	*other = false;
	far_drop_link(r);
	r->link = ipc_link_new(r->host.loop, fd, &host);
	r->links++;
	snprintf(why, size, "out of memory");
	if (r->link && greet(r, other, why, size) && put_all_again(r))
		return true;
	far_drop_link(r);
	return false;
}

void remote_set_patience(struct remote *r, int ms)
{
	r->patience_ms = ms;
}

bool remote_linked(const struct remote *r)
{
	return r->link != NULL;
}

/* ---- life ---- */

struct remote *remote_new(const struct means_host *host)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->host = *host;
	r->patience_ms = REMOTE_TIMEOUT_MS;
	r->ops = far_ops;
	r->plane.remote = r;
	r->means.act = &far_acts;
	r->means.ops = &r->ops;
	r->means.plane = &r->plane;
	return r;
}

struct means *remote_means(struct remote *r)
{
	return &r->means;
}
