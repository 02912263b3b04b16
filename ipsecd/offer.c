/* What the data plane can't do is not offered: it would be negotiated, and then refused by
 * the install, again and again. Said once per algorithm. */
#include "ipsecd/offer.h"

#include <stdio.h>

static bool usable(void *ctx, const struct transform *encr, uint16_t integ, bool esn)
{
	const struct offer *o = ctx;

	return o->ops->supports(o->plane, encr->id, encr->key_bits, integ, esn);
}

static bool cipher_works(const struct offer *o, const struct algorithm_encr *encr, bool esn)
{
	const struct algorithm_integ *integ;

	if (encr->icv_len)
		return o->ops->supports(o->plane, encr->id, encr->key_bits, INTEG_NONE, esn);
	for (unsigned i = 0; (integ = algorithm_integ_at(i)) != NULL; i++) {
		if (o->ops->supports(o->plane, encr->id, encr->key_bits, integ->id, esn))
			return true;
	}
	return false;
}

static bool integrity_works(const struct offer *o, uint16_t integ)
{
	const struct algorithm_encr *encr;

	for (unsigned i = 0; (encr = algorithm_encr_at(i)) != NULL; i++) {
		if (!encr->icv_len &&
		    o->ops->supports(o->plane, encr->id, encr->key_bits, integ, false))
			return true;
	}
	return false;
}

static bool numbers_work(const struct offer *o, bool esn)
{
	const struct algorithm_encr *encr;

	for (unsigned i = 0; (encr = algorithm_encr_at(i)) != NULL; i++) {
		if (cipher_works(o, encr, esn))
			return true;
	}
	return false;
}

/* Is it this one that the plane lacks, or only what stood beside it in the proposal? */
static bool lacks(const struct offer *o, const struct transform *t)
{
	const struct algorithm_encr *encr = algorithm_encr(t->id, t->key_bits);

	if (t->type == TRANSFORM_ENCR)
		return encr && !cipher_works(o, encr, false);
	if (t->type == TRANSFORM_INTEG)
		return !integrity_works(o, t->id);
	return !numbers_work(o, t->id == ESN_YES);
}

static bool said(struct offer *o, const struct transform *t)
{
	for (unsigned i = 0; i < o->n_said; i++) {
		const struct transform *s = &o->said[i];

		if (s->type == t->type && s->id == t->id && s->key_bits == t->key_bits)
			return true;
	}
	if (o->n_said < OFFER_SAID_MAX)
		o->said[o->n_said++] = *t;
	return false;
}

static void dropped(void *ctx, const struct transform *t)
{
	struct offer *o = ctx;
	char name[32];

	if (lacks(o, t) && !said(o, t))
		log_to(o->log, LOG_LEVEL_NOTICE, "tun", "",
		       "the %s data plane has no %s here: not offered", o->ops->name,
		       algorithm_format(t->type, t->id, t->key_bits, name));
}

bool offer_limit(struct offer *o, struct conn *conn, char *why, size_t size)
{
	const struct proposal_filter filter = {usable, dropped, o};

	for (uint16_t i = 0; o->ops->supports && i < conn->n_children; i++) {
		struct child_config *child = &conn->children[i];
		struct proposal_list l = *child->proposals;
		char text[PROPOSAL_TEXT];

		proposal_list_filter(&l, &filter);
		if (!l.n && child->proposals->n) /* who asks again gets the same answer */
			snprintf(why, size, "child '%s': the %s data plane can do none of %s",
				 child->name, o->ops->name,
				 proposal_list_format(child->proposals, text, sizeof(text)));
		else if (!proposals_set(&child->proposals, &l))
			snprintf(why, size, "out of memory");
		else
			continue;
		return false;
	}
	return true;
}

/* ---- what has no effect ---- */

static void name(char *list, size_t size, bool given, const char *word)
{
	size_t n = strlen(list);

	if (given)
		snprintf(list + n, size - n, "%s%s", n ? ", " : "", word);
}

static bool any_child(const struct conn *conn, bool (*has)(const struct child_flags *f))
{
	for (uint16_t i = 0; i < conn->n_children; i++) {
		if (has(&conn->children[i].flags))
			return true;
	}
	return false;
}

static bool sets_mark(const struct child_flags *f)
{
	return f->set_mark_in_mask || f->set_mark_out_mask;
}

static bool wants_card(const struct child_flags *f)
{
	return f->offload == CHILD_OFFLOAD_YES;
}

void offer_say_unused(const struct offer *o, const struct conn *conn)
{
	const struct tunnel_config *t = &conn->tunnel;
	char list[160] = "";

	if (!o->ops->plain)
		return;
	name(list, sizeof(list), t->keyed, "marks and interface ids");
	name(list, sizeof(list), t->kind != DEVICE_AUTO, "the kind of device");
	name(list, sizeof(list), any_child(conn, sets_mark), "set-mark");
	name(list, sizeof(list), any_child(conn, wants_card), "nic-offload");
	if (list[0])
		log_to(o->log, LOG_LEVEL_WARN, "tun", conn->name,
		       "without effect on the %s data plane: %s", o->ops->name, list);
	if (t->external)
		log_to(o->log, LOG_LEVEL_WARN, "tun", conn->name,
		       "the %s data plane can't use a script's device and makes one: %s",
		       o->ops->name, t->name);
}
