/* Bodies between ike and plane: good ones pass, each field that is spoilt does not, and what is
 * refused is refused for its own reason. */
#include "ipsecd/ipc/check.h"
#include "tests/support/ipc_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* In memory of exactly this length, so that a sanitizer sees every overread. */
static const char *check(const struct ipc_sample *s, const void *body, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	const char *why;

	assert_non_null(copy);
	memcpy(copy, body, len);
	why = s->answer ? ipc_check_answer(s->verb, span_of(copy, len))
			: ipc_check(s->verb, span_of(copy, len));
	free(copy);
	return why;
}

static void good_ones_pass(void **state)
{
	struct ipc_sample s;
	unsigned n = 0;

	(void)state;
	for (; ipc_sample(n, &s); n++) {
		const char *why = check(&s, s.body, s.len);

		if (why)
			fail_msg("%s: %s", ipc_plane_verb_name(s.verb), why);
	}
	assert_true(n > 30);
}

static void other_lengths_do_not(void **state)
{
	uint8_t longer[sizeof(((struct ipc_sample *)0)->body) + 8] = {0};
	struct ipc_sample s;

	(void)state;
	for (unsigned n = 0; ipc_sample(n, &s); n++) {
		bool list = s.verb == IPC_TUNNEL_INFO || s.verb == IPC_CHILD_STATS;
		bool bytes = s.verb == IPC_SEND_IKE || s.verb == IPC_IKE;

		memcpy(longer, s.body, s.len);
		if (!bytes)
			assert_non_null(check(&s, longer, s.len + 1));
		for (size_t len = 0; len < s.len; len++) {
			if ((list && len &&
			     len % (s.verb == IPC_TUNNEL_INFO && !s.answer ? 4 : 8) == 0) ||
			    (s.verb == IPC_IKE && len >= sizeof(struct ipc_path)))
				continue;
			assert_non_null(check(&s, s.body, len));
		}
	}
}

static void unknown_verbs_do_not(void **state)
{
	(void)state;
	for (uint32_t verb = 0; verb < 300; verb++) {
		if ((verb >= IPC_PLANE_HELLO && verb < IPC_PLANE_END) ||
		    (verb >= IPC_EVENT && verb < IPC_PLANE_EVENT_END))
			continue;
		assert_non_null(ipc_check(verb, (struct span){0}));
		assert_non_null(ipc_check_answer(verb, (struct span){0}));
	}
	assert_non_null(ipc_check(UINT32_MAX, (struct span){0}));
	assert_string_equal(ipc_plane_verb_name(UINT32_MAX), "?");
	assert_string_equal(ipc_plane_verb_name(IPC_CHILD_INSTALL), "child-install");
}

static void lists_end_somewhere(void **state)
{
	static uint8_t many[(IPC_STATS_MAX + 1) * sizeof(uint64_t)];

	(void)state;
	assert_null(ipc_check(IPC_CHILD_STATS, span_of(many, IPC_STATS_MAX * sizeof(uint64_t))));
	assert_non_null(ipc_check(IPC_CHILD_STATS, span_of(many, sizeof(many))));
	assert_non_null(ipc_check(IPC_CHILD_STATS, span_of(many, 0)));
	assert_null(ipc_check(IPC_TUNNEL_INFO, span_of(many, IPC_INFOS_MAX * sizeof(uint32_t))));
	assert_non_null(
		ipc_check(IPC_TUNNEL_INFO, span_of(many, (IPC_INFOS_MAX + 1) * sizeof(uint32_t))));
}

/* ---- fields ---- */

/* The bytes at `offset` are others; a bool must not be written as one. */
static void expect_bad(uint32_t verb, const void *good, size_t len, size_t offset,
		       const void *bytes, size_t n, const char *word)
{
	struct ipc_sample s = {.verb = verb, .len = len};
	const char *why;

	memcpy(s.body, good, len);
	assert_null(check(&s, s.body, len));
	memcpy(s.body + offset, bytes, n);
	why = check(&s, s.body, len);
	if (!why)
		fail_msg("%s: byte %zu: taken", ipc_plane_verb_name(verb), offset);
	if (!strstr(why, word))
		fail_msg("%s: byte %zu: '%s', not '%s'", ipc_plane_verb_name(verb), offset, why,
			 word);
}

#define BAD(verb, good, type, field, value, word)                                     \
	do {                                                                          \
		__typeof__(((type *)0)->field) bad_ = value;                          \
		expect_bad(verb, &(good), sizeof(good), offsetof(type, field), &bad_, \
			   sizeof(bad_), word);                                       \
	} while (0)
#define BAD_FLAG(verb, good, type, field) \
	expect_bad(verb, &(good), sizeof(good), offsetof(type, field), "\2", 1, "flag")
#define BAD_ENUM(verb, good, type, field, value)                                                   \
	expect_bad(verb, &(good), sizeof(good), offsetof(type, field), &(int){value}, sizeof(int), \
		   "no such")

static void tunnels(void **state)
{
	const struct ipc_tunnel t = sample_tunnel();
	struct prefix p;

	(void)state;
#define TUNNEL(field, value, word) BAD(IPC_TUNNEL_CREATE, t, struct ipc_tunnel, field, value, word)
	BAD_FLAG(IPC_TUNNEL_CREATE, t, struct ipc_tunnel, config.named);
	BAD_FLAG(IPC_TUNNEL_CREATE, t, struct ipc_tunnel, config.external);
	BAD_FLAG(IPC_TUNNEL_UPDATE, t, struct ipc_tunnel, config.keyed);
	BAD_ENUM(IPC_TUNNEL_CREATE, t, struct ipc_tunnel, config.kind, 3);
	BAD_ENUM(IPC_TUNNEL_CREATE, t, struct ipc_tunnel, config.kind, -1);
	TUNNEL(config.n_addrs, TUNNEL_ADDRS_MAX + 1, "more addresses");
	TUNNEL(config.mtu, 67, "MTU");
	TUNNEL(config.mark_in.value, 0x100, "mark");
	TUNNEL(config.mark_out.value, 0x100, "mark");
	TUNNEL(config.remote.family, 7, "outer address");
	TUNNEL(config.local.bytes[4], 1, "outer address");
	TUNNEL(config.addrs[0].len, 33, "an address");
	TUNNEL(config.addrs[1].addr.family, 0, "an address");
	expect_bad(IPC_TUNNEL_CREATE, &t, sizeof(t), offsetof(struct ipc_tunnel, config.name),
		   "0123456789abcdef", IF_NAMESIZE, "name");
	expect_bad(IPC_TUNNEL_CREATE, &t, sizeof(t), offsetof(struct ipc_tunnel, config.name),
		   "a/b", 4, "name");
	expect_bad(IPC_TUNNEL_CREATE, &t, sizeof(t), offsetof(struct ipc_tunnel, config.name), "",
		   1, "name");
	static const char *const addrs[] = {"127.0.0.1/8", "224.0.0.1/32", "0.0.0.0/0",
					    "::1/128",	   "ff02::1/64",   "::/0"};
	for (unsigned i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		assert_true(prefix_parse(addrs[i], &p));
		TUNNEL(config.addrs[0], p, "an address");
	}
}

static void children(void **state)
{
	const struct child_sa c = sample_child();
	struct endpoint six = {.port = 4500};

	(void)state;
#define CHILD(field, value, word) BAD(IPC_CHILD_INSTALL, c, struct child_sa, field, value, word)
	BAD_FLAG(IPC_CHILD_INSTALL, c, struct child_sa, esn);
	BAD_FLAG(IPC_CHILD_INSTALL, c, struct child_sa, udp_encap);
	BAD_FLAG(IPC_CHILD_INSTALL, c, struct child_sa, outbound);
	BAD_FLAG(IPC_CHILD_INSTALL, c, struct child_sa, flags.no_ecn);
	BAD_FLAG(IPC_CHILD_INSTALL, c, struct child_sa, local_ts.ts[15].dynamic);
	BAD_FLAG(IPC_CHILD_INSTALL, c, struct child_sa, remote_ts.ts[0].dynamic);
	BAD_ENUM(IPC_CHILD_INSTALL, c, struct child_sa, flags.df, 2);
	BAD_ENUM(IPC_CHILD_INSTALL, c, struct child_sa, flags.dscp, 4);
	CHILD(spi_in, 255, "SPI");
	CHILD(spi_out, 0, "SPI");
	CHILD(encr_id, 3, "algorithm");
	CHILD(encr_key_bits, 257, "algorithm");
	CHILD(integ_id, 2, "algorithm");
	CHILD(integ_id, INTEG_NONE, "go together");
	CHILD(encr_id, ENCR_AES_GCM_16, "go together");
	CHILD(in.encr_len, 31, "key");
	CHILD(out.encr_len, 255, "key");
	CHILD(in.integ_len, 0, "integrity key");
	CHILD(out.integ_len, 33, "integrity key");
	CHILD(local_ts.n, 0, "selectors");
	CHILD(remote_ts.n, 17, "selectors");
	CHILD(remote_ts.n, 3, "selector");
	CHILD(local_ts.ts[0].family, 1, "selector");
	CHILD(local_ts.ts[0].start[0], 11, "selector");
	CHILD(local_ts.ts[0].end[5], 1, "selector");
	CHILD(local_ts.ts[0].port_start, 81, "selector");
	CHILD(local.port, 0, "port");
	CHILD(remote.addr.family, 0, "endpoint");
	assert_true(addr_parse("2001:db8::2", &six.addr));
	CHILD(remote, six, "families");
	assert_true(addr_parse("0.0.0.0", &six.addr));
	CHILD(remote, six, "one machine");
}

static void the_network(void **state)
{
	struct ipc_sample s;
	struct prefix p;

	(void)state;
	for (unsigned n = 0; ipc_sample(n, &s); n++) {
		struct ipc_path path;
		struct ipc_route route;
		struct ipc_rule rule;
		struct ipc_address address;

		memcpy(&path, s.body, sizeof(path));
		memcpy(&route, s.body, sizeof(route));
		memcpy(&rule, s.body, sizeof(rule));
		memcpy(&address, s.body, sizeof(address));
		if (s.answer)
			continue;
		if (s.verb == IPC_SEND_KEEPALIVE) {
			BAD(s.verb, path, struct ipc_path, local.port, 501, "port");
			BAD(s.verb, path, struct ipc_path, remote.port, 0, "port");
			BAD(s.verb, path, struct ipc_path, remote.addr.bytes[0], 0xff, "machine");
		} else if (s.verb == IPC_ROUTE) {
			BAD(s.verb, route, struct ipc_route, protocol, 4, "protocol");
			BAD(s.verb, route, struct ipc_route, table, 255, "table");
			BAD(s.verb, route, struct ipc_route, table, 0, "table");
			BAD(s.verb, route, struct ipc_route, kind, 3, "kind");
			BAD(s.verb, route, struct ipc_route, kind, IPC_ROUTE_BLACKHOLE,
			    "contradict");
			BAD(s.verb, route, struct ipc_route, ifindex, 0, "contradict");
			BAD(s.verb, route, struct ipc_route, ifindex, -1, "contradict");
			BAD(s.verb, route, struct ipc_route, dst.len, 33, "address");
			BAD(s.verb, route, struct ipc_route, source.family, AF_INET6, "families");
			BAD_FLAG(s.verb, route, struct ipc_route, add);
		} else if (s.verb == IPC_RULE) {
			BAD(s.verb, rule, struct ipc_rule, protocol, 2, "protocol");
			BAD(s.verb, rule, struct ipc_rule, priority, 0, "priority");
			BAD(s.verb, rule, struct ipc_rule, table, 255, "table");
			BAD(s.verb, rule, struct ipc_rule, family, 1, "family");
		} else if (s.verb == IPC_ADDRESS) {
			BAD(s.verb, address, struct ipc_address, prefix.len, 24, "more than one");
			BAD(s.verb, address, struct ipc_address, device[0], 0, "device");
			BAD(s.verb, address, struct ipc_address, device[1], '/', "device");
			assert_true(prefix_parse("127.0.0.2/32", &p));
			BAD(s.verb, address, struct ipc_address, prefix, p, "not such");
		}
	}
}

static void events_of_plane(void **state)
{
	struct dataplane_event e;

	(void)state;
	memset(&e, 0, sizeof(e));
	e.kind = DATAPLANE_DEVICE_CHANGED;
	e.tunnel = 7;
	BAD_FLAG(IPC_EVENT, e, struct dataplane_event, admin_up);
	BAD_FLAG(IPC_EVENT, e, struct dataplane_event, present);
	BAD_ENUM(IPC_EVENT, e, struct dataplane_event, kind, DATAPLANE_ESP_UNKNOWN + 1);
	BAD_ENUM(IPC_EVENT, e, struct dataplane_event, kind, -1);
	expect_bad(IPC_EVENT, &e, sizeof(e), offsetof(struct dataplane_event, kind),
		   &(int){DATAPLANE_CHILD_PEER_MOVED}, sizeof(int), "endpoint");
}

static void datagrams(void **state)
{
	static uint8_t body[sizeof(struct ipc_path) + UINT16_MAX + 1];
	struct ipc_sample s;

	(void)state;
	for (unsigned n = 0; ipc_sample(n, &s); n++) {
		if (s.verb != IPC_SEND_IKE && s.verb != IPC_IKE)
			continue;
		memcpy(body, s.body, s.len);
		assert_null(check(&s, body, sizeof(body) - 1));
		assert_non_null(check(&s, body, sizeof(body)));
	}
}

/* ---- words ---- */

static const char *describe(uint32_t verb, const void *body, size_t len)
{
	static char text[256];
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, body, len);
	assert_ptr_equal(ipc_describe(verb, span_of(copy, len), text, sizeof(text)), text);
	free(copy);
	return text;
}

static void expect_words(uint32_t verb, const char *words)
{
	struct ipc_sample s;
	unsigned n = 0;

	do
		assert_true(ipc_sample(n++, &s));
	while (s.verb != verb || s.answer);
	assert_string_equal(describe(verb, s.body, s.len), words);
}

static void requests_in_words(void **state)
{
	(void)state;
	expect_words(IPC_TUNNEL_CREATE, "tunnel-create 7 'site-7'");
	expect_words(IPC_TUNNEL_REMOVE, "tunnel-remove 7");
	expect_words(IPC_CHILD_INSTALL, "child-install 9 of tunnel 7, SPIs a0000001/b0000001, "
					"192.0.2.1[4500] to 192.0.2.2[4500]");
	expect_words(IPC_CHILD_UPDATE, "child-update 9 192.0.2.1[4500] to 192.0.2.2[4500]");
	expect_words(IPC_SEND_IKE, "send-ike 2001:db8::1[4500] to 2001:db8::2[40000]");
	expect_words(IPC_SETTLED, "settled of 0 bytes");
	assert_string_equal(describe(99, "x", 1), "message 99 of 1 bytes");
	assert_string_equal(describe(UINT32_MAX, "", 0), "message 4294967295 of 0 bytes");
}

/* Whatever is in it, and wherever it ends. */
static void anything_in_words(void **state)
{
	uint8_t bytes[sizeof(struct child_sa)];
	char little[8];

	(void)state;
	for (unsigned fill = 0; fill < 256; fill += 85) {
		memset(bytes, (int)fill, sizeof(bytes));
		for (uint32_t verb = 0; verb < 256; verb++) {
			for (size_t len = 0; len < sizeof(bytes); len += 7)
				assert_true(strlen(describe(verb, bytes, len)) > 5);
			describe(verb, bytes, sizeof(bytes));
		}
	}
	assert_true(strlen(ipc_describe(IPC_TUNNEL_CREATE, span_of(bytes, sizeof(bytes)), little,
					sizeof(little))) == sizeof(little) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_pass),
		cmocka_unit_test(other_lengths_do_not),
		cmocka_unit_test(unknown_verbs_do_not),
		cmocka_unit_test(lists_end_somewhere),
		cmocka_unit_test(tunnels),
		cmocka_unit_test(children),
		cmocka_unit_test(the_network),
		cmocka_unit_test(events_of_plane),
		cmocka_unit_test(datagrams),
		cmocka_unit_test(requests_in_words),
		cmocka_unit_test(anything_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
