/* CHILD_SAs of the kernel plane: two states each, made from what was negotiated. Owns the keys.
 * RFC 4301 4.4.2, RFC 4303 3.3.3. */
#include "ipsecd/dataplane/kernel.h"

#include "lib/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define LIFE_MARGIN 30 /* seconds; the engine acts before */

/* ---- one direction ---- */

static uint64_t left(uint64_t limit, uint64_t used)
{
	return limit == 0 ? 0 : limit > used ? limit - used : 1;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The kernel tells of a limit when the packet behind it comes: outbound, one less makes it
 * tell in time. The numbers of an SA without ESN are a limit, too. */
static void set_limits(const struct kernel_child *c, const struct direction *x,
		       struct xfrm_state *s)
{
	const struct child_sa *sa = &c->sa;

	s->soft_bytes = left(sa->rekey_bytes, x->bytes);
	s->hard_bytes = left(sa->life_bytes, x->bytes);
	s->soft_packets = left(sa->rekey_packets, x->packets);
	s->hard_packets = left(sa->life_packets, x->packets);
	if (!s->inbound) {
		if (s->soft_packets > 1)
			s->soft_packets--;
		if (!sa->esn)
			s->soft_packets = least(s->soft_packets, left(SEQUENCE_SOFT, s->sequence));
	} else if (c->waits) {
		s->soft_packets = 1;
	}
	if (sa->life_seconds)
		s->hard_seconds = sa->life_seconds + LIFE_MARGIN;
}

static struct xfrm_state state_of(const struct kernel_child *c, const struct direction *x,
				  uint64_t sequence)
{
	bool inbound = x == &c->in;
	const struct child_sa *sa = &c->sa;
	const struct child_keys *keys = inbound ? &sa->in : &sa->out;
	const struct endpoint *src = inbound ? &sa->remote : &sa->local;
	const struct endpoint *dst = inbound ? &sa->local : &sa->remote;
	struct xfrm_state s = {
		.spi = inbound ? sa->spi_in : sa->spi_out,
		.reqid = x->state.reqid,
		.src = src->addr,
		.dst = dst->addr,
		.tag = inbound ? c->tunnel->in : c->tunnel->out,
		.encr_id = sa->encr_id,
		.key_bits = sa->encr_key_bits,
		.integ_id = sa->integ_id,
		.encr_key = span_of(keys->encr, keys->encr_len),
		.integ_key = span_of(keys->integ, keys->integ_len),
		.esn = sa->esn,
		.encap = sa->udp_encap,
		.sport = src->port,
		.dport = dst->port,
		.sequence = sequence,
		.inbound = inbound,
		.cpu = inbound ? 0 : kernel_lead_cpu(c),
		.flags = sa->flags,
	};

	if (inbound && sa->replay_window)
		s.replay_window = sa->replay_window < 64 ? 64 : sa->replay_window;
	set_limits(c, x, &s);
	return s;
}

static enum dataplane_error refused(struct kernel_child *c, const struct direction *x, int e)
{
	struct dataplane *d = c->tunnel->plane;
	char text[32], integ[32];
	const char *words = netlink_strerror(d->xfrm, e);

	if (e == -ENOSYS || e == -EPROTONOSUPPORT || e == -EOPNOTSUPP)
		return kernel_fail(
			d, DATAPLANE_UNSUPPORTED, "the kernel can't do ESP with %s%s%s: %s",
			algorithm_format(TRANSFORM_ENCR, c->sa.encr_id, c->sa.encr_key_bits, text),
			c->sa.integ_id ? ", " : "",
			c->sa.integ_id ? algorithm_format(TRANSFORM_INTEG, c->sa.integ_id, 0, integ)
				       : "",
			words);
	return kernel_fail(d, e == -EEXIST ? DATAPLANE_EXISTS : DATAPLANE_SYSTEM,
			   "%s: %s state 0x%08x: %s", c->tunnel->config.name,
			   x == &c->in ? "inbound" : "outbound",
			   x == &c->in ? c->sa.spi_in : c->sa.spi_out, words);
}

static enum dataplane_error direction_add(struct kernel_child *c, struct direction *x,
					  uint64_t sequence)
{
	struct dataplane *d = c->tunnel->plane;
	struct xfrm_state s = state_of(c, x, sequence);
	int e;
	enum dataplane_error offload = kernel_offload_add(c, &s, &e);

	if (e)
		return refused(c, x, e);
	if (offload != DATAPLANE_OK)
		return offload;
	x->last = (struct xfrm_state_info){.sequence = sequence, .received = sequence};
	if (kernel_state_track(d, &x->state, &s.dst, s.spi, &s.tag))
		return DATAPLANE_OK;
	xfrm_state_remove(d->xfrm, &s.dst, s.spi, &s.tag);
	return kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
}

static void direction_remove(struct kernel_child *c, struct direction *x)
{
	struct dataplane *d = c->tunnel->plane;
	const struct state_key *key = &x->state.key;

	if (!x->state.tracked)
		return;
	kernel_state_forget(d, &x->state);
	xfrm_state_remove(d->xfrm, &key->dst, key->spi, &key->tag);
}

/* Ports, limits: the state stays. */
static enum dataplane_error direction_update(struct kernel_child *c, struct direction *x)
{
	struct xfrm_state s = state_of(c, x, x == &c->in ? x->last.received : x->last.sequence);
	int e = x->state.tracked ? xfrm_state_update(c->tunnel->plane->xfrm, &s) : 0;

	return e ? refused(c, x, e) : DATAPLANE_OK;
}

static bool direction_read(struct kernel_child *c, struct direction *x, mono_time now)
{
	struct dataplane *d = c->tunnel->plane;
	const struct state_key *key = &x->state.key;
	struct xfrm_state_info s;

	if (!x->state.tracked || xfrm_state_read(d->xfrm, &key->dst, key->spi, &key->tag, &s) != 0)
		return false;
	kernel_direction_seen(d, x, &s, now);
	return true;
}

/* A process that is killed between the end of the old state and the new one leaves the number
 * that the new one is to begin with. */
static void remaking(struct kernel_child *c, const struct direction *x, uint64_t sequence)
{
	struct sa_live *l = c->live;

	if (x == &c->out)
		l->seq_out = sequence;
	else
		l->replay.top = sequence;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	l->remaking |= x == &c->out ? LIVE_OUT : LIVE_IN;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static enum dataplane_error add_again(struct kernel_child *c, struct direction *x,
				      uint64_t sequence)
{
	enum dataplane_error e = direction_add(c, x, sequence);

	c->live->remaking &= x == &c->out ? (uint8_t)~LIVE_OUT : (uint8_t)~LIVE_IN;
	return e;
}

static void keep_counts(struct kernel_child *c)
{
	struct dataplane_child_stats *s = &c->live->stats;

	s->bytes_in = c->in.bytes;
	s->packets_in = c->in.packets;
	s->bytes_out = c->out.bytes;
	s->packets_out = c->out.packets;
	s->drop_replay = c->in.replay;
	s->drop_icv = c->in.icv;
}

/* Another address, another tag, or numbers that are passed over: another state, which goes on
 * where the old one ended. */
static enum dataplane_error direction_remake(struct kernel_child *c, struct direction *x,
					     uint64_t skip)
{
	uint64_t sequence;

	direction_read(c, x, mono_now());
	sequence = x == &c->in ? x->last.received : x->last.sequence;
	if (x == &c->out && c->reached)
		sequence += SEQUENCE_MARGIN;
	sequence = skip < UINT64_MAX - sequence ? sequence + skip : UINT64_MAX;
	remaking(c, x, sequence);
	direction_remove(c, x);
	x->bytes += x->last.bytes;
	x->packets += x->last.packets;
	x->replay += x->last.replay_errors + x->last.window_errors;
	x->icv += x->last.integrity_errors;
	keep_counts(c);
	if (sequence > (c->sa.esn ? UINT64_MAX - 1 : UINT32_MAX))
		return kernel_fail(c->tunnel->plane, DATAPLANE_SYSTEM,
				   "%s: the SA has no sequence numbers left",
				   c->tunnel->config.name);
	return add_again(c, x, sequence);
}

enum dataplane_error kernel_child_requid(struct kernel_child *c)
{
	enum dataplane_error e = DATAPLANE_OK;

	if (c->out.state.tracked)
		e = direction_remake(c, &c->out, 0);
	if (e != DATAPLANE_OK)
		kernel_child_note(c->tunnel->plane, c, DUE_HARD);
	return e;
}

enum dataplane_error kernel_child_add_again(struct kernel_child *c, bool outbound)
{
	uint64_t sequence = outbound ? c->live->seq_out + SEQUENCE_MARGIN : c->live->replay.top;

	return add_again(c, outbound ? &c->out : &c->in, sequence);
}

enum dataplane_error kernel_child_readdress(struct kernel_child *c)
{
	enum dataplane_error e = direction_remake(c, &c->in, 0);

	if (e == DATAPLANE_OK)
		e = direction_remake(c, &c->out, 0);
	if (e != DATAPLANE_OK)
		kernel_child_note(c->tunnel->plane, c, DUE_HARD);
	return e;
}

/* ---- what may be installed ---- */

struct kernel_child *kernel_child_find(const struct dataplane *d, uint64_t id)
{
	struct kernel_child *c;

	HASH_FIND(by_id, d->children, &id, sizeof(id), c);
	return c;
}

static struct kernel_child *child_for(struct dataplane *d, uint64_t id, enum dataplane_error *e)
{
	struct kernel_child *c = kernel_child_find(d, id);

	*e = c ? DATAPLANE_OK
	       : kernel_fail(d, DATAPLANE_NOT_FOUND, "no CHILD_SA %llu", (unsigned long long)id);
	return c;
}

struct kernel_child *kernel_child_by_spi(const struct dataplane *d, uint32_t spi)
{
	struct kernel_child *c;

	HASH_FIND(by_spi, d->by_spi, &spi, sizeof(spi), c);
	return c;
}

static enum dataplane_error check_free(struct dataplane *d, const struct child_sa *child)
{
	if (!kernel_tunnel_find(d, child->tunnel))
		return kernel_fail(d, DATAPLANE_NOT_FOUND, "no tunnel %u", child->tunnel);
	if (child->resumed)
		return kernel_fail(d, DATAPLANE_NOT_FOUND, "it is not there any more");
	if (kernel_child_find(d, child->id))
		return kernel_fail(d, DATAPLANE_EXISTS,
				   "CHILD_SA %llu is installed already, with other SPIs or keys",
				   (unsigned long long)child->id);
	if (kernel_child_by_spi(d, child->spi_in))
		return kernel_fail(d, DATAPLANE_EXISTS, "inbound SPI 0x%08x is in use",
				   child->spi_in);
	return kernel_child_check(d, child);
}

/* ---- the verbs ---- */

static uint32_t next_number(struct dataplane *d)
{
	struct kernel_child *c;

	do {
		d->last_number = d->last_number % CHILD_NUMBERS + 1;
		HASH_FIND(by_number, d->by_number, &d->last_number, sizeof(d->last_number), c);
	} while (c);
	return d->last_number;
}

/* Into the tables; false: out of memory, and in none. */
static bool insert(struct dataplane *d, struct kernel_child *c)
{
	HASH_ADD(by_id, d->children, sa.id, sizeof(c->sa.id), c);
	if (!c->by_id.tbl)
		return false;
	HASH_ADD(by_spi, d->by_spi, sa.spi_in, sizeof(c->sa.spi_in), c);
	if (c->by_spi.tbl)
		HASH_ADD(by_number, d->by_number, number, sizeof(c->number), c);
	if (c->by_spi.tbl && c->by_number.tbl)
		return true;
	if (c->by_spi.tbl)
		HASH_DELETE(by_spi, d->by_spi, c);
	HASH_DELETE(by_id, d->children, c);
	return false;
}

static void destroy(struct kernel_child *c)
{
	area_slot_free(c->slot);
	child_sa_cleanse(&c->sa);
	free(c);
}

/* Where it lives; one from a former process goes on as it was. */
static bool attach(struct kernel_child *c, struct area_slot *left)
{
	const struct area_numbers numbers = {c->number, c->priority};
	const struct dataplane_child_stats *s;

	c->slot = left ? left
		       : area_child_put(c->tunnel->plane->area, c->tunnel->slot, &c->sa, &numbers);
	if (!c->slot)
		return false;
	c->live = area_child_live(c->slot);
	s = &c->live->stats;
	c->soft_reported = c->live->soft_reported != 0;
	c->hard_reported = c->live->hard_reported != 0;
	c->used_reported = c->live->used_reported != 0;
	c->waits = !c->sa.outbound && !c->used_reported;
	c->in.bytes = s->bytes_in;
	c->in.packets = s->packets_in;
	c->out.bytes = s->bytes_out;
	c->out.packets = s->packets_out;
	c->in.replay = s->drop_replay;
	c->in.icv = s->drop_icv;
	return true;
}

struct kernel_child *kernel_child_new(struct dataplane *d, const struct child_sa *child,
				      const struct area_numbers *numbers, struct area_slot *left)
{
	struct kernel_tunnel *t = kernel_tunnel_find(d, child->tunnel);
	struct kernel_child *c = calloc(1, sizeof(*c));

	if (!c) {
		area_slot_free(left);
		return NULL;
	}
	c->sa = *child;
	c->tunnel = t;
	c->claimed = !left;
	c->reached = left != NULL; /* the former process's policies are there */
	c->number = numbers ? numbers->reqid : next_number(d);
	c->priority = numbers ? numbers->priority : --t->last_priority;
	c->in.state.child = c->out.state.child = c;
	c->out.state.outbound = true;
	c->in.state.reqid = REQID_BASE | c->number << 1;
	c->out.state.reqid = c->in.state.reqid | REQID_OUT;
	if (attach(c, left) && insert(d, c)) {
		DL_PREPEND(t->newest, c);
		return c;
	}
	destroy(c);
	return NULL;
}

static enum dataplane_error child_settle(struct kernel_child *c)
{
	struct kernel_tunnel *t = c->tunnel;
	int e;

	kernel_lead(t);
	e = kernel_policy_settle(t, &c->sa);
	kernel_led(t);
	if (e)
		return kernel_fail(t->plane, DATAPLANE_SYSTEM, "%s: policy: %s", t->config.name,
				   netlink_strerror(t->plane->xfrm, e));
	if (c->sa.outbound && t->inherited && !t->inherit_end)
		t->inherit_end = mono_now() + LINGER;
	return DATAPLANE_OK;
}

/* States before policies: a template must not lead to what is not there yet. */
static enum dataplane_error child_setup(struct kernel_child *c)
{
	enum dataplane_error e = kernel_tunnel_follow(c->tunnel);

	kernel_lead_first(c);
	if (e == DATAPLANE_OK)
		e = direction_add(c, &c->in, 0);
	if (e == DATAPLANE_OK)
		e = direction_add(c, &c->out, 0);
	if (e != DATAPLANE_OK)
		return e;
	/* Before anything can have been sent: a policy is what leads to it. */
	__atomic_store_n(&c->live->installed, 1, __ATOMIC_SEQ_CST);
	return child_settle(c);
}

enum dataplane_error kernel_child_install(struct dataplane *d, const struct child_sa *child)
{
	struct kernel_child *c = kernel_child_find(d, child->id);
	enum dataplane_error e;
	char words[sizeof(d->error)];

	if (c && c->tunnel->id == child->tunnel && area_child_is(c->slot, child))
		return kernel_child_update(d, child);
	e = check_free(d, child);
	if (e != DATAPLANE_OK)
		return e;
	c = kernel_child_new(d, child, NULL, NULL);
	if (!c)
		return kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
	e = child_setup(c);
	if (e == DATAPLANE_OK) {
		kernel_tunnel_mtu_follows(c->tunnel);
		return e;
	}
	memcpy(words, d->error, sizeof(words)); /* the first cause, not the last */
	kernel_child_free(d, c);
	memcpy(d->error, words, sizeof(words));
	return e;
}

void kernel_child_free(struct dataplane *d, struct kernel_child *c)
{
	struct kernel_tunnel *t = c->tunnel;

	DL_DELETE(t->newest, c);
	kernel_child_unnote(d, c);
	kernel_lead(t);
	kernel_policy_settle(t, &c->sa);
	kernel_led(t);
	direction_remove(c, &c->out);
	direction_remove(c, &c->in);
	HASH_DELETE(by_id, d->children, c);
	HASH_DELETE(by_spi, d->by_spi, c);
	HASH_DELETE(by_number, d->by_number, c);
	destroy(c);
	if (kernel_tunnel_follow(t) == DATAPLANE_EXISTS)
		kernel_tunnel_step_aside(t);
}

/* What differs decides how much is done over: ports are changed in the states, other
 * addresses need other states. */
static enum dataplane_error move(struct kernel_child *c, const struct child_sa *to)
{
	bool other = c->sa.udp_encap != to->udp_encap ||
		     !addr_equal(&c->sa.local.addr, &to->local.addr) ||
		     !addr_equal(&c->sa.remote.addr, &to->remote.addr);
	bool ports = to->udp_encap &&
		     (c->sa.local.port != to->local.port || c->sa.remote.port != to->remote.port);
	struct child_sa old = c->sa;
	enum dataplane_error e;

	c->sa.udp_encap = to->udp_encap;
	c->sa.local = to->local;
	c->sa.remote = to->remote;
	e = other ? kernel_tunnel_follow(c->tunnel) : DATAPLANE_OK;
	if (e != DATAPLANE_OK) {
		c->sa.udp_encap = old.udp_encap;
		c->sa.local = old.local;
		c->sa.remote = old.remote;
	} else if (other) {
		e = kernel_child_readdress(c);
	} else if (ports) {
		e = direction_update(c, &c->in);
		if (e == DATAPLANE_OK)
			e = direction_update(c, &c->out);
	}
	child_sa_cleanse(&old);
	return e;
}

enum dataplane_error kernel_child_update(struct dataplane *d, const struct child_sa *child)
{
	enum dataplane_error e;
	struct kernel_child *c = child_for(d, child->id, &e);

	if (!c)
		return e;
	if (child->local.addr.family != child->remote.addr.family || !child->local.addr.family)
		return kernel_fail(d, DATAPLANE_UNSUPPORTED,
				   "the outer addresses are not of one family");
	c->claimed = true;
	area_child_set(c->slot, child); /* the wish first: what is half done is done then */
	e = move(c, child);
	if (e != DATAPLANE_OK) {
		area_child_set(c->slot, &c->sa);
		return e;
	}
	if (child->skip_out && direction_remake(c, &c->out, child->skip_out) != DATAPLANE_OK)
		kernel_child_note(d, c, DUE_HARD);
	c->sa.outbound = child->outbound;
	if (c->sa.outbound)
		kernel_child_used(c);
	e = child_settle(c);
	if (e == DATAPLANE_OK)
		kernel_tunnel_mtu_follows(c->tunnel);
	return e;
}

/* Its first packet has come, or is no longer waited for: its own limits hold. */
void kernel_child_used(struct kernel_child *c)
{
	if (!c->waits)
		return;
	c->waits = false;
	direction_update(c, &c->in);
}

enum dataplane_error kernel_child_remove(struct dataplane *d, uint64_t id)
{
	enum dataplane_error e;
	struct kernel_child *c = child_for(d, id, &e);
	struct kernel_tunnel *t = c ? c->tunnel : NULL;

	if (!c)
		return e;
	kernel_child_free(d, c);
	kernel_tunnel_mtu_follows(t);
	return DATAPLANE_OK;
}

enum dataplane_error kernel_child_retag(struct kernel_child *c)
{
	enum dataplane_error e = kernel_child_readdress(c);

	return e == DATAPLANE_OK ? child_settle(c) : e;
}

bool kernel_child_read(struct kernel_child *c, mono_time now)
{
	bool in = direction_read(c, &c->in, now), out = direction_read(c, &c->out, now);

	return in && out;
}

bool kernel_child_stats(struct dataplane *d, uint64_t id, struct dataplane_child_stats *out)
{
	struct kernel_child *c = kernel_child_find(d, id);
	const struct direction *in, *o;

	if (!c)
		return false;
	kernel_child_read(c, mono_now());
	in = &c->in;
	o = &c->out;
	*out = (struct dataplane_child_stats){
		.bytes_in = in->bytes + in->last.bytes,
		.packets_in = in->packets + in->last.packets,
		.bytes_out = o->bytes + o->last.bytes,
		.packets_out = o->packets + o->last.packets,
		.drop_replay = in->replay + in->last.replay_errors + in->last.window_errors,
		.drop_icv = in->icv + in->last.integrity_errors,
		.last_in = in->used,
		.last_out = o->used,
	};
	return true;
}
