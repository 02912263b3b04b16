/* RCU (liburcu, QSBR): workers read without a lock what one other thread, its writer, changes. What
 * the writer has taken out of their sight is freed behind a grace period: when each of them has
 * been through the end of the callback that it was in.
 *
 * A reader's section is a callback of its loop (worker.c); it costs a reader nothing else. */
#ifndef DETOUR_GRACE_H
#define DETOUR_GRACE_H

struct ev_loop;
struct grace;

/* ---- the writer ---- */

/* `loop`: of the writer's thread, which this is, in which things are freed. NULL: out of memory. */
struct grace *grace_new(struct ev_loop *loop);
/* Waits for all that is deferred, and frees it. NULL allowed. */
void grace_free(struct grace *g);
/* `object` is out of sight: release(object) is called, from the loop, when nobody can have it any
 * more. */
void grace_defer(struct grace *g, void *object, void (*release)(void *object));

/* ---- readers: worker.c ---- */

void grace_reader_begins(void); /* this thread reads, and rests now */
void grace_reader_works(void);
void grace_reader_rests(void);
void grace_reader_ends(void);

#endif
