/* Between the BFD data plane's process and routed-bridge: datagrams over an abstract unix
 * socket (SOCK_SEQPACKET) whose name is made of bfdd's socket, so that each network namespace
 * and each bfdd has its own. Structures of one build, in the machine's own layout: the first
 * message of each side has a version, and a bridge that does not know it ends the process. */
#ifndef DETOUR_BFD_LINK_H
#define DETOUR_BFD_LINK_H

#include "lib/addr.h"
#include "routed-bridge/bfd_stats.h"

#include <net/if.h>

/* To be counted up with every change of the structures; their size counts, too. */
#define BFD_LINK_VERSION (4u << 16 | (uint32_t)sizeof(struct bfd_link_message))

enum bfd_link_kind {
	BFD_LINK_HELLO = 0x62666401, /* both */
	BFD_LINK_STOP,		     /* bridge: end, and announce it */
	BFD_LINK_SESSION,	     /* plane: its state; after HELLO for each one */
	BFD_LINK_GONE,		     /* plane: session.discriminator is no more */
	BFD_LINK_LISTED,	     /* plane: every session was told */
	BFD_LINK_STATS,		     /* plane: once a second */
	BFD_LINK_PATIENCE, /* bridge: silence of session.discriminator is borne for .patience */
};

struct bfd_link_session {
	uint32_t discriminator, remote_discriminator;
	struct addr peer, local;
	char ifname[IF_NAMESIZE]; /* "": not known */
	uint8_t multihop;
	uint8_t state, diag, remote_state, remote_diag;
	uint8_t failed;	     /* was Up and is not, and nobody's administrator wanted it */
	uint8_t bearing;     /* silent for longer than `detect`, and borne */
	uint32_t tx, detect; /* microseconds, in force */
	uint32_t patience;   /* of PATIENCE: microseconds; 0 at the start of each connection */
	uint64_t silence;    /* microseconds before it was found dead the last time */
	uint64_t in_packets, out_packets;
};

struct bfd_link_message {
	uint32_t kind;
	uint32_t version; /* HELLO */
	union {
		struct bfd_link_session session;
		struct bfd_stats stats;
	};
};

/* A socket of the plane's name, listening; -1 with errno (EADDRINUSE: one is there). */
int bfd_link_listen(const char *path);
/* Connected to the plane; -1 with errno (ECONNREFUSED: there is none). */
int bfd_link_connect(const char *path);
/* Whether the other end is ours to talk to: root, or the same user. */
bool bfd_link_trusts(int fd);
/* One message. 1: read; 0: none now; -1: the end, or nothing that is understood. */
int bfd_link_read(int fd, struct bfd_link_message *m);
/* false with errno; EAGAIN: the reader is behind. */
bool bfd_link_write(int fd, const struct bfd_link_message *m);

#endif
