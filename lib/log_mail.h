/* Log lines of any thread, for a sink that is one thread's: they come to its loop and are written
 * there, in their order; bounded, and what finds no room is counted. */
#ifndef DETOUR_LOG_MAIL_H
#define DETOUR_LOG_MAIL_H

#include "lib/log.h"

struct ev_loop;
struct log_mail;

/* `loop`: of the thread whose sink `to` is, which this is. NULL: out of memory. */
struct log_mail *log_mail_new(struct ev_loop *loop, const struct log_sink *to);
/* Nobody may log by it any more; what waits is written. NULL allowed. */
void log_mail_free(struct log_mail *m);
/* For any thread, as long as `m` lives. Its level is what that of `to` was in log_mail_new. */
const struct log_sink *log_mail_sink(const struct log_mail *m);

#endif
