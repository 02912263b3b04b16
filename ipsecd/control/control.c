/* The vici server's socket: lock, bind, accept, end. Owns the list of clients. The lock
 * is a flock on PATH.lock, so that it ends with the process whatever happens to it. */
#include "ipsecd/control/server.h"
#include "lib/accept.h"
#include "lib/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#define BACKLOG	    64
#define SOCKET_MODE 0770

/* ---- lock ---- */

static void tell_holder(int fd, const char *lock_path, char *why, size_t size)
{
	char pid[24] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	if (n > 0)
		pid[strcspn(pid, "\n")] = '\0';
	snprintf(why, size, "another daemon runs with this socket: process %s holds %s",
		 n > 0 ? pid : "unknown", lock_path);
}

static bool write_pid(int fd)
{
	char pid[24];
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

	return ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)n, 0) == n;
}

bool control_lock_inherit(int fd)
{
	return write_pid(fd);
}

/* Is the locked file still the one that has the name? An ending daemon unlinks it. */
static bool still_named(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

static int take_lock_file(const char *path, char *why, size_t size)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0) {
			snprintf(why, size, "%s: %s", path, strerror(errno));
			return -1;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			tell_holder(fd, path, why, size);
			close(fd);
			return -1;
		}
		if (still_named(fd, path)) {
			if (write_pid(fd))
				return fd;
			snprintf(why, size, "%s: %s", path, strerror(errno));
			close(fd);
			return -1;
		}
		close(fd);
	}
}

int control_lock(const char *path, char *why, size_t size)
{
	char *lock_path;
	int fd;

	if (asprintf(&lock_path, "%s.lock", path) < 0) {
		snprintf(why, size, "out of memory");
		return -1;
	}
	fd = take_lock_file(lock_path, why, size);
	free(lock_path);
	return fd;
}

void control_unlock(const char *path, int fd)
{
	char *lock_path;

	if (fd < 0)
		return;
	if (asprintf(&lock_path, "%s.lock", path) >= 0) {
		unlink(lock_path);
		free(lock_path);
	}
	close(fd);
}

/* ---- socket ---- */

static bool remove_stale(const struct sockaddr_un *un, char *why, size_t size)
{
	struct stat st;

	if (lstat(un->sun_path, &st) < 0)
		return true;
	if (!S_ISSOCK(st.st_mode))
		snprintf(why, size, "%s is in the way and is not a socket", un->sun_path);
	else if (unix_socket_answers(un->sun_path))
		snprintf(why, size, "another daemon answers at %s", un->sun_path);
	else if (unlink(un->sun_path) < 0)
		snprintf(why, size, "%s: %s", un->sun_path, strerror(errno));
	else
		return true;
	return false;
}

int control_listen(const char *path, char *why, size_t size)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(un.sun_path)) {
		snprintf(why, size, "%s: a socket path has at most %zu characters", path,
			 sizeof(un.sun_path) - 1);
		return -1;
	}
	memcpy(un.sun_path, path, strlen(path));
	if (!remove_stale(&un, why, size))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode before bind closes the moment in which others could connect. */
	if (fd >= 0 && fchmod(fd, SOCKET_MODE) == 0 &&
	    bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0 && chmod(path, SOCKET_MODE) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	snprintf(why, size, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- accept ---- */

static void on_accept_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct control *c = w->data;

	(void)revents;
	ev_io_start(loop, &c->acceptable);
}

static unsigned count_clients(const struct control *c)
{
	const struct client *client;
	unsigned n = 0;

	DL_COUNT(c->clients, client, n);
	return n;
}

static void on_acceptable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct control *c = w->data;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)revents;
	if (fd < 0) {
		if (!accept_ran_short(errno))
			return;
		log_to(c->host.log, LOG_LEVEL_ERROR, "vici", "", "can't accept a client: %s",
		       strerror(errno));
		ev_io_stop(loop, w);
		ev_timer_set(&c->accept_pause, ACCEPT_PAUSE, 0.);
		ev_timer_start(loop, &c->accept_pause);
		return;
	}
	if (count_clients(c) >= CONTROL_CLIENTS_MAX) {
		log_to(c->host.log, LOG_LEVEL_WARN, "vici", "", "client refused: %d are connected",
		       CONTROL_CLIENTS_MAX);
		close(fd);
		return;
	}
	client_accept(c, fd);
}

/* Clients are freed here and nowhere else, when no function that knows one runs. */
static void on_reap(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct control *c = w->data;
	struct client *client, *next;

	(void)loop;
	(void)revents;
	DL_FOREACH_SAFE (c->clients, client, next) {
		if (!client->dead)
			continue;
		DL_DELETE(c->clients, client);
		client_free(client);
	}
}

/* ---- life ---- */

static void start_watching(struct control *c)
{
	ev_io_init(&c->acceptable, on_acceptable, c->fd, EV_READ);
	ev_init(&c->accept_pause, on_accept_pause);
	ev_prepare_init(&c->reaper, on_reap);
	c->acceptable.data = c->accept_pause.data = c->reaper.data = c;
	ev_io_start(c->host.loop, &c->acceptable);
	ev_prepare_start(c->host.loop, &c->reaper);
}

static struct control *control_new(const char *path, const struct control_host *host)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->host = *host;
	c->fd = c->lock_fd = -1;
	c->next_tag = 1;
	c->opened = host->now(host->ctx);
	c->opened_wall = (long long)time(NULL);
	c->path = strdup(path);
	c->scratch = malloc(4 + VICI_PACKET_MAX);
	if (!c->path || !c->scratch) {
		free(c->scratch);
		free(c->path);
		free(c);
		return NULL;
	}
	return c;
}

static void control_free(struct control *c)
{
	free(c->scratch);
	free(c->path);
	free(c);
}

static void begin(struct control *c)
{
	start_watching(c);
	log_to(c->host.log, LOG_LEVEL_INFO, "vici", "", "clients are served at %s", c->path);
}

struct control *control_open(const char *path, const struct control_host *host, char *why,
			     size_t size)
{
	struct control *c = control_new(path, host);

	if (!c) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	c->lock_fd = control_lock(path, why, size);
	if (c->lock_fd >= 0)
		c->fd = control_listen(path, why, size);
	if (c->fd < 0) {
		control_unlock(path, c->lock_fd);
		control_free(c);
		return NULL;
	}
	begin(c);
	return c;
}

struct control *control_serve(int fd, const char *path, const struct control_host *host, char *why,
			      size_t size)
{
	struct control *c = control_new(path, host);

	if (!c) {
		snprintf(why, size, "out of memory");
		close(fd);
		return NULL;
	}
	c->fd = fd;
	begin(c);
	return c;
}

void control_close(struct control *c)
{
	struct client *client, *next;

	if (!c)
		return;
	ev_io_stop(c->host.loop, &c->acceptable);
	ev_timer_stop(c->host.loop, &c->accept_pause);
	ev_prepare_stop(c->host.loop, &c->reaper);
	DL_FOREACH_SAFE (c->clients, client, next) {
		client_flush(client);
		DL_DELETE(c->clients, client);
		client_free(client);
	}
	if (c->lock_fd >= 0)
		unlink(c->path);
	close(c->fd);
	control_unlock(c->path, c->lock_fd);
	control_free(c);
}

const struct control_counters *control_counters(const struct control *c)
{
	return &c->counters;
}
