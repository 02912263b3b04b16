/* The bridge's side of bfd_link.h: finds the BFD data plane's process, or starts it. It goes
 * on when the bridge ends: whoever comes next finds it, and no BFD session notices. */
#ifndef DETOUR_BFD_CLIENT_H
#define DETOUR_BFD_CLIENT_H

#include "lib/log.h"
#include "routed-bridge/bfd_link.h"

struct ev_loop;
struct bfd_client;

struct bfd_client_host {
	void (*begin)(void *ctx);  /* all sessions follow, */
	void (*listed)(void *ctx); /* and were all */
	void (*session)(void *ctx, const struct bfd_link_session *s);
	void (*gone)(void *ctx, uint32_t discriminator);
	void (*stats)(void *ctx, const struct bfd_stats *s);
	void *ctx;
	const struct log_sink *log;
	struct ev_loop *loop;
};

/* The host must stay valid. NULL: out of memory. */
struct bfd_client *bfd_client_new(const struct bfd_client_host *host, const char *path);
/* stop: the process ends, too, and tells the peers that this is no failure. */
void bfd_client_free(struct bfd_client *c, bool stop);
/* How long silence of the session is borne, in microseconds. false: it was not told. */
bool bfd_client_patience(struct bfd_client *c, uint32_t discriminator, uint32_t patience);
const char *bfd_client_path(const struct bfd_client *c);

#endif
