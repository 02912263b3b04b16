/* The tables of system calls (sandbox_calls.c) become filters of the kernel, through libseccomp. */
#include "ipsecd/sandbox_parts.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Found by halves, not by going through the list: the plane makes many calls. */
#define AS_A_TREE 2

static int allow(scmp_filter_ctx filter, const struct sandbox_call *c)
{
	struct scmp_arg_cmp conditions[] = {{.arg = c->arg, .op = SCMP_CMP_EQ, .datum_a = c->value},
					    {.arg = c->also.arg,
					     .op = SCMP_CMP_MASKED_EQ,
					     .datum_a = c->also.mask,
					     .datum_b = c->also.value}};
	int number = seccomp_syscall_resolve_name(c->name);

	if (number < 0)
		return 0;
	if (c->when == WHEN_MASK) {
		conditions[0].op = SCMP_CMP_MASKED_EQ;
		conditions[0].datum_a = c->mask;
		conditions[0].datum_b = c->value;
	} else if (c->when == WHEN_SELF) {
		conditions[0].datum_a = (scmp_datum_t)getpid();
	}
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, c->also.mask ? 2 : 1,
				      conditions);
}

static int allow_names(scmp_filter_ctx filter, const char *const *names)
{
	int error = 0;

	for (; *names && !error; names++) {
		int number = seccomp_syscall_resolve_name(*names);

		if (number >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	return error;
}

static int allow_all(scmp_filter_ctx filter, enum sandbox_role role)
{
	int error = 0;

	for (const struct sandbox_list *l = sandbox_lists(); l->names && !error; l++) {
		if (l->roles & SANDBOX_ROLE(role))
			error = allow_names(filter, l->names);
	}
	for (const struct sandbox_call *c = sandbox_calls(); c->name && !error; c++) {
		if (c->roles & SANDBOX_ROLE(role))
			error = allow(filter, c);
	}
	return error;
}

/* The upper half of a register counts for us and not for the kernel, where it takes an int. */
static int refuse(scmp_filter_ctx filter, uint32_t action, const char *name, int value)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number < 0)
		return 0;
	return seccomp_rule_add(filter, action, number, 1,
				SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)value));
}

static int refuse_all(scmp_filter_ctx filter, uint32_t action, const struct sandbox *what)
{
	int error = refuse(filter, action, "rt_sigaction", SIGSYS);

	for (const char *const *name = sandbox_mute_calls(); *name; name++) {
		for (size_t i = 0; i < what->n_mute && !error; i++)
			error = refuse(filter, action, *name, what->mute_fds[i]);
	}
	return error;
}

/* Frees the filter. What a program of another architecture would call is refused, too. The kernel
 * writes down what it refuses (audit, type=1326), which our own report, made by the process itself,
 * can't be relied on for: who has its memory has the report, too. */
static int load(scmp_filter_ctx filter, uint32_t action, int error)
{
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, action);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, AS_A_TREE);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* older kernels: without */
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

/* Two filters, of which the stricter answer counts: the list would else have to say for each of
 * its rows on which descriptors it does not hold. */
static int load_refusals(const struct sandbox *what, uint32_t action)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (!filter)
		return -ENOMEM;
	return load(filter, action, refuse_all(filter, action, what));
}

/* Its arguments are in memory, where no filter looks: a C library that is told that there is no
 * such call makes threads by clone. */
static int no_clone3(scmp_filter_ctx filter)
{
	int number = seccomp_syscall_resolve_name("clone3");

	return number < 0 ? 0 : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
}

static int load_list(const struct sandbox *what, uint32_t action)
{
	scmp_filter_ctx filter = seccomp_init(action);
	int error;

	if (!filter)
		return -ENOMEM;
	error = allow_all(filter, what->role);
	if (!error && what->role == SANDBOX_PLANE)
		error = no_clone3(filter);
	return load(filter, action, error);
}

enum sandbox_done sandbox_seccomp(const struct sandbox *what, char *why)
{
	uint32_t action;
	int error;

	if (SANITIZED) {
		snprintf(why, SANDBOX_WHY, "this build has a sanitizer, which does as it likes");
		return SANDBOX_LEFT_OUT;
	}
	action = sandbox_report_begin(what) ? SCMP_ACT_TRAP : SCMP_ACT_ERRNO(EPERM);
	error = load_refusals(what, action);
	if (!error)
		error = load_list(what, action);
	if (!error)
		return SANDBOX_DONE;
	snprintf(why, SANDBOX_WHY, "%s",
		 error == -EINVAL || error == -ECANCELED ? "this kernel has no system call filters"
							 : strerror(-error));
	return SANDBOX_NOT_HERE;
}
