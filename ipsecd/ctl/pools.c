/* ipsecctl pools: address pools and who has or had which address. */
#include "ipsecd/ctl/ctl.h"

#include <stdio.h>

static void print_leases(const json_t *pool)
{
	const char *key;
	json_t *lease;

	json_object_foreach (json_object_get(pool, "leases"), key, lease) {
		printf("    %-39s  %-7s  %s\n", json_text(lease, "address"),
		       json_text(lease, "status"), json_text(lease, "identity"));
	}
	if (json_number(pool, "more-leases", 0))
		printf("    and %lld more, which no answer of the daemon's holds\n",
		       (long long)json_number(pool, "more-leases", 0));
}

static void print_pool(const char *name, const json_t *pool)
{
	printf("%s: %s, %lld of %lld in use, %lld kept for who is away\n", name,
	       json_text(pool, "addrs"), (long long)json_number(pool, "online", 0),
	       (long long)json_number(pool, "size", 0), (long long)json_number(pool, "offline", 0));
	print_leases(pool);
}

static struct span request(struct ctl *c, uint8_t *memory, size_t size)
{
	struct buf b = buf_over(memory, size);

	vici_put(&b, "leases", "yes");
	if (c->argc)
		vici_put(&b, "name", c->argv[0]);
	return buf_span(&b);
}

static int print(struct ctl *c, json_t *pools)
{
	const char *name;
	json_t *pool;

	if (c->json)
		return json_dumpf(pools, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0
			       ? CTL_FAILED
			       : CTL_OK;
	json_object_foreach (pools, name, pool) {
		if (json_is_object(pool))
			print_pool(name, pool);
	}
	if (json_number(pools, "more-pools", 0))
		printf("and %lld pools more: ask for them by name\n",
		       (long long)json_number(pools, "more-pools", 0));
	return CTL_OK;
}

int command_pools(struct ctl *c)
{
	uint8_t memory[CTL_NAME_MAX + 64];
	struct span response;
	json_t *pools;
	int status = ctl_call(c, "get-pools", request(c, memory, sizeof(memory)), CTL_TIMEOUT_MS,
			      &response);

	if (status)
		return status;
	pools = json_from_vici(response);
	if (!pools)
		return ctl_error("out of memory");
	if (c->argc && !json_object_size(pools))
		status = ctl_error("there is no pool '%s'", c->argv[0]);
	else
		status = print(c, pools);
	json_decref(pools);
	return status;
}
