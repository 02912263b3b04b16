/* What somebody tries who has taken one of our processes over. */
#include "tests/contract/attacks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define P     SANDBOX_ROLE(SANDBOX_PLANE)
#define I     SANDBOX_ROLE(SANDBOX_IKE)
#define H     SANDBOX_ROLE(SANDBOX_HELPER)
#define ALL   (P | I | H)

#define UPPER (1ll << 32) /* of a register, where the kernel takes an int */

static struct icmphdr ping = {.type = ICMP_ECHO, .checksum = 0xfff7};
static const struct sockaddr_in outside = {.sin_family = AF_INET, .sin_port = 0x5000};

/* ---- files ---- */

static long open_file(const struct loot *l)
{
	(void)l;
	return open("/etc/passwd", O_RDONLY);
}

static long open_shadow(const struct loot *l)
{
	(void)l;
	return open("/etc/shadow", O_RDONLY);
}

static long open_root(const struct loot *l)
{
	(void)l;
	return open("/", O_RDONLY | O_DIRECTORY);
}

static long open_2(const struct loot *l)
{
	const uint64_t how[3] = {O_RDONLY, 0, 0};

	(void)l;
	return syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how));
}

static long open_to_write(const struct loot *l)
{
	(void)l;
	return open("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static long make_file(const struct loot *l)
{
	(void)l;
	return open("/tmp/detour-attack", O_WRONLY | O_CREAT, 0600);
}

static long look_at_parent(const struct loot *l)
{
	(void)l;
	return open("/proc/1/mem", O_RDONLY);
}

static long remove_file(const struct loot *l)
{
	(void)l;
	return unlink("/tmp/detour-attack");
}

static long rename_file(const struct loot *l)
{
	(void)l;
	return rename("/tmp/detour-attack", "/tmp/detour-attack-2");
}

static long link_file(const struct loot *l)
{
	(void)l;
	return symlink("/etc", "/tmp/detour-attack");
}

static long status_of_file(const struct loot *l)
{
	char st[256];

	(void)l;
	return syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", st, 0);
}

static long other_root(const struct loot *l)
{
	(void)l;
	return chroot(".");
}

static long handle(const struct loot *l)
{
	(void)l;
	return syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY);
}

/* ---- the network ---- */

static long connect_tcp(const struct loot *l)
{
	(void)l;
	return connect(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&outside,
		       sizeof(outside));
}

static long connect_fast(const struct loot *l)
{
	struct iovec part = {&ping, 1};
	const struct msghdr m = {.msg_name = (void *)(uintptr_t)&outside,
				 .msg_namelen = sizeof(outside),
				 .msg_iov = &part,
				 .msg_iovlen = 1};

	(void)l;
	return sendmsg(socket(AF_INET, SOCK_STREAM, 0), &m, MSG_FASTOPEN);
}

static long connect_faster(const struct loot *l)
{
	(void)l;
	return sendto(socket(AF_INET, SOCK_STREAM, 0), "x", 1, MSG_FASTOPEN,
		      (const struct sockaddr *)&outside, sizeof(outside));
}

static long socket_tcp(const struct loot *l)
{
	(void)l;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long send_fast(const struct loot *l)
{
	(void)l;
	return sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, MSG_FASTOPEN,
		      (const struct sockaddr *)&outside, sizeof(outside));
}

static long send_fast_many(const struct loot *l)
{
	struct mmsghdr m = {.msg_hdr = {.msg_name = (void *)(uintptr_t)&outside,
					.msg_namelen = sizeof(outside)}};

	(void)l;
	return sendmmsg(socket(AF_INET, SOCK_DGRAM, 0), &m, 1, MSG_FASTOPEN);
}

static long socket_unix(const struct loot *l)
{
	(void)l;
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long stream_unix(const struct loot *l)
{
	(void)l;
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static long connect_unix(const struct loot *l)
{
	const struct sockaddr_un bus = {.sun_family = AF_UNIX,
					.sun_path = "/run/dbus/system_bus_socket"};

	(void)l;
	return connect(socket(AF_UNIX, SOCK_DGRAM, 0), (const struct sockaddr *)&bus, sizeof(bus));
}

static long bind_low_tcp(const struct loot *l)
{
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = 0x5000}; /* 80 */

	(void)l;
	return bind(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&at, sizeof(at));
}

static long bind_to_device(const struct loot *l)
{
	(void)l;
	return setsockopt(socket(AF_INET, SOCK_STREAM, 0), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
}

static long socket_udp(const struct loot *l)
{
	(void)l;
	return socket(AF_INET6, SOCK_DGRAM, 0);
}

static long socket_raw(const struct loot *l)
{
	(void)l;
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static long socket_packet(const struct loot *l)
{
	(void)l;
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static long socket_vsock(const struct loot *l)
{
	(void)l;
	return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static long pair(const struct loot *l)
{
	int fds[2];

	(void)l;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static long connect_outside(const struct loot *l)
{
	return connect(l->icmp, (const struct sockaddr *)&outside, sizeof(outside));
}

static long bind_low_port(const struct loot *l)
{
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = 0xf401}; /* 500 */

	(void)l;
	return bind(socket(AF_INET, SOCK_DGRAM, 0), (const struct sockaddr *)&at, sizeof(at));
}

static long listen_too(const struct loot *l)
{
	return listen(l->far_end, 1);
}

static const struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr = {0x0100007f}};

static long raw_send(const struct loot *l)
{
	return sendto(l->icmp, &ping, sizeof(ping), 0, (const struct sockaddr *)&self,
		      sizeof(self));
}

static long raw_send_message(const struct loot *l)
{
	struct iovec part = {&ping, sizeof(ping)};
	const struct msghdr m = {.msg_name = (void *)(uintptr_t)&self,
				 .msg_namelen = sizeof(self),
				 .msg_iov = &part,
				 .msg_iovlen = 1};

	return sendmsg(l->icmp, &m, 0);
}

static long raw_send_upper(const struct loot *l)
{
	struct iovec part = {&ping, sizeof(ping)};
	const struct msghdr m = {.msg_name = (void *)(uintptr_t)&self,
				 .msg_namelen = sizeof(self),
				 .msg_iov = &part,
				 .msg_iovlen = 1};

	return syscall(SYS_sendmsg, UPPER | l->icmp, &m, 0);
}

static long raw_rename(const struct loot *l)
{
	return dup2(l->icmp6, 200);
}

static long raw_rename_upper(const struct loot *l)
{
	return syscall(SYS_dup3, UPPER | l->icmp6, 200, 0);
}

static long raw_duplicate(const struct loot *l)
{
	return fcntl(l->icmp6, F_DUPFD, 100);
}

/* The answer of the kernel is what counts. */
static long route_add(const struct loot *l)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg r;
		struct rtattr to;
		uint32_t dst;
	} m = {.h = {.nlmsg_len = sizeof(m),
		     .nlmsg_type = RTM_NEWROUTE,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE},
	       .r = {.rtm_family = AF_INET,
		     .rtm_dst_len = 32,
		     .rtm_table = RT_TABLE_MAIN,
		     .rtm_protocol = RTPROT_STATIC,
		     .rtm_scope = RT_SCOPE_UNIVERSE,
		     .rtm_type = RTN_BLACKHOLE},
	       .to = {.rta_len = RTA_LENGTH(4), .rta_type = RTA_DST},
	       .dst = 0x010200c0};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[512];
	} answer = {.e = {.error = 0}};

	if (send(l->netlink, &m, sizeof(m), 0) < 0 ||
	    recv(l->netlink, &answer, sizeof(answer), 0) < 0)
		return -1;
	errno = -answer.e.error;
	return answer.e.error ? -1 : 0;
}

/* ---- programs and processes ---- */

static char *const no_words[] = {NULL};

static long exec_shell(const struct loot *l)
{
	(void)l;
	return execve("/bin/sh", no_words, no_words);
}

static long exec_memory(const struct loot *l)
{
	return syscall(SYS_execveat, l->memfd, "", no_words, no_words, AT_EMPTY_PATH);
}

static long make_memory_file(const struct loot *l)
{
	(void)l;
	return memfd_create("attack", 0);
}

static long fork_off(const struct loot *l)
{
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	(void)l;
	if (pid == 0)
		_exit(0);
	return pid;
}

static long thread(const struct loot *l)
{
	(void)l;
	return syscall(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, 0, 0, 0, 0);
}

static long fork_elsewhere(const struct loot *l)
{
	(void)l;
	return syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0);
}

static long clone_3(const struct loot *l)
{
	(void)l;
	return syscall(SYS_clone3, NULL, 0);
}

static long trace_parent(const struct loot *l)
{
	return ptrace(PTRACE_ATTACH, l->parent, NULL, NULL);
}

static long read_parent(const struct loot *l)
{
	char byte[8];
	struct iovec here = {byte, sizeof(byte)}, there = {l->parents, sizeof(byte)};

	return process_vm_readv(l->parent, &here, 1, &there, 1, 0);
}

static long write_parent(const struct loot *l)
{
	char byte[8] = "";
	struct iovec here = {byte, sizeof(byte)}, there = {l->parents, sizeof(byte)};

	return process_vm_writev(l->parent, &here, 1, &there, 1, 0);
}

static long kill_parent(const struct loot *l)
{
	return kill(l->parent, 0);
}

static long kill_parent_for_good(const struct loot *l)
{
	return kill(l->parent, SIGKILL);
}

static long kill_parent_thread(const struct loot *l)
{
	return syscall(SYS_tgkill, l->parent, l->parent, 0);
}

static long kill_all(const struct loot *l)
{
	(void)l;
	return kill(0, 0);
}

static long signal_through_file(const struct loot *l)
{
	return fcntl(l->far_end, F_SETOWN, l->parent);
}

static long open_process(const struct loot *l)
{
	return syscall(SYS_pidfd_open, l->parent, 0);
}

static long set_limits(const struct loot *l)
{
	const uint64_t none[2] = {0, 0};

	return syscall(SYS_prlimit64, l->parent, 7, none, NULL);
}

/* ---- more rights ---- */

static long become_root(const struct loot *l)
{
	(void)l;
	return setuid(0);
}

static long groups(const struct loot *l)
{
	(void)l;
	return syscall(SYS_setgroups, 0, NULL);
}

static long capabilities(const struct loot *l)
{
	const uint32_t header[2] = {0x20080522, 0}, all[6] = {~0u, ~0u, 0, 1u, 1u, 0};

	(void)l;
	return syscall(SYS_capset, header, all);
}

static long new_namespaces(const struct loot *l)
{
	(void)l;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS);
}

static long mount_something(const struct loot *l)
{
	(void)l;
	return mount("none", "/", "tmpfs", 0, NULL);
}

static long traced_by(const struct loot *l)
{
	(void)l;
	return syscall(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0);
}

static long other_filter(const struct loot *l)
{
	(void)l;
	return syscall(SYS_seccomp, 0, 0, NULL);
}

static long silence(const struct loot *l)
{
	(void)l;
	return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -1 : 0;
}

static long silence_upper(const struct loot *l)
{
	(void)l;
	return syscall(SYS_rt_sigaction, UPPER | SIGSYS, NULL, NULL, 8);
}

/* ---- the kernel's surface ---- */

static long key(const struct loot *l)
{
	(void)l;
	return syscall(SYS_keyctl, 0, -3, 0, 0, 0);
}

static long bpf(const struct loot *l)
{
	(void)l;
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long uring(const struct loot *l)
{
	(void)l;
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long fault_handler(const struct loot *l)
{
	(void)l;
	return syscall(SYS_userfaultfd, 0);
}

static long perf(const struct loot *l)
{
	(void)l;
	return syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0);
}

static long module(const struct loot *l)
{
	(void)l;
	return syscall(SYS_finit_module, 0, "", 0);
}

static long boot(const struct loot *l)
{
	(void)l;
	return syscall(SYS_reboot, 0, 0, 0, NULL); /* wrong magic numbers, should it get there */
}

static long shared_memory(const struct loot *l)
{
	(void)l;
	return syscall(SYS_shmget, 0, 4096, 01600);
}

static long run_memory(const struct loot *l)
{
	(void)l;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? -1
		       : 0;
}

static long run_data(const struct loot *l)
{
	(void)l;
	return mprotect(l->parents, 4096, PROT_READ | PROT_EXEC);
}

static long read_is_run(const struct loot *l)
{
	(void)l;
	return syscall(SYS_personality, 0x0400000);
}

#ifdef __x86_64__
static long old_calls(const struct loot *l)
{
	long result = 39; /* mkdir of 32 bits */

	__asm__ volatile("int $0x80" : "+a"(result) : "b"(l->parents), "c"(0) : "memory");
	errno = result < 0 && result > -4096 ? (int)-result : 0;
	return result < 0 && result > -4096 ? -1 : 0;
}
#endif

const struct attack attacks[] = {
	{"open a file", I, open_file, "openat", EPERM},
	{"open a file that others may not read", P, open_shadow, NULL, EACCES},
	{"open the root", I, open_root, "openat", EPERM},
	{"openat2", ALL, open_2, "openat2", EPERM},
	{"open a file to write", I | H, open_to_write, "openat", EPERM},
	{"open a setting that is not the network's", P, open_to_write, NULL, EACCES},
	{"make a file", ALL, make_file, "openat", EPERM},
	{"read the memory of another", P | H, look_at_parent, NULL, EACCES},
	{"remove a file", ALL, remove_file, "unlink", EPERM},
	{"rename a file", ALL, rename_file, "rename", EPERM},
	{"make a link", ALL, link_file, "symlink", EPERM},
	{"look whether a file is there", P | I, status_of_file, "newfstatat", EPERM},
	{"chroot", ALL, other_root, "chroot", EPERM},
	{"open by handle", ALL, handle, "open_by_handle_at", EPERM},
	{"connect outside by TCP", I, connect_tcp, "connect", EPERM},
	{"connect outside by TCP and its first data", I, connect_fast, "sendmsg", EPERM},
	{"connect outside by its first data", I, connect_faster, "sendto", EPERM},
	{"a stream to outside", P, socket_tcp, "socket", EPERM},
	{"connect by what is sent", P, send_fast, "sendto", EPERM},
	{"connect by messages", P, send_fast_many, "sendmmsg", EPERM},
	{"a local socket", I, socket_unix, "socket", EPERM},
	{"a local socket that is a stream", P | H, socket_unix, "socket", EPERM},
	{"a local socket of messages", ALL, stream_unix, "socket", EPERM},
	{"connect to another daemon", P, connect_unix, "connect", EPERM},
	{"bind a port below 1024", I, bind_low_tcp, NULL, EACCES},
	{"bind a socket to a device", I, bind_to_device, "setsockopt", EPERM},
	{"send outside by UDP", I, socket_udp, "socket", EPERM},
	{"a raw socket", I, socket_raw, "socket", EPERM},
	{"a raw socket", H, socket_raw, NULL, EPERM},
	{"a packet socket", ALL, socket_packet, "socket", EPERM},
	{"a socket to the host", ALL, socket_vsock, "socket", EPERM},
	{"a pair of sockets", ALL, pair, "socketpair", EPERM},
	{"connect a socket that it has", I, connect_outside, "connect", EPERM},
	{"bind a port of IKE", H, bind_low_port, NULL, EACCES},
	{"listen", P | H, listen_too, "listen", EPERM},
	{"send ICMP", I, raw_send, "sendto", EPERM},
	{"send ICMP as a message", I, raw_send_message, "sendmsg", EPERM},
	{"send ICMP, the register's upper half set", I, raw_send_upper, "sendmsg", EPERM},
	{"rename the raw socket", I, raw_rename, "dup2", EPERM},
	{"rename it, the register's upper half set", I, raw_rename_upper, "dup3", EPERM},
	{"duplicate the raw socket", I, raw_duplicate, "fcntl", EPERM},
	{"add a route", I | H, route_add, NULL, EPERM},
	{"run a program", ALL, exec_shell, "execve", EPERM},
	{"run a program from memory", ALL, exec_memory, "execveat", EPERM},
	{"make a file in memory", P | I, make_memory_file, "memfd_create", EPERM},
	{"fork", P | I, fork_off, "clone", EPERM},
	{"a thread", ALL, thread, "clone", EPERM},
	{"a process in other namespaces", ALL, fork_elsewhere, "clone", EPERM},
	{"clone3", I | H, clone_3, "clone3", EPERM},
	{"clone3 of plane, which the C library does without", P, clone_3, NULL, ENOSYS},
	{"trace the parent", ALL, trace_parent, "ptrace", EPERM},
	{"read the parent's memory", ALL, read_parent, "process_vm_readv", EPERM},
	{"write the parent's memory", ALL, write_parent, "process_vm_writev", EPERM},
	{"kill the parent", ALL, kill_parent, "kill", EPERM},
	{"kill the parent for good", H, kill_parent_for_good, NULL, EPERM},
	{"kill a thread of the parent", ALL, kill_parent_thread, "tgkill", EPERM},
	{"kill the group", ALL, kill_all, "kill", EPERM},
	{"have a signal sent", ALL, signal_through_file, "fcntl", EPERM},
	{"open the parent", ALL, open_process, "pidfd_open", EPERM},
	{"set the parent's limits", ALL, set_limits, "prlimit64", EPERM},
	{"become root", ALL, become_root, "setuid", EPERM},
	{"change groups", ALL, groups, "setgroups", EPERM},
	{"capabilities", ALL, capabilities, "capset", EPERM},
	{"new namespaces", ALL, new_namespaces, "unshare", EPERM},
	{"mount", ALL, mount_something, "mount", EPERM},
	{"be traced", ALL, traced_by, "prctl", EPERM},
	{"another filter", ALL, other_filter, "seccomp", EPERM},
	{"silence the reports", ALL, silence, "rt_sigaction", EPERM},
	{"silence them, the register's upper half set", ALL, silence_upper, "rt_sigaction", EPERM},
	{"keys of the kernel", ALL, key, "keyctl", EPERM},
	{"BPF", ALL, bpf, "bpf", EPERM},
	{"io_uring", ALL, uring, "io_uring_setup", EPERM},
	{"page faults", ALL, fault_handler, "userfaultfd", EPERM},
	{"performance events", ALL, perf, "perf_event_open", EPERM},
	{"a kernel module", ALL, module, "finit_module", EPERM},
	{"reboot", ALL, boot, "reboot", EPERM},
	{"shared memory of System V", ALL, shared_memory, "shmget", EPERM},
	{"memory to run", ALL, run_memory, "mmap", EPERM},
	{"run data", ALL, run_data, "mprotect", EPERM},
	{"run all that can be read", ALL, read_is_run, "personality", EPERM},
#ifdef __x86_64__
	{"system calls of 32 bits", ALL, old_calls, "a system call of another architecture", EPERM},
#endif
	{NULL, 0, NULL, NULL, 0},
};
