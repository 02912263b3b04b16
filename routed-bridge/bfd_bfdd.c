/* bfdd waits for the answer to a question about counters and does nothing else meanwhile, so
 * every question gets one, also about a session that is not known here. What comes behind
 * that answer in the same read is left lying in bfdd's buffer until more comes: hence the
 * nudge, an ECHO_REQUEST a little later. */
#include "routed-bridge/bfd_bfdd.h"
#include "lib/queue.h"
#include "lib/unix_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define INPUT_SIZE	(16 * BFDDP_MESSAGE_MAX)
#define OUTPUT_LIMIT	(256 << 10)
#define RETRY		(MONO_S / 5)
#define NUDGE_AFTER	(20 * MONO_MS)
#define BFDD_ROOM	(8192 / BFDDP_SESSION_SIZE) /* sessions that it gives at once */

struct connection {
	struct bfd_bfdd *bfdd;
	int fd, id;
	bool broken;
	unsigned taken; /* sessions that came by it */
	mono_time nudge_at;
	struct bfd_watch watch;
	struct queue out;
	size_t n; /* bytes of input */
	uint8_t input[INPUT_SIZE];
	struct connection *next;
};

struct bfd_bfdd {
	const struct bfd_bfdd_host *host;
	char path[108];
	struct connection *connections;
	unsigned n_connections;
	int last_id;
	bool complained, refused_echo, refused_demand;
	mono_time retry_at;
};

struct bfd_bfdd *bfd_bfdd_new(const struct bfd_bfdd_host *host, const char *path)
{
	struct bfd_bfdd *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->host = host;
	memcpy(b->path, path, strnlen(path, sizeof(b->path) - 1));
	return b;
}

static mono_time now_of(const struct bfd_bfdd *b)
{
	return b->host->loop->now;
}

/* ---- to bfdd ---- */

static void flush(struct connection *c)
{
	struct bfd_loop *loop = c->bfdd->host->loop;
	uint32_t events = EPOLLIN;

	while (queue_len(&c->out) && !c->broken) {
		struct span s = queue_front(&c->out);
		ssize_t n = send(c->fd, s.ptr, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			queue_take(&c->out, (size_t)n);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			c->broken = true;
	}
	if (queue_len(&c->out))
		events |= EPOLLOUT;
	bfd_loop_change(loop, c->fd, &c->watch, events);
}

static void say(struct connection *c, const struct bfddp_message *m)
{
	uint8_t memory[BFDDP_SESSION_SIZE];
	struct buf b = buf_over(memory, sizeof(memory));

	bfddp_encode(&b, m);
	if (!queue_put(&c->out, buf_span(&b), OUTPUT_LIMIT))
		c->broken = true; /* it reads no more: anew, when it does */
	flush(c);
}

static struct connection *connection_of(const struct bfd_bfdd *b, int id)
{
	struct connection *c = b->connections;

	while (c && c->id != id)
		c = c->next;
	return c;
}

static uint32_t remote_flags(const struct bfd_session *s)
{
	return (s->remote_independent ? (uint32_t)BFDDP_REMOTE_CPI : 0) |
	       (s->remote_demand ? (uint32_t)BFDDP_REMOTE_DEMAND : 0);
}

void bfd_bfdd_tell(struct bfd_bfdd *b, const struct bfd_peer *p, bool down)
{
	struct connection *c = connection_of(b, p->owner);
	const struct bfd_session *s = &p->session;
	struct bfddp_message m = {
		.type = BFDDP_STATE_CHANGE,
		.state =
			{
				.discriminator = s->set.discriminator,
				.remote_discriminator = s->remote_discriminator,
				.remote_flags = remote_flags(s),
				.remote_min_tx = s->remote_min_tx,
				.remote_min_rx = s->remote_min_rx,
				.remote_min_echo_rx = s->remote_min_echo_rx,
				.state = (uint8_t)(down ? BFD_DOWN : s->state),
				.diag = s->remote_diag,
				.remote_multiplier = s->remote_multiplier,
			},
	};

	if (c && !c->broken)
		say(c, &m);
}

/* ---- from bfdd ---- */

static void refuse(struct bfd_bfdd *b, const struct bfddp_session *s)
{
	if (s->flags & BFDDP_ECHO && !b->refused_echo) {
		b->refused_echo = true;
		log_to(b->host->log, LOG_LEVEL_WARN, "bfd", s->ifname,
		       "'echo-mode' is not supported by this data plane: sessions run without");
	}
	if (s->flags & BFDDP_DEMAND && !b->refused_demand) {
		b->refused_demand = true;
		log_to(b->host->log, LOG_LEVEL_WARN, "bfd", s->ifname,
		       "demand mode is not supported by this data plane: sessions run without");
	}
}

static void take_session(struct connection *c, const struct bfddp_session *s)
{
	static const char *const words[] = {"new", "changed", "as before", "taken over"};
	struct bfd_bfdd *b = c->bfdd;
	struct bfd_peer *p;
	char text[ADDR_TEXT];
	enum bfd_put put;

	refuse(b, s);
	put = bfd_table_put(b->host->table, s, c->id, now_of(b), &p);
	if (put == BFD_PUT_NO_MEMORY) {
		log_to(b->host->log, LOG_LEVEL_ERROR, "bfd", s->ifname, "out of memory");
		return;
	}
	c->taken += put == BFD_PUT_NEW || put == BFD_PUT_TAKEN_OVER;
	log_to(b->host->log, LOG_LEVEL_DEBUG, "bfd", s->ifname,
	       "session %u with %s: %s; %u us x %u", s->discriminator, addr_format(&s->peer, text),
	       words[put], s->min_tx, s->multiplier);
	if (put == BFD_PUT_NEW)
		b->host->opened(b->host->ctx, p);
}

static void drop_session(struct connection *c, uint32_t discriminator)
{
	struct bfd_bfdd *b = c->bfdd;
	struct bfd_peer *p = bfd_table_find(b->host->table, discriminator);

	if (!p)
		return;
	log_to(b->host->log, LOG_LEVEL_DEBUG, "bfd", p->key.ifname, "session %u is deleted",
	       discriminator);
	b->host->closing(b->host->ctx, p);
	bfd_table_remove(b->host->table, p);
}

static void answer_counters(struct connection *c, uint16_t id, uint32_t discriminator)
{
	const struct bfd_peer *p = bfd_table_find(c->bfdd->host->table, discriminator);
	struct bfddp_message m = {
		.type = BFDDP_COUNTERS,
		.id = id,
		.counters.discriminator = discriminator,
	};

	if (p) {
		m.counters.in_bytes = p->in_bytes;
		m.counters.in_packets = p->in_packets;
		m.counters.out_bytes = p->out_bytes;
		m.counters.out_packets = p->out_packets;
	}
	say(c, &m);
	c->nudge_at = now_of(c->bfdd) + NUDGE_AFTER;
}

static void handle(struct connection *c, const struct bfddp_message *m)
{
	struct bfddp_message reply = {.type = BFDDP_ECHO_REPLY, .id = m->id, .echo = m->echo};

	switch (m->type) {
	case BFDDP_ADD_SESSION:
		take_session(c, &m->session);
		break;
	case BFDDP_DELETE_SESSION:
		drop_session(c, m->session.discriminator);
		break;
	case BFDDP_REQUEST_COUNTERS:
		answer_counters(c, m->id, m->discriminator);
		break;
	case BFDDP_ECHO_REQUEST:
		say(c, &reply);
		break;
	default: /* an ECHO_REPLY answers a nudge; the others are never bfdd's */
		break;
	}
}

/* One message; false: none is complete. */
static bool handle_first(struct connection *c, size_t *at)
{
	struct bfddp_message m = {0};
	size_t offset = 0;
	enum bfddp_error e = bfddp_parse(span_of(c->input + *at, c->n - *at), &m, &offset);

	if (e == BFDDP_MORE)
		return false;
	if (e == BFDDP_OK) {
		*at += m.size;
		handle(c, &m);
		return !c->broken;
	}
	bfd_table_stats(c->bfdd->host->table)->refused++;
	log_to(c->bfdd->host->log, LOG_LEVEL_ERROR, "bfd", "",
	       "message of bfdd refused: %s, at byte %zu", bfddp_strerror(e), offset);
	*at += m.size;
	c->broken = e < BFDDP_TRUNCATED; /* where the next one begins is not known */
	return !c->broken;
}

static void on_ready(void *ctx, uint32_t events)
{
	struct connection *c = ctx;
	size_t at = 0;
	ssize_t n;

	if (events & EPOLLOUT)
		flush(c);
	while (!c->broken) {
		n = recv(c->fd, c->input + c->n, sizeof(c->input) - c->n, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			c->broken = true;
			break;
		}
		c->n += (size_t)n;
		for (at = 0; handle_first(c, &at);)
			;
		c->n -= at;
		memmove(c->input, c->input + at, c->n);
	}
}

/* ---- connections ---- */

static void close_connection(struct bfd_bfdd *b, struct connection *c)
{
	struct connection **at = &b->connections;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	b->n_connections--;
	bfd_table_stats(b->host->table)->connections = b->n_connections;
	bfd_table_orphan(b->host->table, c->id, now_of(b));
	bfd_loop_forget(b->host->loop, &c->watch);
	close(c->fd);
	queue_free(&c->out);
	free(c);
}

void bfd_bfdd_free(struct bfd_bfdd *b)
{
	while (b->connections)
		close_connection(b, b->connections);
	free(b);
}

static void connect_one(struct bfd_bfdd *b)
{
	int fd = unix_socket_connect(b->path);
	struct connection *c = fd >= 0 ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		if (fd >= 0)
			close(fd);
		else if (!b->complained)
			log_to(b->host->log, LOG_LEVEL_WARN, "bfd", "",
			       "bfdd does not answer at %s (%s); tried again", b->path,
			       strerror(errno));
		b->complained = true;
		b->retry_at = now_of(b) + RETRY;
		return;
	}
	c->bfdd = b;
	c->fd = fd;
	c->id = ++b->last_id;
	c->watch = (struct bfd_watch){on_ready, c};
	c->next = b->connections;
	b->connections = c;
	b->n_connections++;
	b->complained = false;
	bfd_table_stats(b->host->table)->connections = b->n_connections;
	c->broken = !bfd_loop_add(b->host->loop, fd, &c->watch, EPOLLIN);
	if (b->n_connections == 1)
		log_to(b->host->log, LOG_LEVEL_NOTICE, "bfd", "", "connected to bfdd at %s",
		       b->path);
}

/* One connection, and another one behind those that bfdd has filled. */
static bool wants_connection(const struct bfd_bfdd *b)
{
	if (b->n_connections == CONNECTIONS_MAX)
		return false;
	for (const struct connection *c = b->connections; c; c = c->next) {
		if (c->taken < BFDD_ROOM)
			return false;
	}
	return true;
}

static mono_time earlier(mono_time a, mono_time b)
{
	return a < b ? a : b;
}

mono_time bfd_bfdd_run(struct bfd_bfdd *b)
{
	struct bfddp_message nudge = {.type = BFDDP_ECHO_REQUEST};
	mono_time at = MONO_NEVER, now = now_of(b);

	for (struct connection *c = b->connections, *next; c; c = next) {
		next = c->next;
		if (!c->broken && c->nudge_at && c->nudge_at <= now) {
			c->nudge_at = 0;
			nudge.echo.dplane_time = now / 1000;
			say(c, &nudge);
		}
		if (c->broken) {
			if (b->n_connections == 1)
				log_to(b->host->log, LOG_LEVEL_WARN, "bfd", "",
				       "bfdd is gone: its sessions go on for %u s",
				       (unsigned)(BFD_ORPHAN_TIME / MONO_S));
			close_connection(b, c);
		} else if (c->nudge_at) {
			at = earlier(at, c->nudge_at);
		}
	}
	if (wants_connection(b)) {
		if (b->retry_at <= now)
			connect_one(b);
		at = earlier(at, b->retry_at > now ? b->retry_at : now + RETRY);
	}
	return at;
}
