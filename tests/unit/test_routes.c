/* The route table: single steps, and a model of zebra under random events that must end
 * with wanted = installed. */
#include "routed-bridge/interfaces.h"
#include "routed-bridge/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/route_samples.h"

/* "+10.2.0.0/24@7 -..." : all that is to be told now. */
static const char *told(struct routes *r, mono_time now)
{
	static char text[512];
	char prefix[PREFIX_TEXT];
	struct route_action a;
	size_t n = 0;

	text[0] = '\0';
	while (routes_next(r, &a, now))
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c%s@%u", n ? " " : "",
				      a.kind == ROUTE_ACTION_ADD ? '+' : '-',
				      prefix_format(&a.route.prefix, prefix),
				      a.route.nexthops[0].ifindex);
	return text;
}

static void note(struct routes *r, const char *prefix, enum zapi_note n, mono_time now)
{
	struct zapi_notify notify = {.note = n};

	assert_true(prefix_parse(prefix, &notify.prefix));
	routes_notify(r, ZAPI_TYPE_NHRP, 0, &notify, now);
}

static void adds_and_withdraws(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	assert_true(routes_set(r, "a-b", &c, 1, "test"));
	assert_string_equal(told(r, 0), "+10.2.0.0/24@7");
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 0);
	assert_int_equal(routes_count(r).installed, 1);
	assert_true(routes_set(r, "a-b", &c, 1, "again"));
	assert_string_equal(told(r, 0), "");
	assert_true(routes_set(r, "a-b", NULL, 0, "down"));
	assert_string_equal(told(r, 0), "-10.2.0.0/24@7");
	assert_int_equal(routes_count(r).wanted, 0);
	routes_free(r);
}

static void withdrawals_overtake(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);
	struct route_claim d = claim("10.3.0.0/24", "tun-ac", 8);

	(void)state;
	routes_set(r, "a-b", &c, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@7");
	routes_set(r, "a-c", &d, 1, "up");
	routes_set(r, "a-b", NULL, 0, "down");
	assert_string_equal(told(r, 0), "-10.2.0.0/24@7 +10.3.0.0/24@8");
	routes_free(r);
}

static void says_nothing_without_a_session(void **state)
{
	struct routes *r = routes_new(NULL);
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	routes_set(r, "a-b", &c, 1, "up");
	assert_string_equal(told(r, 0), "");
	routes_session(r, ZAPI_TYPE_TABLE, 0, true);
	assert_string_equal(told(r, 0), "");
	routes_session(r, ZAPI_TYPE_NHRP, 0, true);
	assert_string_equal(told(r, 0), "+10.2.0.0/24@7");
	routes_session(r, ZAPI_TYPE_NHRP, 0, false);
	routes_set(r, "a-b", NULL, 0, "down");
	routes_session(r, ZAPI_TYPE_NHRP, 0, true);
	assert_string_equal(told(r, 0), "");
	routes_free(r);
}

static void a_new_session_gets_everything(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	routes_set(r, "a-b", &c, 1, "up");
	told(r, 0);
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 0);
	routes_session(r, ZAPI_TYPE_NHRP, 0, false);
	assert_int_equal(routes_count(r).installed, 0);
	routes_session(r, ZAPI_TYPE_NHRP, 0, true);
	assert_string_equal(told(r, 0), "+10.2.0.0/24@7");
	routes_free(r);
}

static void a_new_device_is_told_anew(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	routes_set(r, "a-b", &c, 1, "up");
	told(r, 0);
	c.generation = 2; /* same name, same ifindex */
	routes_set(r, "a-b", &c, 1, "new device");
	assert_string_equal(told(r, 0), "-10.2.0.0/24@7 +10.2.0.0/24@7");
	routes_free(r);
}

static void attributes_replace_without_a_gap(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	routes_set(r, "a-b", &c, 1, "up");
	told(r, 0);
	c.route.tag = 5;
	routes_set(r, "a-b", &c, 1, "tag");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@7");
	routes_free(r);
}

static void the_best_claim_wins(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-1", 1);
	struct route_claim d = claim("10.2.0.0/24", "tun-2", 2);
	struct route_claim e = claim("10.2.0.0/24", "tun-3", 3);

	(void)state;
	d.route.metric = 5;
	e.route.distance = 9;
	e.route.metric = 100;
	routes_set(r, "two", &d, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@2");
	routes_set(r, "one", &c, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1");
	routes_set(r, "three", &e, 1, "up");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@3");
	routes_set(r, "two", NULL, 0, "down");
	assert_string_equal(told(r, 0), "");
	routes_set(r, "three", NULL, 0, "down");
	assert_string_equal(told(r, 0), "+10.2.0.0/24@1");
	assert_int_equal(routes_count(r).wanted, 1);
	routes_free(r);
}

static void failures_are_retried_with_back_off(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);
	mono_time now = 0, last = 0;

	(void)state;
	routes_set(r, "a-b", &c, 1, "up");
	told(r, now);
	for (int i = 0; i < 10; i++) {
		mono_time wait;

		note(r, "10.2.0.0/24", ZAPI_NOTE_FAIL_INSTALL, now);
		wait = routes_deadline(r) - now;
		assert_true(wait >= last && wait <= 5 * MONO_S);
		last = wait;
		routes_expire(r, now + wait - 1);
		assert_string_equal(told(r, now + wait - 1), "");
		now += wait;
		routes_expire(r, now);
		assert_string_equal(told(r, now), "+10.2.0.0/24@7");
	}
	assert_true(last == 5 * MONO_S);
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, now);
	routes_expire(r, now + 1000 * MONO_S);
	assert_string_equal(told(r, now), "");
	assert_true(routes_deadline(r) == MONO_NEVER);
	routes_free(r);
}

static void silence_is_asked_again(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	routes_set(r, "a-b", &c, 1, "up");
	told(r, 0);
	assert_true(routes_deadline(r) == 5 * MONO_S);
	routes_expire(r, 5 * MONO_S);
	assert_string_equal(told(r, 5 * MONO_S), "+10.2.0.0/24@7");
	assert_true(routes_deadline(r) == 15 * MONO_S);
	routes_free(r);
}

static void notes_move_states(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 0); /* not ours: ignored */
	assert_int_equal(routes_count(r).installed, 0);
	routes_set(r, "a-b", &c, 1, "up");
	told(r, 0);
	note(r, "10.2.0.0/24", ZAPI_NOTE_REMOVED, 0); /* late answer to an older DELETE */
	assert_true(routes_deadline(r) == 5 * MONO_S);
	note(r, "10.2.0.0/24", ZAPI_NOTE_BETTER_ADMIN_WON, 0);
	assert_int_equal(routes_count(r).shadowed, 1);
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 0);
	assert_int_equal(routes_count(r).installed, 1);
	note(r, "10.2.0.0/24", ZAPI_NOTE_REMOVED, 0); /* nobody asked for that */
	assert_int_equal(routes_count(r).installed, 0);
	routes_expire(r, MONO_S);
	assert_string_equal(told(r, MONO_S), "+10.2.0.0/24@7");
	routes_free(r);
}

static void a_question_tells_what_is_shadowed(void **state)
{
	struct routes *r = table_up();
	struct route_claim c = claim("10.2.0.0/24", "tun-ab", 7);

	(void)state;
	routes_shadowed(r, &c.route); /* nobody's */
	routes_set(r, "a-b", &c, 1, "up");
	told(r, 0);
	routes_expire(r, 5 * MONO_S);
	told(r, 5 * MONO_S);
	routes_shadowed(r, &c.route);
	assert_int_equal(routes_count(r).shadowed, 1);
	routes_expire(r, 15 * MONO_S);
	assert_string_equal(told(r, 15 * MONO_S), "");
	note(r, "10.2.0.0/24", ZAPI_NOTE_INSTALLED, 0);
	routes_shadowed(r, &c.route); /* asked before zebra said the better thing */
	assert_int_equal(routes_count(r).installed, 1);
	assert_int_equal(routes_count(r).shadowed, 0);
	routes_free(r);
}

/* ---- the property ---- */

#define PREFIXES 6
#define OWNERS	 4
#define NOTES	 64

struct model {
	struct routes *r;
	unsigned seed;
	bool session;
	struct route_claim claims[OWNERS][PREFIXES];
	bool claimed[OWNERS][PREFIXES];
	uint32_t generation;
	/* zebra: what it holds, and notes under way */
	bool has[PREFIXES];
	struct zapi_route held[PREFIXES];
	struct {
		unsigned prefix;
		enum zapi_note note;
	} notes[NOTES];
	unsigned n_notes;
	mono_time now;
};

static unsigned draw(struct model *m, unsigned n)
{
	m->seed = m->seed * 1103515245u + 12345u;
	return (m->seed >> 16) % n;
}

static struct prefix prefix_of(unsigned n)
{
	return (struct prefix){.addr = {.family = AF_INET, .bytes = {10, (uint8_t)n}}, .len = 16};
}

static void zebra_says(struct model *m, unsigned prefix, enum zapi_note n)
{
	if (m->n_notes < NOTES) {
		m->notes[m->n_notes].prefix = prefix;
		m->notes[m->n_notes++].note = n;
	}
}

static void zebra_takes(struct model *m, const struct route_action *a, bool faulty)
{
	unsigned p = a->route.prefix.addr.bytes[1];

	assert_true(m->session);
	if (a->kind == ROUTE_ACTION_DELETE) {
		assert_true(m->has[p]);
		m->has[p] = false;
		zebra_says(m, p, ZAPI_NOTE_REMOVED);
		return;
	}
	m->has[p] = true;
	m->held[p] = a->route;
	/* Now and then it fails, or says nothing. */
	if (faulty && draw(m, 4) == 0)
		zebra_says(m, p, ZAPI_NOTE_FAIL_INSTALL);
	else if (!faulty || draw(m, 5) != 0)
		zebra_says(m, p, ZAPI_NOTE_INSTALLED);
}

static void pump(struct model *m, bool faulty)
{
	struct route_action a;

	while (routes_next(m->r, &a, m->now))
		zebra_takes(m, &a, faulty);
}

static void deliver(struct model *m, unsigned most)
{
	struct zapi_notify n = {0};
	unsigned k = m->n_notes < most ? m->n_notes : most;

	for (unsigned i = 0; i < k; i++) {
		n.prefix = prefix_of(m->notes[i].prefix);
		n.note = m->notes[i].note;
		routes_notify(m->r, ZAPI_TYPE_NHRP, 0, &n, m->now);
	}
	m->n_notes -= k;
	memmove(m->notes, m->notes + k, m->n_notes * sizeof(m->notes[0]));
}

static void set_owner(struct model *m, unsigned owner)
{
	struct route_claim list[PREFIXES];
	char name[8];
	size_t n = 0;

	for (unsigned p = 0; p < PREFIXES; p++) {
		if (m->claimed[owner][p])
			list[n++] = m->claims[owner][p];
	}
	snprintf(name, sizeof(name), "o%u", owner);
	assert_true(routes_set(m->r, name, list, n, "model"));
}

static void change_owner(struct model *m)
{
	unsigned o = draw(m, OWNERS);

	for (unsigned p = 0; p < PREFIXES; p++) {
		m->claimed[o][p] = draw(m, 2);
		m->claims[o][p] = (struct route_claim){
			.route =
				{
					.type = ZAPI_TYPE_NHRP,
					.prefix = prefix_of(p),
					.n_nexthops = 1,
					.nexthops = {{.ifindex = 10 + o}},
					.distance = (uint8_t)(10 + draw(m, 2)),
					.metric = draw(m, 3),
				},
			.generation = m->generation,
		};
		snprintf(m->claims[o][p].interface, IF_NAMESIZE, "tun%u", o);
	}
	set_owner(m, o);
}

static void change_session(struct model *m)
{
	m->session = !m->session;
	memset(m->has, 0, sizeof(m->has));
	m->n_notes = 0;
	routes_session(m->r, ZAPI_TYPE_NHRP, 0, m->session);
}

static void random_step(struct model *m)
{
	switch (draw(m, 6)) {
	case 0:
	case 1:
		change_owner(m);
		break;
	case 2:
		if (draw(m, 4) == 0)
			change_session(m);
		break;
	case 3:
		deliver(m, draw(m, 4));
		break;
	case 4:
		m->generation += draw(m, 2);
		break;
	case 5:
		m->now += draw(m, 3000) * MONO_MS;
		routes_expire(m->r, m->now);
		break;
	}
	if (draw(m, 3))
		pump(m, true);
}

static const struct route_claim *best(const struct model *m, unsigned p)
{
	const struct route_claim *b = NULL;

	for (unsigned o = 0; o < OWNERS; o++) {
		const struct route_claim *c = &m->claims[o][p];

		if (m->claimed[o][p] &&
		    (!b || c->route.distance < b->route.distance ||
		     (c->route.distance == b->route.distance && c->route.metric < b->route.metric)))
			b = c;
	}
	return b;
}

static void settle(struct model *m)
{
	if (!m->session)
		change_session(m);
	for (int i = 0; i < 200; i++) {
		pump(m, false);
		deliver(m, NOTES);
		m->now += MONO_S;
		routes_expire(m->r, m->now);
	}
	pump(m, false);
}

static void wanted_is_installed_in_the_end(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		struct model m = {.r = routes_new(NULL), .seed = seed, .generation = 1};
		unsigned wanted = 0;

		for (int i = 0; i < 120; i++)
			random_step(&m);
		settle(&m);
		for (unsigned p = 0; p < PREFIXES; p++) {
			const struct route_claim *b = best(&m, p);

			assert_int_equal(m.has[p], b != NULL);
			if (!b)
				continue;
			wanted++;
			assert_int_equal(m.held[p].nexthops[0].ifindex,
					 b->route.nexthops[0].ifindex);
			assert_int_equal(m.held[p].metric, b->route.metric);
			assert_int_equal(m.held[p].distance, b->route.distance);
		}
		assert_int_equal(routes_count(m.r).wanted, wanted);
		assert_int_equal(routes_count(m.r).installed, wanted);
		assert_true(routes_deadline(m.r) == MONO_NEVER);
		routes_free(m.r);
	}
}

/* ---- interfaces ---- */

static struct zapi_interface report(uint32_t ifindex, uint64_t flags)
{
	return (struct zapi_interface){.name = "tun-ab", .ifindex = ifindex, .flags = flags};
}

static void interfaces_have_generations(void **state)
{
	struct interfaces *t = interfaces_new();
	struct zapi_interface up = report(3, IFF_UP | IFF_RUNNING), dormant = report(3, IFF_UP);
	const struct interface *i = interfaces_update(t, ZAPI_INTERFACE_ADD, &dormant);

	(void)state;
	assert_non_null(i);
	assert_false(i->operative);
	assert_int_equal(i->generation, 1);
	assert_null(interfaces_update(t, ZAPI_INTERFACE_ADD, &dormant));
	assert_non_null(interfaces_update(t, ZAPI_INTERFACE_UP, &up));
	assert_true(interfaces_find(t, "tun-ab")->operative);
	assert_non_null(interfaces_update(t, ZAPI_INTERFACE_DELETE, &up));
	assert_false(i->present);
	assert_false(i->operative);
	assert_non_null(interfaces_update(t, ZAPI_INTERFACE_ADD, &up));
	assert_int_equal(i->generation, 2); /* same name, same ifindex, another device */
	interfaces_forget(t);
	assert_false(i->operative);
	assert_null(interfaces_find(t, "tun-ac"));
	interfaces_free(t);
}

/* Names come and go; those that are there are not touched, and none that comes again is taken for
 * the former one. */
static void interfaces_that_are_gone_are_forgotten(void **state)
{
	struct interfaces *t = interfaces_new();
	struct zapi_interface up = report(3, IFF_UP | IFF_RUNNING), other = up;
	const struct interface *i = interfaces_update(t, ZAPI_INTERFACE_ADD, &up);
	uint32_t generation;

	(void)state;
	snprintf(other.name, sizeof(other.name), "veth");
	other.ifindex = 4;
	generation = interfaces_update(t, ZAPI_INTERFACE_ADD, &other)->generation;
	interfaces_update(t, ZAPI_INTERFACE_DELETE, &other);
	assert_non_null(interfaces_find(t, "veth"));
	for (unsigned n = 0; n < 10000; n++) {
		snprintf(other.name, sizeof(other.name), "veth%u", n);
		interfaces_update(t, ZAPI_INTERFACE_ADD, &other);
		interfaces_update(t, ZAPI_INTERFACE_DELETE, &other);
	}
	assert_null(interfaces_find(t, "veth"));
	assert_non_null(interfaces_find(t, "veth9999"));
	assert_ptr_equal(interfaces_find(t, "tun-ab"), i);
	assert_true(i->operative);
	snprintf(other.name, sizeof(other.name), "veth");
	assert_true(interfaces_update(t, ZAPI_INTERFACE_ADD, &other)->generation > generation);
	interfaces_free(t);
}

static void blindness_is_news_once(void **state)
{
	struct interfaces *t = interfaces_new();
	struct zapi_interface sees = report(3, IFF_UP | IFF_RUNNING), blind = sees;

	(void)state;
	sees.link_detect = true;
	blind.link_detect = false;
	assert_false(interfaces_blind_news(t, "tun-ab")); /* not there */
	interfaces_update(t, ZAPI_INTERFACE_ADD, &blind);
	assert_true(interfaces_blind_news(t, "tun-ab"));
	assert_false(interfaces_blind_news(t, "tun-ab"));
	interfaces_update(t, ZAPI_INTERFACE_ADD, &sees);
	assert_false(interfaces_blind_news(t, "tun-ab"));
	interfaces_update(t, ZAPI_INTERFACE_ADD, &blind);
	assert_true(interfaces_blind_news(t, "tun-ab"));
	interfaces_update(t, ZAPI_INTERFACE_DELETE, &blind);
	assert_false(interfaces_blind_news(t, "tun-ab"));
	interfaces_free(t);
}

static void vrfs_are_known_by_name(void **state)
{
	struct zapi_vrf red = {.table = 1001, .name = "red"},
			blue = {.table = 1002, .name = "blue"};
	struct zapi_interface up = report(3, IFF_UP | IFF_RUNNING);
	struct interfaces *t = interfaces_new();
	const struct interface *i;
	uint32_t id = 99;

	(void)state;
	assert_false(interfaces_vrf_find(t, "red", &id));
	assert_true(interfaces_vrf_find(t, "default", &id));
	assert_int_equal(id, ZAPI_VRF_DEFAULT);
	assert_int_equal(interfaces_vrf_table(t, ZAPI_VRF_DEFAULT), 254);
	assert_true(interfaces_vrf_add(t, 5, &red));
	assert_false(interfaces_vrf_add(t, 5, &red));
	assert_true(interfaces_vrf_add(t, 6, &blue));
	assert_true(interfaces_vrf_find(t, "red", &id));
	assert_int_equal(id, 5);
	/* Another VRF is another generation, as if the device were made anew. */
	i = interfaces_update(t, ZAPI_INTERFACE_ADD, &up);
	up.vrf = 5;
	assert_non_null(interfaces_update(t, ZAPI_INTERFACE_ADD, &up));
	assert_int_equal(i->vrf, 5);
	assert_int_equal(i->generation, 2);
	interfaces_vrf_delete(t, 5);
	assert_false(interfaces_vrf_find(t, "red", &id));
	assert_false(interfaces_vrf_present(t, 5));
	assert_int_equal(interfaces_vrf_table(t, 5), 1001);
	/* Made anew while nobody looked: the name has one id. */
	assert_true(interfaces_vrf_add(t, 7, &blue));
	assert_true(interfaces_vrf_find(t, "blue", &id));
	assert_int_equal(id, 7);
	assert_false(interfaces_vrf_present(t, 6));
	interfaces_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_and_withdraws),
		cmocka_unit_test(withdrawals_overtake),
		cmocka_unit_test(says_nothing_without_a_session),
		cmocka_unit_test(a_new_session_gets_everything),
		cmocka_unit_test(a_new_device_is_told_anew),
		cmocka_unit_test(attributes_replace_without_a_gap),
		cmocka_unit_test(the_best_claim_wins),
		cmocka_unit_test(failures_are_retried_with_back_off),
		cmocka_unit_test(silence_is_asked_again),
		cmocka_unit_test(notes_move_states),
		cmocka_unit_test(a_question_tells_what_is_shadowed),
		cmocka_unit_test(wanted_is_installed_in_the_end),
		cmocka_unit_test(interfaces_that_are_gone_are_forgotten),
		cmocka_unit_test(blindness_is_news_once),
		cmocka_unit_test(interfaces_have_generations),
		cmocka_unit_test(vrfs_are_known_by_name),
	};

	return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
