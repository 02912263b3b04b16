/* Fuzzes zebra's answer to `show ip route PREFIX json`. */
#include "routed-bridge/repair_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct repair_answer a;

	repair_json_read(span_of(data, size), "table 247", &a);
	repair_json_shadowed(span_of(data, size), "nhrp");
	if (a.hops.n > ZAPI_NEXTHOPS_MAX || (a.hops.n && a.distance == 255))
		abort();
	for (unsigned i = 0; i < a.hops.n; i++) {
		if (!a.hops.hop[i].ifindex)
			abort();
	}
	return 0;
}
