/* The supervisor: ipsecd as three processes (role.h) and this one, which starts them, connects
 * them with each other, starts again what dies, and keeps what must outlive them (keep.h). It
 * parses nothing of the network's and holds no key outside of memory that it never maps. */
#ifndef DETOUR_SUPERVISE_H
#define DETOUR_SUPERVISE_H

#include "ipsecd/options.h"

/* As daemon_run. */
int supervise_run(const struct options *options, void (*running)(void));
/* Is this the next program in a supervisor's process? It is in the background already. */
bool supervise_is_continued(void);
/* `ipsecd --before-stop`, by root while we still run: with keep-on-stop, a timer that cleans up
 * when there is no next start. The exit status. */
int supervise_before_stop(const struct options *options);
/* `ipsecd --check-upgrade`: says what this binary understands, then as --check. */
int supervise_check_upgrade(const struct options *options);

#endif
