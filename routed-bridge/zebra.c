/* The zserv client: version, connect, HELLO, CAPABILITIES, then routes out and
 * interfaces and confirmations in. Owns the socket, both buffers and the timers of one
 * session; knows no tunnel and decides nothing about routes.
 *
 *	IDLE --timer--> ASKING (vty) --> GREETING (HELLO sent) --CAPABILITIES--> READY
 *	any --error or EOF--> IDLE, with back-off */
#include "routed-bridge/zebra.h"
#include "lib/queue.h"
#include "lib/unix_socket.h"
#include "routed-bridge/frr_version.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKOFF_FIRST  0.1 /* seconds */
#define BACKOFF_MAX    2.0
#define GREETING_LIMIT 5.0
#define OUT_MAX	       ((size_t)16 << 20) /* bytes that a zebra which reads nothing may leave */

enum state { IDLE, ASKING, GREETING, READY };

struct zebra {
	const struct zebra_host *host;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char vty_dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	enum zapi_route_type type;
	uint16_t instance;
	char name[24]; /* the type, for the log */
	bool subscribed, listed;
	enum state state;
	int fd;
	const struct zapi_version *version;
	struct frr_query query;
	ev_io readable, writable;
	ev_timer timer; /* IDLE: next attempt; GREETING: patience */
	double backoff;
	char complaint[256]; /* said last, so that it is said once */
	char frr[sizeof(((struct frr_version *)0)->text)];
	mono_time since; /* the session is ready, or not */
	uint64_t connects, ignored;
	struct log_limit odd_log; /* messages that make no sense */
	struct queue out;
	size_t in_len;
	uint8_t in[2 * ZAPI_MESSAGE_MAX];
};

static void attempt(struct zebra *z);

/* ---- state ---- */

/* Says it once, however often it is tried again. */
static void complain(struct zebra *z, enum log_level level, const char *why)
{
	if (strcmp(z->complaint, why) == 0)
		return;
	snprintf(z->complaint, sizeof(z->complaint), "%s", why);
	log_to(z->host->log, level, "zebra", z->name, "%s", why);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events);

static void arm(struct zebra *z, double seconds)
{
	ev_timer_stop(z->host->loop, &z->timer);
	ev_timer_set(&z->timer, seconds, 0.);
	ev_timer_start(z->host->loop, &z->timer);
}

static void disconnect(struct zebra *z)
{
	frr_query_stop(&z->query);
	ev_timer_stop(z->host->loop, &z->timer);
	if (z->fd >= 0) {
		ev_io_stop(z->host->loop, &z->readable);
		ev_io_stop(z->host->loop, &z->writable);
		close(z->fd);
		z->fd = -1;
	}
	queue_free(&z->out);
	z->listed = false;
	z->in_len = 0;
	z->state = IDLE;
}

/* The connection, or the attempt at one, is over; the next one is planned. */
static void __attribute__((format(printf, 3, 4)))
fail(struct zebra *z, enum log_level level, const char *format, ...)
{
	bool was_ready = z->state == READY;
	char why[256];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	disconnect(z);
	complain(z, level, why);
	arm(z, z->backoff);
	z->backoff = z->backoff * 2 < BACKOFF_MAX ? z->backoff * 2 : BACKOFF_MAX;
	if (!was_ready)
		return;
	z->since = mono_now();
	z->host->lost(z->host->ctx, z);
}

/* ---- writing ---- */

static void queue(struct zebra *z, const struct buf *message)
{
	if (!queue_put(&z->out, buf_span(message), OUT_MAX))
		fail(z, LOG_LEVEL_ERROR, "%s: zebra reads nothing, closing the connection",
		     z->socket);
}

void zebra_push(struct zebra *z)
{
	while (z->fd >= 0 && queue_len(&z->out)) {
		struct span front = queue_front(&z->out);
		ssize_t n = send(z->fd, front.ptr, front.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		/* An error of the socket shows when it is read. */
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			queue_take(&z->out, (size_t)n);
	}
	if (z->fd < 0)
		return;
	if (queue_len(&z->out))
		ev_io_start(z->host->loop, &z->writable);
	else
		ev_io_stop(z->host->loop, &z->writable);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	zebra_push(io->data);
}

bool zebra_drain(struct zebra *z, int timeout_ms)
{
	for (;;) {
		struct pollfd p = {.fd = z->fd, .events = POLLOUT};

		zebra_push(z);
		if (z->fd < 0 || !queue_len(&z->out))
			return z->fd >= 0;
		if (poll(&p, 1, timeout_ms) <= 0 || p.revents & (POLLERR | POLLHUP))
			return false;
	}
}

static void route_message(struct zebra *z, const struct zapi_route *route,
			  void (*encode)(struct buf *b, const struct zapi_version *v,
					 const struct zapi_route *route))
{
	uint8_t memory[512];
	struct buf b = buf_over(memory, sizeof(memory));

	if (z->state != READY)
		return;
	encode(&b, z->version, route);
	queue(z, &b);
}

void zebra_route_add(struct zebra *z, const struct zapi_route *route)
{
	route_message(z, route, zapi_encode_route_add);
}

void zebra_route_delete(struct zebra *z, const struct zapi_route *route)
{
	route_message(z, route, zapi_encode_route_delete);
}

static void send_subscription(struct zebra *z)
{
	uint8_t memory[64];
	struct buf b = buf_over(memory, sizeof(memory));

	/* zebra works on them in this order: with the router id it has told of all devices. */
	zapi_encode_interface_add(&b, z->version);
	zapi_encode_router_id_add(&b, z->version, AF_INET);
	queue(z, &b);
	zebra_push(z);
}

void zebra_subscribe(struct zebra *z)
{
	if (z->subscribed)
		return;
	z->subscribed = true;
	if (z->state == READY)
		send_subscription(z);
}

void zebra_listen(struct zebra *z, enum zapi_route_type type, uint16_t instance)
{
	uint8_t memory[64];
	struct buf b = buf_over(memory, sizeof(memory));

	if (z->state != READY)
		return;
	zapi_encode_redistribute(&b, z->version, true, ZAPI_VRF_DEFAULT, AF_INET, type, instance);
	zapi_encode_redistribute(&b, z->version, true, ZAPI_VRF_DEFAULT, AF_INET6, type, instance);
	queue(z, &b);
}

/* ---- reading ---- */

static void on_capabilities(struct zebra *z, const struct zapi_message *m)
{
	struct zapi_fault fault;

	if (z->state != GREETING)
		return;
	if (zapi_parse_capabilities(m->body, z->version, &fault) != ZAPI_OK) {
		fail(z, LOG_LEVEL_ERROR,
		     "%s: zebra's CAPABILITIES have %llu bytes, FRR %u.%u's have %u: not talking "
		     "to it",
		     z->socket, (unsigned long long)fault.value, z->version->major,
		     z->version->minor, z->version->capabilities_len);
		return;
	}
	ev_timer_stop(z->host->loop, &z->timer);
	z->state = READY;
	z->since = mono_now();
	z->connects++;
	z->backoff = BACKOFF_FIRST;
	z->complaint[0] = '\0';
	if (!z->version->verified)
		log_to(z->host->log, LOG_LEVEL_INFO, "zebra", z->name,
		       "FRR %u.%u's protocol is known from its source; no test has run against it",
		       z->version->major, z->version->minor);
	if (z->subscribed)
		send_subscription(z);
	z->host->ready(z->host->ctx, z);
}

/* A zebra gone mad must not fill the log: ten such lines a second. */
static void __attribute__((format(printf, 2, 3))) odd(struct zebra *z, const char *format, ...)
{
	va_list args;

	z->ignored++;
	if (!log_limit_pass(&z->odd_log, mono_now()))
		return;
	va_start(args, format);
	log_to_v(z->host->log, LOG_LEVEL_WARN, "zebra", z->name, format, args);
	va_end(args);
}

static void on_error(struct zebra *z, const struct zapi_message *m)
{
	uint32_t code = 0;

	if (zapi_parse_error(m->body, &code, NULL) == ZAPI_OK && code == ZAPI_ERROR_BAD_COMMAND)
		fail(z, LOG_LEVEL_ERROR,
		     "%s: zebra does not know a message that FRR %u.%u knows: not talking to it",
		     z->socket, z->version->major, z->version->minor);
	else if (code == ZAPI_ERROR_NO_VRF) /* it went while our message was on its way */
		log_to(z->host->log, LOG_LEVEL_DEBUG, "zebra", z->name, "zebra has no VRF %u",
		       m->vrf);
	else
		odd(z, "%s: zebra reports error %u", z->socket, code);
}

static enum zapi_error on_interface(struct zebra *z, const struct zapi_message *m,
				    struct zapi_fault *fault)
{
	struct zapi_interface i;
	enum zapi_error e = zapi_parse_interface(m->body, &i, fault);

	i.vrf = m->vrf;
	if (e == ZAPI_OK)
		z->host->interface(z->host->ctx, m->command, &i);
	return e;
}

static enum zapi_error on_vrf(struct zebra *z, const struct zapi_message *m,
			      struct zapi_fault *fault)
{
	struct zapi_vrf vrf;
	enum zapi_error e = zapi_parse_vrf(m->body, &vrf, fault);

	if (e == ZAPI_OK && z->host->vrf)
		z->host->vrf(z->host->ctx, m->vrf, m->command == ZAPI_VRF_ADD ? &vrf : NULL);
	return e;
}

static enum zapi_error on_address(struct zebra *z, const struct zapi_message *m,
				  struct zapi_fault *fault)
{
	struct zapi_address a;
	enum zapi_error e;

	if (!z->host->address)
		return ZAPI_OK;
	e = zapi_parse_address(m->body, &a, fault);
	/* Those of other VRFs are of no interest to anybody. */
	if (e == ZAPI_OK && m->vrf == ZAPI_VRF_DEFAULT)
		z->host->address(z->host->ctx, &a, m->command == ZAPI_INTERFACE_ADDRESS_ADD);
	return e;
}

static enum zapi_error on_route(struct zebra *z, const struct zapi_message *m,
				struct zapi_fault *fault)
{
	struct zapi_route route;
	enum zapi_error e;

	if (!z->host->route)
		return ZAPI_OK;
	e = zapi_parse_route(m, z->version, &route, fault);
	if (e == ZAPI_OK)
		z->host->route(z->host->ctx, &route, m->command == ZAPI_REDISTRIBUTE_ROUTE_ADD);
	return e == ZAPI_FOREIGN ? ZAPI_OK : e;
}

static enum zapi_error on_notify(struct zebra *z, const struct zapi_message *m,
				 struct zapi_fault *fault)
{
	struct zapi_notify n;
	enum zapi_error e = zapi_parse_notify(m->body, z->version, &n, fault);

	n.vrf = m->vrf;
	if (e == ZAPI_OK)
		z->host->notify(z->host->ctx, z, &n);
	return e;
}

static enum zapi_error on_router_id(struct zebra *z, const struct zapi_message *m,
				    struct zapi_fault *fault)
{
	struct prefix id;
	enum zapi_error e = zapi_parse_router_id(m->body, &id, fault);
	char text[ADDR_TEXT];

	if (e != ZAPI_OK)
		return e;
	log_to(z->host->log, LOG_LEVEL_DEBUG, "zebra", z->name, "router id %s",
	       addr_format(&id.addr, text));
	if (!z->listed) {
		z->listed = true;
		log_to(z->host->log, LOG_LEVEL_DEBUG, "zebra", z->name, "all devices are told");
		if (z->host->listed)
			z->host->listed(z->host->ctx, z);
	}
	return ZAPI_OK;
}

static void on_message(struct zebra *z, const struct zapi_message *m)
{
	struct zapi_fault fault = {0};
	enum zapi_error e = ZAPI_OK;

	switch (m->command) {
	case ZAPI_CAPABILITIES:
		on_capabilities(z, m);
		break;
	case ZAPI_ERROR:
		on_error(z, m);
		break;
	case ZAPI_INTERFACE_ADD:
	case ZAPI_INTERFACE_DELETE:
	case ZAPI_INTERFACE_UP:
	case ZAPI_INTERFACE_DOWN:
		e = on_interface(z, m, &fault);
		break;
	case ZAPI_INTERFACE_ADDRESS_ADD:
	case ZAPI_INTERFACE_ADDRESS_DELETE:
		e = on_address(z, m, &fault);
		break;
	case ZAPI_REDISTRIBUTE_ROUTE_ADD:
	case ZAPI_REDISTRIBUTE_ROUTE_DEL:
		e = on_route(z, m, &fault);
		break;
	case ZAPI_VRF_ADD:
	case ZAPI_VRF_DELETE:
		e = on_vrf(z, m, &fault);
		break;
	case ZAPI_ROUTE_NOTIFY_OWNER:
		e = on_notify(z, m, &fault);
		break;
	case ZAPI_ROUTER_ID_UPDATE:
		e = on_router_id(z, m, &fault);
		break;
	default:
		break;
	}
	if (e != ZAPI_OK)
		odd(z, "%s ignored: %s (offset %zu, value %llu)", zapi_command_name(m->command),
		    zapi_strerror(e), fault.offset, (unsigned long long)fault.value);
}

static void take_messages(struct zebra *z)
{
	struct zapi_message m;
	struct zapi_fault fault = {0};
	enum zapi_error e = ZAPI_OK;
	size_t pos = 0;

	while (z->fd >= 0) {
		e = zapi_parse_message(span_of(z->in + pos, z->in_len - pos), z->version, &m,
				       &fault);
		if (e != ZAPI_OK)
			break;
		pos += m.size;
		on_message(z, &m);
	}
	if (z->fd < 0)
		return;
	if (e != ZAPI_MORE) {
		fail(z, LOG_LEVEL_ERROR, "%s: %s (%llu): not talking to it", z->socket,
		     zapi_strerror(e), (unsigned long long)fault.value);
		return;
	}
	memmove(z->in, z->in + pos, z->in_len - pos);
	z->in_len -= pos;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct zebra *z = io->data;
	ssize_t n = recv(z->fd, z->in + z->in_len, sizeof(z->in) - z->in_len, 0);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(z, LOG_LEVEL_WARN, "%s: %s", z->socket,
		     n == 0 ? "zebra closed the connection" : strerror(errno));
		return;
	}
	z->in_len += (size_t)n;
	take_messages(z);
	/* One push for everything that these messages caused. */
	zebra_push(z);
}

/* ---- connecting ---- */

static void greet(struct zebra *z)
{
	uint8_t memory[64];
	struct buf b = buf_over(memory, sizeof(memory));

	z->fd = unix_socket_connect(z->socket);
	if (z->fd < 0) {
		fail(z, LOG_LEVEL_NOTICE, "waiting for zebra: %s: %s", z->socket, strerror(errno));
		return;
	}
	ev_io_set(&z->readable, z->fd, EV_READ);
	ev_io_set(&z->writable, z->fd, EV_WRITE);
	ev_io_start(z->host->loop, &z->readable);
	z->state = GREETING;
	arm(z, GREETING_LIMIT);
	zapi_encode_hello(&b, z->version, z->type, z->instance);
	queue(z, &b);
	zebra_push(z);
}

static void on_version(void *ctx, const struct frr_version *v, const char *why)
{
	struct zebra *z = ctx;

	if (!v) {
		fail(z, LOG_LEVEL_NOTICE, "waiting for zebra: %s", why);
		return;
	}
	snprintf(z->frr, sizeof(z->frr), "%s", v->text);
	z->version = v->unreleased ? NULL : zapi_version_find(v->major, v->minor);
	if (!z->version) {
		fail(z, LOG_LEVEL_DEBUG, "FRR %s is not known", v->text);
		if (z->host->unknown)
			z->host->unknown(z->host->ctx, v->text);
		return;
	}
	greet(z);
}

static void attempt(struct zebra *z)
{
	char why[192];

	if (!z->host->may_connect(z->host->ctx, why, sizeof(why))) {
		fail(z, LOG_LEVEL_NOTICE, "waiting for zebra: %s", why);
		return;
	}
	z->state = ASKING;
	frr_query_start(&z->query, z->vty_dir);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct zebra *z = timer->data;

	(void)loop;
	(void)events;
	if (z->state == GREETING)
		fail(z, LOG_LEVEL_ERROR, "%s: zebra does not answer HELLO", z->socket);
	else
		attempt(z);
}

struct zebra *zebra_new(const struct zebra_host *host, const struct zebra_config *config)
{
	struct zebra *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->host = host;
	snprintf(z->socket, sizeof(z->socket), "%s", config->socket);
	snprintf(z->vty_dir, sizeof(z->vty_dir), "%s", config->vty_dir);
	z->type = config->type;
	snprintf(z->name, sizeof(z->name), "%s", config->name);
	z->instance = config->instance;
	z->odd_log.burst = 10;
	z->fd = -1;
	z->since = mono_now();
	z->backoff = BACKOFF_FIRST;
	frr_query_init(&z->query, host->loop, on_version, z);
	ev_io_init(&z->readable, on_readable, -1, EV_READ);
	ev_io_init(&z->writable, on_writable, -1, EV_WRITE);
	ev_timer_init(&z->timer, on_timer, 0., 0.);
	z->readable.data = z->writable.data = z->timer.data = z;
	arm(z, 0.);
	return z;
}

void zebra_free(struct zebra *z)
{
	if (!z)
		return;
	disconnect(z);
	free(z);
}

bool zebra_is(const struct zebra *z, enum zapi_route_type type, uint16_t instance)
{
	return z->type == type && z->instance == instance;
}

void zebra_type(const struct zebra *z, enum zapi_route_type *type, uint16_t *instance)
{
	*type = z->type;
	*instance = z->instance;
}

bool zebra_ready(const struct zebra *z)
{
	return z->state == READY;
}

bool zebra_listed(const struct zebra *z)
{
	return z->listed;
}

struct zebra_status zebra_status(const struct zebra *z)
{
	return (struct zebra_status){
		.name = z->name,
		.ready = z->state == READY,
		.frr = z->frr,
		.complaint = z->complaint,
		.since = z->since,
		.connects = z->connects,
		.ignored = z->ignored,
	};
}
