/* Commands and what they wait for. A command with a tag may start several things (a
 * terminate of three SAs); COMMAND_DONE follows when the last one ended, and says
 * the first failure. */
#ifndef DETOUR_COMMAND_H
#define DETOUR_COMMAND_H

#include "ipsecd/ike/core.h"

struct command_wait {
	UT_hash_handle hh;
	uint64_t tag;
	unsigned left;
	bool ok;
	enum ike_reason reason;
	char detail[IKE_DETAIL];
};

/* One more thing has to end for tag; nothing for tag 0. false: out of memory. */
bool command_expect(struct ike_engine *e, uint64_t tag);
/* One of them ended. */
void command_progress(struct ike_engine *e, uint64_t tag, bool ok, enum ike_reason reason,
		      const char *detail);
/* After an SA went: SHUTDOWN_DONE when it was the last one of a shutdown. */
void command_sa_gone(struct ike_engine *e);
/* An operator set the device down or up. */
void command_device(struct ike_engine *e, struct conn_entry *entry, bool down);
void commands_free(struct ike_engine *e);
bool command_run(struct ike_engine *e, const struct ike_command *c, const char **error);

#endif
