/* Feeds the IKEv2 codec. First byte 0: a datagram follows (header and outer chain);
 * else it is the type of the first payload of a decrypted chain. What is accepted must
 * lie inside the input and be accepted again when encoded anew. */
#include "tests/support/wire_echo.h"

#include <stdlib.h>

static unsigned touch(struct span s)
{
	unsigned sum = 0;

	for (size_t i = 0; i < s.len; i++)
		sum += s.ptr[i];
	return sum;
}

/* What is read as data of RFC 6311 has to be as long as it says. */
static unsigned synchronisation(const struct wire_notify *n)
{
	struct wire_message_ids ids;
	uint64_t delta;
	bool esn;

	if (wire_read_message_ids(n, &ids) && n->data.len != 12)
		abort();
	if (wire_read_replay_delta(n, &delta, &esn) && n->data.len != (esn ? 8 : 4))
		abort();
	return 0;
}

static bool readable(const struct wire_message *m)
{
	unsigned sum = touch(m->ke.data) + touch(m->nonce) + touch(m->idi.body) +
		       touch(m->idr.body) + touch(m->auth.data) + touch(m->sk) + touch(m->eap);

	for (unsigned i = 0; i < m->cp.n; i++)
		sum += touch(m->cp.attributes[i].value);
	for (unsigned i = 0; i < m->n_notifies; i++)
		sum += touch(m->notifies[i].spi) + touch(m->notifies[i].data) +
		       synchronisation(&m->notifies[i]);
	for (unsigned i = 0; i < m->n_deletes; i++)
		sum += touch(m->deletes[i].spis);
	for (unsigned i = 0; i < m->sa.n; i++)
		sum += touch(m->sa_spis[i]);
	return sum != UINT32_MAX;
}

/* Not what the encoder can write: no selector left, SPIs that differ, SKF. */
static bool sendable(const struct wire_message *m)
{
	for (unsigned i = 1; i < m->sa.n; i++) {
		if (!span_equal(m->sa_spis[0], m->sa_spis[i]))
			return false;
	}
	return !(m->tsi_skipped && m->tsi.n == 0) && !(m->tsr_skipped && m->tsr.n == 0) &&
	       !(m->present & WIRE_BIT(PAYLOAD_SKF));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire_message m, again;
	static uint8_t memory[2 * WIRE_MESSAGE_MAX];
	struct span in = span_of(data + 1, size ? size - 1 : 0);
	struct wire_header h = {.exchange = EXCHANGE_INFORMATIONAL};
	struct wire_writer w;
	struct span out;

	if (!size || (data[0] == 0 && wire_parse_header(in, &h).error))
		return 0;
	if (data[0] == 0)
		in = span_of(in.ptr + WIRE_HEADER_LEN, in.len - WIRE_HEADER_LEN);
	else
		h.next_payload = data[0];
	if (wire_parse_payloads(h.next_payload, in, &m).error || !readable(&m) || !sendable(&m))
		return 0;
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_echo(&w, h.next_payload, in, &m);
	out = wire_end(&w);
	if (out.len < WIRE_HEADER_LEN || wire_parse_header(out, &h).error ||
	    wire_parse_payloads(h.next_payload,
				span_of(out.ptr + WIRE_HEADER_LEN, out.len - WIRE_HEADER_LEN),
				&again)
		    .error)
		abort();
	return 0;
}
