/* The planner of local repair, step by step: A has tunnels to B, C and D. */
#include "routed-bridge/repair.h"
#include "routed-bridge/repair_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define OUR_AS 65001

enum { AB = 1, AC, AD };

static const char *const names[] = {"", "tun-ab", "tun-ac", "tun-ad"};
static mono_time now;

struct site {
	struct paths *paths;
	struct repair *plan;
};

static struct addr address(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, &p));
	return p;
}

static struct addr end_of(unsigned link, bool peer)
{
	char text[32];

	snprintf(text, sizeof(text), "10.255.%u.%u", link, peer);
	return address(text);
}

static void interface(struct site *s, unsigned link, bool up)
{
	struct zapi_interface i = {.ifindex = link, .flags = up ? IFF_UP | IFF_RUNNING : IFF_UP};

	snprintf(i.name, sizeof(i.name), "%s", names[link]);
	repair_interface(s->plan, &i, true);
}

static void interface_gone(struct site *s, unsigned link)
{
	struct zapi_interface i = {.ifindex = link};

	snprintf(i.name, sizeof(i.name), "%s", names[link]);
	repair_interface(s->plan, &i, false);
}

static struct path_peer_key key_of(unsigned link)
{
	struct path_peer_key k = {.id = link, .addr = end_of(link, true)};

	return k;
}

static void peer_up(struct site *s, unsigned link)
{
	struct path_peer p = {.key = key_of(link),
			      .local = end_of(link, false),
			      .as = OUR_AS + link,
			      .local_as = OUR_AS};

	assert_true(paths_peer_up(s->paths, &p));
}

static void take_changes(struct site *s)
{
	struct path_change c;

	while (paths_change(s->paths, &c)) {
		if (c.kind == PATH_CHANGE_PREFIX)
			repair_path(s->plan, &c.prefix, now);
		else
			repair_peer(s->plan, c.peer, now);
	}
}

/* The neighbour on the link says: through me, over these ASes; 0 ends them. */
static void announce(struct site *s, unsigned link, const char *to, const uint32_t *as)
{
	struct path_attrs a = {.as_path = as, .nexthop = end_of(link, true)};
	struct path_peer_key k = key_of(link);
	struct prefix p = prefix(to);

	while (as[a.n_as])
		a.n_as++;
	a.as_length = a.n_as;
	if (p.addr.family == AF_INET6) {
		a.nexthop = (struct addr){0};
		a.nexthop_local = address("fe80::1");
	}
	assert_true(paths_announce(s->paths, &k, &p, &a));
	take_changes(s);
}

static void withdraw(struct site *s, unsigned link, const char *to)
{
	struct path_peer_key k = key_of(link);
	struct prefix p = prefix(to);

	paths_withdraw(s->paths, &k, &p);
	take_changes(s);
}

static struct zapi_route route(unsigned link, const char *to)
{
	struct zapi_route r = {.type = ZAPI_TYPE_BGP, .prefix = prefix(to)};

	r.n_nexthops = 1;
	r.nexthops[0].ifindex = link;
	r.nexthops[0].gateway = end_of(link, true);
	if (r.prefix.addr.family == AF_INET6)
		r.nexthops[0].gateway = address("fe80::1");
	return r;
}

static void best(struct site *s, unsigned link, const char *to)
{
	struct zapi_route r = route(link, to);

	repair_best(s->plan, &r, now);
}

static void best_gone(struct site *s, unsigned link, const char *to)
{
	struct zapi_route r = route(link, to);

	repair_best_gone(s->plan, &r, now);
}

/* "+10.2.0.0/24@2 -...": all that is to be told now; several nexthops "@1,2". */
static const char *told(struct site *s)
{
	static char text[512];
	char to[PREFIX_TEXT];
	struct repair_action a;
	size_t n = 0;

	text[0] = '\0';
	while (repair_next(s->plan, &a, now)) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c%s", n ? " " : "",
				      a.add ? '+' : '-', prefix_format(&a.prefix, to));
		for (unsigned i = 0; i < a.hops.n && a.add; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%c%u", i ? ',' : '@',
					      a.hops.hop[i].ifindex);
	}
	return text;
}

static void tunnel(struct site *s, unsigned link, enum tunnel_witness who, bool dead)
{
	repair_tunnel(s->plan, names[link], who, dead, "test");
}

static void note(struct site *s, const char *to, enum zapi_note n)
{
	struct zapi_notify notify = {.note = n, .prefix = prefix(to)};

	repair_notify(s->plan, &notify, now);
}

/* Zebra has that besides ours; link 0: nothing. */
static void answer(struct site *s, const char *to, unsigned link)
{
	struct repair_answer a = {.valid = true, .distance = 20, .hops.n = link != 0};
	struct prefix p = prefix(to);

	a.hops.hop[0].ifindex = link;
	a.hops.hop[0].gateway = end_of(link, true);
	if (p.addr.family == AF_INET6)
		a.hops.hop[0].gateway = address("fe80::1");
	repair_answer(s->plan, &p, &a, now);
}

/* The questions that are due now. */
static unsigned asked(struct site *s)
{
	struct prefix p;
	unsigned n = 0;

	while (repair_question(s->plan, &p, now))
		n++;
	return n;
}

static const uint32_t via_b[] = {65002, 0}, via_c_b[] = {65003, 65002, 0};
static const uint32_t via_c_us_b[] = {65003, OUR_AS, 65002, 0},
		      via_d_x_b[] = {65004, 65009, 65002, 0};
static const uint32_t via_d_x[] = {65004, 65009, 65010, 65011, 0};

#define P "10.2.0.0/24"
#define Q "10.2.1.0/24"

static struct site *site(void)
{
	struct site *s = calloc(1, sizeof(*s));

	now = 1000 * MONO_S;
	s->paths = paths_new();
	s->plan = repair_new(s->paths, NULL);
	for (unsigned link = AB; link <= AD; link++) {
		struct zapi_address a = {.ifindex = link, .prefix = {end_of(link, false), 31}};

		interface(s, link, true);
		repair_address(s->plan, &a, true);
		peer_up(s, link);
	}
	repair_session(s->plan, true, now);
	announce(s, AB, P, via_b);
	announce(s, AC, P, via_c_b);
	best(s, AB, P);
	assert_string_equal(told(s), "");
	return s;
}

static void site_free(struct site *s)
{
	repair_free(s->plan);
	paths_free(s->paths);
	free(s);
}

/* ---- begin and end ---- */

static void repairs_and_steps_back(void **state)
{
	struct site *s = site();

	(void)state;
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@2");
	best_gone(s, AB, P); /* zebra selected ours */
	now += 2 * MONO_MS;
	note(s, P, ZAPI_NOTE_INSTALLED);
	assert_int_equal(repair_stats(s->plan).installed, 1);
	assert_int_equal(repair_stats(s->plan).install.sum_ns, 2 * MONO_MS);
	assert_int_equal(asked(s), 0);
	now += 98 * MONO_MS;
	assert_int_equal(repair_deadline(s->plan), now);
	assert_int_equal(asked(s), 1);
	answer(s, P, AB); /* bgpd has not moved */
	assert_string_equal(told(s), "");
	now += 200 * MONO_MS;
	assert_int_equal(asked(s), 1);
	answer(s, P, AC);
	assert_string_equal(told(s), "-" P);
	best(s, AC, P);
	assert_string_equal(told(s), "");
	assert_int_equal(repair_stats(s->plan).active, 0);
	assert_int_equal(repair_stats(s->plan).ended[REPAIR_END_CONVERGED], 1);
	site_free(s);
}

static void every_witness_alone_is_enough(void **state)
{
	struct site *s = site();

	(void)state;
	interface(s, AB, false);
	assert_string_equal(told(s), "+" P "@2");
	tunnel(s, AB, WITNESS_BFD, true);
	interface(s, AB, true);
	assert_string_equal(told(s), "");
	assert_int_equal(asked(s), 0); /* one of them still says so */
	tunnel(s, AB, WITNESS_BFD, false);
	tunnel(s, AB, WITNESS_SUSPICION, false);
	told(s);
	assert_int_equal(asked(s), 1);
	answer(s, P, AB); /* alive again, and bgpd never moved */
	assert_string_equal(told(s), "-" P);
	site_free(s);
}

static void says_nothing_of_what_does_not_use_it(void **state)
{
	struct site *s = site();

	(void)state;
	tunnel(s, AC, WITNESS_IKE, true);
	tunnel(s, AD, WITNESS_IKE, true);
	assert_string_equal(told(s), "");
	tunnel(s, AB, WITNESS_IKE, true); /* and the alternative is dead, too */
	assert_string_equal(told(s), "");
	assert_int_equal(repair_stats(s->plan).helpless, 1);
	tunnel(s, AC, WITNESS_IKE, false);
	assert_string_equal(told(s), "+" P "@2");
	site_free(s);
}

static void dies_with_its_alternative_at_once(void **state)
{
	struct site *s = site();

	(void)state;
	announce(s, AD, P, via_d_x_b);
	tunnel(s, AB, WITNESS_IKE, true);
	tunnel(s, AC, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@3");
	site_free(s);
}

/* ---- the loop-free condition ---- */

static void never_through_ourselves(void **state)
{
	struct site *s = site();

	(void)state;
	announce(s, AC, P, via_c_us_b);
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "");
	announce(s, AC, P, via_c_b);
	assert_string_equal(told(s), "+" P "@2");
	announce(s, AC, P, via_c_us_b);
	assert_string_equal(told(s), "-" P);
	assert_int_equal(repair_stats(s->plan).ended[REPAIR_END_NO_ALTERNATIVE], 1);
	site_free(s);
}

static void never_inside_our_as(void **state)
{
	struct site *s = site();
	struct path_peer c = {
		.key = key_of(AC), .local = end_of(AC, false), .as = OUR_AS, .local_as = OUR_AS};

	(void)state;
	paths_peer_up(s->paths, &c);
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "");
	site_free(s);
}

static void never_by_another_vrf(void **state)
{
	struct site *s = site();
	struct path_peer d = {.key = {.distinguisher = 7, .addr = end_of(AD, true)},
			      .local = end_of(AD, false),
			      .as = 65004,
			      .local_as = OUR_AS};
	struct path_attrs a = {.as_path = via_d_x, .n_as = 1, .nexthop = end_of(AD, true)};
	struct prefix p = prefix(P);

	(void)state;
	withdraw(s, AC, P);
	paths_peer_up(s->paths, &d);
	paths_announce(s->paths, &d.key, &p, &a);
	take_changes(s);
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "");
	site_free(s);
}

static void the_shortest_way_around(void **state)
{
	struct site *s = site();

	(void)state;
	announce(s, AD, P, via_d_x_b);
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@2");
	tunnel(s, AC, WITNESS_BFD, true);
	assert_string_equal(told(s), "+" P "@3");
	tunnel(s, AC, WITNESS_BFD, false);
	withdraw(s, AD, P);
	assert_string_equal(told(s), "+" P "@2");
	withdraw(s, AC, P);
	assert_string_equal(told(s), "-" P);
	assert_int_equal(repair_stats(s->plan).active, 0);
	site_free(s);
}

/* ---- paths ---- */

static void a_withdrawn_path_is_repaired_before_bgpd_decides(void **state)
{
	struct site *s = site();

	(void)state;
	announce(s, AD, P, via_d_x);
	withdraw(s, AB, P);
	/* B has no way any more: C's, which leads over B, is out of date. */
	assert_string_equal(told(s), "+" P "@3");
	assert_int_equal(repair_stats(s->plan).begun[REPAIR_BY_PATH], 1);
	now += 100 * MONO_MS;
	assert_int_equal(asked(s), 1);
	answer(s, P, AB); /* over a device that lives, but without its path */
	assert_string_equal(told(s), "");
	now += 200 * MONO_MS;
	assert_int_equal(asked(s), 1);
	answer(s, P, AC);
	assert_string_equal(told(s), "-" P);
	site_free(s);
}

static void a_neighbour_that_goes_takes_its_paths_along(void **state)
{
	struct site *s = site();
	struct path_peer_key b = key_of(AB);

	(void)state;
	best(s, AC, Q); /* Q has never been said by B */
	paths_peer_down(s->paths, &b, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+" P "@2");
	site_free(s);
}

/* BMP told of the session, but not yet of its paths. */
static void a_session_that_ends_is_enough(void **state)
{
	struct site *s = site();
	struct path_peer_key b = key_of(AB);

	(void)state;
	announce(s, AC, Q, via_c_b);
	best(s, AB, Q);
	paths_peer_down(s->paths, &b, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+" P "@2 +" Q "@2");
	now += 100 * MONO_MS;
	assert_int_equal(asked(s), 2);
	answer(s, Q, AB);
	assert_string_equal(told(s), "");
	peer_up(s, AB);
	take_changes(s);
	now += 400 * MONO_MS;
	assert_int_equal(asked(s), 1);
	answer(s, Q, AB);
	assert_string_equal(told(s), "-" Q);
	site_free(s);
}

static void without_paths_nothing_is_guessed(void **state)
{
	struct site *s = site();

	(void)state;
	best(s, AB, Q);
	announce(s, AC, Q, via_c_b);
	announce(s, AB, Q, via_b);
	withdraw(s, AC, Q);
	assert_string_equal(told(s), "");
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@2");
	site_free(s);
}

static void a_path_that_comes_later_is_taken(void **state)
{
	struct site *s = site();

	(void)state;
	withdraw(s, AC, P);
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "");
	best_gone(s, AB, P); /* bgpd has withdrawn it */
	now += 60 * MONO_MS;
	announce(s, AC, P, via_c_b);
	assert_string_equal(told(s), "+" P "@2"); /* bgpd would wait 50 ms */
	now += 100 * MONO_MS;
	assert_int_equal(asked(s), 1);
	answer(s, P, AC);
	assert_string_equal(told(s), "-" P);
	site_free(s);
}

static void a_route_that_went_is_not_waited_for_long(void **state)
{
	struct site *s = site();

	(void)state;
	withdraw(s, AC, P);
	tunnel(s, AB, WITNESS_IKE, true);
	told(s);
	best_gone(s, AB, P);
	assert_int_equal(repair_deadline(s->plan), now + 3 * MONO_S);
	now += 3 * MONO_S;
	assert_string_equal(told(s), "");
	announce(s, AC, P, via_c_b);
	assert_string_equal(told(s), "");
	assert_int_equal(repair_stats(s->plan).known, 0);
	site_free(s);
}

static void what_is_left_of_several_ways(void **state)
{
	struct site *s = site();
	struct zapi_route r = route(AB, P);

	(void)state;
	r.n_nexthops = 3;
	r.nexthops[1] = route(AC, P).nexthops[0];
	r.nexthops[2] = route(AD, P).nexthops[0];
	repair_best(s->plan, &r, now);
	tunnel(s, AC, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@1,3");
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@3");
	site_free(s);
}

static void unnumbered_neighbours(void **state)
{
	static const char p6[] = "2001:db8:2::/48";
	struct site *s = site();

	(void)state;
	announce(s, AB, p6, via_b);
	announce(s, AC, p6, via_c_b);
	best(s, AB, p6);
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@2 +2001:db8:2::/48@2");
	site_free(s);
}

static void unnumbered_up(struct site *s, const struct path_peer *peer, const char *to)
{
	struct path_attrs a = {.as_path = via_b, .n_as = 1, .as_length = 1};
	struct prefix p = prefix(to);

	a.nexthop_local = peer->key.addr;
	assert_true(paths_peer_up(s->paths, peer));
	assert_true(paths_announce(s->paths, &peer->key, &p, &a));
	take_changes(s);
}

/* It was lost on a device of its own; when it is back, another one has our address, too (vti
 * devices with one outer address do), or the device was made anew. */
static void an_unnumbered_neighbour_comes_back(void **state)
{
	struct site *s = site();
	const struct zapi_address own = {.ifindex = AB, .prefix = {address("fe80::5"), 64}};
	const struct zapi_address same = {.ifindex = AD, .prefix = own.prefix};
	const struct path_peer peer = {.key = {.id = 9, .addr = address("fe80::1")},
				       .local = own.prefix.addr,
				       .as = 65002,
				       .local_as = OUR_AS};

	(void)state;
	repair_address(s->plan, &own, true);
	unnumbered_up(s, &peer, "2001:db8:2::/48");
	announce(s, AC, "2001:db8:2::/48", via_c_b);
	best(s, AB, "2001:db8:2::/48");
	assert_string_equal(told(s), "");
	paths_peer_down(s->paths, &peer.key, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+2001:db8:2::/48@2");
	best(s, AC, "2001:db8:2::/48");
	assert_string_equal(told(s), "-2001:db8:2::/48");
	repair_address(s->plan, &same, true);
	unnumbered_up(s, &peer, "2001:db8:2::/48");
	best(s, AB, "2001:db8:2::/48");
	assert_string_equal(told(s), "");
	site_free(s);
}

static void device(struct site *s, const char *name, uint32_t ifindex, bool present)
{
	struct zapi_interface i = {.ifindex = ifindex, .flags = IFF_UP | IFF_RUNNING};
	const struct zapi_address own = {.ifindex = ifindex, .prefix = {address("fe80::5"), 64}};

	snprintf(i.name, sizeof(i.name), "%s", name);
	repair_interface(s->plan, &i, present);
	if (present)
		repair_address(s->plan, &own, true);
}

static void best_over(struct site *s, uint32_t ifindex, const struct path_peer *peer,
		      const char *to)
{
	struct zapi_route r = route(ifindex, to);

	r.nexthops[0].gateway = peer->key.addr;
	repair_best(s->plan, &r, now);
}

/* fe80::1, AS 65002, and so on; our address is on several devices, so that only routes tell which
 * one the neighbour is on. */
static struct path_peer unnumbered(unsigned n)
{
	struct path_peer p = {.local = address("fe80::5"), .as = OUR_AS + n, .local_as = OUR_AS};
	char text[32];

	snprintf(text, sizeof(text), "fe80::%u", n);
	p.key = (struct path_peer_key){.id = 8 + n, .addr = address(text)};
	return p;
}

static struct site *unnumbered_site(void)
{
	struct site *s = site();

	for (unsigned link = AB; link <= AD; link++)
		device(s, names[link], link, true);
	return s;
}

/* The device goes, and is there again with another number. */
static void made_anew_as(const char *name)
{
	struct site *s = unnumbered_site();
	const struct path_peer first = unnumbered(1), second = unnumbered(2);

	unnumbered_up(s, &first, "2001:db8:2::/48");
	unnumbered_up(s, &second, "2001:db8:3::/48");
	best_over(s, AB, &first, "2001:db8:2::/48");
	best_over(s, AC, &second, "2001:db8:3::/48");
	assert_string_equal(told(s), "");
	device(s, names[AC], AC, false);
	assert_string_equal(told(s), "");
	device(s, name, 77, true);
	unnumbered_up(s, &second, "2001:db8:2::/48");
	best_over(s, 77, &second, "2001:db8:3::/48");
	assert_string_equal(told(s), "");
	repair_tunnel(s->plan, names[AB], WITNESS_IKE, true, "test");
	assert_string_equal(told(s), "+2001:db8:2::/48@77");
	site_free(s);
}

static void an_unnumbered_neighbours_device_is_made_anew(void **state)
{
	(void)state;
	made_anew_as(names[AC]);
	made_anew_as("tun-new");
}

/* Of two devices that the neighbour was seen on, one goes. */
static void a_neighbour_of_two_devices_is_found_when_one_goes(void **state)
{
	struct site *s = unnumbered_site();
	const struct path_peer first = unnumbered(1), second = unnumbered(2);

	(void)state;
	withdraw(s, AC, P);
	unnumbered_up(s, &first, "2001:db8:2::/48");
	unnumbered_up(s, &second, "2001:db8:3::/48");
	unnumbered_up(s, &second, "2001:db8:2::/48");
	best_over(s, AB, &first, "2001:db8:2::/48");
	best_over(s, AC, &second, "2001:db8:3::/48");
	best_over(s, AD, &second, "2001:db8:3::/48");
	repair_tunnel(s->plan, names[AB], WITNESS_IKE, true, "test");
	assert_string_equal(told(s), ""); /* on C's, or on D's? */
	repair_tunnel(s->plan, names[AB], WITNESS_IKE, false, "test");
	assert_string_equal(told(s), "");
	device(s, names[AD], AD, false);
	best_over(s, AC, &second, "2001:db8:3::/48");
	repair_tunnel(s->plan, names[AB], WITNESS_IKE, true, "test");
	assert_string_equal(told(s), "+2001:db8:2::/48@2");
	device(s, names[AC], AC, false); /* and then it is nowhere */
	assert_string_equal(told(s), "-2001:db8:2::/48");
	site_free(s);
}

/* The kernel takes the addresses from a device that goes down; our link-local one is another's,
 * too, and that one's neighbour is well. */
static void who_is_lost_is_not_looked_for_on_another_device(void **state)
{
	struct site *s = site();
	const struct zapi_address own = {.ifindex = AC, .prefix = {address("fe80::5"), 64}};
	const struct path_peer first = unnumbered(1), second = unnumbered(2);

	(void)state;
	device(s, names[AB], AB, true);
	device(s, names[AC], AC, true);
	unnumbered_up(s, &first, "2001:db8:2::/48");
	unnumbered_up(s, &second, "2001:db8:3::/48");
	announce(s, AD, "2001:db8:2::/48", via_d_x_b);
	best_over(s, AB, &first, "2001:db8:2::/48");
	best_over(s, AC, &second, "2001:db8:3::/48");
	interface(s, AC, false);
	repair_address(s->plan, &own, false);
	paths_peer_down(s->paths, &second.key, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "");
	site_free(s);
}

static const char to_first[] = "2001:db8:2::/48", to_second[] = "2001:db8:3::/48";

/* Each neighbour's network is reached over AB, and over C, too. */
static void two_on_one_device(struct site *s, const struct path_peer *first,
			      const struct path_peer *second)
{
	announce(s, AC, to_first, via_c_b);
	announce(s, AC, to_second, via_c_b);
	best_over(s, AB, first, to_first);
	best_over(s, AB, second, to_second);
}

/* Two neighbours on one network: the one that goes takes nothing of the other's along. */
static void a_neighbour_beside_the_one_that_goes_lives(void **state)
{
	struct site *s = site();
	const struct path_peer first = unnumbered(1), second = unnumbered(2);

	(void)state;
	device(s, names[AB], AB, true);
	unnumbered_up(s, &first, to_first);
	unnumbered_up(s, &second, to_second);
	two_on_one_device(s, &first, &second);
	assert_string_equal(told(s), "");
	paths_peer_down(s->paths, &first.key, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+2001:db8:2::/48@2");
	paths_peer_down(s->paths, &second.key, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+2001:db8:3::/48@2");
	site_free(s);
}

/* A neighbour with a global address goes, and who else is on its device is told by routes alone:
 * our link-local address is another device's, too. */
static void a_neighbour_that_routes_place_beside_the_one_that_goes_lives(void **state)
{
	static const char ours[] = "2001:db8:ff::1";
	struct site *s = unnumbered_site();
	const struct zapi_address global = {.ifindex = AB, .prefix = {address(ours), 64}};
	const struct path_peer first = {.key = {.id = 20, .addr = address("2001:db8:ff::2")},
					.local = global.prefix.addr,
					.as = 65002,
					.local_as = OUR_AS};
	const struct path_peer second = unnumbered(2);

	(void)state;
	repair_address(s->plan, &global, true);
	unnumbered_up(s, &first, to_first);
	unnumbered_up(s, &second, to_second);
	two_on_one_device(s, &first, &second);
	paths_peer_down(s->paths, &first.key, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+2001:db8:2::/48@2");
	site_free(s);
}

/* BMP told of the sessions, but not yet of their paths; the other one comes back first. */
static void of_two_unnumbered_sessions_that_end_one_is_enough(void **state)
{
	struct site *s = site();
	const struct path_peer first = unnumbered(1), second = unnumbered(2);

	(void)state;
	device(s, names[AB], AB, true);
	assert_true(paths_peer_up(s->paths, &first));
	assert_true(paths_peer_up(s->paths, &second));
	two_on_one_device(s, &first, &second);
	paths_peer_down(s->paths, &first.key, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+2001:db8:2::/48@2");
	paths_peer_down(s->paths, &second.key, "hold timer");
	take_changes(s);
	assert_string_equal(told(s), "+2001:db8:3::/48@2");
	assert_true(paths_peer_up(s->paths, &second));
	take_changes(s);
	best_over(s, AB, &second, to_second);
	assert_string_equal(told(s), "-2001:db8:3::/48");
	best_over(s, AB, &first, to_first); /* as zebra still has it */
	assert_string_equal(told(s), "");
	site_free(s);
}

static void a_neighbour_behind_a_host_route(void **state)
{
	static const char loopback[] = "10.0.0.3/32";
	struct site *s = site();
	struct path_peer d = {.key = {.id = 9, .addr = address("10.0.0.3")},
			      .local = address("10.0.0.1"),
			      .as = 65003,
			      .local_as = OUR_AS};
	struct path_attrs a = {.as_path = via_c_b, .n_as = 2, .nexthop = address("10.0.0.3")};
	struct zapi_route host = route(AD, loopback);
	struct prefix p = prefix(P);

	(void)state;
	withdraw(s, AC, P);
	host.type = ZAPI_TYPE_NHRP;
	host.nexthops[0].gateway = (struct addr){0};
	repair_best(s->plan, &host, now);
	paths_peer_up(s->paths, &d);
	paths_announce(s->paths, &d.key, &p, &a);
	take_changes(s);
	tunnel(s, AB, WITNESS_IKE, true);
	assert_string_equal(told(s), "+" P "@3");
	site_free(s);
}

/* ---- zebra ---- */

static void nothing_else_is_given_a_second(void **state)
{
	struct site *s = site();

	(void)state;
	tunnel(s, AB, WITNESS_IKE, true);
	told(s);
	for (int i = 0; i < 5; i++) {
		now += 200 * MONO_MS;
		assert_int_equal(asked(s), 1);
		answer(s, P, 0);
		assert_string_equal(told(s), "");
	}
	now += 200 * MONO_MS;
	assert_int_equal(asked(s), 1);
	answer(s, P, 0);
	assert_string_equal(told(s), "-" P);
	assert_int_equal(repair_stats(s->plan).known, 0);
	site_free(s);
}

static void refused_ones_are_tried_again(void **state)
{
	struct site *s = site();

	(void)state;
	tunnel(s, AB, WITNESS_IKE, true);
	told(s);
	for (int i = 0; i < 3; i++) {
		note(s, P, ZAPI_NOTE_FAIL_INSTALL);
		now = repair_deadline(s->plan);
		assert_int_equal(asked(s), 0);
		assert_string_equal(told(s), "+" P "@2");
	}
	note(s, P, ZAPI_NOTE_INSTALLED);
	assert_int_equal(repair_stats(s->plan).installed, 1);
	assert_int_equal(repair_stats(s->plan).refused, 3);
	note(s, P, ZAPI_NOTE_BETTER_ADMIN_WON);
	assert_string_equal(told(s), "-" P);
	site_free(s);
}

static void zebra_comes_back(void **state)
{
	struct site *s = site();

	(void)state;
	tunnel(s, AB, WITNESS_IKE, true);
	told(s);
	now += 100 * MONO_MS;
	assert_int_equal(asked(s), 1);
	repair_session(s->plan, false, now);
	assert_string_equal(told(s), "");
	answer(s, P, AC); /* of a question to the former one */
	for (unsigned link = AB; link <= AD; link++) {
		struct zapi_address a = {.ifindex = link, .prefix = {end_of(link, false), 31}};

		interface(s, link, true);
		repair_address(s->plan, &a, true);
	}
	repair_session(s->plan, true, now);
	best(s, AB, P); /* bgpd has not heard yet */
	assert_string_equal(told(s), "+" P "@2");
	best(s, AC, P);
	assert_string_equal(told(s), "-" P);
	site_free(s);
}

static void switched_off(void **state)
{
	struct site *s = site();

	(void)state;
	tunnel(s, AB, WITNESS_IKE, true);
	told(s);
	repair_end(s->plan, "test");
	assert_string_equal(told(s), "-" P);
	assert_int_equal(repair_stats(s->plan).ended[REPAIR_END_OFF], 1);
	site_free(s);
}

/* ---- turns ---- */

/* "+again@4": what is to be told of turns, whose packets come from AB. */
static const char *turned(struct site *s)
{
	static char text[128];
	struct repair_action a;
	size_t n = 0;

	text[0] = '\0';
	while (repair_next(s->plan, &a, now)) {
		if (a.from != AB)
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c%s@%u", n ? " " : "",
				      a.add ? '+' : '-', a.again ? "again" : "",
				      a.hops.n ? a.hops.hop[0].ifindex : 0);
	}
	return text;
}

static const uint32_t via_d[] = {65004, 65099, 0};

/* Whoever counts them (the kernel's rule is there while one is) has to know which are new. */
static void a_turn_takes_the_place_of_another(void **state)
{
	struct site *s = site();

	(void)state;
	repair_turns(s->plan, true);
	assert_string_equal(turned(s), "+@0");
	announce(s, AD, P, via_d);
	assert_string_equal(turned(s), "+again@3");
	assert_int_equal(repair_stats(s->plan).turns, 1);
	interface(s, AD, false); /* its way is gone, BGP has not heard */
	turned(s);
	now += MONO_S;
	assert_string_equal(turned(s), "+again@0");
	interface(s, AD, true);
	turned(s);
	now += MONO_S;
	assert_string_equal(turned(s), "+again@3");
	best(s, AD, P);
	assert_string_equal(turned(s), "-@3");
	site_free(s);
}

/* ---- pace ---- */

#define MANY  100000
#define MOVED 10000

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ten_thousand_of_a_hundred_thousand(void **state)
{
	struct site *s = site();
	struct repair_action a;
	char text[32];
	unsigned n = 0, outstanding;
	double start;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%u.%u.%u.0/24", 20 + i / 65536, i / 256 % 256,
			 i % 256);
		announce(s, AC, text, via_c_b);
		announce(s, i < MOVED ? AB : AD, text, via_b);
		best(s, i < MOVED ? AB : AD, text);
	}
	start = seconds();
	tunnel(s, AB, WITNESS_IKE, true);
	while (repair_next(s->plan, &a, now))
		n++;
	print_message("%u of %u prefixes repaired in %.1f ms\n", n, MANY,
		      (seconds() - start) * 1000);
	assert_int_equal(n, MOVED + 1);
	assert_true(seconds() - start < 1.);
	now += 100 * MONO_MS;
	outstanding = asked(s);
	assert_int_equal(outstanding, REPAIR_ASKING_MAX);
	assert_int_equal(repair_deadline(s->plan), MONO_NEVER);
	answer(s, P, AC);
	assert_int_equal(asked(s), 1);
	site_free(s);
}

#define PEERS 1000
#define EACH  100 /* prefixes of one */

static struct path_peer peer_number(unsigned n)
{
	struct path_peer p = {.as = 70000 + n, .local_as = OUR_AS};
	char text[32];

	snprintf(text, sizeof(text), "10.200.%u.%u", n / 256, n % 256);
	p.key = (struct path_peer_key){.id = 1000 + n, .addr = address(text)};
	return p;
}

static void announced_by(struct site *s, unsigned n)
{
	struct path_peer p = peer_number(n);
	struct path_attrs a = {.as_path = via_b, .n_as = 1, .as_length = 1, .nexthop = p.key.addr};
	char text[32];

	assert_true(paths_peer_up(s->paths, &p));
	for (unsigned i = n * EACH; i < (n + 1) * EACH; i++) {
		struct zapi_route r;
		struct prefix to;

		snprintf(text, sizeof(text), "%u.%u.%u.0/24", 20 + i / 65536, i / 256 % 256,
			 i % 256);
		r = route(AB, text);
		r.nexthops[0].gateway = p.key.addr;
		to = r.prefix;
		assert_true(paths_announce(s->paths, &p.key, &to, &a));
		repair_best(s->plan, &r, now);
	}
}

/* Each one's end costs its own prefixes, not those of all that went before. */
static void a_thousand_peers_go(void **state)
{
	struct site *s = site();
	double start, took;

	(void)state;
	for (unsigned n = 0; n < PEERS; n++)
		announced_by(s, n);
	take_changes(s);
	start = seconds();
	for (unsigned n = 0; n < PEERS; n++) {
		struct path_peer p = peer_number(n);

		paths_peer_down(s->paths, &p.key, "test");
		take_changes(s);
	}
	took = seconds() - start;
	print_message("%u peers of %u prefixes went in %.1f ms\n", PEERS, EACH, took * 1000);
	assert_int_equal(repair_stats(s->plan).helpless, PEERS * EACH);
	assert_true(took < 3.);
	site_free(s);
}

/* n is also the last part of the device's number. */
static void neighbour(struct site *s, unsigned n)
{
	struct zapi_interface i = {.ifindex = 1000 + n, .flags = IFF_UP | IFF_RUNNING};
	struct zapi_address a = {.ifindex = i.ifindex};
	struct path_peer p = peer_number(n);
	char text[32];

	snprintf(i.name, sizeof(i.name), "tun%u", n);
	snprintf(text, sizeof(text), "10.201.%u.%u/32", n / 256, n % 256);
	a.prefix = prefix(text);
	p.local = a.prefix.addr;
	assert_true(paths_peer_up(s->paths, &p));
	repair_interface(s->plan, &i, true);
	repair_address(s->plan, &a, true);
}

/* Which of a thousand neighbours are on a path is found by the path. */
static void turns_among_a_thousand_neighbours(void **state)
{
	struct site *s = site();
	char text[32];
	double start, took;

	(void)state;
	for (unsigned n = 0; n < PEERS; n++)
		neighbour(s, n);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%u.%u.%u.0/24", 20 + i / 65536, i / 256 % 256,
			 i % 256);
		announce(s, AB, text, via_b);
		best(s, AB, text);
	}
	start = seconds();
	repair_turns(s->plan, true);
	took = seconds() - start;
	print_message("turns of %u prefixes among %u neighbours: %.1f ms\n", MANY, PEERS,
		      took * 1000);
	assert_int_equal(repair_stats(s->plan).turns, MANY + 1);
	assert_true(took < 2.);
	site_free(s);
}

#define DEVICES 10000

static void device_turns(struct site *s, unsigned n, bool up)
{
	struct zapi_interface i = {.ifindex = 1000 + n,
				   .flags = up ? IFF_UP | IFF_RUNNING : IFF_UP};

	snprintf(i.name, sizeof(i.name), "tun%u", n);
	repair_interface(s->plan, &i, true);
	told(s);
}

static void route_over(struct site *s, unsigned n)
{
	struct zapi_route r;
	char text[32];

	snprintf(text, sizeof(text), "30.%u.%u.0/24", n / 256, n % 256);
	r = route(AB, text);
	r.nexthops[0].ifindex = 1000 + n;
	repair_best(s->plan, &r, now);
}

/* A device's end costs its own prefixes, not a look at all devices and sets of nexthops; and so
 * does its coming where nobody knows another way. */
static void ten_thousand_devices_go_and_come(void **state)
{
	struct site *s = site();
	double start, took;

	(void)state;
	for (unsigned n = 0; n < DEVICES; n++) {
		device_turns(s, n, true);
		route_over(s, n);
	}
	start = seconds();
	for (unsigned n = 0; n < DEVICES; n++)
		device_turns(s, n, false);
	assert_int_equal(repair_stats(s->plan).helpless, DEVICES);
	for (unsigned n = 0; n < DEVICES; n++)
		device_turns(s, n, true);
	took = seconds() - start;
	print_message("%u devices went and came in %.1f ms\n", DEVICES, took * 1000);
	assert_int_equal(repair_stats(s->plan).helpless, 0);
	assert_true(took < 1.);
	site_free(s);
}

/* Names come and go; what routes and witnesses speak of stays. */
static void devices_that_are_gone_are_forgotten(void **state)
{
	struct site *s = site();
	struct zapi_interface i = {.ifindex = 999, .flags = IFF_UP | IFF_RUNNING};

	(void)state;
	interface_gone(s, AB);
	repair_tunnel(s->plan, names[AD], WITNESS_IKE, true, "test");
	interface_gone(s, AD);
	assert_string_equal(told(s), "+" P "@2");
	for (unsigned n = 0; n < DEVICES; n++) {
		snprintf(i.name, sizeof(i.name), "veth%u", n);
		i.ifindex = 1000 + n;
		repair_interface(s->plan, &i, true);
		repair_interface(s->plan, &i, false);
		assert_string_equal(told(s), "");
	}
	assert_true(repair_stats(s->plan).devices < DEVICES / 2);
	best(s, AB, P);
	assert_string_equal(told(s), ""); /* it is gone as before */
	best(s, AD, P);
	assert_string_equal(told(s), "");
	assert_int_equal(repair_stats(s->plan).active, 1);
	repair_session(s->plan, false, now);
	assert_int_equal(repair_stats(s->plan).devices, 1);
	site_free(s);
}

/* ---- answers ---- */

static struct repair_answer read_json(const char *text)
{
	struct repair_answer a;

	repair_json_read(span_str(text), "table 247", &a);
	return a;
}

static void zebras_answers(void **state)
{
	struct repair_answer a;

	(void)state;
	assert_true(read_json("{}\n").valid);
	assert_int_equal(read_json("{}\n").hops.n, 0);
	assert_false(read_json("").valid);
	assert_false(read_json("[1]").valid);
	assert_false(read_json("% Unknown command").valid);
	a = read_json(
		"{\"10.2.0.0/24\":[{\"protocol\":\"table\",\"instance\":247,\"distance\":5,"
		"\"nexthops\":[{\"ip\":\"10.255.2.1\",\"interfaceIndex\":2,\"active\":true}]},"
		"{\"protocol\":\"bgp\",\"distance\":20,\"nexthops\":[{\"ip\":\"10.0.0.9\","
		"\"recursive\":true,\"active\":true},{\"ip\":\"10.255.3.1\",\"interfaceIndex\":3,"
		"\"active\":true},{\"ip\":\"10.255.1.1\",\"interfaceIndex\":1}]},"
		"{\"protocol\":\"static\",\"distance\":254,\"nexthops\":[{\"unreachable\":true,"
		"\"blackhole\":true,\"active\":true}]}]}");
	assert_true(a.valid);
	assert_int_equal(a.distance, 20);
	assert_int_equal(a.hops.n, 1);
	assert_int_equal(a.hops.hop[0].ifindex, 3);
	a = read_json("{\"10.2.0.0/24\":[{\"protocol\":\"static\",\"distance\":254,\"nexthops\":"
		      "[{\"unreachable\":true,\"blackhole\":true,\"active\":true}]}]}");
	assert_true(a.valid);
	assert_int_equal(a.hops.n, 0);
}

static bool shadowed(const char *text)
{
	return repair_json_shadowed(span_str(text), "nhrp");
}

static void whether_ours_is_shadowed(void **state)
{
	(void)state;
	assert_false(shadowed("") || shadowed("{}") || shadowed("[1]") || shadowed("{\"a\":3}"));
	assert_true(shadowed("{\"10.2.0.0/24\":[{\"protocol\":\"nhrp\"},{\"protocol\":\"bgp\","
			     "\"selected\":true}]}"));
	assert_false(shadowed("{\"10.2.0.0/24\":[{\"protocol\":\"nhrp\",\"selected\":true},"
			      "{\"protocol\":\"bgp\"}]}"));
	assert_false(shadowed("{\"10.2.0.0/24\":[{\"protocol\":\"bgp\",\"selected\":true}]}"));
	assert_false(shadowed("{\"10.2.0.0/24\":[{\"protocol\":\"nhrp\",\"instance\":3}]}"));
}

/* "last", "not", or "unknown". */
static const char *way(struct site *s, unsigned link)
{
	bool last;

	if (!repair_last_way(s->plan, names[link], &last))
		return last ? "wrong" : "unknown";
	return last ? "last" : "not";
}

static void whether_it_is_the_last_way(void **state)
{
	struct site *s = site();

	(void)state;
	assert_string_equal(way(s, AB), "not"); /* C has a path, too */
	assert_string_equal(way(s, AC), "unknown");
	withdraw(s, AC, P);
	assert_string_equal(way(s, AB), "last"); /* C is there, but knows no way */
	announce(s, AB, Q, via_b);
	announce(s, AD, Q, via_d_x_b);
	best(s, AB, Q);
	assert_string_equal(way(s, AB), "not"); /* one prefix has another way */
	tunnel(s, AD, WITNESS_BFD, true);
	assert_string_equal(way(s, AB), "last"); /* a dead one */
	tunnel(s, AD, WITNESS_BFD, false);
	assert_string_equal(way(s, AB), "not");
	interface(s, AC, false);
	interface(s, AD, false);
	told(s);
	assert_string_equal(way(s, AB), "last"); /* nobody else is there */
	site_free(s);
}

static void a_deleted_devices_neighbour_is_no_other_way(void **state)
{
	struct site *s = site();
	const struct zapi_address own = {.ifindex = AC, .prefix = {end_of(AC, false), 31}};

	(void)state;
	assert_string_equal(way(s, AB), "not");
	repair_address(s->plan, &own, false);
	interface_gone(s, AC); /* bgpd has not heard */
	assert_string_equal(way(s, AB), "last");
	interface(s, AC, true);
	repair_address(s->plan, &own, true);
	assert_string_equal(way(s, AB), "not");
	site_free(s);
}

static void a_deleted_devices_unnumbered_neighbour_is_no_other_way(void **state)
{
	struct site *s = unnumbered_site();
	const struct path_peer first = unnumbered(1), second = unnumbered(2);

	(void)state;
	withdraw(s, AC, P);
	unnumbered_up(s, &first, "2001:db8:2::/48");
	unnumbered_up(s, &second, "2001:db8:2::/48");
	best_over(s, AB, &first, "2001:db8:2::/48");
	best_over(s, AC, &second, "2001:db8:3::/48");
	assert_string_equal(way(s, AB), "not");
	device(s, names[AC], AC, false);
	assert_string_equal(way(s, AB), "last");
	site_free(s);
}

static void in_doubt_it_is_not_the_last_way(void **state)
{
	struct site *s = site();
	struct zapi_route several = route(AB, Q);
	bool last = true;

	(void)state;
	assert_false(repair_last_way(s->plan, "tun-x", &last));
	assert_false(last);
	withdraw(s, AC, P);
	best(s, AB, Q); /* nobody told of its path */
	assert_string_equal(way(s, AB), "unknown");
	best_gone(s, AB, Q);
	assert_string_equal(way(s, AB), "last");
	several.n_nexthops = 2;
	several.nexthops[1] = several.nexthops[0];
	several.nexthops[1].ifindex = AC;
	several.nexthops[1].gateway = end_of(AC, true);
	repair_best(s->plan, &several, now);
	assert_string_equal(way(s, AB), "not");
	best(s, AB, Q);
	best_gone(s, AB, Q);
	repair_turns(s->plan, true); /* C may turn the packets round */
	assert_string_equal(way(s, AB), "not");
	site_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repairs_and_steps_back),
		cmocka_unit_test(every_witness_alone_is_enough),
		cmocka_unit_test(says_nothing_of_what_does_not_use_it),
		cmocka_unit_test(dies_with_its_alternative_at_once),
		cmocka_unit_test(never_through_ourselves),
		cmocka_unit_test(never_inside_our_as),
		cmocka_unit_test(never_by_another_vrf),
		cmocka_unit_test(the_shortest_way_around),
		cmocka_unit_test(a_withdrawn_path_is_repaired_before_bgpd_decides),
		cmocka_unit_test(a_neighbour_that_goes_takes_its_paths_along),
		cmocka_unit_test(a_session_that_ends_is_enough),
		cmocka_unit_test(without_paths_nothing_is_guessed),
		cmocka_unit_test(a_path_that_comes_later_is_taken),
		cmocka_unit_test(a_route_that_went_is_not_waited_for_long),
		cmocka_unit_test(what_is_left_of_several_ways),
		cmocka_unit_test(unnumbered_neighbours),
		cmocka_unit_test(an_unnumbered_neighbour_comes_back),
		cmocka_unit_test(an_unnumbered_neighbours_device_is_made_anew),
		cmocka_unit_test(a_neighbour_of_two_devices_is_found_when_one_goes),
		cmocka_unit_test(who_is_lost_is_not_looked_for_on_another_device),
		cmocka_unit_test(a_neighbour_beside_the_one_that_goes_lives),
		cmocka_unit_test(a_neighbour_that_routes_place_beside_the_one_that_goes_lives),
		cmocka_unit_test(of_two_unnumbered_sessions_that_end_one_is_enough),
		cmocka_unit_test(a_neighbour_behind_a_host_route),
		cmocka_unit_test(nothing_else_is_given_a_second),
		cmocka_unit_test(refused_ones_are_tried_again),
		cmocka_unit_test(zebra_comes_back),
		cmocka_unit_test(switched_off),
		cmocka_unit_test(a_turn_takes_the_place_of_another),
		cmocka_unit_test(ten_thousand_of_a_hundred_thousand),
		cmocka_unit_test(a_thousand_peers_go),
		cmocka_unit_test(turns_among_a_thousand_neighbours),
		cmocka_unit_test(ten_thousand_devices_go_and_come),
		cmocka_unit_test(devices_that_are_gone_are_forgotten),
		cmocka_unit_test(whether_it_is_the_last_way),
		cmocka_unit_test(a_deleted_devices_neighbour_is_no_other_way),
		cmocka_unit_test(a_deleted_devices_unnumbered_neighbour_is_no_other_way),
		cmocka_unit_test(in_doubt_it_is_not_the_last_way),
		cmocka_unit_test(zebras_answers),
		cmocka_unit_test(whether_ours_is_shadowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
