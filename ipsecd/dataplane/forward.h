/* The packet paths of a data plane that does ESP itself: inner packet in, ESP packet
 * out, and back, with the rules of RFC 4301 5 and RFC 4303 3. It knows SAs, selectors,
 * windows, limits, counters and events; it does not know devices, sockets or clocks,
 * so that the userspace plane puts a TUN device on it, and the fake plane and the
 * fuzzer put memory.
 *
 * Events are collected while packets are handled and told in forward_report, because
 * the listener may install and remove SAs from inside the call. forward_tick
 * reports by itself; after forward_output and forward_input it is forward_flush, once a
 * batch.
 *
 * All verbs are the main thread's, whose lane is the first one. Packets may be other lanes', too,
 * of threads of their own (lane.h): what is in the way of that is forward_threads. */
#ifndef DETOUR_FORWARD_H
#define DETOUR_FORWARD_H

#include "ipsecd/dataplane/held.h"
#include "ipsecd/dataplane/lane.h"

#include <pthread.h>

#define FORWARD_WINDOW_LOCKS 64

struct forward_tunnel {
	uint32_t id;
	const char *name;	/* the device's, and for log lines; borrowed */
	struct sa *newest;	/* its SAs, newest first: sa_next */
	struct area_slot *slot; /* NULL: not kept yet */
	bool claimed;		/* by whoever speaks to the plane now (dataplane_ops.settled) */
	mono_time acquired;	/* when ACQUIRE was reported last; 0: never */
	bool acquire_due;	/* lanes set it, atomically */
	bool acquire_listed;	/* in forward.acquires, not only noted */
	bool flags_told;	/* that it can't do all that was configured */
	mono_time loop_told; /* when it was last said that it has its own ESP to send; 0: never */
	unsigned may_join;   /* COALESCE_*: what its device takes in super-packets */
	struct forward_tunnel *acquire_prev, *acquire_next; /* forward.wanting, forward.acquires */
	UT_hash_handle hh, hh_name;
};

/* What the owner of other lanes' threads does. All NULL: there are none. */
struct forward_threads {
	/* The other lanes stand still, between two packets, until it is called with false. May be
	 * nested. */
	void (*hold)(struct forward *f, bool on);
	/* release(f, object) when no other lane can have it any more; in the main thread. */
	void (*defer)(struct forward *f, void *object,
		      void (*release)(struct forward *f, void *object));
	/* From another lane: an ESP packet with an SPI that there is none for, for the first lane,
	 * which may keep it (held.h). false: there is no room for it. */
	bool (*pass)(struct forward *f, const struct endpoint *local, const struct endpoint *remote,
		     uint8_t tos, const uint8_t *packet, size_t len);
	/* From another lane: there is something to report. */
	void (*wake)(struct forward *f);
};

struct forward {
	struct dataplane_host host;
	struct forward_threads threads;
	/* Hands an inner packet or super-packet to the tunnel's device, as coalesce_out; false: it
	 * did not take it. */
	bool (*deliver)(struct forward_tunnel *t, const struct iovec *iov, size_t n);
	struct sa_area *area; /* the host's, or, `own_area`, in this process's memory */
	bool own_area;
	struct sadb sadb;
	struct forward_tunnel *tunnels, *tunnels_by_name;
	struct held held; /* packets whose SPI nobody knows yet */
	char error[192];  /* the words for the last error that a verb returned */
	struct lane lane; /* the first */
	/* What lanes noted, the latest first; and, with that, what is to be told, in its order, by
	 * the first lane. */
	struct sa *noted, *due;
	struct forward_tunnel *wanting, *acquires;
	pthread_mutex_t windows[FORWARD_WINDOW_LOCKS]; /* by SA, hashed */
};

/* As the device gave it: behind its vnet header, which is zeroes where there was none. */
struct forward_packet {
	struct virtio_net_hdr vnet;
	const uint8_t *data;
	size_t len;
	bool congested; /* it waited too long in a queue: its sender is to be told (cut_congested)
			 */
};

/* Where an ESP packet came from, for the log. */
struct forward_origin {
	const struct endpoint *remote;
	uint64_t seq;
	uint8_t tos;
};

void forward_init(struct forward *f, const struct dataplane_host *host,
		  bool (*deliver)(struct forward_tunnel *t, const struct iovec *iov, size_t n));
/* Nothing may be in it any more but what is left to the next process in the host's area. */
void forward_release(struct forward *f);
/* A lane beside the first one: sends by send_esp(ctx). */
void forward_lane_init(struct forward *f, struct lane *l, unsigned number,
		       void (*send_esp)(void *ctx, struct esp_run *runs, size_t n), void *ctx);
void forward_lane_release(struct lane *l); /* what it allocated */
/* Sets the words and gives `e` back. */
enum dataplane_error forward_fail(struct forward *f, enum dataplane_error e, const char *format,
				  ...) __attribute__((format(printf, 3, 4)));

/* The tunnel belongs to the caller and must not move. */
enum dataplane_error forward_tunnel_add(struct forward *f, struct forward_tunnel *t, uint32_t id,
					const char *name);
void forward_tunnel_remove(struct forward *f, struct forward_tunnel *t); /* and its SAs */
/* The next process finds the tunnel like this; before its first CHILD_SA. */
enum dataplane_error forward_tunnel_keep(struct forward *f, struct forward_tunnel *t,
					 const struct area_tunnel *as);
/* The tunnel that is there already with this id and this device, or with this device and
 * another id that nobody has claimed: it is claimed now, and has this id. NULL and OK: there is
 * none; NULL and EXISTS: the id or the device is another tunnel's. */
struct forward_tunnel *forward_tunnel_claim(struct forward *f, uint32_t id, const char *name,
					    enum dataplane_error *error);
struct forward_tunnel *forward_tunnel_find(const struct forward *f, uint32_t id);
/* Smallest inner MTU of the tunnel's SAs; 0 without SAs. path_mtu says what the path between the
 * outer addresses of one holds. */
uint16_t forward_tunnel_mtu(const struct forward_tunnel *t,
			    uint16_t (*path_mtu)(void *ctx, const struct addr *local,
						 const struct addr *remote),
			    void *ctx);
/* It has an SA with AGGFRAG. */
bool forward_tunnel_aggfrag(const struct forward_tunnel *t);
/* It has an SA with a peer at this address. */
bool forward_tunnel_reaches(const struct forward_tunnel *t, const struct addr *remote);

/* dataplane_ops.child_* */
enum dataplane_error forward_child_install(struct forward *f, const struct child_sa *child);
enum dataplane_error forward_child_update(struct forward *f, const struct child_sa *child);
enum dataplane_error forward_child_remove(struct forward *f, uint64_t id);
bool forward_child_stats(const struct forward *f, uint64_t id, struct dataplane_child_stats *out);

/* Of a CHILD_SA with its slot from a former process, or NULL, which is that of a new one;
 * freed where it can't go on. */
enum dataplane_error forward_child_add(struct forward *f, const struct child_sa *child,
				       struct area_slot *left);
void forward_sa_remove(struct forward *f, struct sa *sa);
/* Once the tunnels of the area are there again: the CHILD_SAs that it has of them. */
void forward_restore(struct forward *f);
/* dataplane_ops.unsettle, settled: without the tunnels themselves, which are the caller's. */
void forward_unsettle(struct forward *f);
void forward_settled(struct forward *f);
/* After each packet, and where an SA was taken over. */
void forward_check_limits(struct lane *l, struct sa *sa);
void forward_note(struct lane *l, struct sa *sa, enum sa_due what);
/* The same for an ACQUIRE of the tunnel, if it is not noted already. */
void forward_note_acquire(struct lane *l, struct forward_tunnel *t);
/* What lanes noted comes into the lists. */
void forward_collect(struct forward *f);
/* They are told of no more. */
void forward_forget_sa(struct forward *f, struct sa *sa);
void forward_forget_tunnel(struct forward *f, struct forward_tunnel *t);
/* Around what other lanes must not see half done. */
void forward_hold(struct forward *f, bool on);
/* release(f, object) once no other lane can have it any more; now, where there is none. */
void forward_defer(struct forward *f, void *object,
		   void (*release)(struct forward *f, void *object));
/* Gives contexts up of directions that have had no packet since `since`. */
void forward_drop_idle(struct forward *f, mono_time since);
/* Around an SA's window, where lanes share. */
void forward_window_lock(struct lane *l, const struct sa *sa);
void forward_window_unlock(struct lane *l, const struct sa *sa);

/* From the device to the network: cut, sealed and put into the lane's batch, which is sent when it
 * is full and by forward_flush. */
void forward_output(struct lane *l, struct forward_tunnel *t, const struct forward_packet *p,
		    mono_time now);
/* From the network to the device: dataplane_ops.esp_input. */
void forward_input(struct lane *l, const struct endpoint *local, const struct endpoint *remote,
		   uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now);
/* RFC 4301 5.2: a packet that came by this SA goes to its device; it stays where it is until
 * forward_flush. Without the outer header's fields where the SA has AGGFRAG (RFC 9347 2.2.5). */
void forward_inner(struct lane *l, struct sa *sa, const struct forward_origin *at, uint8_t *packet,
		   size_t len, mono_time now);
/* dataplane_ops.ike_passed. */
void forward_ike_passed(struct forward *f, const struct endpoint *remote, mono_time now);
/* An SA with this inbound SPI is there now: its packets that came before it pass. What there is to
 * report is left to the caller, who may be inside a call of the listener's. */
void forward_pass_held(struct forward *f, uint32_t spi, mono_time now);
/* Counts and tells packets whose SA has not come in time; forward_tick does it, too. When it is
 * wanted next, or MONO_NEVER. */
mono_time forward_drop_held(struct forward *f, mono_time now);
/* All that the lane holds leaves, and what there is to tell of it is told. */
void forward_flush(struct lane *l, mono_time now);
void forward_send(struct lane *l);
/* Where the next ESP packet is sealed. */
uint8_t *forward_place(struct lane *l, size_t len);
bool forward_seal(struct lane *l, struct sa *sa, uint64_t seq, uint8_t *inner, size_t len,
		  uint8_t next_header);
/* AGGFRAG by the clock: constant rates, and what waits for lost payloads. The first lane does it
 * for all, at its aggfrag_due; forward_flush comes behind it. */
void forward_aggfrag_run(struct lane *l, mono_time now);
/* coalesce_out of the lanes. */
void forward_deliver(void *lane, void *tunnel, const struct iovec *iov, size_t n);
void forward_tick(struct forward *f, mono_time now);
void forward_report(struct forward *f, mono_time now);

#endif
