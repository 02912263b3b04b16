/* Encodes again what was parsed, for the round trip encode(parse(x)) == x. */
#ifndef DETOUR_WIRE_ECHO_H
#define DETOUR_WIRE_ECHO_H

#include "ipsecd/wire/message.h"

/* Writes the payloads of a chain that wire_parse_payloads accepted as `m`, in the
 * chain's order, from what is in `m`; only what `m` doesn't keep (certificates, vendor
 * ids, unknown payloads) is copied. SK's body is copied, too. */
void wire_echo(struct wire_writer *w, uint8_t first, struct span chain,
	       const struct wire_message *m);

#endif
