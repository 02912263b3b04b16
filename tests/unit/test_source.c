/* Own addresses: what is on lo is there, a documentation address is not. */
#include "ipsecd/net/source.h"
#include "lib/netlink.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static struct addr addr(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void test_own(void **state)
{
	const struct addr loopback = addr("127.0.0.1"), foreign = addr("203.0.113.77");
	struct source_addrs *own = source_addrs_read();

	(void)state;
	assert_non_null(own);
	assert_true(source_addrs_has(own, &loopback));
	assert_false(source_addrs_has(own, &foreign));
	source_addrs_free(own);
	assert_false(source_addrs_has(NULL, &loopback));
}

static void test_towards(void **state)
{
	const struct addr loopback = addr("127.0.0.1");
	struct netlink *nl = netlink_open();
	struct addr from;

	(void)state;
	assert_non_null(nl);
	assert_true(source_towards(nl, &loopback, "", &from));
	assert_true(addr_equal(&from, &loopback));
	assert_true(source_towards(nl, &loopback, "lo", &from));
	assert_true(addr_equal(&from, &loopback));
	assert_false(source_towards(nl, &loopback, "no-device", &from));
	assert_false(source_towards(nl, &(struct addr){0}, "", &from));
	netlink_close(nl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_own),
					   cmocka_unit_test(test_towards)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
