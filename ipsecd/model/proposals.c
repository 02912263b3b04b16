/* Proposal lists kept once: a table by what is in them, with a count of those who have each. */
#include "ipsecd/model/proposals.h"

#include "lib/table.h"

#include <stdlib.h>
#include <string.h>

struct shared {
	struct table_link in_table;
	uint64_t sum; /* of what is in the list */
	unsigned users;
	struct proposal_list list;
};

static const struct table_shape by_sum = TABLE_SHAPE(struct shared, in_table, sum);
static struct table lists;

/* FNV-1a, a number a step: not for strangers' input, lists are what an administrator wrote. */
static void add(uint64_t *sum, uint64_t value)
{
	*sum = (*sum ^ value) * 1099511628211ull;
}

static uint64_t sum_of(const struct proposal_list *l)
{
	uint64_t sum = 14695981039346656037ull;

	for (unsigned i = 0; i < l->n; i++) {
		const struct proposal *p = &l->p[i];

		add(&sum, (uint64_t)p->protocol << 16 | p->number << 8 | p->n_transforms);
		for (unsigned j = 0; j < p->n_transforms; j++)
			add(&sum, (uint64_t)p->transforms[j].type << 32 |
					  (uint64_t)p->transforms[j].id << 16 |
					  p->transforms[j].key_bits);
	}
	return sum;
}

/* proposal_list_equal leaves the numbers out: on the wire they are the sender's affair. */
static bool same(const struct proposal_list *a, const struct proposal_list *b)
{
	if (!proposal_list_equal(a, b))
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		if (a->p[i].number != b->p[i].number)
			return false;
	}
	return true;
}

static struct shared *find(const struct proposal_list *l, uint64_t sum)
{
	struct shared *s = table_find(&lists, &by_sum, &sum);

	while (s && !same(&s->list, l))
		s = table_same(&by_sum, s);
	return s;
}

static struct shared *make(const struct proposal_list *l, uint64_t sum)
{
	struct shared *s = table_make(&lists, &by_sum, sizeof(*s), &sum);

	if (!s)
		return NULL;
	s->list.n = l->n;
	memcpy(s->list.p, l->p, l->n * sizeof(l->p[0]));
	return s;
}

const struct proposal_list *proposals_share(const struct proposal_list *l)
{
	uint64_t sum = sum_of(l);
	struct shared *s = find(l, sum);

	if (!s)
		s = make(l, sum);
	if (!s)
		return NULL;
	s->users++;
	return &s->list;
}

const struct proposal_list *proposals_share_default(enum proposal_protocol protocol)
{
	struct proposal_list l;

	proposal_list_default(protocol, &l);
	return proposals_share(&l);
}

static struct shared *shared_of(const struct proposal_list *l)
{
	return (struct shared *)((char *)(uintptr_t)l - offsetof(struct shared, list));
}

const struct proposal_list *proposals_again(const struct proposal_list *shared)
{
	shared_of(shared)->users++;
	return shared;
}

void proposals_release(const struct proposal_list *shared)
{
	struct shared *s = shared ? shared_of(shared) : NULL;

	if (!s || --s->users)
		return;
	table_remove(&lists, &by_sum, s);
	free(s);
	if (!lists.n)
		table_free(&lists);
}

bool proposals_set(const struct proposal_list **shared, const struct proposal_list *l)
{
	const struct proposal_list *other = proposals_share(l);

	if (!other)
		return false;
	proposals_release(*shared);
	*shared = other;
	return true;
}
