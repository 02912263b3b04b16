/* Key derivation against values computed by another implementation of HMAC (Python's
 * hmac), after the formulas of RFC 7296 2.13 - 2.18. */
#include "ipsecd/ike/keymat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define SPI_I 0x1122334455667788u
#define SPI_R 0x99aabbccddeeff00u

static uint8_t nonce_i[32], nonce_r[32], shared[32];

static int setup(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 32; i++) {
		nonce_i[i] = (uint8_t)(0x10 + i);
		nonce_r[i] = (uint8_t)(0x40 + i);
		shared[i] = i;
	}
	return 0;
}

static void assert_hex(const uint8_t *bytes, const char *hex)
{
	char text[2 * 128 + 1];
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
}

static struct suite suite_of(uint16_t encr, uint16_t bits, uint16_t integ)
{
	return (struct suite){.encr = algorithm_encr(encr, bits),
			      .integ = integ ? algorithm_integ(integ) : NULL,
			      .prf = algorithm_prf(PRF_HMAC_SHA2_256),
			      .ke = algorithm_ke(KE_CURVE25519)};
}

static void derive(const struct suite *s, const struct algorithm_prf *old_prf, struct span old_d,
		   struct ike_keys *out)
{
	struct keymat_ike_input in = {.suite = s,
				      .nonce_i = span_of(nonce_i, 32),
				      .nonce_r = span_of(nonce_r, 32),
				      .shared = span_of(shared, 32),
				      .spi_i = SPI_I,
				      .spi_r = SPI_R,
				      .old_prf = old_prf,
				      .old_d = old_d};

	assert_true(keymat_ike(&crypto_openssl, &in, out));
}

static void test_ike_aead(void **state)
{
	struct suite s = suite_of(ENCR_AES_GCM_16, 128, 0);
	struct ike_keys k;

	(void)state;
	derive(&s, NULL, span_of(NULL, 0), &k);
	assert_int_equal(k.d_len, 32);
	assert_int_equal(k.a_len, 0);
	assert_int_equal(k.e_len, 20); /* key and salt (RFC 5282 7.1) */
	assert_hex(k.d, "8597cb4c036ab4b2f57f589131d870fbac43ee0ba6a26f3949a4e84f09198bf8");
	assert_hex(k.ei, "f8794de01c98ad258f65f1155fcb3c2e7fa352c4");
	assert_hex(k.er, "dc6bd350aecb2859c8535b25c2c02c424554c27d");
	assert_hex(k.pi, "23ab7e09bcadd73523bce12462d6f6fb024f68054850e02d534e4cc447d9db97");
	assert_hex(k.pr, "c40e515fe7963e41f3bc9036b6c4f0f468c6aef65b85492825426fc8aef4f81e");
}

static void test_ike_cbc(void **state)
{
	struct suite s = suite_of(ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_256_128);
	struct ike_keys k;

	(void)state;
	derive(&s, NULL, span_of(NULL, 0), &k);
	assert_hex(k.ai, "f8794de01c98ad258f65f1155fcb3c2e7fa352c4dc6bd350aecb2859c8535b25");
	assert_hex(k.ar, "c2c02c424554c27d23ab7e09bcadd73523bce12462d6f6fb024f68054850e02d");
	assert_hex(k.ei, "534e4cc447d9db97c40e515fe7963e41f3bc9036b6c4f0f468c6aef65b854928");
	assert_hex(k.er, "25426fc8aef4f81e7a099de2e7560071061918165b5479895ebaa3c8c8012238");
	assert_hex(k.pi, "46d2c718b423478590036c6cf5e98b92b56f776f8c19f7f1e1b9a39eab1b7a68");
	assert_hex(k.pr, "ec9432a5cc3658a28074b081d126e8997b3546d691ee9af9d0ca14fe15336558");
}

static void test_ike_rekey(void **state)
{
	struct suite s = suite_of(ENCR_AES_GCM_16, 128, 0);
	struct ike_keys old, k;

	(void)state;
	derive(&s, NULL, span_of(NULL, 0), &old);
	derive(&s, s.prf, span_of(old.d, old.d_len), &k);
	assert_hex(k.d, "1fb69a7f55bd36fd7959cecf9ded177479eaf35ef64c17dc2bb3d442dea0ea57");
}

static void child_keys(const struct suite *s, struct span pfs, bool initiator,
		       struct child_sa *child)
{
	struct suite ike = suite_of(ENCR_AES_GCM_16, 128, 0);
	struct ike_keys k;

	derive(&ike, NULL, span_of(NULL, 0), &k);
	memset(child, 0, sizeof(*child));
	assert_true(keymat_child(&crypto_openssl, ike.prf, span_of(k.d, k.d_len), pfs,
				 span_of(nonce_i, 32), span_of(nonce_r, 32), s, initiator, child));
}

static void test_child(void **state)
{
	struct suite s = suite_of(ENCR_AES_GCM_16, 256, 0);
	struct child_sa i, r;

	(void)state;
	child_keys(&s, span_of(NULL, 0), true, &i);
	child_keys(&s, span_of(NULL, 0), false, &r);
	assert_int_equal(i.out.encr_len, 36);
	assert_int_equal(i.out.integ_len, 0);
	assert_hex(i.out.encr,
		   "85566de3c40827cb95c2a927a61a046a4d720efbeabef65229bf7efded7d2d0c4e768053");
	assert_hex(i.in.encr,
		   "c47bd14384004a2a2baf01a52bc0f58f06fb071df1aed30e2e4aee8e8860ae40129e087d");
	assert_memory_equal(&i.out, &r.in, sizeof(i.out));
	assert_memory_equal(&i.in, &r.out, sizeof(i.in));
}

static void test_child_pfs(void **state)
{
	struct suite s = suite_of(ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_256_128);
	struct child_sa c;

	(void)state;
	child_keys(&s, span_of(shared, 32), true, &c);
	assert_hex(c.out.encr, "3ac3cb2482c7bc885ad91f4aebc9f51a42fd044f6921e93be154ce4e2107ce34");
	assert_hex(c.out.integ, "4bf6ea0c794c290b8b7c3d1fce89f42c9fa2d0de8cb91d863bc522c2c62c6ec2");
	assert_hex(c.in.encr, "768093c6cdca6854eaaf794f1d899199cfec8a07722d99f85704ba5ba11ab940");
}

static bool mac_in_place(void *ctx, uint16_t prf_id, const struct span octets[KEYMAT_OCTETS],
			 uint8_t *out)
{
	return keymat_psk_mac(&crypto_openssl, prf_id, span_str(ctx), octets, KEYMAT_OCTETS, out);
}

static void test_auth(void **state)
{
	char secret[] = "secret";
	const struct keymat_psk psk = {mac_in_place, secret};
	static const uint8_t id[] = {2, 0, 0, 0, 'a', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'};
	uint8_t sk_p[32], out[ALGORITHM_PRF_MAX];

	(void)state;
	memset(sk_p, 0x77, sizeof(sk_p));
	assert_true(keymat_auth(&psk, &crypto_openssl, algorithm_prf(PRF_HMAC_SHA2_256),
				span_str("the first message"), span_of(nonce_r, 32),
				span_of(sk_p, 32), span_of(id, sizeof(id)), out));
	assert_hex(out, "aa01c7f420eddcbcd74539ac916b36dac0847b882971c72f24d3291dc3f898cc");
}

/* RFC 7296 2.13: prf+ ends at 255 blocks. */
static void test_prf_plus_limit(void **state)
{
	const struct algorithm_prf *prf = algorithm_prf(PRF_HMAC_SHA2_256);
	static uint8_t out[256 * 32];

	(void)state;
	assert_true(
		keymat_prf_plus(&crypto_openssl, prf, span_str("k"), span_str("s"), out, 255 * 32));
	assert_false(keymat_prf_plus(&crypto_openssl, prf, span_str("k"), span_str("s"), out,
				     255 * 32 + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ike_aead),       cmocka_unit_test(test_ike_cbc),
		cmocka_unit_test(test_ike_rekey),      cmocka_unit_test(test_child),
		cmocka_unit_test(test_child_pfs),      cmocka_unit_test(test_auth),
		cmocka_unit_test(test_prf_plus_limit),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
