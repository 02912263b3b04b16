/* Tunnels as they are seen: those that changed, one after the other, or all. */
#include "routed-bridge/tunnels_parts.h"

#include <stdlib.h>
#include <utlist.h>

static bool has_prefix(const struct prefix *list, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_equal(&list[i], p))
			return true;
	}
	return false;
}

static size_t unite(struct prefix *all, size_t n, const struct prefix *more, size_t n_more)
{
	for (size_t i = 0; i < n_more; i++) {
		if (!has_prefix(all, n, &more[i]))
			all[n++] = more[i];
	}
	return n;
}

static void unite_selectors(struct tunnel *tunnel)
{
	const struct child *c;
	struct prefix *all;
	size_t n = 0;

	DL_FOREACH (tunnel->children, c) {
		n += c->n + c->n_vips;
	}
	tunnel->n_union = tunnel->n_vips = 0;
	all = realloc(tunnel->selectors_union, (n ? n : 1) * sizeof(*all));
	if (!all)
		return;
	tunnel->selectors_union = all;
	DL_FOREACH (tunnel->children, c) {
		tunnel->n_union = unite(all, tunnel->n_union, c->selectors, c->n);
	}
	tunnel->vips = all + tunnel->n_union;
	DL_FOREACH (tunnel->children, c) {
		tunnel->n_vips =
			unite(tunnel->vips, tunnel->n_vips, c->selectors + c->n, c->n_vips);
	}
}

static struct tunnel_view view(const struct tunnels *t, struct tunnel *tunnel)
{
	unite_selectors(tunnel);
	return (struct tunnel_view){
		.conn = tunnel->conn,
		.interface = tunnel->interface,
		.loaded = tunnel->listing >= t->complete,
		.dropped = tunnel->dropped,
		.up = tunnel->children && tunnel->link != LINK_DOWN,
		.children = tunnels_count_children(tunnel),
		.cause = tunnel->cause,
		.suspicion = tunnel->suspected == tunnel->suspected_told ? SUSPICION_SAME
			     : tunnel->suspected			 ? SUSPICION_BEGUN
									 : SUSPICION_OVER,
		.suspicion_reason = tunnel->suspicion,
		.peer_host = tunnel->peer_host,
		.peer_id = tunnel->peer_id,
		.n_selectors = tunnel->n_union,
		.selectors = tunnel->selectors_union,
		.n_vips = tunnel->n_vips,
		.vips = tunnel->vips,
	};
}

bool tunnels_changed(struct tunnels *t, struct tunnel_view *out)
{
	struct tunnel *tunnel = t->queue;

	tunnels_free_one(t->told);
	t->told = NULL;
	if (!tunnel)
		return false;
	DL_DELETE(t->queue, tunnel);
	tunnel->changed = false;
	*out = view(t, tunnel);
	tunnel->suspected_told = tunnel->suspected;
	if (tunnel->dropped)
		t->told = tunnel;
	return true;
}

void tunnels_touch(struct tunnels *t, const char *cause)
{
	struct tunnel *tunnel, *next;

	HASH_ITER (hh, t->by_conn, tunnel, next) {
		tunnels_mark(t, tunnel, cause);
	}
}

void tunnels_touch_one(struct tunnels *t, const char *conn, const char *cause)
{
	struct tunnel *tunnel = tunnels_find(t, span_str(conn));

	if (tunnel)
		tunnels_mark(t, tunnel, cause);
}

void tunnels_each(struct tunnels *t, void (*cb)(void *ctx, const char *conn, const char *interface),
		  void *ctx)
{
	struct tunnel *tunnel, *next;

	HASH_ITER (hh, t->by_conn, tunnel, next) {
		cb(ctx, tunnel->conn, tunnel->interface);
	}
}

void tunnels_each_view(struct tunnels *t, void (*cb)(void *ctx, const struct tunnel_view *tunnel),
		       void *ctx)
{
	struct tunnel *tunnel, *next;
	struct tunnel_view v;

	HASH_ITER (hh, t->by_conn, tunnel, next) {
		v = view(t, tunnel);
		cb(ctx, &v);
	}
}
