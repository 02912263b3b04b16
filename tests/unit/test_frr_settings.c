/* Settings that defeat failover, found in running-config as FRR 8.4 writes it. */
#include "routed-bridge/frr_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char found[4096];

static const char *tunnel_of(void *ctx, const char *neighbor)
{
	(void)ctx;
	if (strcmp(neighbor, "tun-ab") == 0)
		return "tun-ab";
	return strncmp(neighbor, "10.255.", 7) == 0 ? "tun-x" : NULL;
}

static void finding(void *ctx, const char *line)
{
	(void)ctx;
	assert_true(strlen(found) + strlen(line) + 2 < sizeof(found));
	strncat(found, line, sizeof(found) - strlen(found) - 1);
	strncat(found, "\n", sizeof(found) - strlen(found) - 1);
}

static struct frr_settings settings(void)
{
	static const struct frr_settings_type types[] = {
		{"nhrp", false}, {"table 7", false}, {"table 4747", true}};

	found[0] = '\0';
	return (struct frr_settings){.types = types,
				     .n_types = sizeof(types) / sizeof(types[0]),
				     .tunnel_of = tunnel_of,
				     .finding = finding};
}

static void bgp(const char *config, const char *expected)
{
	struct frr_settings s = settings();

	assert_true(frr_settings_bgp(&s, span_str(config)));
	assert_string_equal(found, expected);
}

#define GOOD                                     \
	" no bgp ebgp-requires-policy\n"         \
	" neighbor 10.255.0.1 remote-as 65002\n" \
	" neighbor 10.255.0.1 bfd\n"             \
	" neighbor 10.255.0.1 timers connect 1\n"

static void nothing_to_say(void **state)
{
	(void)state;
	bgp("", "");
	bgp("Building configuration...\n\nCurrent configuration:\n!\nfrr version 8.4.4\n"
	    "router bgp 65001\n" GOOD " !\n address-family ipv4 unicast\n"
	    "  redistribute nhrp route-map tunnel-routes\n exit-address-family\nexit\n!\nend\n",
	    "");
	/* not over a tunnel: none of our business */
	bgp("router bgp 1\n no bgp fast-external-failover\n neighbor 192.0.2.1 remote-as 2\n"
	    " neighbor 192.0.2.1 ebgp-multihop\nexit\n",
	    "");
	bgp("router bgp 65001\n neighbor 10.255.0.1 remote-as 65002\n"
	    " neighbor 10.255.0.1 shutdown\nexit\n",
	    "");
}

static void of_a_neighbor(void **state)
{
	(void)state;
	bgp("router bgp 65001\n timers bgp 5 15\n neighbor 10.255.0.1 remote-as 65002\nexit\n",
	    "router bgp 65001, neighbor 10.255.0.1 (tun-x) has no policy for either direction "
	    "while "
	    "'bgp ebgp-requires-policy' holds: no route passes there\n"
	    "router bgp 65001, neighbor 10.255.0.1 (tun-x) has no 'bfd': a silent cut is noticed "
	    "after the hold time, 15 s\n"
	    "router bgp 65001, neighbor 10.255.0.1 (tun-x): 'timers connect' is 120 s: so long may "
	    "BGP wait before it tries a repaired tunnel\n");
	bgp("router bgp 65001\n" GOOD " neighbor 10.255.0.1 ebgp-multihop 2\nexit\n",
	    "router bgp 65001, neighbor 10.255.0.1 (tun-x): 'ebgp-multihop' switches "
	    "fast-external-failover off for it: when the tunnel goes down, BGP waits for a "
	    "timer\n");
	/* iBGP needs no policy; an unnumbered neighbor is its device */
	bgp("router bgp 65001 vrf red\n neighbor tun-ab interface remote-as internal\n"
	    " neighbor tun-ab timers 1 3\n neighbor tun-ab timers connect 5\nexit\n",
	    "router bgp 65001 vrf red, neighbor tun-ab (tun-ab) has no 'bfd': a silent cut is "
	    "noticed after the hold time, 3 s\n");
	bgp("router bgp 65001\n neighbor 10.255.0.1 remote-as 65002\n neighbor 10.255.0.1 bfd\n"
	    " neighbor 10.255.0.1 timers connect 1\n address-family ipv4 unicast\n"
	    "  neighbor 10.255.0.1 route-map in in\n",
	    "router bgp 65001, neighbor 10.255.0.1 (tun-x) has no policy for what goes out while "
	    "'bgp ebgp-requires-policy' holds: no route passes there\n");
}

static void peer_groups_are_inherited(void **state)
{
	(void)state;
	bgp("router bgp 65001\n no bgp ebgp-requires-policy\n neighbor T peer-group\n"
	    " neighbor T remote-as external\n neighbor T bfd\n neighbor T timers connect 2\n"
	    " neighbor 10.255.0.1 peer-group T\n neighbor tun-ab interface peer-group T\nexit\n",
	    "");
}

static void of_the_router(void **state)
{
	(void)state;
	bgp("router bgp 65001\n no bgp fast-external-failover\n bgp graceful-restart\n" GOOD
	    " address-family ipv4 unicast\n  redistribute nhrp\n  redistribute table 7 metric 5\n"
	    "  redistribute table 4747 route-map x\n  redistribute connected\nexit\n",
	    "router bgp 65001: 'redistribute nhrp' without a route-map: these routes beat what the "
	    "peer itself announces; use one that sets weight 0\n"
	    "router bgp 65001: 'redistribute table 7' without a route-map: these routes beat what "
	    "the peer itself announces; use one that sets weight 0\n"
	    "router bgp 65001: 'redistribute table 4747' announces routes of local repair: they "
	    "may "
	    "loop\n"
	    "router bgp 65001: 'no bgp fast-external-failover': when a tunnel goes down, BGP waits "
	    "for a timer\n"
	    "router bgp 65001: 'bgp graceful-restart': a peer keeps routes of a session that "
	    "ended, "
	    "also over a dead tunnel\n");
}

static void datacenter_profile(void **state)
{
	(void)state;
	bgp("frr defaults datacenter\nrouter bgp 1\n neighbor 10.255.0.1 remote-as 2\n"
	    " neighbor 10.255.0.1 bfd profile x\nexit\n",
	    "");
}

static void zebra(const char *config, bool warned)
{
	struct frr_settings s = settings();

	frr_settings_zebra(&s, span_str(config));
	assert_int_equal(found[0] != '\0', warned);
}

static void nexthops_by_the_default_route(void **state)
{
	(void)state;
	zebra("frr version 8.4.4\n!\nend\n", false);
	zebra("frr version 8.4.4\nip nht resolve-via-default\n", true);
	zebra("frr version 10.3\n!\n", true);
	zebra("frr version 9.1\nno ip nht resolve-via-default\n", false);
	zebra("frr version 9.0.2\n", false);
	zebra("", false);
}

/* Whatever stands there, nothing is read beyond it. */
static void odd_lines(void **state)
{
	static const char odd[] = "router bgp\n neighbor\n neighbor  \n neighbor x\n timers bgp\n"
				  " neighbor 10.255.0.1 timers\n neighbor 10.255.0.1 interface\n"
				  " redistribute\n redistribute table\n no\nrouter\nrouter bgp 1";
	struct frr_settings s = settings();

	(void)state;
	for (size_t n = 0; n <= sizeof(odd) - 1; n++) {
		found[0] = '\0';
		assert_true(frr_settings_bgp(&s, span_of(odd, n)));
		frr_settings_zebra(&s, span_of(odd, n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_say),
		cmocka_unit_test(of_a_neighbor),
		cmocka_unit_test(peer_groups_are_inherited),
		cmocka_unit_test(of_the_router),
		cmocka_unit_test(datacenter_profile),
		cmocka_unit_test(nexthops_by_the_default_route),
		cmocka_unit_test(odd_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
