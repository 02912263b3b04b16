/* The data plane of a simulated node: it keeps books on CHILD_SAs, sends counted packets
 * by them as dataplane.h says (the newest with `outbound`), and reports what a real one
 * would: first use, aliveness, byte limits, moved peers. */
#include "tests/sim/sim_parts.h"

#include <stdlib.h>

#define PACKET_BYTES	 1000
#define ALIVE_EVERY	 MONO_S
#define UNKNOWN_EVERY	 (200 * MONO_MS)
#define INHERITED_LINGER (5 * MONO_S)
#define INHERITED_ID	 (1ULL << 63)

static struct sim_child *find(const struct sim_node *n, uint64_t id)
{
	struct sim_child *c;

	HASH_FIND(hh, n->plane, &id, sizeof(id), c);
	return c;
}

/* ---- what a former engine left ---- */

static void drop(struct sim_node *n, struct sim_child *c);

void sim_plane_inherit(struct sim_node *n)
{
	struct sim_child *c;

	HASH_CLEAR(hh, n->plane);
	n->inherited = 0;
	DL_FOREACH (n->order, c) {
		c->inherited = true;
		c->sa.id = INHERITED_ID + ++n->inherited;
		HASH_ADD(hh, n->plane, sa.id, sizeof(c->sa.id), c);
	}
	n->newest_id = 0;
}

bool sim_plane_inherited(const struct sim_node *n, uint32_t tunnel)
{
	const struct sim_child *c;

	DL_FOREACH (n->order, c)
		if (c->inherited && c->sa.outbound && c->sa.tunnel == tunnel)
			return true;
	return false;
}

void sim_plane_reap(struct sim_node *n)
{
	struct sim_child *c, *next;

	if (!n->inherited)
		return;
	DL_FOREACH_SAFE (n->order, c, next) {
		if (!c->gone_at || c->gone_at > n->sim->now)
			continue;
		n->inherited--;
		drop(n, c);
	}
}

static void now_sends(struct sim_node *n, const struct child_sa *sa)
{
	struct sim_child *c;

	DL_FOREACH (n->order, c)
		if (sa->outbound && c->inherited && !c->gone_at && c->sa.tunnel == sa->tunnel)
			c->gone_at = n->sim->now + INHERITED_LINGER;
}

/* ---- verbs ---- */

static void put(struct sim_node *n, const struct child_sa *sa);

void sim_plane_install(struct sim_node *n, const struct child_sa *sa)
{
	if (sa->id <= n->newest_id)
		sim_fail(n->sim, "node%u: CHILD_SA handle %llu installed again", n->index,
			 (unsigned long long)sa->id);
	if (n->refuse_install) {
		n->refuse_install = false;
		n->newest_id = sa->id;
		ike_engine_child_event(n->engine, sa->id, IKE_CHILD_INSTALL_FAILED, NULL,
				       n->sim->now);
		return;
	}
	put(n, sa);
}

static void put(struct sim_node *n, const struct child_sa *sa)
{
	struct sim_child *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->sa = *sa;
	c->node = n->index;
	c->installed = n->sim->now;
	c->claimed = n->resuming;
	c->spis[0] = sa->spi_in;
	c->spis[1] = sa->spi_out;
	if (sa->id > n->newest_id)
		n->newest_id = sa->id;
	n->installs++;
	HASH_ADD(hh, n->plane, sa.id, sizeof(c->sa.id), c);
	HASH_ADD(hh_spi, n->sim->by_spis, spis, sizeof(c->spis), c);
	DL_APPEND(n->order, c);
	sim_check_mirror(n->sim, c);
	now_sends(n, sa);
}

void sim_plane_update(struct sim_node *n, const struct child_sa *sa)
{
	struct sim_child *c = find(n, sa->id);

	if (!c) {
		sim_fail(n->sim, "node%u: update of CHILD_SA %llu, which is not installed",
			 n->index, (unsigned long long)sa->id);
		return;
	}
	c->sa.outbound = sa->outbound;
	c->skipped += sa->skip_out;
	c->sa.udp_encap = sa->udp_encap;
	c->sa.local = sa->local;
	c->sa.remote = sa->remote;
	now_sends(n, &c->sa);
}

static bool same_keys(const struct child_keys *a, const struct child_keys *b)
{
	return a->encr_len == b->encr_len && a->integ_len == b->integ_len &&
	       memcmp(a->encr, b->encr, a->encr_len) == 0 &&
	       memcmp(a->integ, b->integ, a->integ_len) == 0;
}

/* But for what an update that was lost would have changed. */
static bool same(const struct child_sa *a, const struct child_sa *b)
{
	return a->tunnel == b->tunnel && a->reqid == b->reqid && a->spi_in == b->spi_in &&
	       a->spi_out == b->spi_out && a->encr_id == b->encr_id &&
	       a->encr_key_bits == b->encr_key_bits && a->integ_id == b->integ_id &&
	       a->esn == b->esn && a->replay_window == b->replay_window &&
	       ts_list_equal(&a->local_ts, &b->local_ts) &&
	       ts_list_equal(&a->remote_ts, &b->remote_ts) && same_keys(&a->in, &b->in) &&
	       same_keys(&a->out, &b->out) && a->life_bytes == b->life_bytes &&
	       a->life_packets == b->life_packets && a->rekey_bytes == b->rekey_bytes &&
	       a->rekey_packets == b->rekey_packets && a->life_seconds == b->life_seconds;
}

void sim_plane_resume(struct sim_node *n, const struct child_sa *sa)
{
	struct sim_child *c = find(n, sa->id);

	if (!c && (n->refuse_install || n->refuses_lost)) {
		n->refuse_install = false;
		ike_engine_child_event(n->engine, sa->id, IKE_CHILD_INSTALL_FAILED, NULL,
				       n->sim->now);
		return;
	}
	if (!c) {
		put(n, sa);
		return;
	}
	c->claimed = true;
	if (!same(&c->sa, sa))
		sim_fail(n->sim, "node%u: CHILD_SA %llu is another one behind a restart", n->index,
			 (unsigned long long)sa->id);
	if (n->sim->restores &&
	    (c->sa.outbound != sa->outbound || c->sa.udp_encap != sa->udp_encap ||
	     !endpoint_equal(&c->sa.local, &sa->local) ||
	     !endpoint_equal(&c->sa.remote, &sa->remote)))
		sim_fail(n->sim, "node%u: CHILD_SA %llu is used otherwise behind a restart",
			 n->index, (unsigned long long)sa->id);
	sim_plane_update(n, sa);
}

void sim_plane_settle(struct sim_node *n)
{
	struct sim_child *c, *next;

	DL_FOREACH_SAFE (n->order, c, next) {
		if (!c->claimed && !c->inherited) {
			if (n->sim->restores)
				sim_fail(n->sim, "node%u: CHILD_SA %llu is not known any more",
					 n->index, (unsigned long long)c->sa.id);
			n->removes++;
			drop(n, c);
			continue;
		}
		c->claimed = false;
		if (!n->sim->restores)
			c->used = c->soft_reported = c->hard_reported = false;
	}
}

static void drop(struct sim_node *n, struct sim_child *c)
{
	HASH_DELETE(hh, n->plane, c);
	HASH_DELETE(hh_spi, n->sim->by_spis, c);
	DL_DELETE(n->order, c);
	free(c);
}

void sim_plane_remove(struct sim_node *n, uint64_t id)
{
	struct sim_child *c = find(n, id);

	if (!c) {
		sim_fail(n->sim, "node%u: removal of CHILD_SA %llu, which is not installed",
			 n->index, (unsigned long long)id);
		return;
	}
	n->removes++;
	drop(n, c);
}

void sim_plane_free(struct sim_node *n)
{
	while (n->order)
		drop(n, n->order);
}

void sim_child_event(struct sim *s, unsigned node, uint64_t id, enum ike_child_event event)
{
	if (!sim_lives(&s->nodes[node]))
		return;
	ike_engine_child_event(s->nodes[node].engine, id, event, NULL, s->now);
	sim_drain(s, node);
}

/* Reports may end the CHILD_SA; c is not to be used behind a true return. */
static bool report_limits(struct sim_node *n, struct sim_child *c)
{
	const struct child_sa *sa = &c->sa;

	c->bytes += PACKET_BYTES;
	if (c->inherited)
		return false;
	if (sa->life_bytes && c->bytes >= sa->life_bytes && !c->hard_reported) {
		c->hard_reported = true;
		sim_child_event(n->sim, n->index, sa->id, IKE_CHILD_HARD_EXPIRE);
		return true;
	}
	if (sa->rekey_bytes && c->bytes >= sa->rekey_bytes && !c->soft_reported) {
		c->soft_reported = true;
		sim_child_event(n->sim, n->index, sa->id, IKE_CHILD_SOFT_EXPIRE);
		return true;
	}
	return false;
}

static bool newest_of_tunnel(const struct sim_child *c)
{
	for (const struct sim_child *later = c->next; later; later = later->next) {
		if (later->sa.outbound && later->sa.tunnel == c->sa.tunnel)
			return false;
	}
	return c->sa.outbound;
}

void sim_plane_traffic(struct sim_node *n)
{
	uint64_t ids[64];
	unsigned n_ids = 0;
	struct sim_child *c;

	n->traffic_at = n->sim->now + n->traffic_every;
	DL_FOREACH (n->order, c) {
		if (newest_of_tunnel(c) && n_ids < 64)
			ids[n_ids++] = c->sa.id;
	}
	if (!n_ids)
		n->esp_no_sa++;
	for (unsigned i = 0; i < n_ids; i++) {
		c = find(n, ids[i]);
		if (!c)
			continue;
		n->esp_sent++;
		sim_net_send_esp(n->sim, n->index, &c->sa);
		report_limits(n, c);
	}
}

static void tell_unknown(struct sim_node *n, const struct ike_path *path, uint32_t spi)
{
	struct sim *s = n->sim;

	if (!s->quick_crash || (n->unknown_told && s->now - n->unknown_told < UNKNOWN_EVERY))
		return;
	n->unknown_told = s->now;
	ike_engine_esp_unknown(n->engine, path, spi, s->now);
	sim_drain(s, n->index);
}

void sim_plane_input(struct sim_node *n, const struct sim_packet *p)
{
	struct ike_path path = {.local = p->dst, .remote = p->src};
	struct sim_child *c;
	bool moved;

	DL_FOREACH (n->order, c) {
		if (c->sa.spi_in == p->spi)
			break;
	}
	if (!c) {
		n->esp_unknown++;
		if (n->logs)
			log_to(&n->log, LOG_LEVEL_DEBUG, "esp", "", "unknown SPI %08x", p->spi);
		tell_unknown(n, &path, p->spi);
		return;
	}
	n->esp_received++;
	n->received_at = n->sim->now;
	if (c->inherited)
		return;
	moved = c->sa.udp_encap && !endpoint_equal(&c->sa.remote, &p->src);
	if (!c->used) {
		uint64_t id = c->sa.id;

		c->used = true;
		c->alive_at = n->sim->now;
		sim_child_event(n->sim, n->index, id, IKE_CHILD_USED_NEW);
		c = find(n, id);
	} else if (n->sim->now - c->alive_at >= ALIVE_EVERY) {
		c->alive_at = n->sim->now;
		sim_child_event(n->sim, n->index, c->sa.id, IKE_CHILD_ALIVE);
		c = find(n, c->sa.id);
	}
	if (c && moved && sim_lives(n)) {
		ike_engine_child_event(n->engine, c->sa.id, IKE_CHILD_PEER_MOVED, &path,
				       n->sim->now);
		sim_drain(n->sim, n->index);
	}
}

struct sim_child *sim_newest_child(const struct sim *s, unsigned node)
{
	struct sim_child *order = s->nodes[node].order;

	return order ? order->prev : NULL; /* a utlist head's prev is its tail */
}
