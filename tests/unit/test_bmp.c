/* BMP messages and what becomes of them in the table of paths. The long ones are what bgpd
 * 8.4.4 sent. */
#include "routed-bridge/bmp_feed.h"
#include "routed-bridge/bmp_resync.h"
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/hex_message.h"

#define HEAD	   "ffffffffffffffffffffffffffffffff"
#define NUMBERED   "0000000000000000 0000000000000000000000000a090001 0000fdea 02020202"
#define UNNUMBERED "0000000000000000 fe800000000000002c9e46fffe1ef22a 0000fdeb 03030303"
#define TIME	   "6b084c05 0002dcae"

/* A message of this type; its length is filled in. */
static struct message bmp(unsigned type, const char *body)
{
	struct message b = hex(body), m = {.len = 6 + b.len};

	m.bytes[0] = 3;
	be32_set(m.bytes + 1, (uint32_t)m.len);
	m.bytes[5] = (uint8_t)type;
	memcpy(m.bytes + 6, b.bytes, b.len);
	return m;
}

static const char up_numbered[] =
	"00 00 " NUMBERED TIME "0000000000000000000000000a090000 b39b 0034" HEAD
	"005e01 04 fde9 0003 01010101 41 02060104000100010202800002020200020246000206 4104 0000fde9"
	"0202060002064504000101010206490402766d0002044002c07802094707000101 80000000" HEAD
	"005e01 04 fdea 0003 02020202 41 02060104000100010202800002020200020246000206 4104 0000fdea"
	"0202060002064504000101010206490402766d0002044002c07802094707000101 80000000";

static const char up_unnumbered[] =
	"00 80 " UNNUMBERED TIME "fe800000000000006093bafffe5fa866 00b3 b6f6" HEAD
	"001d01 04 fde9 0003 01010101 00" HEAD "001d01 04 fdeb 0003 03030303 00";

/* ---- the parser ---- */

static struct bmp_fault fault;

static struct span body_of(const struct message *m)
{
	struct bmp_message out;

	assert_int_equal(bmp_parse_message(span_of(m->bytes, m->len), &out, &fault), BMP_OK);
	return out.body;
}

static void a_stream_of_messages(void **state)
{
	struct message m = bmp(4, "0001 0003 465252 0002 0001 61 0000 0000");
	struct bmp_initiation i;
	struct bmp_message out;

	(void)state;
	for (size_t n = 0; n < m.len; n++)
		assert_int_equal(bmp_parse_message(span_of(m.bytes, n), &out, &fault), BMP_MORE);
	assert_int_equal(bmp_parse_initiation(body_of(&m), &i, &fault), BMP_OK);
	assert_true(span_equal(i.description, span_str("FRR")));
	assert_true(span_equal(i.name, span_str("a")));
	m.bytes[0] = 2; /* said with the first byte */
	assert_int_equal(bmp_parse_message(span_of(m.bytes, 1), &out, &fault), BMP_BAD_VERSION);
	m.bytes[0] = 3;
	m.bytes[1] = 0x7f;
	assert_int_equal(bmp_parse_message(span_of(m.bytes, 5), &out, &fault), BMP_BAD_LENGTH);
	m.bytes[1] = m.bytes[4] = 0;
	assert_int_equal(bmp_parse_message(span_of(m.bytes, 5), &out, &fault), BMP_BAD_LENGTH);
}

static void a_peer_that_comes_up(void **state)
{
	struct message m = bmp(3, up_numbered);
	struct bmp_up up;
	char text[ADDR_TEXT];

	(void)state;
	assert_int_equal(bmp_parse_up(body_of(&m), &up, &fault), BMP_OK);
	assert_string_equal(addr_format(&up.peer.addr, text), "10.9.0.1");
	assert_string_equal(addr_format(&up.local, text), "10.9.0.0");
	assert_int_equal(up.peer.as, 65002);
	assert_int_equal(up.peer.id, 0x02020202);
	assert_int_equal(up.sent.as, 65001);
	assert_true(up.sent.as4 && up.received.as4);
	m = bmp(3, up_unnumbered);
	assert_int_equal(bmp_parse_up(body_of(&m), &up, &fault), BMP_OK);
	assert_string_equal(addr_format(&up.local, text), "fe80::6093:baff:fe5f:a866");
	assert_false(up.sent.as4);
}

static void reasons_of_a_peer_that_goes(void **state)
{
	static const struct {
		const char *rest, *text;
	} rows[] = {
		{"01" HEAD "0015 03 04 00", "bgpd sent a NOTIFICATION: Hold Timer Expired"},
		{"02 0000", "bgpd ended the session"},
		{"02 0012", "bgpd ended the session (event 18)"},
		{"03" HEAD "0017 03 06 02 0000",
		 "the peer sent a NOTIFICATION: Cease, Administrative Shutdown"},
		{"04", "the peer closed the session"},
		{"05", "it is no longer configured or monitored"},
		{"09", "reason 9"},
	};
	char body[512], text[96];
	struct bmp_down down;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message m;

		snprintf(body, sizeof(body), "00 00 %s %s %s", NUMBERED, TIME, rows[i].rest);
		m = bmp(2, body);
		assert_int_equal(bmp_parse_down(body_of(&m), &down, &fault), BMP_OK);
		assert_string_equal(bmp_down_format(&down, text, sizeof(text)), rows[i].text);
		for (size_t n = 6; n < m.len - 1; n++)
			bmp_parse_down(span_of(m.bytes + 6, n - 6), &down, &fault);
	}
}

static void ends_with_a_reason(void **state)
{
	struct message m = bmp(5, "0001 0002 0003"), words = bmp(5, "0000 0003 61 0a 62");
	char text[64];

	(void)state;
	assert_int_equal(bmp_parse_termination(body_of(&m), text, sizeof(text), &fault), BMP_OK);
	assert_string_equal(text, "there is another such connection");
	assert_int_equal(bmp_parse_termination(body_of(&words), text, sizeof(text), &fault),
			 BMP_OK);
	assert_string_equal(text, "a?b");
}

/* ---- the feed ---- */

struct fixture {
	struct paths *paths;
	struct bmp_feed *feed;
};

static struct fixture start(void)
{
	struct fixture f = {.paths = paths_new()};

	f.feed = bmp_feed_new(f.paths, NULL, MONO_S);
	assert_non_null(f.feed);
	return f;
}

static void stop(struct fixture *f)
{
	bmp_feed_free(f->feed);
	paths_free(f->paths);
}

static enum bmp_error take(struct fixture *f, unsigned type, const char *body, mono_time now)
{
	struct message m = bmp(type, body);
	struct bmp_message out;
	char why[64];
	bool ended;

	assert_int_equal(bmp_parse_message(span_of(m.bytes, m.len), &out, &fault), BMP_OK);
	return bmp_feed_take(f->feed, &out, now, &fault, &ended, why, sizeof(why));
}

/* Route monitoring: flags, the peer, an UPDATE with its length. */
static void route(struct fixture *f, const char *flags, const char *peer, const char *update)
{
	char body[1024];
	struct message u = hex(update);

	snprintf(body, sizeof(body), "00 %s %s %s %s %04zx 02 %s", flags, peer, TIME, HEAD,
		 u.len + 19, update);
	assert_int_equal(take(f, 0, body, 2 * MONO_S), BMP_OK);
}

static const struct path *path_to(const struct fixture *f, const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, &p));
	return paths_of(f->paths, &p);
}

#define FROM_B	   "0000 0019 40010100 5002000a 02 02 0000fde9 0000fdea 400304 0a090001 180a0200"
#define VIA_C	   "0000 0016 40010100 5002000e 02 03 0000fde9 0000fdeb 0000fdea 180a0200"
#define WITHDRAWAL "0004 180a0200 0000"

static void own_as_is_no_part_of_the_path(void **state)
{
	struct fixture f = start();
	const struct path *p;
	char text[ADDR_TEXT];

	(void)state;
	take(&f, 3, up_numbered, MONO_S);
	route(&f, "40", NUMBERED, FROM_B);
	p = path_to(&f, "10.2.0.0/24");
	assert_non_null(p);
	assert_int_equal(p->attrs->n_as, 1);
	assert_int_equal(p->attrs->as_path[0], 65002);
	assert_int_equal(p->attrs->as_length, 1);
	assert_false(path_has_as(p, 65001));
	assert_true(path_external(p));
	assert_string_equal(addr_format(&p->attrs->nexthop, text), "10.9.0.1");
	/* `local-as 65100`: that one and our own */
	route(&f, "40", NUMBERED,
	      "0000 0021 40010100 50020012 02 04 0000fe4c 0000fde9 0000fdea 0000fe00 "
	      "400304 0a090001 180a0200");
	p = path_to(&f, "10.2.0.0/24");
	assert_int_equal(p->attrs->n_as, 4); /* 65100 is not what our OPEN said: left alone */
	stop(&f);
}

static void an_unnumbered_peer_is_its_own_next_hop(void **state)
{
	struct fixture f = start();
	const struct path *p;
	char text[ADDR_TEXT];

	(void)state;
	take(&f, 3, up_unnumbered, MONO_S);
	/* without the capability in its OPENs the ASes would have two bytes */
	take(&f, 2, "00 80 " UNNUMBERED TIME "02 0000", MONO_S);
	take(&f, 3,
	     "00 80 " UNNUMBERED TIME "fe800000000000006093bafffe5fa866 00b3 b6f6" HEAD
	     "0013 01" HEAD "0013 01",
	     MONO_S);
	route(&f, "c0", UNNUMBERED, VIA_C);
	p = path_to(&f, "10.2.0.0/24");
	assert_non_null(p);
	assert_int_equal(p->attrs->nexthop.family, 0);
	assert_string_equal(addr_format(&p->attrs->nexthop_local, text),
			    "fe80::2c9e:46ff:fe1e:f22a");
	stop(&f);
}

static void two_byte_numbers_where_the_open_says_so(void **state)
{
	struct fixture f = start();
	const struct path *p;

	(void)state;
	take(&f, 3, up_unnumbered, MONO_S);
	route(&f, "c0", UNNUMBERED, "0000 0010 40010100 50020008 02 03 fde9 fdeb fdea 180a0200");
	p = path_to(&f, "10.2.0.0/24");
	assert_non_null(p);
	assert_int_equal(p->attrs->n_as, 2);
	assert_int_equal(p->attrs->as_path[0], 65003);
	stop(&f);
}

static void what_is_not_post_policy_is_not_used(void **state)
{
	struct fixture f = start();

	(void)state;
	take(&f, 3, up_numbered, MONO_S);
	route(&f, "00", NUMBERED, FROM_B);
	route(&f, "50", NUMBERED, FROM_B); /* adj-RIB-out: RFC 8671 */
	assert_null(path_to(&f, "10.2.0.0/24"));
	assert_int_equal(bmp_feed_count(f.feed).not_post_policy, 2);
	route(&f, "c0", UNNUMBERED, VIA_C);
	assert_int_equal(bmp_feed_count(f.feed).not_up, 1);
	stop(&f);
}

static void withdrawals_of_nothing_are_doubts(void **state)
{
	struct fixture f = start();

	(void)state;
	take(&f, 3, up_numbered, MONO_S);
	route(&f, "40", NUMBERED, WITHDRAWAL);
	assert_int_equal(bmp_feed_count(f.feed).doubts, 1);
	route(&f, "40", NUMBERED, FROM_B);
	route(&f, "40", NUMBERED, WITHDRAWAL);
	assert_int_equal(bmp_feed_count(f.feed).doubts, 1);
	assert_null(path_to(&f, "10.2.0.0/24"));
	stop(&f);
}

static void a_faulty_announcement_is_a_withdrawal(void **state)
{
	struct fixture f = start();

	(void)state;
	take(&f, 3, up_numbered, MONO_S);
	route(&f, "40", NUMBERED, FROM_B);
	route(&f, "40", NUMBERED,
	      "0000 0019 40010107 5002000a 02 02 0000fde9 0000fdea 400304 0a090001 180a0200");
	assert_null(path_to(&f, "10.2.0.0/24"));
	assert_int_equal(bmp_feed_count(f.feed).faults, 1);
	stop(&f);
}

static void another_connection_tells_it_anew(void **state)
{
	struct fixture f = start();

	(void)state;
	take(&f, 3, up_numbered, MONO_S);
	route(&f, "40", NUMBERED, FROM_B);
	route(&f, "40", NUMBERED,
	      "0000 0019 40010100 5002000a 02 02 0000fde9 0000fdea "
	      "400304 0a090001 180a0300");
	bmp_feed_free(f.feed);
	f.feed = bmp_feed_new(f.paths, NULL, 3 * MONO_S);
	assert_non_null(path_to(&f, "10.3.0.0/24"));
	take(&f, 3, up_numbered, 3 * MONO_S);
	route(&f, "40", NUMBERED, FROM_B);
	paths_changes_drop(f.paths);
	route(&f, "40", NUMBERED, "0000 0000"); /* End-of-RIB */
	assert_non_null(path_to(&f, "10.2.0.0/24"));
	assert_null(path_to(&f, "10.3.0.0/24"));
	stop(&f);
}

/* bgpd began anew: it tells of peers it has not met that they are down, without their id. */
static void a_restarted_bgpd_takes_its_peers_down(void **state)
{
	struct fixture f = start();

	(void)state;
	take(&f, 3, up_numbered, MONO_S);
	route(&f, "40", NUMBERED, FROM_B);
	take(&f, 2,
	     "00 00 0000000000000000 0000000000000000000000000a090001 0000fdea 00000000" TIME
	     "02 0000",
	     MONO_S);
	assert_non_null(path_to(&f, "10.2.0.0/24")); /* of a session that lives: not meant */
	bmp_feed_free(f.feed);
	f.feed = bmp_feed_new(f.paths, NULL, 3 * MONO_S);
	take(&f, 2,
	     "00 00 0000000000000000 0000000000000000000000000a090001 0000fdea 00000000" TIME
	     "02 0000",
	     3 * MONO_S);
	assert_null(path_to(&f, "10.2.0.0/24"));
	stop(&f);
}

static void silence_ends_a_resynchronisation(void **state)
{
	struct fixture f = start();

	(void)state;
	take(&f, 3, up_numbered, MONO_S);
	route(&f, "40", NUMBERED, FROM_B);
	bmp_feed_free(f.feed);
	f.feed = bmp_feed_new(f.paths, NULL, 3 * MONO_S);
	bmp_feed_expire(f.feed, 4 * MONO_S);
	assert_non_null(path_to(&f, "10.2.0.0/24"));
	bmp_feed_expire(f.feed, bmp_feed_deadline(f.feed));
	assert_null(path_to(&f, "10.2.0.0/24"));
	assert_true(bmp_feed_synced(f.feed));
	assert_true(bmp_feed_deadline(f.feed) == MONO_NEVER);
	stop(&f);
}

static void unknown_types_are_counted(void **state)
{
	struct fixture f = start();

	(void)state;
	assert_int_equal(take(&f, 9, "00112233", MONO_S), BMP_OK);
	assert_int_equal(take(&f, 1, "0011", MONO_S), BMP_OK);
	assert_int_equal(bmp_feed_count(f.feed).unknown, 1);
	assert_int_equal(take(&f, 3, "00112233", MONO_S), BMP_TRUNCATED);
	take(&f, 3, up_numbered, MONO_S);
	assert_int_equal(take(&f, 0, "00 40 " NUMBERED TIME HEAD "0017 02 0000 0004", MONO_S),
			 BMP_BAD_BGP);
	assert_int_equal(fault.bgp, BGP_BAD_LENGTH);
	stop(&f);
}

/* ---- when to have the table again ---- */

static void doubts_are_acted_on_less_and_less(void **state)
{
	struct bmp_resync r;
	mono_time now = 1000 * MONO_S, first;
	unsigned attempts = 0;

	(void)state;
	bmp_resync_init(&r);
	bmp_resync_doubt(&r, now);
	first = r.at;
	assert_true(first < now + MONO_S);
	while (r.at != MONO_NEVER) {
		now = r.at;
		bmp_resync_begun(&r);
		bmp_resync_done(&r, false, MONO_MS, now);
		attempts++;
	}
	assert_int_equal(attempts, 4);
	bmp_resync_doubt(&r, now); /* refused by our policy, as it seems */
	assert_true(r.at > now + 60 * MONO_S);
	bmp_resync_begun(&r);
	bmp_resync_done(&r, true, MONO_MS, now); /* and yet there was something */
	assert_true(r.at < now + 3 * MONO_S);
	bmp_resync_begun(&r);
	bmp_resync_done(&r, false, 10 * MONO_S, now); /* a table of 10 s: a twentieth */
	assert_true(r.at >= now + 200 * MONO_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_of_messages),
		cmocka_unit_test(a_peer_that_comes_up),
		cmocka_unit_test(reasons_of_a_peer_that_goes),
		cmocka_unit_test(ends_with_a_reason),
		cmocka_unit_test(own_as_is_no_part_of_the_path),
		cmocka_unit_test(an_unnumbered_peer_is_its_own_next_hop),
		cmocka_unit_test(two_byte_numbers_where_the_open_says_so),
		cmocka_unit_test(what_is_not_post_policy_is_not_used),
		cmocka_unit_test(withdrawals_of_nothing_are_doubts),
		cmocka_unit_test(a_faulty_announcement_is_a_withdrawal),
		cmocka_unit_test(another_connection_tells_it_anew),
		cmocka_unit_test(a_restarted_bgpd_takes_its_peers_down),
		cmocka_unit_test(silence_ends_a_resynchronisation),
		cmocka_unit_test(unknown_types_are_counted),
		cmocka_unit_test(doubts_are_acted_on_less_and_less),
	};

	return cmocka_run_group_tests_name("bmp", tests, NULL, NULL);
}
