/* A process that takes another one's place: it goes on from what is in the store (publish.h). */
#ifndef DETOUR_RESTORE_H
#define DETOUR_RESTORE_H

#include "ipsecd/shell.h"

/* false: there is nothing to go on from, and the configuration is to be read from its files. Else
 * all is as the former process left it, and the engine's outputs are carried out; *again: it
 * was amid a reload, which is to be done again, or part of the configuration was not readable. */
bool restore_run(struct daemon *d, bool *again);

#endif
