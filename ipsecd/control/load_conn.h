/* vici's load-conn, in swanctl.conf's words, to struct conn. Pure: reads the checked
 * body of a request and tells what is wrong; loads nothing. */
#ifndef DETOUR_LOAD_CONN_H
#define DETOUR_LOAD_CONN_H

#include "ipsecd/model/conn.h"
#include "lib/span.h"

#define LOAD_CONN_WHY 512
/* Of conns, children and pools: any other name ends swanctl's list of everything. */
#define LOAD_NAME_WORDS "expected printable ASCII characters: swanctl can't read others"

/* For what is accepted and has no effect: one sentence each. */
struct load_notes {
	void (*note)(void *ctx, const char *conn, const char *text);
	void *ctx;
};

/* The caller owns the conn. NULL and the reason (key, value, what was expected, nearest
 * known word) in `why`. notes may be NULL. */
struct conn *load_conn_parse(struct span body, const struct load_notes *notes, char *why,
			     size_t size);

#endif
