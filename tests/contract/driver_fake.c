/* The contract on the fake plane. */
#include "tests/contract/contract.h"

#include "ipsecd/dataplane/fake.h"

static void watch(struct side *s)
{
	(void)s;
}

static void transmit(struct side *s, struct span packet, mono_time now)
{
	assert_true(fake_transmit(s->plane, TUNNEL, packet, now));
}

static size_t received(struct side *s, uint8_t *out, size_t size)
{
	return fake_received(s->plane, TUNNEL, out, size);
}

static bool oper_up(struct side *s)
{
	struct dataplane_tunnel_info info;

	assert_true(contract->ops->tunnel_info(s->plane, TUNNEL, &info));
	return info.link_up;
}

static void set_admin(struct side *s, bool up)
{
	fake_set_admin(s->plane, TUNNEL, up);
}

static mono_time now(void)
{
	return 1000 * MONO_S;
}

int main(void)
{
	static const struct contract_driver driver = {
		.ops = &dataplane_fake,
		.watch = watch,
		.unwatch = watch,
		.transmit = transmit,
		.received = received,
		.oper_up = oper_up,
		.set_admin = set_admin,
		.now = now,
	};

	return contract_run(&driver);
}
