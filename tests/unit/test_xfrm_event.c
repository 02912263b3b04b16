/* What the kernel tells, as its own code writes it (net/xfrm/xfrm_user.c), whole and cut at
 * every length; and noise. */
#include "ipsecd/dataplane/xfrm_msg.h"

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t buf[XFRM_MESSAGE_MAX] __attribute__((aligned(8)));

static const struct xfrm_mark mark = {.v = 42, .m = 0xffffffff};
static const struct xfrm_selector sel4 = {
	.family = AF_INET, .prefixlen_s = 32, .prefixlen_d = 24, .proto = IPPROTO_UDP};

static xfrm_address_t ip(const char *text)
{
	xfrm_address_t out = {0};
	struct addr a;

	assert_true(addr_parse(text, &a));
	memcpy(&out, a.bytes, addr_size(a.family));
	return out;
}

static void assert_addr(const struct addr *a, const char *text)
{
	char got[ADDR_TEXT];

	assert_string_equal(addr_format(a, got), text);
}

static struct nlmsghdr *message(uint16_t type, const void *body, size_t len)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	if (len)
		memcpy(mnl_nlmsg_put_extra_header(h, len), body, len);
	return h;
}

/* Something that no kernel has said so far, then mark and if_id. */
static void put_tail(struct nlmsghdr *h)
{
	mnl_attr_put(h, 777, 5, "what?");
	mnl_attr_put(h, XFRMA_MARK, sizeof(mark), &mark);
	mnl_attr_put_u32(h, XFRMA_IF_ID, 7);
}

static void assert_tag(const struct xfrm_tag *tag)
{
	assert_int_equal(tag->mark.value, 42);
	assert_int_equal(tag->mark.mask, 0xffffffff);
	assert_int_equal(tag->if_id, 7);
}

static void cut(const struct nlmsghdr *h, size_t body)
{
	for (uint32_t len = NLMSG_HDRLEN; len <= h->nlmsg_len; len++) {
		struct nlmsghdr *copy = calloc(1, MNL_ALIGN(len));
		struct xfrm_event e;

		assert_non_null(copy);
		memcpy(copy, h, len);
		copy->nlmsg_len = len;
		if (len < NLMSG_HDRLEN + body)
			assert_int_equal(xfrm_parse_event(copy, &e), XFRM_EVENT_NONE);
		else
			xfrm_parse_event(copy, &e);
		free(copy);
	}
}

static void put_tmpl(struct nlmsghdr *h, uint16_t family)
{
	struct xfrm_user_tmpl t = {.id.proto = IPPROTO_ESP,
				   .family = family,
				   .reqid = 0x44000001,
				   .mode = XFRM_MODE_TUNNEL};

	mnl_attr_put(h, XFRMA_TMPL, sizeof(t), &t);
}

static void acquire(void **state)
{
	struct xfrm_user_acquire a = {.id = {.daddr = ip("2001:db8::2"), .proto = IPPROTO_ESP},
				      .saddr = ip("2001:db8::1"),
				      .sel = sel4,
				      .policy = {.sel = {.family = AF_INET}, .dir = 1},
				      .seq = 33};
	struct xfrm_event e;
	struct nlmsghdr *h;

	(void)state;
	a.sel.saddr = ip("10.1.0.1");
	a.sel.daddr = ip("10.2.0.0");
	a.sel.dport = htons(53);
	a.sel.dport_mask = 0xffff;
	h = message(XFRM_MSG_ACQUIRE, &a, sizeof(a));
	put_tmpl(h, AF_INET6); /* IPv4 inside, IPv6 outside */
	put_tail(h);
	assert_int_equal(xfrm_parse_event(h, &e), XFRM_EVENT_ACQUIRE);
	assert_int_equal(e.seq, 33);
	assert_int_equal(e.policy.dir, XFRM_OUT);
	assert_int_equal(e.policy.reqid, 0x44000001);
	assert_addr(&e.policy.src, "2001:db8::1");
	assert_addr(&e.policy.dst, "2001:db8::2");
	assert_addr(&e.policy.sel.src.addr, "10.1.0.1");
	assert_int_equal(e.policy.sel.dst.len, 24);
	assert_int_equal(e.policy.sel.dport, 53);
	assert_int_equal(e.policy.sel.protocol, IPPROTO_UDP);
	assert_tag(&e.policy.tag);
	cut(h, sizeof(a));
}

static struct xfrm_usersa_info a_state(void)
{
	return (struct xfrm_usersa_info){
		.id = {.daddr = ip("198.51.100.1"), .spi = htonl(0xc1), .proto = IPPROTO_ESP},
		.saddr = ip("192.0.2.1"),
		.curlft = {.bytes = 100, .packets = 2, .add_time = 1000, .use_time = 1001},
		.lft = {.hard_add_expires_seconds = 60},
		.stats = {.replay_window = 1, .replay = 2, .integrity_failed = 3},
		.reqid = 5,
		.family = AF_INET,
		.mode = XFRM_MODE_TUNNEL,
	};
}

static void assert_state(const struct xfrm_state_info *s)
{
	assert_int_equal(s->spi, 0xc1);
	assert_int_equal(s->reqid, 5);
	assert_addr(&s->dst, "198.51.100.1");
	assert_addr(&s->src, "192.0.2.1");
	assert_int_equal(s->bytes, 100);
	assert_int_equal(s->packets, 2);
	assert_int_equal(s->add_time, 1000);
	assert_int_equal(s->use_time, 1001);
	assert_int_equal(s->hard_seconds, 60);
	assert_int_equal(s->window_errors, 1);
	assert_int_equal(s->replay_errors, 2);
	assert_int_equal(s->integrity_errors, 3);
	assert_tag(&s->tag);
}

static void expire(void **state)
{
	struct xfrm_user_expire x = {.state = a_state()};
	struct xfrm_event e;
	struct nlmsghdr *h;

	(void)state;
	for (unsigned hard = 0; hard < 2; hard++) {
		x.hard = (uint8_t)hard;
		h = message(XFRM_MSG_EXPIRE, &x, sizeof(x));
		put_tail(h);
		assert_int_equal(xfrm_parse_event(h, &e),
				 hard ? XFRM_EVENT_HARD_EXPIRE : XFRM_EVENT_SOFT_EXPIRE);
		assert_state(&e.state);
		assert_false(e.state.larval);
		cut(h, sizeof(x));
	}
	x.state.id.spi = 0; /* an acquire that nobody answered */
	assert_int_equal(xfrm_parse_event(message(XFRM_MSG_EXPIRE, &x, sizeof(x)), &e),
			 XFRM_EVENT_HARD_EXPIRE);
	assert_true(e.state.larval);
}

static void mapping(void **state)
{
	struct xfrm_user_mapping m = {.id = {.daddr = ip("192.0.2.1"),
					     .spi = htonl(0xc1),
					     .family = AF_INET,
					     .proto = IPPROTO_ESP},
				      .reqid = 5,
				      .old_saddr = ip("198.51.100.1"),
				      .new_saddr = ip("198.51.100.2"),
				      .old_sport = htons(4500),
				      .new_sport = htons(1025)};
	struct xfrm_event e;
	struct nlmsghdr *h = message(XFRM_MSG_MAPPING, &m, sizeof(m));

	(void)state;
	assert_int_equal(xfrm_parse_event(h, &e), XFRM_EVENT_MAPPING);
	assert_int_equal(e.state.spi, 0xc1);
	assert_int_equal(e.state.reqid, 5);
	assert_addr(&e.state.dst, "192.0.2.1");
	assert_addr(&e.old_peer.addr, "198.51.100.1");
	assert_int_equal(e.old_peer.port, 4500);
	assert_addr(&e.new_peer.addr, "198.51.100.2");
	assert_int_equal(e.new_peer.port, 1025);
	cut(h, sizeof(m));
}

static void state_gone(void **state)
{
	struct xfrm_usersa_id id = {.daddr = ip("198.51.100.1"),
				    .spi = htonl(0xc1),
				    .family = AF_INET,
				    .proto = IPPROTO_ESP};
	struct xfrm_usersa_info sa = a_state();
	struct xfrm_event e;
	struct nlmsghdr *h = message(XFRM_MSG_DELSA, &id, sizeof(id));

	(void)state;
	put_tail(h); /* before the state, as well as behind it */
	mnl_attr_put(h, XFRMA_SA, sizeof(sa), &sa);
	assert_int_equal(xfrm_parse_event(h, &e), XFRM_EVENT_STATE_GONE);
	assert_state(&e.state);
	assert_false(e.flushed);
	cut(h, sizeof(id));
	h = message(XFRM_MSG_DELSA, &id, sizeof(id));
	mnl_attr_put(h, XFRMA_SA, sizeof(sa) - 4, &sa);
	assert_int_equal(xfrm_parse_event(h, &e), XFRM_EVENT_NONE);
}

static void policy_gone(void **state)
{
	struct xfrm_userpolicy_id id = {.dir = 1, .sel = sel4, .index = 9};
	struct xfrm_userpolicy_info p = {.dir = 1, .priority = 1000, .sel = sel4, .index = 9};
	struct xfrm_event e;
	struct nlmsghdr *h;

	(void)state;
	p.sel.prefixlen_s = 8;
	h = message(XFRM_MSG_DELPOLICY, &id, sizeof(id));
	put_tmpl(h, AF_INET);
	put_tail(h);
	mnl_attr_put(h, XFRMA_POLICY, sizeof(p), &p);
	assert_int_equal(xfrm_parse_event(h, &e), XFRM_EVENT_POLICY_GONE);
	assert_int_equal(e.policy.dir, XFRM_OUT);
	assert_int_equal(e.policy.sel.src.len, 8);
	assert_int_equal(e.policy.priority, 1000);
	assert_int_equal(e.policy.reqid, 0x44000001);
	assert_tag(&e.policy.tag);
	cut(h, sizeof(id));
	h = message(XFRM_MSG_DELPOLICY, &id, sizeof(id));
	assert_int_equal(xfrm_parse_event(h, &e), XFRM_EVENT_POLICY_GONE);
	assert_int_equal(e.policy.sel.src.len, 32);
}

static void flushes(void **state)
{
	static const struct {
		uint8_t protocol;
		enum xfrm_event_kind kind;
	} cases[] = {{0, XFRM_EVENT_STATE_GONE},
		     {IPPROTO_ESP, XFRM_EVENT_STATE_GONE},
		     {255, XFRM_EVENT_STATE_GONE},
		     {IPPROTO_AH, XFRM_EVENT_NONE}};
	struct xfrm_event e;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct xfrm_usersa_flush f = {.proto = cases[i].protocol};
		struct nlmsghdr *h = message(XFRM_MSG_FLUSHSA, &f, sizeof(f));

		assert_int_equal(xfrm_parse_event(h, &e), cases[i].kind);
		assert_int_equal(e.flushed, cases[i].kind != XFRM_EVENT_NONE);
	}
	assert_int_equal(xfrm_parse_event(message(XFRM_MSG_FLUSHPOLICY, NULL, 0), &e),
			 XFRM_EVENT_POLICY_GONE);
	assert_true(e.flushed);
}

static void others(void **state)
{
	struct xfrm_usersa_info sa = a_state();
	struct xfrm_user_expire x = {.state = a_state()};
	struct xfrm_event e;

	(void)state;
	assert_int_equal(xfrm_parse_event(message(XFRM_MSG_NEWSA, &sa, sizeof(sa)), &e),
			 XFRM_EVENT_NONE);
	assert_int_equal(xfrm_parse_event(message(NLMSG_ERROR, &sa, 20), &e), XFRM_EVENT_NONE);
	x.state.family = 99;
	assert_int_equal(xfrm_parse_event(message(XFRM_MSG_EXPIRE, &x, sizeof(x)), &e),
			 XFRM_EVENT_NONE);
}

static void noise(void **state)
{
	(void)state;
	srandom(6);
	for (unsigned n = 0; n < 100000; n++) {
		size_t len = NLMSG_HDRLEN + (size_t)random() % 128 * 4;
		struct nlmsghdr *h = malloc(len);
		struct xfrm_state_info info;
		struct xfrm_policy policy;
		struct xfrm_event event;
		struct xfrm_state s;

		assert_non_null(h);
		for (size_t i = 0; i < len; i++)
			((uint8_t *)h)[i] = (uint8_t)(random() % (n % 2 ? 256 : 24));
		h->nlmsg_len = (uint32_t)len;
		h->nlmsg_type = (uint16_t)(XFRM_MSG_BASE + random() % 24);
		xfrm_parse_state(h, &info);
		xfrm_parse_state_keys(h, &s);
		xfrm_parse_policy(h, &policy);
		xfrm_parse_event(h, &event);
		free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acquire),     cmocka_unit_test(expire),
		cmocka_unit_test(mapping),     cmocka_unit_test(state_gone),
		cmocka_unit_test(policy_gone), cmocka_unit_test(flushes),
		cmocka_unit_test(others),      cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
