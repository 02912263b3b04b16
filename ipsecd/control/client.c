/* One vici connection: bytes in to packets, packets to handlers, bytes out. Owns the
 * client's socket, its buffers and its registrations; knows no command. One command is
 * active at a time, as the protocol says: what a client sends behind it waits in its
 * stream, and its socket is read again when there is room. */
#include "ipsecd/control/server.h"
#include "lib/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define ERROR_TEXT     900		  /* bytes of a refusal, with its NUL */
#define LISTING_RESUME ((size_t)64 << 10) /* fewer waiting bytes: a list goes on */

static const char *const event_names[EVENT_KINDS] = {
	[EVENT_LIST_SA] = "list-sa",
	[EVENT_LIST_CONN] = "list-conn",
	[EVENT_LIST_CERT] = "list-cert",
	[EVENT_LIST_AUTHORITY] = "list-authority",
	[EVENT_LIST_POLICY] = "list-policy",
	[EVENT_LOG] = "log",
	[EVENT_CONTROL_LOG] = "control-log",
	[EVENT_IKE_UPDOWN] = "ike-updown",
	[EVENT_IKE_REKEY] = "ike-rekey",
	[EVENT_IKE_UPDATE] = "ike-update",
	[EVENT_CHILD_UPDOWN] = "child-updown",
	[EVENT_CHILD_REKEY] = "child-rekey",
	[EVENT_LINK_UPDOWN] = "link-updown",
	[EVENT_LINK_SUSPECT] = "link-suspect",
	[EVENT_CHILD_STATE_INSTALLED] = "child-state-installed",
	[EVENT_CHILD_STATE_REKEYED] = "child-state-rekeyed",
	[EVENT_CHILD_STATE_DESTROYING] = "child-state-destroying",
};

const char *control_event_name(enum control_event_kind kind)
{
	return event_names[kind];
}

/* ---- life ---- */

void client_drop(struct client *c, const char *why)
{
	struct control *control = c->control;

	if (c->dead)
		return;
	c->dead = true;
	ev_io_stop(control->host.loop, &c->readable);
	ev_io_stop(control->host.loop, &c->writable);
	ev_timer_stop(control->host.loop, &c->timeout);
	close(c->fd);
	pending_clear(c);
	if (why)
		log_to(control->host.log, LOG_LEVEL_WARN, "vici", "", "client dropped: %s", why);
}

void client_free(struct client *c)
{
	client_drop(c, NULL);
	vici_stream_free(&c->in);
	queue_free(&c->out);
	free(c);
}

/* ---- out ---- */

static bool is_passing(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

void client_flush(struct client *c)
{
	while (!c->dead && queue_len(&c->out)) {
		struct span front = queue_front(&c->out);
		ssize_t n = send(c->fd, front.ptr, front.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			queue_take(&c->out, (size_t)n);
		} else if (n < 0 && is_passing(errno)) {
			ev_io_start(c->control->host.loop, &c->writable);
			return;
		} else {
			client_drop(c, NULL); /* it went away */
		}
	}
	if (c->dead)
		return;
	/* A list that paused goes on when the socket takes more, whoever emptied the queue. */
	if (c->listing.kind)
		ev_io_start(c->control->host.loop, &c->writable);
	else
		ev_io_stop(c->control->host.loop, &c->writable);
}

void client_send(struct client *c, struct span packet)
{
	if (c->dead)
		return;
	if (!queue_put(&c->out, packet, CONTROL_BACKLOG_MAX)) {
		c->control->counters.dropped_slow++;
		client_drop(c, "it does not read what it asked for");
		return;
	}
	if (!c->corked)
		client_flush(c);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *c = w->data;

	(void)loop;
	(void)revents;
	client_flush(c);
	if (!c->dead && c->listing.kind && queue_len(&c->out) < LISTING_RESUME)
		listing_continue(c);
}

static struct buf scratch(struct control *control)
{
	return buf_over(control->scratch, 4 + VICI_PACKET_MAX);
}

struct buf client_response(struct client *c)
{
	struct buf b = scratch(c->control);

	vici_start(&b, VICI_CMD_RESPONSE, NULL);
	return b;
}

void client_respond(struct client *c, struct buf *response)
{
	c->busy = false;
	if (!vici_finish(response)) {
		client_fail(c, "the answer does not fit a packet of 512 KiB");
		return;
	}
	client_send(c, buf_span(response));
	if (!c->dead) /* its next request, when no caller of ours is on the stack */
		ev_feed_event(c->control->host.loop, &c->readable, EV_CUSTOM);
}

void client_succeed(struct client *c)
{
	struct buf b = client_response(c);

	vici_put(&b, "success", "yes");
	client_respond(c, &b);
}

void client_put_error(struct buf *b, const char *text)
{
	char shown[ERROR_TEXT];

	snprintf(shown, sizeof(shown), "%s", text);
	for (char *p = shown; *p; p++) {
		if (!text_is_ascii(p, 1))
			*p = '?';
	}
	vici_put(b, "errmsg", shown);
}

void client_fail(struct client *c, const char *format, ...)
{
	struct buf b = client_response(c);
	char text[ERROR_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	vici_put(&b, "success", "no");
	client_put_error(&b, text);
	client_respond(c, &b);
}

void client_fail_large(struct client *c, const char *what, const char *hint)
{
	log_to(c->control->host.log, LOG_LEVEL_WARN, "vici", "",
	       "%s do not fit a packet of 512 KiB: a client that asked for them has an error",
	       what);
	client_fail(c, "%s do not fit a packet of 512 KiB: %s", what, hint);
}

/* ---- events ---- */

struct buf control_begin_event(struct control *control, enum control_event_kind kind)
{
	struct buf b = scratch(control);

	vici_start(&b, VICI_EVENT, event_names[kind]);
	return b;
}

static bool finish_event(struct control *control, struct buf *event)
{
	if (vici_finish(event))
		return true;
	log_to(control->host.log, LOG_LEVEL_WARN, "vici", "", "an event does not fit a packet");
	return false;
}

void client_send_event(struct client *c, struct buf *event)
{
	if (finish_event(c->control, event))
		client_send(c, buf_span(event));
}

void control_send_event(struct control *control, enum control_event_kind kind, struct buf *event)
{
	struct client *c;

	if (!finish_event(control, event))
		return;
	control->counters.events++;
	DL_FOREACH (control->clients, c) {
		if (client_wants(c, kind))
			client_send(c, buf_span(event));
	}
}

bool control_wanted(const struct control *control, enum control_event_kind kind)
{
	const struct client *c;

	DL_FOREACH (control->clients, c) {
		if (client_wants(c, kind))
			return true;
	}
	return false;
}

/* ---- in ---- */

static void send_bare(struct client *c, enum vici_packet_type type)
{
	uint8_t memory[8];
	struct buf b = buf_over(memory, sizeof(memory));

	vici_start(&b, type, NULL);
	if (vici_finish(&b))
		client_send(c, buf_span(&b));
}

static void subscribe(struct client *c, struct span name, bool on)
{
	for (unsigned kind = 0; kind < EVENT_KINDS; kind++) {
		if (!span_equal(name, span_str(event_names[kind])))
			continue;
		if (on)
			c->events |= 1u << kind;
		else
			c->events &= ~(1u << kind);
		send_bare(c, VICI_EVENT_CONFIRM);
		return;
	}
	send_bare(c, VICI_EVENT_UNKNOWN);
}

static void run_command(struct client *c, const struct vici_packet *p)
{
	command_handler *handler = command_find(p->name);

	c->control->counters.commands++;
	if (!handler) {
		send_bare(c, VICI_CMD_UNKNOWN);
		return;
	}
	c->busy = true;
	handler(c, p->body);
}

static void drop_malformed(struct client *c, const char *what, size_t offset)
{
	char why[128];

	c->control->counters.dropped_malformed++;
	snprintf(why, sizeof(why), "malformed packet: %s at offset %zu", what, offset);
	client_drop(c, why);
}

static void handle_packet(struct client *c, struct span packet)
{
	struct vici_packet p;
	enum vici_error e = vici_packet_parse(packet, &p);
	size_t offset = 0;

	if (!e) {
		e = vici_body_check(p.body, &offset);
		offset += packet.len - p.body.len;
	}
	if (e)
		drop_malformed(c, vici_strerror(e), offset);
	else if (p.type == VICI_CMD_REQUEST)
		run_command(c, &p);
	else if (p.type == VICI_EVENT_REGISTER || p.type == VICI_EVENT_UNREGISTER)
		subscribe(c, p.name, p.type == VICI_EVENT_REGISTER);
	else
		drop_malformed(c, "a packet type that only servers send", 0);
}

static void process(struct client *c)
{
	struct span packet;

	while (!c->dead && !c->busy) {
		switch (vici_stream_next(&c->in, &packet)) {
		case VICI_STREAM_PACKET:
			handle_packet(c, packet);
			break;
		case VICI_STREAM_TOO_LONG:
			drop_malformed(c, "length above 512 KiB", 0);
			return;
		case VICI_STREAM_MORE:
			return;
		}
	}
}

static void receive(struct client *c)
{
	size_t room;
	uint8_t *space = vici_stream_space(&c->in, &room);
	ssize_t n;

	if (!space) { /* full behind an active command, or no memory */
		ev_io_stop(c->control->host.loop, &c->readable);
		if (!c->busy)
			client_drop(c, "out of memory");
		return;
	}
	n = recv(c->fd, space, room, MSG_DONTWAIT);
	if (n > 0)
		vici_stream_wrote(&c->in, (size_t)n);
	else if (n == 0 || !is_passing(errno))
		client_drop(c, NULL);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *c = w->data;

	process(c); /* what a command that ended has left in the stream */
	if (!c->dead && (revents & EV_READ)) {
		receive(c);
		process(c);
	}
	if (!c->dead && !c->busy)
		ev_io_start(loop, &c->readable);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	pending_timeout(w->data);
}

void client_accept(struct control *control, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->control = control;
	c->fd = fd;
	vici_stream_init(&c->in);
	ev_io_init(&c->readable, on_readable, fd, EV_READ);
	ev_io_init(&c->writable, on_writable, fd, EV_WRITE);
	ev_init(&c->timeout, on_timeout);
	c->readable.data = c->writable.data = c->timeout.data = c;
	DL_APPEND(control->clients, c);
	control->counters.clients++;
	ev_io_start(control->host.loop, &c->readable);
}
