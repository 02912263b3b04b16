/* What the helper read from the configuration files, as ike gets it: settings, connections whose
 * ends are decided, secrets without their bytes, and messages with file, line and column. One
 * piece of memory, encoded by model/conn_codec.h. */
#ifndef DETOUR_LOADED_H
#define DETOUR_LOADED_H

#include "ipsecd/config/errors.h"
#include "lib/buf.h"

#define LOADED_MAX ((size_t)1 << 30)

/* ok: what config_load said; without it only the messages count. false: *out is too small. */
bool loaded_encode(bool ok, const struct config *config, const struct config_errors *errors,
		   struct buf *out);
/* Trusts nothing in `in`. false: `why`, and nothing was changed. Else *config and *errors are
 * the caller's (config_free, config_errors_free). */
bool loaded_decode(struct span in, bool *ok, struct config *config, struct config_errors *errors,
		   char *why, size_t size);

/* A memfd that holds such a piece: written and sealed by the one, checked and read by the other. */
bool loaded_write(int fd, bool ok, const struct config *config, const struct config_errors *errors);
/* Does not take fd. */
bool loaded_read(int fd, bool *ok, struct config *config, struct config_errors *errors, char *why,
		 size_t size);

#endif
