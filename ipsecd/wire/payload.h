/* Inside of wire/: what the chain walker (payloads.c) and the parsers of single
 * payloads (payload_*.c) share. Nobody outside this folder includes it. */
#ifndef DETOUR_PAYLOAD_H
#define DETOUR_PAYLOAD_H

#include "ipsecd/wire/message.h"

#define PAYLOAD_HEAD_LEN 4 /* next payload, critical bit, length */

/* Parses the body (without the generic head) of a payload of this type into *m. The
 * body is at least as long as the walker's table demands. A fault's offset counts
 * from the body's start. */
typedef struct wire_fault payload_parser(uint8_t type, struct span body, struct wire_message *m);

payload_parser payload_parse_sa, payload_parse_ke, payload_parse_nonce, payload_parse_id,
	payload_parse_auth, payload_parse_notify, payload_parse_delete, payload_parse_ts,
	payload_parse_cp, payload_parse_eap;

static inline struct wire_fault wire_fault(enum wire_error error, size_t offset, uint32_t value)
{
	return (struct wire_fault){.error = error, .offset = offset, .value = value};
}

static inline struct wire_fault wire_ok(void)
{
	return (struct wire_fault){.error = WIRE_OK};
}

#endif
