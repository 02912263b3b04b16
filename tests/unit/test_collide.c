/* The tables of RFC 7296 2.25.1 and 2.25.2 and the nonce rule of 2.8.1, cell by cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipsecd/ike/collide.h"

/* In the order of enum activity: NONE, REKEYING, CLOSING, GONE. */
static void test_rekey_child(void **state)
{
	static const enum verdict idle[ACTIVITIES] = {VERDICT_ANSWER, VERDICT_COLLISION,
						      VERDICT_TEMPORARY_FAILURE, VERDICT_NOT_FOUND};

	(void)state;
	for (enum activity child = ACTIVITY_NONE; child < ACTIVITIES; child++) {
		assert_int_equal(collide_rekey_child(child, ACTIVITY_NONE, false), idle[child]);
		for (enum activity ike = ACTIVITY_REKEYING; ike < ACTIVITIES; ike++)
			assert_int_equal(collide_rekey_child(child, ike, false),
					 VERDICT_TEMPORARY_FAILURE);
	}
}

/* What the peer names may be what our own request in flight is making. */
static void test_rekey_of_child_in_the_making(void **state)
{
	(void)state;
	assert_int_equal(collide_rekey_child(ACTIVITY_GONE, ACTIVITY_NONE, true),
			 VERDICT_TEMPORARY_FAILURE);
	assert_int_equal(collide_rekey_child(ACTIVITY_NONE, ACTIVITY_NONE, true), VERDICT_ANSWER);
}

static void test_create_child(void **state)
{
	(void)state;
	assert_int_equal(collide_create_child(ACTIVITY_NONE), VERDICT_ANSWER);
	assert_int_equal(collide_create_child(ACTIVITY_REKEYING), VERDICT_TEMPORARY_FAILURE);
	assert_int_equal(collide_create_child(ACTIVITY_CLOSING), VERDICT_TEMPORARY_FAILURE);
}

static void test_delete_child(void **state)
{
	(void)state;
	assert_int_equal(collide_delete_child(ACTIVITY_NONE), VERDICT_ANSWER);
	assert_int_equal(collide_delete_child(ACTIVITY_REKEYING), VERDICT_ANSWER);
	assert_int_equal(collide_delete_child(ACTIVITY_CLOSING), VERDICT_WITHOUT_DELETE);
	assert_int_equal(collide_delete_child(ACTIVITY_GONE), VERDICT_WITHOUT_DELETE);
}

static void test_rekey_ike(void **state)
{
	(void)state;
	assert_int_equal(collide_rekey_ike(ACTIVITY_NONE, false), VERDICT_ANSWER);
	assert_int_equal(collide_rekey_ike(ACTIVITY_NONE, true), VERDICT_TEMPORARY_FAILURE);
	assert_int_equal(collide_rekey_ike(ACTIVITY_REKEYING, false), VERDICT_COLLISION);
	assert_int_equal(collide_rekey_ike(ACTIVITY_CLOSING, false), VERDICT_TEMPORARY_FAILURE);
}

static void test_delete_ike(void **state)
{
	(void)state;
	assert_int_equal(collide_delete_ike(ACTIVITY_NONE), VERDICT_ANSWER);
	assert_int_equal(collide_delete_ike(ACTIVITY_REKEYING), VERDICT_FORGET_OWN);
	assert_int_equal(collide_delete_ike(ACTIVITY_CLOSING), VERDICT_FORGET_OWN);
}

static void test_activities(void **state)
{
	struct child c = {0};
	struct ike_sa sa = {0};

	(void)state;
	assert_int_equal(collide_child_activity(NULL), ACTIVITY_GONE);
	c.state = CHILD_INSTALLED;
	assert_int_equal(collide_child_activity(&c), ACTIVITY_NONE);
	c.state = CHILD_REKEYING;
	assert_int_equal(collide_child_activity(&c), ACTIVITY_REKEYING);
	c.state = CHILD_REKEYED;
	assert_int_equal(collide_child_activity(&c), ACTIVITY_CLOSING);
	c.state = CHILD_DELETING;
	assert_int_equal(collide_child_activity(&c), ACTIVITY_CLOSING);
	c.state = CHILD_DELETED;
	assert_int_equal(collide_child_activity(&c), ACTIVITY_GONE);
	sa.state = IKE_SA_ESTABLISHED;
	assert_int_equal(collide_ike_activity(&sa), ACTIVITY_NONE);
	sa.state = IKE_SA_REKEYING;
	assert_int_equal(collide_ike_activity(&sa), ACTIVITY_REKEYING);
	sa.state = IKE_SA_REKEYED;
	assert_int_equal(collide_ike_activity(&sa), ACTIVITY_CLOSING);
}

static void test_nonces(void **state)
{
	struct span a = span_of("\x01\xff", 2), b = span_of("\x02\x00", 2);
	struct span head = span_of("\x01", 1), empty = span_of(NULL, 0);

	(void)state;
	assert_true(collide_nonce_compare(a, b) < 0); /* octet by octet, not as numbers */
	assert_true(collide_nonce_compare(b, a) > 0);
	assert_int_equal(collide_nonce_compare(a, a), 0);
	assert_true(collide_nonce_compare(head, a) < 0); /* ends first: lower */
	assert_true(collide_nonce_compare(empty, head) < 0);
	assert_true(span_equal(collide_lowest(b, a), a));
	assert_true(collide_ours_goes(a, b));
	assert_false(collide_ours_goes(b, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rekey_child),
		cmocka_unit_test(test_rekey_of_child_in_the_making),
		cmocka_unit_test(test_create_child),
		cmocka_unit_test(test_delete_child),
		cmocka_unit_test(test_rekey_ike),
		cmocka_unit_test(test_delete_ike),
		cmocka_unit_test(test_activities),
		cmocka_unit_test(test_nonces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
