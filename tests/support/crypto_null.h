/* A cheap and deterministic implementation of crypto.h for large simulations and
 * fuzzers: no security at all, but consistent. Both ends of a key exchange get the
 * same secret, a different key gives a different stream and checksum, and every
 * changed bit of a sealed message is noticed (as well as 64 bits can). */
#ifndef DETOUR_CRYPTO_NULL_H
#define DETOUR_CRYPTO_NULL_H

#include "ipsecd/crypto/crypto.h"

extern const struct crypto_ops crypto_null;

#endif
