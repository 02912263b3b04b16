/* From the device to the network: RFC 4301 5.1, RFC 4303 3.3. A super-packet finds its SA once and
 * is cut into packets, each of which is sealed where it leaves from: nothing is copied but by the
 * cut. */
#include "ipsecd/dataplane/forward_aggfrag.h"

#include "ipsecd/dataplane/outer.h"
#include "lib/buf.h"

#include <netinet/in.h>

#define ACQUIRE_INTERVAL MONO_S
#define LOOP_INTERVAL	 (60 * MONO_S)

/* What the kernel says by itself on a new IPv6 device (MLD, router solicitations) is
 * no traffic that asks for a tunnel. */
static bool is_chatter(const struct inner *packet)
{
	return packet->protocol == IPPROTO_ICMPV6 && packet->dst.family == AF_INET6 &&
	       packet->dst.bytes[0] == 0xff && packet->dst.bytes[1] == 0x02;
}

static void want_sa(struct lane *l, struct forward_tunnel *t, const struct inner *packet,
		    mono_time now)
{
	mono_time acquired = SA_GET(t->acquired);

	if (SA_GET(t->acquire_due) || (acquired && now - acquired < ACQUIRE_INTERVAL) ||
	    is_chatter(packet))
		return;
	forward_note_acquire(l, t);
}

/* ---- sending ---- */

/* What was counted when it was sealed, and has not left. The packets of a run are of one length,
 * but for the last. */
static void take_back(struct lane *l, const struct batch_cost *cost, unsigned lost)
{
	struct dataplane_child_stats *s = &cost->sa->live->stats;
	unsigned packets = lost && lost < cost->packets ? lost : cost->packets;

	lane_count(l, &s->bytes_out, -(cost->bytes * packets / cost->packets));
	lane_count(l, &s->packets_out, -(uint64_t)packets);
	l->drops[DROP_SEND] += packets;
}

void forward_send(struct lane *l)
{
	struct batch *b = &l->out;

	if (b->n == 0)
		return;
	l->send_esp(l->send_ctx, b->runs, b->n);
	for (unsigned i = 0; i < b->n; i++)
		if (!b->runs[i].sent)
			take_back(l, &b->costs[i], b->runs[i].lost);
	batch_clear(b);
}

/* ---- sealing ---- */

/* RFC 4303 3.3.3, RFC 4106 3.1: a number is used once, whatever becomes of the packet;
 * counters make the IVs of AEADs unique. RFC 3602 3: those of CBC are unpredictable. */
static inline bool seal(struct lane *l, struct sa *sa, uint64_t seq, uint8_t *inner, size_t len,
			uint8_t next_header)
{
	const struct dataplane_host *host = &l->forward->host;
	uint8_t iv[ALGORITHM_IV_MAX];

	if (sa->out.aead)
		be64_set(iv, seq);
	else
		host->random(host->ctx, iv, sa->out.iv_len);
	return esp_seal(&sa->out, l->number, seq, iv, next_header, inner, len).len != 0;
}

static uint8_t *place(struct lane *l, size_t len)
{
	uint8_t *at = batch_place(&l->out, len);

	if (at)
		return at;
	forward_send(l);
	return batch_place(&l->out, len);
}

uint8_t *forward_place(struct lane *l, size_t len)
{
	return place(l, len);
}

bool forward_seal(struct lane *l, struct sa *sa, uint64_t seq, uint8_t *inner, size_t len,
		  uint8_t next_header)
{
	return seal(l, sa, seq, inner, len, next_header);
}

/* The next packet of the cut is sealed where it leaves from. */
static void send_next(struct lane *l, struct sa *sa, struct cut *cut, uint8_t next_header,
		      mono_time now)
{
	size_t len = cut_peek(cut), padded = len < sa->pad_to ? sa->pad_to : len,
	       total = esp_length(&sa->out, padded);
	struct dataplane_child_stats *stats = &sa->live->stats;
	uint8_t *packet = place(l, total) + ESP_HEADER_LEN + sa->out.iv_len;
	struct outer outer;
	uint64_t seq = 0;

	cut_next(cut, packet, len);
	outer = outer_of(&sa->child.flags, packet);
	if (!SA_GET(sa->expired_out))
		seq = sa_live_next(sa->live, sa_seq_hard(sa));
	if (!seq) {
		l->drops[DROP_EXPIRED]++;
		return;
	}
	memset(packet + len, 0, padded - len); /* the inner header says where it begins */
	lane_count(l, &sa->live->ciphered_out, esp_ciphered(&sa->out, total));
	if (seal(l, sa, seq, packet, padded, next_header)) {
		batch_add(&l->out, sa, outer.tos, outer.df, total, len);
		lane_count(l, &stats->bytes_out, len);
		lane_count(l, &stats->packets_out, 1);
		SA_SET(stats->last_out, now);
	} else {
		l->drops[DROP_SEND]++;
	}
	forward_check_limits(l, sa);
}

static void send_all(struct lane *l, struct sa *sa, struct cut *cut, const struct inner *inner,
		     mono_time now)
{
	uint8_t next_header = inner->src.family == AF_INET6 ? ESP_NEXT_IPV6 : ESP_NEXT_IPV4;

	while (cut_peek(cut) != 0) {
		if (esp_length(&sa->out, cut_peek(cut)) > ESP_RUN_BYTES) {
			l->drops[DROP_TOO_BIG] += cut_left(cut);
			return;
		}
		send_next(l, sa, cut, next_header, now);
	}
}

static struct sa *select_sa(struct lane *l, struct forward_tunnel *t, struct span packet,
			    const struct inner *inner, bool *any)
{
	uint64_t generation = sadb_generation(&l->forward->sadb);
	struct match_flow *flow = match_find(&l->match_out, t, inner);
	struct inner answered;
	struct sa *sa;

	if (match_found(flow, generation, t, inner))
		return flow->sa;
	sa = sa_select(sa_next(&t->newest), lane_resource(l), inner, any);
	if (sa)
		match_keep(flow, generation, t, inner, sa);
	else if (*any && inner_answers(packet, inner, &answered)) /* RFC 4301 6.2 */
		sa = sa_select(sa_next(&t->newest), lane_resource(l), &answered, any);
	return sa;
}

/* What left by this SA, and was routed into the tunnel again: sealed once more it would come back
 * longer each time, in ever more fragments, and one packet would keep us busy for ever. */
static bool is_own(const struct sa *sa, const struct inner *packet)
{
	const struct sa_child *c = &sa->child;
	bool esp = c->udp_encap ? packet->protocol == IPPROTO_UDP &&
					  packet->dst_port == c->remote.port &&
					  packet->src_port == c->local.port
				: packet->protocol == IPPROTO_ESP;

	return esp && addr_equal(&packet->dst, &c->remote.addr) &&
	       addr_equal(&packet->src, &c->local.addr);
}

static void drop_own(struct lane *l, struct forward_tunnel *t, const struct sa *sa,
		     const struct cut *cut, mono_time now)
{
	mono_time told = SA_GET(t->loop_told);
	char to[ADDR_TEXT];

	l->drops[DROP_LOOP] += cut_left(cut);
	if (told && now - told < LOOP_INTERVAL)
		return;
	SA_SET(t->loop_told, now);
	log_to(l->log, LOG_LEVEL_WARN, "esp", t->name,
	       "the route to the peer, %s, leads through its own tunnel: its ESP packets are "
	       "dropped",
	       addr_format(&sa->child.remote.addr, to));
}

void forward_output(struct lane *l, struct forward_tunnel *t, const struct forward_packet *p,
		    mono_time now)
{
	struct inner inner;
	struct cut cut;
	struct sa *sa;
	bool any = false;

	if (inner_parse(span_of(p->data, p->len), &inner) != INNER_OK ||
	    cut_begin(&cut, &p->vnet, p->data, p->len) != CUT_OK) {
		l->drops[DROP_MALFORMED]++;
		return;
	}
	if (p->congested && !cut_congested(&cut))
		l->drops[DROP_QUEUE]++;
	sa = select_sa(l, t, span_of(p->data, p->len), &inner, &any);
	if (!sa) {
		l->drops[any ? DROP_NO_SELECTOR : DROP_NO_SA] += cut_left(&cut);
		want_sa(l, t, &inner, now);
		return;
	}
	if (is_own(sa, &inner))
		drop_own(l, t, sa, &cut, now);
	else if (sa->aggfrag)
		forward_aggfrag_output(l, sa, &cut, now);
	else
		send_all(l, sa, &cut, &inner, now);
}
