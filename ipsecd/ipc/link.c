/* Messages between our processes: a header, a body, descriptors beside it. */
#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/waiting.h"
#include "lib/mono.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define MAGIC	   0x44544f52u
#define BUFFER	   (1 << 20) /* of the sockets, where allowed */
#define PARTS_MAX  4
#define PER_WAKEUP 64
#define LAST_MAX   4096 /* messages of a peer that does not read any more */
#define GATHER_MAX ((size_t)128 << 10)

struct ipc_link {
	struct ev_loop *loop;
	struct ipc_host host;
	int fd;
	ev_io readable, writable;
	ev_timer later; /* zero: what came during a call, or the end, is told */
	struct waiting *out, *in;
	size_t backlog, early; /* bytes in `out`, in `in` */
	uint32_t last_serial;
	bool closed, told, inside, freed;
	bool gathering; /* more messages are being handed over: answers go together */
	bool held;	/* `out` waits by our own will, not for the socket */
	bool unread;	/* sending failed: what the peer said before is there still */
	char why[96];
	size_t body_len;
	uint8_t body[IPC_BODY_MAX];
};

static void fail(struct ipc_link *l, const char *why)
{
	if (l->closed)
		return;
	l->closed = true;
	strncpy(l->why, why, sizeof(l->why) - 1);
	ev_io_stop(l->loop, &l->readable);
	ev_io_stop(l->loop, &l->writable);
	ev_timer_start(l->loop, &l->later);
}

/* ---- sending ---- */

/* Why it ended may be what it said last. */
static void fail_sending(struct ipc_link *l)
{
	l->unread = !l->closed;
	fail(l, strerror(errno));
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents);

void ipc_send_held(struct ipc_link *l)
{
	if (l && l->held && !l->closed)
		on_writable(l->loop, &l->writable, 0);
}

/* 1: sent; 0: the socket is full; -1: broken. */
static int put(struct ipc_link *l, const struct ipc_header *h, const struct span *parts,
	       unsigned n_parts, const int *fds, unsigned n_fds)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)] = {0};
	struct iovec iov[1 + PARTS_MAX] = {{(void *)(uintptr_t)h, sizeof(*h)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1 + n_parts};
	ssize_t n;

	ipc_send_held(l->host.behind);
	for (unsigned i = 0; i < n_parts; i++)
		iov[1 + i] = (struct iovec){(void *)(uintptr_t)parts[i].ptr, parts[i].len};
	if (n_fds) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	}
	do
		n = sendmsg(l->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 1;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct ipc_link *l = w->data;

	(void)revents;
	l->held = false;
	while (l->out) {
		struct waiting *m = l->out;
		struct span body = {m->body, m->header.len};
		int n = put(l, &m->header, &body, 1, m->fds, m->n_fds);

		if (n == 0)
			return;
		if (n < 0) {
			fail_sending(l);
			return;
		}
		DL_DELETE(l->out, m);
		l->backlog -= waiting_cost(&m->header);
		waiting_close(m->fds, m->n_fds);
		explicit_bzero(m->body, m->header.len);
		free(m);
	}
	ev_io_stop(loop, w);
}

enum urgency { NOW, NOW_OR_NEVER, LATER };

/* false: no memory, or no descriptor is left to duplicate one. */
static bool leave_waiting(struct ipc_link *l, const struct ipc_header *h, const struct span *parts,
			  unsigned n_parts, const int *fds, unsigned n_fds)
{
	if (!waiting_add(&l->out, h, parts, n_parts, fds, n_fds, true))
		return false;
	l->backlog += waiting_cost(h);
	ev_io_start(l->loop, &l->writable);
	return true;
}

static bool send_or_queue(struct ipc_link *l, const struct ipc_header *h, const struct span *parts,
			  unsigned n_parts, const int *fds, unsigned n_fds, enum urgency urgency)
{
	bool waits = (urgency == LATER || (l->gathering && urgency == NOW)) &&
		     l->backlog + waiting_cost(h) <= GATHER_MAX;
	int n;

	/* What can't wait is sent at once, which costs the peer a wake-up. */
	if (waits && !l->closed && leave_waiting(l, h, parts, n_parts, fds, n_fds)) {
		l->held = true;
		return true;
	}
	ipc_send_held(l);
	if (l->closed)
		return false;
	n = l->out ? 0 : put(l, h, parts, n_parts, fds, n_fds);
	if (n > 0)
		return true;
	if (n < 0) {
		fail_sending(l);
		return false;
	}
	if (urgency == NOW_OR_NEVER)
		return false;
	if (l->backlog + waiting_cost(h) > IPC_BACKLOG_MAX ||
	    !leave_waiting(l, h, parts, n_parts, fds, n_fds)) {
		fail(l, "it does not read: too much waits for it");
		return false;
	}
	return true;
}

static bool make_header(const struct ipc_link *l, struct ipc_header *h, uint32_t verb,
			uint32_t serial, const struct span *parts, unsigned n_parts, unsigned n_fds)
{
	size_t len = 0;

	for (unsigned i = 0; i < n_parts; i++)
		len += parts[i].len;
	*h = (struct ipc_header){MAGIC, verb, serial, (uint32_t)len};
	return !l->closed && n_parts <= PARTS_MAX && n_fds <= IPC_FDS_MAX && len <= IPC_BODY_MAX;
}

bool ipc_send(struct ipc_link *l, uint32_t verb, uint32_t serial, const struct span *parts,
	      unsigned n_parts, const int *fds, unsigned n_fds)
{
	struct ipc_header h;

	return make_header(l, &h, verb, serial, parts, n_parts, n_fds) &&
	       send_or_queue(l, &h, parts, n_parts, fds, n_fds, NOW);
}

bool ipc_send_later(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts,
		    const int *fds, unsigned n_fds)
{
	struct ipc_header h;

	return make_header(l, &h, verb, 0, parts, n_parts, n_fds) &&
	       send_or_queue(l, &h, parts, n_parts, fds, n_fds, LATER);
}

bool ipc_offer(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts)
{
	struct ipc_header h;

	return make_header(l, &h, verb, 0, parts, n_parts, 0) &&
	       send_or_queue(l, &h, parts, n_parts, NULL, 0, NOW_OR_NEVER);
}

/* ---- receiving ---- */

static unsigned take_fds(struct msghdr *msg, int fds[IPC_FDS_MAX])
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (n < IPC_FDS_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

/* 1: a message is in l->body and *h; 0: none now; -1: the link is closed. */
static int get(struct ipc_link *l, struct ipc_header *h, int fds[IPC_FDS_MAX], unsigned *n_fds)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	struct iovec iov[2] = {{h, sizeof(*h)}, {l->body, sizeof(l->body)}};
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = 2,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(l->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET)); /* told once, before the rest */
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0) {
		fail(l, n == 0 ? IPC_PEER_ENDED : strerror(errno));
		return -1;
	}
	*n_fds = take_fds(&msg, fds);
	if ((size_t)n >= sizeof(*h) && h->magic == MAGIC && h->len == (size_t)n - sizeof(*h) &&
	    !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		l->body_len = h->len;
		return 1;
	}
	waiting_close(fds, *n_fds);
	fail(l, "it sent what is no message");
	return -1;
}

static void gathered(struct ipc_link *l)
{
	if (l->host.gathered && !l->freed)
		l->host.gathered(l->host.ctx);
}

/* `inside` lets the callback free the link. */
static void hand_over(struct ipc_link *l, struct ipc_message *m)
{
	bool was = l->inside;

	l->inside = true;
	l->host.message(l->host.ctx, l, m);
	if (!l->gathering)
		gathered(l);
	l->inside = was;
	waiting_close(m->fds, m->n_fds);
}

static bool is_freed(struct ipc_link *l)
{
	if (!l->freed || l->inside)
		return l->freed;
	explicit_bzero(l->body, sizeof(l->body));
	free(l);
	return true;
}

/* false: there is none, or the link was freed by whom it was told. */
static bool read_one(struct ipc_link *l)
{
	struct ipc_message m = {0};
	struct ipc_header h;

	if (get(l, &h, m.fds, &m.n_fds) <= 0)
		return false;
	m.verb = h.verb;
	m.serial = h.serial;
	m.body = (struct span){l->body, l->body_len};
	hand_over(l, &m);
	return !l->freed;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct ipc_link *l = w->data;

	(void)loop;
	(void)revents;
	l->inside = true; /* for who frees it */
	l->gathering = l->host.gather;
	for (unsigned i = 0; i < PER_WAKEUP && !l->closed && !l->in && read_one(l); i++)
		;
	gathered(l);
	l->inside = l->gathering = false;
	if (!is_freed(l) && l->host.gather && !l->closed)
		on_writable(loop, &l->writable, 0);
}

/* From the loop, where nobody looks at l->body. */
static void read_rest(struct ipc_link *l)
{
	int fds[IPC_FDS_MAX];
	struct ipc_header h;
	unsigned n_fds;

	for (unsigned i = 0; l->unread && i < LAST_MAX && get(l, &h, fds, &n_fds) > 0; i++) {
		struct span body = {l->body, l->body_len};

		if (waiting_add(&l->in, &h, &body, 1, fds, n_fds, false))
			l->early += waiting_cost(&h);
		else
			waiting_close(fds, n_fds);
	}
	l->unread = false;
}

/* false: the link was freed by whom it was told. */
static bool hand_over_early(struct ipc_link *l, unsigned most)
{
	for (unsigned i = 0; i < most && l->in; i++) {
		struct waiting *wait = l->in;
		struct ipc_message m = {.verb = wait->header.verb,
					.serial = wait->header.serial,
					.body = {wait->body, wait->header.len},
					.n_fds = wait->n_fds};

		DL_DELETE(l->in, wait);
		l->early -= waiting_cost(&wait->header);
		memcpy(m.fds, wait->fds, sizeof(m.fds));
		hand_over(l, &m);
		explicit_bzero(wait->body, wait->header.len);
		free(wait);
		if (is_freed(l))
			return false;
	}
	return true;
}

static void on_later(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ipc_link *l = w->data;

	(void)loop;
	(void)revents;
	read_rest(l);
	if (!hand_over_early(l, PER_WAKEUP))
		return;
	if (l->in) { /* calls may bring more than is handed over: others have their turn */
		ev_timer_start(l->loop, &l->later);
		return;
	}
	if (l->closed && !l->told) {
		l->told = true;
		l->inside = true;
		l->host.closed(l->host.ctx, l, l->why);
		l->inside = false;
		is_freed(l);
	}
}

/* What comes before the answer is kept for the loop. true: the answer. */
static bool take_answer(struct ipc_link *l, const struct ipc_header *h, uint32_t serial,
			const int *fds, unsigned n_fds)
{
	struct span body = {l->body, l->body_len};

	if (h->serial == serial)
		return true;
	if (l->early + waiting_cost(h) > IPC_EARLY_MAX ||
	    !waiting_add(&l->in, h, &body, 1, fds, n_fds, false)) {
		waiting_close(fds, n_fds);
		fail(l, "it sent too much instead of an answer");
		return false;
	}
	l->early += waiting_cost(h);
	ev_timer_start(l->loop, &l->later);
	return false;
}

/* Also lets out what waits to be sent: the answer may depend on it. */
static bool wait_for(struct ipc_link *l, mono_time until)
{
	struct pollfd p = {.fd = l->fd, .events = (short)(POLLIN | (l->out ? POLLOUT : 0))};
	mono_time now = mono_now();
	int ms = until == MONO_NEVER ? -1 : until > now ? (int)((until - now) / MONO_MS) + 1 : 0;

	if (ms == 0)
		return false;
	if (poll(&p, 1, ms) < 0 && errno != EINTR)
		return false;
	if (p.revents & POLLOUT)
		on_writable(l->loop, &l->writable, 0);
	return true;
}

uint32_t ipc_ask(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts,
		 const int *fds, unsigned n_fds)
{
	uint32_t serial = ++l->last_serial ? l->last_serial : ++l->last_serial;

	serial |= 0x80000000u; /* told from serials that the peer gives its own requests */
	return ipc_send(l, verb, serial, parts, n_parts, fds, n_fds) ? serial : 0;
}

/* It came while another one was waited for. */
static bool was_early(struct ipc_link *l, uint32_t serial, struct ipc_message *answer)
{
	struct waiting *w;

	DL_SEARCH_SCALAR(l->in, w, header.serial, serial);
	if (!w)
		return false;
	DL_DELETE(l->in, w);
	l->early -= waiting_cost(&w->header);
	*answer = (struct ipc_message){.verb = w->header.verb,
				       .serial = serial,
				       .body = {l->body, w->header.len},
				       .n_fds = w->n_fds};
	memcpy(answer->fds, w->fds, sizeof(w->fds));
	memcpy(l->body, w->body, w->header.len);
	explicit_bzero(w->body, w->header.len);
	free(w);
	return true;
}

static mono_time patience(int timeout_ms)
{
	return timeout_ms < 0 ? MONO_NEVER : mono_now() + (mono_time)timeout_ms * MONO_MS;
}

bool ipc_await(struct ipc_link *l, uint32_t serial, int timeout_ms, struct ipc_message *answer)
{
	mono_time until = patience(timeout_ms);
	struct ipc_header h;

	if (!serial || was_early(l, serial, answer))
		return serial != 0;
	while (!l->closed) {
		*answer = (struct ipc_message){0};
		switch (get(l, &h, answer->fds, &answer->n_fds)) {
		case 1:
			if (!take_answer(l, &h, serial, answer->fds, answer->n_fds)) {
				until = patience(timeout_ms); /* it is at work */
				continue;
			}
			answer->verb = h.verb;
			answer->serial = h.serial;
			answer->body = (struct span){l->body, l->body_len};
			return true;
		case 0:
			if (!wait_for(l, until))
				return false;
			break;
		}
	}
	return false;
}

bool ipc_call(struct ipc_link *l, uint32_t verb, const struct span *parts, unsigned n_parts,
	      const int *fds, unsigned n_fds, int timeout_ms, struct ipc_message *answer)
{
	uint32_t serial = ipc_ask(l, verb, parts, n_parts, fds, n_fds);

	return ipc_await(l, serial, timeout_ms, answer);
}

/* ---- life ---- */

bool ipc_pair(int fds[2])
{
	int buffer = BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return false;
	for (int i = 0; i < 2; i++) {
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) < 0)
			setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	}
	return true;
}

struct ipc_link *ipc_link_new(struct ev_loop *loop, int fd, const struct ipc_host *host)
{
	struct ipc_link *l = calloc(1, sizeof(*l));

	if (!l) {
		close(fd);
		return NULL;
	}
	l->loop = loop;
	l->host = *host;
	l->fd = fd;
	ev_io_init(&l->readable, on_readable, fd, EV_READ);
	ev_io_init(&l->writable, on_writable, fd, EV_WRITE);
	ev_timer_init(&l->later, on_later, 0., 0.);
	l->readable.data = l->writable.data = l->later.data = l;
	ev_io_start(loop, &l->readable);
	return l;
}

void ipc_link_drain(struct ipc_link *l)
{
	if (!l || l->freed)
		return;
	l->unread = l->unread || !l->closed;
	read_rest(l);
	hand_over_early(l, LAST_MAX);
}

void ipc_link_free(struct ipc_link *l)
{
	if (!l || l->freed)
		return;
	ev_io_stop(l->loop, &l->readable);
	ev_io_stop(l->loop, &l->writable);
	ev_timer_stop(l->loop, &l->later);
	waiting_drop_all(&l->out);
	waiting_drop_all(&l->in);
	close(l->fd);
	l->fd = -1;
	l->closed = l->told = l->freed = true;
	is_freed(l);
}

int ipc_link_fd(const struct ipc_link *l)
{
	return l->fd;
}

size_t ipc_backlog(const struct ipc_link *l)
{
	return l->backlog;
}

bool ipc_flush(struct ipc_link *l, int timeout_ms)
{
	mono_time until = mono_now() + (mono_time)timeout_ms * MONO_MS;

	while (l->out && !l->closed) {
		mono_time now = mono_now();
		struct pollfd p = {.fd = l->fd, .events = POLLOUT};

		if (now >= until)
			return false;
		if (poll(&p, 1, (int)((until - now) / MONO_MS) + 1) < 0 && errno != EINTR)
			return false;
		on_writable(l->loop, &l->writable, 0);
	}
	return !l->closed;
}
