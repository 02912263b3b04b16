/* Inside the kernel plane: what its files share. The plane keeps, per tunnel, the device
 * (vti.h), the CHILD_SAs with their keys, and the policies it has set; what really is in the
 * kernel is asked where it matters and looked at anew when others changed it.
 *
 *	kernel.c          the table of verbs, opening and closing, sockets, the tick
 *	kernel_tunnel.c   tunnels: verbs, tags
 *	kernel_device.c   a tunnel's device: obtaining it, addresses, MTU, endpoints
 *	kernel_link.c     what others do to devices
 *	kernel_child.c    CHILD_SAs: verbs and states
 *	kernel_lead.c     which CHILD_SA's policies lead to those for single processors
 *	kernel_state.c    the table of states
 *	kernel_offload.c  states whose cryptography the network card does
 *	kernel_policy.c   which policies there have to be, and setting them
 *	kernel_event.c    NETLINK_XFRM's events, looking at counters, telling the host
 *	kernel_found.c    what a former process left: inheritance, settling, flush
 *	kernel_restore.c  what is in the area: claiming, restoring, settling
 *	kernel_probe.c    what this kernel can do
 *
 * Reqids are ours alone: REQID_BASE for base policies, then two numbers a CHILD_SA, so that a
 * policy's template names one state; the last bit is the direction. But the outbound state of a
 * CHILD_SA for one processor (RFC 9611) has the reqid of the general one that leads it: the
 * template names them all, and the kernel takes that of the processor it is on, if there is one. */
#ifndef DETOUR_KERNEL_H
#define DETOUR_KERNEL_H

#include "ipsecd/dataplane/area.h"
#include "ipsecd/dataplane/vti.h"
#include "ipsecd/dataplane/xfrm.h"
#include "lib/hash.h"

#include <ev.h>

struct netlink_monitor;
struct mss;

#define REQID_BASE     0x44000000u
#define REQID_LAST     0x44ffffffu
#define REQID_OUT      1u /* or-ed in: an outbound state */
#define CHILD_NUMBERS  0x7fffffu
#define PRIORITY_BASE  0x44ffffffu /* of base policies; any other is smaller, and wins */
#define PRIORITY_LEAST 0x44000000u
#define LINGER	       (5 * MONO_S) /* inherited SAs behind new ones that send */
/* Numbers that are left out when a state is made again: more than can have been sent between
 * reading the last one and the end of the old state. RFC 4303 3.3.3: none is used twice. */
#define SEQUENCE_MARGIN UINT64_C(0x10000)
#define SEQUENCE_SOFT	(UINT32_MAX / 16 * 15) /* without ESN; a sixteenth is left for the rekey */

static inline bool reqid_is_ours(uint32_t reqid)
{
	return reqid >= REQID_BASE && reqid <= REQID_LAST;
}

/* ---- states ---- */

/* How the kernel tells states apart. */
struct state_key {
	struct addr dst;
	uint32_t spi;
	struct xfrm_tag tag;
};

/* A state that is there because of us: a CHILD_SA's, or an inherited one. */
struct kernel_state {
	struct state_key key;
	struct kernel_child *child; /* NULL: inherited */
	struct found *found;	    /* inherited: with what */
	bool outbound, tracked;
	bool sends;    /* inherited: a policy leads to it */
	unsigned seen; /* round of the last look at all states that met it */
	uint32_t reqid;
	struct kernel_state *prev, *next; /* of the inheritance it belongs to */
	UT_hash_handle hh;
};

/* ---- CHILD_SAs ---- */

enum child_due { DUE_SOFT, DUE_HARD, DUE_USED_NEW, DUE_PEER_MOVED, DUE_ALIVE, DUE_CHILD_KINDS };

struct direction {
	struct kernel_state state;
	struct xfrm_state_info last; /* when last looked at */
	/* Counted by states that this one took the place of. */
	uint64_t bytes, packets, replay, icv;
	mono_time used; /* when the counter was last seen to have moved; 0: never */
};

struct kernel_child {
	struct child_sa sa; /* with its keys: states are made again when the peer moves */
	struct kernel_tunnel *tunnel;
	uint32_t number;   /* reqids */
	uint32_t priority; /* of its policies */
	struct area_slot *slot;
	struct sa_live *live; /* in the slot */
	bool claimed;
	struct direction in, out;
	uint32_t leader; /* number of the general one whose policies may lead here; 0: its own do */
	bool reached;	 /* policies have led to its outbound state: it may have sent */
	bool waits;	 /* outbound off, the inbound state's soft limit tells its first packet */
	bool soft_reported, hard_reported, used_reported;
	uint64_t heard;		  /* inbound packets when ALIVE was told last */
	mono_time alive_reported; /* 0: never */
	struct endpoint moved_to;
	mono_time moved_reported;
	unsigned due; /* 1 << enum child_due */
	struct kernel_child *due_prev, *due_next;
	struct kernel_child *prev, *next; /* of the tunnel, newest first */
	UT_hash_handle by_id, by_spi, by_number;
};

/* ---- tunnels ---- */

/* A pair of selectors with policies; the key is the outbound orientation. */
struct kernel_policy {
	struct xfrm_sel sel;
	struct xfrm_policy out; /* as set; priority 0: none */
	struct xfrm_policy in, fwd;
	struct xfrm_policy left; /* by a former process, outbound: while its SAs are inherited */
	bool base;		 /* every packet of a family: without a CHILD_SA, the base policy */
	UT_hash_handle hh;
};

enum tunnel_due { DUE_ACQUIRE, DUE_DEVICE, DUE_INHERITED_GONE };

struct kernel_tunnel {
	uint32_t id;
	struct dataplane *plane;
	struct tunnel_config config;
	struct area_slot *slot;
	bool claimed;
	struct vti vti;
	struct xfrm_tag in, out;
	struct dataplane_tunnel_info info; /* as told to the kernel, or heard from it */
	bool present;
	bool dirty; /* the monitor told of it: look at it anew */
	struct kernel_tunnel *dirty_prev, *dirty_next;
	unsigned announce; /* ticks in which the addresses are told again */
	mono_time mtu_next;
	bool offload_told;
	int offload; /* ifindex, as told; 0: the kernel's own */

	struct kernel_child *newest;
	uint32_t last_priority;
	struct kernel_policy *policies;

	struct xfrm_policy larval;	/* what the last acquire left */
	mono_time acquired, larval_end; /* 0: never, none */

	struct found *inherited;    /* what a former process left; NULL: nothing */
	struct found *inherited_in; /* likewise, where the inbound tag is another */
	mono_time inherit_end;	    /* 0: not yet */

	unsigned due; /* 1 << enum tunnel_due */
	struct kernel_tunnel *due_prev, *due_next;
	UT_hash_handle by_id, by_ifindex, by_name, by_out, by_in;
};

/* ---- what a former process left ---- */

struct found_policy {
	struct xfrm_policy policy;
	struct found_policy *prev, *next;
};

/* Everything with one tag. */
struct found {
	struct xfrm_tag tag;
	struct kernel_tunnel *tunnel; /* NULL: nobody's, and in dataplane.found */
	struct kernel_state *states;
	struct found_policy *policies;
	UT_hash_handle hh;
};

struct kernel_key { /* of a device that was there when the plane was opened */
	uint32_t key;
	UT_hash_handle hh;
};

struct kernel_ability { /* an algorithm that was tried */
	uint32_t key;
	bool works;
	UT_hash_handle hh;
};

struct dataplane {
	struct dataplane_host host;
	struct sa_area *area; /* the host's, or, `own_area`, in this process's memory */
	bool own_area;
	struct netlink *route, *xfrm;
	struct netlink_monitor *links, *events;
	struct mss *mss;
	ev_io links_readable, events_readable;
	int stat_fd;
	uint64_t stat_start[DATAPLANE_COUNTERS], drops[DATAPLANE_COUNTERS],
		drops_own[DATAPLANE_COUNTERS];
	struct kernel_tunnel *by_id, *by_ifindex, *by_name, *by_out, *by_in, *dirty;
	struct kernel_child *children, *by_spi, *by_number;
	struct kernel_state *states;
	struct found *found; /* of no tunnel yet */
	struct kernel_child *due_children;
	struct kernel_tunnel *due_tunnels;
	struct kernel_ability *abilities;
	struct kernel_key *keys;
	uint32_t last_number;
	uint32_t larval_spi;
	unsigned processors; /* of which each may have states of its own; 0: this kernel has none
				such */
	unsigned round;	     /* of looks at all states */
	bool resync;	     /* events were lost */
	bool telling;	     /* the host is being told: it may call us */
	char error[256];     /* the words for the last error that a verb returned */
};

/* Sets the words and gives `e` back. */
enum dataplane_error kernel_fail(struct dataplane *d, enum dataplane_error e, const char *format,
				 ...) __attribute__((format(printf, 3, 4)));
void kernel_say(const struct kernel_tunnel *t, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- kernel_tunnel.c ---- */

struct kernel_tunnel *kernel_tunnel_find(const struct dataplane *d, uint32_t id);
struct kernel_tunnel *kernel_tunnel_by_tag(const struct dataplane *d, const struct xfrm_tag *tag,
					   bool out);
enum dataplane_error kernel_tunnel_create(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config);
enum dataplane_error kernel_tunnel_update(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config);
enum dataplane_error kernel_tunnel_remove(struct dataplane *d, uint32_t id);
enum dataplane_error kernel_tunnel_set_link(struct dataplane *d, uint32_t id, bool up);
bool kernel_tunnel_info(struct dataplane *d, uint32_t id, struct dataplane_tunnel_info *out);
void kernel_tunnel_free(struct dataplane *d, struct kernel_tunnel *t, bool keep_device);
/* A tunnel with neither device nor tags yet. */
enum dataplane_error kernel_tunnel_new(struct dataplane *d, uint32_t id,
				       const struct tunnel_config *config,
				       struct kernel_tunnel **out);
/* Its device, made or found, and its tags. */
enum dataplane_error kernel_tunnel_obtain(struct kernel_tunnel *t);

/* ---- kernel_device.c ---- */

enum dataplane_error kernel_device_failed(const struct kernel_tunnel *t, const char *what,
					  int error);
struct netlink_device kernel_device_expected(const struct kernel_tunnel *t);
/* Makes, adopts or takes the device of a tunnel that has none, when there is to be one. */
enum dataplane_error kernel_device_obtain(struct kernel_tunnel *t);
/* The same for a tunnel that had one, with all that is set on it. */
enum dataplane_error kernel_device_again(struct kernel_tunnel *t);
enum dataplane_error kernel_device_set_addrs(struct kernel_tunnel *t,
					     const struct tunnel_config *from,
					     const struct tunnel_config *to);
int kernel_device_set_mtu(struct kernel_tunnel *t);
enum dataplane_error kernel_device_mtu_failed(const struct kernel_tunnel *t, int error);
void kernel_device_mtu_is(struct kernel_tunnel *t, uint16_t mtu); /* set, or seen */
struct xfrm_tag kernel_mark_tag(uint32_t key, uint32_t mask);	  /* mask 0: every bit */
/* The vti's endpoints are those of the newest CHILD_SA. */
enum dataplane_error kernel_tunnel_follow(struct kernel_tunnel *t);
/* Another one has the endpoints that are configured, and perhaps waits for those that this one
 * has (two peers that were exchanged): until there is a CHILD_SA it has nobody's. */
void kernel_tunnel_step_aside(struct kernel_tunnel *t);
void kernel_tunnel_mtu_follows(struct kernel_tunnel *t);
void kernel_tunnel_announce(struct kernel_tunnel *t);
void kernel_tunnel_tick(struct kernel_tunnel *t, mono_time now);
struct vti_wish kernel_tunnel_wish(const struct kernel_tunnel *t);
enum dataplane_error kernel_device_attach(struct kernel_tunnel *t);
enum dataplane_error kernel_device_fill(struct kernel_tunnel *t);
void kernel_device_detach(struct kernel_tunnel *t);

/* ---- kernel_link.c ---- */

bool kernel_links_open(struct dataplane *d);
bool kernel_link_refresh(struct kernel_tunnel *t); /* true: something to tell */
void kernel_link_forget(struct kernel_tunnel *t);

/* ---- kernel_child.c ---- */

enum dataplane_error kernel_child_install(struct dataplane *d, const struct child_sa *child);
enum dataplane_error kernel_child_update(struct dataplane *d, const struct child_sa *child);
enum dataplane_error kernel_child_remove(struct dataplane *d, uint64_t id);
bool kernel_child_stats(struct dataplane *d, uint64_t id, struct dataplane_child_stats *out);
void kernel_child_free(struct dataplane *d, struct kernel_child *c);
struct kernel_child *kernel_child_find(const struct dataplane *d, uint64_t id);
/* Into the tables, with its slot from a former process or a new one; `sa`'s keys are copied.
 * NULL: out of memory, and a former slot is free. */
struct kernel_child *kernel_child_new(struct dataplane *d, const struct child_sa *sa,
				      const struct area_numbers *numbers, struct area_slot *left);
/* One that has no states yet, in the place of a state that was being made again. */
enum dataplane_error kernel_child_add_again(struct kernel_child *c, bool outbound);
/* Where the state that is there has another address than the CHILD_SA. */
enum dataplane_error kernel_child_readdress(struct kernel_child *c);
bool kernel_child_read(struct kernel_child *c, mono_time now); /* both states' counters */
/* Its outbound state is made again, as one that another policy leads to. */
enum dataplane_error kernel_child_requid(struct kernel_child *c);
/* Tags of the tunnel changed: its states are made again. */
enum dataplane_error kernel_child_retag(struct kernel_child *c);
void kernel_child_used(struct kernel_child *c);
struct kernel_child *kernel_child_by_spi(const struct dataplane *d, uint32_t spi);

/* ---- kernel_lead.c ---- */

/* Each CHILD_SA for one processor is led by the newest general one that sends and has the same
 * selectors, or, without one, by nobody, as a general one is. Before policies are settled, as they
 * may lead to those without one, and behind that, as they lead to the others no longer. */
void kernel_lead(struct kernel_tunnel *t);
void kernel_led(struct kernel_tunnel *t);
/* One that has no states yet. */
void kernel_lead_first(struct kernel_child *c);
/* The processor whose packets alone its outbound state is for, as in struct xfrm_state. */
uint32_t kernel_lead_cpu(const struct kernel_child *c);
/* A state of a former process with this reqid was its outbound one. */
void kernel_lead_restored(struct kernel_child *c, uint32_t reqid);

/* ---- kernel_state.c ---- */

struct kernel_state *kernel_state_find(const struct dataplane *d, const struct addr *dst,
				       uint32_t spi, const struct xfrm_tag *tag);
bool kernel_state_track(struct dataplane *d, struct kernel_state *s, const struct addr *dst,
			uint32_t spi, const struct xfrm_tag *tag);
void kernel_state_forget(struct dataplane *d, struct kernel_state *s);

/* ---- kernel_offload.c ---- */

/* Adds the state, to the network card where that is asked for. *error: what the kernel said of a
 * state that is nobody's but its own; not OK: the words are set, and it is not there. */
enum dataplane_error kernel_offload_add(const struct kernel_child *c, const struct xfrm_state *s,
					int *error);

/* ---- kernel_policy.c ---- */

/* Sets and removes what the CHILD_SAs of the tunnel, as they are now, ask for in the pairs of
 * this one's selectors. */
int kernel_policy_settle(struct kernel_tunnel *t, const struct child_sa *child);
int kernel_policy_base(struct kernel_tunnel *t); /* likewise for the base policies */
int kernel_policy_inherit(struct kernel_tunnel *t, const struct xfrm_policy *found);
/* One that a former process set for a CHILD_SA that goes on: as if we had. false: it is none. */
bool kernel_policy_adopt(struct kernel_tunnel *t, const struct xfrm_policy *found);
void kernel_policy_remove_all(struct kernel_tunnel *t);
void kernel_policy_free(struct kernel_tunnel *t); /* forgets them, and leaves them in the kernel */
/* Somebody removed it (`flushed`: all): back with it, when it is ours. */
void kernel_policy_gone(struct dataplane *d, const struct xfrm_policy *p, bool flushed);
bool kernel_policy_is_set(const struct kernel_tunnel *t, const struct xfrm_policy *p);

/* ---- kernel_event.c ---- */

bool kernel_events_open(struct dataplane *d);
void kernel_child_note(struct dataplane *d, struct kernel_child *c, enum child_due what);
void kernel_child_unnote(struct dataplane *d, struct kernel_child *c);
void kernel_tunnel_note(struct dataplane *d, struct kernel_tunnel *t, enum tunnel_due what);
void kernel_tunnel_unnote(struct dataplane *d, struct kernel_tunnel *t);
/* One look at all states: counters, limits, what is gone. */
void kernel_look(struct dataplane *d, mono_time now);
/* What a look, or a read of one state, tells of a direction. */
void kernel_direction_seen(struct dataplane *d, struct direction *x,
			   const struct xfrm_state_info *s, mono_time now);
void kernel_report(struct dataplane *d);
void kernel_larval_tick(struct kernel_tunnel *t, mono_time now);

/* ---- kernel_found.c ---- */

int kernel_found_load(struct dataplane *d);
void kernel_found_free(struct dataplane *d);
/* The tunnel takes over what has its tags; then, once its CHILD_SAs have what is theirs of it,
 * what still sends is judged. */
void kernel_inherit_claim(struct dataplane *d, struct kernel_tunnel *t);
void kernel_inherit(struct kernel_tunnel *t);
/* The state of this CHILD_SA's direction, by the number it had, is no inheritance: forgotten, but
 * in the kernel. 0: there is none, else its reqid. */
uint32_t kernel_found_take(struct kernel_tunnel *t, const struct child_sa *sa, uint32_t number,
			   bool outbound, struct state_key *key);
void kernel_disinherit(struct kernel_tunnel *t);
void kernel_inherited_gone(struct dataplane *d, struct kernel_state *s); /* the kernel ended it */
void kernel_found_check(struct dataplane *d); /* those that the last look did not meet */
void kernel_settled(struct dataplane *d);
bool kernel_flush(const struct log_sink *log, char *why, size_t size);

/* ---- kernel_restore.c ---- */

/* What the next process finds of it. */
enum dataplane_error kernel_tunnel_keep(struct kernel_tunnel *t);
/* As forward_tunnel_claim. */
struct kernel_tunnel *kernel_tunnel_claim(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config,
					  enum dataplane_error *error);
void kernel_restore(struct dataplane *d);
void kernel_unsettle(struct dataplane *d);
void kernel_claims_settled(struct dataplane *d);

/* ---- kernel_probe.c ---- */

bool kernel_probe(char *why, size_t size);
/* Not OK: it can't be installed, and the words are set. */
enum dataplane_error kernel_child_check(struct dataplane *d, const struct child_sa *c);
bool kernel_supports(struct dataplane *d, uint16_t encr_id, uint16_t key_bits, uint16_t integ_id,
		     bool esn);
void kernel_abilities_free(struct dataplane *d);
/* As dataplane.processors. */
unsigned kernel_processors(struct netlink *xfrm);
bool kernel_resources(struct dataplane *d);

#endif
