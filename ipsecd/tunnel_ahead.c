/* Tunnels whose conns are still to come: those that a former process had, and those that the plane
 * makes meanwhile. */
#include "ipsecd/tunnel_parts.h"

#include <stdlib.h>

/* ---- after a restart ---- */

void tunnels_restore(struct tunnels *t)
{
	t->restoring = true;
}

bool tunnels_expect(struct tunnels *t, const char *conn, uint32_t id, const struct addr *vips,
		    unsigned n)
{
	struct tunnel_expected *e = calloc(1, sizeof(*e));

	if (e)
		e->conn = strdup(conn);
	if (!e || !e->conn) {
		free(e);
		return false;
	}
	e->id = id;
	e->n_vips = (uint8_t)(n < TUNNEL_ADDRS_MAX ? n : TUNNEL_ADDRS_MAX);
	if (e->n_vips)
		memcpy(e->vips, vips, e->n_vips * sizeof(*vips));
	HASH_ADD_KEYPTR(hh, t->expected, e->conn, strlen(e->conn), e);
	if (t->last_id < id)
		t->last_id = id;
	return true;
}

static void expected_free(struct tunnels *t, struct tunnel_expected *e)
{
	HASH_DEL(t->expected, e);
	free(e->conn);
	free(e);
}

void tunnels_restored(struct tunnels *t)
{
	struct tunnel_expected *e, *next;

	t->restoring = false;
	HASH_ITER (hh, t->expected, e, next)
		expected_free(t, e);
}

/* ---- ahead ---- */

/* A device that somebody has, or had, is not as new as that. */
void tunnels_prepare(struct tunnels *t, const struct conn *conn)
{
	const struct tunnel *tunnel;
	struct tunnel_expected *e;

	HASH_FIND(hh_conn, t->by_conn, conn->name, strlen(conn->name), tunnel);
	HASH_FIND_STR(t->expected, conn->name, e);
	if (!t->ops->tunnel_prepare || t->restoring || t->condemned || e || tunnel)
		return;
	if (tunnels_expect(t, conn->name, t->last_id + 1, NULL, 0))
		t->ops->tunnel_prepare(t->plane, t->last_id, &conn->tunnel);
}

void tunnels_prepared(struct tunnels *t)
{
	struct tunnel_expected *e, *next;

	if (t->restoring)
		return;
	HASH_ITER (hh, t->expected, e, next) {
		if (!tunnel_by_id(t, e->id))
			t->ops->tunnel_remove(t->plane, e->id);
		expected_free(t, e);
	}
}
