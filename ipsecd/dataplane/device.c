/* Addresses, operstate and /proc/sys settings of a tunnel device, for the planes that have
 * devices of the kernel. Keeps no state. */
#include "ipsecd/dataplane/device.h"

#include "ipsecd/dataplane/tun.h"
#include "lib/log.h"
#include "lib/netlink_route.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <stdio.h>
#include <unistd.h>

/* RFC 2863 operational states and Linux's link modes; <linux/if.h> has them as enums. */
#define OPER_UP	     IF_OPER_UP
#define OPER_DORMANT IF_OPER_DORMANT

/* ---- addresses ---- */

static const struct prefix *find_prefix(const struct tunnel_config *c, const struct prefix *p)
{
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (prefix_equal(&c->addrs[i], p))
			return &c->addrs[i];
	return NULL;
}

static bool has_addr(const struct tunnel_config *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (addr_equal(&c->addrs[i].addr, a))
			return true;
	return false;
}

/* Removes what `from` has and `to` has not. Gone already is as good as removed. With
 * `clashing` only addresses that `to` has under another length: the kernel holds an
 * IPv6 address once, whatever its length. */
static void remove_addrs(struct netlink *nl, int ifindex, const struct tunnel_config *from,
			 const struct tunnel_config *to, bool clashing)
{
	for (unsigned i = 0; i < from->n_addrs; i++) {
		const struct prefix *p = &from->addrs[i];

		if (!find_prefix(to, p) && (!clashing || has_addr(to, &p->addr)))
			netlink_addr_remove(nl, ifindex, p);
	}
}

int device_set_addrs(struct netlink *nl, int ifindex, const struct tunnel_config *from,
		     const struct tunnel_config *to, const struct prefix **at)
{
	remove_addrs(nl, ifindex, from, to, true);
	for (unsigned i = 0; i < to->n_addrs; i++) {
		int e = netlink_addr_add(nl, ifindex, &to->addrs[i]);

		if (e == 0)
			continue;
		*at = &to->addrs[i];
		/* Back to `from`. */
		for (unsigned undo = 0; undo < i; undo++)
			if (!find_prefix(from, &to->addrs[undo]))
				netlink_addr_remove(nl, ifindex, &to->addrs[undo]);
		for (unsigned undo = 0; undo < from->n_addrs; undo++)
			netlink_addr_add(nl, ifindex, &from->addrs[undo]);
		return e;
	}
	remove_addrs(nl, ifindex, from, to, false);
	return 0;
}

struct lookup {
	const struct prefix *prefix;
	bool found;
};

static void look_at(void *ctx, const struct netlink_addr *addr)
{
	struct lookup *l = ctx;

	l->found = l->found || prefix_equal(&addr->prefix, l->prefix);
}

bool device_addr_changed(struct netlink *nl, const struct tunnel_config *config,
			 const struct netlink_addr *addr, const struct log_sink *log)
{
	struct lookup l = {.prefix = &addr->prefix};
	struct netlink_link link;
	char text[PREFIX_TEXT];

	if (!addr->removed || !find_prefix(config, &addr->prefix))
		return false;
	/* With the device, or set down with it: told otherwise. */
	if (netlink_link_get(nl, addr->ifindex, &link) != 0 || !(link.flags & IFF_UP))
		return false;
	if (netlink_addr_list(nl, addr->ifindex, look_at, &l) != 0 || l.found)
		return false;
	log_to(log, LOG_LEVEL_WARN, "knl", config->name,
	       "%s: somebody removed the address %s; a reload brings it back", link.name,
	       prefix_format(&addr->prefix, text));
	return true;
}

static struct netlink_link_change link_state(bool up)
{
	return (struct netlink_link_change){.set_linkmode = true,
					    .linkmode = IF_LINK_MODE_DORMANT,
					    .set_operstate = true,
					    .operstate = up ? OPER_UP : OPER_DORMANT};
}

int device_set_link(struct netlink *nl, int ifindex, bool up)
{
	const struct netlink_link_change change = link_state(up);

	return netlink_link_change(nl, ifindex, &change);
}

/* ---- settings ---- */

const struct device_setting device_settings[] = {
	/* Traffic may come back by another tunnel than it left by: loose (RFC 3704 2.4). */
	{"ipv4", "rp_filter", "2"},
	/* An address must not go when another of its subnet does. */
	{"ipv4", "promote_secondaries", "1"},
	{"ipv6", "accept_dad", "0"},
	{"ipv6", "router_solicitations", "0"},
	{"ipv6", "accept_ra", "0"},
	/* IPv6 addresses outlive the operator's `ip link set down`, as IPv4's do. */
	{"ipv6", "keep_addr_on_down", "1"},
};
const unsigned device_n_settings = sizeof(device_settings) / sizeof(*device_settings);

static int open_sysctl(const char *family, const char *device, const char *knob, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, knob);
	return open(path, flags | O_CLOEXEC);
}

bool device_sysctl_set(const char *family, const char *device, const char *knob, const char *value)
{
	int fd = open_sysctl(family, device, knob, O_WRONLY);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return done;
}

bool device_sysctl_get(const char *family, const char *device, const char *knob, char *value,
		       size_t size)
{
	int fd = open_sysctl(family, device, knob, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, value, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	value[n] = 0;
	value[strcspn(value, "\n")] = 0;
	return true;
}

void device_set_settings(const char *device)
{
	for (unsigned i = 0; i < device_n_settings; i++)
		device_sysctl_set(device_settings[i].family, device, device_settings[i].knob,
				  device_settings[i].value);
}

/* ---- a new TUN device ---- */

/* What of them a TUN device needs a file for: the kernel looks for no duplicates on a link
 * without ARP, and who takes no advertisements asks for none. */
static const struct device_setting tun_settings[] = {
	{"ipv6", "accept_ra", "0"},
	{"ipv6", "keep_addr_on_down", "1"},
};

struct batch {
	size_t len;
	bool full;
	uint8_t buf[NETLINK_BUFFER] __attribute__((aligned(8)));
};

static void batch_init(struct batch *b)
{
	b->len = 0;
	b->full = false;
}

static void add(struct batch *b, struct nlmsghdr *h)
{
	b->full |= !h;
	if (!h)
		return;
	h->nlmsg_flags &= (uint16_t)~NLM_F_ACK; /* only what is refused is told */
	b->len += NLMSG_ALIGN(h->nlmsg_len);
}

static void set_tun_settings(const char *name)
{
	for (unsigned i = 0; i < sizeof(tun_settings) / sizeof(*tun_settings); i++)
		device_sysctl_set(tun_settings[i].family, name, tun_settings[i].knob,
				  tun_settings[i].value);
}

/* Before it is up for the first time, so that nobody ever sees it as UP. `plain`: without what a
 * kernel may refuse. */
static void add_first(struct batch *b, const struct tun *tun, bool plain)
{
	struct netlink_link_change change = link_state(false);

	change.set_txqlen = !plain && tun->made && tun->ring; /* an operator may have chosen one */
	change.txqlen = tun->ring;
	change.set_ipv4 = !plain;
	change.rp_filter = 2; /* as in device_settings */
	change.promote_secondaries = 1;
	add(b, netlink_build_link_change(b->buf + b->len, sizeof(b->buf) - b->len, tun->ifindex,
					 &change));
}

static struct netlink_link_change set_up(uint16_t mtu)
{
	return (struct netlink_link_change){
		.set_up = true, .up = true, .set_mtu = true, .mtu = mtu};
}

/* A TUN never tells its qdisc to wait: what its ring has no room for is dropped. So a qdisc holds
 * nothing, and costs time and memory, with several queues for 256 of them. It is asked for before
 * the device is up for the first time, for then the kernel makes the system's default. */
static void add_qdisc(struct batch *b, int ifindex)
{
	add(b, netlink_build_qdisc(b->buf + b->len, sizeof(b->buf) - b->len, ifindex, "noqueue"));
}

static void add_rest(struct batch *b, const struct tun *tun, const struct tunnel_config *config,
		     uint16_t mtu)
{
	const struct netlink_link_change up = set_up(mtu);

	for (unsigned i = 0; i < config->n_addrs; i++)
		add(b, netlink_build_addr(b->buf + b->len, sizeof(b->buf) - b->len, tun->ifindex,
					  &config->addrs[i], true));
	if (tun->made) /* an operator may have chosen one for it since */
		add_qdisc(b, tun->ifindex);
	add(b,
	    netlink_build_link_change(b->buf + b->len, sizeof(b->buf) - b->len, tun->ifindex, &up));
}

static int send_batch(struct netlink *nl, struct batch *b, unsigned *at)
{
	*at = UINT_MAX; /* none of them alone */
	return b->full ? -EMSGSIZE : netlink_batch_at(nl, b->buf, b->len, at);
}

/* *at: which message was refused. */
static int fill(struct netlink *nl, const struct tun *tun, const struct tunnel_config *config,
		uint16_t mtu, bool plain, unsigned *at)
{
	struct batch b;

	if (plain)
		device_set_settings(config->name);
	else
		set_tun_settings(config->name);
	batch_init(&b);
	add_first(&b, tun, plain);
	add_rest(&b, tun, config, mtu);
	return send_batch(nl, &b, at);
}

/* Only the first refusal is told: what is behind the qdisc is asked for again. */
static int without_qdisc(struct netlink *nl, int ifindex, uint16_t mtu)
{
	const struct netlink_link_change up = set_up(mtu);

	return netlink_link_change(nl, ifindex, &up);
}

/* A kernel that does not know something of the message. A TUN that gets no memory for a ring has
 * EPERM (NOTIFY_BAD in its notifier), and the next one may well get it. */
static bool is_unknown(int error)
{
	return error == -EAFNOSUPPORT || error == -EOPNOTSUPP || error == -EINVAL;
}

/* What came behind a first message that is refused was carried out all the same, and is sent again,
 * to know that it was. */
int device_fill(struct netlink *nl, const struct tun *tun, const struct tunnel_config *config,
		uint16_t mtu, bool plain, struct device_refused *refused)
{
	unsigned at;
	int e = fill(nl, tun, config, mtu, plain, &at), first = 0;

	if (e && at == 0 && !plain) {
		first = e;
		e = fill(nl, tun, config, mtu, true, &at);
	}
	*refused = (struct device_refused){
		.addr = e && at && at <= config->n_addrs ? &config->addrs[at - 1] : NULL,
		.qdisc = e && tun->made && at == config->n_addrs + 1u ? e : 0};
	if (refused->qdisc)
		e = without_qdisc(nl, tun->ifindex, mtu);
	if (e == 0 && is_unknown(first))
		refused->first = first;
	return e;
}

int device_tell_addrs(struct netlink *nl, int ifindex, const struct tunnel_config *config)
{
	struct batch b;
	unsigned at;

	if (!config->n_addrs)
		return 0;
	batch_init(&b);
	for (unsigned i = 0; i < config->n_addrs; i++)
		add(&b, netlink_build_addr(b.buf + b.len, sizeof(b.buf) - b.len, ifindex,
					   &config->addrs[i], true));
	return send_batch(nl, &b, &at);
}

uint16_t device_path_mtu(struct netlink *nl, const struct addr *local, const struct addr *remote,
			 int ifindex)
{
	uint32_t mtu = netlink_path_mtu(nl, remote, local, ifindex);

	return mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
}
