/* libmicrohttpd gives one descriptor (an epoll) and a time to be called again at; libev
 * waits for both. Sockets and limits on time are ours: the library's own time limit begins
 * anew with every byte that a client sends. */
#include "lib/metrics_http.h"
#include "lib/mono.h"

#include <errno.h>
#include <ev.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#define RETRY_SECONDS	 5.
#define FRESH		 MONO_S /* a text is given again for this long */
#define CONNECTION_BYTES 8192	/* for a request and its headers */
#define BACKLOG		 1024
#define ROOM		 4 /* connections that are kept free for who comes next */
#define PATH		 "/metrics"

struct connection {
	struct connection *prev, *next;
	int fd;
	mono_time since;
	bool ended; /* shut down by us; the library has not closed it yet */
};

struct metrics_http {
	struct metrics_http_host host;
	struct endpoint at;
	bool told; /* that the address can't be had */
	struct MHD_Daemon *mhd;
	struct MHD_Response *page, *not_found, *not_allowed, *failed;
	mono_time page_made;
	struct connection *connections; /* utlist, oldest first */
	unsigned n_open;		/* of them, not ended */
	bool closed;			/* one was closed in this turn */
	ev_io io;
	ev_timer timer, age, retry;
};

/* ---- answers ---- */

static struct MHD_Response *plain(const char *text)
{
	/* Static texts: the library only reads them. */
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);

	if (r) {
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
					"text/plain; charset=utf-8");
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	}
	return r;
}

static void drop(struct MHD_Response **r)
{
	if (*r)
		MHD_destroy_response(*r);
	*r = NULL;
}

/* The text in force, made anew if it is older than a second. Those who still read an older
 * one keep it. */
static struct MHD_Response *page(struct metrics_http *h)
{
	struct metrics m = {.limit = METRICS_BYTES};
	mono_time now = mono_now();

	if (h->page && now - h->page_made < FRESH)
		return h->page;
	drop(&h->page);
	h->host.write(h->host.ctx, &m);
	if (!m.failed)
		h->page = MHD_create_response_from_buffer(m.len, m.text, MHD_RESPMEM_MUST_FREE);
	if (!h->page) {
		metrics_free(&m);
		return NULL;
	}
	MHD_add_response_header(h->page, MHD_HTTP_HEADER_CONTENT_TYPE, METRICS_TYPE);
	MHD_add_response_header(h->page, MHD_HTTP_HEADER_CONNECTION, "close");
	h->page_made = now;
	return h->page;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *body,
				  size_t *body_len, void **request)
{
	struct metrics_http *h = ctx;
	struct MHD_Response *r;

	(void)version;
	(void)body;
	(void)body_len;
	(void)request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return MHD_queue_response(c, MHD_HTTP_METHOD_NOT_ALLOWED, h->not_allowed);
	if (strcmp(url, PATH) != 0)
		return MHD_queue_response(c, MHD_HTTP_NOT_FOUND, h->not_found);
	r = page(h);
	return MHD_queue_response(c, r ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR,
				  r ? r : h->failed);
}

/* ---- connections ---- */

/* The library sees the end of the stream then, and closes. */
static void end(struct metrics_http *h, struct connection *c)
{
	c->ended = true;
	h->n_open--;
	shutdown(c->fd, SHUT_RDWR);
}

static struct connection *oldest(const struct metrics_http *h)
{
	struct connection *c;

	DL_FOREACH (h->connections, c) {
		if (!c->ended)
			return c;
	}
	return NULL;
}

static void arm_age(struct metrics_http *h)
{
	const struct connection *c = oldest(h);
	mono_time now = mono_now(), due;

	ev_timer_stop(h->host.loop, &h->age);
	if (!c)
		return;
	due = c->since + h->host.seconds * MONO_S;
	ev_now_update(h->host.loop);
	ev_timer_set(&h->age, due > now ? (double)(due - now) / (double)MONO_S : 0., 0.);
	ev_timer_start(h->host.loop, &h->age);
}

static struct connection *begin(struct metrics_http *h, struct MHD_Connection *of)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(of, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *c = info ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	*c = (struct connection){.fd = info->connect_fd, .since = mono_now()};
	DL_APPEND(h->connections, c);
	if (++h->n_open > METRICS_HTTP_CONNECTIONS - ROOM)
		end(h, oldest(h));
	return c;
}

static void on_connection(void *ctx, struct MHD_Connection *of, void **socket_ctx,
			  enum MHD_ConnectionNotificationCode code)
{
	struct metrics_http *h = ctx;
	struct connection *c = *socket_ctx;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_ctx = begin(h, of);
	} else if (c) {
		h->closed = true;
		DL_DELETE(h->connections, c);
		h->n_open -= !c->ended;
		free(c);
		*socket_ctx = NULL;
	}
}

/* ---- the loop ---- */

/* At its limit the library takes no connection, and begins again one turn behind the one in
 * which some were closed: nothing else would bring that turn about. */
static bool due(struct metrics_http *h, MHD_UNSIGNED_LONG_LONG *ms)
{
	if (!h->closed)
		return MHD_get_timeout(h->mhd, ms) == MHD_YES;
	*ms = 0;
	return true;
}

static void run(struct metrics_http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	h->closed = false;
	MHD_run(h->mhd);
	arm_age(h);
	ev_timer_stop(h->host.loop, &h->timer);
	if (!due(h, &ms))
		return;
	ev_timer_set(&h->timer, (double)ms / 1000., 0.);
	ev_timer_start(h->host.loop, &h->timer);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	run(w->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	run(w->data);
}

static void on_age(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct metrics_http *h = w->data;
	mono_time now = mono_now();
	struct connection *c;

	(void)loop;
	(void)revents;
	while ((c = oldest(h)) != NULL && now - c->since >= h->host.seconds * MONO_S)
		end(h, c);
	run(h);
}

/* ---- life ---- */

static void say(void *ctx, const char *format, va_list args)
{
	static struct log_limit limit = {.burst = 5};
	const struct metrics_http *h = ctx;
	char text[256];

	if (!log_limit_pass(&limit, mono_now()))
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_to(h->host.log, LOG_LEVEL_DEBUG, "http", "", "%s", text);
}

static int listener(const struct endpoint *at)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(at, &sa);
	int one = 1, error;
	int fd = socket(at->addr.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (at->addr.family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static bool start(struct metrics_http *h)
{
	const union MHD_DaemonInfo *info;
	int fd = listener(&h->at);

	if (fd < 0)
		return false;
	h->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h,
				  MHD_OPTION_EXTERNAL_LOGGER, say, h, MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_LIMIT, (unsigned)METRICS_HTTP_CONNECTIONS,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
				  MHD_OPTION_CONNECTION_TIMEOUT, h->host.seconds,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
	info = h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		if (h->mhd)
			MHD_stop_daemon(h->mhd);
		else
			close(fd);
		h->mhd = NULL;
		errno = ENOMEM;
		return false;
	}
	ev_io_set(&h->io, info->epoll_fd, EV_READ);
	ev_io_start(h->host.loop, &h->io);
	return true;
}

static void stop(struct metrics_http *h)
{
	ev_timer_stop(h->host.loop, &h->retry);
	ev_timer_stop(h->host.loop, &h->timer);
	ev_timer_stop(h->host.loop, &h->age);
	if (!h->mhd)
		return;
	ev_io_stop(h->host.loop, &h->io);
	MHD_stop_daemon(h->mhd);
	h->mhd = NULL;
	drop(&h->page);
}

static void try(struct metrics_http *h)
{
	char text[ENDPOINT_TEXT];

	if (start(h)) {
		log_to(h->host.log, LOG_LEVEL_NOTICE, "http", "", "metrics at http://%s" PATH,
		       endpoint_format_url(&h->at, text));
		return;
	}
	if (!h->told)
		log_to(h->host.log, LOG_LEVEL_ERROR, "http", "",
		       "no metrics: %s can't be listened on: %s%s; it is tried again",
		       endpoint_format_url(&h->at, text), strerror(errno),
		       errno == EADDRINUSE ? " (by another program: 'ss -ltnp' tells which)"
		       : errno == EACCES   ? " (a port from 1024 on needs no privilege)"
					   : "");
	h->told = true;
	ev_timer_set(&h->retry, RETRY_SECONDS, 0.);
	ev_timer_start(h->host.loop, &h->retry);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	try(w->data);
}

void metrics_http_listen(struct metrics_http *h, const struct endpoint *at)
{
	if (endpoint_equal(&h->at, at))
		return;
	stop(h);
	h->at = *at;
	h->told = false;
	if (at->addr.family)
		try(h);
}

struct metrics_http *metrics_http_new(const struct metrics_http_host *host)
{
	struct metrics_http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->host = *host;
	if (!h->host.seconds)
		h->host.seconds = METRICS_HTTP_SECONDS;
	h->not_found = plain("There is " PATH " here, and nothing else.\n");
	h->not_allowed = plain("GET and HEAD only.\n");
	h->failed = plain("Out of memory.\n");
	if (!h->not_found || !h->not_allowed || !h->failed) {
		metrics_http_free(h);
		return NULL;
	}
	MHD_add_response_header(h->not_allowed, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ev_init(&h->io, on_io);
	ev_init(&h->timer, on_timer);
	ev_init(&h->age, on_age);
	ev_init(&h->retry, on_retry);
	h->io.data = h->timer.data = h->age.data = h->retry.data = h;
	return h;
}

void metrics_http_free(struct metrics_http *h)
{
	if (!h)
		return;
	stop(h);
	drop(&h->not_found);
	drop(&h->not_allowed);
	drop(&h->failed);
	free(h);
}
