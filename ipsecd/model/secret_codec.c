/* Settings and secrets as bytes. */
#include "ipsecd/model/conn_codec.h"

#include <stdlib.h>

#define TAG_SETTINGS	   0x5345 /* "SE" */
#define TAG_SECRET	   0x4b45 /* "KE" */
#define VERSION		   1
#define OWNER_LEN_MIN	   2
#define RULE_PRIO_MAX	   32765
#define UPDOWN_TIMEOUT_MAX 3600

/* Anybody's, or none: the kernel takes more names than we give. */
static bool is_device(const char *name)
{
	return !strchr(name, '/') && !strchr(name, ' ') && !strchr(name, '\t');
}

static void code_settings(struct codec *c, struct settings *s)
{
	s->install_routes = codec_bool(c, s->install_routes, "install-routes");
	s->routing_table = codec_u32(c, s->routing_table, "routing-table");
	s->routing_table_prio = (uint32_t)codec_number(c, s->routing_table_prio, 4, RULE_PRIO_MAX,
						       "routing-table-prio");
	s->install_virtual_ip = codec_bool(c, s->install_virtual_ip, "install-virtual-ip");
	codec_string_in(c, s->install_virtual_ip_on, sizeof(s->install_virtual_ip_on),
			"install-virtual-ip-on");
	codec_require(c, codec_ok(c) && is_device(s->install_virtual_ip_on),
		      "install-virtual-ip-on");
	s->updown_timeout = (uint32_t)codec_number(c, s->updown_timeout, 4, UPDOWN_TIMEOUT_MAX,
						   "updown-timeout");
	codec_require(c, s->updown_timeout, "updown-timeout");
	codec_addr(c, &s->metrics.addr, true, "metrics");
	s->metrics.port = codec_u16(c, s->metrics.port, "metrics");
	codec_require(c, !s->metrics.addr.family == !s->metrics.port, "metrics");
	s->early_detection = codec_bool(c, s->early_detection, "early-detection");
}

struct codec_result settings_encode(const struct settings *s, struct buf *out)
{
	struct codec c = codec_encoder(out, TAG_SETTINGS, VERSION);
	struct settings same = *s;

	code_settings(&c, &same);
	return codec_end(&c);
}

struct codec_result settings_decode(struct span in, struct settings *out)
{
	struct codec c = codec_decoder(in, TAG_SETTINGS, VERSION);
	struct settings s = SETTINGS_DEFAULT;
	struct codec_result result;

	code_settings(&c, &s);
	result = codec_end(&c);
	if (!result.error)
		*out = s;
	return result;
}

/* ---- secrets ---- */

static void encode_owners(struct codec *c, const struct secret *s)
{
	codec_u16(c, s->n_owners, "number of owners");
	for (unsigned i = 0; i < s->n_owners && codec_ok(c); i++) {
		struct id owner = s->owners[i];

		codec_id(c, &owner, "owner");
	}
}

static void decode_owners(struct codec *c, struct secret *s)
{
	uint16_t n = codec_u16(c, 0, "number of owners");

	codec_require(c, n <= reader_left(&c->in) / OWNER_LEN_MIN, "number of owners");
	for (unsigned i = 0; i < n && codec_ok(c); i++) {
		struct id owner;

		codec_id(c, &owner, "owner");
		if (codec_ok(c) && !secret_add_owner(s, &owner))
			codec_fail(c, CODEC_MEMORY, "owner");
	}
}

struct codec_result secret_encode(const struct secret *s, bool with_bytes, struct buf *out)
{
	struct codec c = codec_encoder(out, TAG_SECRET, VERSION);
	char *unique = s->unique;

	codec_string(&c, &unique, false, "secret's name");
	codec_u8(&c, (uint8_t)s->kind, SECRET_PPK, "kind of secret");
	codec_u64(&c, s->held, "secret's number");
	codec_bool(&c, with_bytes, "secret");
	codec_require(&c, !s->held || !s->len, "secret");
	if (with_bytes) {
		codec_number(&c, s->len, 4, UINT16_MAX, "secret's length");
		codec_bytes(&c, s->data, s->len);
	}
	encode_owners(&c, s);
	return codec_end(&c);
}

/* The bytes are in `in`, and copied once. */
static struct secret *decode_secret(struct codec *c, const char *unique, bool *with_bytes)
{
	enum secret_kind kind = codec_u8(c, 0, SECRET_PPK, "kind of secret");
	uint64_t held = codec_u64(c, 0, "secret's number");
	struct span data = {0};
	struct secret *s;

	*with_bytes = codec_bool(c, false, "secret");
	if (*with_bytes)
		data = reader_take(&c->in, codec_number(c, 0, 4, UINT16_MAX, "secret's length"));
	if (c->in.truncated)
		codec_fail(c, CODEC_SHORT, "secret");
	codec_require(c, !held || !data.len, "secret");
	s = codec_ok(c) ? secret_new(unique, kind, data) : NULL;
	if (s)
		s->held = held;
	return s;
}

struct codec_result secret_decode(struct span in, struct secret **out, bool *with_bytes)
{
	struct codec c = codec_decoder(in, TAG_SECRET, VERSION);
	struct codec_result result;
	struct secret *s = NULL;
	char *unique;

	codec_string(&c, &unique, false, "secret's name");
	if (codec_ok(&c))
		s = decode_secret(&c, unique, with_bytes);
	free(unique);
	if (s)
		decode_owners(&c, s);
	else
		codec_fail(&c, CODEC_MEMORY, "secret");
	result = codec_end(&c);
	if (!result.error)
		*out = s;
	else
		secret_free(s);
	return result;
}
