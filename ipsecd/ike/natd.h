/* NAT detection (RFC 7296 2.23): the hashes in NAT_DETECTION_SOURCE_IP and
 * NAT_DETECTION_DESTINATION_IP and what they say. Pure. */
#ifndef DETOUR_NATD_H
#define DETOUR_NATD_H

#include "ipsecd/crypto/crypto.h"
#include "ipsecd/wire/message.h"

#define NATD_LEN  20
#define NATD_TEXT 72

/* SHA-1(SPIs | address | port) */
bool natd_hash(const struct crypto_ops *crypto, uint64_t spi_i, uint64_t spi_r,
	       const struct endpoint *end, uint8_t out[NATD_LEN]);
/* Puts both notifies. fake: the source hash is made not to match, so that the peer
 * finds a NAT and encapsulates ESP in UDP. */
void natd_put(const struct crypto_ops *crypto, struct wire_writer *w, uint64_t spi_i,
	      uint64_t spi_r, const struct endpoint *local, const struct endpoint *remote,
	      bool fake);

struct natd_view {
	bool supported;	 /* the peer sent both notifies */
	bool nat_local;	 /* we are behind a NAT */
	bool nat_remote; /* the peer is, or claims to be */
	bool faked;	 /* it claims to be, by natd_put's fake, and is not */
};

/* From a message that came from `remote` to `local`. */
struct natd_view natd_detect(const struct crypto_ops *crypto, const struct wire_message *m,
			     uint64_t spi_i, uint64_t spi_r, const struct endpoint *local,
			     const struct endpoint *remote);
/* For the log, `fake`: we claim one. false: there is nothing to say. */
bool natd_text(const struct natd_view *v, bool fake, char *text, size_t size);

#endif
