/* Pools, virtual addresses and the tunnels of connections as bytes. */
#include "ipsecd/publish_body.h"

#include <stdio.h>
#include <stdlib.h>

#define TAG_POOL   0x504f /* "PO" */
#define TAG_VIPS   0x5649 /* "VI" */
#define TAG_UPDOWN 0x5550 /* "UP" */
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

static void code_env(struct fields *c, struct updown_env *e)
{
	unsigned n = fields_u8(c, (uint8_t)e->n, UPDOWN_VARS_MAX, "number of variables");

	fields_string_in(c, e->suffix, sizeof(e->suffix), "verb of a script");
	fields_require(c, n > 0, "number of variables"); /* the verb is one */
	for (unsigned i = 0; i < n && fields_ok(c); i++) {
		fields_string(c, &e->vars[i], false, "variable of a script");
		if (c->decoding && e->vars[i])
			e->n = i + 1;
	}
}

static void code_updown(struct fields *c, struct updown_told *t)
{
	unsigned n;

	fields_string(c, &t->conn, false, "connection of a script");
	fields_string(c, &t->child, false, "child of a script");
	fields_string(c, &t->script, false, "script");
	t->tunnel = fields_u32(c, t->tunnel, "tunnel of a script");
	n = fields_u16(c, (uint16_t)t->n_envs, "runs of a script");
	fields_require(c, n <= PUBLISH_UPDOWN_MAX, "runs of a script");
	if (c->decoding && fields_ok(c)) {
		t->envs = calloc(n + 1u, sizeof(*t->envs));
		if (!t->envs)
			fields_fail(c, CODEC_MEMORY, "runs of a script");
	}
	for (unsigned i = 0; i < n && fields_ok(c); i++) {
		t->n_envs = i + 1 > t->n_envs ? i + 1 : t->n_envs;
		code_env(c, &t->envs[i]);
	}
}

struct codec_result publish_encode_updown(const void *told, struct buf *out)
{
	struct fields c = fields_encoder(out, TAG_UPDOWN, VERSION);
	struct updown_told same = *(const struct updown_told *)told;

	code_updown(&c, &same);
	return fields_end(&c);
}

struct codec_result publish_decode_updown(struct span in, struct updown_told *out)
{
	struct fields c = fields_decoder(in, TAG_UPDOWN, VERSION);
	struct codec_result result;

	*out = (struct updown_told){0};
	code_updown(&c, out);
	result = fields_end(&c);
	if (result.error)
		updown_told_clear(out);
	return result;
}

bool publish_updown_name(const struct updown_told *told, char name[PUBLISH_UPDOWN_NAME])
{
	int n = snprintf(name, PUBLISH_UPDOWN_NAME, "%s\n%s", told->conn, told->child);

	return n > 0 && n < PUBLISH_UPDOWN_NAME;
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
