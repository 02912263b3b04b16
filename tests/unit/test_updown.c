/* When updown scripts run and what they are told. The runner is ours here: it writes down what
 * it is given. */
#include "ipsecd/updown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char ran[4096];
static char *last_env[UPDOWN_VARS_MAX];
static unsigned n_last;

static void forget(void)
{
	while (n_last)
		free(last_env[--n_last]);
	ran[0] = '\0';
}

static bool run(void *ctx, const struct script *script)
{
	size_t at = strlen(ran);

	(void)ctx;
	while (n_last)
		free(last_env[--n_last]);
	for (char *const *v = script->env; *v; v++)
		last_env[n_last++] = strdup(*v);
	snprintf(ran + at, sizeof(ran) - at, "%u %s %s %s;", script->line, script->name,
		 script->what, script->command);
	return true;
}

/* ---- what outlives a process ---- */

static unsigned n_told, n_undone;
static struct updown_told copy;

static char *text(const char *s)
{
	char *same = strdup(s);

	assert_non_null(same);
	return same;
}

static void told(void *ctx, const struct updown_told *as)
{
	(void)ctx;
	n_told++;
	updown_told_clear(&copy);
	copy = (struct updown_told){.conn = text(as->conn),
				    .child = text(as->child),
				    .script = text(as->script),
				    .tunnel = as->tunnel,
				    .n_envs = as->n_envs,
				    .envs = calloc(as->n_envs + 1u, sizeof(*copy.envs))};
	assert_non_null(copy.envs);
	for (unsigned i = 0; i < as->n_envs; i++) {
		copy.envs[i] = as->envs[i];
		for (unsigned j = 0; j < as->envs[i].n; j++)
			copy.envs[i].vars[j] = text(as->envs[i].vars[j]);
	}
}

static void undone(void *ctx, const struct updown_told *as)
{
	(void)ctx;
	(void)as;
	n_undone++;
}

static const struct script_runner runner = {.run = run};
static const struct updown_keeper keeper = {.told = told, .undone = undone};

static const char *value(const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < n_last; i++) {
		if (strncmp(last_env[i], name, n) == 0 && last_env[i][n] == '=')
			return last_env[i] + n + 1;
	}
	return NULL;
}

static void assert_value(const char *name, const char *wanted)
{
	const char *got = value(name);

	if (!got || strcmp(got, wanted) != 0)
		fail_msg("%s=%s, wanted %s", name, got ? got : "(none)", wanted);
}

/* ---- a CHILD_SA like that of a road warrior with two virtual addresses ---- */

static struct ike_sa_info ike;
static struct ike_child_info child;
static struct ts_list mine, peers;
static struct updown_facts facts;
static struct updown *updown;

static struct addr addr(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void selectors(struct ts_list *l, const char *a, const char *b)
{
	l->n = 0;
	assert_true(ts_parse(a, &l->ts[l->n++]));
	if (b)
		assert_true(ts_parse(b, &l->ts[l->n++]));
}

static int setup(void **ctx)
{
	(void)ctx;
	forget();
	selectors(&mine, "10.3.0.1/32", "fd00:3::1/128");
	selectors(&peers, "0.0.0.0/0", "::/0");
	ike = (struct ike_sa_info){
		.conn = "office",
		.id = 17,
		.path = {{addr("192.0.2.1"), 4500}, {addr("198.51.100.9"), 4501}},
		.n_local_vips = 2,
		.local_vips = {addr("10.3.0.1"), addr("fd00:3::1")},
		.n_dns = 3,
		.dns = {addr("10.0.0.53"), addr("fd00::53"), addr("10.0.1.53")}};
	assert_true(id_parse("roadwarrior.example", &ike.local_id));
	assert_true(id_parse("gw.example", &ike.remote_id));
	child = (struct ike_child_info){.conn = "office",
					.name = "net",
					.child_sa = 1,
					.tunnel = 5,
					.reqid = 3,
					.udp_encap = true,
					.local_ts = &mine,
					.remote_ts = &peers};
	facts = (struct updown_facts){.ike = &ike,
				      .child = &child,
				      .path = "/bin:/sbin",
				      .interface = "eth0",
				      .device = "vti0",
				      .mark_in = {2, 0xffffffff},
				      .mark_out = {42, 0xff},
				      .if_id_out = 9};
	updown = updown_new(&runner, &keeper);
	return 0;
}

static int teardown(void **ctx)
{
	(void)ctx;
	updown_free(updown);
	updown_told_clear(&copy);
	n_told = n_undone = 0;
	forget();
	return 0;
}

static void up(uint64_t sa)
{
	child.child_sa = sa;
	updown_child_up(updown, "/etc/script x", &facts);
}

/* ---- when ---- */

static void first_up_last_down(void **ctx)
{
	(void)ctx;
	up(1);
	assert_string_equal(ran, "5 office up-client /etc/script x;"
				 "5 office up-client-v6 /etc/script x;");
	forget();
	up(2); /* reauthentication: the new one beside the old one */
	up(2);
	updown_child_down(updown, 1);
	updown_child_rekeyed(updown, 2, 3);
	updown_child_down(updown, 2); /* nobody any more */
	assert_string_equal(ran, "");
	updown_child_down(updown, 3);
	assert_string_equal(ran, "5 office down-client /etc/script x;"
				 "5 office down-client-v6 /etc/script x;");
	forget();
	updown_child_down(updown, 3);
	assert_string_equal(ran, "");
}

static void another_process(void)
{
	updown_free(updown);
	updown = updown_new(&runner, &keeper);
	updown_know(updown, &copy);
	forget();
}

/* "up" was another process's to run; "down" is ours, with the values of then. */
static void resumed_is_not_up_again(void **ctx)
{
	(void)ctx;
	peers.n = 1;
	up(4);
	assert_int_equal(n_told, 1);
	another_process();
	ike.path.remote.addr = addr("203.0.113.7");
	up(4);
	up(5);
	updown_resumed(updown);
	updown_child_down(updown, 4);
	assert_string_equal(ran, "");
	updown_child_down(updown, 5);
	assert_string_equal(ran, "5 office down-client /etc/script x;");
	assert_value("PLUTO_PEER", "198.51.100.9");
	assert_int_equal(n_told, 1);
	assert_int_equal(n_undone, 1);
}

/* Killed between CHILD_UP and its script, and between CHILD_DOWN and its script. */
static void missed_turns_are_had(void **ctx)
{
	(void)ctx;
	peers.n = 1;
	up(4);
	another_process();
	child.name = "other";
	up(6);
	assert_string_equal(ran, "5 office up-client /etc/script x;");
	assert_int_equal(n_told, 2);
	assert_value("PLUTO_CONNECTION", "other");
	forget();
	updown_resumed(updown);
	assert_string_equal(ran, "5 office down-client /etc/script x;");
	assert_value("PLUTO_CONNECTION", "net");
	assert_int_equal(n_undone, 1);
	updown_child_down(updown, 4);
	assert_int_equal(n_undone, 1);
}

/* Its script is not configured any more: it is undone all the same. */
static void resumed_without_script(void **ctx)
{
	(void)ctx;
	peers.n = 1;
	up(4);
	another_process();
	updown_child_up(updown, NULL, &facts);
	updown_resumed(updown);
	assert_string_equal(ran, "");
	updown_child_down(updown, 1);
	updown_child_down(updown, 4);
	assert_string_equal(ran, "5 office down-client /etc/script x;");
}

static void children_are_apart(void **ctx)
{
	(void)ctx;
	peers.n = 1;
	up(1);
	child.name = "other";
	up(2);
	child.name = "net";
	child.conn = "home";
	up(3);
	assert_string_equal(ran,
			    "5 office up-client /etc/script x;5 office up-client /etc/script x;"
			    "5 home up-client /etc/script x;");
	forget();
	updown_end(updown);
	assert_non_null(strstr(ran, "5 home down-client"));
	assert_int_equal(strlen(ran), strlen("5 office down-client /etc/script x;") * 3 - 2);
	forget();
	updown_end(updown);
	assert_string_equal(ran, "");
}

static void without_script(void **ctx)
{
	(void)ctx;
	updown_child_up(updown, NULL, &facts);
	updown_child_down(updown, 1);
	assert_string_equal(ran, "");
}

static void other_families_are_no_pair(void **ctx)
{
	(void)ctx;
	selectors(&mine, "10.1.0.0/16", "10.2.0.0/16");
	selectors(&peers, "::/0", NULL);
	up(1);
	updown_child_down(updown, 1);
	assert_string_equal(ran, "");
	selectors(&peers, "10.8.0.0/16", "10.9.0.0/16");
	up(1);
	assert_int_equal(strlen(ran), 4 * strlen("5 office up-client /etc/script x;"));
}

/* ---- what ---- */

static void values(void **ctx)
{
	(void)ctx;
	up(1); /* the second run is the one that is looked at */
	assert_value("PATH", "/bin:/sbin");
	assert_value("PLUTO_VERSION", "1.1");
	assert_value("PLUTO_VERB", "up-client-v6");
	assert_value("PLUTO_CONNECTION", "net");
	assert_value("PLUTO_INTERFACE", "eth0");
	assert_value("PLUTO_VIRT_INTERFACE", "vti0");
	assert_value("PLUTO_REQID", "3");
	assert_value("PLUTO_PROTO", "esp");
	assert_value("PLUTO_UNIQUEID", "5");
	assert_value("PLUTO_ME", "192.0.2.1");
	assert_value("PLUTO_MY_ID", "roadwarrior.example");
	assert_value("PLUTO_MY_CLIENT", "fd00:3::1/128");
	assert_value("PLUTO_MY_PORT", "0");
	assert_value("PLUTO_MY_PROTOCOL", "0");
	assert_value("PLUTO_MY_SOURCEIP", "10.3.0.1");
	assert_value("PLUTO_MY_SOURCEIP4_1", "10.3.0.1");
	assert_value("PLUTO_MY_SOURCEIP6_1", "fd00:3::1");
	assert_value("PLUTO_PEER", "198.51.100.9");
	assert_value("PLUTO_PEER_ID", "gw.example");
	assert_value("PLUTO_PEER_CLIENT", "::/0");
	assert_value("PLUTO_PEER_PORT", "0");
	assert_value("PLUTO_PEER_PROTOCOL", "0");
	assert_value("PLUTO_MARK_IN", "2/0xffffffff");
	assert_value("PLUTO_MARK_OUT", "42/0x000000ff");
	assert_null(value("PLUTO_IF_ID_IN"));
	assert_value("PLUTO_IF_ID_OUT", "9");
	assert_value("PLUTO_UDP_ENC", "4501");
	assert_value("PLUTO_DNS4_1", "10.0.0.53");
	assert_value("PLUTO_DNS4_2", "10.0.1.53");
	assert_value("PLUTO_DNS6_1", "fd00::53");
	assert_null(value("PLUTO_PEER_SOURCEIP"));
	assert_null(value("PLUTO_XAUTH_ID"));
}

static void values_of_a_responder(void **ctx)
{
	(void)ctx;
	ike.n_remote_vips = ike.n_local_vips;
	memcpy(ike.remote_vips, ike.local_vips, sizeof(ike.remote_vips));
	ike.n_local_vips = ike.n_dns = 0;
	facts.mark_in = facts.mark_out = (struct mark){0};
	facts.interface = "";
	child.udp_encap = false;
	up(1);
	assert_value("PLUTO_INTERFACE", "unknown");
	assert_value("PLUTO_PEER_SOURCEIP", "10.3.0.1");
	assert_value("PLUTO_PEER_SOURCEIP4_1", "10.3.0.1");
	assert_value("PLUTO_PEER_SOURCEIP6_1", "fd00:3::1");
	assert_null(value("PLUTO_MY_SOURCEIP"));
	assert_null(value("PLUTO_MARK_IN"));
	assert_null(value("PLUTO_UDP_ENC"));
	assert_null(value("PLUTO_DNS4_1"));
}

/* What was known at "up" is what "down" undoes. */
static void down_repeats_up(void **ctx)
{
	(void)ctx;
	peers.n = 1;
	up(1);
	ike.path.remote.addr = addr("203.0.113.7");
	ike.n_local_vips = 0;
	updown_child_down(updown, 1);
	assert_value("PLUTO_VERB", "down-client");
	assert_value("PLUTO_PEER", "198.51.100.9");
	assert_value("PLUTO_MY_SOURCEIP", "10.3.0.1");
}

static void one_pair(const char *a, const char *b)
{
	forget();
	selectors(&mine, a, NULL);
	selectors(&peers, b, NULL);
	up(1);
	updown_child_down(updown, 1);
}

static void selectors_as_scripts_know_them(void **ctx)
{
	(void)ctx;
	one_pair("192.0.2.1/32", "198.51.100.9/32");
	assert_value("PLUTO_VERB", "down-host");
	one_pair("192.0.2.0/31", "198.51.100.9/32[udp/53]");
	assert_value("PLUTO_VERB", "down-client");
	assert_value("PLUTO_MY_CLIENT", "192.0.2.0/31");
	assert_value("PLUTO_PEER_PORT", "53");
	assert_value("PLUTO_PEER_PROTOCOL", "17");
	one_pair("10.0.0.5-10.0.0.9[tcp/1000-2000]", "0.0.0.0/0");
	assert_value("PLUTO_MY_CLIENT", "10.0.0.0/28"); /* the smallest around it */
	assert_value("PLUTO_MY_PORT", "1000:2000");
	one_pair("10.0.0.0/8[icmp/8(0)]", "10.0.0.0/8[icmp]"); /* type 8, code 0 */
	assert_value("PLUTO_MY_PORT", "8");
	assert_value("PLUTO_PEER_PORT", "0");
	ike.path.local.addr = addr("2001:db8::1");
	one_pair("2001:db8::1/128", "2001:db8::/32");
	assert_value("PLUTO_VERB", "down-host-v6");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_up_last_down, setup, teardown),
		cmocka_unit_test_setup_teardown(resumed_is_not_up_again, setup, teardown),
		cmocka_unit_test_setup_teardown(missed_turns_are_had, setup, teardown),
		cmocka_unit_test_setup_teardown(resumed_without_script, setup, teardown),
		cmocka_unit_test_setup_teardown(children_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(without_script, setup, teardown),
		cmocka_unit_test_setup_teardown(other_families_are_no_pair, setup, teardown),
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(values_of_a_responder, setup, teardown),
		cmocka_unit_test_setup_teardown(down_repeats_up, setup, teardown),
		cmocka_unit_test_setup_teardown(selectors_as_scripts_know_them, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
