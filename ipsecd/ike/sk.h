/* The Encrypted payload SK{} (RFC 7296 3.14, RFC 5282): protect and unprotect. Pure
 * over crypto_ops; decides nothing about what is inside. */
#ifndef DETOUR_SK_H
#define DETOUR_SK_H

#include "ipsecd/crypto/crypto.h"
#include "ipsecd/model/proposal.h"
#include "ipsecd/wire/message.h"

struct sk_sizes {
	size_t iv, icv, block;
};

struct sk_sizes sk_sizes(const struct suite *s);
/* Closes the open SK of w and encrypts it in place. iv has sk_sizes().iv bytes, unique for
 * this key (AEAD) or unpredictable (CBC). Gives the finished datagram; false after an
 * overflow or when crypto fails. */
bool sk_seal(const struct crypto_ops *crypto, struct crypto_cipher *c, const struct suite *s,
	     struct wire_writer *w, const uint8_t *iv, struct span *datagram);
/* Decrypts in place: `datagram` is the whole message, `outer` its parsed outer chain with SK.
 * *inner is the chain of payloads inside, its first type is outer->sk_next. false: too short,
 * not whole blocks, bad ICV or bad padding. */
bool sk_open(const struct crypto_ops *crypto, struct crypto_cipher *c, const struct suite *s,
	     uint8_t *datagram, size_t len, const struct wire_message *outer, struct span *inner);

#endif
