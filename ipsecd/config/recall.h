/* What one reading of the files keeps for the next: a sum of the text of each conn section, and
 * what else must be known of it where it is not built again. A section whose text, and all that it
 * takes settings from (config setup, conn %default, the targets of `also`), and the secrets are as
 * they were, gives the connection that it gave; it is passed over and counted only.
 *
 * It says no rather than guess: new sections, other ends, changed common parts, anything twice, or
 * messages at the last reading, and everything is read. Pure but for its memory. */
#ifndef DETOUR_CONFIG_RECALL_H
#define DETOUR_CONFIG_RECALL_H

#include "ipsecd/config/config.h"
#include "lib/buf.h"

struct recall;

enum recall_kind { RECALL_SETUP, RECALL_DEFAULTS, RECALL_CONN };

/* memo: of recall_put, and as long as this lives; empty, or of no use: all is read, and recorded.
 * NULL: out of memory. */
struct recall *recall_new(struct span memo);
void recall_free(struct recall *r);
/* Sections are passed over: what comes of it holds if recall_holds says so at the end. */
bool recall_uses(const struct recall *r);
bool recall_holds(const struct recall *r);

/* ---- while the files are read; r NULL: nothing ---- */

/* `text` from the section's first line to the next section; includes: it has the text of others in
 * it. true: it may be passed over. */
bool recall_section(struct recall *r, enum recall_kind kind, struct span name, struct span text,
		    bool includes);
void recall_refers(struct recall *r, const char *name); /* by also= */
void recall_secrets(struct recall *r, struct span text);
/* Not all was summed: nothing is passed over, now or at the next reading. */
void recall_doubts(struct recall *r);
/* What was built, before which end is ours is decided, and after. */
void recall_built(struct recall *r, const struct config *c);
void recall_oriented(struct recall *r, const struct config *c);
/* Whether its ends changed places at the last reading. */
bool recall_swapped(const struct recall *r, unsigned conn);

/* ---- what comes of it ---- */

/* The sum of the n-th of the built connections. */
uint64_t recall_digest(const struct recall *r, unsigned conn);
/* A connection's part in the sum of those that are left out: two processes compare it in the place
 * of thousands of names. */
uint64_t recall_mark(const char *name, uint64_t digest);
/* Fills in what is left out of c, and what is gone. false: out of memory. */
bool recall_unchanged(const struct recall *r, struct config *c);
/* Scripts of all connections, built or not; NULL behind the last. */
const char *recall_command(const struct recall *r, unsigned n, size_t *len);
/* For the next reading; of nothing where that has to read all. */
void recall_put(const struct recall *r, const struct config_errors *errors, struct buf *out);

#endif
