/* The record store: batches, copying, growth, refusals, and the power cut behind every single
 * write. `make test` runs the same seeds each time; STORE_SEED=n another one. */
#include "ipsecd/state/memfd.h"
#include "ipsecd/state/store_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <fcntl.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char why[256];

static struct store_key key(uint32_t kind, uint64_t id)
{
	return (struct store_key){.kind = kind, .id = id};
}

static bool put(struct store *s, uint64_t id, const char *text)
{
	return store_put(s, key(1, id), span_str(text));
}

static bool has(const struct store *s, uint64_t id, const char *text)
{
	struct span v;

	return store_get(s, key(1, id), &v) ? text && span_equal(v, span_str(text)) : !text;
}

static struct store *open_store(void *memory, size_t size, const struct store_host *host)
{
	struct store *s = NULL;

	if (!store_open(memory, size, host, &s, why, sizeof(why)))
		fail_msg("%s", why);
	return s;
}

/* ---- what it does ---- */

static void test_crc32c(void **state)
{
	uint8_t zeros[32] = {0}, bytes[300];
	struct crc32c fast, portable;

	(void)state;
	crc32c_init(&fast);
	crc32c_init_portable(&portable);
	assert_int_equal(crc32c(&fast, 0, "123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c(&portable, 0, "123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c(&fast, 0, zeros, 32), 0x8a9136aau); /* RFC 3720 B.4 */
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 3);
	for (size_t n = 0; n < sizeof(bytes); n++) {
		uint32_t whole = crc32c(&portable, 0, bytes, n);

		assert_int_equal(crc32c(&fast, 0, bytes, n), whole);
		assert_int_equal(
			crc32c(&fast, crc32c(&fast, 0, bytes, n / 3), bytes + n / 3, n - n / 3),
			whole);
	}
}

static void test_batches(void **state)
{
	_Alignas(8) static uint8_t memory[STORE_SIZE_MIN];
	struct store *s = open_store(memory, sizeof(memory), NULL);
	struct store_view v;

	(void)state;
	store_begin(s);
	assert_true(put(s, 1, "one") && put(s, 2, "two") && put(s, 3, ""));
	assert_true(has(s, 1, NULL)); /* not yet */
	assert_true(store_commit(s) && has(s, 1, "one") && has(s, 2, "two") && has(s, 3, ""));
	store_begin(s);
	assert_true(put(s, 1, "uno") && put(s, 4, "four") && store_remove(s, key(1, 2)) &&
		    store_remove(s, key(1, 9)));
	store_abort(s);
	assert_true(has(s, 1, "one") && has(s, 2, "two") && has(s, 4, NULL));
	store_begin(s);
	assert_true(put(s, 1, "uno") && put(s, 1, "un") && store_remove(s, key(1, 2)) &&
		    put(s, 4, "four") && store_remove(s, key(1, 4)) && put(s, 5, "x") &&
		    store_remove(s, key(1, 5)) && put(s, 5, "five"));
	store_close(s); /* with the batch */
	s = open_store(memory, sizeof(memory), NULL);
	assert_true(has(s, 1, "one") && has(s, 2, "two") && has(s, 4, NULL) && has(s, 5, NULL));
	store_begin(s);
	assert_true(put(s, 1, "uno") && put(s, 1, "un") && store_remove(s, key(1, 2)) &&
		    put(s, 4, "four") && store_remove(s, key(1, 4)) && put(s, 5, "x") &&
		    store_remove(s, key(1, 5)) && put(s, 5, "five") && store_commit(s));
	store_look(s, &v);
	assert_int_equal(v.records, 3);
	store_begin(s);
	assert_true(put(s, 1, "un") && store_commit(s)); /* the same */
	store_look(s, &v);
	assert_int_equal(v.commits, 1);
	store_close(s);
	s = open_store(memory, sizeof(memory), NULL);
	assert_true(has(s, 1, "un") && has(s, 2, NULL) && has(s, 3, "") && has(s, 4, NULL) &&
		    has(s, 5, "five"));
	store_close(s);
}

struct seen {
	unsigned n;
	uint64_t ids[8];
};

static bool note(void *ctx, struct store_key k, struct span value)
{
	struct seen *seen = ctx;

	(void)value;
	seen->ids[seen->n++] = k.kind * 100 + k.id;
	return k.kind != 7;
}

static void test_order(void **state)
{
	_Alignas(8) static uint8_t memory[STORE_SIZE_MIN];
	struct store *s = open_store(memory, sizeof(memory), NULL);
	struct seen seen = {0};

	(void)state;
	assert_true(store_put(s, key(2, 9), span_str("a")) && put(s, 5, "b") && put(s, 3, "c") &&
		    store_put(s, key(3, 1), span_str("d")) &&
		    store_put(s, key(7, 1), span_str("e")) && store_commit(s));
	assert_true(store_each(s, 1, 2, note, &seen));
	assert_int_equal(seen.n, 3);
	assert_true(seen.ids[0] == 103 && seen.ids[1] == 105 && seen.ids[2] == 209);
	seen.n = 0;
	assert_false(store_each(s, 3, UINT32_MAX, note, &seen));
	assert_int_equal(seen.n, 2);
	store_close(s);
}

/* Nothing of what was removed is left, and what there is stays whole. */
static void test_full(void **state)
{
	_Alignas(8) static uint8_t memory[STORE_SIZE_MIN];
	struct store *s = open_store(memory, sizeof(memory), NULL);
	char text[1000];

	(void)state;
	memset(text, 'k', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_true(put(s, 1, text) && store_commit(s));
	assert_true(put(s, 2, "two"));
	assert_false(put(s, 3, text)); /* no room in either half */
	assert_false(put(s, 4, "four"));
	assert_false(store_commit(s));
	assert_true(has(s, 1, text) && has(s, 2, NULL) && has(s, 3, NULL));
	for (unsigned i = 0; i < 1000; i++) {
		text[0] = (char)('a' + i % 26);
		assert_true(put(s, i % 2 + 5, "x") && store_remove(s, key(1, 1)) &&
			    store_commit(s) && put(s, 1, text) && store_commit(s));
	}
	assert_true(store_remove(s, key(1, 1)) && store_commit(s));
	assert_null(memmem(memory, sizeof(memory), "kkkk", 4));
	store_close(s);
	store_erase(memory, sizeof(memory));
	for (size_t i = 0; i < sizeof(memory); i++)
		assert_int_equal(memory[i], 0);
}

/* ---- the power cut ---- */

#define KEYS	  12
#define VALUE_MAX 400
#define CUT_MAX	  (64 << 10)
#define MARK	  UINT64_C(0x5345435245542121)

/* Values are a mark, their number and a pattern of it, so that leftovers are found. */
struct model {
	uint32_t number[KEYS]; /* 0: none */
};

struct cut {
	uint8_t *memory, *before, *copy; /* before: without the last write */
	size_t size;
	struct model old, new;
	bool committed; /* the new one was seen */
	uint64_t random;
	unsigned cuts;
};

static uint32_t draw(struct cut *c, uint32_t below)
{
	c->random = c->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(c->random >> 33) % below;
}

static struct span make_value(uint32_t number, uint8_t *out)
{
	const uint64_t mark = MARK;
	size_t n = 16 + number * UINT32_C(2654435761) % (VALUE_MAX - 16);

	memset(out, (int)(number & 0xff) | 1, n);
	memcpy(out, &mark, 8);
	memcpy(out + 8, &number, 4);
	return span_of(out, n);
}

static bool is(const struct store *s, const struct model *m)
{
	uint8_t value[VALUE_MAX];

	for (unsigned i = 0; i < KEYS; i++) {
		bool want = m->number[i] != 0;
		struct span v;

		if (store_get(s, key(i % 3, i), &v) != want ||
		    (want && !span_equal(v, make_value(m->number[i], value))))
			return false;
	}
	return true;
}

/* No value is left that nobody has. */
static bool clean(const struct store *s, const uint8_t *memory, size_t size)
{
	struct store_view v;
	unsigned marks = 0;

	for (size_t at = 0; at + 8 <= size; at += 8) {
		uint64_t word;

		memcpy(&word, memory + at, 8);
		marks += word == MARK;
	}
	store_look(s, &v);
	return marks == v.records;
}

/* Another process finds the copy. */
static void check_copy(struct cut *c, bool whole, const char *what)
{
	struct store *s = open_store(c->copy, c->size, NULL);
	bool old = is(s, &c->old), new = is(s, &c->new);

	if (!(old || new) || (c->committed && !new) || !clean(s, c->copy, c->size))
		fail_msg("cut %u, %s: old %d, new %d, committed %d", c->cuts, what, old, new,
			 c->committed);
	if (whole && new && !old)
		c->committed = true;
	assert_true(store_put(s, key(9, 9), span_str("goes on")) || c->size >= CUT_MAX);
	store_commit(s);
	store_close(s);
	c->cuts++;
}

static void on_write(void *ctx, size_t at, size_t n)
{
	static const char *const what[] = {"the rest stale", "the rest zero", "the rest noise"};
	struct cut *c = ctx;

	for (unsigned kind = 0; kind < 3; kind++) {
		size_t from = at + draw(c, (uint32_t)n + 1), left = at + n - from;

		/* Words are whole or not there; the header is never noise. */
		if (n <= 8 || (kind == 2 && at < sizeof(struct store_header)))
			break;
		memcpy(c->copy, c->memory, c->size);
		if (kind == 0)
			memcpy(c->copy + from, c->before + from, left);
		else
			memset(c->copy + from, kind == 1 ? 0 : 0xa7, left);
		check_copy(c, false, what[kind]);
	}
	memcpy(c->copy, c->memory, c->size);
	check_copy(c, true, "whole");
	memcpy(c->before + at, c->memory + at, n);
}

static bool grow(void *ctx, size_t size, void **memory, size_t *now)
{
	struct cut *c = ctx;

	if (size > CUT_MAX)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		uint8_t **p = i == 0 ? &c->memory : i == 1 ? &c->before : &c->copy;
		uint8_t *more = calloc(1, size);

		memcpy(more, *p, c->size);
		free(*p);
		*p = more;
	}
	*memory = c->memory;
	*now = c->size = size;
	return true;
}

static void one_batch(struct cut *c, struct store *s)
{
	static uint32_t number;
	uint8_t value[VALUE_MAX];
	bool ok = true;

	c->new = c->old;
	c->committed = false;
	store_begin(s);
	for (unsigned n = 1 + draw(c, 5); n > 0 && ok; n--) {
		unsigned k = draw(c, KEYS);

		c->new.number[k] = draw(c, 4) ? ++number : 0;
		/* As far as it is not committed, it is the old one. */
		ok = c->new.number[k] ? store_put(s, key(k % 3, k), make_value(number, value))
				      : store_remove(s, key(k % 3, k));
	}
	if (draw(c, 8) == 0) {
		store_abort(s);
		c->new = c->old;
	} else {
		assert_true(store_commit(s) && ok);
	}
	assert_true(is(s, &c->new));
	c->old = c->new;
}

static void cut_power(uint64_t seed, unsigned batches)
{
	struct cut c = {.size = STORE_SIZE_MIN, .random = seed};
	const struct store_host host = {.grow = grow, .wrote = on_write, .ctx = &c};
	struct store_view v;
	struct store *s;

	c.memory = calloc(1, c.size);
	c.before = calloc(1, c.size);
	c.copy = calloc(1, c.size);
	s = open_store(c.memory, c.size, &host);
	for (unsigned i = 0; i < batches; i++) {
		one_batch(&c, s);
		if (draw(&c, 40) == 0) { /* and the real one dies now and then */
			store_close(s);
			s = open_store(c.memory, c.size, &host);
			assert_true(is(s, &c.old));
		}
	}
	store_look(s, &v);
	assert_true(v.size > STORE_SIZE_MIN);
	assert_true(c.cuts > batches);
	store_close(s);
	free(c.memory);
	free(c.before);
	free(c.copy);
}

static void test_power_cut(void **state)
{
	const char *seed = getenv("STORE_SEED");

	(void)state;
	if (seed)
		cut_power(strtoull(seed, NULL, 0), 2000);
	for (uint64_t i = 1; i <= 6; i++)
		cut_power(i, 80);
}

/* ---- growth ---- */

static bool grow_map(void *ctx, size_t size, void **memory, size_t *now)
{
	struct memfd *m = ctx;

	if (!memfd_grow(m, size))
		return false;
	*memory = m->memory;
	*now = m->size;
	return true;
}

static void test_growth(void **state)
{
	static uint8_t value[64 << 10];
	struct memfd m, again;
	const struct store_host host = {.grow = grow_map, .ctx = &m};
	struct store_view v;
	struct store *s;
	struct span got;

	(void)state;
	assert_true(memfd_make(&m, "ipsecd-test", 1, why, sizeof(why)));
	assert_int_equal(ftruncate(m.fd, 0), -1); /* sealed */
	s = open_store(m.memory, m.size, &host);
	for (unsigned i = 0; i < 400; i++) {
		memset(value, (int)i, sizeof(value));
		memcpy(value, &i, sizeof(i));
		assert_true(store_put(s, key(1, i), span_of(value, sizeof(value) - i)) &&
			    store_commit(s));
	}
	store_look(s, &v);
	assert_true(v.size >= (size_t)64 << 20 && v.records == 400 && v.size == m.size);
	store_close(s);
	assert_true(memfd_map(&again, dup(m.fd), 1, why, sizeof(why)));
	memfd_close(&m);
	m = again;
	s = open_store(m.memory, m.size, &host);
	for (unsigned i = 0; i < 400; i++) {
		memset(value, (int)i, sizeof(value));
		memcpy(value, &i, sizeof(i));
		assert_true(store_get(s, key(1, i), &got) &&
			    span_equal(got, span_of(value, sizeof(value) - i)));
	}
	store_close(s);
	memfd_close(&m);
}

/* ---- memory that is not needed ---- */

static void release_map(void *ctx, size_t at, size_t n)
{
	struct memfd *m = ctx;
	const struct store_header *h = m->memory;
	const struct store_slot *active = &h->slots[h->active == STORE_SECOND];

	assert_true(at >= sizeof(*h) && at + n <= m->size);
	assert_true(at + n <= active->offset || at >= active->offset + active->capacity);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(((const uint8_t *)m->memory)[at + i], 0);
	memfd_release(m, at, n);
}

/* Many records, changed over and over: memory for what is valid and half as much, whatever the
 * span. */
static void test_memory_in_use(void **state)
{
	static uint8_t value[1000];
	struct memfd m;
	const struct store_host host = {.grow = grow_map, .release = release_map, .ctx = &m};
	struct store_view v;
	struct store *s;
	struct stat st;

	(void)state;
	assert_true(memfd_make(&m, "ipsecd-test", 1 << 20, why, sizeof(why)));
	s = open_store(m.memory, m.size, &host);
	for (unsigned i = 0; i < 40000; i++) {
		memcpy(value, &i, sizeof(i));
		assert_true(store_put(s, key(1, i % 2000), span_of(value, sizeof(value))) &&
			    store_commit(s));
	}
	store_look(s, &v);
	assert_true(v.size > 3 * v.live);
	assert_int_equal(fstat(m.fd, &st), 0);
	assert_in_range((uint64_t)st.st_blocks * 512, v.live, v.live + v.live / 2 + (64 << 10));
	store_close(s);
	s = open_store(m.memory, m.size, &host);
	for (unsigned i = 38000; i < 40000; i++) {
		struct span got;

		memcpy(value, &i, sizeof(i));
		assert_true(store_get(s, key(1, i % 2000), &got));
		assert_true(span_equal(got, span_of(value, sizeof(value))));
	}
	store_close(s);
	memfd_close(&m);
}

static void test_memfd_refusals(void **state)
{
	int fd = memfd_create("ipsecd-test", MFD_ALLOW_SEALING);
	struct memfd m;

	(void)state;
	assert_false(memfd_map(&m, -1, 1, why, sizeof(why)));
	assert_false(memfd_map(&m, STDIN_FILENO, 1, why, sizeof(why)));
	assert_int_equal(ftruncate(fd, 4095), 0);
	assert_false(memfd_map(&m, fd, 1, why, sizeof(why)));
	assert_non_null(strstr(why, "4095"));
	close(fd);
	fd = memfd_create("ipsecd-test", 0); /* sealed against seals */
	assert_false(memfd_map(&m, fd, 1, why, sizeof(why)));
	assert_non_null(strstr(why, "sealing"));
	close(fd);
	fd = memfd_create("ipsecd-test", MFD_ALLOW_SEALING);
	assert_true(memfd_map(&m, fd, 65536, why, sizeof(why)));
	assert_int_equal(m.size, 65536);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	memfd_close(&m);
}

/* ---- refusals ---- */

static void refused(const uint8_t *memory, size_t size, const char *expected)
{
	_Alignas(8) static uint8_t copy[4 * STORE_SIZE_MIN], same[4 * STORE_SIZE_MIN];
	struct store *s;

	memcpy(copy, memory, size);
	memcpy(same, copy, size);
	*why = '\0';
	assert_false(store_open(copy, size, NULL, &s, why, sizeof(why)));
	if (!strstr(why, expected))
		fail_msg("\"%s\" does not say \"%s\"", why, expected);
	assert_memory_equal(copy, same, size);
}

static void test_refusals(void **state)
{
	_Alignas(8) static uint8_t good[4 * STORE_SIZE_MIN], bad[4 * STORE_SIZE_MIN];
	struct store *s = open_store(good, sizeof(good), NULL);
	struct store_header *h = (struct store_header *)bad;

	(void)state;
	assert_true(put(s, 1, "one") && put(s, 2, "two") && store_commit(s));
	store_close(s);
	memcpy(bad, good, sizeof(good));
	refused(bad, 4000, "too small");
	refused(bad, sizeof(bad) / 4, "cut off");
	h->magic ^= 1;
	refused(bad, sizeof(bad), "not a store");
	memcpy(bad, good, sizeof(good));
	h->version = 2;
	refused(bad, sizeof(bad), "format 2");
	memcpy(bad, good, sizeof(good));
	h->order = 0x04030201;
	refused(bad, sizeof(bad), "byte order");
	memcpy(bad, good, sizeof(good));
	h->active ^= 4;
	refused(bad, sizeof(bad), "no log");
	memcpy(bad, good, sizeof(good));
	h->slots[0].tail -= 8;
	refused(bad, sizeof(bad), "length");
	memcpy(bad, good, sizeof(good));
	memset(bad + 512, 0x55, 1); /* behind the tail: nothing is there yet */
	s = open_store(bad, sizeof(bad), NULL);
	assert_true(has(s, 1, "one") && has(s, 2, "two"));
	store_close(s);
}

/* Any bit that flips is found, or changes nothing. */
static void test_flipped_bits(void **state)
{
	_Alignas(8) static uint8_t good[STORE_SIZE_MIN], bad[STORE_SIZE_MIN];
	struct store *s = open_store(good, sizeof(good), NULL);
	unsigned found = 0;

	(void)state;
	assert_true(put(s, 1, "one") && put(s, 2, "two") && store_commit(s) && put(s, 1, "ONE") &&
		    store_remove(s, key(1, 2)) && put(s, 3, "three") && store_commit(s));
	store_close(s);
	for (unsigned bit = 0; bit < 8 * 1024; bit++) {
		memcpy(bad, good, sizeof(good));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		*why = '\0';
		if (!store_open(bad, sizeof(bad), NULL, &s, why, sizeof(why))) {
			assert_true(*why);
			found++;
			continue;
		}
		assert_true(has(s, 1, "ONE") && has(s, 2, NULL) && has(s, 3, "three"));
		store_close(s);
	}
	assert_true(found > 8 * 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c),	      cmocka_unit_test(test_batches),
		cmocka_unit_test(test_order),	      cmocka_unit_test(test_full),
		cmocka_unit_test(test_power_cut),     cmocka_unit_test(test_growth),
		cmocka_unit_test(test_memory_in_use), cmocka_unit_test(test_memfd_refusals),
		cmocka_unit_test(test_refusals),      cmocka_unit_test(test_flipped_bits),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
