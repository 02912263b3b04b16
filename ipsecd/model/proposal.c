/* Proposals: selection, comparison, text. The words of configurations are in
 * proposal_words.c. Pure. RFC 7296 2.7, 3.3; RFC 8247, RFC 8221 for the defaults. */
#include "ipsecd/model/proposal.h"

#include <stdio.h>
#include <string.h>

static const uint8_t ike_types[] = {TRANSFORM_ENCR, TRANSFORM_INTEG, TRANSFORM_PRF, TRANSFORM_KE};
static const uint8_t esp_types[] = {TRANSFORM_ENCR, TRANSFORM_INTEG, TRANSFORM_KE, TRANSFORM_ESN};

#define TYPES 4

static const uint8_t *types_of(uint8_t protocol)
{
	return protocol == PROTOCOL_IKE ? ike_types : esp_types;
}

static void add(struct proposal *p, uint8_t type, uint16_t id, uint16_t key_bits)
{
	p->transforms[p->n_transforms++] =
		(struct transform){.type = type, .id = id, .key_bits = key_bits};
}

/* One proposal of every cipher that is (not) an AEAD, with everything else. */
static void add_default(uint8_t protocol, bool aead, struct proposal_list *out)
{
	struct proposal *p = &out->p[out->n++];

	*p = (struct proposal){.protocol = protocol};
	for (unsigned i = 0; algorithm_encr_at(i); i++) {
		if ((algorithm_encr_at(i)->icv_len != 0) == aead)
			add(p, TRANSFORM_ENCR, algorithm_encr_at(i)->id,
			    algorithm_encr_at(i)->key_bits);
	}
	for (unsigned i = 0; !aead && algorithm_integ_at(i); i++)
		add(p, TRANSFORM_INTEG, algorithm_integ_at(i)->id, 0);
	if (protocol != PROTOCOL_IKE) {
		/* Plain sequence numbers where the choice is ours, extended ones for a
		 * peer that insists on them. */
		add(p, TRANSFORM_ESN, ESN_NO, 0);
		add(p, TRANSFORM_ESN, ESN_YES, 0);
		return;
	}
	for (unsigned i = 0; algorithm_prf_at(i); i++)
		add(p, TRANSFORM_PRF, algorithm_prf_at(i)->id, 0);
	for (unsigned i = 0; algorithm_ke_at(i); i++)
		add(p, TRANSFORM_KE, algorithm_ke_at(i)->id, 0);
}

void proposal_list_default(enum proposal_protocol protocol, struct proposal_list *out)
{
	out->n = 0;
	add_default((uint8_t)protocol, true, out);
	add_default((uint8_t)protocol, false, out);
}

/* ---- looking into proposals ---- */

bool proposal_has(const struct proposal *p, uint8_t type, uint16_t id)
{
	for (unsigned i = 0; i < p->n_transforms; i++) {
		if (p->transforms[i].type == type && p->transforms[i].id == id)
			return true;
	}
	return false;
}

static bool has_transform(const struct proposal *p, const struct transform *t)
{
	for (unsigned i = 0; i < p->n_transforms; i++) {
		const struct transform *x = &p->transforms[i];

		if (x->type == t->type && x->id == t->id && x->key_bits == t->key_bits)
			return true;
	}
	return false;
}

static unsigned count_type(const struct proposal *p, uint8_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_transforms; i++)
		n += p->transforms[i].type == type;
	return n;
}

const struct algorithm_ke *proposal_first_ke(const struct proposal_list *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		for (unsigned j = 0; j < l->p[i].n_transforms; j++) {
			const struct transform *t = &l->p[i].transforms[j];

			if (t->type == TRANSFORM_KE && algorithm_ke(t->id))
				return algorithm_ke(t->id);
		}
	}
	return NULL;
}

bool proposal_list_has_ke(const struct proposal_list *l, uint16_t id)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (proposal_has(&l->p[i], TRANSFORM_KE, id))
			return true;
	}
	return false;
}

static bool proposal_equal(const struct proposal *a, const struct proposal *b)
{
	if (a->protocol != b->protocol || a->n_transforms != b->n_transforms)
		return false;
	for (unsigned i = 0; i < a->n_transforms; i++) {
		const struct transform *x = &a->transforms[i], *y = &b->transforms[i];

		if (x->type != y->type || x->id != y->id || x->key_bits != y->key_bits)
			return false;
	}
	return true;
}

bool proposal_list_equal(const struct proposal_list *a, const struct proposal_list *b)
{
	if (a == b)
		return true;
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		if (!proposal_equal(&a->p[i], &b->p[i]))
			return false;
	}
	return true;
}

/* ---- selection ---- */

/* RFC 7296 3.3.6: a proposal with a transform type that we do not know, or that the
 * protocol does not have, is unacceptable as a whole; so is one that lacks a
 * mandatory type (3.3.3). */
static bool well_formed(const struct proposal *p)
{
	const uint8_t *types = types_of(p->protocol);

	for (unsigned i = 0; i < p->n_transforms; i++) {
		if (!memchr(types, p->transforms[i].type, TYPES))
			return false;
	}
	if (count_type(p, TRANSFORM_ENCR) == 0)
		return false;
	if (p->protocol == PROTOCOL_IKE)
		return count_type(p, TRANSFORM_PRF) && count_type(p, TRANSFORM_KE);
	return count_type(p, TRANSFORM_ESN) != 0;
}

/* The first of our transforms of this type that the peer offers too. */
static const struct transform *common(const struct proposal *ours, const struct proposal *theirs,
				      uint8_t type)
{
	for (unsigned i = 0; i < ours->n_transforms; i++) {
		const struct transform *t = &ours->transforms[i];

		if (t->type == type && has_transform(theirs, t))
			return t;
	}
	return NULL;
}

static bool choose(struct proposal *chosen, const struct transform *t)
{
	if (t)
		chosen->transforms[chosen->n_transforms++] = *t;
	return t != NULL;
}

/* An AEAD goes without an integrity transform or with NONE (RFC 7296 3.3), the
 * other ciphers never do. */
static bool choose_integ(const struct proposal *ours, const struct proposal *theirs,
			 struct proposal *chosen, struct suite *suite)
{
	static const struct transform none = {.type = TRANSFORM_INTEG, .id = INTEG_NONE};
	const struct transform *t;

	if (suite->encr->icv_len) {
		if (has_transform(theirs, &none))
			add(chosen, TRANSFORM_INTEG, INTEG_NONE, 0);
		else if (count_type(theirs, TRANSFORM_INTEG))
			return false;
		return true;
	}
	t = common(ours, theirs, TRANSFORM_INTEG);
	suite->integ = t ? algorithm_integ(t->id) : NULL;
	return suite->integ && choose(chosen, t);
}

/* PFS that only the peer asks for is granted: it costs a key exchange and can't
 * weaken anything (a peer's default may ask for it, libreswan's does). */
static const struct transform *peers_ke(const struct proposal *theirs)
{
	for (unsigned i = 0; i < theirs->n_transforms; i++) {
		const struct transform *t = &theirs->transforms[i];

		if (t->type == TRANSFORM_KE && algorithm_ke(t->id) && t->key_bits == 0)
			return t;
	}
	return NULL;
}

static bool choose_ke(const struct proposal *ours, const struct proposal *theirs,
		      struct proposal *chosen, struct suite *suite)
{
	static const struct transform none = {.type = TRANSFORM_KE, .id = KE_NONE};
	bool esp = ours->protocol == PROTOCOL_ESP;
	const struct transform *t;

	if (count_type(theirs, TRANSFORM_KE) == 0)
		return esp && (count_type(ours, TRANSFORM_KE) == 0 ||
			       proposal_has(ours, TRANSFORM_KE, KE_NONE));
	if (esp && count_type(ours, TRANSFORM_KE) == 0)
		t = has_transform(theirs, &none) ? &none : peers_ke(theirs);
	else
		t = common(ours, theirs, TRANSFORM_KE);
	if (!t || (!esp && t->id == KE_NONE))
		return false;
	suite->ke = algorithm_ke(t->id);
	return choose(chosen, t);
}

static bool choose_rest(const struct proposal *ours, const struct proposal *theirs,
			struct proposal *chosen, struct suite *suite)
{
	uint8_t type = ours->protocol == PROTOCOL_IKE ? TRANSFORM_PRF : TRANSFORM_ESN;
	const struct transform *t = common(ours, theirs, type);

	if (!choose(chosen, t))
		return false;
	if (type == TRANSFORM_ESN) {
		suite->esn = t->id == ESN_YES;
		return true;
	}
	suite->prf = algorithm_prf(t->id);
	return suite->prf != NULL;
}

/* Combines one of our proposals with one of the peer's, our preferences first. */
static bool combine(const struct proposal *ours, const struct proposal *theirs, bool without_ke,
		    struct proposal *chosen, struct suite *suite)
{
	for (unsigned i = 0; i < ours->n_transforms; i++) {
		const struct transform *t = &ours->transforms[i];
		struct proposal p = {.protocol = theirs->protocol, .number = theirs->number};
		struct suite s = {0};

		if (t->type != TRANSFORM_ENCR || !has_transform(theirs, t))
			continue;
		s.encr = algorithm_encr(t->id, t->key_bits);
		if (!s.encr)
			continue;
		choose(&p, t);
		if (choose_integ(ours, theirs, &p, &s) &&
		    (without_ke || choose_ke(ours, theirs, &p, &s)) &&
		    choose_rest(ours, theirs, &p, &s)) {
			*chosen = p;
			*suite = s;
			return true;
		}
	}
	return false;
}

bool proposal_select(const struct proposal_list *ours, const struct proposal_list *offered,
		     bool without_ke, struct proposal *chosen, struct suite *suite)
{
	for (unsigned i = 0; i < offered->n; i++) {
		const struct proposal *theirs = &offered->p[i];

		for (unsigned j = 0; j < ours->n; j++) {
			if (ours->p[j].protocol == theirs->protocol && well_formed(theirs) &&
			    combine(&ours->p[j], theirs, without_ke, chosen, suite))
				return true;
		}
	}
	return false;
}

/* Every transform of the peer's answer is one that we offered: an answer may not
 * add a type (RFC 7296 2.7). */
static bool offered_all(const struct proposal *ours, const struct proposal *chosen)
{
	for (unsigned i = 0; i < chosen->n_transforms; i++) {
		const struct transform *t = &chosen->transforms[i];

		/* NONE says the same as leaving the type out. */
		if (t->type == TRANSFORM_INTEG && t->id == INTEG_NONE)
			continue;
		if (t->type == TRANSFORM_KE && t->id == KE_NONE)
			continue;
		if (!has_transform(ours, t))
			return false;
	}
	return true;
}

bool proposal_accept(const struct proposal_list *ours, const struct proposal *chosen,
		     bool without_ke, struct suite *suite)
{
	struct proposal p;

	for (unsigned t = 1; t <= TRANSFORM_ESN; t++) {
		if (count_type(chosen, (uint8_t)t) > 1)
			return false;
	}
	for (unsigned i = 0; i < ours->n; i++) {
		if (ours->p[i].protocol == chosen->protocol && well_formed(chosen) &&
		    offered_all(&ours->p[i], chosen) &&
		    combine(&ours->p[i], chosen, without_ke, &p, suite))
			return true;
	}
	return false;
}

/* ---- filter ---- */

/* Which transforms of a proposal take part in a usable combination. */
struct survivors {
	const struct proposal *p;
	const struct proposal_filter *filter;
	bool stays[PROPOSAL_TRANSFORMS_MAX];
};

static bool survives_with_esn(struct survivors *s, const struct transform *encr, uint16_t integ)
{
	bool any = false;

	for (unsigned i = 0; i < s->p->n_transforms; i++) {
		const struct transform *t = &s->p->transforms[i];

		if (t->type == TRANSFORM_ESN &&
		    s->filter->usable(s->filter->ctx, encr, integ, t->id == ESN_YES))
			any = s->stays[i] = true;
	}
	return any;
}

static bool survives(struct survivors *s, const struct transform *encr)
{
	const struct algorithm_encr *a = algorithm_encr(encr->id, encr->key_bits);
	bool any = false;

	if (!a || a->icv_len)
		return survives_with_esn(s, encr, INTEG_NONE);
	for (unsigned i = 0; i < s->p->n_transforms; i++) {
		const struct transform *t = &s->p->transforms[i];

		if (t->type == TRANSFORM_INTEG && survives_with_esn(s, encr, t->id))
			any = s->stays[i] = true;
	}
	return any;
}

static bool is_filtered(uint8_t type)
{
	return type == TRANSFORM_ENCR || type == TRANSFORM_INTEG || type == TRANSFORM_ESN;
}

/* false: nothing is left of it. */
static bool filter_proposal(struct proposal *p, const struct proposal_filter *filter)
{
	struct survivors s = {.p = p, .filter = filter};
	bool any = false;
	uint8_t n = 0;

	for (unsigned i = 0; i < p->n_transforms; i++) {
		const struct transform *t = &p->transforms[i];

		if (t->type == TRANSFORM_ENCR && survives(&s, t))
			any = s.stays[i] = true;
	}
	for (unsigned i = 0; i < p->n_transforms; i++) {
		const struct transform t = p->transforms[i];

		if (!is_filtered(t.type) || s.stays[i])
			p->transforms[n++] = t;
		else
			filter->dropped(filter->ctx, &t);
	}
	p->n_transforms = n;
	return any;
}

void proposal_list_filter(struct proposal_list *l, const struct proposal_filter *filter)
{
	uint8_t n = 0;

	for (unsigned i = 0; i < l->n; i++) {
		if (filter_proposal(&l->p[i], filter))
			l->p[n++] = l->p[i];
	}
	l->n = n;
}

/* ---- text ---- */

static const char *protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case PROTOCOL_IKE:
		return "IKE";
	case PROTOCOL_AH:
		return "AH";
	case PROTOCOL_ESP:
		return "ESP";
	default:
		return "PROTOCOL";
	}
}

static size_t append(char *text, size_t at, size_t size, const char *separator, const char *word)
{
	int n;

	if (at >= size)
		return at;
	n = snprintf(text + at, size - at, "%s%s", separator, word);
	return n < 0 ? at : at + (size_t)n;
}

const char *proposal_format(const struct proposal *p, char *text)
{
	size_t at = append(text, 0, PROPOSAL_TEXT, "", protocol_name(p->protocol));
	const uint8_t *types = types_of(p->protocol);
	const char *separator = ":";
	char name[32];

	for (unsigned pass = 0; pass <= TYPES; pass++) {
		for (unsigned i = 0; i < p->n_transforms; i++) {
			const struct transform *t = &p->transforms[i];
			const uint8_t *known = memchr(types, t->type, TYPES);

			/* In the order of types; what has no place there comes last. */
			if (known ? known != types + pass : pass != TYPES)
				continue;
			algorithm_format(t->type, t->id, t->key_bits, name);
			at = append(text, at, PROPOSAL_TEXT, separator, name);
			separator = "/";
		}
	}
	return text;
}

const char *proposal_list_format(const struct proposal_list *l, char *text, size_t size)
{
	char one[PROPOSAL_TEXT];
	size_t at = 0;

	if (size)
		text[0] = '\0';
	for (unsigned i = 0; i < l->n; i++)
		at = append(text, at, size, i ? ", " : "", proposal_format(&l->p[i], one));
	return text;
}

const char *suite_format(enum proposal_protocol protocol, const struct suite *s, char *text)
{
	struct proposal p = {.protocol = (uint8_t)protocol};

	if (s->encr)
		add(&p, TRANSFORM_ENCR, s->encr->id, s->encr->key_bits);
	if (s->integ)
		add(&p, TRANSFORM_INTEG, s->integ->id, 0);
	if (s->prf)
		add(&p, TRANSFORM_PRF, s->prf->id, 0);
	if (s->ke)
		add(&p, TRANSFORM_KE, s->ke->id, 0);
	if (protocol != PROTOCOL_IKE)
		add(&p, TRANSFORM_ESN, s->esn ? ESN_YES : ESN_NO, 0);
	return proposal_format(&p, text);
}
