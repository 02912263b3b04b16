/* XFRM messages of states and policies are built and read back without a kernel, in every
 * combination; each fits exactly, and is cut at every length. */
#include "tests/support/xfrm_samples.h"

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t buf[XFRM_MESSAGE_MAX] __attribute__((aligned(8)));

/* Cut at each length (libmnl reads to the next multiple of four). What is read is of one
 * family, or nothing is. */
static void cut(const struct nlmsghdr *h)
{
	for (uint32_t len = NLMSG_HDRLEN; len <= h->nlmsg_len; len++) {
		struct nlmsghdr *copy = calloc(1, MNL_ALIGN(len));
		struct xfrm_state_info info;
		struct xfrm_policy policy;
		struct xfrm_event event;
		struct xfrm_state state;

		assert_non_null(copy);
		memcpy(copy, h, len);
		copy->nlmsg_len = len;
		if (xfrm_parse_state(copy, &info))
			assert_int_equal(info.src.family, info.dst.family);
		if (xfrm_parse_state_keys(copy, &state) && state.encr_key.len)
			assert_true(state.encr_key.ptr + state.encr_key.len <=
				    (uint8_t *)copy + MNL_ALIGN(len));
		xfrm_parse_policy(copy, &policy);
		xfrm_parse_event(copy, &event);
		free(copy);
	}
}

/* ---- states ---- */

/* To a network card when a state is made; an update leaves it where it is. */
static void offloaded_states(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SAMPLE_STATES; n++) {
		struct xfrm_state s = sample_state(n), back;

		for (uint8_t offload = CHILD_OFFLOAD_NO; offload <= CHILD_OFFLOAD_YES; offload++) {
			for (int update = 0; update <= 1; update++) {
				struct nlmsghdr *h;

				s.flags.offload = offload;
				h = xfrm_build_state_add(buf, sizeof(buf), &s, update);
				assert_non_null(h);
				assert_true(xfrm_parse_state_keys(h, &back));
				assert_int_equal(back.flags.offload,
						 offload && !update ? CHILD_OFFLOAD_YES : 0);
			}
		}
	}
}

static struct nlattr *attr_of(const struct nlmsghdr *h, uint16_t type)
{
	struct nlattr *attr;

	mnl_attr_for_each(attr, h, sizeof(struct xfrm_usersa_info))
	{
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

/* For one processor: the kernel wants the direction then, and no window. */
static void states_for_a_processor(void **state)
{
	enum { DIR = 33, PCPU = 35 };
	struct xfrm_replay_state_esn esn;
	struct xfrm_state_info info;
	struct nlmsghdr *h;

	(void)state;
	for (unsigned n = 0; n < SAMPLE_STATES; n++) {
		struct xfrm_state s = sample_state(n), back;

		h = xfrm_build_state_add(buf, sizeof(buf), &s, false);
		assert_null(attr_of(h, DIR));
		assert_null(attr_of(h, PCPU));
		if (s.inbound)
			continue;
		s.cpu = 4;
		h = xfrm_build_state_add(buf, sizeof(buf), &s, n % 2);
		assert_non_null(h);
		assert_int_equal(mnl_attr_get_u8(attr_of(h, DIR)), 2);
		assert_int_equal(mnl_attr_get_u32(attr_of(h, PCPU)), 3);
		if (attr_of(h, XFRMA_REPLAY_ESN_VAL)) {
			memcpy(&esn, mnl_attr_get_payload(attr_of(h, XFRMA_REPLAY_ESN_VAL)),
			       sizeof(esn));
			assert_int_equal(esn.replay_window, 0);
		}
		assert_true(xfrm_parse_state(h, &info));
		assert_int_equal(info.cpu, 4);
		assert_true(xfrm_parse_state_keys(h, &back));
		assert_int_equal(back.cpu, 4);
	}
}

/* Complete but for the direction and an algorithm that there is. */
static void the_trial_of_a_processor(void **state)
{
	struct xfrm_state_info info;
	struct xfrm_algo_aead a;
	struct nlmsghdr *h = xfrm_build_cpu_trial(buf, sizeof(buf));

	(void)state;
	assert_int_equal(h->nlmsg_type, XFRM_MSG_NEWSA);
	assert_true(xfrm_parse_state(h, &info));
	assert_int_equal(info.cpu, 1);
	assert_null(attr_of(h, 33));
	memcpy(&a, mnl_attr_get_payload(attr_of(h, XFRMA_ALG_AEAD)), sizeof(a));
	assert_string_equal(a.alg_name, "none");
	assert_int_equal(a.alg_key_len, 0);
	for (uint32_t len = 0; len < h->nlmsg_len; len++)
		assert_null(xfrm_build_cpu_trial(buf, len));
}

/* What the kernel says of it: the device. */
static void offload_device(void **state)
{
	struct xfrm_user_offload o = {.ifindex = 7, .flags = XFRM_OFFLOAD_INBOUND};
	struct xfrm_state s = sample_state(0);
	struct xfrm_state_info info;
	struct nlmsghdr *h;

	(void)state;
	h = xfrm_build_state_add(buf, sizeof(buf), &s, false);
	assert_true(xfrm_parse_state(h, &info));
	assert_int_equal(info.offload, 0);
	assert_true(mnl_attr_put_check(h, sizeof(buf), XFRMA_OFFLOAD_DEV, sizeof(o), &o));
	assert_true(xfrm_parse_state(h, &info));
	assert_int_equal(info.offload, 7);
}

static void states(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SAMPLE_STATES; n++) {
		struct xfrm_state s = sample_state(n), back;
		struct xfrm_state_info info;
		struct nlmsghdr *h = xfrm_build_state_add(buf, sizeof(buf), &s, n / 19 % 2);
		const struct xfrm_usersa_info *sa;

		assert_non_null(h);
		assert_int_equal(h->nlmsg_type, n / 19 % 2 ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA);
		sa = mnl_nlmsg_get_payload(h);
		assert_int_equal(sa->mode, XFRM_MODE_TUNNEL);
		assert_int_equal(!!(sa->flags & XFRM_STATE_AF_UNSPEC), s.sel.family == 0);
		assert_true(xfrm_parse_state(h, &info));
		assert_state_info(&s, &info);
		assert_true(xfrm_parse_state_keys(h, &back));
		assert_state_keys(&s, &back);
		if (n % 61 == 0)
			cut(h);
	}
}

static void a_state_fits_exactly(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SAMPLE_STATES; n += 173) {
		struct xfrm_state s = sample_state(n);
		size_t full = xfrm_build_state_add(buf, sizeof(buf), &s, false)->nlmsg_len;

		for (size_t size = 0; size < full; size++)
			assert_null(xfrm_build_state_add(buf, size, &s, false));
		assert_non_null(xfrm_build_state_add(buf, full, &s, false));
	}
}

/* The bytes of a whole message: what Linux has documented by doing it since 2.6. */
static void a_state_in_bytes(void **state)
{
	struct xfrm_state s = {.spi = 0x11223344,
			       .reqid = 5,
			       .src = sample_addr("192.0.2.1"),
			       .dst = sample_addr("198.51.100.1"),
			       .tag.mark = {.value = 12, .mask = 0xffffffff},
			       .encr_id = ENCR_AES_GCM_16,
			       .key_bits = 128,
			       .encr_key = sample_key(20)};
	struct nlmsghdr *h = xfrm_build_state_add(buf, sizeof(buf), &s, false);
	const uint8_t *p = (const uint8_t *)h;
	static const uint8_t id[] = {198, 51, 100, 1, 0, 0,    0,    0,	   0,	 0, 0,
				     0,	  0,  0,   0, 0, 0x11, 0x22, 0x33, 0x44, 50};
	static const uint8_t saddr[] = {192, 0, 2, 1, 0, 0, 0, 0};
	static const uint8_t tail[] = {5, 0, 0, 0, AF_INET, 0, 1, 0, XFRM_STATE_AF_UNSPEC};
	static const uint8_t aead[] = {96, 0, 18, 0, 'r', 'f', 'c', '4', '1', '0', '6', '('};
	static const uint8_t lengths[] = {160, 0, 0, 0, 128, 0, 0, 0};
	static const uint8_t mark[] = {12, 0, 21, 0, 12, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

	(void)state;
	/* header 16, selector 56, id 24, saddr 16, limits 64, counters 32, statistics 12 + 4 */
	assert_memory_equal(p + 16 + 56, id, sizeof(id));
	assert_memory_equal(p + 16 + 80, saddr, sizeof(saddr));
	assert_memory_equal(p + 16 + 96, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	assert_memory_equal(p + 16 + 208, tail, sizeof(tail));
	assert_memory_equal(p + 16 + 224, aead, sizeof(aead));
	assert_memory_equal(p + 16 + 224 + 4 + 64, lengths, sizeof(lengths));
	assert_memory_equal(p + 16 + 224 + 4 + 72, sample_key(20).ptr, 20);
	assert_memory_equal(p + 16 + 224 + 96, mark, sizeof(mark));
	assert_int_equal(h->nlmsg_len, 16 + 224 + 96 + 12);
}

static void states_that_cannot_be(void **state)
{
	struct xfrm_state s = sample_state(0);

	(void)state;
	s.dst = sample_addr("2001:db8::1"); /* families */
	assert_null(xfrm_build_state_add(buf, sizeof(buf), &s, false));
	s = sample_state(0);
	s.encr_key.len--; /* the key's size */
	assert_null(xfrm_build_state_add(buf, sizeof(buf), &s, false));
	s = sample_state(0);
	s.encr_id = 3; /* 3DES */
	assert_null(xfrm_build_state_add(buf, sizeof(buf), &s, false));
	s = sample_state(0);
	s.integ_id = INTEG_HMAC_SHA2_256_128; /* an AEAD has none */
	assert_null(xfrm_build_state_add(buf, sizeof(buf), &s, false));
	s = sample_state(0);
	sample_algorithm(&s, 3, 0);
	s.integ_id = 0; /* another cipher has one */
	assert_null(xfrm_build_state_add(buf, sizeof(buf), &s, false));
	sample_algorithm(&s, 3, 0);
	s.integ_key.len = 20;
	assert_null(xfrm_build_state_add(buf, sizeof(buf), &s, false));
	s = (struct xfrm_state){0};
	assert_null(xfrm_build_state_add(buf, sizeof(buf), &s, false));
}

static void algorithms_have_names(void **state)
{
	(void)state;
	for (unsigned n = 0; algorithm_encr_at(n); n++)
		assert_non_null(xfrm_encr_name(algorithm_encr_at(n)->id));
	for (unsigned n = 0; algorithm_integ_at(n); n++)
		assert_non_null(xfrm_integ_name(algorithm_integ_at(n)->id));
	assert_null(xfrm_encr_name(INTEG_HMAC_SHA2_384_192));
	assert_null(xfrm_integ_name(ENCR_AES_GCM_16));
}

static void windows_are_bounded(void **state)
{
	struct xfrm_state s = sample_state(0), back;

	(void)state;
	s.inbound = true;
	s.replay_window = 60000;
	assert_true(
		xfrm_parse_state_keys(xfrm_build_state_add(buf, sizeof(buf), &s, false), &back));
	assert_int_equal(back.replay_window, XFRM_WINDOW_MAX);
}

static const struct xfrm_usersa_id *state_id(const struct nlmsghdr *h, uint16_t type)
{
	assert_non_null(h);
	assert_int_equal(h->nlmsg_type, type);
	return mnl_nlmsg_get_payload(h);
}

static void asking_and_deleting(void **state)
{
	struct xfrm_state_info s = {.spi = 0x11223344, .protocol = IPPROTO_ESP};
	const struct xfrm_usersa_id *id;
	struct xfrm_state_info none = {0};

	(void)state;
	s.dst = sample_addr("2001:db8::1");
	s.tag.mark = (struct mark){.value = 1, .mask = 3};
	id = state_id(xfrm_build_state_del(buf, sizeof(buf), &s), XFRM_MSG_DELSA);
	assert_memory_equal(&id->daddr, s.dst.bytes, 16);
	assert_int_equal(id->spi, htonl(0x11223344));
	assert_int_equal(id->family, AF_INET6);
	assert_int_equal(id->proto, IPPROTO_ESP);
	state_id(xfrm_build_state_get(buf, sizeof(buf), &s.dst, 5, &s.tag), XFRM_MSG_GETSA);
	assert_null(xfrm_build_state_del(buf, sizeof(buf), &none));
	assert_null(xfrm_build_state_del(buf, 50, &s));
	assert_int_equal(xfrm_build_state_dump(buf, sizeof(buf))->nlmsg_flags,
			 NLM_F_REQUEST | NLM_F_DUMP);
}

static void a_larval_state_gets_an_spi(void **state)
{
	struct addr src = sample_addr("192.0.2.1"), dst = sample_addr("198.51.100.1"), none = {0};
	struct xfrm_tag tag = {.if_id = 9, .mark = {.value = 1, .mask = 1}};
	struct nlmsghdr *h = xfrm_build_alloc_spi(buf, sizeof(buf), &src, &dst, &tag, 5, 0xc1);
	const struct xfrm_userspi_info *info = mnl_nlmsg_get_payload(h);

	(void)state;
	assert_int_equal(h->nlmsg_type, XFRM_MSG_ALLOCSPI);
	assert_int_equal(info->min, 0xc1);
	assert_int_equal(info->max, 0xc1);
	assert_int_equal(info->info.reqid, 5);
	assert_int_equal(info->info.mode, XFRM_MODE_TUNNEL);
	cut(h);
	assert_null(xfrm_build_alloc_spi(buf, sizeof(buf), &none, &dst, &tag, 5, 0xc1));
}

/* ---- policies ---- */

static void policies(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SAMPLE_POLICIES; n++) {
		struct xfrm_policy p = sample_policy(n), back;
		struct nlmsghdr *h = xfrm_build_policy_set(buf, sizeof(buf), &p);
		size_t full;

		assert_non_null(h);
		assert_int_equal(h->nlmsg_type, XFRM_MSG_UPDPOLICY);
		assert_true(xfrm_parse_policy(h, &back));
		assert_policy(&p, &back);
		full = h->nlmsg_len;
		if (n % 23 == 0)
			cut(h);
		h = xfrm_build_policy_del(buf, sizeof(buf), &p);
		assert_int_equal(h->nlmsg_type, XFRM_MSG_DELPOLICY);
		if (n % 23 == 0)
			cut(h);
		for (size_t size = 0; n % 23 == 0 && size < full; size++)
			assert_null(xfrm_build_policy_set(buf, size, &p));
	}
	assert_int_equal(xfrm_build_policy_dump(buf, sizeof(buf))->nlmsg_type, XFRM_MSG_GETPOLICY);
}

static void policies_that_cannot_be(void **state)
{
	struct xfrm_policy p = sample_policy(0);

	(void)state;
	p.src = sample_addr("2001:db8::1"); /* of another family than the template */
	assert_null(xfrm_build_policy_set(buf, sizeof(buf), &p));
	p = sample_policy(0);
	p.sel = (struct xfrm_sel){0}; /* the kernel has no policy for any family */
	assert_null(xfrm_build_policy_set(buf, sizeof(buf), &p));
	assert_null(xfrm_build_policy_del(buf, sizeof(buf), &p));
}

/* Without a family the template's is that of its addresses. */
static void the_family_of_a_template(void **state)
{
	struct xfrm_policy p = sample_policy(0), back;

	(void)state;
	p.family = 0;
	p.dst = sample_addr("2001:db8::1");
	assert_true(xfrm_parse_policy(xfrm_build_policy_set(buf, sizeof(buf), &p), &back));
	assert_int_equal(back.family, AF_INET6);
	p.dst = sample_addr(NULL);
	assert_true(xfrm_parse_policy(xfrm_build_policy_set(buf, sizeof(buf), &p), &back));
	assert_int_equal(back.family, AF_INET);
}

static void policies_of_others(void **state)
{
	struct xfrm_policy p = sample_policy(0), back;
	struct nlmsghdr *h = xfrm_build_policy_set(buf, sizeof(buf), &p);
	struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(h);
	struct xfrm_user_tmpl *t = (struct xfrm_user_tmpl *)((uint8_t *)(info + 1) + 4);

	(void)state;
	t->mode = XFRM_MODE_TRANSPORT;
	assert_true(xfrm_parse_policy(h, &back));
	assert_true(back.other_tmpl);
	t->mode = XFRM_MODE_TUNNEL;
	t->id.proto = IPPROTO_AH;
	assert_true(xfrm_parse_policy(h, &back) && back.other_tmpl);
	h->nlmsg_len = NLMSG_HDRLEN + sizeof(*info); /* allows without a template */
	assert_true(xfrm_parse_policy(h, &back) && back.other_tmpl);
	info->dir = 3; /* of a socket */
	assert_false(xfrm_parse_policy(h, &back));
	info->dir = 0;
	info->sel.prefixlen_d = 33;
	assert_false(xfrm_parse_policy(h, &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states),
		cmocka_unit_test(offloaded_states),
		cmocka_unit_test(states_for_a_processor),
		cmocka_unit_test(the_trial_of_a_processor),
		cmocka_unit_test(offload_device),
		cmocka_unit_test(a_state_fits_exactly),
		cmocka_unit_test(a_state_in_bytes),
		cmocka_unit_test(states_that_cannot_be),
		cmocka_unit_test(algorithms_have_names),
		cmocka_unit_test(windows_are_bounded),
		cmocka_unit_test(asking_and_deleting),
		cmocka_unit_test(a_larval_state_gets_an_spi),
		cmocka_unit_test(policies),
		cmocka_unit_test(policies_that_cannot_be),
		cmocka_unit_test(the_family_of_a_template),
		cmocka_unit_test(policies_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
