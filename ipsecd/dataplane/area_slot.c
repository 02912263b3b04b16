/* What is in a slot: owns the checks that tell whole ones from torn ones, and the two places
 * of what changes. */
#include "ipsecd/dataplane/area_layout.h"

/* FNV-1a, eight bytes at a time: against torn and foreign bytes, not against an enemy. */
static uint64_t check_of(uint64_t seed, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t sum = UINT64_C(14695981039346656037) ^ seed, word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = (sum ^ word) * UINT64_C(1099511628211);
		sum ^= sum >> 29;
	}
	for (; len; p++, len--)
		sum = (sum ^ *p) * UINT64_C(1099511628211);
	return sum;
}

static uint64_t tunnel_check(const struct slot *s, unsigned i)
{
	const struct tunnel_version *v = &s->body.tunnel.versions[i];

	return check_of(s->serial, &v->tunnel, sizeof(v->tunnel));
}

static uint64_t version_check(const struct slot *s, unsigned i)
{
	const struct child_version *v = &s->body.child.versions[i];

	return check_of(s->serial, &v->now, sizeof(v->now));
}

static uint64_t child_check(const struct slot *s)
{
	return check_of(s->serial, &s->body.child.fixed, sizeof(s->body.child.fixed));
}

/* ---- what may be believed ---- */

static bool addr_good(const struct addr *a)
{
	return a->family == 0 || a->family == AF_INET || a->family == AF_INET6;
}

static bool tunnel_good(const struct area_tunnel *t)
{
	const struct tunnel_config *c = &t->config;

	if (!memchr(c->name, 0, sizeof(c->name)) || c->n_addrs > TUNNEL_ADDRS_MAX)
		return false;
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (!addr_good(&c->addrs[i].addr) ||
		    c->addrs[i].len > addr_size(c->addrs[i].addr.family) * 8)
			return false;
	return addr_good(&c->local) && addr_good(&c->remote);
}

static bool keys_good(const struct child_keys *k)
{
	return k->encr_len <= sizeof(k->encr) && k->integ_len <= sizeof(k->integ);
}

static bool child_good(const struct child_sa *c)
{
	return c->local_ts.n <= TS_LIST_MAX && c->remote_ts.n <= TS_LIST_MAX && keys_good(&c->in) &&
	       keys_good(&c->out);
}

static bool take_tunnel(struct slot *s)
{
	unsigned i = s->current & 1;

	s->current = i;
	return s->body.tunnel.versions[i].check == tunnel_check(s, i) &&
	       tunnel_good(&s->body.tunnel.versions[i].tunnel);
}

static bool take_child(struct slot *s)
{
	const struct child_body *b = &s->body.child;
	unsigned i = s->current & 1;

	s->current = i;
	return b->check == child_check(s) && b->versions[i].check == version_check(s, i) &&
	       child_good(&b->fixed.sa) && addr_good(&b->versions[i].now.local.addr) &&
	       addr_good(&b->versions[i].now.remote.addr);
}

bool area_slot_good(struct slot *s)
{
	return s->state == SLOT_TUNNEL ? take_tunnel(s) : s->state == SLOT_CHILD && take_child(s);
}

/* ---- filling and reading ---- */

void area_tunnel_set(struct area_slot *h, const struct area_tunnel *t)
{
	struct slot *s = h->slot;
	unsigned other = !s->current;
	struct tunnel_version *v = &s->body.tunnel.versions[other];

	v->tunnel = *t;
	v->check = tunnel_check(s, other);
	area_set32(&s->current, other);
}

struct area_slot *area_tunnel_put(struct sa_area *a, const struct area_tunnel *t)
{
	struct area_slot *h = area_slot_take(a);

	if (!h)
		return NULL;
	area_tunnel_set(h, t);
	area_slot_filled(h, SLOT_TUNNEL);
	return h;
}

void area_tunnel_get(const struct area_slot *h, struct area_tunnel *out)
{
	*out = h->slot->body.tunnel.versions[h->slot->current].tunnel;
}

void area_child_set(struct area_slot *h, const struct child_sa *child)
{
	struct slot *s = h->slot;
	unsigned other = !s->current;
	struct child_version *v = &s->body.child.versions[other];

	v->now.local = child->local;
	v->now.remote = child->remote;
	v->now.outbound = child->outbound;
	v->now.udp_encap = child->udp_encap;
	v->check = version_check(s, other);
	area_set32(&s->current, other);
}

struct area_slot *area_child_put(struct sa_area *a, const struct area_slot *tunnel,
				 const struct child_sa *child, const struct area_numbers *numbers)
{
	struct area_slot *h = area_slot_take(a);
	struct child_body *b;

	if (!h)
		return NULL;
	b = &h->slot->body.child;
	memset(&b->live, 0, sizeof(b->live));
	b->fixed.tunnel = tunnel->slot->serial;
	b->fixed.tunnel_index = tunnel->index;
	b->fixed.numbers = numbers ? *numbers : (struct area_numbers){0};
	b->fixed.sa = *child;
	b->check = child_check(h->slot);
	area_child_set(h, child);
	area_slot_filled(h, SLOT_CHILD);
	return h;
}

static struct area_slot *tunnel_of(const struct area_slot *h)
{
	return area_slot_at(h->area, h->slot->body.child.fixed.tunnel_index);
}

void area_child_get(const struct area_slot *h, struct child_sa *out, struct area_numbers *numbers)
{
	const struct child_body *b = &h->slot->body.child;
	const struct child_version *v = &b->versions[h->slot->current];
	const struct slot *t = tunnel_of(h)->slot;

	*out = b->fixed.sa;
	out->tunnel = t->body.tunnel.versions[t->current].tunnel.id;
	out->local = v->now.local;
	out->remote = v->now.remote;
	out->outbound = v->now.outbound != 0;
	out->udp_encap = v->now.udp_encap != 0;
	if (numbers)
		*numbers = b->fixed.numbers;
}

struct sa_live *area_child_live(struct area_slot *h)
{
	return &h->slot->body.child.live;
}

static bool keys_equal(const struct child_keys *a, const struct child_keys *b)
{
	return a->encr_len == b->encr_len && a->integ_len == b->integ_len &&
	       a->encr_len <= sizeof(b->encr) && a->integ_len <= sizeof(b->integ) &&
	       memcmp(a->encr, b->encr, a->encr_len) == 0 &&
	       memcmp(a->integ, b->integ, a->integ_len) == 0;
}

bool area_child_is(const struct area_slot *h, const struct child_sa *child)
{
	const struct child_sa *c = &h->slot->body.child.fixed.sa;

	return c->id == child->id && c->spi_in == child->spi_in && c->spi_out == child->spi_out &&
	       c->encr_id == child->encr_id && c->encr_key_bits == child->encr_key_bits &&
	       c->integ_id == child->integ_id && c->esn == child->esn &&
	       keys_equal(&c->in, &child->in) && keys_equal(&c->out, &child->out);
}
