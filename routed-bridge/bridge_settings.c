/* FRR's settings are read now and then, over the vty sockets, and what would defeat failover
 * is said in the log: once when it is found, and once more when it is gone. */
#include "routed-bridge/bridge_parts.h"
#include "lib/netlink.h"
#include "routed-bridge/frr_settings.h"
#include "routed-bridge/frr_version.h"
#include "routed-bridge/vty.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define FIRST_LOOK 3.0 /* seconds behind zebra's HELLO: FRR reads its files meanwhile */
#define NEXT_LOOK  60.0

/* Each is asked for its running-config; the last one exists since FRR 10 and has zebra's. */
enum asked { BGPD, ZEBRA, MGMTD, ASKED };

static const char *const daemons[] = {"bgpd", "zebra", "mgmtd"};

struct finding {
	char text[FRR_SETTINGS_LINE];
	enum asked of;
	bool there; /* mark of a look */
	struct finding *next;
};

/* A network that a tunnel's device has an address in. */
struct network {
	struct prefix prefix;
	char interface[IF_NAMESIZE];
	struct network *next;
};

struct look {
	struct bridge_settings *bs;
	enum asked of;
};

struct bridge_settings {
	struct bridge *b;
	struct vty *vty;
	ev_timer timer;
	struct look looks[ASKED];
	struct finding *findings;
	struct network *networks;
	char types[BRIDGE_SESSIONS_MAX + 1][24];
};

/* ---- tunnels ---- */

struct gathering {
	struct bridge_settings *bs;
	const char *interface;
};

static void take_address(void *ctx, const struct netlink_addr *addr)
{
	struct gathering *g = ctx;
	struct network *n = calloc(1, sizeof(*n));

	if (!n)
		return;
	n->prefix = addr->prefix;
	snprintf(n->interface, sizeof(n->interface), "%s", g->interface);
	LL_PREPEND(g->bs->networks, n);
}

static void take_tunnel(void *ctx, const char *conn, const char *named)
{
	struct bridge_settings *bs = ctx;
	const struct bridge_section *s = bridge_config_match(bs->b->config, conn);
	struct gathering g = {.bs = bs};
	struct netlink_link link;

	if (!s)
		return;
	g.interface = bridge_interface_of(s, conn, named);
	if (netlink_link_find(bs->b->netlink, g.interface, &link) == 0)
		netlink_addr_list(bs->b->netlink, link.ifindex, take_address, &g);
}

static void forget_networks(struct bridge_settings *bs)
{
	struct network *n, *next;

	LL_FOREACH_SAFE (bs->networks, n, next)
		free(n);
	bs->networks = NULL;
}

static void gather_networks(struct bridge_settings *bs)
{
	forget_networks(bs);
	if (!bs->b->netlink)
		bs->b->netlink = netlink_open();
	if (bs->b->netlink)
		tunnels_each(bs->b->tunnels, take_tunnel, bs);
}

static const char *tunnel_of(void *ctx, const char *neighbor)
{
	const struct look *look = ctx;
	const struct network *n;
	struct addr a;
	bool address = addr_parse(neighbor, &a);

	LL_FOREACH (look->bs->networks, n) {
		if (address ? prefix_contains(&n->prefix, &a) : strcmp(n->interface, neighbor) == 0)
			return n->interface;
	}
	return NULL;
}

/* ---- findings ---- */

static void on_finding(void *ctx, const char *line)
{
	const struct look *look = ctx;
	struct bridge_settings *bs = look->bs;
	struct finding *f;

	LL_FOREACH (bs->findings, f) {
		if (f->of == look->of && strcmp(f->text, line) == 0) {
			f->there = true;
			return;
		}
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return;
	snprintf(f->text, sizeof(f->text), "%s", line);
	f->of = look->of;
	f->there = true;
	LL_APPEND(bs->findings, f);
	log_to(bs->b->log, LOG_LEVEL_WARN, "frr", daemons[look->of], "%s", line);
}

static void drop_gone(struct bridge_settings *bs, enum asked of)
{
	struct finding *f, *next;

	LL_FOREACH_SAFE (bs->findings, f, next) {
		if (f->of != of || f->there)
			continue;
		log_to(bs->b->log, LOG_LEVEL_NOTICE, "frr", daemons[of], "no longer so: %s",
		       f->text);
		LL_DELETE(bs->findings, f);
		free(f);
	}
}

/* The types of ours, in `redistribute`'s words; the backups' is the last. */
static size_t list_types(struct bridge_settings *bs, struct frr_settings_type *types)
{
	const struct bridge *b = bs->b;
	enum zapi_route_type type;
	uint16_t instance;
	size_t n = 0;

	for (; n < b->n_sessions; n++) {
		zebra_type(b->sessions[n], &type, &instance);
		types[n] = (struct frr_settings_type){
			.words = bridge_type_format(type, instance, bs->types[n])};
	}
	if (b->config->repair.on) {
		types[n] = (struct frr_settings_type){
			.words = bridge_type_format(b->config->repair.type,
						    b->config->repair.instance, bs->types[n]),
			.backup = true};
		n++;
	}
	return n;
}

static void on_config(void *ctx, struct span text, uint8_t status, const char *why)
{
	struct look *look = ctx;
	struct bridge_settings *bs = look->bs;
	struct frr_settings_type types[BRIDGE_SESSIONS_MAX + 1];
	const struct frr_settings s = {
		.types = types,
		.n_types = list_types(bs, types),
		.tunnel_of = tunnel_of,
		.finding = on_finding,
		.ctx = look,
	};
	struct finding *f;

	if (why || status != VTY_SUCCESS)
		return; /* it does not run, or is just starting */
	LL_FOREACH (bs->findings, f) {
		f->there = f->there && f->of != look->of;
	}
	gather_networks(bs);
	if (look->of == BGPD)
		frr_settings_bgp(&s, text);
	else
		frr_settings_zebra(&s, text);
	drop_gone(bs, look->of);
}

/* ---- life ---- */

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge_settings *bs = timer->data;
	bool mgmtd = frr_daemon_runs(bs->b->config->vty_dir, daemons[MGMTD]);

	(void)loop;
	(void)events;
	vty_ask(bs->vty, daemons[BGPD], "show running-config", on_config, &bs->looks[BGPD]);
	vty_ask(bs->vty, daemons[mgmtd ? MGMTD : ZEBRA], "show running-config", on_config,
		&bs->looks[mgmtd ? MGMTD : ZEBRA]);
	timer->repeat = NEXT_LOOK;
	ev_timer_again(bs->b->loop, timer);
}

void bridge_settings_look(struct bridge *b)
{
	struct bridge_settings *bs = b->settings;

	if (!bs)
		return;
	bs->timer.repeat = FIRST_LOOK;
	ev_timer_again(b->loop, &bs->timer);
}

void bridge_settings_each(const struct bridge *b, void (*each)(void *ctx, const char *text),
			  void *ctx)
{
	const struct finding *f;

	LL_FOREACH (b->settings ? b->settings->findings : NULL, f)
		each(ctx, f->text);
}

void bridge_settings_fit(struct bridge *b)
{
	struct bridge_settings *bs;

	bridge_settings_end(b);
	bs = calloc(1, sizeof(*bs));
	if (!bs)
		return;
	bs->b = b;
	bs->vty = vty_new(b->loop, b->config->vty_dir, NULL);
	for (unsigned i = 0; i < ASKED; i++)
		bs->looks[i] = (struct look){.bs = bs, .of = (enum asked)i};
	ev_timer_init(&bs->timer, on_look, FIRST_LOOK, FIRST_LOOK);
	bs->timer.data = bs;
	b->settings = bs;
	if (bs->vty)
		ev_timer_start(b->loop, &bs->timer);
	else
		bridge_settings_end(b);
}

void bridge_settings_end(struct bridge *b)
{
	struct bridge_settings *bs = b->settings;
	struct finding *f, *next;

	if (!bs)
		return;
	b->settings = NULL;
	ev_timer_stop(b->loop, &bs->timer);
	vty_free(bs->vty);
	forget_networks(bs);
	LL_FOREACH_SAFE (bs->findings, f, next)
		free(f);
	free(bs);
}
