/* The index of conns by peer address: exact ones, loose ones, several addresses, removal. */
#include "ipsecd/ike/conn_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct conn_entry {
	struct conn conn;
	struct conn_link links[CONN_ADDRS_MAX];
};

static struct addr addr(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void add_host(struct conn_entry *e, const char *text)
{
	e->conn.remote[e->conn.n_remote++] = (struct host){.kind = HOST_ADDR, .addr = addr(text)};
}

static unsigned candidates(const struct conn_index *index, const char *peer,
			   struct conn_entry **out)
{
	struct addr a = addr(peer);
	struct conn_cursor c = conn_index_at(index, &a);
	unsigned n = 0;

	while ((out[n] = conn_cursor_next(&c)))
		n++;
	return n;
}

static void test_index(void **state)
{
	struct conn_index index = {0};
	struct conn_entry one = {0}, two = {0}, any = {0}, *out[8];

	(void)state;
	add_host(&one, "192.0.2.1");
	add_host(&two, "192.0.2.1");
	add_host(&two, "2001:db8::1");
	add_host(&two, "192.0.2.1"); /* named twice, a candidate once */
	any.conn.n_remote = 1;
	conn_index_add(&index, &one, &one.conn, one.links);
	conn_index_add(&index, &any, &any.conn, any.links);
	conn_index_add(&index, &two, &two.conn, two.links);

	assert_int_equal(candidates(&index, "192.0.2.1", out), 3);
	assert_ptr_equal(out[0], &one);
	assert_ptr_equal(out[1], &two);
	assert_ptr_equal(out[2], &any);
	assert_int_equal(candidates(&index, "2001:db8::1", out), 2);
	assert_int_equal(candidates(&index, "192.0.2.9", out), 1);
	assert_ptr_equal(out[0], &any);

	conn_index_remove(&index, one.links);
	conn_index_remove(&index, any.links);
	conn_index_remove(&index, any.links);
	assert_int_equal(candidates(&index, "192.0.2.1", out), 1);
	conn_index_remove(&index, two.links);
	assert_int_equal(candidates(&index, "192.0.2.1", out), 0);
	assert_null(index.slots);
	assert_null(index.loose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_index)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
