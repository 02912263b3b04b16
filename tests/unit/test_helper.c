/* The real helper in a process of its own (this program again), the real client that ike has, and
 * the supervisor's script desk; the rest of supervisor and ike is here. The helper is killed on
 * every occasion: nobody may lose anything by it. */
#include "ipsecd/config/recall.h"
#include "ipsecd/crypto/crypto.h"
#include "ipsecd/helper_client.h"
#include "ipsecd/ike/keymat.h"
#include "ipsecd/ipc/helper_body.h"
#include "ipsecd/ipc/name.h"
#include "ipsecd/role.h"
#include "ipsecd/script_desk.h"
#include "lib/mono.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT (20 * MONO_S) /* for what comes in milliseconds on an idle machine */

static struct {
	char folder[64];
	struct ev_loop *loop;
	pid_t pid;
	struct ipc_link *link; /* the supervisor's, to the helper */
	struct script_desk *desk;
	struct helper_client *client;
	int vault;
	bool ready;
	char log[16384];
	/* what the client said */
	unsigned loads, unread, forgotten, untaken, idle;
	bool ok;
	bool stop_it;	 /* before it is told that the next reading is in force */
	bool not_enough; /* the next reading is not put in force; another one is asked for */
	struct config config;
	struct config_errors errors;
	char why[200];
	unsigned resolved, n_addrs;
	uint64_t query;
	struct addr first;
} t;

/* ---- the supervisor ---- */

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	const struct ipc_name *name;

	(void)ctx;
	(void)link;
	if (m->verb == IPC_READY)
		t.ready = true;
	if (m->verb == IPC_KEEP) {
		name = ipc_name(m);
		assert_non_null(name);
		assert_string_equal(name->name, "vault");
		if (t.vault >= 0)
			close(t.vault);
		t.vault = m->fds[0];
		m->fds[0] = -1;
	}
	if (m->verb == IPC_LOG) {
		size_t at = strlen(t.log), n = m->body.len - sizeof(struct ipc_log);

		if (at + n + 2 < sizeof(t.log)) {
			memcpy(t.log + at, m->body.ptr + sizeof(struct ipc_log), n);
			memcpy(t.log + at + n, "\n", 2);
		}
	}
	script_desk_message(t.desk, m);
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	(void)ctx;
	(void)why;
	ipc_link_free(link);
	if (t.link == link)
		t.link = NULL;
}

static bool to_helper(void *ctx, uint32_t verb, struct span body)
{
	(void)ctx;
	return t.link && ipc_send(t.link, verb, 0, &body, 1, NULL, 0);
}

static void turn_until(bool (*done)(void))
{
	mono_time end = mono_now() + WAIT;

	while (!done() && mono_now() < end)
		ev_run(t.loop, EVRUN_ONCE);
	if (!done())
		fail_msg("nothing came; the log: %s", t.log);
}

/* The loop wakes up now and then, so that turn_until looks at the clock. */
static void on_wake(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

static bool is_ready(void)
{
	return t.ready;
}

static void helper_start(void)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed};
	char folder[80];
	int own[2], ike[2];

	assert_true(ipc_pair(own));
	assert_true(ipc_pair(ike));
	t.ready = false;
	t.pid = fork();
	if (t.pid == 0) {
		snprintf(folder, sizeof(folder), "%s", t.folder);
		if (own[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(own[1], 3);
		execl("/proc/self/exe", "helper", folder, NULL);
		_exit(99);
	}
	close(own[1]);
	t.link = ipc_link_new(t.loop, own[0], &host);
	assert_non_null(t.link);
	if (t.vault >= 0)
		assert_true(ipc_send_name(t.link, IPC_GIVE, "vault", t.vault));
	assert_true(ipc_send_name(t.link, IPC_GIVE, "link:ike", ike[1]));
	close(ike[1]);
	assert_true(ipc_send(t.link, IPC_START, 0, NULL, 0, NULL, 0));
	helper_client_link(t.client, ike[0]);
	turn_until(is_ready);
}

static bool is_gone(void)
{
	return !t.link;
}

static void helper_kill(void)
{
	assert_int_equal(kill(t.pid, SIGKILL), 0);
	turn_until(is_gone);
	/* libev's SIGCHLD handler may have been quicker. */
	waitpid(t.pid, NULL, 0);
	t.pid = 0;
}

static void helper_again(void)
{
	helper_kill();
	helper_start();
}

/* ---- ike ---- */

static void on_resolved(void *ctx, uint64_t query, unsigned n, const struct addr *addrs,
			const char *why)
{
	(void)ctx;
	t.resolved++;
	t.query = query;
	t.n_addrs = n;
	if (n)
		t.first = addrs[0];
	snprintf(t.why, sizeof(t.why), "%s", why);
}

static void put_file(const char *name, mode_t mode, const char *format, ...);

static void stand_still(void);

static void on_loaded(void *ctx, bool ok, struct config *config, struct config_errors *errors)
{
	(void)ctx;
	config_free(&t.config);
	config_errors_free(&t.errors);
	t.config = *config;
	t.errors = *errors;
	t.ok = ok;
	t.loads++;
	if (t.stop_it)
		stand_still();
	t.stop_it = false;
	if (t.not_enough) {
		t.not_enough = false;
		put_file("ipsec.conf", 0644, "conn gw\n\tlef=192.0.2.1\n");
		assert_true(helper_client_read(t.client, true, t.why, sizeof(t.why)));
	}
}

static void on_unread(void *ctx, const char *why)
{
	(void)ctx;
	t.unread++;
	snprintf(t.why, sizeof(t.why), "%s", why);
}

static void on_forgotten(void *ctx)
{
	(void)ctx;
	t.forgotten++;
}

static void on_untaken(void *ctx)
{
	(void)ctx;
	t.untaken++;
}

static void on_idle(void *ctx)
{
	(void)ctx;
	t.idle++;
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", t.folder, name);
	return path;
}

static void put_file(const char *name, mode_t mode, const char *format, ...)
{
	FILE *f = fopen(path_of(name), "w");
	va_list args;

	assert_non_null(f);
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path_of(name), mode), 0);
}

static void put_conf(const char *script)
{
	put_file("ipsec.conf", 0644,
		 "conn gw\n\tauto=add\n\tauthby=secret\n\tleft=127.0.0.1\n\tright=198.51.100.2\n"
		 "\tleftsubnet=10.1.0.0/16\n\trightsubnet=10.2.0.0/16\n\tleftupdown=%s\n",
		 script);
}

static void put_secret(const char *secret)
{
	put_file("ipsec.secrets", 0600, "127.0.0.1 198.51.100.2 : PSK \"%s\"\n", secret);
}

static int setup(void **state)
{
	const struct script_desk_host desk = {
		.loop = ev_default_loop(0), .log = log_default(), .send = to_helper};
	const struct helper_client_host client = {.loop = ev_default_loop(0),
						  .log = log_default(),
						  .resolved = on_resolved,
						  .loaded = on_loaded,
						  .unread = on_unread,
						  .idle = on_idle,
						  .forgotten = on_forgotten,
						  .untaken = on_untaken};

	(void)state;
	memset(&t, 0, sizeof(t));
	t.vault = -1;
	t.loop = ev_default_loop(0);
	snprintf(t.folder, sizeof(t.folder), "/tmp/test-helper-XXXXXX");
	assert_non_null(mkdtemp(t.folder));
	put_conf("/bin/true");
	put_secret("the first secret");
	t.desk = script_desk_new(&desk);
	t.client = helper_client_new(&client);
	assert_non_null(t.desk);
	assert_non_null(t.client);
	helper_start();
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"ipsec.conf", "ipsec.secrets", "script", "ran"};

	(void)state;
	if (t.pid > 0)
		helper_kill();
	helper_client_free(t.client);
	script_desk_free(t.desk);
	config_free(&t.config);
	config_errors_free(&t.errors);
	if (t.vault >= 0)
		close(t.vault);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	rmdir(t.folder);
	return 0;
}

static unsigned loads_wanted;

static bool is_loaded(void)
{
	return t.loads + t.unread >= loads_wanted;
}

static void load_as(bool whole)
{
	char why[100];

	loads_wanted = t.loads + t.unread + 1;
	assert_true(helper_client_read(t.client, whole, why, sizeof(why)));
	turn_until(is_loaded);
}

static void load(void)
{
	load_as(true);
}

/* ---- secrets ---- */

static uint8_t message[300];

/* octets of AUTH as they have to be */
static void make_octets(struct span octets[3])
{
	static uint8_t nonce[32], maced_id[32];

	memset(message, 7, sizeof(message));
	message[17] = 0x20;
	message[18] = 34;
	be32_set(message + 20, 0);
	be32_set(message + 24, sizeof(message));
	octets[0] = span_of(message, sizeof(message));
	octets[1] = span_of(nonce, sizeof(nonce));
	octets[2] = span_of(maced_id, sizeof(maced_id));
}

static bool mac(uint64_t held, uint8_t *out)
{
	struct secret s = {.unique = (char *)(uintptr_t) "x", .held = held};
	struct span octets[3];

	make_octets(octets);
	return helper_client_mac(t.client, &s, PRF_HMAC_SHA2_256, octets, 3, out);
}

static void assert_secret(uint64_t held, const char *secret)
{
	uint8_t got[64], want[64];
	struct span octets[3];

	make_octets(octets);
	assert_true(keymat_psk_mac(&crypto_openssl, PRF_HMAC_SHA2_256, span_str(secret), octets, 3,
				   want));
	assert_true(mac(held, got));
	assert_memory_equal(got, want, 32);
}

static void assert_no_secret(uint64_t held)
{
	uint8_t out[64];

	assert_false(mac(held, out));
}

static uint64_t file_secret(void)
{
	assert_true(t.ok);
	assert_int_equal(t.config.n_secrets, 1);
	assert_int_equal(t.config.secrets[0]->len, 0);
	assert_int_equal(t.config.secrets[0]->n_owners, 2);
	assert_int_not_equal(t.config.secrets[0]->held, 0);
	return t.config.secrets[0]->held;
}

static unsigned long long number_in_status(const char *name, int base)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)t.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)) == 0) {
			fclose(f);
			return strtoull(line + strlen(name), NULL, base);
		}
	}
	fail_msg("no %s", name);
	return 0;
}

/* It may read files, and nothing else that others may not. */
static void test_privileges(void **state)
{
	(void)state;
	load();
	assert_int_not_equal(number_in_status("Uid:", 10), 0);
	assert_int_equal(number_in_status("CapEff:", 16), 1 << 2); /* DAC_READ_SEARCH */
	assert_int_equal(number_in_status("NoNewPrivs:", 10), 1);
	assert_true(t.ok);
	assert_null(strstr(t.log, "refused"));
}

static void test_files(void **state)
{
	(void)state;
	load();
	assert_true(t.ok);
	assert_int_equal(t.config.n_conns, 1);
	assert_string_equal(t.config.conns[0].conn->name, "gw");
	assert_secret(file_secret(), "the first secret");
	helper_again();
	assert_secret(file_secret(), "the first secret");
}

/* The number stays as long as the bytes do; what is replaced goes when ike has the new one. */
static void test_reload(void **state)
{
	uint64_t first;

	(void)state;
	load();
	first = file_secret();
	load();
	assert_int_equal(file_secret(), first);
	helper_again();
	load();
	assert_int_equal(file_secret(), first);
	put_secret("the second secret");
	load();
	assert_int_not_equal(file_secret(), first);
	assert_secret(file_secret(), "the second secret");
	t.forgotten = 0;
	assert_no_secret(first);
	assert_int_equal(t.forgotten, 1);
}

static void stand_still(void)
{
	int status;

	assert_int_equal(kill(t.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(t.pid, &status, WUNTRACED), t.pid);
}

/* It is killed before it hears that the new one is in force, or that a client's is gone: ike is
 * told, reads again, and what was replaced goes. */
static void test_killed_before_it_hears(void **state)
{
	struct secret *s = secret_new("vici:a", SECRET_IKE, span_str("of a client"));
	const char *error = "";
	uint64_t first, of_client;

	(void)state;
	load();
	first = file_secret();
	assert_true(helper_client_hold(t.client, s, &error));
	of_client = s->held;
	secret_free(s);
	put_secret("the second secret");
	t.stop_it = true;
	load();
	helper_client_forget(t.client, of_client);
	helper_kill();
	t.untaken = 0;
	helper_start();
	assert_int_equal(t.untaken, 1);
	assert_secret(first, "the first secret");
	load();
	assert_no_secret(first);
	assert_no_secret(of_client);
	assert_secret(file_secret(), "the second secret");
	assert_no_secret(first); /* a call later: it was told that the files' are gone */
	helper_again();
	assert_int_equal(t.untaken, 1);
}

/* Until then the secrets are needed that ike has. */
static void test_reading_not_in_force(void **state)
{
	uint64_t first;

	(void)state;
	load();
	first = file_secret();
	put_secret("the second secret");
	t.not_enough = true;
	load();
	loads_wanted++;
	turn_until(is_loaded);
	assert_false(t.ok);
	assert_secret(first, "the first secret");
	put_conf("/bin/true");
	load();
	assert_secret(file_secret(), "the second secret");
	assert_no_secret(first);
}

static bool is_forgotten(void)
{
	return t.forgotten > 0;
}

/* The supervisor gives none: ike is told at once, and everything is there again when the files
 * were read. */
static void test_lost_vault(void **state)
{
	uint64_t first;

	(void)state;
	turn_until(is_forgotten); /* the very first helper says the same */
	load();
	first = file_secret();
	helper_kill();
	close(t.vault);
	t.vault = -1;
	t.forgotten = 0;
	helper_start();
	turn_until(is_forgotten);
	assert_no_secret(first);
	load();
	assert_int_not_equal(file_secret(), first);
	assert_secret(file_secret(), "the first secret");
}

static void test_errors(void **state)
{
	uint64_t first;

	(void)state;
	load();
	first = file_secret();
	put_file("ipsec.conf", 0644, "conn gw\n\tlef=192.0.2.1\n\tauto=add\n");
	put_secret("the second secret");
	load();
	assert_false(t.ok);
	assert_true(t.errors.n_errors >= 1);
	assert_int_equal(t.errors.list[0].line, 2);
	assert_int_equal(t.errors.list[0].column, 2);
	assert_non_null(strstr(t.errors.list[0].file, "ipsec.conf"));
	assert_non_null(strstr(t.errors.list[0].text, "left"));
	assert_secret(first, "the first secret");
}

/* Killed while it reads: the next one reads for the same question. */
static void test_killed_reading(void **state)
{
	char why[100];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		loads_wanted = t.loads + 1;
		assert_true(helper_client_read(t.client, true, why, sizeof(why)));
		assert_false(helper_client_read(t.client, true, why, sizeof(why)));
		helper_again();
		turn_until(is_loaded);
		assert_secret(file_secret(), "the first secret");
	}
	assert_int_equal(t.unread, 0);
}

static void test_vici_secrets(void **state)
{
	struct secret *s = secret_new("vici:a", SECRET_IKE, span_str("of a client"));
	struct secret *other = secret_new("file:1", SECRET_IKE, span_str("of a client"));
	const char *error = "";
	uint64_t held;

	(void)state;
	assert_true(helper_client_hold(t.client, s, &error));
	held = s->held;
	assert_int_equal(s->len, 0);
	assert_secret(held, "of a client");
	load(); /* does not touch it */
	helper_again();
	load();
	assert_secret(held, "of a client");
	helper_client_forget(t.client, held);
	assert_no_secret(held);
	assert_false(helper_client_hold(t.client, other, &error)); /* the files' names are theirs */
	assert_int_equal(other->held, 0);
	assert_int_equal(other->len, 11);
	helper_kill();
	assert_false(helper_client_hold(t.client, other, &error));
	assert_string_equal(error, "the helper process does not answer; try again");
	secret_free(s);
	secret_free(other);
}

/* AUTH of an IKE_SA_INIT message, and nothing else. */
static void test_no_oracle(void **state)
{
	struct secret s = {.unique = (char *)(uintptr_t) "x"};
	struct span octets[3];
	uint8_t out[64];

	(void)state;
	load();
	s.held = file_secret();
	t.forgotten = 0;
	make_octets(octets);
	assert_true(helper_client_mac(t.client, &s, PRF_HMAC_SHA2_256, octets, 3, out));
	message[18] = 35; /* IKE_AUTH */
	assert_false(helper_client_mac(t.client, &s, PRF_HMAC_SHA2_256, octets, 3, out));
	make_octets(octets);
	octets[0].len--; /* not all of the message */
	assert_false(helper_client_mac(t.client, &s, PRF_HMAC_SHA2_256, octets, 3, out));
	make_octets(octets);
	octets[2].len = 20; /* no output of this PRF */
	assert_false(helper_client_mac(t.client, &s, PRF_HMAC_SHA2_256, octets, 3, out));
	make_octets(octets);
	octets[1].len = 8; /* RFC 7296 3.9 */
	assert_false(helper_client_mac(t.client, &s, PRF_HMAC_SHA2_256, octets, 3, out));
	assert_int_equal(t.forgotten, 0);
}

/* ---- names ---- */

static bool is_resolved(void)
{
	return t.resolved > 0;
}

static void test_names(void **state)
{
	(void)state;
	helper_client_resolve(t.client, 5, "localhost", AF_INET);
	turn_until(is_resolved);
	assert_int_equal(t.query, 5);
	assert_int_equal(t.n_addrs, 1);
	assert_int_equal(t.first.bytes[0], 127);
	helper_kill();
	t.resolved = 0;
	helper_client_resolve(t.client, 6, "localhost", AF_INET);
	helper_start();
	turn_until(is_resolved);
	assert_int_equal(t.query, 6);
	assert_int_equal(t.resolved, 1);
}

/* ---- scripts ---- */

static bool is_idle(void)
{
	return t.idle > 0;
}

static void run(const char *what, const char *command)
{
	char verb[64], file[160], path[] = "PATH=/nowhere";
	char *env[] = {verb, file, path, NULL};
	struct script_runner r = helper_client_runner(t.client);
	struct script s = {.line = 1,
			   .name = "gw",
			   .what = what,
			   .command = command,
			   .env = env,
			   .timeout = 20};

	snprintf(verb, sizeof(verb), "PLUTO_VERB=%s", what);
	snprintf(file, sizeof(file), "PLUTO_FILE=%s/ran", t.folder);
	assert_true(r.run(r.ctx, &s));
	assert_int_equal(r.left(r.ctx), 1);
}

static unsigned times_ran(void)
{
	char line[8192];
	unsigned n = 0;
	FILE *f = fopen(path_of("ran"), "r");

	while (f && fgets(line, sizeof(line), f)) {
		assert_null(strstr(line, "/nowhere"));
		n++;
	}
	if (f)
		fclose(f);
	return n;
}

static const char *script(void)
{
	static char path[128];

	put_file("script", 0755, "#!/bin/sh\necho \"$PLUTO_VERB $PATH\" >>\"$PLUTO_FILE\"\n");
	snprintf(path, sizeof(path), "%s/script", t.folder);
	return path;
}

static void test_scripts(void **state)
{
	const char *command = script();

	(void)state;
	put_conf(command);
	load();
	run("up-client", command);
	turn_until(is_idle);
	assert_int_equal(times_ran(), 1);
	put_conf("/bin/true"); /* only its "down" is run from now on */
	load();
	t.idle = 0;
	run("up-client", command);
	turn_until(is_idle);
	assert_int_equal(times_ran(), 1);
	assert_non_null(strstr(t.log, "is not run: it is not in the configuration files"));
	helper_again();
	t.idle = 0;
	run("down-client", command);
	turn_until(is_idle);
	assert_int_equal(times_ran(), 2);
}

/* Its text is not told again: how many there are and their sum is, and what the helper does with it
 * stays. */
static void expect_unchanged(void)
{
	load_as(false);
	assert_true(t.ok && t.config.secrets_unchanged);
	assert_int_equal(t.config.n_conns, 0);
	assert_int_equal(t.config.n_secrets, 0);
	assert_int_equal(t.config.n_unchanged, 1);
	assert_int_equal(t.config.n_gone, 0);
}

static void expect_all(void)
{
	load_as(false);
	assert_true(t.ok && !t.config.secrets_unchanged);
	assert_int_equal(t.config.n_conns, 1);
	assert_int_equal(t.config.n_unchanged, 0);
}

static void test_unchanged(void **state)
{
	const char *command = script();
	uint64_t held, digest;

	(void)state;
	put_conf(command);
	expect_all(); /* the first one */
	held = file_secret();
	digest = t.config.conns[0].digest;
	expect_unchanged();
	assert_int_equal(t.config.unchanged_sum, recall_mark("gw", digest));
	assert_secret(held, "the first secret");
	run("up-client", command);
	turn_until(is_idle);
	assert_int_equal(times_ran(), 1);
	put_file("ipsec.conf", 0644, "conn gw\n\tlef=192.0.2.1\n");
	load_as(false);
	assert_false(t.ok);
	put_conf(command);
	expect_unchanged();
	helper_again(); /* who knows nothing of it */
	expect_all();
	expect_unchanged();
	put_secret("the second secret");
	expect_all();
	assert_secret(file_secret(), "the second secret");
	assert_no_secret(held);
}

/* One that knows nothing yet refuses nothing: it waits for the files to be read. */
static void test_scripts_wait(void **state)
{
	const char *command = script();

	(void)state;
	put_conf(command);
	run("up-client", command);
	load();
	turn_until(is_idle);
	assert_int_equal(times_ran(), 1);
	assert_null(strstr(t.log, "is not run"));
}

/* Asked again by each new helper, it runs once. */
static void test_scripts_once(void **state)
{
	const char *command = script();

	(void)state;
	put_file("script", 0755,
		 "#!/bin/sh\necho \"$PLUTO_VERB\" >>\"$PLUTO_FILE\"\n"
		 "while ! test -e \"$PLUTO_FILE.go\"; do sleep 0.05; "
		 "done\n");
	put_conf(command);
	load();
	run("up-client", command);
	for (unsigned i = 0; i < 3; i++)
		helper_again();
	helper_kill();
	put_file("ran.go", 0644, "");
	helper_start();
	turn_until(is_idle);
	assert_int_equal(times_ran(), 1);
	unlink(path_of("ran.go"));
}

static int be_helper(char *folder)
{
	char conf[128], secrets[128];
	const struct options options = {.config = conf,
					.secrets = secrets,
					.config_given = true,
					.secrets_given = true,
					.log_level = LOG_LEVEL_INFO};

	snprintf(conf, sizeof(conf), "%s/ipsec.conf", folder);
	snprintf(secrets, sizeof(secrets), "%s/ipsec.secrets", folder);
	return helper_run(&options);
}

int main(int argc, char **argv)
{
#define WITH_HELPER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_HELPER(test_privileges),
		WITH_HELPER(test_files),
		WITH_HELPER(test_reload),
		WITH_HELPER(test_errors),
		WITH_HELPER(test_killed_reading),
		WITH_HELPER(test_vici_secrets),
		WITH_HELPER(test_no_oracle),
		WITH_HELPER(test_names),
		WITH_HELPER(test_scripts),
		WITH_HELPER(test_scripts_once),
		WITH_HELPER(test_scripts_wait),
		WITH_HELPER(test_lost_vault),
		WITH_HELPER(test_killed_before_it_hears),
		WITH_HELPER(test_reading_not_in_force),
		WITH_HELPER(test_unchanged),
	};
	ev_timer wake;

	if (argc == 2 && strcmp(argv[0], "helper") == 0)
		return be_helper(argv[1]);
	ev_timer_init(&wake, on_wake, .05, .05);
	ev_timer_start(ev_default_loop(0), &wake);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
