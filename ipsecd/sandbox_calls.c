/* Which system calls each role may make. What is not here is refused and told: execve, threads (but
 * plane's), ptrace, process_vm_*, kill of others, mount, unshare, setuid, bpf, io_uring, keyctl,
 * memory that can be run, and all that is invented later. */
#include "ipsecd/sandbox_parts.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define P   SANDBOX_ROLE(SANDBOX_PLANE)
#define I   SANDBOX_ROLE(SANDBOX_IKE)
#define H   SANDBOX_ROLE(SANDBOX_HELPER)
#define ALL (P | I | H)

/* ---- whatever the arguments ---- */

/* Descriptors that there are, memory, time, oneself. */
static const char *const common[] = {
	"read", "readv", "write", "writev", "pread64", "pwrite64", "lseek", "close", "close_range",
	"dup", "dup2", "dup3", "fstat", "ftruncate", "fallocate", "pipe2", "eventfd2", "signalfd4",
	"poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
	/* memory */
	"mremap", "munmap", "brk", "madvise", "mlock", "mlock2", "munlock", "msync",
	/* time */
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
	/* oneself */
	"getrandom", "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid",
	"getrusage", "getrlimit", "getcpu", "uname", "sysinfo", "sched_yield", "sched_getaffinity",
	"futex", "rseq", "membarrier", "set_robust_list", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "sigaltstack", "restart_syscall",
	"exit", "exit_group",
	/* sockets that there are */
	"shutdown", "recvfrom", "recvmsg", "recvmmsg", "getsockname", "getpeername", "getsockopt",
	NULL};

/* Clients of vici, and of metrics; sendfile is libmicrohttpd's. Nothing connects. */
static const char *const clients[] = {"accept", "accept4", "bind", "listen", "sendfile", NULL};

/* `socket` is below. */
static const char *const network[] = {"bind",	    "setsockopt", "access",
				      "faccessat",  "faccessat2", "readlink",
				      "readlinkat", "getdents64", NULL};

/* Name servers are connected to. */
static const char *const names[] = {"connect", "sendto", "sendmmsg", NULL};

/* With what the helper's reading process is started, given memory and waited for. */
static const char *const files[] = {"newfstatat",   "statx",   "stat",	 "lstat",
				    "statfs",	    "fstatfs", "getcwd", "fadvise64",
				    "memfd_create", "wait4",   "waitid", NULL};

static const struct sandbox_list lists[] = {{ALL, common}, {I, clients}, {P | H, network},
					    {H, names},	   {H, files},	 {0, NULL}};

/* ---- with some arguments only ---- */

#define NO_MORE         \
	{               \
		0, 0, 0 \
	}
#define EQUAL(name, roles, arg, value)                          \
	{                                                       \
		name, roles, WHEN_EQUAL, arg, 0, value, NO_MORE \
	}
#define MASKED(name, roles, arg, bits, v)                     \
	{                                                     \
		name, roles, WHEN_MASK, arg, bits, v, NO_MORE \
	}
#define SELF(name, roles, arg)                             \
	{                                                  \
		name, roles, WHEN_SELF, arg, 0, 0, NO_MORE \
	}
#define BOTH(name, roles, arg, value, arg2, bits2, value2) \
	{                                                  \
		name, roles, WHEN_EQUAL, arg, 0, value,    \
		{                                          \
			arg2, bits2, value2                \
		}                                          \
	}
#define IOCTL(roles, request) MASKED("ioctl", roles, 1, 0xffffffffu, request)
#define FCNTL(command)	      MASKED("fcntl", ALL, 1, 0xffffffffu, command)
#define READ_ONLY	      (O_ACCMODE | O_CREAT | O_TRUNC)

/* clang-format off: a row is a line */
static const struct sandbox_call calls[] = {
	/* Not F_SETOWN and F_SETSIG, which send signals. */
	FCNTL(F_GETFL),
	FCNTL(F_SETFL),
	FCNTL(F_GETFD),
	FCNTL(F_SETFD),
	FCNTL(F_DUPFD),
	FCNTL(F_DUPFD_CLOEXEC),
	FCNTL(F_ADD_SEALS),
	FCNTL(F_GET_SEALS),
	/* fstat of newer C libraries: no name counts, only the descriptor. */
	MASKED("newfstatat", P | I, 3, AT_EMPTY_PATH, AT_EMPTY_PATH),
	MASKED("mmap", ALL, 2, PROT_EXEC, 0),
	MASKED("mprotect", ALL, 2, PROT_EXEC, 0),
	EQUAL("prlimit64", ALL, 2, 0), /* reads */
	SELF("kill", ALL, 0),
	/* The reading process. Of others, the kernel lets it end those of the same user. */
	MASKED("kill", H, 1, 0xffffffffu, SIGKILL),
	MASKED("clone", H, 0, ~(CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | 0xffull), 0),
	EQUAL("prctl", H, 0, PR_SET_PDEATHSIG),
	SELF("tgkill", ALL, 0), /* abort() */
	/* Threads (workers=), as pthread_create makes them, and nothing else. */
	EQUAL("clone", P, 0,
	      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
		      CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID),

	/* No connection by the first data that is sent. */
	MASKED("sendmsg", ALL, 2, MSG_FASTOPEN, 0),
	MASKED("sendto", P | I, 3, MSG_FASTOPEN, 0),
	MASKED("sendmmsg", P, 3, MSG_FASTOPEN, 0),
	/* To listen for who asks for metrics; libmicrohttpd. */
	BOTH("socket", I, 0, AF_INET, 1, 0xf, SOCK_STREAM),
	BOTH("socket", I, 0, AF_INET6, 1, 0xf, SOCK_STREAM),
	/* Not TCP_ULP, which has the kernel load and run more of itself. */
	BOTH("setsockopt", I, 1, IPPROTO_TCP, 2, 0xffffffffu, TCP_NODELAY),
	BOTH("setsockopt", I, 1, IPPROTO_TCP, 2, 0xffffffffu, TCP_CORK),
	BOTH("setsockopt", I, 1, SOL_SOCKET, 2, 0xffffffffu, SO_REUSEADDR),
	BOTH("setsockopt", I, 1, IPPROTO_IPV6, 2, 0xffffffffu, IPV6_V6ONLY),
	BOTH("socket", P, 0, AF_INET, 1, 0xf, SOCK_DGRAM),
	BOTH("socket", P, 0, AF_INET, 1, 0xf, SOCK_RAW),
	BOTH("socket", P, 0, AF_INET6, 1, 0xf, SOCK_DGRAM),
	BOTH("socket", P, 0, AF_INET6, 1, 0xf, SOCK_RAW),
	EQUAL("socket", H, 0, AF_INET),
	EQUAL("socket", H, 0, AF_INET6),
	EQUAL("socket", P | H, 0, AF_NETLINK),
	/* Names of interfaces. Not streams: those are how one speaks to other daemons. */
	BOTH("socket", P | H, 0, AF_UNIX, 1, 0xf, SOCK_DGRAM),

	IOCTL(ALL, FIONREAD),
	IOCTL(ALL, FIONBIO),
	IOCTL(P, TUNSETIFF),
	IOCTL(P, TUNGETIFF),
	IOCTL(P, TUNSETPERSIST),
	IOCTL(P, TUNSETOFFLOAD),
	IOCTL(P, TUNSETQUEUE),
	IOCTL(P, TUNSETSNDBUF),
	IOCTL(P, TUNSETCARRIER),
	IOCTL(P | H, SIOCGIFNAME),
	IOCTL(P | H, SIOCGIFINDEX),
	IOCTL(P | H, SIOCGIFFLAGS),
	IOCTL(P, SIOCGIFMTU),

	/* Which files, Landlock says. */
	MASKED("openat", H, 2, READ_ONLY, O_RDONLY),
	MASKED("open", H, 1, READ_ONLY, O_RDONLY),
	MASKED("openat", P, 2, O_CREAT, 0),
	MASKED("open", P, 1, O_CREAT, 0),
	{NULL, 0, WHEN_EQUAL, 0, 0, 0, NO_MORE},
};
/* clang-format on */

/* Of a descriptor that is only read from, nothing else is wanted. */
static const char *const mute_calls[] = {"write",  "writev",   "pwrite64", "pwritev",	 "pwritev2",
					 "sendto", "sendmsg",  "sendmmsg", "sendfile",	 "splice",
					 "tee",	   "vmsplice", "connect",  "bind",	 "dup",
					 "dup2",   "dup3",     "fcntl",	   "setsockopt", NULL};

const struct sandbox_list *sandbox_lists(void)
{
	return lists;
}

const struct sandbox_call *sandbox_calls(void)
{
	return calls;
}

const char *const *sandbox_mute_calls(void)
{
	return mute_calls;
}
