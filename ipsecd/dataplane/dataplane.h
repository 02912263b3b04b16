/* The seam to the data planes: one table of verbs over plain data, implemented by
 * userspace (TUN + ESP), kernel (XFRM + vti or xfrm interface) and fake (tests).
 * tests/contract runs the same cases on each.
 *
 * A tunnel is a device that lives as long as its peer is configured: it keeps name
 * and ifindex through everything. The plane starts it with operstate DORMANT (linkmode
 * dormant); tunnel_set_link is the only thing that changes that. Which CHILD_SAs make a
 * tunnel usable is decided above the seam (ipsecd/tunnel.c).
 *
 * Outbound packets of a tunnel take the newest installed CHILD_SA whose `outbound` is
 * on and whose selectors match (src in local_ts, dst in remote_ts); without one they
 * are dropped and counted. Inbound packets are delivered to the tunnel of the CHILD_SA
 * they came by, after ICV, replay (RFC 4303 3.4.3) and selector check (RFC 4301 5.2).
 *
 * What a plane keeps beyond the life of the process (`persistent`): its devices, and after
 * a kill the SAs too. The next process finds them: tunnel_create takes a device of ours
 * over as it is; SAs found are the tunnel's inheritance, which passes packets (and
 * keeps the link as it was) until CHILD_SAs installed now have replaced it. */
#ifndef DETOUR_DATAPLANE_H
#define DETOUR_DATAPLANE_H

#include "ipsecd/model/child.h"
#include "ipsecd/model/conn.h"
#include "lib/log.h"

struct ev_loop;
struct worker;
struct dataplane;
struct sa_area;
struct crypto_ops;

enum dataplane_event_kind {
	DATAPLANE_CHILD_ALIVE,
	DATAPLANE_CHILD_USED_NEW,
	DATAPLANE_CHILD_SOFT_EXPIRE,
	DATAPLANE_CHILD_HARD_EXPIRE,
	DATAPLANE_CHILD_PEER_MOVED,
	DATAPLANE_ACQUIRE,
	DATAPLANE_DEVICE_CHANGED, /* someone else set the device up or down, removed or made it */
	DATAPLANE_INHERITED_GONE, /* tunnel: no SA of a former process is left */
	DATAPLANE_ESP_UNKNOWN,	  /* a packet with an SPI that there is no SA for, nor came in
				     time (ike_passed); at most 5 a second from one sender. The
				     kernel's plane does not see them */
};

struct dataplane_event {
	enum dataplane_event_kind kind;
	uint64_t child; /* CHILD_* */
	uint32_t tunnel;
	struct endpoint remote; /* PEER_MOVED, ESP_UNKNOWN */
	struct endpoint local;	/* ESP_UNKNOWN */
	uint32_t spi;		/* likewise */
	bool admin_up;		/* DEVICE_CHANGED */
	bool present;
};

#define ESP_RUN_PACKETS 64    /* at most in one run, */
#define ESP_RUN_BYTES	65507 /* as one UDP_SEGMENT message takes them */
#define ESP_RUNS	64    /* at most in one call of send_esp */

/* ESP packets (from the SPI on) of one SA, one behind another: each `size` bytes but the last,
 * which may be shorter. One packet: size is its length. The ports say how they leave: in UDP
 * (RFC 3948), or, where they are 0, bare, as IP protocol 50. */
struct esp_run {
	const struct endpoint *from, *to;
	struct span esps;
	size_t size;
	uint8_t tos;   /* DSCP and ECN of the outer header */
	bool df;       /* don't fragment, in an outer IPv4 header */
	bool sent;     /* the host's answer; false: not all of them are on their way */
	unsigned lost; /* likewise: so many are not; 0 and not sent: none is */
};

struct dataplane_host {
	/* Sends the runs in their order. */
	void (*send_esp)(void *ctx, struct esp_run *runs, size_t n);
	void (*event)(void *ctx, const struct dataplane_event *event);
	void *ctx;
	const struct crypto_ops *crypto;
	void (*random)(void *ctx, void *dst, size_t n);
	const struct log_sink *log;
	struct ev_loop *loop; /* the fake needs none */

	/* What outlives this process (area.h); the plane goes on from what is in it. It must
	 * stay open until the plane is closed. NULL: nothing does. */
	struct sa_area *area;
	/* The descriptors of TUN devices, for as long as whoever holds a copy lives (all NULL:
	 * nobody does). keep_tun: here is one, which stays the plane's. kept_tun: one that was
	 * kept under this name, the plane's from then on, or -1. drop_tun: the device goes.
	 * keep_now: no descriptor is left, and what was given to keep_tun may hold some of this
	 * process's until it is there; it is to be now (may be NULL). */
	int (*kept_tun)(void *ctx, const char *name);
	void (*keep_tun)(void *ctx, const char *name, int fd);
	void (*drop_tun)(void *ctx, const char *name);
	void (*keep_now)(void *ctx);
};

/* A thread that does packets beside the main one, and how its ESP is sent: as by dataplane_host's
 * send_esp, in that thread. */
struct dataplane_worker {
	struct worker *worker;
	void (*send_esp)(void *ctx, struct esp_run *runs, size_t n);
	void *ctx;
	const struct log_sink *log; /* for its thread */
};

enum dataplane_error {
	DATAPLANE_OK,
	DATAPLANE_NO_MEMORY,
	DATAPLANE_EXISTS,
	DATAPLANE_NOT_FOUND,
	DATAPLANE_UNSUPPORTED,
	DATAPLANE_SYSTEM, /* dataplane_last_error has the words */
};

enum dataplane_counter {
	DROP_NO_SA,
	DROP_NO_SELECTOR,
	DROP_UNKNOWN_SPI,
	DROP_REPLAY,
	DROP_ICV,
	DROP_MALFORMED,
	DROP_SELECTOR_IN,
	DROP_SEND,
	DROP_DEVICE,
	DROP_EXPIRED,
	DROP_TOO_BIG,
	DROP_ECN,
	DROP_QUEUE,
	DROP_FRAGMENT, /* AGGFRAG: an inner packet of which a part was lost; */
	DROP_AGGFRAG,  /* a payload that is none, or an SA's that has to be one and is not */
	DROP_LOOP,     /* ESP between the ends of the SA that would carry it */
	DROP_COUNTERS,
	ESP_HELD = DROP_COUNTERS, /* no drops: came before their SA, were kept, and then passed */
	AGGFRAG_GAPS,		  /* payloads that did not come in time, */
	AGGFRAG_LATES,		  /* that came later than that, */
	AGGFRAG_PADS,		  /* that were sent without anything in them, */
	AGGFRAG_MISSED,		  /* that were due at a constant rate and not sent */
	DATAPLANE_COUNTERS,
};

const char *dataplane_counter_name(enum dataplane_counter c); /* "drop-replay", ..., "held" */

struct dataplane_child_stats {
	uint64_t bytes_in, packets_in, bytes_out, packets_out;
	uint64_t drop_replay, drop_icv;
	mono_time last_in, last_out; /* 0: never */
};

/* What a device does for its plane; each goes with those before it. */
enum dataplane_offload {
	OFFLOAD_VNET = 1,     /* packets have a vnet header (vnet.h): TCP may be written joined */
	OFFLOAD_CHECKSUM = 2, /* checksums may be left to the plane */
	OFFLOAD_TSO = 4,      /* TCP comes in super-packets, IPv4 and IPv6 */
	OFFLOAD_USO = 8,      /* UDP comes and may be written joined; since Linux 6.2 */
};

/* "vnet-hdr, checksums, TSO, USO", as many of them as there are; static. */
const char *dataplane_offload_words(unsigned offloads);

struct dataplane_tunnel_info {
	int ifindex; /* 0: somebody removed the device, or an external one is not there yet */
	uint16_t mtu;
	bool link_up; /* what tunnel_set_link asked last, or what was found */
	bool admin_up;
	char name[IF_NAMESIZE]; /* the device's: one that was taken over may have another name */
	const char *kind;	/* "tun", "vti", "vti6", "xfrm" */
	struct mark mark_in, mark_out; /* in use; 0: none */
	uint32_t if_id_in, if_id_out;
	unsigned offloads;  /* enum dataplane_offload */
	unsigned inherited; /* outbound SAs of a former process that still send */
	bool as_made;	    /* nobody changed anything of what the last update set: another one
			       of the same configuration would do nothing. false: perhaps */
};

struct dataplane_ops {
	const char *name;  /* "userspace", "kernel", "fake" */
	bool encap_better; /* ESP is faster in UDP: the engine claims a NAT (RFC 7296 2.23)
			      where the configuration leaves it the choice */
	bool plain;	   /* marks, interface ids and kinds of devices do nothing */
	bool aggfrag;	   /* child_sa.flags.aggfrag is done (RFC 9347) */
	bool persistent;   /* devices outlive the process; removed by tunnel_remove and flush */
	/* Can it work here? On false `why` (size bytes) says what is missing. */
	bool (*probe)(char *why, size_t size);
	struct dataplane *(*open)(const struct dataplane_host *host);
	/* Removes what is still there; a persistent plane its SAs and policies that send, and
	 * leaves devices DORMANT, so that what is routed into them is dropped, not leaked. */
	void (*close)(struct dataplane *d);
	/* NULL where nothing outlives the process. Removes every device, SA, policy and setting
	 * that is ours from this machine, whoever made it; false: `why`. Needs no open plane,
	 * and none may be. */
	bool (*flush)(const struct log_sink *log, char *why, size_t size);
	/* Who speaks to the plane was started anew, and will say again what it wants: tunnels and
	 * CHILD_SAs that are here are claimed by tunnel_create and child_install (or _update). A
	 * plane that was just opened on an area is in this state. */
	void (*unsettle)(struct dataplane *d);
	/* The tunnels that the configuration wants are all there now, and the CHILD_SAs: what is
	 * left of a former process and was not claimed goes. */
	void (*settled)(struct dataplane *d);
	/* Can CHILD_SAs with these algorithms be installed (ESN: with extended numbers)?
	 * NULL: all that crypto.h has. */
	bool (*supports)(struct dataplane *d, uint16_t encr_id, uint16_t key_bits,
			 uint16_t integ_id, bool esn);
	/* May CHILD_SAs be for one resource alone (child_sa.resource)? Never NULL. */
	bool (*resources)(struct dataplane *d);
	/* A UDP socket of IKE: its own datagrams pass the plane's policies, and ESP that comes
	 * by it (natt) is the plane's at once where a kernel does that. NULL: nothing to do.
	 * false: last_error. */
	bool (*ike_socket)(struct dataplane *d, int fd, uint8_t family, bool natt);

	/* Creates or adopts the device, with addresses and MTU; DORMANT and admin up. One that
	 * is a tunnel of this id already, or an unclaimed one's under another id, only gets what
	 * differs: its link stays. */
	enum dataplane_error (*tunnel_create)(struct dataplane *d, uint32_t tunnel,
					      const struct tunnel_config *config);
	/* tunnel_create in two halves, for who makes many: what the kernel is asked for goes
	 * together. Nothing else is asked of a tunnel between them. Where the second one fails
	 * there is no tunnel. NULL: nothing is gained by that. */
	enum dataplane_error (*tunnel_begin)(struct dataplane *d, uint32_t tunnel,
					     const struct tunnel_config *config);
	enum dataplane_error (*tunnel_finish)(struct dataplane *d, uint32_t tunnel);
	/* Ahead of a tunnel_create with the same arguments, which then waits for less; who does not
	 * come with it removes the tunnel. NULL: nothing is gained by that. */
	void (*tunnel_prepare)(struct dataplane *d, uint32_t tunnel,
			       const struct tunnel_config *config);
	/* Addresses and MTU by difference; the device and ifindex stay. */
	enum dataplane_error (*tunnel_update)(struct dataplane *d, uint32_t tunnel,
					      const struct tunnel_config *config);
	enum dataplane_error (*tunnel_remove)(struct dataplane *d, uint32_t tunnel);
	enum dataplane_error (*tunnel_set_link)(struct dataplane *d, uint32_t tunnel, bool up);
	bool (*tunnel_info)(struct dataplane *d, uint32_t tunnel,
			    struct dataplane_tunnel_info *out);
	/* Another number whenever, of any tunnel, as_made became false or ifindex another one: as
	 * long as it is the same, who has looked at all of them knows. 0, and NULL: look. */
	uint64_t (*changes)(struct dataplane *d);
	/* The peer is known to be dead: SAs of a former process end now. NULL: there are none. */
	void (*tunnel_disinherit)(struct dataplane *d, uint32_t tunnel);

	/* A CHILD_SA that is here already, with these SPIs, algorithms and keys, goes on as it is
	 * (numbers, window, counters) and is updated; with others it is EXISTS. One that has to be
	 * here already (child_sa.resumed) and is not: NOT_FOUND. */
	enum dataplane_error (*child_install)(struct dataplane *d, const struct child_sa *child);
	/* outbound on/off, udp_encap and endpoints of an installed child; skip_out. */
	enum dataplane_error (*child_update)(struct dataplane *d, const struct child_sa *child);
	enum dataplane_error (*child_remove)(struct dataplane *d, uint64_t child);
	bool (*child_stats)(struct dataplane *d, uint64_t child, struct dataplane_child_stats *out);

	/* ESP packets that came in UDP or, with ports of 0, bare (from the SPI on), in this order:
	 * one behind another, each `size` bytes but the last, which may be shorter, with `tos` in
	 * their outer headers. They may be decrypted in place, and are the plane's until esp_flush.
	 * An SA takes both, whichever it sends (RFC 7296 2.23). `lane`: 0 in the main thread, else
	 * the number of the worker that calls. */
	void (*esp_input)(struct dataplane *d, unsigned lane, const struct endpoint *local,
			  const struct endpoint *remote, uint8_t tos, uint8_t *packets, size_t len,
			  size_t size, mono_time now);
	/* Behind one or more esp_input: all that came by them is in the devices, what there is to
	 * tell of it is told, and what the machine has answered at once may have been sent. */
	void (*esp_flush)(struct dataplane *d, unsigned lane, mono_time now);
	/* One thread more does packets, until the plane is closed: it has the next number, of which
	 * the first one's is 1, and gets a queue of each device that can have another one. It
	 * stands still (worker_pause) during the call, and while the plane is closed. NULL: packets
	 * are not this process's, or one thread's. false: last_error. */
	bool (*add_worker)(struct dataplane *d, const struct dataplane_worker *worker);
	/* IKE went to or came from this endpoint: its ESP of the next moment may be of a CHILD_SA
	 * that is installed but behind it (held.h). NULL: that is no matter here. */
	void (*ike_passed)(struct dataplane *d, const struct endpoint *remote, mono_time now);
	/* The path to a peer at this address holds less than was sent: packets of `mtu` bytes, as
	 * an ICMP message has it, or 0 where that is not known. NULL: the plane hears of it by
	 * itself. */
	void (*path_changed)(struct dataplane *d, const struct addr *remote, uint32_t mtu);
	/* ESP leaves by this device or VRF alone, "": by any: which path is a peer's. NULL: that is
	 * no matter here. */
	void (*bound)(struct dataplane *d, const char *device);
	/* Timed work (reports of aliveness, ageing); the shell calls it about once a second. */
	void (*tick)(struct dataplane *d, mono_time now);
	const uint64_t *(*counters)(struct dataplane *d); /* DATAPLANE_COUNTERS entries */
	const char *(*last_error)(struct dataplane *d);
};

extern const struct dataplane_ops dataplane_userspace;
extern const struct dataplane_ops dataplane_kernel;
extern const struct dataplane_ops dataplane_fake;

/* The MTU inside a tunnel for a path MTU and a suite (RFC 4303 2, RFC 3948): the largest
 * inner packet whose ESP packet, with outer header and UDP header, fits. */
uint16_t dataplane_inner_mtu(uint16_t path_mtu, uint8_t outer_family, bool udp_encap,
			     uint16_t encr_id, uint16_t key_bits, uint16_t integ_id);

#endif
