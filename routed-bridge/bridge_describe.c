/* Devices are described as their tunnels change, over rtnetlink. What zebra's `description`
 * would do, but without a line in running-config. */
#include "routed-bridge/bridge_parts.h"
#include "lib/netlink_device.h"
#include "routed-bridge/describe.h"

#include <errno.h>

/* Not permitted (the bridge may run as FRR's user): said once. */
static void refused(struct bridge *b, const char *interface, const char *why)
{
	if (b->describe_refused)
		return;
	b->describe_refused = true;
	log_to(b->log, LOG_LEVEL_NOTICE, "netlink", interface,
	       "devices are not described ('show interface' shows no peer): %s", why);
}

static void set_alias(struct bridge *b, const char *interface, const char *text)
{
	char alias[DESCRIBE_MAX];
	struct netlink_device device;
	struct netlink_link link;
	int e;

	if (!b->netlink)
		b->netlink = netlink_open();
	if (!b->netlink) {
		refused(b, interface, strerror(errno));
		return;
	}
	if (netlink_link_find(b->netlink, interface, &link) < 0 ||
	    netlink_device_get(b->netlink, link.ifindex, &device) < 0)
		return; /* not there: it is described when it comes */
	if (!describe_merge(device.alias, text, alias) || strcmp(alias, device.alias) == 0)
		return;
	e = netlink_link_set_alias(b->netlink, link.ifindex, alias);
	if (e == -EPERM || e == -EACCES)
		refused(b, interface, netlink_strerror(b->netlink, e));
}

void bridge_describe(struct bridge *b, const struct tunnel_view *tunnel, const char *interface)
{
	struct describe_tunnel t = {.conn = tunnel->conn,
				    .peer_host = tunnel->peer_host,
				    .peer_id = tunnel->peer_id,
				    .up = tunnel->up,
				    .cause = tunnel->cause};
	char text[DESCRIBE_MAX];

	if (!b->config->describe || b->describe_refused)
		return;
	text[0] = '\0';
	if (!tunnel->dropped)
		describe_format(&t, text);
	set_alias(b, interface, text);
}

static void take_away(void *ctx, const char *conn, const char *named)
{
	struct bridge *b = ctx;
	const struct bridge_section *s = bridge_config_match(b->config, conn);

	if (s && !b->describe_refused)
		set_alias(b, bridge_interface_of(s, conn, named), "");
}

struct described {
	struct bridge *bridge;
	const struct bridge_config *before;
};

/* The device that a file would have described for that connection; NULL: none. */
static const char *described_by(const struct bridge_config *config, const char *conn,
				const char *named)
{
	const struct bridge_section *s =
		config->describe ? bridge_config_match(config, conn) : NULL;

	return s ? bridge_interface_of(s, conn, named) : NULL;
}

static void take_outdated(void *ctx, const char *conn, const char *named)
{
	const struct described *d = ctx;
	const char *was = described_by(d->before, conn, named);
	const char *is = described_by(d->bridge->config, conn, named);

	if (was && (!is || strcmp(was, is) != 0))
		set_alias(d->bridge, was, "");
}

void bridge_describe_fit(struct bridge *b, const struct bridge_config *before)
{
	struct described d = {b, before};

	if (!b->describe_refused)
		tunnels_each(b->tunnels, take_outdated, &d);
}

void bridge_describe_end(struct bridge *b)
{
	if (b->config->describe)
		tunnels_each(b->tunnels, take_away, b);
	if (b->netlink)
		netlink_close(b->netlink);
	b->netlink = NULL;
}
