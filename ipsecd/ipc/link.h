/* One end of a connection between two of our processes: framed messages, with descriptors, over
 * a SOCK_SEQPACKET socketpair. Order is kept; what comes out of a peer is untrusted: lengths and
 * counts are checked here, bodies by whoever understands the verb (verbs.h).
 *
 * Sends do not block: what the socket does not take waits in memory up to IPC_BACKLOG_MAX, and
 * beyond that the link counts as broken (`closed`), unless the message may be lost (ipc_offer).
 * Each message counts with what it costs, not its body alone.
 * ipc_call blocks for the answer; other messages that come meanwhile are handed over when the
 * loop runs. Both processes are built from the same sources: bodies have native byte order. */
#ifndef DETOUR_IPC_LINK_H
#define DETOUR_IPC_LINK_H

#include "lib/span.h"

#define IPC_BODY_MAX	((size_t)96 * 1024) /* a UDP datagram with its addresses fits */
#define IPC_FDS_MAX	4
#define IPC_BACKLOG_MAX ((size_t)8 << 20)
#define IPC_PEER_ENDED	"it has ended"	   /* why a link is closed that nothing is wrong with */
#define IPC_EARLY_MAX	((size_t)64 << 20) /* come during calls, not handed over yet */

struct ev_loop;
struct ipc_link;

struct ipc_message {
	uint32_t verb;
	uint32_t serial;  /* of a request that wants an answer; 0: none. An answer has its request's
			   */
	struct span body; /* valid during the call; may be changed in place */
	int fds[IPC_FDS_MAX];
	unsigned n_fds; /* who takes a descriptor sets it to -1 here; the others are closed */
};

struct ipc_host {
	void (*message)(void *ctx, struct ipc_link *link, struct ipc_message *m);
	/* The peer is gone, or sent what can't be parsed (`why`). Told once, from the loop, never
	 * from inside a send; afterwards sends do nothing. */
	void (*closed)(void *ctx, struct ipc_link *link, const char *why);
	void *ctx;
	/* What is sent while messages are handed over goes out together, behind the last of them: a
	 * peer that asked for much at once is not woken for each answer. Not for who may end
	 * inside. */
	bool gather;
	/* With `gather`: behind the last of them, and before what was sent goes out; behind each
	 * message that is handed over alone, too. May be NULL. */
	void (*gathered)(void *ctx);
	/* What was sent later by that one goes out before anything does by this one, unless its
	 * socket is full. It lives longer; may be NULL. */
	struct ipc_link *behind;
};

/* A pair of descriptors for two ends, close-on-exec. false: errno. */
bool ipc_pair(int fds[2]);
/* Takes fd in any case. NULL: out of memory. */
struct ipc_link *ipc_link_new(struct ev_loop *loop, int fd, const struct ipc_host *host);
/* Before another link takes its place: what a peer that is gone said last is handed over, its end
 * is not told. Not inside its own callbacks; NULL allowed. */
void ipc_link_drain(struct ipc_link *l);
void ipc_link_free(struct ipc_link *l); /* fine inside its own callbacks; NULL allowed */
int ipc_link_fd(const struct ipc_link *l);
size_t ipc_backlog(const struct ipc_link *l); /* bytes that the socket did not take yet */
/* Waits until the socket has taken all. false: the link is closed or the time is over. */
bool ipc_flush(struct ipc_link *l, int timeout_ms);

/* Copies and duplicates what it needs. false: the link is closed, or no memory. */
bool ipc_send(struct ipc_link *l, uint32_t verb, uint32_t serial, const struct span *parts,
	      unsigned n_parts, const int *fds, unsigned n_fds);
/* The same behind what is sent later: with the next message that is not, or when the loop turns, so
 * that the peer is not woken for each of many. Wants no answer. */
bool ipc_send_later(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts,
		    const int *fds, unsigned n_fds);
/* What is sent later goes out now, as far as the socket takes it: its duplicates are closed. */
void ipc_send_held(struct ipc_link *l);
/* As ipc_send, for what may be lost: false as well when the socket is full. */
bool ipc_offer(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts);
/* Sends and waits for the answer, whose body is valid until the next call on this link; its
 * descriptors are the caller's. false: the link is closed, or for `timeout_ms` (-1: for ever)
 * nothing at all came by it. */
bool ipc_call(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts,
	      const int *fds, unsigned n_fds, int timeout_ms, struct ipc_message *answer);
/* A call in two halves, between which others may be made, but before the loop turns: an answer
 * that nobody waits for by then is a message like others. 0: the link is closed, or no memory. */
uint32_t ipc_ask(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts,
		 const int *fds, unsigned n_fds);
bool ipc_await(struct ipc_link *l, uint32_t serial, int timeout_ms, struct ipc_message *answer);

#endif
