/* Whose the other end of a TCP connection within this machine is. Unix sockets tell by
 * themselves; for TCP the kernel's table of sockets has it. */
#ifndef DETOUR_TCP_OWNER_H
#define DETOUR_TCP_OWNER_H

#include "lib/addr.h"

#include <stdio.h>

/* The user of the socket that is at `from` and connected to `to`; false: there is none, or it
 * was closed or shut down, so that its user is not known (the kernel's table says root then). */
bool tcp_owner(const struct endpoint *from, const struct endpoint *to, unsigned *uid);
/* The same from an open table, as /proc/net/tcp and tcp6 are. */
bool tcp_owner_in(FILE *table, const struct endpoint *from, const struct endpoint *to,
		  unsigned *uid);

#endif
