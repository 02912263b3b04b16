/* The process's title: /proc/PID/cmdline is the memory of argv, /proc/PID/comm a name. */
#include "ipsecd/title.h"

#include <string.h>
#include <sys/prctl.h>

void title_set(int argc, char **argv, const char *title)
{
	char *start = argv[0], *end = start + strlen(start) + 1;
	size_t size, len;

	for (int i = 1; i < argc && argv[i] == end; i++)
		end += strlen(end) + 1;
	size = (size_t)(end - start);
	len = strnlen(title, size - 1);
	memset(start, 0, size);
	memcpy(start, title, len);
	prctl(PR_SET_NAME, title, 0, 0, 0);
	/* Where allowed, so that nobody sees the empty rest. */
	prctl(PR_SET_MM, PR_SET_MM_ARG_END, (unsigned long)(start + len + 1), 0, 0);
}
