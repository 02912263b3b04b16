/* Pools, virtual addresses and the tunnels of connections as bytes. */
#include "ipsecd/publish_body.h"

#define TAG_POOL   0x504f /* "PO" */
#define TAG_VIPS   0x5649 /* "VI" */
#define VERSION	   1
#define TUNNEL_LEN 4

static void code_pool(struct fields *c, struct publish_pool *p)
{
	fields_string_in(c, p->name, sizeof(p->name), "pool's name");
	fields_string_in(c, p->addrs, sizeof(p->addrs), "pool's addresses");
	p->n_dns = fields_u8(c, p->n_dns, VIP_DNS_MAX, "pool's name servers");
	for (unsigned i = 0; i < p->n_dns && fields_ok(c); i++)
		fields_addr(c, &p->dns[i], false, "pool's name server");
}

struct codec_result publish_encode_pool(const void *pool, struct buf *out)
{
	struct fields c = fields_encoder(out, TAG_POOL, VERSION);
	struct publish_pool same = *(const struct publish_pool *)pool;

	code_pool(&c, &same);
	return fields_end(&c);
}

struct codec_result publish_decode_pool(struct span in, struct publish_pool *out)
{
	struct fields c = fields_decoder(in, TAG_POOL, VERSION);

	*out = (struct publish_pool){0};
	code_pool(&c, out);
	return fields_end(&c);
}

static void code_vips(struct fields *c, struct publish_vips *v)
{
	v->n = fields_u8(c, v->n, PUBLISH_VIPS_MAX, "number of virtual addresses");
	for (unsigned i = 0; i < v->n && fields_ok(c); i++)
		fields_addr(c, &v->addrs[i], false, "virtual address");
}

struct codec_result publish_encode_vips(const void *vips, struct buf *out)
{
	struct fields c = fields_encoder(out, TAG_VIPS, VERSION);
	struct publish_vips same = *(const struct publish_vips *)vips;

	code_vips(&c, &same);
	return fields_end(&c);
}

struct codec_result publish_decode_vips(struct span in, struct publish_vips *out)
{
	struct fields c = fields_decoder(in, TAG_VIPS, VERSION);

	*out = (struct publish_vips){0};
	code_vips(&c, out);
	return fields_end(&c);
}

struct codec_result publish_encode_conn(const void *conn, struct buf *out)
{
	const struct publish_conn *c = conn;

	buf_put_u32(out, c->tunnel);
	return conn_encode(c->conn, out);
}

struct codec_result publish_decode_conn(struct span in, uint32_t *tunnel, struct conn **out)
{
	struct reader r = reader_over(in);

	*tunnel = reader_u32(&r);
	return conn_decode(reader_rest(&r), out);
}

bool publish_next_name(struct span in, size_t *at, const char **name)
{
	const char *start = (const char *)in.ptr + *at;
	const char *end = *at < in.len ? memchr(start, '\0', in.len - *at) : NULL;

	if (!end)
		return false;
	*name = start;
	*at += (size_t)(end - start) + 1;
	return true;
}
