/* Open questions are kept until they are answered: by number, in the order of asking. */
#include "ipsecd/helper_client.h"
#include "ipsecd/crypto/crypto.h"
#include "ipsecd/ipc/helper_body.h"
#include "ipsecd/ipc/link.h"
#include "ipsecd/loaded.h"
#include "lib/mono.h"
#include "lib/text.h"

#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#define MAC_TIMEOUT_MS	1000
#define HOLD_TIMEOUT_MS 3000
#define LOAD_SECONDS	180. /* also over several helpers */
#define QUERIES_MAX	100000
#define LOAD_SERIAL	1
#define TAKEN_SERIAL	2
#define FORGET_SERIAL	3

struct query {
	struct ipc_resolve body;
	UT_hash_handle hh;
};

struct job {
	uint64_t number;
	size_t len;
	UT_hash_handle hh; /* in order: those of one line run one after another */
	uint8_t body[];
};

/* A client's secret that is replaced: the vault outlives a helper that did not hear of it. */
struct gone {
	struct gone *prev, *next;
	struct ipc_held body;
};

struct helper_client {
	struct helper_client_host host;
	struct ipc_link *link;
	struct query *queries;
	struct job *jobs;
	uint64_t last_job;
	struct gone *gone; /* in the order of telling, as it is answered */
	bool loading, whole;
	bool untaken;	/* it may not have heard that what it read is in force */
	bool deaf;	/* it let a call wait too long: none is made until it says something */
	ev_timer limit; /* of loading */
};

static void say(const struct helper_client *c, const char *what, const char *wrong)
{
	static struct log_limit limit = {.burst = 5};

	if (log_limit_pass(&limit, mono_now()))
		log_to(c->host.log, LOG_LEVEL_ERROR, "job", "", "helper sent %s, ignored: %s", what,
		       wrong);
}

static bool tell(struct helper_client *c, uint32_t verb, uint32_t serial, const void *body,
		 size_t len)
{
	const struct span part = span_of(body, len);

	return c->link && ipc_send(c->link, verb, serial, &part, 1, NULL, 0);
}

/* ---- calls ---- */

static bool call(struct helper_client *c, uint32_t verb, const struct span *parts, unsigned n,
		 int timeout_ms, struct ipc_message *answer)
{
	mono_time asked = mono_now();

	if (!c->link || c->deaf)
		return false;
	if (!ipc_call(c->link, verb, parts, n, NULL, 0, timeout_ms, answer)) {
		if (mono_now() - asked >= (mono_time)timeout_ms * MONO_MS) {
			c->deaf = true;
			log_to(c->host.log, LOG_LEVEL_ERROR, "job", "",
			       "helper does not answer in %d ms", timeout_ms);
		}
		return false;
	}
	for (unsigned i = 0; i < answer->n_fds; i++)
		close(answer->fds[i]);
	return true;
}

static void look_at_refusal(struct helper_client *c, const struct secret *secret,
			    struct span answer)
{
	static const char *const words[] = {[IPC_MAC_OK] = "an answer of another length",
					    [IPC_MAC_UNKNOWN] =
						    "the helper does not have it any more",
					    [IPC_MAC_TOO_MANY] = "too many are asked for",
					    [IPC_MAC_REFUSED] = "the helper refuses"};
	static struct log_limit limit = {.burst = 5};
	struct ipc_mac_answer a = {.result = IPC_MAC_REFUSED};

	if (answer.len == sizeof(a))
		memcpy(&a, answer.ptr, sizeof(a));
	if (a.result > IPC_MAC_REFUSED)
		a.result = IPC_MAC_REFUSED;
	if (log_limit_pass(&limit, mono_now()))
		log_to(c->host.log, LOG_LEVEL_WARN, "ike", "", "AUTH by secret '%s': %s",
		       secret->unique, words[a.result]);
	if (a.result == IPC_MAC_UNKNOWN)
		c->host.forgotten(c->host.ctx);
}

bool helper_client_mac(void *ctx, const struct secret *secret, uint16_t prf_id,
		       const struct span *octets, size_t n, uint8_t *out)
{
	const struct algorithm_prf *prf = algorithm_prf(prf_id);
	struct helper_client *c = ctx;
	struct ipc_mac mac = {.held = secret->held, .prf = prf_id};
	struct span parts[4] = {span_of(&mac, sizeof(mac))};
	struct ipc_message answer;
	bool ok;

	if (!prf || n != 3)
		return false;
	mac.message_len = (uint32_t)octets[0].len;
	mac.nonce_len = (uint16_t)octets[1].len;
	memcpy(parts + 1, octets, n * sizeof(*octets));
	if (!call(c, IPC_PSK_MAC, parts, 4, MAC_TIMEOUT_MS, &answer))
		return false;
	ok = ipc_mac_take(answer.body, prf->out_len, out);
	if (!ok)
		look_at_refusal(c, secret, answer.body);
	explicit_bzero((void *)(uintptr_t)answer.body.ptr, answer.body.len);
	return ok;
}

/* Looks at the socket: that the helper is gone may not have been told yet. */
bool helper_client_ready(void *ctx)
{
	const struct helper_client *c = ctx;
	struct pollfd p = {.events = POLLRDHUP};

	if (!c->link || c->deaf)
		return false;
	p.fd = ipc_link_fd(c->link);
	return poll(&p, 1, 0) == 0;
}

bool helper_client_hold(struct helper_client *c, struct secret *secret, const char **error)
{
	static uint8_t memory[sizeof(struct ipc_secret) + IPC_UNIQUE_MAX + IPC_SECRET_MAX];
	struct buf b = buf_over(memory, sizeof(memory));
	struct ipc_message answer;
	struct span body;
	uint64_t held;
	bool ok;

	ipc_secret_put(&b, secret->unique, span_of(secret->data, secret->len));
	body = buf_span(&b);
	*error = "the secret is too long";
	ok = !b.overflow;
	if (ok) {
		*error = "the helper process does not answer; try again";
		ok = call(c, IPC_SECRET_HOLD, &body, 1, HOLD_TIMEOUT_MS, &answer);
	}
	explicit_bzero(memory, sizeof(memory));
	if (!ok)
		return false;
	if (!ipc_held_take(answer.body, &held) || !held) {
		*error = "the helper process could not keep it: too many, or no memory";
		return false;
	}
	explicit_bzero(secret->data, secret->len);
	secret->len = 0;
	secret->held = held;
	return true;
}

/* Without memory it is told once. */
void helper_client_forget(struct helper_client *c, uint64_t held)
{
	const struct ipc_held h = {.held = held};
	struct gone *g = held ? malloc(sizeof(*g)) : NULL;

	if (g) {
		g->body = h;
		DL_APPEND(c->gone, g);
	}
	if (held)
		tell(c, IPC_SECRET_FORGET, g ? FORGET_SERIAL : 0, &h, sizeof(h));
}

static void on_forgotten(struct helper_client *c)
{
	struct gone *g = c->gone;

	if (!g)
		return;
	DL_DELETE(c->gone, g);
	free(g);
}

/* ---- names ---- */

void helper_client_resolve(struct helper_client *c, uint64_t query, const char *name, int family)
{
	struct query *q = HASH_COUNT(c->queries) < QUERIES_MAX ? calloc(1, sizeof(*q)) : NULL;

	if (!q || strlen(name) >= sizeof(q->body.name)) {
		free(q);
		c->host.resolved(c->host.ctx, query, 0, NULL,
				 "the name is too long, or there is no memory");
		return;
	}
	q->body.query = query;
	q->body.family = (uint8_t)family;
	snprintf(q->body.name, sizeof(q->body.name), "%s", name);
	HASH_ADD(hh, c->queries, body.query, sizeof(q->body.query), q);
	tell(c, IPC_RESOLVE, 0, &q->body, sizeof(q->body));
}

static void on_resolved(struct helper_client *c, struct ipc_message *m)
{
	struct ipc_resolved r;
	const char *wrong = ipc_resolved_check(m->body, &r);
	struct query *q = NULL;

	if (wrong) {
		say(c, "addresses", wrong);
		return;
	}
	HASH_FIND(hh, c->queries, &r.query, sizeof(r.query), q);
	if (!q)
		return; /* asked twice, of two helpers */
	HASH_DEL(c->queries, q);
	free(q);
	c->host.resolved(c->host.ctx, r.query, r.n, r.addrs, r.why);
}

/* ---- scripts ---- */

static bool run(void *ctx, const struct script *script)
{
	struct helper_client *c = ctx;
	struct script_view v = {.job = c->last_job + 1,
				.line = script->line,
				.timeout_ms = (uint32_t)(script->timeout * 1000),
				.name = script->name,
				.what = script->what,
				.command = script->command};
	static uint8_t memory[IPC_BODY_MAX];
	struct buf b = buf_over(memory, sizeof(memory));
	struct job *j = NULL;

	while (v.n_env < IPC_ENV_MAX && script->env[v.n_env]) {
		v.env[v.n_env] = script->env[v.n_env];
		v.n_env++;
	}
	if (!script->env[v.n_env] && ipc_script_put(&b, &v) && !b.overflow)
		j = malloc(sizeof(*j) + b.len);
	if (!j) {
		log_to(c->host.log, LOG_LEVEL_ERROR, "job", script->name,
		       "%s: not run: its variables are too long, or there is no memory",
		       script->what);
		return false;
	}
	j->number = ++c->last_job;
	j->len = b.len;
	memcpy(j->body, memory, b.len);
	HASH_ADD(hh, c->jobs, number, sizeof(j->number), j);
	tell(c, IPC_RUN, 0, j->body, j->len);
	return true;
}

static size_t left(void *ctx)
{
	const struct helper_client *c = ctx;

	return HASH_COUNT(c->jobs);
}

struct script_runner helper_client_runner(struct helper_client *c)
{
	return (struct script_runner){run, left, c};
}

static void on_ran(struct helper_client *c, struct ipc_message *m)
{
	struct job *j = NULL;
	uint64_t number;

	if (!ipc_ran_take(m->body, &number)) {
		say(c, "a script's end", "the length");
		return;
	}
	HASH_FIND(hh, c->jobs, &number, sizeof(number), j);
	if (!j)
		return;
	HASH_DEL(c->jobs, j);
	free(j);
	if (!c->jobs && c->host.idle)
		c->host.idle(c->host.ctx);
}

static void ask_scripts(struct helper_client *c)
{
	for (struct job *j = c->jobs; j; j = j->hh.next)
		tell(c, IPC_RUN, 0, j->body, j->len);
}

/* ---- configuration ---- */

static void ask_load(struct helper_client *c)
{
	const struct ipc_load body = {.whole = c->whole};

	tell(c, IPC_LOAD, LOAD_SERIAL, &body, sizeof(body));
}

bool helper_client_read(struct helper_client *c, bool whole, char *why, size_t size)
{
	if (c->loading) {
		snprintf(why, size, "they are being read");
		return false;
	}
	c->loading = true;
	c->whole = whole;
	ev_now_update(c->host.loop);
	ev_timer_set(&c->limit, LOAD_SECONDS, 0.);
	ev_timer_start(c->host.loop, &c->limit);
	ask_load(c);
	return true;
}

static void load_over(struct helper_client *c)
{
	c->loading = false;
	ev_timer_stop(c->host.loop, &c->limit);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct helper_client *c = w->data;

	(void)loop;
	(void)revents;
	load_over(c);
	c->host.unread(c->host.ctx, "the helper process did not read the files in time");
}

static void take_loaded(struct helper_client *c, uint64_t generation, int fd)
{
	const struct ipc_loaded taken = {.generation = generation};
	struct config_errors errors = {0};
	struct config config = {0};
	char wrong[96], why[160];
	bool ok;

	if (!loaded_read(fd, &ok, &config, &errors, wrong, sizeof(wrong))) {
		snprintf(why, sizeof(why), "what the helper process read is not usable: %s", wrong);
		c->host.unread(c->host.ctx, why);
		return;
	}
	c->host.loaded(c->host.ctx, ok, &config, &errors);
	if (!ok)
		return;
	c->untaken = true;
	if (!c->loading) /* else it is asked for again, and another one will be in force */
		tell(c, IPC_LOAD_TAKEN, TAKEN_SERIAL, &taken, sizeof(taken));
	ask_scripts(c); /* one that knew nothing left them out */
}

static void on_loaded(struct helper_client *c, struct ipc_message *m)
{
	char text[IPC_WHY_MAX];
	uint64_t generation;
	struct span why;

	if (!c->loading)
		return;
	load_over(c);
	if (!ipc_loaded_take(m->body, &generation, &why) || (generation && m->n_fds != 1)) {
		say(c, "a configuration", "the length, or no memory with it");
		c->host.unread(c->host.ctx, "the helper process answers what is no answer");
	} else if (!generation) {
		text_clean(text, sizeof(text), why.ptr, why.len);
		c->host.unread(c->host.ctx, text);
	} else {
		take_loaded(c, generation, m->fds[0]);
	}
}

/* ---- the link ---- */

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct helper_client *c = ctx;

	if (link != c->link)
		return;
	c->deaf = false;
	if (m->verb == IPC_NEW_VAULT)
		c->host.forgotten(c->host.ctx);
	else if (m->verb == IPC_RESOLVED)
		on_resolved(c, m);
	else if (m->verb == IPC_RAN)
		on_ran(c, m);
	else if (m->verb == IPC_ANSWER && m->serial == LOAD_SERIAL)
		on_loaded(c, m);
	else if (m->verb == IPC_ANSWER && m->serial == TAKEN_SERIAL)
		c->untaken = false;
	else if (m->verb == IPC_ANSWER && m->serial == FORGET_SERIAL)
		on_forgotten(c);
	else if (m->verb != IPC_ANSWER) /* one may be late */
		say(c, "a message", "unknown verb");
}

/* The supervisor gives us another one. */
static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	struct helper_client *c = ctx;

	log_to(c->host.log, LOG_LEVEL_NOTICE, "job", "", "helper is gone: %s", why);
	if (link == c->link)
		c->link = NULL;
	ipc_link_free(link);
}

void helper_client_link(struct helper_client *c, int fd)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed, .ctx = c};

	ipc_link_free(c->link);
	c->link = ipc_link_new(c->host.loop, fd, &host);
	c->deaf = false;
	if (c->loading)
		ask_load(c);
	for (struct query *q = c->queries; q; q = q->hh.next)
		tell(c, IPC_RESOLVE, 0, &q->body, sizeof(q->body));
	for (struct gone *g = c->gone; g; g = g->next)
		tell(c, IPC_SECRET_FORGET, FORGET_SERIAL, &g->body, sizeof(g->body));
	ask_scripts(c);
	if (c->untaken && !c->loading)
		c->host.untaken(c->host.ctx);
}

bool helper_client_linked(const struct helper_client *c)
{
	return c->link != NULL;
}

struct helper_client *helper_client_new(const struct helper_client_host *host)
{
	struct helper_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->host = *host;
	/* The supervisor knows jobs by number, also those of an ike before us. */
	crypto_random(NULL, &c->last_job, sizeof(c->last_job));
	c->last_job >>= 1;
	ev_timer_init(&c->limit, on_limit, 0., 0.);
	c->limit.data = c;
	return c;
}

void helper_client_free(struct helper_client *c)
{
	struct query *q, *next_query;
	struct job *j, *next;

	if (!c)
		return;
	while (c->gone)
		on_forgotten(c);
	HASH_ITER (hh, c->queries, q, next_query) {
		HASH_DEL(c->queries, q);
		free(q);
	}
	HASH_ITER (hh, c->jobs, j, next) {
		HASH_DEL(c->jobs, j);
		free(j);
	}
	ev_timer_stop(c->host.loop, &c->limit);
	ipc_link_free(c->link);
	free(c);
}
