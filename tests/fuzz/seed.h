/* Files for a fuzzer to begin with, written by programs from what the code itself encodes: their
 * format is always today's. */
#ifndef DETOUR_TEST_SEED_H
#define DETOUR_TEST_SEED_H

#include "lib/span.h"

/* FOLDER is the first argument; ends the process if there is none. */
void seed_begin(int argc, char **argv);
_Noreturn void seed_fail(const char *why);
/* The next file of it; ends the process if that can't be. */
void seed_write(struct span bytes);

#endif
