/* Aliases of tunnel devices. Ours are told from an operator's by their first word. */
#include "routed-bridge/describe.h"

#include <stdio.h>
#include <string.h>

#define OURS	  "tunnel "
#define IPSECD	  "ipsecd:"
#define SEPARATOR " | "

void describe_format(const struct describe_tunnel *t, char out[DESCRIBE_MAX])
{
	const char *to = t->peer_id[0] ? t->peer_id : t->peer_host;
	bool both = t->peer_id[0] && t->peer_host[0] && strcmp(t->peer_id, t->peer_host) != 0;

	/* Each part has its limit, so that the state is never cut off. */
	snprintf(out, DESCRIBE_MAX, OURS "%.48s%s%.80s%s%.46s%s: %s%s%.50s", t->conn,
		 to[0] ? " to " : "", to, both ? " (" : "", both ? t->peer_host : "",
		 both ? ")" : "", t->up ? "up" : "down", t->up ? "" : ", ", t->up ? "" : t->cause);
}

bool describe_merge(const char *old, const char *text, char out[DESCRIBE_MAX])
{
	const char *end = strstr(old, SEPARATOR OURS);
	size_t kept = end ? (size_t)(end - old) : strlen(old);

	if (strncmp(old, IPSECD, strlen(IPSECD)) != 0) {
		if (old[0] && strncmp(old, OURS, strlen(OURS)) != 0)
			return false;
		snprintf(out, DESCRIBE_MAX, "%s", text);
		return true;
	}
	snprintf(out, DESCRIBE_MAX, "%.*s%s%s", (int)kept, old, text[0] ? SEPARATOR : "", text);
	return true;
}
