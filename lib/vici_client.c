/* The blocking vici client: connect, request and response, events in between. Owns the
 * socket and both buffers; the socket is non-blocking underneath, so that every wait has
 * its timeout. */
#include "lib/vici_client.h"
#include "lib/mono.h"
#include "lib/unix_socket.h"
#include "lib/vici_stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct vici_client {
	int fd;
	struct vici_stream in;
	uint8_t *out; /* one request */
	vici_event_cb *event;
	void *ctx;
};

const char *vici_client_strerror(enum vici_client_error e)
{
	static const char *const text[] = {
		[VICI_CLIENT_OK] = "no error",
		[VICI_CLIENT_CLOSED] = "the daemon closed the connection",
		[VICI_CLIENT_SYSTEM] = "the socket failed",
		[VICI_CLIENT_TIMEOUT] = "no answer in time",
		[VICI_CLIENT_PROTOCOL] = "the answer is not valid vici",
		[VICI_CLIENT_UNKNOWN] = "the daemon does not know this command or event",
		[VICI_CLIENT_TOO_LARGE] = "the request is too large",
		[VICI_CLIENT_MEMORY] = "out of memory",
	};

	return (unsigned)e < sizeof(text) / sizeof(text[0]) ? text[e] : "unknown error";
}

int vici_client_socket(const char *path, char *why, size_t size)
{
	int fd = unix_socket_connect(path);

	if (fd < 0 && errno == ENAMETOOLONG)
		snprintf(why, size, "%s: a socket path has at most %zu characters", path,
			 sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	else if (fd < 0)
		snprintf(why, size, "%s: %s%s", path, strerror(errno),
			 errno == EACCES ? " (its owner and its group may use it)" : "");
	return fd;
}

struct vici_client *vici_client_connect(const char *path, vici_event_cb *event, void *ctx,
					char *why, size_t size)
{
	struct vici_client *c = calloc(1, sizeof(*c));

	if (c)
		c->out = malloc(4 + VICI_PACKET_MAX);
	if (!c || !c->out) {
		snprintf(why, size, "out of memory");
		free(c);
		return NULL;
	}
	c->event = event;
	c->ctx = ctx;
	vici_stream_init(&c->in);
	c->fd = vici_client_socket(path, why, size);
	if (c->fd < 0) {
		vici_client_close(c);
		return NULL;
	}
	return c;
}

void vici_client_close(struct vici_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	vici_stream_free(&c->in);
	free(c->out);
	free(c);
}

/* ---- waiting ---- */

static mono_time deadline_in(int timeout_ms)
{
	return timeout_ms < 0 ? MONO_NEVER : mono_now() + (mono_time)timeout_ms * MONO_MS;
}

static enum vici_client_error wait_fd(int fd, short events, mono_time deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	mono_time now = mono_now();
	int ms = -1, n;

	if (deadline != MONO_NEVER) {
		if (now >= deadline)
			return VICI_CLIENT_TIMEOUT;
		ms = (int)((deadline - now + MONO_MS - 1) / MONO_MS);
	}
	n = poll(&p, 1, ms);
	if (n < 0)
		return errno == EINTR ? VICI_CLIENT_OK : VICI_CLIENT_SYSTEM;
	return n ? VICI_CLIENT_OK : VICI_CLIENT_TIMEOUT;
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static enum vici_client_error send_all(struct vici_client *c, struct span s, mono_time deadline)
{
	enum vici_client_error err;

	while (s.len) {
		ssize_t n = send(c->fd, s.ptr, s.len, MSG_NOSIGNAL);

		if (n >= 0) {
			s = span_of(s.ptr + n, s.len - (size_t)n);
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return VICI_CLIENT_CLOSED;
		if (!is_passing(errno))
			return VICI_CLIENT_SYSTEM;
		err = wait_fd(c->fd, POLLOUT, deadline);
		if (err)
			return err;
	}
	return VICI_CLIENT_OK;
}

static enum vici_client_error receive_some(struct vici_client *c, mono_time deadline)
{
	size_t room;
	uint8_t *p = vici_stream_space(&c->in, &room);
	ssize_t n;

	if (!p)
		return VICI_CLIENT_MEMORY;
	for (;;) {
		enum vici_client_error err;

		n = recv(c->fd, p, room, 0);
		if (n > 0)
			break;
		if (n == 0 || errno == ECONNRESET)
			return VICI_CLIENT_CLOSED;
		if (!is_passing(errno))
			return VICI_CLIENT_SYSTEM;
		err = wait_fd(c->fd, POLLIN, deadline);
		if (err)
			return err;
	}
	vici_stream_wrote(&c->in, (size_t)n);
	return VICI_CLIENT_OK;
}

/* The next packet that is no event; events go to the callback. */
static enum vici_client_error receive_packet(struct vici_client *c, mono_time deadline,
					     struct vici_packet *out)
{
	enum vici_stream_state state;
	struct span packet;
	size_t offset;

	for (;;) {
		state = vici_stream_next(&c->in, &packet);
		if (state == VICI_STREAM_TOO_LONG)
			return VICI_CLIENT_PROTOCOL;
		if (state == VICI_STREAM_MORE) {
			enum vici_client_error err = receive_some(c, deadline);

			if (err)
				return err;
			continue;
		}
		if (vici_packet_parse(packet, out) || vici_body_check(out->body, &offset))
			return VICI_CLIENT_PROTOCOL;
		if (out->type != VICI_EVENT)
			return VICI_CLIENT_OK;
		if (c->event)
			c->event(c->ctx, out->name, out->body);
	}
}

/* ---- requests ---- */

static enum vici_client_error exchange(struct vici_client *c, enum vici_packet_type type,
				       const char *name, struct span body, int timeout_ms,
				       struct vici_packet *reply)
{
	struct buf b = buf_over(c->out, 4 + VICI_PACKET_MAX);
	mono_time deadline = deadline_in(timeout_ms);
	enum vici_client_error err;

	vici_start(&b, type, name);
	buf_put_span(&b, body);
	if (!vici_finish(&b))
		return VICI_CLIENT_TOO_LARGE;
	err = send_all(c, buf_span(&b), deadline);
	explicit_bzero(c->out, b.len);
	return err ? err : receive_packet(c, deadline, reply);
}

enum vici_client_error vici_client_call(struct vici_client *c, const char *command,
					struct span body, int timeout_ms, struct span *response)
{
	struct vici_packet reply;
	enum vici_client_error err =
		exchange(c, VICI_CMD_REQUEST, command, body, timeout_ms, &reply);

	if (err)
		return err;
	if (reply.type == VICI_CMD_UNKNOWN)
		return VICI_CLIENT_UNKNOWN;
	if (reply.type != VICI_CMD_RESPONSE)
		return VICI_CLIENT_PROTOCOL;
	*response = reply.body;
	return VICI_CLIENT_OK;
}

static enum vici_client_error subscribe(struct vici_client *c, enum vici_packet_type type,
					const char *event, int timeout_ms)
{
	struct vici_packet reply;
	enum vici_client_error err = exchange(c, type, event, (struct span){0}, timeout_ms, &reply);

	if (err)
		return err;
	if (reply.type == VICI_EVENT_UNKNOWN)
		return VICI_CLIENT_UNKNOWN;
	return reply.type == VICI_EVENT_CONFIRM ? VICI_CLIENT_OK : VICI_CLIENT_PROTOCOL;
}

enum vici_client_error vici_client_register(struct vici_client *c, const char *event,
					    int timeout_ms)
{
	return subscribe(c, VICI_EVENT_REGISTER, event, timeout_ms);
}

enum vici_client_error vici_client_unregister(struct vici_client *c, const char *event,
					      int timeout_ms)
{
	return subscribe(c, VICI_EVENT_UNREGISTER, event, timeout_ms);
}

enum vici_client_error vici_client_wait(struct vici_client *c, int timeout_ms)
{
	struct vici_packet odd;
	enum vici_client_error err = receive_packet(c, deadline_in(timeout_ms), &odd);

	if (err == VICI_CLIENT_TIMEOUT)
		return VICI_CLIENT_OK;
	return err ? err : VICI_CLIENT_PROTOCOL;
}
