/* Records of the store that no codec of the model has. What is read may be anything. */
#ifndef DETOUR_PUBLISH_BODY_H
#define DETOUR_PUBLISH_BODY_H

#include "ipsecd/model/conn_codec.h"
#include "ipsecd/updown_env.h"

#define PUBLISH_VIPS_MAX    TUNNEL_ADDRS_MAX
#define PUBLISH_UPDOWN_NAME 1024
#define PUBLISH_UPDOWN_MAX  4096 /* runs of one script */

/* A pool that a client loaded, as it was written. */
struct publish_pool {
	char name[256], addrs[128];
	uint8_t n_dns;
	struct addr dns[VIP_DNS_MAX];
};

struct publish_vips {
	uint8_t n;
	struct addr addrs[PUBLISH_VIPS_MAX];
};

/* A connection and the tunnel that it has. */
struct publish_conn {
	uint32_t tunnel;
	const struct conn *conn; /* encoding */
};

struct codec_result publish_encode_pool(const void *pool, struct buf *out);
struct codec_result publish_encode_vips(const void *vips, struct buf *out);
struct codec_result publish_encode_conn(const void *conn, struct buf *out);

struct codec_result publish_decode_pool(struct span in, struct publish_pool *out);
struct codec_result publish_decode_vips(struct span in, struct publish_vips *out);
struct codec_result publish_encode_updown(const void *told, struct buf *out);
/* *out is the caller's (updown_told_clear). */
struct codec_result publish_decode_updown(struct span in, struct updown_told *out);
/* By which it is found again; false: too long. */
bool publish_updown_name(const struct updown_told *told, char name[PUBLISH_UPDOWN_NAME]);
/* *out is the caller's (conn_free). */
struct codec_result publish_decode_conn(struct span in, uint32_t *tunnel, struct conn **out);

/* Names are written one after the other, with their NULs. The next one from *at on; false: no more,
 * or no name. */
bool publish_next_name(struct span in, size_t *at, const char **name);

#endif
