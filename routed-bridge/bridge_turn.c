/* The kernel's rules for U-turns: packets that come in on a neighbour's device look into a
 * table of its own first, which zebra has the turns for; what is not there is looked up as
 * ever. A rule is there while its table has a route. */
#include "routed-bridge/bridge_parts.h"
#include "lib/netlink_route.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#define RULE_PRIORITY 4747 /* before main's, 32766, and behind local's */
#define PROTOCOL      69   /* RTPROT_*: the bridge's own rules are told from others' by it */

static const uint8_t families[] = {AF_INET, AF_INET6};

/* A packet may leave over the device that it came in on: its neighbour turns it then. For
 * such a packet the kernel looks for a way back to its source as if that came in on the device,
 * too, finds the table of turns there, and calls the source a martian: unless redirects and
 * reverse path filters are off. `all` counts for every device (the first by "or", the second
 * by the maximum), so that it is set once; other devices keep what they have themselves. */
static const char *const settings[] = {"send_redirects", "rp_filter"};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

struct turn_device {
	uint32_t ifindex;
	unsigned turns;
	char name[IF_NAMESIZE];
	char old[SETTINGS]; /* 0: not changed */
	UT_hash_handle hh;
};

/* Puts `to` there; returns what was there before, 0 if that was the same or on an error, which
 * errno tells. */
static char set_value(const char *device, const char *setting, char to)
{
	char path[96], was = 0;
	int fd;

	errno = 0;
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", device, setting);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &was, 1, 0) != 1 || was == to || pwrite(fd, &to, 1, 0) != 1)
		was = 0;
	close(fd);
	return was;
}

static void prepare(struct bridge *b, struct turn_device *d)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		d->old[i] = set_value(d->name, settings[i], '0');
		if (errno && !d->old[i])
			log_to(b->log, LOG_LEVEL_WARN, "repair", d->name,
			       "%s stays on, and U-turns may not work there: %s", settings[i],
			       strerror(errno));
	}
}

static void give_back(const struct turn_device *d)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (d->old[i])
			set_value(d->name, settings[i], d->old[i]);
	}
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
					    .protocol = PROTOCOL};
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

/* ifindex 0 is `all`. */
static void prepare_all(struct bridge *b)
{
	struct turn_device *all = find_or_add(b, 0);

	if (!all || all->turns)
		return;
	all->turns = 1;
	snprintf(all->name, sizeof(all->name), "all");
	prepare(b, all);
}

void bridge_turn_told(struct bridge *b, uint32_t ifindex, bool add)
{
	struct turn_device *d = find_or_add(b, ifindex);

	if (!d || !open_netlink(b))
		return;
	if (add && d->turns++ == 0 && if_indextoname(ifindex, d->name)) {
		prepare_all(b);
		prepare(b, d);
		set_rules(b, d, true);
	}
	if (!add && d->turns && --d->turns == 0) {
		set_rules(b, d, false);
		give_back(d);
	}
}

void bridge_turns_end(struct bridge *b)
{
	struct turn_device *d, *next;

	HASH_ITER (hh, b->turn_devices, d, next) {
		if (d->turns && d->ifindex)
			set_rules(b, d, false);
		if (d->turns)
			give_back(d);
		HASH_DEL(b->turn_devices, d);
		free(d);
	}
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

	if (rule->protocol == PROTOCOL && rule->priority == RULE_PRIORITY && l->n < LEFTOVERS)
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
}
