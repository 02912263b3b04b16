/* Which data plane this machine gets: the first of the list that is wanted and works. */
#include "ipsecd/plane.h"

#include <stdio.h>

static const struct dataplane_ops *const planes[] = {&dataplane_kernel, &dataplane_userspace};

#define PLANES (sizeof(planes) / sizeof(planes[0]))

static void append(char *text, size_t size, const char *more)
{
	size_t at = strlen(text);

	snprintf(text + at, size - at, "%s%s", at ? "; " : "", more);
}

static const struct dataplane_ops *choose_any(const struct log_sink *log, char *why, size_t size)
{
	char lacks[256], line[320];

	why[0] = '\0';
	for (size_t i = 0; i < PLANES; i++) {
		if (planes[i]->probe(lacks, sizeof(lacks))) {
			log_to(log, LOG_LEVEL_NOTICE, "tun", "", "%s%susing %s", why,
			       *why ? "; " : "data plane: ", planes[i]->name);
			if (!*why)
				append(why, size, "it works here and is the first choice");
			return planes[i];
		}
		snprintf(line, sizeof(line), "data plane %s does not work here: %s",
			 planes[i]->name, lacks);
		append(why, size, line);
	}
	return NULL;
}

const struct dataplane_ops *plane_choose(const char *wanted, const struct log_sink *log, char *why,
					 size_t size)
{
	char lacks[256];

	if (strcmp(wanted, "auto") == 0)
		return choose_any(log, why, size);
	snprintf(why, size, "this version has no %s data plane", wanted);
	for (size_t i = 0; i < PLANES; i++) {
		if (strcmp(wanted, planes[i]->name) != 0)
			continue;
		if (planes[i]->probe(lacks, sizeof(lacks))) {
			log_to(log, LOG_LEVEL_NOTICE, "tun", "", "data plane: using %s, as asked",
			       wanted);
			snprintf(why, size, "as asked with --plane");
			return planes[i];
		}
		snprintf(why, size, "%s does not work here: %s", wanted, lacks);
	}
	return NULL;
}

bool plane_flush(const struct log_sink *log, char *why, size_t size)
{
	bool ok = true;
	char one[256];

	why[0] = '\0';
	for (size_t i = 0; i < PLANES; i++) {
		if (!planes[i]->flush || planes[i]->flush(log, one, sizeof(one)))
			continue;
		append(why, size, one);
		ok = false;
	}
	return ok;
}
