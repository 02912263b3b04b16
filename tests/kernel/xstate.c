/* Preloaded into linux.uml: it hands the processor's extended state back to its processes in
 * a buffer of fixed size, and the host refuses one that is smaller than its own state (with
 * AMX, 11008 bytes). A larger one is cut to size; what was not given is zero, that is, in its
 * initial state. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long ptrace_function(enum __ptrace_request request, ...);

long ptrace(enum __ptrace_request request, ...)
{
	static unsigned char whole[64 * 1024];
	static ptrace_function *next;
	struct iovec full = {whole, sizeof(whole)};
	const struct iovec *given;
	void *addr, *data;
	va_list args;
	int pid;

	va_start(args, request);
	pid = va_arg(args, int);
	addr = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);
	if (!next)
		next = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");
	given = data;
	if (request == PTRACE_SETREGSET && addr == (void *)NT_X86_XSTATE &&
	    given->iov_len <= sizeof(whole)) {
		memcpy(whole, given->iov_base, given->iov_len);
		data = &full;
	}
	return next(request, pid, addr, data);
}
