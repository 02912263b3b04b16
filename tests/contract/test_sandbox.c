/* Somebody owns one of our processes: what is tried (attacks.c) is refused and told. And what the
 * role needs for its work does work. Each in a child with the real filter; root, in a network
 * namespace of this program's own. */
#include "tests/contract/attacks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
#define FILTERED false /* such builds go without */
#else
#define FILTERED true
#endif

#define REFUSED 0 /* exit status of a child that attacked */
#define WORKED	1
#define NO_WAY	2 /* the sandbox could not be entered */

static char program[256]; /* this one */
static struct loot loot;
static int report = -1; /* of the child: where refusals are told */

/* ---- children in a sandbox ---- */

static void tell(const char *text, size_t len)
{
	ssize_t n = write(report, text, len);

	n = write(report, "\n", n > 0);
	(void)n;
}

static void say(void *ctx, enum log_level level, const char *subsystem, const char *name,
		const char *text)
{
	(void)ctx;
	(void)level;
	(void)subsystem;
	dprintf(report, "log %s: %s\n", name, text);
}

static void enter(enum sandbox_role role)
{
	const struct log_sink sink = {.write = say, .level = LOG_LEVEL_WARN};
	const int mute[] = {loot.icmp, loot.icmp6};
	const struct sandbox sandbox = {
		.role = role, .mute_fds = mute, .n_mute = 2, .log = &sink, .refused = tell};
	char why[256];

	if (sandbox_enter(&sandbox, why, sizeof(why)))
		return;
	dprintf(report, "%s\n", why);
	_exit(NO_WAY);
}

/* What the child said, and how it ended. */
struct ended {
	char text[4096];
	int status;
};

static void collect(pid_t child, int from, struct ended *out)
{
	size_t n = 0;

	for (ssize_t got; n < sizeof(out->text) - 1; n += (size_t)got) {
		got = read(from, out->text + n, sizeof(out->text) - 1 - n);
		if (got <= 0)
			break;
	}
	out->text[n] = '\0';
	close(from);
	assert_int_equal(waitpid(child, &out->status, 0), child);
}

#define NO_ROLE -1

/* Runs `work`, perhaps in a role's sandbox; its result is the exit status. */
static pid_t start(int role, int (*work)(const void *arg), const void *arg, int ends[2])
{
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		report = ends[1];
		if (role != NO_ROLE)
			enter((enum sandbox_role)role);
		_exit(work(arg));
	}
	close(ends[1]);
	return child;
}

static void in_sandbox(enum sandbox_role role, int (*work)(const void *arg), const void *arg,
		       struct ended *out)
{
	int ends[2];
	pid_t child = start((int)role, work, arg, ends);

	collect(child, ends[0], out);
}

static void run_plain(int (*work)(const void *arg), const void *arg, struct ended *out)
{
	int ends[2];
	pid_t child = start(NO_ROLE, work, arg, ends);

	collect(child, ends[0], out);
}

/* ---- attacks ---- */

static int attack(const void *arg)
{
	const struct attack *a = arg;

	if (a->run(&loot) >= 0)
		return WORKED;
	dprintf(report, "errno %s\n", strerrorname_np(errno));
	return REFUSED;
}

/* Without the filter only what the kernel refuses by itself can be asked for: it has every call
 * that is not there for a role. */
static bool applies(const struct attack *a, enum sandbox_role role)
{
	return a->roles & SANDBOX_ROLE(role) && (FILTERED || (!a->told && a->error != ENOSYS));
}

static void expect_refused(const struct attack *a, enum sandbox_role role)
{
	char line[128];
	struct ended e;

	in_sandbox(role, attack, a, &e);
	if (!WIFEXITED(e.status) || WEXITSTATUS(e.status) != REFUSED)
		fail_msg("%s: %s: status %#x, said '%s'", sandbox_role_name(role), a->name,
			 e.status, e.text);
	snprintf(line, sizeof(line), "sandbox: refused %s (", a->told ? a->told : "");
	if (a->told && !strstr(e.text, line))
		fail_msg("%s: %s: no line '%s' in '%s'", sandbox_role_name(role), a->name, line,
			 e.text);
	snprintf(line, sizeof(line), "errno %s\n", strerrorname_np(a->error));
	if (!strstr(e.text, line))
		fail_msg("%s: %s: no '%s' in '%s'", sandbox_role_name(role), a->name, line, e.text);
}

static void attack_all(enum sandbox_role role)
{
	unsigned n = 0;

	for (const struct attack *a = attacks; a->name; a++) {
		if (applies(a, role)) {
			expect_refused(a, role);
			n++;
		}
	}
	assert_true(n >= (FILTERED ? 35 : 1));
}

static void attacks_of_ike(void **state)
{
	(void)state;
	attack_all(SANDBOX_IKE);
}

static void attacks_of_helper(void **state)
{
	(void)state;
	attack_all(SANDBOX_HELPER);
}

static void attacks_of_plane(void **state)
{
	(void)state;
	attack_all(SANDBOX_PLANE);
}

/* The attacks are real: outside of a sandbox those that can do no harm work. */
static void attacks_would_work(void **state)
{
	static const char *const harmless[] = {"open a file",
					       "a local socket",
					       "send ICMP",
					       "kill the parent",
					       "make a file in memory",
					       "memory to run",
					       "duplicate the raw socket",
					       "read the parent's memory",
					       NULL};

	(void)state;
	for (const char *const *name = harmless; *name; name++) {
		const struct attack *a = attacks;

		while (a->name && strcmp(a->name, *name) != 0)
			a++;
		assert_non_null(a->name);
		if (a->run(&loot) < 0)
			fail_msg("%s: %s", *name, strerror(errno));
	}
}

/* One who tries on and on does not fill the log. */
static int attack_again(const void *arg)
{
	(void)arg;
	for (int i = 0; i < 2500; i++) {
		if (fork() >= 0)
			return WORKED;
	}
	return REFUSED;
}

static void many_attacks(void **state)
{
	struct ended e;
	unsigned lines = 0;

	(void)state;
	if (!FILTERED)
		return;
	in_sandbox(SANDBOX_IKE, attack_again, NULL, &e);
	assert_int_equal(WEXITSTATUS(e.status), REFUSED);
	for (const char *at = e.text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_true(lines >= 50 && lines <= 110);
}

/* ---- what is needed works ---- */

#define NEED(what)                                                                              \
	do {                                                                                    \
		if (!(what)) {                                                                  \
			dprintf(report, "line %d: %s: %s\n", __LINE__, #what, strerror(errno)); \
			return 1;                                                               \
		}                                                                               \
	} while (0)

static int common_work(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec soon = {.it_value = {.tv_nsec = 1000}};
	struct stat st;
	uint64_t ticks;
	void *memory;

	NEED(epoll >= 0 && timer >= 0);
	NEED(timerfd_settime(timer, 0, &soon, NULL) == 0);
	NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) == 0);
	NEED(epoll_wait(epoll, &event, 1, 5000) == 1);
	NEED(read(timer, &ticks, sizeof(ticks)) == sizeof(ticks));
	NEED((memory = malloc(64 << 20)) != NULL);
	memset(memory, 1, 64 << 20);
	free(memory);
	NEED(ftruncate(loot.memfd, 8192) == 0);
	NEED(fstat(loot.memfd, &st) == 0 && st.st_size == 8192);
	memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, loot.memfd, 0);
	NEED(memory != MAP_FAILED);
	NEED(munmap(memory, 8192) == 0);
	NEED(kill(getpid(), 0) == 0);
	NEED(fcntl(timer, F_SETFL, O_NONBLOCK) == 0);
	return 0;
}

static int listen_for_metrics(void)
{
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {0x0100007f}};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	NEED(fd >= 0);
	NEED(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	NEED(bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0);
	return 0;
}

/* A client of the socket that was bound before. */
static int ike_work(const void *arg)
{
	int listener = *(const int *)arg, client;
	char byte;

	if (common_work())
		return 1;
	client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	NEED(client >= 0);
	NEED(recv(client, &byte, 1, 0) == 1);
	NEED(send(client, "y", 1, MSG_NOSIGNAL) == 1);
	NEED(write(client, "z", 1) == 1);
	NEED(close(client) == 0);
	NEED(recv(loot.icmp, &byte, 1, MSG_DONTWAIT) >= 0 || errno == EAGAIN);
	return listen_for_metrics();
}

static void ike_works(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 16;
	char answer[2];
	struct ended e;

	(void)state;
	snprintf(at.sun_path + 1, 15, "sandbox-%d", getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&at, len), 0);
	assert_int_equal(send(client, "x", 1, 0), 1);
	in_sandbox(SANDBOX_IKE, ike_work, &listener, &e);
	if (e.status != 0)
		fail_msg("%#x: %s", e.status, e.text);
	assert_int_equal(recv(client, answer, 2, MSG_WAITALL), 2);
	assert_null(strstr(e.text, "refused"));
	close(listener);
	close(client);
}

static int plane_work(const void *arg)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC), setting, udp;
	char name[IF_NAMESIZE];

	(void)arg;
	if (common_work())
		return 1;
	NEED(tun >= 0);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "sbx0");
	NEED(ioctl(tun, TUNSETIFF, &request) == 0);
	NEED(if_indextoname(if_nametoindex("sbx0"), name) != NULL);
	setting = open("/proc/sys/net/ipv4/conf/sbx0/rp_filter", O_WRONLY | O_CLOEXEC);
	NEED(setting >= 0);
	NEED(write(setting, "2", 1) == 1);
	NEED(open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC) >= 0);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	NEED(udp >= 0);
	NEED(sendto(udp, "x", 1, 0,
		    (const struct sockaddr *)&(struct sockaddr_in){
			    .sin_family = AF_INET, .sin_port = 0x0900, .sin_addr = {0x0100007f}},
		    sizeof(struct sockaddr_in)) == 1);
	NEED(socket(AF_NETLINK, SOCK_RAW, 6 /* XFRM */) >= 0);
	NEED(socket(AF_INET, SOCK_RAW, IPPROTO_ESP) >= 0);
	return 0;
}

static void plane_works(void **state)
{
	struct ended e;

	(void)state;
	in_sandbox(SANDBOX_PLANE, plane_work, NULL, &e);
	if (e.status != 0)
		fail_msg("%#x: %s", e.status, e.text);
	assert_null(strstr(e.text, "refused"));
}

/* In a process of its own, which may hang. */
static int helper_reads(void)
{
	pid_t reader = fork();
	int status;

	if (reader == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			poll(NULL, 0, -1);
	}
	NEED(reader > 0);
	NEED(memfd_create("read", MFD_CLOEXEC) >= 0);
	NEED(kill(reader, SIGKILL) == 0);
	NEED(waitpid(reader, &status, 0) == reader);
	return 0;
}

/* A key that root alone may read, and a name server. */
static int helper_work(const void *arg)
{
	char key[8];
	int secret = open(arg, O_RDONLY | O_CLOEXEC), udp;
	struct stat st;

	if (common_work())
		return 1;
	NEED(secret >= 0);
	NEED(read(secret, key, sizeof(key)) == 6);
	NEED(stat("/etc/resolv.conf", &st) == 0 || errno == ENOENT);
	NEED(access("/etc/passwd", R_OK) == 0);
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	NEED(udp >= 0);
	NEED(connect(udp,
		     (const struct sockaddr *)&(struct sockaddr_in){
			     .sin_family = AF_INET, .sin_port = 0x3500, .sin_addr = {0x0100007f}},
		     sizeof(struct sockaddr_in)) == 0);
	NEED(send(udp, "x", 1, 0) == 1);
	return helper_reads();
}

static void helper_works(void **state)
{
	char path[] = "/tmp/sandbox-XXXXXX";
	int secret = mkstemp(path);
	struct ended e;

	(void)state;
	assert_true(secret >= 0);
	assert_int_equal(write(secret, "secret", 6), 6);
	close(secret);
	in_sandbox(SANDBOX_HELPER, helper_work, path, &e);
	unlink(path);
	if (e.status != 0)
		fail_msg("%#x: %s", e.status, e.text);
	assert_null(strstr(e.text, "refused"));
}

static int abort_work(const void *arg)
{
	(void)arg;
	abort();
}

static void abort_ends_it(void **state)
{
	struct ended e;

	(void)state;
	in_sandbox(SANDBOX_IKE, abort_work, NULL, &e);
	assert_true(WIFSIGNALED(e.status) && WTERMSIG(e.status) == SIGABRT);
	assert_false(WCOREDUMP(e.status));
	assert_null(strstr(e.text, "refused"));
}

/* ---- what the kernel says of the process ---- */

/* Waits in the sandbox until its end of the connection is closed. */
static int stay(const void *arg)
{
	char byte;

	NEED(write(report, "in\n", 3) == 3);
	NEED(read(*(const int *)arg, &byte, 1) == 0);
	return 0;
}

static void read_proc(pid_t child, const char *file, char *out, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", child, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, out, size - 1);
	assert_true(n > 0);
	out[n] = '\0';
	close(fd);
}

static void expect(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no '%s' in:\n%s", line, text);
}

static void expect_user(const char *text)
{
	const struct passwd *user = getpwnam(SANDBOX_USER);
	char line[64];

	if (!user)
		user = getpwnam("nobody");
	assert_non_null(user);
	snprintf(line, sizeof(line), "Uid:\t%1$d\t%1$d\t%1$d\t%1$d\n", (int)user->pw_uid);
	expect(text, line);
	snprintf(line, sizeof(line), "Gid:\t%1$d\t%1$d\t%1$d\t%1$d\n", (int)user->pw_gid);
	expect(text, line);
	expect(text, "Groups:\t \n");
}

static void expect_status(enum sandbox_role role, const char *text)
{
	static const char *const kept[] = {"", "0000000000003000", "0000000000000000",
					   "0000000000000004"};
	char line[64];

	expect_user(text);
	snprintf(line, sizeof(line), "CapPrm:\t%s\n", kept[role]);
	expect(text, line);
	snprintf(line, sizeof(line), "CapEff:\t%s\n", kept[role]);
	expect(text, line);
	expect(text, "CapInh:\t0000000000000000\nCap");
	expect(text, "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n");
	expect(text, "NoNewPrivs:\t1\n");
	if (FILTERED)
		expect(text, "Seccomp:\t2\n");
}

static void expect_root(enum sandbox_role role, pid_t child)
{
	char path[64], root[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/root", child);
	n = readlink(path, root, sizeof(root) - 1);
	assert_true(n > 0);
	root[n] = '\0';
	assert_string_equal(root, role == SANDBOX_IKE ? SANDBOX_ROOT : "/");
}

static void look_at(enum sandbox_role role)
{
	int ends[2], pair[2];
	char text[4096];
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child = start(role, stay, &pair[1], ends);
	close(pair[1]);
	for (size_t n = 0; n < sizeof(text) - 1;) {
		assert_int_equal(read(ends[0], text + n, 1), 1);
		text[++n] = '\0';
		if (strstr(text, "in\n"))
			break;
	}
	read_proc(child, "status", text, sizeof(text));
	expect_status(role, text);
	expect_root(role, child);
	read_proc(child, "limits", text, sizeof(text));
	expect(text, "Max core file size        0                    0 ");
	shutdown(pair[0], SHUT_WR); /* the child has this end, too */
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(pair[0]);
	close(ends[0]);
}

static void status_of_roles(void **state)
{
	(void)state;
	look_at(SANDBOX_IKE);
	look_at(SANDBOX_PLANE);
	look_at(SANDBOX_HELPER);
}

/* ---- a service that is not root ---- */

#define AS_A_SERVICE                                                         \
	"setpriv --reuid 65533 --regid 65533 --clear-groups --no-new-privs " \
	"--inh-caps=+net_admin,+net_raw,+dac_read_search "                   \
	"--ambient-caps=+net_admin,+net_raw,+dac_read_search "               \
	"--bounding-set=-all,+net_admin,+net_raw,+dac_read_search "

/* What main does after the exec with the rights of the unit. */
static int service_role(const char *word)
{
	const enum sandbox_role role = word[0] == 'i'	? SANDBOX_IKE
				       : word[0] == 'p' ? SANDBOX_PLANE
							: SANDBOX_HELPER;
	char text[4096];
	ssize_t n;
	int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	report = STDOUT_FILENO;
	enter(role);
	n = pread(status, text, sizeof(text), 0);
	return n > 0 && write(report, text, (size_t)n) == n ? 0 : 1;
}

static int exec_service(const void *word)
{
	char command[1024];

	dup2(report, STDOUT_FILENO);
	dup2(report, STDERR_FILENO);
	snprintf(command, sizeof(command), "exec " AS_A_SERVICE "%s %s", program,
		 (const char *)word);
	execl("/bin/sh", "sh", "-c", command, NULL);
	return NO_WAY;
}

static void as_a_service(void **state)
{
	static const struct {
		const char *word, *kept;
	} roles[] = {{"ike", "0000000000000000"},
		     {"plane", "0000000000003000"},
		     {"helper", "0000000000000004"}};
	struct ended e;
	char line[64];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		run_plain(exec_service, roles[i].word, &e);
		if (e.status != 0)
			fail_msg("%s: %#x: %s", roles[i].word, e.status, e.text);
		expect(e.text, "Uid:\t65533\t65533\t65533\t65533\n");
		snprintf(line, sizeof(line), "CapEff:\t%s\n", roles[i].kept);
		expect(e.text, line);
		expect(e.text, "CapAmb:\t0000000000000000\n");
		assert_null(strstr(e.text, "log ")); /* nothing to complain of */
	}
}

/* ---- the modes ---- */

static int require(const void *arg)
{
	const struct sandbox sandbox = {
		.role = SANDBOX_IKE, .mode = SANDBOX_REQUIRE, .refused = tell};
	char why[256] = "";

	(void)arg;
	if (sandbox_enter(&sandbox, why, sizeof(why)))
		return WORKED;
	dprintf(report, "%s\n", why);
	return REFUSED;
}

/* Where the user is not there, all of it can't be had, and the words say what is missing. */
static void required(void **state)
{
	struct ended e;

	(void)state;
	run_plain(require, NULL, &e);
	if (getpwnam(SANDBOX_USER)) {
		assert_int_equal(WEXITSTATUS(e.status), WORKED);
		return;
	}
	assert_int_equal(WEXITSTATUS(e.status), REFUSED);
	expect(e.text, "sandbox of ike: a user of its own: there is no user 'ipsecd'");
}

static int switched_off(const void *arg)
{
	const struct log_sink sink = {.write = say, .level = LOG_LEVEL_WARN};
	const struct sandbox sandbox = {
		.role = SANDBOX_IKE, .mode = SANDBOX_OFF, .log = &sink, .refused = tell};
	char why[256];

	(void)arg;
	return sandbox_enter(&sandbox, why, sizeof(why)) && geteuid() == 0 ? 0 : 1;
}

static void off(void **state)
{
	struct ended e;

	(void)state;
	run_plain(switched_off, NULL, &e);
	assert_int_equal(e.status, 0);
	expect(e.text, "log ike: sandbox: off, as asked");
}

/* The supervisor starts programs of the operator: as root, though never to boot or to trace. */
static int supervise(const void *arg)
{
	const struct log_sink sink = {.write = say, .level = LOG_LEVEL_WARN};
	const struct sandbox sandbox = {.role = SANDBOX_SUPERVISOR, .log = &sink};
	char why[256] = "";

	if (!sandbox_enter(&sandbox, why, sizeof(why))) {
		dprintf(report, "%s\n", why);
		return NO_WAY;
	}
	dup2(report, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", arg, NULL);
	return NO_WAY;
}

static void supervisor_runs_scripts(void **state)
{
	struct ended e;

	(void)state;
	run_plain(supervise,
		  "grep -E 'CapBnd|NoNew' /proc/self/status; ip route add 192.0.2.9 dev lo", &e);
	assert_int_equal(e.status, 0);
	expect(e.text, "NoNewPrivs:\t0");
	if (!getpwnam(SANDBOX_USER))
		expect(e.text, "going on without a user of its own: there is no user 'ipsecd'");
	assert_int_equal(strtoull(strstr(e.text, "CapBnd:") + 7, NULL, 16) &
				 (1ull << 19 | 1ull << 22 | 1ull << 25),
			 0);
}

static void words(void **state)
{
	enum sandbox_mode mode;

	(void)state;
	assert_true(sandbox_parse_mode("require", &mode) && mode == SANDBOX_REQUIRE);
	assert_true(sandbox_parse_mode("try", &mode) && mode == SANDBOX_TRY);
	assert_true(sandbox_parse_mode("off", &mode) && mode == SANDBOX_OFF);
	assert_false(sandbox_parse_mode("", &mode));
	assert_false(sandbox_parse_mode("on", &mode));
	assert_string_equal(sandbox_role_name(SANDBOX_HELPER), "helper");
}

/* ---- the world ---- */

static void open_world(void)
{
	struct ifreq lo = {.ifr_flags = IFF_UP};
	int any, pair[2];

	if (unshare(CLONE_NEWNET) != 0) {
		perror("test_sandbox: a network namespace (root?)");
		exit(1);
	}
	any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(lo.ifr_name, sizeof(lo.ifr_name), "lo");
	if (ioctl(any, SIOCSIFFLAGS, &lo) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
		perror("test_sandbox: the world");
		exit(1);
	}
	close(any);
	loot = (struct loot){.icmp = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP),
			     .icmp6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6),
			     .netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
			     .memfd = memfd_create("area", 0),
			     .far_end = pair[0],
			     .parent = getpid(),
			     .parents = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0)};
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attacks_would_work),
		cmocka_unit_test(attacks_of_ike),
		cmocka_unit_test(attacks_of_helper),
		cmocka_unit_test(attacks_of_plane),
		cmocka_unit_test(many_attacks),
		cmocka_unit_test(ike_works),
		cmocka_unit_test(plane_works),
		cmocka_unit_test(helper_works),
		cmocka_unit_test(abort_ends_it),
		cmocka_unit_test(status_of_roles),
		cmocka_unit_test(as_a_service),
		cmocka_unit_test(required),
		cmocka_unit_test(off),
		cmocka_unit_test(supervisor_runs_scripts),
		cmocka_unit_test(words),
	};

	if (argc > 1)
		_exit(service_role(argv[1])); /* who may not be traced has no leaks to look for */
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return 1;
	open_world();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
