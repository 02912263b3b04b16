/* What a former process left of a data plane that does ESP itself: its CHILD_SAs go on where it
 * was killed, and what nobody claims goes in the end. */
#include "ipsecd/dataplane/forward.h"

#include <utlist.h>

enum dataplane_error forward_tunnel_keep(struct forward *f, struct forward_tunnel *t,
					 const struct area_tunnel *as)
{
	if (!t->slot) {
		t->slot = f->area ? area_tunnel_put(f->area, as) : NULL;
		return t->slot ? DATAPLANE_OK
			       : forward_fail(f, DATAPLANE_NO_MEMORY, "out of memory");
	}
	area_tunnel_set(t->slot, as);
	return DATAPLANE_OK;
}

/* ---- claiming ---- */

static struct forward_tunnel *find_name(const struct forward *f, const char *name)
{
	struct forward_tunnel *t;

	HASH_FIND(hh_name, f->tunnels_by_name, name, strlen(name), t);
	return t;
}

static bool set_id(struct forward *f, struct forward_tunnel *t, uint32_t id)
{
	struct area_tunnel as;
	struct sa *sa;

	HASH_DELETE(hh, f->tunnels, t);
	t->id = id;
	HASH_ADD(hh, f->tunnels, id, sizeof(t->id), t);
	DL_FOREACH2 (t->newest, sa, tunnel_next)
		sa->child.tunnel = id;
	area_tunnel_get(t->slot, &as);
	as.id = id;
	area_tunnel_set(t->slot, &as);
	return t->hh.tbl != NULL;
}

/* Out of the way, for as long as nobody claims it. */
static bool set_spare_id(struct forward *f, struct forward_tunnel *t)
{
	uint32_t id = UINT32_MAX;

	while (forward_tunnel_find(f, id))
		id--;
	return set_id(f, t, id);
}

struct forward_tunnel *forward_tunnel_claim(struct forward *f, uint32_t id, const char *name,
					    enum dataplane_error *error)
{
	struct forward_tunnel *t = forward_tunnel_find(f, id), *named = find_name(f, name);

	*error = DATAPLANE_EXISTS;
	if (named && named != t && named->claimed) {
		forward_fail(f, *error, "device %s serves tunnel %u already", name, named->id);
		return NULL;
	}
	if (t && t != named && t->claimed) {
		forward_fail(f, *error, "tunnel %u exists already: it is %s", id, t->name);
		return NULL;
	}
	*error = DATAPLANE_OK;
	if ((t && t != named && !set_spare_id(f, t)) ||
	    (named && named != t && !set_id(f, named, id)))
		*error = forward_fail(f, DATAPLANE_NO_MEMORY, "out of memory");
	if (*error != DATAPLANE_OK || !named)
		return NULL;
	named->claimed = true;
	return named;
}

/* ---- restoring ---- */

/* A build before this one did not count so. */
static void begin_count(struct sa_live *l)
{
	if (!l->ciphered_in)
		l->ciphered_in = l->stats.bytes_in;
	if (!l->ciphered_out)
		l->ciphered_out = l->stats.bytes_out;
}

static void restore_child(void *ctx, struct area_slot *slot)
{
	struct forward *f = ctx;
	struct forward_tunnel *t;
	struct child_sa child;
	enum dataplane_error e;

	area_child_get(slot, &child, NULL);
	e = forward_child_add(f, &child, slot);
	t = forward_tunnel_find(f, child.tunnel);
	if (e == DATAPLANE_OK) {
		struct sa *sa = sadb_by_id(&f->sadb, child.id);

		begin_count(sa->live);
		forward_check_limits(&f->lane, sa);
	} else {
		log_to(f->host.log, LOG_LEVEL_ERROR, "esp", t ? t->name : "",
		       "a CHILD_SA of the former process can't go on: %s", f->error);
	}
	child_sa_cleanse(&child);
}

void forward_restore(struct forward *f)
{
	if (!f->own_area && f->area && !area_each_child(f->area, restore_child, f))
		log_to(f->host.log, LOG_LEVEL_ERROR, "esp", "",
		       "out of memory: the CHILD_SAs of the former process can't go on");
}

void forward_unsettle(struct forward *f)
{
	struct forward_tunnel *t, *next;
	struct sa *sa;

	HASH_ITER (hh, f->tunnels, t, next) {
		t->claimed = false;
		DL_FOREACH2 (t->newest, sa, tunnel_next)
			sa->claimed = false;
	}
}

void forward_settled(struct forward *f)
{
	struct sa *sa, *next;

	HASH_ITER (by_id, f->sadb.by_id, sa, next) {
		if (sa->claimed)
			continue;
		log_to(f->host.log, LOG_LEVEL_NOTICE, "esp", sa->tunnel->name,
		       "CHILD_SA with SPI 0x%08x was of a former process and is nobody's now: "
		       "removed",
		       sa->child.spi_in);
		forward_sa_remove(f, sa);
	}
}
