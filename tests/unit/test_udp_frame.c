/* Datagrams of the NAT-T port in one buffer: what each is, where it lies, in their order. */
#include "ipsecd/net/udp_frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect(struct udp_frames *f, enum udp_frame_kind kind, const uint8_t *data, size_t len,
		   size_t size, unsigned datagrams)
{
	struct udp_frame got;

	assert_true(udp_frames_next(f, &got));
	assert_int_equal(got.kind, kind);
	assert_ptr_equal(got.data, data);
	assert_int_equal(got.len, len);
	assert_int_equal(got.size, size);
	assert_int_equal(got.datagrams, datagrams);
}

static void expect_end(struct udp_frames *f)
{
	struct udp_frame got;

	assert_false(udp_frames_next(f, &got));
	assert_false(udp_frames_next(f, &got));
}

static void alone(void **state)
{
	uint8_t ike[] = {0, 0, 0, 0, 1, 2, 3}, esp[] = {1, 2, 3, 4, 5}, keepalive[] = {0xff},
		runt[] = {0, 0, 0};
	struct udp_frames f;

	(void)state;
	f = udp_frames_of(ike, sizeof(ike), 0, true);
	expect(&f, UDP_FRAME_IKE, ike + 4, 3, 3, 1);
	expect_end(&f);
	f = udp_frames_of(esp, sizeof(esp), sizeof(esp), true);
	expect(&f, UDP_FRAME_ESP, esp, 5, 5, 1);
	expect_end(&f);
	f = udp_frames_of(keepalive, 1, 0, true);
	expect(&f, UDP_FRAME_KEEPALIVE, keepalive, 1, 1, 1);
	expect_end(&f);
	f = udp_frames_of(runt, sizeof(runt), 0, true);
	expect(&f, UDP_FRAME_RUNT, runt, 3, 3, 1);
	expect_end(&f);
	runt[0] = 0xff; /* longer than a keepalive */
	f = udp_frames_of(runt, sizeof(runt), 0, true);
	expect(&f, UDP_FRAME_RUNT, runt, 3, 3, 1);
	f = udp_frames_of(ike, 4, 0, true);
	expect(&f, UDP_FRAME_IKE, ike + 4, 0, 0, 1);
	expect_end(&f);
	f = udp_frames_of(ike, 0, 0, true);
	expect(&f, UDP_FRAME_RUNT, ike, 0, 0, 1);
	expect_end(&f);
}

/* Without markers, whatever the bytes. */
static void port_of_ike(void **state)
{
	uint8_t data[] = {0xff, 1, 2, 3, 0, 0, 0, 0};
	struct udp_frames f;

	(void)state;
	f = udp_frames_of(data, 1, 0, false);
	expect(&f, UDP_FRAME_IKE, data, 1, 1, 1);
	expect_end(&f);
	f = udp_frames_of(data, 0, 0, false);
	expect(&f, UDP_FRAME_IKE, data, 0, 0, 1);
	expect_end(&f);
	f = udp_frames_of(data, 8, 4, false);
	expect(&f, UDP_FRAME_IKE, data, 4, 4, 1);
	expect(&f, UDP_FRAME_IKE, data + 4, 4, 4, 1);
	expect_end(&f);
}

static void merged_esp(void **state)
{
	uint8_t data[25];
	struct udp_frames f;

	(void)state;
	memset(data, 7, sizeof(data));
	f = udp_frames_of(data, 24, 8, true);
	expect(&f, UDP_FRAME_ESP, data, 24, 8, 3);
	expect_end(&f);
	f = udp_frames_of(data, 20, 8, true); /* the last is shorter */
	expect(&f, UDP_FRAME_ESP, data, 20, 8, 3);
	expect_end(&f);
	f = udp_frames_of(data, 18, 8, true); /* too short to be ESP */
	expect(&f, UDP_FRAME_ESP, data, 16, 8, 2);
	expect(&f, UDP_FRAME_RUNT, data + 16, 2, 2, 1);
	expect_end(&f);
	data[24] = 0xff;
	f = udp_frames_of(data, 25, 8, true);
	expect(&f, UDP_FRAME_ESP, data, 24, 8, 3);
	expect(&f, UDP_FRAME_KEEPALIVE, data + 24, 1, 1, 1);
	expect_end(&f);
}

static void keepalives(void **state)
{
	uint8_t data[] = {0xff, 0xff, 0xff};
	struct udp_frames f;

	(void)state;
	f = udp_frames_of(data, 3, 1, true);
	for (unsigned i = 0; i < 3; i++)
		expect(&f, UDP_FRAME_KEEPALIVE, data + i, 1, 1, 1);
	expect_end(&f);
}

/* IKE of the same length among ESP: each stands where it stood. */
static void ike_among_esp(void **state)
{
	uint8_t data[6 * 8 + 6];
	struct udp_frames f;

	(void)state;
	memset(data, 7, sizeof(data));
	memset(data + 16, 0, 4);
	memset(data + 24, 0, 4);
	memset(data + 48, 0, 4);
	f = udp_frames_of(data, sizeof(data), 8, true);
	expect(&f, UDP_FRAME_ESP, data, 16, 8, 2);
	expect(&f, UDP_FRAME_IKE, data + 20, 4, 4, 1);
	expect(&f, UDP_FRAME_IKE, data + 28, 4, 4, 1);
	expect(&f, UDP_FRAME_ESP, data + 32, 16, 8, 2);
	expect(&f, UDP_FRAME_IKE, data + 52, 2, 2, 1);
	expect_end(&f);
	memset(data, 0, 4);
	f = udp_frames_of(data, 16, 8, true);
	expect(&f, UDP_FRAME_IKE, data + 4, 4, 4, 1);
	expect(&f, UDP_FRAME_ESP, data + 8, 8, 8, 1);
	expect_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone),	 cmocka_unit_test(port_of_ike),
		cmocka_unit_test(merged_esp),	 cmocka_unit_test(keepalives),
		cmocka_unit_test(ike_among_esp),
	};

	return cmocka_run_group_tests_name("udp_frame", tests, NULL, NULL);
}
