/* What is kept for a process after us, written and found again: everything in its place, in the
 * order of loading, also after a batch that never came to its end. The engine is a list of
 * records here, the memory a memfd as in the daemon. */
#include "ipsecd/publish.h"
#include "ipsecd/publish_body.h"
#include "ipsecd/state/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the engine and the files, as far as publish.c looks at them ---- */

static struct ike_record records[8];
static unsigned n_records;
static const char *names[4];
static uint64_t names_changed;
static const char *loaded[4];

bool ike_engine_publish(struct ike_engine *e, struct ike_record *out)
{
	(void)e;
	if (!n_records)
		return false;
	*out = records[--n_records];
	return true;
}

const struct conn *ike_engine_conn_named(const struct ike_engine *e, const char *name)
{
	static const struct conn there;

	(void)e;
	for (unsigned i = 0; i < 4 && loaded[i]; i++) {
		if (strcmp(loaded[i], name) == 0)
			return &there;
	}
	return NULL;
}

uint64_t reload_names(const struct reload *r)
{
	(void)r;
	return names_changed;
}

void reload_each_name(const struct reload *r, enum reload_set set,
		      void (*cb)(void *ctx, const char *name), void *ctx)
{
	(void)r;
	for (unsigned i = 0; set == RELOAD_CONNS && i < 4 && names[i]; i++)
		cb(ctx, names[i]);
}

/* ---- a memfd that outlives each of them ---- */

static int memory;

static int setup(void **ctx)
{
	(void)ctx;
	n_records = 0;
	memset(names, 0, sizeof(names));
	memset(loaded, 0, sizeof(loaded));
	memory = memfd_create("ipsecd-test", MFD_ALLOW_SEALING);
	return 0;
}

static int teardown(void **ctx)
{
	(void)ctx;
	close(memory);
	return 0;
}

static struct publish *begin(void)
{
	const struct log_sink *quiet = NULL;
	struct publish *p = publish_open(dup(memory), quiet);

	assert_non_null(p);
	return p;
}

static void record(uint32_t kind, uint64_t id, const char *text)
{
	records[n_records++] = (struct ike_record){.kind = kind, .id = id, .data = span_str(text)};
}

static void run(struct publish *p)
{
	publish_run(p, NULL, (const struct reload *)names);
}

static void write_conn(struct publish *p, const char *name, uint32_t tunnel)
{
	struct conn *c = conn_new(name);

	conn_add_child(c, "net");
	publish_conn(p, c, tunnel);
	conn_free(c);
}

static char order[256];

static bool note_conn(void *ctx, struct store_key key, struct span value)
{
	size_t at = strlen(order);
	struct conn *c = NULL;
	uint32_t tunnel;

	(void)ctx;
	assert_int_equal(publish_decode_conn(value, &tunnel, &c).error, CODEC_OK);
	snprintf(order + at, sizeof(order) - at, "%llu:%s/%u ", (unsigned long long)key.id, c->name,
		 tunnel);
	conn_free(c);
	return true;
}

static const char *conns(const struct publish *p)
{
	const struct store *s = publish_found(p);

	order[0] = '\0';
	assert_non_null(s);
	assert_true(store_each(s, STORE_CONN, STORE_CONN, note_conn, NULL));
	return order;
}

/* ---- */

static void found_again(void **ctx)
{
	const struct settings settings = SETTINGS_DEFAULT;
	struct settings read;
	struct addr dns[1] = {{.family = AF_INET, .bytes = {10, 0, 0, 53}}};
	struct secret *secret = secret_new("file:3", SECRET_IKE, span_str("key"));
	struct publish *p = begin();
	struct publish_pool pool;
	struct publish_vips vips;
	const struct store *s;
	const char *name;
	struct span v;
	size_t at = 0;

	(void)ctx;
	assert_null(publish_found(p));
	names[0] = "a";
	names[1] = "b c";
	names_changed++;
	publish_settings(p, &settings);
	write_conn(p, "a", 1);
	write_conn(p, "b c", 2);
	write_conn(p, "d", 3);
	publish_secret(p, secret);
	publish_pool(p, "staff", "10.3.0.0/24", dns, 1);
	publish_vips(p, 2, dns, 1);
	record(IKE_RECORD_SA, 7, "sa");
	run(p);
	publish_close(p, false);
	p = begin();
	s = publish_found(p);
	assert_string_equal(conns(p), "1:a/1 2:b c/2 3:d/3 ");
	assert_true(store_get(s, (struct store_key){STORE_SETTINGS, 0}, &v));
	assert_int_equal(settings_decode(v, &read).error, CODEC_OK);
	assert_true(store_get(s, (struct store_key){STORE_POOL, 1}, &v));
	assert_int_equal(publish_decode_pool(v, &pool).error, CODEC_OK);
	assert_string_equal(pool.addrs, "10.3.0.0/24");
	assert_true(pool.n_dns == 1 && addr_equal(&pool.dns[0], dns));
	assert_true(store_get(s, (struct store_key){STORE_VIPS, 2}, &v));
	assert_true(publish_decode_vips(v, &vips).error == CODEC_OK && vips.n == 1);
	assert_true(store_get(s, (struct store_key){STORE_ENGINE + IKE_RECORD_SA, 7}, &v));
	assert_true(span_equal(v, span_str("sa")));
	assert_true(store_get(s, (struct store_key){STORE_NAMES, RELOAD_CONNS}, &v));
	assert_true(publish_next_name(v, &at, &name) && strcmp(name, "a") == 0);
	assert_true(publish_next_name(v, &at, &name) && strcmp(name, "b c") == 0);
	assert_false(publish_next_name(v, &at, &name));
	publish_close(p, true);
	p = begin();
	assert_null(publish_found(p)); /* a regular end */
	publish_close(p, false);
	secret_free(secret);
}

static void nothing_by_halves(void **ctx)
{
	const struct settings settings = SETTINGS_DEFAULT;
	struct publish *p = begin();

	(void)ctx;
	publish_settings(p, &settings);
	write_conn(p, "a", 1);
	run(p);
	write_conn(p, "b", 2); /* and then it is killed */
	publish_conn_gone(p, "a");
	publish_close(p, false);
	p = begin();
	assert_string_equal(conns(p), "1:a/1 ");
	publish_close(p, false);
}

static void order_is_kept(void **ctx)
{
	const struct settings settings = SETTINGS_DEFAULT;
	struct publish *p = begin();

	(void)ctx;
	publish_settings(p, &settings);
	write_conn(p, "a", 1);
	write_conn(p, "b", 2);
	run(p);
	publish_close(p, false);
	p = begin();
	publish_read_begin(p);
	assert_true(publish_know(p, PUBLISH_CONNS, "a", 1) &&
		    publish_know(p, PUBLISH_CONNS, "b", 2));
	write_conn(p, "b", 9); /* told again while it is read: nothing */
	loaded[0] = "a";
	publish_read_end(p, NULL); /* b could not be loaded */
	run(p);
	assert_string_equal(conns(p), "1:a/1 ");
	write_conn(p, "c", 5);
	write_conn(p, "a", 4);
	run(p);
	assert_string_equal(conns(p), "1:a/4 3:c/5 ");
	publish_close(p, false);
}

static void starts_are_counted(void **ctx)
{
	const struct settings settings = SETTINGS_DEFAULT;
	struct publish *p = begin();
	struct span v;

	(void)ctx;
	publish_settings(p, &settings);
	record(IKE_RECORD_SA, 7, "sa");
	record(IKE_RECORD_ENGINE, 0, "engine");
	run(p);
	for (unsigned i = 0; i < 4; i++) {
		publish_close(p, false);
		p = begin();
		assert_int_equal(publish_starts(p, false), i);
	}
	publish_drop_engine(p);
	run(p);
	assert_false(store_get(publish_found(p),
			       (struct store_key){STORE_ENGINE + IKE_RECORD_SA, 7}, &v));
	publish_got_through(p);
	assert_int_equal(publish_starts(p, false), 0);
	assert_int_equal(publish_starts(p, false), 1);
	assert_int_equal(publish_starts(p, true), 1); /* that one was killed */
	assert_int_equal(publish_starts(p, false), 2);
	publish_forget(p);
	assert_null(publish_found(p));
	publish_close(p, false);
}

static void damage_is_dropped(void **ctx)
{
	const struct settings settings = SETTINGS_DEFAULT;
	struct publish *p = begin();

	(void)ctx;
	publish_settings(p, &settings);
	run(p);
	publish_close(p, false);
	assert_int_equal(pwrite(memory, "x", 1, 140), 1);
	p = begin();
	assert_null(publish_found(p));
	publish_settings(p, &settings);
	run(p);
	publish_close(p, false);
	p = begin();
	assert_non_null(publish_found(p));
	publish_close(p, false);
}

/* A thousand conns, each in a batch of its own as at a start, and bodies that are cut off. */
static void many_and_cut(void **ctx)
{
	const struct settings settings = SETTINGS_DEFAULT;
	struct publish_pool pool = {.name = "n", .addrs = "10.0.0.0/8", .n_dns = 0}, read;
	uint8_t bytes[512];
	struct buf b = buf_over(bytes, sizeof(bytes));
	struct publish *p = begin();
	struct span v;
	char name[16];

	(void)ctx;
	publish_settings(p, &settings);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		write_conn(p, name, i + 1);
		run(p);
	}
	publish_close(p, false);
	p = begin();
	assert_true(store_get(publish_found(p), (struct store_key){STORE_CONN, 1000}, &v));
	publish_close(p, false);
	assert_int_equal(publish_encode_pool(&pool, &b).error, CODEC_OK);
	for (size_t n = 0; n < b.len; n++)
		assert_int_not_equal(publish_decode_pool(span_of(bytes, n), &read).error, CODEC_OK);
}

/* What a script was told, until it is undone; cut off at each byte. */
static void scripts_are_remembered(void **ctx)
{
	char verb[] = "PLUTO_VERB=up-client", path[] = "PATH=/bin";
	char conn[] = "a", child[] = "b", script[] = "/s x";
	struct updown_env env = {.suffix = "client", .n = 2, .vars = {verb, path}};
	const struct updown_told told = {conn, child, script, 3, 1, &env};
	const struct settings settings = SETTINGS_DEFAULT;
	const struct store_key key = {STORE_UPDOWN, 1};
	struct publish *p = begin();
	struct updown_told read;
	struct span v;

	(void)ctx;
	publish_settings(p, &settings);
	publish_updown(p).told(p, &told);
	run(p);
	publish_close(p, false);
	p = begin();
	assert_true(store_get(publish_found(p), key, &v));
	for (size_t n = 0; n < v.len; n++)
		assert_int_not_equal(publish_decode_updown(span_of(v.ptr, n), &read).error,
				     CODEC_OK);
	assert_int_equal(publish_decode_updown(v, &read).error, CODEC_OK);
	assert_string_equal(read.conn, "a");
	assert_string_equal(read.child, "b");
	assert_string_equal(read.script, "/s x");
	assert_true(read.tunnel == 3 && read.n_envs == 1 && read.envs[0].n == 2);
	assert_string_equal(read.envs[0].suffix, "client");
	assert_string_equal(read.envs[0].vars[1], "PATH=/bin");
	assert_true(publish_know(p, PUBLISH_UPDOWN, "a\nb", key.id));
	publish_updown(p).undone(p, &read);
	updown_told_clear(&read);
	run(p);
	assert_false(store_get(publish_found(p), key, &v));
	publish_close(p, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(found_again, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_by_halves, setup, teardown),
		cmocka_unit_test_setup_teardown(order_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(starts_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(many_and_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(scripts_are_remembered, setup, teardown),
	};

	return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
