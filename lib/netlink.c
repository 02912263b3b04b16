/* Netlink transport: the request socket and the monitor, for any family. Owns the sockets
 * and what is read from them; what is inside the messages is the *_message.c files'. */
#include "lib/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* The kernel fills up to this much per read of a dump, and never more for what we ask. */
#define RECEIVE_BUFFER 32768
/* A dump that changed while it was read is read again, so often. */
#define DUMP_TRIES 16
/* Errors of a monitor in a row that are taken for messages that were lost. */
#define MONITOR_ERRORS 4
/* What the kernel may queue for a monitor while we do other things: some 4000 messages. */
#define MONITOR_QUEUE (8 << 20)

struct netlink {
	struct mnl_socket *socket;
	uint32_t portid, seq;
	char words[160]; /* the kernel's, for the last error */
	bool holds;
	int held_error;
	size_t held_len;
	uint8_t held[NETLINK_BUFFER] __attribute__((aligned(8)));
	uint8_t buf[RECEIVE_BUFFER] __attribute__((aligned(8)));
};

struct netlink *netlink_open(void)
{
	return netlink_open_protocol(NETLINK_ROUTE);
}

struct netlink *netlink_open_protocol(int protocol)
{
	struct netlink *nl = calloc(1, sizeof(*nl));
	int on = 1;

	if (!nl)
		return NULL;
	nl->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		netlink_close(nl);
		return NULL;
	}
	nl->portid = mnl_socket_get_portid(nl->socket);
	/* The kernel's words in errors; an old kernel without them is fine, too. */
	mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	return nl;
}

bool netlink_set_strict(struct netlink *nl, bool on)
{
	int value = on;

	return mnl_socket_setsockopt(nl->socket, NETLINK_GET_STRICT_CHK, &value, sizeof(value)) ==
	       0;
}

void netlink_close(struct netlink *nl)
{
	int error = errno; /* of the open that failed */

	if (!nl)
		return;
	if (nl->socket)
		mnl_socket_close(nl->socket);
	free(nl);
	errno = error;
}

/* ---- one request and its answer ---- */

/* The data of an answer is kept until it is whole: a dump that has to be read again is told
 * once, and whoever is told may ask for more. */
struct answer {
	struct netlink *nl;
	uint8_t *data;
	size_t len, size;
	bool keep; /* somebody wants the data */
	int error;
	uint32_t refused; /* of a batch: the number of the message that the error is of */
	bool done, interrupted;
};

static void fail(struct answer *a, int error)
{
	if (a->error == 0)
		a->error = error;
}

/* XFRM tells keys. */
static void forget(struct answer *a)
{
	if (a->data)
		explicit_bzero(a->data, a->len);
	free(a->data);
	*a = (struct answer){.nl = a->nl, .keep = a->keep};
}

static bool grow(struct answer *a, size_t more)
{
	size_t size = a->size ? a->size : RECEIVE_BUFFER;
	uint8_t *data;

	while (size < a->len + more)
		size *= 2;
	if (size == a->size)
		return true;
	data = malloc(size);
	if (!data)
		return false;
	if (a->data) {
		memcpy(data, a->data, a->len);
		explicit_bzero(a->data, a->len);
		free(a->data);
	}
	a->data = data;
	a->size = size;
	return true;
}

static void keep_data(struct answer *a, const struct nlmsghdr *h)
{
	size_t len = MNL_ALIGN(h->nlmsg_len);

	if (!a->keep || a->error)
		return;
	if (!grow(a, len)) {
		fail(a, -ENOMEM);
		return;
	}
	memset(a->data + a->len, 0, len);
	memcpy(a->data + a->len, h, h->nlmsg_len);
	a->len += len;
}

/* Extended acknowledgement: attributes behind the (capped) copy of our header, or behind
 * the error number of a dump. */
static void keep_words(struct netlink *nl, const struct nlmsghdr *h, unsigned offset)
{
	const struct nlattr *attr;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	mnl_attr_for_each(attr, h, offset)
	{
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			snprintf(nl->words, sizeof(nl->words), "%s", mnl_attr_get_str(attr));
	}
}

/* The end of an answer: an (error) acknowledgement, or that of a dump. Both begin with a
 * negative errno value. */
static void take_end(struct answer *a, const struct nlmsghdr *h)
{
	bool dump = h->nlmsg_type == NLMSG_DONE;
	const int *error = mnl_nlmsg_get_payload(h);
	unsigned size = dump ? sizeof(int) : sizeof(struct nlmsgerr);

	a->done = true;
	if (mnl_nlmsg_get_payload_len(h) < size) {
		if (!dump) /* the end of a dump once had no number */
			fail(a, -EBADMSG);
		return;
	}
	if (*error >= 0)
		return;
	fail(a, *error);
	keep_words(a->nl, h, size);
}

static void take_answer(struct answer *a, const struct nlmsghdr *h)
{
	if (h->nlmsg_seq != a->nl->seq || h->nlmsg_pid != a->nl->portid)
		return;
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		a->interrupted = true;
	switch (h->nlmsg_type) {
	case NLMSG_NOOP:
		return;
	case NLMSG_DONE:
	case NLMSG_ERROR:
		take_end(a, h);
		return;
	default:
		/* Of a get for one object: an acknowledgement follows it. */
		keep_data(a, h);
		return;
	}
}

/* Reads to the end also after an error: the kernel has one dump at a time per socket. */
static void receive(struct answer *a)
{
	struct netlink *nl = a->nl;

	while (!a->done) {
		ssize_t n = mnl_socket_recvfrom(nl->socket, nl->buf, sizeof(nl->buf));
		const struct nlmsghdr *h = (const struct nlmsghdr *)nl->buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOSPC) { /* a message longer than the buffer */
			fail(a, -EMSGSIZE);
			continue;
		}
		if (n < 0) {
			fail(a, -errno);
			return;
		}
		while (!a->done && mnl_nlmsg_ok(h, left)) {
			take_answer(a, h);
			h = mnl_nlmsg_next(h, &left);
		}
		explicit_bzero(nl->buf, (size_t)n);
	}
}

static void send_held(struct netlink *nl);

static void ask(struct answer *a, struct nlmsghdr *h)
{
	struct netlink *nl = a->nl;

	send_held(nl);
	nl->words[0] = 0;
	h->nlmsg_seq = ++nl->seq;
	h->nlmsg_pid = 0;
	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_sendto(nl->socket, h, h->nlmsg_len) < 0)
		fail(a, -errno);
	else
		receive(a);
}

static void tell(const struct answer *a, void (*cb)(void *ctx, const struct nlmsghdr *answer),
		 void *ctx)
{
	size_t at = 0;

	while (at < a->len) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(a->data + at);

		cb(ctx, h);
		at += MNL_ALIGN(h->nlmsg_len);
	}
}

uint32_t netlink_port(const struct netlink *nl)
{
	return mnl_socket_get_portid(nl->socket);
}

int netlink_query(struct netlink *nl, struct nlmsghdr *h,
		  void (*cb)(void *ctx, const struct nlmsghdr *answer), void *ctx)
{
	struct answer answer = {.nl = nl, .keep = cb != NULL};
	int error;

	nl->words[0] = 0;
	if (!h)
		return -EMSGSIZE;
	for (unsigned tries = 0; tries < DUMP_TRIES; tries++) {
		forget(&answer);
		ask(&answer, h);
		if (answer.error || !answer.interrupted)
			break;
	}
	if (answer.error == 0 && answer.interrupted)
		answer.error = -EAGAIN;
	else if (answer.error == 0)
		tell(&answer, cb, ctx);
	error = answer.error;
	forget(&answer);
	return error;
}

int netlink_request(struct netlink *nl, struct nlmsghdr *h)
{
	return netlink_query(nl, h, NULL, NULL);
}

/* ---- a batch ---- */

static void take_refusal(struct answer *a, const struct nlmsghdr *h, uint32_t first)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	/* Answers come in the order of the messages; those of former batches are none of ours. */
	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq < first ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*e) || e->error >= 0 || a->error)
		return;
	fail(a, e->error);
	a->refused = h->nlmsg_seq - first;
	keep_words(a->nl, h, sizeof(*e));
}

static ssize_t receive_now(struct netlink *nl)
{
	ssize_t n;

	do
		n = recv(mnl_socket_get_fd(nl->socket), nl->buf, sizeof(nl->buf), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

/* All answers are there: nobody is waited for. */
static void receive_refusals(struct answer *a, uint32_t first)
{
	ssize_t n;

	while ((n = receive_now(a->nl)) > 0) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)a->nl->buf;
		int left = (int)n;

		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			take_refusal(a, h, first);
	}
	if (n < 0 && errno != EAGAIN)
		fail(a, -errno);
}

static int send_batch(struct netlink *nl, void *messages, size_t len, unsigned *at)
{
	struct answer answer = {.nl = nl};
	struct nlmsghdr *h = messages;
	uint32_t first = nl->seq + 1;
	int left = (int)len;

	nl->words[0] = 0;
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		h->nlmsg_seq = ++nl->seq;
		h->nlmsg_flags |= NLM_F_REQUEST;
	}
	if (mnl_socket_sendto(nl->socket, messages, len) < 0)
		return -errno;
	receive_refusals(&answer, first);
	*at = answer.refused;
	return answer.error;
}

static void send_held(struct netlink *nl)
{
	size_t len = nl->held_len;
	unsigned at;
	int e;

	nl->held_len = 0;
	e = len ? send_batch(nl, nl->held, len, &at) : 0;
	if (!nl->held_error)
		nl->held_error = e;
}

int netlink_batch_at(struct netlink *nl, void *messages, size_t len, unsigned *at)
{
	if (!nl->holds || len > sizeof(nl->held) - nl->held_len)
		send_held(nl);
	if (!nl->holds || len > sizeof(nl->held))
		return send_batch(nl, messages, len, at);
	memcpy(nl->held + nl->held_len, messages, len);
	nl->held_len += len;
	return 0;
}

void netlink_hold(struct netlink *nl, bool on)
{
	nl->holds = on;
}

int netlink_send_held(struct netlink *nl)
{
	int e;

	send_held(nl);
	e = nl->held_error;
	nl->held_error = 0;
	return e;
}

int netlink_batch(struct netlink *nl, void *messages, size_t len)
{
	unsigned at;

	return netlink_batch_at(nl, messages, len, &at);
}

int netlink_ifindex(const struct netlink *nl, const char *name)
{
	struct ifreq request = {0};

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	if (ioctl(mnl_socket_get_fd(nl->socket), SIOCGIFINDEX, &request) != 0)
		return -errno;
	return request.ifr_ifindex;
}

const char *netlink_strerror(const struct netlink *nl, int error)
{
	return nl->words[0] ? nl->words : strerror(-error);
}

/* ---- monitor ---- */

struct netlink_monitor {
	struct mnl_socket *socket;
	void (*message)(void *ctx, const struct nlmsghdr *h);
	void (*lost)(void *ctx);
	void *ctx;
	struct netlink_monitor_host host; /* of a rtnetlink monitor */
	uint8_t buf[RECEIVE_BUFFER] __attribute__((aligned(8)));
};

/* Beyond the system's limit where we may; a smaller queue works, too, and loses sooner. */
static void enlarge_queue(int fd)
{
	int size = MONITOR_QUEUE;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/* One by one: bind's bit mask ends at group 32. */
static bool join(struct mnl_socket *socket, const unsigned *groups)
{
	for (; *groups; groups++) {
		int group = (int)*groups;

		if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) <
		    0)
			return false;
	}
	return true;
}

struct netlink_monitor *netlink_monitor_open_protocol(int protocol, const unsigned *groups,
						      void (*message)(void *ctx,
								      const struct nlmsghdr *h),
						      void (*lost)(void *ctx), void *ctx)
{
	struct netlink_monitor *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->message = message;
	m->lost = lost;
	m->ctx = ctx;
	m->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!m->socket || mnl_socket_bind(m->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		netlink_monitor_close(m);
		return NULL;
	}
	enlarge_queue(mnl_socket_get_fd(m->socket));
	if (!join(m->socket, groups)) {
		netlink_monitor_close(m);
		return NULL;
	}
	return m;
}

static void take_change(void *ctx, const struct nlmsghdr *h)
{
	const struct netlink_monitor *m = ctx;
	struct netlink_link link;
	struct netlink_addr addr;

	if (m->host.link && netlink_parse_link(h, &link))
		m->host.link(m->host.ctx, &link);
	else if (m->host.addr && netlink_parse_addr(h, &addr))
		m->host.addr(m->host.ctx, &addr);
}

static void take_lost(void *ctx)
{
	const struct netlink_monitor *m = ctx;

	if (m->host.lost)
		m->host.lost(m->host.ctx);
}

struct netlink_monitor *netlink_monitor_open(const struct netlink_monitor_host *host)
{
	unsigned groups[4] = {0}, n = 0;
	struct netlink_monitor *m;

	if (host->link)
		groups[n++] = RTNLGRP_LINK;
	if (host->addr) {
		groups[n++] = RTNLGRP_IPV4_IFADDR;
		groups[n] = RTNLGRP_IPV6_IFADDR;
	}
	m = netlink_monitor_open_protocol(NETLINK_ROUTE, groups, take_change, take_lost, NULL);
	if (!m)
		return NULL;
	m->ctx = m;
	m->host = *host;
	return m;
}

void netlink_monitor_close(struct netlink_monitor *m)
{
	int error = errno; /* of the open that failed */

	if (!m)
		return;
	if (m->socket)
		mnl_socket_close(m->socket);
	free(m);
	errno = error;
}

int netlink_monitor_fd(const struct netlink_monitor *m)
{
	return mnl_socket_get_fd(m->socket);
}

/* The kernel reports by it what it could not tell, once: ENOBUFS where the queue was full, others
 * where there was no message to be made. One that comes again and again is the socket's. */
static bool is_loss(int error, unsigned *errors)
{
	return error == ENOBUFS || error == ENOSPC || (*errors)++ < MONITOR_ERRORS;
}

int netlink_monitor_read(struct netlink_monitor *m)
{
	for (unsigned errors = 0;;) {
		ssize_t n = mnl_socket_recvfrom(m->socket, m->buf, sizeof(m->buf));
		const struct nlmsghdr *h = (const struct nlmsghdr *)m->buf;
		int left = (int)n;

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && is_loss(errno, &errors)) {
			if (m->lost)
				m->lost(m->ctx);
			continue;
		}
		if (n < 0)
			return -errno;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			m->message(m->ctx, h);
		explicit_bzero(m->buf, (size_t)n); /* XFRM tells keys */
	}
}
