/* Configuration as bytes, for another process or for oneself after a restart: connections with
 * their children, settings, secrets. Same build or another: a version that differs is refused.
 * Decoding takes nothing on trust (fields.h); what it accepts, encodes to the same bytes. */
#ifndef DETOUR_CONN_CODEC_H
#define DETOUR_CONN_CODEC_H

#include "ipsecd/model/fields.h"
#include "ipsecd/model/conn.h"
#include "ipsecd/model/secret.h"
#include "ipsecd/model/settings.h"

#define CONN_CODEC_VERSION 4 /* of all that is written here */

/* Behind what is in the buffer already. CODEC_NO_ROOM: a larger one is needed. */
struct codec_result conn_encode(const struct conn *conn, struct buf *out);
struct codec_result settings_encode(const struct settings *s, struct buf *out);
/* Without its bytes it is a description: who owns it, and by which number another process
 * knows it (held). */
struct codec_result secret_encode(const struct secret *s, bool with_bytes, struct buf *out);

/* *out is set when all is well, and then the caller's (conn_free, secret_free). The whole of
 * `in` has to be it. */
struct codec_result conn_decode(struct span in, struct conn **out);
struct codec_result settings_decode(struct span in, struct settings *out);
struct codec_result secret_decode(struct span in, struct secret **out, bool *with_bytes);

#endif
