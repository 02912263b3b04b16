/* The bridge's state in one line, for `systemctl status`. */
#include "routed-bridge/bridge.h"
#include "routed-bridge/bridge_watch.h"

#include <stdio.h>
#include <stdlib.h>

static void put_first(void *first, const char *text)
{
	char **out = first;

	if (!*out)
		*out = strdup(text);
}

static void count_up(void *n, const struct tunnel_view *tunnel)
{
	*(unsigned *)n += tunnel->up;
}

static unsigned tunnels_up(const struct bridge *b)
{
	unsigned n = 0;

	tunnels_each_view(b->tunnels, count_up, &n);
	return n;
}

void bridge_summary(struct bridge *b, char *out, size_t size)
{
	struct routes_count n = routes_count(b->routes);
	char *warning = NULL;
	unsigned all;

	if (!b->watch) {
		snprintf(out, size, "out of memory");
		return;
	}
	bridge_watch_look(b->watch);
	bridge_watch_warnings(b->watch, put_first, &warning);
	all = HASH_COUNT(b->watch->tunnels);
	snprintf(out, size, "%u of %u tunnels up, %u of %u routes in %s%s%s", tunnels_up(b), all,
		 n.installed, n.wanted, bridge_kernel_writes(b) ? "the kernel" : "zebra",
		 warning ? "; " : "", warning ? warning : "");
	free(warning);
}
