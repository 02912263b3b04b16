/* COOKIEs: what we made comes back good, nothing else does, and secrets age. */
#include "ipsecd/ike/cookie.h"
#include "tests/support/crypto_null.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct addr peer = {.family = AF_INET, .bytes = {192, 0, 2, 1}};
static const struct addr other = {.family = AF_INET, .bytes = {192, 0, 2, 2}};

static void rotate(struct cookie_jar *jar, uint8_t seed, mono_time now)
{
	uint8_t fresh[32];

	memset(fresh, seed, sizeof(fresh));
	cookie_rotate(jar, fresh, now);
}

static bool check(const struct cookie_jar *jar, const uint8_t *cookie, const char *nonce,
		  const struct addr *addr, uint64_t spi)
{
	return cookie_check(&crypto_null, jar, span_of(cookie, COOKIE_LEN), span_str(nonce), addr,
			    spi);
}

static void test_returns(void **state)
{
	struct cookie_jar jar = {0};
	uint8_t cookie[COOKIE_LEN];

	(void)state;
	assert_true(cookie_due(&jar, 0));
	rotate(&jar, 1, 0);
	assert_false(cookie_due(&jar, COOKIE_LIFE - 1));
	assert_true(cookie_due(&jar, COOKIE_LIFE));
	assert_true(cookie_make(&crypto_null, &jar, span_str("a nonce"), &peer, 7, cookie));
	assert_true(check(&jar, cookie, "a nonce", &peer, 7));
	assert_false(check(&jar, cookie, "another", &peer, 7));
	assert_false(check(&jar, cookie, "a nonce", &other, 7));
	assert_false(check(&jar, cookie, "a nonce", &peer, 8));
	assert_false(cookie_check(&crypto_null, &jar, span_of(cookie, COOKIE_LEN - 1),
				  span_str("a nonce"), &peer, 7));
	for (size_t i = 0; i < COOKIE_LEN; i++) {
		cookie[i] ^= 1;
		assert_false(check(&jar, cookie, "a nonce", &peer, 7));
		cookie[i] ^= 1;
	}
}

/* RFC 7296 2.6: a cookie made just before the change still counts. */
static void test_rotation(void **state)
{
	struct cookie_jar jar = {0};
	uint8_t cookie[COOKIE_LEN];

	(void)state;
	rotate(&jar, 1, 0);
	cookie_make(&crypto_null, &jar, span_str("n"), &peer, 7, cookie);
	rotate(&jar, 2, COOKIE_LIFE);
	assert_true(check(&jar, cookie, "n", &peer, 7));
	rotate(&jar, 3, 2 * COOKIE_LIFE);
	assert_false(check(&jar, cookie, "n", &peer, 7));
}

/* Before the first secret there is no cookie, not even one of zeros. */
static void test_empty_jar(void **state)
{
	struct cookie_jar jar = {0};
	uint8_t cookie[COOKIE_LEN] = {0};

	(void)state;
	assert_false(check(&jar, cookie, "n", &peer, 7));
	cookie_make(&crypto_null, &jar, span_str("n"), &peer, 7, cookie);
	rotate(&jar, 1, 0);
	assert_false(check(&jar, cookie, "n", &peer, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_returns),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_empty_jar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
