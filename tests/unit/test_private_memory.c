/* Marked memory is marked: /proc/self/smaps says so. */
#include "lib/private_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define SIZE 8192

/* The line of flags of the mapping that begins at `start`. */
static void flags_of(const void *start, char *out, size_t size)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[512], head[32];
	bool here = false;

	assert_non_null(maps);
	snprintf(head, sizeof(head), "%lx-", (unsigned long)(uintptr_t)start);
	out[0] = '\0';
	while (!out[0] && fgets(line, sizeof(line), maps)) {
		here |= strncmp(line, head, strlen(head)) == 0;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, size, "%s", line);
	}
	fclose(maps);
	assert_true(out[0]);
}

static void marked(void **state)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char flags[512];
	unsigned char resident[SIZE / 4096 + 1];

	(void)state;
	(void)resident;
	assert_true(memory != MAP_FAILED);
	assert_true(private_memory_mark(memory, SIZE));
	flags_of(memory, flags, sizeof(flags));
	assert_non_null(strstr(flags, " dd"));
#ifndef __SANITIZE_ADDRESS__ /* whose mlock does nothing */
	assert_non_null(strstr(flags, " lo"));
	assert_int_equal(mincore(memory, SIZE, resident), 0);
	assert_int_equal(resident[0] & 1, 0); /* nobody has touched it */
#endif
	munmap(memory, SIZE);
}

/* What is not there. */
static void nothing_there(void **state)
{
	void *memory = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(memory != MAP_FAILED);
	munmap(memory, SIZE);
	assert_false(private_memory_mark(memory, SIZE));
	assert_int_equal(errno, ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marked),
		cmocka_unit_test(nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
