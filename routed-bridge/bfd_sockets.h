/* The UDP sockets of BFD sessions (RFC 5881 4, 5883 5): for each session one to send from,
 * and for each interface, family and number of hops one to receive with. Sockets are bound to
 * the session's device, so that one in a VRF needs nothing more; they are made anew when the
 * device is another one under the same name. */
#ifndef DETOUR_BFD_SOCKETS_H
#define DETOUR_BFD_SOCKETS_H

#include "lib/log.h"
#include "routed-bridge/bfd_loop.h"
#include "routed-bridge/bfd_table.h"

struct bfd_sockets;

/* What comes in goes to the table. NULL: out of memory. */
struct bfd_sockets *bfd_sockets_new(struct bfd_loop *loop, struct bfd_table *table,
				    const struct log_sink *log);
void bfd_sockets_free(struct bfd_sockets *s); /* after every session was closed */
/* A session comes: p->io is this module's. What cannot be opened is tried again. */
void bfd_sockets_open(struct bfd_sockets *s, struct bfd_peer *p);
void bfd_sockets_close(struct bfd_sockets *s, struct bfd_peer *p);
/* Errors are counted; the next packet may have more luck. */
void bfd_sockets_send(struct bfd_sockets *s, struct bfd_peer *p, struct span packet);
/* A bfd_witness_of, for devices that lead to one peer alone (point-to-point). */
bool bfd_sockets_witness(void *s, const struct bfd_peer *p, struct bfd_witness *out);
/* Once a second or so: what could not be opened, devices that are others now. */
void bfd_sockets_tick(struct bfd_sockets *s);

#endif
