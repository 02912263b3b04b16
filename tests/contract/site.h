/* A network namespace for one kernel plane, with a TUN device as its way out: what the kernel
 * sends into that device is what the plane has sent, and what the peer sends is written into
 * it. ESP comes by a UDP socket as ipsecd has it. */
#ifndef DETOUR_CONTRACT_SITE_H
#define DETOUR_CONTRACT_SITE_H

#include "tests/contract/contract.h"
#include "tests/contract/kernel.h"

#include <ev.h>

struct site {
	int ns, under, udp;
	struct netlink *netlink;
	struct ev_loop *loop;
	struct dataplane *plane; /* the test's to open and close */
	struct side *side;	 /* where what was sent goes; NULL: nowhere */
};

/* Makes the namespace, in which this process is then; own: the address of its way out. */
void site_open(struct site *x, const char *own);
void site_close(struct site *x);
int site_namespace(void); /* the one this process is in */
/* Into the site's namespace; what to give to site_leave. */
int site_enter(const struct site *x);
void site_leave(int was);
/* A route to `to` by this device; 0: what is for there is dropped without a word. */
void site_route(struct site *x, const char *to, int ifindex);
/* UDP (or raw where a port is 0) with ESP inside, from the network. */
void site_input(struct site *x, const struct endpoint *local, const struct endpoint *remote,
		struct span esp);
/* Lets the plane hear what the kernel told, and collects what was sent. The kernel has done
 * its part when a call returns, but for what its timers do. */
void site_pump(struct site *x);
void site_collect(struct site *x); /* the second half of it */

#endif
