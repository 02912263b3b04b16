/* `ipsecd --flush`: never beside a running daemon, whose devices it would take away. */
#include "ipsecd/flush.h"
#include "ipsecd/control/control.h"
#include "ipsecd/leftovers.h"
#include "ipsecd/plane.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void flush_routes(void)
{
	const struct leftovers_host all = {.netlink = netlink_open()};
	unsigned rules, routes;

	if (!all.netlink)
		return;
	rules = leftovers_remove_rules(&all);
	routes = leftovers_remove_routes(&all);
	if (rules + routes)
		log_to(log_default(), LOG_LEVEL_NOTICE, "net", "", "%u routes and %u rules removed",
		       routes, rules);
	netlink_close(all.netlink);
}

int flush_guard(void)
{
	static const char name[] = "\0ipsecd-data-plane"; /* abstract: no file */
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1;
	int error, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, name, sizeof(name) - 1);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&un, len) == 0)
		return fd;
	error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

static bool flush_alone(const struct options *options)
{
	int guard = flush_guard();
	char why[512];
	bool ok;

	if (guard < 0 && errno == EADDRINUSE) {
		fprintf(stderr,
			"ipsecd --flush: a daemon with the kernel data plane runs in this "
			"network namespace, with another --vici socket; nothing was removed\n");
		return false;
	}
	log_open("ipsecd", false, options->log_level);
	flush_routes();
	ok = plane_flush(log_default(), why, sizeof(why));
	if (!ok)
		fprintf(stderr, "ipsecd --flush: %s\n", why);
	if (guard >= 0)
		close(guard);
	return ok;
}

int flush_run(const struct options *options)
{
	char why[512];
	int lock = control_lock(options->vici, why, sizeof(why));
	bool ok;

	if (lock < 0) {
		fprintf(stderr, "ipsecd --flush: %s; nothing was removed\n", why);
		return 1;
	}
	ok = flush_alone(options);
	control_unlock(options->vici, lock);
	return ok ? 0 : 1;
}
