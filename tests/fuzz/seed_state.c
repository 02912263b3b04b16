/* Seeds of fuzz_state in today's format; those of the tree are of the version that there was. The
 * records of node 0 at every moment of an IKE_SA's life, each in a file of FOLDER:
 *	seed_state FOLDER */
#include "tests/fuzz/seed.h"
#include "tests/sim/sim_parts.h"
#include "tests/support/crypto_null.h"
#include "lib/buf.h"

#define STEP MONO_MS /* no longer than a link's latency: nothing happens unseen */

struct snapshot {
	struct buf b;
	uint8_t memory[1 << 14];
};

/* As fuzz_state reads it: kind, length, the record. */
static void append(void *ctx, const struct ike_record *r)
{
	struct snapshot *now = ctx;

	buf_put_u8(&now->b, (uint8_t)r->kind);
	buf_put_u16(&now->b, (uint16_t)r->data.len);
	buf_put_span(&now->b, r->data);
}

static void run(struct sim *s, mono_time duration)
{
	static struct snapshot snapshots[2];
	static unsigned turn;
	mono_time end = s->now + duration;

	while (s->now < end) {
		struct snapshot *now = &snapshots[turn], *before = &snapshots[turn ^ 1];

		sim_run(s, STEP);
		now->b = buf_over(now->memory, sizeof(now->memory));
		sim_each_record(&s->nodes[0], append, now);
		if (now->b.overflow || span_equal(buf_span(&now->b), buf_span(&before->b)))
			continue;
		seed_write(buf_span(&now->b));
		turn ^= 1;
	}
}

/* `start`: which end has auto=start, as in sim_pair. */
static void life(unsigned start, uint64_t seed)
{
	static const struct ike_settings published = {.publish = true};
	struct sim *s = sim_new(seed, 2, &crypto_null, &published);
	unsigned other = start == 1;

	sim_pair(s, start);
	run(s, MONO_S);
	sim_command(s, start == 2, IKE_COMMAND_REKEY, start == 2 ? "to0-0" : "to1-0", "net");
	run(s, MONO_S);
	sim_command(s, other, IKE_COMMAND_REKEY, other ? "to0-0" : "to1-0", NULL);
	run(s, MONO_S);
	sim_command(s, other, IKE_COMMAND_TERMINATE, other ? "to0-0" : "to1-0", NULL);
	run(s, MONO_S);
	sim_free(s);
}

int main(int argc, char **argv)
{
	seed_begin(argc, argv);
	for (unsigned start = 1; start <= 3; start++)
		life(start, start);
	return 0;
}
