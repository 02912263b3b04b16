/* Connections before they are loaded: only what the data plane can do is offered. */
#ifndef DETOUR_OFFER_H
#define DETOUR_OFFER_H

#include "ipsecd/dataplane/dataplane.h"

#define OFFER_SAID_MAX 32

struct offer {
	const struct dataplane_ops *ops;
	struct dataplane *plane;
	const struct log_sink *log;
	unsigned n_said; /* algorithms that the log has been told of: once each */
	struct transform said[OFFER_SAID_MAX];
};

/* Takes what the plane lacks out of the children's proposals. false: a child has nothing
 * left, `why` says which and what is missing. A conn that went through before is not changed
 * again. */
bool offer_limit(struct offer *o, struct conn *conn, char *why, size_t size);
/* Says what is configured and has no effect on this plane. */
void offer_say_unused(const struct offer *o, const struct conn *conn);

#endif
