/* The file system: an empty root for ike, and Landlock, which needs no privilege and holds where
 * chroot is refused. */
#include "ipsecd/sandbox_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of the first version; later ones add to it. Landlock denies those that a rule set handles. */
#define READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE LANDLOCK_ACCESS_FS_WRITE_FILE
#define ALL_V1                                                                       \
	(READ | WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |             \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                 \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |               \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ADD_V2 (1ull << 13) /* REFER: a link or name in another folder */
#define ADD_V3 (1ull << 14) /* TRUNCATE */

struct rule {
	const char *path;
	uint64_t access;
};

static const struct rule plane_rules[] = {
	{"/proc", READ}, {"/proc/sys/net", READ | WRITE}, {"/dev/net", READ | WRITE}, {NULL, 0}};
static const struct rule ike_rules[] = {{NULL, 0}};
static const struct rule helper_rules[] = {{"/", READ}, {NULL, 0}};
static const struct rule *const rules[] = {NULL, plane_rules, ike_rules, helper_rules};

static enum sandbox_done can_not(char *why, const char *what)
{
	snprintf(why, SANDBOX_WHY, "%s: %s", what, strerror(errno));
	return SANDBOX_NOT_HERE;
}

/* ---- an empty root ---- */

static bool is_empty(int folder)
{
	int again = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	unsigned n = 0;

	if (!d) {
		if (again >= 0)
			close(again);
		return false;
	}
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n == 0;
}

/* Nobody but root may have made or may fill what becomes the root. */
static bool is_safe(int folder, char *why)
{
	struct stat st;

	if (fstat(folder, &st) != 0 || st.st_uid != 0 || st.st_mode & 022)
		snprintf(why, SANDBOX_WHY, SANDBOX_ROOT " is not root's alone to write");
	else if (!is_empty(folder))
		snprintf(why, SANDBOX_WHY, SANDBOX_ROOT " is not empty");
	else
		return true;
	return false;
}

/* systemd makes it (RuntimeDirectory=, tmpfiles.d); without, we do. */
static void make_root(void)
{
	const char *last = strrchr(SANDBOX_ROOT, '/');
	char parent[sizeof(SANDBOX_ROOT)];

	snprintf(parent, sizeof(parent), "%.*s", (int)(last - SANDBOX_ROOT), SANDBOX_ROOT);
	mkdir(parent, 0755);
	mkdir(SANDBOX_ROOT, 0555);
}

enum sandbox_done sandbox_chroot(char *why)
{
	enum sandbox_done done = SANDBOX_NOT_HERE;
	int folder;

	make_root();
	folder = open(SANDBOX_ROOT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return can_not(why, SANDBOX_ROOT);
	if (is_safe(folder, why))
		done = fchdir(folder) == 0 && chroot(".") == 0 && chdir("/") == 0
			       ? SANDBOX_DONE
			       : can_not(why, "chroot to " SANDBOX_ROOT);
	close(folder);
	return done;
}

/* ---- Landlock ---- */

static bool allow(int set, const struct rule *r)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = r->access};
	bool ok;

	beneath.parent_fd = open(r->path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return errno == ENOENT; /* nothing there to be allowed */
	ok = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
	close(beneath.parent_fd);
	return ok;
}

static bool enforce(int set, const struct rule *list)
{
	for (; list->path; list++) {
		if (!allow(set, list))
			return false;
	}
	return syscall(SYS_landlock_restrict_self, set, 0) == 0;
}

enum sandbox_done sandbox_landlock(enum sandbox_role role, char *why)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = ALL_V1};
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	bool ok;
	int set;

	if (version < 1)
		return can_not(why, errno == EPERM ? "a filter of this container refuses it"
						   : "this kernel has none");
	attr.handled_access_fs |= (version >= 2 ? ADD_V2 : 0) | (version >= 3 ? ADD_V3 : 0);
	set = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (set < 0)
		return can_not(why, "a rule set");
	ok = enforce(set, rules[role]);
	if (!ok)
		can_not(why, "the rules");
	close(set);
	return ok ? SANDBOX_DONE : SANDBOX_NOT_HERE;
}
