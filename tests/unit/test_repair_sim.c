/* Local repair in small random networks: every site has a planner, a model of bgpd (path
 * vector; it decides 50 ms after it heard of something) and one of zebra. Links die; each
 * millisecond every packet's way is followed. SEED=n ROUNDS=n repeat and prolong. */
#include "routed-bridge/repair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SITES_MAX 7
#define LINKS_MAX 21
#define NONE	  (-1)
#define DROP	  (-2) /* a U-turn without a way */
#define HOLD	  50   /* ms that bgpd collects changes for */
#define EVENTS	  4096

/* An AS_PATH: sites from the neighbour on to the origin; n = 0: unreachable (or our own). */
struct way {
	unsigned n;
	uint32_t as[SITES_MAX];
};

enum event_kind { UPDATE, REDISTRIBUTED, CONFIRMED, ANSWERED, DETECTED, DECIDES, RESTORED };

struct event {
	unsigned at;
	enum event_kind kind;
	int link, prefix;
	bool on;
	struct way way;
};

struct site {
	struct paths *paths;
	struct repair *plan;
	struct event events[EVENTS];
	unsigned n_events;
	struct way heard[LINKS_MAX][SITES_MAX]; /* by link and prefix; already without loops */
	struct way best[SITES_MAX];
	bool session[LINKS_MAX];
	int bgp[SITES_MAX], repair[SITES_MAX]; /* zebra: the link; NONE */
	int turn[LINKS_MAX][SITES_MAX]; /* of packets that came in there; NONE: as all others */
	bool decides;
};

static struct site sites[SITES_MAX];
static int ends[LINKS_MAX][2];
static bool alive[LINKS_MAX];
static int n_sites, n_links;
static unsigned now;
static bool repairing, turning, repaired;
static unsigned seed, repairs_seen, loops, dead_ms, dead_ms_plain;

static unsigned below(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static mono_time clock_ms(void)
{
	return (1000 + now) * MONO_MS;
}

static int end_at(int link, int site)
{
	return ends[link][0] == site ? 0 : ends[link][1] == site ? 1 : NONE;
}

static int other(int link, int site)
{
	return ends[link][1 - end_at(link, site)];
}

static struct addr address(int link, int end)
{
	struct addr a = {.family = AF_INET, .bytes = {10, 255, (uint8_t)link, (uint8_t)end}};

	return a;
}

static struct prefix prefix_of(int origin)
{
	struct prefix p = {.addr = {.family = AF_INET, .bytes = {10, (uint8_t)origin}}, .len = 16};

	return p;
}

static uint32_t as_of(int site)
{
	return 65001 + (uint32_t)site;
}

static void plan_event(int site, unsigned delay, struct event e)
{
	struct site *s = &sites[site];

	assert_true(s->n_events < EVENTS);
	e.at = now + delay;
	s->events[s->n_events++] = e;
}

/* ---- zebra ---- */

static int fib(const struct site *s, int prefix)
{
	return s->repair[prefix] != NONE ? s->repair[prefix] : s->bgp[prefix];
}

static struct zapi_route zapi_of(int site, int prefix, int link)
{
	struct zapi_route r = {.type = ZAPI_TYPE_BGP, .prefix = prefix_of(prefix), .n_nexthops = 1};

	r.nexthops[0].ifindex = (uint32_t)link + 1;
	r.nexthops[0].gateway = address(link, 1 - end_at(link, site));
	return r;
}

/* What zebra selects has changed from or to BGP's: it tells a millisecond or two later. */
static void set_entry(int site, int *entry, int prefix, int link)
{
	struct site *s = &sites[site];
	int was = s->repair[prefix] == NONE ? s->bgp[prefix] : NONE, is;

	*entry = link;
	is = s->repair[prefix] == NONE ? s->bgp[prefix] : NONE;
	if (is != was)
		plan_event(site, 1,
			   (struct event){.kind = REDISTRIBUTED,
					  .prefix = prefix,
					  .link = is != NONE ? is : was,
					  .on = is != NONE});
}

/* ---- the planner's output ---- */

static void settle(int site)
{
	struct site *s = &sites[site];
	struct repair_action a;
	struct prefix p;
	int prefix;

	while (repair_question(s->plan, &p, clock_ms()))
		plan_event(site, 1 + below(3),
			   (struct event){.kind = ANSWERED, .prefix = p.addr.bytes[1]});
	while (repair_next(s->plan, &a, clock_ms())) {
		prefix = a.prefix.addr.bytes[1];
		assert_true(repairing);
		if (a.from) {
			assert_true(turning);
			s->turn[a.from - 1][prefix] = !a.add	 ? NONE
						      : a.hops.n ? (int)a.hops.hop[0].ifindex - 1
								 : DROP;
			continue;
		}
		set_entry(site, &s->repair[prefix], prefix,
			  a.add ? (int)a.hops.hop[0].ifindex - 1 : NONE);
		repairs_seen += a.add;
		if (a.add)
			plan_event(site, 1, (struct event){.kind = CONFIRMED, .prefix = prefix});
	}
}

/* ---- bgpd ---- */

static void wake_bgpd(int site)
{
	if (!sites[site].decides)
		plan_event(site, HOLD, (struct event){.kind = DECIDES});
	sites[site].decides = true;
}

static bool same_way(const struct way *a, const struct way *b)
{
	return a->n == b->n && memcmp(a->as, b->as, a->n * sizeof(a->as[0])) == 0;
}

static bool has(const struct way *w, int site)
{
	for (unsigned i = 0; i < w->n; i++) {
		if (w->as[i] == as_of(site))
			return true;
	}
	return false;
}

/* The best that the site has heard; out->n is 0 without any. */
static int choose(const struct site *s, int prefix, struct way *out)
{
	int chosen = NONE;

	out->n = 0;
	for (int l = 0; l < n_links; l++) {
		const struct way *w = &s->heard[l][prefix];

		if (w->n &&
		    (!out->n || w->n < out->n || (w->n == out->n && w->as[0] < out->as[0]))) {
			*out = *w;
			chosen = l;
		}
	}
	return chosen;
}

static void tell(int site, int link, int prefix)
{
	struct event e = {.kind = UPDATE, .link = link, .prefix = prefix};
	const struct way *w = &sites[site].best[prefix];

	if (w->n || prefix == site) {
		e.way.n = w->n + 1;
		e.way.as[0] = as_of(site);
		memcpy(e.way.as + 1, w->as, w->n * sizeof(w->as[0]));
	}
	plan_event(other(link, site), 1, e);
}

static void decide(int site)
{
	struct site *s = &sites[site];

	s->decides = false;
	for (int p = 0; p < n_sites; p++) {
		struct way w;
		int link = choose(s, p, &w);

		if (p == site || (same_way(&w, &s->best[p]) && link == s->bgp[p]))
			continue;
		s->best[p] = w;
		set_entry(site, &s->bgp[p], p, link);
		for (int l = 0; l < n_links; l++) {
			if (end_at(l, site) != NONE && s->session[l])
				tell(site, l, p);
		}
	}
}

static struct path_peer peer_on(int site, int link)
{
	int end = end_at(link, site), peer = other(link, site);
	struct path_peer p = {
		.key = {.id = (uint32_t)peer + 1, .addr = address(link, 1 - end)},
		.local = address(link, end),
		.as = as_of(peer),
		.local_as = as_of(site),
	};

	return p;
}

static void changed_paths(int site)
{
	struct path_change c;

	while (paths_change(sites[site].paths, &c)) {
		if (c.kind != PATH_CHANGE_PREFIX)
			repair_peers(sites[site].plan);
		if (c.kind == PATH_CHANGE_PREFIX && repairing)
			repair_path(sites[site].plan, &c.prefix, clock_ms());
		else if (repairing)
			repair_peer(sites[site].plan, c.peer, clock_ms());
	}
}

static void hear(int site, const struct event *e)
{
	struct site *s = &sites[site];
	struct path_peer peer = peer_on(site, e->link);
	struct path_attrs a = {.as_path = e->way.as,
			       .nexthop = peer.key.addr,
			       .n_as = (uint16_t)e->way.n,
			       .as_length = (uint16_t)e->way.n};
	struct prefix p = prefix_of(e->prefix);

	if (!s->session[e->link])
		return;
	s->heard[e->link][e->prefix] = e->way;
	if (has(&e->way, site))
		s->heard[e->link][e->prefix].n = 0;
	if (s->heard[e->link][e->prefix].n)
		paths_announce(s->paths, &peer.key, &p, &a);
	else
		paths_withdraw(s->paths, &peer.key, &p);
	changed_paths(site);
	wake_bgpd(site);
}

static void session_down(int site, int link)
{
	struct site *s = &sites[site];
	struct path_peer peer = peer_on(site, link);

	s->session[link] = false;
	memset(s->heard[link], 0, sizeof(s->heard[link]));
	paths_peer_down(s->paths, &peer.key, "test");
	changed_paths(site);
	wake_bgpd(site);
}

static void session_up(int site, int link)
{
	struct path_peer peer = peer_on(site, link);

	sites[site].session[link] = true;
	paths_peer_up(sites[site].paths, &peer);
	for (int p = 0; p < n_sites; p++)
		tell(site, link, p);
}

/* ---- what happens ---- */

static void answer(int site, int prefix)
{
	int link = sites[site].bgp[prefix];
	struct repair_answer a = {.valid = true, .hops.n = link != NONE};
	struct prefix p = prefix_of(prefix);

	if (link != NONE)
		a.hops.hop[0] = zapi_of(site, prefix, link).nexthops[0];
	repair_answer(sites[site].plan, &p, &a, clock_ms());
}

static void witness(int site, int link, bool dead)
{
	char name[IF_NAMESIZE];

	snprintf(name, sizeof(name), "tun-%d", link);
	if (repairing)
		repair_tunnel(sites[site].plan, name, WITNESS_IKE, dead, "test");
}

static void handle(int site, const struct event *e)
{
	struct repair *plan = sites[site].plan;
	struct zapi_route route;
	struct zapi_notify note = {.note = ZAPI_NOTE_INSTALLED, .prefix = prefix_of(e->prefix)};

	switch (e->kind) {
	case UPDATE:
		hear(site, e);
		break;
	case REDISTRIBUTED:
		route = zapi_of(site, e->prefix, e->link);
		if (e->on)
			repair_best(plan, &route, clock_ms());
		else
			repair_best_gone(plan, &route, clock_ms());
		break;
	case CONFIRMED:
		repair_notify(plan, &note, clock_ms());
		break;
	case ANSWERED:
		answer(site, e->prefix);
		break;
	case DETECTED:
		witness(site, e->link, true);
		settle(site); /* the bridge hears of it before bgpd does */
		session_down(site, e->link);
		break;
	case RESTORED:
		witness(site, e->link, false);
		session_up(site, e->link);
		break;
	case DECIDES:
		decide(site);
		break;
	}
	settle(site);
}

static void run_events(int site)
{
	struct site *s = &sites[site];

	for (unsigned i = 0; i < s->n_events;) {
		struct event e = s->events[i];

		if (e.at > now) {
			i++;
			continue;
		}
		memmove(&s->events[i], &s->events[i + 1], (s->n_events - i - 1) * sizeof(e));
		s->n_events--;
		handle(site, &e);
		i = 0; /* in the order they were planned, for each time */
	}
	settle(site);
}

static void link_dies(int link)
{
	alive[link] = false;
	for (int i = 0; i < 2; i++)
		plan_event(ends[link][i], below(4), (struct event){.kind = DETECTED, .link = link});
}

static void link_returns(int link)
{
	alive[link] = true;
	for (int i = 0; i < 2; i++)
		plan_event(ends[link][i], 5, (struct event){.kind = RESTORED, .link = link});
}

/* ---- the network ---- */

static void add_link(int a, int b)
{
	for (int l = 0; l < n_links; l++) {
		if (end_at(l, a) != NONE && end_at(l, b) != NONE)
			return;
	}
	ends[n_links][0] = a;
	ends[n_links][1] = b;
	alive[n_links++] = true;
}

static void add_interfaces(int site)
{
	for (int l = 0; l < n_links; l++) {
		struct zapi_interface i = {.ifindex = (uint32_t)l + 1,
					   .flags = IFF_UP | IFF_RUNNING};
		struct zapi_address a = {.ifindex = (uint32_t)l + 1};

		if (end_at(l, site) == NONE)
			continue;
		snprintf(i.name, sizeof(i.name), "tun-%d", l);
		a.prefix = (struct prefix){address(l, end_at(l, site)), 31};
		a.prefix.addr.bytes[3] = (uint8_t)end_at(l, site);
		repair_interface(sites[site].plan, &i, true);
		repair_address(sites[site].plan, &a, true);
	}
}

static void make_network(bool ring)
{
	n_links = 0;
	now = 0;
	n_sites = ring ? 5 : 3 + (int)below(SITES_MAX - 2);
	for (int i = 1; i < n_sites; i++)
		add_link(i, ring ? i - 1 : (int)below((unsigned)i));
	for (unsigned i = below(8); i > 0 && !ring; i--) {
		int a = (int)below((unsigned)n_sites), b = (int)below((unsigned)n_sites);

		if (a != b)
			add_link(a, b);
	}
	if (ring)
		add_link(n_sites - 1, 0);
	for (int i = 0; i < n_sites; i++) {
		struct site *s = &sites[i];

		memset(s, 0, sizeof(*s));
		s->paths = paths_new();
		s->plan = repair_new(s->paths, NULL);
		for (int p = 0; p < n_sites; p++)
			s->bgp[p] = s->repair[p] = NONE;
		for (int l = 0; l < n_links; l++) {
			for (int p = 0; p < n_sites; p++)
				s->turn[l][p] = NONE;
		}
		repair_turns(s->plan, repairing && turning);
		add_interfaces(i);
		repair_session(s->plan, true, clock_ms());
	}
	for (int l = 0; l < n_links; l++)
		link_returns(l);
}

/* ---- what must hold ---- */

/* Where a packet ends: 1 arrives, 0 is lost, -1 goes round. BGP alone makes it go round, too,
 * while it hunts for what nobody has: `repaired` tells whether the circle has a repair in it. */
static int follow(int site, int prefix)
{
	int from = NONE;

	repaired = false;
	for (int hops = 0; hops <= 2 * n_sites; hops++) {
		int link = fib(&sites[site], prefix);

		if (site == prefix)
			return 1;
		if (from != NONE && sites[site].turn[from][prefix] != NONE)
			link = sites[site].turn[from][prefix];
		if (link < 0 || !alive[link])
			return 0;
		from = link;
		repaired = repaired || (hops >= n_sites && sites[site].repair[prefix] != NONE);
		site = other(link, site);
	}
	return -1;
}

/* The sites that have a way to this one. */
static unsigned component_of(int site)
{
	unsigned set = 1u << site, before;

	do {
		before = set;
		for (int l = 0; l < n_links; l++) {
			unsigned both = 1u << ends[l][0] | 1u << ends[l][1];

			if (alive[l] && (set & both))
				set |= both;
		}
	} while (set != before);
	return set;
}

static void follow_all(bool loop_allowed)
{
	for (int s = 0; s < n_sites; s++) {
		for (int p = 0; p < n_sites; p++) {
			int end = follow(s, p);
			bool lost = end != 1 && (component_of(p) & 1u << s);

			dead_ms += repairing && lost;
			dead_ms_plain += !repairing && lost;
			loops += end < 0 && repaired;
			if (end < 0 && !loop_allowed && repaired)
				fail_msg("site %d's packets for %d go round over a repair at %u ms",
					 s, p, now);
		}
	}
}

/* A site whose route is dead and that was told so, while a neighbour has a way without it. */
static void nobody_is_left_behind(void)
{
	for (int i = 0; i < n_sites; i++) {
		for (int p = 0; p < n_sites; p++) {
			const struct site *s = &sites[i];
			int link = fib(s, p);
			struct way w;

			if (i != p && link != NONE && !alive[link] && choose(s, p, &w) != NONE)
				fail_msg("site %d sends what is for %d to a dead tunnel at %u ms",
					 i, p, now);
		}
	}
}

static void run(unsigned ms, bool loop_allowed, bool look)
{
	for (unsigned end = now + ms; now < end; now++) {
		for (int i = 0; i < n_sites; i++)
			run_events(i);
		if (look)
			follow_all(loop_allowed);
	}
}

/* BGP's result, and nothing of ours any more. */
static void all_is_quiet(void)
{
	for (int i = 0; i < n_sites; i++) {
		struct repair_stats stats = repair_stats(sites[i].plan);

		assert_int_equal(stats.active, 0);
		for (int p = 0; p < n_sites; p++) {
			struct way w;

			assert_int_equal(sites[i].repair[p], NONE);
			assert_true(i == p || choose(&sites[i], p, &w) == fib(&sites[i], p));
			assert_true(follow(i, p) >= 0);
		}
	}
}

static void end_network(void)
{
	for (int i = 0; i < n_sites; i++) {
		repair_free(sites[i].plan);
		paths_free(sites[i].paths);
	}
}

static unsigned from_env(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* Only the failure counts: when the link returns, BGP alone decides. */
static void single(bool ring, int link)
{
	unsigned with, without;

	make_network(ring);
	run(2000, true, false);
	link_dies(link < n_links ? link : (int)below((unsigned)n_links));
	run(5, false, true);
	if (repairing)
		nobody_is_left_behind();
	run(5000, false, true);
	with = dead_ms;
	without = dead_ms_plain;
	all_is_quiet();
	for (int l = 0; l < n_links; l++) {
		if (!alive[l])
			link_returns(l);
	}
	run(7000, false, true);
	dead_ms = with;
	dead_ms_plain = without;
	all_is_quiet();
	end_network();
}

/* The same networks and failures with and without repair. */
static void single_failures(void **state)
{
	unsigned rounds = from_env("ROUNDS", 150), first = from_env("SEED", 1);

	(void)state;
	repairs_seen = dead_ms = dead_ms_plain = 0;
	for (unsigned i = first; i < first + rounds; i++) {
		for (int with = 0; with < 2; with++) {
			seed = i;
			repairing = with;
			single(false, LINKS_MAX);
		}
	}
	print_message(
		"%u networks: %u repairs; a packet each ms: lost %u with, %u without repair\n",
		rounds, repairs_seen, dead_ms, dead_ms_plain);
	assert_true(repairs_seen > 0);
	assert_true(dead_ms < dead_ms_plain);
}

/* With U-turns every failure that leaves a way is repaired as soon as it is detected. */
static void single_failures_with_turns(void **state)
{
	unsigned rounds = from_env("ROUNDS", 150), first = from_env("SEED", 1), without;

	(void)state;
	repairing = true;
	dead_ms = 0;
	for (int turns = 0; turns < 2; turns++) {
		without = dead_ms;
		dead_ms = 0;
		turning = turns;
		for (unsigned i = first; i < first + rounds; i++) {
			seed = i;
			single(false, LINKS_MAX);
		}
	}
	turning = false;
	print_message("%u networks: lost %u with U-turns, %u without\n", rounds, dead_ms, without);
	assert_true(dead_ms <= without);
	assert_true(rounds < 150 || dead_ms * 3 < without); /* a few networks may need none */
}

static void rings_with_turns(void **state)
{
	(void)state;
	repairing = turning = true;
	for (int link = 0; link < 5; link++) {
		dead_ms = 0;
		seed = (unsigned)link + 1;
		single(true, link);
		print_message("ring of 5, link %d: lost %u\n", link, dead_ms);
		assert_true(dead_ms < 30); /* it is all detection: up to 3 ms at each end */
	}
	turning = false;
}

static void rings(void **state)
{
	(void)state;
	dead_ms = dead_ms_plain = 0;
	for (int link = 0; link < 5; link++) {
		for (int with = 0; with < 2; with++) {
			seed = (unsigned)link + 1;
			repairing = with;
			single(true, link);
		}
	}
	print_message("ring of 5: lost %u with, %u without repair\n", dead_ms, dead_ms_plain);
	assert_true(dead_ms < dead_ms_plain);
}

/* Two or more die while others are being repaired, some come back: what is left in the end
 * is BGP's. */
static void many_failures(void **state)
{
	unsigned rounds = from_env("ROUNDS", 150), first = from_env("SEED", 1);

	(void)state;
	repairing = true;
	loops = 0;
	for (unsigned i = first; i < first + rounds; i++) {
		seed = i;
		make_network(false);
		run(2000, true, false);
		for (unsigned n = 2 + below(4); n > 0; n--) {
			int link = (int)below((unsigned)n_links);

			if (alive[link])
				link_dies(link);
			else
				link_returns(link);
			run(below(120), true, true);
		}
		run(7000, true, true);
		all_is_quiet();
		end_network();
	}
	print_message("%u networks with several failures: %u packets went round over repairs\n",
		      rounds, loops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_failures),
		cmocka_unit_test(rings),
		cmocka_unit_test(single_failures_with_turns),
		cmocka_unit_test(rings_with_turns),
		cmocka_unit_test(many_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
