/* Algorithms, traffic selectors, identities, secrets, connections. */
#include "ipsecd/model/conn.h"
#include "ipsecd/model/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ts ts(const char *text)
{
	struct ts out;

	if (!ts_parse(text, &out))
		fail_msg("not a traffic selector: %s", text);
	return out;
}

static struct ts_list list(const char *a, const char *b)
{
	struct ts_list l = {.n = b ? 2 : 1};

	l.ts[0] = ts(a);
	if (b)
		l.ts[1] = ts(b);
	return l;
}

static struct id id(const char *text)
{
	struct id out;

	if (!id_parse(text, &out))
		fail_msg("not an identity: %s", text);
	return out;
}

static struct addr addr(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void test_algorithm_lookup(void **state)
{
	char text[32];

	(void)state;
	assert_int_equal(algorithm_encr(ENCR_AES_GCM_16, 256)->key_len, 32);
	assert_null(algorithm_encr(ENCR_AES_GCM_16, 0));
	assert_null(algorithm_encr(ENCR_CHACHA20_POLY1305, 256));
	assert_int_equal(algorithm_ke(KE_ECP_521)->public_len, 132);
	assert_string_equal(algorithm_format(TRANSFORM_ENCR, ENCR_AES_CBC, 128, text),
			    "AES_CBC_128");
	assert_string_equal(algorithm_format(TRANSFORM_ENCR, 3, 0, text), "ENCR_3");
	assert_string_equal(algorithm_format(TRANSFORM_KE, 2, 0, text), "KE_2");
	assert_string_equal(algorithm_format(250, 65535, 65535, text), "TYPE_250_65535");
	for (unsigned i = 0; algorithm_ke_at(i); i++)
		assert_true(algorithm_ke_at(i)->public_len <= ALGORITHM_PUBLIC_MAX);
}

static void test_ts_text(void **state)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{"10.1.0.0/16", "10.1.0.0/16"},
		{"10.1.2.3/16", "10.1.0.0/16"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"192.0.2.1", "192.0.2.1/32"},
		{"::/0", "::/0"},
		{"2001:db8::/33", "2001:db8::/33"},
		{"10.0.0.1-10.0.0.9", "10.0.0.1..10.0.0.9"},
		{"10.0.0.0..10.0.0.255", "10.0.0.0/24"},
		{"%dynamic", "dynamic"},
		{"%dynamic[gre]", "dynamic[gre]"},
		{"10.0.0.0/8[tcp/80]", "10.0.0.0/8[tcp/80]"},
		{"10.0.0.0/8[udp/1000-2000]", "10.0.0.0/8[udp/1000-2000]"},
		{"10.0.0.0/8[0/80]", "10.0.0.0/8[0/80]"},
		{"10.0.0.0/8[17/0]", "10.0.0.0/8[udp]"},
		{"10.0.0.0/8[icmp/8]", "10.0.0.0/8[icmp/8]"},
		{"10.0.0.0/8[icmp/8(0)]", "10.0.0.0/8[icmp/8(0)]"},
		{"10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/opaque]"},
	};
	static const char *const bad[] = {
		"",
		"10.0.0.0/33",
		"10.0.0.9-10.0.0.1",
		"10.0.0.1-::1",
		"10.0.0.0/8[",
		"10.0.0.0/8[]",
		"10.0.0.0/8[tcp/80",
		"10.0.0.0/8[tcp/65536]",
		"10.0.0.0/8[256]",
		"10.0.0.0/8[tcp/9-1]",
		"net",
		"10.0.0.0/8[icmp/8(]",
		"10.0.0.0/8[nope]",
	};
	char text[TS_TEXT];
	struct ts t;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		t = ts(good[i].in);
		assert_string_equal(ts_format(&t, text), good[i].out);
		assert_true(ts_parse(text, &t));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (ts_parse(bad[i], &t))
			fail_msg("accepted: %s", bad[i]);
	}
}

static void test_ts_narrow(void **state)
{
	struct ts_list ours = list("10.0.0.0/8", "192.0.2.0/24[tcp]"), out, offered;
	char text[256];

	(void)state;
	offered = list("0.0.0.0/0", NULL);
	assert_int_equal(ts_narrow(&ours, &offered, &out), 2);
	assert_string_equal(ts_list_format(&out, text, sizeof(text)),
			    "10.0.0.0/8 192.0.2.0/24[tcp]");
	/* The specific selector of the triggering packet lies inside the other. */
	offered = list("10.1.1.1[tcp/80]", "10.1.0.0/16");
	assert_int_equal(ts_narrow(&ours, &offered, &out), 1);
	assert_string_equal(ts_list_format(&out, text, sizeof(text)), "10.1.0.0/16");
	offered = list("172.16.0.0/12", "::/0");
	assert_int_equal(ts_narrow(&ours, &offered, &out), 0);
	offered = list("192.0.2.0/25[udp]", NULL);
	assert_int_equal(ts_narrow(&ours, &offered, &out), 0);
}

static void test_ts_sets(void **state)
{
	struct ts a = ts("10.0.0.0/8[tcp/80]"), b = ts("10.1.0.0/16[tcp]"), both;
	struct ts_list l = list("10.0.0.0/8[tcp/80]", "::/0"), in;
	struct addr v4 = addr("10.2.3.4"), v6 = addr("2001:db8::1");
	char text[256];

	(void)state;
	assert_true(ts_intersect(&a, &b, &both));
	assert_string_equal(ts_format(&both, text), "10.1.0.0/16[tcp/80]");
	assert_false(ts_contains(&a, &b));
	assert_true(ts_list_match(&l, &v4, 6, 80));
	assert_false(ts_list_match(&l, &v4, 6, 81));
	assert_false(ts_list_match(&l, &v4, 17, 80));
	assert_true(ts_list_match(&l, &v6, 17, 53));
	in = list("10.0.0.0/24[tcp/opaque]", NULL);
	v4 = addr("10.0.0.1");
	assert_true(ts_list_match(&in, &v4, 6, 0));
	assert_false(ts_list_match(&in, &v4, 6, 80));
	/* RFC 4301 7.1: a later fragment has ports, and nobody sees them. */
	assert_true(ts_list_match_opaque(&in, &v4, 6));
	assert_false(ts_list_match_opaque(&in, &v4, 17));
	in = list("10.0.0.0/24[tcp/0-1023]", "10.0.1.0/24[tcp]");
	assert_true(ts_list_match(&in, &v4, 6, 0));
	assert_false(ts_list_match_opaque(&in, &v4, 6));
	v4 = addr("10.0.1.1");
	assert_true(ts_list_match_opaque(&in, &v4, 6));
	v4 = addr("10.0.2.1");
	assert_false(ts_list_match_opaque(&in, &v4, 6));
	in = list("%dynamic[gre]", "10.0.0.0/8");
	ts_resolve(&in, &v6, 1, &l);
	assert_string_equal(ts_list_format(&l, text, sizeof(text)),
			    "2001:db8::1/128[gre] 10.0.0.0/8");
}

static void prefixes_of(const char *range, const char *wanted)
{
	char text[1024] = "", one[PREFIX_TEXT];
	struct prefix p[8];
	struct ts ts;
	unsigned n;

	assert_true(ts_parse(range, &ts));
	n = ts_prefixes(&ts, p, 8);
	for (unsigned i = 0; i < n && i < 8; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
			 prefix_format(&p[i], one));
	if (strcmp(text, wanted) != 0)
		fail_msg("%s: '%s', wanted '%s'", range, text, wanted);
}

static void test_ts_prefixes(void **state)
{
	struct prefix p[2];
	struct ts ts;

	(void)state;
	prefixes_of("10.1.0.0/16", "10.1.0.0/16");
	prefixes_of("0.0.0.0/0", "0.0.0.0/0");
	prefixes_of("::/0", "::/0");
	prefixes_of("10.0.0.5-10.0.0.9", "10.0.0.5/32 10.0.0.6/31 10.0.0.8/31");
	prefixes_of("10.0.0.255-10.0.1.0", "10.0.0.255/32 10.0.1.0/32");
	prefixes_of("255.255.255.254-255.255.255.255", "255.255.255.254/31");
	prefixes_of("128.0.0.0-255.255.255.255", "128.0.0.0/1");
	prefixes_of("2001:db8::ffff-2001:db8::1:0", "2001:db8::ffff/128 2001:db8::1:0/128");
	prefixes_of("%dynamic", "");
	assert_true(ts_parse("0.0.0.1-255.255.255.254", &ts)); /* the worst there is */
	assert_int_equal(ts_prefixes(&ts, p, 2), 62);
}

static void test_id_text(void **state)
{
	static const struct {
		const char *in, *out;
		uint8_t type;
	} good[] = {
		{"192.0.2.1", "192.0.2.1", ID_IPV4_ADDR},
		{"2001:DB8::1", "2001:db8::1", ID_IPV6_ADDR},
		{"@moon.example.org", "moon.example.org", ID_FQDN},
		{"moon", "moon", ID_FQDN},
		{"carol@example.org", "carol@example.org", ID_RFC822_ADDR},
		{"@@carol", "carol", ID_RFC822_ADDR},
		{"@#0A0b", "@#0a0b", ID_KEY_ID},
		{"keyid:site A", "site A", ID_KEY_ID},
		{"fqdn:192.0.2.1", "192.0.2.1", ID_FQDN},
		{"ipv4:192.0.2.1", "192.0.2.1", ID_IPV4_ADDR},
		{"%any", "%any", ID_ANY},
		{"*", "%any", ID_ANY},
		{"@a\\b", "a\\x5cb", ID_FQDN},
	};
	static const char *const bad[] = {"",	       "@",	    "C=CH, CN=moon", "@#0",
					  "@#zz",      "ipv4:::1",  "2001:db8::zz",  "192.0.2.300",
					  "%dynamics", "asn1dn:#00"};
	char text[ID_TEXT];
	struct id out;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		out = id(good[i].in);
		assert_int_equal(out.type, good[i].type);
		assert_string_equal(id_format(&out, text), good[i].out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (id_parse(bad[i], &out))
			fail_msg("accepted: %s", bad[i]);
	}
}

static void test_id_wire(void **state)
{
	uint8_t bytes[300];
	char text[ID_TEXT];
	struct id out;

	(void)state;
	memset(bytes, 0x1b, sizeof(bytes));
	assert_false(id_from_wire(ID_IPV4_ADDR, span_of(bytes, 5), &out));
	assert_false(id_from_wire(ID_FQDN, span_of(bytes, 0), &out));
	assert_false(id_from_wire(ID_FQDN, span_of(bytes, 256), &out));
	for (unsigned type = 1; type < 256; type++) {
		if (id_from_wire((uint8_t)type, span_of(bytes, 255), &out))
			assert_true(strlen(id_format(&out, text)) < ID_TEXT);
	}
	assert_true(id_from_wire(ID_FQDN, span_of("a\nb", 3), &out));
	assert_string_equal(id_format(&out, text), "a\\x0ab");
}

static void test_id_match(void **state)
{
	struct id any = id("%any"), name = id("@Moon.Example.org"), same = id("@moon.example.ORG");
	struct id star = id("@*.example.org"), bare = id("@.example.org"), mail = id("a@x.org");
	struct id mails = id("*@x.org");

	(void)state;
	assert_true(id_equal(&name, &same));
	assert_true(id_match(&same, &name) > id_match(&star, &name));
	assert_true(id_match(&star, &name) > id_match(&any, &name));
	assert_true(id_match(&any, &name) > 0);
	assert_int_equal(id_match(&star, &bare), 0);
	assert_int_equal(id_match(&name, &star), 0);
	assert_true(id_match(&mails, &mail) > 0);
	assert_int_equal(id_match(&star, &mail), 0);
}

/* 0x2a is a star in names alone. */
static void test_id_patterns(void **state)
{
	static const char *const patterns[] = {"%any", "@*.example.org", "*@x.org"};
	static const char *const single[] = {"@moon.*", "a@x.org", "42.0.0.1",
					     "2a00::1", "@#2a01",  "keyid:*.example.org"};
	struct id key = id("@#2a01"), longer = id("@#ff01"), any;

	(void)state;
	for (unsigned i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		any = id(patterns[i]);
		assert_true(id_is_pattern(&any));
	}
	for (unsigned i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		any = id(single[i]);
		assert_false(id_is_pattern(&any));
	}
	assert_int_equal(id_match(&key, &longer), 0);
}

static struct secret *secret(const char *a, const char *b)
{
	struct secret *s = secret_new("t:1", SECRET_IKE, span_str("key"));
	struct id owner;

	if (a) {
		owner = id(a);
		assert_true(secret_add_owner(s, &owner));
	}
	if (b) {
		owner = id(b);
		assert_true(secret_add_owner(s, &owner));
	}
	return s;
}

static unsigned match(const char *a, const char *b)
{
	struct id local = id("@a"), remote = id("@b");
	struct addr here = addr("192.0.2.1"), there = addr("192.0.2.2");
	struct secret *s = secret(a, b);
	unsigned m = secret_match(s, &local, &remote, &here, &there);

	secret_free(s);
	return m;
}

/* A key for an address does not outdo the one for the identity that comes from there. */
static void test_secret_match_address(void **state)
{
	struct id local = id("@a"), remote = id("@b"), any = {.type = ID_ANY};
	struct addr here = addr("192.0.2.1"), there = addr("192.0.2.2");
	struct secret *by_id = secret("@a", "@b"), *by_addr = secret("192.0.2.1", "192.0.2.2");
	struct secret *mixed = secret("192.0.2.1", "@b"), *other = secret("@a", "192.0.2.2");

	(void)state;
	assert_true(secret_match(by_id, &local, &remote, &here, &there) >
		    secret_match(mixed, &local, &remote, &here, &there));
	assert_true(secret_match(mixed, &local, &remote, &here, &there) >
		    secret_match(other, &local, &remote, &here, &there));
	assert_true(secret_match(other, &local, &remote, &here, &there) >
		    secret_match(by_addr, &local, &remote, &here, &there));
	/* Nobody says whose address that is. */
	assert_int_equal(secret_match(by_addr, &local, &remote, &here, NULL), 0);
	assert_true(secret_match(by_addr, &local, &any, &here, &there) > 0);
	secret_free(by_id);
	secret_free(by_addr);
	secret_free(mixed);
	secret_free(other);
}

static void test_secret_match(void **state)
{
	(void)state;
	assert_true(match("@a", "@b") > match("@b", NULL));
	assert_true(match("@b", NULL) > match("@a", NULL));
	assert_true(match("@a", NULL) > match(NULL, NULL));
	assert_true(match(NULL, NULL) > 0);
	assert_int_equal(match("@c", NULL), 0);
	assert_true(match("192.0.2.1", "192.0.2.2") > match("@b", NULL));
	assert_true(match("@a", "@b") > match("%any", "@b"));
	assert_true(match("%any", "@b") > match("@*", "@c"));
	/* Another peer's secret is not this one's because we share it. */
	assert_int_equal(match("@a", "@c"), 0);
}

static void test_conn_copy_compare(void **state)
{
	struct conn *a = conn_new("net-net"), *b;

	(void)state;
	assert_non_null(conn_add_child(a, "net-net"));
	a->remote[0].kind = HOST_NAME;
	a->remote[0].name = strdup("vpn.example.org");
	a->source = strdup("ipsec.conf:3");
	b = conn_copy(a);
	assert_int_equal(conn_compare(a, b), CONN_SAME);
	b->tunnel.mtu = 1400;
	assert_int_equal(conn_compare(a, b), CONN_DEVICE_DIFFERS);
	b->children[0].rekey_time++;
	assert_int_equal(conn_compare(a, b), CONN_CHILDREN_DIFFER);
	b->remote[0].name[0] = 'w';
	assert_int_equal(conn_compare(a, b), CONN_DIFFERS);
	assert_ptr_equal(conn_child(a, "net-net"), &a->children[0]);
	assert_null(conn_child(a, "net"));
	conn_free(a);
	conn_free(b);
}

static void test_conn_tunnel_name(void **state)
{
	static const char *const names[] = {"a-very-long-connection-name",
					    "a-very-long-connection-name2",
					    "a:b",
					    "a/b",
					    ".",
					    "..",
					    "sp ace",
					    "all",
					    "lo"};
	char seen[9][IF_NAMESIZE];

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		struct conn *c = conn_new(names[i]);

		strcpy(seen[i], c->tunnel.name);
		assert_true(strlen(seen[i]) > 2 && device_name_valid(seen[i]));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
		conn_free(c);
	}
}

static void test_device_words(void **state)
{
	static const char *const bad[] = {"",	"lo",  "all", "default", ".",
					  "..", "a/b", "a b", "a%d",	 "sixteen-letters-"};
	struct mark m = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(device_name_valid(bad[i]));
	assert_true(device_name_valid("tun-0_a.b"));
	assert_true(device_name_valid("fifteen-letters"));
	assert_true(mark_parse("42", &m));
	assert_true(m.value == 42 && m.mask == UINT32_MAX);
	assert_true(mark_parse("0x2a/0xff", &m));
	assert_true(m.value == 42 && m.mask == 0xff);
	assert_true(mark_parse("0/0x00000000", &m)); /* swanctl's "none" */
	assert_true(m.value == 0 && m.mask == 0);
	assert_false(mark_parse("0x100/0xff", &m));
	assert_false(mark_parse("4294967296", &m));
	assert_false(mark_parse("%unique", &m));
	assert_false(mark_parse("/1", &m));
}

static void test_host_words(void **state)
{
	static const struct {
		const char *text;
		enum host_kind kind;
	} good[] = {{"%any", HOST_ANY},
		    {"0.0.0.0", HOST_ANY},
		    {"::", HOST_ANY},
		    {"0.0.0.0/0", HOST_ANY},
		    {"%defaultroute", HOST_DEFAULT_ROUTE},
		    {"192.0.2.1", HOST_ADDR},
		    {"2001:db8::1", HOST_ADDR},
		    {"192.0.2.0/24", HOST_PREFIX},
		    {"gw.example.org", HOST_NAME},
		    {"gw_1", HOST_NAME}};
	static const char *const bad[] = {"",	"192.0.2.256", "1.2.3",	       "%anyone", "a b",
					  "-x", ".x",	       "192.0.2.0/33", "x/24"};
	struct host h;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(host_parse(good[i].text, &h));
		assert_int_equal(h.kind, good[i].kind);
		assert_int_equal(h.name != NULL, h.kind == HOST_NAME);
		free(h.name);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(host_parse(bad[i], &h));
}

static void assert_range(const char *text, const char *first, const char *last)
{
	struct addr a, b;
	char x[ADDR_TEXT], y[ADDR_TEXT];

	if (!pool_range_parse(text, &a, &b))
		fail_msg("%s is no range", text);
	assert_string_equal(addr_format(&a, x), first);
	assert_string_equal(addr_format(&b, y), last);
}

static void test_pool_ranges(void **state)
{
	static const char *const bad[] = {
		"",	     "10.3.0.9-10.3.0.1",   "10.3.0.1-2001:db8::1",
		"10.3.0.1-", "-10.3.0.1",	    "10.3.0.0/33",
		"pool",	     "10.3.0.1/24-10.3.0.9"};
	struct addr a, b;

	(void)state;
	assert_range("10.3.0.0/24", "10.3.0.1", "10.3.0.254");
	assert_range("10.3.0.9/24", "10.3.0.9", "10.3.0.254");
	assert_range("10.3.0.255/24", "10.3.0.255", "10.3.0.255");
	assert_range("10.3.0.0/30", "10.3.0.1", "10.3.0.2");
	assert_range("10.3.0.0/31", "10.3.0.0", "10.3.0.1");
	assert_range("10.3.0.7", "10.3.0.7", "10.3.0.7");
	assert_range("10.3.0.7/32", "10.3.0.7", "10.3.0.7");
	assert_range("10.3.0.250-10.3.1.4", "10.3.0.250", "10.3.1.4");
	assert_range("2001:db8::/64", "2001:db8::1", "2001:db8::ffff:ffff:ffff:fffe");
	assert_range("2001:db8::1000-2001:db8::1fff", "2001:db8::1000", "2001:db8::1fff");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (pool_range_parse(bad[i], &a, &b))
			fail_msg("a range: %s", bad[i]);
	}
}

static void test_pool_words(void **state)
{
	struct pool_ref p, q;
	struct addr a;
	char text[80];

	(void)state;
	assert_true(pool_ref_parse("%config", &p));
	assert_int_equal(p.kind, POOL_CLIENT);
	assert_true(pool_ref_parse("%modecfg", &p) && p.first.family == 0);
	assert_true(pool_ref_parse("%config6", &p) && p.first.family == AF_INET6);
	assert_string_equal(pool_ref_format(&p, text, sizeof(text)), "%config6");
	assert_true(pool_ref_parse("%rw", &p));
	assert_int_equal(p.kind, POOL_NAMED);
	assert_string_equal(p.name, "rw");
	assert_string_equal(pool_ref_format(&p, text, sizeof(text)), "%rw");
	assert_true(pool_ref_copy(&q, &p) && pool_ref_equal(&p, &q));
	pool_ref_clear(&q);
	assert_true(pool_ref_parse("10.3.0.0/24", &q));
	assert_int_equal(q.kind, POOL_RANGE);
	assert_false(pool_ref_equal(&p, &q));
	assert_string_equal(pool_ref_format(&q, text, sizeof(text)), "10.3.0.0/24");
	pool_ref_clear(&p);
	pool_ref_clear(&q);
	assert_false(pool_ref_parse("%", &p));
	assert_false(pool_ref_parse("rw", &p));
	pool_ref_clear(&p);
	assert_true(vip_parse("%config", &a) && a.family == 0);
	assert_true(vip_parse("%config4", &a) && a.family == AF_INET && addr_is_any(&a));
	assert_true(vip_parse("::", &a) && a.family == AF_INET6 && addr_is_any(&a));
	assert_true(vip_parse("10.3.0.1", &a) && !addr_is_any(&a));
	assert_false(vip_parse("%any", &a));
}

static void test_conn_addresses(void **state)
{
	struct conn *a = conn_new("rw"), *b;

	(void)state;
	assert_true(vip_parse("%config4", &a->vips[a->n_vips++]));
	assert_true(pool_ref_parse("10.3.0.0/24", &a->pools[a->n_pools++]));
	assert_true(pool_ref_parse("%config", &a->pools[a->n_pools++]));
	a->dns[a->n_dns++] = addr("10.3.1.1");
	b = conn_copy(a);
	assert_int_equal(conn_compare(a, b), CONN_SAME);
	b->n_dns = 0;
	assert_int_equal(conn_compare(a, b), CONN_DIFFERS);
	b->n_dns = 1;
	b->vips[0].family = AF_INET6;
	assert_int_equal(conn_compare(a, b), CONN_DIFFERS);
	b->vips[0].family = AF_INET;
	assert_int_equal(conn_compare(a, b), CONN_SAME);
	pool_ref_clear(&b->pools[0]);
	assert_true(pool_ref_parse("10.3.0.0/25", &b->pools[0]));
	assert_int_equal(conn_compare(a, b), CONN_DIFFERS);
	conn_free(a);
	conn_free(b);
}

/* What a changed field asks of a reload: nothing of a device's identity or of how packets are
 * treated is overlooked. */
static void test_conn_compare_fields(void **state)
{
	struct conn *a = conn_new("a-b"), *b;
	struct tunnel_config *t;
	struct child_flags *f;

	(void)state;
	assert_true(host_parse("192.0.2.1", &a->local[0]) && host_parse("%any", &a->remote[0]));
	assert_non_null(conn_add_child(a, "a-b"));
	b = conn_copy(a);
	conn_fix_tunnel_ends(b);
	t = &b->tunnel;
	assert_true(addr_equal(&t->local, &a->local[0].addr));
	assert_int_equal(t->remote.family, 0);
	assert_int_equal(conn_compare(a, b), CONN_SAME); /* derived: not compared */

#define DIFFERS(field, value, how)                               \
	do {                                                     \
		__typeof__(field) was = (field);                 \
		(field) = (value);                               \
		assert_int_equal(conn_compare(a, b), how);       \
		(field) = was;                                   \
		assert_int_equal(conn_compare(a, b), CONN_SAME); \
	} while (0)

	DIFFERS(t->mss, TUNNEL_MSS_AUTO, CONN_DEVICE_DIFFERS);
	DIFFERS(t->mtu, 1400, CONN_DEVICE_DIFFERS);
	DIFFERS(t->kind, DEVICE_XFRM, CONN_DIFFERS);
	DIFFERS(t->external, true, CONN_DIFFERS);
	DIFFERS(t->mark_in.value, 7, CONN_DIFFERS);
	DIFFERS(t->mark_out.mask, 7, CONN_DIFFERS);
	DIFFERS(t->if_id_in, 7, CONN_DIFFERS);
	DIFFERS(t->if_id_out, 7, CONN_DIFFERS);

	f = &b->children[0].flags;
	DIFFERS(f->df, CHILD_DF_CLEAR, CONN_CHILDREN_DIFFER);
	DIFFERS(f->dscp, CHILD_DSCP_BOTH, CONN_CHILDREN_DIFFER);
	DIFFERS(f->no_ecn, true, CONN_CHILDREN_DIFFER);
	DIFFERS(f->offload, CHILD_OFFLOAD_AUTO, CONN_CHILDREN_DIFFER);
	DIFFERS(f->tfc_pad, CHILD_TFC_MTU, CONN_CHILDREN_DIFFER);
	DIFFERS(f->set_mark_out, 1, CONN_CHILDREN_DIFFER);
	DIFFERS(f->set_mark_out_mask, 1, CONN_CHILDREN_DIFFER);
	DIFFERS(f->set_mark_in, 1, CONN_CHILDREN_DIFFER);
	DIFFERS(f->set_mark_in_mask, 1, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.mode, AGGFRAG_YES, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.dont_frag, true, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.rate_bits, true, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.packet_size, 1280, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.reorder_window, 5, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.drop_time, 5, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.max_queue, 5000, CONN_CHILDREN_DIFFER);
	DIFFERS(f->aggfrag.rate, 5, CONN_CHILDREN_DIFFER);
	f->df = CHILD_DF_CLEAR; /* another treatment of packets comes by a rekey */
	assert_false(child_config_same_keying(&a->children[0], &b->children[0]));
	assert_true(child_config_same_traffic(&a->children[0], &b->children[0]));
	f->df = CHILD_DF_COPY;
	b->children[0].updown = strdup("/bin/true"); /* a script is the shell's: no rekey */
	assert_int_equal(conn_compare(a, b), CONN_CHILDREN_DIFFER);
	assert_true(child_config_same_keying(&a->children[0], &b->children[0]));
#undef DIFFERS
	conn_free(a);
	conn_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithm_lookup),
		cmocka_unit_test(test_ts_text),
		cmocka_unit_test(test_ts_narrow),
		cmocka_unit_test(test_ts_sets),
		cmocka_unit_test(test_ts_prefixes),
		cmocka_unit_test(test_id_text),
		cmocka_unit_test(test_id_wire),
		cmocka_unit_test(test_id_match),
		cmocka_unit_test(test_id_patterns),
		cmocka_unit_test(test_secret_match),
		cmocka_unit_test(test_secret_match_address),
		cmocka_unit_test(test_conn_copy_compare),
		cmocka_unit_test(test_conn_compare_fields),
		cmocka_unit_test(test_pool_ranges),
		cmocka_unit_test(test_pool_words),
		cmocka_unit_test(test_conn_addresses),
		cmocka_unit_test(test_conn_tunnel_name),
		cmocka_unit_test(test_device_words),
		cmocka_unit_test(test_host_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
