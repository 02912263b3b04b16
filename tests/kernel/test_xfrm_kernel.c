/* Every message that we build against a kernel with ESP and vti, in a namespace of its own:
 * the kernel takes it, and what it tells afterwards is what was asked for. */
#include "lib/netlink_device.h"
#include "lib/netlink_route.h"
#include "tests/contract/kernel.h"
#include "tests/support/xfrm_samples.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENT_MS 20000
#define STATES	 512
#define LO	 1

static struct netlink *xfrm;
static uint8_t buf[XFRM_MESSAGE_MAX] __attribute__((aligned(8)));

static int request(struct nlmsghdr *h)
{
	int e;

	assert_non_null(h);
	e = netlink_request(xfrm, h);
	if (e)
		print_message("%s\n", netlink_strerror(xfrm, e));
	return e;
}

/* ---- states ---- */

struct one_state {
	unsigned n;
	uint8_t message[XFRM_MESSAGE_MAX] __attribute__((aligned(8)));
};

static void take_state(void *ctx, const struct nlmsghdr *h)
{
	struct one_state *one = ctx;

	one->n++;
	assert_true(h->nlmsg_len <= sizeof(one->message));
	memcpy(one->message, h, h->nlmsg_len);
}

static int state_get(const struct xfrm_state *s, struct one_state *out)
{
	out->n = 0;
	return netlink_query(xfrm, xfrm_build_state_get(buf, sizeof(buf), &s->dst, s->spi, &s->tag),
			     take_state, out);
}

static void assert_as_asked(const struct xfrm_state *s)
{
	struct one_state one;
	const struct nlmsghdr *h = (const struct nlmsghdr *)one.message;
	struct xfrm_state_info info;
	struct xfrm_state back;

	assert_int_equal(state_get(s, &one), 0);
	assert_int_equal(one.n, 1);
	assert_true(xfrm_parse_state(h, &info));
	assert_state_info(s, &info);
	assert_int_equal(info.packets, 0);
	assert_int_not_equal(info.add_time, 0);
	assert_true(xfrm_parse_state_keys(h, &back));
	assert_state_keys(s, &back);
}

static int state_del(const struct xfrm_state *s)
{
	struct xfrm_state_info info = {
		.spi = s->spi, .protocol = IPPROTO_ESP, .dst = s->dst, .tag = s->tag};

	return netlink_request(xfrm, xfrm_build_state_del(buf, sizeof(buf), &info));
}

static void states_are_as_asked(void **state)
{
	struct one_state one;

	(void)state;
	for (unsigned i = 0; i < STATES; i++) {
		unsigned n = i * (SAMPLE_STATES / STATES) + i % (SAMPLE_STATES / STATES);
		struct xfrm_state s = sample_state(n);

		s.hard_seconds = s.hard_seconds ? 100000 : 0;
		if (request(xfrm_build_state_add(buf, sizeof(buf), &s, false)) != 0)
			fail_msg("sample %u", n);
		assert_as_asked(&s);
		assert_int_equal(
			netlink_request(xfrm, xfrm_build_state_add(buf, sizeof(buf), &s, false)),
			-EEXIST);
		assert_int_equal(state_del(&s), 0);
		assert_int_equal(state_get(&s, &one), -ESRCH);
		assert_int_equal(state_del(&s), -ESRCH);
	}
}

static void count_states(void *ctx, const struct nlmsghdr *h)
{
	struct xfrm_state_info info;

	assert_true(xfrm_parse_state(h, &info));
	*(unsigned *)ctx += info.reqid >> 24 == 0x44;
}

static unsigned states_there(void)
{
	unsigned n = 0;

	assert_int_equal(
		netlink_query(xfrm, xfrm_build_state_dump(buf, sizeof(buf)), count_states, &n), 0);
	return n;
}

/* Of an outbound state for the first processor: what the kernel says. */
static uint32_t processor_of(const struct xfrm_state *s)
{
	struct xfrm_state_info info;
	struct one_state one;

	assert_int_equal(state_get(s, &one), 0);
	assert_true(xfrm_parse_state((const struct nlmsghdr *)one.message, &info));
	return info.cpu;
}

/* Whatever else it has. Before Linux 6.13 it is for any, and needs a window with ESN. */
static void states_are_for_a_processor(void **state)
{
	unsigned n = 0;
	struct xfrm_state trial = {.spi = UINT32_MAX, .dst = {AF_INET, {240, 255, 255, 2}}};
	int refusal = netlink_request(xfrm, xfrm_build_cpu_trial(buf, sizeof(buf)));
	bool knows = refusal == -EINVAL;
	struct one_state one;

	(void)state;
	assert_true(knows || refusal == -ENOSYS);
	assert_int_equal(state_get(&trial, &one), -ESRCH);
	for (unsigned i = 0; i < STATES; i++) {
		struct xfrm_state s = sample_state(i * (SAMPLE_STATES / STATES + 1));

		if (s.inbound || (!knows && s.esn))
			continue;
		s.cpu = 1;
		if (request(xfrm_build_state_add(buf, sizeof(buf), &s, false)) != 0)
			fail_msg("sample %u", s.spi & 0xffff);
		assert_int_equal(processor_of(&s), knows);
		assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, true)), 0);
		assert_int_equal(processor_of(&s), knows);
		assert_int_equal(state_del(&s), 0);
		n++;
	}
	assert_true(n > 0);
	print_message("%u states, for %s\n", n, knows ? "one processor" : "any processor");
}

/* Without its mark a state is not found: another's of the same SPI is not ours. */
static void states_are_told_apart_by_mark(void **state)
{
	struct xfrm_state s = sample_state(16), other = s;
	struct one_state one;

	(void)state;
	assert_int_not_equal(s.tag.mark.value, 0);
	assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, false)), 0);
	other.tag.mark.value++;
	assert_int_equal(state_get(&other, &one), -ESRCH);
	assert_int_equal(state_del(&other), -ESRCH);
	assert_int_equal(state_del(&s), 0);
}

static void a_state_moves(void **state)
{
	struct xfrm_state s = sample_state(64);
	struct xfrm_state_info info;
	struct one_state one;

	(void)state;
	assert_true(s.encap);
	assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, false)), 0);
	s.dport = 4711;
	assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, true)), 0);
	assert_int_equal(state_get(&s, &one), 0);
	assert_true(xfrm_parse_state((const struct nlmsghdr *)one.message, &info));
	assert_int_equal(info.dport, 4711);
	assert_int_equal(state_del(&s), 0);
}

static void a_dump_of_many_states(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STATES; i++) {
		struct xfrm_state s = sample_state(i);

		s.hard_seconds = 0;
		assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, false)), 0);
	}
	assert_int_equal(states_there(), STATES);
	for (unsigned i = 0; i < STATES; i++) {
		struct xfrm_state s = sample_state(i);

		assert_int_equal(state_del(&s), 0);
	}
}

/* ---- policies ---- */

struct one_policy {
	const struct xfrm_policy *like;
	struct xfrm_policy found;
	unsigned n;
};

static void take_policy(void *ctx, const struct nlmsghdr *h)
{
	struct one_policy *one = ctx;
	struct xfrm_policy p;

	if (!xfrm_parse_policy(h, &p) || p.dir != one->like->dir ||
	    !xfrm_sel_equal(&p.sel, &one->like->sel))
		return;
	one->found = p;
	one->n++;
}

static unsigned policy_find(const struct xfrm_policy *p, struct xfrm_policy *out)
{
	struct one_policy one = {.like = p};

	assert_int_equal(
		netlink_query(xfrm, xfrm_build_policy_dump(buf, sizeof(buf)), take_policy, &one),
		0);
	*out = one.found;
	return one.n;
}

static void policies_are_as_asked(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SAMPLE_POLICIES; n++) {
		struct xfrm_policy p = sample_policy(n), back;

		if (request(xfrm_build_policy_set(buf, sizeof(buf), &p)) != 0)
			fail_msg("sample %u", n);
		assert_int_equal(policy_find(&p, &back), 1);
		assert_policy(&p, &back);
		p.priority += 5; /* replaced, not doubled */
		assert_int_equal(request(xfrm_build_policy_set(buf, sizeof(buf), &p)), 0);
		assert_int_equal(policy_find(&p, &back), 1);
		assert_policy(&p, &back);
		assert_int_equal(request(xfrm_build_policy_del(buf, sizeof(buf), &p)), 0);
		assert_int_equal(policy_find(&p, &back), 0);
	}
}

/* The same selectors, and another's mark: neither sees the other. */
static void policies_are_told_apart_by_tag(void **state)
{
	struct xfrm_policy a = sample_policy(1), b = a, c = a, back;

	(void)state;
	b.tag.mark = (struct mark){.value = 9, .mask = 0xffffffff};
	c.tag.if_id = 9;
	assert_int_equal(request(xfrm_build_policy_set(buf, sizeof(buf), &a)), 0);
	assert_int_equal(request(xfrm_build_policy_set(buf, sizeof(buf), &b)), 0);
	assert_int_equal(request(xfrm_build_policy_set(buf, sizeof(buf), &c)), 0);
	assert_int_equal(policy_find(&a, &back), 3);
	assert_int_equal(request(xfrm_build_policy_del(buf, sizeof(buf), &b)), 0);
	assert_int_equal(netlink_request(xfrm, xfrm_build_policy_del(buf, sizeof(buf), &b)),
			 -ENOENT);
	assert_int_equal(policy_find(&a, &back), 2);
	assert_int_equal(request(xfrm_build_policy_del(buf, sizeof(buf), &a)), 0);
	assert_int_equal(request(xfrm_build_policy_del(buf, sizeof(buf), &c)), 0);
}

/* ---- devices ---- */

static struct netlink_device vti(const char *name, const char *local, const char *remote)
{
	struct netlink_device d = {
		.kind = NETLINK_DEVICE_VTI, .ikey = 42, .okey = 42, .alias = "ipsecd:made"};

	d.local = sample_addr(local);
	d.remote = sample_addr(remote);
	if (d.local.family == AF_INET6)
		d.kind = NETLINK_DEVICE_VTI6;
	memcpy(d.name, name, strlen(name) + 1);
	return d;
}

static void assert_device(int ifindex, const struct netlink_device *d)
{
	struct netlink_device back;

	assert_int_equal(netlink_device_get(kernel_netlink(), ifindex, &back), 0);
	assert_int_equal(back.kind, d->kind);
	assert_string_equal(back.name, d->name);
	assert_string_equal(back.alias, d->alias);
	assert_true(addr_equal(&back.local, &d->local) && addr_equal(&back.remote, &d->remote));
	assert_int_equal(back.ikey, d->ikey);
	assert_int_equal(back.okey, d->okey);
	assert_int_equal(back.if_id, d->if_id);
}

struct found {
	int ifindex;
	unsigned n;
};

static void find_device(void *ctx, const struct netlink_link *link,
			const struct netlink_device *device)
{
	struct found *found = ctx;

	found->n += link->ifindex == found->ifindex && strcmp(device->alias, "ipsecd:made") == 0;
}

static void vtis(void **state)
{
	static const struct {
		const char *local, *remote, *moved, *taken;
	} cases[] = {
		{"192.0.2.1", "198.51.100.1", "198.51.100.9", "198.51.100.7"},
		{"2001:db8::1", "2001:db8::2", "2001:db8::9", "2001:db8::7"},
	};
	struct netlink *nl = kernel_netlink();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct netlink_device d = vti("t0", cases[i].local, cases[i].remote);
		struct netlink_device other = vti("t1", cases[i].local, cases[i].taken);
		struct found found = {0};
		int ifindex, second;

		assert_int_equal(netlink_device_add(nl, &d, true, &ifindex), 0);
		assert_device(ifindex, &d);
		assert_int_equal(kernel_link("t0").linkmode, IF_LINK_MODE_DORMANT);
		assert_int_equal(netlink_link_set_up(nl, ifindex, true), 0);
		assert_int_equal(kernel_link("t0").operstate, IF_OPER_DORMANT);
		assert_int_equal(netlink_device_add(nl, &d, true, &second), -EEXIST);
		assert_int_equal(netlink_device_add(nl, &other, true, &second), 0);
		d.remote = sample_addr(cases[i].moved);
		d.okey = 43;
		assert_int_equal(netlink_device_change(nl, ifindex, &d), 0);
		assert_device(ifindex, &d);
		d.remote = other.remote; /* the other's endpoints */
		assert_int_equal(netlink_device_change(nl, ifindex, &d), -EEXIST);
		found.ifindex = ifindex;
		assert_int_equal(netlink_device_list(nl, find_device, &found), 0);
		assert_int_equal(found.n, 1);
		assert_int_equal(netlink_link_set_alias(nl, ifindex, ""), 0);
		found.n = 0;
		assert_int_equal(netlink_device_list(nl, find_device, &found), 0);
		assert_int_equal(found.n, 0);
		assert_int_equal(netlink_link_del(nl, ifindex), 0);
		assert_int_equal(netlink_link_del(nl, second), 0);
		assert_int_equal(netlink_link_del(nl, ifindex), -ENODEV);
	}
}

static void xfrm_interfaces(void **state)
{
	struct netlink_device d = {.kind = NETLINK_DEVICE_XFRM,
				   .name = "x0",
				   .if_id = 0x44000001,
				   .alias = "ipsecd:made"};
	int ifindex, e = netlink_device_add(kernel_netlink(), &d, true, &ifindex);

	(void)state;
	if (e == -EOPNOTSUPP) {
		print_message("this kernel has no xfrm interfaces, and says so\n");
		return;
	}
	assert_int_equal(e, 0);
	assert_device(ifindex, &d);
	assert_int_equal(netlink_link_del(kernel_netlink(), ifindex), 0);
}

/* ---- events ---- */

/* A vti with a route into it, and an outer route; what is sent by it finds the policies. */
struct world {
	struct netlink_monitor *monitor;
	int ifindex, socket;
	struct xfrm_event got;
	enum xfrm_event_kind want;
};

static void on_event(void *ctx, const struct nlmsghdr *h)
{
	struct world *w = ctx;
	struct xfrm_event e;

	if (w->got.kind != w->want && xfrm_parse_event(h, &e) == w->want)
		w->got = e;
}

static void world_route(const char *dst, int ifindex)
{
	struct netlink_route r = {
		.ifindex = ifindex, .table = RT_TABLE_MAIN, .protocol = RTPROT_STATIC};

	assert_true(prefix_parse(dst, &r.dst));
	assert_int_equal(netlink_route_add(kernel_netlink(), &r), 0);
}

static void world_addr(const char *text, int ifindex)
{
	struct prefix p;

	assert_true(prefix_parse(text, &p));
	assert_int_equal(netlink_addr_add(kernel_netlink(), ifindex, &p), 0);
}

static void world_open(struct world *w)
{
	static const unsigned groups[] = {XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE,	XFRMNLGRP_SA,
					  XFRMNLGRP_POLICY,  XFRMNLGRP_MAPPING, 0};
	struct netlink_device d = vti("t0", "192.0.2.1", "198.51.100.1");

	*w = (struct world){0};
	w->monitor = netlink_monitor_open_protocol(NETLINK_XFRM, groups, on_event, NULL, w);
	assert_non_null(w->monitor);
	assert_int_equal(netlink_device_add(kernel_netlink(), &d, false, &w->ifindex), 0);
	assert_int_equal(netlink_link_set_up(kernel_netlink(), w->ifindex, true), 0);
	world_addr("192.0.2.1/32", LO);
	world_addr("10.1.0.1/32", w->ifindex);
	world_route("198.51.100.0/24", LO);
	world_route("10.2.0.0/16", w->ifindex);
	w->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(w->socket >= 0);
}

static void world_close(struct world *w)
{
	struct prefix p;

	close(w->socket);
	netlink_monitor_close(w->monitor);
	assert_int_equal(netlink_link_del(kernel_netlink(), w->ifindex), 0);
	assert_true(prefix_parse("192.0.2.1/32", &p));
	assert_int_equal(netlink_addr_remove(kernel_netlink(), LO, &p), 0);
}

static void world_send(struct world *w)
{
	struct endpoint to = {.addr = sample_addr("10.2.0.1"), .port = 9};
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&to, &sa);

	/* What the policies drop is an error of the socket at times. */
	sendto(w->socket, "x", 1, 0, (const struct sockaddr *)&sa, len);
}

static void world_wait(struct world *w, enum xfrm_event_kind kind)
{
	struct pollfd fd = {.fd = netlink_monitor_fd(w->monitor), .events = POLLIN};

	w->got = (struct xfrm_event){0};
	w->want = kind;
	for (unsigned ms = 0; w->got.kind != kind; ms += 100) {
		if (ms > EVENT_MS)
			fail_msg("no event %d", kind);
		poll(&fd, 1, 100);
		assert_int_equal(netlink_monitor_read(w->monitor), 0);
	}
}

static struct xfrm_policy out_policy(void)
{
	struct xfrm_policy p = {.dir = XFRM_OUT,
				.tag.mark = {.value = 42, .mask = 0xffffffff},
				.priority = 1000,
				.reqid = 0x44000001,
				.family = AF_INET};

	assert_true(prefix_parse("0.0.0.0/0", &p.sel.src) && prefix_parse("0.0.0.0/0", &p.sel.dst));
	p.sel.family = AF_INET;
	p.src = sample_addr("192.0.2.1");
	p.dst = sample_addr("198.51.100.1");
	return p;
}

static void acquire_once(struct world *w)
{
	const struct xfrm_policy *p = &w->got.policy;
	struct xfrm_state_info larval = {.spi = 0xc1, .protocol = IPPROTO_ESP};
	char text[ADDR_TEXT];

	world_send(w);
	world_wait(w, XFRM_EVENT_ACQUIRE);
	assert_int_equal(p->dir, XFRM_OUT);
	assert_int_equal(p->reqid, 0x44000001);
	assert_int_equal(p->tag.mark.value, 42);
	assert_string_equal(addr_format(&p->sel.dst.addr, text), "10.2.0.1");
	assert_int_equal(p->sel.protocol, IPPROTO_UDP);
	assert_int_equal(p->sel.dport, 9);
	larval.dst = p->dst;
	larval.tag = p->tag;
	assert_int_equal(request(xfrm_build_alloc_spi(buf, sizeof(buf), &p->src, &p->dst, &p->tag,
						      p->reqid, larval.spi)),
			 0);
	assert_int_equal(request(xfrm_build_state_del(buf, sizeof(buf), &larval)), 0);
}

static void packets_without_a_state_make_acquires(void **state)
{
	struct xfrm_policy p = out_policy();
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(request(xfrm_build_policy_set(buf, sizeof(buf), &p)), 0);
	acquire_once(&w);
	acquire_once(&w);
	assert_int_equal(request(xfrm_build_policy_del(buf, sizeof(buf), &p)), 0);
	world_wait(&w, XFRM_EVENT_POLICY_GONE);
	assert_int_equal(w.got.policy.dir, XFRM_OUT);
	assert_int_equal(w.got.policy.tag.mark.value, 42);
	assert_int_equal(w.got.policy.reqid, 0x44000001);
	assert_true(xfrm_sel_equal(&w.got.policy.sel, &p.sel));
	world_close(&w);
}

static struct xfrm_state out_state(void)
{
	struct xfrm_state s = {.spi = 0xc0de,
			       .reqid = 0x44000001,
			       .tag.mark = {.value = 42, .mask = 0xffffffff},
			       .soft_packets = 1,
			       .sequence = 1000};

	sample_algorithm(&s, 0, 0);
	s.src = sample_addr("192.0.2.1");
	s.dst = sample_addr("198.51.100.1");
	return s;
}

static void assert_event_state(const struct world *w)
{
	assert_int_equal(w->got.state.spi, 0xc0de);
	assert_int_equal(w->got.state.reqid, 0x44000001);
	assert_int_equal(w->got.state.tag.mark.value, 42);
}

static void a_state_expires_and_counts(void **state)
{
	struct xfrm_state s = out_state();
	struct xfrm_policy p = out_policy();
	struct xfrm_state_info info;
	struct one_state one;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(request(xfrm_build_policy_set(buf, sizeof(buf), &p)), 0);
	assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, false)), 0);
	for (unsigned i = 0; i < 3; i++)
		world_send(&w);
	world_wait(&w, XFRM_EVENT_SOFT_EXPIRE);
	assert_event_state(&w);
	assert_int_equal(state_get(&s, &one), 0);
	assert_true(xfrm_parse_state((const struct nlmsghdr *)one.message, &info));
	assert_int_equal(info.packets, 3);
	assert_int_equal(info.bytes, 3 * 29);
	assert_int_equal(info.sequence, 1003); /* went on from 1000 */
	assert_int_not_equal(info.use_time, 0);
	assert_int_equal(state_del(&s), 0);
	world_wait(&w, XFRM_EVENT_STATE_GONE);
	assert_event_state(&w);
	s.hard_seconds = 1;
	assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, false)), 0);
	world_wait(&w, XFRM_EVENT_HARD_EXPIRE);
	assert_event_state(&w);
	assert_int_equal(request(xfrm_build_policy_del(buf, sizeof(buf), &p)), 0);
	world_close(&w);
}

static void somebody_flushes(void **state)
{
	struct xfrm_state s = out_state();
	struct xfrm_policy p = out_policy();
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(request(xfrm_build_policy_set(buf, sizeof(buf), &p)), 0);
	assert_int_equal(request(xfrm_build_state_add(buf, sizeof(buf), &s, false)), 0);
	assert_int_equal(
		request(netlink_build_start(buf, sizeof(buf), sizeof(struct xfrm_usersa_flush),
					    XFRM_MSG_FLUSHSA, NLM_F_ACK)),
		0);
	world_wait(&w, XFRM_EVENT_STATE_GONE);
	assert_true(w.got.flushed);
	assert_int_equal(
		request(netlink_build_start(buf, sizeof(buf), 0, XFRM_MSG_FLUSHPOLICY, NLM_F_ACK)),
		0);
	world_wait(&w, XFRM_EVENT_POLICY_GONE);
	assert_true(w.got.flushed);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_are_as_asked),
		cmocka_unit_test(states_are_for_a_processor),
		cmocka_unit_test(states_are_told_apart_by_mark),
		cmocka_unit_test(a_state_moves),
		cmocka_unit_test(a_dump_of_many_states),
		cmocka_unit_test(policies_are_as_asked),
		cmocka_unit_test(policies_are_told_apart_by_tag),
		cmocka_unit_test(vtis),
		cmocka_unit_test(xfrm_interfaces),
		cmocka_unit_test(packets_without_a_state_make_acquires),
		cmocka_unit_test(a_state_expires_and_counts),
		cmocka_unit_test(somebody_flushes),
	};
	const char *only = getenv("ONLY");

	kernel_namespace("test_xfrm_kernel");
	xfrm = netlink_open_protocol(NETLINK_XFRM);
	if (!xfrm) {
		perror("NETLINK_XFRM");
		return 1;
	}
	if (only)
		cmocka_set_test_filter(only);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
