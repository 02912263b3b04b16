/* TCP MSS clamp: segments of TCP connections that are forwarded through a tunnel are kept
 * small enough for it, at their start, in both directions. One nf_tables table (inet
 * "ipsecd") that is ours; the kernel is asked for nothing before a tunnel wants it. What
 * somebody else takes out of the table is put back (mss_tick). docs/dataplane.md has the
 * rules. */
#ifndef DETOUR_MSS_H
#define DETOUR_MSS_H

#include "lib/log.h"

#include <stddef.h>

struct mss;

struct mss *mss_open(const struct log_sink *log); /* NULL: out of memory */
/* Ends the clamps that were set here; the table goes with the last one. NULL is fine. */
void mss_close(struct mss *m);

/* mss: a size for both IP versions; TUNNEL_MSS_AUTO: what fits the device's MTU (0: not known
 * yet); 0: as mss_clear. May be told again and again. false: said in the log, once. */
bool mss_set(struct mss *m, const char *device, uint16_t mss, uint16_t mtu);
bool mss_clear(struct mss *m, const char *device);
/* Clamps that a former process left and that nobody has set since go. */
void mss_settled(struct mss *m);
/* About once a second. */
void mss_tick(struct mss *m);

/* Removes the table, whoever made it, without an open one. false: `why`. */
bool mss_flush(char *why, size_t size);

#endif
