/* What somebody tries who has taken one of our processes over. */
#ifndef DETOUR_CONTRACT_ATTACKS_H
#define DETOUR_CONTRACT_ATTACKS_H

#include "ipsecd/sandbox_parts.h"

/* What the process had before it entered the sandbox. */
struct loot {
	int icmp, icmp6; /* raw sockets, mute */
	int netlink;	 /* rtnetlink */
	int memfd;	 /* holds a program */
	int far_end;	 /* of a connection; -1 in who attacks */
	pid_t parent;	 /* the supervisor, as it were: root */
	void *parents;	 /* an address that is mapped there, too */
};

struct attack {
	const char *name;
	unsigned roles; /* SANDBOX_ROLE of who tries it */
	/* -1 and errno: it was refused. */
	long (*run)(const struct loot *loot);
	/* The system call that the log names. NULL: the kernel refuses (no capability, another
	 * user, Landlock), and the filter need not. */
	const char *told;
	int error; /* errno */
};

extern const struct attack attacks[]; /* ends with a NULL name */

#endif
