/* Address pools, as clients load and see them. */
#include "ipsecd/shell.h"

bool commands_pool(void *ctx, unsigned n, struct control_pool *out)
{
	struct memory_pool_view v;
	struct daemon *d = ctx;

	if (!memory_pool_at(pools_memory(d->pools), n, &v))
		return false;
	*out = (struct control_pool){.base = v.base,
				     .first = v.first,
				     .last = v.last,
				     .size = v.size,
				     .online = v.online,
				     .offline = v.offline};
	pools_label(d->pools, &v, out->name, sizeof(out->name));
	return true;
}

struct lease_receiver {
	void (*cb)(void *ctx, const struct control_lease *lease);
	void *ctx;
};

static void give_lease(void *ctx, const struct memory_lease *lease)
{
	const struct control_lease view = {
		.addr = lease->addr, .identity = lease->identity, .online = lease->online > 0};
	const struct lease_receiver *r = ctx;

	r->cb(r->ctx, &view);
}

void commands_leases(void *ctx, unsigned n,
		     void (*cb)(void *cb_ctx, const struct control_lease *lease), void *cb_ctx)
{
	struct lease_receiver receiver = {cb, cb_ctx};
	struct daemon *d = ctx;

	memory_each_lease(pools_memory(d->pools), n, give_lease, &receiver);
}

bool commands_load_pool(void *ctx, const char *name, const char *addrs, const struct addr *dns,
			uint8_t n_dns, char *why, size_t size)
{
	struct daemon *d = ctx;

	if (!memory_pool_define(pools_memory(d->pools), name, addrs, dns, n_dns, why, size))
		return false;
	publish_pool(d->publish, name, addrs, dns, n_dns);
	shell_publish(d);
	return true;
}

bool commands_unload_pool(void *ctx, const char *name, char *why, size_t size)
{
	struct daemon *d = ctx;

	if (!memory_pool_undefine(pools_memory(d->pools), name, why, size))
		return false;
	publish_pool_gone(d->publish, name);
	shell_publish(d);
	return true;
}
