/* The last lookups of selectors (RFC 4301 4.4.1): packets of a flow that was looked up find what
 * was found then, as long as no CHILD_SA has come, gone or been changed since. Pure; one for each
 * direction of a lane. All zero: nothing was looked up. */
#ifndef DETOUR_MATCH_H
#define DETOUR_MATCH_H

#include "ipsecd/dataplane/inner.h"

#define MATCH_FLOWS 32

struct sa;

struct match_flow {
	const void *by;	     /* whose selectors: a tunnel's or an SA's; NULL: free */
	uint64_t generation; /* of the tables */
	struct inner flow;
	struct sa *sa;
};

struct match {
	struct match_flow flows[MATCH_FLOWS];
};

/* Where this flow is, or would be, looked up; match_found says which. */
struct match_flow *match_find(struct match *m, const void *by, const struct inner *flow);
bool match_found(const struct match_flow *f, uint64_t generation, const void *by,
		 const struct inner *flow);
void match_keep(struct match_flow *f, uint64_t generation, const void *by, const struct inner *flow,
		struct sa *sa);

#endif
