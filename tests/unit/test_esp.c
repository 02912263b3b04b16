/* ESP packets against published vectors (draft-mcgrew-gcm-test-01 4, RFC 7634
 * Appendix A) and, for CBC with HMAC, against packets made with another library;
 * then round trips, truncation and corruption for every suite. */
#include "ipsecd/dataplane/esp.h"

#include "ipsecd/dataplane/dataplane.h"
#include "lib/buf.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PING                                                                                   \
	"45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec1000073627"             \
	"08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031" \
	"323334353637"
#define CBC128                                                                                   \
	"00c0ffee00000009c0c1c2c3c4c5c6c7c8c9cacbcccdcecf469c040a13ec61b7d5172c9fc1d67139f7c535" \
	"8cbbc53f3eed4036d8d3395fefbc303a550086667688c98a5811eabeb3c7d54fec7ef507fa688901f7164a" \
	"3ecd007bde35921e77109ca010f56d980134e0a45bec3246a36c406c9b5af6cf919e"
#define CBC256                                                                                   \
	"00c0ffee00000009c0c1c2c3c4c5c6c7c8c9cacbcccdcecf932deeecdb041515ec3273189c0b29bdabd83a" \
	"1929245d2364a04a11d370767c27521b06c5a7c2ea05b49509d81620cf4ed94cc8fe555378950a84777947" \
	"eba7891ccdae522fbda80927f74fea377fe602a62f1c827cb5920b996e94f7883882"
#define KEY_10_1F "101112131415161718191a1b1c1d1e1f"
#define KEY_20_2F "202122232425262728292a2b2c2d2e2f"
#define KEY_80_9F "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
#define KEY_A0_BF "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define IV_CBC	  "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"

struct vector {
	uint16_t encr, bits, integ;
	bool esn;
	uint32_t spi;
	uint64_t seq;
	uint8_t next_header;
	const char *key, *integ_key, *iv, *inner, *packet;
};

static const struct vector vectors[] = {
	{ENCR_AES_GCM_16, 128, 0, true, 0x4321, 0x8765432100000000, 1,
	 "4c80cdefbb5d10da906ac73c3613a6342e443b68", "", "4956ed7e3b244cfe",
	 "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f73697004"
	 "5f756470037369700963796265726369747902646b0000210001",
	 "00004321000000004956ed7e3b244cfe"
	 "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf6592"
	 "5bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796"
	 "562dfdb4"},
	{ENCR_AES_GCM_16, 256, 0, false, 0x4a2cbfe3, 2, 1,
	 "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344", "",
	 "0102030405060708",
	 "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf00000204"
	 "05b401010402",
	 "4a2cbfe3000000020102030405060708"
	 "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f05"
	 "45659f14e99def842d8eb335f4eecfdbf831824b4c4915956c96"},
	{ENCR_CHACHA20_POLY1305, 0, 0, false, 0x01020304, 5, 4, KEY_80_9F "a0a1a2a3", "",
	 "1011121314151617", PING,
	 "01020304000000051011121314151617"
	 "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa"
	 "95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b828"
	 "29f641e076aaa8266b7fb0f7b11b369907e1ad43"},
	{ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, false, 0xc0ffee, 0x1234567800000009, 4,
	 KEY_10_1F, KEY_80_9F, IV_CBC, PING, CBC128 "89101d748627bf0b48dbd00bd13223e9"},
	{ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, true, 0xc0ffee, 0x1234567800000009, 4,
	 KEY_10_1F, KEY_80_9F, IV_CBC, PING, CBC128 "2537d9b18b133f6150bd07f192628463"},
	{ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_384_192, true, 0xc0ffee, 0x1234567800000009, 4,
	 KEY_10_1F KEY_20_2F, KEY_80_9F "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", IV_CBC, PING,
	 CBC256 "e03258322d4d0ac578d2cb41577ee899bdabfde0ff3f1a7c"},
	{ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_512_256, false, 0xc0ffee, 0x1234567800000009, 4,
	 KEY_10_1F KEY_20_2F, KEY_80_9F KEY_A0_BF, IV_CBC, PING,
	 CBC256 "bac96df8174482371f413fa086079f651c77916f6f2b0ff2f2de79810efe0cb1"},
	{ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_512_256, true, 0xc0ffee, 0x1234567800000009, 4,
	 KEY_10_1F KEY_20_2F, KEY_80_9F KEY_A0_BF, IV_CBC, PING,
	 CBC256 "2c0118b73598d3ecec4354a2eff629b0676aac711df325a2a60ff979d395a416"},
};

static size_t unhex(const char *text, uint8_t *out)
{
	size_t n = strlen(text) / 2;
	unsigned byte;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return n;
}

static void vector_esp(const struct vector *v, bool encrypt, struct esp *e)
{
	static uint8_t key[CHILD_KEY_MAX], integ_key[ALGORITHM_KEY_MAX];
	size_t key_len = unhex(v->key, key), integ_len = unhex(v->integ_key, integ_key);

	assert_true(esp_init(e, &crypto_openssl, algorithm_encr(v->encr, v->bits),
			     algorithm_integ(v->integ), span_of(key, key_len),
			     span_of(integ_key, integ_len), v->spi, v->esn, encrypt));
}

static void known_packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		const struct vector *v = &vectors[i];
		uint8_t iv[16], want[512], inner[256], room[512];
		size_t want_len = unhex(v->packet, want), len = unhex(v->inner, inner);
		struct esp_payload payload;
		struct span got;
		struct esp e;

		unhex(v->iv, iv);
		vector_esp(v, true, &e);
		memcpy(room + ESP_HEADROOM, inner, len);
		got = esp_seal(&e, 0, v->seq, iv, v->next_header, room + ESP_HEADROOM, len);
		assert_int_equal(got.len, want_len);
		assert_memory_equal(got.ptr, want, want_len);
		esp_release(&e);

		vector_esp(v, false, &e);
		assert_int_equal(esp_open(&e, 0, v->seq, want, want_len, &payload), ESP_OK);
		assert_int_equal(payload.len, len);
		assert_int_equal(payload.next_header, v->next_header);
		assert_memory_equal(payload.data, inner, len);
		esp_release(&e);
	}
}

/* ---- every suite ---- */

struct pair {
	struct esp out, in;
	const struct algorithm_encr *encr;
	const struct algorithm_integ *integ;
};

static bool pair_next(struct pair *p, unsigned *n)
{
	static uint8_t key[CHILD_KEY_MAX], integ_key[ALGORITHM_KEY_MAX];
	unsigned count = 0;

	memset(key, 0x5a, sizeof(key));
	memset(integ_key, 0xa5, sizeof(integ_key));
	for (unsigned i = 0; (p->encr = algorithm_encr_at(i)) != NULL; i++) {
		for (unsigned j = 0; j == 0 || (!p->encr->icv_len && algorithm_integ_at(j)); j++) {
			for (unsigned esn = 0; esn < 2; esn++) {
				struct span k =
					span_of(key, (size_t)p->encr->key_len + p->encr->salt_len);
				struct span ik;

				if (count++ != *n)
					continue;
				p->integ = p->encr->icv_len ? NULL : algorithm_integ_at(j);
				ik = span_of(integ_key, p->integ ? p->integ->key_len : 0);
				assert_true(esp_init(&p->out, &crypto_openssl, p->encr, p->integ, k,
						     ik, 0x1000, esn, true));
				assert_true(esp_init(&p->in, &crypto_openssl, p->encr, p->integ, k,
						     ik, 0x1000, esn, false));
				++*n;
				return true;
			}
		}
	}
	return false;
}

static void pair_free(struct pair *p)
{
	esp_release(&p->in);
	esp_release(&p->out);
}

static struct span seal(struct pair *p, uint64_t seq, uint8_t *room, size_t len)
{
	uint8_t iv[ALGORITHM_IV_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

	be64_set(iv, seq);
	for (size_t i = 0; i < len; i++)
		room[ESP_HEADROOM + i] = (uint8_t)(i * 7);
	return esp_seal(&p->out, 0, seq, iv, ESP_NEXT_IPV4, room + ESP_HEADROOM, len);
}

static void round_trips(void **state)
{
	static uint8_t room[ESP_HEADROOM + 2000 + ESP_TAILROOM];
	struct pair p;
	unsigned n = 0;

	(void)state;
	while (pair_next(&p, &n)) {
		for (size_t len = 0; len < 2000; len = len < 70 ? len + 1 : len * 2 + 3) {
			uint64_t seq = UINT64_C(0x300000000) + len;
			struct span sealed = seal(&p, seq, room, len);
			struct esp_payload out;

			assert_true(sealed.len >= len);
			assert_true(sealed.ptr >= room &&
				    sealed.ptr + sealed.len <=
					    room + ESP_HEADROOM + len + ESP_TAILROOM);
			assert_int_equal(esp_open(&p.in, 0, seq, (uint8_t *)(uintptr_t)sealed.ptr,
						  sealed.len, &out),
					 ESP_OK);
			assert_int_equal(out.len, len);
			for (size_t i = 0; i < len; i++)
				assert_int_equal(out.data[i], (uint8_t)(i * 7));
		}
		pair_free(&p);
	}
	assert_true(n >= 2 * (2 + 1 + 2 * 3)); /* GCM x 2, ChaCha, CBC x 2 with 3 HMACs */
}

static void truncated_at_every_byte(void **state)
{
	uint8_t room[256], copy[256];
	struct esp_payload out;
	struct pair p;
	unsigned n = 0;

	(void)state;
	while (pair_next(&p, &n)) {
		struct span sealed = seal(&p, 1, room, 84);

		for (size_t len = 0; len < sealed.len; len++) {
			memcpy(copy, sealed.ptr, len);
			assert_int_not_equal(esp_open(&p.in, 0, 1, copy, len, &out), ESP_OK);
		}
		pair_free(&p);
	}
}

/* Every bit but those of the SPI (which the lookup has used) and, where the window
 * infers the number, of the sequence number: that one is given. */
static void corrupted_at_every_byte(void **state)
{
	uint8_t room[256], copy[256];
	struct esp_payload out;
	struct pair p;
	unsigned n = 0;

	(void)state;
	while (pair_next(&p, &n)) {
		struct span sealed = seal(&p, 1, room, 84);

		for (size_t at = ESP_HEADER_LEN; at < sealed.len; at++) {
			memcpy(copy, sealed.ptr, sealed.len);
			copy[at] ^= (uint8_t)(1 << at % 8);
			assert_int_equal(esp_open(&p.in, 0, 1, copy, sealed.len, &out), ESP_ICV);
		}
		memcpy(copy, sealed.ptr, sealed.len);
		assert_int_equal(esp_open(&p.in, 0, 2, copy, sealed.len, &out), ESP_ICV);
		memcpy(copy, sealed.ptr, sealed.len);
		assert_int_equal(esp_open(&p.in, 0, UINT64_C(1) << 32 | 1, copy, sealed.len, &out),
				 p.in.esn ? ESP_ICV : ESP_OK);
		pair_free(&p);
	}
}

/* A peer that pads as it likes: authentic, but not RFC 4303 2.4. */
static void bad_padding(void **state)
{
	struct {
		uint8_t tail[4];
		enum esp_error want;
	} cases[] = {
		{{1, 2, 2, 4}, ESP_OK},	      {{0, 0, 0, 4}, ESP_OK},
		{{2, 1, 2, 4}, ESP_PADDING},  {{1, 2, 255, 4}, ESP_PADDING},
		{{1, 2, 15, 4}, ESP_PADDING},
	};
	const uint8_t key[20] = {1}, iv[8] = {2};
	const struct algorithm_encr *gcm = algorithm_encr(ENCR_AES_GCM_16, 128);
	uint8_t aad[8] = {0, 0, 0x10, 0, 0, 0, 0, 1};
	struct esp in;

	(void)state;
	assert_true(esp_init(&in, &crypto_openssl, gcm, NULL, span_of(key, 20), span_of(NULL, 0),
			     0x1000, false, false));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct crypto_cipher *c =
			crypto_openssl.cipher_new(gcm, NULL, span_of(key, 20), span_of(NULL, 0), 1);
		uint8_t packet[8 + 8 + 16 + 16] = {0};
		struct esp_payload out;

		memcpy(packet, aad, 8);
		memcpy(packet + 8, iv, 8);
		memcpy(packet + 28, cases[i].tail, 4);
		assert_true(crypto_openssl.seal(c, span_of(packet + 8, 8), span_of(aad, 8),
						span_of(NULL, 0), packet + 16, 16, packet + 32));
		assert_int_equal(esp_open(&in, 0, 1, packet, sizeof(packet), &out), cases[i].want);
		crypto_openssl.cipher_free(c);
	}
	esp_release(&in);
}

/* ---- contexts ---- */

/* Each lane has its own, and all of them make the same of a packet, also after theirs were taken.
 */
static void lanes_have_contexts(void **state)
{
	struct crypto_cipher *seen[ESP_LANES], *c;
	struct pair p;
	unsigned n = 0, taken = 0;

	(void)state;
	assert_true(pair_next(&p, &n));
	assert_null(esp_take_cipher(&p.out));
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned lane = 0; lane < ESP_LANES; lane++) {
			uint8_t room[256], iv[ALGORITHM_IV_MAX] = {1};
			struct esp_payload out;
			struct span s;

			memset(room, 0x77, sizeof(room));
			s = esp_seal(&p.out, lane, 5, iv, ESP_NEXT_IPV4, room + ESP_HEADROOM, 80);
			seen[lane] = esp_cipher(&p.out, lane);
			assert_non_null(seen[lane]);
			for (unsigned i = 0; i < lane; i++)
				assert_ptr_not_equal(seen[i], seen[lane]);
			assert_int_equal(esp_open(&p.in, ESP_LANES - 1 - lane, 5,
						  (uint8_t *)(uintptr_t)s.ptr, s.len, &out),
					 ESP_OK);
			assert_int_equal(out.len, 80);
			assert_int_equal(out.data[79], 0x77);
		}
		for (; (c = esp_take_cipher(&p.out)); taken++)
			crypto_openssl.cipher_free(c);
	}
	assert_int_equal(taken, 2 * ESP_LANES);
	pair_free(&p);
}

struct racer {
	struct esp *esp;
	unsigned lane;
	pthread_t thread;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	for (unsigned i = 0; i < 100; i++)
		if (!esp_cipher(r->esp, r->lane))
			return NULL;
	return r;
}

static void lanes_that_come_at_once(void **state)
{
	struct racer racers[4];
	struct pair p;
	unsigned n = 0;

	(void)state;
	assert_true(pair_next(&p, &n));
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 4; i++) {
			racers[i] = (struct racer){.esp = &p.out, .lane = i};
			assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]),
					 0);
		}
		for (unsigned i = 0; i < 4; i++) {
			void *got;

			assert_int_equal(pthread_join(racers[i].thread, &got), 0);
			assert_ptr_equal(got, &racers[i]);
		}
		for (unsigned i = 0; i < 4; i++)
			for (unsigned j = 0; j < i; j++)
				assert_ptr_not_equal(esp_cipher(&p.out, i), esp_cipher(&p.out, j));
		esp_release(&p.out);
		esp_release(&p.in);
		n = 0;
		assert_true(pair_next(&p, &n));
	}
	pair_free(&p);
}

static void wrong_key_sizes(void **state)
{
	const struct algorithm_encr *gcm = algorithm_encr(ENCR_AES_GCM_16, 128);
	const struct algorithm_encr *cbc = algorithm_encr(ENCR_AES_CBC, 128);
	const struct algorithm_integ *hmac = algorithm_integ(INTEG_HMAC_SHA2_256_128);
	const uint8_t key[64] = {0};
	const struct span none = span_of(NULL, 0);
	struct esp e;

	(void)state;
	assert_false(esp_init(&e, &crypto_openssl, gcm, NULL, span_of(key, 16), none, 1, 0, 1));
	assert_false(esp_init(&e, &crypto_openssl, gcm, hmac, span_of(key, 20), span_of(key, 32), 1,
			      0, 1));
	assert_false(esp_init(&e, &crypto_openssl, cbc, NULL, span_of(key, 16), none, 1, 0, 1));
	assert_false(esp_init(&e, &crypto_openssl, cbc, hmac, span_of(key, 16), span_of(key, 31), 1,
			      0, 1));
	esp_release(&e);
}

/* The MTU is exact: what it promises fits the path, one byte more does not. */
static void mtu_is_what_fits(void **state)
{
	static uint8_t room[ESP_HEADROOM + 1600 + ESP_TAILROOM];
	struct pair p;
	unsigned n = 0;

	(void)state;
	while (pair_next(&p, &n)) {
		uint16_t mtu = dataplane_inner_mtu(1500, AF_INET, true, p.encr->id,
						   p.encr->key_bits, p.integ ? p.integ->id : 0);
		uint16_t raw6 = dataplane_inner_mtu(1500, AF_INET6, false, p.encr->id,
						    p.encr->key_bits, p.integ ? p.integ->id : 0);

		assert_in_range(mtu, 1390, 1440);
		assert_true(20 + 8 + seal(&p, 1, room, mtu).len <= 1500);
		assert_true(20 + 8 + seal(&p, 2, room, mtu + 1u).len > 1500);
		assert_true(40 + seal(&p, 3, room, raw6).len <= 1500);
		assert_true(40 + seal(&p, 4, room, raw6 + 1u).len > 1500);
		pair_free(&p);
	}
	assert_int_equal(dataplane_inner_mtu(1500, AF_INET, true, ENCR_AES_GCM_16, 128, 0), 1438);
	assert_int_equal(dataplane_inner_mtu(60, AF_INET, true, ENCR_AES_GCM_16, 128, 0), 0);
	assert_int_equal(dataplane_inner_mtu(1500, AF_INET, true, ENCR_AES_CBC, 128, 0), 0);
	assert_int_equal(dataplane_inner_mtu(1500, AF_INET, true, 999, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_packets),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(truncated_at_every_byte),
		cmocka_unit_test(corrupted_at_every_byte),
		cmocka_unit_test(bad_padding),
		cmocka_unit_test(lanes_have_contexts),
		cmocka_unit_test(lanes_that_come_at_once),
		cmocka_unit_test(wrong_key_sizes),
		cmocka_unit_test(mtu_is_what_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
