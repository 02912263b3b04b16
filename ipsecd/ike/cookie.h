/* Stateless COOKIEs of a responder under load (RFC 7296 2.6):
 *	version (4 bytes) | HMAC-SHA2-256(secret, Ni | IPi | SPIi)
 * The secret is renewed every COOKIE_LIFE; the previous one still counts. */
#ifndef DETOUR_COOKIE_H
#define DETOUR_COOKIE_H

#include "ipsecd/crypto/crypto.h"
#include "lib/addr.h"
#include "lib/mono.h"

#define COOKIE_LEN  36
#define COOKIE_LIFE (60 * MONO_S)

struct cookie_jar {
	uint8_t secret[2][32]; /* current, previous */
	uint32_t version;      /* of the current one; 0: none drawn yet */
	mono_time rotate_at;
};

/* True when a new secret is due; then fill `fresh` with random bytes and rotate. */
bool cookie_due(const struct cookie_jar *jar, mono_time now);
void cookie_rotate(struct cookie_jar *jar, const uint8_t fresh[32], mono_time now);
bool cookie_make(const struct crypto_ops *crypto, const struct cookie_jar *jar, struct span nonce,
		 const struct addr *addr, uint64_t spi_i, uint8_t out[COOKIE_LEN]);
bool cookie_check(const struct crypto_ops *crypto, const struct cookie_jar *jar, struct span cookie,
		  struct span nonce, const struct addr *addr, uint64_t spi_i);

#endif
