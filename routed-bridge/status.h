/* `routed-bridge --status`: asks the running bridge and shows its answer, as it came (JSON) or
 * as tables. */
#ifndef DETOUR_BRIDGE_STATUS_H
#define DETOUR_BRIDGE_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum status_exit {
	STATUS_OK = 0,
	STATUS_FAILED = 1,    /* an answer that makes no sense */
	STATUS_NO_BRIDGE = 3, /* nobody answers, or not to us */
};

/* The exit status of the program; what is wrong is on standard error. */
int status_run(const char *path, bool as_json);
/* The document as tables. What it lacks is left out. */
void status_print(const json_t *all, FILE *out);

#endif
