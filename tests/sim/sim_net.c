/* The simulated network: links with faults, NATs, a heap of datagrams by arrival. */
#include "tests/sim/sim_parts.h"
#include "ipsecd/wire/message.h"

#include <stdlib.h>

#define REORDER_DELAY (400 * MONO_MS)

struct sim_mapping {
	struct sim_mapping *prev, *next;
	struct endpoint inner;
	uint16_t port;
	mono_time used;
};

/* ---- the heap ---- */

static bool before(const struct sim_packet *a, const struct sim_packet *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void swap(struct sim_packet **a, struct sim_packet **b)
{
	struct sim_packet *t = *a;

	*a = *b;
	*b = t;
}

static void heap_push(struct sim *s, struct sim_packet *p)
{
	size_t i = s->n_packets++;

	if (s->n_packets > s->cap_packets) {
		s->cap_packets = s->cap_packets ? 2 * s->cap_packets : 64;
		s->packets = reallocarray(s->packets, s->cap_packets, sizeof(*s->packets));
		if (!s->packets)
			abort();
	}
	s->packets[i] = p;
	for (; i && before(s->packets[i], s->packets[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&s->packets[i], &s->packets[(i - 1) / 2]);
}

static struct sim_packet *heap_pop(struct sim *s)
{
	struct sim_packet *p = s->packets[0];
	size_t i = 0;

	s->packets[0] = s->packets[--s->n_packets];
	for (;;) {
		size_t least = i, left = 2 * i + 1, right = left + 1;

		if (left < s->n_packets && before(s->packets[left], s->packets[least]))
			least = left;
		if (right < s->n_packets && before(s->packets[right], s->packets[least]))
			least = right;
		if (least == i)
			return p;
		swap(&s->packets[i], &s->packets[least]);
		i = least;
	}
}

mono_time sim_net_deadline(const struct sim *s)
{
	return s->n_packets ? s->packets[0]->at : MONO_NEVER;
}

/* ---- NAT ---- */

void sim_put_nat(struct sim *s, unsigned node, mono_time timeout)
{
	struct sim_nat *nat = &s->nodes[node].nat;

	nat->on = true;
	nat->timeout = timeout;
	nat->next_port = 20000;
	nat->public_addr = (struct addr){.family = AF_INET, .bytes = {203, 0, 113}};
	nat->public_addr.bytes[3] = (uint8_t)(node + 1);
}

void sim_nat_forget(struct sim *s, unsigned node)
{
	struct sim_nat *nat = &s->nodes[node].nat;
	struct sim_mapping *m, *next;

	DL_FOREACH_SAFE (nat->mappings, m, next) {
		DL_DELETE(nat->mappings, m);
		free(m);
	}
}

static void nat_expire(struct sim *s, struct sim_nat *nat)
{
	struct sim_mapping *m, *next;

	DL_FOREACH_SAFE (nat->mappings, m, next) {
		if (s->now - m->used < nat->timeout)
			continue;
		DL_DELETE(nat->mappings, m);
		free(m);
	}
}

static struct endpoint nat_out(struct sim *s, struct sim_nat *nat, const struct endpoint *inner)
{
	struct sim_mapping *m;

	nat_expire(s, nat);
	DL_FOREACH (nat->mappings, m) {
		if (endpoint_equal(&m->inner, inner))
			break;
	}
	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m)
			abort();
		m->inner = *inner;
		m->port = nat->next_port++;
		DL_APPEND(nat->mappings, m);
	}
	m->used = s->now;
	return (struct endpoint){.addr = nat->public_addr, .port = m->port};
}

/* Which node gets a datagram to *dst, which becomes the inner address; n_nodes: none. */
static unsigned route(struct sim *s, struct endpoint *dst)
{
	unsigned node = s->n_nodes;
	struct sim_mapping *m;

	if (dst->addr.family == AF_INET && dst->addr.bytes[0] == 10)
		node = dst->addr.bytes[1] - 1u;
	if (dst->addr.family == AF_INET6 && dst->addr.bytes[0] == 0xfd)
		node = dst->addr.bytes[7] - 1u;
	if (node < s->n_nodes)
		return s->nodes[node].nat.on ? s->n_nodes : node;
	for (node = 0; node < s->n_nodes; node++) {
		struct sim_nat *nat = &s->nodes[node].nat;

		if (!nat->on || !addr_equal(&nat->public_addr, &dst->addr))
			continue;
		nat_expire(s, nat);
		DL_FOREACH (nat->mappings, m) {
			if (m->port != dst->port)
				continue;
			*dst = m->inner;
			return node;
		}
		return s->n_nodes;
	}
	return s->n_nodes;
}

/* ---- links ---- */

static bool chance(struct sim *s, unsigned per_mille)
{
	return per_mille && sim_random(&s->rng) % 1000 < per_mille;
}

static mono_time delay(struct sim *s, const struct sim_link *link)
{
	mono_time d = link->latency;

	if (link->jitter)
		d += sim_random(&s->rng) % link->jitter;
	if (chance(s, link->reorder))
		d += sim_random(&s->rng) % REORDER_DELAY;
	return d;
}

static bool chosen_drop(struct sim_link *link, const struct sim_packet *p)
{
	struct wire_header h;

	if (!link->drop_next || p->esp || p->len < WIRE_HEADER_LEN ||
	    wire_parse_header(span_of(p->data, p->len), &h).error != WIRE_OK)
		return false;
	if (h.exchange != link->drop_exchange ||
	    ((h.flags & FLAG_RESPONSE) != 0) != link->drop_responses)
		return false;
	link->drop_next--;
	return true;
}

static void enqueue(struct sim *s, const struct sim_packet *like, const struct sim_link *link)
{
	struct sim_packet *p = malloc(sizeof(*p) + like->len);

	if (!p)
		abort();
	memcpy(p, like, sizeof(*p) + like->len);
	p->at = s->now + delay(s, link);
	p->seq = s->next_packet++;
	if (p->len && !p->esp && chance(s, link->corrupt))
		p->data[sim_random(&s->rng) % p->len] ^= (uint8_t)(1u << sim_random(&s->rng) % 8);
	heap_push(s, p);
}

/* Where the receiver sits is asked at sending for the link and again at arrival for NATs. */
static void transmit(struct sim *s, unsigned node, struct sim_packet *p)
{
	struct sim_nat *nat = &s->nodes[node].nat;
	struct endpoint dst = p->dst;
	struct sim_link *link;
	unsigned to;
	bool faults;

	p->from = node;
	if (nat->on && p->esp && !p->encap)
		return;
	if (nat->on)
		p->src = nat_out(s, nat, &p->src);
	to = route(s, &dst);
	if (to >= s->n_nodes)
		return;
	link = &s->links[node][to];
	if (link->cut || chosen_drop(link, p))
		return;
	faults = !(p->esp && link->spare_esp);
	if (faults && chance(s, link->loss))
		return;
	enqueue(s, p, link);
	if (faults && chance(s, link->duplicate))
		enqueue(s, p, link);
}

void sim_net_send(struct sim *s, unsigned node, const struct ike_path *path, struct span datagram)
{
	struct sim_packet *p = calloc(1, sizeof(*p) + datagram.len);

	if (!p)
		abort();
	p->src = path->local;
	p->dst = path->remote;
	p->len = datagram.len;
	memcpy(p->data, datagram.ptr, datagram.len);
	transmit(s, node, p);
	free(p);
}

void sim_net_send_esp(struct sim *s, unsigned node, const struct child_sa *c)
{
	struct sim_packet p = {.src = c->local,
			       .dst = c->remote,
			       .esp = true,
			       .encap = c->udp_encap,
			       .spi = c->spi_out};

	transmit(s, node, &p);
}

static void deliver(struct sim *s, struct sim_packet *p)
{
	struct endpoint dst = p->dst;
	unsigned to = route(s, &dst);
	struct ike_path path;

	if (to >= s->n_nodes || s->links[p->from][to].cut)
		return;
	p->dst = dst;
	if (p->esp) {
		sim_plane_input(&s->nodes[to], p);
		return;
	}
	if (p->len == 1)
		return; /* a keepalive: the shell's sockets drop it, RFC 3948 4 */
	if (s->intercept && s->intercept(s, to, span_of(p->data, p->len)))
		return;
	if (!sim_lives(&s->nodes[to]))
		return;
	path = (struct ike_path){.local = p->dst, .remote = p->src};
	sim_check_received(&s->nodes[to], span_of(p->data, p->len));
	ike_engine_datagram(s->nodes[to].engine, &path, span_of(p->data, p->len), s->now);
	sim_drain(s, to);
}

void sim_net_deliver(struct sim *s)
{
	while (s->n_packets && s->packets[0]->at <= s->now && !s->violation[0]) {
		struct sim_packet *p = heap_pop(s);

		deliver(s, p);
		free(p);
	}
}

void sim_net_free(struct sim *s)
{
	while (s->n_packets)
		free(heap_pop(s));
	free(s->packets);
	for (unsigned i = 0; i < s->n_nodes; i++)
		sim_nat_forget(s, i);
}
