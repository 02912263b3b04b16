/* Lookups by flow: owns which of two flows that fall on one place stays, the later one. */
#include "ipsecd/dataplane/match.h"

struct match_flow *match_find(struct match *m, const void *by, const struct inner *flow)
{
	uint32_t h = (uint32_t)(uintptr_t)by >> 6, word;

	for (unsigned i = 0; i < 16; i += 4) {
		memcpy(&word, flow->src.bytes + i, 4);
		h = (h ^ word) * 0x9e3779b1u;
		memcpy(&word, flow->dst.bytes + i, 4);
		h = (h ^ word) * 0x9e3779b1u;
	}
	h = (h ^ flow->src_port ^ (uint32_t)flow->dst_port << 16) * 0x9e3779b1u;
	return &m->flows[(h >> 16) % MATCH_FLOWS];
}

static bool same_flow(const struct inner *a, const struct inner *b)
{
	return a->src_port == b->src_port && a->dst_port == b->dst_port &&
	       a->protocol == b->protocol && a->opaque == b->opaque &&
	       memcmp(&a->src, &b->src, sizeof(a->src)) == 0 &&
	       memcmp(&a->dst, &b->dst, sizeof(a->dst)) == 0;
}

bool match_found(const struct match_flow *f, uint64_t generation, const void *by,
		 const struct inner *flow)
{
	return f->by == by && f->generation == generation && same_flow(&f->flow, flow);
}

void match_keep(struct match_flow *f, uint64_t generation, const void *by, const struct inner *flow,
		struct sa *sa)
{
	*f = (struct match_flow){.by = by, .generation = generation, .flow = *flow, .sa = sa};
}
