/* Payloads into inner packets: owns their order (RFC 9347 2.2.3) and the packet that is not whole
 * yet. What comes is authentic, but believed no further than it shows: a peer can make us keep one
 * packet and HELD_BYTES of payloads, for drop_time. */
#include "ipsecd/dataplane/aggfrag.h"

#include "lib/buf.h"

#include <stdlib.h>

#define HELD_BYTES ((size_t)256 << 10)
#define GAP_MAX	   65536
#define IPV4_MIN   20
#define IPV6_MIN   40

enum { SUB_TYPE_PLAIN, SUB_TYPE_CC };

struct out {
	aggfrag_out *call;
	void *ctx;
	bool stays;
};

void aggfrag_open_init(struct aggfrag_open *o, unsigned window, mono_time drop_time)
{
	*o = (struct aggfrag_open){.window = window ? window : AGGFRAG_WINDOW_DEFAULT,
				   .drop_time = drop_time};
	if (o->window > AGGFRAG_WINDOW_MAX)
		o->window = AGGFRAG_WINDOW_MAX;
}

void aggfrag_open_free(struct aggfrag_open *o)
{
	for (unsigned i = 0; i < o->n_held; i++)
		free(o->held[i].bytes);
	free(o->held);
	free(o->part);
	o->held = NULL;
	o->part = NULL;
	o->n_held = 0;
	o->held_bytes = o->part_room = o->have = o->need = 0;
}

/* ---- the packet that is not whole ---- */

static void part_lost(struct aggfrag_open *o)
{
	if (o->need)
		o->counts[AGGFRAG_FRAGMENTS]++;
	o->have = o->need = 0;
}

/* Of a packet of `need` bytes. */
static bool part_add(struct aggfrag_open *o, const uint8_t *data, size_t n, size_t need)
{
	uint8_t *bytes = o->part;

	if (need > o->part_room) {
		bytes = realloc(o->part, need);
		if (!bytes) {
			o->need = need;
			part_lost(o);
			return false;
		}
		o->part = bytes;
		o->part_room = need;
	}
	memcpy(o->part + o->have, data, n);
	o->have += n;
	o->need = need;
	return true;
}

/* Numbers that a restarted sender passed over are none that were lost. */
static void gap(struct aggfrag_open *o, uint64_t n)
{
	if (n <= GAP_MAX)
		o->counts[AGGFRAG_LOST] += n;
	part_lost(o);
}

/* ---- one payload ---- */

/* Length of the packet that begins here. 0: what it is can't be; SIZE_MAX: its length is not here.
 */
static size_t block_len(const uint8_t *p, size_t n)
{
	size_t len;

	switch (p[0] >> 4) {
	case 4:
		len = n >= 4 ? be16_get(p + 2) : SIZE_MAX;
		return len >= IPV4_MIN ? len : 0;
	case 6:
		return n >= 6 ? (size_t)be16_get(p + 4) + IPV6_MIN : SIZE_MAX;
	default:
		return 0;
	}
}

/* Those behind the one that came in parts; the last one may be the beginning of the next. */
static void take_blocks(struct aggfrag_open *o, uint8_t *p, size_t n, bool keep,
			const struct out *out)
{
	while (n && p[0] >> 4 != 0) {
		size_t len = block_len(p, n);

		if (!len) {
			o->counts[AGGFRAG_MALFORMED]++;
			return;
		}
		if (len > n) {
			if (keep) /* the next payload's BlockOffset says how much is to come */
				part_add(o, p, n, len == SIZE_MAX ? n + 1 : len);
			return;
		}
		out->call(out->ctx, p, len, out->stays);
		p += len;
		n -= len;
	}
}

/* `offset` more bytes make it whole. The length is in its own header, and where that was cut, in
 * what the first BlockOffset says. */
static bool continues(struct aggfrag_open *o, size_t offset)
{
	size_t len = block_len(o->part, o->have), whole = o->have + offset;

	if (!offset || whole > AGGFRAG_PACKET_MAX + IPV6_MIN || (len != SIZE_MAX && len != whole))
		return false;
	o->need = whole;
	return true;
}

static void part_whole(struct aggfrag_open *o, const struct out *out)
{
	size_t len = block_len(o->part, o->have);

	if (len != o->need) {
		o->counts[AGGFRAG_MALFORMED]++;
		part_lost(o);
		return;
	}
	out->call(out->ctx, o->part, len, false);
	o->have = o->need = 0;
}

/* RFC 9347 2.2.3: the end of the packet that earlier payloads began. */
static void take_part(struct aggfrag_open *o, const uint8_t *p, size_t n, size_t offset,
		      const struct out *out)
{
	size_t more = offset < n ? offset : n;

	if (!o->need)
		return;
	if (!continues(o, offset)) {
		part_lost(o);
		return;
	}
	if (part_add(o, p, more, o->need) && o->have == o->need)
		part_whole(o, out);
}

/* RFC 9347 6.1.1, 6.1.2: Reserved is ignored, and so is what a sender with congestion control
 * tells: we ask for none. 0: neither. */
static size_t header_len(const uint8_t *payload, size_t len)
{
	size_t n = len < AGGFRAG_HEADER_LEN	  ? 0
		   : payload[0] == SUB_TYPE_PLAIN ? AGGFRAG_HEADER_LEN
		   : payload[0] == SUB_TYPE_CC	  ? AGGFRAG_CC_HEADER_LEN
						  : 0;

	return n <= len ? n : 0;
}

/* `late`: its neighbours were given up. */
static void take(struct aggfrag_open *o, uint8_t *payload, size_t len, bool late,
		 const struct out *out)
{
	size_t head = header_len(payload, len), n = len - head, offset;
	uint8_t *p = payload + head;

	if (!head) {
		o->counts[AGGFRAG_MALFORMED]++;
		return;
	}
	offset = be16_get(payload + 2);
	/* RFC 9347 2.2.3: nothing but padding may come amid a packet; 2.2.4: or nothing at all. */
	if (n == 0 || (offset == 0 && p[0] >> 4 == 0))
		return;
	if (!late)
		take_part(o, p, n, offset, out);
	if (offset < n)
		take_blocks(o, p + offset, n - offset, !late, out);
}

/* ---- their order ---- */

static void take_next(struct aggfrag_open *o, uint64_t seq, uint8_t *payload, size_t len,
		      const struct out *out)
{
	if (seq != o->next)
		gap(o, seq - o->next);
	take(o, payload, len, false, out);
	o->next = seq + 1;
}

static void take_held(struct aggfrag_open *o, const struct out *out)
{
	const struct out copied = {.call = out->call, .ctx = out->ctx};
	struct aggfrag_held first = o->held[0];

	o->n_held--;
	o->held_bytes -= first.len;
	memmove(o->held, o->held + 1, o->n_held * sizeof(o->held[0]));
	take_next(o, first.seq, first.bytes, first.len, &copied);
	free(first.bytes);
}

/* Those that are next; with `limit`, also those before it, whatever is missing. */
static void take_ready(struct aggfrag_open *o, uint64_t limit, const struct out *out, mono_time now)
{
	uint64_t was = o->next;

	while (o->n_held && (o->held[0].seq == o->next || o->held[0].seq < limit))
		take_held(o, out);
	if (o->next < limit) {
		gap(o, limit - o->next);
		o->next = limit;
		while (o->n_held && o->held[0].seq == o->next)
			take_held(o, out);
	}
	if (o->next != was)
		o->since = now;
}

static void hold(struct aggfrag_open *o, uint64_t seq, const uint8_t *payload, size_t len,
		 mono_time now)
{
	unsigned at = o->n_held;
	uint8_t *bytes;

	if (!o->held)
		o->held = calloc(o->window + 1, sizeof(o->held[0]));
	while (at && o->held && o->held[at - 1].seq > seq)
		at--;
	if (!o->held || o->n_held > o->window || (at && o->held[at - 1].seq == seq))
		return;
	bytes = malloc(len ? len : 1);
	if (!bytes)
		return;
	memcpy(bytes, payload, len);
	memmove(o->held + at + 1, o->held + at, (o->n_held - at) * sizeof(o->held[0]));
	o->held[at] = (struct aggfrag_held){.seq = seq, .bytes = bytes, .len = len};
	if (!o->n_held)
		o->since = now;
	o->n_held++;
	o->held_bytes += len;
}

void aggfrag_open_input(struct aggfrag_open *o, uint64_t seq, uint8_t *payload, size_t len,
			mono_time now, aggfrag_out *call, void *ctx)
{
	const struct out out = {.call = call, .ctx = ctx, .stays = true};

	if (!o->next)
		o->next = seq;
	if (seq >= o->next && (o->held_bytes + len > HELD_BYTES || seq - o->next > GAP_MAX))
		take_ready(o, seq, &out, now);
	if (seq >= o->next && seq - o->next > o->window)
		take_ready(o, seq - o->window, &out, now);
	/* Given up; or, without a replay window, held already and just taken. */
	if (seq < o->next) {
		o->counts[AGGFRAG_LATE]++;
		take(o, payload, len, true, &out);
		return;
	}
	if (seq != o->next) {
		hold(o, seq, payload, len, now);
		return;
	}
	take_next(o, seq, payload, len, &out);
	take_ready(o, 0, &out, now);
	o->since = now;
}

mono_time aggfrag_open_due(const struct aggfrag_open *o)
{
	return o->n_held ? o->since + o->drop_time : MONO_NEVER;
}

mono_time aggfrag_open_expire(struct aggfrag_open *o, mono_time now, aggfrag_out *call, void *ctx)
{
	const struct out out = {.call = call, .ctx = ctx};

	while (o->n_held && aggfrag_open_due(o) <= now)
		take_ready(o, o->held[0].seq, &out, now);
	return aggfrag_open_due(o);
}
