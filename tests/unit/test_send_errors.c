/* Errors of sending: the last one of each peer, until a datagram leaves without. */
#include "ipsecd/send_errors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct send_errors errors;

static struct addr of(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void until_one_leaves(void **state)
{
	const struct addr peer = of("192.0.2.1"), other = of("2001:db8::1");
	const mono_time t = 100 * MONO_S;

	(void)state;
	assert_int_equal(send_errors_of(&errors, &peer, t), 0);
	send_errors_sent(&errors, &peer, t);
	send_errors_failed(&errors, &peer, ENETUNREACH, t);
	assert_int_equal(send_errors_of(&errors, &peer, t), ENETUNREACH);
	assert_int_equal(send_errors_of(&errors, &other, t), 0);
	assert_int_equal(send_errors_of(&errors, &peer, t + 60 * MONO_S), ENETUNREACH);
	/* Again, and the answer of another process is under way. */
	send_errors_sent(&errors, &peer, t + 60 * MONO_S);
	assert_int_equal(send_errors_of(&errors, &peer, t + 60 * MONO_S + MONO_MS), ENETUNREACH);
	send_errors_failed(&errors, &peer, EPERM, t + 60 * MONO_S + 2 * MONO_MS);
	assert_int_equal(send_errors_of(&errors, &peer, t + 70 * MONO_S), EPERM);
	/* No answer: it left. */
	send_errors_sent(&errors, &peer, t + 80 * MONO_S);
	assert_int_equal(send_errors_of(&errors, &peer, t + 82 * MONO_S), 0);
	/* So it did not come back with the next one. */
	send_errors_sent(&errors, &peer, t + 90 * MONO_S);
	assert_int_equal(send_errors_of(&errors, &peer, t + 90 * MONO_S), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(until_one_leaves)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
