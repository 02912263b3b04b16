/* What the kernel answered when an IKE datagram was to be sent, by the peer's address, until one
 * leaves for there: for who asks why nothing comes back. Pure, of fixed size; of two peers in one
 * place the later one is known. */
#ifndef DETOUR_SEND_ERRORS_H
#define DETOUR_SEND_ERRORS_H

#include "lib/addr.h"
#include "lib/mono.h"

#define SEND_ERRORS_MAX 1024

struct send_errors {
	struct send_error {
		struct addr to;
		int error;	   /* errno */
		mono_time at;	   /* when it came */
		mono_time sent_at; /* when the last one was given away to be sent */
	} last[SEND_ERRORS_MAX];
};

void send_errors_failed(struct send_errors *s, const struct addr *to, int error, mono_time now);
/* Before what may follow: whether it fails is known at once, or a little later from another
 * process. */
void send_errors_sent(struct send_errors *s, const struct addr *to, mono_time now);
/* errno, 0: the last one went out. */
int send_errors_of(const struct send_errors *s, const struct addr *to, mono_time now);

#endif
