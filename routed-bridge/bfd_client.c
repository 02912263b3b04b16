#include "routed-bridge/bfd_client.h"
#include "lib/mono.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define RETRY	    0.05	 /* seconds */
#define MISTRUST    2.0		 /* seconds until the other user's process may have ended */
#define SPAWN_AGAIN (2 * MONO_S) /* for a process to be there */
#define LINGER	    "15"	 /* seconds that it waits for the next bridge */

struct bfd_client {
	const struct bfd_client_host *host;
	char path[108];
	int fd; /* -1: not connected */
	bool greeted;
	bool complained;
	ev_io io;
	ev_timer retry;
	mono_time spawned; /* when; 0: never, or it is to be done anew at once */
};

/* ---- the process ---- */

/* In the child: a process without parents, so that it outlives us and leaves no zombie. */
static void become_plane(const struct bfd_client *c)
{
	const char *const argv[] = {
		"routed-bridge",
		"--bfd-only",
		c->path,
		"--bfd-linger",
		LINGER,
		"--log-level",
		log_level_name(c->host->log->level),
		log_uses_syslog() ? NULL : "--foreground",
		NULL,
	};

	setsid();
	if (fork() != 0)
		_exit(0);
	close_range(3, ~0u, 0); /* the lock above all */
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void spawn(struct bfd_client *c)
{
	pid_t child;

	c->spawned = mono_now();
	child = fork();
	if (child == 0)
		become_plane(c);
	if (child < 0)
		log_to(c->host->log, LOG_LEVEL_ERROR, "bfd", "", "cannot start BFD: %s",
		       strerror(errno));
	else
		waitpid(child, NULL, 0);
}

/* ---- the connection ---- */

static void retry_in(struct bfd_client *c, double seconds)
{
	ev_timer_stop(c->host->loop, &c->retry);
	ev_timer_set(&c->retry, seconds, 0.);
	ev_timer_start(c->host->loop, &c->retry);
}

static void disconnect(struct bfd_client *c)
{
	if (c->fd < 0)
		return;
	ev_io_stop(c->host->loop, &c->io);
	close(c->fd);
	c->fd = -1;
}

static void ask_to_stop(struct bfd_client *c)
{
	struct bfd_link_message m = {.kind = BFD_LINK_STOP, .version = BFD_LINK_VERSION};

	if (c->fd >= 0)
		bfd_link_write(c->fd, &m);
}

static void on_hello(struct bfd_client *c, uint32_t version)
{
	if (version == BFD_LINK_VERSION) {
		c->greeted = true;
		c->host->begin(c->host->ctx);
		return;
	}
	log_to(c->host->log, LOG_LEVEL_NOTICE, "bfd", "",
	       "BFD of another version of routed-bridge runs: it is ended and started anew");
	ask_to_stop(c);
	disconnect(c);
	c->spawned = 0;
	retry_in(c, RETRY);
}

static void handle(struct bfd_client *c, const struct bfd_link_message *m)
{
	const struct bfd_client_host *host = c->host;

	if (m->kind == BFD_LINK_HELLO)
		on_hello(c, m->version);
	else if (!c->greeted)
		return;
	else if (m->kind == BFD_LINK_SESSION)
		host->session(host->ctx, &m->session);
	else if (m->kind == BFD_LINK_GONE)
		host->gone(host->ctx, m->session.discriminator);
	else if (m->kind == BFD_LINK_LISTED)
		host->listed(host->ctx);
	else if (m->kind == BFD_LINK_STATS)
		host->stats(host->ctx, &m->stats);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct bfd_client *c = io->data;
	struct bfd_link_message m;
	int n;

	(void)loop;
	(void)events;
	while (c->fd >= 0 && (n = bfd_link_read(c->fd, &m)) != 0) {
		if (n > 0) {
			handle(c, &m);
			continue;
		}
		disconnect(c);
		log_to(c->host->log, LOG_LEVEL_WARN, "bfd", "",
		       "the BFD process is gone: it is started anew");
		retry_in(c, 0.);
	}
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bfd_client *c = timer->data;
	int fd = bfd_link_connect(c->path);

	(void)events;
	if (fd >= 0 && !bfd_link_trusts(fd)) {
		if (!c->complained)
			log_to(c->host->log, LOG_LEVEL_ERROR, "bfd", "",
			       "another user's process has the name of our BFD process: no BFD "
			       "until it ends");
		c->complained = true;
		close(fd);
		retry_in(c, MISTRUST);
		return;
	}
	if (fd < 0) {
		if (!c->spawned || mono_now() - c->spawned > SPAWN_AGAIN)
			spawn(c);
		retry_in(c, RETRY);
		return;
	}
	c->fd = fd;
	c->greeted = c->complained = false;
	ev_io_set(&c->io, fd, EV_READ);
	ev_io_start(loop, &c->io);
}

struct bfd_client *bfd_client_new(const struct bfd_client_host *host, const char *path)
{
	struct bfd_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->host = host;
	c->fd = -1;
	memcpy(c->path, path, strnlen(path, sizeof(c->path) - 1));
	ev_init(&c->io, on_readable);
	ev_init(&c->retry, on_retry);
	/* What it has to say is said before other events of the same moment are looked at. */
	ev_set_priority(&c->io, EV_MAXPRI);
	c->io.data = c->retry.data = c;
	retry_in(c, 0.);
	return c;
}

void bfd_client_free(struct bfd_client *c, bool stop)
{
	if (!c)
		return;
	if (stop)
		ask_to_stop(c);
	disconnect(c);
	ev_timer_stop(c->host->loop, &c->retry);
	free(c);
}

bool bfd_client_patience(struct bfd_client *c, uint32_t discriminator, uint32_t patience)
{
	struct bfd_link_message m = {
		.kind = BFD_LINK_PATIENCE,
		.session = {.discriminator = discriminator, .patience = patience},
	};

	return c->fd >= 0 && c->greeted && bfd_link_write(c->fd, &m);
}

const char *bfd_client_path(const struct bfd_client *c)
{
	return c->path;
}
