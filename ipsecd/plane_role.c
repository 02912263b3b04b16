/* The plane's process: the data plane itself, the UDP sockets, and ike's link to both. What has to
 * outlive it is the supervisor's to keep. */
#include "ipsecd/crypto/crypto.h"
#include "ipsecd/dataplane/area_map.h"
#include "ipsecd/esp_udp.h"
#include "ipsecd/flush.h"
#include "ipsecd/plane.h"
#include "ipsecd/plane_server.h"
#include "ipsecd/plane_workers.h"
#include "ipsecd/role.h"
#include "lib/netlink.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define TICK_SECONDS  1.
#define GUARD	      "guard"
#define GUARD_POLL_MS 20
#define PORT_POLLS    10
#define GUARD_POLLS   250 /* together less than REMOTE_TIMEOUT_MS: ike waits to be told why */
#define GUARD_FD_MAX  65000
#define AREA	      "area"
#define ADDRESSES     "addresses"
#define TUN_PREFIX    "tun:"
#define BARE_PREFIX   "esp"

struct plane_process {
	const struct options *options;
	struct role *role;
	struct ev_loop *loop;
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	struct plane_server *server;
	struct udp *udp;
	struct plane_workers *workers;
	struct area_map area; /* .area NULL: nothing outlives us */
	struct netlink *netlink;
	int guard;	/* flush_guard(); -1: none */
	unsigned polls; /* how often a predecessor's end was waited for */
	int early_link; /* ike's, come before we were open; -1: none */
	ev_timer tick;
	char why[512]; /* why this plane */
};

/* ---- packets ---- */

static void send_failed(void *ctx, const struct esp_run *run, int error)
{
	struct plane_process *p = ctx;

	plane_server_send_failed(p->server, run->from, run->to, error, true);
}

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	struct plane_process *p = ctx;

	esp_udp_send(p->udp, runs, n, send_failed, p);
}

static void on_event(void *ctx, const struct dataplane_event *event)
{
	struct plane_process *p = ctx;

	plane_server_event(p->server, event);
}

static void on_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   struct span datagram, mono_time now)
{
	struct plane_process *p = ctx;

	plane_server_ike(p->server, local, remote, datagram, now);
}

static void on_esp(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now)
{
	struct plane_process *p = ctx;

	p->ops->esp_input(p->plane, 0, local, remote, tos, packets, len, size, now);
}

static void on_esp_end(void *ctx, mono_time now)
{
	struct plane_process *p = ctx;

	p->ops->esp_flush(p->plane, 0, now);
}

static void on_too_big(void *ctx, const struct addr *to, uint32_t mtu)
{
	struct plane_process *p = ctx;

	if (p->ops->path_changed)
		p->ops->path_changed(p->plane, to, mtu);
}

static void on_send_failed(void *ctx, const struct endpoint *from, const struct endpoint *to,
			   int error)
{
	struct plane_process *p = ctx;

	plane_server_send_failed(p->server, from, to, error, true);
}

static unsigned set_workers(void *ctx, unsigned wanted, unsigned *most)
{
	struct plane_process *p = ctx;
	unsigned n = plane_workers_set(p->workers, wanted);

	*most = n ? plane_workers_most(p->workers) : 0;
	return n;
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct plane_process *p = w->data;

	(void)loop;
	(void)revents;
	p->ops->tick(p->plane, mono_now());
}

/* ---- what the supervisor keeps ---- */

static const char *socket_name(uint8_t family, uint16_t port, char name[IPC_NAME_MAX])
{
	char version = family == AF_INET ? '4' : '6';

	if (port)
		snprintf(name, IPC_NAME_MAX, "udp%c-%u", version, port);
	else
		snprintf(name, IPC_NAME_MAX, BARE_PREFIX "%c", version);
	return name;
}

static int kept_socket(void *ctx, uint8_t family, uint16_t port)
{
	struct plane_process *p = ctx;
	char name[IPC_NAME_MAX];

	return role_take(p->role, socket_name(family, port, name));
}

static void give_socket(void *ctx, int fd, uint8_t family, uint16_t port)
{
	struct plane_process *p = ctx;
	char name[IPC_NAME_MAX];

	role_keep(p->role, socket_name(family, port, name), fd);
	if (p->ops->ike_socket && !p->ops->ike_socket(p->plane, fd, family, port == UDP_PORT_NATT))
		log_to(log_default(), LOG_LEVEL_WARN, "net", "", "UDP port %u (%s): %s", port,
		       family == AF_INET ? "IPv4" : "IPv6", p->ops->last_error(p->plane));
}

/* false: not any longer. What may take long is said at once: who starts it sees nothing else. */
static bool waits(struct plane_process *p, const char *why, unsigned polls)
{
	if (p->polls >= polls)
		return false;
	if (p->polls++ == 0 && polls == GUARD_POLLS)
		log_to(log_default(), LOG_LEVEL_NOTICE, "net", "",
		       "%s; waiting for its end, up to %u s", why,
		       GUARD_POLLS * GUARD_POLL_MS / 1000);
	poll(NULL, 0, GUARD_POLL_MS);
	return true;
}

/* A plane whose supervisor was killed ends by itself, and its devices and sockets with it: that
 * may be a moment after somebody started the next daemon. */
static int wait_for_guard(struct plane_process *p)
{
	int fd = flush_guard();

	while (fd < 0 && errno == EADDRINUSE &&
	       waits(p, "the plane of another ipsecd runs here", GUARD_POLLS))
		fd = flush_guard();
	return fd;
}

/* A killed process's descriptors are closed from one end or from the other, by the kernel's
 * version: with one below those of all devices and sockets, and one above them, who gets the guard
 * finds all of them gone. */
static void hold_high_too(int fd)
{
	struct rlimit limit;

	if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < 8)
		return;
	fcntl(fd, F_DUPFD_CLOEXEC,
	      limit.rlim_cur > GUARD_FD_MAX ? GUARD_FD_MAX : (int)limit.rlim_cur - 1);
}

/* Held on while one of us follows another. */
static void open_guard(struct plane_process *p)
{
	p->guard = role_take(p->role, GUARD);
	if (p->guard < 0)
		p->guard = wait_for_guard(p);
	hold_high_too(p->guard);
	if (p->guard >= 0)
		role_keep(p->role, GUARD, p->guard);
}

static const char *tun_name(const char *device, char name[IPC_NAME_MAX])
{
	snprintf(name, IPC_NAME_MAX, TUN_PREFIX "%s", device);
	return name;
}

static int kept_tun(void *ctx, const char *device)
{
	struct plane_process *p = ctx;
	char name[IPC_NAME_MAX];

	return role_take(p->role, tun_name(device, name));
}

/* The supervisor has it before ike is told of the device (plane_server_host.behind), unless it does
 * not read: then a device whose plane is killed is made anew. */
static void keep_tun(void *ctx, const char *device, int fd)
{
	struct plane_process *p = ctx;
	char name[IPC_NAME_MAX];

	role_keep_later(p->role, tun_name(device, name), fd);
}

static void drop_tun(void *ctx, const char *device)
{
	struct plane_process *p = ctx;
	char name[IPC_NAME_MAX];

	role_drop(p->role, tun_name(device, name));
}

static void keep_now(void *ctx)
{
	struct plane_process *p = ctx;

	ipc_send_held(role_supervisor(p->role));
}

/* Of a tunnel that the area does not know, or of a plane that is not chosen any more: it would stay
 * for ever. */
static void forget(void *ctx, const char *name, int fd)
{
	struct plane_process *p = ctx;

	(void)fd;
	role_drop(p->role, name);
	close(role_take(p->role, name));
}

/* What can't be read is given up: the tunnels come up anew. */
static void open_area(struct plane_process *p)
{
	int fd = role_take(p->role, AREA);
	char why[256];

	if (fd < 0 || area_map_open(&p->area, fd, why, sizeof(why)))
		return;
	log_to(log_default(), LOG_LEVEL_WARN, "tun", "",
	       "what the plane before left can't be used: %s", why);
	if (ftruncate(fd, 0) < 0 || !area_map_open(&p->area, fd, why, sizeof(why)))
		log_to(log_default(), LOG_LEVEL_ERROR, "tun", "",
		       "tunnels will not outlive this plane: %s", why);
}

/* false: which addresses are ours will not outlive us. */
static bool open_addresses(struct plane_process *p, struct memfd *memory)
{
	int fd = role_take(p->role, ADDRESSES);
	char why[256];

	if (fd >= 0 && memfd_map(memory, fd, PLANE_ADDRS_MEMORY, why, sizeof(why)))
		return true;
	if (fd >= 0)
		close(fd);
	if (!memfd_make(memory, "ipsecd-addresses", PLANE_ADDRS_MEMORY, why, sizeof(why))) {
		log_to(log_default(), LOG_LEVEL_ERROR, "tun", "", "memory for addresses: %s", why);
		return false;
	}
	role_keep(p->role, ADDRESSES, memory->fd);
	return true;
}

/* ---- life ---- */

static bool open_plane(struct plane_process *p, char *why, size_t size)
{
	const struct dataplane_host host = {
		.send_esp = send_esp,
		.event = on_event,
		.ctx = p,
		.crypto = &crypto_openssl,
		.random = crypto_random,
		.log = log_default(),
		.loop = p->loop,
		.area = p->area.area,
		.kept_tun = kept_tun,
		.keep_tun = keep_tun,
		.keep_now = keep_now,
		.drop_tun = drop_tun,
	};

	p->plane = p->ops->open(&host);
	if (!p->plane)
		snprintf(why, size, "opening the data plane: %s", p->ops->name);
	role_each(p->role, TUN_PREFIX, forget, p);
	return p->plane != NULL;
}

static bool open_server(struct plane_process *p, char *why, size_t size)
{
	struct plane_server_host host = {.ops = p->ops,
					 .why = p->why,
					 .log = log_default(),
					 .loop = p->loop,
					 .workers = set_workers,
					 .behind = role_supervisor(p->role),
					 .ctx = p};
	struct memfd memory;

	p->netlink = host.netlink = netlink_open();
	if (!p->netlink) {
		snprintf(why, size, "rtnetlink: %s", strerror(errno));
		return false;
	}
	if (open_addresses(p, &memory))
		host.memory = &memory;
	p->server = plane_server_new(&host);
	if (!p->server)
		snprintf(why, size, "out of memory");
	return p->server != NULL;
}

static bool open_sockets(struct plane_process *p, char *why, size_t size)
{
	const struct udp_host host = {.ike = on_ike,
				      .esp = on_esp,
				      .esp_end = on_esp_end,
				      .too_big = on_too_big,
				      .kept = kept_socket,
				      .ctx = p,
				      .log = log_default(),
				      .esp_here = !p->ops->ike_socket};

	const unsigned most = p->guard >= 0 ? PORT_POLLS : GUARD_POLLS;

	/* A dying plane has its sockets hardly longer than the guard, however long that was waited
	 * for: who else has one keeps it. */
	if (p->guard >= 0)
		p->polls = 0;
	do
		p->udp = udp_open(p->loop, &host, why, size);
	while (!p->udp && errno == EADDRINUSE && waits(p, why, most));
	role_each(p->role, BARE_PREFIX, forget, p);
	if (p->udp)
		udp_each_socket(p->udp, give_socket, p);
	return p->udp != NULL;
}

/* Who it becomes may not open what they share with what is open now. */
static void prepare_workers(struct plane_process *p)
{
	const struct plane_workers_host host = {.ops = p->ops,
						.plane = p->plane,
						.udp = p->udp,
						.loop = p->loop,
						.ike = on_ike,
						.too_big = on_too_big,
						.send_failed = on_send_failed,
						.ctx = p,
						.log = log_default()};

	if (p->ops->add_worker)
		p->workers = plane_workers_new();
	plane_workers_use(p->workers, &host);
}

static bool start(void *ctx, char *why, size_t size)
{
	struct plane_process *p = ctx;
	const struct sandbox sandbox = {
		.role = SANDBOX_PLANE, .mode = p->options->sandbox, .log = log_default()};

	p->ops = plane_choose(p->options->plane, log_default(), p->why, sizeof(p->why));
	if (!p->ops) {
		snprintf(why, size, "no data plane: %s", p->why);
		return false;
	}
	open_guard(p);
	open_area(p);
	if (!open_server(p, why, size) || !open_plane(p, why, size) || !open_sockets(p, why, size))
		return false;
	prepare_workers(p);
	plane_server_use(p->server, p->plane, p->udp);
	if (p->early_link >= 0)
		plane_server_link(p->server, p->early_link);
	p->early_link = -1;
	if (!sandbox_enter(&sandbox, why, size))
		return false;
	ev_timer_init(&p->tick, on_tick, TICK_SECONDS, TICK_SECONDS);
	p->tick.data = p;
	ev_timer_start(p->loop, &p->tick);
	role_ready(p->role);
	return true;
}

static void on_link(void *ctx, const char *peer, int fd)
{
	struct plane_process *p = ctx;

	if (strcmp(peer, "ike") != 0) {
		close(fd);
	} else if (p->udp) {
		plane_server_link(p->server, fd);
	} else {
		if (p->early_link >= 0)
			close(p->early_link);
		p->early_link = fd;
	}
}

static void close_all(struct plane_process *p)
{
	ev_timer_stop(p->loop, &p->tick);
	plane_workers_halt(p->workers);
	if (p->plane)
		p->ops->close(p->plane);
	area_map_close(&p->area);
	udp_close(p->udp);
	plane_workers_free(p->workers);
	p->workers = NULL;
	plane_server_free(p->server);
	netlink_close(p->netlink);
}

/* `keep`: as if killed, so that the next one finds all as it is. */
static void on_stop(void *ctx, bool keep)
{
	struct plane_process *p = ctx;

	if (!keep)
		close_all(p);
	role_end(p->role, 0);
}

int plane_run(const struct options *options)
{
	struct plane_process p = {
		.options = options, .loop = ev_default_loop(0), .guard = -1, .early_link = -1};
	const struct role_host host = {.start = start, .link = on_link, .stop = on_stop, .ctx = &p};

	int status;

	p.role = p.loop ? role_begin(options, p.loop) : NULL;
	status = p.role ? role_run(p.role, &host) : 1;
	plane_workers_halt(p.workers); /* libraries clean up at exit what they use */
	return status;
}
