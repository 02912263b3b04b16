/* Walks a chain of payloads: generic heads (RFC 7296 3.2), criticality (2.5), how
 * often a payload may come, and which parser reads its body. Which payloads an
 * exchange requires is the engine's affair, and so is decryption: an SK payload
 * (3.14) only has its place noted.
 *
 *                      1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * | Next Payload  |C|  RESERVED   |         Payload Length        |
 */
#include "ipsecd/wire/payload.h"

#define CRITICAL_BIT 0x80
#define FIRST_TYPE   PAYLOAD_SA
#define LAST_TYPE    PAYLOAD_SKF
#define MANY	     true
#define ONCE	     false

static const struct payload_rule {
	const char *known;     /* NULL: not a payload that we know */
	bool many;	       /* may come more than once in a chain */
	uint8_t min_len;       /* of the body */
	payload_parser *parse; /* NULL: noted in `present`, content not read */
} rules[LAST_TYPE - FIRST_TYPE + 1] = {
	[PAYLOAD_SA - FIRST_TYPE] = {"SA", ONCE, 8, payload_parse_sa},
	[PAYLOAD_KE - FIRST_TYPE] = {"KE", ONCE, 4, payload_parse_ke},
	[PAYLOAD_IDI - FIRST_TYPE] = {"IDi", ONCE, 4, payload_parse_id},
	[PAYLOAD_IDR - FIRST_TYPE] = {"IDr", ONCE, 4, payload_parse_id},
	[PAYLOAD_CERT - FIRST_TYPE] = {"CERT", MANY, 1, NULL},
	[PAYLOAD_CERTREQ - FIRST_TYPE] = {"CERTREQ", MANY, 1, NULL},
	[PAYLOAD_AUTH - FIRST_TYPE] = {"AUTH", ONCE, 4, payload_parse_auth},
	[PAYLOAD_NONCE - FIRST_TYPE] = {"Nonce", ONCE, 0, payload_parse_nonce},
	[PAYLOAD_NOTIFY - FIRST_TYPE] = {"N", MANY, 4, payload_parse_notify},
	[PAYLOAD_DELETE - FIRST_TYPE] = {"D", MANY, 4, payload_parse_delete},
	[PAYLOAD_VENDOR_ID - FIRST_TYPE] = {"V", MANY, 0, NULL},
	[PAYLOAD_TSI - FIRST_TYPE] = {"TSi", ONCE, 4, payload_parse_ts},
	[PAYLOAD_TSR - FIRST_TYPE] = {"TSr", ONCE, 4, payload_parse_ts},
	[PAYLOAD_SK - FIRST_TYPE] = {"SK", ONCE, 0, NULL},
	[PAYLOAD_CP - FIRST_TYPE] = {"CP", ONCE, 4, payload_parse_cp},
	[PAYLOAD_EAP - FIRST_TYPE] = {"EAP", ONCE, 4, payload_parse_eap},
	[PAYLOAD_SKF - FIRST_TYPE] = {"SKF", ONCE, 4, NULL},
};

/* NULL for a type that we don't know. */
static const struct payload_rule *rule_of(uint8_t type)
{
	if (type < FIRST_TYPE || type > LAST_TYPE || !rules[type - FIRST_TYPE].known)
		return NULL;
	return &rules[type - FIRST_TYPE];
}

/* One payload as its generic head describes it. */
struct payload {
	uint8_t type, next;
	bool critical;
	size_t offset; /* of the head in the chain */
	struct span body;
};

static struct wire_fault take_payload(struct reader *r, uint8_t type, struct payload *out)
{
	uint16_t length;
	uint8_t flags;

	out->type = type;
	out->offset = r->pos;
	if (reader_left(r) < PAYLOAD_HEAD_LEN)
		return wire_fault(WIRE_TRUNCATED, r->in.len, type);
	out->next = reader_u8(r);
	flags = reader_u8(r);
	length = reader_u16(r);
	out->critical = flags & CRITICAL_BIT;
	if (length < PAYLOAD_HEAD_LEN) /* RFC 7296 3.2: includes the generic head */
		return wire_fault(WIRE_BAD_LENGTH, out->offset + 2, length);
	out->body = reader_take(r, length - PAYLOAD_HEAD_LEN);
	if (r->truncated)
		return wire_fault(WIRE_TRUNCATED, out->offset + 2, length);
	return wire_ok();
}

/* RFC 7296 2.5: an unknown payload is refused when critical and skipped otherwise;
 * the critical bit of a payload that we know is ignored. */
static struct wire_fault skip_unknown(const struct payload *p, struct wire_message *m)
{
	if (p->critical)
		return wire_fault(WIRE_CRITICAL, p->offset, p->type);
	m->ignored++;
	return wire_ok();
}

static struct wire_fault parse_known(const struct payload *p, const struct payload_rule *rule,
				     struct wire_message *m)
{
	struct wire_fault f;

	if (!rule->many && m->present & WIRE_BIT(p->type))
		return wire_fault(WIRE_DUPLICATE, p->offset, p->type);
	if (p->body.len < rule->min_len)
		return wire_fault(WIRE_BAD_LENGTH, p->offset + 2,
				  (uint32_t)p->body.len + PAYLOAD_HEAD_LEN);
	m->present |= WIRE_BIT(p->type);
	if (!rule->parse)
		return wire_ok();
	f = rule->parse(p->type, p->body, m);
	f.offset += p->offset + PAYLOAD_HEAD_LEN;
	return f;
}

/* RFC 7296 3.14: SK MUST be the last payload; its Next Payload is the type of the first
 * one inside. RFC 7383 2.5 says the same of SKF, which we never negotiate. */
static struct wire_fault end_at_sk(const struct payload *p, size_t left, struct wire_message *m)
{
	if (left)
		return wire_fault(WIRE_SK_NOT_LAST, p->offset, (uint32_t)left);
	if (p->type == PAYLOAD_SK) {
		m->sk = p->body;
		m->sk_next = p->next;
		m->sk_offset = p->offset + PAYLOAD_HEAD_LEN;
	}
	return wire_ok();
}

struct wire_fault wire_parse_payloads(uint8_t first, struct span chain, struct wire_message *out)
{
	struct reader r = reader_over(chain);
	uint8_t type = first;
	unsigned count = 0;

	memset(out, 0, sizeof(*out));
	while (type != PAYLOAD_NONE) {
		const struct payload_rule *rule = rule_of(type);
		struct payload p;
		struct wire_fault f = take_payload(&r, type, &p);

		if (f.error)
			return f;
		if (++count > WIRE_PAYLOADS_MAX)
			return wire_fault(WIRE_TOO_MANY, p.offset, count);
		f = rule ? parse_known(&p, rule, out) : skip_unknown(&p, out);
		if (f.error)
			return f;
		if (type == PAYLOAD_SK || type == PAYLOAD_SKF)
			return end_at_sk(&p, reader_left(&r), out);
		type = p.next;
	}
	if (reader_left(&r))
		return wire_fault(WIRE_TRAILING, r.pos, (uint32_t)reader_left(&r));
	return wire_ok();
}

const struct wire_notify *wire_find_notify(const struct wire_message *m, uint16_t type)
{
	for (unsigned i = 0; i < m->n_notifies; i++) {
		if (m->notifies[i].type == type)
			return &m->notifies[i];
	}
	return NULL;
}

const struct wire_notify *wire_find_error(const struct wire_message *m)
{
	for (unsigned i = 0; i < m->n_notifies; i++) {
		if (m->notifies[i].type <= NOTIFY_ERROR_MAX)
			return &m->notifies[i];
	}
	return NULL;
}
