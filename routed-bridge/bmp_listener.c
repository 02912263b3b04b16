/* The listening socket, the connection with its buffer, and the timer of both. */
#include "routed-bridge/bmp_listener.h"
#include "lib/accept.h"
#include "routed-bridge/bmp_resync.h"
#include "routed-bridge/tcp_owner.h"

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY	    MONO_S /* between attempts to listen */
#define BACKLOG	    4
#define PAUSE	    MONO_S	 /* without a route: a table is complete */
#define RETURN	    (5 * MONO_S) /* for bgpd to come again when it was made to */
#define TURN	    (64 << 10)	 /* bytes read at once, so that other work has its turn */
#define BUFFER_SIZE (BMP_MESSAGE_MAX + TURN)

struct bmp_listener {
	const struct bmp_listener_host *host;
	struct paths *paths;
	struct endpoint at;
	char name[ENDPOINT_TEXT];
	int listening, fd; /* -1: no socket */
	ev_io acceptable, readable;
	ev_timer timer; /* the next attempt to listen; sweep; resynchronisation */
	char complaint[128];
	struct log_limit log_limit;
	struct bmp_feed *feed;
	struct bmp_feed_count last; /* of the feed before */
	struct bmp_resync resync;
	uint64_t doubts;  /* of this feed, acted on */
	bool resyncing;	  /* the connection is there because we wanted the table again */
	bool told;	  /* the host knows that it is connected */
	size_t had;	  /* paths before the resynchronisation */
	mono_time paused; /* until when nobody is accepted; MONO_NEVER: as ever */
	mono_time away;	  /* resyncing: when the connection counts as lost */
	uint64_t connections, refused, resyncs;
	size_t len;
	uint8_t in[BUFFER_SIZE];
};

static void plan(struct bmp_listener *l);

static void __attribute__((format(printf, 3, 4)))
say(struct bmp_listener *l, enum log_level level, const char *format, ...)
{
	va_list args;

	if (!log_limit_pass(&l->log_limit, mono_now()))
		return;
	va_start(args, format);
	log_to_v(l->host->log, level, "bmp", l->name, format, args);
	va_end(args);
}

/* ---- the connection's end ---- */

static void close_connection(struct bmp_listener *l)
{
	if (l->fd < 0)
		return;
	ev_io_stop(l->host->loop, &l->readable);
	close(l->fd);
	l->fd = -1;
	l->len = 0;
	l->last = bmp_feed_count(l->feed);
	bmp_feed_free(l->feed);
	l->feed = NULL;
}

static void __attribute__((format(printf, 3, 4)))
lose(struct bmp_listener *l, enum log_level level, const char *format, ...)
{
	bool told = l->told;
	char why[256];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	close_connection(l);
	l->told = l->resyncing = false;
	say(l, level, "%s", why);
	plan(l);
	if (told)
		l->host->lost(l->host->ctx);
}

/* bgpd connects again after its `min-retry`. */
static void ask_again(struct bmp_listener *l)
{
	log_to(l->host->log, LOG_LEVEL_DEBUG, "bmp", l->name,
	       "there may be paths that bgpd has not told: having the whole table again");
	bmp_resync_begun(&l->resync);
	l->had = paths_added(l->paths);
	close_connection(l);
	l->resyncing = true;
	l->away = mono_now() + RETURN;
	l->resyncs++;
	plan(l);
}

/* ---- messages ---- */

static void on_synced(struct bmp_listener *l)
{
	if (l->resyncing)
		bmp_resync_done(&l->resync, paths_added(l->paths) != l->had, bmp_feed_took(l->feed),
				mono_now());
	l->resyncing = false;
	l->host->changed(l->host->ctx);
	l->host->synced(l->host->ctx);
}

/* When the doubts of this connection may be acted on: those that came with a table are
 * answered when it is complete. MONO_NEVER: there are none. */
static mono_time doubts_due(const struct bmp_listener *l)
{
	if (!l->feed || bmp_feed_count(l->feed).doubts == l->doubts)
		return MONO_NEVER;
	return bmp_feed_synced(l->feed) ? 0 : bmp_feed_last_route(l->feed) + PAUSE;
}

static void note_doubts(struct bmp_listener *l)
{
	if (doubts_due(l) > mono_now())
		return;
	l->doubts = bmp_feed_count(l->feed).doubts;
	bmp_resync_doubt(&l->resync, mono_now());
}

static void first_message(struct bmp_listener *l)
{
	if (l->told || !*bmp_feed_speaker(l->feed))
		return;
	l->told = true;
	l->host->connected(l->host->ctx, bmp_feed_speaker(l->feed));
}

/* Takes what is complete; false: the connection is gone. */
static bool take_messages(struct bmp_listener *l)
{
	struct bmp_fault fault = {0};
	struct bmp_message m;
	enum bmp_error e;
	bool ended = false;
	size_t pos = 0;
	char why[128];

	for (;;) {
		e = bmp_parse_message(span_of(l->in + pos, l->len - pos), &m, &fault);
		if (e == BMP_OK)
			e = bmp_feed_take(l->feed, &m, mono_now(), &fault, &ended, why,
					  sizeof(why));
		if (e != BMP_OK || ended)
			break;
		pos += m.size;
	}
	if (ended) {
		lose(l, LOG_LEVEL_NOTICE, "bgpd ends the connection: %s", why);
		return false;
	}
	if (e != BMP_MORE) {
		lose(l, LOG_LEVEL_ERROR, "%s%s%s (offset %zu, value %llu): connection closed",
		     bmp_strerror(e), fault.bgp ? ": " : "",
		     fault.bgp ? bgp_strerror(fault.bgp) : "", fault.offset,
		     (unsigned long long)fault.value);
		return false;
	}
	memmove(l->in, l->in + pos, l->len - pos);
	l->len -= pos;
	return true;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct bmp_listener *l = io->data;
	ssize_t n = recv(l->fd, l->in + l->len, TURN, 0);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lose(l, LOG_LEVEL_NOTICE, "%s",
		     n == 0 ? "bgpd closed the connection" : strerror(errno));
		return;
	}
	l->len += (size_t)n;
	if (take_messages(l)) {
		first_message(l);
		note_doubts(l);
		plan(l);
	}
	l->host->changed(l->host->ctx);
}

/* ---- connections ---- */

static void begin(struct bmp_listener *l, int fd)
{
	int on = 1;

	l->feed = bmp_feed_new(l->paths, l->host->log, mono_now());
	if (!l->feed) {
		say(l, LOG_LEVEL_ERROR, "out of memory: a connection is refused");
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	l->fd = fd;
	l->len = 0;
	l->doubts = 0;
	l->connections++;
	ev_io_set(&l->readable, fd, EV_READ);
	ev_io_start(l->host->loop, &l->readable);
	plan(l);
}

/* NULL, or why the one who connected is not listened to. */
static const char *distrust(struct bmp_listener *l, int fd, const struct endpoint *from)
{
	struct sockaddr_storage sa;
	struct endpoint here;
	socklen_t len = sizeof(sa);
	unsigned uid;

	if (!l->host->trusts || !addr_is_loopback(&from->addr))
		return NULL;
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
	    !endpoint_from_sockaddr((const struct sockaddr *)&sa, &here) ||
	    !tcp_owner(from, &here, &uid))
		return "whose it is cannot be found out";
	return l->host->trusts(l->host->ctx, uid) ? NULL
						  : "it is neither root's nor that of bgpd's user";
}

static void on_acceptable(struct ev_loop *loop, ev_io *io, int events)
{
	struct bmp_listener *l = io->data;
	struct sockaddr_storage from;
	struct endpoint peer = {0};
	socklen_t len = sizeof(from);
	char text[ENDPOINT_TEXT];
	const char *why;
	int fd =
		accept4(l->listening, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		if (!accept_ran_short(errno))
			return;
		say(l, LOG_LEVEL_ERROR, "can't accept a connection: %s", strerror(errno));
		ev_io_stop(loop, io);
		l->paused = mono_now() + (mono_time)(ACCEPT_PAUSE * (double)MONO_S);
		plan(l);
		return;
	}
	endpoint_from_sockaddr((const struct sockaddr *)&from, &peer);
	endpoint_format_url(&peer, text);
	why = l->fd >= 0 ? "bgpd is connected already (one 'router bgp' of one bgpd can be "
			   "listened to)"
			 : distrust(l, fd, &peer);
	if (why) {
		l->refused++;
		say(l, LOG_LEVEL_WARN, "refusing %s: %s", text, why);
		close(fd);
		return;
	}
	log_to(l->host->log, LOG_LEVEL_DEBUG, "bmp", l->name, "connection from %s", text);
	begin(l, fd);
}

/* Returns NULL, or what did not work. */
static const char *open_socket(struct bmp_listener *l)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&l->at, &sa);
	int on = 1;

	l->listening = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->listening < 0)
		return "socket";
	setsockopt(l->listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(l->listening, (struct sockaddr *)&sa, len) < 0)
		return "bind";
	return listen(l->listening, BACKLOG) < 0 ? "listen" : NULL;
}

static void close_socket(struct bmp_listener *l)
{
	if (l->listening < 0)
		return;
	ev_io_stop(l->host->loop, &l->acceptable);
	close(l->listening);
	l->listening = -1;
}

static void try_to_listen(struct bmp_listener *l)
{
	const char *failed = open_socket(l);
	char why[sizeof(l->complaint)];

	if (!failed) {
		ev_io_set(&l->acceptable, l->listening, EV_READ);
		ev_io_start(l->host->loop, &l->acceptable);
		log_to(l->host->log, LOG_LEVEL_INFO, "bmp", l->name, "waiting for bgpd");
		return;
	}
	snprintf(why, sizeof(why), "%s: %s", failed, strerror(errno));
	close_socket(l);
	if (strcmp(why, l->complaint) != 0)
		log_to(l->host->log, LOG_LEVEL_ERROR, "bmp", l->name, "%s; trying on", why);
	memcpy(l->complaint, why, sizeof(why));
}

/* ---- time ---- */

static mono_time earlier(mono_time a, mono_time b)
{
	return a < b ? a : b;
}

static mono_time next_event(const struct bmp_listener *l, mono_time now)
{
	mono_time at = MONO_NEVER;

	if (l->listening < 0)
		at = now + RETRY;
	at = earlier(at, l->paused);
	if (!l->feed)
		return l->resyncing ? earlier(at, l->away) : at;
	at = earlier(at, bmp_feed_deadline(l->feed));
	return earlier(earlier(at, l->resync.at), doubts_due(l));
}

static void plan(struct bmp_listener *l)
{
	mono_time now = mono_now(), at = next_event(l, now);

	ev_timer_stop(l->host->loop, &l->timer);
	if (at == MONO_NEVER)
		return;
	ev_timer_set(&l->timer, at > now ? (double)(at - now) / 1e9 : 0., 0.);
	ev_timer_start(l->host->loop, &l->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bmp_listener *l = timer->data;

	(void)events;
	if (l->listening < 0)
		try_to_listen(l);
	if (l->paused <= mono_now()) {
		l->paused = MONO_NEVER;
		ev_io_start(loop, &l->acceptable);
	}
	if (l->feed && bmp_feed_deadline(l->feed) <= mono_now()) {
		bmp_feed_expire(l->feed, mono_now());
		on_synced(l);
	}
	note_doubts(l);
	if (!l->feed && l->resyncing && l->away <= mono_now())
		lose(l, LOG_LEVEL_NOTICE, "bgpd did not come again");
	else if (l->feed && l->resync.at <= mono_now())
		ask_again(l);
	else
		plan(l);
}

struct bmp_listener *bmp_listener_new(const struct bmp_listener_host *host, struct paths *paths,
				      const struct endpoint *at)
{
	struct bmp_listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->host = host;
	l->paths = paths;
	l->at = *at;
	endpoint_format_url(at, l->name);
	l->listening = l->fd = -1;
	l->paused = MONO_NEVER;
	l->log_limit.burst = 10;
	bmp_resync_init(&l->resync);
	ev_io_init(&l->acceptable, on_acceptable, -1, EV_READ);
	ev_io_init(&l->readable, on_readable, -1, EV_READ);
	ev_timer_init(&l->timer, on_timer, 0., 0.);
	l->acceptable.data = l->readable.data = l->timer.data = l;
	try_to_listen(l);
	plan(l);
	return l;
}

void bmp_listener_free(struct bmp_listener *l)
{
	if (!l)
		return;
	close_connection(l);
	close_socket(l);
	ev_timer_stop(l->host->loop, &l->timer);
	free(l);
}

bool bmp_listener_is_at(const struct bmp_listener *l, const struct endpoint *at)
{
	return endpoint_equal(&l->at, at);
}

struct bmp_listener_state bmp_listener_state(const struct bmp_listener *l)
{
	return (struct bmp_listener_state){
		.listening = l->listening >= 0,
		.connected = l->feed != NULL,
		.synced = l->feed && bmp_feed_synced(l->feed),
		.speaker = l->feed ? bmp_feed_speaker(l->feed) : "",
		.connections = l->connections,
		.refused = l->refused,
		.resyncs = l->resyncs,
		.feed = l->feed ? bmp_feed_count(l->feed) : l->last,
	};
}
