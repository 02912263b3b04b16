/* ipsecd: helper. Files, names, secrets, and the word on which scripts may run: what ike, which
 * reads what strangers send, must not be able to do itself. It has no network privileges; of the
 * secrets it computes AUTH and nothing else. ike is taken for an enemy here: each request is
 * checked, refused and logged where it is not one of its own kind. */
#include "ipsecd/approve.h"
#include "ipsecd/helper_load.h"
#include "ipsecd/ike/keymat.h"
#include "ipsecd/net/resolve.h"
#include "ipsecd/role.h"
#include "ipsecd/script.h"
#include "lib/mono.h"

#include <ev.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MACS_PER_SECOND 4000
#define PATH_VAR	4096
#define VAULT		"vault"
#define FORGOTTEN	"secret %016llx to be forgotten"

struct helper {
	const struct options *options;
	struct ev_loop *loop;
	struct role *role;
	struct ipc_link *ike;
	struct vault *vault;
	struct resolver *resolver;
	struct helper_load *load;
	bool knows;	      /* what the files say, or said */
	uint32_t load_serial; /* of the answer that ike waits for; 0: none */
	struct log_limit macs;
};

/* ---- log ---- */

static void refuse(const char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was asked for, in words; bytes of a name are cleaned by who writes the line. */
static void refuse(const char *why, const char *format, ...)
{
	static struct log_limit limit = {.burst = 10};
	char what[256];
	va_list args;

	if (!log_limit_pass(&limit, mono_now()))
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	log_to(log_default(), LOG_LEVEL_ERROR, "job", "", "ike asks for %s, refused: %s", what,
	       why);
}

static void answer(struct helper *h, uint32_t verb, uint32_t serial, const void *body, size_t len)
{
	const struct span part = span_of(body, len);

	ipc_send(h->ike, verb, serial, &part, 1, NULL, 0);
}

/* ---- secrets ---- */

static void refuse_mac(struct span body, const char *why)
{
	struct ipc_mac m = {0};

	if (body.len >= sizeof(m))
		memcpy(&m, body.ptr, sizeof(m));
	refuse(why, "AUTH (secret %016llx, PRF %u, a message of %u, a nonce of %u, %zu bytes)",
	       (unsigned long long)m.held, m.prf, m.message_len, m.nonce_len, body.len);
}

static uint8_t mac(struct helper *h, struct span body, struct ipc_mac_answer *out)
{
	struct mac_view v;
	const char *wrong = ipc_mac_check(body, &v);
	struct span psk;

	if (wrong) {
		refuse_mac(body, wrong);
		return IPC_MAC_REFUSED;
	}
	if (!log_limit_pass(&h->macs, mono_now())) {
		refuse_mac(body, "more often than a thousand handshakes a second need it");
		return IPC_MAC_TOO_MANY;
	}
	if (!vault_secret(h->vault, v.held, &psk)) {
		refuse_mac(body, "there is no such secret (any more)");
		return IPC_MAC_UNKNOWN;
	}
	out->len = v.prf->out_len;
	return keymat_psk_mac(&crypto_openssl, v.prf->id, psk, &v.octets, 1, out->mac)
		       ? IPC_MAC_OK
		       : IPC_MAC_REFUSED;
}

static void on_mac(struct helper *h, struct ipc_message *m)
{
	struct ipc_mac_answer a = {0};

	a.result = mac(h, m->body, &a);
	answer(h, IPC_ANSWER, m->serial, &a, sizeof(a));
	explicit_bzero(&a, sizeof(a));
}

/* A vici client's. The one before under this name goes when ike says so. */
static uint64_t hold(struct helper *h, struct span body)
{
	struct secret_view v;
	const char *wrong = ipc_secret_check(body, &v);
	uint64_t held;
	bool kept;

	if (wrong) {
		refuse(wrong, "a secret to be kept (%zu bytes)", body.len);
		return 0;
	}
	if (strncmp(v.unique, "vici:", 5) != 0) {
		refuse("its name is not a vici client's", "a secret to be kept as '%.100s'",
		       v.unique);
		return 0;
	}
	held = vault_find(h->vault, v.unique, v.data);
	if (held)
		return held;
	held = vault_new_number(h->vault);
	vault_begin(h->vault);
	kept = vault_put(h->vault, held, v.unique, v.data, false);
	return vault_end(h->vault) && kept ? held : 0;
}

static void on_hold(struct helper *h, struct ipc_message *m)
{
	const struct ipc_held held = {.held = hold(h, m->body)};

	explicit_bzero((void *)(uintptr_t)m->body.ptr, m->body.len);
	answer(h, IPC_ANSWER, m->serial, &held, sizeof(held));
}

static void forget(struct helper *h, struct span body)
{
	uint64_t held;

	if (!ipc_held_take(body, &held)) {
		refuse("the length", "a secret to be forgotten (%zu bytes)", body.len);
		return;
	}
	if (vault_is_of_files(h->vault, held)) {
		refuse("it is from the files", FORGOTTEN, (unsigned long long)held);
		return;
	}
	vault_begin(h->vault);
	if (!vault_remove(h->vault, held))
		refuse("there is no such secret", FORGOTTEN, (unsigned long long)held);
	vault_end(h->vault);
}

static void on_forget(struct helper *h, struct ipc_message *m)
{
	forget(h, m->body);
	answer(h, IPC_ANSWER, m->serial, NULL, 0);
}

/* ---- files ---- */

static void on_load(struct helper *h, struct ipc_message *m)
{
	struct ipc_load body;

	if (m->body.len != sizeof(body)) {
		refuse("the length", "a reading (%zu bytes)", m->body.len);
		return;
	}
	memcpy(&body, m->body.ptr, sizeof(body));
	h->load_serial = m->serial;
	helper_load_begin(h->load, body.whole);
}

static void on_load_taken(struct helper *h, struct ipc_message *m)
{
	uint64_t generation;
	struct span rest;

	if (ipc_loaded_take(m->body, &generation, &rest))
		helper_load_taken(h->load, generation);
	else
		refuse("the length", "a reading to be in force (%zu bytes)", m->body.len);
	answer(h, IPC_ANSWER, m->serial, NULL, 0);
}

static void loaded(void *ctx, uint64_t generation, int fd, const char *why)
{
	const struct ipc_loaded head = {.generation = generation};
	struct span parts[] = {span_of(&head, sizeof(head)), span_str(why)};
	struct helper *h = ctx;

	h->knows = h->knows || fd >= 0;
	if (h->ike && h->load_serial)
		ipc_send(h->ike, IPC_ANSWER, h->load_serial, parts, 2, &fd, fd >= 0);
	h->load_serial = 0;
	if (fd >= 0)
		close(fd);
}

/* Ends the reading process with us. */
static void stuck(void *ctx)
{
	struct helper *h = ctx;

	loaded(h, 0, -1, "reading the files took too long");
	log_to(log_default(), LOG_LEVEL_ERROR, "cfg", "",
	       "reading the configuration files takes too long: helper starts anew");
	role_end(h->role, 1);
}

/* ---- names ---- */

static void on_resolve(struct helper *h, struct ipc_message *m)
{
	struct ipc_resolve r = {.name = ""};
	const char *wrong = ipc_resolve_check(m->body, &r);

	if (wrong) {
		refuse(wrong, "a name (%.*s)", (int)strnlen(r.name, sizeof(r.name)), r.name);
		return;
	}
	resolver_query(h->resolver, r.query, r.name, r.family);
}

static void resolved(void *ctx, uint64_t query, unsigned n, const struct addr *addrs,
		     const char *why)
{
	struct ipc_resolved r = {.query = query,
				 .n = (uint8_t)(n < IPC_ADDRS_MAX ? n : IPC_ADDRS_MAX)};
	struct helper *h = ctx;

	if (r.n)
		memcpy(r.addrs, addrs, r.n * sizeof(*addrs));
	snprintf(r.why, sizeof(r.why), "%s", why);
	if (h->ike)
		answer(h, IPC_RESOLVED, 0, &r, sizeof(r));
}

/* ---- scripts ---- */

static bool known(void *ctx, const char *command, bool *current)
{
	const struct helper *h = ctx;

	return vault_command(h->vault, command, current);
}

static int look(const char *path, struct stat *out)
{
	return lstat(path, out);
}

static void tell_ran(struct helper *h, uint64_t job)
{
	const struct ipc_ran ran = {.job = job};

	if (h->ike)
		answer(h, IPC_RAN, 0, &ran, sizeof(ran));
}

static void pass_on(struct helper *h, const struct script_view *s)
{
	static uint8_t memory[IPC_BODY_MAX];
	struct buf b = buf_over(memory, sizeof(memory));
	struct span body;

	if (ipc_script_put(&b, s) && !b.overflow) {
		body = buf_span(&b);
		ipc_send(role_supervisor(h->role), IPC_RUN, 0, &body, 1, NULL, 0);
		return;
	}
	log_to(log_default(), LOG_LEVEL_ERROR, "job", s->name, "%s: not run: it is too long",
	       s->what);
	tell_ran(h, s->job);
}

static void on_run(struct helper *h, struct ipc_message *m)
{
	const char *path = getenv("PATH");
	const struct approve_host host = {
		.known = known, .lstat = look, .ctx = h, .path = path ? path : SCRIPT_PATH};
	char path_var[PATH_VAR], why[512];
	struct script_view s;
	const char *wrong = ipc_script_check(m->body, &s);

	if (wrong) {
		refuse(wrong, "a script (%zu bytes)", m->body.len);
		return;
	}
	if (!h->knows) /* ike has been told, has the files read, and asks again */
		return;
	if (approve_script(&host, &s, path_var, sizeof(path_var), why, sizeof(why))) {
		pass_on(h, &s);
		return;
	}
	log_to(log_default(), LOG_LEVEL_ERROR, "job", s.name, "%s: '%.100s' is not run: %s", s.what,
	       s.command, why);
	tell_ran(h, s.job);
}

/* The supervisor's word. */
static void on_supervisor(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct helper *h = ctx;
	uint64_t job;

	(void)link;
	if (m->verb == IPC_RAN && ipc_ran_take(m->body, &job))
		tell_ran(h, job);
}

/* ---- ike ---- */

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	static void (*const handlers[])(struct helper * h, struct ipc_message * m) = {
		[IPC_PSK_MAC] = on_mac,
		[IPC_SECRET_HOLD] = on_hold,
		[IPC_SECRET_FORGET] = on_forget,
		[IPC_LOAD] = on_load,
		[IPC_LOAD_TAKEN] = on_load_taken,
		[IPC_RESOLVE] = on_resolve,
		[IPC_RUN] = on_run,
	};

	(void)link;
	if (m->verb >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[m->verb])
		refuse("there is no such request", "message %u", m->verb);
	else if (m->n_fds)
		refuse("with descriptors, of which none belongs there", "message %u", m->verb);
	else
		handlers[m->verb](ctx, m);
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	struct helper *h = ctx;

	log_to(log_default(), LOG_LEVEL_INFO, "job", "", "the link to ike is closed: %s", why);
	if (h->ike == link)
		h->ike = NULL;
	ipc_link_free(link);
}

static void on_link(void *ctx, const char *peer, int fd)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed, .ctx = ctx};
	struct helper *h = ctx;

	if (strcmp(peer, "ike") != 0) { /* nobody else asks us anything */
		close(fd);
		return;
	}
	ipc_link_drain(h->ike); /* an ike that was killed may have asked for a script yet */
	ipc_link_free(h->ike);
	h->load_serial = 0;
	h->ike = ipc_link_new(h->loop, fd, &host);
}

/* ---- life ---- */

static bool start(void *ctx, char *why, size_t size)
{
	struct helper *h = ctx;
	struct helper_load_host load = {
		.loop = h->loop, .options = h->options, .done = loaded, .stuck = stuck, .ctx = h};
	const struct sandbox sandbox = {
		.role = SANDBOX_HELPER, .mode = h->options->sandbox, .log = log_default()};
	int fd = role_take(h->role, VAULT);

	h->vault = vault_open(fd, crypto_random, why, size);
	if (!h->vault)
		return false;
	if (why[0])
		log_to(log_default(), LOG_LEVEL_WARN, "cfg", "",
		       "secrets of the helper before are lost: %s", why);
	h->knows = !vault_is_new(h->vault);
	if (!h->knows)
		role_keep(h->role, VAULT, vault_fd(h->vault));
	load.vault = h->vault;
	h->load = helper_load_new(&load);
	h->resolver = resolver_new(h->loop, resolved, h);
	if (!h->load || !h->resolver) {
		snprintf(why, size, "out of memory, or c-ares does not start");
		return false;
	}
	if (!sandbox_enter(&sandbox, why, size))
		return false;
	if (!h->knows && h->ike)
		answer(h, IPC_NEW_VAULT, 0, NULL, 0);
	role_ready(h->role);
	return true;
}

static void stop(void *ctx, bool keep)
{
	struct helper *h = ctx;

	(void)keep;
	role_end(h->role, 0);
}

int helper_run(const struct options *options)
{
	struct helper h = {
		.options = options, .loop = ev_default_loop(0), .macs = {.burst = MACS_PER_SECOND}};
	const struct role_host host = {
		.start = start, .link = on_link, .stop = stop, .message = on_supervisor, .ctx = &h};
	int status;

	h.role = h.loop ? role_begin(options, h.loop) : NULL;
	if (!h.role)
		return 1;
	status = role_run(h.role, &host);
	ipc_link_free(h.ike);
	resolver_free(h.resolver);
	helper_load_free(h.load);
	vault_close(h.vault);
	return status;
}
