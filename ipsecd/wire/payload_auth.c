/* Payloads of key exchange and authentication: KE (RFC 7296 3.4), IDi and IDr (3.5),
 * AUTH (3.8), Nonce (3.9); and the place of EAP (3.16). Owns their
 * shape; whether a group, method or identity is wanted is the engine's question. */
#include "ipsecd/wire/payload.h"

#define FIXED_LEN 4 /* each of KE, ID and AUTH starts with four bytes, some reserved */

#define NONCE_MIN 16
#define NONCE_MAX 256

static struct span behind_fixed(struct span body)
{
	return span_of(body.ptr + FIXED_LEN, body.len - FIXED_LEN);
}

struct wire_fault payload_parse_ke(uint8_t type, struct span body, struct wire_message *m)
{
	struct wire_ke ke = {.group = be16_get(body.ptr), .data = behind_fixed(body)};

	(void)type;
	if (ke.data.len == 0)
		return wire_fault(WIRE_BAD_KE, FIXED_LEN, ke.group);
	m->ke = ke;
	return wire_ok();
}

/* RFC 7296 3.9: the nonce MUST be between 16 and 256 octets. */
struct wire_fault payload_parse_nonce(uint8_t type, struct span body, struct wire_message *m)
{
	(void)type;
	if (body.len < NONCE_MIN || body.len > NONCE_MAX)
		return wire_fault(WIRE_BAD_NONCE, 0, (uint32_t)body.len);
	m->nonce = body;
	return wire_ok();
}

struct wire_fault payload_parse_id(uint8_t type, struct span body, struct wire_message *m)
{
	struct wire_id parsed = {.body = body};

	if (!id_from_wire(body.ptr[0], behind_fixed(body), &parsed.id))
		return wire_fault(WIRE_BAD_ID, 0, body.ptr[0]);
	if (type == PAYLOAD_IDI)
		m->idi = parsed;
	else
		m->idr = parsed;
	return wire_ok();
}

struct wire_fault payload_parse_auth(uint8_t type, struct span body, struct wire_message *m)
{
	struct wire_auth auth = {.method = body.ptr[0], .data = behind_fixed(body)};

	(void)type;
	if (auth.data.len == 0)
		return wire_fault(WIRE_BAD_AUTH, FIXED_LEN, auth.method);
	m->auth = auth;
	return wire_ok();
}

struct wire_fault payload_parse_eap(uint8_t type, struct span body, struct wire_message *m)
{
	(void)type;
	m->eap = body;
	return wire_ok();
}
