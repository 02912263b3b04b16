/* Probes' bytes, and bgpd's prefix lists: read, and what to say to change them. */
#include "routed-bridge/prefix_list.h"
#include "routed-bridge/probe_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static const uint8_t request[] = {
	8,    0,    0x9d, 0xd8, 0x12, 0x34, 0,	  7, /* type, sum, id, number */
	0xaa, 0xbb, 0xcc, 0xdd, 0,    0,    0x12, 0x34, 0, 1, 0, 7};

/* The reply to a request, as a raw socket gives it. */
static size_t reply(uint8_t family, const struct probe_echo *e, uint8_t *out)
{
	static const uint8_t ip[20] = {0x45};
	size_t head = family == AF_INET ? sizeof(ip) : 0;
	uint16_t sum;

	memcpy(out, ip, head);
	probe_put(family, e, out + head);
	out[head] = family == AF_INET ? 0 : 129;
	sum = (uint16_t)(out[head + 2] << 8 | out[head + 3]);
	if (family == AF_INET) { /* RFC 1624: the type was 8 << 8 */
		uint32_t n = (uint32_t)sum + 0x0800;

		n = (n & 0xffff) + (n >> 16);
		out[head + 2] = (uint8_t)(n >> 8);
		out[head + 3] = (uint8_t)n;
	}
	return head + PROBE_LEN;
}

static void test_probe(void **state)
{
	const struct probe_echo e = {.id = 0x1234, .cookie = 0xaabbccdd00001234, .seq = 0x00010007};
	static const uint8_t families[] = {AF_INET, AF_INET6};
	uint8_t bytes[PROBE_LEN + 20], *copy;
	struct probe_echo got;

	(void)state;
	probe_put(AF_INET, &e, bytes);
	assert_memory_equal(bytes, request, 2);
	assert_memory_equal(bytes + 4, request + 4, sizeof(request) - 4);
	for (unsigned f = 0; f < 2; f++) {
		size_t len = reply(families[f], &e, bytes), head = len - PROBE_LEN;

		assert_true(probe_parse(families[f], span_of(bytes, len), &got));
		assert_memory_equal(&got.cookie, &e.cookie, sizeof(e.cookie));
		assert_int_equal(got.id, e.id);
		assert_int_equal(got.seq, e.seq);
		for (size_t n = 0; n < len; n++) {
			copy = malloc(n ? n : 1); /* every overread is seen */
			memcpy(copy, bytes, n);
			assert_false(probe_parse(families[f], span_of(copy, n), &got));
			free(copy);
		}
		bytes[head] ^= 8; /* a request is no reply */
		assert_false(probe_parse(families[f], span_of(bytes, len), &got));
	}
	bytes[20] = 0;
	reply(AF_INET, &e, bytes);
	bytes[30] ^= 1;
	assert_false(probe_parse(AF_INET, span_of(bytes, PROBE_LEN + 20), &got));
	bytes[0] = 0x44;
	assert_false(probe_parse(AF_INET, span_of(bytes, PROBE_LEN + 20), &got));
}

static const char shown[] = "BGP: ip prefix-list DEGRADED: 4 entries\n"
			    "   seq 5 permit 10.9.0.1/32\n"
			    "   seq 10 permit 10.9.0.3/32\r\n"
			    "   seq 15 permit 10.0.0.0/8 le 32\n"
			    "   seq 20 deny 10.9.0.9/32\n"
			    "   seq 25 permit any\n   seq 30 permit 10.9.0.1";

static struct addr address(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void test_prefix_list(void **state)
{
	static struct prefix_list_addrs is, wanted;
	struct addr one = address("10.9.0.1"), five = address("10.9.0.5"), six = address("fe80::1");
	char command[PREFIX_LIST_COMMAND];

	(void)state;
	prefix_list_read(span_of(shown, sizeof(shown) - 1), AF_INET, &is);
	assert_int_equal(is.n, 2);
	assert_true(prefix_list_add(&wanted, &one) && prefix_list_add(&wanted, &five) &&
		    prefix_list_add(&wanted, &six));
	assert_true(prefix_list_command("DEGRADED", AF_INET, &is, &wanted, command));
	assert_string_equal(command, "ip prefix-list DEGRADED permit 10.9.0.5/32");
	assert_true(prefix_list_command("DEGRADED", AF_INET, &is, &wanted, command));
	assert_string_equal(command, "no ip prefix-list DEGRADED permit 10.9.0.3/32");
	assert_false(prefix_list_command("DEGRADED", AF_INET, &is, &wanted, command));
	prefix_list_read(span_of("", 0), AF_INET6, &is);
	assert_true(prefix_list_command("DEGRADED", AF_INET6, &is, &wanted, command));
	assert_string_equal(command, "ipv6 prefix-list DEGRADED permit fe80::1/128");
	assert_false(prefix_list_command("DEGRADED", AF_INET6, &is, &wanted, command));
}

static void test_full_list(void **state)
{
	static struct prefix_list_addrs l;
	struct addr a = address("10.0.0.0");

	(void)state;
	for (unsigned i = 0; i < PREFIX_LIST_ADDRS_MAX; i++) {
		a.bytes[2] = (uint8_t)(i >> 8);
		a.bytes[3] = (uint8_t)i;
		assert_true(prefix_list_add(&l, &a));
		assert_true(prefix_list_add(&l, &a));
	}
	a.bytes[1] = 1;
	assert_false(prefix_list_add(&l, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_prefix_list),
		cmocka_unit_test(test_full_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
