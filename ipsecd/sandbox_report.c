/* A refused system call: told, then continued with EPERM, as if the kernel had said so. Whatever
 * made it goes on as it can; what an attacker tries is in the log, with its name. */
#include "ipsecd/sandbox_parts.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define CALLS	  512
#define ARGUMENTS 3   /* that are told */
#define TELL_ALL  100 /* one who tries on and on does not fill the log */
#define TELL_EACH 1000

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

static struct {
	void (*refused)(const char *text, size_t len);
	char *names[CALLS];
	unsigned arch; /* AUDIT_ARCH_ of the names */
	unsigned count;
} report;

/* ---- async-signal-safe text ---- */

struct line {
	char text[192];
	size_t len;
};

static void put(struct line *l, const char *text)
{
	for (; *text && l->len < sizeof(l->text); text++)
		l->text[l->len++] = *text;
}

static void put_number(struct line *l, unsigned n)
{
	char digits[12];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put(l, digits + at);
}

static void put_hex(struct line *l, unsigned long long n)
{
	char digits[20];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[n % 16];
		n /= 16;
	} while (n);
	put(l, " 0x");
	put(l, digits + at);
}

static const char *name_of(const siginfo_t *info)
{
	if (info->si_arch != report.arch)
		return "a system call of another architecture";
	if (info->si_syscall < 0 || info->si_syscall >= CALLS || !report.names[info->si_syscall])
		return "a system call";
	return report.names[info->si_syscall];
}

static void tell(const siginfo_t *info, const unsigned long long *arguments)
{
	struct line line = {.len = 0};

	report.count++;
	if (report.count > TELL_ALL && report.count % TELL_EACH != 0)
		return;
	put(&line, "sandbox: refused ");
	put(&line, name_of(info));
	put(&line, " (");
	put_number(&line, (unsigned)info->si_syscall);
	put(&line, ")");
	for (unsigned i = 0; i < ARGUMENTS; i++)
		put_hex(&line, arguments[i]);
	if (report.count >= TELL_ALL) {
		put(&line, ", number ");
		put_number(&line, report.count);
		put(&line, ": only each thousandth is told");
	}
	report.refused(line.text, line.len);
}

static void to_standard_error(const char *text, size_t len)
{
	ssize_t n = write(STDERR_FILENO, text, len);

	n = write(STDERR_FILENO, "\n", n > 0);
	(void)n;
}

/* ---- the signal ---- */

#if defined(__x86_64__)
#define REGISTER(context, number) ((context)->uc_mcontext.gregs[number])
#define RESULT(context)		  REGISTER(context, REG_RAX)
#define FIRST			  REG_RDI
#define SECOND			  REG_RSI
#define THIRD			  REG_RDX
#elif defined(__aarch64__)
#define REGISTER(context, number) ((context)->uc_mcontext.regs[number])
#define RESULT(context)		  REGISTER(context, 0)
#define FIRST			  0
#define SECOND			  1
#define THIRD			  2
#elif defined(__riscv)
#define REGISTER(context, number) ((context)->uc_mcontext.__gregs[number])
#define RESULT(context)		  REGISTER(context, REG_A0)
#define FIRST			  REG_A0
#define SECOND			  (REG_A0 + 1)
#define THIRD			  (REG_A0 + 2)
#endif

#ifdef RESULT
static void on_refused(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	int error = errno;

	(void)signal;
	if (info->si_code != SYS_SECCOMP)
		return;
	tell(info, (const unsigned long long[]){(unsigned long long)REGISTER(c, FIRST),
						(unsigned long long)REGISTER(c, SECOND),
						(unsigned long long)REGISTER(c, THIRD)});
	RESULT(c) = -EPERM;
	errno = error;
}

static void learn_names(void)
{
	report.arch = seccomp_arch_native();
	for (int i = 0; i < CALLS; i++)
		report.names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
}

bool sandbox_report_begin(const struct sandbox *what)
{
	struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigset_t set;

	report.refused = what->refused ? what->refused : to_standard_error;
	learn_names();
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	return sigaction(SIGSYS, &action, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &set, NULL) == 0;
}
#else
bool sandbox_report_begin(const struct sandbox *what)
{
	(void)what;
	return false;
}
#endif
