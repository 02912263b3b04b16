/* An IKE_SA in its record. Knows what the fields may be, not what becomes of them. */
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/state.h"

void state_short(struct codec *c, struct message_copy *m, size_t max, const char *what)
{
	uint8_t bytes[UINT8_MAX + 1];
	uint16_t len = (uint16_t)m->len;

	if (!codec_reads(c)) {
		codec_short(c, m->data, &len, max, what);
		return;
	}
	codec_short(c, bytes, &len, max, what);
	if (len && !message_copy_set(m, span_of(bytes, len)))
		codec_fault(c, "out of memory");
}

static void identity(struct codec *c, struct id **kept)
{
	struct id id = {0};

	if (*kept)
		memcpy(&id, *kept, offsetof(struct id, data) + (*kept)->len);
	codec_id(c, &id);
	if (codec_reads(c) && !kept_id(kept, &id))
		codec_fault(c, "out of memory");
}

/* SK_* (RFC 7296 2.14): those of the two directions have one length. */
static void key_fields(struct codec *c, struct ike_keys *k)
{
	codec_key(c, k->d, &k->d_len, sizeof(k->d));
	codec_key(c, k->ai, &k->a_len, sizeof(k->ai));
	codec_bytes(c, k->ar, k->a_len);
	codec_key(c, k->ei, &k->e_len, sizeof(k->ei));
	codec_bytes(c, k->er, k->e_len);
	codec_key(c, k->pi, &k->p_len, sizeof(k->pi));
	codec_bytes(c, k->pr, k->p_len);
}

static void keys(struct codec *c, struct ike_sa *sa)
{
	struct ike_keys k;

	kept_keys_get(sa->keys, &k);
	key_fields(c, &k);
	if (codec_reads(c) && k.d_len && !kept_keys(&sa->keys, &k))
		codec_fault(c, "out of memory");
	explicit_bzero(&k, sizeof(k));
}

static void message(struct codec *c, struct message_copy *m)
{
	codec_memory(c, &m->data, &m->len, STATE_REQUEST_MAX, "a message is too long");
}

static void windows(struct codec *c, struct ike_sa *sa)
{
	codec_u32(c, &sa->tx.next_id);
	codec_bool(c, &sa->tx.in_flight);
	codec_unsigned(c, &sa->tx.sent);
	codec_unsigned(c, &sa->tx.hastened);
	codec_u64(c, &sa->tx.first_sent);
	codec_u64(c, &sa->tx.last_sent);
	message(c, &sa->tx.request);
	codec_u32(c, &sa->rx.next_id);
	codec_u64(c, &sa->rx.repeated_at);
	message(c, &sa->rx.response);
}

static void suspicion(struct codec *c, struct sa_suspicion *s)
{
	CODEC_ENUM(c, s->what, IKE_SUSPICIONS, "unknown suspicion");
	codec_u64(c, &s->since);
	codec_u32(c, &s->proof);
	codec_u64(c, &s->pause);
	codec_u64(c, &s->not_again);
}

static void synchronisation(struct codec *c, struct sa_sync *s)
{
	uint8_t bits = (uint8_t)(s->ids | s->counters << 1 | s->behind << 2 | s->asking << 3 |
				 s->asked << 4 | s->doubt << 5 | s->seen << 6);

	codec_u8(c, &bits);
	if (bits >> 7)
		codec_fault(c, "unknown bits");
	s->ids = bits & 1;
	s->counters = bits >> 1 & 1;
	s->behind = bits >> 2 & 1;
	s->asking = bits >> 3 & 1;
	s->asked = bits >> 4 & 1;
	s->doubt = bits >> 5 & 1;
	s->seen = bits >> 6 & 1;
	codec_u32(c, &s->nonce);
	codec_u32(c, &s->send);
	codec_u32(c, &s->receive);
	codec_u32(c, &s->peer_send);
}

static void vips(struct codec *c, struct ike_sa *sa)
{
	struct sa_vips read = *sa_vips(sa), *v = &read;

	codec_addrs(c, v->local, &v->n_local, VIPS_MAX, "too many virtual addresses");
	codec_addrs(c, v->remote, &v->n_remote, VIPS_MAX, "too many virtual addresses");
	codec_addrs(c, v->dns, &v->n_dns, VIP_DNS_MAX, "too many name servers");
	if (!codec_reads(c) || !(v->n_local || v->n_remote || v->n_dns))
		return;
	if (sa_vips_edit(sa))
		*sa->vips = read;
	else
		codec_fault(c, "out of memory");
}

static void who(struct codec *c, struct ike_sa *sa, struct state_sa *x)
{
	CODEC_ENUM(c, sa->state, IKE_SA_ENDED, "unknown state");
	codec_bool(c, &sa->initiator);
	codec_bool(c, &sa->auth_initiator);
	codec_random64(c, &sa->spi_i);
	codec_random64(c, &sa->spi_r);
	sa->own_spi = sa->initiator ? sa->spi_i : sa->spi_r;
	codec_path(c, &sa->path);
	identity(c, &sa->local_id);
	identity(c, &sa->remote_id);
	codec_bool(c, &sa->nat_local);
	codec_bool(c, &sa->nat_remote);
	codec_bool(c, &sa->nat_faked);
	codec_bool(c, &sa->peer_authenticated);
	codec_bool(c, &x->half_open);
	if (x->half_open)
		codec_bytes(c, x->init_key, sizeof(x->init_key));
}

static void secrets(struct codec *c, struct ike_sa *sa)
{
	codec_suite(c, &sa->suite);
	keys(c, sa);
	codec_u64(c, &sa->iv_counter);
	codec_bytes(c, sa->nonce_own, sizeof(sa->nonce_own));
	state_short(c, &sa->nonce_peer, IKE_NONCE_MAX, "a nonce is too long");
	state_short(c, &sa->lowest_nonce, IKE_NONCE_MAX, "a nonce is too long");
}

static void times(struct codec *c, struct ike_sa *sa)
{
	struct timer *all[IKE_SA_TIMERS];

	codec_u64(c, &sa->created);
	codec_u64(c, &sa->established);
	codec_u64(c, &sa->last_heard);
	codec_u64(c, &sa->rekey_at);
	codec_u64(c, &sa->expires_at);
	codec_u64(c, &sa->reauth_at);
	codec_u64(c, &sa->reauth_by);
	codec_u64(c, &sa->superseded_until);
	ike_sa_timers(sa, all);
	for (unsigned i = 0; i < IKE_SA_TIMERS; i++)
		codec_timer(c, all[i]);
}

/* What becomes of it, and of which others. */
static void fate(struct codec *c, struct ike_sa *sa)
{
	CODEC_ENUM(c, sa->end_reason, IKE_REASONS, "unknown reason");
	codec_u64(c, &sa->successor);
	codec_bool(c, &sa->redundant);
	codec_bool(c, &sa->superseded);
	codec_bool(c, &sa->silent);
	codec_bool(c, &sa->inherits);
	codec_u64(c, &sa->reauth_of);
	codec_bool(c, &sa->announced);
	codec_u32(c, &sa->last_id);
	codec_u64(c, &sa->collision);
	codec_u64(c, &sa->predecessor);
	codec_u64(c, &sa->lease);
	codec_u64(c, &sa->attached);
}

void state_sa_fields(struct codec *c, struct ike_engine *e, struct ike_sa *sa, struct state_sa *x)
{
	codec_u32(c, &sa->id);
	codec_string(c, &x->conn, "no name of a connection");
	codec_bool(c, &x->orphan);
	codec_bool(c, &x->attempt);
	codec_random64(c, &x->digest_ike);
	who(c, sa, x);
	secrets(c, sa);
	vips(c, sa);
	windows(c, sa);
	suspicion(c, &sa->suspicion);
	state_short(c, &sa->crash_token, IKE_TOKEN_MAX, "a token is too long");
	times(c, sa);
	fate(c, sa);
	state_children(c, e, sa);
	state_tasks(c, e, sa);
	state_init(c, e, sa);
	if (c->version >= 2)
		synchronisation(c, &sa->sync);
	if (c->version >= 3)
		state_children_later(c, sa);
}

/* ---- is it one? ---- */

static bool keyed(enum ike_sa_state state)
{
	return state != IKE_SA_CREATED && state != IKE_SA_INIT_SENT;
}

/* A responder's answer to IKE_SA_INIT does not wait for keys (init_make_keys). */
static bool underived(const struct ike_sa *sa)
{
	return sa->state == IKE_SA_HALF_OPEN && !sa->keys && sa->init && sa->init->ke;
}

/* The keys for AUTH are gone once there is an IKE_SA. */
static bool auth_keys_fit(const struct ike_sa *sa)
{
	return sa->keys->p_len == sa->suite.prf->out_len ||
	       (!sa->keys->p_len && sa->state >= IKE_SA_ESTABLISHED);
}

static const char *keys_fault(const struct ike_sa *sa)
{
	const struct suite *s = &sa->suite;
	const struct kept_keys *k = sa->keys;

	if (!s->encr || !s->prf || !s->ke)
		return "an IKE_SA without algorithms";
	if (underived(sa))
		return sa->init->ke_alg == s->ke ? NULL : "a key exchange by another method";
	if (!k || k->d_len != s->prf->out_len || !auth_keys_fit(sa) ||
	    k->e_len != s->encr->key_len + s->encr->salt_len ||
	    k->a_len != (s->integ ? s->integ->key_len : 0))
		return "keys that do not fit the algorithms";
	return NULL;
}

static bool establishing(const struct ike_sa *sa)
{
	return sa->state == IKE_SA_INIT_SENT || sa->state == IKE_SA_AUTH_SENT;
}

/* Each state with what its handlers rely on. */
static const char *state_fault(const struct ike_sa *sa, bool half_open)
{
	const struct init_state *init = sa->init;

	switch (sa->state) {
	case IKE_SA_CREATED: /* a rekey's, in the making */
		return init ? "an IKE_SA_INIT that was not sent" : NULL;
	case IKE_SA_INIT_SENT:
	case IKE_SA_AUTH_SENT:
		if (!sa->initiator || !init || !init->child_name || !sa->tx.in_flight)
			return "an attempt without its request";
		if (sa->state == IKE_SA_INIT_SENT)
			return init->ke ? NULL : "an IKE_SA_INIT without key exchange";
		break;
	case IKE_SA_HALF_OPEN:
		if (sa->initiator || !init)
			return "a half-open IKE_SA without its IKE_SA_INIT";
		break;
	case IKE_SA_DELETING: /* a refused one has them until it ends */
		if (!init)
			return half_open ? "a half-open IKE_SA without its IKE_SA_INIT" : NULL;
		break;
	default:
		return init || half_open ? "an IKE_SA_INIT that is over" : NULL;
	}
	return init->request.len && init->response.len ? NULL : "an IKE_SA_INIT without messages";
}

static const char *window_fault(const struct ike_sa *sa)
{
	if (sa->tx.in_flight != (sa->tx.request.len != 0))
		return "a request that is in flight and not there";
	if (sa->tx.in_flight && !sa->running && !establishing(sa))
		return "a request in flight that nobody made";
	if (sa->running && !sa->tx.in_flight)
		return "a task that waits for no answer";
	if (sa->sync.asking && (sa->tx.in_flight || !sa->sync.ids || !sa->suite.encr))
		return "a synchronisation that can't be";
	return NULL;
}

const char *state_sa_fault(const struct ike_sa *sa, const struct state_sa *x)
{
	const char *fault = NULL;
	const struct child *child;

	if (!sa->id || !sa->own_spi)
		return "an IKE_SA without id or SPI";
	if (keyed(sa->state) || sa->suite.encr)
		fault = keys_fault(sa);
	if (!fault)
		fault = state_fault(sa, x->half_open);
	if (!fault)
		fault = window_fault(sa);
	DL_FOREACH (sa->children, child)
		if (!fault)
			fault = state_child_fault(child);
	return fault;
}
