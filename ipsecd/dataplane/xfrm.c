/* Transport of XFRM messages, per-socket policies and /proc/net/xfrm_stat. Owns no state;
 * what is inside the messages is xfrm_msg.c's. */
#include "ipsecd/dataplane/xfrm.h"

#include "lib/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_POLICY_V4                                                                          \
	17		    /* IP_XFRM_POLICY; <linux/in.h> and <netinet/in.h> exclude each other \
			     */
#define SOCKET_POLICY_V6 35 /* IPV6_XFRM_POLICY */

#define MESSAGE(name)	 uint8_t name[XFRM_MESSAGE_MAX] __attribute__((aligned(8)))

/* ---- states ---- */

/* The message has the keys in it. */
static int state_request(struct netlink *nl, const struct xfrm_state *s, bool update)
{
	MESSAGE(buf);
	struct nlmsghdr *h = xfrm_build_state_add(buf, sizeof(buf), s, update);
	int e = h ? netlink_request(nl, h) : -ENOSYS;

	explicit_bzero(buf, sizeof(buf));
	return e;
}

int xfrm_state_add(struct netlink *nl, const struct xfrm_state *s)
{
	return state_request(nl, s, false);
}

int xfrm_state_update(struct netlink *nl, const struct xfrm_state *s)
{
	return state_request(nl, s, true);
}

int xfrm_state_remove(struct netlink *nl, const struct addr *dst, uint32_t spi,
		      const struct xfrm_tag *tag)
{
	struct xfrm_state_info s = {.spi = spi, .protocol = IPPROTO_ESP, .dst = *dst, .tag = *tag};
	MESSAGE(buf);

	return netlink_request(nl, xfrm_build_state_del(buf, sizeof(buf), &s));
}

bool xfrm_has_cpus(struct netlink *nl)
{
	MESSAGE(buf);

	return netlink_request(nl, xfrm_build_cpu_trial(buf, sizeof(buf))) == -EINVAL;
}

struct state_list {
	void (*cb)(void *ctx, const struct xfrm_state_info *s);
	void *ctx;
	struct xfrm_state_info *one;
	bool found;
};

static void take_state(void *ctx, const struct nlmsghdr *h)
{
	struct state_list *list = ctx;
	struct xfrm_state_info s;

	if (!xfrm_parse_state(h, &s))
		return;
	list->found = true;
	if (list->one)
		*list->one = s;
	else
		list->cb(list->ctx, &s);
}

int xfrm_state_read(struct netlink *nl, const struct addr *dst, uint32_t spi,
		    const struct xfrm_tag *tag, struct xfrm_state_info *out)
{
	struct state_list list = {.one = out};
	MESSAGE(buf);
	int e = netlink_query(nl, xfrm_build_state_get(buf, sizeof(buf), dst, spi, tag), take_state,
			      &list);

	return e == 0 && !list.found ? -ESRCH : e;
}

int xfrm_state_list(struct netlink *nl, void (*cb)(void *ctx, const struct xfrm_state_info *s),
		    void *ctx)
{
	struct state_list list = {.cb = cb, .ctx = ctx};
	MESSAGE(buf);

	return netlink_query(nl, xfrm_build_state_dump(buf, sizeof(buf)), take_state, &list);
}

int xfrm_larval_remove(struct netlink *nl, const struct xfrm_policy *acquired, uint32_t spi)
{
	const struct xfrm_policy *p = acquired;
	MESSAGE(buf);
	int e = netlink_request(nl, xfrm_build_alloc_spi(buf, sizeof(buf), &p->src, &p->dst,
							 &p->tag, p->reqid, spi));

	return e ? e : xfrm_state_remove(nl, &p->dst, spi, &p->tag);
}

/* ---- policies ---- */

int xfrm_policy_set(struct netlink *nl, const struct xfrm_policy *p)
{
	MESSAGE(buf);

	return netlink_request(nl, xfrm_build_policy_set(buf, sizeof(buf), p));
}

int xfrm_policy_remove(struct netlink *nl, const struct xfrm_policy *p)
{
	MESSAGE(buf);

	return netlink_request(nl, xfrm_build_policy_del(buf, sizeof(buf), p));
}

struct policy_list {
	void (*cb)(void *ctx, const struct xfrm_policy *p);
	void *ctx;
};

static void take_policy(void *ctx, const struct nlmsghdr *h)
{
	const struct policy_list *list = ctx;
	struct xfrm_policy p;

	if (xfrm_parse_policy(h, &p))
		list->cb(list->ctx, &p);
}

int xfrm_policy_list(struct netlink *nl, void (*cb)(void *ctx, const struct xfrm_policy *p),
		     void *ctx)
{
	struct policy_list list = {.cb = cb, .ctx = ctx};
	MESSAGE(buf);

	return netlink_query(nl, xfrm_build_policy_dump(buf, sizeof(buf)), take_policy, &list);
}

/* ---- sockets ---- */

bool xfrm_socket_bypass(int fd, uint8_t family)
{
	struct xfrm_userpolicy_info policy = {
		.sel.family = family, .action = XFRM_POLICY_ALLOW, .dir = XFRM_POLICY_OUT};
	int level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int option = family == AF_INET6 ? SOCKET_POLICY_V6 : SOCKET_POLICY_V4;

	if (setsockopt(fd, level, option, &policy, sizeof(policy)) != 0)
		return false;
	policy.dir = XFRM_POLICY_IN;
	return setsockopt(fd, level, option, &policy, sizeof(policy)) == 0;
}

bool xfrm_socket_encap(int fd)
{
	int type = UDP_ENCAP_ESPINUDP;

	return setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &type, sizeof(type)) == 0;
}

/* ---- statistics ---- */

/* Documentation/networking/xfrm_proc.rst of the kernel says what each means. */
static const struct {
	const char *name;
	enum dataplane_counter counter;
} statistics[] = {
	{"XfrmInError", DROP_MALFORMED},
	{"XfrmInBufferError", DROP_MALFORMED},
	{"XfrmInHdrError", DROP_MALFORMED},
	{"XfrmInNoStates", DROP_UNKNOWN_SPI},
	{"XfrmInStateProtoError", DROP_ICV},
	{"XfrmInStateModeError", DROP_MALFORMED},
	{"XfrmInStateSeqError", DROP_REPLAY},
	{"XfrmInStateExpired", DROP_EXPIRED},
	{"XfrmInStateMismatch", DROP_SELECTOR_IN},
	{"XfrmInStateInvalid", DROP_UNKNOWN_SPI},
	{"XfrmInTmplMismatch", DROP_SELECTOR_IN},
	{"XfrmInNoPols", DROP_SELECTOR_IN},
	{"XfrmInPolBlock", DROP_SELECTOR_IN},
	{"XfrmInPolError", DROP_SELECTOR_IN},
	{"XfrmOutError", DROP_SEND},
	{"XfrmOutBundleGenError", DROP_SEND},
	{"XfrmOutBundleCheckError", DROP_SEND},
	{"XfrmOutNoStates", DROP_NO_SA},
	{"XfrmOutStateProtoError", DROP_SEND},
	{"XfrmOutStateModeError", DROP_SEND},
	{"XfrmOutStateSeqError", DROP_EXPIRED},
	{"XfrmOutStateExpired", DROP_EXPIRED},
	{"XfrmOutPolBlock", DROP_NO_SA},
	{"XfrmOutPolDead", DROP_NO_SA},
	{"XfrmOutPolError", DROP_SEND},
	{"XfrmFwdHdrError", DROP_MALFORMED},
	{"XfrmOutStateInvalid", DROP_SEND},
};

int xfrm_stat_open(void)
{
	/* The descriptor stays with the namespace in which it was opened. */
	return open("/proc/thread-self/net/xfrm_stat", O_RDONLY | O_CLOEXEC);
}

static void take_statistic(char *line, uint64_t drops[DROP_COUNTERS])
{
	size_t len = strcspn(line, " \t");
	uint64_t value = strtoull(line + len, NULL, 10);

	line[len] = 0;
	for (size_t i = 0; i < sizeof(statistics) / sizeof(*statistics); i++)
		if (strcmp(line, statistics[i].name) == 0)
			drops[statistics[i].counter] += value;
}

void xfrm_stat_read(int fd, uint64_t drops[DROP_COUNTERS])
{
	char text[4096], *line = text;
	ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);

	memset(drops, 0, DROP_COUNTERS * sizeof(*drops));
	if (n <= 0)
		return;
	text[n] = 0;
	while (*line) {
		char *end = line + strcspn(line, "\n"), *next = *end ? end + 1 : end;

		*end = 0;
		take_statistic(line, drops);
		line = next;
	}
}
