/* SK{}: what is sealed opens again, for every cipher; no changed bit and no shorter
 * message passes. */
#include "ipsecd/ike/sk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct pair {
	struct suite suite;
	struct crypto_cipher *seal, *open;
};

static struct pair pair_of(const struct algorithm_encr *encr, const struct algorithm_integ *integ)
{
	static const uint8_t key[64] = {1, 2, 3}, integ_key[64] = {4, 5, 6};
	struct span k = span_of(key, encr->key_len + encr->salt_len);
	struct span ik = span_of(integ_key, integ ? integ->key_len : 0);
	struct pair p = {.suite = {.encr = encr, .integ = integ}};

	p.seal = crypto_openssl.cipher_new(encr, integ, k, ik, true);
	p.open = crypto_openssl.cipher_new(encr, integ, k, ik, false);
	assert_non_null(p.seal);
	assert_non_null(p.open);
	return p;
}

static void pair_free(struct pair *p)
{
	crypto_openssl.cipher_free(p->seal);
	crypto_openssl.cipher_free(p->open);
}

static size_t seal(struct pair *p, size_t notify_len, uint8_t *memory, size_t cap)
{
	static const uint8_t iv[ALGORITHM_IV_MAX] = {9, 8, 7}, data[64] = {0};
	struct wire_header h = {.spi_i = 1,
				.spi_r = 2,
				.version = WIRE_VERSION,
				.exchange = EXCHANGE_INFORMATIONAL,
				.message_id = 5};
	struct wire_writer w;
	struct span datagram;

	wire_begin(&w, memory, cap, &h);
	wire_open_sk(&w, sk_sizes(&p->suite).iv);
	wire_put_notify(&w, PROTOCOL_NONE, NOTIFY_INITIAL_CONTACT, span_of(NULL, 0),
			span_of(data, notify_len));
	if (!sk_seal(&crypto_openssl, p->seal, &p->suite, &w, iv, &datagram))
		return 0;
	return datagram.len;
}

static bool open(struct pair *p, const uint8_t *datagram, size_t len, struct wire_message *inner)
{
	uint8_t copy[512];
	struct wire_message outer;
	struct wire_header h;
	struct span chain, body;

	memcpy(copy, datagram, len);
	if (wire_parse_header(span_of(copy, len), &h).error)
		return false;
	chain = span_of(copy + WIRE_HEADER_LEN, len - WIRE_HEADER_LEN);
	if (wire_parse_payloads(h.next_payload, chain, &outer).error ||
	    outer.present != WIRE_BIT(PAYLOAD_SK))
		return false;
	if (!sk_open(&crypto_openssl, p->open, &p->suite, copy, len, &outer, &body))
		return false;
	return wire_parse_payloads(outer.sk_next, body, inner).error == WIRE_OK;
}

static void round_trip(struct pair *p)
{
	uint8_t memory[512];
	struct wire_message m;

	for (size_t n = 0; n < 40; n++) {
		size_t len = seal(p, n, memory, sizeof(memory));

		assert_true(len > 0);
		assert_true(open(p, memory, len, &m));
		assert_int_equal(m.n_notifies, 1);
		assert_int_equal(m.notifies[0].data.len, n);
	}
}

static void no_bit_passes(struct pair *p)
{
	uint8_t memory[512];
	size_t len = seal(p, 3, memory, sizeof(memory));
	struct wire_message m;

	for (size_t bit = 0; bit < len * 8; bit++) {
		memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(open(p, memory, len, &m));
		memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(open(p, memory, len, &m));
}

/* Lengths in the header and in SK are made to fit, so that only sk_open can refuse. */
static void no_length_passes(struct pair *p)
{
	uint8_t memory[512];
	size_t len = seal(p, 3, memory, sizeof(memory));
	struct wire_message m;

	for (size_t n = len - 1; n >= WIRE_HEADER_LEN + 4; n--) {
		be32_set(memory + 24, (uint32_t)n);
		be16_set(memory + WIRE_HEADER_LEN + 2, (uint16_t)(n - WIRE_HEADER_LEN));
		assert_false(open(p, memory, n, &m));
	}
}

static void test_every_cipher(void **state)
{
	const struct algorithm_encr *encr;
	const struct algorithm_integ *integ;

	(void)state;
	for (unsigned i = 0; (encr = algorithm_encr_at(i)); i++) {
		for (unsigned j = 0; (integ = algorithm_integ_at(j)); j++) {
			struct pair p = pair_of(encr, encr->icv_len ? NULL : integ);

			round_trip(&p);
			no_bit_passes(&p);
			no_length_passes(&p);
			pair_free(&p);
			if (encr->icv_len)
				break;
		}
	}
}

static void test_too_small(void **state)
{
	struct pair p = pair_of(algorithm_encr(ENCR_AES_GCM_16, 128), NULL);
	uint8_t memory[512];
	size_t whole = seal(&p, 3, memory, sizeof(memory));

	(void)state;
	for (size_t cap = WIRE_HEADER_LEN; cap < whole; cap++)
		assert_int_equal(seal(&p, 3, memory, cap), 0);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cipher),
		cmocka_unit_test(test_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
