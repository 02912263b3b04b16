/* A thread with an event loop of its own, beside the one that made it: who does the same work with
 * other packets. It takes no signals.
 *
 * Two ways lead from the thread that made it to what the worker uses: worker_pause, while which
 * none of its callbacks runs, so that watchers of its loop may be started and stopped; and what is
 * read under RCU (grace.h): each callback, from its begin to its end, is one read section. All
 * functions but worker_main_loop's callbacks are the maker's, one thread. */
#ifndef DETOUR_WORKER_H
#define DETOUR_WORKER_H

#include <stdbool.h>

#define WORKERS_MAX 16 /* with the thread that makes them */

struct ev_loop;
struct worker;

/* NULL: errno. */
struct worker *worker_start(void);
/* Its callbacks are no more; watchers are to be stopped before. NULL allowed. */
void worker_stop(struct worker *w);
struct ev_loop *worker_loop(const struct worker *w);
/* Until worker_resume no callback runs; waits for the one that does. May be nested. */
void worker_pause(struct worker *w);
/* The loop sees what has changed in its watchers. */
void worker_resume(struct worker *w);

#endif
