/* The responder's choice of a conn: by the addresses of the path for IKE_SA_INIT, and
 * by identities for IKE_AUTH. Pure: looks, changes nothing. */
#include "ipsecd/ike/peers.h"

/* How well a configured host fits an address: 0 not at all, higher is narrower. */
static unsigned host_score(const struct host *h, const struct addr *a)
{
	switch (h->kind) {
	case HOST_ANY:
	case HOST_DEFAULT_ROUTE:
		return 1;
	case HOST_ADDR:
		return addr_equal(&h->addr, a) ? 200 : 0;
	case HOST_PREFIX:
		return prefix_contains(&h->prefix, a) ? 2u + h->prefix.len : 0;
	case HOST_NAME:
		/* Unresolved, it says nothing about the address: identities decide. */
		return h->addr.family ? (addr_equal(&h->addr, a) ? 200 : 0) : 1;
	}
	return 0;
}

static unsigned hosts_score(const struct host *hosts, uint8_t n, const struct addr *a)
{
	unsigned best = n ? 0 : 1;

	for (uint8_t i = 0; i < n; i++) {
		unsigned score = host_score(&hosts[i], a);

		best = score > best ? score : best;
	}
	return best;
}

static unsigned path_score(const struct conn_entry *entry, const struct ike_path *path)
{
	const struct conn *c = entry->version->conn;
	unsigned local = hosts_score(c->local, c->n_local, &path->local.addr);
	unsigned remote = hosts_score(c->remote, c->n_remote, &path->remote.addr);

	if (entry->remote.family && addr_equal(&entry->remote, &path->remote.addr))
		remote = 200;
	return local && remote ? remote * 1000 + local : 0;
}

/* One pass, because anybody can ask: the proposals of a conn are only looked at when it
 * would be better than the best so far, and not again when they are those just refused. */
struct conn_entry *peers_match_path(const struct ike_engine *e, const struct ike_path *path,
				    const struct proposal_list *offered, struct path_match *out)
{
	struct conn_cursor cursor = conn_index_at(&e->conns_by_peer, &path->remote.addr);
	const struct proposal_list *refused = NULL;
	struct conn_entry *entry, *best = NULL;
	unsigned best_score = 0, near_score = 0;

	out->near = NULL;
	out->held = false;
	while ((entry = conn_cursor_next(&cursor))) {
		const struct proposal_list *ours = entry->version->conn->proposals;
		unsigned score = path_score(entry, path);

		if (score && conns_held(entry) == HOLD_PEER) {
			out->held = true;
			continue;
		}
		if (score > near_score) {
			near_score = score;
			out->near = entry;
		}
		if (score <= best_score || (refused && proposal_list_equal(ours, refused)))
			continue;
		if (proposal_select(ours, offered, false, &out->chosen, &out->suite)) {
			best_score = score;
			best = entry;
		} else {
			refused = ours;
		}
	}
	return best;
}

static bool is_up(const struct conn_entry *entry, const struct addr *remote)
{
	const struct ike_sa *sa;

	DL_FOREACH2 (entry->sas, sa, entry_next)
		if (ike_sa_usable(sa) && addr_equal(&sa->path.remote.addr, remote))
			return true;
	return false;
}

static bool inherits(const struct conn_entry *entry)
{
	const struct conn *c = entry->version->conn;

	for (uint16_t i = 0; i < c->n_children; i++)
		if (conns_child_inherited(entry, c->children[i].name))
			return true;
	return false;
}

struct path_view peers_look(struct ike_engine *e, const struct ike_path *path)
{
	struct conn_cursor cursor = conn_index_at(&e->conns_by_peer, &path->remote.addr);
	struct path_view view = {0};
	struct conn_entry *entry;

	if (cursor.loose && !log_limit_pass(&e->loose_looks, e->now))
		cursor.loose = NULL;
	while ((entry = conn_cursor_next(&cursor))) {
		if (!path_score(entry, path))
			continue;
		view.known = true;
		view.up |= is_up(entry, &path->remote.addr);
		view.inherited |= inherits(entry);
	}
	return view;
}

void peers_own_id(const struct conn *c, const struct ike_path *path, struct id *out)
{
	if (c->local_id.type == ID_ANY)
		id_from_addr(&path->local.addr, out);
	else
		*out = c->local_id;
}

/* The IKE suite that was chosen before the identity was known. */
static bool accepts_suite(const struct conn *c, const struct suite *s)
{
	struct proposal p = {.protocol = PROTOCOL_IKE, .number = 1};
	struct suite same;

	p.transforms[p.n_transforms++] =
		(struct transform){TRANSFORM_ENCR, s->encr->id, s->encr->key_bits};
	p.transforms[p.n_transforms++] = (struct transform){TRANSFORM_PRF, s->prf->id, 0};
	if (s->integ)
		p.transforms[p.n_transforms++] =
			(struct transform){TRANSFORM_INTEG, s->integ->id, 0};
	p.transforms[p.n_transforms++] = (struct transform){TRANSFORM_KE, s->ke->id, 0};
	return proposal_accept(c->proposals, &p, false, &same);
}

static unsigned id_score(const struct conn *c, const struct ike_path *path, const struct id *idi,
			 const struct id *idr)
{
	unsigned remote = c->remote_id.type == ID_ANY ? 1 : 1 + id_match(&c->remote_id, idi);
	struct id own;

	if (c->remote_id.type != ID_ANY && remote == 1)
		return 0;
	if (!idr)
		return remote * 2;
	/* RFC 7296 1.2: the initiator names whom it wants to talk to. */
	peers_own_id(c, path, &own);
	return id_equal(&own, idr) ? remote * 2 + 1 : 0;
}

struct conn_entry *peers_match_ids(const struct ike_engine *e, const struct ike_sa *sa,
				   const struct id *idi, const struct id *idr)
{
	struct conn_cursor cursor = conn_index_at(&e->conns_by_peer, &sa->path.remote.addr);
	struct conn_entry *entry, *best = NULL;
	uint64_t best_score = 0;

	while ((entry = conn_cursor_next(&cursor))) {
		const struct conn *c = entry->version->conn;
		uint64_t ids = id_score(c, &sa->path, idi, idr);
		uint64_t path = path_score(entry, &sa->path);
		uint64_t score = ids << 32 | path;

		if (!ids || !path || conns_held(entry) == HOLD_PEER || score <= best_score ||
		    !accepts_suite(c, &sa->suite))
			continue;
		best_score = score;
		best = entry;
	}
	return best;
}
