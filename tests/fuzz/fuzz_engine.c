/* Feeds an established engine with what a peer might send: steps of
 *	op, length, bytes
 * where op chooses between a raw datagram, a protected message of any exchange type and
 * payload chain (an authenticated but hostile peer), a command of ours and time. Whatever
 * comes, the data plane's books stay right and shutdown ends in time. */
#include "tests/sim/sim_parts.h"
#include "tests/support/crypto_null.h"
#include "ipsecd/ike/exchange.h"

#include <stdlib.h>

static void inject(struct sim *s, struct span datagram)
{
	struct ike_path path = {.local = {sim_addr(1, 0), 500}, .remote = {sim_addr(0, 0), 500}};

	ike_engine_datagram(s->nodes[1].engine, &path, datagram, s->now);
	sim_drain(s, 1);
}

/* As node 0 would send it, with its keys and its next message ID, or 0. */
static void inject_protected(struct sim *s, uint8_t choice, struct reader *r)
{
	struct ike_engine *e = s->nodes[0].engine;
	struct ike_sa *sa = e->sas;
	uint8_t memory[4096];
	bool response = choice & 0x80, zero = choice & 0x40; /* RFC 6311: message ID 0 */
	uint32_t id = 0;
	struct wire_writer w;
	struct span datagram;

	if (!sa || !sa->keys)
		return;
	if (!zero)
		id = response ? sa->rx.next_id : sa->tx.next_id;
	exchange_begin(e, sa, &w, memory, sizeof(memory), (uint8_t)(34 + choice % 5), id, response);
	buf_set_u8(&w.buf, w.next_at, reader_u8(r));
	buf_put_span(&w.buf, reader_rest(r));
	if (!exchange_seal(e, sa, &w, &datagram))
		return;
	if (!response && !zero)
		sa->tx.next_id++;
	inject(s, datagram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_over(span_of(data, size));
	static const struct ike_settings settings = {.skips_numbers = true};
	struct sim *s = sim_new(1, 2, &crypto_null, &settings);

	sim_pair(s, 1);
	sim_run(s, MONO_S);
	s->windows_unchecked = true;
	while (reader_left(&in)) {
		uint8_t op = reader_u8(&in), choice = reader_u8(&in);
		struct reader r = reader_over(reader_take(&in, reader_u8(&in)));

		switch (op & 3) {
		case 0:
			inject(s, reader_rest(&r));
			break;
		case 1:
			inject_protected(s, choice, &r);
			break;
		case 2:
			sim_command(s, 1,
				    (enum ike_command_kind)(IKE_COMMAND_INITIATE + choice % 4),
				    "to0-0", choice & 4 ? "net" : NULL);
			break;
		case 3:
			sim_run(s, choice * 20 * MONO_MS);
			break;
		}
		if (op & 4)
			sim_idle(s, 1);
	}
	sim_command(s, 1, IKE_COMMAND_SHUTDOWN, NULL, NULL);
	sim_run(s, 60 * MONO_S);
	if (s->violation[0] || s->nodes[1].plane || !s->nodes[1].events[IKE_EVENT_SHUTDOWN_DONE])
		abort();
	sim_free(s);
	return 0;
}
