/* The service manager (systemd), when one has started this process: what it is told, and the
 * descriptors it keeps for us over restarts. Without one all of this does nothing. */
#ifndef DETOUR_NOTIFY_H
#define DETOUR_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool notify_on(void); /* is there one? */

/* READY=1, STATUS=..., several with newlines between: sd_notify(3). */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For `systemctl status`; one line, whatever is in it. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
void notify_reloading(void); /* to be followed by READY=1 */

/* A duplicate is kept under the name, which has printable characters without ':', in the place
 * of what had it, and given to the next process of this unit. */
void notify_store(const char *name, int fd);
void notify_forget(const char *name);
/* What was kept; the descriptors are the callee's, and close-on-exec. Once only. */
void notify_each_stored(void (*cb)(void *ctx, const char *name, int fd), void *ctx);

/* The name of our unit, "ipsecd.service"; false: none. */
bool notify_unit(char *out, size_t size);

/* Seconds within which WATCHDOG=1 is wanted; 0: not wanted. */
double notify_watchdog(void);

/* Waits until all that was sent has been read: before the end of a process. */
void notify_barrier(void);

#endif
