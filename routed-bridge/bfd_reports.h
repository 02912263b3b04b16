/* The BFD data plane's side of bfd_link.h: one bridge at a time is told what becomes of the
 * sessions. A bridge that is slow gets the newest state later, not every state. */
#ifndef DETOUR_BFD_REPORTS_H
#define DETOUR_BFD_REPORTS_H

#include "lib/log.h"
#include "routed-bridge/bfd_loop.h"
#include "routed-bridge/bfd_table.h"

struct bfd_reports;

/* NULL: errno; EADDRINUSE: another plane serves this path. */
struct bfd_reports *bfd_reports_new(struct bfd_loop *loop, struct bfd_table *table,
				    const struct log_sink *log, const char *path);
void bfd_reports_free(struct bfd_reports *r);
void bfd_reports_changed(struct bfd_reports *r, struct bfd_peer *p);
void bfd_reports_gone(struct bfd_reports *r, const struct bfd_peer *p);
void bfd_reports_stats(struct bfd_reports *r); /* once a second */
bool bfd_reports_attached(const struct bfd_reports *r);
bool bfd_reports_stopped(const struct bfd_reports *r); /* the bridge said STOP */

#endif
