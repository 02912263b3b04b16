/* The index of secrets finds what a look at all of them finds. */
#include "ipsecd/ike/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRETS 60
#define ROUNDS	3000

static const char *const owners[] = {"%any",	  "*.example",	    "a.example",   "A.Example",
				     "b.example", "user@b.example", "*@b.example", "192.0.2.1",
				     "192.0.2.2", "@#0102",	    "us.example"};

static struct id id_of(const char *text)
{
	struct id id;

	assert_true(id_parse(text, &id));
	return id;
}

static struct secret *random_secret(unsigned number)
{
	char name[16];
	struct secret *s;
	struct id id;

	snprintf(name, sizeof(name), "s%u", number);
	s = secret_new(name, rand() % 8 ? SECRET_IKE : SECRET_EAP, span_str("x"));
	assert_non_null(s);
	for (int n = rand() % 4; n > 0; n--) {
		id = id_of(owners[(size_t)rand() % (sizeof(owners) / sizeof(owners[0]))]);
		assert_true(secret_add_owner(s, &id));
	}
	return s;
}

static const struct secret *look_at_all(const struct secrets *all, const struct secret_wish *w)
{
	const struct secret *best = NULL;
	unsigned rank, most = 0;

	for (unsigned i = 0; i < all->n; i++) {
		if (all->list[i]->kind != SECRET_IKE)
			continue;
		rank = secret_match(all->list[i], w->local, w->remote, w->local_addr,
				    w->remote_addr);
		if (rank > most) {
			most = rank;
			best = all->list[i];
		}
	}
	return best;
}

static void ask(const struct secrets *all)
{
	const size_t n = sizeof(owners) / sizeof(owners[0]);
	const struct addr here = {.family = AF_INET, .bytes = {192, 0, 2, 2}};
	const struct addr there = {.family = AF_INET, .bytes = {192, 0, 2, 1}};
	struct id local = id_of(owners[(size_t)rand() % n]),
		  remote = id_of(owners[(size_t)rand() % n]);
	const struct secret_wish w = {.local = &local,
				      .remote = &remote,
				      .local_addr = &here,
				      .remote_addr = rand() % 2 ? &there : NULL};

	assert_ptr_equal(secrets_find(all, &w), look_at_all(all, &w));
}

static void test_finds(void **state)
{
	struct secrets all = {0};
	char name[16];

	(void)state;
	srand(6);
	for (unsigned i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "s%u", (unsigned)rand() % SECRETS);
		if (rand() % 3 == 0)
			secrets_remove(&all, name);
		else
			assert_true(secrets_put(&all, random_secret((unsigned)rand() % SECRETS)));
		ask(&all);
	}
	assert_true(all.n > 0 && all.n <= SECRETS);
	secrets_free(&all);
}

static void test_replaces(void **state)
{
	struct secret *first = secret_new("one", SECRET_IKE, span_str("1"));
	struct secret *other = secret_new("two", SECRET_IKE, span_str("2"));
	struct secret *again = secret_new("one", SECRET_IKE, span_str("3"));
	struct secrets all = {0};

	(void)state;
	assert_true(secrets_put(&all, first) && secrets_put(&all, other));
	assert_true(secrets_put(&all, again));
	assert_int_equal(all.n, 2);
	assert_ptr_equal(all.list[0], again);
	assert_false(secrets_remove(&all, "three"));
	assert_true(secrets_remove(&all, "one"));
	assert_int_equal(all.n, 1);
	assert_ptr_equal(all.list[0], other);
	secrets_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds),
		cmocka_unit_test(test_replaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
