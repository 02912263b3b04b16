/* Contract: devices, their life, link state and MTU; rules and errors of the verbs. */
#include "tests/contract/contract.h"

#include <stdio.h>

static struct dataplane_tunnel_info info_of(struct side *s)
{
	struct dataplane_tunnel_info info;

	assert_true(contract->ops->tunnel_info(s->plane, TUNNEL, &info));
	return info;
}

static void is_created_dormant_and_up(void **state)
{
	struct world *w = *state;
	struct dataplane_tunnel_info info = info_of(&w->a);

	assert_true(info.ifindex > 0);
	assert_true(info.admin_up);
	assert_false(info.link_up);
	assert_int_equal(info.mtu, 1438);
	assert_false(contract->oper_up(&w->a));
	if (!contract->apart)
		assert_int_not_equal(info.ifindex, info_of(&w->b).ifindex);
}

static void info_tells_the_device(void **state)
{
	struct world *w = *state;
	struct dataplane_tunnel_info info = info_of(&w->a);

	assert_string_equal(info.name, w->a.device);
	assert_non_null(info.kind);
	assert_string_not_equal(info.kind, "");
	assert_int_equal(info.inherited, 0);
}

static void says_what_it_supports(void **state)
{
	struct world *w = *state;
	const struct dataplane_ops *ops = contract->ops;

	if (!ops->supports) /* all that crypto.h has */
		return;
	for (unsigned esn = 0; esn < 2; esn++) {
		assert_true(ops->supports(w->a.plane, ENCR_AES_GCM_16, 128, 0, esn));
		assert_true(
			ops->supports(w->a.plane, ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_256_128, esn));
		assert_false(ops->supports(w->a.plane, 3, 0, INTEG_HMAC_SHA2_256_128, esn));
	}
}

static void link_follows_set_link_only(void **state)
{
	struct world *w = *state;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	assert_false(contract->oper_up(&w->a));
	assert_int_equal(contract->ops->tunnel_set_link(w->a.plane, TUNNEL, true), DATAPLANE_OK);
	assert_true(contract->oper_up(&w->a));
	assert_true(info_of(&w->a).link_up);
	assert_int_equal(contract->ops->child_remove(w->a.plane, a.id), DATAPLANE_OK);
	assert_true(contract->oper_up(&w->a));
	assert_int_equal(contract->ops->tunnel_set_link(w->a.plane, TUNNEL, false), DATAPLANE_OK);
	assert_false(contract->oper_up(&w->a));
	assert_false(contract->oper_up(&w->b));
}

static void keeps_ifindex_through_everything(void **state)
{
	struct world *w = *state;
	int ifindex = info_of(&w->a).ifindex;
	struct tunnel_config config = config_for(&w->a);
	struct child_sa a, b;

	for (unsigned round = 0; round < 3; round++) {
		contract->ops->tunnel_set_link(w->a.plane, TUNNEL, true);
		install_pair(w, round, &a, &b);
		a.outbound = false;
		assert_int_equal(contract->ops->child_update(w->a.plane, &a), DATAPLANE_OK);
		config.mtu = (uint16_t)(1300 + round);
		assert_int_equal(contract->ops->tunnel_update(w->a.plane, TUNNEL, &config),
				 DATAPLANE_OK);
		assert_int_equal(contract->ops->child_remove(w->a.plane, a.id), DATAPLANE_OK);
		contract->ops->tunnel_set_link(w->a.plane, TUNNEL, false);
		assert_int_equal(info_of(&w->a).ifindex, ifindex);
	}
}

static void mtu_follows_the_suite(void **state)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 256, 0, false};
	static const struct suite_case cbc = {ENCR_AES_CBC, 256, INTEG_HMAC_SHA2_512_256, false};
	struct world *w = *state;
	struct child_sa a, b;
	struct tunnel_config config = config_for(&w->a);

	child_pair(1, &gcm, &a, &b);
	install(&w->a, &a);
	assert_int_equal(info_of(&w->a).mtu, 1438);
	/* While two are there, both must be able to carry what the kernel sends. */
	child_pair(2, &cbc, &a, &b);
	install(&w->a, &a);
	assert_int_equal(info_of(&w->a).mtu,
			 dataplane_inner_mtu(1500, AF_INET, true, cbc.encr, 256, cbc.integ));
	contract->ops->child_remove(w->a.plane, a.id);
	assert_int_equal(info_of(&w->a).mtu, 1438);
	/* The last one's stays: the next SA is likely of the same kind. */
	contract->ops->child_remove(w->a.plane, 101);
	assert_int_equal(info_of(&w->a).mtu, 1438);
	config.mtu = 1280;
	contract->ops->tunnel_update(w->a.plane, TUNNEL, &config);
	assert_int_equal(info_of(&w->a).mtu, 1280);
	install(&w->a, &a);
	assert_int_equal(info_of(&w->a).mtu, 1280);
}

static void tunnel_errors(void **state)
{
	struct world *w = *state;
	const struct dataplane_ops *ops = contract->ops;
	struct tunnel_config config = config_for(&w->a);
	struct dataplane_tunnel_info info;

	assert_int_equal(ops->tunnel_create(w->a.plane, TUNNEL, &config), DATAPLANE_OK);
	assert_int_equal(ops->tunnel_create(w->a.plane, TUNNEL + 1, &config), DATAPLANE_EXISTS);
	assert_non_null(strstr(ops->last_error(w->a.plane), config.name));
	assert_int_equal(ops->tunnel_update(w->a.plane, 99, &config), DATAPLANE_NOT_FOUND);
	assert_int_equal(ops->tunnel_remove(w->a.plane, 99), DATAPLANE_NOT_FOUND);
	assert_int_equal(ops->tunnel_set_link(w->a.plane, 99, true), DATAPLANE_NOT_FOUND);
	assert_false(ops->tunnel_info(w->a.plane, 99, &info));
	assert_false(ops->tunnel_info(w->a.plane, TUNNEL + 1, &info));
	snprintf(config.name, sizeof(config.name), "dp-other");
	assert_int_equal(ops->tunnel_create(w->a.plane, TUNNEL, &config), DATAPLANE_EXISTS);
	assert_string_not_equal(ops->last_error(w->a.plane), "");
	assert_int_equal(ops->tunnel_update(w->a.plane, TUNNEL, &config), DATAPLANE_UNSUPPORTED);
	assert_true(info_of(&w->a).ifindex > 0);
}

/* Installs a changed copy of a good child and expects a refusal that says why. */
static void expect_refusal(struct world *w, const struct child_sa *good,
			   void (*spoil)(struct child_sa *c), enum dataplane_error want)
{
	struct child_sa c = *good;
	struct dataplane_child_stats stats;

	spoil(&c);
	assert_int_equal(contract->ops->child_install(w->a.plane, &c), want);
	assert_string_not_equal(contract->ops->last_error(w->a.plane), "");
	if (c.id != 101)
		assert_false(contract->ops->child_stats(w->a.plane, c.id, &stats));
}

static void no_tunnel(struct child_sa *c)
{
	c->tunnel = 99;
}

static void same_id(struct child_sa *c)
{
	c->id = 101;
}

static void same_spi(struct child_sa *c)
{
	c->spi_in = 0xa0000001;
}

static void reserved_spi(struct child_sa *c)
{
	c->spi_out = 255;
}

static void unknown_cipher(struct child_sa *c)
{
	c->encr_id = 3;
}

static void unknown_integrity(struct child_sa *c)
{
	c->encr_id = ENCR_AES_CBC;
	c->integ_id = 2;
}

static void no_integrity(struct child_sa *c)
{
	c->encr_id = ENCR_AES_CBC;
	c->in.encr_len = c->out.encr_len = 16;
}

static void short_key(struct child_sa *c)
{
	c->out.encr_len--;
}

static void mixed_families(struct child_sa *c)
{
	c->remote.addr.family = AF_INET6;
}

/* Its numbers were used, and nobody knows how far. */
static void not_there_any_more(struct child_sa *c)
{
	c->resumed = true;
}

static void install_errors(void **state)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};
	struct world *w = *state;
	struct child_sa a, b, next, unused;

	install_pair(w, 1, &a, &b);
	child_pair(2, &gcm, &next, &unused);
	expect_refusal(w, &next, no_tunnel, DATAPLANE_NOT_FOUND);
	expect_refusal(w, &next, not_there_any_more, DATAPLANE_NOT_FOUND);
	expect_refusal(w, &next, same_id, DATAPLANE_EXISTS);
	expect_refusal(w, &next, same_spi, DATAPLANE_EXISTS);
	expect_refusal(w, &next, reserved_spi, DATAPLANE_UNSUPPORTED);
	expect_refusal(w, &next, unknown_cipher, DATAPLANE_UNSUPPORTED);
	expect_refusal(w, &next, unknown_integrity, DATAPLANE_UNSUPPORTED);
	expect_refusal(w, &next, no_integrity, DATAPLANE_UNSUPPORTED);
	expect_refusal(w, &next, short_key, DATAPLANE_UNSUPPORTED);
	expect_refusal(w, &next, mixed_families, DATAPLANE_UNSUPPORTED);
	install(&w->a, &next);
}

static void bare_esp_is_taken(void **state)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};
	struct world *w = *state;
	struct child_sa a, b;

	child_pair(1, &gcm, &a, &b);
	a.udp_encap = false;
	assert_int_equal(contract->ops->child_install(w->a.plane, &a), DATAPLANE_OK);
}

static void update_and_remove_errors(void **state)
{
	struct world *w = *state;
	const struct dataplane_ops *ops = contract->ops;
	struct dataplane_child_stats stats;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	b.id = 55;
	assert_int_equal(ops->child_update(w->a.plane, &b), DATAPLANE_NOT_FOUND);
	assert_int_equal(ops->child_remove(w->a.plane, 55), DATAPLANE_NOT_FOUND);
	assert_false(ops->child_stats(w->a.plane, 55, &stats));
	assert_int_equal(ops->child_remove(w->a.plane, a.id), DATAPLANE_OK);
	assert_int_equal(ops->child_remove(w->a.plane, a.id), DATAPLANE_NOT_FOUND);
	install(&w->a, &a); /* id and SPI are free again */
}

static void a_tunnel_takes_its_children_along(void **state)
{
	struct world *w = *state;
	struct tunnel_config config = config_for(&w->a);
	struct dataplane_child_stats stats;
	struct child_sa a, b;

	install_pair(w, 1, &a, &b);
	contract->unwatch(&w->a);
	assert_int_equal(contract->ops->tunnel_remove(w->a.plane, TUNNEL), DATAPLANE_OK);
	assert_false(contract->ops->child_stats(w->a.plane, a.id, &stats));
	assert_int_equal(contract->ops->tunnel_create(w->a.plane, TUNNEL, &config), DATAPLANE_OK);
	contract->watch(&w->a);
	install(&w->a, &a);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int contract_device_cases(const char *plane)
{
	const struct CMUnitTest device_cases[] = {
		CASE(is_created_dormant_and_up),
		CASE(info_tells_the_device),
		CASE(says_what_it_supports),
		CASE(link_follows_set_link_only),
		CASE(keeps_ifindex_through_everything),
		CASE(mtu_follows_the_suite),
		CASE(tunnel_errors),
		CASE(install_errors),
		CASE(bare_esp_is_taken),
		CASE(update_and_remove_errors),
		CASE(a_tunnel_takes_its_children_along),
	};

	printf("contract: %s, devices and verbs\n", plane);
	return cmocka_run_group_tests(device_cases, NULL, NULL);
}
