/* Local repair's glue: everything that the planner has to hear, its routes to zebra over a
 * session of their own, its questions to zebra's vty. */
#include "routed-bridge/bridge_leftover.h"
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/device_users.h"
#include "routed-bridge/repair_json.h"
#include "routed-bridge/vty.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#define SWEEP_AFTER 1.0 /* seconds: zebra has worked on what it was told by then */
#define REPAIR_TAG  247 /* so that a route-map can tell them */
#define PUSH_EVERY  32	/* routes */
#define PATIENCE    5.0 /* seconds for zebra to answer a question */

struct question {
	struct bridge_repair *br;
	bool out;
	struct prefix prefix;
};

struct bridge_repair {
	struct bridge *b;
	struct repair *plan;
	struct zebra_host host;
	struct zebra *session;
	struct vty *vty;
	char ours[24]; /* the type of the repairs, as zebra names it */
	struct question questions[REPAIR_ASKING_MAX];
	ev_timer timer;
	ev_prepare settle; /* once for all that was read together */
	bool due;
	struct device_users *users;   /* as the IKE daemon said while it was heard */
	struct bridge_leftovers left; /* in the kernel, of a zebra that is gone */
	ev_timer sweep;		      /* takes them away */
};

/* ---- questions ---- */

static void on_answer(void *ctx, struct span text, uint8_t status, const char *why)
{
	struct question *q = ctx;
	struct bridge_repair *br = q->br;
	struct repair_answer answer = {0};

	if (!why && status == VTY_SUCCESS)
		repair_json_read(text, br->ours, &answer);
	q->out = false;
	repair_answer(br->plan, &q->prefix, &answer, mono_now());
	br->due = true;
}

static struct question *free_question(struct bridge_repair *br)
{
	for (unsigned i = 0; i < REPAIR_ASKING_MAX; i++) {
		if (!br->questions[i].out)
			return &br->questions[i];
	}
	return NULL;
}

static void ask(struct bridge_repair *br, const struct prefix *prefix)
{
	static const struct repair_answer none = {0};
	struct question *q = free_question(br);
	char command[96], text[PREFIX_TEXT];

	snprintf(command, sizeof(command), "show %s route %s json",
		 prefix->addr.family == AF_INET6 ? "ipv6" : "ip", prefix_format(prefix, text));
	if (q && vty_ask(br->vty, "zebra", command, on_answer, q)) {
		q->prefix = *prefix;
		q->out = true;
		return;
	}
	repair_answer(br->plan, prefix, &none, mono_now());
}

/* ---- routes ---- */

static void tell(struct bridge_repair *br, const struct repair_action *a)
{
	const struct bridge_repair_options *o = &br->b->config->repair;
	struct zapi_route route = {
		.type = o->type,
		.instance = o->instance,
		.prefix = a->prefix,
		.n_nexthops = a->hops.n,
		.distance = o->distance,
		.tag = REPAIR_TAG,
	};

	memcpy(route.nexthops, a->hops.hop, sizeof(route.nexthops));
	if (a->from) {
		route.table = bridge_turn_table(a->from);
		route.n_nexthops = a->hops.n ? a->hops.n : 1; /* none given: a blackhole */
		if (!a->again)
			bridge_turn_told(br->b, a->from, a->add);
	}
	if (a->add)
		zebra_route_add(br->session, &route);
	else
		zebra_route_delete(br->session, &route);
}

static void arm(struct bridge_repair *br, mono_time now)
{
	mono_time at = repair_deadline(br->plan);

	ev_timer_stop(br->b->loop, &br->timer);
	if (at == MONO_NEVER)
		return;
	ev_now_update(br->b->loop);
	ev_timer_set(&br->timer, at > now ? (double)(at - now) / 1e9 : 0., 0.);
	ev_timer_start(br->b->loop, &br->timer);
}

void bridge_repair_settle(struct bridge *b)
{
	struct bridge_repair *br = b->repair;
	struct repair_action action;
	struct prefix prefix;
	mono_time now = mono_now();

	if (!br)
		return;
	br->due = false;
	while (repair_question(br->plan, &prefix, now))
		ask(br, &prefix);
	for (unsigned n = 1; repair_next(br->plan, &action, now); n++) {
		tell(br, &action);
		if (n % PUSH_EVERY == 0)
			zebra_push(br->session); /* it works while we go on */
	}
	zebra_push(br->session);
	arm(br, now);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge_repair *br = timer->data;

	(void)loop;
	(void)events;
	bridge_repair_settle(br->b);
}

static void on_settle(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct bridge_repair *br = prepare->data;

	(void)loop;
	(void)events;
	if (br->due)
		bridge_repair_settle(br->b);
}

/* ---- what zebra says ---- */

static bool on_may_connect(void *ctx, char *why, size_t size)
{
	struct bridge_repair *br = ctx;

	return lock_acquire(&br->b->lock, why, size) == LOCK_HELD;
}

/* The routes that may lead over a tunnel: BGP's, and those that we give to zebra ourselves. */
static void listen_to(struct bridge_repair *br)
{
	const struct bridge_config *c = br->b->config;

	zebra_listen(br->session, ZAPI_TYPE_BGP, 0);
	for (size_t i = 0; i < c->n_sections; i++)
		zebra_listen(br->session, c->sections[i].options.type,
			     c->sections[i].options.instance);
}

static void on_current(void *ctx, const struct prefix *prefix)
{
	struct bridge_repair *br = ctx;

	bridge_leftovers_keep(&br->left, prefix);
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge_repair *br = timer->data;

	(void)loop;
	(void)events;
	repair_each(br->plan, on_current, br);
	bridge_leftovers_remove(&br->left);
}

static void on_ready(void *ctx, struct zebra *z)
{
	struct bridge_repair *br = ctx;

	(void)z;
	ev_timer_stop(br->b->loop, &br->sweep);
	ev_timer_set(&br->sweep, SWEEP_AFTER, 0.);
	ev_timer_start(br->b->loop, &br->sweep);
	log_to(br->b->log, LOG_LEVEL_NOTICE, "repair", br->ours, "connected to zebra");
	bridge_leftovers_disown(&br->left, br->session);
	listen_to(br);
	repair_session(br->plan, true, mono_now());
	br->due = true;
}

static void on_left(void *ctx, const struct prefix *prefix)
{
	struct bridge_repair *br = ctx;

	bridge_leftovers_add(&br->left, prefix);
}

static void on_lost(void *ctx, struct zebra *z)
{
	struct bridge_repair *br = ctx;

	(void)z;
	ev_timer_stop(br->b->loop, &br->sweep);
	repair_each(br->plan, on_left, br);
	repair_session(br->plan, false, mono_now());
	bridge_turns_end(br->b);
	br->due = true;
}

static void on_interface(void *ctx, enum zapi_command command, const struct zapi_interface *i)
{
	struct bridge_repair *br = ctx;

	repair_interface(br->plan, i,
			 command != ZAPI_INTERFACE_DELETE && i->vrf == ZAPI_VRF_DEFAULT);
	br->due = true;
	bridge_paths_hint(br->b);
}

static void on_address(void *ctx, const struct zapi_address *address, bool present)
{
	struct bridge_repair *br = ctx;

	repair_address(br->plan, address, present);
}

static void on_route(void *ctx, const struct zapi_route *route, bool present)
{
	struct bridge_repair *br = ctx;

	if (present)
		repair_best(br->plan, route, mono_now());
	else
		repair_best_gone(br->plan, route, mono_now());
	br->due = true;
	bridge_paths_hint(br->b);
}

static void on_notify(void *ctx, struct zebra *z, const struct zapi_notify *notify)
{
	struct bridge_repair *br = ctx;

	(void)z;
	if (notify->table >= BRIDGE_TURN_TABLES)
		return; /* of a turn: nobody waits for it */
	repair_notify(br->plan, notify, mono_now());
	br->due = true;
}

/* ---- what bgpd and the witnesses say ---- */

static void take_changes(struct bridge *b, struct repair *plan)
{
	struct path_change change;

	while (paths_change(b->paths, &change)) {
		if (change.kind != PATH_CHANGE_PREFIX)
			bridge_paths_peer(b, &change);
		if (plan && change.kind == PATH_CHANGE_PREFIX)
			repair_path(plan, &change.prefix, mono_now());
		if (plan && change.kind != PATH_CHANGE_PREFIX) {
			repair_peers(plan);
			repair_peer(plan, change.peer, mono_now());
		}
	}
}

void bridge_paths_changed(struct bridge *b)
{
	struct repair_stats before = {0}, after = {0};

	bridge_repair_stats(b, &before);
	take_changes(b, b->repair ? b->repair->plan : NULL);
	bridge_repair_settle(b);
	if (bridge_repair_stats(b, &after) &&
	    after.begun[REPAIR_BY_PATH] > before.begun[REPAIR_BY_PATH])
		log_to(b->log, LOG_LEVEL_NOTICE, "repair", "",
		       "%llu prefixes repaired whose paths were withdrawn",
		       (unsigned long long)(after.begun[REPAIR_BY_PATH] -
					    before.begun[REPAIR_BY_PATH]));
}

/* What witnesses say is kept beside the planner, which another configuration makes anew: they
 * do not say it again. */
struct verdict {
	char interface[IF_NAMESIZE];
	unsigned dead; /* bits of enum tunnel_witness */
	char cause[128];
	UT_hash_handle hh;
};

static void forget_verdict(struct bridge *b, struct verdict *v)
{
	HASH_DEL(b->verdicts, v);
	free(v);
}

static void keep_verdict(struct bridge *b, const char *interface, enum tunnel_witness who,
			 bool dead, const char *cause)
{
	struct verdict *v;

	HASH_FIND_STR(b->verdicts, interface, v);
	if (!v && dead && strlen(interface) < sizeof(v->interface)) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return;
		memcpy(v->interface, interface, strlen(interface));
		HASH_ADD_STR(b->verdicts, interface, v);
	}
	if (!v)
		return;
	v->dead = dead ? v->dead | 1u << who : v->dead & ~(1u << who);
	if (dead)
		snprintf(v->cause, sizeof(v->cause), "%s", cause);
	else if (!v->dead)
		forget_verdict(b, v);
}

static void repeat_verdicts(struct bridge_repair *br)
{
	struct verdict *v, *next;

	HASH_ITER (hh, br->b->verdicts, v, next) {
		for (unsigned w = 0; w < TUNNEL_WITNESSES; w++) {
			if (v->dead & 1u << w)
				repair_tunnel(br->plan, v->interface, (enum tunnel_witness)w, true,
					      v->cause);
		}
	}
}

void bridge_verdicts_forget(struct bridge *b)
{
	struct verdict *v, *next;

	HASH_ITER (hh, b->verdicts, v, next)
		forget_verdict(b, v);
}

void bridge_tunnel_dead(struct bridge *b, const char *interface, enum tunnel_witness who,
			const char *cause)
{
	keep_verdict(b, interface, who, true, cause);
	log_to(b->log, LOG_LEVEL_NOTICE, "tunnel", interface, "passes nothing (%s): %s",
	       tunnel_witness_name(who), cause);
	if (!b->repair)
		return;
	repair_tunnel(b->repair->plan, interface, who, true, cause);
	bridge_repair_settle(b);
}

void bridge_tunnel_alive(struct bridge *b, const char *interface, enum tunnel_witness who,
			 const char *cause)
{
	keep_verdict(b, interface, who, false, cause);
	log_to(b->log, LOG_LEVEL_NOTICE, "tunnel", interface, "passes packets again (%s): %s",
	       tunnel_witness_name(who), cause);
	if (!b->repair)
		return;
	repair_tunnel(b->repair->plan, interface, who, false, cause);
	bridge_repair_settle(b);
}

/* ---- tunnels ---- */

/* A device is dead for the IKE daemon when no connection on it is up. */
static void judge(struct bridge_repair *br, const char *interface, const char *cause)
{
	unsigned up, n;

	if (!interface[0])
		return;
	n = device_users_count(br->users, interface, &up);
	repair_tunnel(br->plan, interface, WITNESS_IKE, n && !up, cause);
}

void bridge_repair_tunnel(struct bridge *b, const struct tunnel_view *tunnel, const char *interface)
{
	struct bridge_repair *br = b->repair;
	char former[IF_NAMESIZE];

	if (br && tunnel->dropped) {
		device_users_drop(br->users, tunnel->conn, former);
		judge(br, former, tunnel->cause);
		return;
	}
	/* A daemon that is not heard has not said that its tunnels are down; all are touched
	 * when it is. */
	if (!br || b->ike_silent || strlen(interface) >= IF_NAMESIZE)
		return;
	device_users_put(br->users, tunnel->conn, interface, tunnel->up, former);
	if (strcmp(former, interface) != 0)
		judge(br, former, tunnel->cause);
	judge(br, interface, tunnel->cause);
}

/* ---- life ---- */

static void open_session(struct bridge_repair *br)
{
	const struct bridge_config *c = br->b->config;
	struct zebra_config zebra = {
		.name = bridge_type_format(c->repair.type, c->repair.instance, br->ours),
		.socket = c->zserv,
		.vty_dir = c->vty_dir,
		.type = c->repair.type,
		.instance = c->repair.instance,
	};
	const struct vty_limits limits = {.answer_max = 1 << 20, .patience = PATIENCE};

	br->session = zebra_new(&br->host, &zebra);
	br->vty = vty_new(br->b->loop, c->vty_dir, &limits);
	if (br->session)
		zebra_subscribe(br->session);
}

static void start(struct bridge *b)
{
	struct bridge_repair *br = calloc(1, sizeof(*br));

	b->repair = br;
	if (!br)
		return;
	br->b = b;
	br->plan = repair_new(b->paths, b->log);
	br->users = device_users_new();
	if (br->plan)
		repair_turns(br->plan, b->config->repair.uturn);
	bridge_turns_sweep(b);
	br->host = (struct zebra_host){
		.may_connect = on_may_connect,
		.ready = on_ready,
		.lost = on_lost,
		.interface = on_interface,
		.address = on_address,
		.route = on_route,
		.notify = on_notify,
		.ctx = br,
		.log = b->log,
		.loop = b->loop,
	};
	for (unsigned i = 0; i < REPAIR_ASKING_MAX; i++)
		br->questions[i].br = br;
	ev_timer_init(&br->timer, on_timer, 0., 0.);
	ev_prepare_init(&br->settle, on_settle);
	ev_timer_init(&br->sweep, on_sweep, 0., 0.);
	br->timer.data = br->settle.data = br->sweep.data = br;
	ev_prepare_start(b->loop, &br->settle);
	open_session(br);
}

/* zebra removes what the session gave it: BGP's own routes show again. */
void bridge_repair_end(struct bridge *b)
{
	struct bridge_repair *br = b->repair;

	if (!br)
		return;
	b->repair = NULL;
	ev_timer_stop(b->loop, &br->timer);
	ev_timer_stop(b->loop, &br->sweep);
	ev_prepare_stop(b->loop, &br->settle);
	bridge_turns_end(b);
	zebra_free(br->session);
	vty_free(br->vty);
	repair_free(br->plan);
	device_users_free(br->users);
	bridge_leftovers_remove(&br->left);
	free(br);
}

static bool is_whole(const struct bridge_repair *br)
{
	return br->plan && br->users && br->session && br->vty;
}

static bool same_repair(const struct bridge_config *a, const struct bridge_config *b)
{
	return a->zebra == b->zebra && a->repair.on == b->repair.on &&
	       a->repair.uturn == b->repair.uturn && a->repair.distance == b->repair.distance &&
	       a->repair.type == b->repair.type && a->repair.instance == b->repair.instance &&
	       strcmp(a->zserv, b->zserv) == 0 && strcmp(a->vty_dir, b->vty_dir) == 0;
}

void bridge_repair_fit(struct bridge *b, const struct bridge_config *old)
{
	if (old && same_repair(old, b->config)) {
		if (b->repair)
			listen_to(b->repair); /* there may be new types */
		return;
	}
	bridge_repair_end(b);
	if (!old)
		bridge_turns_recover(b);
	if (!b->config->repair.on) {
		if (old && old->repair.on)
			log_to(b->log, LOG_LEVEL_NOTICE, "repair", "", "switched off");
		return;
	}
	if (!b->config->zebra) {
		log_to(b->log, LOG_LEVEL_WARN, "repair", "",
		       "'repair yes' needs zebra, and there is 'zebra no': nothing is repaired");
		return;
	}
	start(b);
	if (b->repair && is_whole(b->repair)) {
		repeat_verdicts(b->repair);
		return;
	}
	log_to(b->log, LOG_LEVEL_ERROR, "repair", "", "out of memory: nothing is repaired");
	bridge_repair_end(b);
}

bool bridge_repair_stats(const struct bridge *b, struct repair_stats *out)
{
	if (!b->repair)
		return false;
	*out = repair_stats(b->repair->plan);
	return true;
}

bool bridge_repair_last_way(const struct bridge *b, const char *interface, bool *last)
{
	return b->repair && repair_last_way(b->repair->plan, interface, last);
}

const struct zebra *bridge_repair_session(const struct bridge *b)
{
	return b->repair ? b->repair->session : NULL;
}
