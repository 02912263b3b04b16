/* Datagrams, routes, rules and addresses over the link. */
#include "ipsecd/remote/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

static struct remote *remote_of(struct means *m)
{
	return (struct remote *)m;
}

/* ---- datagrams: what the link does not take is lost, as on a network ---- */

static struct ipc_path path_of(const struct endpoint *local, const struct endpoint *remote)
{
	return (struct ipc_path){.local = *local, .remote = *remote};
}

static void act_send_ike(struct means *m, const struct endpoint *local,
			 const struct endpoint *remote, struct span datagram)
{
	const struct ipc_path p = path_of(local, remote);
	const struct span parts[] = {span_of(&p, sizeof(p)), datagram};
	struct remote *r = remote_of(m);

	if (r->link)
		ipc_offer(r->link, IPC_SEND_IKE, parts, 2);
}

static void act_send_keepalive(struct means *m, const struct endpoint *local,
			       const struct endpoint *remote)
{
	const struct ipc_path p = path_of(local, remote);
	const struct span part = span_of(&p, sizeof(p));
	struct remote *r = remote_of(m);

	if (r->link)
		ipc_offer(r->link, IPC_SEND_KEEPALIVE, &part, 1);
}

static void act_net_counters(struct means *m, struct udp_counters *out)
{
	struct remote *r = remote_of(m);

	r->ops.counters(&r->plane);
	memcpy(out, r->counters.net, sizeof(*out));
}

/* ---- changes ---- */

/* What plane refuses by its content alone has no errno. */
static int change(struct remote *r, uint32_t verb, const void *body, size_t len, bool *gone)
{
	int error = 0;

	*gone = !far_done(r, verb, body, len, &error);
	if (*gone)
		snprintf(r->words, sizeof(r->words), "the data plane's process is away");
	else if (error)
		memcpy(r->words, r->error, sizeof(r->words));
	return *gone ? -EAGAIN : error > 0 ? -EPERM : error;
}

int far_bind(struct remote *r, bool *gone)
{
	return change(r, IPC_BIND, &r->bound, sizeof(r->bound), gone);
}

static int act_bind(struct means *m, const char *device)
{
	struct remote *r = remote_of(m);
	bool gone;
	int e;

	memset(&r->bound, 0, sizeof(r->bound));
	snprintf(r->bound.device, sizeof(r->bound.device), "%s", device);
	r->bind_told = true;
	e = far_bind(r, &gone);
	return gone ? 0 : e;
}

bool far_workers(struct remote *r)
{
	struct ipc_workers now;
	struct span answer;

	if (!far_call(r, IPC_WORKERS, &r->workers, sizeof(r->workers), sizeof(now), &answer))
		return false;
	memcpy(&now, answer.ptr, sizeof(now));
	r->means.workers = now.threads;
	r->means.workers_most = now.most;
	return true;
}

static bool act_workers(struct means *m, unsigned wanted)
{
	struct remote *r = remote_of(m);

	r->workers = (struct ipc_workers){.threads = wanted};
	r->workers_set = true;
	return far_workers(r);
}

static int wait_for_plane(struct remote *r, uint32_t verb, const void *body, size_t len)
{
	struct far_change *c = r->n_changes < FAR_CHANGES_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return -EAGAIN;
	c->verb = verb;
	memcpy(&c->body, body, len);
	DL_APPEND(r->changes, c);
	r->n_changes++;
	return 0;
}

/* Order is kept: a route's end must not be overtaken by its beginning. */
static int change_or_wait(struct remote *r, uint32_t verb, const void *body, size_t len)
{
	bool gone = r->changes != NULL;
	int e = gone ? 0 : change(r, verb, body, len, &gone);

	return gone ? wait_for_plane(r, verb, body, len) : e;
}

static void drop_change(struct remote *r, struct far_change *c)
{
	DL_DELETE(r->changes, c);
	r->n_changes--;
	free(c);
}

void far_changes(struct remote *r)
{
	struct far_change *c, *next;

	DL_FOREACH_SAFE (r->changes, c, next) {
		bool route = c->verb == IPC_ROUTE, gone;
		int e = change(r, c->verb, &c->body,
			       route ? sizeof(c->body.route) : sizeof(c->body.rule), &gone);

		if (gone)
			return;
		if (e)
			log_to(r->host.log, LOG_LEVEL_WARN, "net", "",
			       "a %s that waited for the plane's process: %s",
			       route ? "route" : "rule", r->words);
		drop_change(r, c);
	}
}

static int act_route(struct means *m, const struct netlink_route *route, bool add)
{
	const struct ipc_route body = {
		.add = add,
		.kind = route->blackhole ? IPC_ROUTE_BLACKHOLE
			: route->throws	 ? IPC_ROUTE_THROW
					 : IPC_ROUTE_DEVICE,
		.protocol = route->protocol,
		.dst = route->dst,
		.source = route->source,
		.ifindex = route->ifindex,
		.table = route->table,
		.metric = route->metric,
	};

	return change_or_wait(remote_of(m), IPC_ROUTE, &body, sizeof(body));
}

static int act_rule(struct means *m, const struct netlink_rule *rule, bool add)
{
	struct ipc_rule body = {.add = add,
				.family = rule->family,
				.protocol = rule->protocol,
				.table = rule->table,
				.priority = rule->priority};

	memcpy(body.iif, rule->iif, sizeof(body.iif));
	return change_or_wait(remote_of(m), IPC_RULE, &body, sizeof(body));
}

static struct far_addr *find(const struct remote *r, const char *device, const struct prefix *p)
{
	struct far_addr *a;

	DL_FOREACH (r->addrs, a) {
		if (strcmp(a->device, device) == 0 && prefix_equal(&a->prefix, p))
			return a;
	}
	return NULL;
}

static void remember(struct remote *r, const char *device, const struct prefix *p, bool add)
{
	struct far_addr *a = find(r, device, p);

	if (!add && a) {
		DL_DELETE(r->addrs, a);
		free(a);
	} else if (add && !a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return;
		snprintf(a->device, sizeof(a->device), "%s", device);
		a->prefix = *p;
		DL_APPEND(r->addrs, a);
	}
}

int far_address(struct remote *r, const char *device, const struct prefix *p, bool add, bool *gone)
{
	struct ipc_address body = {.add = add, .prefix = *p};

	snprintf(body.device, sizeof(body.device), "%s", device);
	return change(r, IPC_ADDRESS, &body, sizeof(body), gone);
}

/* While there is no plane, it is done when there is one. */
static int act_address(struct means *m, const char *device, const struct prefix *p, bool add)
{
	struct remote *r = remote_of(m);
	bool gone;
	int e = far_address(r, device, p, add, &gone);

	if (e == 0 || gone)
		remember(r, device, p, add);
	return gone ? 0 : e;
}

static const char *act_words(const struct means *m, int error)
{
	const struct remote *r = (const struct remote *)m;

	return r->words[0] ? r->words : strerror(-error);
}

static void act_close(struct means *m)
{
	struct remote *r = remote_of(m);
	struct far_addr *a, *next;

	ipc_link_free(r->link);
	far_free(r);
	while (r->changes)
		drop_change(r, r->changes);
	DL_FOREACH_SAFE (r->addrs, a, next) {
		DL_DELETE(r->addrs, a);
		free(a);
	}
	explicit_bzero(r->datagram, sizeof(r->datagram));
	free(r);
}

const struct means_act far_acts = {
	.send_ike = act_send_ike,
	.send_keepalive = act_send_keepalive,
	.net_counters = act_net_counters,
	.bind = act_bind,
	.workers = act_workers,
	.route = act_route,
	.rule = act_rule,
	.address = act_address,
	.words = act_words,
	.close = act_close,
};
