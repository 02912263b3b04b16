/* XFRM messages of NETLINK_XFRM: builders and parsers for states (xfrm_state_msg.c,
 * xfrm_state_parse.c), policies (xfrm_policy_msg.c) and the kernel's events
 * (xfrm_event_msg.c), and what traffic selectors are to the kernel (xfrm_sel.c). Pure: a
 * builder fills the caller's buffer with one message, a parser reads one back, so tests read
 * what would be sent without a kernel and fuzzers feed what a kernel never sends. With xfrm.c
 * the only place that knows XFRM's constants.
 *
 * Addresses as in lib/addr.h; SPIs, marks, ids, ports host order; times in seconds. */
#ifndef DETOUR_XFRM_MSG_H
#define DETOUR_XFRM_MSG_H

#include "ipsecd/model/child.h"
#include "ipsecd/model/conn.h"

#include <linux/netlink.h>

#define XFRM_MESSAGE_MAX 4096 /* enough for any message built here */
#define XFRM_WINDOW_MAX	 4096
#define XFRM_SELS_MAX	 64

enum xfrm_dir { XFRM_IN, XFRM_OUT, XFRM_FWD };

/* One traffic selector pair as the kernel has it: prefixes, one protocol, a port or a
 * masked range of ports. With ICMP the source port is the type, the other one the code. */
struct xfrm_sel {
	uint8_t family; /* of src and dst; 0: any packet (of a state; no policy has that) */
	struct prefix src, dst;
	uint8_t protocol;			       /* 0: any */
	uint16_t sport, sport_mask, dport, dport_mask; /* mask 0: any */
};

/* What sets ours apart from each other and from others'. */
struct xfrm_tag {
	struct mark mark; /* value and mask 0: none */
	uint32_t if_id;	  /* 0: none */
};

/* One direction's state. Algorithms by IANA number (algorithm.h); kernel names inside. */
struct xfrm_state {
	uint32_t spi, reqid;
	struct addr src, dst;
	struct xfrm_tag tag;
	struct xfrm_sel sel;
	uint16_t encr_id, key_bits, integ_id;
	struct span encr_key, integ_key; /* key with salt; borrowed */
	bool esn;
	uint16_t replay_window; /* packets, at most 4096; 0: none, but ESN can't be without (then
				   4096). Outbound states need none */
	bool encap;		/* UDP encapsulation between these ports */
	uint16_t sport, dport;
	uint64_t soft_bytes, hard_bytes, soft_packets, hard_packets; /* 0: none */
	uint32_t hard_seconds; /* since it was added; 0: none */
	uint64_t sequence; /* outbound: the last number used so far; 0 for a new SA. Inbound: the
			      highest received so far; it and all before count as received */
	bool inbound;	   /* which of the flags are meant; not parsed */
	uint32_t
		cpu; /* outbound, RFC 9611: for packets that leave on this processor alone, from 1
			(the kernel's 0) on; 0: on any. Since Linux 6.13, older ones pass it over */
	struct child_flags flags;
};

/* What a dump, a get or an event tells of a state. */
struct xfrm_state_info {
	uint32_t spi, reqid;
	uint8_t protocol; /* IPPROTO_ESP; others' may be anything */
	struct addr src, dst;
	struct xfrm_tag tag;
	bool larval; /* of an acquire: no keys yet */
	bool encap;
	uint16_t sport, dport;
	uint64_t bytes, packets;
	/* Seconds of the wall clock, 0: never. When it was added, first used, last used (that
	 * is not in events, and kernels before 6.2 do not tell it). */
	uint64_t add_time, use_time, last_time;
	uint64_t hard_seconds;
	uint32_t replay_errors, integrity_errors, window_errors;
	uint64_t sequence; /* outbound: last used */
	uint64_t received; /* inbound: highest so far */
	bool esn;
	int offload;  /* ifindex of the device that does its cryptography; 0: none */
	uint32_t cpu; /* as in struct xfrm_state */
};

struct xfrm_policy {
	enum xfrm_dir dir;
	struct xfrm_sel sel;
	struct xfrm_tag tag;
	uint32_t priority; /* smaller wins */
	bool block;
	/* Template; none when block. reqid 0: any state. src, dst: outer; family 0 any. */
	uint32_t reqid;
	uint8_t family; /* outer; 0: as src, dst or else the selectors */
	struct addr src, dst;
	uint32_t index;	 /* parsed only */
	bool other_tmpl; /* parsed only: not one ESP tunnel template, so none of ours */
};

enum xfrm_event_kind {
	XFRM_EVENT_NONE, /* a message that is none of these, or malformed */
	XFRM_EVENT_ACQUIRE,
	XFRM_EVENT_SOFT_EXPIRE,
	XFRM_EVENT_HARD_EXPIRE,
	XFRM_EVENT_MAPPING,	/* NAT: new source of a peer's encapsulated packets */
	XFRM_EVENT_STATE_GONE,	/* deleted or flushed by somebody */
	XFRM_EVENT_POLICY_GONE, /* likewise */
};

struct xfrm_event {
	enum xfrm_event_kind kind;
	bool flushed;		      /* *_GONE: all of them */
	struct xfrm_state_info state; /* EXPIRE, MAPPING (spi, reqid, addresses), STATE_GONE */
	struct xfrm_policy policy;    /* ACQUIRE (sel of the packet, tag, reqid), POLICY_GONE */
	struct endpoint old_peer, new_peer; /* MAPPING */
	uint32_t seq;			    /* ACQUIRE: the kernel's number of it */
};

/* Builders: `buf` (size bytes, aligned as malloc does); NULL: does not fit, or can't be said
 * to a kernel: an algorithm it has no name for, a key of a wrong size, mixed families. */
struct nlmsghdr *xfrm_build_state_add(void *buf, size_t size, const struct xfrm_state *s,
				      bool update);
/* A state that no kernel takes: one that knows processors refuses it with EINVAL, as its direction
 * is missing, an older one has no algorithm of its name (ENOSYS). */
struct nlmsghdr *xfrm_build_cpu_trial(void *buf, size_t size);
struct nlmsghdr *xfrm_build_state_del(void *buf, size_t size, const struct xfrm_state_info *s);
struct nlmsghdr *xfrm_build_state_get(void *buf, size_t size, const struct addr *dst, uint32_t spi,
				      const struct xfrm_tag *tag);
struct nlmsghdr *xfrm_build_state_dump(void *buf, size_t size);
/* Gives the larval state of an acquire this SPI, so that it can be deleted. */
struct nlmsghdr *xfrm_build_alloc_spi(void *buf, size_t size, const struct addr *src,
				      const struct addr *dst, const struct xfrm_tag *tag,
				      uint32_t reqid, uint32_t spi);
struct nlmsghdr *xfrm_build_policy_set(void *buf, size_t size, const struct xfrm_policy *p);
struct nlmsghdr *xfrm_build_policy_del(void *buf, size_t size, const struct xfrm_policy *p);
struct nlmsghdr *xfrm_build_policy_dump(void *buf, size_t size);

/* Parsers; false: another kind of message, or a malformed one. */
bool xfrm_parse_state(const struct nlmsghdr *h, struct xfrm_state_info *out);
bool xfrm_parse_policy(const struct nlmsghdr *h, struct xfrm_policy *out);
/* The algorithms and keys of a state message, for tests of the builder. Spans into h. */
bool xfrm_parse_state_keys(const struct nlmsghdr *h, struct xfrm_state *out);
enum xfrm_event_kind xfrm_parse_event(const struct nlmsghdr *h, struct xfrm_event *out);

/* The kernel selectors that together are a pair of traffic selectors, with every range cut
 * into prefixes and masked ports. Returns how many there are in `out`; 0: no packet can match
 * (families or protocols differ, or a selector is %dynamic still). What would need more than
 * XFRM_SELS_MAX is widened, first to any port, then to the prefix around an address range, and
 * *exact is false; else they are neither wider nor narrower. */
unsigned xfrm_sels_from_ts(const struct ts *local, const struct ts *remote, bool outbound,
			   struct xfrm_sel out[XFRM_SELS_MAX], bool *exact);
bool xfrm_sel_equal(const struct xfrm_sel *a, const struct xfrm_sel *b);
/* The kernel's name of a cipher or integrity algorithm ("rfc4106(gcm(aes))"), NULL: none. */
const char *xfrm_encr_name(uint16_t encr_id);
const char *xfrm_integ_name(uint16_t integ_id);

#endif
