/* Which of FRR's settings defeat failover over tunnels: reads what `show running-config` of
 * bgpd and of zebra (mgmtd since FRR 10) answers, and says what an engineer should look at.
 * Pure. Lines that it does not know are passed over. */
#ifndef DETOUR_FRR_SETTINGS_H
#define DETOUR_FRR_SETTINGS_H

#include "lib/span.h"

#define FRR_SETTINGS_LINE 256

/* A route type of ours, as `redistribute` writes it. */
struct frr_settings_type {
	const char *words; /* "nhrp", "table 200" */
	bool backup;	   /* of local repair: must stay at home */
};

struct frr_settings {
	const struct frr_settings_type *types;
	size_t n_types;
	/* The tunnel's device over which a neighbor (its address, or the device itself) is
	 * reached; NULL: not over a tunnel of ours. */
	const char *(*tunnel_of)(void *ctx, const char *neighbor);
	/* One finding, without a newline. */
	void (*finding)(void *ctx, const char *line);
	void *ctx;
};

/* false: out of memory, some findings are missing. */
bool frr_settings_bgp(const struct frr_settings *s, struct span config);
void frr_settings_zebra(const struct frr_settings *s, struct span config);

#endif
