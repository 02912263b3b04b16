/* Configuration files into the daemon, by difference.
 *
 * Owns the memory of which conns and secrets came from the files, so that a reload can
 * take out what is gone and never touches what vici clients loaded. Everything is read
 * and checked before the first change. */
#include "ipsecd/reload.h"
#include "ipsecd/known.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

/* Devices are made by another process meanwhile; their number bounds what waits between us. */
#define AHEAD	    1024
#define MUCH	    512 /* connections: megabytes */

#define MORE	    "; and more, see the log"
#define AGAIN	    (10 * MONO_S)
#define FAILURE_MAX 800 /* what a client's answer has room for */

/* Somebody who asked for a reload. */
struct asked {
	struct asked *next;
	uint64_t tag;
	bool later; /* since the files are being read: for them they are read once more */
};

struct reload {
	const struct options *options;
	struct reload_host host;
	struct asked *asked;
	bool reading;
	bool current; /* the last reading is in force: the next may leave out what did not change */
	struct known_set conns, secrets;
	uint64_t names; /* counts their changes */
	struct reload_counters counters;
	mono_time again_at; /* before that reload_again waits */
	const char *again;  /* why it does; NULL: it does not */
	char failure[FAILURE_MAX];
};

/* ---- what is said of it ---- */

static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

static void report(const struct reload *r, const struct config_errors *errors)
{
	for (unsigned i = 0; i < errors->n; i++) {
		static const enum log_level levels[] = {[CONFIG_ERROR] = LOG_LEVEL_ERROR,
							[CONFIG_WARNING] = LOG_LEVEL_WARN,
							[CONFIG_NOTE] = LOG_LEVEL_NOTICE};
		const struct config_message *m = &errors->list[i];
		enum log_level level = levels[m->kind];

		if (m->line)
			log_to(r->host.log, level, "cfg", "", "%s:%u:%u: %s", m->file, m->line,
			       m->column, m->text);
		else
			log_to(r->host.log, level, "cfg", "", "%s: %s", m->file, m->text);
	}
}

/* ---- what went wrong, for who asked ---- */

/* One more; that some have no room is said by the last. */
__attribute__((format(printf, 2, 3))) static void add_failure(struct reload *r, const char *format,
							      ...)
{
	size_t at = strlen(r->failure), room = FAILURE_MAX - 40 - at;
	const char *between = at ? "; " : "";
	char text[FAILURE_MAX];
	va_list args;

	if (strstr(r->failure, MORE))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (strlen(between) + strlen(text) < room)
		snprintf(r->failure + at, FAILURE_MAX - at, "%s%s", between, text);
	else
		snprintf(r->failure + at, FAILURE_MAX - at, "%s", MORE);
}

static void refuse(struct reload *r, struct known *k, const char *source, const char *why)
{
	bool stays = ike_engine_conn_named(r->host.engine, k->name) != NULL;
	char text[512];

	snprintf(text, sizeof(text), "%s (%s)%s", why, source,
		 stays ? "; the one before stays in force" : "");
	log_to(r->host.log, LOG_LEVEL_ERROR, "cfg", k->name, "not loaded: %s", text);
	add_failure(r, "not loaded: %s: %s", k->name, text);
	free(k->refused);
	k->refused = strdup(text);
}

/* The first of the errors. */
static void add_error(struct reload *r, const struct config_errors *errors)
{
	const struct config_message *m = errors->list, *end = m + errors->n;

	while (m < end && m->kind != CONFIG_ERROR)
		m++;
	if (m < end && m->line)
		add_failure(r, "%s:%u:%u: %s", m->file, m->line, m->column, m->text);
	else if (m < end)
		add_failure(r, "%s: %s", m->file, m->text);
}

const char *reload_failure(const struct reload *r)
{
	return r->failure;
}

void reload_each_refused(const struct reload *r,
			 void (*cb)(void *ctx, const char *name, const char *why), void *ctx)
{
	for (const struct known *k = r->conns.all; k; k = k->hh.next) {
		if (k->refused)
			cb(ctx, k->name, k->refused);
		else if (k->told && !ike_engine_conn_named(r->host.engine, k->name))
			cb(ctx, k->name,
			   "refused by a process before this one: its log has why, "
			   "and so has a reload");
	}
}

/* ---- what was known ---- */

/* NULL when out of memory. */
static struct known *remember(struct reload *r, struct known_set *set, const char *name)
{
	bool new;
	struct known *k = known_add(set, name, &new);

	r->names += k && new;
	return k;
}

static void forget(struct reload *r, struct known_set *set, struct known *k)
{
	r->names++;
	known_remove(set, k);
}

/* ---- the difference ---- */

/* false: not all of them are in. */
static bool load_secrets(struct reload *r, struct config *config)
{
	bool all = true;

	for (unsigned i = 0; i < config->n_secrets; i++) {
		const struct secret *old;
		struct secret *s = config->secrets[i];
		const char *error = "";

		if (!remember(r, &r->secrets, s->unique)) {
			all = false;
			continue;
		}
		old = ike_engine_secret_named(r->host.engine, s->unique);
		if (old && secret_equal(old, s))
			continue;
		config->secrets[i] = NULL;
		if (r->host.load_secret(r->host.ctx, s, &error))
			continue;
		log_to(r->host.log, LOG_LEVEL_ERROR, "cfg", "", "secret not loaded: %s", error);
		add_failure(r, "secret not loaded: %s", error);
		all = false;
	}
	return all;
}

/* Nothing is done to a device that is as it should be. */
static bool mend(const struct reload *r, const struct conn *conn)
{
	char why[256];

	if (r->host.mend_conn(r->host.ctx, conn, why, sizeof(why)))
		return true;
	log_to(r->host.log, LOG_LEVEL_ERROR, "cfg", conn->name, "its device: %s", why);
	return false;
}

static void expect(struct reload *r, struct config *config, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to && i < config->n_conns && r->host.expect_conn; i++) {
		struct conn *conn = config->conns[i].conn;

		if (!ike_engine_conn_named(r->host.engine, conn->name))
			r->host.expect_conn(r->host.ctx, conn);
	}
}

/* false: `why`. The conn is taken if it is not as it was. */
static bool load_conn(struct reload *r, struct config_conn *c, char *why, size_t size)
{
	const struct conn *old = ike_engine_conn_named(r->host.engine, c->conn->name);
	struct conn *conn = c->conn;

	if (!r->host.prepare_conn(r->host.ctx, conn, why, size))
		return false;
	if (old && conn_compare(old, conn) == CONN_SAME) {
		mend(r, old);
		return true;
	}
	c->conn = NULL;
	return r->host.load_conn(r->host.ctx, conn, why, size);
}

/* A vici client that loaded it may take it away, and what the files have is not there then. */
static bool is_of_files(const struct reload *r, const char *name)
{
	const struct conn *conn = ike_engine_conn_named(r->host.engine, name);

	return conn && !conn_from_vici(conn);
}

/* How many were refused. */
static unsigned load_conns(struct reload *r, struct config *config)
{
	unsigned refused = 0;

	expect(r, config, 0, AHEAD);
	for (unsigned i = 0; i < config->n_conns; i++) {
		struct config_conn *c = &config->conns[i];
		struct known *k = remember(r, &r->conns, c->conn->name);
		char why[256], source[128];

		expect(r, config, i + AHEAD, i + AHEAD + 1);
		if (!k)
			continue;
		snprintf(source, sizeof(source), "%s", c->conn->source ? c->conn->source : "-");
		k->told = false;
		if (load_conn(r, c, why, sizeof(why))) {
			known_digest(&r->conns, k, is_of_files(r, k->name) ? c->digest : 0);
			free(k->refused);
			k->refused = NULL;
			continue;
		}
		known_digest(&r->conns, k, 0);
		refuse(r, k, source, why);
		refused++;
	}
	if (r->host.expected)
		r->host.expected(r->host.ctx);
	return refused;
}

/* Another process left out what did not change since it read it last. */
static bool is_partial(const struct config *c)
{
	return c->n_unchanged || c->secrets_unchanged;
}

/* ... and that is here, from the same texts. */
static bool has_unchanged(const struct reload *r, const struct config *config)
{
	return !is_partial(config) || (r->current && known_covers(&r->conns, config));
}

/* What is left out stays as it is; so it is with its devices, where others changed them. */
static void keep_conns(struct reload *r, const struct config *config)
{
	const struct reload_host *host = &r->host;
	bool all = true;

	if (!is_partial(config) || (host->mend_begin && !host->mend_begin(host->ctx)))
		return;
	for (const struct known *k = r->conns.all; k; k = k->hh.next) {
		const struct conn *conn = ike_engine_conn_named(host->engine, k->name);

		if (!known_given(&r->conns, k))
			all = conn && mend(r, conn) && all;
	}
	if (host->mend_end)
		host->mend_end(host->ctx, all);
}

static void unload(struct reload *r, struct known *k)
{
	const char *error = "";

	if (ike_engine_conn_named(r->host.engine, k->name) &&
	    !r->host.unload_conn(r->host.ctx, k->name, &error))
		log_to(r->host.log, LOG_LEVEL_ERROR, "cfg", k->name, "not unloaded: %s", error);
	forget(r, &r->conns, k);
}

static void unload_conns(struct reload *r, const struct config *config)
{
	struct known *k, *next;

	for (unsigned i = 0; i < config->n_gone; i++) {
		k = known_find(&r->conns, config->gone[i]);
		if (k)
			unload(r, k);
	}
	if (is_partial(config))
		return;
	HASH_ITER (hh, r->conns.all, k, next) {
		if (!known_given(&r->conns, k))
			unload(r, k);
	}
}

static void unload_secrets(struct reload *r, const struct config *config)
{
	struct known *k, *next;
	const char *error = "";

	if (config->secrets_unchanged)
		return;
	HASH_ITER (hh, r->secrets.all, k, next) {
		if (known_given(&r->secrets, k))
			continue;
		r->host.unload_secret(r->host.ctx, k->name, &error);
		forget(r, &r->secrets, k);
	}
}

/* All names at once: each time that they change, all of them are written for a process after this
 * one. */
static void remember_names(struct reload *r, const struct config *config)
{
	for (unsigned i = 0; i < config->n_secrets; i++)
		remember(r, &r->secrets, config->secrets[i]->unique);
	for (unsigned i = 0; i < config->n_conns; i++)
		remember(r, &r->conns, config->conns[i].conn->name);
}

static void count(struct reload *r, enum reload_end end)
{
	r->counters.last_ok = end == RELOAD_DONE;
	if (end == RELOAD_DONE)
		r->counters.succeeded++;
	else
		r->counters.failed++;
	if (end != RELOAD_FAILED)
		r->counters.at = time(NULL);
}

const struct reload_counters *reload_counters(const struct reload *r)
{
	return &r->counters;
}

static void apply(struct reload *r, struct config *config)
{
	bool first = !r->conns.all;
	unsigned refused, conns, secrets;

	known_begin(&r->conns);
	known_begin(&r->secrets);
	r->host.settings(r->host.ctx, &config->settings);
	if (first) /* no device is in the way of another */
		expect(r, config, 0, AHEAD);
	remember_names(r, config);
	r->current = true;
	/* Before the conns that need them. */
	if (!load_secrets(r, config))
		reload_doubt(r);
	unload_conns(r, config); /* first: a new conn may want the device of one that is gone */
	keep_conns(r, config);
	refused = load_conns(r, config);
	unload_secrets(r, config);
	conns = HASH_COUNT(r->conns.all) - refused;
	secrets = HASH_COUNT(r->secrets.all);
	log_to(r->host.log, LOG_LEVEL_NOTICE, "cfg", "",
	       "configuration in force: %u connection%s, %u secret%s from files%s", conns,
	       plural(conns), secrets, plural(secrets),
	       refused ? "; not all connections could be loaded, see above" : "");
}

/* ---- who waits ---- */

static void begin(struct reload *r, bool whole)
{
	struct config_errors errors = {0};
	struct config config = {0};
	char why[160];

	r->reading = true;
	if (!r->host.read)
		reload_read(r, reload_files(r->options, &config, &errors), &config, &errors);
	else if (!r->host.read(r->host.ctx, whole, why, sizeof(why)))
		reload_unread(r, why);
}

static void finish(struct reload *r, enum reload_end end)
{
	struct asked *a, *next, *over = r->asked;
	char why[FAILURE_MAX]; /* the next may begin before all are told */

	memcpy(why, r->failure, sizeof(why));
	count(r, end);
	r->reading = false;
	r->asked = NULL;
	LL_FOREACH_SAFE (over, a, next) {
		if (a->later) {
			LL_DELETE(over, a);
			a->later = false;
			LL_APPEND(r->asked, a);
		}
	}
	if (r->asked)
		begin(r, !r->current);
	LL_FOREACH_SAFE (over, a, next) {
		r->host.done(r->host.ctx, a->tag, end, why);
		free(a);
	}
}

/* What was read a second time is freed in the midst of what stays: by itself the heap gives none of
 * it back, and ike of 10,000 peers would stay half as large again. */
static void give_back(struct config *config)
{
	bool much = config->n_conns >= MUCH;

	config_free(config);
	if (much)
		malloc_trim(0);
}

void reload_read(struct reload *r, bool ok, struct config *config, struct config_errors *errors)
{
	if (ok && !has_unchanged(r, config)) { /* a former process read it */
		config_errors_free(errors);
		config_free(config);
		begin(r, true);
		return;
	}
	report(r, errors);
	r->failure[0] = '\0';
	if (ok) {
		apply(r, config);
	} else {
		log_to(r->host.log, LOG_LEVEL_ERROR, "cfg", "",
		       "configuration not loaded: %u error%s; nothing was changed",
		       errors->n_errors, plural(errors->n_errors));
		add_failure(r, "errors in the configuration files, see the log; nothing was "
			       "changed");
		add_error(r, errors);
	}
	config_errors_free(errors);
	give_back(config);
	finish(r, !ok ? RELOAD_FAILED : r->failure[0] ? RELOAD_PARTLY : RELOAD_DONE);
}

void reload_unread(struct reload *r, const char *why)
{
	log_to(r->host.log, LOG_LEVEL_ERROR, "cfg", "",
	       "configuration not loaded: %s; nothing was changed", why);
	r->current = false; /* who read it may take it for what is in force */
	r->failure[0] = '\0';
	add_failure(r, "%s; nothing was changed", why);
	finish(r, RELOAD_FAILED);
}

void reload_doubt(struct reload *r)
{
	r->current = false;
}

void reload_run(struct reload *r, uint64_t tag)
{
	struct asked *a = calloc(1, sizeof(*a));

	if (!a) {
		r->host.done(r->host.ctx, tag, RELOAD_FAILED, "out of memory");
		return;
	}
	a->tag = tag;
	a->later = r->reading;
	LL_APPEND(r->asked, a);
	if (!r->reading)
		begin(r, !r->current);
}

void reload_again(struct reload *r, enum log_level level, const char *why, mono_time now)
{
	r->again = now < r->again_at ? why : NULL;
	if (r->again)
		return;
	r->again_at = now + AGAIN;
	log_to(r->host.log, level, "cfg", "", "%s: the configuration is read again", why);
	reload_doubt(r); /* also of what the helper counts as unchanged */
	reload_run(r, 0);
}

void reload_tick(struct reload *r, mono_time now)
{
	if (r->again)
		reload_again(r, LOG_LEVEL_INFO, r->again, now);
}

/* ---- the names, for a new process ---- */

uint64_t reload_names(const struct reload *r)
{
	return r->names;
}

void reload_each_name(const struct reload *r, enum reload_set set,
		      void (*cb)(void *ctx, const char *name), void *ctx)
{
	const struct known *k = set == RELOAD_CONNS ? r->conns.all : r->secrets.all;

	for (; k; k = k->hh.next)
		cb(ctx, k->name);
}

void reload_know(struct reload *r, enum reload_set set, const char *name)
{
	struct known *k = remember(r, set == RELOAD_CONNS ? &r->conns : &r->secrets, name);

	if (k)
		k->told = true;
}

/* ---- life ---- */

struct reload *reload_new(const struct options *options, const struct reload_host *host)
{
	struct reload *r = calloc(1, sizeof(*r));

	if (r)
		*r = (struct reload){.options = options, .host = *host};
	return r;
}

void reload_free(struct reload *r)
{
	struct asked *a, *later;

	if (!r)
		return;
	LL_FOREACH_SAFE (r->asked, a, later) {
		LL_DELETE(r->asked, a);
		free(a);
	}
	known_free(&r->conns);
	known_free(&r->secrets);
	free(r);
}
