/* Questions to FRR's daemons over their vty sockets, the ones that the vtysh program uses,
 * on a libev loop; nothing blocks. Questions to one daemon are answered one after the other,
 * in the order they were asked; each daemon has its own connection, which is made when there
 * is a question and closed when there was none for a while. */
#ifndef DETOUR_VTY_H
#define DETOUR_VTY_H

#include "lib/span.h"

#define VTY_COMMAND_MAX 512
#define VTY_WAITING_MAX 256 /* questions, all daemons together */

/* ---- the framing; pure ---- */

/* An answer is text, three NULs and a byte of status. */
enum vty_status {
	VTY_SUCCESS = 0,
	VTY_WARNING = 1,
	VTY_UNKNOWN_COMMAND = 2,
	VTY_AMBIGUOUS_COMMAND = 3,
	/* more: what a command made of itself (lib/command.h of FRR) */
};

struct vty_frame {
	size_t scanned; /* bytes that were looked at */
	unsigned nuls;	/* at the end of them */
};

/* Looks for the end of an answer in all that has come so far, which has grown since the
 * last call; *f is zero at first. true: text_len bytes of text, then the end; `used` is the
 * whole answer's length. */
bool vty_frame_end(struct vty_frame *f, struct span in, size_t *text_len, uint8_t *status,
		   size_t *used);

/* ---- the client ---- */

struct ev_loop;
struct vty;

/* why: NULL, or the reason why there is no answer (then text is empty). The text is valid
 * until this returns; status is a vty_status or another byte. May ask again. */
typedef void vty_answer_cb(void *ctx, struct span text, uint8_t status, const char *why);

struct vty_limits {
	size_t answer_max; /* bytes of one answer; 0: 16 MiB */
	double patience;   /* seconds without a byte; 0: 10 */
	double idle;	   /* seconds until an unused connection is closed; 0: 10 */
};

/* `dir` has NAME.vty for each daemon; copied, as the limits are. NULL when out of memory. */
struct vty *vty_new(struct ev_loop *loop, const char *dir, const struct vty_limits *limits);
/* Forgets all questions; no callback is called any more. */
void vty_free(struct vty *v);
/* Asks `daemon` ("zebra", "bgpd"); the callback is called later, never from here. false: too
 * many questions wait, the command is too long or has a control character, no memory. */
bool vty_ask(struct vty *v, const char *daemon, const char *command, vty_answer_cb *cb, void *ctx);
/* Forgets the questions with this ctx; their callbacks are not called. */
void vty_forget(struct vty *v, const void *ctx);

#endif
