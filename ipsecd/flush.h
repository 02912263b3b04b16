/* `ipsecd --flush`: what a daemon left on this machine is removed. */
#ifndef DETOUR_FLUSH_H
#define DETOUR_FLUSH_H

#include "ipsecd/options.h"

/* The exit status: 0, or 1 with the reason on standard error. */
int flush_run(const struct options *options);
/* While a process has this descriptor open, nobody else's flush_run() in this network namespace
 * removes anything, whatever its vici socket. -1: errno tells; EADDRINUSE: somebody has it. */
int flush_guard(void);

#endif
