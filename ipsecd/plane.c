/* Which data plane this machine gets: the first of the list that is wanted and works. */
#include "ipsecd/plane.h"

#include <stdio.h>

static const struct dataplane_ops *const planes[] = {&dataplane_userspace};

const struct dataplane_ops *plane_choose(const char *wanted, const struct log_sink *log, char *why,
					 size_t size)
{
	bool any = strcmp(wanted, "auto") == 0;

	snprintf(why, size, "this version has no %s data plane; use --plane userspace", wanted);
	for (size_t i = 0; i < sizeof(planes) / sizeof(planes[0]); i++) {
		if (!any && strcmp(wanted, planes[i]->name) != 0)
			continue;
		if (planes[i]->probe(why, size)) {
			log_to(log, LOG_LEVEL_NOTICE, "tun", "", "data plane: %s (%s)",
			       planes[i]->name, any ? "the only one of this version" : "as asked");
			return planes[i];
		}
		log_to(log, LOG_LEVEL_WARN, "tun", "", "data plane %s does not work here: %s",
		       planes[i]->name, why);
	}
	return NULL;
}
