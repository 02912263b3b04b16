/* `ipsecd --flush`: what a daemon left on this machine is removed. */
#ifndef DETOUR_FLUSH_H
#define DETOUR_FLUSH_H

#include "ipsecd/options.h"

/* The exit status: 0, or 1 with the reason on standard error. */
int flush_run(const struct options *options);

#endif
