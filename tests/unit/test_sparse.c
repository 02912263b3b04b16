/* What goes in comes out, whatever it is, and zeros take no room. */
#include "lib/sparse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void same(const uint8_t *p, size_t n, size_t most)
{
	struct sparse *s = sparse_new(p, n);
	uint8_t *out = malloc(n + 1);

	assert_non_null(s);
	assert_non_null(out);
	memset(out, 0xa5, n + 1);
	sparse_get(s, out, n);
	assert_memory_equal(out, p, n);
	assert_int_equal(out[n], 0xa5);
	assert_in_range(s->len, 0, most);
	sparse_free(s);
	free(out);
}

static void edges(void **state)
{
	static uint8_t all[SPARSE_MAX];
	uint8_t b[16] = {0};

	(void)state;
	same(b, 0, 0);
	same(b, sizeof(b), 0);
	b[0] = 1;
	same(b, sizeof(b), 5);
	b[15] = 2;
	same(b, sizeof(b), 10);
	same(all, sizeof(all), 0);
	memset(all, 7, sizeof(all));
	same(all, sizeof(all), SPARSE_MAX + 4);
	all[100] = 0; /* not worth a new piece */
	same(all, sizeof(all), SPARSE_MAX + 4);
	assert_null(sparse_new(all, SPARSE_MAX + 1));
	sparse_free(NULL);
}

static void any(void **state)
{
	uint8_t b[600];
	uint64_t r = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		size_t n;

		for (size_t at = 0; at < sizeof(b); at++) {
			r = r * 6364136223846793005ULL + 1442695040888963407ULL;
			b[at] = r >> 40 & i % 64 ? 0 : (uint8_t)(r >> 50);
		}
		n = r >> 33 & 511;
		same(b, n, n + n / 5 * 4 + 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges),
		cmocka_unit_test(any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
