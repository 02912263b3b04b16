/* The data-plane contract: cases that every implementation of dataplane.h passes.
 * cases_*.c speak only of two planes, A and B, and of packets; a driver per plane
 * (driver_*.c) knows how a packet gets into a device and out of it. */
#ifndef DETOUR_CONTRACT_H
#define DETOUR_CONTRACT_H

#include "ipsecd/dataplane/dataplane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PACKET_MAX 2048
#define QUEUE_MAX  64
#define EVENTS_MAX 64
#define TUNNEL	   7 /* the tunnel id that both sides use */

struct packet {
	size_t len;
	struct endpoint from, to;
	uint8_t data[PACKET_MAX];
};

/* One plane with what it sent and what it reported. */
struct side {
	struct dataplane *plane;
	char device[IF_NAMESIZE];
	struct packet sent[QUEUE_MAX]; /* ESP packets not yet carried */
	unsigned n_sent;
	struct dataplane_event events[EVENTS_MAX];
	unsigned n_events;
	bool refuse_send;
	uint64_t remove_on_event;   /* not 0: a child that the listener removes */
	struct dataplane_host more; /* area and the descriptors of TUN devices, if any */
};

struct world {
	struct side a, b;
	mono_time now;
};

struct contract_driver {
	const struct dataplane_ops *ops;
	struct ev_loop *loop;
	/* The side's device exists: be ready to see what comes out of it. */
	void (*watch)(struct side *s);
	void (*unwatch)(struct side *s);
	/* This host routes a packet into the device; on return the plane has dealt with it. */
	void (*transmit)(struct side *s, struct span packet, mono_time now);
	/* What came out of the device, oldest first; 0: nothing. */
	size_t (*received)(struct side *s, uint8_t *out, size_t size);
	/* May be null: a moment for a kernel that works beside the test, on a busy machine, or
	 * ciphers in the background. */
	void (*wait)(struct side *s);
	bool (*oper_up)(struct side *s); /* UP; else DORMANT (anything else fails the test) */
	void (*set_admin)(struct side *s, bool up); /* what the operator does */
	mono_time (*now)(void);

	/* What a kernel does otherwise, and no plane can change (docs/dataplane.md, "kernel"); all
	 * false: as the contract says. */
	bool alone;	       /* what a killed plane leaves is tested elsewhere */
	bool apart;	       /* the planes are in two namespaces: an ifindex may come twice */
	bool told_late;	       /* a limit is told at the packet behind it, or from tick */
	bool refuses_nothing;  /* there is no way to make it refuse a packet after sealing it */
	bool one_drop_out;     /* no SA and no selector are one counter */
	bool coarse_drops_in;  /* malformed ones are counted as not authentic or not selected */
	bool expired_is_gone;  /* an SA at its hard limit is no more: later packets find none */
	bool device_is_lookup; /* a device that is down is not found: its SAs aren't */
	bool stack_checks;     /* lengths inside are checked by the stack behind the device */
	bool stack_selects;    /* selectors, too: what the device shows may yet be dropped */
	bool behind_a_link;    /* what was told before a removal may arrive behind it */
	bool moves_by_older;   /* any authentic packet may tell of a new endpoint */
};

extern const struct contract_driver *contract;

void side_open(struct side *s, const char *device); /* without a tunnel */
/* Two planes with a tunnel each; cmocka setup and teardown. */
int world_setup(void **state);
int world_teardown(void **state);
struct tunnel_config config_for(const struct side *s);

/* A pair of CHILD_SAs that match: `*a` sends what `*b` receives. n makes ids, SPIs and keys. */
struct suite_case {
	uint16_t encr, bits, integ;
	bool esn;
};
void child_pair(unsigned n, const struct suite_case *suite, struct child_sa *a, struct child_sa *b);
void install(struct side *s, const struct child_sa *child);
/* AES-GCM-128 without ESN, installed on both sides. */
void install_pair(struct world *w, unsigned n, struct child_sa *a, struct child_sa *b);

/* A UDP packet of `len` bytes (at least 48) from 10.1.0.<host> or fd00:1::<host> to
 * 10.2.0.<host> or fd00:2::<host>, or backwards. */
struct span udp_packet(uint8_t *out, uint8_t family, unsigned host, size_t len, bool back);
/* An ESP packet as the peer of `child` (whose inbound SA it is) could have made it. */
struct packet forge(const struct child_sa *child, uint64_t seq, uint8_t next_header,
		    struct span inner);

void input(struct world *w, struct side *to, const struct packet *p);
/* Where limits are told late: the plane looks at its counters now. */
void look(struct world *w, struct side *s);
/* Everything `from` sent, to `to`. */
void carry(struct world *w, struct side *from, struct side *to);
void expect_received(struct side *s, struct span packet);
void expect_nothing(struct side *s);
/* Transmit at `from`, carry, receive at `to`. */
void pass(struct world *w, struct side *from, struct side *to, struct span packet);
uint64_t dropped(struct side *s, enum dataplane_counter c);
/* Drops for want of an SA or of a selector. */
void expect_unsent(struct side *s, uint64_t no_sa, uint64_t no_selector);
/* How many events of this kind were reported; the last one in *event when not NULL. */
unsigned events(const struct side *s, enum dataplane_event_kind kind,
		struct dataplane_event *event);

/* Each group of cases runs itself (cmocka counts an array where it is defined). */
int contract_device_cases(const char *plane);
int contract_packet_cases(const char *plane);
int contract_event_cases(const char *plane);
int contract_restore_cases(const char *plane);
int contract_run(const struct contract_driver *driver);

#endif
