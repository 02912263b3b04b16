/* Records of a former process that say anything:
 *	kind, length (two bytes), the record
 * one after the other. What is taken has to be an engine that works: it is resumed, runs for a
 * while, gets a datagram, and comes to an end. */
#include "tests/sim/sim_parts.h"
#include "tests/support/crypto_null.h"
#include "ipsecd/ike/codec.h"
#include "ipsecd/ike/conns.h"
#include "lib/buf.h"

#include <stdlib.h>

/* As the store would name it: what is refused for its name alone teaches nothing. */
static uint64_t id_of(const struct ike_engine *e, uint32_t kind, struct span data)
{
	struct codec c = codec_reader(data);
	uint32_t id = 0;

	if (kind == IKE_RECORD_CONN)
		return e->conns->number;
	if (kind == IKE_RECORD_SA) {
		codec_u16(&c, &c.version);
		codec_u32(&c, &id);
	}
	return id;
}

static void drain(struct ike_engine *e)
{
	struct ike_record r;
	struct ike_output o;

	while (ike_engine_publish(e, &r)) {
	}
	while (ike_engine_next(e, &o)) {
	}
}

static void run(struct ike_engine *e, unsigned steps)
{
	for (unsigned i = 0; i < steps && ike_engine_deadline(e) != MONO_NEVER; i++) {
		ike_engine_expire(e, ike_engine_deadline(e));
		drain(e);
	}
}

static void live(struct sim *s)
{
	struct ike_path path = {.local = {sim_addr(0, 0), 500}, .remote = {sim_addr(1, 0), 500}};
	struct ike_command c = {.kind = IKE_COMMAND_SHUTDOWN};
	struct ike_engine *e = s->nodes[0].engine;
	uint8_t datagram[64] = {[17] = 0x20, [18] = 37, [19] = 0x20, [27] = 64};

	ike_engine_resume(e, s->now);
	drain(e);
	run(e, 20);
	if (e->sas) {
		be64_set(datagram, e->sas->spi_i);
		be64_set(datagram + 8, e->sas->spi_r);
	}
	ike_engine_datagram(e, &path, span_of(datagram, sizeof(datagram)), e->now);
	drain(e);
	run(e, 20);
	ike_engine_command(e, &c, NULL, e->now);
	drain(e);
	run(e, 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ike_settings published = {.publish = true};
	struct reader in = reader_over(span_of(data, size));
	struct sim *s = sim_new(1, 2, &crypto_null, &published);
	struct sim_node *n = &s->nodes[0];
	struct ike_engine *old;
	char why[160];

	sim_load(s, 0, sim_conn(s, 0, 1, 0), 1);
	old = n->engine;
	sim_start_engine(n);
	sim_load_as(n, old);
	ike_engine_free(old);
	while (reader_left(&in)) {
		uint32_t kind = reader_u8(&in);
		struct span record = reader_take(&in, reader_u16(&in));
		struct ike_record r = {
			.kind = kind, .id = id_of(n->engine, kind, record), .data = record};

		if (!ike_engine_restore(n->engine, &r, why, sizeof(why)) && !why[0])
			abort();
	}
	live(s);
	sim_free(s);
	return 0;
}
