/* Hears ICMP and ICMPv6 unreachable messages, by raw sockets: so those for packets that a kernel
 * sends (XFRM) are seen as well as those for our own. Reading is limited, the rest is dropped. */
#ifndef DETOUR_ICMP_H
#define DETOUR_ICMP_H

#include "ipsecd/net/icmp_message.h"
#include "lib/log.h"

struct ev_loop;
struct icmp;

struct icmp_host {
	void (*unreachable)(void *ctx, const struct icmp_quote *quote);
	void *ctx;
	const struct log_sink *log;
};

struct icmp_counters {
	uint64_t received; /* unreachable messages */
	uint64_t refused;  /* that quote no packet of ours, or too little of it */
};

/* NULL: errno; CAP_NET_RAW is needed. A missing family is no error. Nothing is heard yet. */
struct icmp *icmp_open(struct ev_loop *loop, const struct icmp_host *host);
/* Begins or stops to hear; what came in between is dropped. NULL: nothing. */
void icmp_listen(struct icmp *i, bool on);
void icmp_close(struct icmp *i);
const struct icmp_counters *icmp_counters(const struct icmp *i);

#endif
