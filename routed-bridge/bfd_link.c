#include "routed-bridge/bfd_link.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t name_of(const char *path, struct sockaddr_un *un)
{
	int n;

	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "routed-bridge-bfd:%s", path);
	if (n < 0 || n >= (int)sizeof(un->sun_path) - 1)
		n = (int)sizeof(un->sun_path) - 2;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int open_socket(const char *path,
		       int (*use)(int fd, const struct sockaddr *sa, socklen_t len))
{
	struct sockaddr_un un;
	socklen_t len = name_of(path, &un);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && use(fd, (struct sockaddr *)&un, len) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int bind_and_listen(int fd, const struct sockaddr *sa, socklen_t len)
{
	return bind(fd, sa, len) < 0 ? -1 : listen(fd, 4);
}

int bfd_link_listen(const char *path)
{
	return open_socket(path, bind_and_listen);
}

int bfd_link_connect(const char *path)
{
	return open_socket(path, connect);
}

bool bfd_link_trusts(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

int bfd_link_read(int fd, struct bfd_link_message *m)
{
	ssize_t n = recv(fd, m, sizeof(*m), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* The head alone is the same in all versions. */
	return n >= (ssize_t)(2 * sizeof(uint32_t)) ? 1 : -1;
}

bool bfd_link_write(int fd, const struct bfd_link_message *m)
{
	return send(fd, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*m);
}
