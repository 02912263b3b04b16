/* What conn_compare compares, as numbers that another process can compare with: SAs that
 * outlive a process have to know whether their conn is still the same. Field by field as in
 * conn.c. */
#include "ipsecd/model/conn.h"

/* FNV-1a: who writes the configuration is no enemy. */
struct digest {
	uint64_t sum;
};

static struct digest begin(void)
{
	return (struct digest){0xcbf29ce484222325ULL};
}

static void add_bytes(struct digest *d, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		d->sum = (d->sum ^ p[i]) * 0x100000001b3ULL;
}

static void add(struct digest *d, uint64_t v)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	add_bytes(d, bytes, sizeof(bytes));
}

static void add_string(struct digest *d, const char *s)
{
	add(d, s ? strlen(s) + 1 : 0);
	if (s)
		add_bytes(d, s, strlen(s));
}

static void add_addr(struct digest *d, const struct addr *a)
{
	add(d, a->family);
	add_bytes(d, a->bytes, sizeof(a->bytes));
}

static void add_addrs(struct digest *d, const struct addr *list, unsigned n)
{
	add(d, n);
	for (unsigned i = 0; i < n; i++)
		add_addr(d, &list[i]);
}

static void add_prefix(struct digest *d, const struct prefix *p)
{
	add_addr(d, &p->addr);
	add(d, p->len);
}

/* Names without regard to case. */
static void add_id(struct digest *d, const struct id *id)
{
	bool name = id->type == ID_FQDN || id->type == ID_RFC822_ADDR;

	add(d, id->type);
	add(d, id->len);
	for (unsigned i = 0; i < id->len; i++) {
		uint8_t c = id->data[i];

		c = name && c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
		add_bytes(d, &c, 1);
	}
}

static void add_ts(struct digest *d, const struct ts_list *l)
{
	add(d, l->n);
	for (unsigned i = 0; i < l->n; i++) {
		const struct ts *ts = &l->ts[i];

		add(d, ts->family);
		add(d, ts->dynamic);
		add(d, ts->protocol);
		add(d, (uint64_t)ts->port_start << 16 | ts->port_end);
		add_bytes(d, ts->start, addr_size(ts->family));
		add_bytes(d, ts->end, addr_size(ts->family));
	}
}

static void add_proposals(struct digest *d, const struct proposal_list *l)
{
	add(d, l->n);
	for (unsigned i = 0; i < l->n; i++) {
		const struct proposal *p = &l->p[i];

		add(d, p->protocol);
		add(d, p->n_transforms);
		for (unsigned j = 0; j < p->n_transforms; j++) {
			add(d, p->transforms[j].type);
			add(d, p->transforms[j].id);
			add(d, p->transforms[j].key_bits);
		}
	}
}

static void add_hosts(struct digest *d, const struct host *hosts, unsigned n)
{
	add(d, n);
	for (unsigned i = 0; i < n; i++) {
		add(d, (uint64_t)hosts[i].kind);
		if (hosts[i].kind == HOST_ADDR)
			add_addr(d, &hosts[i].addr);
		else if (hosts[i].kind == HOST_PREFIX)
			add_prefix(d, &hosts[i].prefix);
		else if (hosts[i].kind == HOST_NAME)
			add_string(d, hosts[i].name);
	}
}

/* ---- children ---- */

uint64_t child_config_digest_traffic(const struct child_config *c)
{
	struct digest d = begin();

	add_ts(&d, &c->local_ts);
	add_ts(&d, &c->remote_ts);
	add(&d, c->reqid);
	return d.sum;
}

static void add_aggfrag(struct digest *d, const struct aggfrag_params *p)
{
	static const struct aggfrag_params none;

	if (aggfrag_params_equal(p, &none)) /* as ever */
		return;
	add(d, p->mode | (uint64_t)p->dont_frag << 8 | (uint64_t)p->rate_bits << 9 |
		       (uint64_t)p->packet_size << 16 | (uint64_t)p->reorder_window << 32);
	add(d, (uint64_t)p->drop_time << 32 | p->max_queue);
	add(d, p->rate);
}

static void add_flags(struct digest *d, const struct child_flags *f)
{
	add(d, (uint64_t)f->df);
	add(d, (uint64_t)f->dscp);
	add(d, f->no_ecn | (uint64_t)f->offload << 1); /* as ever where there is none */
	add(d, f->tfc_pad);
	add(d, (uint64_t)f->set_mark_out << 32 | f->set_mark_out_mask);
	add(d, (uint64_t)f->set_mark_in << 32 | f->set_mark_in_mask);
	add_aggfrag(d, &f->aggfrag);
}

uint64_t child_config_digest_keying(const struct child_config *c)
{
	struct digest d = begin();

	add_proposals(&d, c->proposals);
	add(&d, c->rekey_time);
	add(&d, c->life_time);
	add(&d, c->rand_time);
	add(&d, c->life_bytes);
	add(&d, c->rekey_bytes);
	add(&d, c->life_packets);
	add(&d, c->rekey_packets);
	add(&d, c->replay_window);
	add(&d, c->resources);
	add_flags(&d, &c->flags);
	return d.sum;
}

static uint64_t child_digest(const struct child_config *c)
{
	struct digest d = begin();

	add_string(&d, c->name);
	add(&d, child_config_digest_traffic(c));
	add(&d, child_config_digest_keying(c));
	add(&d, (uint64_t)c->start_action);
	add(&d, (uint64_t)c->dpd_action);
	add(&d, (uint64_t)c->close_action);
	add_string(&d, c->updown);
	return d.sum;
}

/* ---- the conn ---- */

static void add_tunnel(struct digest *d, const struct tunnel_config *t)
{
	add_string(d, t->name);
	add(d, (uint64_t)t->kind);
	add(d, t->external);
	add(d, (uint64_t)t->mark_in.value << 32 | t->mark_in.mask);
	add(d, (uint64_t)t->mark_out.value << 32 | t->mark_out.mask);
	add(d, (uint64_t)t->if_id_in << 32 | t->if_id_out);
}

static void add_pools(struct digest *d, const struct conn *c)
{
	add(d, c->n_pools);
	for (unsigned i = 0; i < c->n_pools; i++) {
		add(d, (uint64_t)c->pools[i].kind);
		add_addr(d, &c->pools[i].first);
		add_addr(d, &c->pools[i].last);
		add_string(d, c->pools[i].name);
	}
}

uint64_t conn_digest_ike(const struct conn *c)
{
	struct digest d = begin();

	add_string(&d, c->name);
	add_hosts(&d, c->local, c->n_local);
	add_hosts(&d, c->remote, c->n_remote);
	add(&d, (uint64_t)c->local_port << 16 | c->remote_port);
	add_id(&d, &c->local_id);
	add_id(&d, &c->remote_id);
	add(&d, c->remote_id_set);
	add_addrs(&d, c->vips, c->n_vips);
	add_addrs(&d, c->dns_wanted, c->n_dns_wanted);
	add_addrs(&d, c->dns, c->n_dns);
	add_pools(&d, c);
	add(&d, (uint64_t)c->local_auth);
	add(&d, (uint64_t)c->remote_auth);
	add_proposals(&d, c->proposals);
	add(&d, c->encap);
	add_tunnel(&d, &c->tunnel);
	return d.sum;
}

static void add_policy(struct digest *d, const struct conn *c)
{
	add(d, c->rekey);
	add(d, c->reauth);
	add(d, c->rekey_time);
	add(d, c->over_time);
	add(d, c->rand_time);
	add(d, c->reauth_time);
	add(d, c->dpd_delay);
	add(d, c->retransmit_interval);
	add(d, c->retransmit_timeout);
	add(d, c->keying_tries);
	add(d, (uint64_t)c->unique);
	add(d, c->message_id_sync);
}

uint64_t conn_digest(const struct conn *c)
{
	struct digest d = begin();
	uint64_t children = 0; /* in any order */

	add(&d, conn_digest_ike(c));
	add_policy(&d, c);
	for (unsigned i = 0; i < c->n_children; i++)
		children += child_digest(&c->children[i]);
	add(&d, c->n_children);
	add(&d, children);
	add(&d, c->tunnel.mtu);
	add(&d, c->tunnel.mss);
	add(&d, c->tunnel.n_addrs);
	for (unsigned i = 0; i < c->tunnel.n_addrs; i++)
		add_prefix(&d, &c->tunnel.addrs[i]);
	return d.sum;
}
