/* The aliases of tunnel devices: what they say, and whose they are. */
#include "routed-bridge/describe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void says_peer_and_state(void **state)
{
	struct describe_tunnel t = {.conn = "A-B", .peer_host = "", .peer_id = "", .cause = "x"};
	char text[DESCRIBE_MAX];

	(void)state;
	describe_format(&t, text);
	assert_string_equal(text, "tunnel A-B: down, x");
	t.peer_host = "198.51.100.2";
	t.up = true;
	describe_format(&t, text);
	assert_string_equal(text, "tunnel A-B to 198.51.100.2: up");
	t.peer_id = "b.example";
	describe_format(&t, text);
	assert_string_equal(text, "tunnel A-B to b.example (198.51.100.2): up");
	t.peer_id = t.peer_host;
	describe_format(&t, text);
	assert_string_equal(text, "tunnel A-B to 198.51.100.2: up");
}

static void the_state_is_never_cut_off(void **state)
{
	char text[DESCRIBE_MAX], longest[400];
	struct describe_tunnel t = {
		.conn = longest, .peer_host = longest, .peer_id = longest + 1, .cause = longest};

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	describe_format(&t, text);
	assert_non_null(strstr(text, ": down, aaa"));
}

static void whose_alias_it_is(void **state)
{
	static const struct {
		const char *old, *text, *merged; /* NULL: an operator's, kept */
	} rows[] = {
		{"", "tunnel a: up", "tunnel a: up"},
		{"tunnel a: up", "tunnel a: down, x", "tunnel a: down, x"},
		{"tunnel a: up", "", ""},
		{"to the branch", "tunnel a: up", NULL},
		{"ipsecd:made", "tunnel a: up", "ipsecd:made | tunnel a: up"},
		{"ipsecd:made | tunnel a: up", "tunnel a: down, x",
		 "ipsecd:made | tunnel a: down, x"},
		{"ipsecd:made | tunnel a: up", "", "ipsecd:made"},
		{"ipsecd:adopted mtu=1 alias=x | y", "tunnel a: up",
		 "ipsecd:adopted mtu=1 alias=x | y | tunnel a: up"},
	};
	char text[DESCRIBE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool ours = describe_merge(rows[i].old, rows[i].text, text);

		assert_int_equal(ours, rows[i].merged != NULL);
		if (ours)
			assert_string_equal(text, rows[i].merged);
	}
}

/* What ipsecd wrote must be whole, or it would not know its device again. */
static void ipsecds_own_is_never_cut(void **state)
{
	char old[DESCRIBE_MAX], text[DESCRIBE_MAX];

	(void)state;
	snprintf(old, sizeof(old), "ipsecd:adopted alias=%0230d", 0);
	assert_true(describe_merge(old, "tunnel a-b-c-d-e-f-g-h: down, nobody knows", text));
	assert_memory_equal(text, old, strlen(old));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_peer_and_state),
		cmocka_unit_test(the_state_is_never_cut_off),
		cmocka_unit_test(whose_alias_it_is),
		cmocka_unit_test(ipsecds_own_is_never_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
