/* ipsec.conf and ipsec.secrets against golden files: NAME.in must give NAME.ok, the
 * conns and secrets with all their fields, or the messages. GOLDEN_UPDATE=1 writes
 * the .ok files anew. Includes, limits and orientation are tested beside them. */
#include "ipsecd/config/config.h"
#include "ipsecd/config/keywords.h"
#include "tests/support/conn_dump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <glob.h>
#include <sys/stat.h>
#include <cmocka.h>

#define GOLDEN "tests/golden/"

static char *read_text(const char *path)
{
	char *text = calloc(1, 1 << 16);
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, (1 << 16) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

static void dump(const struct config *c, bool ok, const struct config_errors *e, FILE *out)
{
	config_errors_print(e, out);
	for (unsigned i = 0; ok && i < c->n_conns; i++)
		conn_dump(c->conns[i].conn, out);
	if (ok && c->n_conns)
		settings_dump(&c->settings, out);
	for (unsigned i = 0; ok && i < c->n_secrets; i++)
		secret_dump(c->secrets[i], out);
}

static bool compare(const char *in, const char *got)
{
	char ok[256], *want;
	bool same;
	FILE *f;

	snprintf(ok, sizeof(ok), "%.*s.ok", (int)strlen(in) - 3, in);
	if (getenv("GOLDEN_UPDATE") && (f = fopen(ok, "w"))) {
		fputs(got, f);
		fclose(f);
	}
	want = read_text(ok);
	same = strcmp(want, got) == 0;
	if (!same)
		print_error("%s: expected\n%s\ngot\n%s\n", in, want, got);
	free(want);
	return same;
}

static void check_golden(const char *pattern, bool secrets)
{
	unsigned differ = 0;
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *in = found.gl_pathv[i];
		struct config_errors errors = {0};
		struct config config = {0};
		char *text;
		size_t len;
		FILE *out = open_memstream(&text, &len);
		char *source = read_text(in);
		bool ok =
			secrets ? ipsec_secrets_parse(in, span_str(source), NULL, &config, &errors)
				: config_load(in, NULL, &config, &errors);

		free(source);
		assert_int_equal(ok, errors.n_errors == 0);
		dump(&config, ok, &errors, out);
		fclose(out);
		differ += !compare(in, text);
		free(text);
		config_errors_free(&errors);
		config_free(&config);
	}
	globfree(&found);
	assert_int_equal(differ, 0);
}

static void test_golden_conf(void **state)
{
	(void)state;
	check_golden(GOLDEN "ipsec.conf/*.in", false);
}

static void test_golden_secrets(void **state)
{
	(void)state;
	check_golden(GOLDEN "ipsec.secrets/*.in", true);
}

/* ---- text from memory ---- */

static const char *include_self(void *ctx, const char *pattern, const char *from,
				void (*give)(void *give_ctx, const char *path, struct span text),
				void *give_ctx)
{
	unsigned *n = ctx;
	char path[64];

	(void)from;
	if (strcmp(pattern, "missing") == 0)
		return "no such file";
	if (strcmp(pattern, "same") == 0) {
		give(give_ctx, "same", span_str("include same\n"));
	} else {
		snprintf(path, sizeof(path), "deep%u", ++*n);
		give(give_ctx, path, span_str("include deep\n"));
	}
	return NULL;
}

static void parse(const char *text, bool secrets, struct config *config,
		  struct config_errors *errors)
{
	unsigned n = 0;
	struct config_reader reader = {.ctx = &n, .include = include_self};

	if (secrets)
		ipsec_secrets_parse("file", span_str(text), &reader, config, errors);
	else
		ipsec_conf_parse("file", span_str(text), &reader, config, errors);
}

static void test_include_limits(void **state)
{
	static const char *const texts[] = {"include same\n", "include deep\n",
					    "include missing\n"};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct config_errors errors = {0};
		struct config config = {0};

		parse(texts[i / 2], i % 2, &config, &errors);
		assert_int_equal(errors.n_errors, 1);
		config_errors_free(&errors);
		config_free(&config);
	}
}

static void test_all_or_nothing(void **state)
{
	struct config_errors errors = {0};
	struct config config = {0};

	(void)state;
	parse("conn a\n auto=add\n", false, &config, &errors);
	parse(": PSK \"x\"\n", true, &config, &errors);
	assert_int_equal(config.n_conns, 1);
	assert_int_equal(config.n_secrets, 1);
	parse("conn b\n auto=add\nconn c\n auto=ad\n", false, &config, &errors);
	parse(": PSK \"y\"\n: PKS \"z\"\n", true, &config, &errors);
	parse("conn a\n auto=add\n", false, &config, &errors);
	assert_int_equal(config.n_conns, 1);
	assert_int_equal(config.n_secrets, 1);
	assert_int_equal(errors.n_errors, 3);
	config_errors_free(&errors);
	config_free(&config);
}

static void test_many_errors(void **state)
{
	struct config_errors errors = {0};
	struct config config = {0};
	char text[4096] = "conn a\n";

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		snprintf(text + strlen(text), 32, " nonsense%u=1\n", i);
	parse(text, false, &config, &errors);
	assert_int_equal(errors.n, CONFIG_ERRORS_MAX);
	assert_int_equal(errors.n_errors, 100);
	config_errors_free(&errors);
	config_free(&config);
}

/* Every byte of a file may be its last one. */
static void test_truncation(void **state)
{
	char *text = read_text(GOLDEN "ipsec.conf/three-site-a.in");
	size_t len = strlen(text);

	(void)state;
	assert_true(len > 100);
	for (size_t i = 0; i <= len; i++) {
		char *copy = malloc(i + 1); /* exact, so that the sanitizer sees every read */
		struct config_errors errors = {0};
		struct config config = {0};

		memcpy(copy, text, i);
		ipsec_conf_parse("file", span_of(copy, i), NULL, &config, &errors);
		ipsec_secrets_parse("file", span_of(copy, i), NULL, &config, &errors);
		free(copy);
		config_errors_free(&errors);
		config_free(&config);
	}
	free(text);
}

/* ---- files ---- */

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void check_load(const char *conf, const char *secrets, bool ok, const char *message)
{
	struct config_errors errors = {0};
	struct config config = {0};

	assert_int_equal(config_load(conf, secrets, &config, &errors), ok);
	assert_int_equal(errors.n, message ? 1 : 0);
	if (message && !strstr(errors.list[0].text, message))
		fail_msg("expected '%s', got '%s'", message, errors.list[0].text);
	config_errors_free(&errors);
	config_free(&config);
}

static void test_load(void **state)
{
	char dir[] = "/tmp/test_config.XXXXXX", conf[64], secrets[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(conf, sizeof(conf), "%s/ipsec.conf", dir);
	snprintf(secrets, sizeof(secrets), "%s/ipsec.secrets", dir);
	check_load(conf, NULL, false, "No such file");
	check_load(NULL, secrets, true, "there are no secrets");
	check_load(dir, NULL, false, "not a regular file");
	write_file(conf, "conn a\n auto=add\n left=192.0.2.1\n right=192.0.2.2\n", 0644);
	write_file(secrets, "192.0.2.1 192.0.2.2 : PSK \"x\"\n", 0600);
	check_load(conf, secrets, true, NULL);
	write_file(secrets, "192.0.2.1 192.0.2.2 : PSK \"x\"\n", 0640);
	check_load(conf, secrets, true, "use 600");
	write_file(secrets, "192.0.2.1 192.0.2.3 : PSK \"x\"\n", 0600);
	check_load(conf, secrets, true, "no secret fits its two ends, 192.0.2.1 and 192.0.2.2");
	write_file(conf, "conn a\n auto=add\n left=192.0.2.1\n leftid=@a\n right=b.example\n",
		   0644);
	check_load(conf, secrets, true, "no secret fits its two ends, a and b.example");
	write_file(secrets, "# those of vici clients\n", 0600);
	check_load(conf, secrets, true, "there are no secrets in it");
	remove(secrets);
	check_load(conf, secrets, true,
		   "there are no secrets"); /* once, not for each conn as well */
	remove(conf);
	remove(dir);
}

/* ---- which end is ours ---- */

static bool is_local(void *ctx, const struct addr *a)
{
	char text[ADDR_TEXT];

	return strcmp(addr_format(a, text), ctx) == 0;
}

static void test_orient(void **state)
{
	static char here[] = "192.0.2.2", there[] = "192.0.2.1", nowhere[] = "192.0.2.9";
	struct config_errors errors = {0};
	struct config config = {0};
	struct config_conn *cc;
	struct conn *c;
	char text[TS_TEXT];

	(void)state;
	parse("conn a\n auto=add\n left=192.0.2.1\n leftid=@a\n right=192.0.2.2\n"
	      " leftsubnet=10.1.0.0/16\n rightsubnet=10.2.0.0/16\n"
	      " leftinterface-ip=10.255.0.1/30\n rightinterface-ip=10.255.0.2/30\n",
	      false, &config, &errors);
	assert_int_equal(errors.n, 0);
	cc = &config.conns[0];
	c = cc->conn;
	config_orient(cc, is_local, there);
	assert_string_equal(addr_format(&c->local[0].addr, text), "192.0.2.1");
	assert_string_equal(id_format(&c->remote_id, text), "192.0.2.2");
	config_orient(cc, is_local, here);
	config_orient(cc, is_local, here);
	assert_string_equal(addr_format(&c->local[0].addr, text), "192.0.2.2");
	assert_int_equal(c->local_id.type, ID_ANY);
	assert_string_equal(id_format(&c->remote_id, text), "a");
	assert_string_equal(ts_format(&c->children[0].local_ts.ts[0], text), "10.2.0.0/16");
	assert_string_equal(prefix_format(&c->tunnel.addrs[0], text), "10.255.0.2/30");
	config_orient(cc, is_local, nowhere);
	assert_string_equal(addr_format(&c->local[0].addr, text), "192.0.2.1");
	assert_int_equal(c->local_id.type, ID_FQDN);
	assert_string_equal(id_format(&c->remote_id, text), "192.0.2.2");
	assert_string_equal(prefix_format(&c->tunnel.addrs[0], text), "10.255.0.1/30");
	config_free(&config);
}

/* A device's addresses of each end move with it, and nothing else that is there of the other end.
 */
static void test_orient_all_of_an_end(void **state)
{
	static char here[] = "192.0.2.2";
	struct config_errors errors = {0};
	struct config config = {0};
	struct config_conn *cc;
	char text[ADDR_TEXT];

	(void)state;
	parse("conn a\n auto=add\n left=192.0.2.1\n right=192.0.2.2\n"
	      " leftsourceip=10.3.0.0/24\n rightsourceip=10.3.0.9\n rightupdown=/bin/false\n"
	      " leftinterface-ip=10.255.0.1/30\n rightinterface-ip=10.255.0.2/30\n",
	      false, &config, &errors);
	assert_int_equal(errors.n, 0);
	cc = &config.conns[0];
	config_orient(cc, is_local, here);
	assert_int_equal(cc->conn->n_vips, 1);
	assert_string_equal(addr_format(&cc->conn->vips[0], text), "10.3.0.9");
	assert_int_equal(cc->conn->n_pools, 1);
	assert_non_null(cc->conn->children[0].updown);
	assert_string_equal(cc->conn->children[0].updown, "/bin/false");
	config_free(&config);
}

/* The script of the end that is ours, and what follows from it. */
static void test_orient_updown(void **state)
{
	static char here[] = "192.0.2.2", there[] = "192.0.2.1";
	struct config_errors errors = {0};
	struct config config = {0};
	struct config_conn *cc;
	struct conn *c;
	char text[ADDR_TEXT];

	(void)state;
	parse("conn a\n auto=add\n left=192.0.2.1\n right=192.0.2.2\n mark=7\n"
	      " rightupdown=/bin/false\n leftsubnet=0.0.0.0/0\n",
	      false, &config, &errors);
	assert_int_equal(errors.n, 0);
	cc = &config.conns[0];
	c = cc->conn;
	config_orient(cc, is_local, there);
	assert_null(c->children[0].updown);
	assert_false(c->tunnel.external);
	assert_string_equal(addr_format(&c->tunnel.local, text), "192.0.2.1");
	config_check_scripts(&config, &errors);
	assert_int_equal(errors.n, 0);
	config_orient(cc, is_local, here);
	assert_string_equal(c->children[0].updown, "/bin/false");
	assert_true(c->tunnel.external);
	assert_string_equal(addr_format(&c->tunnel.local, text), "192.0.2.2");
	assert_string_equal(addr_format(&c->tunnel.remote, text), "192.0.2.1");
	config_check_scripts(&config, &errors);
	assert_int_equal(errors.n_notes, 1);
	free(c->children[0].updown);
	c->children[0].updown = strdup("/nonexistent/script with arguments");
	config_check_scripts(&config, &errors);
	assert_int_equal(errors.n_warnings, 1);
	assert_string_equal(errors.list[1].text,
			    "conn a: /nonexistent/script can't be run: No such file or directory");
	config_errors_free(&errors);
	config_free(&config);
}

static void test_orient_default_route(void **state)
{
	static char here[] = "192.0.2.1";
	struct config_errors errors = {0};
	struct config config = {0};

	(void)state;
	parse("conn a\n auto=start\n left=192.0.2.1\n right=%defaultroute\n", false, &config,
	      &errors);
	assert_int_equal(errors.n, 0);
	assert_int_equal(config.conns[0].conn->local[0].kind, HOST_DEFAULT_ROUTE);
	config_orient(&config.conns[0], is_local, here);
	assert_int_equal(config.conns[0].conn->local[0].kind, HOST_DEFAULT_ROUTE);
	config_free(&config);
}

/* Every keyword has a line in the manual. */
static void test_keywords_documented(void **state)
{
	char *text = read_text("docs/config.md"), word[64];
	const struct keyword *k;
	bool right;

	(void)state;
	for (size_t i = 0; (k = keyword_at(i)); i++) {
		const char *name = k->right && *k->name ? k->name + strlen("left") : k->name;

		if (k->right)
			snprintf(word, sizeof(word), "`left%s`", name);
		else
			snprintf(word, sizeof(word), "`%s`", name);
		if (!strstr(text, word))
			fail_msg("docs/config.md lacks %s", word);
		assert_non_null(keyword_find(k->name, k->scopes, &right));
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_conf),
		cmocka_unit_test(test_golden_secrets),
		cmocka_unit_test(test_include_limits),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_orient),
		cmocka_unit_test(test_orient_all_of_an_end),
		cmocka_unit_test(test_orient_updown),
		cmocka_unit_test(test_orient_default_route),
		cmocka_unit_test(test_keywords_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
