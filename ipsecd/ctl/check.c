/* ipsecctl check: the daemon's own parser on a file, `ipsecd --check`. */
#include "ipsecd/ctl/ctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The ipsecd beside this program, so that both are of one version; else the one in PATH. */
static void find_daemon(char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size - sizeof("ipsecd"));
	char *slash;

	if (n > 0) {
		out[n] = '\0';
		slash = strrchr(out, '/');
		if (slash) {
			memcpy(slash + 1, "ipsecd", sizeof("ipsecd"));
			if (access(out, X_OK) == 0)
				return;
		}
	}
	snprintf(out, size, "ipsecd");
}

int command_check(struct ctl *c)
{
	char daemon[PATH_MAX];
	char name[] = "ipsecd", check[] = "--check", config[] = "--config";
	char *argv[5] = {name, check, c->argc ? config : NULL, c->argc ? c->argv[0] : NULL, NULL};

	find_daemon(daemon, sizeof(daemon));
	execvp(daemon, argv);
	return ctl_error("%s: %s", daemon, strerror(errno));
}
