/* Fuzzes bgpd's JSON: the same bytes as neighbours and as routes, with peers that are up. */
#include "routed-bridge/bgp_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(void *ctx, const struct prefix *prefix, const struct path *first)
{
	size_t *n = ctx;

	for (; first; first = first->next) {
		if (!first->peer->up || first->attrs->n_as > PATHS_AS_MAX ||
		    prefix->len > addr_size(prefix->addr.family) * 8)
			abort();
		(*n)++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct paths *p = paths_new();
	struct path_peer peer = {.as = 65002, .local_as = 65001};
	size_t n = 0;

	addr_parse("10.9.0.1", &peer.key.addr);
	paths_peer_up(p, &peer);
	bgp_json_neighbors(p, span_of(data, size));
	bgp_json_routes(p, span_of(data, size), AF_INET);
	bgp_json_routes(p, span_of(data, size), AF_INET6);
	paths_each_prefix(p, check_path, &n);
	if (n != paths_count(p).paths)
		abort();
	paths_free(p);
	return 0;
}
