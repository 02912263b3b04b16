/* Approving scripts. Looks at the file system through its host only. */
#include "ipsecd/approve.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* Each with a '/' at the end. */
static const char *const folders[] = {"/etc/ipsec.d/",	       "/etc/swanctl/",
				      "/usr/lib/ipsec/",       "/usr/libexec/ipsec/",
				      "/usr/local/lib/ipsec/", NULL};

/* Nothing that a shell takes for more than letters. */
static bool is_plain(const char *s)
{
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			   " /_.,:@%+=-")] == '\0';
}

/* The length of the folder's name with its '/', 0: in none of them. */
static size_t folder_of(const char *path)
{
	for (const char *const *f = folders; *f; f++) {
		if (strncmp(path, *f, strlen(*f)) == 0)
			return strlen(*f);
	}
	return 0;
}

static bool has_dots(const char *path)
{
	const char *at = path;

	while ((at = strstr(at, "/..")) != NULL) {
		if (at[3] == '/' || at[3] == '\0')
			return true;
		at += 3;
	}
	return false;
}

static bool is_roots(const struct approve_host *host, const char *path, bool folder, char *why,
		     size_t size)
{
	struct stat st;

	if (host->lstat(path, &st) != 0)
		snprintf(why, size, "%s: %s", path, strerror(errno));
	else if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		snprintf(why, size, "%s is no %s (symbolic links are not followed)", path,
			 folder ? "folder" : "regular file");
	else if (st.st_uid != 0)
		snprintf(why, size, "%s belongs to user %u, not to root", path,
			 (unsigned)st.st_uid);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		snprintf(why, size, "%s can be written by others than root (mode %03o)", path,
			 (unsigned)st.st_mode & 0777);
	else if (!folder && !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		snprintf(why, size, "%s is not executable", path);
	else
		return true;
	return false;
}

/* From the listed folder down to the file. */
static bool walk(const struct approve_host *host, char *path, size_t at, char *why, size_t size)
{
	bool ok = true;

	for (; ok && path[at]; at++) {
		if (path[at] != '/' || path[at + 1] == '\0')
			continue;
		path[at] = '\0';
		ok = is_roots(host, path, true, why, size);
		path[at] = '/';
	}
	return ok && is_roots(host, path, false, why, size);
}

static bool is_safe_file(const struct approve_host *host, const char *command, char *why,
			 size_t size)
{
	size_t len = strcspn(command, " "), folder = folder_of(command);
	char path[PATH_MAX];

	if (!folder || len >= sizeof(path) || !is_plain(command)) {
		snprintf(why, size,
			 "it is not in the configuration files; a vici client's is the path of an "
			 "executable in /etc/ipsec.d, /etc/swanctl, /usr/lib/ipsec, "
			 "/usr/libexec/ipsec or /usr/local/lib/ipsec, with plain words behind it");
		return false;
	}
	memcpy(path, command, len);
	path[len] = '\0';
	if (has_dots(path)) {
		snprintf(why, size, "%.200s: no '..' in it", path);
		return false;
	}
	return walk(host, path, folder - 1, why, size);
}

/* ---- environment ---- */

static bool is_pluto(const char *var)
{
	size_t n = strspn(var, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return strncmp(var, "PLUTO_", 6) == 0 && var[n] == '=';
}

static bool check_env(const struct approve_host *host, struct script_view *s, char *path_var,
		      size_t path_size, char *why, size_t size)
{
	int n = snprintf(path_var, path_size, "PATH=%s", host->path);

	if (n < 0 || (size_t)n >= path_size) {
		snprintf(why, size, "our own PATH is too long");
		return false;
	}
	for (unsigned i = 0; i < s->n_env; i++) {
		if (strncmp(s->env[i], "PATH=", 5) == 0) {
			s->env[i] = path_var;
		} else if (!is_pluto(s->env[i])) {
			snprintf(why, size, "variable %.60s: only PLUTO_... and PATH are passed on",
				 s->env[i]);
			return false;
		}
	}
	return true;
}

/* The verb that the script sees is the one that is approved. */
static bool verb_fits(const struct script_view *s)
{
	static const char name[] = "PLUTO_VERB=";
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_env; i++) {
		if (strncmp(s->env[i], name, sizeof(name) - 1) != 0)
			continue;
		n++;
		if (strcmp(s->env[i] + sizeof(name) - 1, s->what) != 0)
			return false;
	}
	return n == 1;
}

bool approve_script(const struct approve_host *host, struct script_view *script, char *path_var,
		    size_t path_size, char *why, size_t size)
{
	bool current;

	if (!verb_fits(script)) {
		snprintf(why, size, "PLUTO_VERB is not '%.40s'", script->what);
		return false;
	}
	if (!check_env(host, script, path_var, path_size, why, size))
		return false;
	if (host->known(host->ctx, script->command, &current) &&
	    (current || strncmp(script->what, "down-", 5) == 0))
		return true;
	return is_safe_file(host, script->command, why, size);
}
