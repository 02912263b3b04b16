/* Tasks, and what IKE_SA_INIT and IKE_AUTH keep, in the record of their IKE_SA. A private value of
 * a key exchange is there as the random bytes it is made from. */
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/state.h"

#include <stdlib.h>

/* Their places are numbers in records: new ones come last. */
static const struct exchange_ops *const all_ops[] = {
	&create_child_ops, &rekey_child_ops, &rekey_ike_ops,	  &delete_child_ops,
	&delete_ike_ops,   &liveness_ops,    &confirm_ops,	  &auth_failed_ops,
	&sign_ops,	   &quick_crash_ops, &resource_child_ops,
};

#define N_OPS (sizeof(all_ops) / sizeof(all_ops[0]))

static void ops(struct codec *c, struct task *t)
{
	unsigned n = 0;

	while (!codec_reads(c) && n < N_OPS && all_ops[n] != t->ops)
		n++;
	t->ops = all_ops[codec_choice(c, n, N_OPS, "unknown task") % N_OPS];
}

/* The method, the random bytes, and what is made of them. */
static void private_value(struct codec *c, struct ike_engine *e, const struct algorithm_ke **alg,
			  uint8_t *random, struct crypto_ke **ke, uint8_t *public_value)
{
	codec_ke(c, alg);
	if (!*alg)
		return;
	codec_bytes(c, random, CRYPTO_KE_RANDOM);
	if (!codec_reads(c) || c->fault)
		return;
	*ke = e->env.crypto->ke_new((*alg)->id, random, public_value);
	if (!*ke)
		codec_fault(c, "a key exchange can't be made anew");
}

/* Those of a task that waits are drawn when it begins (create_request). */
static void in_flight(struct codec *c, struct ike_engine *e, struct task *t)
{
	codec_bytes(c, t->nonce, sizeof(t->nonce));
	private_value(c, e, &t->ke_alg, t->ke_random, &t->ke, t->ke_public);
	codec_u64(c, &t->collision);
	codec_short(c, t->collision_nonce, &t->collision_nonce_len, IKE_NONCE_MAX,
		    "a nonce is too long");
	codec_bool(c, &t->collision_lost);
	codec_u32(c, &t->gone_spi);
}

static void fields(struct codec *c, struct ike_engine *e, struct task *t, bool running)
{
	ops(c, t);
	codec_u64(c, &t->child);
	codec_string(c, &t->child_name, "no name of a child");
	codec_unsigned(c, &t->tries);
	codec_u64(c, &t->not_before);
	CODEC_ENUM(c, t->reason, IKE_REASONS, "unknown reason");
	codec_u16(c, &t->ke_group);
	if (t->ke_group && !algorithm_ke(t->ke_group))
		codec_fault(c, "unknown key exchange method");
	codec_u32(c, &t->spi);
	codec_u64(c, &t->new_sa);
	if (running)
		in_flight(c, e, t);
}

static struct task *made(struct codec *c)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		codec_fault(c, "out of memory");
	return t;
}

/* Names are part of work on children; an IKE_SA is rekeyed with a key exchange. */
static void check(struct codec *c, const struct task *t, bool running)
{
	bool named = t->ops == &create_child_ops || t->ops == &resource_child_ops ||
		     (t->ops == &rekey_child_ops && running);

	if (named && !t->child_name)
		codec_fault(c, "a task without a child");
	if (running && t->ops == &rekey_ike_ops && !t->ke)
		codec_fault(c, "a rekey without key exchange");
}

static void waiting(struct codec *c, struct ike_engine *e, struct ike_sa *sa)
{
	struct task *t;
	unsigned n = 0;

	DL_FOREACH (sa->tasks, t)
		n++;
	CODEC_COUNT(c, n, STATE_TASKS_MAX, "too many tasks");
	t = sa->tasks;
	for (unsigned i = 0; i < n && !c->fault; i++) {
		if (codec_reads(c)) {
			t = made(c);
			if (!t)
				return;
			DL_APPEND(sa->tasks, t);
		}
		fields(c, e, t, false);
		check(c, t, false);
		t = t->next;
	}
}

void state_tasks(struct codec *c, struct ike_engine *e, struct ike_sa *sa)
{
	bool running = sa->running != NULL;

	codec_bool(c, &running);
	if (running && codec_reads(c))
		sa->running = made(c);
	if (running && sa->running) {
		fields(c, e, sa->running, true);
		check(c, sa->running, true);
	}
	waiting(c, e, sa);
}

/* ---- IKE_SA_INIT and IKE_AUTH ---- */

static void header(struct codec *c, struct wire_header *h)
{
	codec_u64(c, &h->spi_i);
	codec_u64(c, &h->spi_r);
	codec_u8(c, &h->next_payload);
	codec_u8(c, &h->version);
	codec_u8(c, &h->exchange);
	codec_u8(c, &h->flags);
	codec_u32(c, &h->message_id);
}

/* The IKE_AUTH that waits for the pools: it is handled again when the engine goes on. */
static void aside(struct codec *c, struct init_state *init)
{
	bool waits = init->aside.data != NULL;

	codec_bool(c, &waits);
	if (!waits)
		return;
	codec_memory(c, &init->aside.data, &init->aside.len, WIRE_MESSAGE_MAX,
		     "a message is too long");
	codec_u8(c, &init->aside_first);
	header(c, &init->aside_header);
	codec_path(c, &init->aside_path);
	if (!init->aside.len)
		codec_fault(c, "an empty IKE_AUTH");
}

static void init_fields(struct codec *c, struct ike_engine *e, const struct ike_sa *sa)
{
	struct init_state *init = sa->init;
	uint16_t cookie_len = init->cookie_len;

	codec_memory(c, &init->request.data, &init->request.len, STATE_REQUEST_MAX,
		     "a message is too long");
	codec_memory(c, &init->response.data, &init->response.len, STATE_REQUEST_MAX,
		     "a message is too long");
	codec_short(c, init->cookie, &cookie_len, IKE_COOKIE_MAX, "a cookie is too long");
	init->cookie_len = (uint8_t)cookie_len;
	codec_unsigned(c, &init->rounds);
	codec_string(c, &init->child_name, "no name of a child");
	codec_u32(c, &init->child_spi);
	/* Once there are keys it has done its work; a responder's of version 2 always had them. */
	if (sa->state == IKE_SA_INIT_SENT || (sa->state == IKE_SA_HALF_OPEN && !sa->keys))
		private_value(c, e, &init->ke_alg, init->ke_random, &init->ke, init->ke_public);
	aside(c, init);
}

void state_init(struct codec *c, struct ike_engine *e, struct ike_sa *sa)
{
	bool there = sa->init != NULL;

	codec_bool(c, &there);
	if (!there)
		return;
	if (codec_reads(c))
		sa->init = calloc(1, sizeof(*sa->init));
	if (sa->init)
		init_fields(c, e, sa);
	else
		codec_fault(c, "out of memory");
}
