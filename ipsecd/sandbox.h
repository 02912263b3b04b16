/* What a role's process may do once its descriptors are open: the least, given up for good.
 *
 * role       | user         | capabilities       | files                   | system calls
 * supervisor | stays        | without what no    | all                     | all
 *            |              | operator's script  |                         |
 *            |              | needs              |                         |
 * plane      | SANDBOX_USER | NET_ADMIN, NET_RAW | /proc: read;            | list, with sockets of
 *            |              |                    | /proc/sys/net and       | netlink, UDP and raw
 *            |              |                    | /dev/net: write, too    |
 * ike        | SANDBOX_USER | none               | none (an empty root)    | list: no file, sockets
 *            |              |                    |                         | to listen on alone
 * helper     | SANDBOX_USER | DAC_READ_SEARCH    | all: read               | list, with sockets for
 *            |              |                    |                         | names
 *
 * In every role: no core dumps, not to be traced. In all but the supervisor: no new privileges, no
 * other program, and a system call outside of the list fails with EPERM and is told. New processes:
 * the supervisor's, and the helper's, which has one read the files.
 *
 * What the machine lacks (no seccomp, no Landlock, chroot refused in a container) is logged and
 * done without, unless SANDBOX_REQUIRE. docs/security.md has the reasons. */
#ifndef DETOUR_SANDBOX_H
#define DETOUR_SANDBOX_H

#include "lib/log.h"

#include <stddef.h>
#include <sys/types.h>

#define SANDBOX_USER "ipsecd"
#define SANDBOX_ROOT "/run/ipsecd/empty" /* made when it is not there */

enum sandbox_role { SANDBOX_SUPERVISOR, SANDBOX_PLANE, SANDBOX_IKE, SANDBOX_HELPER };

enum sandbox_mode {
	SANDBOX_TRY,	 /* what works here */
	SANDBOX_REQUIRE, /* all of it, or sandbox_enter fails */
	SANDBOX_OFF	 /* only core dumps and tracing are off */
};

struct sandbox {
	enum sandbox_role role;
	enum sandbox_mode mode;
	/* Descriptors to read from alone (raw sockets): nothing can be sent on these, nor can they
	 * be duplicated. Keep them open: a later descriptor with the same number is mute, too. */
	const int *mute_fds;
	size_t n_mute;
	const struct log_sink *log;
	/* Told of each system call that is refused, with its first three arguments: "sandbox:
	 * refused socket (41) 0x10 0x3 0x0", no newline.
	 * Called from a signal handler: async-signal-safe calls only. NULL: standard error. */
	void (*refused)(const char *text, size_t len);
};

/* Once in a process, from its only thread. Signal SIGSYS is taken. false: `why`; the process has
 * then lost some of its privileges and should end. */
bool sandbox_enter(const struct sandbox *what, char *why, size_t size);

/* try, require, off; false for another word. */
bool sandbox_parse_mode(const char *word, enum sandbox_mode *out);
const char *const *sandbox_mode_words(void); /* these, NULL-terminated */
const char *sandbox_role_name(enum sandbox_role role);

#endif
