/* The kernel's rules for U-turns: packets that come in on a neighbour's device look into a
 * table of its own first, which zebra has the turns for; what is not there is looked up as
 * ever. A rule is there while its table has a route. */
#include "routed-bridge/bridge_parts.h"
#include "lib/netlink_route.h"
#include "routed-bridge/kernel_routes.h"
#include "routed-bridge/turn_settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#define RULE_PRIORITY 4747 /* before main's, 32766, and behind local's */

static const uint8_t families[] = {AF_INET, AF_INET6};

struct turn_device {
	uint32_t ifindex;
	unsigned turns;
	char name[IF_NAMESIZE];
	UT_hash_handle hh;
};

#define FILE_MAX (BRIDGE_PATH_MAX + 32)

/* Beside the lock. */
static const char *settings_file(const struct bridge *b, char path[FILE_MAX])
{
	snprintf(path, FILE_MAX, "%s.routed-bridge.sysctl", b->config->zserv);
	return path;
}

static struct turn_settings *settings(struct bridge *b)
{
	char path[FILE_MAX];

	if (!b->turn_settings)
		b->turn_settings = turn_settings_new(settings_file(b, path));
	return b->turn_settings;
}

static void prepare(struct bridge *b, const char *device)
{
	struct turn_settings *t = settings(b);
	const char *on = t ? turn_settings_off(t, device) : NULL;

	if (on)
		log_to(b->log, LOG_LEVEL_WARN, "repair", device,
		       "%s stays on, and U-turns may not work there: %s", on, strerror(errno));
}

uint32_t bridge_turn_table(uint32_t ifindex)
{
	return BRIDGE_TURN_TABLES + ifindex;
}

static bool open_netlink(struct bridge *b)
{
	if (!b->netlink)
		b->netlink = netlink_open();
	return b->netlink;
}

static void set_rules(struct bridge *b, const struct turn_device *d, bool add)
{
	for (size_t i = 0; i < sizeof(families); i++) {
		struct netlink_rule rule = {.family = families[i],
					    .table = bridge_turn_table(d->ifindex),
					    .priority = RULE_PRIORITY,
					    .protocol = KERNEL_ROUTES_PROTOCOL};
		int e;

		snprintf(rule.iif, sizeof(rule.iif), "%s", d->name);
		e = add ? netlink_rule_add(b->netlink, &rule)
			: netlink_rule_remove(b->netlink, &rule);
		if (e < 0 && add)
			log_to(b->log, LOG_LEVEL_ERROR, "repair", d->name,
			       "no U-turns there: rule: %s", netlink_strerror(b->netlink, e));
	}
}

static struct turn_device *find_or_add(struct bridge *b, uint32_t ifindex)
{
	struct turn_device *d;

	HASH_FIND(hh, b->turn_devices, &ifindex, sizeof(ifindex), d);
	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->ifindex = ifindex;
	HASH_ADD(hh, b->turn_devices, ifindex, sizeof(d->ifindex), d);
	return d;
}

void bridge_turn_told(struct bridge *b, uint32_t ifindex, bool add)
{
	struct turn_device *d = find_or_add(b, ifindex);

	if (!d || !open_netlink(b))
		return;
	if (add && d->turns++ == 0 && if_indextoname(ifindex, d->name)) {
		prepare(b, "all");
		prepare(b, d->name);
		set_rules(b, d, true);
	}
	if (!add && d->turns && --d->turns == 0) {
		set_rules(b, d, false);
		if (b->turn_settings)
			turn_settings_back(b->turn_settings, d->name);
	}
}

void bridge_turns_end(struct bridge *b)
{
	struct turn_device *d, *next;

	HASH_ITER (hh, b->turn_devices, d, next) {
		if (d->turns)
			set_rules(b, d, false);
		HASH_DEL(b->turn_devices, d);
		free(d);
	}
	turn_settings_free(b->turn_settings);
	b->turn_settings = NULL;
}

/* ---- what a bridge that was killed left ---- */

#define LEFTOVERS 256 /* rules that are looked at together */

struct leftovers {
	struct netlink_rule rules[LEFTOVERS];
	size_t n;
};

static void gather(void *ctx, const struct netlink_rule *rule)
{
	struct leftovers *l = ctx;

	if (rule->protocol == KERNEL_ROUTES_PROTOCOL && rule->priority == RULE_PRIORITY &&
	    l->n < LEFTOVERS)
		l->rules[l->n++] = *rule;
}

void bridge_turns_sweep(struct bridge *b)
{
	struct leftovers *l = calloc(1, sizeof(*l));

	for (size_t i = 0; l && open_netlink(b) && i < sizeof(families); i++) {
		size_t removed;

		do {
			l->n = removed = 0;
			netlink_rule_list(b->netlink, families[i], gather, l);
			for (size_t k = 0; k < l->n; k++)
				removed += netlink_rule_remove(b->netlink, &l->rules[k]) == 0;
		} while (removed && l->n == LEFTOVERS);
	}
	free(l);
	settings(b);
}

void bridge_turns_recover(struct bridge *b)
{
	bridge_turns_sweep(b);
	turn_settings_free(b->turn_settings);
	b->turn_settings = NULL;
}
