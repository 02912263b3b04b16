/* Tunnel state out of vici events, in strongSwan's and in ipsecd's words. */
#include "lib/vici_codec.h"
#include "routed-bridge/tunnels.h"
#include "routed-bridge/vici_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- building events ---- */

static uint8_t memory[4096];
static mono_time now = 1000 * MONO_S;

static struct buf elements(void)
{
	return buf_over(memory, sizeof(memory));
}

static void put_child(struct buf *b, const char *section, unsigned id, const char *state,
		      const char *selector)
{
	vici_put_section(b, section);
	vici_put(b, "name", "net");
	vici_put_format(b, "uniqueid", "%u", id);
	vici_put(b, "state", state);
	vici_put_list(b, "local-ts");
	vici_put_item(b, "192.0.2.0/24");
	vici_put_list_end(b);
	vici_put_list(b, "remote-ts");
	vici_put_item(b, selector);
	vici_put_item(b, "10.0.0.1..10.0.0.9");
	vici_put_list_end(b);
	vici_put_section_end(b);
}

static void tell(struct tunnels *t, const char *event, const struct buf *b)
{
	struct span body = buf_span(b);
	size_t offset;

	assert_int_equal(vici_body_check(body, &offset), VICI_OK);
	assert_true(tunnels_event(t, span_str(event), body));
}

/* child-updown and list-sa. */
static void sa(struct tunnels *t, const char *event, bool up, unsigned ike, unsigned child,
	       const char *state, const char *selector)
{
	struct buf b = elements();
	char name[16];

	snprintf(name, sizeof(name), "net-%u", child);
	if (up)
		vici_put(&b, "up", "yes");
	vici_put_section(&b, "a-b");
	vici_put_format(&b, "uniqueid", "%u", ike);
	vici_put_section(&b, "child-sas");
	put_child(&b, name, child, state, selector);
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	tell(t, event, &b);
}

static void up(struct tunnels *t, unsigned ike, unsigned child)
{
	sa(t, "child-updown", true, ike, child, "INSTALLED", "10.2.0.0/24");
}

static void down(struct tunnels *t, unsigned child)
{
	sa(t, "child-updown", false, 1, child, "DELETING", "10.2.0.0/24");
}

static void listed(struct tunnels *t, unsigned child, const char *state)
{
	sa(t, "list-sa", false, 1, child, state, "10.2.0.0/24");
}

static void rekey(struct tunnels *t, unsigned old, unsigned new)
{
	struct buf b = elements();

	vici_put_section(&b, "a-b");
	vici_put(&b, "uniqueid", "1");
	vici_put_section(&b, "child-sas");
	vici_put_section(&b, "net");
	put_child(&b, "old", old, "REKEYED", "10.2.0.0/24");
	put_child(&b, "new", new, "INSTALLING", "10.2.0.0/24");
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	tell(t, "child-rekey", &b);
}

static void ike_event(struct tunnels *t, const char *event, bool is_up, unsigned id, unsigned new)
{
	struct buf b = elements();

	if (is_up)
		vici_put(&b, "up", "yes");
	vici_put_section(&b, "a-b");
	if (new) {
		vici_put_section(&b, "old");
		vici_put_format(&b, "uniqueid", "%u", id);
		vici_put_section_end(&b);
		vici_put_section(&b, "new");
		vici_put_format(&b, "uniqueid", "%u", new);
		vici_put_section_end(&b);
	} else {
		vici_put_format(&b, "uniqueid", "%u", id);
	}
	vici_put_section_end(&b);
	tell(t, event, &b);
}

static void link_event(struct tunnels *t, bool is_up)
{
	struct buf b = elements();

	if (is_up)
		vici_put(&b, "up", "yes");
	vici_put_section(&b, "a-b");
	vici_put(&b, "interface", "tun-ab");
	vici_put(&b, "ifindex", "4");
	vici_put(&b, "link", is_up ? "up" : "dormant");
	vici_put(&b, "reason", "draining");
	vici_put_section_end(&b);
	tell(t, "link-updown", &b);
}

static void suspect_event(struct tunnels *t, bool is_over)
{
	struct buf b = elements();

	vici_put_section(&b, "a-b");
	vici_put(&b, "interface", "tun-ab");
	vici_put(&b, "up", is_over ? "yes" : "no");
	vici_put(&b, "reason", "ICMP: host unreachable");
	vici_put_section_end(&b);
	tell(t, "link-suspect", &b);
}

/* ---- seeing ---- */

/* "up 2", "down 0", or "same" when nothing changed. */
static const char *seen(struct tunnels *t)
{
	static char text[32];
	struct tunnel_view v;

	if (!tunnels_changed(t, &v))
		return "same";
	assert_string_equal(v.conn, "a-b");
	snprintf(text, sizeof(text), "%s %u", v.up ? "up" : "down", v.children);
	return text;
}

static enum suspicion_news news(struct tunnels *t, const char *reason)
{
	struct tunnel_view v;

	if (!tunnels_changed(t, &v))
		return SUSPICION_SAME;
	if (v.suspicion != SUSPICION_SAME)
		assert_string_equal(v.suspicion_reason, reason);
	assert_int_equal(v.up, v.children != 0); /* a suspicion takes nothing down */
	return v.suspicion;
}

/* Told once when it begins and once when it is over; with the tunnel, or the daemon that said
 * so, it is over, too. */
static void suspicion(void **state)
{
	static const char why[] = "ICMP: host unreachable";
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	assert_int_equal(news(t, ""), SUSPICION_SAME);
	suspect_event(t, true);
	assert_int_equal(news(t, ""), SUSPICION_SAME);
	suspect_event(t, false);
	suspect_event(t, false);
	assert_int_equal(news(t, why), SUSPICION_BEGUN);
	assert_int_equal(news(t, ""), SUSPICION_SAME);
	suspect_event(t, true);
	assert_int_equal(news(t, why), SUSPICION_OVER);
	suspect_event(t, false);
	assert_int_equal(news(t, why), SUSPICION_BEGUN);
	down(t, 1);
	assert_int_equal(news(t, "it is down"), SUSPICION_OVER);
	suspect_event(t, false);
	assert_int_equal(news(t, why), SUSPICION_BEGUN);
	tunnels_connected(t);
	assert_int_equal(news(t, "the IKE daemon is another one"), SUSPICION_OVER);
	tunnels_free(t);
}

static void counts_children(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	assert_string_equal(seen(t), "up 1");
	up(t, 1, 1);
	assert_string_equal(seen(t), "same");
	up(t, 2, 2);
	assert_string_equal(seen(t), "up 2");
	down(t, 9); /* never heard of */
	assert_string_equal(seen(t), "same");
	down(t, 1);
	assert_string_equal(seen(t), "up 1");
	down(t, 2);
	assert_string_equal(seen(t), "down 0");
	tunnels_free(t);
}

static void a_rekey_never_touches_zero(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	seen(t);
	for (unsigned id = 1; id < 20; id++) {
		rekey(t, id, id + 1);
		assert_string_equal(seen(t), "up 1");
	}
	down(t, 1);
	assert_string_equal(seen(t), "same");
	tunnels_free(t);
}

static void an_ike_sa_takes_its_children_along(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	up(t, 2, 2);
	seen(t);
	ike_event(t, "ike-rekey", false, 1, 7);
	ike_event(t, "ike-updown", false, 1, 0); /* the rekeyed one's end */
	assert_string_equal(seen(t), "same");
	ike_event(t, "ike-updown", true, 8, 0);
	assert_string_equal(seen(t), "same");
	ike_event(t, "ike-updown", false, 2, 0);
	assert_string_equal(seen(t), "up 1");
	ike_event(t, "ike-updown", false, 7, 0);
	assert_string_equal(seen(t), "down 0");
	tunnels_free(t);
}

static void the_link_wins_over_the_count(void **state)
{
	struct tunnels *t = tunnels_new();
	struct tunnel_view v;

	(void)state;
	up(t, 1, 1);
	link_event(t, true);
	assert_true(tunnels_changed(t, &v));
	assert_string_equal(v.interface, "tun-ab");
	link_event(t, false); /* a drain: the CHILD_SA is still there */
	assert_string_equal(seen(t), "down 1");
	up(t, 1, 2);
	assert_string_equal(seen(t), "down 2");
	link_event(t, true); /* called off */
	assert_string_equal(seen(t), "up 2");
	link_event(t, false);
	assert_string_equal(seen(t), "down 2");
	down(t, 1);
	down(t, 2);
	assert_string_equal(seen(t), "down 0");
	up(t, 3, 3);
	assert_string_equal(seen(t), "up 1");
	tunnels_free(t);
}

static void states_count_in_listings(void **state)
{
	static const struct {
		const char *state;
		const char *result;
	} cases[] = {
		{"CREATED", "down 0"}, {"INSTALLING", "down 0"}, {"ROUTED", "down 0"},
		{"INSTALLED", "up 1"}, {"REKEYING", "up 1"},	 {"UPDATING", "up 1"},
		{"REKEYED", "down 0"}, {"DELETING", "down 0"},	 {"DELETED", "down 0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tunnels *t = tunnels_new();

		listed(t, 1, cases[i].state);
		assert_string_equal(seen(t), cases[i].result);
		tunnels_free(t);
	}
}

static void a_listing_sweeps(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	up(t, 1, 2);
	seen(t);
	tunnels_list_begin(t);
	listed(t, 1, "INSTALLED");
	up(t, 1, 3); /* while it is listed */
	tunnels_list_end(t, now);
	assert_string_equal(seen(t), "up 2");
	tunnels_list_begin(t);
	tunnels_list_end(t, now);
	assert_string_equal(seen(t), "down 0");
	tunnels_free(t);
}

static void count_loaded(void *n, const struct tunnel_view *tunnel)
{
	*(unsigned *)n += tunnel->loaded;
}

static unsigned loaded(struct tunnels *t)
{
	unsigned n = 0;

	tunnels_each_view(t, count_loaded, &n);
	return n;
}

/* Until it is told that way: a listing that has not ended tells nothing. */
static void a_connection_is_unloaded(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	assert_int_equal(loaded(t), 1);
	tunnels_list_begin(t);
	listed(t, 1, "INSTALLED");
	tunnels_list_end(t, now);
	assert_int_equal(loaded(t), 1);
	down(t, 1);
	tunnels_list_begin(t);
	assert_int_equal(loaded(t), 1);
	tunnels_list_end(t, now);
	assert_int_equal(loaded(t), 0);
	tunnels_connected(t);
	assert_int_equal(loaded(t), 0);
	up(t, 2, 2);
	assert_int_equal(loaded(t), 1);
	tunnels_free(t);
}

static void list_conn(struct tunnels *t, const char *conn)
{
	struct buf b = elements();

	vici_put_section(&b, conn);
	vici_put_section_end(&b);
	tell(t, "list-conn", &b);
}

/* So much later a listing has this connection alone; NULL: none at all. What is dropped by it is
 * returned. */
static const char *dropped_by(struct tunnels *t, mono_time later, const char *conn)
{
	static char text[64];
	struct tunnel_view v;

	now += later;
	tunnels_list_begin(t);
	if (conn)
		list_conn(t, conn);
	tunnels_list_end(t, now);
	text[0] = '\0';
	while (tunnels_changed(t, &v)) {
		if (v.dropped)
			strcat(strcat(text, v.conn), v.up ? " up " : " ");
	}
	return text;
}

static void one_that_was_unloaded_is_dropped(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	suspect_event(t, false);
	assert_string_equal(dropped_by(t, MONO_S, "a-b"), "");
	assert_string_equal(dropped_by(t, MONO_S, "c-d"), "");
	assert_string_equal(dropped_by(t, 599 * MONO_S, "c-d"), "");
	assert_string_equal(dropped_by(t, MONO_S, "a-b"), ""); /* there again */
	assert_string_equal(dropped_by(t, 600 * MONO_S, "c-d"), "");
	assert_string_equal(dropped_by(t, 600 * MONO_S, "c-d"), "a-b ");
	assert_int_equal(loaded(t), 1);
	assert_string_equal(dropped_by(t, MONO_S, "a-b"), "");
	assert_string_equal(dropped_by(t, 600 * MONO_S, "a-b"), "c-d ");
	tunnels_free(t);
}

/* It lists nothing for a while, then what it has loaded so far. */
static void a_daemon_that_restarts_drops_none(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	assert_string_equal(dropped_by(t, MONO_S, "c-d"), "");
	tunnels_disconnected(t);
	now += 3600 * MONO_S;
	tunnels_connected(t);
	assert_string_equal(dropped_by(t, MONO_S, NULL), "");
	assert_string_equal(dropped_by(t, 3600 * MONO_S, NULL), "");
	assert_string_equal(dropped_by(t, MONO_S, "c-d"), "");
	assert_string_equal(dropped_by(t, MONO_S, "a-b"), "");
	tunnels_free(t);
}

static void one_is_freed_before_it_is_told_that_it_was_dropped(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	list_conn(t, "a-b");
	assert_string_equal(dropped_by(t, MONO_S, "c-d"), "");
	now += 600 * MONO_S;
	tunnels_list_begin(t);
	list_conn(t, "c-d");
	tunnels_list_end(t, now);
	tunnels_free(t);
}

static void a_new_daemon_has_new_ids(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	seen(t);
	tunnels_connected(t);
	tunnels_list_begin(t);
	assert_string_equal(seen(t), "same");
	listed(t, 1, "INSTALLED");
	assert_string_equal(seen(t), "up 2"); /* the old one counts until the listing is complete */
	tunnels_list_end(t, now);
	assert_string_equal(seen(t), "up 1");
	tunnels_disconnected(t);
	tunnels_forget(t, "gone");
	assert_string_equal(seen(t), "down 0");
	tunnels_free(t);
}

/* The daemon is back, and still telling of its tunnels when those from before are given up. */
static void given_up_in_the_middle_of_a_list(void **state)
{
	struct tunnels *t = tunnels_new();

	(void)state;
	up(t, 1, 1);
	assert_string_equal(seen(t), "up 1");
	tunnels_disconnected(t);
	tunnels_connected(t);
	tunnels_list_begin(t);
	listed(t, 2, "INSTALLED");
	assert_string_equal(seen(t), "up 2");
	tunnels_forget(t, "gone");
	assert_string_equal(seen(t), "up 1");
	tunnels_list_end(t, now);
	assert_string_equal(seen(t), "same");
	tunnels_disconnected(t);
	tunnels_forget(t, "gone");
	assert_string_equal(seen(t), "down 0");
	tunnels_free(t);
}

static void unites_selectors(void **state)
{
	struct tunnels *t = tunnels_new();
	struct tunnel_view v;
	char text[PREFIX_TEXT];

	(void)state;
	sa(t, "child-updown", true, 1, 1, "INSTALLED", "10.2.0.0/24");
	sa(t, "child-updown", true, 1, 2, "INSTALLED", "10.3.0.9/32[tcp/80]");
	sa(t, "child-updown", true, 1, 3, "INSTALLED", "10.2.0.0/24");
	assert_true(tunnels_changed(t, &v));
	assert_int_equal(v.n_selectors, 2);
	assert_string_equal(prefix_format(&v.selectors[0], text), "10.2.0.0/24");
	assert_string_equal(prefix_format(&v.selectors[1], text), "10.3.0.9/32");
	tunnels_free(t);
}

/* Each IKE_SA of a connection has its peer's. */
static void knows_virtual_ips(void **state)
{
	static const char *const vips[] = {"10.99.0.1", "fd00:99::2", "10.99.0.1"};
	struct tunnels *t = tunnels_new();
	struct tunnel_view v;
	char text[PREFIX_TEXT];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct buf b = elements();

		vici_put_section(&b, "a-b");
		vici_put_format(&b, "uniqueid", "%u", i + 1);
		vici_put_list(&b, "remote-vips");
		vici_put_item(&b, vips[i]);
		vici_put_list_end(&b);
		vici_put_section(&b, "child-sas");
		put_child(&b, "net", i + 1, "INSTALLED", "10.2.0.0/24");
		vici_put_section_end(&b);
		vici_put_section_end(&b);
		tell(t, "list-sa", &b);
	}
	assert_true(tunnels_changed(t, &v));
	assert_int_equal(v.n_selectors, 1);
	assert_int_equal(v.n_vips, 2);
	assert_string_equal(prefix_format(&v.vips[0], text), "10.99.0.1/32");
	assert_string_equal(prefix_format(&v.vips[1], text), "fd00:99::2/128");
	ike_event(t, "ike-updown", false, 2, 0);
	assert_true(tunnels_changed(t, &v));
	assert_int_equal(v.n_vips, 1);
	tunnels_free(t);
}

static void parses_selectors(void **state)
{
	static const char *const bad[] = {"", "[tcp]", "10.0.0.1..10.0.0.9", "dynamic",
					  "10.0.0.0/33"};
	char text[PREFIX_TEXT];
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(body_parse_selector(span_str(bad[i]), &p));
	assert_true(body_parse_selector(span_str("2001:db8::5/32[udp]"), &p));
	assert_string_equal(prefix_format(&p, text), "2001:db8::/32");
}

static void strange_events_change_nothing(void **state)
{
	struct tunnels *t = tunnels_new();
	struct buf b = elements();

	(void)state;
	vici_put(&b, "up", "yes");
	vici_put_section(&b, "a-b");
	vici_put(&b, "uniqueid", "x");
	vici_put_section(&b, "child-sas");
	vici_put_section(&b, "net");
	vici_put(&b, "uniqueid", "99999999999");
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	vici_put_section_end(&b);
	tell(t, "child-updown", &b);
	tell(t, "ike-updown", &b);
	tell(t, "ike-rekey", &b);
	tell(t, "child-rekey", &b);
	assert_string_equal(seen(t), "down 0"); /* it is new */
	tell(t, "child-updown", &b);
	tell(t, "child-rekey", &b);
	assert_string_equal(seen(t), "same");
	assert_false(tunnels_event(t, span_str("alert"), buf_span(&b)));
	tunnels_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(suspicion),
		cmocka_unit_test(counts_children),
		cmocka_unit_test(a_rekey_never_touches_zero),
		cmocka_unit_test(an_ike_sa_takes_its_children_along),
		cmocka_unit_test(the_link_wins_over_the_count),
		cmocka_unit_test(states_count_in_listings),
		cmocka_unit_test(a_listing_sweeps),
		cmocka_unit_test(a_connection_is_unloaded),
		cmocka_unit_test(one_that_was_unloaded_is_dropped),
		cmocka_unit_test(a_daemon_that_restarts_drops_none),
		cmocka_unit_test(one_is_freed_before_it_is_told_that_it_was_dropped),
		cmocka_unit_test(a_new_daemon_has_new_ids),
		cmocka_unit_test(given_up_in_the_middle_of_a_list),
		cmocka_unit_test(unites_selectors),
		cmocka_unit_test(knows_virtual_ips),
		cmocka_unit_test(parses_selectors),
		cmocka_unit_test(strange_events_change_nothing),
	};

	return cmocka_run_group_tests_name("bridge-tunnels", tests, NULL, NULL);
}
