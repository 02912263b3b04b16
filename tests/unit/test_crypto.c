/* crypto.h's two implementations: known answers for OpenSSL's, and for both that the
 * ends agree and that no changed bit passes. */
#include "ipsecd/crypto/crypto.h"
#include "tests/support/crypto_null.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct crypto_ops *const implementations[] = {&crypto_openssl, &crypto_null};

#define EACH_IMPLEMENTATION(ops)                                          \
	for (const struct crypto_ops *const *at_ = implementations, *ops; \
	     at_ < implementations + 2 && (ops = *at_); at_++)

static unsigned nibble(char c)
{
	assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	return n;
}

static void assert_hex(const uint8_t *bytes, const char *hex)
{
	uint8_t expected[ALGORITHM_SHARED_MAX];

	assert_memory_equal(bytes, expected, unhex(hex, expected));
}

/* ---- SHA-1 and PRF ---- */

static void test_sha1(void **state)
{
	struct span parts[] = {span_str("a"), span_of(NULL, 0), span_str("bc")};
	uint8_t out[20];

	(void)state;
	assert_true(crypto_openssl.sha1(parts, 3, out));
	assert_hex(out, "a9993e364706816aba3e25717850c26c9cd0d89d"); /* FIPS 180 */
}

static void test_prf(void **state)
{
	/* RFC 4231 4.2, 4.3 */
	static const struct {
		uint16_t id;
		const char *hi, *jefe;
	} cases[] = {
		{PRF_HMAC_SHA2_256,
		 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{PRF_HMAC_SHA2_384,
		 "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
		 "faea9ea9076ede7f4af152e8b2fa9cb6",
		 "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
		 "8e2240ca5e69e2c78b3239ecfab21649"},
		{PRF_HMAC_SHA2_512,
		 "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
		 "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
		 "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
		 "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
	};
	struct span hi[] = {span_str("Hi"), span_str(" There")};
	struct span jefe = span_str("what do ya want for nothing?");
	uint8_t key[20], out[ALGORITHM_PRF_MAX];

	(void)state;
	memset(key, 0x0b, sizeof(key));
	for (size_t i = 0; i < 3; i++) {
		assert_true(crypto_openssl.prf(cases[i].id, span_of(key, 20), hi, 2, out));
		assert_hex(out, cases[i].hi);
		assert_true(crypto_openssl.prf(cases[i].id, span_str("Jefe"), &jefe, 1, out));
		assert_hex(out, cases[i].jefe);
	}
	assert_false(crypto_openssl.prf(999, span_str("Jefe"), &jefe, 1, out));
}

static void test_prf_of_nothing(void **state)
{
	uint8_t out[ALGORITHM_PRF_MAX];

	(void)state;
	assert_true(crypto_openssl.prf(PRF_HMAC_SHA2_256, span_of(NULL, 0), NULL, 0, out));
	assert_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_prf_ignores_how_parts_are_cut(void **state)
{
	struct span whole = span_str("abcdefghij");
	struct span cut[] = {span_str("abc"), span_str(""), span_str("defghi"), span_str("j")};

	(void)state;
	EACH_IMPLEMENTATION(ops)
	{
		uint8_t a[ALGORITHM_PRF_MAX], b[ALGORITHM_PRF_MAX];

		assert_true(ops->prf(PRF_HMAC_SHA2_512, span_str("k"), &whole, 1, a));
		assert_true(ops->prf(PRF_HMAC_SHA2_512, span_str("k"), cut, 4, b));
		assert_memory_equal(a, b, 64);
		assert_true(ops->prf(PRF_HMAC_SHA2_512, span_str("l"), cut, 4, b));
		assert_memory_not_equal(a, b, 64);
	}
}

/* ---- key exchange ---- */

static void ke_known_answer(uint16_t id, const uint8_t *random, const char *public_hex,
			    const char *peer_hex, const char *shared_hex)
{
	uint8_t value[ALGORITHM_PUBLIC_MAX], peer[ALGORITHM_PUBLIC_MAX];
	uint8_t shared[ALGORITHM_SHARED_MAX];
	struct crypto_ke *ke = crypto_openssl.ke_new(id, random, value);

	assert_non_null(ke);
	assert_hex(value, public_hex);
	assert_int_equal(unhex(peer_hex, peer), algorithm_ke(id)->public_len);
	assert_true(
		crypto_openssl.ke_derive(ke, span_of(peer, algorithm_ke(id)->public_len), shared));
	assert_hex(shared, shared_hex);
	crypto_openssl.ke_free(ke);
}

/* RFC 7748 6.1, both directions */
static void test_x25519(void **state)
{
	static const char *const secret[] = {
		"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"};
	static const char *const value[] = {
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"};
	uint8_t random[CRYPTO_KE_RANDOM] = {0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unhex(secret[i], random);
		ke_known_answer(KE_CURVE25519, random, value[i], value[1 - i],
				"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	}
}

/* The random bytes that make the implementation choose this scalar: scalar - 1, with
 * zeros for the spare bits in front. */
static void random_for_scalar(const char *scalar_hex, uint8_t random[CRYPTO_KE_RANDOM])
{
	size_t n;

	memset(random, 0, CRYPTO_KE_RANDOM);
	n = 8 + unhex(scalar_hex, random + 8);
	while (random[--n]-- == 0)
		;
}

/* RFC 5903 8.1 to 8.3 */
static const struct {
	uint16_t id;
	const char *i, *gix, *giy, *r, *grx, *gry, *girx;
} ecp_cases[] = {
	{KE_ECP_256, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
	 "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180",
	 "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
	 "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
	 "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63",
	 "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
	 "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
	{KE_ECP_384,
	 "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655"
	 "e35b538041e649ee3faef896783ab194",
	 "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6"
	 "de3ac808acb4bdb4c88732aee95f41aa",
	 "9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38e"
	 "eb9fcff3c2c947dae69b4c634573a81c",
	 "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942"
	 "e0308312916b8ed2960e4bd55a7448fc",
	 "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d"
	 "0d1ac43a0336def96fda41d0774a3571",
	 "dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1ff"
	 "f83fa40142209dff5eaad96db9e6386c",
	 "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4"
	 "d603135569b9e9d09cf5d4a270f59746"},
	{KE_ECP_521,
	 "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a0"
	 "95aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52",
	 "0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbe"
	 "e1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d176ced3e",
	 "017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10a"
	 "d8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582",
	 "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e"
	 "9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9",
	 "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a21"
	 "9b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f",
	 "015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87"
	 "220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
	 "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04"
	 "d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea"},
};

static void test_ecp(void **state)
{
	uint8_t random[CRYPTO_KE_RANDOM];
	char own[2 * ALGORITHM_PUBLIC_MAX + 1], peer[2 * ALGORITHM_PUBLIC_MAX + 1];

	(void)state;
	for (size_t n = 0; n < 3; n++) {
		snprintf(own, sizeof(own), "%s%s", ecp_cases[n].gix, ecp_cases[n].giy);
		snprintf(peer, sizeof(peer), "%s%s", ecp_cases[n].grx, ecp_cases[n].gry);
		random_for_scalar(ecp_cases[n].i, random);
		ke_known_answer(ecp_cases[n].id, random, own, peer, ecp_cases[n].girx);
		random_for_scalar(ecp_cases[n].r, random);
		ke_known_answer(ecp_cases[n].id, random, peer, own, ecp_cases[n].girx);
	}
}

static void assert_sha1(const uint8_t *bytes, size_t n, const char *hex)
{
	struct span part = span_of(bytes, n);
	uint8_t out[20];

	assert_true(crypto_openssl.sha1(&part, 1, out));
	assert_hex(out, hex);
}

/* RFC 3526 has no vectors: these were computed from the formula of its primes with
 * another program's integers. Random bytes are 0, 1, 2... and 64, 65, 66... */
static void test_modp(void **state)
{
	static const struct {
		uint16_t id;
		const char *public_sha1, *shared_sha1;
	} cases[] = {
		{KE_MODP_2048, "f37e737a75c6f903281399844634a6e975070b2a",
		 "6f776e739500ac605ef73f1a4dceb7d320094109"},
		{KE_MODP_3072, "cf46f61a228b61c6761fc89f22aca82994e67d4f",
		 "86b796e5a220dc8b4666fb287dd885e4301cb465"},
		{KE_MODP_4096, "18a9cd9b3a5f7be9c0d95e78f0deba830da56282",
		 "b75b9cb6bed80c1362f7141c3c73aa1a910b89ca"},
	};
	uint8_t a_random[CRYPTO_KE_RANDOM], b_random[CRYPTO_KE_RANDOM];
	uint8_t a_public[ALGORITHM_PUBLIC_MAX], b_public[ALGORITHM_PUBLIC_MAX];
	uint8_t shared[ALGORITHM_SHARED_MAX];

	(void)state;
	for (unsigned i = 0; i < CRYPTO_KE_RANDOM; i++) {
		a_random[i] = (uint8_t)i;
		b_random[i] = (uint8_t)(i + 64);
	}
	for (size_t i = 0; i < 3; i++) {
		size_t n = algorithm_ke(cases[i].id)->public_len;
		struct crypto_ke *a = crypto_openssl.ke_new(cases[i].id, a_random, a_public);
		struct crypto_ke *b = crypto_openssl.ke_new(cases[i].id, b_random, b_public);

		assert_sha1(a_public, n, cases[i].public_sha1);
		assert_true(crypto_openssl.ke_derive(b, span_of(a_public, n), shared));
		assert_sha1(shared, n, cases[i].shared_sha1);
		crypto_openssl.ke_free(a);
		crypto_openssl.ke_free(b);
	}
}

static void ke_agree(const struct crypto_ops *ops, const struct algorithm_ke *algorithm)
{
	uint8_t random[2][CRYPTO_KE_RANDOM], value[2][ALGORITHM_PUBLIC_MAX];
	uint8_t shared[2][ALGORITHM_SHARED_MAX];
	struct crypto_ke *a, *b;

	crypto_random(NULL, random, sizeof(random));
	a = ops->ke_new(algorithm->id, random[0], value[0]);
	b = ops->ke_new(algorithm->id, random[1], value[1]);
	assert_non_null(a);
	assert_non_null(b);
	assert_memory_not_equal(value[0], value[1], algorithm->public_len);
	assert_true(ops->ke_derive(a, span_of(value[1], algorithm->public_len), shared[0]));
	assert_true(ops->ke_derive(b, span_of(value[0], algorithm->public_len), shared[1]));
	assert_memory_equal(shared[0], shared[1], algorithm->shared_len);
	assert_false(ops->ke_derive(a, span_of(value[1], algorithm->public_len - 1u), shared[0]));
	assert_false(ops->ke_derive(a, span_of(value[1], 0), shared[0]));
	ops->ke_free(a);
	ops->ke_free(b);
}

static void test_ke_ends_agree(void **state)
{
	(void)state;
	EACH_IMPLEMENTATION(ops)
	{
		uint8_t random[CRYPTO_KE_RANDOM] = {0}, value[ALGORITHM_PUBLIC_MAX];
		const struct algorithm_ke *algorithm;

		for (unsigned n = 0; (algorithm = algorithm_ke_at(n)); n++)
			ke_agree(ops, algorithm);
		assert_null(ops->ke_new(2, random, value));
		ops->ke_free(NULL);
	}
}

static void ke_refuses(uint16_t id, const uint8_t *peer)
{
	uint8_t random[CRYPTO_KE_RANDOM] = {7}, value[ALGORITHM_PUBLIC_MAX];
	uint8_t shared[ALGORITHM_SHARED_MAX];
	struct crypto_ke *ke = crypto_openssl.ke_new(id, random, value);

	assert_false(
		crypto_openssl.ke_derive(ke, span_of(peer, algorithm_ke(id)->public_len), shared));
	crypto_openssl.ke_free(ke);
}

/* RFC 6989 2.1 and 2.3, RFC 7748 6.1: values that would give away the secret. */
static void test_ke_refuses_weak_values(void **state)
{
	static const uint16_t modp[] = {KE_MODP_2048, KE_MODP_3072, KE_MODP_4096};
	uint8_t peer[ALGORITHM_PUBLIC_MAX];

	(void)state;
	memset(peer, 0, sizeof(peer));
	ke_refuses(KE_CURVE25519, peer);
	for (size_t i = 0; i < 3; i++) {
		size_t n = algorithm_ke(modp[i])->public_len;

		memset(peer, 0, sizeof(peer));
		ke_refuses(modp[i], peer); /* 0 */
		peer[n - 1] = 1;
		ke_refuses(modp[i], peer); /* 1 */
		memset(peer, 0xff, sizeof(peer));
		ke_refuses(modp[i], peer); /* above p */
	}
	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(ecp_cases[i].grx) / 2;

		memset(peer, 0, sizeof(peer));
		ke_refuses(ecp_cases[i].id, peer); /* (0, 0) */
		unhex(ecp_cases[i].grx, peer);
		unhex(ecp_cases[i].gry, peer + n);
		peer[2 * n - 1] ^= 1;
		ke_refuses(ecp_cases[i].id, peer); /* not on the curve */
		memset(peer, 0xff, sizeof(peer));
		ke_refuses(ecp_cases[i].id, peer); /* coordinates above the prime */
	}
}

/* p - 1 has order 2: the secret would be 1 or p - 1. p ends in 64 one bits. */
static void test_modp_refuses_minus_one(void **state)
{
	uint8_t random[CRYPTO_KE_RANDOM] = {7}, value[256], shared[256], peer[256];
	static const char prime[] =
		"ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74"
		"020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437"
		"4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
		"ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05"
		"98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb"
		"9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"
		"e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718"
		"3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff";
	struct crypto_ke *ke = crypto_openssl.ke_new(KE_MODP_2048, random, value);

	(void)state;
	assert_int_equal(unhex(prime, peer), 256);
	assert_false(crypto_openssl.ke_derive(ke, span_of(peer, 256), shared));
	peer[255]--;
	assert_false(crypto_openssl.ke_derive(ke, span_of(peer, 256), shared));
	peer[255]--;
	assert_true(crypto_openssl.ke_derive(ke, span_of(peer, 256), shared));
	crypto_openssl.ke_free(ke);
}

/* ---- ciphers ---- */

struct cipher_case {
	uint16_t id, key_bits;
	const char *key, *iv, *aad, *plain, *sealed, *icv;
};

static const struct cipher_case aead_cases[] = {
	/* The GCM specification's test cases 4 and 16 */
	{ENCR_AES_GCM_16, 128, "feffe9928665731c6d6a8f9467308308cafebabe", "facedbaddecaf888",
	 "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	 "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	 "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	 "5bc94fbc3221a5db94fae95ae7121a47"},
	{ENCR_AES_GCM_16, 256,
	 "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308cafebabe",
	 "facedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	 "76fc6ece0f4e1768cddf8853bb2d551b"},
	/* RFC 7634 appendix A */
	{ENCR_CHACHA20_POLY1305, 0,
	 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3",
	 "1011121314151617", "0102030400000005",
	 "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
	 "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
	 "2425262728292a2b2c2d2e2f303132333435363701020204",
	 "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
	 "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
	 "cbec163fac469b502773f6fb94e664da9165b82829f641e0",
	 "76aaa8266b7fb0f7b11b369907e1ad43"},
};

static void test_aead(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct cipher_case *t = &aead_cases[i];
		const struct algorithm_encr *encr = algorithm_encr(t->id, t->key_bits);
		uint8_t key[64], iv[16], aad[32], data[128], icv[16];
		struct span key_span = span_of(key, unhex(t->key, key));
		struct span iv_span = span_of(iv, unhex(t->iv, iv));
		struct span aad_span = span_of(aad, unhex(t->aad, aad));
		size_t n = unhex(t->plain, data);
		struct crypto_cipher *seal =
			crypto_openssl.cipher_new(encr, NULL, key_span, (struct span){0}, true);
		struct crypto_cipher *open =
			crypto_openssl.cipher_new(encr, NULL, key_span, (struct span){0}, false);

		for (unsigned again = 0; again < 2; again++) {
			assert_true(crypto_openssl.seal(seal, iv_span, aad_span, (struct span){0},
							data, n, icv));
			assert_hex(data, t->sealed);
			assert_hex(icv, t->icv);
			assert_true(crypto_openssl.open(open, iv_span, aad_span, (struct span){0},
							data, n, icv));
			assert_hex(data, t->plain);
		}
		crypto_openssl.cipher_free(seal);
		crypto_openssl.cipher_free(open);
	}
}

/* RFC 3602 4 case 1 for the ciphertext; the MAC is the PRF's over the same bytes. */
static void test_cbc(void **state)
{
	const struct algorithm_integ *integ = algorithm_integ(INTEG_HMAC_SHA2_256_128);
	uint8_t key[16], iv[16], data[16], icv[16], mac[32];
	struct span integ_key = span_str("0123456789abcdef0123456789abcdef");
	struct span aad = span_str("header"), tail = span_str("high");
	struct crypto_cipher *c;

	(void)state;
	unhex("06a9214036b8a15b512e03d534120006", key);
	unhex("3dafba429d9eb430b422da802c9fac41", iv);
	memcpy(data, "Single block msg", 16);
	c = crypto_openssl.cipher_new(algorithm_encr(ENCR_AES_CBC, 128), integ, span_of(key, 16),
				      integ_key, true);
	assert_non_null(c);
	assert_true(crypto_openssl.seal(c, span_of(iv, 16), aad, tail, data, 16, icv));
	assert_hex(data, "e353779c1079aeb82708942dbe77181a");
	assert_true(crypto_openssl.prf(
		PRF_HMAC_SHA2_256, integ_key,
		(struct span[]){aad, span_of(iv, 16), span_of(data, 16), tail}, 4, mac));
	assert_memory_equal(icv, mac, 16);
	crypto_openssl.cipher_free(c);
}

#define MESSAGE 96

struct message {
	uint8_t aad[12], iv[ALGORITHM_IV_MAX], tail[4], data[MESSAGE], icv[ALGORITHM_ICV_MAX];
};

struct pair {
	const struct crypto_ops *ops;
	struct crypto_cipher *seal, *open;
	size_t iv_len, icv_len, tail_len;
};

static bool pair_open(const struct pair *p, const struct message *sealed, struct message *out)
{
	*out = *sealed;
	return p->ops->open(p->open, span_of(out->iv, p->iv_len), span_of(out->aad, 12),
			    span_of(out->tail, p->tail_len), out->data, MESSAGE, out->icv);
}

static void refuse_flips(const struct pair *p, const struct message *sealed, size_t offset,
			 size_t n)
{
	struct message bad, out;

	for (size_t bit = 0; bit < n * 8; bit++) {
		bad = *sealed;
		((uint8_t *)&bad)[offset + bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(pair_open(p, &bad, &out));
	}
}

static void pair_check(const struct pair *p)
{
	struct message plain, sealed, out;

	crypto_random(NULL, &plain, sizeof(plain));
	sealed = plain;
	assert_true(p->ops->seal(p->seal, span_of(sealed.iv, p->iv_len), span_of(sealed.aad, 12),
				 span_of(sealed.tail, p->tail_len), sealed.data, MESSAGE,
				 sealed.icv));
	assert_memory_not_equal(sealed.data, plain.data, MESSAGE);
	refuse_flips(p, &sealed, offsetof(struct message, aad), 12);
	refuse_flips(p, &sealed, offsetof(struct message, iv), p->iv_len);
	refuse_flips(p, &sealed, offsetof(struct message, tail), p->tail_len);
	refuse_flips(p, &sealed, offsetof(struct message, data), MESSAGE);
	refuse_flips(p, &sealed, offsetof(struct message, icv), p->icv_len);
	assert_true(pair_open(p, &sealed, &out)); /* the refusals left no trace */
	assert_memory_equal(out.data, plain.data, MESSAGE);
	/* The wrong direction, IV length or block is refused. */
	assert_false(p->ops->seal(p->open, span_of(out.iv, p->iv_len), span_of(out.aad, 12),
				  span_of(out.tail, p->tail_len), out.data, MESSAGE, out.icv));
	assert_false(p->ops->seal(p->seal, span_of(out.iv, p->iv_len - 1), span_of(out.aad, 12),
				  span_of(out.tail, p->tail_len), out.data, MESSAGE, out.icv));
}

static void cipher_check(const struct crypto_ops *ops, const struct algorithm_encr *encr,
			 const struct algorithm_integ *integ)
{
	uint8_t key[64], integ_key[ALGORITHM_KEY_MAX];
	size_t integ_len = integ ? integ->key_len : 0;
	struct span key_span = span_of(key, (size_t)encr->key_len + encr->salt_len);
	struct span integ_span = span_of(integ_key, integ_len);
	struct pair p = {.ops = ops,
			 .iv_len = encr->iv_len,
			 .icv_len = integ ? integ->icv_len : encr->icv_len,
			 .tail_len = integ ? 4 : 0};

	crypto_random(NULL, key, sizeof(key));
	crypto_random(NULL, integ_key, sizeof(integ_key));
	p.seal = ops->cipher_new(encr, integ, key_span, integ_span, true);
	p.open = ops->cipher_new(encr, integ, key_span, integ_span, false);
	assert_non_null(p.seal);
	assert_non_null(p.open);
	pair_check(&p);
	ops->cipher_free(p.seal);
	ops->cipher_free(p.open);
	/* Wrong sizes and pairings make no cipher. */
	assert_null(ops->cipher_new(encr, integ, span_of(key, key_span.len - 1), integ_span, true));
	assert_null(
		ops->cipher_new(encr, integ, key_span, span_of(integ_key, integ_len + 1), true));
	assert_null(ops->cipher_new(encr, integ ? NULL : algorithm_integ_at(0), key_span,
				    integ_span, true));
}

static void test_ciphers_refuse_every_flipped_bit(void **state)
{
	(void)state;
	EACH_IMPLEMENTATION(ops)
	{
		const struct algorithm_encr *encr;
		const struct algorithm_integ *integ;

		for (unsigned n = 0; (encr = algorithm_encr_at(n)); n++) {
			if (encr->icv_len)
				cipher_check(ops, encr, NULL);
			for (unsigned m = 0; !encr->icv_len && (integ = algorithm_integ_at(m)); m++)
				if (integ->id != INTEG_NONE)
					cipher_check(ops, encr, integ);
		}
		ops->cipher_free(NULL);
	}
}

/* ---- what is there ---- */

static void test_has(void **state)
{
	(void)state;
	EACH_IMPLEMENTATION(ops)
	{
		for (unsigned n = 0; algorithm_encr_at(n); n++)
			assert_true(ops->has(TRANSFORM_ENCR, algorithm_encr_at(n)->id,
					     algorithm_encr_at(n)->key_bits));
		for (unsigned n = 0; algorithm_prf_at(n); n++)
			assert_true(ops->has(TRANSFORM_PRF, algorithm_prf_at(n)->id, 0));
		for (unsigned n = 0; algorithm_integ_at(n); n++)
			assert_true(ops->has(TRANSFORM_INTEG, algorithm_integ_at(n)->id, 0));
		for (unsigned n = 0; algorithm_ke_at(n); n++)
			assert_true(ops->has(TRANSFORM_KE, algorithm_ke_at(n)->id, 0));
		assert_true(ops->has(TRANSFORM_ESN, ESN_YES, 0));
		assert_false(ops->has(TRANSFORM_ENCR, 3, 0));
		assert_false(ops->has(TRANSFORM_ENCR, ENCR_AES_CBC, 64));
		assert_false(ops->has(TRANSFORM_PRF, 2, 0));
		assert_false(ops->has(TRANSFORM_KE, 2, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha1),
		cmocka_unit_test(test_prf),
		cmocka_unit_test(test_prf_of_nothing),
		cmocka_unit_test(test_prf_ignores_how_parts_are_cut),
		cmocka_unit_test(test_x25519),
		cmocka_unit_test(test_ecp),
		cmocka_unit_test(test_modp),
		cmocka_unit_test(test_ke_ends_agree),
		cmocka_unit_test(test_ke_refuses_weak_values),
		cmocka_unit_test(test_modp_refuses_minus_one),
		cmocka_unit_test(test_aead),
		cmocka_unit_test(test_cbc),
		cmocka_unit_test(test_ciphers_refuse_every_flipped_bit),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
