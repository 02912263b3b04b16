/* Keeps descriptors and memory for planes that are killed. */
#include "tests/contract/keeper.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY ((size_t)KEEPER_CHUNKS * AREA_CHUNK)

void keeper_open(struct keeper *k)
{
	*k = (struct keeper){0};
	k->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(k->memory != MAP_FAILED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, k->pair), 0);
	assert_int_equal(fcntl(k->pair[0], F_SETFL, O_NONBLOCK), 0);
	for (unsigned i = 0; i < KEEPER_TUNS; i++)
		k->tuns[i].fd = -1;
}

void keeper_close(struct keeper *k)
{
	keeper_collect(k);
	for (unsigned i = 0; i < KEEPER_TUNS; i++)
		if (k->tuns[i].fd >= 0)
			close(k->tuns[i].fd);
	close(k->pair[0]);
	close(k->pair[1]);
	munmap(k->memory, MEMORY);
}

static void *give(void *ctx, unsigned n)
{
	return n < KEEPER_CHUNKS ? (uint8_t *)ctx + (size_t)n * AREA_CHUNK : NULL;
}

struct sa_area *keeper_area(struct keeper *k)
{
	const struct area_host host = {.chunk = give, .ctx = k->memory};
	char why[160];
	struct sa_area *a = area_open(&host, why, sizeof(why));

	if (!a)
		fail_msg("area_open: %s", why);
	return a;
}

static void put(struct keeper *k, const char *name, int fd)
{
	for (unsigned i = 0; i < KEEPER_TUNS; i++) {
		if (k->tuns[i].fd >= 0 && strcmp(k->tuns[i].name, name) != 0)
			continue;
		if (k->tuns[i].fd >= 0)
			close(k->tuns[i].fd);
		k->tuns[i].fd = fd;
		memcpy(k->tuns[i].name, name, IF_NAMESIZE);
		return;
	}
	fail_msg("too many devices");
}

/* A name with a descriptor: keep it; without: drop it. */
void keeper_collect(struct keeper *k)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char name[IF_NAMESIZE];
	struct iovec io = {.iov_base = name, .iov_len = sizeof(name)};

	for (;;) {
		struct msghdr m = {.msg_iov = &io,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		const struct cmsghdr *c;
		int fd = -1;

		if (recvmsg(k->pair[0], &m, MSG_CMSG_CLOEXEC) != sizeof(name))
			return;
		c = CMSG_FIRSTHDR(&m);
		if (c)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		put(k, name, fd);
	}
}

static void pass_up(struct keeper *k, const char *name, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	char text[IF_NAMESIZE] = {0};
	struct iovec io = {.iov_base = text, .iov_len = sizeof(text)};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
	struct cmsghdr *c;

	memcpy(text, name, strnlen(name, sizeof(text) - 1));
	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(k->pair[1], &m, 0), sizeof(text));
}

void keeper_keep(struct keeper *k, const char *name, int fd)
{
	pass_up(k, name, fd);
}

void keeper_drop(struct keeper *k, const char *name)
{
	pass_up(k, name, -1);
}

int keeper_kept(struct keeper *k, const char *name)
{
	keeper_collect(k);
	for (unsigned i = 0; i < KEEPER_TUNS; i++)
		if (k->tuns[i].fd >= 0 && strcmp(k->tuns[i].name, name) == 0)
			return fcntl(k->tuns[i].fd, F_DUPFD_CLOEXEC, 0);
	return -1;
}
