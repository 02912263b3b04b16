/* From the messages of one BMP connection to the table of paths. Pure: messages and the time
 * in, calls of paths.h out.
 *
 * What bgpd 8.4 to 10.3 sends needs four things put right (docs/routed-bridge.md has the
 * observations): our own AS stands in front of an eBGP peer's AS_PATH; a session with
 * RFC 8950's next hops has no next hop for IPv4; a path whose next hop was not resolved when
 * it came is told as a withdrawal, and not told again when it is (bmp_resync.h); and what is
 * before our policy comes in the same stream. */
#ifndef DETOUR_BMP_FEED_H
#define DETOUR_BMP_FEED_H

#include "lib/log.h"
#include "lib/mono.h"
#include "routed-bridge/bmp.h"
#include "routed-bridge/paths.h"

struct bmp_feed;

struct bmp_feed_count {
	uint64_t messages, announced, withdrawn;
	uint64_t unknown;	  /* messages of types that are not known */
	uint64_t not_post_policy; /* route monitoring that is not used: another RIB's */
	uint64_t not_up;	  /* route monitoring of peers that were not told to be up */
	uint64_t faults;	  /* announcements that count as withdrawn (RFC 7606) */
	uint64_t doubts;	  /* withdrawals of paths that were not there */
};

/* A connection was made: what the table has is stale until it is told again. `log` gets
 * faults of messages. NULL when out of memory. */
struct bmp_feed *bmp_feed_new(struct paths *paths, const struct log_sink *log, mono_time now);
void bmp_feed_free(struct bmp_feed *f); /* the table stays as it is */

/* One message. Anything but BMP_OK: the connection is of no use any more. BMP_OK with
 * *ended set: the other side ends it, `why` says for what reason. */
enum bmp_error bmp_feed_take(struct bmp_feed *f, const struct bmp_message *m, mono_time now,
			     struct bmp_fault *fault, bool *ended, char *why, size_t size);

/* When bmp_feed_expire is due: it sweeps what nobody told again. MONO_NEVER: it was done. */
mono_time bmp_feed_deadline(const struct bmp_feed *f);
void bmp_feed_expire(struct bmp_feed *f, mono_time now);

/* Every peer has told all it has. */
bool bmp_feed_synced(const struct bmp_feed *f);
/* When the last route came: of the table, or a change. */
mono_time bmp_feed_last_route(const struct bmp_feed *f);
mono_time bmp_feed_took(const struct bmp_feed *f); /* from the beginning to the last route */
/* "FRRouting 8.4.4", as the other side calls itself; "" before that. */
const char *bmp_feed_speaker(const struct bmp_feed *f);
struct bmp_feed_count bmp_feed_count(const struct bmp_feed *f);

#endif
