/* Bodies between ike, helper and supervisor; which scripts are approved; the vault; and a
 * configuration on its way from helper to ike. Everything also from an enemy's hand. */
#include "ipsecd/approve.h"
#include "ipsecd/config/errors.h"
#include "ipsecd/loaded.h"
#include "ipsecd/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t memory[65536];

/* For a fuzzer's corpus: FUZZ_CORPUS=folder. */
static void keep_sample(const char *name, uint8_t kind, struct span body)
{
	const char *folder = getenv("FUZZ_CORPUS");
	char path[256];
	FILE *f;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputc(kind, f);
	fwrite(body.ptr, 1, body.len, f);
	fclose(f);
}

/* Every shorter and longer body is refused, wherever it is cut. */
static void assert_whole(struct span body, const char *(*check)(struct span body))
{
	assert_null(check(body));
	for (size_t n = 0; n < body.len; n++)
		assert_non_null(check(span_of(body.ptr, n)));
	memory[body.len] = 0;
	assert_non_null(check(span_of(body.ptr, body.len + 1)));
}

/* ---- AUTH ---- */

static const char *check_mac(struct span body)
{
	struct mac_view v;

	return ipc_mac_check(body, &v);
}

static struct span mac_body(uint8_t exchange, uint16_t nonce_len)
{
	struct ipc_mac m = {.held = 9, .prf = 5, .nonce_len = nonce_len, .message_len = 40};
	struct buf b = buf_over(memory, sizeof(memory));
	size_t at;

	buf_put(&b, &m, sizeof(m));
	at = b.len;
	buf_put_zero(&b, 40u + nonce_len + 32u);
	memory[at + 17] = 0x20;
	memory[at + 18] = exchange;
	be32_set(memory + at + 24, 40);
	return buf_span(&b);
}

static void mac_bodies(void **state)
{
	struct span body = mac_body(34, 32);
	struct mac_view v;

	(void)state;
	keep_sample("mac", 0, body);
	assert_null(ipc_mac_check(body, &v));
	assert_int_equal(v.held, 9);
	assert_int_equal(v.prf->out_len, 32);
	assert_int_equal(v.octets.len, 40 + 32 + 32);
	assert_whole(body, check_mac);
	assert_non_null(check_mac(mac_body(35, 32))); /* IKE_AUTH */
	assert_non_null(check_mac(mac_body(34, 15))); /* RFC 7296 3.9 */
	assert_non_null(check_mac(mac_body(34, 257)));
	body = mac_body(34, 32);
	((struct ipc_mac *)(void *)memory)->prf = 99;
	assert_string_equal(check_mac(body), "no such PRF");
}

static void mac_answers(void **state)
{
	struct ipc_mac_answer a = {.result = IPC_MAC_OK, .len = 32, .mac = {1, 2, 3}};
	uint8_t out[64] = {0};

	(void)state;
	assert_true(ipc_mac_take(span_of(&a, sizeof(a)), 32, out));
	assert_int_equal(out[2], 3);
	assert_false(ipc_mac_take(span_of(&a, sizeof(a)), 48, out));
	assert_false(ipc_mac_take(span_of(&a, sizeof(a) - 1), 32, out));
	a.result = IPC_MAC_UNKNOWN;
	assert_false(ipc_mac_take(span_of(&a, sizeof(a)), 32, out));
}

/* ---- secrets, scripts, names ---- */

static const char *check_secret(struct span body)
{
	struct secret_view v;

	return ipc_secret_check(body, &v);
}

static void secret_bodies(void **state)
{
	struct buf b = buf_over(memory, sizeof(memory));
	struct secret_view v;

	(void)state;
	ipc_secret_put(&b, "vici:a", span_str("secret"));
	keep_sample("secret", 1, buf_span(&b));
	assert_null(ipc_secret_check(buf_span(&b), &v));
	assert_string_equal(v.unique, "vici:a");
	assert_true(span_equal(v.data, span_str("secret")));
	assert_whole(buf_span(&b), check_secret);
}

static struct script_view a_script(void)
{
	static char verb[] = "PLUTO_VERB=up-client", path[] = "PATH=/evil";

	return (struct script_view){.job = 7,
				    .line = 1,
				    .timeout_ms = 1000,
				    .name = "gw",
				    .what = "up-client",
				    .command = "/etc/ipsec.d/up x",
				    .n_env = 2,
				    .env = {verb, path}};
}

static const char *check_script(struct span body)
{
	struct script_view v;

	return ipc_script_check(body, &v);
}

static void script_bodies(void **state)
{
	struct buf b = buf_over(memory, sizeof(memory));
	struct script_view s = a_script(), v;

	(void)state;
	assert_true(ipc_script_put(&b, &s));
	keep_sample("script", 1, buf_span(&b));
	assert_null(ipc_script_check(buf_span(&b), &v));
	assert_string_equal(v.command, "/etc/ipsec.d/up x");
	assert_int_equal(v.n_env, 2);
	assert_null(v.env[2]);
	assert_whole(buf_span(&b), check_script);
	memory[sizeof(struct ipc_script)] = '\n'; /* no line of its own in a log or a variable */
	assert_non_null(check_script(buf_span(&b)));
	s.job = 0;
	b = buf_over(memory, sizeof(memory));
	assert_true(ipc_script_put(&b, &s));
	assert_non_null(check_script(buf_span(&b)));
}

static void name_bodies(void **state)
{
	struct ipc_resolve r = {.query = 1, .family = AF_INET, .name = "gw.example.org"}, out;
	struct ipc_resolved a = {.query = 1, .n = 1, .addrs = {{.family = AF_INET}}, .why = "a\nb"};
	struct ipc_resolved got;

	(void)state;
	keep_sample("resolve", 0, span_of(&r, sizeof(r)));
	keep_sample("resolved", 0, span_of(&a, sizeof(a)));
	assert_null(ipc_resolve_check(span_of(&r, sizeof(r)), &out));
	memcpy(r.name, "a b", 4);
	assert_non_null(ipc_resolve_check(span_of(&r, sizeof(r)), &out));
	memset(r.name, 'a', sizeof(r.name));
	assert_non_null(ipc_resolve_check(span_of(&r, sizeof(r)), &out));
	assert_null(ipc_resolved_check(span_of(&a, sizeof(a)), &got));
	assert_string_equal(got.why, "a?b");
	a.n = IPC_ADDRS_MAX + 1;
	assert_non_null(ipc_resolved_check(span_of(&a, sizeof(a)), &got));
	a.n = 2;
	assert_non_null(ipc_resolved_check(span_of(&a, sizeof(a)), &got));
}

/* ---- approval ---- */

static struct stat folder_stat, file_stat;
static const char *known_command;
static bool known_current;

static bool known(void *ctx, const char *command, bool *current)
{
	(void)ctx;
	*current = known_current;
	return known_command && strcmp(known_command, command) == 0;
}

static int look(const char *path, struct stat *out)
{
	const char *last = strrchr(path, '/');

	if (strstr(path, "missing")) {
		errno = ENOENT;
		return -1;
	}
	*out = strcmp(last, "/up") == 0 ? file_stat : folder_stat;
	return 0;
}

static bool approve(const char *command, const char *what, char *why)
{
	const struct approve_host host = {.known = known, .lstat = look, .path = "/bin"};
	struct script_view s = a_script();
	char path[64], verb[64];
	bool ok;

	snprintf(verb, sizeof(verb), "PLUTO_VERB=%s", what);
	s.command = command;
	s.what = what;
	s.env[0] = verb;
	ok = approve_script(&host, &s, path, sizeof(path), why, 512);
	if (ok)
		assert_string_equal(s.env[1], "PATH=/bin");
	return ok;
}

static void refused(const char *command, const char *reason)
{
	char why[512] = "";

	assert_false(approve(command, "up-client", why));
	if (!strstr(why, reason))
		fail_msg("%s: '%s', wanted '%s'", command, why, reason);
}

static void scripts_of_files(void **state)
{
	char why[512];

	(void)state;
	known_command = "/any/thing; with 'a shell'";
	known_current = true;
	assert_true(approve(known_command, "up-client", why));
	known_current = false; /* it stood there before */
	assert_false(approve(known_command, "up-client", why));
	assert_true(approve(known_command, "down-client-v6", why));
	known_command = NULL;
}

static void scripts_of_clients(void **state)
{
	char why[512];

	(void)state;
	folder_stat = (struct stat){.st_mode = S_IFDIR | 0755};
	file_stat = (struct stat){.st_mode = S_IFREG | 0755};
	assert_true(approve("/etc/ipsec.d/up", "up-client", why));
	assert_true(approve("/usr/lib/ipsec/sub/up iptables x=1", "up-client", why));
	refused("/etc/ipsec.d/missing/up", "No such file");
	refused("/tmp/up", "not in the configuration files; a vici client's is");
	refused("up", "not in the configuration files");
	refused("/etc/ipsec.d/up; reboot", "plain words");
	refused("/etc/ipsec.d/up $(reboot)", "plain words");
	refused("/etc/ipsec.d/up\nreboot", "plain words");
	refused("/etc/ipsec.d/../../tmp/up", "no '..'");
	file_stat.st_mode = S_IFREG | 0775;
	refused("/etc/ipsec.d/up", "written by others than root (mode 775)");
	file_stat.st_mode = S_IFREG | 0644;
	refused("/etc/ipsec.d/up", "not executable");
	file_stat.st_mode = S_IFLNK | 0777;
	refused("/etc/ipsec.d/up", "no regular file");
	file_stat = (struct stat){.st_mode = S_IFREG | 0755, .st_uid = 1000};
	refused("/etc/ipsec.d/up", "belongs to user 1000");
	file_stat.st_uid = 0;
	folder_stat.st_mode = S_IFDIR | 0777;
	refused("/etc/ipsec.d/up", "written by others than root");
}

static void environment(void **state)
{
	const struct approve_host host = {.known = known, .lstat = look, .path = "/bin"};
	char path[64], why[512], preload[] = "LD_PRELOAD=/tmp/evil.so";
	struct script_view s = a_script();

	(void)state;
	known_command = s.command;
	known_current = true;
	s.env[1] = preload;
	assert_false(approve_script(&host, &s, path, sizeof(path), why, sizeof(why)));
	assert_non_null(strstr(why, "LD_PRELOAD"));
	s = a_script();
	s.what = "down-client"; /* not what the script would see */
	assert_false(approve_script(&host, &s, path, sizeof(path), why, sizeof(why)));
	known_command = NULL;
}

/* ---- the vault ---- */

static void count_up(void *ctx, void *dst, size_t n)
{
	static uint8_t next;

	(void)ctx;
	memset(dst, ++next, n);
}

static bool is_two(void *ctx, uint64_t held)
{
	return held == *(uint64_t *)ctx;
}

static void vaults(void **state)
{
	static const char *const commands[] = {"/a", "/b"}, *const later[] = {"/b", "/c"};
	uint64_t one, two = 1234567;
	struct span data;
	bool current;
	struct vault *v;
	char why[128];
	int fd;

	(void)state;
	v = vault_open(-1, count_up, why, sizeof(why));
	assert_non_null(v);
	assert_true(vault_is_new(v));
	one = vault_new_number(v);
	vault_begin(v);
	assert_true(vault_put(v, one, "file:1", span_str("first"), true));
	assert_true(vault_put(v, two, "file:2", span_str("second"), true));
	assert_true(vault_put(v, 3, "vici:a", span_str("third"), false));
	assert_true(vault_set_commands(v, commands, 2));
	assert_true(vault_end(v));
	fd = dup(vault_fd(v));
	vault_close(v);
	v = vault_open(fd, count_up, why, sizeof(why));
	assert_non_null(v);
	assert_string_equal(why, "");
	assert_false(vault_is_new(v));
	assert_int_equal(vault_find(v, "file:1", span_str("first")), one);
	assert_int_equal(vault_find(v, "file:1", span_str("other")), 0);
	assert_int_equal(vault_find(v, "file:2", span_str("first")), 0);
	assert_true(vault_secret(v, 3, &data));
	assert_true(span_equal(data, span_str("third")));
	vault_begin(v);
	assert_int_equal(vault_sweep(v, is_two, &two), 1); /* not the client's */
	assert_true(vault_set_commands(v, later, 2));
	assert_true(vault_end(v));
	assert_false(vault_secret(v, one, &data));
	assert_true(vault_secret(v, two, &data));
	assert_true(vault_secret(v, 3, &data));
	assert_true(vault_command(v, "/a", &current) && !current);
	assert_true(vault_command(v, "/b", &current) && current);
	assert_false(vault_command(v, "/d", &current));
	vault_close(v);
}

static void strange_vaults(void **state)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	struct vault *v;
	char why[128];

	(void)state;
	v = vault_open(dup(fd), count_up, why, sizeof(why)); /* empty: nothing to complain about */
	assert_true(v && vault_is_new(v));
	assert_string_equal(why, "");
	vault_close(v);
	assert_int_equal(ftruncate(fd, 8192), 0);
	v = vault_open(fd, count_up, why, sizeof(why));
	assert_true(v && vault_is_new(v));
	assert_string_not_equal(why, "");
	vault_close(v);
}

/* ---- a configuration ---- */

static void configurations(void **state)
{
	const struct config_pos at = {.file = "ipsec.conf", .line = 3, .column = 5};
	struct config_errors errors = {0}, got_errors;
	struct config config = {0}, got;
	char why[128];
	struct buf b;
	bool ok;

	(void)state;
	config.settings = SETTINGS_DEFAULT;
	config_warning(&errors, &at, "a warning");
	config.conns = calloc(1, sizeof(*config.conns));
	config.secrets = calloc(1, sizeof(struct secret *));
	assert_true(config.conns && config.secrets);
	config.n_conns = config.n_secrets = 1;
	config.conns[0].conn = conn_new("gw");
	conn_complete(config.conns[0].conn);
	config.secrets[0] = secret_new("ipsec.secrets:1", SECRET_IKE, span_of(NULL, 0));
	config.secrets[0]->held = 77;
	config.n_unchanged = 2;
	config.unchanged_sum = 78;
	config.gone = calloc(1, sizeof(*config.gone));
	config.gone[config.n_gone++] = strdup("old");
	b = buf_over(memory, sizeof(memory));
	assert_true(loaded_encode(true, &config, &errors, &b));
	keep_sample("loaded", 2, buf_span(&b));
	assert_true(loaded_decode(buf_span(&b), &ok, &got, &got_errors, why, sizeof(why)));
	assert_true(ok);
	assert_int_equal(got.n_conns, 1);
	assert_int_equal(conn_compare(got.conns[0].conn, config.conns[0].conn), CONN_SAME);
	assert_true(secret_equal(got.secrets[0], config.secrets[0]));
	assert_int_equal(got.n_unchanged, 2);
	assert_int_equal(got.unchanged_sum, 78);
	assert_int_equal(got.n_gone, 1);
	assert_string_equal(got.gone[0], "old");
	assert_int_equal(got_errors.n_warnings, 1);
	assert_string_equal(got_errors.list[0].text, "a warning");
	assert_int_equal(got_errors.list[0].line, 3);
	config_free(&got);
	config_errors_free(&got_errors);
	for (size_t n = 0; n < b.len; n++)
		assert_false(loaded_decode(span_of(memory, n), &ok, &got, &got_errors, why,
					   sizeof(why)));
	config.secrets[0]->held = 0; /* one with bytes, or of nobody's: not from a helper */
	b = buf_over(memory, sizeof(memory));
	assert_true(loaded_encode(true, &config, &errors, &b));
	assert_false(loaded_decode(buf_span(&b), &ok, &got, &got_errors, why, sizeof(why)));
	config_free(&config);
	config_errors_free(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mac_bodies),
		cmocka_unit_test(mac_answers),
		cmocka_unit_test(secret_bodies),
		cmocka_unit_test(script_bodies),
		cmocka_unit_test(name_bodies),
		cmocka_unit_test(scripts_of_files),
		cmocka_unit_test(scripts_of_clients),
		cmocka_unit_test(environment),
		cmocka_unit_test(vaults),
		cmocka_unit_test(strange_vaults),
		cmocka_unit_test(configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
