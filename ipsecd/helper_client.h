/* What ike asks the helper (ipsecd/helper_role.c) for. A helper may die at any moment: names, files
 * and scripts that were asked for are asked for again when there is a new one, and a MAC that can't
 * be had now is asked for by the engine's next try. What comes back is checked, and nothing that
 * the helper can say does more than it is asked for. */
#ifndef DETOUR_HELPER_CLIENT_H
#define DETOUR_HELPER_CLIENT_H

#include "ipsecd/config/errors.h"
#include "ipsecd/script.h"

struct ev_loop;
struct helper_client;

struct helper_client_host {
	struct ev_loop *loop;
	const struct log_sink *log;
	/* As resolve_done. */
	void (*resolved)(void *ctx, uint64_t query, unsigned n, const struct addr *addrs,
			 const char *why);
	/* As reload_read and reload_unread. */
	void (*loaded)(void *ctx, bool ok, struct config *config, struct config_errors *errors);
	void (*unread)(void *ctx, const char *why);
	void (*idle)(void *ctx); /* the last script has ended */
	/* The helper does not know a secret of ours any more, if there is one that it held: the
	 * files have to be read again. */
	void (*forgotten)(void *ctx);
	/* A helper that ended may not have heard that what it read is in force: what the files had
	 * before is then in memory that the new one has, until they are read again. */
	void (*untaken)(void *ctx);
	void *ctx;
};

struct helper_client *helper_client_new(const struct helper_client_host *host);
void helper_client_free(struct helper_client *c);
/* The first helper, or a new one. Takes fd. */
void helper_client_link(struct helper_client *c, int fd);
bool helper_client_linked(const struct helper_client *c);

/* For ike_env.psk_mac; ctx is the client. Blocks for a moment. */
bool helper_client_mac(void *ctx, const struct secret *secret, uint16_t prf_id,
		       const struct span *octets, size_t n, uint8_t *out);
/* For ike_env.psk_ready. */
bool helper_client_ready(void *ctx);
/* Gives a secret's bytes away: afterwards it is `held`. false: *error, and it is as before. */
bool helper_client_hold(struct helper_client *c, struct secret *secret, const char **error);
void helper_client_forget(struct helper_client *c, uint64_t held);

/* For reload_host.read. */
bool helper_client_read(struct helper_client *c, bool whole, char *why, size_t size);
void helper_client_resolve(struct helper_client *c, uint64_t query, const char *name, int family);
struct script_runner helper_client_runner(struct helper_client *c);

#endif
