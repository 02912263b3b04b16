/* Which scripts the helper lets the supervisor run, as root, for a process that may be in an
 * attacker's hands:
 *	- a command that the helper read from the configuration files itself, any command;
 *	- one that stood there before, to undo ("down-...") what it did;
 *	- another (of a vici client's connection): the absolute path of an executable in one of
 *	  the folders in approve.c, with plain words behind it. The file, and each folder from
 *	  that one on, belongs to root, and nobody else may write it; none is a symbolic link.
 * The environment is PLUTO_* and PATH, and the latter is ours. */
#ifndef DETOUR_APPROVE_H
#define DETOUR_APPROVE_H

#include "ipsecd/ipc/helper_body.h"

#include <sys/stat.h>

struct approve_host {
	/* Did the files give this command; do they now? */
	bool (*known)(void *ctx, const char *command, bool *current);
	int (*lstat)(const char *path, struct stat *out);
	void *ctx;
	const char *path; /* PATH of the scripts */
};

/* Replaces PATH in the script's environment. false: `why`, with what would be allowed. `path_var`
 * of path_size bytes is the variable's memory. */
bool approve_script(const struct approve_host *host, struct script_view *script, char *path_var,
		    size_t path_size, char *why, size_t size);

#endif
