/* RFC 6311, both roles. What becomes of requests that get no answer any more is exchange.c's
 * business, how an IKE_SA is replaced that of reauth.c and duplicates.c. */
#include "ipsecd/ike/sync.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/window.h"

#define STEP_BITS  4
#define STEPS_MAX  5
#define SUSPICIOUS 5 /* transmissions of another request */
#define UNANSWERED 4 /* ... of one for message IDs */
#define NEXT_ONES  2 /* ... that go no further than they have to */
#define DROP_LEVEL LOG_LEVEL_INFO

/* ---- IKE_AUTH ---- */

static void put_supported(struct wire_writer *w, uint16_t type)
{
	wire_put_notify(w, PROTOCOL_NONE, type, span_of(NULL, 0), span_of(NULL, 0));
}

void sync_offer(const struct ike_engine *e, const struct ike_sa *sa, struct wire_writer *w)
{
	if (!sa->conn->message_id_sync)
		return;
	put_supported(w, NOTIFY_IKEV2_MESSAGE_ID_SYNC_SUPPORTED);
	if (e->settings.skips_numbers)
		put_supported(w, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED);
}

void sync_take_answer(struct exchange *x)
{
	struct sa_sync *s = &x->sa->sync;
	bool on = x->sa->conn->message_id_sync;

	s->ids = on && wire_find_notify(x->in, NOTIFY_IKEV2_MESSAGE_ID_SYNC_SUPPORTED);
	s->counters = on && x->e->settings.skips_numbers &&
		      wire_find_notify(x->in, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED);
}

/* RFC 6311 5: the responder MUST NOT say what the initiator did not. */
void sync_answer_offer(struct exchange *x)
{
	sync_take_answer(x);
	if (x->sa->sync.ids)
		put_supported(x->out, NOTIFY_IKEV2_MESSAGE_ID_SYNC_SUPPORTED);
	if (x->sa->sync.counters)
		put_supported(x->out, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED);
}

void sync_inherit(struct ike_sa *sa, const struct ike_sa *old)
{
	sa->sync.ids = old->sync.ids;
	sa->sync.counters = old->sync.counters;
}

/* ---- both roles ---- */

static bool in_use(const struct ike_sa *sa)
{
	return ike_sa_usable(sa) || sa->state == IKE_SA_REKEYED || sa->state == IKE_SA_DELETING;
}

static void drop(struct ike_engine *e, const struct ike_sa *sa, const char *why,
		 const struct wire_message_ids *ids)
{
	e->counters.drop_sync++;
	if (log_limit_pass(&e->drop_log, e->now))
		ike_log(e, sa, DROP_LEVEL, "dropped a synchronisation of message IDs (%u, %u): %s",
			ids->send, ids->receive, why);
}

static bool send_ids(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path,
		     const struct wire_message_ids *ids, bool response)
{
	uint8_t memory[256];
	struct wire_writer w;
	struct span datagram;

	/* RFC 6311 5.1: request and response MUST have message ID 0. */
	exchange_begin(e, sa, &w, memory, sizeof(memory), EXCHANGE_INFORMATIONAL, 0, response);
	wire_put_message_ids(&w, ids);
	if (!exchange_seal(e, sa, &w, &datagram))
		return false;
	output_send(e, path, datagram);
	return true;
}

static uint32_t highest(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static bool makes_sas(const struct ike_sa *sa)
{
	return sa->running && sa->running->ops->kind != KIND_INFORMATIONAL;
}

/* The windows go on from here. RFC 6311 8.1: what is outside of them MUST be dropped from now on;
 * so the answer that was cached is of no use. true: the peer had gone on without us. */
static bool move_windows(struct ike_engine *e, struct ike_sa *sa, uint32_t send, uint32_t receive)
{
	bool missed = receive > sa->rx.next_id;

	sa_touch(e, sa);
	sa->tx.next_id = send;
	sa->rx.next_id = receive;
	message_copy_clear(&sa->rx.response);
	return missed;
}

/* ---- replay counters (RFC 6311 5.2) ---- */

static void skip(struct ike_engine *e, struct ike_sa *sa, const struct wire_notify *n)
{
	struct child *c;
	uint64_t delta;
	bool esn;

	if (!sa->sync.counters || !n)
		return;
	if (!wire_read_replay_delta(n, &delta, &esn)) {
		ike_log(e, sa, DROP_LEVEL,
			"IPSEC_REPLAY_COUNTER_SYNC of %zu octets, expected 4, or 8 with extended "
			"sequence numbers",
			n->data.len);
		return;
	}
	ike_log(e, sa, LOG_LEVEL_NOTICE, "the peer wants sequence numbers to go on by %llu",
		(unsigned long long)delta);
	e->counters.sync_skipped++;
	DL_FOREACH (sa->children, c)
		child_skip(e, c, delta);
}

void sync_take_counters(struct ike_engine *e, struct ike_sa *sa, const struct wire_message *in)
{
	skip(e, sa, wire_find_notify(in, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC));
}

/* ---- as the peer of who asks ---- */

/* RFC 6311 5.1: replays MUST be dropped without a word; 11: they would make us drop messages that
 * are under way. Behind the last ID the first ones would count again (RFC 7296 2.2). */
static const char *request_fault(const struct ike_sa *sa, const struct wire_message_ids *ids)
{
	if (ids->send < sa->rx.next_id)
		return "the peer has sent requests with higher ones, a replay";
	if (sa->sync.seen && ids->send <= sa->sync.peer_send)
		return "not higher than of the one before, a replay";
	if (ids->send == UINT32_MAX || ids->receive == UINT32_MAX)
		return "there is no ID behind them";
	return NULL;
}

static void answer(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path,
		   const struct wire_message_ids *ids, const struct wire_notify *delta)
{
	struct wire_message_ids own = {.nonce = ids->nonce};
	bool in_doubt = makes_sas(sa);
	uint32_t send, receive;

	sa->last_heard = e->now;
	sa->sync.seen = true;
	sa->sync.peer_send = ids->send;
	exchange_lost(e, sa); /* RFC 6311 9: its answer is not waited for */
	if (sa->state == IKE_SA_ENDED)
		return;
	/* RFC 6311 5.1: what is higher; A.4: ours is on its way, too */
	send = highest(ids->receive, sa->tx.next_id);
	receive = highest(ids->send, sa->rx.next_id);
	if (sa->sync.asking) {
		send = highest(send, sa->sync.send);
		receive = highest(receive, sa->sync.receive);
	}
	move_windows(e, sa, send, receive);
	skip(e, sa, delta);
	own.send = send;
	own.receive = receive;
	if (!send_ids(e, sa, path, &own, true))
		return;
	e->counters.sync_answered++;
	ike_log(e, sa, LOG_LEVEL_NOTICE,
		"IKE_SA #%u: the peer synchronises message IDs: our next request is %u, its %u",
		sa->id, send, receive);
	if (in_doubt)
		reauth_soon(e, sa, "a request was lost in the peer's failover");
}

/* ---- as the one who asks ---- */

/* The first ones have the next IDs: a peer that answers them has seen no other. Each later one goes
 * 16 times as far beyond. */
static uint32_t step_of(unsigned sent)
{
	if (sent < NEXT_ONES)
		return 0;
	sent -= NEXT_ONES - 1;
	return 1u << STEP_BITS * (sent < STEPS_MAX ? sent : STEPS_MAX);
}

static void transmit(struct ike_engine *e, struct ike_sa *sa)
{
	struct sa_sync *s = &sa->sync;
	uint32_t known = s->asked ? highest(sa->tx.next_id, s->send + 1) : sa->tx.next_id;
	uint32_t step = step_of(sa->tx.sent);
	struct wire_message_ids ids;

	sa_touch(e, sa);
	sa->tx.sent++;
	timer_set(&e->timers, &sa->tx.timer,
		  e->now + window_interval(window_first(sa), sa->tx.sent));
	if (known >= UINT32_MAX - step) /* the timer gives it up */
		return;
	engine_random(e, &s->nonce, sizeof(s->nonce));
	s->send = known + step; /* RFC 6311 5.1: higher than all that may have been used */
	s->receive = sa->rx.next_id;
	s->asked = true;
	ids = (struct wire_message_ids){s->nonce, s->send, s->receive};
	if (send_ids(e, sa, &sa->path, &ids, false))
		e->counters.sync_asked++;
}

/* RFC 6311 7: at most once behind a failover. */
static void ask(struct ike_engine *e, struct ike_sa *sa, const char *why)
{
	struct sa_sync *s = &sa->sync;
	bool in_doubt = makes_sas(sa);
	/* The peer's silence is as long as it was. */
	mono_time since = sa->tx.in_flight && !s->behind ? sa->tx.first_sent : e->now;

	s->may_ask = false;
	exchange_lost(e, sa);
	if (s->asking || !in_use(sa))
		return;
	ike_log(e, sa, LOG_LEVEL_NOTICE, "IKE_SA #%u: synchronising message IDs: %s", sa->id, why);
	s->asking = true;
	s->doubt = in_doubt;
	sa->tx.sent = 0;
	sa->tx.first_sent = since;
	transmit(e, sa);
}

static void stop(struct ike_engine *e, struct ike_sa *sa)
{
	sa_touch(e, sa);
	timer_cancel(&e->timers, &sa->tx.timer);
	sa->sync.asking = sa->sync.behind = sa->sync.may_ask = false;
	exchange_run(e, sa);
}

static const char *response_fault(const struct ike_sa *sa, const struct wire_message_ids *ids)
{
	const struct sa_sync *s = &sa->sync;

	if (!s->asking) /* RFC 6311 11 */
		return "an answer that nobody waits for";
	if (ids->nonce != s->nonce)
		return "its nonce is not ours";
	if (ids->receive < s->send || ids->send < s->receive)
		return "lower than what we know";
	if (ids->send == UINT32_MAX || ids->receive == UINT32_MAX)
		return "there is no ID behind them";
	return NULL;
}

static void finish(struct ike_engine *e, struct ike_sa *sa, const struct wire_message_ids *ids)
{
	bool doubt = sa->tx.sent > NEXT_ONES;

	sa->last_heard = e->now;
	doubt |= move_windows(e, sa, highest(sa->tx.next_id, ids->receive),
			      highest(sa->rx.next_id, ids->send));
	stop(e, sa);
	e->counters.sync_done++;
	ike_log(e, sa, LOG_LEVEL_NOTICE,
		"IKE_SA #%u: message IDs are synchronised: our next request is %u, the peer's %u",
		sa->id, sa->tx.next_id, sa->rx.next_id);
	/* RFC 6311 8.3: what was agreed on meanwhile is not known here. */
	sa->sync.doubt |= doubt;
	if (sa->sync.doubt)
		reauth_soon(e, sa, "what was agreed on meanwhile may not be known here");
}

static bool usable_child(const struct ike_sa *sa)
{
	const struct child *c;

	DL_FOREACH (sa->children, c)
		if (child_usable(c))
			return true;
	return false;
}

/* Make before break; where there is nothing to lose, it comes again if it is wanted. */
static void replace(struct ike_engine *e, struct ike_sa *sa, const char *why)
{
	if (usable_child(sa))
		reauth_soon(e, sa, why);
	else if (ike_sa_usable(sa))
		ike_sa_end(e, sa, IKE_REASON_REPLACED, why);
}

void sync_expire(struct ike_engine *e, struct ike_sa *sa)
{
	/* charon 5.9 with an AEAD can't encrypt an answer with ID 0, and has no IKE_SA any more. */
	if (sa->tx.sent == UNANSWERED)
		replace(e, sa, "the peer does not answer");
	if (in_use(sa) && e->now < sa->tx.first_sent + window_timeout(e, sa)) {
		transmit(e, sa);
		return;
	}
	if (sa->state == IKE_SA_ENDED)
		return;
	stop(e, sa);
	if (!in_use(sa))
		return;
	/* RFC 7296 2.4: after repeated attempts without an answer over a time, the peer is dead. */
	ike_log(e, sa, LOG_LEVEL_WARN,
		"IKE_SA #%u: message IDs are not synchronised: no answer to %u requests", sa->id,
		sa->tx.sent);
	e->counters.peers_dead++;
	ike_sa_end(e, sa, sa->end_reason ? sa->end_reason : IKE_REASON_PEER_DEAD,
		   "it does not answer any more");
}

void sync_suspect(struct ike_engine *e, struct ike_sa *sa, const char *why)
{
	if (!sa->sync.may_ask || sa->sync.asking || !in_use(sa))
		return;
	if (sa->sync.ids) {
		ask(e, sa, why);
		return;
	}
	sa->sync.may_ask = false;
	replace(e, sa, why);
}

bool sync_takes_over(struct ike_engine *e, struct ike_sa *sa)
{
	if (!sa->sync.ids || !sa->sync.may_ask || sa->tx.sent - sa->tx.hastened < SUSPICIOUS)
		return false;
	sync_suspect(e, sa, "the peer does not answer");
	return sa->sync.asking;
}

bool sync_waits(const struct ike_sa *sa)
{
	return sa->sync.asking || (sa->sync.behind && sa->sync.ids && in_use(sa));
}

void sync_resume(struct ike_engine *e, struct ike_sa *sa)
{
	if (!sa->sync.behind || sa->sync.asking || !in_use(sa))
		return;
	sync_suspect(e, sa, "the former process could not keep all of its state");
	sa->sync.behind = sa->sync.asking;
	sa_touch(e, sa);
}

/* ---- what comes ---- */

/* RFC 6311 5.1: nothing else but, in a request, IPSEC_REPLAY_COUNTER_SYNC. */
static bool is_alone(const struct wire_message *m, bool response)
{
	unsigned deltas =
		!response && wire_find_notify(m, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC) != NULL;

	return m->present == WIRE_BIT(PAYLOAD_NOTIFY) && !m->ignored && m->n_notifies == 1 + deltas;
}

bool sync_take(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path,
	       const struct wire_header *h, uint8_t first, struct span inner)
{
	bool response = h->flags & FLAG_RESPONSE;
	struct wire_message_ids ids = {0};
	const struct wire_notify *n;
	struct wire_message m;
	const char *fault = NULL;

	if (h->message_id || h->exchange != EXCHANGE_INFORMATIONAL || !sa->sync.ids || !in_use(sa))
		return false;
	if (wire_parse_payloads(first, inner, &m).error)
		return false;
	n = wire_find_notify(&m, NOTIFY_IKEV2_MESSAGE_ID_SYNC);
	if (!n)
		return false;
	if (!wire_read_message_ids(n, &ids) || !is_alone(&m, response))
		fault = "malformed, or with other payloads";
	else
		fault = response ? response_fault(sa, &ids) : request_fault(sa, &ids);
	if (fault)
		drop(e, sa, fault, &ids);
	else if (response)
		finish(e, sa, &ids);
	else
		answer(e, sa, path, &ids, wire_find_notify(&m, NOTIFY_IPSEC_REPLAY_COUNTER_SYNC));
	return true;
}
