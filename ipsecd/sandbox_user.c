/* Another user and next to no capabilities, with every way back closed. */
#include "ipsecd/sandbox_parts.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TUN_DEVICE "/dev/net/tun"

/* User 0 is nobody special, and a change of the user changes no capability by itself. */
#define SECURE_BITS                                                                              \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                         \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

#define NONE (-1)

static const int plane_keeps[] = {CAP_NET_ADMIN, CAP_NET_RAW, NONE};
static const int ike_keeps[] = {NONE};
static const int helper_keeps[] = {CAP_DAC_READ_SEARCH, NONE};

/* An updown script may do what root does, but none sets clocks, boots, reads the memory of other
 * processes or takes a machine's security apart. */
static const int supervisor_drops[] = {CAP_AUDIT_CONTROL, CAP_AUDIT_READ,
				       CAP_BLOCK_SUSPEND, CAP_BPF,
				       CAP_LEASE,	  CAP_LINUX_IMMUTABLE,
				       CAP_MAC_ADMIN,	  CAP_MAC_OVERRIDE,
				       CAP_PERFMON,	  CAP_SYSLOG,
				       CAP_SYS_BOOT,	  CAP_SYS_PACCT,
				       CAP_SYS_PTRACE,	  CAP_SYS_RAWIO,
				       CAP_SYS_TIME,	  CAP_SYS_TTY_CONFIG,
				       CAP_WAKE_ALARM,	  NONE};

static const int *const keeps[] = {NULL, plane_keeps, ike_keeps, helper_keeps};

const char *sandbox_capabilities(enum sandbox_role role)
{
	static const char *const text[] = {"fewer capabilities", "CAP_NET_ADMIN and CAP_NET_RAW",
					   "no capabilities", "CAP_DAC_READ_SEARCH"};

	return text[role];
}

static enum sandbox_done can_not(char *why, const char *what)
{
	snprintf(why, SANDBOX_WHY, "%s: %s", what, strerror(errno));
	return SANDBOX_NOT_HERE;
}

static bool look_up(const char *name, struct sandbox_user *out)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry || entry->pw_uid == 0)
		return false;
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->uid = entry->pw_uid;
	out->gid = entry->pw_gid;
	return true;
}

enum sandbox_done sandbox_user_find(struct sandbox_user *out, char *why)
{
	*out = (struct sandbox_user){.uid = 0};
	if (look_up(SANDBOX_USER, out))
		return SANDBOX_DONE;
	if (look_up("nobody", out))
		snprintf(why, SANDBOX_WHY,
			 "there is no user '" SANDBOX_USER "' (systemd-sysusers "
			 "makes it, or useradd --system); it is nobody");
	else
		snprintf(why, SANDBOX_WHY,
			 "there is neither user '" SANDBOX_USER "' nor nobody: still root");
	return SANDBOX_NOT_HERE;
}

/* Where others may not open it, only root can make TUN devices. */
static bool tun_is_for_all(void)
{
	struct stat st;

	return stat(TUN_DEVICE, &st) != 0 || (st.st_mode & 06) == 06;
}

static bool is_already(const struct sandbox_user *user)
{
	uid_t real, effective, saved;

	return getresuid(&real, &effective, &saved) == 0 && real == user->uid &&
	       effective == user->uid && saved == user->uid;
}

static enum sandbox_done change_user(const struct sandbox_user *user, char *why)
{
	if (is_already(user)) /* the service manager has made us it */
		return SANDBOX_DONE;
	if (setgroups(0, NULL) != 0)
		return can_not(why, "setgroups");
	if (setresgid(user->gid, user->gid, user->gid) != 0)
		return can_not(why, "setresgid");
	if (setresuid(user->uid, user->uid, user->uid) != 0)
		return can_not(why, "setresuid");
	return SANDBOX_DONE;
}

static void choose(enum sandbox_role role)
{
	const int *list = keeps[role] ? keeps[role] : supervisor_drops;

	if (!keeps[role]) {
		for (; *list != NONE; list++)
			capng_update(CAPNG_DROP,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
					     CAPNG_BOUNDING_SET,
				     (unsigned)*list);
		return;
	}
	capng_clear(CAPNG_SELECT_ALL);
	for (; *list != NONE; list++)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned)*list);
}

/* Without root's user id and without new privileges no exec gives a capability: what the bounding
 * set and root's special treatment would allow is out of reach. */
static bool bounds_matter(void)
{
	return getuid() == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

/* What the kernel says afterwards, not what was asked for. */
static enum sandbox_done verify(enum sandbox_role role, char *why)
{
	unsigned kept = 0, has = 0, last = 63;

	capng_clear(CAPNG_SELECT_ALL);
	if (capng_get_caps_process() != 0)
		return can_not(why, "reading capabilities");
	for (const int *list = keeps[role]; *list != NONE; list++)
		kept += capng_have_capability(CAPNG_PERMITTED, (unsigned)*list) == 1;
	for (unsigned cap = 0; cap <= last && capng_capability_to_name(cap); cap++)
		has += capng_have_capability(CAPNG_PERMITTED, cap) == 1 ||
		       (bounds_matter() && capng_have_capability(CAPNG_BOUNDING_SET, cap) == 1);
	if (has == kept)
		return SANDBOX_DONE;
	snprintf(why, SANDBOX_WHY, "%u capabilities are left that should be gone", has - kept);
	return SANDBOX_NOT_HERE;
}

/* The first thing that went wrong is what is told; the rest is given up all the same. */
static void keep_first(char *why, const char *more)
{
	if (!*why)
		snprintf(why, SANDBOX_WHY, "%s", more);
}

static void lock_bounds(enum sandbox_role role, char *why)
{
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		can_not(why, "dropping from the bounding set");
	else if (role != SANDBOX_SUPERVISOR && prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) != 0)
		can_not(why, "locking the secure bits");
}

/* The order matters: each of the first two needs a capability that the last one drops. */
static void give_up(enum sandbox_role role, const struct sandbox_user *user, char *why)
{
	char one[SANDBOX_WHY] = "";

	if (user && role == SANDBOX_PLANE && !is_already(user) && !tun_is_for_all())
		keep_first(why, TUN_DEVICE " is root's alone here: still root");
	else if (user && change_user(user, one) != SANDBOX_DONE)
		keep_first(why, one);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0 && can_not(one, "dropping capabilities"))
		keep_first(why, one);
	if (role != SANDBOX_SUPERVISOR && capng_apply(CAPNG_SELECT_AMBIENT) != 0 &&
	    can_not(one, "dropping ambient capabilities"))
		keep_first(why, one);
}

enum sandbox_done sandbox_user_become(enum sandbox_role role, const struct sandbox_user *user,
				      char *why)
{
	char one[SANDBOX_WHY];
	bool may_lock;

	*why = '\0';
	if (capng_get_caps_process() != 0)
		return can_not(why, "reading capabilities");
	may_lock = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1;
	choose(role);
	if (may_lock || bounds_matter())
		lock_bounds(role, why);
	give_up(role, user, why);
	if (role != SANDBOX_SUPERVISOR && verify(role, one) != SANDBOX_DONE)
		keep_first(why, one);
	return *why ? SANDBOX_NOT_HERE : SANDBOX_DONE;
}
