/* Inside the userspace plane: what its files share.
 *
 *	userspace.c          the table of verbs, opening and closing, the tick
 *	userspace_packets.c  packets between devices, queue and packet paths
 *	userspace_lane.c     the lanes: what each thread has, and how the first one gets in between
 *	userspace_device.c   a tunnel's TUN device: made, taken over, its MTU and addresses,
 *			     what others do to it */
#ifndef DETOUR_USERSPACE_H
#define DETOUR_USERSPACE_H

#include "ipsecd/dataplane/device.h"
#include "ipsecd/dataplane/forward.h"
#include "ipsecd/dataplane/fq.h"
#include "ipsecd/dataplane/tun.h"
#include "lib/worker.h"

#include <ev.h>

struct mss;
struct netlink_monitor;
struct grace;
struct mailbox;

/* One thread's: the main one's, or a worker's. */
struct userspace_lane {
	struct dataplane *plane;
	struct lane *lane;
	struct worker *worker; /* NULL: the main thread's */
	struct ev_loop *loop;
	struct fq *queue;
	ev_timer more; /* something waits in the queue */
};

/* A queue of a tunnel's device, which one lane reads. */
struct tunnel_queue {
	struct tunnel *tunnel;
	struct userspace_lane *lane;
	int fd;
	ev_io readable;
	unsigned taken; /* packets at once, when there were any last */
	struct tunnel_queue *next;
};

struct tunnel {
	struct forward_tunnel forward; /* first: forward hands it back */
	struct dataplane *plane;
	struct tunnel_config config;
	struct tun tun;
	struct dataplane_tunnel_info info; /* as told to the kernel, or heard from it */
	bool present;			   /* the device is there */
	bool unfinished; /* whether the kernel refuses to set it up is not known yet */
	bool untold;	 /* what happened to it before the plane was opened */
	bool dirty;	 /* the monitor told of it: look at it anew */
	struct tunnel *dirty_prev, *dirty_next; /* dataplane.dirty */
	uint16_t path;	   /* the narrowest of its SAs, when it was looked up last; 0: never */
	mono_time path_at; /* then */
	unsigned announce; /* ticks in which the addresses are told again */
	struct tunnel_queue queue; /* the first lane's: its descriptor is tun.fd */
	struct tunnel_queue *more; /* the other lanes' */
	UT_hash_handle by_ifindex;
};

/* A device that was given up, and is there until whoever keeps a copy of its descriptor closes it.
 */
struct going {
	int ifindex;
	UT_hash_handle hh;
};

struct dataplane {
	struct forward forward;
	struct netlink *netlink;
	struct netlink_monitor *monitor;
	struct mss *mss;
	ev_io changes;
	uint64_t n_changes;	 /* for dataplane_ops.changes */
	bool blind;		 /* the monitor has failed: what others do is not seen any more */
	char bound[IF_NAMESIZE]; /* by which device or VRF the sockets send alone; "": any */
	bool qdisc_refused;	 /* and said so */
	bool plain; /* devices are set up without what the kernel refused (device_fill) */
	bool later; /* the device that is made now is finished by userspace_device_finish */
	unsigned n_unfinished;
	bool refused;  /* something that was asked for one of these */
	ev_timer held; /* packets that wait for their SA, and what those that had it brought */
	struct tunnel *by_ifindex, *dirty;
	struct going *going;
	struct tunnel *asked; /* without workers: whose device was written to; NULL: none since */
	ev_timer clock;	      /* forward.lane.aggfrag_due, */
	mono_time clock_at;   /* as it is set */
	struct userspace_lane first, *lanes[WORKERS_MAX];
	unsigned n_lanes;
	bool queues_short; /* was said */
	/* With other lanes: what they no longer see, what they pass on, and that they noted
	 * something. */
	struct grace *grace;
	struct mailbox *passed;
	ev_async noted;
	uint64_t counters[DATAPLANE_COUNTERS];
};

/* Sets the words, with the kernel's. */
enum dataplane_error userspace_failed(struct dataplane *d, const struct tunnel *t, const char *what,
				      int error);
/* What the next process finds. */
enum dataplane_error userspace_keep(struct tunnel *t);

/* ---- userspace_device.c ---- */

/* Makes the device, or takes one that was kept, and sets it up; on failure there is none. */
enum dataplane_error userspace_device_create(struct tunnel *t);
/* With dataplane.later several devices are set up in one call of the kernel: behind this it is
 * done, or there is none. */
enum dataplane_error userspace_device_finish(struct tunnel *t);
/* The device of a former process, as it was; one that can't be taken is made anew. */
void userspace_device_restore(struct tunnel *t, const struct area_tunnel *as);
void userspace_device_detach(struct tunnel *t);
void userspace_device_forget(struct tunnel *t); /* what the monitor told of it */
enum dataplane_error userspace_device_set_addrs(struct tunnel *t, const struct tunnel_config *from,
						const struct tunnel_config *to);
void userspace_device_announce(struct tunnel *t);
int userspace_device_set_mtu(struct tunnel *t);
void userspace_device_mtu_follows(struct tunnel *t);
/* A path holds less than it did: `mtu`, or 0 when that is not known. */
void userspace_device_path_changed(struct tunnel *t, uint32_t mtu);
/* `announce`: how many more devices may announce their addresses in this tick; netlink_send_held
 * ends it. */
void userspace_device_tick(struct tunnel *t, mono_time now, unsigned *announce);
/* 0 is none; name "": it is not known whose. */
void userspace_device_not_told(struct dataplane *d, const char *name, int error);
bool userspace_changes_open(struct dataplane *d);

/* ---- userspace_going.c ---- */

void userspace_going_add(struct dataplane *d, int ifindex);
/* It has gone; false: it was not one. */
bool userspace_going_take(struct dataplane *d, int ifindex);
/* Its name is wanted now. true: it may be free. */
bool userspace_going_end(struct dataplane *d, const char *name);
void userspace_going_free(struct dataplane *d);

/* ---- userspace_lane.c ---- */

bool userspace_lanes_open(struct dataplane *d); /* the first one; false: out of memory */
void userspace_lanes_close(struct dataplane *d);
bool userspace_add_worker(struct dataplane *d, const struct dataplane_worker *worker);
/* The queues of a device, for each lane that there is: opened before anybody has it; read from now
 * on, and no more, while the lanes stand still; closed behind that. */
void userspace_queues_open(struct tunnel *t);
void userspace_queues_read(struct tunnel *t);
void userspace_queues_stop(struct tunnel *t);
void userspace_queues_close(struct tunnel *t);
/* What waits of it is dropped. */
void userspace_lanes_forget(struct dataplane *d, const struct tunnel *t);
/* What other lanes have passed on so far comes to the first one now. */
void userspace_take_passed(struct dataplane *d);

/* ---- userspace_packets.c ---- */

void userspace_packets_open(struct dataplane *d);
void userspace_packets_close(struct dataplane *d);
void userspace_readable(struct ev_loop *loop, ev_io *w, int revents); /* tunnel_queue.readable */
void userspace_more(struct ev_loop *loop, ev_timer *w, int revents);  /* userspace_lane.more */
bool userspace_write(struct forward_tunnel *f, const struct iovec *iov, size_t n);
/* A CHILD_SA with this SPI is there: what came before it passes. */
void userspace_pass_held(struct dataplane *d, uint32_t spi);
void userspace_esp_input(struct dataplane *d, unsigned lane, const struct endpoint *local,
			 const struct endpoint *remote, uint8_t tos, uint8_t *packets, size_t len,
			 size_t size, mono_time now);
void userspace_esp_flush(struct dataplane *d, unsigned lane, mono_time now);
/* CHILD_SAs were installed, changed or removed, or told of: what the first lane does by the clock.
 */
void userspace_set_clock(struct dataplane *d);
const uint64_t *userspace_counters(struct dataplane *d);

#endif
