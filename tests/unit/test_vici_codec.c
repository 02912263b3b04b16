/* The vici codec: golden bytes, truncation at every byte, nesting, lookup. */
#include "lib/vici_codec.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* The message of the protocol's documentation, section 1 with all kinds of elements. */
static const uint8_t golden_body[] = {
	3, 4,  'k', 'e', 'y', '1', 0,	6,   'v', 'a', 'l', 'u', 'e', '1',	/* key1 = value1 */
	1, 8,  's', 'e', 'c', 't', 'i', 'o', 'n', '1',				/* section1 { */
	1, 11, 's', 'u', 'b', '-', 's', 'e', 'c', 't', 'i', 'o', 'n',		/* sub-section { */
	3, 4,  'k', 'e', 'y', '2', 0,	6,   'v', 'a', 'l', 'u', 'e', '2', 2,	/* key2 } */
	4, 5,  'l', 'i', 's', 't', '1', 5,   0,	  5,   'i', 't', 'e', 'm', '1', /* list1 [ */
	5, 0,  5,   'i', 't', 'e', 'm', '2', 6,	  2,				/* ] } */
};

static struct span golden(void)
{
	return span_of(golden_body, sizeof(golden_body));
}

static struct buf build_golden(uint8_t *memory, size_t cap)
{
	struct buf b = buf_over(memory, cap);

	vici_put(&b, "key1", "value1");
	vici_put_section(&b, "section1");
	vici_put_section(&b, "sub-section");
	vici_put_format(&b, "key2", "value%d", 2);
	vici_put_section_end(&b);
	vici_put_list(&b, "list1");
	vici_put_item(&b, "item1");
	vici_put_item(&b, "item2");
	vici_put_list_end(&b);
	vici_put_section_end(&b);
	return b;
}

static void test_encode_golden(void **state)
{
	uint8_t memory[256];
	struct buf b = build_golden(memory, sizeof(memory));

	(void)state;
	assert_int_equal(b.len, sizeof(golden_body));
	assert_memory_equal(memory, golden_body, sizeof(golden_body));
}

static void test_encode_packet(void **state)
{
	static const uint8_t request[] = {0, 0, 0, 9, 0, 7, 'v', 'e', 'r', 's', 'i', 'o', 'n'};
	static const uint8_t response[] = {0, 0, 0, 8, 1, 3, 1, 'k', 0, 2, 'v', 'w'};
	uint8_t memory[64];
	struct buf b = buf_over(memory, sizeof(memory));

	(void)state;
	vici_start(&b, VICI_CMD_REQUEST, "version");
	assert_true(vici_finish(&b));
	assert_int_equal(b.len, sizeof(request));
	assert_memory_equal(memory, request, sizeof(request));

	b = buf_over(memory, sizeof(memory));
	vici_start(&b, VICI_CMD_RESPONSE, "ignored");
	vici_put(&b, "k", "vw");
	assert_true(vici_finish(&b));
	assert_int_equal(b.len, sizeof(response));
	assert_memory_equal(memory, response, sizeof(response));
}

static void test_encode_overflow(void **state)
{
	uint8_t memory[256], small[8];
	struct buf b;

	(void)state;
	for (size_t cap = 0; cap < sizeof(golden_body); cap++) {
		b = build_golden(memory, cap);
		assert_true(b.overflow);
		assert_false(vici_finish(&b));
	}
	b = buf_over(small, sizeof(small));
	vici_start(&b, VICI_EVENT, "too-long-a-name");
	assert_false(vici_finish(&b));
}

static void test_encode_long_name(void **state)
{
	static uint8_t memory[80000];
	static char name[VICI_NAME_MAX + 2], value[65537];
	struct buf b = buf_over(memory, sizeof(memory));

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(value, 'v', sizeof(value) - 1);
	vici_put(&b, name + 1, "x");
	assert_false(b.overflow);
	vici_put(&b, name, "x");
	assert_true(b.overflow);
	b = buf_over(memory, sizeof(memory));
	vici_put_item(&b, value + 1);
	assert_false(b.overflow);
	vici_put_item(&b, value);
	assert_true(b.overflow);
}

static void test_packet_parse(void **state)
{
	static const uint8_t request[] = {0, 2, 'u', 'p', 2};
	static const uint8_t response[] = {1, 2};
	static const uint8_t nameless[] = {0, 0};
	static const uint8_t odd[] = {8};
	struct vici_packet p;

	(void)state;
	assert_int_equal(vici_packet_parse(span_of(request, 5), &p), VICI_OK);
	assert_int_equal(p.type, VICI_CMD_REQUEST);
	assert_true(span_equal(p.name, span_str("up")));
	assert_int_equal(p.body.len, 1);
	for (size_t n = 0; n < 4; n++)
		assert_int_equal(vici_packet_parse(span_of(request, n), &p), VICI_TRUNCATED);
	assert_int_equal(vici_packet_parse(span_of(response, 2), &p), VICI_OK);
	assert_int_equal(p.name.len, 0);
	assert_int_equal(p.body.len, 1);
	assert_int_equal(vici_packet_parse(span_of(nameless, 2), &p), VICI_EMPTY_NAME);
	assert_int_equal(vici_packet_parse(span_of(odd, 1), &p), VICI_BAD_PACKET_TYPE);
}

/* Every cut but those at top level between elements is an error. */
static void test_truncation(void **state)
{
	size_t offset;

	(void)state;
	assert_int_equal(vici_body_check(golden(), &offset), VICI_OK);
	assert_int_equal(offset, sizeof(golden_body));
	for (size_t n = 1; n < sizeof(golden_body); n++) {
		enum vici_error e = vici_body_check(span_of(golden_body, n), &offset);

		if (n == 14) /* behind key1 */
			assert_int_equal(e, VICI_OK);
		else
			assert_true(e == VICI_TRUNCATED || e == VICI_BAD_NESTING);
		assert_true(offset <= n);
	}
}

static void check_bad(const void *bytes, size_t n, enum vici_error want, size_t at)
{
	size_t offset;

	assert_int_equal(vici_body_check(span_of(bytes, n), &offset), want);
	assert_int_equal(offset, at);
}

static void test_nesting(void **state)
{
	(void)state;
	check_bad("\2", 1, VICI_BAD_NESTING, 0);	      /* end without start */
	check_bad("\6", 1, VICI_BAD_NESTING, 0);	      /* list end outside */
	check_bad("\5\0\1x", 4, VICI_BAD_NESTING, 0);	      /* item outside a list */
	check_bad("\4\1l\1\1s", 6, VICI_BAD_NESTING, 3);      /* section in a list */
	check_bad("\4\1l\3\1k\0\1v", 9, VICI_BAD_NESTING, 3); /* key in a list */
	check_bad("\4\1l\4\1m", 6, VICI_BAD_NESTING, 3);      /* list in a list */
	check_bad("\4\1l", 3, VICI_BAD_NESTING, 3);	      /* list left open */
	check_bad("\1\1s", 3, VICI_BAD_NESTING, 3);	      /* section left open */
	check_bad("\1\1s\4\1l\2", 7, VICI_BAD_NESTING, 6);    /* section's end in a list */
	check_bad("\0", 1, VICI_BAD_ELEMENT, 0);
	check_bad("\7", 1, VICI_BAD_ELEMENT, 0);
}

static void test_depth(void **state)
{
	uint8_t memory[256];
	struct buf b = buf_over(memory, sizeof(memory));
	size_t offset;

	(void)state;
	for (unsigned i = 0; i < VICI_DEPTH_MAX; i++)
		vici_put_section(&b, "s");
	for (unsigned i = 0; i < VICI_DEPTH_MAX; i++)
		vici_put_section_end(&b);
	assert_int_equal(vici_body_check(buf_span(&b), &offset), VICI_OK);
	b = buf_over(memory, sizeof(memory));
	for (unsigned i = 0; i <= VICI_DEPTH_MAX; i++)
		vici_put_section(&b, "s");
	assert_int_equal(vici_body_check(buf_span(&b), &offset), VICI_TOO_DEEP);
	assert_int_equal(offset, VICI_DEPTH_MAX * 3);
}

static void test_lookup(void **state)
{
	struct span v, section;
	char text[8];

	(void)state;
	assert_true(vici_get(golden(), "key1", &v));
	assert_true(span_equal(v, span_str("value1")));
	assert_true(vici_get(golden(), "section1.sub-section.key2", &v));
	assert_true(span_equal(v, span_str("value2")));
	assert_false(vici_get(golden(), "key2", &v)); /* not at this level */
	assert_false(vici_get(golden(), "section1.key1", &v));
	assert_false(vici_get(golden(), "sub-section.key2", &v));
	assert_true(vici_section(golden(), "section1", &section));
	assert_true(vici_section(section, "sub-section", &section));
	assert_true(vici_get_str(section, "key2", text, sizeof(text)));
	assert_string_equal(text, "value2");
	assert_false(vici_get_str(section, "key2", text, 6)); /* no room for the NUL */
	assert_false(vici_get_str(span_of("\3\1k\0\2a\0", 7), "k", text, sizeof(text)));
	assert_true(vici_get_str(span_of("\3\1k\0\0", 5), "k", text, sizeof(text)));
	assert_string_equal(text, "");
}

static void test_walk(void **state)
{
	static const enum vici_element_type want[] = {
		VICI_KEY_VALUE,	  VICI_SECTION_START, VICI_SECTION_START, VICI_KEY_VALUE,
		VICI_SECTION_END, VICI_LIST_START,    VICI_LIST_ITEM,	  VICI_LIST_ITEM,
		VICI_LIST_END,	  VICI_SECTION_END,   VICI_END,
	};
	struct vici_iter it = vici_iter(golden());
	struct vici_element e;

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_int_equal(vici_next(&it, &e), VICI_OK);
		assert_int_equal(e.type, want[i]);
	}
	assert_int_equal(vici_next(&it, &e), VICI_OK); /* the end stays the end */
	assert_int_equal(e.type, VICI_END);
}

static void test_error_words(void **state)
{
	(void)state;
	for (int e = VICI_OK; e <= VICI_EMPTY_NAME; e++)
		assert_non_null(vici_strerror((enum vici_error)e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode_golden),	cmocka_unit_test(test_encode_packet),
		cmocka_unit_test(test_encode_overflow), cmocka_unit_test(test_encode_long_name),
		cmocka_unit_test(test_packet_parse),	cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_nesting),		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_lookup),		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_error_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
