/* The table beside an array that is searched. */
#include "lib/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define KEYS 500

struct item {
	uint32_t value;
	struct table_link link;
	uint64_t key;
	bool there;
};

static const struct table_shape shape = TABLE_SHAPE(struct item, link, key);

static uint32_t next_random(void)
{
	static uint32_t x = 1;

	x = x * 1664525 + 1013904223;
	return x >> 8;
}

static void check(const struct table *t, const struct item *items)
{
	const struct item *i;
	size_t n = 0, there = 0;

	TABLE_EACH (t, &shape, i) {
		assert_true(i->there);
		n++;
	}
	for (unsigned k = 0; k < KEYS; k++) {
		there += items[k].there;
		i = table_find(t, &shape, &items[k].key);
		assert_ptr_equal(i, items[k].there ? &items[k] : NULL);
	}
	assert_int_equal(n, there);
	assert_int_equal(t->n, there);
}

static void test_model(void **state)
{
	struct item items[KEYS] = {0};
	struct table t = {0};
	uint64_t unknown = 1;

	(void)state;
	for (unsigned k = 0; k < KEYS; k++)
		items[k].key = 1000 + k * UINT64_C(0x100000003);
	check(&t, items);
	for (unsigned round = 0; round < 20000; round++) {
		struct item *i = &items[next_random() % KEYS];

		/* More are added than removed, then fewer. */
		if (!i->there && next_random() % 4 < (round < 10000 ? 3 : 1)) {
			assert_true(table_add(&t, &shape, i));
			i->there = true;
		} else if (next_random() % 4 >= (round < 10000 ? 3 : 1)) {
			assert_int_equal(table_remove(&t, &shape, i), i->there);
			i->there = false;
		}
		if (round % 500 == 0)
			check(&t, items);
	}
	check(&t, items);
	assert_null(table_find(&t, &shape, &unknown));
	table_free(&t);
	assert_null(table_first(&t, &shape));
}

/* As what owns the elements ends. */
static void test_remove_all(void **state)
{
	struct table t = {0};
	struct item *i, *next;
	size_t n = 0;

	(void)state;
	for (uint64_t key = 1; key <= KEYS; key++) {
		i = table_make(&t, &shape, sizeof(*i), &key);
		assert_true(i && i->key == key && !i->value);
	}
	for (i = table_first(&t, &shape); i; i = next) {
		next = table_next(&t, &shape, i);
		assert_true(table_remove(&t, &shape, i));
		assert_false(table_remove(&t, &shape, i));
		free(i);
		n++;
	}
	assert_int_equal(n, KEYS);
	assert_int_equal(t.n, 0);
	table_free(&t);
}

/* With so many keys, by chance some share a bucket. */
static void test_same_key(void **state)
{
	struct item items[KEYS] = {0};
	const uint64_t keys = KEYS / 3;
	const struct item *i;
	struct table t = {0};

	(void)state;
	for (unsigned n = 0; n < KEYS; n++) {
		items[n].key = n % keys;
		assert_true(table_add(&t, &shape, &items[n]));
	}
	for (uint64_t key = 0; key < keys; key++) {
		unsigned found = 0;

		for (i = table_find(&t, &shape, &key); i; i = table_same(&shape, i)) {
			assert_int_equal(i->key, key);
			found++;
		}
		assert_int_equal(found, key < KEYS % keys ? 4 : 3);
	}
	table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_remove_all),
		cmocka_unit_test(test_same_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
