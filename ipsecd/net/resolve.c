/* Names to addresses without blocking: c-ares drives its sockets through our loop. c-ares
 * reads resolv.conf when its channel is made, and a machine that has just started or moved
 * writes a new one: a channel that read another file is made anew before the next query. */
#include "ipsecd/net/resolve.h"

#include <ares.h>
#include <ev.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SOCKETS_MAX 16
#define OPEN_MAX    16384
#define RESOLV_CONF "/etc/resolv.conf"

struct resolver_io {
	struct resolver *owner;
	int fd; /* -1: free */
	ev_io watcher;
};

struct resolver {
	struct ev_loop *loop;
	ares_channel channel;
	struct timespec configured; /* resolv.conf's, when the channel read it */
	unsigned open;		    /* queries */
	unsigned answering;	    /* the listener is called, from amid the channel */
	resolve_done *done;
	void *ctx;
	ev_timer timer;
	bool closing;
	struct resolver_io io[SOCKETS_MAX];
};

struct query {
	struct resolver *owner;
	uint64_t id;
	int family;
	char name[];
};

/* c-ares has its own deadlines inside; the loop must call in by then. */
static void arm_timer(struct resolver *r)
{
	struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

	ev_timer_stop(r->loop, &r->timer);
	if (!next)
		return;
	ev_timer_set(&r->timer, (double)next->tv_sec + (double)next->tv_usec / 1e6, 0.);
	ev_timer_start(r->loop, &r->timer);
}

static void ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct resolver_io *io = w->data;
	struct resolver *r = io->owner;

	(void)loop;
	ares_process_fd(r->channel, revents & EV_READ ? io->fd : ARES_SOCKET_BAD,
			revents & EV_WRITE ? io->fd : ARES_SOCKET_BAD);
	arm_timer(r);
}

static void timed_out(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct resolver *r = w->data;

	(void)loop;
	(void)revents;
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timer(r);
}

static struct resolver_io *io_of(struct resolver *r, int fd)
{
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		if (r->io[i].fd == fd)
			return &r->io[i];
	}
	return NULL;
}

static void socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = data;
	struct resolver_io *io = io_of(r, fd);

	if (!io)
		io = io_of(r, -1);
	if (!io)
		return; /* the query ends by its own deadline */
	ev_io_stop(r->loop, &io->watcher);
	io->fd = readable || writable ? fd : -1;
	if (io->fd < 0)
		return;
	ev_io_set(&io->watcher, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	ev_io_start(r->loop, &io->watcher);
}

/* When resolv.conf was written; zeros when there is none. */
static struct timespec configured(void)
{
	struct stat st;

	return stat(RESOLV_CONF, &st) == 0 ? st.st_mtim : (struct timespec){0};
}

static bool channel_open(struct resolver *r)
{
	struct ares_options options = {.sock_state_cb = socket_state,
				       .sock_state_cb_data = r,
				       .timeout = 2000,
				       .tries = 2};

	r->configured = configured();
	return ares_init_options(&r->channel, &options,
				 ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) ==
	       ARES_SUCCESS;
}

/* Those that are open are asked anew (answered): with many names, and servers that are out of
 * reach, there are always some. On failure all stays as it was. */
static void channel_refresh(struct resolver *r)
{
	ares_channel before = r->channel;
	struct timespec now = configured();

	if (r->answering ||
	    (now.tv_sec == r->configured.tv_sec && now.tv_nsec == r->configured.tv_nsec))
		return;
	if (channel_open(r))
		ares_destroy(before);
	else
		r->channel = before;
}

struct resolver *resolver_new(struct ev_loop *loop, resolve_done *done, void *ctx)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->loop = loop;
	r->done = done;
	r->ctx = ctx;
	ev_timer_init(&r->timer, timed_out, 0., 0.);
	r->timer.data = r;
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		r->io[i].owner = r;
		r->io[i].fd = -1;
		ev_init(&r->io[i].watcher, ready);
		r->io[i].watcher.data = &r->io[i];
	}
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS || !channel_open(r)) {
		free(r);
		return NULL;
	}
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	r->closing = true;
	ares_destroy(r->channel);
	ev_timer_stop(r->loop, &r->timer);
	free(r);
	ares_library_cleanup();
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *result);

static void ask(struct query *q)
{
	const struct ares_addrinfo_hints hints = {.ai_family = q->family};

	ares_getaddrinfo(q->owner->channel, q->name, NULL, &hints, answered, q);
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	struct query *q = arg;
	struct resolver *r = q->owner;
	struct addr addrs[RESOLVE_MAX];
	unsigned n = 0;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION && !r->closing) { /* another channel is there already */
		ask(q);
		return;
	}
	for (struct ares_addrinfo_node *a = result ? result->nodes : NULL; a; a = a->ai_next) {
		struct endpoint e;

		if (n < RESOLVE_MAX && endpoint_from_sockaddr(a->ai_addr, &e))
			addrs[n++] = e.addr;
	}
	if (result)
		ares_freeaddrinfo(result);
	r->answering++;
	if (!r->closing)
		r->done(r->ctx, q->id, n, addrs, n ? "" : ares_strerror(status));
	r->answering--;
	r->open--;
	free(q);
}

void resolver_query(struct resolver *r, uint64_t query, const char *name, int family)
{
	size_t size = strlen(name) + 1;
	struct query *q;
	struct addr a;

	if (addr_parse(name, &a)) {
		r->done(r->ctx, query, 1, &a, "");
		return;
	}
	q = r->open < OPEN_MAX ? malloc(sizeof(*q) + size) : NULL;
	if (!q) {
		r->done(r->ctx, query, 0, NULL, "out of memory, or too many at once");
		return;
	}
	*q = (struct query){.owner = r, .id = query, .family = family ? family : AF_UNSPEC};
	memcpy(q->name, name, size);
	channel_refresh(r);
	r->open++;
	ask(q);
	arm_timer(r);
}
