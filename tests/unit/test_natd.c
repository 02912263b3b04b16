/* NAT detection: the hash, and what two ends conclude with NATs and lies in between. */
#include "ipsecd/ike/natd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SPI_I 0x1122334455667788u
#define SPI_R 0x99aabbccddeeff00u

static const struct endpoint a = {{.family = AF_INET, .bytes = {192, 0, 2, 1}}, 500};
static const struct endpoint b = {{.family = AF_INET, .bytes = {192, 0, 2, 2}}, 500};
static const struct endpoint mapped = {{.family = AF_INET, .bytes = {203, 0, 113, 9}}, 61000};

static void test_hash(void **state)
{
	static const uint8_t want[NATD_LEN] = {0xc3, 0x1e, 0x70, 0x11, 0x0f, 0xc4, 0x25,
					       0xfd, 0x1c, 0xdd, 0x03, 0xaa, 0x08, 0xee,
					       0xf6, 0xef, 0x77, 0xe1, 0xd8, 0x48};
	uint8_t hash[NATD_LEN];

	(void)state;
	assert_true(natd_hash(&crypto_openssl, SPI_I, SPI_R, &a, hash));
	assert_memory_equal(hash, want, NATD_LEN);
}

/* a sends to b; b sees it come from `seen` to `at`. */
static struct natd_view exchange(bool fake, const struct endpoint *seen, const struct endpoint *at)
{
	static uint8_t memory[512];
	struct wire_header h = {.version = WIRE_VERSION};
	struct wire_message m;
	struct wire_writer w;
	struct span d;

	wire_begin(&w, memory, sizeof(memory), &h);
	natd_put(&crypto_openssl, &w, SPI_I, 0, &a, &b, fake);
	d = wire_end(&w);
	assert_int_equal(
		wire_parse_payloads(PAYLOAD_NOTIFY, span_of(d.ptr + 28, d.len - 28), &m).error,
		WIRE_OK);
	return natd_detect(&crypto_openssl, &m, SPI_I, 0, at, seen);
}

static void test_views(void **state)
{
	struct natd_view v;

	(void)state;
	v = exchange(false, &a, &b);
	assert_true(v.supported && !v.nat_local && !v.nat_remote);
	v = exchange(false, &mapped, &b);
	assert_true(v.supported && !v.nat_local && v.nat_remote && !v.faked);
	v = exchange(false, &a, &mapped);
	assert_true(v.supported && v.nat_local && !v.nat_remote);
	v = exchange(true, &a, &b);
	assert_true(v.supported && !v.nat_local && v.nat_remote && v.faked);
	v = exchange(true, &mapped, &b);
	assert_true(v.supported && !v.nat_local && v.nat_remote && !v.faked);
}

static void assert_text(struct natd_view v, bool fake, const char *want)
{
	char text[NATD_TEXT] = "";

	assert_int_equal(natd_text(&v, fake, text, sizeof(text)), want[0] != 0);
	assert_string_equal(text, want);
}

/* A claim is not told as a NAT. */
static void test_text(void **state)
{
	(void)state;
	assert_text(exchange(false, &a, &b), false, "");
	assert_text(exchange(false, &a, &b), true, "no NAT, but ESP goes in UDP: we want it so");
	assert_text(exchange(true, &a, &b), false,
		    "no NAT, but ESP goes in UDP: the peer wants it so");
	assert_text(exchange(true, &a, &b), true,
		    "no NAT, but ESP goes in UDP: both ends want it so");
	assert_text(exchange(true, &mapped, &b), true,
		    "NAT: the peer is behind one, or claims to be");
	assert_text(exchange(true, &a, &mapped), true, "NAT: we are behind one");
	assert_text(exchange(false, &mapped, &mapped), false,
		    "NAT: we are behind one and the peer is behind one, or claims to be");
}

static void test_silent_peer(void **state)
{
	struct wire_message m = {0};
	struct natd_view v = natd_detect(&crypto_openssl, &m, SPI_I, 0, &b, &a);

	(void)state;
	assert_false(v.supported || v.nat_local || v.nat_remote);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_silent_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
