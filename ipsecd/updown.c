/* Which children are up, as their scripts were told, and with which values: "down" gets those
 * of "up", also when conn and IKE_SA are gone or the configuration has another script. */
#include "ipsecd/updown.h"

#include <stdlib.h>
#include <uthash.h>

/* A child of a conn that is up. */
struct group {
	char *key; /* conn, NUL, child */
	char *conn, *script;
	uint32_t tunnel;
	unsigned n_sas, n_envs;
	struct updown_env *envs;
	UT_hash_handle hh;
};

struct member {
	uint64_t sa;
	struct group *group;
	UT_hash_handle hh;
};

struct updown {
	struct script_runner scripts;
	double timeout;
	struct group *groups;
	struct member *members;
};

struct updown *updown_new(const struct script_runner *scripts)
{
	struct updown *u = calloc(1, sizeof(*u));

	if (u)
		*u = (struct updown){.scripts = *scripts, .timeout = 30.};
	return u;
}

void updown_set_timeout(struct updown *u, uint32_t seconds)
{
	u->timeout = seconds;
}

static void group_free(struct group *g)
{
	for (unsigned i = 0; i < g->n_envs; i++)
		updown_env_clear(&g->envs[i]);
	free(g->envs);
	free(g->script);
	free(g->conn);
	free(g->key);
	free(g);
}

static void group_forget(struct updown *u, struct group *g)
{
	HASH_DEL(u->groups, g);
	group_free(g);
}

void updown_free(struct updown *u)
{
	struct member *m, *next;
	struct group *g, *next_group;

	if (!u)
		return;
	HASH_ITER (hh, u->members, m, next) {
		HASH_DEL(u->members, m);
		free(m);
	}
	HASH_ITER (hh, u->groups, g, next_group)
		group_forget(u, g);
	free(u);
}

/* What fails of one run is in the log and does not keep the others from theirs. */
static void run(struct updown *u, struct group *g, bool up)
{
	for (unsigned i = 0; i < g->n_envs; i++) {
		struct script script = {
			.line = g->tunnel,
			.name = g->conn,
			.what = updown_env_verb(&g->envs[i], up),
			.command = g->script,
			.env = g->envs[i].vars,
			.timeout = u->timeout,
		};

		if (script.what)
			u->scripts.run(u->scripts.ctx, &script);
	}
}

static size_t key_of(const char *conn, const char *child, char **key)
{
	size_t n = strlen(conn) + 1, m = strlen(child);

	*key = malloc(n + m);
	if (!*key)
		return 0;
	memcpy(*key, conn, n);
	memcpy(*key + n, child, m);
	return n + m;
}

static bool fill(struct group *g, const char *script, const struct updown_facts *f)
{
	unsigned n = updown_env_pairs(f->child->local_ts, f->child->remote_ts);

	g->conn = strdup(f->child->conn);
	g->script = strdup(script);
	g->envs = calloc(n + 1u, sizeof(*g->envs));
	if (!g->conn || !g->script || !g->envs)
		return false;
	g->tunnel = f->child->tunnel;
	for (unsigned i = 0; i < n; i++) {
		if (updown_env_make(&g->envs[g->n_envs], f, i))
			g->n_envs++;
	}
	return true;
}

static struct group *group_of(struct updown *u, const char *script, const struct updown_facts *f)
{
	struct group *g;
	size_t len;
	char *key;

	len = key_of(f->child->conn, f->child->name, &key);
	if (!len)
		return NULL;
	HASH_FIND(hh, u->groups, key, len, g);
	if (g) {
		free(key);
		return g;
	}
	g = calloc(1, sizeof(*g));
	if (!g) {
		free(key);
		return NULL;
	}
	g->key = key;
	if (!fill(g, script, f)) {
		group_free(g);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, u->groups, g->key, len, g);
	return g;
}

static struct member *member_of(struct updown *u, uint64_t sa)
{
	struct member *m;

	HASH_FIND(hh, u->members, &sa, sizeof(sa), m);
	return m;
}

static void child_add(struct updown *u, const char *script, const struct updown_facts *facts,
		      bool tell)
{
	struct member *m;
	struct group *g;

	if (!script || member_of(u, facts->child->child_sa))
		return;
	g = group_of(u, script, facts);
	m = calloc(1, sizeof(*m));
	if (!g || !m) {
		if (g && g->n_sas == 0)
			group_forget(u, g);
		free(m);
		return;
	}
	m->sa = facts->child->child_sa;
	m->group = g;
	HASH_ADD(hh, u->members, sa, sizeof(m->sa), m);
	if (g->n_sas++ == 0 && tell)
		run(u, g, true);
}

void updown_child_up(struct updown *u, const char *script, const struct updown_facts *facts)
{
	child_add(u, script, facts, true);
}

void updown_child_resumed(struct updown *u, const char *script, const struct updown_facts *facts)
{
	child_add(u, script, facts, false);
}

void updown_child_rekeyed(struct updown *u, uint64_t old, uint64_t new)
{
	struct member *m = member_of(u, old);

	if (!m)
		return;
	HASH_DEL(u->members, m);
	m->sa = new;
	HASH_ADD(hh, u->members, sa, sizeof(m->sa), m);
}

void updown_child_down(struct updown *u, uint64_t child)
{
	struct member *m = member_of(u, child);
	struct group *g;

	if (!m)
		return;
	g = m->group;
	HASH_DEL(u->members, m);
	free(m);
	if (--g->n_sas > 0)
		return;
	run(u, g, false);
	group_forget(u, g);
}

void updown_end(struct updown *u)
{
	while (u->members)
		updown_child_down(u, u->members->sa);
}
