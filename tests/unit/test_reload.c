/* What a reading by another process may leave out, and when it is asked for all: over an engine
 * that is a list of names, and readings that are written here. */
#include "ipsecd/reload.h"
#include "ipsecd/config/recall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 8

static struct {
	struct reload *reload;
	struct conn *conns[MANY];
	struct secret *secrets[MANY];
	unsigned reads, done;
	bool whole;	     /* the last one was asked so */
	enum reload_end end; /* of the last */
	char why[512];
	bool no_conns, no_secrets, no_mend, doubt, long_why, before;
	bool looks, as_made; /* it is known whether there is anything to mend; that */
	char log[256];	     /* what was done */
} t;

static void note(const char *what, const char *name)
{
	size_t n = strlen(t.log);

	snprintf(t.log + n, sizeof(t.log) - n, "%s%s %s", n ? ", " : "", what, name);
}

/* ---- the engine ---- */

static struct conn **conn_place(const char *name)
{
	struct conn **free_one = NULL;

	for (unsigned i = 0; i < MANY; i++) {
		if (t.conns[i] && strcmp(t.conns[i]->name, name) == 0)
			return &t.conns[i];
		if (!t.conns[i])
			free_one = &t.conns[i];
	}
	assert_non_null(free_one);
	return free_one;
}

static struct secret **secret_place(const char *unique)
{
	struct secret **free_one = NULL;

	for (unsigned i = 0; i < MANY; i++) {
		if (t.secrets[i] && strcmp(t.secrets[i]->unique, unique) == 0)
			return &t.secrets[i];
		if (!t.secrets[i])
			free_one = &t.secrets[i];
	}
	assert_non_null(free_one);
	return free_one;
}

const struct conn *ike_engine_conn_named(const struct ike_engine *e, const char *name)
{
	(void)e;
	return *conn_place(name);
}

const struct secret *ike_engine_secret_named(const struct ike_engine *e, const char *unique)
{
	(void)e;
	return *secret_place(unique);
}

/* ---- the host ---- */

static void on_settings(void *ctx, const struct settings *settings)
{
	(void)ctx;
	(void)settings;
}

static bool on_prepare(void *ctx, struct conn *conn, char *why, size_t size)
{
	(void)ctx;
	(void)conn;
	(void)why;
	(void)size;
	return true;
}

static bool on_load(void *ctx, struct conn *conn, char *why, size_t size)
{
	struct conn **place = conn_place(conn->name);

	(void)ctx;
	note("load", conn->name);
	if (t.no_conns) {
		snprintf(why, size, "%*sthe test does not want it", t.long_why ? 200 : 0, "");
		conn_free(conn);
		return false;
	}
	if (*place)
		conn_free(*place);
	*place = conn;
	return true;
}

static bool on_unload(void *ctx, const char *name, const char **error)
{
	struct conn **place = conn_place(name);

	(void)ctx;
	(void)error;
	note("unload", name);
	conn_free(*place);
	*place = NULL;
	return true;
}

static bool on_mend(void *ctx, const struct conn *conn, char *why, size_t size)
{
	(void)ctx;
	note("mend", conn->name);
	snprintf(why, size, "the test does not want it");
	return !t.no_mend;
}

static bool on_mend_begin(void *ctx)
{
	(void)ctx;
	return !t.as_made;
}

static void on_mend_end(void *ctx, bool all)
{
	(void)ctx;
	t.as_made = all && t.looks;
}

static bool on_load_secret(void *ctx, struct secret *secret, const char **error)
{
	struct secret **place = secret_place(secret->unique);

	(void)ctx;
	note("secret", secret->unique);
	if (t.doubt)
		reload_doubt(t.reload);
	if (t.no_secrets) {
		*error = "the test does not want it";
		secret_free(secret);
		return false;
	}
	if (*place)
		secret_free(*place);
	*place = secret;
	return true;
}

static bool on_unload_secret(void *ctx, const char *unique, const char **error)
{
	struct secret **place = secret_place(unique);

	(void)ctx;
	(void)error;
	note("no secret", unique);
	secret_free(*place);
	*place = NULL;
	return true;
}

static bool on_read(void *ctx, bool whole, char *why, size_t size)
{
	(void)ctx;
	(void)why;
	(void)size;
	t.whole = whole;
	t.reads++;
	return true;
}

static void on_done(void *ctx, uint64_t tag, enum reload_end end, const char *why)
{
	(void)ctx;
	(void)tag;
	snprintf(t.why, sizeof(t.why), "%s", why);
	t.end = end;
	t.done++;
}

static int setup(void **state)
{
	const struct reload_host host = {.settings = on_settings,
					 .prepare_conn = on_prepare,
					 .load_conn = on_load,
					 .unload_conn = on_unload,
					 .mend_conn = on_mend,
					 .mend_begin = on_mend_begin,
					 .mend_end = on_mend_end,
					 .load_secret = on_load_secret,
					 .unload_secret = on_unload_secret,
					 .read = on_read,
					 .done = on_done};

	(void)state;
	memset(&t, 0, sizeof(t));
	t.reload = reload_new(NULL, &host);
	return t.reload ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	reload_free(t.reload);
	for (unsigned i = 0; i < MANY; i++) {
		if (t.conns[i])
			conn_free(t.conns[i]);
		secret_free(t.secrets[i]);
	}
	return 0;
}

/* ---- readings ---- */

static struct conn *conn_at(const char *name, uint64_t line)
{
	struct conn *conn = conn_new(name);

	assert_true(asprintf(&conn->source, "/etc/ipsec.conf:%d", (int)line) > 0);
	return conn;
}

/* A letter is a connection, whose text has the digest of its place: an upper-case one is unchanged,
 * a lower-case one is built, one behind a '-' is gone. secret: its text, NULL: unchanged. */
static void comes(const char *conns, const char *secret)
{
	struct config_errors errors = {0};
	struct config c = {.conns = calloc(MANY, sizeof(*c.conns)),
			   .gone = calloc(MANY, sizeof(*c.gone)),
			   .secrets = calloc(1, sizeof(*c.secrets)),
			   .secrets_unchanged = !secret};

	t.log[0] = '\0';
	for (const char *p = conns; *p; p++) {
		char name[] = {(char)(*p | 0x20), '\0'};
		uint64_t digest = (uint64_t)(p - conns) + 1;

		if (*p == '-')
			c.gone[c.n_gone++] = strndup(++p, 1);
		else if (*p == name[0])
			c.conns[c.n_conns++] = (struct config_conn){.conn = conn_at(name, digest),
								    .digest = digest};
		else {
			c.unchanged_sum += recall_mark(name, digest);
			c.n_unchanged++;
		}
	}
	if (secret)
		c.secrets[c.n_secrets++] = secret_new("psk", SECRET_IKE, span_str(secret));
	reload_read(t.reload, true, &c, &errors);
}

static void ask(bool whole)
{
	unsigned reads = t.reads;

	reload_run(t.reload, 1);
	assert_int_equal(t.reads, reads + 1);
	assert_int_equal(t.whole, whole);
}

/* The last reading is in force, and nobody waits. */
static void in_force(const char *log)
{
	assert_string_equal(t.log, log);
	assert_int_equal(t.done, 1);
	assert_int_equal(t.end, RELOAD_DONE);
	t.done = 0;
}

/* The same, but for what was refused. */
static void partly_in_force(const char *log, const char *why)
{
	assert_string_equal(t.log, log);
	assert_int_equal(t.done, 1);
	assert_int_equal(t.end, RELOAD_PARTLY);
	assert_string_equal(t.why, why);
	assert_string_equal(reload_failure(t.reload), why);
	t.done = 0;
}

static void note_refused(void *ctx, const char *name, const char *why)
{
	(void)ctx;
	assert_non_null(strstr(why, t.before ? "a process before" : "does not want it ("));
	note("refused", name);
}

static void refused_are(const char *names)
{
	t.log[0] = '\0';
	reload_each_refused(t.reload, note_refused, NULL);
	assert_string_equal(t.log, names);
}

/* It was of no use: nothing was done, and all is asked for. */
static void asked_for_all(void)
{
	assert_string_equal(t.log, "");
	assert_int_equal(t.done, 0);
	assert_true(t.whole);
}

static void begin_with(const char *conns, const char *log)
{
	ask(true);
	comes(conns, "x");
	in_force(log);
}

static void what_is_left_out_stays(void **state)
{
	(void)state;
	begin_with("ab", "secret psk, load a, load b");
	ask(false);
	comes("AB", NULL);
	in_force("mend a, mend b");
	ask(false);
	comes("A-b", NULL);
	in_force("unload b, mend a");
	ask(false);
	comes("Ab", NULL);
	in_force("mend a, load b");
	ask(false);
	comes("AB", "y");
	in_force("secret psk, mend a, mend b");
}

/* A vici client loaded an equal one first, and may take it away: it is not one that the files need
 * not name again. */
static void one_that_is_vicis(void **state)
{
	struct conn **place = conn_place("a");

	(void)state;
	*place = conn_new("a");
	(*place)->source = strdup("vici");
	begin_with("ab", "secret psk, mend a, load b");
	conn_free(*place);
	*place = NULL;
	ask(false);
	comes("AB", NULL);
	asked_for_all();
	comes("ab", "x");
	assert_non_null(strstr(t.log, "load a"));
	in_force(t.log);
	ask(false);
	comes("AB", NULL);
	in_force("mend a, mend b");
}

/* As many, but others, or from other texts. */
static void what_does_not_add_up(void **state)
{
	static const char *const readings[] = {"A",    "ABC",	"A-c", "BA",
					       "-aAB", "-bB-a", "Ac",  "AB-b"};

	(void)state;
	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
		teardown(NULL);
		setup(NULL);
		begin_with("ab", "secret psk, load a, load b");
		ask(false);
		comes(readings[i], NULL);
		asked_for_all();
	}
}

/* Once all devices were looked at, as long as it is known that they stay so. */
static void devices_that_are_known_to_be_as_made(void **state)
{
	(void)state;
	begin_with("ab", "secret psk, load a, load b");
	t.looks = t.no_mend = true;
	ask(false);
	comes("AB", NULL);
	in_force("mend a, mend b");
	t.no_mend = false;
	ask(false);
	comes("AB", NULL);
	in_force("mend a, mend b");
	ask(false);
	comes("AB", NULL);
	in_force("");
	ask(false);
	comes("A-b", NULL);
	in_force("unload b");
	t.as_made = false;
	ask(false);
	comes("A", NULL);
	in_force("mend a");
}

static void what_is_not_known_is_not_left_out(void **state)
{
	(void)state;
	ask(true);
	comes("A", NULL); /* of a process before this one */
	asked_for_all();
	comes("ab", "x");
	in_force("secret psk, load a, load b");
	ask(false);
	comes("BA", NULL); /* from other texts */
	asked_for_all();
	comes("ba", "x");
	in_force("mend b, mend a");
}

/* With many of them the answer has the first ones, and each is there to be asked for. */
static void many_are_refused(void **state)
{
	static const char end[] = "; and more, see the log";
	const char *why;

	(void)state;
	t.no_conns = t.long_why = true;
	ask(true);
	comes("abcd", "x");
	why = reload_failure(t.reload);
	assert_non_null(strstr(why, "not loaded: b: "));
	assert_null(strstr(why, "not loaded: d: "));
	assert_string_equal(why + strlen(why) - strlen(end), end);
	refused_are("refused a, refused b, refused c, refused d");
}

/* Told by a process before this one: not in the engine, so it was refused there. */
static void refused_by_a_process_before(void **state)
{
	(void)state;
	reload_know(t.reload, RELOAD_CONNS, "a");
	t.before = true;
	refused_are("refused a");
}

/* Each time, as long as it can't be loaded. */
static void a_refused_one_is_not_left_out(void **state)
{
	(void)state;
	begin_with("a", "secret psk, load a");
	t.no_conns = true;
	ask(false);
	comes("Ab", NULL);
	partly_in_force("mend a, load b",
			"not loaded: b: the test does not want it (/etc/ipsec.conf:2)");
	refused_are("refused b");
	ask(false);
	comes("AB", NULL);
	asked_for_all();
	t.no_conns = false;
	comes("ab", "x");
	in_force("mend a, load b");
	refused_are("");
	ask(false);
	comes("AB", NULL);
	in_force("mend a, mend b");
}

static void a_secret_that_is_not_in_is_read_again(void **state)
{
	(void)state;
	t.no_secrets = true;
	ask(true);
	comes("a", "x");
	partly_in_force("secret psk, load a", "secret not loaded: the test does not want it");
	t.no_secrets = false;
	ask(true);
	comes("a", "x");
	in_force("secret psk, mend a");
	ask(false);
	comes("A", NULL);
	in_force("mend a");
}

static void in_doubt_all_is_read(void **state)
{
	(void)state;
	begin_with("a", "secret psk, load a");
	reload_doubt(t.reload);
	ask(true);
	comes("a", "x");
	in_force("mend a");
	ask(false);
	reload_doubt(t.reload); /* while they are read */
	comes("A", NULL);
	asked_for_all();
	comes("a", "x");
	in_force("mend a");
	ask(false);
}

/* Loading one shows that another one is lost. */
static void in_doubt_amid_of_it(void **state)
{
	(void)state;
	begin_with("a", "secret psk, load a");
	t.doubt = true;
	ask(false);
	comes("A", "y");
	in_force("secret psk, mend a");
	ask(true);
}

/* Who read it may have it for what is in force. */
static void behind_one_that_could_not_be_read(void **state)
{
	(void)state;
	begin_with("a", "secret psk, load a");
	ask(false);
	reload_unread(t.reload, "the test does not want it");
	assert_string_equal(t.why, "the test does not want it; nothing was changed");
	assert_int_equal(t.done, 1);
	assert_int_equal(t.end, RELOAD_FAILED);
	ask(true);
}

/* Files with errors change nothing, also of what the next one may leave out. */
static void behind_errors(void **state)
{
	const struct config_pos at = {"ipsec.conf", 3, 2};
	struct config_errors errors = {0};
	struct config c = {0};

	(void)state;
	begin_with("a", "secret psk, load a");
	ask(false);
	config_warning(&errors, &at, "odd");
	config_error(&errors, &at, "unknown keyword");
	reload_read(t.reload, false, &c, &errors);
	assert_string_equal(t.why, "errors in the configuration files, see the log; nothing was "
				   "changed; ipsec.conf:3:2: unknown keyword");
	assert_int_equal(t.done, 1);
	assert_int_equal(t.end, RELOAD_FAILED);
	t.done = 0;
	ask(false);
	comes("A", NULL);
	in_force("mend a");
}

/* What is asked for while they are read is read behind it. */
static void asked_meanwhile(void **state)
{
	(void)state;
	ask(true);
	reload_run(t.reload, 2);
	reload_run(t.reload, 3);
	assert_int_equal(t.reads, 1);
	comes("a", "x");
	assert_int_equal(t.done, 1);
	assert_int_equal(t.reads, 2);
	assert_false(t.whole);
	comes("A", NULL);
	assert_int_equal(t.done, 3);
	assert_int_equal(t.reads, 2);
}

/* A helper that dies again and again has them read each 10 s, and the last time is not forgotten.
 */
static void what_is_lost_is_read_again(void **state)
{
	(void)state;
	begin_with("a", "secret psk, load a");
	reload_again(t.reload, LOG_LEVEL_INFO, "lost", 100 * MONO_S);
	assert_int_equal(t.reads, 2);
	assert_true(t.whole);
	comes("a", "x");
	reload_tick(t.reload, 101 * MONO_S);
	reload_again(t.reload, LOG_LEVEL_INFO, "lost", 105 * MONO_S);
	reload_again(t.reload, LOG_LEVEL_INFO, "lost", 106 * MONO_S);
	reload_tick(t.reload, 109 * MONO_S);
	assert_int_equal(t.reads, 2);
	reload_tick(t.reload, 110 * MONO_S);
	assert_int_equal(t.reads, 3);
	assert_true(t.whole);
	comes("a", "x");
	reload_tick(t.reload, 130 * MONO_S);
	assert_int_equal(t.reads, 3);
}

/* ---- the default files ---- */

static void secrets_are_said_to_be_missing(bool conf_there, bool secrets_given, const char *said)
{
	char dir[] = "/tmp/test_reload.XXXXXX", conf[64], secrets[64];
	struct options o = {.config = conf, .secrets = secrets, .secrets_given = secrets_given};
	struct config_errors errors = {0};
	struct config config = {0};
	char all[1024] = "";
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(conf, sizeof(conf), "%s/ipsec.conf", dir);
	snprintf(secrets, sizeof(secrets), "%s/ipsec.secrets", dir);
	if (conf_there) {
		f = fopen(conf, "w");
		fputs("conn a\n auto=add\n left=192.0.2.1\n right=192.0.2.2\n", f);
		fclose(f);
	}
	assert_true(reload_files(&o, &config, &errors));
	for (unsigned i = 0; i < errors.n; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s; ", errors.list[i].text);
	assert_string_equal(all, said);
	config_errors_free(&errors);
	config_free(&config);
	remove(conf);
	remove(dir);
}

/* A daemon that vici clients alone configure needs none; whoever names a file wants it. */
static void default_files(void **state)
{
	static const char no_conf[] =
		"there is no such file: only vici clients bring connections; ";
	static const char no_secrets[] = "No such file or directory: there are no secrets; ";
	char both[256];

	(void)state;
	snprintf(both, sizeof(both), "%s%s", no_conf, no_secrets);
	secrets_are_said_to_be_missing(false, false, no_conf);
	secrets_are_said_to_be_missing(true, false, no_secrets);
	secrets_are_said_to_be_missing(false, true, both);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_left_out_stays),
		CASE(one_that_is_vicis),
		CASE(what_does_not_add_up),
		CASE(devices_that_are_known_to_be_as_made),
		CASE(what_is_not_known_is_not_left_out),
		CASE(a_refused_one_is_not_left_out),
		CASE(many_are_refused),
		CASE(refused_by_a_process_before),
		CASE(a_secret_that_is_not_in_is_read_again),
		CASE(in_doubt_all_is_read),
		CASE(in_doubt_amid_of_it),
		CASE(behind_one_that_could_not_be_read),
		CASE(behind_errors),
		CASE(asked_meanwhile),
		CASE(what_is_lost_is_read_again),
		cmocka_unit_test(default_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
