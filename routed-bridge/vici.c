/* The vici client of the bridge: a script of requests (registrations first, so that
 * nothing falls between listing and events), then events for ever. Owns socket, stream
 * and timers; understands packets, not what they tell. */
#include "routed-bridge/vici.h"
#include "lib/vici_client.h"
#include "lib/vici_stream.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_FIRST 0.1 /* seconds */
#define BACKOFF_MAX   2.0
#define RELIST_DELAY  2.0
#define PATIENCE      10.0 /* without a byte of an answer that is due */

struct step {
	enum vici_packet_type type;
	const char *name;
};

static const struct step script[] = {
	{VICI_EVENT_REGISTER, "link-updown"},  {VICI_EVENT_REGISTER, "link-suspect"},
	{VICI_EVENT_REGISTER, "child-updown"}, {VICI_EVENT_REGISTER, "child-rekey"},
	{VICI_EVENT_REGISTER, "ike-updown"},   {VICI_EVENT_REGISTER, "ike-rekey"},
	{VICI_EVENT_REGISTER, "list-conn"},    {VICI_EVENT_REGISTER, "list-sa"},
	{VICI_CMD_REQUEST, "list-conns"},      {VICI_CMD_REQUEST, "list-sas"},
};

#define STEPS	   (sizeof(script) / sizeof(script[0]))
#define FIRST_LIST (STEPS - 2)

struct vici {
	const struct vici_host *host;
	char path[128];
	int fd;	     /* -1: not connected */
	size_t step; /* of the script, awaiting its answer; STEPS: done */
	bool relist_wanted;
	struct vici_stream in;
	ev_io readable;
	ev_timer reconnect, relist, patience;
	double backoff;
	char complaint[320];
	bool listed; /* since it was connected */
	mono_time since;
	uint64_t connects, malformed;
};

/* ---- the connection's end ---- */

static void disconnect(struct vici *v)
{
	ev_timer_stop(v->host->loop, &v->reconnect);
	ev_timer_stop(v->host->loop, &v->relist);
	ev_timer_stop(v->host->loop, &v->patience);
	if (v->fd < 0)
		return;
	ev_io_stop(v->host->loop, &v->readable);
	close(v->fd);
	v->fd = -1;
	vici_stream_free(&v->in);
	vici_stream_init(&v->in);
}

/* Said once, tried for ever. */
static void fail(struct vici *v, const char *why)
{
	bool was_connected = v->fd >= 0;

	disconnect(v);
	if (strcmp(v->complaint, why) != 0)
		log_to(v->host->log, was_connected ? LOG_LEVEL_WARN : LOG_LEVEL_NOTICE, "vici", "",
		       "%s%s", was_connected ? "" : "waiting for the IKE daemon: ", why);
	snprintf(v->complaint, sizeof(v->complaint), "%s", why);
	ev_timer_set(&v->reconnect, v->backoff, 0.);
	ev_timer_start(v->host->loop, &v->reconnect);
	if (v->listed)
		v->since = mono_now();
	v->listed = false;
	v->backoff = v->backoff * 2 < BACKOFF_MAX ? v->backoff * 2 : BACKOFF_MAX;
	if (was_connected)
		v->host->lost(v->host->ctx);
}

static void fail_socket(struct vici *v, const char *reason)
{
	char why[320];

	snprintf(why, sizeof(why), "%s: %s", v->path, reason);
	fail(v, why);
}

/* ---- the script ---- */

static void send_step(struct vici *v)
{
	uint8_t memory[128];
	struct buf b = buf_over(memory, sizeof(memory));

	if (v->step == FIRST_LIST)
		v->host->list_begin(v->host->ctx);
	ev_timer_again(v->host->loop, &v->patience);
	vici_start(&b, script[v->step].type, script[v->step].name);
	vici_finish(&b);
	/* One small request at a time: it always fits the socket's buffer. */
	if (send(v->fd, b.data, b.len, MSG_NOSIGNAL) != (ssize_t)b.len)
		fail_socket(v, strerror(errno));
}

static void relist_soon(struct vici *v)
{
	if (v->fd < 0 || ev_is_active(&v->relist))
		return;
	ev_timer_set(&v->relist, RELIST_DELAY, 0.);
	ev_timer_start(v->host->loop, &v->relist);
}

static void step_done(struct vici *v)
{
	v->step++;
	if (v->step < STEPS) {
		send_step(v);
		return;
	}
	ev_timer_stop(v->host->loop, &v->patience);
	v->backoff = BACKOFF_FIRST;
	v->complaint[0] = '\0';
	if (!v->listed) {
		v->listed = true;
		v->since = mono_now();
		v->connects++;
	}
	v->host->list_end(v->host->ctx);
	if (v->relist_wanted)
		relist_soon(v);
	v->relist_wanted = false;
}

static void step_unknown(struct vici *v)
{
	const struct step *s = &script[v->step];

	if (s->type == VICI_CMD_REQUEST) {
		char why[64];

		snprintf(why, sizeof(why), "the daemon has no command %s", s->name);
		fail_socket(v, why);
		return;
	}
	/* Done without; only ipsecd has link-updown and link-suspect. */
	log_to(v->host->log, LOG_LEVEL_INFO, "vici", "", "%s: the daemon has no event %s", v->path,
	       s->name);
	step_done(v);
}

void vici_relist(struct vici *v)
{
	if (v->step < STEPS)
		v->relist_wanted = true;
	else
		relist_soon(v);
}

static void on_relist(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct vici *v = timer->data;

	(void)loop;
	(void)events;
	if (v->fd < 0 || v->step < STEPS)
		return;
	v->step = FIRST_LIST;
	send_step(v);
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	fail_socket(timer->data, "the daemon does not answer");
}

/* ---- packets ---- */

static bool is_answer(const struct vici *v, enum vici_packet_type type)
{
	if (v->step == STEPS)
		return false;
	return type ==
	       (script[v->step].type == VICI_CMD_REQUEST ? VICI_CMD_RESPONSE : VICI_EVENT_CONFIRM);
}

static void on_packet(struct vici *v, struct span bytes)
{
	struct vici_packet p;
	enum vici_error e = vici_packet_parse(bytes, &p);
	size_t offset = 0;
	char why[128];

	if (e == VICI_OK)
		e = vici_body_check(p.body, &offset);
	if (e != VICI_OK) {
		v->malformed++;
		snprintf(why, sizeof(why), "malformed vici packet: %s (offset %zu)",
			 vici_strerror(e), offset);
		fail_socket(v, why);
	} else if (p.type == VICI_EVENT) {
		v->host->event(v->host->ctx, p.name, p.body);
	} else if (is_answer(v, p.type)) {
		step_done(v);
	} else if (v->step < STEPS &&
		   (p.type == VICI_CMD_UNKNOWN || p.type == VICI_EVENT_UNKNOWN)) {
		step_unknown(v);
	} else {
		snprintf(why, sizeof(why), "unexpected vici packet of type %u", p.type);
		fail_socket(v, why);
	}
}

static void take_packets(struct vici *v)
{
	enum vici_stream_state state = VICI_STREAM_MORE;
	struct span packet;

	while (v->fd >= 0 && (state = vici_stream_next(&v->in, &packet)) == VICI_STREAM_PACKET)
		on_packet(v, packet);
	if (v->fd >= 0 && state == VICI_STREAM_TOO_LONG)
		fail_socket(v, "a packet longer than vici allows");
	v->host->batch_end(v->host->ctx);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct vici *v = io->data;
	size_t room;
	uint8_t *space = vici_stream_space(&v->in, &room);
	ssize_t n;

	(void)loop;
	(void)events;
	if (!space) {
		fail_socket(v, "out of memory");
		return;
	}
	n = recv(v->fd, space, room, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail_socket(v, n == 0 ? "the daemon closed the connection" : strerror(errno));
		return;
	}
	vici_stream_wrote(&v->in, (size_t)n);
	if (ev_is_active(&v->patience))
		ev_timer_again(v->host->loop, &v->patience);
	take_packets(v);
}

/* ---- connecting ---- */

static void on_reconnect(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct vici *v = timer->data;
	char why[192];

	(void)events;
	v->fd = vici_client_socket(v->path, why, sizeof(why));
	if (v->fd < 0) {
		fail(v, why);
		return;
	}
	ev_io_set(&v->readable, v->fd, EV_READ);
	ev_io_start(loop, &v->readable);
	v->step = 0;
	v->relist_wanted = false;
	v->host->connected(v->host->ctx);
	send_step(v);
}

struct vici *vici_new(const struct vici_host *host, const char *socket)
{
	struct vici *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->host = host;
	snprintf(v->path, sizeof(v->path), "%s", socket);
	v->fd = -1;
	v->since = mono_now();
	v->backoff = BACKOFF_FIRST;
	vici_stream_init(&v->in);
	ev_io_init(&v->readable, on_readable, -1, EV_READ);
	/* A loss is announced before zebra can see it: where both wait to be read, it comes first.
	 */
	ev_set_priority(&v->readable, EV_MAXPRI);
	ev_timer_init(&v->reconnect, on_reconnect, 0., 0.);
	ev_timer_init(&v->relist, on_relist, 0., 0.);
	ev_timer_init(&v->patience, on_patience, 0., PATIENCE);
	v->readable.data = v->reconnect.data = v->relist.data = v->patience.data = v;
	ev_timer_start(host->loop, &v->reconnect);
	return v;
}

void vici_free(struct vici *v)
{
	if (!v)
		return;
	disconnect(v);
	vici_stream_free(&v->in);
	free(v);
}

struct vici_status vici_status(const struct vici *v)
{
	return (struct vici_status){
		.socket = v->path,
		.listed = v->listed,
		.complaint = v->complaint,
		.since = v->since,
		.connects = v->connects,
		.malformed = v->malformed,
	};
}
