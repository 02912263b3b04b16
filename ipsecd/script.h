/* Scripts of the operator's, run beside the daemon: never inside its loop, one at a time and
 * in order for each line (a tunnel), with a time limit. What they print and how they
 * fail goes to the log and harms nothing else. */
#ifndef DETOUR_SCRIPT_H
#define DETOUR_SCRIPT_H

#include "lib/log.h"

#include <stddef.h>

#define SCRIPTS_AT_ONCE 8 /* of different lines */

struct ev_loop;
struct scripts;

/* PATH of scripts where this process has none. */
#define SCRIPT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct scripts_host {
	struct ev_loop *loop; /* the default one: only that hears of children's ends */
	const struct log_sink *log;
	/* The last one has ended. May be NULL. */
	void (*idle)(void *ctx);
	/* One with a number has ended, or could not be begun. May be NULL. */
	void (*ended)(void *ctx, uint64_t job);
	void *ctx;
};

struct script {
	uint64_t job;	     /* 0: nobody wants to know of its end */
	uint32_t line;	     /* one after another within it */
	const char *name;    /* for the log: the conn's */
	const char *what;    /* "up-client" */
	const char *command; /* for /bin/sh -c */
	char *const *env;    /* all of it, NULL at the end */
	double timeout;	     /* seconds; then SIGTERM and, two seconds later, SIGKILL */
};

/* Who runs scripts: this process, or another one that it asks. */
struct script_runner {
	bool (*run)(void *ctx, const struct script *script); /* copies; logs why not */
	size_t (*left)(void *ctx);			     /* running and waiting */
	void *ctx;
};

struct scripts *scripts_new(const struct scripts_host *host);
/* What runs is killed, what waits is forgotten. */
void scripts_free(struct scripts *s);

/* Everything is copied. false: no memory, and the log has it. */
bool scripts_run(struct scripts *s, const struct script *script);
size_t scripts_left(const struct scripts *s); /* running and waiting */
struct script_runner scripts_runner(struct scripts *s);

#endif
