/* The server of the control socket. */
#include "routed-bridge/control.h"
#include "lib/accept.h"
#include "lib/unix_socket.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#define RETRY_SECONDS 5.
#define BACKLOG	      128

struct client {
	struct client *prev, *next;
	struct control *control;
	char *text;
	size_t len, sent;
	ev_io io;
	ev_timer patience;
};

struct control {
	struct control_host host;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;
	dev_t device; /* of our socket's file: another one may have taken its place */
	ino_t inode;
	bool told;
	ev_io io;
	ev_timer retry, accept_pause;
	struct client *clients;
	unsigned n_clients;
};

/* ---- clients ---- */

static void drop(struct client *c)
{
	struct control *control = c->control;

	ev_io_stop(control->host.loop, &c->io);
	ev_timer_stop(control->host.loop, &c->patience);
	close(c->io.fd);
	DL_DELETE(control->clients, c);
	control->n_clients--;
	free(c->text);
	free(c);
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	drop(timer->data);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
	struct client *c = io->data;
	ssize_t n = send(io->fd, c->text + c->sent, c->len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->sent += (size_t)n;
	if (n < 0 || c->sent == c->len)
		drop(c);
}

/* Who may open the socket's file is a matter of its folder; this is not. */
static bool may_know(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static bool serve(struct control *control, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return false;
	c->text = control->host.document(control->host.ctx);
	if (!c->text) {
		free(c);
		return false;
	}
	c->control = control;
	c->len = strlen(c->text);
	DL_APPEND(control->clients, c);
	control->n_clients++;
	ev_io_init(&c->io, on_writable, fd, EV_WRITE);
	ev_timer_init(&c->patience, on_patience, CONTROL_SECONDS, 0.);
	c->io.data = c->patience.data = c;
	ev_io_start(control->host.loop, &c->io);
	ev_timer_start(control->host.loop, &c->patience);
	return true;
}

static void on_accept_pause(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct control *control = timer->data;

	(void)events;
	ev_io_start(loop, &control->io);
}

/* The client stays in the queue, and would wake us again at once. */
static void pause_accepting(struct control *control)
{
	log_to(control->host.log, LOG_LEVEL_ERROR, "control", "", "can't accept a client: %s",
	       strerror(errno));
	ev_io_stop(control->host.loop, &control->io);
	ev_timer_set(&control->accept_pause, ACCEPT_PAUSE, 0.);
	ev_timer_start(control->host.loop, &control->accept_pause);
}

static void on_client(struct ev_loop *loop, ev_io *io, int events)
{
	struct control *control = io->data;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)loop;
	(void)events;
	if (fd < 0) {
		if (accept_ran_short(errno))
			pause_accepting(control);
		return;
	}
	/* Those who ask and do not read make room for who does. */
	if (may_know(fd) && control->n_clients == CONTROL_CLIENTS_MAX)
		drop(control->clients);
	if (!may_know(fd) || !serve(control, fd))
		close(fd);
}

/* ---- the socket ---- */

/* /run is empty after each boot. Where the folder can't be made, bind says so. */
static void make_folder(const char *path)
{
	char folder[sizeof(((struct control *)0)->path)];

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	mkdir(folder, 0755);
}

static bool bind_to(struct control *c, int fd)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t mask;
	bool ok;

	memcpy(un.sun_path, c->path, strlen(c->path));
	if (unix_socket_answers(c->path)) {
		errno = EADDRINUSE;
		return false;
	}
	if (lstat(c->path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(c->path);
	make_folder(c->path);
	mask = umask(0177);
	ok = bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0 && listen(fd, BACKLOG) == 0;
	umask(mask);
	if (!ok || lstat(c->path, &st) < 0)
		return false;
	c->device = st.st_dev;
	c->inode = st.st_ino;
	return true;
}

static void attempt(struct control *c)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind_to(c, fd)) {
		c->fd = fd;
		ev_io_set(&c->io, fd, EV_READ);
		ev_io_start(c->host.loop, &c->io);
		c->told = false;
		return;
	}
	if (!c->told)
		log_to(c->host.log, LOG_LEVEL_WARN, "control", "",
		       "%s: %s%s; no --status until then", c->path, strerror(errno),
		       errno == EADDRINUSE ? " (another bridge has it: 'control' or --control "
					     "gives each one its own)"
					   : "");
	c->told = true;
	if (fd >= 0)
		close(fd);
	ev_timer_set(&c->retry, RETRY_SECONDS, 0.);
	ev_timer_start(c->host.loop, &c->retry);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	attempt(timer->data);
}

struct control *control_new(const struct control_host *host, const char *path)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->host = *host;
	c->fd = -1;
	memcpy(c->path, path, strnlen(path, sizeof(c->path) - 1));
	ev_init(&c->io, on_client);
	ev_init(&c->retry, on_retry);
	ev_init(&c->accept_pause, on_accept_pause);
	c->io.data = c->retry.data = c->accept_pause.data = c;
	attempt(c);
	return c;
}

void control_free(struct control *c)
{
	struct client *client, *next;
	struct stat st;

	if (!c)
		return;
	DL_FOREACH_SAFE (c->clients, client, next)
		drop(client);
	ev_timer_stop(c->host.loop, &c->retry);
	ev_timer_stop(c->host.loop, &c->accept_pause);
	if (c->fd >= 0) {
		ev_io_stop(c->host.loop, &c->io);
		close(c->fd);
		if (lstat(c->path, &st) == 0 && st.st_dev == c->device && st.st_ino == c->inode)
			unlink(c->path);
	}
	free(c);
}

const char *control_path(const struct control *c)
{
	return c->path;
}
