/* ipsecctl upgrade: asks the supervisor, at its own socket beside vici's. */
#include "ipsecd/ctl/ctl.h"
#include "lib/line_socket.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int wait_for(int fd, int timeout_s, char *answer, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int other = -1, n = -1;

	switch (poll(&p, 1, timeout_s * 1000)) {
	case 1:
		n = line_receive(fd, answer, size, &other);
		break;
	case 0:
		snprintf(answer, size, "error no answer within %d seconds", timeout_s);
		return 1;
	}
	if (other >= 0)
		close(other);
	return n;
}

int command_upgrade(struct ctl *c)
{
	char answer[LINE_SOCKET_MAX], path[PATH_MAX] = "", line[PATH_MAX + 16], why[LINE_WHY_MAX];
	int fd, n;

	if (c->argc && !realpath(c->argv[0], path)) {
		ctl_error("upgrade: %s: %s", c->argv[0], strerror(errno));
		return CTL_FAILED;
	}
	fd = line_connect(c->socket, why);
	if (fd < 0) {
		ctl_error("no supervisor answers at %s", why);
		return CTL_NO_DAEMON;
	}
	snprintf(line, sizeof(line), "upgrade%s%s%s", c->force ? " force" : "", path[0] ? " " : "",
		 path);
	n = line_send(fd, line, -1) ? wait_for(fd, c->timeout_s, answer, sizeof(answer)) : -1;
	close(fd);
	if (n > 0 && strncmp(answer, "ok ", 3) == 0) {
		puts(answer + 3);
		return CTL_OK;
	}
	ctl_error("upgrade: %s", n <= 0 ? "the supervisor ended: see its log"
				 : strncmp(answer, "error ", 6) == 0 ? answer + 6
								     : answer);
	return CTL_FAILED;
}
