/* Shared secrets: owners, matching, cleansing. Knows neither files nor vici. */
#include "ipsecd/model/secret.h"

#include <stdlib.h>

/* Classes of ipsec.secrets(5), each above all of the one before. */
enum { CLASS_NO_OWNER = 1, CLASS_OWN = 2, CLASS_PEER = 3, CLASS_BOTH = 4 };
#define CLASS_SHIFT 12

struct secret *secret_new(const char *unique, enum secret_kind kind, struct span data)
{
	struct secret *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->kind = kind;
	s->unique = strdup(unique);
	s->data = malloc(data.len ? data.len : 1);
	if (!s->unique || !s->data) {
		secret_free(s);
		return NULL;
	}
	s->len = data.len;
	if (data.len)
		memcpy(s->data, data.ptr, data.len);
	return s;
}

bool secret_add_owner(struct secret *s, const struct id *owner)
{
	struct id *owners;

	if (s->n_owners == UINT16_MAX)
		return false;
	owners = reallocarray(s->owners, s->n_owners + 1u, sizeof(*owners));
	if (!owners)
		return false;
	s->owners = owners;
	owners[s->n_owners++] = *owner;
	return true;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	if (s->data)
		explicit_bzero(s->data, s->len);
	free(s->data);
	free(s->owners);
	free(s->unique);
	free(s);
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	if (a->kind != b->kind || strcmp(a->unique, b->unique) != 0 || a->n_owners != b->n_owners ||
	    a->held != b->held || !span_equal(span_of(a->data, a->len), span_of(b->data, b->len)))
		return false;
	for (unsigned i = 0; i < a->n_owners; i++) {
		if (!id_equal(&a->owners[i], &b->owners[i]))
			return false;
	}
	return true;
}

/* The best match of any owner with one end, by its identity or, less by `rank`, its address. */
static unsigned match_end(const struct secret *s, const struct id *id, const struct addr *addr,
			  unsigned rank)
{
	unsigned best = 0;
	struct id host;

	for (unsigned i = 0; i < s->n_owners; i++) {
		unsigned m = id ? id_match(&s->owners[i], id) : 0;

		if (m > best)
			best = m;
		if (!addr || !addr_size(addr->family))
			continue;
		id_from_addr(addr, &host);
		m = id_match(&s->owners[i], &host);
		m = m > rank ? m - rank : m;
		if (m > best)
			best = m;
	}
	return best;
}

/* A secret with several owners is for the peers among them: that our own name is
 * in the list does not open it to a peer that is not. Before the peer's identity is
 * known, our own name is enough. */
unsigned secret_match(const struct secret *s, const struct id *local, const struct id *remote,
		      const struct addr *local_addr, const struct addr *remote_addr)
{
	unsigned own, peer, class;

	if (s->n_owners == 0)
		return CLASS_NO_OWNER << CLASS_SHIFT;
	/* Identities say more than addresses, and the peer's more than ours. */
	own = match_end(s, local, local_addr, 1);
	peer = match_end(s, remote, remote_addr, 2);
	if (own == 0 && peer == 0)
		return 0;
	if (peer == 0 && s->n_owners > 1 && remote && remote->type != ID_ANY)
		return 0;
	class = own && peer ? CLASS_BOTH : peer ? CLASS_PEER : CLASS_OWN;
	return (class << CLASS_SHIFT) + own + peer;
}

bool secret_names_peer(unsigned rank)
{
	return rank >> CLASS_SHIFT >= CLASS_PEER;
}
