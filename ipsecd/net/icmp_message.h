/* ICMP (RFC 792) and ICMPv6 (RFC 4443) destination unreachable, and what of our own packet they
 * quote: IKE or ESP, in UDP or bare. Pure. Anybody can send such a message; one that does not
 * quote an SPI says nothing. */
#ifndef DETOUR_ICMP_MESSAGE_H
#define DETOUR_ICMP_MESSAGE_H

#include "lib/addr.h"

enum icmp_fault {
	ICMP_OK,
	ICMP_TRUNCATED,
	ICMP_CHECKSUM,
	ICMP_OTHER_TYPE, /* or a code that is no unreachable peer, as fragmentation needed */
	ICMP_BAD_QUOTE,	 /* not the head of an IP packet, or a later fragment */
	ICMP_NOT_OURS,	 /* another protocol or port */
	ICMP_NO_SPI,	 /* quoted too little */
};

enum icmp_kind { ICMP_NET, ICMP_HOST, ICMP_PORT, ICMP_PROHIBITED };

struct icmp_quote {
	enum icmp_kind kind;
	struct endpoint from, to; /* of our packet; ports 0 for bare ESP */
	uint32_t esp_spi;	  /* 0: an IKE message, which has these: */
	uint64_t spi_i, spi_r;
};

/* `packet` begins with the IP header for IPv4 and with the ICMP header for IPv6, as raw sockets
 * give it; an ICMPv6 checksum is the kernel's to check. *out is set on ICMP_OK alone; *offset,
 * which may be NULL, is where it failed. */
enum icmp_fault icmp_parse(uint8_t family, struct span packet, struct icmp_quote *out,
			   size_t *offset);
const char *icmp_strerror(enum icmp_fault f);

#endif
