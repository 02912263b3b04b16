/* Entering the sandbox of a role: the order of the parts, and what is said about them. */
#include "ipsecd/sandbox_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 4096 /* clients, not an attacker's table */
#define MEMORY_MAX \
	((rlim_t)1 << 30) /* of a memfd, which the supervisor would keep after our death */

static const char *const role_names[] = {"supervisor", "plane", "ike", "helper"};
static const char *const mode_names[] = {"try", "require", "off", NULL};

struct entering {
	const struct sandbox *what;
	char *why;
	size_t size;
	char done[256]; /* for the last line */
};

const char *sandbox_role_name(enum sandbox_role role)
{
	return role_names[role];
}

const char *const *sandbox_mode_words(void)
{
	return mode_names;
}

bool sandbox_parse_mode(const char *word, enum sandbox_mode *out)
{
	for (unsigned i = 0; mode_names[i]; i++) {
		if (strcmp(word, mode_names[i]) == 0) {
			*out = (enum sandbox_mode)i;
			return true;
		}
	}
	return false;
}

static void note(struct entering *e, const char *part)
{
	size_t at = strlen(e->done);

	snprintf(e->done + at, sizeof(e->done) - at, "%s%s", at ? ", " : "", part);
}

/* What can't be done is a warning or, where all is required, the end. */
static bool took(struct entering *e, const char *part, enum sandbox_done done, const char *why)
{
	const char *role = role_names[e->what->role];

	if (done == SANDBOX_DONE) {
		note(e, part);
		return true;
	}
	if (done == SANDBOX_LEFT_OUT) {
		log_to(e->what->log, LOG_LEVEL_DEBUG, "job", role, "sandbox: no %s: %s", part, why);
		return true;
	}
	if (e->what->mode == SANDBOX_REQUIRE) {
		snprintf(e->why, e->size, "sandbox of %s: %s: %s", role, part, why);
		return false;
	}
	log_to(e->what->log, LOG_LEVEL_WARN, "job", role, "sandbox: going on without %s: %s", part,
	       why);
	return true;
}

static void lower(int resource, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0)
		return;
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
}

/* Keys are in all of them, or in what they map. */
static void keep_memory_private(void)
{
	lower(RLIMIT_CORE, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Names are looked up while there are files. `user` 0: stays. That the user is missing is a
 * warning of the supervisor's, once, not of each process that becomes another one. */
static bool find_user(struct entering *e, struct sandbox_user *user)
{
	enum sandbox_done done;
	char why[SANDBOX_WHY];
	bool go_on;

	done = sandbox_user_find(user, why);
	if (geteuid() != 0 && user->uid != geteuid()) { /* that of who started us, for good */
		*user = (struct sandbox_user){.uid = 0};
		return true;
	}
	go_on = done == SANDBOX_DONE || e->what->mode != SANDBOX_REQUIRE;
	if (!go_on || e->what->role == SANDBOX_SUPERVISOR)
		go_on = done == SANDBOX_DONE || took(e, "a user of its own", done, why);
	if (e->what->role == SANDBOX_SUPERVISOR)
		*user = (struct sandbox_user){.uid = 0};
	return go_on;
}

static bool become_user(struct entering *e, const struct sandbox_user *user)
{
	char why[SANDBOX_WHY], part[96];

	snprintf(part, sizeof(part), "%s%s%s", user->uid ? "user " : "", user->name,
		 user->uid ? " with " : "");
	snprintf(part + strlen(part), sizeof(part) - strlen(part), "%s",
		 sandbox_capabilities(e->what->role));
	return took(e, part, sandbox_user_become(e->what->role, user->uid ? user : NULL, why), why);
}

static bool no_new_privileges(struct entering *e)
{
	int error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;

	return took(e, "no new privileges", error ? SANDBOX_NOT_HERE : SANDBOX_DONE,
		    strerror(error));
}

/* An empty root and no file at all by Landlock: either will do, both are better. A service that
 * is not root has but the second. */
static bool close_files(struct entering *e, enum sandbox_done root, const char *root_why)
{
	char why[SANDBOX_WHY];
	enum sandbox_done landlock = sandbox_landlock(e->what->role, why);

	if (e->what->role == SANDBOX_IKE &&
	    !took(e, "empty root",
		  root == SANDBOX_NOT_HERE && landlock == SANDBOX_DONE ? SANDBOX_LEFT_OUT : root,
		  root_why))
		return false;
	return took(e, "Landlock", landlock, why);
}

static bool confine(struct entering *e, const struct sandbox_user *user)
{
	char why[SANDBOX_WHY], root_why[SANDBOX_WHY] = "";
	enum sandbox_done root = SANDBOX_DONE;

	if (e->what->role == SANDBOX_IKE)
		root = sandbox_chroot(root_why);
	if (!no_new_privileges(e) || !become_user(e, user))
		return false;
	keep_memory_private(); /* another user id made it dumpable again */
	/* helper has a process read the files, plane may have threads (sandbox_calls.c). */
	if (e->what->role == SANDBOX_IKE)
		lower(RLIMIT_NPROC, 0);
	return close_files(e, root, root_why) &&
	       took(e, "seccomp", sandbox_seccomp(e->what, why), why);
}

bool sandbox_enter(const struct sandbox *what, char *why, size_t size)
{
	struct entering e = {.what = what, .why = why, .size = size};
	struct sandbox_user user;

	keep_memory_private();
	if (what->mode == SANDBOX_OFF) {
		log_to(what->log, LOG_LEVEL_WARN, "job", role_names[what->role],
		       "sandbox: off, as asked: this process keeps its privileges");
		return true;
	}
	if (what->role == SANDBOX_IKE || what->role == SANDBOX_HELPER) {
		lower(RLIMIT_NOFILE, FILES_MAX);
		lower(RLIMIT_FSIZE, MEMORY_MAX);
	}
	tzset(); /* reads a file, which is out of reach later */
	if (!find_user(&e, &user) ||
	    !(what->role == SANDBOX_SUPERVISOR ? become_user(&e, &user) : confine(&e, &user)))
		return false;
	log_to(what->log, LOG_LEVEL_DEBUG, "job", role_names[what->role], "sandbox: %s", e.done);
	return true;
}
