/* Virtual addresses: asking for them and taking them as initiator, leases for peers as
 * responder. Must not know where addresses come from nor what is done with ours. */
#include "ipsecd/ike/vips.h"
#include "ipsecd/ike/child_setup.h"
#include "ipsecd/ike/dispatch.h"
#include "ipsecd/ike/init.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/window.h"
#include "lib/text.h"

#include <stdio.h>
#include <stdlib.h>

static void add(struct addr *list, uint8_t *n, unsigned max, const struct addr *a)
{
	if (*n < max && vip_usable(a) && !addrs_have(list, *n, a))
		list[(*n)++] = *a;
}

static const char *format(const struct addr *list, unsigned n, char *text, size_t size)
{
	size_t at = 0;
	char one[ADDR_TEXT];

	text[0] = '\0';
	for (unsigned i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s", i ? " " : "",
				       addr_format(&list[i], one));
	return text;
}

static uint16_t addr_attribute(uint8_t family)
{
	return family == AF_INET6 ? CFG_INTERNAL_IP6_ADDRESS : CFG_INTERNAL_IP4_ADDRESS;
}

static uint16_t dns_attribute(uint8_t family)
{
	return family == AF_INET6 ? CFG_INTERNAL_IP6_DNS : CFG_INTERNAL_IP4_DNS;
}

/* ---- initiator ---- */

/* A wish for any address, of the outer path's family if it names none. */
static struct addr with_family(const struct ike_sa *sa, struct addr a)
{
	if (!a.family)
		a.family = sa->path.local.addr.family;
	return a;
}

/* What we had before we ask for again: the i-th one of that family. */
static struct addr wish(const struct ike_sa *sa, uint8_t i)
{
	const struct conn_entry *entry = sa->entry;
	struct addr a = with_family(sa, sa->conn->vips[i]);
	unsigned nth = 0;

	if (!addr_is_any(&a))
		return a;
	for (uint8_t j = 0; j < i; j++) {
		struct addr other = with_family(sa, sa->conn->vips[j]);

		nth += other.family == a.family;
	}
	for (uint8_t j = 0; j < entry->n_vips_had; j++) {
		if (entry->vips_had[j].family == a.family && nth-- == 0)
			return entry->vips_had[j];
	}
	return a;
}

static void put_wish(struct wire_writer *w, uint16_t type, const struct addr *a)
{
	static const struct addr none;

	wire_put_cp_addr(w, type, addr_is_any(a) ? &none : a, 128);
}

static void put_dns_wishes(const struct ike_sa *sa, struct wire_writer *w)
{
	const struct conn *c = sa->conn;
	bool seen[2] = {false, false};

	for (uint8_t i = 0; i < c->n_dns_wanted; i++) {
		struct addr a = with_family(sa, c->dns_wanted[i]);

		put_wish(w, dns_attribute(a.family), &a);
	}
	for (uint8_t i = 0; i < c->n_vips && !c->n_dns_wanted; i++) {
		struct addr any = {.family = with_family(sa, c->vips[i]).family};
		bool *done = &seen[any.family == AF_INET6];

		if (!*done)
			put_wish(w, dns_attribute(any.family), &any);
		*done = true;
	}
}

bool vips_prepare(struct ike_sa *sa)
{
	return (!sa->conn->n_vips && !sa->conn->n_dns_wanted) || sa_vips_edit(sa);
}

void vips_put_request(struct ike_engine *e, struct ike_sa *sa, struct wire_writer *w)
{
	const struct conn *c = sa->conn;
	size_t start;

	(void)e;
	if (!c->n_vips && !c->n_dns_wanted)
		return;
	start = wire_open_cp(w, CFG_REQUEST);
	for (uint8_t i = 0; i < c->n_vips; i++) {
		struct addr a = wish(sa, i);

		put_wish(w, addr_attribute(a.family), &a);
	}
	put_dns_wishes(sa, w);
	wire_close_cp(w, start);
}

static bool asked_family(const struct ike_sa *sa, uint8_t family)
{
	for (uint8_t i = 0; i < sa->conn->n_vips; i++) {
		if (with_family(sa, sa->conn->vips[i]).family == family)
			return true;
	}
	return false;
}

static void take(struct ike_sa *sa, const struct wire_cp_attribute *a)
{
	struct sa_vips *v = sa_vips_edit(sa); /* there, by vips_prepare; or the conn is new */

	if (!v)
		return;
	switch (a->type) {
	case CFG_INTERNAL_IP4_ADDRESS:
	case CFG_INTERNAL_IP6_ADDRESS:
		if (asked_family(sa, a->addr.family))
			add(v->local, &v->n_local, VIPS_MAX, &a->addr);
		break;
	case CFG_INTERNAL_IP4_DNS:
	case CFG_INTERNAL_IP6_DNS:
		add(v->dns, &v->n_dns, VIP_DNS_MAX, &a->addr);
		break;
	}
}

void vips_consume_reply(struct exchange *x)
{
	const struct wire_cp *cp = &x->in->cp;
	struct ike_sa *sa = x->sa;
	const struct sa_vips *v;
	char text[VIPS_MAX * ADDR_TEXT], dns[VIP_DNS_MAX * ADDR_TEXT];

	if (!sa->conn->n_vips && !sa->conn->n_dns_wanted)
		return;
	for (uint8_t i = 0; x->in->present & WIRE_BIT(PAYLOAD_CP) && i < cp->n; i++) {
		if (cp->type == CFG_REPLY)
			take(sa, &cp->attributes[i]);
	}
	v = sa_vips(sa);
	if (v->n_local) {
		entry_touch(x->e, sa->entry);
		sa->entry->n_vips_had = v->n_local;
		memcpy(sa->entry->vips_had, v->local, sizeof(v->local));
		ike_log(x->e, sa, LOG_LEVEL_NOTICE, "the peer gives us %s%s%s",
			format(v->local, v->n_local, text, sizeof(text)),
			v->n_dns ? ", name servers " : "",
			format(v->dns, v->n_dns, dns, sizeof(dns)));
	} else if (sa->conn->n_vips && !wire_find_error(x->in)) {
		ike_log(x->e, sa, LOG_LEVEL_WARN,
			"we asked for a virtual address, the peer gives none");
	}
}

bool vips_refused(const struct ike_sa *sa, uint16_t notify, char *detail, size_t size)
{
	char text[VIPS_MAX * ADDR_TEXT];

	if (notify == NOTIFY_INTERNAL_ADDRESS_FAILURE)
		snprintf(detail, size,
			 "INTERNAL_ADDRESS_FAILURE: peer has no virtual address for us%s%s",
			 sa->conn->n_vips ? ", we asked for " : "",
			 format(sa->conn->vips, sa->conn->n_vips, text, sizeof(text)));
	else if (notify == NOTIFY_FAILED_CP_REQUIRED)
		snprintf(detail, size,
			 "FAILED_CP_REQUIRED: peer wants to give us a virtual address, we do not "
			 "ask for one");
	else
		return false;
	return true;
}

/* ---- responder ---- */

bool vips_waiting(const struct ike_sa *sa)
{
	return sa->init && sa->init->aside.data;
}

static bool asks_addresses(const struct exchange *x, struct ike_lease_query *q)
{
	const struct wire_cp *cp = &x->in->cp;
	const struct id *id = sa_remote_id(x->sa);

	*q = (struct ike_lease_query){.sole = x->sa->conn->unique == UNIQUE_REPLACE ||
					      x->sa->conn->unique == UNIQUE_KEEP,
				      .n_pools = x->sa->conn->n_pools,
				      .pools = x->sa->conn->pools};
	memcpy(&q->identity, id, offsetof(struct id, data) + id->len);
	if (!(x->in->present & WIRE_BIT(PAYLOAD_CP)) || cp->type != CFG_REQUEST)
		return false;
	for (uint8_t i = 0; i < cp->n && q->n < VIPS_MAX; i++) {
		const struct wire_cp_attribute *a = &cp->attributes[i];

		if (a->type != CFG_INTERNAL_IP4_ADDRESS && a->type != CFG_INTERNAL_IP6_ADDRESS)
			continue;
		q->wanted[q->n] = a->addr;
		q->wanted[q->n++].family = a->type == CFG_INTERNAL_IP6_ADDRESS ? AF_INET6 : AF_INET;
	}
	return q->n > 0;
}

/* The number of a query is the SPI of the IKE_SA that asks: never used twice, and found again. */
bool vips_must_wait(struct exchange *x)
{
	struct init_state *init = x->sa->init;
	struct ike_lease_query query;

	if (init->have_lease || !x->sa->conn->n_pools || !asks_addresses(x, &query))
		return false;
	x->aside = true;
	sa_touch(x->e, x->sa);
	/* Without memory for it the peer's next transmission is the next try. */
	if (!message_copy_set(&init->aside, x->inner))
		return true;
	init->aside_first = x->first;
	init->aside_header = *x->header;
	init->aside_path = *x->path;
	x->sa->lease = x->sa->own_spi;
	output_lease_query(x->e, x->sa, &query);
	return true;
}

void vips_lease(struct ike_engine *e, uint64_t query, const struct ike_lease *lease)
{
	struct ike_sa *sa = ike_sa_by_spi(e, query);

	if (!sa || sa->state != IKE_SA_HALF_OPEN || !vips_waiting(sa))
		return;
	sa->init->lease = *lease;
	sa->init->have_lease = true;
	dispatch_resume(e, sa);
}

/* What the pools gave for each address that was asked for. */
static void assign(struct exchange *x, const struct ike_lease_query *q)
{
	const struct ike_lease *lease = &x->sa->init->lease;
	struct sa_vips *v = q->n ? sa_vips_edit(x->sa) : NULL;
	char text[ADDR_TEXT], id[ID_TEXT];

	for (uint8_t i = 0; v && i < q->n && x->sa->init->have_lease; i++) {
		if (lease->addrs[i].family == q->wanted[i].family)
			add(v->remote, &v->n_remote, VIPS_MAX, &lease->addrs[i]);
		else
			ike_log(x->e, x->sa, LOG_LEVEL_WARN, "%s asked for %s: no address",
				id_format(sa_remote_id(x->sa), id),
				addr_format(&q->wanted[i], text));
	}
}

static void put_reply(struct exchange *x)
{
	static const uint16_t supported[] = {CFG_INTERNAL_IP4_ADDRESS, CFG_INTERNAL_IP4_DNS,
					     CFG_INTERNAL_IP6_ADDRESS, CFG_INTERNAL_IP6_DNS,
					     CFG_SUPPORTED_ATTRIBUTES};
	const struct init_state *init = x->sa->init;
	const struct sa_vips *v = sa_vips(x->sa);
	const struct conn *c = x->sa->conn;
	size_t start = wire_open_cp(x->out, CFG_REPLY);
	uint8_t list[sizeof(supported)];

	for (uint8_t i = 0; i < v->n_remote; i++)
		wire_put_cp_addr(x->out, addr_attribute(v->remote[i].family), &v->remote[i], 128);
	for (uint8_t i = 0; i < c->n_dns; i++)
		wire_put_cp_addr(x->out, dns_attribute(c->dns[i].family), &c->dns[i], 0);
	for (uint8_t i = 0; init->have_lease && i < init->lease.n_dns; i++)
		wire_put_cp_addr(x->out, dns_attribute(init->lease.dns[i].family),
				 &init->lease.dns[i], 0);
	for (uint8_t i = 0; i < x->in->cp.n; i++) {
		if (x->in->cp.attributes[i].type != CFG_SUPPORTED_ATTRIBUTES)
			continue;
		for (unsigned j = 0; j < sizeof(supported) / sizeof(supported[0]); j++)
			be16_set(list + 2 * j, supported[j]);
		wire_put_cp_value(x->out, CFG_SUPPORTED_ATTRIBUTES, span_of(list, sizeof(list)));
		break;
	}
	wire_close_cp(x->out, start);
}

static bool refuse(struct exchange *x, uint16_t notify, const char *detail,
		   struct child_offer *offer)
{
	offer->reason = IKE_REASON_NO_ADDRESS;
	text_fit(offer->detail, sizeof(offer->detail), detail);
	exchange_refuse(x, notify, span_of(NULL, 0), detail);
	output_event_failed(x->e, NULL, x->sa, IKE_REASON_NO_ADDRESS, detail);
	return false;
}

/* RFC 7296 3.15.4: addresses that are asked for and that can't be given, or expected to be asked
 * for, cost the CHILD_SA and not the IKE_SA. */
bool vips_answer_request(struct exchange *x, struct child_offer *offer)
{
	char detail[IKE_WORDS], text[VIPS_MAX * ADDR_TEXT], id[ID_TEXT];
	struct ike_lease_query q;
	bool asks = asks_addresses(x, &q);

	id_format(sa_remote_id(x->sa), id);
	if (!asks && x->sa->conn->n_pools) {
		snprintf(detail, sizeof(detail),
			 "%.200s does not ask for a virtual address, and this connection gives one",
			 id);
		return refuse(x, NOTIFY_FAILED_CP_REQUIRED, detail, offer);
	}
	assign(x, &q);
	if (asks && !sa_vips(x->sa)->n_remote) {
		snprintf(detail, sizeof(detail), "%.200s asks for %s: %s", id,
			 format(q.wanted, q.n, text, sizeof(text)),
			 q.n_pools ? "no pool has a free address"
				   : "this connection has no pool (rightsourceip=)");
		return refuse(x, NOTIFY_INTERNAL_ADDRESS_FAILURE, detail, offer);
	}
	if (x->in->present & WIRE_BIT(PAYLOAD_CP) && x->in->cp.type == CFG_REQUEST)
		put_reply(x);
	if (asks)
		ike_log(x->e, x->sa, LOG_LEVEL_NOTICE, "%s gets %s", id,
			format(sa_vips(x->sa)->remote, sa_vips(x->sa)->n_remote, text,
			       sizeof(text)));
	return true;
}

/* ---- both ---- */

void vips_move(struct ike_sa *from, struct ike_sa *to)
{
	if (!to->vips) {
		to->vips = from->vips;
		from->vips = NULL;
	} else {
		*to->vips = *sa_vips(from);
	}
	to->lease = from->lease;
	from->lease = 0;
}

static bool has_ours(const struct ike_sa *sa)
{
	return sa_vips(sa)->n_local && sa->state >= IKE_SA_ESTABLISHED && sa->state < IKE_SA_ENDED;
}

/* All that we have on the tunnel, of however many IKE_SAs. */
static uint8_t gather(const struct conn_entry *entry, struct addr now[IKE_TUNNEL_VIPS_MAX])
{
	const struct ike_sa *sa;
	uint8_t n = 0;

	memset(now, 0, IKE_TUNNEL_VIPS_MAX * sizeof(*now));
	DL_FOREACH2 (entry->sas, sa, entry_next) {
		for (uint8_t i = 0; has_ours(sa) && i < sa->vips->n_local; i++)
			add(now, &n, IKE_TUNNEL_VIPS_MAX, &sa->vips->local[i]);
	}
	return n;
}

static void tell(struct ike_engine *e, struct conn_entry *entry)
{
	struct addr now[IKE_TUNNEL_VIPS_MAX];
	uint8_t n = gather(entry, now);

	if (addrs_equal(now, n, entry->vips_told, entry->n_vips_told))
		return;
	entry_touch(e, entry);
	memcpy(entry->vips_told, now, sizeof(now));
	entry->n_vips_told = n;
	output_vips(e, entry->tunnel, now, n, false);
}

void vips_resume(struct ike_engine *e, struct conn_entry *entry)
{
	struct addr now[IKE_TUNNEL_VIPS_MAX];
	uint8_t n = gather(entry, now);

	if (n && addrs_equal(now, n, entry->vips_told, entry->n_vips_told))
		output_vips(e, entry->tunnel, now, n, true);
	else
		tell(e, entry);
}

void vips_up(struct ike_engine *e, struct ike_sa *sa)
{
	if (sa_vips(sa)->n_local)
		tell(e, sa->entry);
}

void vips_gone(struct ike_engine *e, struct ike_sa *sa)
{
	if (sa->lease)
		output_lease_release(e, sa->lease);
	sa->lease = 0;
	if (sa_vips(sa)->n_local)
		tell(e, sa->entry);
}
