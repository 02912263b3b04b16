/* The helper's reading of the configuration files, in a process of its own that ends with it: MACs
 * and names go on meanwhile, and what the files hold harms nobody else. */
#ifndef DETOUR_HELPER_LOAD_H
#define DETOUR_HELPER_LOAD_H

#include "ipsecd/options.h"
#include "ipsecd/vault.h"

struct ev_loop;
struct helper_load;

struct helper_load_host {
	struct ev_loop *loop; /* the default one */
	const struct options *options;
	struct vault *vault;
	/* fd: the sealed memory for ike (loaded.h), the callee's; -1: `why` not. The vault has what
	 * belongs to it. */
	void (*done)(void *ctx, uint64_t generation, int fd, const char *why);
	/* The process can't be ended otherwise than with this one. */
	void (*stuck)(void *ctx);
	void *ctx;
};

struct helper_load *helper_load_new(const struct helper_load_host *host);
void helper_load_free(struct helper_load *l);
/* One at a time: the answer is for all that asked since it began. whole: who asks does not have
 * what was read before, or this machine has other addresses since. */
void helper_load_begin(struct helper_load *l, bool whole);
/* ike works with this reading: secrets that only older ones had go. */
void helper_load_taken(struct helper_load *l, uint64_t generation);

#endif
