/* The vty client: a queue of questions and a socket for each daemon.
 *
 *	IDLE --question--> ENABLING ("enable" sent) --answer--> ASKING <--> READY
 *	any --error, silence, EOF--> IDLE; the question at hand fails, the next is tried */
#include "routed-bridge/vty.h"
#include "lib/unix_socket.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define ANSWER_MAX ((size_t)16 << 20)
#define PATIENCE   10.0
#define IDLE_LIMIT 10.0
#define READ_SIZE  (64 << 10)

enum state { IDLE, ENABLING, ASKING, READY };

struct question {
	char command[VTY_COMMAND_MAX];
	vty_answer_cb *cb; /* NULL: forgotten */
	void *ctx;
	struct question *prev, *next;
};

struct channel {
	struct vty *v;
	char daemon[16];
	enum state state;
	int fd;
	ev_io io;
	ev_timer timer; /* patience; IDLE: the next question is due; READY: unused */
	struct question *queue;
	struct vty_frame frame;
	uint8_t *in;
	size_t len, cap;
	struct channel *next;
};

struct vty {
	struct ev_loop *loop;
	char dir[108];
	struct vty_limits limits;
	struct channel *channels;
	unsigned waiting;
};

static void proceed(struct channel *c);

/* ---- the connection ---- */

static void arm(struct channel *c, double seconds)
{
	ev_timer_stop(c->v->loop, &c->timer);
	ev_timer_set(&c->timer, seconds, 0.);
	ev_timer_start(c->v->loop, &c->timer);
}

static void forget_answer(struct channel *c)
{
	free(c->in);
	c->in = NULL;
	c->len = c->cap = 0;
	c->frame = (struct vty_frame){0};
}

static void disconnect(struct channel *c)
{
	ev_timer_stop(c->v->loop, &c->timer);
	if (c->fd >= 0) {
		ev_io_stop(c->v->loop, &c->io);
		close(c->fd);
		c->fd = -1;
	}
	forget_answer(c);
	c->state = IDLE;
}

/* The first question leaves the queue and gets its answer, which ends at `text`. */
static void answer(struct channel *c, struct span text, uint8_t status, const char *why)
{
	struct question *q = c->queue;

	DL_DELETE(c->queue, q);
	c->v->waiting--;
	if (q->cb)
		q->cb(q->ctx, text, status, why);
	free(q);
}

static void fail(struct channel *c, const char *reason)
{
	char why[256];

	disconnect(c);
	if (!c->queue)
		return;
	snprintf(why, sizeof(why), "%s/%s.vty: %s", c->v->dir, c->daemon, reason);
	if (c->queue->next)
		arm(c, 0.); /* before the callback, which may ask more */
	answer(c, span_of(NULL, 0), 0, why);
}

static bool send_command(struct channel *c, const char *command)
{
	size_t n = strlen(command) + 1; /* its NUL ends it */

	/* The daemon reads one command at a time: there is always room for one. */
	if (send(c->fd, command, n, MSG_NOSIGNAL) == (ssize_t)n)
		return true;
	fail(c, strerror(errno));
	return false;
}

/* ---- answers ---- */

static void take_answer(struct channel *c, size_t text_len, uint8_t status)
{
	struct vty *v = c->v;
	uint8_t *text = c->in;

	if (c->state == ENABLING) {
		forget_answer(c);
		proceed(c);
		return;
	}
	c->in = NULL;
	forget_answer(c);
	c->state = READY;
	arm(c, c->queue->next ? 0. : v->limits.idle);
	answer(c, span_of(text, text_len), status, NULL);
	free(text);
}

static bool make_room(struct channel *c)
{
	size_t cap = c->cap ? c->cap * 2 : READ_SIZE;
	uint8_t *in;

	if (c->len < c->cap)
		return true;
	if (c->cap >= c->v->limits.answer_max) {
		fail(c, "the answer is larger than is read here");
		return false;
	}
	in = realloc(c->in, cap);
	if (!in) {
		fail(c, "out of memory");
		return false;
	}
	c->in = in;
	c->cap = cap;
	return true;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct channel *c = io->data;
	size_t text_len, used;
	uint8_t status;
	ssize_t n;

	(void)loop;
	(void)events;
	if (!make_room(c))
		return;
	n = recv(c->fd, c->in + c->len, c->cap - c->len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (c->state == READY) {
		disconnect(c); /* it ends, or says what nobody asked */
		proceed(c);
		return;
	}
	if (n <= 0) {
		fail(c, n == 0 ? "the daemon closed the connection" : strerror(errno));
		return;
	}
	c->len += (size_t)n;
	if (vty_frame_end(&c->frame, span_of(c->in, c->len), &text_len, &status, &used)) {
		if (used < c->len)
			fail(c, "it says more than one answer to one question");
		else
			take_answer(c, text_len, status);
		return;
	}
	arm(c, c->v->limits.patience);
}

/* ---- questions ---- */

static bool connect_channel(struct channel *c)
{
	char path[sizeof(c->v->dir) + sizeof(c->daemon) + 8];

	snprintf(path, sizeof(path), "%s/%s.vty", c->v->dir, c->daemon);
	c->fd = unix_socket_connect(path);
	if (c->fd < 0) {
		fail(c, strerror(errno));
		return false;
	}
	ev_io_set(&c->io, c->fd, EV_READ);
	ev_io_start(c->v->loop, &c->io);
	return true;
}

/* The next step of the first question in the queue. */
static void proceed(struct channel *c)
{
	while (c->queue && !c->queue->cb)
		answer(c, span_of(NULL, 0), 0, NULL);
	if (!c->queue) {
		if (c->fd >= 0) {
			c->state = READY;
			arm(c, c->v->limits.idle);
		}
		return;
	}
	if (c->fd < 0) {
		if (!connect_channel(c) || !send_command(c, "enable"))
			return;
		c->state = ENABLING;
	} else {
		if (!send_command(c, c->queue->command))
			return;
		c->state = ASKING;
	}
	arm(c, c->v->limits.patience);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct channel *c = timer->data;

	(void)loop;
	(void)events;
	if (c->state == ENABLING || c->state == ASKING)
		fail(c, "no answer");
	else if (c->queue)
		proceed(c);
	else
		disconnect(c);
}

static struct channel *channel_for(struct vty *v, const char *daemon)
{
	struct channel *c;

	LL_FOREACH (v->channels, c) {
		if (strcmp(c->daemon, daemon) == 0)
			return c;
	}
	if (strlen(daemon) >= sizeof(c->daemon))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->v = v;
	c->fd = -1;
	memcpy(c->daemon, daemon, strlen(daemon));
	ev_io_init(&c->io, on_readable, -1, EV_READ);
	ev_timer_init(&c->timer, on_timer, 0., 0.);
	c->io.data = c->timer.data = c;
	LL_PREPEND(v->channels, c);
	return c;
}

static bool one_line(const char *command)
{
	size_t n = strlen(command);

	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)command[i] < ' ')
			return false;
	}
	return n > 0 && n < VTY_COMMAND_MAX;
}

bool vty_ask(struct vty *v, const char *daemon, const char *command, vty_answer_cb *cb, void *ctx)
{
	struct channel *c = one_line(command) ? channel_for(v, daemon) : NULL;
	struct question *q = c && v->waiting < VTY_WAITING_MAX ? calloc(1, sizeof(*q)) : NULL;

	if (!q)
		return false;
	memcpy(q->command, command, strlen(command));
	q->cb = cb;
	q->ctx = ctx;
	DL_APPEND(c->queue, q);
	v->waiting++;
	if (c->state == IDLE || c->state == READY)
		arm(c, 0.); /* not from here: the callback is never called before we return */
	return true;
}

void vty_forget(struct vty *v, const void *ctx)
{
	struct channel *c;
	struct question *q;

	LL_FOREACH (v->channels, c) {
		DL_FOREACH (c->queue, q) {
			if (q->ctx == ctx)
				q->cb = NULL;
		}
	}
}

/* ---- life ---- */

struct vty *vty_new(struct ev_loop *loop, const char *dir, const struct vty_limits *limits)
{
	struct vty *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->loop = loop;
	snprintf(v->dir, sizeof(v->dir), "%s", dir);
	if (limits)
		v->limits = *limits;
	if (v->limits.answer_max == 0)
		v->limits.answer_max = ANSWER_MAX;
	if (v->limits.patience == 0.)
		v->limits.patience = PATIENCE;
	if (v->limits.idle == 0.)
		v->limits.idle = IDLE_LIMIT;
	return v;
}

void vty_free(struct vty *v)
{
	struct channel *c, *next;
	struct question *q, *next_q;

	if (!v)
		return;
	LL_FOREACH_SAFE (v->channels, c, next) {
		disconnect(c);
		DL_FOREACH_SAFE (c->queue, q, next_q) {
			free(q);
		}
		free(c);
	}
	free(v);
}
