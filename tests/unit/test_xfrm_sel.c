/* Traffic selectors as the kernel's: for packets at and around every edge, and random ones,
 * what the selectors match is what the traffic selectors match, or more where that is said. */
#include "ipsecd/dataplane/xfrm_msg.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct packet {
	struct addr src, dst;
	uint8_t protocol;
	uint16_t sport, dport; /* ICMP: type and code */
};

static struct ts ts_of(const char *text)
{
	struct ts ts;

	if (!ts_parse(text, &ts))
		fail_msg("%s", text);
	return ts;
}

/* As the kernel matches, include/net/xfrm.h. */
static bool sel_match(const struct xfrm_sel *s, const struct packet *p)
{
	return s->family == p->src.family && prefix_contains(&s->src, &p->src) &&
	       prefix_contains(&s->dst, &p->dst) && (!s->protocol || s->protocol == p->protocol) &&
	       !((p->sport ^ s->sport) & s->sport_mask) && !((p->dport ^ s->dport) & s->dport_mask);
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static bool ts_match(const struct ts *src, const struct ts *dst, const struct packet *p)
{
	struct ts_list s = {.n = 1, .ts = {*src}}, d = {.n = 1, .ts = {*dst}};
	uint16_t icmp = (uint16_t)(p->sport << 8 | p->dport);

	return p->src.family == p->dst.family &&
	       ts_list_match(&s, &p->src, p->protocol, is_icmp(p->protocol) ? icmp : p->sport) &&
	       ts_list_match(&d, &p->dst, p->protocol, is_icmp(p->protocol) ? icmp : p->dport);
}

static void random_addr(const struct ts *ts, struct addr *out)
{
	size_t size = addr_size(ts->family);

	*out = (struct addr){.family = ts->family};
	memcpy(out->bytes, random() % 2 ? ts->start : ts->end, size);
	switch (random() % 4) {
	case 0: /* one before or behind an edge */
		out->bytes[size - 1] = (uint8_t)(out->bytes[size - 1] + random() % 3 - 1);
		return;
	case 1: /* somewhere near */
		out->bytes[size - 1] = (uint8_t)random();
		return;
	case 2:
		out->bytes[random() % (long)size] = (uint8_t)random();
		return;
	default:
		return;
	}
}

static uint16_t random_port(const struct ts *ts)
{
	switch (random() % 4) {
	case 0:
		return (uint16_t)(ts->port_start + random() % 3 - 1);
	case 1:
		return (uint16_t)(ts->port_end + random() % 3 - 1);
	case 2:
		return (uint16_t)random();
	default:
		return 0;
	}
}

static struct packet random_packet(const struct ts *src, const struct ts *dst)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_GRE};
	struct packet p = {.protocol = protocols[random() % 4]};

	if (random() % 2 && (src->protocol || dst->protocol))
		p.protocol = src->protocol ? src->protocol : dst->protocol;
	random_addr(src, &p.src);
	random_addr(dst, &p.dst);
	p.sport = random_port(src);
	p.dport = random_port(dst);
	if (is_icmp(p.protocol)) {
		uint16_t port = random_port(random() % 2 ? src : dst);

		p.sport = port >> 8;
		p.dport = port & 0xff;
	}
	return p;
}

static void assert_packets(const struct ts *src, const struct ts *dst, const struct xfrm_sel *sels,
			   unsigned n, bool exact)
{
	for (unsigned i = 0; i < 100; i++) {
		struct packet p = random_packet(src, dst);
		bool want = ts_match(src, dst, &p);
		unsigned got = 0;

		for (unsigned s = 0; s < n; s++)
			got += sel_match(&sels[s], &p);
		if (exact)
			assert_int_equal(got, want); /* by one of them only */
		else if (want)
			assert_true(got > 0);
	}
}

static unsigned check(const struct ts *local, const struct ts *remote, bool *exact)
{
	struct xfrm_sel out[XFRM_SELS_MAX], in[XFRM_SELS_MAX];
	bool exact_in;
	unsigned n = xfrm_sels_from_ts(local, remote, true, out, exact);

	assert_true(n <= XFRM_SELS_MAX);
	assert_int_equal(xfrm_sels_from_ts(local, remote, false, in, &exact_in), n);
	assert_int_equal(*exact, exact_in);
	assert_packets(local, remote, out, n, *exact);
	assert_packets(remote, local, in, n, *exact);
	return n;
}

static void known_pairs(void **state)
{
	static const struct {
		const char *local, *remote;
		unsigned n;
		bool exact;
	} cases[] = {
		{"10.1.0.0/16", "10.2.0.0/16", 1, true},
		{"0.0.0.0/0", "0.0.0.0/0", 1, true},
		{"::/0", "fd00::/8", 1, true},
		{"10.1.0.0/16", "fd00::/8", 0, true},
		{"10.0.0.1-10.0.0.9", "10.2.0.0/16", 4, true}, /* 1, 2-3, 4-7, 8-9 */
		{"10.0.0.0-10.0.0.255", "10.2.0.0/16", 1, true},
		{"10.0.0.255-10.0.1.0", "10.0.0.255-10.0.1.0", 4, true},
		{"0.0.0.1-255.255.255.254", "10.2.0.0/16", 62, true},
		{"0.0.0.1-255.255.255.254", "0.0.0.1-255.255.255.254", 62, false},
		{"::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "::/0", 1, false},
		{"10.1.0.0/16[tcp/80]", "10.2.0.0/16[tcp]", 1, true},
		{"10.1.0.0/16[tcp/80]", "10.2.0.0/16", 1, true},
		{"10.1.0.0/16[tcp]", "10.2.0.0/16[udp]", 0, true},
		{"10.1.0.0/16[udp/1000-2000]", "10.2.0.0/16[udp]", 8, true},
		{"10.1.0.0/16[udp/1024-65535]", "10.2.0.0/16[udp/53]", 6, true},
		{"10.1.0.0/16[udp/1-65534]", "10.2.0.0/16[udp/1-65534]", 1, false},
		{"10.0.0.1-10.0.0.9[udp/1000-2000]", "10.2.0.0/16[udp]", 32, true},
		{"10.0.0.1-10.0.0.9[udp/1-65534]", "10.2.0.0/16[udp]", 4, false},
		{"10.1.0.0/16[icmp/8]", "10.2.0.0/16[icmp/8]", 1, true},
		{"10.1.0.0/16[icmp/8]", "10.2.0.0/16[icmp]", 1, true},
		{"10.1.0.0/16[icmp/3(4)]", "10.2.0.0/16[icmp]", 1, true},
		{"10.1.0.0/16[icmp/8]", "10.2.0.0/16[icmp/0]", 0, true},
		{"10.1.0.0/16[tcp/opaque]", "10.2.0.0/16[tcp/opaque]", 1, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts local = ts_of(cases[i].local), remote = ts_of(cases[i].remote);
		bool exact;
		unsigned n = check(&local, &remote, &exact);

		if (n != cases[i].n || exact != cases[i].exact)
			fail_msg("%s === %s: %u selectors, %s", cases[i].local, cases[i].remote, n,
				 exact ? "exact" : "wider");
	}
}

static void a_pair_is_turned_round(void **state)
{
	struct ts local = ts_of("10.1.0.0/16[tcp/80]"), remote = ts_of("10.2.0.0/16[tcp/443]");
	struct xfrm_sel out[XFRM_SELS_MAX], in[XFRM_SELS_MAX], want;
	bool exact;

	(void)state;
	assert_int_equal(xfrm_sels_from_ts(&local, &remote, true, out, &exact), 1);
	assert_int_equal(xfrm_sels_from_ts(&local, &remote, false, in, &exact), 1);
	want = (struct xfrm_sel){.family = AF_INET,
				 .src = in[0].dst,
				 .dst = in[0].src,
				 .protocol = IPPROTO_TCP,
				 .sport = 80,
				 .sport_mask = 0xffff,
				 .dport = 443,
				 .dport_mask = 0xffff};
	assert_true(xfrm_sel_equal(out, &want));
	assert_false(xfrm_sel_equal(in, &want));
}

static void nothing_to_match(void **state)
{
	struct ts all = ts_of("0.0.0.0/0"), dynamic = ts_of("%dynamic"), wrong = all;
	struct xfrm_sel out[XFRM_SELS_MAX];
	bool exact;

	(void)state;
	assert_int_equal(xfrm_sels_from_ts(&all, &dynamic, true, out, &exact), 0);
	assert_int_equal(xfrm_sels_from_ts(&dynamic, &dynamic, true, out, &exact), 0);
	memset(wrong.start, 0xff, 4); /* ends before it begins */
	memset(wrong.end, 0, 4);
	assert_int_equal(xfrm_sels_from_ts(&all, &wrong, true, out, &exact), 0);
	wrong = (struct ts){.family = 99};
	assert_int_equal(xfrm_sels_from_ts(&wrong, &wrong, true, out, &exact), 0);
}

static struct ts random_ts(uint8_t family, uint8_t protocol)
{
	struct ts ts = {.family = family, .protocol = protocol, .port_end = UINT16_MAX};
	size_t size = addr_size(family), from = (size_t)random() % size;

	for (size_t i = 0; i < size; i++) {
		ts.start[i] = ts.end[i] = (uint8_t)random();
		if (i >= from) {
			ts.start[i] = (uint8_t)random() & 0x7f;
			ts.end[i] = (uint8_t)random() | 0x80;
		}
	}
	if (protocol && random() % 2) {
		ts.port_start = (uint16_t)random() & 0x7fff;
		ts.port_end = (uint16_t)random() | 0x8000;
		if (random() % 2)
			ts.port_end = ts.port_start | 0x1f;
	}
	return ts;
}

static void random_pairs(void **state)
{
	static const uint8_t protocols[] = {0, IPPROTO_TCP, IPPROTO_ICMP, IPPROTO_UDP};
	unsigned seen = 0, exacts = 0;

	(void)state;
	srandom(5);
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t family = random() % 2 ? AF_INET : AF_INET6;
		uint8_t protocol = protocols[random() % 4];
		struct ts local = random_ts(family, protocol), remote = random_ts(family, protocol);
		bool exact;

		if (random() % 2)
			remote = ts_of(family == AF_INET ? "10.0.0.0/8" : "fd00::/8");
		seen += check(&local, &remote, &exact) > 0;
		exacts += exact;
	}
	assert_true(seen > 1000 && exacts > 500 && exacts < 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_pairs),
		cmocka_unit_test(a_pair_is_turned_round),
		cmocka_unit_test(nothing_to_match),
		cmocka_unit_test(random_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
