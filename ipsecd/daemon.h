/* The running daemon: everything wired together on one loop. */
#ifndef DETOUR_DAEMON_H
#define DETOUR_DAEMON_H

#include "ipsecd/options.h"

/* Runs until a signal ends it; `running` is called once it serves its clients and the
 * configuration is in force. The exit status: 0 a regular end, 1 could not start, 2 a
 * configuration with errors. */
int daemon_run(const struct options *options, void (*running)(void));

#endif
