/* sourceip and dns of either side: for our own end what to ask the peer for, for the peer's end
 * what to give it. Which end is ours may be known later, so both readings are kept. */
#include "ipsecd/config/build.h"
#include "ipsecd/config/errors.h"

#include <stdlib.h>
#include <string.h>

#define ITEM_MAX 128

/* An address stands for itself in both readings; a range is a pool, and nothing to ask for. */
static void add_sourceip(struct build *b, const struct setting *s, struct config_side *side,
			 const char *item, const struct config_pos *at)
{
	struct pool_ref *pool = &side->pools[side->n_pools];
	struct addr vip;

	if (side->n_pools == POOL_REFS_MAX) {
		config_error(b->errors, at, "%s: at most %d of them", setting_name(s),
			     POOL_REFS_MAX);
		return;
	}
	if (strcmp(item, "%dhcp") == 0 || strcmp(item, "%radius") == 0) {
		config_error(b->errors, at, "%s: %s is not supported yet", setting_name(s), item);
		return;
	}
	if (!pool_ref_parse(item, pool)) {
		config_error(
			b->errors, at,
			"%s: '%s' is not possible; expected %%config, %%config4, %%config6, an "
			"address, a prefix or range (of a pool) or %%name (of a pool)",
			setting_name(s), item);
		return;
	}
	side->n_pools++;
	if (!vip_parse(item, &vip))
		side->pools_only = true;
	else if (side->n_vips < VIPS_MAX)
		side->vips[side->n_vips++] = vip;
	else
		side->too_many = true;
}

static void add_dns(struct build *b, const struct setting *s, struct config_side *side,
		    const char *item, const struct config_pos *at)
{
	struct addr a;

	if (!vip_parse(item, &a) || strcmp(item, "%config") == 0)
		config_error(
			b->errors, at,
			"%s: '%s' is not possible; expected an address, or %%config4, %%config6 "
			"to ask for one",
			setting_name(s), item);
	else if (side->n_dns == VIP_DNS_MAX)
		config_error(b->errors, at, "%s: at most %d name servers", setting_name(s),
			     VIP_DNS_MAX);
	else
		side->dns[side->n_dns++] = a;
}

static void each(struct build *b, enum keyword_id id, bool right,
		 void (*add)(struct build *b, const struct setting *s, struct config_side *side,
			     const char *item, const struct config_pos *at))
{
	const struct setting *s = build_get(b, id, right);
	struct value_list l;
	char item[ITEM_MAX];
	struct config_pos at;
	bool ok = true;

	if (!s)
		return;
	if (!b->out->sides)
		b->out->sides = calloc(2, sizeof(*b->out->sides));
	if (!b->out->sides) {
		config_error(b->errors, &s->at, "out of memory");
		return;
	}
	l = value_list(s);
	while (value_list_next(b->errors, &l, item, sizeof(item), &at, &ok))
		add(b, s, &b->out->sides[right], item, &at);
}

void build_sourceip(struct build *b)
{
	for (unsigned right = 0; right < 2; right++) {
		each(b, KEYWORD_SOURCEIP, right, add_sourceip);
		each(b, KEYWORD_DNS, right, add_dns);
	}
}

static const struct config_side *side_of(const struct config_conn *cc, bool right)
{
	static const struct config_side none;

	return cc->sides ? &cc->sides[right] : &none;
}

static void give(struct conn *c, const struct config_side *side)
{
	for (unsigned i = 0; i < c->n_pools; i++)
		pool_ref_clear(&c->pools[i]);
	c->n_pools = c->n_dns = 0;
	for (unsigned i = 0; i < side->n_pools; i++) {
		if (pool_ref_copy(&c->pools[c->n_pools], &side->pools[i]))
			c->n_pools++;
	}
	for (unsigned i = 0; i < side->n_dns; i++) {
		if (!addr_is_any(&side->dns[i]))
			c->dns[c->n_dns++] = side->dns[i];
	}
}

void sourceip_apply(struct config_conn *cc)
{
	const struct config_side *own = side_of(cc, cc->swapped);
	struct conn *c = cc->conn;

	give(c, side_of(cc, !cc->swapped));
	c->n_vips = own->n_vips;
	memcpy(c->vips, own->vips, sizeof(c->vips));
	c->n_dns_wanted = own->n_dns;
	memcpy(c->dns_wanted, own->dns, sizeof(c->dns_wanted));
}

void sourceip_free(struct config_conn *cc)
{
	for (unsigned side = 0; cc->sides && side < 2; side++) {
		for (unsigned i = 0; i < cc->sides[side].n_pools; i++)
			pool_ref_clear(&cc->sides[side].pools[i]);
	}
	free(cc->sides);
	cc->sides = NULL;
}

void config_check_sourceip(const struct config *config, struct config_errors *errors)
{
	for (unsigned i = 0; i < config->n_conns; i++) {
		const struct config_conn *cc = &config->conns[i];
		const struct config_side *own = side_of(cc, cc->swapped);
		struct config_pos at = {.file = cc->conn->source};
		const char *name = cc->swapped ? "right" : "left";

		if (own->pools_only)
			config_error(
				errors, &at,
				"conn %s: %ssourceip names a pool, but %s is our own end, which "
				"asks: expected %%config, %%config4, %%config6 or an address",
				cc->conn->name, name, name);
		if (own->too_many)
			config_error(errors, &at, "conn %s: %ssourceip: at most %d addresses",
				     cc->conn->name, name, VIPS_MAX);
	}
}
