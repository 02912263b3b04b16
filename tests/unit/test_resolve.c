/* Which name servers are asked: in a network and with a resolv.conf of our own (as root). */
#include "ipsecd/net/resolve.h"

#include <ev.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define PORT_DNS    53

static bool own_world(char *file)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, s;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0)
		return false;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fd = mkstemp(file);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &lo), 0);
	close(s);
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(file, RESOLV_CONF, NULL, MS_BIND, NULL) == 0;
}

/* A resolv.conf of that second: a file system's clock may stand still between two that we write. */
static void configure(const char *file, const char *text, time_t written)
{
	const struct timespec times[2] = {{.tv_sec = written}, {.tv_sec = written}};
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
}

/* A name server that hears and never answers. */
static int server(uint32_t address)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(PORT_DNS),
				 .sin_addr.s_addr = htonl(address)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* Does it hear of this name next? As it is in a query: its length, then itself. */
static bool hears(int fd, const char *name)
{
	uint8_t query[512];
	ssize_t n = recv(fd, query, sizeof(query), 0);

	return n > 0 && memmem(query, (size_t)n, name, strlen(name));
}

static void done(void *ctx, uint64_t query, unsigned n, const struct addr *addrs, const char *why)
{
	unsigned *answers = ctx;

	(void)query;
	(void)n;
	(void)addrs;
	(void)why;
	++*answers;
}

/* With many names, and servers that are out of reach, some query is always open. */
static void other_servers_while_a_query_is_open(void **state)
{
	char file[] = "/tmp/test-resolve-XXXXXX";
	unsigned answers = 0;
	struct resolver *r;
	int before, behind;

	(void)state;
	if (!own_world(file)) {
		unlink(file);
		fail_msg("no network and mounts of our own: root makes them");
	}
	before = server(0x7f000001);
	behind = server(0x7f000002);
	configure(file, "nameserver 127.0.0.1\n", 1);
	r = resolver_new(ev_default_loop(0), done, &answers);
	assert_non_null(r);
	resolver_query(r, 1, "one.test", AF_INET);
	assert_true(hears(before, "one"));
	configure(file, "nameserver 127.0.0.2\n", 2);
	resolver_query(r, 2, "two.test", AF_INET);
	assert_true(hears(behind, "one")); /* it is asked anew */
	assert_true(hears(behind, "two"));
	assert_false(hears(before, "two"));
	assert_int_equal(answers, 0);
	resolver_free(r);
	assert_int_equal(answers, 0);
	close(before);
	close(behind);
	umount(RESOLV_CONF);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_servers_while_a_query_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
