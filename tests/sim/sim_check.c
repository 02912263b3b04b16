/* The invariants of the simulation, its transcript hash, and views for tests. */
#include "tests/sim/sim_parts.h"
#include "ipsecd/ike/sa.h"
#include "ipsecd/wire/message.h"

#include <stdio.h>
#include <stdlib.h>

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

/* ---- mirrored keys ---- */

static bool keys_equal(const struct child_keys *a, const struct child_keys *b)
{
	return a->encr_len == b->encr_len && a->integ_len == b->integ_len &&
	       memcmp(a->encr, b->encr, a->encr_len) == 0 &&
	       memcmp(a->integ, b->integ, a->integ_len) == 0;
}

static bool suites_equal(const struct child_sa *a, const struct child_sa *b)
{
	return a->encr_id == b->encr_id && a->encr_key_bits == b->encr_key_bits &&
	       a->integ_id == b->integ_id && a->esn == b->esn;
}

void sim_check_mirror(struct sim *s, const struct sim_child *c)
{
	uint32_t spis[2] = {c->sa.spi_out, c->sa.spi_in};
	const struct child_sa *a = &c->sa, *b;
	struct sim_child *other;

	if (a->in.encr_len == 0 || keys_equal(&a->in, &a->out))
		sim_fail(s, "node%u: keys of %08x missing or the same both ways", c->node,
			 a->spi_in);
	HASH_FIND(hh_spi, s->by_spis, spis, sizeof(spis), other);
	if (!other || other->node == c->node)
		return; /* the other end has not installed yet */
	b = &other->sa;
	if (!keys_equal(&a->in, &b->out) || !keys_equal(&a->out, &b->in))
		sim_fail(s, "keys of CHILD_SA %08x/%08x do not mirror", a->spi_in, a->spi_out);
	if (!suites_equal(a, b))
		sim_fail(s, "suites of CHILD_SA %08x/%08x differ", a->spi_in, a->spi_out);
	if (!ts_list_equal(&a->local_ts, &b->remote_ts) ||
	    !ts_list_equal(&a->remote_ts, &b->local_ts))
		sim_fail(s, "selectors of CHILD_SA %08x/%08x do not mirror", a->spi_in, a->spi_out);
	if (a->udp_encap != b->udp_encap)
		sim_fail(s, "UDP encapsulation of CHILD_SA %08x/%08x differs", a->spi_in,
			 a->spi_out);
}

/* ---- windows ---- */

static struct sim_window *window(struct sim_node *n, const struct wire_header *h)
{
	struct sim_window *w, like;

	memset(&like, 0, sizeof(like));
	like.key.spi_i = h->spi_i;
	like.key.spi_r = h->spi_r;
	HASH_FIND(hh, n->windows, &like.key, sizeof(like.key), w);
	if (w)
		return w;
	w = malloc(sizeof(*w));
	if (!w)
		abort();
	*w = like;
	HASH_ADD(hh, n->windows, key, sizeof(w->key), w);
	return w;
}

void sim_windows_free(struct sim_node *n)
{
	struct sim_window *w, *next;

	HASH_ITER (hh, n->windows, w, next) {
		HASH_DELETE(hh, n->windows, w);
		free(w);
	}
}

static void check_request(struct sim_node *n, const struct wire_header *h, uint64_t sum)
{
	struct sim_window *w = window(n, h);

	if (!w->requested || h->message_id > w->request_id) {
		if (w->requested && !w->answered)
			sim_fail(n->sim, "node%u: request %u while %u is in flight (RFC 7296 2.3)",
				 n->index, h->message_id, w->request_id);
		if (w->requested && h->message_id != w->request_id + 1)
			sim_fail(n->sim, "node%u: request %u follows %u (RFC 7296 2.2)", n->index,
				 h->message_id, w->request_id);
		w->requested = true;
		w->answered = false;
		w->request_id = h->message_id;
		w->request_hash = sum;
	} else if (h->message_id < w->request_id || w->request_hash != sum) {
		sim_fail(n->sim, "node%u: request %u is not what was sent (RFC 7296 2.1)", n->index,
			 h->message_id);
	}
}

static void check_response(struct sim_node *n, const struct wire_header *h, uint64_t sum)
{
	struct sim_window *w = window(n, h);

	if (!w->responded || h->message_id > w->response_id) {
		w->responded = true;
		w->response_id = h->message_id;
		w->response_hash = sum;
	} else if (h->message_id < w->response_id || w->response_hash != sum) {
		sim_fail(n->sim, "node%u: response %u is not what was sent (RFC 7296 2.1)",
			 n->index, h->message_id);
	}
}

/* RFC 6311: message ID 0 whatever the windows are. Who asks has nothing else in flight, and who
 * answered keeps no answer. */
static bool synchronises(const struct sim_node *n, const struct wire_header *h)
{
	bool initiator = h->flags & FLAG_INITIATOR;
	const struct ike_sa *sa = ike_sa_by_spi(n->engine, initiator ? h->spi_i : h->spi_r);

	if (!sa || h->message_id || h->exchange != EXCHANGE_INFORMATIONAL || !sa->sync.ids)
		return false;
	return h->flags & FLAG_RESPONSE ? sa->sync.seen && !sa->rx.response.data : sa->sync.asking;
}

/* The windows go on elsewhere. */
static void forget_windows(struct sim *s, const struct wire_header *h)
{
	for (unsigned i = 0; i < s->n_nodes; i++) {
		struct sim_window *w = window(&s->nodes[i], h);

		w->requested = w->answered = w->responded = false;
	}
}

void sim_check_repeated(struct sim_node *n, struct span datagram)
{
	uint64_t sum = hash(0xcbf29ce484222325ULL, datagram.ptr, datagram.len);
	struct wire_header h;

	if (wire_parse_header(datagram, &h).error != WIRE_OK || h.flags & FLAG_RESPONSE)
		sim_fail(n->sim, "node%u: a restart sends what is no request", n->index);
	else if (!n->sim->windows_unchecked && h.exchange != EXCHANGE_IKE_SA_INIT)
		check_request(n, &h, sum);
}

void sim_check_sent(struct sim_node *n, struct span datagram)
{
	uint64_t sum = hash(0xcbf29ce484222325ULL, datagram.ptr, datagram.len);
	struct wire_header h;
	unsigned type;

	if (wire_parse_header(datagram, &h).error != WIRE_OK) {
		sim_fail(n->sim, "node%u sent a malformed header", n->index);
		return;
	}
	type = h.exchange - (unsigned)EXCHANGE_IKE_SA_INIT;
	if (type < 4 && h.flags & FLAG_RESPONSE)
		n->responses[type]++;
	else if (type < 4)
		n->requests[type]++;
	/* Several IKE_SA_INITs have id 0 (COOKIE, INVALID_KE_PAYLOAD); bare answers to corrupted
	 * datagrams (RFC 7296 2.5) belong to no window. */
	if (n->sim->windows_unchecked || h.exchange == EXCHANGE_IKE_SA_INIT || !h.spi_r ||
	    h.next_payload != PAYLOAD_SK)
		return;
	if (synchronises(n, &h))
		forget_windows(n->sim, &h);
	else if (h.flags & FLAG_RESPONSE)
		check_response(n, &h, sum);
	else
		check_request(n, &h, sum);
}

void sim_check_received(struct sim_node *n, struct span datagram)
{
	struct sim_window *w;
	struct wire_header h;

	if (wire_parse_header(datagram, &h).error != WIRE_OK || !(h.flags & FLAG_RESPONSE) ||
	    h.exchange == EXCHANGE_IKE_SA_INIT)
		return;
	w = window(n, &h);
	if (w->requested && w->request_id == h.message_id)
		w->answered = true;
}

/* ---- transcript ---- */

static uint64_t hash_child(uint64_t h, const struct child_sa *c)
{
	h = hash(h, &c->id, sizeof(c->id));
	h = hash(h, &c->spi_in, sizeof(c->spi_in));
	h = hash(h, &c->spi_out, sizeof(c->spi_out));
	h = hash(h, &c->outbound, sizeof(c->outbound));
	h = hash(h, c->in.encr, c->in.encr_len);
	return hash(h, c->out.encr, c->out.encr_len);
}

/* IVs go on elsewhere behind a restart, and timers of one instant fire in another order. */
static uint64_t hash_shape(unsigned node, mono_time now, const struct ike_output *o)
{
	uint64_t head[6] = {now,
			    node,
			    (uint64_t)o->kind,
			    o->path.remote.port,
			    (uint64_t)o->event,
			    (uint64_t)o->reason};

	uint64_t h = hash(0xcbf29ce484222325ULL, head, sizeof(head));

	if (o->kind == IKE_OUTPUT_SEND) {
		h = hash(h, o->datagram.ptr, o->datagram.len < 24 ? o->datagram.len : 24);
		return hash(h, &o->datagram.len, sizeof(o->datagram.len));
	}
	if (o->kind == IKE_OUTPUT_EVENT)
		return hash(h, o->reason_detail, strlen(o->reason_detail));
	return o->child.id ? hash_child(h, &o->child) : h;
}

void sim_transcribe(struct sim *s, unsigned node, const struct ike_output *o)
{
	uint64_t head[4] = {s->now, node, (uint64_t)o->kind, o->path.remote.port};
	uint64_t h = hash(s->transcript, head, sizeof(head));

	switch (o->kind) {
	case IKE_OUTPUT_SEND:
		h = hash(h, o->datagram.ptr, o->datagram.len);
		break;
	case IKE_OUTPUT_CHILD_INSTALL:
	case IKE_OUTPUT_CHILD_UPDATE:
	case IKE_OUTPUT_CHILD_REMOVE:
		h = hash_child(h, &o->child);
		break;
	case IKE_OUTPUT_EVENT:
		head[0] = (uint64_t)o->event;
		head[1] = (uint64_t)o->reason;
		h = hash(h, head, 2 * sizeof(head[0]));
		h = hash(h, o->reason_detail, strlen(o->reason_detail));
		break;
	case IKE_OUTPUT_VIPS:
		h = hash(h, o->vips, o->n_vips * sizeof(o->vips[0]));
		break;
	case IKE_OUTPUT_QUERY_LEASE:
	case IKE_OUTPUT_LEASE_RELEASE:
		h = hash(h, &o->query, sizeof(o->query));
		break;
	case IKE_OUTPUT_KEEPALIVE:
	case IKE_OUTPUT_QUERY_RESOLVE:
		break;
	}
	s->transcript = h;
	s->shape += hash_shape(node, s->now, o);
}

/* ---- views ---- */

struct look {
	const char *conn;
	struct sim_view view;
};

static void look_at(void *ctx, const struct ike_sa_info *ike, const struct ike_child_info *child)
{
	struct look *l = ctx;

	if (l->conn && strcmp(l->conn, ike->conn) != 0)
		return;
	if (!child) {
		l->view.ike++;
		if (strcmp(ike->state, "ESTABLISHED") != 0 && strcmp(ike->state, "REKEYING") != 0)
			return;
		l->view.ike_established++;
		l->view.spi_i = ike->spi_i;
		l->view.spi_r = ike->spi_r;
		l->view.ike_id = ike->id;
		l->view.ike_initiator = ike->initiator;
		return;
	}
	l->view.children++;
	if (strcmp(child->state, "INSTALLED") != 0 && strcmp(child->state, "REKEYING") != 0)
		return;
	l->view.children_installed++;
	l->view.child_id = child->child_sa;
	l->view.child_unique = child->id;
	l->view.spi_in = child->spi_in;
	l->view.spi_out = child->spi_out;
	l->view.child_suite = child->suite;
}

struct sim_view sim_look(const struct sim *s, unsigned node, const char *conn)
{
	struct look l = {.conn = conn};

	ike_engine_each_sa(s->nodes[node].engine, look_at, &l);
	return l.view;
}

static bool planes_match(const struct sim *s, unsigned a, unsigned b, char why[160])
{
	struct sim_child *c, *other;

	DL_FOREACH (s->nodes[a].order, c) {
		uint32_t spis[2] = {c->sa.spi_out, c->sa.spi_in};

		HASH_FIND(hh_spi, s->by_spis, spis, sizeof(spis), other);
		if (other && other->node == b && other->sa.outbound && c->sa.outbound)
			continue;
		snprintf(why, 160, "node%u has CHILD_SA %08x/%08x, node%u %s", a, c->sa.spi_in,
			 c->sa.spi_out, b, other ? "does not send on it" : "has not");
		return false;
	}
	return true;
}

bool sim_agree(const struct sim *s, unsigned a, unsigned b, unsigned children, char why[160])
{
	struct sim_view va = sim_look(s, a, NULL), vb = sim_look(s, b, NULL);
	unsigned na = HASH_CNT(hh, s->nodes[a].plane), nb = HASH_CNT(hh, s->nodes[b].plane);

	if (va.ike != 1 || vb.ike != 1 || va.ike_established != 1 || vb.ike_established != 1) {
		snprintf(why, 160, "IKE_SAs: node%u %u (%u established), node%u %u (%u)", a, va.ike,
			 va.ike_established, b, vb.ike, vb.ike_established);
		return false;
	}
	if (va.spi_i != vb.spi_i || va.spi_r != vb.spi_r || va.ike_initiator == vb.ike_initiator) {
		snprintf(why, 160, "different IKE_SAs: %016llx and %016llx",
			 (unsigned long long)va.spi_i, (unsigned long long)vb.spi_i);
		return false;
	}
	if (va.children != children || va.children_installed != children ||
	    vb.children != children || vb.children_installed != children || na != children ||
	    nb != children) {
		snprintf(why, 160,
			 "CHILD_SAs: node%u %u (%u installed, %u in plane), node%u %u (%u, %u)", a,
			 va.children, va.children_installed, na, b, vb.children,
			 vb.children_installed, nb);
		return false;
	}
	return planes_match(s, a, b, why) && planes_match(s, b, a, why);
}
