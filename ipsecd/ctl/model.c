/* The daemon's connections and SAs in one picture: list-conns and list-sas, joined by
 * name, with a state for each. Understands strongSwan's answers too, which have no link
 * and no reason. */
#include "ipsecd/ctl/ctl.h"
#include "lib/words.h"

#include <stdio.h>
#include <stdlib.h>

struct reading {
	json_t *conns;	 /* array, in order */
	json_t *by_name; /* object: the same, to be found */
	bool failed;
};

static json_t *find(json_t *conns, const char *name)
{
	json_t *conn;
	size_t i;

	json_array_foreach (conns, i, conn) {
		if (strcmp(json_text(conn, "name"), name) == 0)
			return conn;
	}
	return NULL;
}

static json_t *add_conn(struct reading *r, const char *name, json_t *config)
{
	json_t *conn = json_pack("{s:s, s:O, s:[]}", "name", name, "config", config, "sas");

	if (!conn || json_array_append_new(r->conns, conn) < 0 ||
	    json_object_set(r->by_name, name, conn) < 0)
		return NULL;
	return conn;
}

/* What no packet holds comes in several, each with all but the section that is long. */
static bool go_on(json_t *to, json_t *part, const char *section)
{
	json_t *have = json_object_get(to, section), *more = json_object_get(part, section);

	if (!more)
		return true;
	return (have ? json_object_update(have, more) : json_object_set(to, section, more)) == 0;
}

static void on_conn(void *ctx, struct span name, struct span body)
{
	struct reading *r = ctx;
	json_t *all = json_from_vici(body), *config, *conn;
	const char *key;

	(void)name;
	json_object_foreach (all, key, config) {
		conn = json_object_get(r->by_name, key);
		r->failed |= conn ? !go_on(json_object_get(conn, "config"), config, "children")
				  : !add_conn(r, key, config);
	}
	r->failed |= !all;
	json_decref(all);
}

static bool add_sa(json_t *sas, json_t *sa)
{
	json_t *last = json_array_get(sas, json_array_size(sas) - 1);
	json_t *id = json_object_get(sa, "uniqueid");

	if (last && json_equal(json_object_get(last, "uniqueid"), id))
		return go_on(last, sa, "child-sas");
	return json_array_append(sas, sa) == 0;
}

static void on_sa(void *ctx, struct span name, struct span body)
{
	struct reading *r = ctx;
	json_t *all = json_from_vici(body), *sa, *conn, *none = json_object();
	const char *key;

	(void)name;
	json_object_foreach (all, key, sa) {
		conn = json_object_get(r->by_name, key);
		if (!conn)
			conn = add_conn(r, key, none);
		r->failed |= !conn || !add_sa(json_object_get(conn, "sas"), sa);
	}
	r->failed |= !all;
	json_decref(none);
	json_decref(all);
}

static bool has_installed(const json_t *conn)
{
	json_t *sa, *child;
	const char *key;
	size_t i;

	json_array_foreach (json_object_get(conn, "sas"), i, sa) {
		json_object_foreach (json_object_get(sa, "child-sas"), key, child) {
			const char *state = json_text(child, "state");

			if (strcmp(state, "INSTALLED") == 0 || strcmp(state, "REKEYING") == 0 ||
			    strcmp(state, "REKEYED") == 0)
				return true;
		}
	}
	return false;
}

bool model_is_ending(const json_t *sa)
{
	return strcmp(json_text(sa, "state"), "DELETING") == 0 &&
	       json_object_size(json_object_get(sa, "child-sas")) == 0;
}

bool model_is_connecting(const json_t *sa)
{
	return strcmp(json_text(sa, "state"), "CONNECTING") == 0 ||
	       strcmp(json_text(sa, "state"), "CREATED") == 0;
}

/* Of the IKE_SAs, those that are ending (a peer refused them, say) count for neither. */
static bool has_established(const json_t *conn)
{
	json_t *sa;
	size_t i;

	json_array_foreach (json_object_get(conn, "sas"), i, sa) {
		if (!model_is_connecting(sa) && !model_is_ending(sa))
			return true;
	}
	return false;
}

static bool has_connecting(const json_t *conn)
{
	json_t *sa;
	size_t i;

	json_array_foreach (json_object_get(conn, "sas"), i, sa) {
		if (model_is_connecting(sa))
			return true;
	}
	return false;
}

/* up: packets may pass; draining: the link is down already, packets still pass;
 * established: an IKE_SA without a usable CHILD_SA; connecting; waiting: for the next
 * attempt; down: also when SAs are there and an operator set the device down. */
static const char *state_of(const json_t *conn)
{
	const json_t *config = json_object_get(conn, "config");

	if (strcmp(json_text(config, "draining"), "yes") == 0)
		return "draining";
	if (has_installed(conn))
		return strcmp(json_text(config, "shutdown"), "yes") == 0 ? "down" : "up";
	if (has_established(conn))
		return "established";
	if (has_connecting(conn))
		return "connecting";
	return json_object_get(config, "next-attempt") ? "waiting" : "down";
}

int model_read_stats(struct ctl *c, json_t **out)
{
	const struct span none = {0};
	struct span response;
	int status = ctl_call(c, "stats", none, CTL_TIMEOUT_MS, &response);

	*out = NULL;
	if (status)
		return status;
	*out = json_from_vici(response);
	return *out ? CTL_OK : ctl_error("out of memory");
}

static int read_all(struct ctl *c, struct reading *r)
{
	const struct span none = {0};
	int status;

	if (!r->conns || !r->by_name)
		return ctl_error("out of memory");
	status = ctl_stream(c, "list-conns", none, "list-conn", on_conn, r);
	if (!status)
		status = ctl_stream(c, "list-sas", none, "list-sa", on_sa, r);
	return !status && r->failed ? ctl_error("out of memory") : status;
}

int model_read(struct ctl *c, json_t **out)
{
	struct reading r = {.conns = json_array(), .by_name = json_object()};
	int status = read_all(c, &r);
	json_t *conn;
	size_t i;

	json_decref(r.by_name);
	if (status) {
		json_decref(r.conns);
		return status;
	}
	json_array_foreach (r.conns, i, conn) {
		json_object_set_new(conn, "state", json_string(state_of(conn)));
	}
	*out = r.conns;
	return CTL_OK;
}

/* "": the daemon's files do not have it, or it does not say. */
static const char *why_not_loaded(const json_t *stats, const char *name)
{
	const json_t *configuration = json_object_get(stats, "configuration");

	return json_text(json_object_get(configuration, "not-loaded"), name);
}

static void say_nearest(json_t *conns, const char *name)
{
	const char **names = calloc(json_array_size(conns) + 1, sizeof(*names)), *near = NULL;
	json_t *conn;
	size_t i;

	if (names) {
		json_array_foreach (conns, i, conn) {
			names[i] = json_text(conn, "name");
		}
		near = words_nearest(name, names);
	}
	ctl_error("there is no connection '%s'%s%s%s", name, near ? ", did you mean '" : "",
		  near ? near : "", near ? "'?" : "");
	free(names);
}

json_t *model_find(struct ctl *c, json_t *conns, const char *name)
{
	json_t *conn = find(conns, name), *stats;
	const char *why;

	if (conn || model_read_stats(c, &stats))
		return conn;
	why = why_not_loaded(stats, name);
	if (*why)
		ctl_error("not loaded: %s: %s", name, why);
	else
		say_nearest(conns, name);
	json_decref(stats);
	return NULL;
}
