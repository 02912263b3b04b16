/* Which children are up, as their scripts were told, and with which values: "down" gets those
 * of "up", also when conn and IKE_SA are gone or the configuration has another script. */
#include "ipsecd/updown.h"

#include <stdlib.h>
#include <uthash.h>

/* A child of a conn that is up. */
struct group {
	char *key; /* conn, NUL, child */
	struct updown_told as;
	bool told;
	unsigned n_sas;
	UT_hash_handle hh;
};

struct member {
	uint64_t sa;
	struct group *group;
	UT_hash_handle hh;
};

struct updown {
	struct script_runner scripts;
	struct updown_keeper keeper;
	double timeout;
	struct group *groups;
	struct member *members;
};

struct updown *updown_new(const struct script_runner *scripts, const struct updown_keeper *keeper)
{
	struct updown *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	*u = (struct updown){.scripts = *scripts, .timeout = 30.};
	if (keeper)
		u->keeper = *keeper;
	return u;
}

void updown_set_timeout(struct updown *u, uint32_t seconds)
{
	u->timeout = seconds;
}

static void group_free(struct group *g)
{
	updown_told_clear(&g->as);
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
	for (unsigned i = 0; i < g->as.n_envs; i++) {
		struct script script = {
			.line = g->as.tunnel,
			.name = g->as.conn,
			.what = updown_env_verb(&g->as.envs[i], up),
			.command = g->as.script,
			.env = g->as.envs[i].vars,
			.timeout = u->timeout,
		};

		if (script.what)
			u->scripts.run(u->scripts.ctx, &script);
	}
}

/* Noted behind it: who is killed between does it twice rather than never. */
static void tell_up(struct updown *u, struct group *g)
{
	if (g->told)
		return;
	run(u, g, true);
	g->told = true;
	if (u->keeper.told)
		u->keeper.told(u->keeper.ctx, &g->as);
}

static void tell_down(struct updown *u, struct group *g)
{
	run(u, g, false);
	if (u->keeper.undone)
		u->keeper.undone(u->keeper.ctx, &g->as);
	group_forget(u, g);
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

static bool fill(struct updown_told *t, const char *script, const struct updown_facts *f)
{
	unsigned n = updown_env_pairs(f->child->local_ts, f->child->remote_ts);

	t->conn = strdup(f->child->conn);
	t->child = strdup(f->child->name);
	t->script = strdup(script);
	t->envs = calloc(n + 1u, sizeof(*t->envs));
	if (!t->conn || !t->child || !t->script || !t->envs)
		return false;
	t->tunnel = f->child->tunnel;
	for (unsigned i = 0; i < n; i++) {
		if (updown_env_make(&t->envs[t->n_envs], f, i))
			t->n_envs++;
	}
	return true;
}

static struct group *find(const struct updown *u, const char *conn, const char *child)
{
	struct group *g = NULL;
	char *key;
	size_t len = key_of(conn, child, &key);

	if (len)
		HASH_FIND(hh, u->groups, key, len, g);
	free(key);
	return g;
}

/* Takes what is in *as; NULL: no memory, and it is gone. */
static struct group *add(struct updown *u, struct updown_told *as)
{
	struct group *g = calloc(1, sizeof(*g));
	size_t len = g ? key_of(as->conn, as->child, &g->key) : 0;

	if (!len) {
		updown_told_clear(as);
		free(g);
		return NULL;
	}
	g->as = *as;
	*as = (struct updown_told){0};
	HASH_ADD_KEYPTR(hh, u->groups, g->key, len, g);
	return g;
}

static struct group *group_of(struct updown *u, const char *script, const struct updown_facts *f)
{
	struct group *g = find(u, f->child->conn, f->child->name);
	struct updown_told as = {0};

	if (g || !script)
		return g;
	if (fill(&as, script, f))
		return add(u, &as);
	updown_told_clear(&as);
	return NULL;
}

static struct member *member_of(struct updown *u, uint64_t sa)
{
	struct member *m;

	HASH_FIND(hh, u->members, &sa, sizeof(sa), m);
	return m;
}

void updown_child_up(struct updown *u, const char *script, const struct updown_facts *facts)
{
	struct member *m;
	struct group *g;

	if (member_of(u, facts->child->child_sa))
		return;
	g = group_of(u, script, facts);
	m = g ? calloc(1, sizeof(*m)) : NULL;
	if (!m) {
		if (g && g->n_sas == 0 && !g->told)
			group_forget(u, g);
		return;
	}
	m->sa = facts->child->child_sa;
	m->group = g;
	HASH_ADD(hh, u->members, sa, sizeof(m->sa), m);
	g->n_sas++;
	tell_up(u, g);
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
	if (--g->n_sas == 0)
		tell_down(u, g);
}

void updown_end(struct updown *u)
{
	while (u->members)
		updown_child_down(u, u->members->sa);
}

/* ---- a former process's ---- */

void updown_know(struct updown *u, struct updown_told *told)
{
	struct group *g = find(u, told->conn, told->child);

	if (g) {
		updown_told_clear(told);
		return;
	}
	g = add(u, told);
	if (g)
		g->told = true;
}

void updown_resumed(struct updown *u)
{
	struct group *g, *next;

	HASH_ITER (hh, u->groups, g, next) {
		if (g->n_sas == 0)
			tell_down(u, g);
	}
}
