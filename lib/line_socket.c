/* Lines and descriptors over a socket. */
#include "lib/line_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOM_MS 5000

bool line_path(const char *vici, char *out, size_t size)
{
	int n = snprintf(out, size, "%s.supervisor", vici);

	return n > 0 && (size_t)n < size;
}

int line_connect(const char *vici, char *why)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = -1;

	errno = ENAMETOOLONG;
	if (line_path(vici, un.sun_path, sizeof(un.sun_path)))
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	snprintf(why, LINE_WHY_MAX, "%.160s.supervisor: %s%s", vici, strerror(errno),
		 errno == EACCES ? " (only root may use it)"
				 : " (does ipsecd run with this --vici, and without "
				   "--single-process?)");
	if (fd >= 0)
		close(fd);
	return -1;
}

static ssize_t send_patiently(int socket, const struct msghdr *msg)
{
	struct pollfd p = {.fd = socket, .events = POLLOUT};
	ssize_t n;

	while ((n = sendmsg(socket, msg, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -1;
		if (errno == EAGAIN && poll(&p, 1, ROOM_MS) == 0)
			return -1;
	}
	return n;
}

bool line_send(int socket, const char *line, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(size_t)line, strlen(line)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
	}
	return send_patiently(socket, &msg) == (ssize_t)iov.iov_len;
}

/* The room is for one: the kernel closes what is more. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int line_receive(int socket, char *line, size_t size, int *fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {line, size - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_LEN(sizeof(int))};
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	*fd = take_fd(&msg);
	if (n == 0 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || memchr(line, '\0', (size_t)n))
		return -1;
	line[n] = '\0';
	return 1;
}
