/* What fits inside a tunnel: the arithmetic of ESP in tunnel mode (RFC 4303 2, 2.4;
 * RFC 3948 2.1 for the UDP header). Pure. */
#include "ipsecd/dataplane/dataplane.h"

#include "ipsecd/dataplane/esp.h"

uint16_t dataplane_inner_mtu(uint16_t path_mtu, uint8_t outer_family, bool udp_encap,
			     uint16_t encr_id, uint16_t key_bits, uint16_t integ_id)
{
	const struct algorithm_encr *encr = algorithm_encr(encr_id, key_bits);
	const struct algorithm_integ *integ = algorithm_integ(integ_id);
	unsigned around, room;

	if (!encr || (encr->icv_len == 0 && !integ))
		return 0;
	around = outer_family == AF_INET6 ? 40 : 20;
	around += (udp_encap ? 8u : 0u) + ESP_HEADER_LEN + encr->iv_len;
	around += encr->icv_len ? encr->icv_len : integ->icv_len;
	if (path_mtu <= around)
		return 0;
	/* Pad Length and Next Header end on the last byte of the last whole block. */
	room = path_mtu - around;
	room -= room % esp_alignment(encr);
	return room > 2 ? (uint16_t)(room - 2) : 0;
}
