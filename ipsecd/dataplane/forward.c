/* The packet paths: RFC 4301 5.1 and 5.2, RFC 4303 3.3 and 3.4. Owns the order of the
 * checks, the drop counters and what is noted for a report; the SAs' own arithmetic is
 * in sadb, replay and esp. Nothing here allocates but
 * what is held. */
#include "ipsecd/dataplane/forward.h"

#include "lib/buf.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <utlist.h>

#define ACQUIRE_INTERVAL MONO_S
#define MOVED_INTERVAL	 MONO_S
#define ALIVE_INTERVAL	 MONO_S
#define UNKNOWN_INTERVAL (200 * MONO_MS)
#define ESP_OUT_MAX	 65507 /* largest UDP payload over IPv4 */

static void note(struct forward *f, struct sa *sa, enum sa_due what)
{
	if (!sa->due)
		DL_APPEND2(f->due, sa, due_prev, due_next);
	sa->due |= 1u << what;
}

static void drop_out(struct forward *f, enum dataplane_counter c)
{
	f->drops[c]++;
}

/* Counts, and says so in at most five lines a second: what comes in may be hostile. */
static void drop_in(struct forward *f, enum dataplane_counter c, const struct sa *sa, uint32_t spi,
		    uint64_t seq, const struct endpoint *remote, const char *why, mono_time now)
{
	char from[ENDPOINT_TEXT];

	f->drops[c]++;
	if (!f->host.log || f->host.log->level < LOG_LEVEL_INFO ||
	    !log_limit_pass(&f->drop_log, now))
		return;
	log_to(f->host.log, LOG_LEVEL_INFO, "esp", sa ? sa->tunnel->name : "",
	       "%s: packet from %s, SPI 0x%08x, sequence number %llu: %s",
	       dataplane_counter_name(c), endpoint_format(remote, from), spi,
	       (unsigned long long)seq, why);
}

static bool reached(uint64_t value, uint64_t limit)
{
	return limit != 0 && value >= limit;
}

/* After each packet: RFC 4301 4.4.2.1 (lifetimes in bytes), RFC 4303 3.3.3. */
void forward_check_limits(struct forward *f, struct sa *sa)
{
	const struct dataplane_child_stats *s = &sa->live->stats;
	const struct child_sa *c = &sa->child;

	sa->expired_out = reached(s->bytes_out, c->life_bytes) ||
			  reached(s->packets_out, c->life_packets) ||
			  sa->live->seq_out >= sa_seq_hard(sa);
	sa->expired_in =
		reached(s->bytes_in, c->life_bytes) || reached(s->packets_in, c->life_packets);
	if ((sa->expired_in || sa->expired_out) && !sa->hard_reported) {
		sa->hard_reported = true;
		note(f, sa, DUE_HARD);
	}
	if (sa->soft_reported)
		return;
	if (reached(s->bytes_out, c->rekey_bytes) || reached(s->bytes_in, c->rekey_bytes) ||
	    reached(s->packets_out, c->rekey_packets) || reached(s->packets_in, c->rekey_packets) ||
	    sa->live->seq_out >= sa_seq_soft(sa)) {
		sa->soft_reported = true;
		note(f, sa, DUE_SOFT);
	}
}

/* ---- outbound ---- */

/* What the kernel says by itself on a new IPv6 device (MLD, router solicitations) is
 * no traffic that asks for a tunnel. */
static bool is_chatter(const struct inner *packet)
{
	return packet->protocol == IPPROTO_ICMPV6 && packet->dst.family == AF_INET6 &&
	       packet->dst.bytes[0] == 0xff && packet->dst.bytes[1] == 0x02;
}

static void want_sa(struct forward *f, struct forward_tunnel *t, const struct inner *packet,
		    mono_time now)
{
	if (t->acquire_due || (t->acquired && now - t->acquired < ACQUIRE_INTERVAL) ||
	    is_chatter(packet))
		return;
	t->acquire_due = true;
	DL_APPEND2(f->acquires, t, acquire_prev, acquire_next);
}

/* RFC 4303 3.3.3, RFC 4106 3.1: a number is used once, whatever becomes of the packet;
 * counters make the IVs of AEADs unique. RFC 3602 3: those of CBC are unpredictable. */
static struct span seal(struct forward *f, struct sa *sa, uint8_t *packet, size_t len,
			uint8_t next_header)
{
	uint8_t iv[ALGORITHM_IV_MAX];
	uint64_t seq = sa_live_next(sa->live);

	if (sa->out.aead)
		be64_set(iv, seq);
	else
		f->host.random(f->host.ctx, iv, sa->out.iv_len);
	return esp_seal(&sa->out, seq, iv, next_header, packet, len);
}

static bool send_one(struct forward *f, const struct sa *sa, struct span esp)
{
	struct esp_run run = {
		.from = &sa->child.local, .to = &sa->child.remote, .esps = esp, .size = esp.len};

	f->host.send_esp(f->host.ctx, &run, 1);
	return run.sent;
}

static void send_by(struct forward *f, struct sa *sa, uint8_t *packet, size_t len, uint8_t family,
		    mono_time now)
{
	struct span esp;

	if (sa->expired_out) {
		drop_out(f, DROP_EXPIRED);
		return;
	}
	if (len + ESP_HEADROOM + ESP_TAILROOM > ESP_OUT_MAX) {
		drop_out(f, DROP_TOO_BIG);
		return;
	}
	if (len < sa->pad_to) /* the inner header says where the padding begins */
		memset(packet + len, 0, sa->pad_to - len);
	esp = seal(f, sa, packet, len < sa->pad_to ? sa->pad_to : len,
		   family == AF_INET6 ? ESP_NEXT_IPV6 : ESP_NEXT_IPV4);
	if (esp.len == 0 || !send_one(f, sa, esp)) {
		drop_out(f, DROP_SEND);
	} else {
		sa->live->stats.bytes_out += len;
		sa->live->stats.packets_out++;
		sa->live->stats.last_out = now;
	}
	forward_check_limits(f, sa);
}

void forward_output(struct forward *f, struct forward_tunnel *t, uint8_t *packet, size_t len,
		    mono_time now)
{
	struct inner inner;
	struct sa *sa;
	bool any;

	if (inner_parse(span_of(packet, len), &inner) != INNER_OK) {
		drop_out(f, DROP_MALFORMED);
		return;
	}
	sa = sa_select(t->newest, &inner, &any);
	if (!sa) {
		drop_out(f, any ? DROP_NO_SELECTOR : DROP_NO_SA);
		want_sa(f, t, &inner, now);
		return;
	}
	send_by(f, sa, packet, inner.len, inner.src.family, now);
}

/* ---- inbound ---- */

/* An authenticated packet inside the window; `newer`: higher than any before. */
static void heard_from(struct forward *f, struct sa *sa, const struct endpoint *remote, bool newer,
		       mono_time now)
{
	sa->heard = true;
	sa->live->stats.last_in = now;
	if (!sa->child.outbound && !sa->used_reported) {
		sa->used_reported = true;
		note(f, sa, DUE_USED_NEW);
	}
	/* RFC 7296 2.23: only a packet that is new and authentic may move the peer. */
	if (!newer || endpoint_equal(remote, &sa->child.remote))
		return;
	if (sa->moved_reported && endpoint_equal(remote, &sa->moved_to) &&
	    now - sa->moved_reported < MOVED_INTERVAL)
		return;
	sa->moved_to = *remote;
	sa->moved_reported = now;
	note(f, sa, DUE_PEER_MOVED);
}

/* RFC 4303 3.4.4.1, RFC 4301 5.2: what came out of the ESP packet goes to the device. */
static void deliver(struct forward *f, struct sa *sa, uint64_t seq, const struct endpoint *remote,
		    const struct esp_payload *payload, mono_time now)
{
	uint32_t spi = sa->child.spi_in;
	enum inner_error e;
	struct inner inner;

	if (payload->next_header == ESP_NEXT_DUMMY) /* RFC 4303 2.6: dropped without notice */
		return;
	if (payload->next_header != ESP_NEXT_IPV4 && payload->next_header != ESP_NEXT_IPV6) {
		drop_in(f, DROP_MALFORMED, sa, spi, seq, remote, "next header is not IP", now);
		return;
	}
	e = inner_parse(span_of(payload->data, payload->len), &inner);
	if (e == INNER_OK &&
	    (inner.src.family == AF_INET) != (payload->next_header == ESP_NEXT_IPV4))
		e = INNER_VERSION;
	if (e != INNER_OK) {
		drop_in(f, DROP_MALFORMED, sa, spi, seq, remote, inner_strerror(e), now);
		return;
	}
	if (!sa_accepts(sa, &inner)) {
		drop_in(f, DROP_SELECTOR_IN, sa, spi, seq, remote,
			"outside the CHILD_SA's traffic selectors", now);
		return;
	}
	if (!f->deliver(sa->tunnel, payload->data, inner.len))
		f->drops[DROP_DEVICE]++;
}

/* A peer whose SAs we have forgotten sends thousands of them. */
static void unknown(struct forward *f, const struct endpoint *local, const struct endpoint *remote,
		    uint32_t spi, mono_time now)
{
	const struct dataplane_event event = {
		.kind = DATAPLANE_ESP_UNKNOWN, .local = *local, .remote = *remote, .spi = spi};
	uint32_t h = 0;
	mono_time *told;

	for (size_t i = 0; i < addr_size(remote->addr.family); i++)
		h = (h ^ remote->addr.bytes[i]) * 0x01000193u;
	told = &f->unknown_told[(h ^ h >> 16) % FORWARD_SENDERS];
	if (*told && now - *told < UNKNOWN_INTERVAL)
		return;
	*told = now;
	f->host.event(f->host.ctx, &event);
}

static void drop_unknown(struct forward *f, const struct endpoint *local,
			 const struct endpoint *remote, const uint8_t *packet, mono_time now)
{
	uint32_t spi = be32_get(packet);

	drop_in(f, DROP_UNKNOWN_SPI, NULL, spi, be32_get(packet + 4), remote, "no such SPI", now);
	unknown(f, local, remote, spi, now);
}

/* RFC 4303 3.4.3, 3.4.4: window, ICV, window again, in this order. An inbound SA is its SPI (RFC
 * 4301 4.1: enough for unicast). */
static void input(struct forward *f, const struct endpoint *local, const struct endpoint *remote,
		  uint8_t *packet, size_t len, mono_time now)
{
	uint32_t spi = be32_get(packet), low = be32_get(packet + 4);
	struct sa *sa = sadb_by_spi(&f->sadb, spi);
	struct esp_payload payload;
	enum esp_error e;
	uint64_t seq;
	bool newer;

	if (!sa) {
		if (!held_add(&f->held, local, remote, packet, len, now))
			drop_unknown(f, local, remote, packet, now);
		return;
	}
	seq = replay_infer(&sa->live->replay, low);
	if (!replay_check(&sa->live->replay, seq)) {
		sa->live->stats.drop_replay++;
		drop_in(f, DROP_REPLAY, sa, spi, low, remote, "seen before, or too old", now);
		return;
	}
	if (sa->expired_in) {
		drop_in(f, DROP_EXPIRED, sa, spi, seq, remote, "the SA has reached its limit", now);
		return;
	}
	e = esp_open(&sa->in, seq, packet, len, &payload);
	if (e == ESP_ICV) {
		sa->live->stats.drop_icv++;
		drop_in(f, DROP_ICV, sa, spi, seq, remote, esp_strerror(e), now);
		return;
	}
	if (e == ESP_TRUNCATED || e == ESP_UNALIGNED) {
		drop_in(f, DROP_MALFORMED, sa, spi, seq, remote, esp_strerror(e), now);
		return;
	}
	newer = seq > sa->live->replay.top;
	replay_commit(&sa->live->replay, seq);
	heard_from(f, sa, remote, newer, now);
	sa->live->stats.packets_in++;
	sa->live->stats.bytes_in += e == ESP_OK ? payload.len : 0;
	forward_check_limits(f, sa);
	if (e != ESP_OK)
		drop_in(f, DROP_MALFORMED, sa, spi, seq, remote, esp_strerror(e), now);
	else
		deliver(f, sa, seq, remote, &payload, now);
}

void forward_input(struct forward *f, const struct endpoint *local, const struct endpoint *remote,
		   uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now)
{
	(void)tos;
	do {
		size_t n = len < size ? len : size;

		if (n < ESP_HEADER_LEN)
			drop_in(f, DROP_MALFORMED, NULL, 0, 0, remote, "shorter than an ESP header",
				now);
		else
			input(f, local, remote, packets, n, now);
		packets += n;
		len -= n;
	} while (len);
}

/* ---- packets before their SA ---- */

void forward_ike_passed(struct forward *f, const struct endpoint *remote, mono_time now)
{
	held_ike(&f->held, remote, now);
}

void forward_pass_held(struct forward *f, uint32_t spi, mono_time now)
{
	struct held_packet *k;

	if (!sadb_by_spi(&f->sadb, spi))
		return;
	while ((k = held_take(&f->held, spi, now))) {
		f->drops[ESP_HELD]++;
		input(f, &k->local, &k->remote, k->bytes, k->len, now);
		free(k);
	}
}

mono_time forward_drop_held(struct forward *f, mono_time now)
{
	struct held_packet *k;

	while ((k = held_expired(&f->held, now))) {
		drop_unknown(f, &k->local, &k->remote, k->bytes, now);
		free(k);
	}
	return held_due(&f->held);
}

/* ---- reports ---- */

void forward_tick(struct forward *f, mono_time now)
{
	struct sa *sa, *next;

	forward_drop_held(f, now);
	HASH_ITER (by_id, f->sadb.by_id, sa, next) {
		if (!sa->heard || (sa->alive_reported && now - sa->alive_reported < ALIVE_INTERVAL))
			continue;
		sa->heard = false;
		sa->alive_reported = now;
		note(f, sa, DUE_ALIVE);
	}
	forward_report(f, now);
}

/* For the next process: it tells no more of it. Not before it was told, for who is killed
 * between tells it twice, not never. */
static void note_told(struct forward *f, uint64_t child, enum sa_due what)
{
	struct sa *sa = sadb_by_id(&f->sadb, child);

	if (!sa)
		return;
	if (what == DUE_SOFT)
		sa->live->soft_reported = 1;
	else if (what == DUE_HARD)
		sa->live->hard_reported = 1;
	else if (what == DUE_USED_NEW)
		sa->live->used_reported = 1;
}

static void tell(struct forward *f, struct sa *sa, enum sa_due what)
{
	static const enum dataplane_event_kind kinds[DUE_KINDS] = {
		[DUE_SOFT] = DATAPLANE_CHILD_SOFT_EXPIRE,
		[DUE_HARD] = DATAPLANE_CHILD_HARD_EXPIRE,
		[DUE_USED_NEW] = DATAPLANE_CHILD_USED_NEW,
		[DUE_PEER_MOVED] = DATAPLANE_CHILD_PEER_MOVED,
		[DUE_ALIVE] = DATAPLANE_CHILD_ALIVE,
	};
	struct dataplane_event event = {
		.kind = kinds[what],
		.child = sa->child.id,
		.tunnel = sa->child.tunnel,
	};

	if (what == DUE_PEER_MOVED)
		event.remote = sa->moved_to;
	f->host.event(f->host.ctx, &event);
	note_told(f, event.child, what);
}

static void tell_acquire(struct forward *f, struct forward_tunnel *t, mono_time now)
{
	struct dataplane_event event = {.kind = DATAPLANE_ACQUIRE, .tunnel = t->id};

	/* The event may remove the tunnel: it is taken off the list first. */
	DL_DELETE2(f->acquires, t, acquire_prev, acquire_next);
	t->acquire_due = false;
	t->acquired = now;
	f->host.event(f->host.ctx, &event);
}

void forward_report(struct forward *f, mono_time now)
{
	while (f->due) {
		struct sa *sa = f->due;
		enum sa_due what = (enum sa_due)__builtin_ctz(sa->due);

		/* The event may free the SA: it is taken off the list first. */
		sa->due &= ~(1u << what);
		if (!sa->due)
			DL_DELETE2(f->due, sa, due_prev, due_next);
		tell(f, sa, what);
	}
	while (f->acquires)
		tell_acquire(f, f->acquires, now);
}
