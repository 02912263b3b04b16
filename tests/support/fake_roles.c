/* Roles that do what they are told, for tests of the supervisor: linked in the place of the real
 * ones (build/bin/supervise-test). The environment says what goes wrong:
 *	FAKE_KEEP: keep-on-stop is set; once: the first ike of all says it, the others do not yet
 *	FAKE_PLANE, FAKE_IKE, FAKE_HELPER: fail, status2, crash (at the start), deaf (no stop)
 *	FAKE_IKE: alone: the first seven can't work without another process;
 *		  unlinks: at SIGHUP it closes its links, and tells it
 *	FAKE_OF: this part of a program's path: only there, at any other one nothing goes wrong
 * ike counts in its state; each tells the log what comes. */
#include "ipsecd/role.h"

#include <ctype.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO  1000
#define ALONES 7

struct fake {
	struct role *role;
	struct ev_loop *loop;
	const char *name;
	int state;
	bool later; /* others before us have worked on it */
	struct ipc_link *links[4];
	unsigned n_links;
};

static void say(const struct fake *f, const char *what, const char *detail)
{
	log_to(log_default(), LOG_LEVEL_INFO, "fake", f->name, "%s %s", what, detail);
}

static bool told(const struct fake *f, const char *word)
{
	char name[32] = "FAKE_";
	const char *value, *of = getenv("FAKE_OF");
	char path[256] = "";

	if (of && (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0 || !strstr(path, of)))
		return false;
	for (size_t i = 0; f->name[i]; i++)
		name[5 + i] = (char)toupper((unsigned char)f->name[i]);
	value = getenv(name);
	return value && strcmp(value, word) == 0;
}

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct fake *f = ctx;
	char text[64];

	(void)link;
	snprintf(text, sizeof(text), "%.*s", (int)m->body.len, (const char *)m->body.ptr);
	say(f, "hello from", text);
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	struct fake *f = ctx;

	say(f, "a peer is gone:", why);
	for (unsigned i = 0; i < f->n_links; i++) {
		if (f->links[i] == link)
			f->links[i] = f->links[--f->n_links];
	}
	ipc_link_free(link);
}

static void on_link(void *ctx, const char *peer, int fd)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed, .ctx = ctx};
	struct fake *f = ctx;
	struct ipc_link *link = ipc_link_new(f->loop, fd, &host);
	char text[64];
	struct span body;

	snprintf(text, sizeof(text), "%s %ld to %s", f->name, (long)getpid(), peer);
	body = span_str(text);
	ipc_send(link, HELLO, 0, &body, 1, NULL, 0);
	if (f->n_links < 4)
		f->links[f->n_links++] = link;
}

/* How many before us have worked on this state. */
static void count(struct fake *f, const char *name)
{
	uint32_t n = 0;
	char text[64];

	f->state = role_take(f->role, name);
	if (f->state < 0 || pread(f->state, &n, sizeof(n), 0) < 0)
		return;
	f->later = n > 0;
	snprintf(text, sizeof(text), "%s is %u", name, n++);
	say(f, "state", text);
	if (pwrite(f->state, &n, sizeof(n), 0) != sizeof(n))
		say(f, "state", "can't be written");
	if (told(f, "alone") && n <= ALONES)
		_exit(ROLE_ALONE);
}

static void keep_something(struct fake *f)
{
	int fds[2];

	if (role_take(f->role, "tun:fake.0") >= 0)
		say(f, "was given", "tun:fake.0");
	else if (pipe(fds) == 0)
		role_keep(f->role, "tun:fake.0", fds[0]);
}

static void tell_keep(struct fake *f)
{
	const struct ipc_keep_on_stop keep = {30};
	const struct span body = span_of(&keep, sizeof(keep));
	const char *when = getenv("FAKE_KEEP");

	if (when && !(strcmp(when, "once") == 0 && f->later))
		ipc_send(role_supervisor(f->role), IPC_KEEP_ON_STOP, 0, &body, 1, NULL, 0);
}

static bool start(void *ctx, char *why, size_t size)
{
	struct fake *f = ctx;

	if (told(f, "fail")) {
		snprintf(why, size, "it was told to fail");
		return false;
	}
	if (told(f, "crash")) {
		fputs("a last word\n", stderr);
		abort();
	}
	if (strcmp(f->name, "plane") == 0) {
		count(f, "area");
		keep_something(f);
	} else if (strcmp(f->name, "ike") == 0) {
		count(f, "engine");
		say(f, "vici", role_take(f->role, "vici") >= 0 ? "is there" : "is missing");
	} else {
		count(f, "vault");
	}
	role_status(f->role, "fake work");
	tell_keep(f);
	if (told(f, "status2"))
		role_end(f->role, 2);
	else
		role_ready(f->role);
	return true;
}

static void reload(void *ctx)
{
	struct fake *f = ctx;

	say(f, "reload", "");
	if (told(f, "unlinks")) {
		while (f->n_links)
			ipc_link_free(f->links[--f->n_links]);
		role_unlinked(f->role, "plane");
		role_unlinked(f->role, "helper");
	}
	role_ready(f->role);
}

static void stop(void *ctx, bool keep)
{
	struct fake *f = ctx;

	say(f, "stop", keep ? "and keep" : "for good");
	if (!told(f, "deaf"))
		role_end(f->role, 0);
}

static void processes(void *ctx, const struct ipc_processes *p)
{
	struct fake *f = ctx;
	char text[96];

	snprintf(text, sizeof(text), "%u %u %u, upgrades %u", p->role[IPC_ROLE_PLANE].restarts,
		 p->role[IPC_ROLE_IKE].restarts, p->role[IPC_ROLE_HELPER].restarts, p->upgrades);
	say(f, "restarts", text);
}

static int run(const struct options *options, const char *name)
{
	struct fake f = {.name = name, .loop = ev_default_loop(0)};
	struct role_host host = {.start = start,
				 .link = on_link,
				 .reload = reload,
				 .stop = stop,
				 .processes = processes,
				 .ctx = &f};

	f.role = role_begin(options, f.loop);
	return f.role ? role_run(f.role, &host) : 1;
}

int plane_run(const struct options *options)
{
	return run(options, "plane");
}

int ike_run(const struct options *options)
{
	return run(options, "ike");
}

int helper_run(const struct options *options)
{
	return run(options, "helper");
}
