/* Reading what a former process published: first the configuration, then the engine's records, the
 * addresses that peers have, and then all of it goes on at once. Until then nothing is carried
 * out and nothing is published: whoever dies in the midst of it leaves the store as it was. */
#include "ipsecd/restore.h"
#include "ipsecd/publish_body.h"
#include "ipsecd/state/store.h"

#include <stdio.h>
#include <stdlib.h>

/* After so many processes in a row that died of it, what may be at fault is left out. */
#define STARTS_WITH_SAS	   3
#define STARTS_WITH_CONFIG 6

struct restore {
	struct daemon *d;
	const struct store *store;
	struct reload_host host;
	struct settings settings;
	unsigned conns, secrets, records, refused;
	bool lacking; /* part of the configuration */
};

static void complain(struct restore *r, const char *what, struct codec_result result)
{
	char why[160];

	r->lacking = true;
	log_to(r->d->log, LOG_LEVEL_ERROR, "ike", "",
	       "%s of a former process is not taken over: %s", what,
	       codec_describe(&result, why, sizeof(why)));
}

/* ---- configuration ---- */

static bool take_settings(struct restore *r)
{
	struct codec_result result;
	struct span value;

	if (!store_get(r->store, (struct store_key){STORE_SETTINGS, 0}, &value))
		return false;
	result = settings_decode(value, &r->settings);
	if (result.error) {
		complain(r, "the settings", result);
		return false;
	}
	r->host.settings(r->d, &r->settings);
	return true;
}

static bool take_pool(void *ctx, struct store_key key, struct span value)
{
	struct restore *r = ctx;
	struct publish_pool pool;
	struct codec_result result = publish_decode_pool(value, &pool);
	char why[256];

	if (result.error)
		complain(r, "a pool", result);
	else if (!memory_pool_define(pools_memory(r->d->pools), pool.name, pool.addrs, pool.dns,
				     pool.n_dns, why, sizeof(why)))
		log_to(r->d->log, LOG_LEVEL_ERROR, "pool", "", "%s", why);
	else
		publish_know(r->d->publish, PUBLISH_POOLS, pool.name, key.id);
	return true;
}

static bool take_secret(void *ctx, struct store_key key, struct span value)
{
	struct restore *r = ctx;
	struct secret *secret;
	bool with_bytes;
	struct codec_result result = secret_decode(value, &secret, &with_bytes);
	const char *error = "";

	shell_alive(r->d);
	if (result.error) {
		complain(r, "a secret", result);
		return true;
	}
	publish_know(r->d->publish, PUBLISH_SECRETS, secret->unique, key.id);
	if (r->host.load_secret(r->d, secret, &error))
		r->secrets++;
	else
		log_to(r->d->log, LOG_LEVEL_ERROR, "cfg", "", "secret not loaded: %s", error);
	return true;
}

static bool take_updown(void *ctx, struct store_key key, struct span value)
{
	char name[PUBLISH_UPDOWN_NAME];
	struct restore *r = ctx;
	struct updown_told told;
	struct codec_result result = publish_decode_updown(value, &told);

	if (result.error) {
		complain(r, "what a script was told", result);
		return true;
	}
	if (publish_updown_name(&told, name))
		publish_know(r->d->publish, PUBLISH_UPDOWN, name, key.id);
	effects_told(r->d->effects, &told);
	return true;
}

/* The device is made with the addresses that it has, or they would go and come again. */
static void expect_tunnel(struct restore *r, const char *conn, uint32_t tunnel)
{
	bool on_device = r->settings.install_virtual_ip && !r->settings.install_virtual_ip_on[0];
	struct publish_vips vips = {0};
	struct span value;

	if (on_device && store_get(r->store, (struct store_key){STORE_VIPS, tunnel}, &value) &&
	    publish_decode_vips(value, &vips).error)
		vips.n = 0;
	if (tunnel)
		tunnels_expect(r->d->tunnels, conn, tunnel, vips.addrs, vips.n);
}

static bool take_conn(void *ctx, struct store_key key, struct span value)
{
	struct restore *r = ctx;
	struct codec_result result;
	struct conn *conn;
	uint32_t tunnel;
	char why[256], *name;

	shell_alive(r->d);
	result = publish_decode_conn(value, &tunnel, &conn);
	if (result.error) {
		complain(r, "a connection", result);
		return true;
	}
	name = strdup(conn->name);
	if (!name || !publish_know(r->d->publish, PUBLISH_CONNS, name, key.id)) {
		free(name);
		conn_free(conn);
		return false;
	}
	expect_tunnel(r, name, tunnel);
	if (r->host.load_conn(r->d, conn, why, sizeof(why)))
		r->conns++;
	else
		log_to(r->d->log, LOG_LEVEL_ERROR, "cfg", name, "not loaded: %s", why);
	free(name);
	return true;
}

static void take_names(struct restore *r)
{
	for (unsigned set = 0; set < RELOAD_SETS; set++) {
		struct span value;
		const char *name;
		size_t at = 0;

		if (!store_get(r->store, (struct store_key){STORE_NAMES, set}, &value))
			continue;
		while (publish_next_name(value, &at, &name))
			reload_know(r->d->reload, set, name);
	}
}

/* ---- state ---- */

static bool take_record(void *ctx, struct store_key key, struct span value)
{
	struct restore *r = ctx;
	const struct ike_record record = {
		.kind = key.kind - STORE_ENGINE, .id = key.id, .data = value};
	char why[256];

	shell_alive(r->d);
	if (ike_engine_restore(r->d->engine, &record, why, sizeof(why))) {
		r->records++;
		return true;
	}
	r->refused++;
	log_to(r->d->log, LOG_LEVEL_WARN, "ike", "",
	       "state of a former process is not taken over: %s", why);
	return true;
}

static void hold_lease(void *ctx, const struct ike_lease_info *lease)
{
	struct restore *r = ctx;

	shell_alive(r->d);
	pools_hold(r->d->pools, lease);
}

/* What a former process announced. */
static void resume_effects(void *ctx, const struct ike_sa_info *ike,
			   const struct ike_child_info *child)
{
	struct restore *r = ctx;

	shell_alive(r->d);
	if (!child && strcmp(ike->state, "ESTABLISHED") == 0)
		early_resumed(r->d->early, ike);
	else if (child && child->announced)
		effects_child_resumed(r->d->effects, ike, child);
}

static void take_state(struct restore *r)
{
	store_each(r->store, STORE_ENGINE, UINT32_MAX, take_record, r);
	ike_engine_each_lease(r->d->engine, hold_lease, r);
}

/* ---- all of it ---- */

static void go_on(struct restore *r)
{
	struct daemon *d = r->d;

	ike_engine_resume(d->engine, mono_now());
	d->restoring = false;
	/* Known before the first output may end one of them. */
	ike_engine_each_sa(d->engine, resume_effects, r);
	effects_resumed(d->effects);
	snprintf(d->cause, sizeof(d->cause), "after a restart");
	shell_pump(d);
	publish_got_through(d->publish);
	tunnels_restored(d->tunnels);
	log_to(d->log, LOG_LEVEL_NOTICE, "ike", "",
	       "going on from a former process: %u connections, %u secrets, %u records of state%s",
	       r->conns, r->secrets, r->records,
	       r->refused ? "; some were refused, see above" : "");
}

/* As the device is now, which may be another one than it was. */
static void publish_tunnels(struct daemon *d)
{
	const struct conn *conn;
	struct tunnel_view view;

	for (unsigned n = 0; (conn = ike_engine_conn(d->engine, n)) != NULL; n++) {
		shell_alive(d);
		if (tunnels_view(d->tunnels, conn->name, &view))
			publish_conn(d->publish, conn, view.id);
	}
}

static bool take_all(struct restore *r, unsigned starts)
{
	if (!take_settings(r))
		return false;
	store_each(r->store, STORE_POOL, STORE_POOL, take_pool, r);
	store_each(r->store, STORE_SECRET, STORE_SECRET, take_secret, r);
	store_each(r->store, STORE_CONN, STORE_CONN, take_conn, r);
	store_each(r->store, STORE_UPDOWN, STORE_UPDOWN, take_updown, r);
	take_names(r);
	if (starts < STARTS_WITH_SAS)
		take_state(r);
	return true;
}

/* How often in a row a process began with this and did not last. false: too often. */
static bool worth_trying(struct daemon *d, unsigned starts)
{
	if (starts >= STARTS_WITH_SAS)
		log_to(d->log, LOG_LEVEL_ERROR, "ike", "",
		       "%u processes in a row died while they took over what is here: beginning "
		       "without %s",
		       starts, starts < STARTS_WITH_CONFIG ? "the SAs" : "it");
	return starts < STARTS_WITH_CONFIG;
}

bool restore_run(struct daemon *d, bool *again)
{
	struct restore r = {.d = d, .host = commands_reload_host(d)};
	unsigned starts =
		publish_found(d->publish) ? publish_starts(d->publish, d->setup.killed) : 0;
	struct span none;
	bool ok;

	r.store = publish_found(d->publish);
	if (!r.store)
		return false;
	*again = store_get(r.store, (struct store_key){STORE_RELOADING, 0}, &none);
	d->restoring = true;
	tunnels_restore(d->tunnels);
	publish_read_begin(d->publish);
	ok = worth_trying(d, starts) && take_all(&r, starts);
	publish_read_end(d->publish, d->engine);
	if (ok) {
		if (starts >= STARTS_WITH_SAS)
			publish_drop_engine(d->publish);
		*again |=
			r.lacking; /* the files have it, perhaps: a build that wrote it otherwise */
		publish_tunnels(d);
		go_on(&r);
		return true;
	}
	publish_forget(d->publish);
	tunnels_restored(d->tunnels);
	d->restoring = false;
	return false;
}

/* ---- for a new plane ---- */

bool shell_child(void *ctx, uint64_t id, struct child_sa *out)
{
	const struct daemon *d = ctx;

	return d->engine && ike_engine_child(d->engine, id, out);
}
