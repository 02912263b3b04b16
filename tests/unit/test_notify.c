/* Against a service manager that is this test: a socket that takes what is said, with descriptors.
 */
#include "lib/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int manager;

/* What came next, "" for nothing; *fd is -1 without one. */
static const char *heard(int *fd)
{
	static char text[2048];
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {text, sizeof(text) - 1};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(manager, &m, MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);

	text[n < 0 ? 0 : n] = '\0';
	for (*fd = -1; c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	}
	return text;
}

static void expect(const char *text)
{
	int fd;

	assert_string_equal(heard(&fd), text);
	assert_int_equal(fd, -1);
}

static void what_is_said(void **state)
{
	int fd;

	(void)state;
	assert_true(notify_on());
	notify_send("READY=1");
	expect("READY=1");
	notify_reloading();
	assert_int_equal(strncmp(heard(&fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	notify_send("MAINPID=%d\nREADY=1", 77);
	expect("MAINPID=77\nREADY=1");
	expect("");
}

/* A name in a status is a peer's: it can't say READY=1 by a line of its own. */
static void status_is_one_line(void **state)
{
	char long_text[2000], wanted[520];

	(void)state;
	notify_status("%u tunnels, the last is %s", 3, "x\nREADY=1");
	expect("STATUS=3 tunnels, the last is x READY=1");
	memset(long_text, 'a', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	notify_status("%s", long_text);
	snprintf(wanted, sizeof(wanted), "STATUS=%.511s", long_text);
	expect(wanted);
}

static void descriptors_are_kept(void **state)
{
	int file = memfd_create("kept", MFD_CLOEXEC), fd;
	struct stat ours, theirs;

	(void)state;
	notify_store("ike.engine", file);
	expect("FDSTOREREMOVE=1\nFDNAME=ike.engine"); /* in its place, not beside it */
	assert_string_equal(heard(&fd), "FDSTORE=1\nFDPOLL=0\nFDNAME=ike.engine");
	assert_true(fd >= 0);
	assert_int_equal(fstat(file, &ours), 0);
	assert_int_equal(fstat(fd, &theirs), 0);
	assert_int_equal(ours.st_ino, theirs.st_ino);
	close(fd);
	notify_forget("ike.engine");
	expect("FDSTOREREMOVE=1\nFDNAME=ike.engine");
	close(file);
}

static void watchdog(void **state)
{
	char pid[16];

	(void)state;
	assert_true(notify_watchdog() <= 0.);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_true(notify_watchdog() > 29. && notify_watchdog() < 31.);
	setenv("WATCHDOG_PID", "1", 1); /* somebody else's */
	assert_true(notify_watchdog() <= 0.);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_true(notify_watchdog() > 29. && notify_watchdog() < 31.);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* ---- what the manager gives back ---- */

struct given {
	unsigned n;
	char names[64];
	bool closed_on_exec;
};

static void take(void *ctx, const char *name, int fd)
{
	struct given *g = ctx;

	g->closed_on_exec = fcntl(fd, F_GETFD) == FD_CLOEXEC && (!g->n++ || g->closed_on_exec);
	snprintf(g->names + strlen(g->names), sizeof(g->names) - strlen(g->names), "%s=%d ", name,
		 fd);
}

/* In a process whose descriptors 3 and 4 are nobody's else. */
static int take_all(void)
{
	struct given g = {.n = 0};
	char pid[16];

	dup2(0, 3);
	dup2(0, 4);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "vici:plane.tun%3Aa", 1);
	notify_each_stored(take, &g);
	if (g.n != 2 || !g.closed_on_exec || getenv("LISTEN_FDS"))
		return 1;
	if (strcmp(g.names, "vici=3 plane.tun%3Aa=4 ") != 0)
		return 2;
	notify_each_stored(take, &g);
	return g.n == 2 ? 0 : 3;
}

static void given_back(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(take_all());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void without_a_manager(void **state)
{
	struct given g = {.n = 0};

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_false(notify_on());
	notify_send("READY=1");
	notify_status("%s", "nobody listens");
	notify_store("name", 0);
	notify_forget("name");
	notify_barrier();
	assert_true(notify_watchdog() <= 0.);
	notify_each_stored(take, &g);
	assert_int_equal(g.n, 0);
	expect("");
}

static void open_manager(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1);

	snprintf(at.sun_path, sizeof(at.sun_path), "@detour-notify-%d", getpid());
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	len += (socklen_t)strlen(at.sun_path) - 1;
	at.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&at, len), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said),		cmocka_unit_test(status_is_one_line),
		cmocka_unit_test(descriptors_are_kept), cmocka_unit_test(watchdog),
		cmocka_unit_test(given_back),		cmocka_unit_test(without_a_manager),
	};

	open_manager();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
