/* Proposals: words, defaults, selection by both roles. */
#include "ipsecd/model/proposal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define IKE PROTOCOL_IKE
#define ESP PROTOCOL_ESP

static struct proposal_list parse(enum proposal_protocol protocol, const char *text)
{
	struct proposal_list l;
	size_t at, len;
	enum proposal_error e = proposal_list_parse(protocol, text, &l, &at, &len);

	if (e != PROPOSAL_OK)
		fail_msg("%s: %s at %zu", text, proposal_strerror(e), at);
	return l;
}

static void check_text(enum proposal_protocol protocol, const char *in, const char *out)
{
	struct proposal_list l = parse(protocol, in);
	char text[1024];

	assert_string_equal(proposal_list_format(&l, text, sizeof(text)), out);
}

static void test_words(void **state)
{
	(void)state;
	check_text(IKE, "aes128gcm16-prfsha256-x25519",
		   "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519");
	check_text(IKE, "aes256-sha384-ecp384!",
		   "IKE:AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_384");
	check_text(IKE, "aes256gcm-sha512-modp2048",
		   "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/MODP_2048");
	check_text(IKE, "aes_gcm128-sha2_256;dh19", "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256");
	check_text(ESP, "aes128gcm16, AES128-SHA256-modp2048-esn-noesn",
		   "ESP:AES_GCM_16_128/NO_EXT_SEQ, "
		   "ESP:AES_CBC_128/HMAC_SHA2_256_128/MODP_2048/EXT_SEQ/NO_EXT_SEQ");
	check_text(ESP, "aes256gcm16-aes256gcm-esn", "ESP:AES_GCM_16_256/EXT_SEQ");
}

static void check_error(enum proposal_protocol protocol, const char *text,
			enum proposal_error error, const char *word)
{
	struct proposal_list l;
	size_t at, len;

	assert_int_equal(proposal_list_parse(protocol, text, &l, &at, &len), error);
	assert_int_equal(len, strlen(word));
	assert_memory_equal(text + at, word, len);
}

static void test_errors(void **state)
{
	(void)state;
	check_error(IKE, "aes128-sha256-x25519, aes128-sha1-x25519", PROPOSAL_UNKNOWN_WORD, "sha1");
	check_error(IKE, "aes128-sha256", PROPOSAL_NO_KE, "aes128-sha256");
	check_error(IKE, "aes128-x25519", PROPOSAL_NO_INTEG, "aes128-x25519");
	check_error(IKE, "sha256-x25519", PROPOSAL_NO_ENCR, "sha256-x25519");
	check_error(IKE, "aes128gcm16-esn-x25519", PROPOSAL_WRONG_PROTOCOL, "esn");
	check_error(ESP, "aes128gcm16-prfsha256", PROPOSAL_WRONG_PROTOCOL, "prfsha256");
	check_error(ESP, "aes128gcm16-sha256", PROPOSAL_INTEG_WITH_AEAD_ONLY, "aes128gcm16-sha256");
	check_error(ESP, "aes128gcm16-aes128-sha256", PROPOSAL_MIXED_AEAD,
		    "aes128gcm16-aes128-sha256");
	check_error(ESP, "aes128gcm16,", PROPOSAL_EMPTY, "");
	check_error(ESP, "", PROPOSAL_EMPTY, "");
	check_error(ESP, "aes128gcm16--esn", PROPOSAL_UNKNOWN_WORD, "");
	check_error(ESP, "aes128gcm16-", PROPOSAL_UNKNOWN_WORD, "");
	check_error(ESP, "default,default,default,default,default", PROPOSAL_TOO_MANY, "default");
}

static void test_all_words(void **state)
{
	struct proposal p;
	size_t at, len;

	(void)state;
	for (const char *const *w = proposal_words(); *w; w++) {
		assert_int_not_equal(proposal_parse(IKE, *w, &p, &at, &len), PROPOSAL_OK);
		assert_int_not_equal(proposal_parse(ESP, *w, &p, &at, &len), PROPOSAL_UNKNOWN_WORD);
	}
}

/* The chosen proposal as text, "" when there is none; checks the initiator's view too. */
static const char *select_text(enum proposal_protocol protocol, const char *ours_text,
			       const char *offered_text, bool without_ke)
{
	struct proposal_list ours = parse(protocol, ours_text);
	struct proposal_list offered = parse(protocol, offered_text);
	static char text[PROPOSAL_TEXT];
	char again[PROPOSAL_TEXT];
	struct proposal chosen;
	struct suite suite, back;

	for (unsigned i = 0; i < offered.n; i++)
		offered.p[i].number = (uint8_t)(i + 1);
	if (!proposal_select(&ours, &offered, without_ke, &chosen, &suite))
		return "";
	assert_true(proposal_accept(&offered, &chosen, without_ke, &back));
	assert_ptr_equal(suite.encr, back.encr);
	assert_ptr_equal(suite.ke, back.ke);
	snprintf(text, sizeof(text), "%u ", chosen.number);
	proposal_format(&chosen, again);
	strcat(text, again);
	if (protocol == IKE)
		assert_string_equal(suite_format(protocol, &suite, again), text + 2);
	return text;
}

static void test_select(void **state)
{
	(void)state;
	/* The peer's order of proposals, our order inside. */
	assert_string_equal(
		select_text(IKE, "default", "aes256-sha512-modp4096,aes128gcm16-x25519", false),
		"1 IKE:AES_CBC_256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_4096");
	assert_string_equal(select_text(IKE, "aes256gcm16-aes128gcm16-prfsha384-ecp384-x25519",
					"default", false),
			    "1 IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384");
	assert_string_equal(select_text(IKE, "aes128gcm16-x25519", "aes256gcm16-x25519", false),
			    "");
	assert_string_equal(select_text(IKE, "aes128gcm16-x25519", "aes128gcm16-ecp256", false),
			    "");
	assert_string_equal(select_text(ESP, "default", "aes128-sha256-esn", true),
			    "1 ESP:AES_CBC_128/HMAC_SHA2_256_128/EXT_SEQ");
	assert_string_equal(select_text(ESP, "default", "default", true),
			    "1 ESP:AES_GCM_16_128/NO_EXT_SEQ");
	assert_string_equal(select_text(ESP, "aes128gcm16", "aes128gcm16-esn", true), "");
}

static void test_select_pfs(void **state)
{
	(void)state;
	assert_string_equal(
		select_text(ESP, "aes128gcm16-x25519", "aes128gcm16-x25519-ecp256", true),
		"1 ESP:AES_GCM_16_128/NO_EXT_SEQ");
	assert_string_equal(
		select_text(ESP, "aes128gcm16-ecp256-x25519", "aes128gcm16-x25519-ecp256", false),
		"1 ESP:AES_GCM_16_128/ECP_256/NO_EXT_SEQ");
	/* PFS that the peer alone wants is granted, that we want is insisted on. */
	assert_string_equal(select_text(ESP, "aes128gcm16", "aes128gcm16-x25519", false),
			    "1 ESP:AES_GCM_16_128/CURVE_25519/NO_EXT_SEQ");
	assert_string_equal(select_text(ESP, "aes128gcm16-x25519", "aes128gcm16", false), "");
	assert_string_equal(select_text(ESP, "aes128gcm16-x25519-modpnone", "aes128gcm16", false),
			    "1 ESP:AES_GCM_16_128/NO_EXT_SEQ");
}

static void push(struct proposal *p, uint8_t type, uint16_t id, uint16_t bits)
{
	p->transforms[p->n_transforms++] = (struct transform){type, id, bits};
}

/* What words can't say but a peer can. */
static void test_hostile_offers(void **state)
{
	struct proposal_list ours = parse(ESP, "default"), offer = {.n = 1};
	struct proposal *p = &offer.p[0], chosen;
	struct suite suite;

	(void)state;
	*p = (struct proposal){.protocol = ESP, .number = 1};
	assert_false(proposal_select(&ours, &offer, true, &chosen, &suite));
	push(p, TRANSFORM_ENCR, ENCR_AES_GCM_16, 128);
	/* RFC 7296 3.3.3: ESN is mandatory in ESP. */
	assert_false(proposal_select(&ours, &offer, true, &chosen, &suite));
	push(p, TRANSFORM_ESN, ESN_NO, 0);
	assert_true(proposal_select(&ours, &offer, true, &chosen, &suite));
	push(p, TRANSFORM_INTEG, INTEG_NONE, 0);
	assert_true(proposal_select(&ours, &offer, true, &chosen, &suite));
	assert_true(proposal_has(&chosen, TRANSFORM_INTEG, INTEG_NONE));
	/* RFC 7296 3.3.6: an unknown transform type spoils the proposal. */
	push(p, 6, 1, 0);
	assert_false(proposal_select(&ours, &offer, true, &chosen, &suite));
	*p = (struct proposal){.protocol = ESP, .number = 1};
	push(p, TRANSFORM_ENCR, ENCR_AES_CBC, 128);
	push(p, TRANSFORM_INTEG, INTEG_NONE, 0);
	push(p, TRANSFORM_ESN, ESN_NO, 0);
	assert_false(proposal_select(&ours, &offer, true, &chosen, &suite));
}

/* RFC 7296 3.3.6: a transform with an attribute that we don't know costs itself alone. */
static void test_unusable_transforms(void **state)
{
	struct proposal_list ours = parse(IKE, "default"), offer = {.n = 1};
	struct proposal *p = &offer.p[0], chosen;
	struct suite suite;

	(void)state;
	*p = (struct proposal){.protocol = IKE, .number = 1};
	push(p, TRANSFORM_ENCR, ENCR_AES_GCM_16, TRANSFORM_KEY_UNUSABLE);
	push(p, TRANSFORM_PRF, PRF_HMAC_SHA2_512, TRANSFORM_KEY_UNUSABLE);
	push(p, TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0);
	push(p, TRANSFORM_KE, KE_CURVE25519, TRANSFORM_KEY_UNUSABLE);
	push(p, TRANSFORM_KE, KE_ECP_256, 0);
	assert_false(proposal_select(&ours, &offer, false, &chosen, &suite));
	push(p, TRANSFORM_ENCR, ENCR_AES_GCM_16, 256);
	assert_true(proposal_select(&ours, &offer, false, &chosen, &suite));
	assert_int_equal(suite.encr->key_bits, 256);
	assert_int_equal(suite.prf->id, PRF_HMAC_SHA2_256);
	assert_int_equal(suite.ke->id, KE_ECP_256);
	/* An only transform of its type can't be left out. */
	p->transforms[p->n_transforms - 2].key_bits = TRANSFORM_KEY_UNUSABLE;
	assert_false(proposal_select(&ours, &offer, false, &chosen, &suite));
}

static void test_hostile_answers(void **state)
{
	struct proposal_list ours = parse(IKE, "aes128gcm16-prfsha256-x25519-ecp256");
	struct proposal answer = {.protocol = IKE, .number = 1};
	struct suite suite;

	(void)state;
	push(&answer, TRANSFORM_ENCR, ENCR_AES_GCM_16, 128);
	push(&answer, TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0);
	assert_false(proposal_accept(&ours, &answer, false, &suite));
	push(&answer, TRANSFORM_KE, KE_ECP_256, 0);
	assert_true(proposal_accept(&ours, &answer, false, &suite));
	assert_int_equal(suite.ke->id, KE_ECP_256);
	push(&answer, TRANSFORM_KE, KE_CURVE25519, 0); /* two of a type */
	assert_false(proposal_accept(&ours, &answer, false, &suite));
	ours = parse(ESP, "aes128gcm16"); /* a KE that we did not offer */
	answer = (struct proposal){.protocol = ESP};
	push(&answer, TRANSFORM_ENCR, ENCR_AES_GCM_16, 128);
	push(&answer, TRANSFORM_ESN, ESN_NO, 0);
	push(&answer, TRANSFORM_KE, KE_CURVE25519, 0);
	assert_false(proposal_accept(&ours, &answer, false, &suite));
}

static void test_defaults(void **state)
{
	struct proposal_list l;
	char text[PROPOSAL_TEXT];

	(void)state;
	proposal_list_default(IKE, &l);
	assert_int_equal(l.n, 2);
	assert_int_equal(proposal_first_ke(&l)->id, KE_CURVE25519);
	assert_true(proposal_list_has_ke(&l, KE_MODP_4096));
	for (unsigned i = 0; i < l.n; i++)
		assert_true(strlen(proposal_format(&l.p[i], text)) < PROPOSAL_TEXT - 1);
	proposal_list_default(ESP, &l);
	assert_int_equal(l.n, 2);
	assert_null(proposal_first_ke(&l));
	assert_true(proposal_list_equal(&l, &l));
}

/* ---- filter: a plane without ChaCha20, SHA2-384 and extended sequence numbers ---- */

static bool plane_can(void *ctx, const struct transform *encr, uint16_t integ, bool esn)
{
	(void)ctx;
	return encr->id != ENCR_CHACHA20_POLY1305 && integ != INTEG_HMAC_SHA2_384_192 && !esn;
}

static void count_dropped(void *ctx, const struct transform *t)
{
	unsigned *n = ctx;

	n[t->type]++;
}

static void filtered(const char *words, const char *left, unsigned encr, unsigned integ,
		     unsigned esn)
{
	unsigned dropped[TRANSFORM_ESN + 1] = {0};
	struct proposal_filter filter = {plane_can, count_dropped, dropped};
	char text[PROPOSAL_LIST_MAX * PROPOSAL_TEXT];
	struct proposal_list l = {0};
	size_t at, len;

	assert_int_equal(proposal_list_parse(ESP, words, &l, &at, &len), PROPOSAL_OK);
	proposal_list_filter(&l, &filter);
	assert_string_equal(proposal_list_format(&l, text, sizeof(text)), left);
	assert_int_equal(dropped[TRANSFORM_ENCR], encr);
	assert_int_equal(dropped[TRANSFORM_INTEG], integ);
	assert_int_equal(dropped[TRANSFORM_ESN], esn);
}

static void test_filter(void **state)
{
	(void)state;
	filtered("aes128gcm16", "ESP:AES_GCM_16_128/NO_EXT_SEQ", 0, 0, 0);
	filtered("chacha20poly1305,aes128gcm16", "ESP:AES_GCM_16_128/NO_EXT_SEQ", 1, 0, 1);
	filtered("chacha20poly1305-aes128gcm16-x25519", "ESP:AES_GCM_16_128/CURVE_25519/NO_EXT_SEQ",
		 1, 0, 0);
	filtered("aes128-sha384-sha256-noesn-esn", "ESP:AES_CBC_128/HMAC_SHA2_256_128/NO_EXT_SEQ",
		 0, 1, 1);
	filtered("aes128-sha384", "", 1, 1, 1);
	filtered("aes128gcm16-esn,chacha20poly1305", "", 2, 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_all_words),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_select_pfs),
		cmocka_unit_test(test_hostile_offers),
		cmocka_unit_test(test_unusable_transforms),
		cmocka_unit_test(test_hostile_answers),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
