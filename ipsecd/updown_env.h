/* The environment of an updown script, as strongSwan's scripts know it: PLUTO_* variables out
 * of what is known of a CHILD_SA. Pure. docs/man/ipsec.conf.5 lists them. */
#ifndef DETOUR_UPDOWN_ENV_H
#define DETOUR_UPDOWN_ENV_H

#include "ipsecd/ike/engine.h"

#define UPDOWN_VARS_MAX 56

struct updown_facts {
	const struct ike_sa_info *ike;
	const struct ike_child_info *child;
	const char *path;	       /* the search path for programs */
	const char *interface;	       /* the outer device, "" if not known */
	const char *device;	       /* the tunnel's */
	struct mark mark_in, mark_out; /* of the tunnel; value 0: none */
	uint32_t if_id_in, if_id_out;
};

/* One run of the script: one pair of selectors of the same family. */
struct updown_env {
	char suffix[12]; /* "client", "client-v6", "host", "host-v6" */
	bool failed;	 /* no memory */
	unsigned n;
	char *vars[UPDOWN_VARS_MAX + 1]; /* the verb is the first, NULL the last */
};

/* What the script of a child was told with "up": what it will be told with "down". */
struct updown_told {
	char *conn, *child, *script;
	uint32_t tunnel;
	unsigned n_envs;
	struct updown_env *envs;
};

void updown_told_clear(struct updown_told *t);

/* How many runs these selectors are. */
unsigned updown_env_pairs(const struct ts_list *mine, const struct ts_list *peers);
/* The n-th of them, verb "up-". false: no memory. */
bool updown_env_make(struct updown_env *e, const struct updown_facts *facts, unsigned n);
/* Same values, verb "up-..." or "down-..."; returns the verb, NULL without memory. */
const char *updown_env_verb(struct updown_env *e, bool up);
void updown_env_clear(struct updown_env *e);

#endif
