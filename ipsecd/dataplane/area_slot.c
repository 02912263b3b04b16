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

/* ---- where what is of a CHILD_SA ---- */

static struct sa_live *live_of(const struct slot *s)
{
	return (struct sa_live *)((uint8_t *)(uintptr_t)s + AREA_CACHE_LINE);
}

static size_t live_bytes(uint16_t window)
{
	return offsetof(struct sa_live, replay) + replay_bytes(window);
}

static struct child_rest *rest_of(const struct slot *s)
{
	return (struct child_rest *)((uint8_t *)live_of(s) +
				     live_bytes(s->body.child.fixed.replay_window));
}

static struct ts *ts_of(const struct slot *s)
{
	return (struct ts *)(rest_of(s) + 1);
}

static uint8_t *keys_of(const struct slot *s)
{
	return (uint8_t *)(ts_of(s) + s->body.child.fixed.n_local_ts +
			   s->body.child.fixed.n_remote_ts);
}

static size_t tail_bytes(const struct child_body *b) /* selectors and keys */
{
	return (size_t)(b->fixed.n_local_ts + b->fixed.n_remote_ts) * sizeof(struct ts) +
	       b->fixed.in.encr + b->fixed.in.integ + b->fixed.out.encr + b->fixed.out.integ;
}

static size_t child_bytes(const struct child_body *b)
{
	return AREA_CACHE_LINE + live_bytes(b->fixed.replay_window) + sizeof(struct child_rest) +
	       tail_bytes(b);
}

static uint64_t version_check(const struct slot *s, unsigned i)
{
	const struct child_version *v = &rest_of(s)->versions[i];

	return check_of(s->serial, &v->now, sizeof(v->now));
}

static uint64_t child_check(const struct slot *s)
{
	const struct child_body *b = &s->body.child;

	return check_of(check_of(s->serial, &b->fixed, sizeof(b->fixed)), rest_of(s)->head,
			CHILD_HEAD + tail_bytes(b));
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

static bool lengths_good(const struct child_body *b)
{
	const struct child_keys *k = NULL;

	return b->fixed.n_local_ts <= TS_LIST_MAX && b->fixed.n_remote_ts <= TS_LIST_MAX &&
	       b->fixed.in.encr <= sizeof(k->encr) && b->fixed.in.integ <= sizeof(k->integ) &&
	       b->fixed.out.encr <= sizeof(k->encr) && b->fixed.out.integ <= sizeof(k->integ);
}

static bool take_tunnel(struct slot *s)
{
	unsigned i = s->current & 1;

	s->current = i;
	return s->body.tunnel.versions[i].check == tunnel_check(s, i) &&
	       tunnel_good(&s->body.tunnel.versions[i].tunnel);
}

static bool take_child(struct slot *s, size_t bytes)
{
	const struct child_body *b = &s->body.child;
	const struct child_version *v;
	unsigned i = s->current & 1;

	s->current = i;
	if (!lengths_good(b) || child_bytes(b) > bytes)
		return false;
	v = &rest_of(s)->versions[i];
	return b->check == child_check(s) && v->check == version_check(s, i) &&
	       addr_good(&v->now.local.addr) && addr_good(&v->now.remote.addr);
}

bool area_slot_good(struct slot *s, size_t bytes)
{
	if (s->state == SLOT_TUNNEL)
		return bytes >= sizeof(*s) && take_tunnel(s);
	return s->state == SLOT_CHILD && take_child(s, bytes);
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
	struct area_slot *h = area_slot_take(a, sizeof(struct slot));

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
	struct child_version *v = &rest_of(s)->versions[other];

	v->now.local = child->local;
	v->now.remote = child->remote;
	v->now.outbound = child->outbound;
	v->now.udp_encap = child->udp_encap;
	v->check = version_check(s, other);
	area_set32(&s->current, other);
}

static struct child_body body_of(const struct area_slot *tunnel, const struct child_sa *c,
				 const struct area_numbers *numbers)
{
	struct child_body b;

	memset(&b, 0, sizeof(b)); /* with what is between its members */
	b.fixed.tunnel = tunnel->slot->serial;
	b.fixed.tunnel_index = tunnel->index;
	if (numbers)
		b.fixed.numbers = *numbers;
	b.fixed.replay_window = c->replay_window;
	b.fixed.n_local_ts = c->local_ts.n;
	b.fixed.n_remote_ts = c->remote_ts.n;
	b.fixed.in.encr = c->in.encr_len;
	b.fixed.in.integ = c->in.integ_len;
	b.fixed.out.encr = c->out.encr_len;
	b.fixed.out.integ = c->out.integ_len;
	return b;
}

static uint8_t *put_bytes(uint8_t *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

static void put_tail(struct slot *s, const struct child_sa *c)
{
	uint8_t *to = (uint8_t *)ts_of(s);

	to = put_bytes(to, c->local_ts.ts, c->local_ts.n * sizeof(struct ts));
	to = put_bytes(to, c->remote_ts.ts, c->remote_ts.n * sizeof(struct ts));
	to = put_bytes(to, c->in.encr, c->in.encr_len);
	to = put_bytes(to, c->in.integ, c->in.integ_len);
	to = put_bytes(to, c->out.encr, c->out.encr_len);
	put_bytes(to, c->out.integ, c->out.integ_len);
}

struct area_slot *area_child_put(struct sa_area *a, const struct area_slot *tunnel,
				 const struct child_sa *child, const struct area_numbers *numbers)
{
	struct child_body body = body_of(tunnel, child, numbers);
	struct area_slot *h;

	if (!lengths_good(&body))
		return NULL;
	h = area_slot_take(a, child_bytes(&body));
	if (!h)
		return NULL;
	h->slot->body.child = body;
	memset(live_of(h->slot), 0, live_bytes(child->replay_window));
	memcpy(rest_of(h->slot)->head, child, CHILD_HEAD);
	put_tail(h->slot, child);
	h->slot->body.child.check = child_check(h->slot);
	area_child_set(h, child);
	area_slot_filled(h, SLOT_CHILD);
	return h;
}

static struct area_slot *tunnel_of(const struct area_slot *h)
{
	return area_slot_at(h->area, h->slot->body.child.fixed.tunnel_index);
}

struct area_child_parts area_child_parts(const struct area_slot *h)
{
	const struct child_body *b = &h->slot->body.child;
	const uint8_t *key = keys_of(h->slot);
	struct area_child_parts p = {
		.local_ts = ts_of(h->slot),
		.remote_ts = ts_of(h->slot) + b->fixed.n_local_ts,
		.n_local_ts = b->fixed.n_local_ts,
		.n_remote_ts = b->fixed.n_remote_ts,
	};

	p.in.encr = span_of(key, b->fixed.in.encr);
	p.in.integ = span_of(key += b->fixed.in.encr, b->fixed.in.integ);
	p.out.encr = span_of(key += b->fixed.in.integ, b->fixed.out.encr);
	p.out.integ = span_of(key + b->fixed.out.encr, b->fixed.out.integ);
	return p;
}

static void get_keys(const struct area_keys *k, struct child_keys *out)
{
	out->encr_len = (uint8_t)k->encr.len;
	memcpy(out->encr, k->encr.ptr, k->encr.len);
	out->integ_len = (uint8_t)k->integ.len;
	memcpy(out->integ, k->integ.ptr, k->integ.len);
}

static void get_tail(const struct area_slot *h, struct child_sa *out)
{
	const struct area_child_parts p = area_child_parts(h);

	out->local_ts.n = p.n_local_ts;
	memcpy(out->local_ts.ts, p.local_ts, p.n_local_ts * sizeof(struct ts));
	out->remote_ts.n = p.n_remote_ts;
	memcpy(out->remote_ts.ts, p.remote_ts, p.n_remote_ts * sizeof(struct ts));
	get_keys(&p.in, &out->in);
	get_keys(&p.out, &out->out);
}

void area_child_get(const struct area_slot *h, struct child_sa *out, struct area_numbers *numbers)
{
	const struct child_body *b = &h->slot->body.child;
	const struct child_version *v = &rest_of(h->slot)->versions[h->slot->current];
	const struct slot *t = tunnel_of(h)->slot;

	memset(out, 0, sizeof(*out));
	memcpy(out, rest_of(h->slot)->head, CHILD_HEAD);
	get_tail(h, out);
	out->replay_window = b->fixed.replay_window;
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
	return live_of(h->slot);
}

static bool is_key(struct span kept, const uint8_t *bytes, size_t len)
{
	return kept.len == len && memcmp(kept.ptr, bytes, len) == 0;
}

static bool are_keys(const struct area_keys *kept, const struct child_keys *k)
{
	return is_key(kept->encr, k->encr, k->encr_len) &&
	       is_key(kept->integ, k->integ, k->integ_len);
}

bool area_child_is(const struct area_slot *h, const struct child_sa *child)
{
	const struct area_child_parts parts = area_child_parts(h);
	struct child_sa c;

	memcpy(&c, rest_of(h->slot)->head, CHILD_HEAD); /* no more of it is read */
	return c.id == child->id && c.spi_in == child->spi_in && c.spi_out == child->spi_out &&
	       c.encr_id == child->encr_id && c.encr_key_bits == child->encr_key_bits &&
	       c.integ_id == child->integ_id && c.esn == child->esn &&
	       are_keys(&parts.in, &child->in) && are_keys(&parts.out, &child->out);
}
