/* rtnetlink transport: the request socket and the monitor. Owns two kinds of sockets;
 * what is inside the messages is netlink_message.c's. */
#include "lib/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

struct netlink {
	struct mnl_socket *socket;
	uint32_t portid, seq;
	char words[160]; /* the kernel's, for the last error */
	uint8_t buf[NETLINK_BUFFER] __attribute__((aligned(8)));
};

struct netlink *netlink_open(void)
{
	struct netlink *nl = calloc(1, sizeof(*nl));
	int on = 1;

	if (!nl)
		return NULL;
	nl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		netlink_close(nl);
		return NULL;
	}
	nl->portid = mnl_socket_get_portid(nl->socket);
	/* The kernel's words in errors; an old kernel without them is fine, too. */
	mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	return nl;
}

void netlink_close(struct netlink *nl)
{
	if (!nl)
		return;
	if (nl->socket)
		mnl_socket_close(nl->socket);
	free(nl);
}

/* Extended acknowledgement: attributes behind the (capped) copy of our header. */
static void keep_words(struct netlink *nl, const struct nlmsghdr *h)
{
	unsigned offset = sizeof(struct nlmsgerr);
	const struct nlattr *attr;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	mnl_attr_for_each(attr, h, offset)
	{
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			snprintf(nl->words, sizeof(nl->words), "%s", mnl_attr_get_str(attr));
	}
}

struct answer {
	struct netlink *nl;
	void (*cb)(void *ctx, const struct nlmsghdr *answer);
	void *ctx;
	int error;
	bool done;
};

/* One message of an answer: data, the end of a dump, or an (error) acknowledgement. */
static void take_answer(struct answer *a, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_seq != a->nl->seq || h->nlmsg_pid != a->nl->portid)
		return;
	switch (h->nlmsg_type) {
	case NLMSG_NOOP:
		return;
	case NLMSG_DONE:
		a->done = true;
		return;
	case NLMSG_ERROR:
		a->done = true;
		if (mnl_nlmsg_get_payload_len(h) < sizeof(*e)) {
			a->error = -EBADMSG;
			return;
		}
		a->error = e->error;
		if (e->error)
			keep_words(a->nl, h);
		return;
	default:
		if (a->cb)
			a->cb(a->ctx, h);
		/* The answer to a get for one object: an acknowledgement follows it. */
		return;
	}
}

static int receive(struct answer *a)
{
	while (!a->done) {
		ssize_t n = mnl_socket_recvfrom(a->nl->socket, a->nl->buf, sizeof(a->nl->buf));
		const struct nlmsghdr *h = (const struct nlmsghdr *)a->nl->buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		while (!a->done && mnl_nlmsg_ok(h, left)) {
			take_answer(a, h);
			h = mnl_nlmsg_next(h, &left);
		}
	}
	return a->error;
}

int netlink_query(struct netlink *nl, struct nlmsghdr *h,
		  void (*cb)(void *ctx, const struct nlmsghdr *answer), void *ctx)
{
	struct answer answer = {.nl = nl, .cb = cb, .ctx = ctx};

	nl->words[0] = 0;
	if (!h)
		return -EMSGSIZE;
	h->nlmsg_seq = ++nl->seq;
	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_sendto(nl->socket, h, h->nlmsg_len) < 0)
		return -errno;
	return receive(&answer);
}

int netlink_request(struct netlink *nl, struct nlmsghdr *h)
{
	return netlink_query(nl, h, NULL, NULL);
}

const char *netlink_strerror(const struct netlink *nl, int error)
{
	return nl->words[0] ? nl->words : strerror(-error);
}

/* ---- links ---- */

struct one_link {
	struct netlink_link *out;
	bool found;
};

static void take_link(void *ctx, const struct nlmsghdr *h)
{
	struct one_link *one = ctx;

	if (!one->found)
		one->found = netlink_parse_link(h, one->out);
}

static int link_query(struct netlink *nl, int ifindex, const char *name, struct netlink_link *out)
{
	uint8_t buf[NETLINK_BUFFER] __attribute__((aligned(8)));
	struct one_link one = {.out = out};
	int e = netlink_query(nl, netlink_build_link_get(buf, sizeof(buf), ifindex, name),
			      take_link, &one);

	return e == 0 && !one.found ? -ENODEV : e;
}

int netlink_link_get(struct netlink *nl, int ifindex, struct netlink_link *out)
{
	return ifindex > 0 ? link_query(nl, ifindex, NULL, out) : -ENODEV;
}

int netlink_link_find(struct netlink *nl, const char *name, struct netlink_link *out)
{
	return name[0] ? link_query(nl, 0, name, out) : -ENODEV;
}

int netlink_link_change(struct netlink *nl, int ifindex, const struct netlink_link_change *change)
{
	uint8_t buf[256] __attribute__((aligned(8)));

	return netlink_request(nl, netlink_build_link_change(buf, sizeof(buf), ifindex, change));
}

int netlink_link_set_up(struct netlink *nl, int ifindex, bool up)
{
	return netlink_link_change(nl, ifindex,
				   &(struct netlink_link_change){.set_up = true, .up = up});
}

int netlink_link_set_mtu(struct netlink *nl, int ifindex, uint32_t mtu)
{
	return netlink_link_change(nl, ifindex,
				   &(struct netlink_link_change){.set_mtu = true, .mtu = mtu});
}

int netlink_link_set_linkmode(struct netlink *nl, int ifindex, uint8_t linkmode)
{
	return netlink_link_change(
		nl, ifindex,
		&(struct netlink_link_change){.set_linkmode = true, .linkmode = linkmode});
}

int netlink_link_set_operstate(struct netlink *nl, int ifindex, uint8_t operstate)
{
	return netlink_link_change(
		nl, ifindex,
		&(struct netlink_link_change){.set_operstate = true, .operstate = operstate});
}

/* ---- addresses ---- */

static int addr_request(struct netlink *nl, int ifindex, const struct prefix *prefix, bool add)
{
	uint8_t buf[256] __attribute__((aligned(8)));

	return netlink_request(nl, netlink_build_addr(buf, sizeof(buf), ifindex, prefix, add));
}

int netlink_addr_add(struct netlink *nl, int ifindex, const struct prefix *prefix)
{
	return addr_request(nl, ifindex, prefix, true);
}

int netlink_addr_remove(struct netlink *nl, int ifindex, const struct prefix *prefix)
{
	return addr_request(nl, ifindex, prefix, false);
}

struct addr_list {
	int ifindex;
	void (*cb)(void *ctx, const struct netlink_addr *addr);
	void *ctx;
};

static void take_addr(void *ctx, const struct nlmsghdr *h)
{
	const struct addr_list *list = ctx;
	struct netlink_addr addr;

	if (netlink_parse_addr(h, &addr) && (list->ifindex == 0 || list->ifindex == addr.ifindex))
		list->cb(list->ctx, &addr);
}

int netlink_addr_list(struct netlink *nl, int ifindex,
		      void (*cb)(void *ctx, const struct netlink_addr *addr), void *ctx)
{
	uint8_t buf[256] __attribute__((aligned(8)));
	struct addr_list list = {.ifindex = ifindex, .cb = cb, .ctx = ctx};

	return netlink_query(nl, netlink_build_addr_dump(buf, sizeof(buf)), take_addr, &list);
}

/* ---- monitor ---- */

struct netlink_monitor {
	struct mnl_socket *socket;
	struct netlink_monitor_host host;
};

struct netlink_monitor *netlink_monitor_open(const struct netlink_monitor_host *host)
{
	struct netlink_monitor *m = calloc(1, sizeof(*m));
	unsigned groups = (host->link ? RTMGRP_LINK : 0u) |
			  (host->addr ? RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR : 0u);

	if (!m)
		return NULL;
	m->host = *host;
	m->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!m->socket || mnl_socket_bind(m->socket, groups, MNL_SOCKET_AUTOPID) < 0) {
		netlink_monitor_close(m);
		return NULL;
	}
	return m;
}

void netlink_monitor_close(struct netlink_monitor *m)
{
	if (!m)
		return;
	if (m->socket)
		mnl_socket_close(m->socket);
	free(m);
}

int netlink_monitor_fd(const struct netlink_monitor *m)
{
	return mnl_socket_get_fd(m->socket);
}

static void take_change(const struct netlink_monitor *m, const struct nlmsghdr *h)
{
	struct netlink_link link;
	struct netlink_addr addr;

	if (m->host.link && netlink_parse_link(h, &link))
		m->host.link(m->host.ctx, &link);
	else if (m->host.addr && netlink_parse_addr(h, &addr))
		m->host.addr(m->host.ctx, &addr);
}

int netlink_monitor_read(struct netlink_monitor *m)
{
	uint8_t buf[NETLINK_BUFFER] __attribute__((aligned(8)));

	for (;;) {
		ssize_t n = mnl_socket_recvfrom(m->socket, buf, sizeof(buf));
		const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
		int left = (int)n;

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
			if (m->host.lost)
				m->host.lost(m->host.ctx);
			continue;
		}
		if (n < 0)
			return -errno;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			take_change(m, h);
	}
}
