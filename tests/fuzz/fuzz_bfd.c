/* Fuzzes BFD with datagrams and time: two sessions, each packet at a time that the input
 * chooses; invariants after every step. Input: {delay in ms, kind, 24..40 bytes}. */
#include "routed-bridge/bfd_table.h"

#include <stdlib.h>

#define STEP (2 + BFD_PACKET_SIZE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct bfd_table *t, mono_time now)
{
	uint32_t up = 0, n = 0;

	for (struct bfd_peer *p = bfd_table_first(t); p; p = bfd_table_next(p)) {
		const struct bfd_session *s = &p->session;

		n++;
		up += s->state == BFD_UP;
		if (s->state == BFD_UP && s->remote_discriminator == 0)
			abort();
		if (s->state != BFD_UP && (s->polling || s->tx < BFD_SLOW_TX))
			abort();
		if (s->detect_at != MONO_NEVER && s->detect_at <= now)
			abort();
	}
	if (bfd_table_stats(t)->up != up || bfd_table_stats(t)->sessions != n)
		abort();
}

static void drive(struct bfd_table *t, mono_time now)
{
	uint8_t memory[BFD_PACKET_SIZE];
	struct bfd_packet packet;

	bfd_table_expire(t, 0, NULL, NULL, now);
	for (unsigned i = 0;; i++) {
		struct buf b = buf_over(memory, sizeof(memory));

		if (!bfd_table_send(t, &b, now))
			break;
		if (i > 16 || bfd_packet_parse(buf_span(&b), &packet, NULL) > BFD_TAKEN ||
		    (packet.poll && packet.final))
			abort();
	}
	while (bfd_table_changed(t))
		;
	check(t, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bfddp_session s = {.discriminator = 1, .min_tx = 10000, .min_rx = 10000};
	struct bfd_table *t = bfd_table_new(1);
	struct bfd_arrival a = {.ifname = "", .ttl = BFD_TTL};
	mono_time now = MONO_S;
	struct bfd_peer *p;

	s.multiplier = 3;
	addr_parse("10.0.0.0", &s.local);
	for (; s.discriminator <= 2; s.discriminator++) {
		addr_parse(s.discriminator == 1 ? "10.0.0.1" : "10.0.0.2", &s.peer);
		if (bfd_table_put(t, &s, 1, now, &p) != BFD_PUT_NEW)
			abort();
	}
	for (; size >= STEP; data += STEP, size -= STEP) {
		now += data[0] * MONO_MS;
		addr_parse(data[1] & 1 ? "10.0.0.1" : "10.0.0.2", &a.from);
		a.to = s.local;
		a.payload = span_of(data + 2, BFD_PACKET_SIZE);
		drive(t, now);
		bfd_table_receive(t, &a, now);
		drive(t, now);
	}
	bfd_table_free(t);
	return 0;
}
