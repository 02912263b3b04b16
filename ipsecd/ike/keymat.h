/* Key derivation (RFC 7296 2.13 - 2.18). Pure over crypto_ops: takes secrets,
 * gives keys; who calls cleanses what it passed in. */
#ifndef DETOUR_KEYMAT_H
#define DETOUR_KEYMAT_H

#include "ipsecd/crypto/crypto.h"
#include "ipsecd/model/child.h"
#include "ipsecd/model/proposal.h"

/* SK_* of one IKE_SA (RFC 7296 2.14). Lengths follow from the suite. */
struct ike_keys {
	uint8_t d[ALGORITHM_PRF_MAX];
	uint8_t ai[ALGORITHM_KEY_MAX], ar[ALGORITHM_KEY_MAX];
	uint8_t ei[CHILD_KEY_MAX], er[CHILD_KEY_MAX]; /* key and salt */
	uint8_t pi[ALGORITHM_PRF_MAX], pr[ALGORITHM_PRF_MAX];
	uint8_t d_len, a_len, e_len, p_len;
};

/* prf+ (RFC 7296 2.13): fills out with n <= 255 * prf length bytes. */
bool keymat_prf_plus(const struct crypto_ops *crypto, const struct algorithm_prf *prf,
		     struct span key, struct span seed, uint8_t *out, size_t n);

struct keymat_ike_input {
	const struct suite *suite; /* of the new IKE_SA */
	struct span nonce_i, nonce_r;
	struct span shared; /* g^ir */
	uint64_t spi_i, spi_r;
	/* Rekey (RFC 7296 2.18): the old IKE_SA's SK_d and PRF; NULL prf for IKE_SA_INIT. */
	const struct algorithm_prf *old_prf;
	struct span old_d;
};

bool keymat_ike(const struct crypto_ops *crypto, const struct keymat_ike_input *in,
		struct ike_keys *out);

/* KEYMAT of a CHILD_SA (RFC 7296 2.17): `shared` is empty without PFS. `initiator`:
 * we sent the request of the exchange that makes this CHILD_SA. Fills in->in and
 * ->out keys of *child. */
bool keymat_child(const struct crypto_ops *crypto, const struct algorithm_prf *prf,
		  struct span sk_d, struct span shared, struct span nonce_i, struct span nonce_r,
		  const struct suite *suite, bool initiator, struct child_sa *child);

/* AUTH with a pre-shared key (RFC 7296 2.15): prf(prf(PSK, "Key Pad for IKEv2"), octets), out
 * gets the PRF's out_len bytes. The octets are the signer's first message, the other side's
 * nonce and prf(SK_px, IDx'), which keymat_auth puts together; whoever has the key makes the
 * rest of it, perhaps in another process. */
#define KEYMAT_OCTETS 3

bool keymat_psk_mac(const struct crypto_ops *crypto, uint16_t prf_id, struct span psk,
		    const struct span *octets, size_t n, uint8_t *out);

struct keymat_psk {
	bool (*mac)(void *ctx, uint16_t prf_id, const struct span octets[KEYMAT_OCTETS],
		    uint8_t *out);
	void *ctx;
};

/* sk_p: the signer's SK_pi or SK_pr; id_body: its IDx'. */
bool keymat_auth(const struct keymat_psk *psk, const struct crypto_ops *crypto,
		 const struct algorithm_prf *prf, struct span message, struct span nonce,
		 struct span sk_p, struct span id_body, uint8_t *out);

#endif
