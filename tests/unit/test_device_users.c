/* Which tunnels are on a device, while they move, come and go. */
#include "routed-bridge/device_users.h"

#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add(void *ctx, const char *conn)
{
	strcat(strcat(ctx, conn), " ");
}

/* "2/1 A B ": two are on the device, of which one is up. */
static const char *users(const struct device_users *t, const char *device)
{
	static char text[64];
	unsigned up, n = device_users_count(t, device, &up);

	snprintf(text, sizeof(text), "%u/%u ", n, up);
	device_users_each(t, device, add, text);
	return text;
}

static void tunnels_move(void **state)
{
	struct device_users *t = device_users_new();
	char former[IF_NAMESIZE] = "?";

	(void)state;
	assert_string_equal(users(t, "tun-a"), "0/0 ");
	assert_true(device_users_put(t, "A", "tun-a", true, former));
	assert_string_equal(former, "");
	assert_true(device_users_put(t, "B", "tun-a", false, NULL));
	assert_string_equal(users(t, "tun-a"), "2/1 A B ");
	assert_true(device_users_put(t, "A", "tun-a", false, former));
	assert_string_equal(former, "tun-a");
	assert_string_equal(users(t, "tun-a"), "2/0 B A ");
	assert_true(device_users_put(t, "A", "tun-b", true, former));
	assert_string_equal(former, "tun-a");
	assert_string_equal(users(t, "tun-a"), "1/0 B ");
	assert_string_equal(users(t, "tun-b"), "1/1 A ");
	assert_true(device_users_put(t, "A", "", true, former));
	assert_string_equal(former, "tun-b");
	assert_string_equal(users(t, "tun-b"), "0/0 ");
	assert_true(device_users_put(t, "A", "tun-b", true, former));
	assert_string_equal(former, "");
	assert_string_equal(users(t, "tun-b"), "1/1 A ");
	device_users_free(t);
}

static void tunnels_are_dropped(void **state)
{
	struct device_users *t = device_users_new();
	char former[IF_NAMESIZE] = "?";

	(void)state;
	device_users_put(t, "A", "tun-a", true, NULL);
	device_users_put(t, "B", "tun-a", true, NULL);
	device_users_drop(t, "A", former);
	assert_string_equal(former, "tun-a");
	assert_string_equal(users(t, "tun-a"), "1/1 B ");
	device_users_drop(t, "A", former);
	assert_string_equal(former, "");
	device_users_drop(t, "B", NULL);
	assert_string_equal(users(t, "tun-a"), "0/0 ");
	device_users_free(t);
}

/* As a connection is named that has no device and no name of one. */
static void no_name_of_a_device(void **state)
{
	struct device_users *t = device_users_new();

	(void)state;
	assert_true(device_users_put(t, "A", "exactly-15-long", true, NULL));
	assert_string_equal(users(t, "exactly-15-long"), "1/1 A ");
	assert_false(device_users_put(t, "A", "one-of-16-octets", true, NULL));
	assert_string_equal(users(t, "exactly-15-long"), "0/0 ");
	assert_string_equal(users(t, "one-of-16-octets"), "0/0 ");
	device_users_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tunnels_move),
		cmocka_unit_test(tunnels_are_dropped),
		cmocka_unit_test(no_name_of_a_device),
	};

	return cmocka_run_group_tests_name("device_users", tests, NULL, NULL);
}
