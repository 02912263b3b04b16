/* The anti-replay window of one inbound SA (RFC 4303 3.4.3) and, with extended
 * sequence numbers, the high 32 bits that the wire does not carry (RFC 4303 2.2.1,
 * Appendix A). Pure.
 *
 * Order of use: replay_infer gives the whole number, replay_check says whether it may
 * still be accepted, and only after the ICV has verified replay_commit marks it:
 * a forged packet never moves the window. */
#ifndef DETOUR_REPLAY_H
#define DETOUR_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_WINDOW_MIN 64
#define REPLAY_WINDOW_MAX 4096
#define REPLAY_WORDS_MAX  (REPLAY_WINDOW_MAX / 64 + 1)
#define REPLAY_BYTES_MAX  (sizeof(struct replay) + REPLAY_WORDS_MAX * sizeof(uint64_t))

struct replay {
	/* Not 0: a commit of this number has begun; the window may lie in memory that outlives
	 * the process, which may end in the midst of it. */
	uint64_t pending;
	uint64_t top;	/* highest number that was authenticated; 0: none yet */
	uint16_t size;	/* packets */
	uint16_t words; /* of the ring in use */
	bool esn;
	bool enforce; /* false: numbers are tracked, nothing is refused */
	uint64_t bits[];
};

/* How many bytes the struct has for this window. */
size_t replay_bytes(uint16_t window);
/* window 0: no replay check. Others are brought into 64..4096. */
void replay_init(struct replay *r, uint16_t window, bool esn);
/* A window that another process left, for the same SA: ends the commit that was under way. */
void replay_resume(struct replay *r, uint16_t window, bool esn);
/* The whole sequence number behind the 32 bits on the wire; 0 when there can be none. */
uint64_t replay_infer(const struct replay *r, uint32_t low);
bool replay_check(const struct replay *r, uint64_t seq);
void replay_commit(struct replay *r, uint64_t seq);

#endif
