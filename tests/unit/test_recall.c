/* Readings of the files one after the other: what did not change is passed over, and what a change
 * concerns is not. */
#include "ipsecd/config/recall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <cmocka.h>

#define DEFAULTS "conn %default\n authby=secret\n left=192.0.2.1\n"
#define A	 "conn a\n auto=add\n right=192.0.2.2\n leftsubnet=10.1.0.0/24\n rightsubnet=10.2.0.0/24\n"
#define B	 "conn b\n auto=add\n right=192.0.2.3\n leftsubnet=10.1.1.0/24\n rightsubnet=10.2.1.0/24\n"
#define SECRET	 ": PSK \"x\"\n"

#define LETTERS	 3 /* names of conns */

static uint64_t sums[LETTERS];
static char dir[32], conf[64], more[64], secrets[64];
static uint8_t memory[1 << 16];
static size_t memo_len;

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
}

/* As many as are left out, with the marks that they had when they were built. */
static const char *left_out(const struct config *c)
{
	static char names[2 * LETTERS];

	for (unsigned set = 0; set < 1 << LETTERS; set++) {
		uint64_t sum = 0;
		unsigned n = 0;
		char *p = names;

		for (unsigned i = 0; i < LETTERS; i++) {
			if (!(set & 1u << i))
				continue;
			sum += sums[i];
			p += sprintf(p, "%s%c", n++ ? " " : "", 'a' + (char)i);
		}
		if (n == c->n_unchanged && sum == c->unchanged_sum)
			return names;
	}
	return "?";
}

/* What it comes to: the built ones, a bar, the unchanged ones, another one, those that are gone;
 * "all" when all is to be read, or "errors". Beginning with the letter of what is kept for the next
 * reading: m, or - for nothing. */
static const char *read_once(bool whole)
{
	static char out[256];
	struct recall *r = recall_new(span_of(memory, whole ? 0 : memo_len));
	struct config_errors errors = {0};
	struct config c = {0};
	bool used = recall_uses(r), ok, holds;
	struct buf b = buf_over(memory + sizeof(memory) / 2, sizeof(memory) / 2);
	size_t n = 0;

	ok = config_load_recall(conf, secrets, r, &c, &errors);
	holds = ok && (!used || recall_holds(r));
	out[0] = '\0';
	if (holds) {
		recall_oriented(r, &c);
		recall_put(r, &errors, &b);
		assert_true(!used || recall_unchanged(r, &c));
		n = (size_t)snprintf(out, sizeof(out), "%s", b.len ? "m" : "-");
		for (unsigned i = 0; i < c.n_conns; i++)
			n += (size_t)snprintf(out + n, sizeof(out) - n, " %s",
					      c.conns[i].conn->name);
		if (c.n_unchanged)
			n += (size_t)snprintf(out + n, sizeof(out) - n, " | %s", left_out(&c));
		for (unsigned i = 0; i < c.n_gone; i++)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s %s", i ? "" : " |",
					      c.gone[i]);
		for (unsigned i = 0; i < c.n_conns; i++)
			sums[c.conns[i].conn->name[0] - 'a'] =
				recall_mark(c.conns[i].conn->name, recall_digest(r, i));
		assert_int_equal(c.secrets_unchanged, used);
	}
	recall_free(r);
	config_free(&c);
	config_errors_free(&errors);
	if (!ok && !used)
		return "errors";
	if (!holds)
		return "all";
	memmove(memory, memory + sizeof(memory) / 2, b.len);
	memo_len = b.len;
	return out;
}

static void after(const char *text, const char *want)
{
	write_file(conf, text);
	assert_string_equal(read_once(false), want);
}

/* Everything once, as the first reading. */
static void begin_with(const char *text, const char *want)
{
	write_file(conf, text);
	assert_string_equal(read_once(true), want);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_recall.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(conf, sizeof(conf), "%s/ipsec.conf", dir);
	snprintf(more, sizeof(more), "%s/more.conf", dir);
	snprintf(secrets, sizeof(secrets), "%s/ipsec.secrets", dir);
	write_file(secrets, SECRET);
	memo_len = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	remove(conf);
	remove(more);
	remove(secrets);
	return remove(dir);
}

static void one_of_them(void **state)
{
	(void)state;
	begin_with(DEFAULTS A B, "m a b");
	after(DEFAULTS A B, "m | a b");
	after(DEFAULTS A " dpddelay=7s\n" B, "m a | b");
	after(DEFAULTS A " dpddelay=7s\n" B, "m | a b");
	after("\n# lines move\n\n" DEFAULTS A " dpddelay=7s\n" B, "m | a b");
	after(DEFAULTS B, "m | b | a"); /* a is gone */
	after(DEFAULTS B A, "all");	/* and is new */
	begin_with(DEFAULTS B A, "m b a");
	after(DEFAULTS A B, "m | a b");
}

/* Whether that is meant, the whole tells. */
static void no_connection_any_more(void **state)
{
	(void)state;
	begin_with(DEFAULTS A B, "m a b");
	after(DEFAULTS "conn a\n left=192.0.2.1\n right=192.0.2.2\n" B, "all");
}

static void what_all_have_in_common(void **state)
{
	(void)state;
	begin_with(DEFAULTS A B, "m a b");
	after(DEFAULTS " dpddelay=7s\n" A B, "all");
	after("config setup\n uniqueids=no\n" DEFAULTS A B, "all");
	after(DEFAULTS A B DEFAULTS, "all");
	after(DEFAULTS A B, "m | a b");
	write_file(secrets, ": PSK \"y\"\n");
	assert_string_equal(read_once(false), "all");
}

static void also(void **state)
{
	const char base[] = "conn base\n dpddelay=5s\n", other[] = "conn base\n dpddelay=6s\n";
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), "%s%s also=base\n%s%s", DEFAULTS, A, B, base);
	begin_with(text, "m a b");
	assert_string_equal(read_once(false), "m | a b");
	snprintf(text, sizeof(text), "%s%s also=base\n%s%s", DEFAULTS, A, B, other);
	after(text, "all");
	snprintf(text, sizeof(text), "%s%s also=base\n%s dpddelay=9s\n%s", DEFAULTS, A, B, base);
	after(text, "m b | a");
	/* Another one is referred to now: it was passed over before that was known. */
	snprintf(text, sizeof(text), "%s%s also=base\n%s also=a\n%s", DEFAULTS, A, B, base);
	after(text, "all");
	snprintf(text, sizeof(text), "%s%s also=base\n%s dpddelay=9s\n", DEFAULTS, A, B);
	after(text, "all"); /* and there is an error to be told */
	assert_string_equal(read_once(true), "errors");
}

static void includes(void **state)
{
	char text[1024];

	(void)state;
	write_file(more, B);
	snprintf(text, sizeof(text), "%s%sinclude %s\n", DEFAULTS, A, more);
	begin_with(text, "m a b");
	assert_string_equal(read_once(false), "m | a b");
	write_file(more, B " dpddelay=7s\n");
	assert_string_equal(read_once(false), "m b | a");
	/* From inside of a section: that one is built each time. */
	write_file(more, "conn c\n auto=add\n right=192.0.2.4\n");
	snprintf(text, sizeof(text), "%s%s%s include %s\n", DEFAULTS, A, B, more);
	write_file(conf, text);
	assert_string_equal(read_once(true), "m a b c");
	assert_string_equal(read_once(false), "m b | a c");
	/* From what is common to all. */
	snprintf(text, sizeof(text), "%s include %s\n%s%s", DEFAULTS, more, A, B);
	begin_with(text, "- c a b");
}

static void two_want_one_thing(void **state)
{
	(void)state;
	begin_with(DEFAULTS A " interface=t1\n" B " interface=t2\n", "m a b");
	after(DEFAULTS A " interface=t1\n" B " interface=t3\n", "m b | a");
	after(DEFAULTS A " interface=t1\n" B " interface=t1\n", "all");
	assert_string_equal(read_once(true), "errors");
	after(DEFAULTS A " interface=t1\n" B " interface=t3\n" B " interface=t3\n", "all");
	assert_string_equal(read_once(true), "errors");
}

static void other_ends_and_words(void **state)
{
	(void)state;
	begin_with(DEFAULTS A B, "m a b");
	after(DEFAULTS A " leftid=@me\n" B, "all"); /* perhaps no secret fits */
	begin_with(DEFAULTS A B "conn c\n auto=ignore\n right=192.0.2.4\n", "m a b");
	after(DEFAULTS A B "conn c\n auto=ignore\n right=192.0.2.4\n", "m | a b");
	after(DEFAULTS A B "conn c\n auto=add\n right=192.0.2.4\n", "all");
	after(DEFAULTS A
	      "conn b\n auto=ignore\n right=192.0.2.3\nconn c\n auto=ignore\n right=192.0.2.4\n",
	      "all");
	/* A warning is told at each reading. */
	write_file(secrets, "192.0.2.1 192.0.2.2 : PSK \"x\"\n");
	begin_with(DEFAULTS A B, "- a b");
	assert_string_equal(read_once(false), "- a b");
}

static void errors_in_it(void **state)
{
	(void)state;
	begin_with(DEFAULTS A B, "m a b");
	after(DEFAULTS A " no=1\n" B, "all");
	assert_string_equal(read_once(true), "errors");
	after(DEFAULTS A B, "m | a b");
}

/* However the parser lets an include of secrets be written. */
static void secrets_of_other_files(void **state)
{
	static const char *const forms[][2] = {{"include ", "\n"},    {"include ", " # more\n"},
					       {"INCLUDE ", "\n"},    {"include \"", "\"\n"},
					       {"include\n  ", "\n"}, {"\n\ninclude\t", ""}};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		snprintf(text, sizeof(text), "%s%s%s", forms[i][0], more, forms[i][1]);
		write_file(more, SECRET);
		write_file(secrets, text);
		begin_with(DEFAULTS A, "m a");
		assert_string_equal(read_once(false), "m | a");
		write_file(more, ": PSK \"y\"\n");
		assert_string_equal(read_once(false), "all");
	}
}

/* Each of them includes all of them. */
static void secrets_that_go_round(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "include %s/*\n", dir);
	write_file(secrets, text);
	write_file(more, text);
	write_file(conf, DEFAULTS A);
	assert_string_equal(read_once(true), "errors");
}

/* Whatever is in it. */
static void memo_of_others(void **state)
{
	uint8_t whole[1 << 12];
	size_t len;

	(void)state;
	begin_with(DEFAULTS A B, "m a b");
	len = memo_len;
	memcpy(whole, memory, len);
	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n + 1);
		struct recall *r;

		memcpy(copy, whole, n);
		r = recall_new(span_of(copy, n));
		assert_non_null(r);
		assert_false(recall_uses(r));
		recall_free(r);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_of_them, setup, teardown),
		cmocka_unit_test_setup_teardown(no_connection_any_more, setup, teardown),
		cmocka_unit_test_setup_teardown(what_all_have_in_common, setup, teardown),
		cmocka_unit_test_setup_teardown(also, setup, teardown),
		cmocka_unit_test_setup_teardown(includes, setup, teardown),
		cmocka_unit_test_setup_teardown(two_want_one_thing, setup, teardown),
		cmocka_unit_test_setup_teardown(other_ends_and_words, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_in_it, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets_of_other_files, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets_that_go_round, setup, teardown),
		cmocka_unit_test_setup_teardown(memo_of_others, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
