/* What accept(2) could not do for want of descriptors or memory. The client stays in the queue
 * and makes the socket readable for ever: whoever polls it pauses, or spins. */
#ifndef DETOUR_ACCEPT_H
#define DETOUR_ACCEPT_H

#include <errno.h>
#include <stdbool.h>

#define ACCEPT_PAUSE 1. /* seconds without accepting */

static inline bool accept_ran_short(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

#endif
