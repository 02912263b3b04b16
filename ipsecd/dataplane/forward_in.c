/* From the network to the device: RFC 4301 5.2, RFC 4303 3.4. Owns the order of the checks; what
 * passes them is gathered (coalesce.h) where it was opened, until forward_flush. */
#include "ipsecd/dataplane/forward_aggfrag.h"

#include "ipsecd/dataplane/outer.h"
#include "lib/buf.h"

#include <stdlib.h>

#define MOVED_INTERVAL	 MONO_S
#define UNKNOWN_INTERVAL (200 * MONO_MS)

/* Counts, and says so in at most five lines a second of a lane: what comes in may be hostile. */
static void drop_in(struct lane *l, enum dataplane_counter c, const struct sa *sa, uint32_t spi,
		    uint64_t seq, const struct endpoint *remote, const char *why, mono_time now)
{
	const struct log_sink *log = l->log;
	char from[ENDPOINT_TEXT];

	l->drops[c]++;
	if (!log || log->level < LOG_LEVEL_INFO || !log_limit_pass(&l->drop_log, now))
		return;
	log_to(log, LOG_LEVEL_INFO, "esp", sa ? sa->tunnel->name : "",
	       "%s: packet from %s, SPI 0x%08x, sequence number %llu: %s",
	       dataplane_counter_name(c), endpoint_format(remote, from), spi,
	       (unsigned long long)seq, why);
}

/* An authenticated packet inside the window; `newer`: higher than any before. */
static void heard_from(struct lane *l, struct sa *sa, const struct endpoint *remote, bool newer,
		       mono_time now)
{
	SA_SET(sa->heard, true);
	SA_SET(sa->live->stats.last_in, now);
	if (!sa->child.outbound && !sa->used_reported) {
		sa->used_reported = true;
		forward_note(l, sa, DUE_USED_NEW);
	}
	/* RFC 7296 2.23: only a packet that is new and authentic may move the peer. Bare ESP has
	 * no port to move to; a peer may send it, or ESP in UDP, as it likes. */
	if (!newer || !remote->port || !sa->child.udp_encap ||
	    endpoint_equal(remote, &sa->child.remote))
		return;
	if (sa->moved_reported && endpoint_equal(remote, &sa->moved_to) &&
	    now - sa->moved_reported < MOVED_INTERVAL)
		return;
	sa->moved_to = *remote;
	sa->moved_reported = now;
	forward_note(l, sa, DUE_PEER_MOVED);
}

static bool accepts(struct lane *l, struct sa *sa, struct span packet, const struct inner *inner)
{
	uint64_t generation = sadb_generation(&l->forward->sadb);
	struct match_flow *flow = match_find(&l->match_in, sa, inner);
	struct inner answered;

	if (match_found(flow, generation, sa, inner))
		return true;
	if (!sa_accepts(sa, inner)) /* RFC 4301 6.2: a router's ICMP message about one of ours */
		return inner_answers(packet, inner, &answered) && sa_accepts(sa, &answered);
	match_keep(flow, generation, sa, inner, sa);
	return true;
}

static void refuse(struct lane *l, enum dataplane_counter c, const struct sa *sa,
		   const struct forward_origin *at, const char *why, mono_time now)
{
	drop_in(l, c, sa, sa->child.spi_in, at->seq, at->remote, why, now);
}

static inline void deliver_inner(struct lane *l, struct sa *sa, const struct forward_origin *at,
				 uint8_t *packet, size_t len, mono_time now)
{
	enum inner_error e;
	struct inner inner;

	e = inner_parse(span_of(packet, len), &inner);
	if (e != INNER_OK) {
		refuse(l, DROP_MALFORMED, sa, at, inner_strerror(e), now);
		return;
	}
	lane_count(l, &sa->live->stats.bytes_in, inner.len);
	if (!accepts(l, sa, span_of(packet, inner.len), &inner)) {
		refuse(l, DROP_SELECTOR_IN, sa, at,
		       inner.opaque ? "outside the CHILD_SA's traffic selectors, or a fragment "
				      "that shows no ports"
				    : "outside the CHILD_SA's traffic selectors",
		       now);
		return;
	}
	if (!sa->aggfrag && !outer_take(&sa->child.flags, at->tos, packet)) {
		refuse(l, DROP_ECN, sa, at,
		       "the network marked congestion on a packet that is not for ECN", now);
		return;
	}
	coalesce_add(&l->up, sa->tunnel, sa->tunnel->may_join, packet, inner.len);
}

void forward_inner(struct lane *l, struct sa *sa, const struct forward_origin *at, uint8_t *packet,
		   size_t len, mono_time now)
{
	deliver_inner(l, sa, at, packet, len, now);
}

static bool is_ip(const struct esp_payload *payload)
{
	return payload->next_header == ESP_NEXT_IPV4 || payload->next_header == ESP_NEXT_IPV6;
}

/* RFC 4303 3.4.4.1, RFC 4301 5.2: what came out of the ESP packet goes to the device. */
static void deliver(struct lane *l, struct sa *sa, const struct forward_origin *at,
		    const struct esp_payload *payload, mono_time now)
{
	bool ipv4 = payload->next_header == ESP_NEXT_IPV4;

	if (sa->aggfrag)
		forward_aggfrag_input(l, sa, at, payload, now);
	else if (payload->next_header == ESP_NEXT_DUMMY) /* RFC 4303 2.6: dropped without notice */
		return;
	else if (!is_ip(payload))
		refuse(l, DROP_MALFORMED, sa, at, "next header is not IP", now);
	else if (payload->len && payload->data[0] >> 4 != (ipv4 ? 4 : 6))
		refuse(l, DROP_MALFORMED, sa, at, inner_strerror(INNER_VERSION), now);
	else
		deliver_inner(l, sa, at, payload->data, payload->len, now);
}

/* A peer whose SAs we have forgotten sends thousands of them. */
static void unknown(struct lane *l, const struct endpoint *local, const struct endpoint *remote,
		    uint32_t spi, mono_time now)
{
	const struct dataplane_event event = {
		.kind = DATAPLANE_ESP_UNKNOWN, .local = *local, .remote = *remote, .spi = spi};
	const struct dataplane_host *host = &l->forward->host;
	uint32_t h = addr_hash(&remote->addr, sizeof(remote->addr.bytes), 0);
	mono_time *told = &l->unknown_told[h % LANE_SENDERS];

	if (*told && now - *told < UNKNOWN_INTERVAL)
		return;
	*told = now;
	coalesce_flush(&l->up); /* the listener may remove tunnels */
	host->event(host->ctx, &event);
}

/* Counted and told by the first lane, which may keep it first. */
static void drop_unknown(struct lane *l, const struct endpoint *local,
			 const struct endpoint *remote, const uint8_t *packet, mono_time now)
{
	uint32_t spi = be32_get(packet);

	drop_in(l, DROP_UNKNOWN_SPI, NULL, spi, be32_get(packet + 4), remote, "no such SPI", now);
	unknown(l, local, remote, spi, now);
}

static void no_sa(struct lane *l, const struct endpoint *local, const struct endpoint *remote,
		  uint8_t tos, const uint8_t *packet, size_t len, mono_time now)
{
	struct forward *f = l->forward;

	if (l->number)
		l->drops[DROP_UNKNOWN_SPI] += !f->threads.pass(f, local, remote, tos, packet, len);
	else if (!held_add(&f->held, local, remote, tos, packet, len, now))
		drop_unknown(l, local, remote, packet, now);
}

static void drop_replay(struct lane *l, struct sa *sa, uint32_t low, const struct endpoint *remote,
			mono_time now)
{
	lane_count(l, &sa->live->stats.drop_replay, 1);
	drop_in(l, DROP_REPLAY, sa, sa->child.spi_in, low, remote, "seen before, or too old", now);
}

/* Its whole sequence number, and whether it may still be accepted. */
static bool in_window(struct lane *l, const struct sa *sa, uint32_t low, uint64_t *seq)
{
	const struct replay *r = &sa->live->replay;
	bool good;

	forward_window_lock(l, sa);
	*seq = replay_infer(r, low);
	good = replay_check(r, *seq);
	forward_window_unlock(l, sa);
	return good;
}

/* It is authentic. Another lane may have had the same one meanwhile. */
static bool take_number(struct lane *l, struct sa *sa, uint64_t seq, const struct endpoint *remote,
			mono_time now)
{
	struct replay *r = &sa->live->replay;
	bool good, newer;

	forward_window_lock(l, sa);
	good = !l->shared || replay_check(r, seq);
	if (good) {
		newer = seq > r->top;
		replay_commit(r, seq);
		heard_from(l, sa, remote, newer, now);
	}
	forward_window_unlock(l, sa);
	return good;
}

/* RFC 4303 3.4.3, 3.4.4: window, ICV, window again, in this order. An inbound SA is its SPI (RFC
 * 4301 4.1: enough for unicast). */
static void input(struct lane *l, const struct endpoint *local, const struct endpoint *remote,
		  uint8_t tos, uint8_t *packet, size_t len, mono_time now)
{
	uint32_t spi = be32_get(packet), low = be32_get(packet + 4);
	struct sa *sa = sadb_by_spi(&l->forward->sadb, spi);
	struct esp_payload payload;
	enum esp_error e;
	uint64_t seq;

	if (!sa) {
		no_sa(l, local, remote, tos, packet, len, now);
		return;
	}
	if (!in_window(l, sa, low, &seq)) {
		drop_replay(l, sa, low, remote, now);
		return;
	}
	if (SA_GET(sa->expired_in)) {
		drop_in(l, DROP_EXPIRED, sa, spi, seq, remote, "the SA has reached its limit", now);
		return;
	}
	e = esp_open(&sa->in, l->number, seq, packet, len, &payload);
	if (e == ESP_ICV) {
		lane_count(l, &sa->live->stats.drop_icv, 1);
		drop_in(l, DROP_ICV, sa, spi, seq, remote, esp_strerror(e), now);
		return;
	}
	if (e == ESP_CIPHER) { /* it can't be verified */
		drop_in(l, DROP_ICV, sa, spi, seq, remote, esp_strerror(e), now);
		return;
	}
	if (e == ESP_TRUNCATED || e == ESP_UNALIGNED) {
		drop_in(l, DROP_MALFORMED, sa, spi, seq, remote, esp_strerror(e), now);
		return;
	}
	if (!take_number(l, sa, seq, remote, now)) {
		drop_replay(l, sa, low, remote, now);
		return;
	}
	lane_count(l, &sa->live->stats.packets_in, 1);
	lane_count(l, &sa->live->ciphered_in, esp_ciphered(&sa->in, len));
	forward_check_limits(l, sa);
	if (e != ESP_OK)
		drop_in(l, DROP_MALFORMED, sa, spi, seq, remote, esp_strerror(e), now);
	else
		deliver(l, sa, &(struct forward_origin){.remote = remote, .seq = seq, .tos = tos},
			&payload, now);
}

void forward_input(struct lane *l, const struct endpoint *local, const struct endpoint *remote,
		   uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now)
{
	do {
		size_t n = len < size ? len : size;

		if (n < ESP_HEADER_LEN)
			drop_in(l, DROP_MALFORMED, NULL, 0, 0, remote, "shorter than an ESP header",
				now);
		else
			input(l, local, remote, tos, packets, n, now);
		packets += n;
		len -= n;
	} while (len);
}

/* ---- packets before their SA ---- */

void forward_ike_passed(struct forward *f, const struct endpoint *remote, mono_time now)
{
	const struct endpoint bare = {.addr = remote->addr};

	held_ike(&f->held, remote, now);
	held_ike(&f->held, &bare, now);
}

void forward_pass_held(struct forward *f, uint32_t spi, mono_time now)
{
	struct lane *l = &f->lane;
	struct held_packet *k;

	if (!sadb_by_spi(&f->sadb, spi))
		return;
	while ((k = held_take(&f->held, spi, now))) {
		l->drops[ESP_HELD]++;
		input(l, &k->local, &k->remote, k->tos, k->bytes, k->len, now);
		coalesce_flush(&l->up);
		free(k);
	}
}

mono_time forward_drop_held(struct forward *f, mono_time now)
{
	struct held_packet *k;

	while ((k = held_expired(&f->held, now))) {
		drop_unknown(&f->lane, &k->local, &k->remote, k->bytes, now);
		free(k);
	}
	return held_due(&f->held);
}

/* ---- up ---- */

void forward_deliver(void *ctx, void *owner, const struct iovec *iov, size_t n)
{
	struct lane *l = ctx;

	if (!l->forward->deliver(owner, iov, n))
		l->drops[DROP_DEVICE] += n - 1; /* the vnet header, and one for each packet */
}
