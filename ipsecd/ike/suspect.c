/* Suspicions: which IKE_SAs a hint is about, how often hints of others count, and the check of
 * liveness that ends them. Owns sa->suspicion; a conn is suspected while all of its usable
 * IKE_SAs are. */
#include "ipsecd/ike/suspect.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/window.h"

#include <stddef.h>

/* Somebody who sees our packets can forge what quotes them. After a suspicion that was false,
 * hints do not count for a while, each time longer. */
#define PAUSE_MIN  (1 * MONO_S)
#define PAUSE_MAX  (60 * MONO_S)
#define FORGIVEN   (300 * MONO_S) /* then it is the first one again */
#define TRUE_AFTER (1 * MONO_S)	  /* unanswered for so long: it was no false one */
#define HEARD_WAIT (2 * MONO_S)	  /* ALIVE is told once a second, for what came before */

static const struct {
	const char *text;
	size_t counter;
	bool ours;  /* seen in this machine: nobody else can say it */
	bool named; /* has to have an SPI of ours, which nobody can guess */
} suspicions[IKE_SUSPICIONS] = {
	[IKE_SUSPECT_NOTHING] = {"nothing", 0, false, false},
#define ROW(name, field, text, ours, named) \
	[IKE_SUSPECT_##name] = {text, offsetof(struct ike_counters, suspect_##field), ours, named}
	ROW(ICMP_NET, icmp_net, "ICMP: network unreachable", false, true),
	ROW(ICMP_HOST, icmp_host, "ICMP: host unreachable", false, true),
	ROW(ICMP_PORT, icmp_port, "ICMP: port unreachable", false, true),
	ROW(ICMP_PROHIBITED, icmp_prohibited, "ICMP: prohibited", false, true),
	ROW(CARRIER, carrier, "the underlay's link is down", true, false),
	ROW(ADDRESS, address, "our outer address is gone", true, false),
	ROW(NO_ROUTE, no_route, "no route to the peer", true, false),
	ROW(INVALID_SPI, invalid_spi, "the peer does not know the CHILD_SA", false, true),
	ROW(INVALID_IKE_SPI, invalid_ike_spi, "the peer does not know the IKE_SA", false, true),
#undef ROW
};

const char *ike_suspicion_text(enum ike_suspicion s)
{
	return (unsigned)s < IKE_SUSPICIONS ? suspicions[s].text : "unknown";
}

static void count(struct ike_engine *e, enum ike_suspicion what)
{
	uint64_t *counter = (uint64_t *)((uint8_t *)&e->counters + suspicions[what].counter);

	++*counter;
}

/* ---- the conn as a whole ---- */

static const struct ike_sa *usable_sa(const struct conn_entry *entry, bool suspected)
{
	const struct ike_sa *sa;

	DL_FOREACH2 (entry->sas, sa, entry_next)
		if (ike_sa_usable(sa) && !sa->redundant &&
		    (sa->suspicion.what != IKE_SUSPECT_NOTHING) == suspected)
			return sa;
	return NULL;
}

/* With no IKE_SA at all people are told of its end, and of the next one's beginning here. */
void suspect_review(struct ike_engine *e, const struct ike_sa *changed)
{
	struct conn_entry *entry = changed->entry;
	const struct ike_sa *suspected, *sound;

	if (!entry)
		return;
	suspected = usable_sa(entry, true);
	sound = usable_sa(entry, false);
	if (sound && entry->suspected) {
		entry_touch(e, entry);
		output_event_suspect(e, sound, entry->suspected, true);
		entry->suspected = IKE_SUSPECT_NOTHING;
	} else if (!sound && suspected && !entry->suspected) {
		entry_touch(e, entry);
		entry->suspected = suspected->suspicion.what;
		output_event_suspect(e, suspected, entry->suspected, false);
	}
}

/* ---- beginning ---- */

/* RFC 7296 2.4: a fresh INFORMATIONAL. One that is in flight is sent again, too, but its answer
 * may have been on its way before. dpddelay=0 says that a peer is not to be asked. */
static void check(struct ike_engine *e, struct ike_sa *sa)
{
	sa->suspicion.proof = sa->tx.next_id + (sa->tx.in_flight ? 1 : 0);
	window_hasten(e, sa);
	if (sa->conn->dpd_delay) /* a handle that nobody has: none that waits is the same */
		exchange_enqueue(e, sa, &liveness_ops, ++e->next_child_id, NULL, 0);
}

static bool too_often(const struct ike_engine *e, const struct ike_sa *sa, enum ike_suspicion what)
{
	return !suspicions[what].ours && e->now < sa->suspicion.not_again;
}

static void begin(struct ike_engine *e, struct ike_sa *sa, enum ike_suspicion what)
{
	struct sa_suspicion *s = &sa->suspicion;

	if (s->what)
		return;
	if (too_often(e, sa, what)) {
		e->counters.suspect_too_often++;
		return;
	}
	ike_log(e, sa, LOG_LEVEL_NOTICE, "IKE_SA #%u may be out of reach (%s): asking the peer",
		sa->id, ike_suspicion_text(what));
	sa_touch(e, sa);
	s->what = what;
	s->since = e->now;
	check(e, sa);
	suspect_review(e, sa);
}

/* ---- whom it is about ---- */

static bool fits(const struct endpoint *wanted, const struct endpoint *is)
{
	return (!wanted->addr.family || addr_equal(&wanted->addr, &is->addr)) &&
	       (!wanted->port || wanted->port == is->port);
}

static bool has_spi(const struct ike_sa *sa, const struct ike_hint *hint)
{
	if (hint->esp_spi)
		return child_by_spi_out(sa, hint->esp_spi) != NULL;
	return hint->spi_i == sa->spi_i && hint->spi_r == sa->spi_r;
}

static bool concerns(const struct ike_hint *hint, const struct ike_sa *sa)
{
	bool spi = hint->esp_spi || hint->spi_i || hint->spi_r;

	if (!ike_sa_usable(sa) || !sa->peer_authenticated)
		return false;
	if (suspicions[hint->what].named || spi)
		if (!has_spi(sa, hint))
			return false;
	return (!hint->ike_id || hint->ike_id == sa->id) &&
	       fits(&hint->path.local, &sa->path.local) &&
	       fits(&hint->path.remote, &sa->path.remote);
}

/* NULL is nobody's. */
static bool take(struct ike_engine *e, const struct ike_hint *hint, struct ike_sa *sa)
{
	if (!sa || !concerns(hint, sa))
		return false;
	count(e, hint->what);
	begin(e, sa, hint->what);
	return true;
}

static bool take_by_child(struct ike_engine *e, const struct ike_hint *hint)
{
	const struct child *c = NULL;
	bool any = false;

	while ((c = child_sending_on(e, hint->esp_spi, c)) != NULL)
		any |= take(e, hint, c->sa);
	return any;
}

static bool take_by_path(struct ike_engine *e, const struct ike_hint *hint)
{
	struct ike_sa *sa;
	bool any = false;

	DL_FOREACH (e->sas, sa)
		any |= take(e, hint, sa);
	return any;
}

/* Anybody may send what quotes an SPI, as often as he likes: not all IKE_SAs are looked at for it.
 */
void suspect_hint(struct ike_engine *e, const struct ike_hint *hint)
{
	bool any;

	if (e->no_hints || hint->what == IKE_SUSPECT_NOTHING || hint->what >= IKE_SUSPICIONS)
		return;
	if (hint->esp_spi)
		any = take_by_child(e, hint);
	else if (hint->spi_i || hint->spi_r) /* one of them is ours */
		any = take(e, hint, ike_sa_by_spi(e, hint->spi_i)) ||
		      take(e, hint, ike_sa_by_spi(e, hint->spi_r));
	else
		any = !suspicions[hint->what].named && take_by_path(e, hint);
	e->counters.suspect_foreign += !any;
}

/* ---- the end ---- */

static void end(struct ike_engine *e, struct ike_sa *sa)
{
	struct sa_suspicion *s = &sa->suspicion;

	sa_touch(e, sa);
	if (e->now - s->since >= TRUE_AFTER || s->since >= s->not_again + FORGIVEN)
		s->pause = 0;
	s->pause = s->pause ? s->pause * 2 : PAUSE_MIN;
	if (s->pause > PAUSE_MAX)
		s->pause = PAUSE_MAX;
	s->not_again = e->now + s->pause;
	s->what = IKE_SUSPECT_NOTHING;
	e->counters.suspect_cleared++;
	ike_log(e, sa, LOG_LEVEL_NOTICE, "IKE_SA #%u: the peer answers, after %llu ms", sa->id,
		(unsigned long long)((e->now - s->since) / MONO_MS));
	suspect_review(e, sa);
}

void suspect_answered(struct ike_engine *e, struct ike_sa *sa, uint32_t id)
{
	if (sa->suspicion.what && id >= sa->suspicion.proof)
		end(e, sa);
}

/* The peer is not asked where dpddelay=0: then this has to do. */
void suspect_heard(struct ike_engine *e, struct ike_sa *sa)
{
	if (sa->suspicion.what && !sa->conn->dpd_delay &&
	    e->now - sa->suspicion.since >= HEARD_WAIT)
		end(e, sa);
}
