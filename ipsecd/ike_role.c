/* The process that speaks IKE: the shell over means that lie in the plane's process. */
#include "ipsecd/crash_secret.h"
#include "ipsecd/remote/remote.h"
#include "ipsecd/role.h"
#include "ipsecd/shell.h"
#include "lib/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 1024 /* in a process that has just begun */
#define RAW_MAX		8
#define LOOK_SECONDS	1.

struct ike_process {
	struct daemon shell;
	const struct options *options;
	struct role *role;
	struct ev_loop *loop;
	struct remote *remote;
	struct helper_client *helper;
	int early_link, early_helper; /* come before the start: plane's, helper's; -1: none */
	struct ipc_processes processes;
	bool without_plane, without_helper; /* at the last look */
	ev_timer look;			    /* at the links */
	int status;
	ev_timer finish; /* zero: what ends it may be told amid the engine's outputs */
};

/* ---- the plane ---- */

/* One that is gone is followed by another one. */
static bool take_plane(struct ike_process *p, int fd, char *why, size_t size)
{
	bool other;

	if (remote_link(p->remote, fd, &other, why, size))
		return true;
	log_to(log_default(), LOG_LEVEL_WARN, "tun", "", "%s", why);
	if (other) /* our SAs were made for the other kind: the next one of us begins anew */
		_exit(1);
	return false;
}

static struct means *open_means(void *ctx, const struct means_host *host, char *why, size_t size)
{
	struct ike_process *p = ctx;
	int fd = p->early_link;
	bool other;

	p->early_link = -1;
	p->remote = remote_new(host);
	if (!p->remote) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	/* Without its first plane we don't know what can be done: whoever starts us does it again
	 * when there is one, and says what became of it. */
	if (fd >= 0 && !remote_link(p->remote, fd, &other, why, size)) {
		log_to(log_default(), LOG_LEVEL_DEBUG, "tun", "", "%s", why);
		fd = -1;
	}
	if (fd < 0)
		_exit(ROLE_ALONE);
	return remote_means(p->remote);
}

/* ---- the helper ---- */

static void take_helper(struct ike_process *p, int fd)
{
	if (p->helper) {
		helper_client_link(p->helper, fd);
		return;
	}
	if (p->early_helper >= 0)
		close(p->early_helper);
	p->early_helper = fd;
}

/* Without one yet: it is waited for. */
static struct helper_client *open_helper(void *ctx, const struct helper_client_host *host)
{
	struct ike_process *p = ctx;

	p->helper = helper_client_new(host);
	if (p->helper && p->early_helper >= 0)
		helper_client_link(p->helper, p->early_helper);
	p->early_helper = -1;
	return p->helper;
}

static void on_link(void *ctx, const char *peer, int fd)
{
	struct ike_process *p = ctx;
	char why[256];

	if (strcmp(peer, "helper") == 0) {
		take_helper(p, fd);
	} else if (strcmp(peer, "plane") != 0) {
		close(fd);
	} else if (p->remote) {
		take_plane(p, fd, why, sizeof(why));
	} else {
		if (p->early_link >= 0)
			close(p->early_link);
		p->early_link = fd;
	}
}

/* ---- links that broke ---- */

/* One whose process ended is followed by another one anyway, soon: told is what was so at the look
 * before, too. */
static void look(struct ike_process *p, const char *peer, bool linked, bool *without)
{
	if (!linked && *without)
		role_unlinked(p->role, peer);
	*without = !linked;
}

static void on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ike_process *p = w->data;

	(void)loop;
	(void)revents;
	look(p, "plane", !p->remote || remote_linked(p->remote), &p->without_plane);
	look(p, "helper", !p->helper || helper_client_linked(p->helper), &p->without_helper);
}

/* ---- life ---- */

static void on_finish(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ike_process *p = w->data;

	(void)loop;
	(void)revents;
	ev_timer_stop(p->loop, &p->look);
	shell_close(&p->shell);
	p->helper = NULL; /* went with it */
	role_end(p->role, p->status);
}

static void on_started(void *ctx, bool ok)
{
	struct ike_process *p = ctx;

	if (ok) {
		role_ready(p->role);
		return;
	}
	p->status = 2;
	ev_timer_start(p->loop, &p->finish);
}

static void on_reloaded(void *ctx)
{
	struct ike_process *p = ctx;

	role_ready(p->role);
}

static void on_settings(void *ctx, const struct settings *settings)
{
	const struct ipc_keep_on_stop keep = {.seconds = settings->keep_on_stop};
	const struct span body = span_of(&keep, sizeof(keep));
	struct ike_process *p = ctx;

	ipc_send(role_supervisor(p->role), IPC_KEEP_ON_STOP, 0, &body, 1, NULL, 0);
}

static void on_processes(void *ctx, const struct ipc_processes *processes)
{
	struct ike_process *p = ctx;

	p->processes = *processes;
	p->shell.processes = &p->processes;
}

static void on_alive(void *ctx)
{
	const struct ike_process *p = ctx;

	role_alive(p->role);
}

static void on_ended(void *ctx)
{
	struct ike_process *p = ctx;

	ev_timer_start(p->loop, &p->finish);
}

/* Raw sockets, for routers' ICMP: nothing is ever sent on them. */
static size_t find_raw(int *fds, size_t max)
{
	int type, domain;
	socklen_t len = sizeof(int);
	size_t n = 0;

	for (int fd = 0; fd < DESCRIPTORS_MAX && n < max; fd++) {
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_RAW &&
		    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
		    domain != AF_NETLINK)
			fds[n++] = fd;
	}
	return n;
}

/* All that peers and clients send is read after this. */
static bool confine(struct ike_process *p, char *why, size_t size)
{
	int raw[RAW_MAX];
	const struct sandbox sandbox = {.role = SANDBOX_IKE,
					.mode = p->options->sandbox,
					.mute_fds = raw,
					.n_mute = find_raw(raw, RAW_MAX),
					.log = log_default()};

	metrics_process_begin();
	return sandbox_enter(&sandbox, why, size);
}

static bool start(void *ctx, char *why, size_t size)
{
	struct ike_process *p = ctx;
	const struct shell_setup setup = {.options = p->options,
					  .loop = p->loop,
					  .open_means = open_means,
					  .open_helper = open_helper,
					  .vici = role_take(p->role, "vici"),
					  .state = role_take(p->role, "engine"),
					  .killed = getenv(ROLE_KILLED) != NULL,
					  .crash_secret = role_take(p->role, CRASH_SECRET),
					  .started = on_started,
					  .reloaded = on_reloaded,
					  .settings = on_settings,
					  .alive = on_alive,
					  .ended = on_ended,
					  .ctx = p};

	if (setup.vici < 0) {
		snprintf(why, size, "no control socket was given");
		return false;
	}
	if (!shell_open(&p->shell, &setup)) {
		snprintf(why, size, "see above");
		return false;
	}
	if (!confine(p, why, size))
		return false;
	ev_timer_start(p->loop, &p->look);
	shell_start(&p->shell);
	return true;
}

static void on_reload(void *ctx)
{
	struct ike_process *p = ctx;

	reload_run(p->shell.reload, 0);
}

/* `keep`: as if killed; the next one goes on with what there is. */
static void on_stop(void *ctx, bool keep)
{
	struct ike_process *p = ctx;

	if (keep)
		role_end(p->role, 0);
	else
		shell_stop(&p->shell);
}

int ike_run(const struct options *options)
{
	static struct ike_process p = {.early_link = -1, .early_helper = -1};
	const struct role_host host = {.start = start,
				       .link = on_link,
				       .reload = on_reload,
				       .stop = on_stop,
				       .processes = on_processes,
				       .ctx = &p};

	p.options = options;
	p.loop = ev_default_loop(0);
	ev_timer_init(&p.finish, on_finish, 0., 0.);
	ev_timer_init(&p.look, on_look, LOOK_SECONDS, LOOK_SECONDS);
	p.finish.data = p.look.data = &p;
	p.role = p.loop ? role_begin(options, p.loop) : NULL;
	return p.role ? role_run(p.role, &host) : 1;
}
