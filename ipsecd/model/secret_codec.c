/* Settings and secrets as bytes. */
#include "ipsecd/model/conn_codec.h"

#include <stdlib.h>

#define TAG_SETTINGS	   0x5345 /* "SE" */
#define TAG_SECRET	   0x4b45 /* "KE" */
#define OWNER_LEN_MIN	   2
#define RULE_PRIO_MAX	   32765
#define UPDOWN_TIMEOUT_MAX 3600
#define KEEP_ON_STOP_MAX   3600

/* Anybody's, or none: the kernel takes more names than we give. */
static bool is_device(const char *name)
{
	return !strchr(name, '/') && !strchr(name, ' ') && !strchr(name, '\t');
}

static void code_settings(struct fields *c, struct settings *s)
{
	s->install_routes = fields_bool(c, s->install_routes, "install-routes");
	s->routing_table = fields_u32(c, s->routing_table, "routing-table");
	s->routing_table_prio = (uint32_t)fields_number(c, s->routing_table_prio, 4, RULE_PRIO_MAX,
							"routing-table-prio");
	s->install_virtual_ip = fields_bool(c, s->install_virtual_ip, "install-virtual-ip");
	fields_string_in(c, s->install_virtual_ip_on, sizeof(s->install_virtual_ip_on),
			 "install-virtual-ip-on");
	fields_require(c, fields_ok(c) && is_device(s->install_virtual_ip_on),
		       "install-virtual-ip-on");
	s->updown_timeout = (uint32_t)fields_number(c, s->updown_timeout, 4, UPDOWN_TIMEOUT_MAX,
						    "updown-timeout");
	fields_require(c, s->updown_timeout, "updown-timeout");
	fields_addr(c, &s->metrics.addr, true, "metrics");
	s->metrics.port = fields_u16(c, s->metrics.port, "metrics");
	fields_require(c, !s->metrics.addr.family == !s->metrics.port, "metrics");
	s->early_detection = fields_bool(c, s->early_detection, "early-detection");
	s->quick_crash_detection =
		fields_bool(c, s->quick_crash_detection, "quick-crash-detection");
	fields_string_in(c, s->bind_device, sizeof(s->bind_device), "bind-device");
	fields_require(c, fields_ok(c) && is_device(s->bind_device), "bind-device");
	s->keep_on_stop =
		(uint32_t)fields_number(c, s->keep_on_stop, 4, KEEP_ON_STOP_MAX, "keep-on-stop");
	s->workers = (uint32_t)fields_number(c, s->workers, 4, SETTINGS_WORKERS_MAX, "workers");
}

struct codec_result settings_encode(const struct settings *s, struct buf *out)
{
	struct fields c = fields_encoder(out, TAG_SETTINGS, CONN_CODEC_VERSION);
	struct settings same = *s;

	code_settings(&c, &same);
	return fields_end(&c);
}

struct codec_result settings_decode(struct span in, struct settings *out)
{
	struct fields c = fields_decoder(in, TAG_SETTINGS, CONN_CODEC_VERSION);
	struct settings s = SETTINGS_DEFAULT;
	struct codec_result result;

	code_settings(&c, &s);
	result = fields_end(&c);
	if (!result.error)
		*out = s;
	return result;
}

/* ---- secrets ---- */

static void encode_owners(struct fields *c, const struct secret *s)
{
	fields_u16(c, s->n_owners, "number of owners");
	for (unsigned i = 0; i < s->n_owners && fields_ok(c); i++) {
		struct id owner = s->owners[i];

		fields_id(c, &owner, "owner");
	}
}

static void decode_owners(struct fields *c, struct secret *s)
{
	uint16_t n = fields_u16(c, 0, "number of owners");

	fields_require(c, n <= reader_left(&c->in) / OWNER_LEN_MIN, "number of owners");
	for (unsigned i = 0; i < n && fields_ok(c); i++) {
		struct id owner;

		fields_id(c, &owner, "owner");
		if (fields_ok(c) && !secret_add_owner(s, &owner))
			fields_fail(c, CODEC_MEMORY, "owner");
	}
}

struct codec_result secret_encode(const struct secret *s, bool with_bytes, struct buf *out)
{
	struct fields c = fields_encoder(out, TAG_SECRET, CONN_CODEC_VERSION);
	char *unique = s->unique;

	fields_string(&c, &unique, false, "secret's name");
	fields_u8(&c, (uint8_t)s->kind, SECRET_PPK, "kind of secret");
	fields_u64(&c, s->held, "secret's number");
	fields_bool(&c, with_bytes, "secret");
	fields_require(&c, !s->held || !s->len, "secret");
	if (with_bytes) {
		fields_number(&c, s->len, 4, UINT16_MAX, "secret's length");
		fields_bytes(&c, s->data, s->len);
	}
	encode_owners(&c, s);
	return fields_end(&c);
}

/* The bytes are in `in`, and copied once. */
static struct secret *decode_secret(struct fields *c, const char *unique, bool *with_bytes)
{
	enum secret_kind kind = fields_u8(c, 0, SECRET_PPK, "kind of secret");
	uint64_t held = fields_u64(c, 0, "secret's number");
	struct span data = {0};
	struct secret *s;

	*with_bytes = fields_bool(c, false, "secret");
	if (*with_bytes)
		data = reader_take(&c->in, fields_number(c, 0, 4, UINT16_MAX, "secret's length"));
	if (c->in.truncated)
		fields_fail(c, CODEC_SHORT, "secret");
	fields_require(c, !held || !data.len, "secret");
	s = fields_ok(c) ? secret_new(unique, kind, data) : NULL;
	if (s)
		s->held = held;
	return s;
}

struct codec_result secret_decode(struct span in, struct secret **out, bool *with_bytes)
{
	struct fields c = fields_decoder(in, TAG_SECRET, CONN_CODEC_VERSION);
	struct codec_result result;
	struct secret *s = NULL;
	char *unique;

	fields_string(&c, &unique, false, "secret's name");
	if (fields_ok(&c))
		s = decode_secret(&c, unique, with_bytes);
	free(unique);
	if (s)
		decode_owners(&c, s);
	else
		fields_fail(&c, CODEC_MEMORY, "secret");
	result = fields_end(&c);
	if (!result.error)
		*out = s;
	else
		secret_free(s);
	return result;
}
