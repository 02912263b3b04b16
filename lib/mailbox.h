/* Messages from any thread to one thread's loop, in the order in which they were put; bounded, for
 * what is in them came from strangers. */
#ifndef DETOUR_MAILBOX_H
#define DETOUR_MAILBOX_H

#include "lib/span.h"

#include <stdbool.h>
#include <stddef.h>

struct ev_loop;
struct mailbox;

/* One message: its parts one behind another. Valid during the call. */
typedef void mailbox_taker(void *ctx, unsigned kind, struct span body);

/* `loop`: of the taker's thread, which this is. `most`: bytes that may wait. NULL: out of memory.
 */
struct mailbox *mailbox_new(struct ev_loop *loop, size_t most, mailbox_taker *taker, void *ctx);
/* Nobody may put anything any more; what waits is dropped. NULL allowed. */
void mailbox_free(struct mailbox *m);
/* From any thread. false: no room, it is lost. */
bool mailbox_put(struct mailbox *m, unsigned kind, const struct span *parts, size_t n);
/* The taker's thread takes what there is now, without waiting for its loop's turn. */
void mailbox_take(struct mailbox *m);

#endif
