/* vici messages as ipsecctl's JSON: numbers where vici counts, text where it names. */
#include "ipsecd/ctl/ctl.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_shapes(void **state)
{
	uint8_t memory[512];
	struct buf b = buf_over(memory, sizeof(memory));
	json_t *all, *want;

	(void)state;
	vici_put_section(&b, "gw");
	vici_put(&b, "uniqueid", "7");
	vici_put(&b, "spi-in", "00000012");
	vici_put(&b, "state", "ESTABLISHED");
	vici_put(&b, "workers", "2");
	vici_put(&b, "iptfs-packet-size", "1400");
	vici_put_list(&b, "local-ts");
	vici_put_item(&b, "10.1.0.0/16");
	vici_put_item(&b, "12");
	vici_put_list_end(&b);
	vici_put_section(&b, "child-sas");
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	all = json_from_vici(buf_span(&b));
	want = json_pack("{s:{s:i, s:s, s:s, s:i, s:i, s:[ss], s:{}}}", "gw", "uniqueid", 7,
			 "spi-in", "00000012", "state", "ESTABLISHED", "workers", 2,
			 "iptfs-packet-size", 1400, "local-ts", "10.1.0.0/16", "12", "child-sas");
	assert_true(json_equal(all, want));
	json_decref(all);
	json_decref(want);
}

static void test_odd_values(void **state)
{
	uint8_t memory[512];
	struct buf b = buf_over(memory, sizeof(memory));
	json_t *all;

	(void)state;
	vici_put(&b, "mtu", "many");
	vici_put(&b, "bytes-in", "12x");
	vici_put(&b, "bytes-out", "99999999999999999999999999");
	vici_put_span(&b, "msg", span_of("\xff\xfe", 2));
	vici_put(&b, "uniqueid", "");
	all = json_from_vici(buf_span(&b));
	assert_string_equal(json_text(all, "mtu"), "many");
	assert_string_equal(json_text(all, "bytes-in"), "12x");
	assert_string_equal(json_text(all, "bytes-out"), "99999999999999999999999999");
	assert_string_equal(json_text(all, "msg"), "(2 bytes)");
	assert_string_equal(json_text(all, "uniqueid"), "");
	assert_int_equal(json_number(all, "mtu", -1), -1);
	json_decref(all);
}

static void put_section(struct buf *b, const char *name)
{
	vici_put_section(b, name);
	vici_put(b, "state", "UP");
	vici_put_section_end(b);
}

/* Names that no JSON can have (Latin-1 here) cost no others, and stay apart. */
static void test_names_not_utf8(void **state)
{
	uint8_t memory[512];
	struct buf b = buf_over(memory, sizeof(memory));
	json_t *all;

	(void)state;
	put_section(&b, "B\xfcro");
	put_section(&b, "B\xf6ro");
	put_section(&b, "Z\xc3\xbcrich");
	put_section(&b, "paris");
	all = json_from_vici(buf_span(&b));
	assert_non_null(all);
	assert_int_equal(json_object_size(all), 4);
	assert_string_equal(json_text(json_object_get(all, "B\\xfcro"), "state"), "UP");
	assert_string_equal(json_text(json_object_get(all, "B\\xf6ro"), "state"), "UP");
	assert_string_equal(json_text(json_object_get(all, "Z\xc3\xbcrich"), "state"), "UP");
	assert_string_equal(json_text(json_object_get(all, "paris"), "state"), "UP");
	json_decref(all);
}

static void test_empty(void **state)
{
	json_t *all = json_from_vici((struct span){0});

	(void)state;
	assert_int_equal(json_object_size(all), 0);
	assert_string_equal(json_text(all, "x"), "");
	assert_int_equal(json_number(all, "x", 5), 5);
	json_decref(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_names_not_utf8),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
