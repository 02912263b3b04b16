/* AGGFRAG in the packet paths (RFC 9347). Without a rate a payload leaves when it is full or when
 * there is no more to put into it at the moment: nothing waits at idle. With one (IP-TFS) they
 * leave by the clock, all of one size, with or without something in them. */
#include "ipsecd/dataplane/forward_aggfrag.h"

#include <stdlib.h>
#include <utlist.h>

#define PATH_MTU 1500

/* RFC 9347 2.2.7: whatever the path holds. Without fragmentation it is as that of plain ESP, and
 * not below what IPv6 needs: the network fragments outer packets then. */
#define INNER_MTU     1500
#define INNER_MTU_MIN 1280

static const struct aggfrag_params *params(const struct sa *sa)
{
	return &sa->child.flags.aggfrag;
}

/* ---- one lane at a time ---- */

/* Payloads take their numbers in the order of what is in them, and have to leave in it. */
static void enter(struct lane *l, struct sa_aggfrag *a)
{
	if (l->shared)
		pthread_mutex_lock(&a->lock);
}

/* What was sealed leaves before another lane seals more. With a rate all is sealed by the first. */
static void leave(struct lane *l, struct sa_aggfrag *a)
{
	if (!l->shared)
		return;
	if (a->sealed && !a->rate.interval)
		forward_send(l);
	a->sealed = false;
	pthread_mutex_unlock(&a->lock);
}

/* The first lane sends while it is in, and may be told then that the path has become narrower. */
static void lock_init(struct sa_aggfrag *a)
{
	pthread_mutexattr_t recursive;

	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&a->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
}

/* ---- life ---- */

static void time_it(struct lane *l, struct sa_aggfrag *a, mono_time due)
{
	if (due < l->aggfrag_due)
		l->aggfrag_due = due;
	if (a->timed)
		return;
	a->timed = true;
	DL_APPEND2(l->aggfrag_timed, a, time_prev, time_next);
}

static void untime(struct lane *l, struct sa_aggfrag *a)
{
	if (!a->timed)
		return;
	a->timed = false;
	DL_DELETE2(l->aggfrag_timed, a, time_prev, time_next);
}

bool forward_aggfrag_new(struct sa *sa)
{
	const struct aggfrag_params *p = params(sa);
	struct sa_aggfrag *a = calloc(1, sizeof(*a));
	uint32_t drop = p->drop_time ? p->drop_time : AGGFRAG_DROP_DEFAULT;

	if (!a)
		return false;
	lock_init(a);
	a->sa = sa;
	a->pack.whole = p->dont_frag;
	aggfrag_open_init(&a->open, p->reorder_window, drop * (MONO_MS / 1000));
	sa->aggfrag = a;
	forward_aggfrag_path(sa, PATH_MTU);
	return true;
}

uint16_t forward_aggfrag_path(struct sa *sa, uint16_t path)
{
	const struct aggfrag_params *p = params(sa);
	const struct sa_child *c = &sa->child;
	struct sa_aggfrag *a = sa->aggfrag;
	uint16_t least = p->dont_frag ? INNER_MTU_MIN + AGGFRAG_HEADER_LEN : AGGFRAG_PAYLOAD_MIN;
	uint16_t packet = p->packet_size && p->packet_size < path ? p->packet_size : path;
	uint16_t size = dataplane_inner_mtu(packet, c->remote.addr.family, c->udp_encap, c->encr_id,
					    c->encr_key_bits, c->integ_id);

	size = size < least ? least : size;
	pthread_mutex_lock(&a->lock);
	a->size = size;
	aggfrag_rate_set(&a->rate, p, packet);
	a->limit = aggfrag_rate_queue(&a->rate, p, a->size);
	pthread_mutex_unlock(&a->lock);
	return p->dont_frag ? (uint16_t)(size - AGGFRAG_HEADER_LEN) : INNER_MTU;
}

/* ---- outward ---- */

/* RFC 9347 2.2.5: the outer header has nothing of inner packets. false: the SA is at its limit. */
static bool emit(struct lane *l, struct sa_aggfrag *a, bool fill, mono_time now)
{
	struct sa *sa = a->sa;
	struct dataplane_child_stats *stats = &sa->live->stats;
	bool df = sa->child.flags.df == CHILD_DF_COPY;
	size_t len = fill ? a->size : aggfrag_pack_peek(&a->pack, a->size), data,
	       padded = len < sa->pad_to && sa->pad_to <= a->size ? sa->pad_to : len,
	       total = esp_length(&sa->out, padded);
	uint8_t *at = forward_place(l, total) + ESP_HEADER_LEN + sa->out.iv_len;
	uint64_t seq = SA_GET(sa->expired_out) ? 0 : sa_live_next(sa->live, sa_seq_hard(sa));

	if (!seq)
		return false;
	aggfrag_pack_take(&a->pack, at, padded, fill || padded > len, &data);
	lane_count(l, &sa->live->ciphered_out, esp_ciphered(&sa->out, total));
	if (forward_seal(l, sa, seq, at, padded, ESP_NEXT_AGGFRAG)) {
		batch_add(&l->out, sa, 0, df, total, data);
		a->sealed = true;
		lane_count(l, &stats->bytes_out, data);
		lane_count(l, &stats->packets_out, 1);
		SA_SET(stats->last_out, now);
		l->drops[AGGFRAG_PADS] += data == 0;
	} else {
		l->drops[DROP_SEND]++;
	}
	forward_check_limits(l, sa);
	return true;
}

static void drop_all(struct lane *l, struct sa_aggfrag *a, enum dataplane_counter why)
{
	l->drops[why] += aggfrag_pack_count(&a->pack);
	aggfrag_pack_free(&a->pack);
}

static void drop_stuck(struct lane *l, struct sa_aggfrag *a)
{
	while (aggfrag_pack_stuck(&a->pack, a->size)) {
		aggfrag_pack_drop(&a->pack);
		l->drops[DROP_TOO_BIG]++;
	}
}

/* Payloads while more than `left` bytes wait. */
static void emit_all(struct lane *l, struct sa_aggfrag *a, size_t left, mono_time now)
{
	for (drop_stuck(l, a); a->pack.used > left; drop_stuck(l, a)) {
		if (!emit(l, a, false, now)) {
			drop_all(l, a, DROP_EXPIRED);
			return;
		}
	}
}

static void wait_for_more(struct lane *l, struct sa_aggfrag *a)
{
	if (a->waits)
		return;
	a->waits = l;
	DL_APPEND2(l->aggfrag_waiting, a, wait_prev, wait_next);
}

/* By the lane itself, or by the first one while it stands still. */
static void waits_no_more(struct sa_aggfrag *a)
{
	struct lane *l = a->waits;

	if (!l)
		return;
	a->waits = NULL;
	DL_DELETE2(l->aggfrag_waiting, a, wait_prev, wait_next);
}

static void pack(struct lane *l, struct sa_aggfrag *a, struct cut *cut, mono_time now)
{
	size_t len;

	while ((len = cut_peek(cut)) != 0) {
		bool fits = !a->pack.whole || len + AGGFRAG_HEADER_LEN <= a->size;
		uint8_t *at = fits ? aggfrag_pack_place(&a->pack, len, a->limit) : NULL;

		if (!at) {
			l->drops[fits ? DROP_QUEUE : DROP_TOO_BIG] += cut_left(cut);
			break;
		}
		cut_next(cut, at, len);
		if (!aggfrag_pack_put(&a->pack, len))
			l->drops[DROP_MALFORMED]++;
		if (!a->rate.interval)
			emit_all(l, a, a->size - AGGFRAG_HEADER_LEN, now);
	}
	if (!a->rate.interval && a->pack.used)
		wait_for_more(l, a);
}

void forward_aggfrag_output(struct lane *l, struct sa *sa, struct cut *cut, mono_time now)
{
	enter(l, sa->aggfrag);
	pack(l, sa->aggfrag, cut, now);
	leave(l, sa->aggfrag);
}

void forward_aggfrag_flush(struct lane *l, mono_time now)
{
	while (l->aggfrag_waiting) {
		struct sa_aggfrag *a = l->aggfrag_waiting;

		enter(l, a);
		waits_no_more(a);
		emit_all(l, a, 0, now);
		leave(l, a);
	}
}

/* ---- the one that sends ---- */

static bool replaces(const struct sa *newer, const struct sa *older)
{
	return newer != older && newer->child.outbound &&
	       newer->child.reqid == older->child.reqid &&
	       newer->child.resource == older->child.resource;
}

/* The newest of its kind keeps the rate. */
static bool leads(const struct sa *sa)
{
	const struct sa *s;

	if (!sa->child.outbound)
		return false;
	DL_FOREACH2 (sa->tunnel->newest, s, tunnel_next)
		if (s == sa || replaces(s, sa))
			return s == sa;
	return true;
}

static mono_time last_out(const struct sa_aggfrag *a)
{
	return SA_GET(a->sa->live->stats.last_out);
}

/* A packet that has begun to leave ends by the same SA (RFC 9347 2.2.3), out of turn. */
static void move(struct lane *l, struct sa_aggfrag *from, struct aggfrag_pack *to, size_t limit)
{
	mono_time now = last_out(from);

	l->drops[DROP_QUEUE] += aggfrag_pack_move(&from->pack, to, limit);
	while (from->pack.used && emit(l, from, from->rate.interval != 0, now))
		;
	drop_all(l, from, DROP_EXPIRED);
	waits_no_more(from);
}

/* What it leaves may be another lane's, which does not come back to it. */
static void hand_over(struct lane *l, struct sa_aggfrag *from, struct sa_aggfrag *to)
{
	mono_time now = last_out(from);

	move(l, from, &to->pack, to->limit);
	if (!to->rate.interval)
		emit_all(l, to, 0, last_out(to) > now ? last_out(to) : now);
}

/* What replaces it carries IP: there is no AGGFRAG with the peer any more. */
static void hand_over_plain(struct lane *l, struct sa_aggfrag *from)
{
	mono_time now = last_out(from);
	struct aggfrag_pack waiting = {.whole = true};
	struct span packet;

	move(l, from, &waiting, SIZE_MAX);
	while ((packet = aggfrag_pack_first(&waiting)).len != 0) {
		const struct forward_packet p = {.data = packet.ptr, .len = packet.len};

		forward_output(l, from->sa->tunnel, &p, now);
		aggfrag_pack_drop(&waiting);
	}
	aggfrag_pack_free(&waiting);
}

void forward_aggfrag_outbound(struct lane *l, struct sa *sa)
{
	struct sa *s;

	if (sa->aggfrag && sa->aggfrag->rate.interval)
		time_it(l, sa->aggfrag, 0);
	if (!leads(sa))
		return;
	DL_FOREACH2 (sa->tunnel->newest, s, tunnel_next) {
		if (!s->aggfrag || !replaces(sa, s))
			continue;
		if (sa->aggfrag && s->aggfrag->rate.next > sa->aggfrag->rate.next)
			sa->aggfrag->rate.next = s->aggfrag->rate.next;
		if (!s->aggfrag->pack.used)
			continue;
		if (sa->aggfrag)
			hand_over(l, s->aggfrag, sa->aggfrag);
		else
			hand_over_plain(l, s->aggfrag);
	}
	forward_send(l);
}

void forward_aggfrag_remove(struct lane *l, struct sa *sa)
{
	struct sa_aggfrag *a = sa->aggfrag;

	if (!a)
		return;
	waits_no_more(a);
	untime(l, a);
	drop_all(l, a, DROP_QUEUE);
	aggfrag_open_free(&a->open);
	pthread_mutex_destroy(&a->lock);
	free(a);
	sa->aggfrag = NULL;
}

/* ---- inward ---- */

struct inbound {
	struct lane *lane;
	struct sa *sa;
	struct forward_origin origin;
	mono_time now;
};

/* What does not stay lies in the lane until the device has it. */
static uint8_t *keep(struct lane *l, const uint8_t *packet, size_t len)
{
	uint8_t *at;

	if (!l->up_copies)
		l->up_copies = malloc(LANE_UP_COPIES);
	if (!l->up_copies || len > LANE_UP_COPIES)
		return NULL;
	if (l->up_copied + len > LANE_UP_COPIES) {
		coalesce_flush(&l->up);
		l->up_copied = 0;
	}
	at = l->up_copies + l->up_copied;
	l->up_copied += len;
	memcpy(at, packet, len);
	return at;
}

static void take_inner(void *ctx, uint8_t *packet, size_t len, bool stays)
{
	struct inbound *in = ctx;
	uint8_t *at = stays ? packet : keep(in->lane, packet, len);

	if (at) {
		forward_inner(in->lane, in->sa, &in->origin, at, len, in->now);
		return;
	}
	forward_inner(in->lane, in->sa, &in->origin, packet, len, in->now);
	coalesce_flush(&in->lane->up);
}

static void count(struct lane *l, struct sa_aggfrag *a)
{
	static const enum dataplane_counter counters[AGGFRAG_COUNTS] = {
		[AGGFRAG_LOST] = AGGFRAG_GAPS,
		[AGGFRAG_LATE] = AGGFRAG_LATES,
		[AGGFRAG_FRAGMENTS] = DROP_FRAGMENT,
		[AGGFRAG_MALFORMED] = DROP_AGGFRAG,
	};

	for (unsigned i = 0; i < AGGFRAG_COUNTS; i++) {
		l->drops[counters[i]] += a->open.counts[i] - a->counts[i];
		a->counts[i] = a->open.counts[i];
	}
	l->drops[AGGFRAG_MISSED] += a->rate.missed - a->missed;
	a->missed = a->rate.missed;
}

/* Something waits until the first lane's clock delivers it, or more comes by this lane: what was
 * delivered before it goes up before it, and the first lane hears of it with forward_flush. */
static void hold_back(struct lane *l, struct sa_aggfrag *a)
{
	mono_time due = aggfrag_open_due(&a->open);

	if (l->shared)
		coalesce_flush(&l->up);
	if (!l->number) {
		time_it(l, a, due);
	} else if (a->noted != due) {
		a->noted = due;
		forward_note(l, a->sa, DUE_AGGFRAG);
	}
}

void forward_aggfrag_noted(struct lane *l, struct sa *sa)
{
	struct sa_aggfrag *a = sa->aggfrag;

	enter(l, a);
	if (a->open.n_held)
		time_it(l, a, aggfrag_open_due(&a->open));
	leave(l, a);
}

/* RFC 9347 2.3: an SA carries AGGFRAG or IP, never both. Whatever came has a number, which the
 * payloads behind it need not wait for. */
void forward_aggfrag_input(struct lane *l, struct sa *sa, const struct forward_origin *at,
			   const struct esp_payload *payload, mono_time now)
{
	struct inbound in = {.lane = l, .sa = sa, .origin = *at, .now = now};
	bool dummy = payload->next_header == ESP_NEXT_DUMMY;
	struct sa_aggfrag *a = sa->aggfrag;
	uint8_t nothing[AGGFRAG_HEADER_LEN] = {0};

	enter(l, a);
	if (payload->next_header == ESP_NEXT_AGGFRAG) {
		aggfrag_open_input(&a->open, at->seq, payload->data, payload->len, now, take_inner,
				   &in);
	} else {
		aggfrag_open_input(&a->open, at->seq, nothing, sizeof(nothing), now, take_inner,
				   &in);
		l->drops[DROP_AGGFRAG] += !dummy;
	}
	count(l, a);
	if (a->open.n_held)
		hold_back(l, a);
	leave(l, a);
}

/* ---- the clock ---- */

static mono_time send_due(struct lane *l, struct sa_aggfrag *a, mono_time now)
{
	unsigned due;

	if (!a->rate.interval || !leads(a->sa))
		return MONO_NEVER;
	for (due = aggfrag_rate_due(&a->rate, now); due; due--) {
		drop_stuck(l, a);
		if (!emit(l, a, true, now))
			drop_all(l, a, DROP_EXPIRED);
	}
	count(l, a);
	return a->rate.next;
}

static mono_time open_due(struct lane *l, struct sa_aggfrag *a, mono_time now)
{
	struct inbound in = {.lane = l,
			     .sa = a->sa,
			     .origin = {.remote = &a->sa->child.remote, .seq = a->open.next},
			     .now = now};
	mono_time due = aggfrag_open_expire(&a->open, now, take_inner, &in);

	if (l->shared) /* before more comes by another lane */
		coalesce_flush(&l->up);
	count(l, a);
	return due;
}

void forward_aggfrag_run(struct lane *l, mono_time now)
{
	mono_time next = MONO_NEVER;
	struct sa_aggfrag *a, *tmp;

	DL_FOREACH_SAFE2 (l->aggfrag_timed, a, tmp, time_next) {
		mono_time sends, opens;

		enter(l, a);
		sends = send_due(l, a, now);
		opens = open_due(l, a, now);
		if (opens == MONO_NEVER && !a->rate.interval)
			untime(l, a);
		leave(l, a);
		next = sends < next ? sends : next;
		next = opens < next ? opens : next;
	}
	l->aggfrag_due = next;
}
