/* Connections, settings and secrets as bytes: nothing is lost on the way, one value has one form,
 * and damaged bytes are refused or say something else that is possible. */
#include "ipsecd/config/config.h"
#include "ipsecd/model/conn_codec.h"
#include "tests/support/conn_dump.h"
#include "tests/support/propose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <glob.h>

#define GOLDEN "tests/golden/ipsec.conf/*.in"

static uint8_t memory[1 << 20], again[1 << 20];

/* ---- a way there and back ---- */

static char *dump(const struct conn *c)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	conn_dump(c, out);
	fclose(out);
	return text;
}

static struct span encoded(const struct conn *conn)
{
	struct buf b = buf_over(memory, sizeof(memory));
	struct codec_result r = conn_encode(conn, &b);
	char text[128];

	if (r.error)
		fail_msg("%s: %s", conn->name, codec_describe(&r, text, sizeof(text)));
	return buf_span(&b);
}

static void there_and_back(const struct conn *conn)
{
	struct span bytes = encoded(conn);
	struct buf b = buf_over(again, sizeof(again));
	struct conn *copy = NULL;
	struct codec_result r = conn_decode(bytes, &copy);
	char text[128], *a, *c;

	if (r.error)
		fail_msg("%s: %s", conn->name, codec_describe(&r, text, sizeof(text)));
	assert_int_equal(conn_compare(conn, copy), CONN_SAME);
	a = dump(conn);
	c = dump(copy);
	assert_string_equal(a, c);
	assert_string_equal(conn->source ? conn->source : "none",
			    copy->source ? copy->source : "none");
	r = conn_encode(copy, &b);
	assert_int_equal(r.error, CODEC_OK);
	assert_true(span_equal(buf_span(&b), bytes));
	free(a);
	free(c);
	conn_free(copy);
}

static void test_golden_conns(void **state)
{
	unsigned conns = 0;
	glob_t found;

	(void)state;
	assert_int_equal(glob(GOLDEN, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct config_errors errors = {0};
		struct config config = {0};

		config_load(found.gl_pathv[i], NULL, &config, &errors);
		for (unsigned n = 0; n < config.n_conns; n++) {
			conn_complete(config.conns[n].conn);
			there_and_back(config.conns[n].conn);
			conns++;
		}
		config_errors_free(&errors);
		config_free(&config);
	}
	globfree(&found);
	assert_true(conns > 20);
}

/* ---- random ones ---- */

static uint64_t state_of_random;

static unsigned draw(unsigned below)
{
	state_of_random = state_of_random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(state_of_random >> 33) % below;
}

static mono_time draw_time(void)
{
	return draw(4) ? draw(100000) * MONO_MS : 0;
}

static struct addr draw_addr(void)
{
	struct addr a = {.family = draw(2) ? AF_INET : AF_INET6};

	for (size_t i = 0; i < addr_size(a.family); i++)
		a.bytes[i] = (uint8_t)draw(256);
	return a;
}

static struct prefix draw_prefix(void)
{
	struct prefix p = {.addr = draw_addr()};

	p.len = (uint8_t)(1 + draw((unsigned)addr_size(p.addr.family) * 8));
	return p;
}

static uint8_t draw_addrs(struct addr *list, unsigned max)
{
	unsigned n = draw(max + 1);

	for (unsigned i = 0; i < n; i++)
		list[i] = draw_addr();
	return (uint8_t)n;
}

static void draw_id(struct id *id)
{
	static const char *const texts[] = {
		"%any",		 "192.0.2.1",	    "2001:db8::1", "gw.example.org",
		"*.example.org", "me@site.example", "@#00ff10",	   "keyid:some key",
	};

	assert_true(id_parse(texts[draw(8)], id));
}

static void draw_ts(struct ts *ts)
{
	static const char *const texts[] = {
		"%dynamic",
		"10.0.0.0/8",
		"0.0.0.0/0",
		"::/0",
		"10.0.0.1-10.0.0.9",
		"%dynamic[gre]",
		"10.1.0.0/16[tcp/80]",
		"fd00::/64[udp/1-9]",
		"10.0.0.0/8[icmp/8]",
		"192.0.2.0/24[tcp/opaque]",
	};

	if (!ts_parse(texts[draw(10)], ts))
		assert_true(ts_parse("%dynamic", ts));
}

static void draw_ts_list(struct ts_list *l)
{
	l->n = (uint8_t)(1 + draw(TS_LIST_MAX));
	for (unsigned i = 0; i < l->n; i++)
		draw_ts(&l->ts[i]);
}

static void draw_hosts(struct host *hosts, uint8_t *n)
{
	static const char *const texts[] = {"%any",	   "%defaultroute",   "192.0.2.7",
					    "2001:db8::7", "198.51.100.0/24", "peer.example.org"};

	*n = (uint8_t)draw(CONN_ADDRS_MAX + 1);
	for (unsigned i = 0; i < *n; i++) {
		assert_true(host_parse(texts[draw(6)], &hosts[i]));
		if (hosts[i].kind == HOST_NAME && draw(2))
			hosts[i].addr = draw_addr();
	}
}

static void draw_proposals(enum proposal_protocol protocol, const struct proposal_list **l)
{
	static const char *const ike[] = {"aes128gcm16-prfsha256-x25519", "default",
					  "aes256-sha384-modp3072,aes128-sha256-ecp256"};
	static const char *const esp[] = {"aes256gcm16", "chacha20poly1305-esn-noesn,aes128-sha256",
					  "default,aes128-sha512-x25519-modpnone"};

	propose(protocol, protocol == PROTOCOL_IKE ? ike[draw(3)] : esp[draw(3)], l);
}

static void draw_mark(uint32_t *value, uint32_t *mask)
{
	*mask = draw(3) ? draw(1 << 30) : 0;
	*value = draw(1 << 30) & *mask;
}

static struct aggfrag_params draw_aggfrag(void)
{
	struct aggfrag_params p = {.mode = (uint8_t)draw(3), .dont_frag = draw(2)};

	p.packet_size = (uint16_t)(draw(2) * (AGGFRAG_PACKET_MIN + draw(1000)));
	p.reorder_window = (uint16_t)draw(AGGFRAG_WINDOW_MAX + 1);
	p.drop_time = draw(1000);
	p.max_queue = draw(2) * AGGFRAG_QUEUE_MAX;
	p.rate_bits = draw(2);
	p.rate = p.rate_bits ? AGGFRAG_BITS_MAX - draw(1000) : draw(1000);
	return p;
}

static void draw_child(struct child_config *c)
{
	draw_ts_list(&c->local_ts);
	draw_ts_list(&c->remote_ts);
	draw_proposals(PROTOCOL_ESP, &c->proposals);
	c->rekey_time = draw_time();
	c->life_time = draw_time();
	c->rand_time = draw_time();
	c->life_bytes = draw(2) ? UINT64_MAX : draw(1000);
	c->rekey_packets = draw(1000);
	c->start_action = draw(3);
	c->dpd_action = draw(3);
	c->close_action = draw(3);
	c->replay_window = (uint16_t)draw(4097);
	c->resources = draw(2) ? CHILD_RESOURCES_AUTO : (uint16_t)draw(CHILD_RESOURCES_MAX + 1);
	c->reqid = draw(2) * draw(1 << 30);
	c->flags = (struct child_flags){.df = draw(2), .dscp = draw(4), .no_ecn = draw(2)};
	c->flags.offload = (uint8_t)draw(3);
	c->flags.tfc_pad = draw(2) ? CHILD_TFC_MTU : 0;
	draw_mark(&c->flags.set_mark_out, &c->flags.set_mark_out_mask);
	draw_mark(&c->flags.set_mark_in, &c->flags.set_mark_in_mask);
	c->flags.aggfrag = draw_aggfrag();
	if (draw(2))
		c->updown = strdup("/etc/ipsec.d/updown tunnel \"a b\"");
}

static void draw_tunnel(struct tunnel_config *t)
{
	t->named = draw(2);
	if (t->named)
		snprintf(t->name, sizeof(t->name), "vti-%u", draw(1000000));
	t->keyed = draw(2);
	t->kind = draw(3);
	t->n_addrs = (uint8_t)draw(CONN_IF_ADDRS_MAX + 1);
	for (unsigned i = 0; i < t->n_addrs; i++)
		t->addrs[i] = draw_prefix();
	t->mtu = (uint16_t)draw(9000);
	t->mss = (uint16_t)draw(2);
	draw_mark(&t->mark_in.value, &t->mark_in.mask);
	draw_mark(&t->mark_out.value, &t->mark_out.mask);
	t->if_id_in = draw(100);
}

static void draw_pools(struct conn *c)
{
	static const char *const texts[] = {"10.3.0.0/24", "fd00::10-fd00::20", "%config",
					    "%config6", "%staff"};

	c->n_pools = (uint8_t)draw(POOL_REFS_MAX + 1);
	for (unsigned i = 0; i < c->n_pools; i++)
		assert_true(pool_ref_parse(texts[draw(5)], &c->pools[i]));
}

static struct conn *draw_conn(void)
{
	char name[40];
	struct conn *c;

	snprintf(name, sizeof(name), "conn %u of a test%s", draw(1000), draw(2) ? "" : " ");
	c = conn_new(name);
	c->source = draw(2) ? strdup("/etc/ipsec.conf:12") : NULL;
	draw_hosts(c->local, &c->n_local);
	draw_hosts(c->remote, &c->n_remote);
	c->remote_port = (uint16_t)draw(65536);
	draw_id(&c->local_id);
	draw_id(&c->remote_id);
	c->remote_id_set = draw(2);
	draw_proposals(PROTOCOL_IKE, &c->proposals);
	c->encap = (uint8_t)draw(3);
	c->message_id_sync = draw(2);
	c->rekey = draw(2);
	c->reauth = draw(2);
	c->rekey_time = draw_time();
	c->reauth_time = draw_time();
	c->keying_tries = draw(10);
	c->unique = draw(4);
	c->n_vips = draw_addrs(c->vips, VIPS_MAX);
	c->n_dns_wanted = draw_addrs(c->dns_wanted, VIP_DNS_MAX);
	c->n_dns = draw_addrs(c->dns, VIP_DNS_MAX);
	draw_pools(c);
	draw_tunnel(&c->tunnel);
	for (unsigned i = draw(5); i-- > 0;) {
		snprintf(name, sizeof(name), "child-%u", i);
		draw_child(conn_add_child(c, name));
	}
	conn_complete(c);
	return c;
}

static void test_random_conns(void **state)
{
	(void)state;
	state_of_random = 1;
	for (unsigned i = 0; i < 500; i++) {
		struct conn *c = draw_conn();

		there_and_back(c);
		conn_free(c);
	}
}

/* ---- damage ---- */

/* Refused, or possible and then written in the same way. */
static bool refused(struct span bytes)
{
	struct buf b = buf_over(again, sizeof(again));
	struct conn *copy = NULL;
	struct codec_result r = conn_decode(bytes, &copy);

	if (r.error) {
		assert_null(copy);
		assert_true(*r.what && r.at <= bytes.len);
		return true;
	}
	assert_int_equal(conn_encode(copy, &b).error, CODEC_OK);
	assert_true(span_equal(buf_span(&b), bytes));
	conn_free(copy);
	return false;
}

static void test_damage(void **state)
{
	struct conn *c;
	struct span bytes;
	uint8_t *bad;

	(void)state;
	state_of_random = 7;
	c = draw_conn();
	while (c->n_children < 2 || c->n_pools < 2) {
		conn_free(c);
		c = draw_conn();
	}
	bytes = encoded(c);
	bad = malloc(bytes.len + 1); /* exactly: ASan sees what is read behind it */
	for (size_t n = 0; n < bytes.len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, bytes.ptr, n);
		assert_true(refused(span_of(cut, n)));
		if (n >= 8) { /* and with a length that fits */
			be32_set(cut + 4, (uint32_t)n);
			assert_true(refused(span_of(cut, n)));
		}
		free(cut);
	}
	for (size_t i = 0; i < 3000; i++) {
		memcpy(bad, bytes.ptr, bytes.len);
		for (unsigned n = 1 + draw(3); n-- > 0;)
			bad[draw((unsigned)bytes.len)] = (uint8_t)draw(256);
		refused(span_of(bad, bytes.len));
	}
	memcpy(bad, bytes.ptr, bytes.len);
	bad[bytes.len] = 0;
	be32_set(bad + 4, (uint32_t)bytes.len + 1);
	assert_true(refused(span_of(bad, bytes.len + 1)));
	free(bad);
	conn_free(c);
}

static void expect(struct span bytes, enum codec_error error, const char *what)
{
	struct conn *copy = NULL;
	struct codec_result r = conn_decode(bytes, &copy);

	assert_null(copy);
	assert_int_equal(r.error, error);
	assert_string_equal(r.what, what);
}

/* Each of these is wrong in the struct, and told by its name before it is written. */
static void test_not_possible(void **state)
{
	struct conn *c = conn_new("x"), *copy;
	struct buf b = buf_over(memory, sizeof(memory));
	struct span bytes;
	uint8_t small[64];

	(void)state;
	bytes = encoded(c);
	memory[1] ^= 1;
	expect(bytes, CODEC_FORMAT, "tag");
	memory[1] ^= 1;
	memory[3] = 9;
	expect(bytes, CODEC_FORMAT, "version");
	expect(span_of(NULL, 0), CODEC_SHORT, "tag");
	c->unique = UNIQUE_REPLACE + 1;
	assert_string_equal(conn_encode(c, &b).what, "uniqueness");
	c->unique = UNIQUE_NO;
	memset(c->tunnel.name, 'a', sizeof(c->tunnel.name));
	assert_string_equal(conn_encode(c, &b).what, "tunnel name");
	conn_default_tunnel_name(c);
	c->tunnel.mark_in = (struct mark){.value = 3, .mask = 1};
	assert_string_equal(conn_encode(c, &b).what, "tunnel's inbound mark");
	c->tunnel.mark_in.mask = 3;
	conn_add_child(c, "a");
	conn_add_child(c, "a");
	assert_string_equal(conn_encode(c, &b).what, "children's names");
	b = buf_over(small, sizeof(small));
	assert_int_equal(conn_encode(c, &b).error, CODEC_NO_ROOM);
	assert_int_equal(conn_decode(span_of(small, 64), &copy).error, CODEC_VALUE);
	conn_free(c);
}

/* ---- settings, secrets ---- */

static void test_settings(void **state)
{
	struct settings s = SETTINGS_DEFAULT, copy = {0};
	struct buf b = buf_over(memory, sizeof(memory));
	struct span bytes;

	(void)state;
	s.install_routes = s.install_virtual_ip = true;
	snprintf(s.install_virtual_ip_on, sizeof(s.install_virtual_ip_on), "lo");
	snprintf(s.bind_device, sizeof(s.bind_device), "vrf-outside");
	s.keep_on_stop = 30;
	s.workers = 4;
	s.quick_crash_detection = false;
	assert_true(endpoint_parse("[::1]:9433", &s.metrics));
	assert_int_equal(settings_encode(&s, &b).error, CODEC_OK);
	bytes = buf_span(&b);
	assert_int_equal(settings_decode(bytes, &copy).error, CODEC_OK);
	assert_true(copy.install_routes && copy.install_virtual_ip && copy.early_detection &&
		    copy.routing_table == 220 && copy.routing_table_prio == 220 &&
		    copy.updown_timeout == 30);
	assert_string_equal(copy.install_virtual_ip_on, "lo");
	assert_string_equal(copy.bind_device, "vrf-outside");
	assert_int_equal(copy.keep_on_stop, 30);
	assert_int_equal(copy.workers, 4);
	assert_false(copy.quick_crash_detection);
	assert_true(endpoint_equal(&s.metrics, &copy.metrics));
	for (size_t n = 0; n < bytes.len; n++)
		assert_int_not_equal(settings_decode(span_of(bytes.ptr, n), &copy).error, CODEC_OK);
	s.updown_timeout = 0;
	assert_string_equal(settings_encode(&s, &b).what, "updown-timeout");
}

static void test_secrets(void **state)
{
	struct secret *s = secret_new("ipsec.secrets:3", SECRET_IKE, span_str("not so secret")),
		      *got;
	struct buf b = buf_over(memory, sizeof(memory));
	bool whole = false;
	struct id id;

	(void)state;
	assert_true(id_parse("gw.example.org", &id) && secret_add_owner(s, &id) &&
		    id_parse("192.0.2.1", &id) && secret_add_owner(s, &id));
	assert_int_equal(secret_encode(s, true, &b).error, CODEC_OK);
	assert_int_equal(secret_decode(buf_span(&b), &got, &whole).error, CODEC_OK);
	assert_true(whole && secret_equal(s, got));
	secret_free(got);
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, memory, n);
		if (n >= 8)
			be32_set(cut + 4, (uint32_t)n);
		assert_int_not_equal(secret_decode(span_of(cut, n), &got, &whole).error, CODEC_OK);
		free(cut);
	}
	b = buf_over(memory, sizeof(memory));
	assert_int_equal(secret_encode(s, false, &b).error, CODEC_OK);
	assert_null(memmem(memory, b.len, "not so", 6));
	assert_int_equal(secret_decode(buf_span(&b), &got, &whole).error, CODEC_OK);
	assert_true(!whole && got->len == 0 && got->n_owners == 2);
	secret_free(got);
	s->held = 5; /* by another process, and then not here */
	assert_string_equal(secret_encode(s, true, &b).what, "secret");
	secret_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_conns), cmocka_unit_test(test_random_conns),
		cmocka_unit_test(test_damage),	     cmocka_unit_test(test_not_possible),
		cmocka_unit_test(test_settings),     cmocka_unit_test(test_secrets),
	};

	return cmocka_run_group_tests_name("conn_codec", tests, NULL, NULL);
}
