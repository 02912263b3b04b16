/* Handles on the fake data plane, for tests of what stands above the seam. Its devices
 * are memory: packets go in with fake_transmit and come out of fake_received; ESP, SAs,
 * windows, selectors and events are the real ones (forward.h), over whatever
 * crypto_ops the host gives. It needs no event loop, no root and no kernel. */
#ifndef DETOUR_FAKE_H
#define DETOUR_FAKE_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/dataplane/vnet.h"

enum fake_verb {
	FAKE_TUNNEL_CREATE,
	FAKE_TUNNEL_UPDATE,
	FAKE_TUNNEL_REMOVE,
	FAKE_TUNNEL_SET_LINK,
	FAKE_CHILD_INSTALL,
	FAKE_CHILD_UPDATE,
	FAKE_CHILD_REMOVE,
	FAKE_VERBS,
};

/* One call of the seam, in the order made, refused ones included. */
struct fake_call {
	enum fake_verb verb;
	enum dataplane_error result;
	uint32_t tunnel;
	uint64_t child; /* CHILD_* */
	bool on;	/* SET_LINK: up; CHILD_INSTALL and CHILD_UPDATE: outbound */
};

/* All calls since open or fake_forget; valid until the next call. */
const struct fake_call *fake_calls(const struct dataplane *d, unsigned *n);
void fake_forget(struct dataplane *d);
/* The next call of this verb is refused with `e` (and changes nothing). */
void fake_refuse(struct dataplane *d, enum fake_verb verb, enum dataplane_error e);

/* A packet that this host routes into the tunnel's device, or a super-packet. false: no such
 * tunnel. */
bool fake_transmit(struct dataplane *d, uint32_t tunnel, struct span packet, mono_time now);
bool fake_transmit_super(struct dataplane *d, uint32_t tunnel, const struct virtio_net_hdr *vnet,
			 struct span packet, mono_time now);
/* Takes the oldest packet that came out of the tunnel; 0 when there is none. */
size_t fake_received(struct dataplane *d, uint32_t tunnel, uint8_t *out, size_t size);

/* What an operator does to the device: reported as DATAPLANE_DEVICE_CHANGED. */
void fake_set_admin(struct dataplane *d, uint32_t tunnel, bool up);
/* Any other event, as if the plane had seen its cause. */
void fake_event(struct dataplane *d, const struct dataplane_event *event);

#endif
