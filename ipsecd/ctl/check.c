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

/* false: there is none, or it is ipsecd's default. */
static bool find_beside(const char *config, char *out, size_t size)
{
	const char *slash = strrchr(config, '/');
	int folder = slash ? (int)(slash - config) + 1 : 0;

	return snprintf(out, size, "%.*sipsec.secrets", folder, config) < (int)size &&
	       strcmp(config, "/etc/ipsec.conf") != 0 && access(out, F_OK) == 0;
}

int command_check(struct ctl *c)
{
	char daemon[PATH_MAX], beside[PATH_MAX];
	const char *file = c->argc ? c->argv[0] : NULL, *argv[7] = {"ipsecd", "--check"};
	unsigned n = 2;

	if (file && !c->secrets && find_beside(file, beside, sizeof(beside)))
		c->secrets = beside;
	if (file) {
		argv[n++] = "--config";
		argv[n++] = file;
	}
	if (c->secrets) {
		argv[n++] = "--secrets";
		argv[n++] = c->secrets;
	}
	find_daemon(daemon, sizeof(daemon));
	execvp(daemon, (char *const *)(uintptr_t)argv);
	return ctl_error("%s: %s", daemon, strerror(errno));
}
