/* Proposals from the words of configurations, strongSwan's and libreswan's. Pure. */
#include "ipsecd/model/proposal.h"

#include <string.h>
#include <strings.h>

#define SEPARATORS "-+;"

struct word {
	const char *text;
	struct transform t;
};

static const struct word words[] = {
	{"aes128gcm16", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128}},
	{"aes256gcm16", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256}},
	{"aes128gcm", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128}},
	{"aes256gcm", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256}},
	{"aes128gcm128", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128}},
	{"aes256gcm128", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256}},
	{"aes_gcm128", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128}},
	{"aes_gcm256", {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256}},
	{"chacha20poly1305", {TRANSFORM_ENCR, ENCR_CHACHA20_POLY1305, 0}},
	{"chacha20_poly1305", {TRANSFORM_ENCR, ENCR_CHACHA20_POLY1305, 0}},
	{"aes", {TRANSFORM_ENCR, ENCR_AES_CBC, 128}},
	{"aes128", {TRANSFORM_ENCR, ENCR_AES_CBC, 128}},
	{"aes256", {TRANSFORM_ENCR, ENCR_AES_CBC, 256}},
	{"aes_cbc128", {TRANSFORM_ENCR, ENCR_AES_CBC, 128}},
	{"aes_cbc256", {TRANSFORM_ENCR, ENCR_AES_CBC, 256}},
	{"sha256", {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0}},
	{"sha384", {TRANSFORM_INTEG, INTEG_HMAC_SHA2_384_192, 0}},
	{"sha512", {TRANSFORM_INTEG, INTEG_HMAC_SHA2_512_256, 0}},
	{"sha2_256", {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0}},
	{"sha2_384", {TRANSFORM_INTEG, INTEG_HMAC_SHA2_384_192, 0}},
	{"sha2_512", {TRANSFORM_INTEG, INTEG_HMAC_SHA2_512_256, 0}},
	{"sha2", {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0}},
	{"prfsha256", {TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0}},
	{"prfsha384", {TRANSFORM_PRF, PRF_HMAC_SHA2_384, 0}},
	{"prfsha512", {TRANSFORM_PRF, PRF_HMAC_SHA2_512, 0}},
	{"x25519", {TRANSFORM_KE, KE_CURVE25519, 0}},
	{"curve25519", {TRANSFORM_KE, KE_CURVE25519, 0}},
	{"dh31", {TRANSFORM_KE, KE_CURVE25519, 0}},
	{"ecp256", {TRANSFORM_KE, KE_ECP_256, 0}},
	{"ecp384", {TRANSFORM_KE, KE_ECP_384, 0}},
	{"ecp521", {TRANSFORM_KE, KE_ECP_521, 0}},
	{"dh19", {TRANSFORM_KE, KE_ECP_256, 0}},
	{"dh20", {TRANSFORM_KE, KE_ECP_384, 0}},
	{"dh21", {TRANSFORM_KE, KE_ECP_521, 0}},
	{"modp2048", {TRANSFORM_KE, KE_MODP_2048, 0}},
	{"modp3072", {TRANSFORM_KE, KE_MODP_3072, 0}},
	{"modp4096", {TRANSFORM_KE, KE_MODP_4096, 0}},
	{"dh14", {TRANSFORM_KE, KE_MODP_2048, 0}},
	{"dh15", {TRANSFORM_KE, KE_MODP_3072, 0}},
	{"dh16", {TRANSFORM_KE, KE_MODP_4096, 0}},
	{"modpnone", {TRANSFORM_KE, KE_NONE, 0}},
	{"esn", {TRANSFORM_ESN, ESN_YES, 0}},
	{"noesn", {TRANSFORM_ESN, ESN_NO, 0}},
};

#define N_WORDS (sizeof(words) / sizeof(words[0]))

const char *const *proposal_words(void)
{
	static const char *list[N_WORDS + 1];

	/* Every call writes the same values. */
	for (size_t i = 0; i < N_WORDS; i++)
		list[i] = words[i].text;
	return list;
}

const char *proposal_strerror(enum proposal_error e)
{
	switch (e) {
	case PROPOSAL_OK:
		return "no error";
	case PROPOSAL_UNKNOWN_WORD:
		return "unknown algorithm";
	case PROPOSAL_EMPTY:
		return "empty proposal";
	case PROPOSAL_NO_ENCR:
		return "the proposal names no cipher";
	case PROPOSAL_NO_INTEG:
		return "this cipher needs an integrity algorithm (sha256, sha384, sha512)";
	case PROPOSAL_INTEG_WITH_AEAD_ONLY:
		return "an integrity algorithm has no use here: every cipher is an AEAD";
	case PROPOSAL_NO_KE:
		return "the proposal names no key exchange group (x25519, ecp256, modp2048...)";
	case PROPOSAL_TOO_MANY:
		return "too many algorithms or proposals";
	case PROPOSAL_MIXED_AEAD:
		return "AEAD and other ciphers need proposals of their own (RFC 7296 3.3)";
	case PROPOSAL_WRONG_PROTOCOL:
		return "this algorithm has no place in a proposal of this protocol";
	}
	return "unknown error";
}

static const struct word *find_word(const char *text, size_t len)
{
	for (size_t i = 0; i < N_WORDS; i++) {
		if (strlen(words[i].text) == len && strncasecmp(words[i].text, text, len) == 0)
			return &words[i];
	}
	return NULL;
}

static bool has_place(enum proposal_protocol protocol, const struct transform *t)
{
	if (protocol == PROTOCOL_IKE)
		return t->type != TRANSFORM_ESN && !(t->type == TRANSFORM_KE && t->id == KE_NONE);
	return t->type != TRANSFORM_PRF;
}

static bool add(struct proposal *p, const struct transform *t)
{
	for (unsigned i = 0; i < p->n_transforms; i++) {
		const struct transform *x = &p->transforms[i];

		if (x->type == t->type && x->id == t->id && x->key_bits == t->key_bits)
			return true;
	}
	if (p->n_transforms == PROPOSAL_TRANSFORMS_MAX)
		return false;
	p->transforms[p->n_transforms++] = *t;
	return true;
}

static unsigned count(const struct proposal *p, uint8_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_transforms; i++)
		n += p->transforms[i].type == type;
	return n;
}

static unsigned count_aead(const struct proposal *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_transforms; i++) {
		const struct transform *t = &p->transforms[i];
		const struct algorithm_encr *encr = algorithm_encr(t->id, t->key_bits);

		n += t->type == TRANSFORM_ENCR && encr && encr->icv_len;
	}
	return n;
}

static uint16_t prf_of_integ(uint16_t integ)
{
	switch (integ) {
	case INTEG_HMAC_SHA2_384_192:
		return PRF_HMAC_SHA2_384;
	case INTEG_HMAC_SHA2_512_256:
		return PRF_HMAC_SHA2_512;
	default:
		return PRF_HMAC_SHA2_256;
	}
}

/* Without a PRF word the integrity words name the PRFs, without those all PRFs do. */
static void add_prfs(struct proposal *p)
{
	unsigned n = p->n_transforms;

	for (unsigned i = 0; i < n; i++) {
		if (p->transforms[i].type == TRANSFORM_INTEG)
			add(p, &(struct transform){.type = TRANSFORM_PRF,
						   .id = prf_of_integ(p->transforms[i].id)});
	}
	for (unsigned i = 0; p->n_transforms == n && i < 3; i++)
		add(p, &(struct transform){.type = TRANSFORM_PRF,
					   .id = (uint16_t)(PRF_HMAC_SHA2_256 + i)});
}

static void drop_type(struct proposal *p, uint8_t type)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < p->n_transforms; i++) {
		if (p->transforms[i].type != type)
			p->transforms[kept++] = p->transforms[i];
	}
	p->n_transforms = (uint8_t)kept;
}

/* Adds what the words left out and refuses what does not fit together. */
static enum proposal_error complete(struct proposal *p)
{
	unsigned encr = count(p, TRANSFORM_ENCR), aead = count_aead(p);
	bool ike = p->protocol == PROTOCOL_IKE, prf_from_integ = ike && !count(p, TRANSFORM_PRF);

	if (encr == 0)
		return PROPOSAL_NO_ENCR;
	if (aead && aead != encr)
		return PROPOSAL_MIXED_AEAD;
	if (!aead && !count(p, TRANSFORM_INTEG))
		return PROPOSAL_NO_INTEG;
	if (aead && count(p, TRANSFORM_INTEG) && !prf_from_integ)
		return PROPOSAL_INTEG_WITH_AEAD_ONLY;
	if (ike && !count(p, TRANSFORM_KE))
		return PROPOSAL_NO_KE;
	if (p->n_transforms + 4u > PROPOSAL_TRANSFORMS_MAX)
		return PROPOSAL_TOO_MANY;
	if (prf_from_integ)
		add_prfs(p);
	if (aead)
		drop_type(p, TRANSFORM_INTEG);
	if (!ike && !count(p, TRANSFORM_ESN))
		add(p, &(struct transform){.type = TRANSFORM_ESN, .id = ESN_NO});
	return PROPOSAL_OK;
}

/* The proposal in text[*at .. *at + *len]; on error they mark the word. */
static enum proposal_error parse(enum proposal_protocol protocol, const char *text,
				 struct proposal *out, size_t *at, size_t *len)
{
	size_t start = *at, end = *at + *len;
	struct proposal p = {.protocol = (uint8_t)protocol};
	enum proposal_error e;

	if (start == end)
		return PROPOSAL_EMPTY;
	for (size_t i = start; i <= end; i++) {
		const struct word *w;
		size_t n = strcspn(text + i, SEPARATORS);

		n = n > end - i ? end - i : n;
		w = find_word(text + i, n);
		*at = i;
		*len = n;
		if (!w)
			return PROPOSAL_UNKNOWN_WORD;
		if (!has_place(protocol, &w->t))
			return PROPOSAL_WRONG_PROTOCOL;
		if (!add(&p, &w->t))
			return PROPOSAL_TOO_MANY;
		i += n;
	}
	*at = start;
	*len = end - start;
	e = complete(&p);
	if (e == PROPOSAL_OK)
		*out = p;
	return e;
}

enum proposal_error proposal_parse(enum proposal_protocol protocol, const char *text,
				   struct proposal *out, size_t *at, size_t *len)
{
	*at = 0;
	*len = strlen(text);
	return parse(protocol, text, out, at, len);
}

/* Cuts blanks off both ends of text[*at .. *at + *len]. */
static void trim(const char *text, size_t *at, size_t *len)
{
	while (*len && strchr(" \t", text[*at])) {
		(*at)++;
		(*len)--;
	}
	while (*len && strchr(" \t", text[*at + *len - 1]))
		(*len)--;
}

static enum proposal_error append(enum proposal_protocol protocol, const char *text,
				  struct proposal_list *l, size_t *at, size_t *len)
{
	bool is_default = *len == 7 && strncasecmp(text + *at, "default", *len) == 0;
	struct proposal_list defaults;

	if (l->n + (is_default ? 2u : 1u) > PROPOSAL_LIST_MAX)
		return PROPOSAL_TOO_MANY;
	if (!is_default) {
		enum proposal_error e = parse(protocol, text, &l->p[l->n], at, len);

		l->n += e == PROPOSAL_OK;
		return e;
	}
	proposal_list_default(protocol, &defaults);
	for (unsigned i = 0; i < defaults.n; i++)
		l->p[l->n++] = defaults.p[i];
	return PROPOSAL_OK;
}

enum proposal_error proposal_list_parse(enum proposal_protocol protocol, const char *text,
					struct proposal_list *out, size_t *at, size_t *len)
{
	struct proposal_list l = {0};
	size_t pos = 0, end = strlen(text);

	if (end && text[end - 1] == '!')
		end--;
	for (; pos <= end; pos++) {
		enum proposal_error e;
		size_t n = strcspn(text + pos, ",");

		n = n > end - pos ? end - pos : n;
		*at = pos;
		*len = n;
		trim(text, at, len);
		e = append(protocol, text, &l, at, len);
		if (e != PROPOSAL_OK)
			return e;
		pos += n;
	}
	*out = l;
	return PROPOSAL_OK;
}
