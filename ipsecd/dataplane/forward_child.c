/* Tunnels and CHILD_SAs of a data plane that does ESP itself: the verbs of the seam
 * that put SAs into the tables that forward.c reads, with the rules that hold on
 * every plane (docs/dataplane.md). Allocates SAs; owns their lifetime. */
#include "ipsecd/dataplane/forward_aggfrag.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define PATH_MTU 1500

static void free_memory(struct forward *f, void *memory)
{
	(void)f;
	free(memory);
}

static void retire(void *ctx, void *memory)
{
	forward_defer(ctx, memory, free_memory);
}

void forward_init(struct forward *f, const struct dataplane_host *host,
		  bool (*deliver)(struct forward_tunnel *t, const struct iovec *iov, size_t n))
{
	memset(f, 0, sizeof(*f));
	f->host = *host;
	f->deliver = deliver;
	forward_lane_init(f, &f->lane, 0, f->host.send_esp, f->host.ctx);
	f->lane.log = f->host.log;
	for (unsigned i = 0; i < FORWARD_WINDOW_LOCKS; i++)
		pthread_mutex_init(&f->windows[i], NULL);
	f->sadb.retire = retire;
	f->sadb.ctx = f;
	f->own_area = !host->area;
	f->area = f->own_area ? area_open(NULL, f->error, sizeof(f->error)) : host->area;
}

void forward_release(struct forward *f)
{
	held_free(&f->held);
	forward_lane_release(&f->lane);
	sadb_release(&f->sadb);
	for (unsigned i = 0; i < FORWARD_WINDOW_LOCKS; i++)
		pthread_mutex_destroy(&f->windows[i]);
	if (f->own_area)
		area_close(f->area);
	f->area = NULL;
}

enum dataplane_error forward_fail(struct forward *f, enum dataplane_error e, const char *format,
				  ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->error, sizeof(f->error), format, args);
	va_end(args);
	return e;
}

enum dataplane_error forward_tunnel_add(struct forward *f, struct forward_tunnel *t, uint32_t id,
					const char *name)
{
	if (forward_tunnel_find(f, id))
		return forward_fail(f, DATAPLANE_EXISTS, "tunnel %u exists already", id);
	*t = (struct forward_tunnel){.id = id, .name = name, .claimed = true};
	HASH_ADD(hh, f->tunnels, id, sizeof(t->id), t);
	if (!t->hh.tbl)
		return forward_fail(f, DATAPLANE_NO_MEMORY, "out of memory");
	HASH_ADD_KEYPTR(hh_name, f->tunnels_by_name, t->name, strlen(t->name), t);
	if (t->hh_name.tbl)
		return DATAPLANE_OK;
	HASH_DELETE(hh, f->tunnels, t);
	return forward_fail(f, DATAPLANE_NO_MEMORY, "out of memory");
}

/* A lane that had it until now may have noted something of it. */
static void release_sa(struct forward *f, void *object)
{
	struct sa *sa = object;

	forward_forget_sa(f, sa);
	sa_free(sa);
}

void forward_sa_remove(struct forward *f, struct sa *sa)
{
	sa_list_remove(&sa->tunnel->newest, sa);
	sadb_remove(&f->sadb, sa);
	sadb_changed(&f->sadb);
	if (sa->aggfrag) { /* the others are between two packets, and don't find it any more */
		forward_hold(f, true);
		forward_aggfrag_remove(&f->lane, sa);
		forward_hold(f, false);
	}
	forward_defer(f, sa, release_sa);
}

void forward_tunnel_remove(struct forward *f, struct forward_tunnel *t)
{
	while (t->newest)
		forward_sa_remove(f, t->newest);
	forward_forget_tunnel(f, t);
	area_slot_free(t->slot);
	HASH_DELETE(hh, f->tunnels, t);
	HASH_DELETE(hh_name, f->tunnels_by_name, t);
}

struct forward_tunnel *forward_tunnel_find(const struct forward *f, uint32_t id)
{
	struct forward_tunnel *t;

	HASH_FIND(hh, f->tunnels, &id, sizeof(id), t);
	return t;
}

static uint16_t inner_mtu(struct sa *sa, uint16_t path)
{
	const struct sa_child *c = &sa->child;

	return sa->aggfrag ? forward_aggfrag_path(sa, path)
			   : dataplane_inner_mtu(path, c->remote.addr.family, c->udp_encap,
						 c->encr_id, c->encr_key_bits, c->integ_id);
}

uint16_t forward_tunnel_mtu(const struct forward_tunnel *t,
			    uint16_t (*path_mtu)(void *ctx, const struct addr *local,
						 const struct addr *remote),
			    void *ctx)
{
	const struct addr *local = NULL, *remote = NULL; /* mostly all have the same */
	uint16_t path = 0, least = 0;
	struct sa *sa;

	DL_FOREACH2 (t->newest, sa, tunnel_next) {
		const struct sa_child *c = &sa->child;
		uint16_t mtu;

		if (!local || !addr_equal(local, &c->local.addr) ||
		    !addr_equal(remote, &c->remote.addr))
			path = path_mtu(ctx, &c->local.addr, &c->remote.addr);
		local = &c->local.addr;
		remote = &c->remote.addr;
		mtu = inner_mtu(sa, path);
		if (least == 0 || mtu < least)
			least = mtu;
	}
	return least;
}

bool forward_tunnel_aggfrag(const struct forward_tunnel *t)
{
	const struct sa *sa;

	DL_FOREACH2 (t->newest, sa, tunnel_next) {
		if (sa->aggfrag)
			return true;
	}
	return false;
}

bool forward_tunnel_reaches(const struct forward_tunnel *t, const struct addr *remote)
{
	const struct sa *sa;

	DL_FOREACH2 (t->newest, sa, tunnel_next) {
		if (addr_equal(&sa->child.remote.addr, remote))
			return true;
	}
	return false;
}

static enum dataplane_error check_free(struct forward *f, const struct child_sa *child)
{
	if (!forward_tunnel_find(f, child->tunnel))
		return forward_fail(f, DATAPLANE_NOT_FOUND, "no tunnel %u", child->tunnel);
	if (sadb_by_id(&f->sadb, child->id))
		return forward_fail(f, DATAPLANE_EXISTS,
				    "CHILD_SA %llu is installed already, with other SPIs or keys",
				    (unsigned long long)child->id);
	if (sadb_by_spi(&f->sadb, child->spi_in))
		return forward_fail(f, DATAPLANE_EXISTS, "inbound SPI 0x%08x is in use",
				    child->spi_in);
	return DATAPLANE_OK;
}

/* RFC 4303 2.7; no further than what one packet of the path holds. */
static uint16_t pad_to(const struct sa_child *c)
{
	uint16_t mtu = dataplane_inner_mtu(PATH_MTU, c->remote.addr.family, c->udp_encap,
					   c->encr_id, c->encr_key_bits, c->integ_id);

	return c->flags.tfc_pad < mtu ? c->flags.tfc_pad : mtu;
}

static void say_unsupported(const struct forward *f, struct forward_tunnel *t,
			    const struct child_flags *flags)
{
	if (t->flags_told || (!flags->set_mark_out_mask && !flags->set_mark_in_mask))
		return;
	t->flags_told = true;
	log_to(f->host.log, LOG_LEVEL_WARN, "esp", t->name,
	       "the userspace data plane does not set marks");
}

/* With its slot, new or left by a former process, into the tables. */
static enum dataplane_error insert(struct forward *f, struct sa *sa, struct forward_tunnel *t,
				   struct area_slot *left, const struct child_sa *child)
{
	struct area_slot *slot = left;
	bool hold;

	if (child->flags.aggfrag.mode != AGGFRAG_NO && !forward_aggfrag_new(sa)) {
		area_slot_free(left);
		return forward_fail(f, DATAPLANE_NO_MEMORY, "out of memory");
	}
	if (!left && f->area && t->slot)
		slot = area_child_put(f->area, t->slot, child, NULL);
	if (slot)
		sa_attach(sa, slot, left != NULL);
	sa->tunnel = t;
	sa->claimed = !left;
	sa->pad_to = pad_to(&sa->child);
	/* Other lanes have it from here on. */
	if (!slot || !sadb_insert(&f->sadb, sa))
		return forward_fail(f, DATAPLANE_NO_MEMORY, "out of memory");
	/* None packs for it before it has what its predecessor leaves. */
	hold = sa->aggfrag || forward_tunnel_aggfrag(t);
	if (hold)
		forward_hold(f, true);
	sa_list_add(&t->newest, sa);
	sadb_changed(&f->sadb);
	forward_aggfrag_outbound(&f->lane, sa);
	if (hold)
		forward_hold(f, false);
	say_unsupported(f, t, &child->flags);
	return DATAPLANE_OK;
}

enum dataplane_error forward_child_add(struct forward *f, const struct child_sa *child,
				       struct area_slot *left)
{
	enum dataplane_error e = check_free(f, child);
	struct sa *sa = NULL;

	if (e == DATAPLANE_OK)
		sa = sa_new(child, f->host.crypto, &e, f->error, sizeof(f->error));
	if (!sa) {
		area_slot_free(left);
		return e;
	}
	e = insert(f, sa, forward_tunnel_find(f, child->tunnel), left, child);
	if (e != DATAPLANE_OK) {
		forward_aggfrag_remove(&f->lane, sa);
		sa_free(sa);
	}
	return e;
}

enum dataplane_error forward_child_install(struct forward *f, const struct child_sa *child)
{
	struct sa *sa = sadb_by_id(&f->sadb, child->id);

	if (!sa || sa->child.tunnel != child->tunnel || !area_child_is(sa->slot, child)) {
		if (child->resumed)
			return forward_fail(f, DATAPLANE_NOT_FOUND, "it is not there any more");
		return forward_child_add(f, child, NULL);
	}
	return forward_child_update(f, child);
}

enum dataplane_error forward_child_update(struct forward *f, const struct child_sa *child)
{
	struct sa *sa = sadb_by_id(&f->sadb, child->id);

	if (!sa)
		return forward_fail(f, DATAPLANE_NOT_FOUND, "no CHILD_SA %llu",
				    (unsigned long long)child->id);
	if (child->local.addr.family != child->remote.addr.family || !child->local.addr.family)
		return forward_fail(f, DATAPLANE_UNSUPPORTED,
				    "the outer addresses are not of one family");
	sa->claimed = true;
	forward_hold(f, true);
	sa->child.outbound = child->outbound;
	sa_set_path(sa, child);
	sa->pad_to = pad_to(&sa->child);
	sadb_changed(&f->sadb);
	forward_aggfrag_outbound(&f->lane, sa);
	forward_hold(f, false);
	area_child_set(sa->slot, child);
	if (child->skip_out) {
		sa_skip(sa, child->skip_out);
		forward_check_limits(&f->lane, sa);
	}
	return DATAPLANE_OK;
}

enum dataplane_error forward_child_remove(struct forward *f, uint64_t id)
{
	struct sa *sa = sadb_by_id(&f->sadb, id);

	if (!sa)
		return forward_fail(f, DATAPLANE_NOT_FOUND, "no CHILD_SA %llu",
				    (unsigned long long)id);
	forward_sa_remove(f, sa);
	return DATAPLANE_OK;
}

static struct dataplane_child_stats stats_of(const struct dataplane_child_stats *s)
{
	return (struct dataplane_child_stats){
		.bytes_in = SA_GET(s->bytes_in),
		.packets_in = SA_GET(s->packets_in),
		.bytes_out = SA_GET(s->bytes_out),
		.packets_out = SA_GET(s->packets_out),
		.drop_replay = SA_GET(s->drop_replay),
		.drop_icv = SA_GET(s->drop_icv),
		.last_in = SA_GET(s->last_in),
		.last_out = SA_GET(s->last_out),
	};
}

bool forward_child_stats(const struct forward *f, uint64_t id, struct dataplane_child_stats *out)
{
	const struct sa *sa = sadb_by_id(&f->sadb, id);

	if (!sa)
		return false;
	*out = stats_of(&sa->live->stats);
	return true;
}
