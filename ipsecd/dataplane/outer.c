/* Outer header fields: owns the table of RFC 6040. */
#include "ipsecd/dataplane/outer.h"

#include "lib/buf.h"

#include <netinet/in.h>
#include <netinet/ip.h>

#define ECN  0x03
#define DSCP 0xfc
#define DROP 0xff

static bool is_ipv4(const uint8_t *inner)
{
	return inner[0] >> 4 == 4;
}

static uint8_t tos_of(const uint8_t *inner)
{
	return is_ipv4(inner) ? inner[1] : (uint8_t)(inner[0] << 4 | inner[1] >> 4);
}

/* RFC 6040 4.1: normal mode, or, without ECN, compatibility mode: Not-ECT, so that routers drop. An
 * inner IPv6 packet is never fragmented on its way, so its outer one is not (RFC 4301 8.1). */
struct outer outer_of(const struct child_flags *flags, const uint8_t *inner)
{
	uint8_t tos = tos_of(inner), copied = 0;
	bool whole = !is_ipv4(inner) || (be16_get(inner + 6) & IP_DF);

	if (flags->dscp == CHILD_DSCP_OUT || flags->dscp == CHILD_DSCP_BOTH)
		copied |= DSCP;
	if (!flags->no_ecn)
		copied |= ECN;
	return (struct outer){.tos = tos & copied, .df = whole && flags->df == CHILD_DF_COPY};
}

/* RFC 6040 4.2, figure 4: rows are what arrived inside, columns what arrived outside, in the order
 * of their codes: Not-ECT, ECT(1), ECT(0), CE. */
static uint8_t ecn_of(uint8_t inner, uint8_t outer)
{
	static const uint8_t table[4][4] = {
		{IPTOS_ECN_NOT_ECT, IPTOS_ECN_NOT_ECT, IPTOS_ECN_NOT_ECT, DROP},
		{IPTOS_ECN_ECT1, IPTOS_ECN_ECT1, IPTOS_ECN_ECT1, IPTOS_ECN_CE},
		{IPTOS_ECN_ECT0, IPTOS_ECN_ECT1, IPTOS_ECN_ECT0, IPTOS_ECN_CE},
		{IPTOS_ECN_CE, IPTOS_ECN_CE, IPTOS_ECN_CE, IPTOS_ECN_CE},
	};

	return table[inner & ECN][outer & ECN];
}

/* RFC 1624 3: the checksum follows the one word that changes. */
static void set_tos(uint8_t *inner, uint8_t tos)
{
	uint32_t sum;

	if (!is_ipv4(inner)) {
		inner[0] = (uint8_t)((inner[0] & 0xf0) | tos >> 4);
		inner[1] = (uint8_t)((inner[1] & 0x0f) | tos << 4);
		return;
	}
	sum = (uint16_t)~be16_get(inner + 10);
	sum += (uint16_t)~be16_get(inner);
	inner[1] = tos;
	sum += be16_get(inner);
	sum = (sum & 0xffff) + (sum >> 16);
	be16_set(inner + 10, (uint16_t) ~(sum + (sum >> 16)));
}

bool outer_take(const struct child_flags *flags, uint8_t tos, uint8_t *inner)
{
	uint8_t had = tos_of(inner), ecn = had & ECN, dscp = had & DSCP;

	if (!flags->no_ecn)
		ecn = ecn_of(had, tos);
	if (ecn == DROP)
		return false;
	if (flags->dscp == CHILD_DSCP_IN || flags->dscp == CHILD_DSCP_BOTH)
		dscp = tos & DSCP;
	if ((dscp | ecn) != had)
		set_tos(inner, dscp | ecn);
	return true;
}
