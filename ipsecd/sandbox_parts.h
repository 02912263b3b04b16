/* The parts of the sandbox: each gives one thing up, for good. They log nothing. */
#ifndef DETOUR_SANDBOX_PARTS_H
#define DETOUR_SANDBOX_PARTS_H

#include "ipsecd/sandbox.h"

#include <stdint.h>

#define SANDBOX_WHY 192

/* What came of a part. */
enum sandbox_done {
	SANDBOX_DONE,
	SANDBOX_NOT_HERE, /* this machine or container can't: `why` */
	SANDBOX_LEFT_OUT  /* on purpose: `why` */
};

/* ---- sandbox_user.c: user, groups, capabilities ---- */

struct sandbox_user {
	char name[33];
	uid_t uid;
	gid_t gid;
};

/* SANDBOX_USER, else nobody. */
enum sandbox_done sandbox_user_find(struct sandbox_user *out, char *why);
/* Becomes the user and keeps the role's capabilities; no set has others. `user` NULL: stays. */
enum sandbox_done sandbox_user_become(enum sandbox_role role, const struct sandbox_user *user,
				      char *why);
/* For a log line: "CAP_NET_ADMIN, CAP_NET_RAW" or "no capabilities". */
const char *sandbox_capabilities(enum sandbox_role role);

/* ---- sandbox_files.c ---- */

/* The root of ike becomes an empty directory. */
enum sandbox_done sandbox_chroot(char *why);
/* Landlock; after PR_SET_NO_NEW_PRIVS. */
enum sandbox_done sandbox_landlock(enum sandbox_role role, char *why);

/* ---- sandbox_calls.c: pure tables ---- */

/* Allowed whatever the arguments. A name that this library does not know is left out. */
struct sandbox_list {
	unsigned roles;		  /* SANDBOX_ROLE of each */
	const char *const *names; /* NULL-terminated */
};

#define SANDBOX_ROLE(role) (1u << (role))

enum sandbox_when {
	WHEN_MASK,  /* (args[arg] & mask) == value */
	WHEN_EQUAL, /* args[arg] == value */
	WHEN_SELF   /* args[arg] is this process */
};

/* Allowed with some arguments. Several rows of one name: any of them. */
struct sandbox_call {
	const char *name;
	unsigned roles;
	enum sandbox_when when;
	unsigned arg;
	uint64_t mask, value;
	struct {
		unsigned arg;
		uint64_t mask, value;
	} also; /* a mask of 0: nothing more */
};

const struct sandbox_list *sandbox_lists(void); /* ends with NULL names */
const struct sandbox_call *sandbox_calls(void); /* ends with a NULL name */
/* Calls that send on a descriptor or give it another number: names, NULL-terminated. */
const char *const *sandbox_mute_calls(void);

/* ---- sandbox_seccomp.c, sandbox_report.c ---- */

enum sandbox_done sandbox_seccomp(const struct sandbox *what, char *why);
/* Takes SIGSYS. false: a refused call can't be told and continued on this architecture. */
bool sandbox_report_begin(const struct sandbox *what);

#endif
