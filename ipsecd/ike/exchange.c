/* The task queue of an IKE_SA and the frame of every protected message. Must not know
 * what any exchange means. */
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/sk.h"
#include "ipsecd/ike/window.h"

#include <stdlib.h>

#define IV_AHEAD (1u << 16)

static const uint8_t exchange_types[KIND_COUNT] = {
	[KIND_IKE_SA_INIT] = EXCHANGE_IKE_SA_INIT,
	[KIND_IKE_AUTH] = EXCHANGE_IKE_AUTH,
	[KIND_CREATE_CHILD] = EXCHANGE_CREATE_CHILD_SA,
	[KIND_REKEY_CHILD] = EXCHANGE_CREATE_CHILD_SA,
	[KIND_REKEY_IKE] = EXCHANGE_CREATE_CHILD_SA,
	[KIND_INFORMATIONAL] = EXCHANGE_INFORMATIONAL,
};

/* ---- messages ---- */

void exchange_begin(struct ike_engine *e, const struct ike_sa *sa, struct wire_writer *w,
		    void *memory, size_t size, uint8_t exchange, uint32_t id, bool response)
{
	struct wire_header h = {
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.version = WIRE_VERSION,
		.exchange = exchange,
		.flags = (uint8_t)((sa->initiator ? FLAG_INITIATOR : 0) |
				   (response ? FLAG_RESPONSE : 0)),
		.message_id = id,
	};

	(void)e;
	wire_begin(w, memory, size, &h);
	wire_open_sk(w, sk_sizes(&sa->suite).iv);
}

/* AEADs need an IV that never repeats under a key (RFC 5282 3.1): a counter. CBC needs
 * one that nobody can predict (RFC 7296 3.14): random. A counter from a record was published
 * before what it sealed was sent; a store that lost the last ones still repeats none. */
static void next_iv(struct ike_engine *e, struct ike_sa *sa, uint8_t iv[ALGORITHM_IV_MAX])
{
	memset(iv, 0, ALGORITHM_IV_MAX);
	sa_touch(e, sa);
	/* By the time, too: who goes on after us may find the same record, and we seal no message
	 * a nanosecond. */
	if (sa->iv_ahead)
		sa->iv_counter += IV_AHEAD + e->now;
	sa->iv_ahead = false;
	if (sa->suite.integ)
		engine_random(e, iv, sa->suite.encr->iv_len);
	else
		be64_set(iv, ++sa->iv_counter);
}

bool exchange_seal(struct ike_engine *e, struct ike_sa *sa, struct wire_writer *w,
		   struct span *datagram)
{
	uint8_t iv[ALGORITHM_IV_MAX];
	struct crypto_cipher *cipher;
	bool ok;

	next_iv(e, sa, iv);
	cipher = ike_sa_cipher(e, sa, true);
	ok = cipher && sk_seal(e->env.crypto, cipher, &sa->suite, w, iv, datagram);
	e->env.crypto->cipher_free(cipher);
	if (ok)
		return true;
	ike_log(e, sa, LOG_LEVEL_ERROR, "a message could not be built: %s",
		w->buf.overflow ? "too long" : "encryption failed");
	return false;
}

static void count_notify(uint64_t counters[IKE_NOTIFIES], uint16_t type)
{
	if (type <= NOTIFY_ERROR_MAX)
		counters[type < IKE_NOTIFIES ? type : 0]++;
}

void exchange_count_sent(struct ike_engine *e, uint16_t notify)
{
	count_notify(e->counters.notify_out, notify);
}

void exchange_count_received(struct ike_engine *e, const struct wire_message *m)
{
	for (unsigned i = 0; i < m->n_notifies; i++)
		count_notify(e->counters.notify_in, m->notifies[i].type);
}

void exchange_refuse(struct exchange *x, uint16_t notify, struct span data, const char *reason)
{
	char name[32];

	wire_put_notify(x->out, PROTOCOL_NONE, notify, span_of(NULL, 0), data);
	exchange_count_sent(x->e, notify);
	/* Anybody gets as far as IKE_AUTH; and a peer that repeats itself has said enough. */
	if (!log_limit_pass(x->sa->peer_authenticated ? &x->e->refusal_log : &x->e->drop_log,
			    x->now))
		return;
	ike_log(x->e, x->sa, LOG_LEVEL_WARN, "refused with %s: %s", wire_notify_name(notify, name),
		reason);
}

bool exchange_take_back(struct ike_engine *e, struct ike_sa *sa, uint32_t id, uint16_t notify)
{
	uint8_t memory[128];
	struct ike_path path;
	struct wire_writer w;
	struct span datagram;
	char name[32];

	if (sa->rx.next_id != id + 1 || !sa->rx.response.data ||
	    !output_revoke(e, span_of(sa->rx.response.data, sa->rx.response.len), &path))
		return false;
	exchange_begin(e, sa, &w, memory, sizeof(memory), EXCHANGE_CREATE_CHILD_SA, id, true);
	wire_put_notify(&w, PROTOCOL_NONE, notify, span_of(NULL, 0), span_of(NULL, 0));
	exchange_count_sent(e, notify);
	ike_log(e, sa, LOG_LEVEL_WARN, "refused with %s instead", wire_notify_name(notify, name));
	sa->rx.next_id = id;
	if (exchange_seal(e, sa, &w, &datagram))
		window_send_response(e, sa, &path, datagram);
	else
		ike_sa_end(e, sa, IKE_REASON_INTERNAL, "a response could not be built");
	return true;
}

/* ---- tasks ---- */

bool task_new_secrets(struct ike_engine *e, struct task *t, const struct algorithm_ke *ke)
{
	engine_random(e, t->nonce, sizeof(t->nonce));
	e->env.crypto->ke_free(t->ke);
	t->ke = NULL;
	t->ke_alg = ke;
	if (!ke)
		return true;
	t->ke = pairs_take(e, ke, t->ke_random, t->ke_public);
	return t->ke != NULL;
}

void task_free(struct ike_engine *e, struct task *t)
{
	e->env.crypto->ke_free(t->ke);
	free(t->child_name);
	explicit_bzero(t, sizeof(*t));
	free(t);
}

static bool same_work(const struct task *t, const struct exchange_ops *ops, uint64_t child,
		      const char *child_name)
{
	if (!t || t->ops != ops || t->child != child)
		return false;
	if (!t->child_name || !child_name)
		return !t->child_name && !child_name;
	return strcmp(t->child_name, child_name) == 0;
}

static struct task *find_same(const struct ike_sa *sa, const struct exchange_ops *ops,
			      uint64_t child, const char *child_name)
{
	struct task *t;

	if (same_work(sa->running, ops, child, child_name))
		return sa->running;
	DL_FOREACH (sa->tasks, t)
		if (same_work(t, ops, child, child_name))
			return t;
	return NULL;
}

struct task *exchange_find(const struct ike_sa *sa, const struct exchange_ops *ops, uint64_t child)
{
	return find_same(sa, ops, child, NULL);
}

static struct task *task_new(const struct exchange_ops *ops, uint64_t child, const char *child_name)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ops = ops;
	t->child = child;
	t->child_name = child_name ? strdup(child_name) : NULL;
	if (child_name && !t->child_name) {
		free(t);
		return NULL;
	}
	return t;
}

struct task *exchange_enqueue(struct ike_engine *e, struct ike_sa *sa,
			      const struct exchange_ops *ops, uint64_t child,
			      const char *child_name, uint64_t tag)
{
	struct task *t = find_same(sa, ops, child, child_name);

	if (sa->state == IKE_SA_ENDED)
		return NULL;
	sa_touch(e, sa);
	if (!t || (tag && t->tag)) {
		t = task_new(ops, child, child_name);
		if (!t)
			return NULL;
		DL_APPEND(sa->tasks, t);
	}
	if (tag && command_expect(e, tag))
		t->tag = tag;
	exchange_run(e, sa);
	return t;
}

void exchange_done(struct ike_engine *e, struct task *t, bool ok, enum ike_reason reason,
		   const char *detail)
{
	uint64_t tag = t->tag;

	t->tag = 0;
	command_progress(e, tag, ok, reason, detail);
}

void exchange_wait(struct exchange *x, mono_time delay)
{
	x->task->again = true;
	x->task->not_before = x->now + delay;
}

void exchange_again(struct exchange *x, mono_time delay)
{
	exchange_wait(x, delay);
	x->task->tries++;
}

void exchange_drop_child(struct ike_engine *e, struct ike_sa *sa, uint64_t child)
{
	struct task *t, *next;

	DL_FOREACH_SAFE (sa->tasks, t, next) {
		if (t->child != child)
			continue;
		sa_touch(e, sa);
		DL_DELETE(sa->tasks, t);
		if (t->ops->abandon)
			t->ops->abandon(e, sa, t);
		exchange_done(e, t, t->ops == &delete_child_ops, IKE_REASON_NONE,
			      "the CHILD_SA is gone");
		task_free(e, t);
	}
}

/* ---- running ---- */

/* It waits once more (t->again), or is over. */
static void leave(struct ike_engine *e, struct ike_sa *sa, struct task *t)
{
	sa->running = NULL;
	if (t->again) {
		t->again = false;
		DL_PREPEND(sa->tasks, t);
		return;
	}
	exchange_done(e, t, true, IKE_REASON_NONE, NULL);
	task_free(e, t);
}

/* An SA that is on its way out only sends what ends it (RFC 7296 2.25.2). */
static bool may_run(const struct ike_sa *sa, const struct task *t)
{
	bool ends = t->ops == &delete_ike_ops || t->ops == &auth_failed_ops;

	if (sa->state == IKE_SA_DELETING || sa->state == IKE_SA_REKEYED)
		return ends;
	if (sa->predecessor) /* a collision is not settled (2.8.2): it may have no children yet */
		return false;
	return ike_sa_usable(sa);
}

/* The first task that is due; else NULL and when the earliest will be. */
static struct task *next_due(const struct ike_engine *e, const struct ike_sa *sa, mono_time *at)
{
	struct task *t;

	*at = MONO_NEVER;
	DL_FOREACH (sa->tasks, t) {
		if (!may_run(sa, t))
			continue;
		if (t->not_before <= e->now)
			return t;
		if (t->not_before < *at)
			*at = t->not_before;
	}
	return NULL;
}

static void count_request(struct ike_engine *e, enum exchange_kind kind)
{
	if (kind == KIND_INFORMATIONAL)
		e->counters.info_out_req++;
	else
		e->counters.create_child_out_req++;
}

static void start(struct ike_engine *e, struct ike_sa *sa, struct task *t)
{
	uint8_t memory[IKE_MESSAGE_MAX];
	struct wire_writer w;
	struct exchange x = {.e = e, .sa = sa, .task = t, .out = &w, .now = e->now};
	struct span datagram;
	bool wanted;

	exchange_begin(e, sa, &w, memory, sizeof(memory), exchange_types[t->ops->kind],
		       sa->tx.next_id, false);
	wanted = t->ops->create_request(&x);
	if (sa->running != t)
		return; /* the SA ended and took the task along */
	if (!wanted) {
		leave(e, sa, t);
		return;
	}
	if (!exchange_seal(e, sa, &w, &datagram) || !window_send_request(e, sa, datagram)) {
		ike_sa_end(e, sa, IKE_REASON_INTERNAL, "a request could not be built");
		return;
	}
	count_request(e, t->ops->kind);
}

static void run(struct ike_engine *e, struct ike_sa *sa)
{
	while (sa->state != IKE_SA_ENDED && !sa->running && !sa->tx.in_flight && !sa->sync.asking) {
		mono_time at;
		struct task *t = next_due(e, sa, &at);

		timer_set(&e->timers, &sa->task_timer, t ? MONO_NEVER : at);
		if (!t)
			return;
		if (!window_has_id(sa)) {
			ike_sa_end(e, sa, IKE_REASON_EXPIRED, "its message ids are used up");
			return;
		}
		DL_DELETE(sa->tasks, t);
		sa->running = t;
		start(e, sa, t);
	}
}

void exchange_run(struct ike_engine *e, struct ike_sa *sa)
{
	if (sa->run_marked)
		return;
	sa->run_marked = true;
	sa->run_next = e->run_first;
	e->run_first = sa;
}

void exchange_run_now(struct ike_engine *e, struct ike_sa *sa)
{
	run(e, sa);
}

void exchange_run_marked(struct ike_engine *e)
{
	while (e->run_first) {
		struct ike_sa *sa = e->run_first;

		e->run_first = sa->run_next;
		sa->run_marked = false;
		sa_touch(e, sa);
		run(e, sa);
	}
}

void exchange_consume_response(struct exchange *x)
{
	struct ike_sa *sa = x->sa;
	struct task *t = sa->running;

	if (!t)
		return;
	/* RFC 7296 2.21.3: a peer that says so has no IKE_SA any more. */
	if (wire_find_notify(x->in, NOTIFY_INVALID_SYNTAX)) {
		ike_sa_end(x->e, sa, sa->end_reason ? sa->end_reason : IKE_REASON_INVALID_SYNTAX,
			   "the peer can't read our request");
		return;
	}
	x->task = t;
	t->ops->consume_response(x);
	if (sa->running != t)
		return;
	leave(x->e, sa, t);
	exchange_run(x->e, sa);
}

void exchange_discard_response(struct exchange *x)
{
	struct ike_sa *sa = x->sa;
	struct task *t = sa->running;

	sa_touch(x->e, sa);
	sa->running = NULL;
	if (t) {
		if (t->ops->abandon)
			t->ops->abandon(x->e, sa, t);
		exchange_done(x->e, t, false, sa->end_reason, "the IKE_SA is being deleted");
		task_free(x->e, t);
	}
	exchange_run(x->e, sa);
}

/* Nobody knows whether the peer has done it. */
static void refuse_for_now(struct ike_engine *e, struct ike_sa *sa)
{
	struct wire_message busy = {.present = WIRE_BIT(PAYLOAD_NOTIFY),
				    .n_notifies = 1,
				    .notifies[0].type = NOTIFY_TEMPORARY_FAILURE};
	struct exchange x = {.e = e, .sa = sa, .in = &busy, .path = &sa->path, .now = e->now};

	if (sa->state == IKE_SA_DELETING && sa->running->ops != &rekey_ike_ops)
		exchange_discard_response(&x);
	else
		exchange_consume_response(&x);
}

void exchange_lost(struct ike_engine *e, struct ike_sa *sa)
{
	struct task *t = sa->running;

	if (!sa->tx.in_flight)
		return;
	window_answered(e, sa);
	if (t && t->ops->kind != KIND_INFORMATIONAL) {
		refuse_for_now(e, sa);
		return;
	}
	if (t) {
		t->again = true;
		t->not_before = e->now;
		leave(e, sa, t);
	}
	exchange_run(e, sa);
}
