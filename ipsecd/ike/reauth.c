/* Reauthentication (RFC 7296 2.8.3), make-before-break: the end that began IKE_AUTH makes a new
 * IKE_SA with new CHILD_SAs beside the old one; duplicates.c moves the traffic and ends the
 * old one. A failure leaves the old one, and it is tried again before its hard end. When
 * the other end wants it sooner, it says AUTH_LIFETIME (RFC 4478). */
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/duplicates.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/peers.h"

#define RETRY_AFTER    (30 * MONO_S)
#define RETRY_SOONEST  (1 * MONO_S)
#define LIFETIME_LEAST (2 * MONO_S) /* a peer can't make us do nothing else */

static mono_time interval(const struct conn *c)
{
	return c->reauth_time ? c->reauth_time : c->reauth ? c->rekey_time : 0;
}

static void arm(struct ike_engine *e, struct ike_sa *sa)
{
	sa_touch(e, sa);
	if (sa->auth_initiator && sa->reauth_at)
		timer_set(&e->timers, &sa->reauth_timer, sa->reauth_at);
}

void reauth_plan(struct ike_engine *e, struct ike_sa *sa)
{
	const struct conn *c = sa->conn;
	mono_time t = interval(c);

	if (!sa->reauth_by && t && c->rekey) {
		sa->reauth_by = e->now + t;
		sa->reauth_at = sa->reauth_by -
				engine_random_below(e, c->rand_time < t ? c->rand_time : t / 10);
	}
	arm(e, sa);
}

/* The one for IKE_AUTH: among those that are up, the first that may come. */
static const char *first_child(const struct ike_sa *sa)
{
	const struct child *c;

	DL_FOREACH (sa->children, c)
		if (child_usable(c) && conn_child(sa->entry->version->conn, c->config->name) &&
		    !conns_child_held(sa->entry, c->config->name))
			return c->config->name;
	return NULL;
}

/* A NAT's port says so; without it the peer only claims to be behind one (2.23). */
static bool out_of_reach(const struct ike_sa *sa)
{
	return !sa->auth_initiator && sa->nat_remote && sa->path.remote.port != PORT_NATT;
}

static const char *obstacle(const struct ike_engine *e, const struct ike_sa *sa)
{
	const struct conn_entry *entry = sa->entry;

	if (sa_vips(sa)->n_remote) /* RFC 7296 2.19: only who has them can ask for them again */
		return "the peer has virtual addresses from us: it has to reauthenticate";
	if (!ike_sa_usable(sa) || sa->redundant || entry->unloaded || e->shutting_down)
		return "the IKE_SA is being replaced or closed";
	if (sa->state == IKE_SA_REKEYING)
		return "the IKE_SA is being rekeyed";
	if (out_of_reach(sa))
		return "the peer is behind a NAT and has to do it";
	if (entry->attempt || entry->query)
		return "an attempt is under way already";
	if (!first_child(sa))
		return "the IKE_SA has no CHILD_SA";
	return NULL;
}

bool reauth_start(struct ike_engine *e, struct ike_sa *sa, const char **why)
{
	const struct conn *c = sa->conn;
	struct ike_path path = sa->path;
	struct ike_sa *made;

	*why = obstacle(e, sa);
	if (*why)
		return false;
	path.local.port = c->local_port;
	path.remote.port = c->remote_port;
	ike_log(e, sa, LOG_LEVEL_INFO, "reauthenticating IKE_SA #%u", sa->id);
	made = init_start(e, sa->entry, &path, first_child(sa));
	*why = "the attempt failed at once";
	if (made)
		made->reauth_of = sa->own_spi;
	return made != NULL;
}

/* Soon enough to be tried some more times before the end. */
static void again_later(struct ike_engine *e, struct ike_sa *sa, mono_time wait)
{
	mono_time end = sa->reauth_by && (!sa->expires_at || sa->reauth_by < sa->expires_at)
				? sa->reauth_by
				: sa->expires_at;

	sa_touch(e, sa);
	if (end <= e->now)
		end = sa->expires_at;
	if (end > e->now && (end - e->now) / 3 < wait)
		wait = (end - e->now) / 3;
	timer_set(&e->timers, &sa->reauth_timer,
		  e->now + (wait > RETRY_SOONEST ? wait : RETRY_SOONEST));
}

void reauth_due(struct ike_engine *e, void *owner)
{
	struct ike_sa *sa = owner;
	const char *why;

	sa_touch(e, sa);
	if (!ike_sa_usable(sa) || sa->redundant || reauth_start(e, sa, &why))
		return;
	ike_log(e, sa, LOG_LEVEL_DEBUG, "no reauthentication of IKE_SA #%u now: %s", sa->id, why);
	if (sa->sync.doubt && !first_child(sa)) { /* nothing to lose; it comes again if wanted */
		ike_sa_delete(e, sa, IKE_REASON_REPLACED);
		return;
	}
	again_later(e, sa, RETRY_SOONEST * 2);
}

void reauth_soon(struct ike_engine *e, struct ike_sa *sa, const char *why)
{
	if (!ike_sa_usable(sa) || sa->redundant)
		return;
	if (sa_vips(sa)->n_remote || out_of_reach(sa)) {
		ike_log(e, sa, LOG_LEVEL_WARN, "IKE_SA #%u stays, the peer has to replace it: %s",
			sa->id, why);
		return;
	}
	ike_log(e, sa, LOG_LEVEL_NOTICE, "IKE_SA #%u is to be replaced: %s", sa->id, why);
	sa_touch(e, sa);
	timer_set(&e->timers, &sa->reauth_timer, e->now + engine_random_below(e, RETRY_SOONEST));
}

struct ike_sa *reauth_old(const struct ike_engine *e, const struct ike_sa *made)
{
	return made->reauth_of ? ike_sa_by_spi(e, made->reauth_of) : NULL;
}

void reauth_failed(struct ike_engine *e, const struct ike_sa *made)
{
	struct ike_sa *old = reauth_old(e, made);

	/* redundant: it ended for another reason than that */
	if (!old || !ike_sa_usable(old) || old->redundant)
		return;
	if (made->end_reason != IKE_REASON_REPLACED) /* else the peer did it */
		ike_log(e, old, LOG_LEVEL_WARN, "reauthentication failed, IKE_SA #%u stays",
			old->id);
	again_later(e, old, RETRY_AFTER + engine_random_below(e, RETRY_AFTER));
}

void reauth_fill(struct ike_engine *e, struct ike_sa *made, const struct ike_sa *old)
{
	const struct child *c;

	if (!made->reauth_of)
		return;
	DL_FOREACH (old->children, c)
		if (child_usable(c) && !c->resource)
			peers_add_child(e, made, c->config->name);
}

/* ---- AUTH_LIFETIME ---- */

void reauth_put_lifetime(struct exchange *x)
{
	const struct ike_sa *sa = x->sa;
	uint8_t seconds[4];

	if (sa->reauth_by <= x->now)
		return;
	be32_set(seconds, (uint32_t)((sa->reauth_by - x->now) / MONO_S));
	wire_put_notify(x->out, PROTOCOL_NONE, NOTIFY_AUTH_LIFETIME, span_of(NULL, 0),
			span_of(seconds, sizeof(seconds)));
}

void reauth_heed_lifetime(struct exchange *x)
{
	const struct wire_notify *n = wire_find_notify(x->in, NOTIFY_AUTH_LIFETIME);
	struct ike_sa *sa = x->sa;
	mono_time life, at;

	if (!n || n->data.len != 4 || !sa->auth_initiator)
		return;
	life = be32_get(n->data.ptr) * MONO_S;
	if (life < LIFETIME_LEAST)
		life = LIFETIME_LEAST;
	at = x->now + life - life / 10 - engine_random_below(x->e, life / 10);
	ike_log(x->e, sa, LOG_LEVEL_INFO, "the peer wants a reauthentication within %llu s",
		(unsigned long long)(life / MONO_S));
	if (sa->reauth_at && sa->reauth_at <= at)
		return;
	sa->reauth_by = x->now + life;
	sa->reauth_at = at;
	arm(x->e, sa);
}
