/* lab-probe watch: does a datagram pass one tunnel device twice? That is a loop, however
 * short, which traces between two moments do not see. */
#ifndef DETOUR_LABS_WATCH_H
#define DETOUR_LABS_WATCH_H

#include <stdint.h>

/* What lab-probe sends; both ends are on one machine, so the byte order is its own. */
struct message {
	uint32_t sequence;
	uint32_t
		run; /* tells a late answer of another run; 0: a trace's, of which many are alike */
};

/* Watches every device whose name begins with `prefix`, for datagrams from or to the UDP
 * port. Prints "ready"; then for each line of standard input what was seen since the last
 * one, as JSON: {"passed", "repeats", "missed"}. Ends with standard input. */
int run_watch(uint16_t port, const char *prefix);

#endif
