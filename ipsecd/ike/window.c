/* Message IDs, retransmission with back-off and jitter, response cache (RFC 7296 2.1 - 2.3),
 * and the verdict that a peer is dead (2.4). Must not know what the messages mean. */
#include "ipsecd/ike/window.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/sync.h"

#include <stdlib.h>

/* How long an engine that shuts down waits for answers to its deletes. */
#define SHUTDOWN_WAIT	(3 * MONO_S)
#define RESUME_PATIENCE (5 * MONO_S)
#define HASTE_INTERVAL	(50 * MONO_MS) /* the first one while the peer is suspected to be away */
#define HASTE_MIN	(20 * MONO_MS) /* what was sent a moment ago is not sent again */

bool message_copy_set(struct message_copy *c, struct span s)
{
	uint8_t *data = malloc(s.len);

	if (!data)
		return false;
	memcpy(data, s.ptr, s.len);
	free(c->data);
	*c = (struct message_copy){.data = data, .len = s.len};
	return true;
}

void message_copy_clear(struct message_copy *c)
{
	free(c->data);
	*c = (struct message_copy){0};
}

mono_time window_interval(mono_time first, unsigned sent)
{
	mono_time interval = first;

	for (unsigned i = 1; i < sent && interval < 3600 * MONO_S; i++)
		interval = interval * 9 / 5;
	return interval;
}

/* An answer that ends a suspicion is worth some datagrams. */
mono_time window_first(const struct ike_sa *sa)
{
	mono_time interval = sa->conn && sa->conn->retransmit_interval
				     ? sa->conn->retransmit_interval
				     : CONN_RETRANSMIT_INTERVAL;

	return sa->suspicion.what && interval > HASTE_INTERVAL ? HASTE_INTERVAL : interval;
}

mono_time window_timeout(const struct ike_engine *e, const struct ike_sa *sa)
{
	mono_time timeout = sa->conn && sa->conn->retransmit_timeout ? sa->conn->retransmit_timeout
								     : CONN_RETRANSMIT_TIMEOUT;

	return e->shutting_down && timeout > SHUTDOWN_WAIT ? SHUTDOWN_WAIT : timeout;
}

/* The interval varies by a tenth either way, so that many SAs that lost one peer do not
 * retransmit in step. */
static void arm(struct ike_engine *e, struct ike_sa *sa)
{
	mono_time interval = window_interval(window_first(sa), sa->tx.sent - sa->tx.hastened);
	mono_time give_up = sa->tx.first_sent + window_timeout(e, sa);
	mono_time at = e->now + interval - interval / 10 + engine_random_below(e, interval / 5);

	sa_touch(e, sa);
	timer_set(&e->timers, &sa->tx.timer, at < give_up ? at : give_up);
}

static void transmit(struct ike_engine *e, struct ike_sa *sa)
{
	sa->tx.sent++;
	sa->tx.last_sent = e->now;
	output_send(e, &sa->path, span_of(sa->tx.request.data, sa->tx.request.len));
	arm(e, sa);
}

bool window_has_id(const struct ike_sa *sa)
{
	return sa->tx.next_id != UINT32_MAX;
}

bool window_send_request(struct ike_engine *e, struct ike_sa *sa, struct span datagram)
{
	if (!message_copy_set(&sa->tx.request, datagram))
		return false;
	sa->tx.in_flight = true;
	sa->tx.sent = sa->tx.hastened = 0;
	sa->tx.first_sent = e->now;
	transmit(e, sa);
	return true;
}

void window_hasten(struct ike_engine *e, struct ike_sa *sa)
{
	if (!sa->tx.in_flight)
		return;
	sa->tx.hastened = sa->tx.sent - 1;
	if (e->now < sa->tx.last_sent + HASTE_MIN) {
		arm(e, sa);
		return;
	}
	sa->tx.hastened++;
	e->counters.retransmits_sent++;
	transmit(e, sa);
}

bool window_be_patient(struct ike_engine *e, struct ike_sa *sa)
{
	mono_time timeout = window_timeout(e, sa);
	mono_time patience = timeout < RESUME_PATIENCE ? timeout : RESUME_PATIENCE;

	if (sa->tx.timer.at >= e->now)
		return false;
	if (sa->tx.first_sent + timeout < e->now + patience)
		sa->tx.first_sent = e->now + patience - timeout;
	sa_touch(e, sa);
	return true;
}

void window_resume(struct ike_engine *e, struct ike_sa *sa)
{
	if (window_be_patient(e, sa))
		sa->tx.timer.at = e->now + window_first(sa);
	output_send(e, &sa->path, span_of(sa->tx.request.data, sa->tx.request.len));
}

void window_stop(struct ike_engine *e, struct ike_sa *sa)
{
	sa_touch(e, sa);
	timer_cancel(&e->timers, &sa->tx.timer);
	sa->tx.in_flight = false;
	message_copy_clear(&sa->tx.request);
}

void window_answered(struct ike_engine *e, struct ike_sa *sa)
{
	window_stop(e, sa);
	sa->tx.next_id++;
}

/* RFC 7296 2.4: after repeated attempts without an answer over a time, the peer is dead. */
static void give_up(struct ike_engine *e, struct ike_sa *sa)
{
	enum ike_sa_state state = sa->state;

	ike_log(e, sa, LOG_LEVEL_WARN, "no answer to message %u after %u transmissions in %llu ms",
		sa->tx.next_id, sa->tx.sent,
		(unsigned long long)((e->now - sa->tx.first_sent) / MONO_MS));
	if (state == IKE_SA_AUTH_SENT && sa->end_reason) {
		ike_sa_end(e, sa, sa->end_reason, "the peer did not answer IKE_AUTH");
		return;
	}
	if (state == IKE_SA_INIT_SENT || state == IKE_SA_AUTH_SENT) {
		peers_attempt_failed(e, sa, IKE_REASON_NO_ANSWER,
				     state == IKE_SA_INIT_SENT ? "peer does not answer IKE_SA_INIT"
							       : "peer does not answer IKE_AUTH");
		return;
	}
	if (state == IKE_SA_DELETING || state == IKE_SA_REKEYED) {
		ike_sa_end(e, sa, sa->end_reason, "the peer did not answer the delete");
		return;
	}
	e->counters.peers_dead++;
	ike_sa_end(e, sa, IKE_REASON_PEER_DEAD, "it does not answer any more");
}

void window_expire(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner;

	if (sa->sync.asking)
		sync_expire(e, sa);
	if (!sa->tx.in_flight)
		return;
	if (e->now >= sa->tx.first_sent + window_timeout(e, sa)) {
		give_up(e, sa);
		return;
	}
	if (sync_takes_over(e, sa))
		return;
	e->counters.retransmits_sent++;
	ike_log(e, sa, LOG_LEVEL_INFO, "retransmit %u of message %u", sa->tx.sent, sa->tx.next_id);
	transmit(e, sa);
}

/* RFC 7296 2.3: the window is one until SET_WINDOW_SIZE, which we never send. */
enum window_verdict window_check_request(const struct ike_sa *sa, uint32_t id)
{
	/* RFC 7296 2.2: behind the last id the first ones would count again, replayed ones too. */
	if (id == UINT32_MAX)
		return WINDOW_DROP;
	if (id == sa->rx.next_id)
		return WINDOW_NEW;
	if (id + 1 == sa->rx.next_id && sa->rx.response.data)
		return WINDOW_RETRANSMIT;
	return WINDOW_DROP;
}

bool window_check_response(const struct ike_sa *sa, uint32_t id)
{
	return sa->tx.in_flight && id == sa->tx.next_id;
}

void window_send_response(struct ike_engine *e, struct ike_sa *sa, const struct ike_path *path,
			  struct span datagram)
{
	sa_touch(e, sa);
	sa->rx.next_id++;
	if (!message_copy_set(&sa->rx.response, datagram))
		message_copy_clear(&sa->rx.response);
	output_send(e, path, datagram);
}

void window_free(struct ike_engine *e, struct ike_sa *sa)
{
	timer_cancel(&e->timers, &sa->tx.timer);
	message_copy_clear(&sa->tx.request);
	message_copy_clear(&sa->rx.response);
}
