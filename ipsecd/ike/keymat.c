/* Key derivation: SKEYSEED, SK_*, KEYMAT and the PSK's AUTH (RFC 7296 2.13 - 2.18).
 * Must not know where the secrets come from or who uses the keys. */
#include "ipsecd/ike/keymat.h"
#include "lib/buf.h"

#include <string.h>

/* Longest KEYMAT: seven SK_* of the largest suite. */
#define KEYMAT_MAX (3 * ALGORITHM_PRF_MAX + 2 * ALGORITHM_KEY_MAX + 2 * CHILD_KEY_MAX)

bool keymat_prf_plus(const struct crypto_ops *crypto, const struct algorithm_prf *prf,
		     struct span key, struct span seed, uint8_t *out, size_t n)
{
	uint8_t t[ALGORITHM_PRF_MAX];
	size_t done = 0;
	bool ok = true;

	/* T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n): the counter is one byte. */
	for (unsigned i = 1; ok && done < n; i++) {
		uint8_t counter = (uint8_t)i;
		struct span parts[3] = {span_of(t, i == 1 ? 0 : prf->out_len), seed,
					span_of(&counter, 1)};
		size_t take = n - done < prf->out_len ? n - done : prf->out_len;

		ok = i <= 255 && crypto->prf(prf->id, key, parts, 3, t);
		if (ok)
			memcpy(out + done, t, take);
		done += take;
	}
	explicit_bzero(t, sizeof(t));
	return ok;
}

/* SKEYSEED (RFC 7296 2.14): prf(Ni | Nr, g^ir); after a rekey (2.18) prf(SK_d (old),
 * g^ir (new) | Ni | Nr) with the old IKE_SA's PRF. */
static bool skeyseed(const struct crypto_ops *crypto, const struct keymat_ike_input *in,
		     uint8_t *out, size_t *len)
{
	uint8_t nonces[512];
	struct buf key = buf_over(nonces, sizeof(nonces));
	struct span rekey[3] = {in->shared, in->nonce_i, in->nonce_r};

	if (in->old_prf) {
		*len = in->old_prf->out_len;
		return crypto->prf(in->old_prf->id, in->old_d, rekey, 3, out);
	}
	buf_put_span(&key, in->nonce_i);
	buf_put_span(&key, in->nonce_r);
	*len = in->suite->prf->out_len;
	return !key.overflow &&
	       crypto->prf(in->suite->prf->id, buf_span(&key), &in->shared, 1, out);
}

static void take(const uint8_t **from, uint8_t *to, size_t n)
{
	memcpy(to, *from, n);
	*from += n;
}

/* SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr */
static void split(const uint8_t *k, struct ike_keys *out)
{
	take(&k, out->d, out->d_len);
	take(&k, out->ai, out->a_len);
	take(&k, out->ar, out->a_len);
	take(&k, out->ei, out->e_len);
	take(&k, out->er, out->e_len);
	take(&k, out->pi, out->p_len);
	take(&k, out->pr, out->p_len);
}

bool keymat_ike(const struct crypto_ops *crypto, const struct keymat_ike_input *in,
		struct ike_keys *out)
{
	const struct suite *s = in->suite;
	uint8_t seed_bytes[2 * 256 + 16], seedkey[ALGORITHM_PRF_MAX], keys[KEYMAT_MAX];
	struct buf seed = buf_over(seed_bytes, sizeof(seed_bytes));
	size_t seedkey_len = 0, total;
	bool ok;

	out->d_len = out->p_len = s->prf->out_len;
	out->a_len = s->integ ? s->integ->key_len : 0;
	out->e_len = (uint8_t)(s->encr->key_len + s->encr->salt_len);
	total = out->d_len + 2u * out->a_len + 2u * out->e_len + 2u * out->p_len;
	buf_put_span(&seed, in->nonce_i);
	buf_put_span(&seed, in->nonce_r);
	buf_put_u64(&seed, in->spi_i);
	buf_put_u64(&seed, in->spi_r);
	ok = !seed.overflow && skeyseed(crypto, in, seedkey, &seedkey_len) &&
	     keymat_prf_plus(crypto, s->prf, span_of(seedkey, seedkey_len), buf_span(&seed), keys,
			     total);
	if (ok)
		split(keys, out);
	explicit_bzero(seedkey, sizeof(seedkey));
	explicit_bzero(keys, sizeof(keys));
	return ok;
}

static void take_child_keys(const uint8_t **k, const struct suite *s, struct child_keys *out)
{
	out->encr_len = (uint8_t)(s->encr->key_len + s->encr->salt_len);
	out->integ_len = s->integ ? s->integ->key_len : 0;
	take(k, out->encr, out->encr_len);
	take(k, out->integ, out->integ_len);
}

bool keymat_child(const struct crypto_ops *crypto, const struct algorithm_prf *prf,
		  struct span sk_d, struct span shared, struct span nonce_i, struct span nonce_r,
		  const struct suite *suite, bool initiator, struct child_sa *child)
{
	uint8_t seed_bytes[ALGORITHM_SHARED_MAX + 2 * 256], keys[KEYMAT_MAX];
	struct buf seed = buf_over(seed_bytes, sizeof(seed_bytes));
	size_t one = suite->encr->key_len + suite->encr->salt_len +
		     (suite->integ ? suite->integ->key_len : 0u);
	const uint8_t *k = keys;
	bool ok;

	buf_put_span(&seed, shared);
	buf_put_span(&seed, nonce_i);
	buf_put_span(&seed, nonce_r);
	ok = !seed.overflow && keymat_prf_plus(crypto, prf, sk_d, buf_span(&seed), keys, 2 * one);
	if (ok) {
		/* RFC 7296 2.17: initiator to responder first, encryption before integrity. */
		take_child_keys(&k, suite, initiator ? &child->out : &child->in);
		take_child_keys(&k, suite, initiator ? &child->in : &child->out);
	}
	explicit_bzero(seed_bytes, sizeof(seed_bytes));
	explicit_bzero(keys, sizeof(keys));
	return ok;
}

bool keymat_psk_mac(const struct crypto_ops *crypto, uint16_t prf_id, struct span psk,
		    const struct span *octets, size_t n, uint8_t *out)
{
	static const char pad[] = "Key Pad for IKEv2"; /* 17 bytes, without the NUL */
	struct span pad_part = span_of(pad, sizeof(pad) - 1);
	const struct algorithm_prf *prf = algorithm_prf(prf_id);
	uint8_t key[ALGORITHM_PRF_MAX];
	bool ok = prf && crypto->prf(prf_id, psk, &pad_part, 1, key) &&
		  crypto->prf(prf_id, span_of(key, prf->out_len), octets, n, out);

	explicit_bzero(key, sizeof(key));
	return ok;
}

bool keymat_auth(const struct keymat_psk *psk, const struct crypto_ops *crypto,
		 const struct algorithm_prf *prf, struct span message, struct span nonce,
		 struct span sk_p, struct span id_body, uint8_t *out)
{
	uint8_t maced_id[ALGORITHM_PRF_MAX];
	struct span octets[KEYMAT_OCTETS] = {message, nonce, span_of(maced_id, prf->out_len)};
	bool ok = crypto->prf(prf->id, sk_p, &id_body, 1, maced_id) &&
		  psk->mac(psk->ctx, prf->id, octets, out);

	explicit_bzero(maced_id, sizeof(maced_id));
	return ok;
}
