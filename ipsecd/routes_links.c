/* The tunnels that routes go by: each knows its CHILD_SAs, so that a link that changes settles
 * their places alone. */
#include "ipsecd/routes_parts.h"

#include <stdlib.h>
#include <utlist.h>

static const struct table_shape by_tunnel = TABLE_SHAPE(struct via, in_vias, tunnel);

static struct via *via_of(struct routes *r, uint32_t tunnel, bool make)
{
	struct via *v = table_find(&r->vias, &by_tunnel, &tunnel);

	return v || !make ? v : table_make(&r->vias, &by_tunnel, sizeof(*v), &tunnel);
}

static void drop_unused(struct routes *r, struct via *v)
{
	if (v->ifindex || v->children)
		return;
	table_remove(&r->vias, &by_tunnel, v);
	free(v);
}

int routes_ifindex(const struct routes *r, uint32_t tunnel)
{
	const struct via *v = table_find(&r->vias, &by_tunnel, &tunnel);

	return v ? v->ifindex : 0;
}

bool routes_links_join(struct routes *r, struct owner *child)
{
	struct via *v = via_of(r, child->tunnel, true);

	if (v)
		DL_PREPEND2(v->children, child, via_prev, via_next);
	return v != NULL;
}

void routes_links_leave(struct routes *r, struct owner *child)
{
	struct via *v = via_of(r, child->tunnel, false);

	if (!v)
		return;
	DL_DELETE2(v->children, child, via_prev, via_next);
	drop_unused(r, v);
}

static void settle_children(struct routes *r, const struct via *v)
{
	const struct owner *o;
	struct claim *c;

	DL_FOREACH2 (v->children, o, via_next)
		LL_FOREACH2 (o->claims, c, owner_next)
			routes_settle_place(r, c->place);
}

void routes_link(struct routes *r, uint32_t tunnel, int ifindex)
{
	struct via *v = via_of(r, tunnel, ifindex != 0);

	if (!v)
		return;
	if (v->ifindex != ifindex) {
		v->ifindex = ifindex;
		settle_children(r, v);
	}
	drop_unused(r, v);
}

void routes_restore(struct routes *r, uint32_t tunnel)
{
	const struct via *v = via_of(r, tunnel, false);
	const struct owner *o;
	const struct claim *c;

	if (!v || !r->on)
		return;
	DL_FOREACH2 (v->children, o, via_next) {
		LL_FOREACH2 (o->claims, c, owner_next) {
			if (c->kind != CLAIM_VIA || routes_best(r, c->place) != c)
				continue;
			c->place->installed = false;
			routes_settle_place(r, c->place);
		}
	}
}

void routes_links_down(struct routes *r)
{
	struct via *v;

	TABLE_EACH (&r->vias, &by_tunnel, v)
		v->ifindex = 0;
}

void routes_links_free(struct routes *r)
{
	struct via *v, *next;

	for (v = table_first(&r->vias, &by_tunnel); v; v = next) {
		next = table_next(&r->vias, &by_tunnel, v);
		free(v);
	}
	table_free(&r->vias);
}
