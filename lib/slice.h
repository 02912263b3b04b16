/* How long a process runs before others get their turn, and thereby how soon it runs once it is
 * woken. */
#ifndef DETOUR_SLICE_H
#define DETOUR_SLICE_H

#include <stdbool.h>

/* For this thread and those that it makes: turns of so many microseconds, its share of the
 * processor stays what it is. Kernels before 6.12 take no notice; who has another policy than the
 * usual keeps it. false: errno. */
bool slice_set(unsigned microseconds);

#endif
