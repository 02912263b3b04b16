/* Connections as bytes. Each code_ function serves both directions, see fields.h. */
#include "ipsecd/model/conn_codec.h"

#include <stdlib.h>

#define TAG	      0x434f /* "CO" */
#define CHILD_LEN_MIN 64     /* no child takes less */

/* ---- selectors and proposals ---- */

static void code_ts(struct fields *c, struct ts *ts)
{
	struct addr start = {.family = ts->family}, end = {.family = ts->family};

	memcpy(start.bytes, ts->start, sizeof(start.bytes));
	memcpy(end.bytes, ts->end, sizeof(end.bytes));
	ts->dynamic = fields_bool(c, ts->dynamic, "selector");
	fields_addr(c, &start, ts->dynamic, "selector's first address");
	fields_addr(c, &end, ts->dynamic, "selector's last address");
	fields_require(c, start.family == end.family && addr_compare(&start, &end) <= 0,
		       "selector's range");
	fields_require(c, !ts->dynamic || !start.family, "dynamic selector");
	ts->family = start.family;
	memcpy(ts->start, start.bytes, sizeof(ts->start));
	memcpy(ts->end, end.bytes, sizeof(ts->end));
	ts->protocol = fields_u8(c, ts->protocol, UINT8_MAX, "selector's protocol");
	ts->port_start = fields_u16(c, ts->port_start, "selector's port");
	ts->port_end = fields_u16(c, ts->port_end, "selector's port");
	fields_require(c, ts_ports_fit(ts), "selector's ports");
}

static void code_ts_list(struct fields *c, struct ts_list *l)
{
	l->n = fields_u8(c, l->n, TS_LIST_MAX, "number of selectors");
	for (unsigned i = 0; i < l->n && fields_ok(c); i++)
		code_ts(c, &l->ts[i]);
}

static bool transform_known(const struct transform *t)
{
	switch (t->type) {
	case TRANSFORM_ENCR:
		return algorithm_encr(t->id, t->key_bits) != NULL;
	case TRANSFORM_PRF:
		return algorithm_prf(t->id) && !t->key_bits;
	case TRANSFORM_INTEG:
		return (t->id == INTEG_NONE || algorithm_integ(t->id)) && !t->key_bits;
	case TRANSFORM_KE:
		return (t->id == KE_NONE || algorithm_ke(t->id)) && !t->key_bits;
	case TRANSFORM_ESN:
		return t->id <= ESN_YES && !t->key_bits;
	}
	return false;
}

static void code_proposals(struct fields *c, const struct proposal_list **shared, uint8_t protocol)
{
	struct proposal_list l = **shared; /* shared ones are not written to, not even the same */

	l.n = fields_u8(c, l.n, PROPOSAL_LIST_MAX, "number of proposals");
	for (unsigned i = 0; i < l.n && fields_ok(c); i++) {
		struct proposal *p = &l.p[i];

		p->protocol = fields_u8(c, p->protocol, UINT8_MAX, "proposal's protocol");
		fields_require(c, p->protocol == protocol, "proposal's protocol");
		p->number = fields_u8(c, p->number, UINT8_MAX, "proposal's number");
		p->n_transforms = fields_u8(c, p->n_transforms, PROPOSAL_TRANSFORMS_MAX,
					    "number of transforms");
		for (unsigned j = 0; j < p->n_transforms && fields_ok(c); j++) {
			struct transform *t = &p->transforms[j];

			t->type = fields_u8(c, t->type, TRANSFORM_ESN, "transform's type");
			t->id = fields_u16(c, t->id, "transform's number");
			t->key_bits = fields_u16(c, t->key_bits, "transform's key length");
			fields_require(c, transform_known(t), "transform");
		}
	}
	if (c->decoding && fields_ok(c) && !proposals_set(shared, &l))
		fields_fail(c, CODEC_MEMORY, "proposals");
}

/* ---- ends ---- */

static bool is_name(const char *text)
{
	struct host h;
	bool ok = host_parse(text, &h) && h.kind == HOST_NAME;

	if (ok)
		free(h.name);
	return ok;
}

static void code_host(struct fields *c, struct host *h)
{
	h->kind = fields_u8(c, (uint8_t)h->kind, HOST_NAME, "kind of host");
	switch (h->kind) {
	case HOST_ANY:
	case HOST_DEFAULT_ROUTE:
		break;
	case HOST_ADDR:
		fields_addr(c, &h->addr, false, "host's address");
		break;
	case HOST_PREFIX:
		fields_prefix(c, &h->prefix, "host's prefix");
		break;
	case HOST_NAME:
		fields_string(c, &h->name, false, "host's name");
		if (fields_ok(c))
			fields_require(c, is_name(h->name), "host's name");
		fields_addr(c, &h->addr, true, "host's resolved address");
		break;
	}
}

static uint8_t code_hosts(struct fields *c, struct host *hosts, uint8_t n)
{
	n = fields_u8(c, n, CONN_ADDRS_MAX, "number of hosts");
	for (unsigned i = 0; i < n && fields_ok(c); i++)
		code_host(c, &hosts[i]);
	return n;
}

/* Without a family: either one. */
static uint8_t code_addrs(struct fields *c, struct addr *list, uint8_t n, uint8_t max,
			  const char *what)
{
	n = fields_u8(c, n, max, what);
	for (unsigned i = 0; i < n && fields_ok(c); i++)
		fields_addr(c, &list[i], true, what);
	return n;
}

static bool pool_possible(const struct pool_ref *p)
{
	switch (p->kind) {
	case POOL_RANGE:
		return p->name && p->first.family && p->first.family == p->last.family &&
		       addr_compare(&p->first, &p->last) <= 0;
	case POOL_NAMED:
		return p->name && !p->first.family && !p->last.family;
	case POOL_CLIENT:
		return !p->name && addr_is_any(&p->first) && !p->last.family;
	}
	return false;
}

static void code_pool(struct fields *c, struct pool_ref *p)
{
	p->kind = fields_u8(c, (uint8_t)p->kind, POOL_CLIENT, "kind of pool");
	fields_string(c, &p->name, true, "pool's name");
	fields_addr(c, &p->first, true, "pool's first address");
	fields_addr(c, &p->last, true, "pool's last address");
	fields_require(c, pool_possible(p), "pool");
}

/* ---- device ---- */

static void code_mark(struct fields *c, uint32_t *value, uint32_t *mask, const char *what)
{
	*value = fields_u32(c, *value, what);
	*mask = fields_u32(c, *mask, what);
	fields_require(c, !(*value & ~*mask), what);
}

static void code_tunnel(struct fields *c, struct tunnel_config *t)
{
	fields_string_in(c, t->name, sizeof(t->name), "tunnel name");
	fields_require(c, fields_ok(c) && device_name_valid(t->name), "tunnel name");
	t->named = fields_bool(c, t->named, "tunnel named");
	t->external = fields_bool(c, t->external, "tunnel external");
	t->keyed = fields_bool(c, t->keyed, "tunnel keyed");
	t->kind = fields_u8(c, (uint8_t)t->kind, DEVICE_XFRM, "tunnel kind");
	t->n_addrs = fields_u8(c, t->n_addrs, TUNNEL_ADDRS_MAX, "number of tunnel addresses");
	for (unsigned i = 0; i < t->n_addrs && fields_ok(c); i++)
		fields_prefix(c, &t->addrs[i], "tunnel address");
	t->mtu = fields_u16(c, t->mtu, "tunnel MTU");
	t->mss = fields_u16(c, t->mss, "tunnel MSS");
	code_mark(c, &t->mark_in.value, &t->mark_in.mask, "tunnel's inbound mark");
	code_mark(c, &t->mark_out.value, &t->mark_out.mask, "tunnel's outbound mark");
	t->if_id_in = fields_u32(c, t->if_id_in, "tunnel's interface id");
	t->if_id_out = fields_u32(c, t->if_id_out, "tunnel's interface id");
	fields_addr(c, &t->local, true, "tunnel's own address");
	fields_addr(c, &t->remote, true, "tunnel's remote address");
}

/* ---- children ---- */

static void code_aggfrag(struct fields *c, struct aggfrag_params *p)
{
	p->mode = fields_u8(c, p->mode, AGGFRAG_REQUIRE, "child's IP-TFS");
	p->dont_frag = fields_bool(c, p->dont_frag, "child's IP-TFS fragments");
	p->rate_bits = fields_bool(c, p->rate_bits, "child's IP-TFS rate");
	p->packet_size = fields_u16(c, p->packet_size, "child's IP-TFS packet size");
	p->reorder_window = fields_u16(c, p->reorder_window, "child's IP-TFS window");
	p->drop_time = fields_u32(c, p->drop_time, "child's IP-TFS drop time");
	p->max_queue = fields_u32(c, p->max_queue, "child's IP-TFS queue");
	p->rate = fields_u64(c, p->rate, "child's IP-TFS rate");
	fields_require(c, aggfrag_params_valid(p), "child's IP-TFS");
}

static void code_flags(struct fields *c, struct child_flags *f)
{
	uint8_t both;

	f->df = fields_u8(c, (uint8_t)f->df, CHILD_DF_CLEAR, "child's DF");
	f->dscp = fields_u8(c, (uint8_t)f->dscp, CHILD_DSCP_BOTH, "child's DSCP");
	/* One byte, so that records of before there was an offload are read, too. */
	both = fields_u8(c, (uint8_t)(f->no_ecn | f->offload << 1), CHILD_OFFLOAD_YES << 1 | 1,
			 "child's ECN and offload");
	f->no_ecn = both & 1;
	f->offload = both >> 1;
	f->tfc_pad = fields_u16(c, f->tfc_pad, "child's padding");
	code_mark(c, &f->set_mark_out, &f->set_mark_out_mask, "child's outbound mark");
	code_mark(c, &f->set_mark_in, &f->set_mark_in_mask, "child's inbound mark");
	code_aggfrag(c, &f->aggfrag);
}

static enum start_action code_action(struct fields *c, enum start_action a)
{
	return fields_u8(c, (uint8_t)a, ACTION_TRAP, "child's action");
}

static void code_child(struct fields *c, struct child_config *child)
{
	code_ts_list(c, &child->local_ts);
	code_ts_list(c, &child->remote_ts);
	code_proposals(c, &child->proposals, PROTOCOL_ESP);
	child->rekey_time = fields_time(c, child->rekey_time, "child's rekey time");
	child->life_time = fields_time(c, child->life_time, "child's life time");
	child->rand_time = fields_time(c, child->rand_time, "child's random time");
	child->life_bytes = fields_u64(c, child->life_bytes, "child's bytes");
	child->rekey_bytes = fields_u64(c, child->rekey_bytes, "child's bytes");
	child->life_packets = fields_u64(c, child->life_packets, "child's packets");
	child->rekey_packets = fields_u64(c, child->rekey_packets, "child's packets");
	child->start_action = code_action(c, child->start_action);
	child->dpd_action = code_action(c, child->dpd_action);
	child->close_action = code_action(c, child->close_action);
	child->replay_window = fields_u16(c, child->replay_window, "child's window");
	child->resources = fields_u16(c, child->resources, "child's resources");
	fields_require(c,
		       child->resources <= CHILD_RESOURCES_MAX ||
			       child->resources == CHILD_RESOURCES_AUTO,
		       "child's resources");
	child->reqid = fields_u32(c, child->reqid, "child's reqid");
	code_flags(c, &child->flags);
	fields_string(c, &child->updown, true, "child's script");
}

static bool unique(const struct conn *conn)
{
	for (unsigned i = 1; i < conn->n_children; i++) {
		if (conn_child(conn, conn->children[i].name) != &conn->children[i])
			return false;
	}
	return true;
}

static void encode_children(struct fields *c, const struct conn *conn)
{
	fields_u16(c, conn->n_children, "number of children");
	for (unsigned i = 0; i < conn->n_children && fields_ok(c); i++) {
		struct child_config child = conn->children[i];

		fields_string(c, &child.name, false, "child's name");
		code_child(c, &child);
	}
	fields_require(c, unique(conn), "children's names");
}

static void decode_children(struct fields *c, struct conn *conn)
{
	uint16_t n = fields_u16(c, 0, "number of children");

	fields_require(c, n <= reader_left(&c->in) / CHILD_LEN_MIN, "number of children");
	for (unsigned i = 0; i < n && fields_ok(c); i++) {
		struct child_config *child;
		char *name;

		fields_string(c, &name, false, "child's name");
		child = fields_ok(c) ? conn_add_child(conn, name) : NULL;
		free(name);
		if (child)
			code_child(c, child);
		else
			fields_fail(c, CODEC_MEMORY, "child");
	}
	fields_require(c, unique(conn), "children's names");
}

/* ---- the conn ---- */

static void code_ends(struct fields *c, struct conn *conn)
{
	conn->n_local = code_hosts(c, conn->local, conn->n_local);
	conn->n_remote = code_hosts(c, conn->remote, conn->n_remote);
	conn->local_port = fields_u16(c, conn->local_port, "own port");
	conn->remote_port = fields_u16(c, conn->remote_port, "remote port");
	fields_id(c, &conn->local_id, "own identity");
	fields_id(c, &conn->remote_id, "remote identity");
	conn->remote_id_set = fields_bool(c, conn->remote_id_set, "remote identity set");
	conn->local_auth = fields_u8(c, (uint8_t)conn->local_auth, AUTH_KIND_PSK, "own auth");
	conn->remote_auth = fields_u8(c, (uint8_t)conn->remote_auth, AUTH_KIND_PSK, "remote auth");
}

static void code_policy(struct fields *c, struct conn *conn)
{
	conn->encap = fields_u8(c, conn->encap, ENCAP_NO, "encap");
	conn->message_id_sync = fields_bool(c, conn->message_id_sync, "message ID sync");
	conn->rekey = fields_bool(c, conn->rekey, "rekey");
	conn->reauth = fields_bool(c, conn->reauth, "reauth");
	conn->rekey_time = fields_time(c, conn->rekey_time, "rekey time");
	conn->over_time = fields_time(c, conn->over_time, "over time");
	conn->rand_time = fields_time(c, conn->rand_time, "random time");
	conn->reauth_time = fields_time(c, conn->reauth_time, "reauth time");
	conn->dpd_delay = fields_time(c, conn->dpd_delay, "DPD delay");
	conn->retransmit_interval = fields_time(c, conn->retransmit_interval, "retransmission");
	conn->retransmit_timeout = fields_time(c, conn->retransmit_timeout, "retransmission");
	conn->keying_tries = fields_u32(c, conn->keying_tries, "keying tries");
	conn->unique = fields_u8(c, (uint8_t)conn->unique, UNIQUE_REPLACE, "uniqueness");
}

static void code_addresses(struct fields *c, struct conn *conn)
{
	conn->n_vips = code_addrs(c, conn->vips, conn->n_vips, VIPS_MAX, "virtual addresses");
	conn->n_dns_wanted = code_addrs(c, conn->dns_wanted, conn->n_dns_wanted, VIP_DNS_MAX,
					"name servers wanted");
	conn->n_dns = code_addrs(c, conn->dns, conn->n_dns, VIP_DNS_MAX, "name servers");
	conn->n_pools = fields_u8(c, conn->n_pools, POOL_REFS_MAX, "number of pools");
	for (unsigned i = 0; i < conn->n_pools && fields_ok(c); i++)
		code_pool(c, &conn->pools[i]);
}

static void code_conn(struct fields *c, struct conn *conn)
{
	fields_string(c, &conn->source, true, "source");
	code_ends(c, conn);
	code_proposals(c, &conn->proposals, PROTOCOL_IKE);
	code_policy(c, conn);
	code_addresses(c, conn);
	code_tunnel(c, &conn->tunnel);
}

struct codec_result conn_encode(const struct conn *conn, struct buf *out)
{
	struct fields c = fields_encoder(out, TAG, CONN_CODEC_VERSION);
	struct conn same = *conn; /* nothing is changed in it, but the compiler can't know */

	fields_string(&c, &same.name, false, "name");
	fields_require(&c, *conn->name, "name");
	code_conn(&c, &same);
	encode_children(&c, conn);
	return fields_end(&c);
}

struct codec_result conn_decode(struct span in, struct conn **out)
{
	struct fields c = fields_decoder(in, TAG, CONN_CODEC_VERSION);
	struct codec_result result;
	struct conn *conn;
	char *name;

	fields_string(&c, &name, false, "name");
	fields_require(&c, name && *name, "name");
	conn = fields_ok(&c) ? conn_new(name) : NULL;
	free(name);
	if (conn) {
		code_conn(&c, conn);
		decode_children(&c, conn);
	} else {
		fields_fail(&c, CODEC_MEMORY, "connection");
	}
	result = fields_end(&c);
	if (!result.error)
		*out = conn;
	else
		conn_free(conn);
	return result;
}
