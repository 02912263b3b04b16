/* Glue with one rule: a tunnel's routes are claimed while the tunnel is up and zebra calls
 * its interface operative, and at no other time. Every input (vici event, interface
 * message, configuration) ends in `reconcile` of the tunnels it may concern, and every
 * change of claims ends in `bridge_settle`, which tells zebra. Order is kept by that: a
 * link-updown that announces the link's end is turned into ROUTE_DELETEs before the next
 * event is read. */
#include "routed-bridge/bridge_parts.h"
#include "lib/hash.h"
#include "routed-bridge/device_users.h"

#include <stdlib.h>

/* ---- zebra is told ---- */

static void log_balance(struct bridge *b)
{
	struct routes_count n = routes_count(b->routes);

	if (memcmp(&n, &b->last_count, sizeof(n)) == 0)
		return;
	b->last_count = n;
	if (n.installed + n.shadowed == n.wanted)
		log_to(b->log, LOG_LEVEL_INFO, "route", "", "wanted %u, installed %u, shadowed %u",
		       n.wanted, n.installed, n.shadowed);
}

static void arm_retry(struct bridge *b)
{
	mono_time at = routes_deadline(b->routes), now = mono_now();

	ev_timer_stop(b->loop, &b->retry);
	if (at == MONO_NEVER)
		return;
	ev_timer_set(&b->retry, at > now ? (double)(at - now) / 1e9 : 0., 0.);
	ev_timer_start(b->loop, &b->retry);
}

void bridge_settle(struct bridge *b)
{
	struct route_action a;
	struct zebra *z;

	while (routes_next(b->routes, &a, mono_now())) {
		if (a.route.type == BRIDGE_KERNEL_TYPE) {
			bridge_kernel_act(b, &a);
			continue;
		}
		z = bridge_session(b, a.route.type, a.route.instance);
		if (!z)
			continue;
		bridge_fib_told(b, &a);
		if (a.kind == ROUTE_ACTION_ADD)
			zebra_route_add(z, &a.route);
		else
			zebra_route_delete(z, &a.route);
	}
	for (unsigned i = 0; i < b->n_sessions; i++)
		zebra_push(b->sessions[i]);
	log_balance(b);
	arm_retry(b);
}

/* ---- tunnels to claims ---- */

/* The file's word, else the daemon's, else the device is named like the connection. */
const char *bridge_interface_of(const struct bridge_section *section, const char *conn,
				const char *named)
{
	if (section->interface[0])
		return section->interface;
	return named[0] ? named : conn;
}

uint32_t bridge_table_of(const struct bridge *b, const struct bridge_options *o, uint32_t vrf)
{
	return o->table == interfaces_vrf_table(b->interfaces, vrf) ? 0 : o->table;
}

/* What all routes of a tunnel have in common. */
static struct route_claim claim_form(const struct bridge *b, const struct bridge_options *o,
				     const struct interface *i, uint32_t vrf)
{
	bool kernel = bridge_kernel_writes(b);
	struct route_claim c = {
		.route =
			{
				.type = kernel ? BRIDGE_KERNEL_TYPE : o->type,
				.instance = kernel ? 0 : o->instance,
				.vrf = vrf,
				.n_nexthops = 1,
				.nexthops = {{.vrf = i->vrf,
					      .ifindex = i->ifindex,
					      .weight = o->weight}},
				.distance = o->distance,
				.metric = o->metric,
				.tag = o->tag,
				.mtu = o->mtu,
				.table = bridge_table_of(b, o, vrf),
			},
		.generation = i->generation,
	};

	memcpy(c.interface, i->name, sizeof(c.interface));
	return c;
}

/* A selector of everything is how routed tunnels are negotiated; as a route it would carry
 * the tunnel's own packets into the tunnel. */
static bool selector_wanted(const struct bridge_section *s, const struct prefix *selector)
{
	if (!s->options.selectors || selector->len == 0)
		return false;
	for (size_t i = 0; i < s->n_prefixes; i++) {
		if (prefix_equal(&s->prefixes[i], selector))
			return false;
	}
	return true;
}

/* What the tunnel claims now; the caller frees it. *n is 0 for nothing. */
static struct route_claim *claims_of(const struct bridge *b, const struct bridge_section *s,
				     const struct tunnel_view *tunnel, const struct interface *i,
				     size_t *n)
{
	struct bridge_options o = s->options;
	struct route_claim *claims =
		calloc(s->n_prefixes + tunnel->n_selectors + tunnel->n_vips + 1, sizeof(*claims));
	uint32_t vrf = i->vrf;

	*n = 0;
	if (!claims ||
	    (s->options.vrf[0] && !interfaces_vrf_find(b->interfaces, s->options.vrf, &vrf)))
		return claims;
	bridge_quality_steer(b, tunnel->conn, &o);
	for (size_t k = 0; k < s->n_prefixes; k++)
		claims[(*n)++].route.prefix = s->prefixes[k];
	for (size_t k = 0; k < tunnel->n_selectors; k++) {
		if (selector_wanted(s, &tunnel->selectors[k]))
			claims[(*n)++].route.prefix = tunnel->selectors[k];
	}
	for (size_t k = 0; k < tunnel->n_vips && s->options.vips; k++)
		claims[(*n)++].route.prefix = tunnel->vips[k];
	for (size_t k = 0; k < *n; k++) {
		struct prefix prefix = claims[k].route.prefix;

		claims[k] = claim_form(b, &o, i, vrf);
		claims[k].route.prefix = prefix;
	}
	return claims;
}

/* A tunnel is suspected on the device that it had then: the file may give it another. */
struct suspicion {
	char interface[IF_NAMESIZE];
	UT_hash_handle hh;
	char conn[]; /* the key */
};

static void forget_suspicion(struct bridge *b, struct suspicion *s)
{
	HASH_DEL(b->suspicions, s);
	free(s);
}

/* Claims stay: the tunnel is up as far as anybody knows, and a false alarm ends in a round
 * trip. */
static void suspicion_begins(struct bridge *b, const struct tunnel_view *tunnel, const char *name)
{
	size_t len = strlen(tunnel->conn);
	struct suspicion *s;

	if (tunnel->suspicion != SUSPICION_BEGUN || strlen(name) >= sizeof(s->interface))
		return;
	HASH_FIND(hh, b->suspicions, tunnel->conn, len, s);
	if (s)
		return;
	s = calloc(1, sizeof(*s) + len + 1);
	if (s) {
		memcpy(s->conn, tunnel->conn, len);
		memcpy(s->interface, name, strlen(name));
		HASH_ADD_KEYPTR(hh, b->suspicions, s->conn, len, s);
	}
	if (!s || !s->hh.tbl) {
		free(s);
		log_to(b->log, LOG_LEVEL_ERROR, "tunnel", tunnel->conn,
		       "out of memory: its suspicion is not heeded");
		return;
	}
	bridge_tunnel_dead(b, s->interface, WITNESS_SUSPICION, tunnel->suspicion_reason);
}

/* Behind what else is said of the tunnel: a verdict takes the suspicion's place without a gap. */
static void suspicion_ends(struct bridge *b, const struct tunnel_view *tunnel)
{
	struct suspicion *s;

	if (tunnel->suspicion != SUSPICION_OVER)
		return;
	HASH_FIND(hh, b->suspicions, tunnel->conn, strlen(tunnel->conn), s);
	if (!s)
		return;
	bridge_tunnel_alive(b, s->interface, WITNESS_SUSPICION, tunnel->suspicion_reason);
	forget_suspicion(b, s);
}

static void note_user(struct bridge *b, const struct tunnel_view *tunnel, const char *name)
{
	if (tunnel->dropped)
		device_users_drop(b->users, tunnel->conn, NULL);
	else if (!device_users_put(b->users, tunnel->conn, name, tunnel->up, NULL) &&
		 strlen(name) < IF_NAMESIZE)
		log_to(b->log, LOG_LEVEL_ERROR, "tunnel", tunnel->conn,
		       "out of memory: what happens to %s is not heeded", name);
}

static void describe(struct bridge *b, const struct tunnel_view *tunnel, const char *name)
{
	unsigned up;

	/* Another one on the device is described there. */
	if (!tunnel->dropped || !device_users_count(b->users, name, &up))
		bridge_describe(b, tunnel, name);
}

/* One that is dropped is down, and leaves nothing behind. */
static void reconcile(struct bridge *b, const struct tunnel_view *tunnel, const char *cause)
{
	const struct bridge_section *s = bridge_config_match(b->config, tunnel->conn);
	const char *name =
		s ? bridge_interface_of(s, tunnel->conn, tunnel->interface) : tunnel->interface;
	const struct interface *i = NULL;
	struct route_claim *claims = NULL;
	size_t n = 0;

	note_user(b, tunnel, name);
	suspicion_begins(b, tunnel, name);
	if (s && interfaces_blind_news(b->interfaces, name))
		log_to(b->log, LOG_LEVEL_WARN, "zebra", "",
		       "%s has 'no link-detect': FRR will not notice when the tunnel goes down",
		       name);
	if (s && tunnel->up)
		i = interfaces_find(b->interfaces, name);
	bridge_quality_tunnel(b, tunnel, tunnel->dropped ? NULL : s, i);
	if (i && i->operative)
		claims = claims_of(b, s, tunnel, i, &n);
	if (!routes_set(b->routes, tunnel->conn, claims, n, cause))
		log_to(b->log, LOG_LEVEL_ERROR, "route", tunnel->conn,
		       "out of memory: some of its routes are missing");
	free(claims);
	if (s)
		describe(b, tunnel, name);
	bridge_repair_tunnel(b, tunnel, name);
	suspicion_ends(b, tunnel);
	bridge_watch_tunnel(b, tunnel);
}

void bridge_reconcile(struct bridge *b)
{
	struct tunnel_view tunnel;

	while (tunnels_changed(b->tunnels, &tunnel)) {
		log_to(b->log, LOG_LEVEL_DEBUG, "tunnel", tunnel.conn, "%s: %s",
		       tunnel.up ? "up" : "down", tunnel.cause);
		reconcile(b, &tunnel, tunnel.cause);
	}
	bridge_repair_settle(b); /* the way around first, then what it is for may go */
	bridge_settle(b);
}

/* ---- the next retry ---- */

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge *b = timer->data;

	(void)loop;
	(void)events;
	routes_expire(b->routes, mono_now());
	bridge_settle(b);
	bridge_silent_ask(b);
}

void bridge_confirmed(struct bridge *b)
{
	log_balance(b);
	arm_retry(b);
}

void bridge_claims_init(struct bridge *b)
{
	ev_timer_init(&b->retry, on_retry, 0., 0.);
	b->retry.data = b;
}

void bridge_claims_end(struct bridge *b)
{
	ev_timer_stop(b->loop, &b->retry);
	while (b->suspicions)
		forget_suspicion(b, b->suspicions);
}
