/* The secret of quick crash detection (RFC 6290 5.1) in a file, so that a reboot finds it. Made at
 * the first start; whoever has it can make peers give up SAs of this machine that it has lost. */
#ifndef DETOUR_CRASH_SECRET_H
#define DETOUR_CRASH_SECRET_H

#include "ipsecd/ike/engine.h"

#define CRASH_SECRET	  "crash-secret" /* as supervisor and ike call it */
#define CRASH_SECRET_PATH "/var/lib/detour/crash-secret"

/* How people are told of it, with why. */
#define CRASH_SECRET_LOST "peers will see a crash of this machine late (quick crash detection): %s"

/* Read-only, of the file `path`, which is made if it is not there (as is its folder). If it can't
 * be kept or is not good, of memory with a new secret, and `why` says so; else why is "".
 * -1: not even that. The caller closes it. */
int crash_secret_open(const char *path, char *why, size_t size);
/* From an open one, which stays open. */
bool crash_secret_read(int fd, uint8_t out[IKE_QUICK_CRASH_SECRET]);

#endif
