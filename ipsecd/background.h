/* Going to the background once the daemon runs, not before: whoever started it sees the
 * errors and gets the true exit status. */
#ifndef DETOUR_BACKGROUND_H
#define DETOUR_BACKGROUND_H

#include <stdbool.h>

/* Forks. Only the child returns, in a session of its own and still with the caller's
 * standard error. The parent leaves with 0 when the child calls background_running, or
 * with the child's exit status when that ends without. false: no process, see errno. */
bool background_begin(void);

/* Lets the parent go; standard streams are /dev/null from here on. Does nothing without
 * background_begin. */
void background_running(void);

#endif
