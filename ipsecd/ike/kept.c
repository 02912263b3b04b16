/* Copies that are as long as their content. */
#include "ipsecd/ike/kept.h"

#include <stdlib.h>

/* ---- identities and selectors ---- */

static bool put(void **to, const void *from, size_t n)
{
	void *copy = n ? malloc(n) : NULL;

	if (n && !copy)
		return false;
	if (n)
		memcpy(copy, from, n);
	free(*to);
	*to = copy;
	return true;
}

bool kept_id(struct id **to, const struct id *id)
{
	size_t n = id && id->type != ID_ANY ? offsetof(struct id, data) + id->len : 0;
	void *kept = *to;
	bool ok = put(&kept, id, n);

	*to = kept;
	return ok;
}

bool kept_ts(const struct ts_list **to, const struct ts_list *list)
{
	size_t n = list ? offsetof(struct ts_list, ts) + list->n * sizeof(list->ts[0]) : 0;
	void *kept = (void *)(uintptr_t)*to;
	bool ok = put(&kept, list, n);

	*to = kept;
	return ok;
}

/* ---- keys of an IKE_SA ---- */

static size_t key_len(const struct kept_keys *k, enum sk_kind kind)
{
	switch (kind) {
	case SK_D:
		return k->d_len;
	case SK_AI:
	case SK_AR:
		return k->a_len;
	case SK_EI:
	case SK_ER:
		return k->e_len;
	default:
		return k->p_len;
	}
}

static size_t key_at(const struct kept_keys *k, enum sk_kind kind)
{
	size_t at = 0;

	for (unsigned i = 0; i < (unsigned)kind; i++)
		at += key_len(k, (enum sk_kind)i);
	return at;
}

/* Where the plain struct has it. */
static uint8_t *plain_key(struct ike_keys *k, enum sk_kind kind)
{
	uint8_t *const all[SK_KINDS] = {k->d, k->ai, k->ar, k->ei, k->er, k->pi, k->pr};

	return all[kind];
}

bool kept_keys(struct kept_keys **to, const struct ike_keys *keys)
{
	const struct kept_keys lens = {.d_len = keys->d_len,
				       .a_len = keys->a_len,
				       .e_len = keys->e_len,
				       .p_len = keys->p_len};
	struct kept_keys *k = malloc(sizeof(*k) + key_at(&lens, SK_KINDS));

	if (!k)
		return false;
	*k = lens;
	for (unsigned i = 0; i < SK_KINDS; i++)
		memcpy(k->bytes + key_at(k, (enum sk_kind)i),
		       plain_key((struct ike_keys *)(uintptr_t)keys, (enum sk_kind)i),
		       key_len(k, (enum sk_kind)i));
	kept_keys_free(*to);
	*to = k;
	return true;
}

void kept_keys_drop_auth(struct kept_keys **keys)
{
	struct kept_keys *k = *keys, *shorter;
	size_t n;

	if (!k || !k->p_len)
		return;
	n = sizeof(*k) + key_at(k, SK_PI);
	shorter = malloc(n);
	if (!shorter)
		return;
	memcpy(shorter, k, n);
	shorter->p_len = 0;
	kept_keys_free(k);
	*keys = shorter;
}

struct span kept_key(const struct kept_keys *keys, enum sk_kind kind)
{
	return keys ? span_of(keys->bytes + key_at(keys, kind), key_len(keys, kind))
		    : span_of(NULL, 0);
}

void kept_keys_get(const struct kept_keys *keys, struct ike_keys *out)
{
	*out = (struct ike_keys){0};
	if (!keys)
		return;
	out->d_len = keys->d_len;
	out->a_len = keys->a_len;
	out->e_len = keys->e_len;
	out->p_len = keys->p_len;
	for (unsigned i = 0; i < SK_KINDS; i++)
		memcpy(plain_key(out, (enum sk_kind)i), keys->bytes + key_at(keys, (enum sk_kind)i),
		       key_len(keys, (enum sk_kind)i));
}

void kept_keys_free(struct kept_keys *keys)
{
	if (keys)
		explicit_bzero(keys->bytes, key_at(keys, SK_KINDS));
	free(keys);
}

/* ---- keys of a CHILD_SA ---- */

static size_t child_size(const struct kept_child_keys *k)
{
	return 2 * ((size_t)k->encr_len + k->integ_len);
}

bool kept_child_keys(struct kept_child_keys **to, const struct child_keys *in,
		     const struct child_keys *out)
{
	const struct kept_child_keys lens = {.encr_len = in->encr_len, .integ_len = in->integ_len};
	struct kept_child_keys *k = malloc(sizeof(*k) + child_size(&lens));
	uint8_t *at;

	if (!k)
		return false;
	*k = lens;
	at = k->bytes;
	memcpy(at, in->encr, lens.encr_len);
	memcpy(at + lens.encr_len, in->integ, lens.integ_len);
	at += lens.encr_len + lens.integ_len;
	memcpy(at, out->encr, lens.encr_len);
	memcpy(at + lens.encr_len, out->integ, lens.integ_len);
	kept_child_keys_free(*to);
	*to = k;
	return true;
}

static void get(const struct kept_child_keys *k, const uint8_t *at, struct child_keys *out)
{
	out->encr_len = k->encr_len;
	out->integ_len = k->integ_len;
	memcpy(out->encr, at, k->encr_len);
	memcpy(out->integ, at + k->encr_len, k->integ_len);
}

void kept_child_keys_get(const struct kept_child_keys *keys, struct child_keys *in,
			 struct child_keys *out)
{
	*in = *out = (struct child_keys){0};
	if (!keys)
		return;
	get(keys, keys->bytes, in);
	get(keys, keys->bytes + keys->encr_len + keys->integ_len, out);
}

void kept_child_keys_free(struct kept_child_keys *keys)
{
	if (keys)
		explicit_bzero(keys->bytes, child_size(keys));
	free(keys);
}
