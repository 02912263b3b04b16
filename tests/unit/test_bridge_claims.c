/* What zebra and the kernel are told while they, the devices and the file change. */
#include "lib/netlink_route.h"
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/device_users.h"
#include "routed-bridge/frr_version.h"
#include "routed-bridge/kernel_routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what the files lean on: zebra ---- */

struct zebra {
	enum zapi_route_type type;
	uint16_t instance;
	bool subscribed, listed;
};

static char told[512]; /* "+10.2.0.0/24@7 -..." */

static void tell(char sign, const struct zapi_route *r)
{
	size_t n = strlen(told);
	char prefix[PREFIX_TEXT];

	snprintf(told + n, sizeof(told) - n, "%s%c%s@%u", n ? " " : "", sign,
		 prefix_format(&r->prefix, prefix), r->nexthops[0].ifindex);
}

struct zebra *zebra_new(const struct zebra_host *host, const struct zebra_config *config)
{
	struct zebra *z = calloc(1, sizeof(*z));

	(void)host;
	z->type = config->type;
	z->instance = config->instance;
	return z;
}

void zebra_free(struct zebra *z)
{
	free(z);
}

bool zebra_is(const struct zebra *z, enum zapi_route_type type, uint16_t instance)
{
	return z->type == type && z->instance == instance;
}

bool zebra_ready(const struct zebra *z)
{
	(void)z;
	return true;
}

bool zebra_listed(const struct zebra *z)
{
	return z->listed;
}

void zebra_type(const struct zebra *z, enum zapi_route_type *type, uint16_t *instance)
{
	*type = z->type;
	*instance = z->instance;
}

void zebra_subscribe(struct zebra *z)
{
	z->subscribed = true;
}

void zebra_route_add(struct zebra *z, const struct zapi_route *route)
{
	(void)z;
	tell('+', route);
}

void zebra_route_delete(struct zebra *z, const struct zapi_route *route)
{
	(void)z;
	tell('-', route);
}

void zebra_push(struct zebra *z)
{
	(void)z;
}

bool frr_daemon_runs(const char *vty_dir, const char *name)
{
	(void)vty_dir;
	(void)name;
	return false;
}

enum lock_result lock_acquire(struct lock *l, char *why, size_t size)
{
	(void)l;
	(void)why;
	(void)size;
	return LOCK_HELD;
}

/* ---- the kernel ---- */

static struct netlink_link links[4];
static size_t n_links;
static struct netlink_monitor_host monitor;
static int never_readable[2];

struct netlink *netlink_open(void)
{
	return (struct netlink *)links; /* never looked into, as the others here */
}

void netlink_close(struct netlink *nl)
{
	(void)nl;
}

const char *netlink_strerror(const struct netlink *nl, int error)
{
	(void)nl;
	(void)error;
	return "";
}

int netlink_link_list(struct netlink *nl, void (*cb)(void *ctx, const struct netlink_link *link),
		      void *ctx)
{
	(void)nl;
	for (size_t i = 0; i < n_links; i++)
		cb(ctx, &links[i]);
	return 0;
}

struct netlink_monitor *netlink_monitor_open(const struct netlink_monitor_host *host)
{
	monitor = *host;
	return (struct netlink_monitor *)links;
}

struct netlink_monitor *netlink_monitor_open_protocol(int protocol, const unsigned *groups,
						      void (*message)(void *ctx,
								      const struct nlmsghdr *h),
						      void (*lost)(void *ctx), void *ctx)
{
	(void)protocol;
	(void)groups;
	(void)message;
	(void)lost;
	(void)ctx;
	return (struct netlink_monitor *)links;
}

void netlink_monitor_close(struct netlink_monitor *m)
{
	(void)m;
}

int netlink_monitor_fd(const struct netlink_monitor *m)
{
	(void)m;
	return never_readable[0];
}

int netlink_monitor_read(struct netlink_monitor *m)
{
	(void)m;
	return 0;
}

bool netlink_parse_route(const struct nlmsghdr *h, struct netlink_route *out)
{
	(void)h;
	(void)out;
	return false;
}

struct kernel_routes *kernel_routes_new(const struct log_sink *log, char *why, size_t size)
{
	(void)log;
	(void)why;
	(void)size;
	return (struct kernel_routes *)links;
}

void kernel_routes_free(struct kernel_routes *k)
{
	(void)k;
}

enum zapi_note kernel_routes_add(struct kernel_routes *k, const struct zapi_route *route,
				 uint32_t table)
{
	(void)k;
	(void)table;
	tell('+', route);
	return ZAPI_NOTE_INSTALLED;
}

void kernel_routes_delete(struct kernel_routes *k, const struct zapi_route *route, uint32_t table)
{
	(void)k;
	(void)table;
	tell('-', route);
}

bool kernel_routes_lost(struct kernel_routes *k, const struct netlink_route *gone, uint32_t port,
			struct zapi_notify *out)
{
	(void)k;
	(void)gone;
	(void)port;
	(void)out;
	return false;
}

void kernel_routes_abandon(struct kernel_routes *k)
{
	(void)k;
}

unsigned kernel_routes_leftover(const struct kernel_routes *k)
{
	(void)k;
	return 0;
}

unsigned kernel_routes_sweep(struct kernel_routes *k)
{
	(void)k;
	return 0;
}

/* ---- tunnels: A and B, on devices that the daemon names ---- */

static struct tunnel {
	struct tunnel_view view;
	bool changed;
} list[2];
static char touched[64]; /* "A B " */

bool tunnels_changed(struct tunnels *t, struct tunnel_view *out)
{
	(void)t;
	for (size_t i = 0; i < 2; i++) {
		if (!list[i].changed)
			continue;
		list[i].changed = false;
		*out = list[i].view;
		list[i].view.suspicion = SUSPICION_SAME;
		return true;
	}
	return false;
}

void tunnels_touch(struct tunnels *t, const char *cause)
{
	(void)t;
	(void)cause;
	list[0].changed = list[1].changed = true;
}

void tunnels_touch_one(struct tunnels *t, const char *conn, const char *cause)
{
	(void)t;
	(void)cause;
	strcat(strcat(touched, conn), " ");
	for (size_t i = 0; i < 2; i++)
		list[i].changed = list[i].changed || strcmp(list[i].view.conn, conn) == 0;
}

/* ---- the bridge's other files ---- */

static char suspected[64]; /* "+tun-a -..." */

void bridge_tunnel_dead(struct bridge *b, const char *interface, enum tunnel_witness who,
			const char *cause)
{
	size_t n = strlen(suspected);

	(void)b;
	(void)who;
	(void)cause;
	snprintf(suspected + n, sizeof(suspected) - n, "+%s ", interface);
}

void bridge_tunnel_alive(struct bridge *b, const char *interface, enum tunnel_witness who,
			 const char *cause)
{
	size_t n = strlen(suspected);

	(void)b;
	(void)who;
	(void)cause;
	snprintf(suspected + n, sizeof(suspected) - n, "-%s ", interface);
}

void bridge_settings_look(struct bridge *b)
{
	(void)b;
}

void bridge_fib_session(struct bridge *b, enum zapi_route_type type, uint16_t instance)
{
	(void)b;
	(void)type;
	(void)instance;
}

void bridge_fib_told(struct bridge *b, const struct route_action *a)
{
	(void)b;
	(void)a;
}

void bridge_fib_note(struct bridge *b, const struct zebra *z, const struct zapi_notify *notify)
{
	(void)b;
	(void)z;
	(void)notify;
}

void bridge_quality_tunnel(struct bridge *b, const struct tunnel_view *tunnel,
			   const struct bridge_section *section, const struct interface *i)
{
	(void)b;
	(void)tunnel;
	(void)section;
	(void)i;
}

void bridge_quality_steer(const struct bridge *b, const char *conn, struct bridge_options *o)
{
	(void)b;
	(void)conn;
	(void)o;
}

void bridge_describe(struct bridge *b, const struct tunnel_view *tunnel, const char *interface)
{
	(void)b;
	(void)tunnel;
	(void)interface;
}

void bridge_repair_tunnel(struct bridge *b, const struct tunnel_view *tunnel, const char *interface)
{
	(void)b;
	(void)tunnel;
	(void)interface;
}

void bridge_repair_settle(struct bridge *b)
{
	(void)b;
}

void bridge_watch_tunnel(struct bridge *b, const struct tunnel_view *tunnel)
{
	(void)b;
	(void)tunnel;
}

void bridge_silent_ask(struct bridge *b)
{
	(void)b;
}

/* ---- tests ---- */

static const struct log_sink quiet;
static struct bridge bridge;

static void fail_error(void *ctx, const char *line)
{
	(void)ctx;
	fail_msg("%s", line);
}

static struct bridge_config *parse(const char *text)
{
	return bridge_config_parse("test", span_str(text), fail_error, NULL);
}

static int begin(void **state)
{
	(void)state;
	bridge = (struct bridge){.loop = ev_loop_new(0), .log = &quiet};
	bridge.interfaces = interfaces_new();
	bridge.tunnels_known = true;
	bridge.users = device_users_new();
	bridge.routes = routes_new(&quiet);
	bridge_claims_init(&bridge);
	bridge_zebra_init(&bridge);
	list[0] = (struct tunnel){.view = {.conn = "A", .interface = "tun-a", .up = true}};
	list[1] = (struct tunnel){.view = {.conn = "B", .interface = "tun-b", .up = true}};
	list[0].changed = list[1].changed = true;
	told[0] = suspected[0] = touched[0] = '\0';
	n_links = 0;
	return pipe(never_readable);
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < bridge.n_sessions; i++)
		zebra_free(bridge.sessions[i]);
	bridge_kernel_end(&bridge);
	bridge_claims_end(&bridge);
	ev_timer_stop(bridge.loop, &bridge.sweep);
	routes_free(bridge.routes);
	device_users_free(bridge.users);
	interfaces_free(bridge.interfaces);
	bridge_config_free(bridge.config);
	ev_loop_destroy(bridge.loop);
	close(never_readable[0]);
	close(never_readable[1]);
	return 0;
}

/* zebra tells of a device. */
static void device(const char *name, uint32_t ifindex)
{
	struct zapi_interface report = {
		.ifindex = ifindex, .link_detect = true, .flags = IFF_UP | IFF_RUNNING};

	snprintf(report.name, sizeof(report.name), "%s", name);
	bridge.zebra_host.interface(&bridge, ZAPI_INTERFACE_ADD, &report);
}

/* zebra has told of all devices. */
static void all_are_told(void)
{
	bridge.sessions[0]->listed = true;
	bridge.zebra_host.listed(&bridge, bridge.sessions[0]);
}

static void zebra_comes(const char *file)
{
	bridge.config = parse(file);
	bridge_fit_sessions(&bridge, true);
	for (unsigned i = 0; i < bridge.n_sessions; i++)
		bridge.zebra_host.ready(&bridge, bridge.sessions[i]);
	device("tun-a", 7);
	device("tun-b", 8);
	all_are_told();
}

/* What is told since the last time is this. */
static void expect(const char *text)
{
	assert_string_equal(told, text);
	told[0] = '\0';
}

/* One that the IKE daemon has unloaded is no user of its device any more. */
static void a_dropped_one_leaves_nothing(void **state)
{
	unsigned up;

	(void)state;
	zebra_comes("conn A\n prefix 10.2.0.0/24\n");
	expect("+10.2.0.0/24@7");
	assert_int_equal(device_users_count(bridge.users, "tun-a", &up), 1);
	list[0].view.up = false;
	list[0].view.dropped = list[0].changed = true;
	bridge_reconcile(&bridge);
	expect("-10.2.0.0/24@7");
	assert_int_equal(device_users_count(bridge.users, "tun-a", &up), 0);
	assert_int_equal(device_users_count(bridge.users, "tun-b", &up), 1);
}

static void sweep_is_due(void)
{
	ev_feed_event(bridge.loop, &bridge.sweep, EV_TIMER);
	ev_invoke_pending(bridge.loop);
}

/* A section may name the very table that its VRF has: zebra is told of none then. */
static void sweep_leaves_the_own_table(void **state)
{
	(void)state;
	zebra_comes("conn A\n table 254\n prefix 10.2.0.0/24\n"
		    "conn C\n table 254\n prefix 10.3.0.0/24\n");
	expect("+10.2.0.0/24@7");
	sweep_is_due();
	expect("-10.3.0.0/24@0");
}

/* What zebra has from before may be wanted: nothing of it goes before all is known. */
static void sweep_waits(void **state)
{
	(void)state;
	bridge.tunnels_known = false;
	zebra_comes("conn A\n prefix 10.2.0.0/24\nconn C\n prefix 10.3.0.0/24\n");
	expect("+10.2.0.0/24@7");
	for (unsigned i = 0; i < 4; i++)
		sweep_is_due();
	expect("");
	sweep_is_due(); /* the IKE daemon is not heard */
	expect("-10.3.0.0/24@0");
}

/* One that has no router id to tell does not say when it has told of all. */
static void sweep_does_not_wait_for_ever(void **state)
{
	(void)state;
	zebra_comes("conn A\n prefix 10.2.0.0/24\nconn C\n prefix 10.3.0.0/24\n");
	expect("+10.2.0.0/24@7");
	bridge.sessions[0]->listed = false;
	interfaces_doubt(bridge.interfaces);
	for (unsigned i = 0; i < 4; i++)
		sweep_is_due();
	expect("");
	assert_true(interfaces_find(bridge.interfaces, "tun-a")->present);
	sweep_is_due();
	assert_false(interfaces_find(bridge.interfaces, "tun-a")->present);
	assert_false(ev_is_active(&bridge.sweep));
}

static void sweep_knows(void **state)
{
	(void)state;
	bridge.tunnels_known = false;
	zebra_comes("conn A\n prefix 10.2.0.0/24\nconn C\n prefix 10.3.0.0/24\n");
	expect("+10.2.0.0/24@7");
	sweep_is_due();
	expect("");
	bridge.tunnels_known = true;
	sweep_is_due();
	expect("-10.3.0.0/24@0");
}

/* The type of the first section goes, and with it the session that watches the devices. */
static void watch_moves_to_another_session(void **state)
{
	(void)state;
	zebra_comes("conn A\n type nhrp\n prefix 10.2.0.0/24\n"
		    "conn B\n type table 100\n prefix 10.3.0.0/24\n");
	expect("+10.2.0.0/24@7 +10.3.0.0/24@8");
	bridge_config_free(bridge.config);
	bridge.config = parse("conn B\n type table 100\n prefix 10.3.0.0/24\n");
	bridge_fit_sessions(&bridge, true);
	assert_true(bridge.sessions[0]->subscribed);
	tunnels_touch(bridge.tunnels, "the configuration changed");
	bridge_reconcile(&bridge);
	sweep_is_due(); /* zebra is busy */
	assert_true(interfaces_find(bridge.interfaces, "tun-a")->present);
	assert_true(interfaces_find(bridge.interfaces, "tun-b")->present);
	device("tun-b", 8);
	all_are_told();
	expect("");
	assert_false(interfaces_find(bridge.interfaces, "tun-a")->present);
	assert_true(interfaces_find(bridge.interfaces, "tun-b")->present);
}

static void expect_touched(const char *names)
{
	assert_string_equal(touched, names);
	touched[0] = '\0';
}

/* What happens to a device is looked at in its own tunnels, also when they have moved. */
static void only_its_tunnels_are_looked_at(void **state)
{
	(void)state;
	zebra_comes("conn A\n prefix 10.2.0.0/24\nconn B\n prefix 10.3.0.0/24\n");
	expect_touched("B "); /* tun-a was the first, when nothing was known of either */
	device("tun-a", 9);
	expect_touched("A ");
	device("tun-c", 10);
	expect_touched("");
	list[0].view.interface = "tun-b";
	list[0].changed = true;
	bridge_reconcile(&bridge);
	device("tun-b", 11);
	expect_touched("B A ");
	device("tun-a", 12);
	expect_touched("");
}

static struct netlink_link link_of(const char *name, int ifindex)
{
	struct netlink_link l = {.ifindex = ifindex, .flags = IFF_UP | IFF_RUNNING};

	snprintf(l.name, sizeof(l.name), "%s", name);
	return l;
}

/* tun-a went, and its message was among those that were lost. */
static void device_went_unnoticed(void **state)
{
	(void)state;
	bridge.config =
		parse("zebra no\nconn A\n prefix 10.2.0.0/24\nconn B\n prefix 10.3.0.0/24\n");
	links[n_links++] = link_of("tun-b", 8);
	links[n_links++] = link_of("tun-a", 7);
	bridge_fit_sessions(&bridge, true);
	told[0] = '\0';
	n_links--;
	monitor.lost(monitor.ctx);
	expect("-10.2.0.0/24@7 +10.3.0.0/24@8");
	assert_int_equal(routes_count(bridge.routes).wanted, 1);
}

/* The kernel tells of the name that it has now. */
static void device_gets_another_name(void **state)
{
	struct netlink_link l = link_of("was-a", 7);

	(void)state;
	bridge.config = parse("zebra no\nconn A\n prefix 10.2.0.0/24\n");
	links[n_links++] = link_of("tun-a", 7);
	bridge_fit_sessions(&bridge, true);
	expect("+10.2.0.0/24@7");
	monitor.link(monitor.ctx, &l);
	expect("-10.2.0.0/24@7");
	assert_false(interfaces_find(bridge.interfaces, "tun-a")->present);
	l.removed = true;
	monitor.link(monitor.ctx, &l);
	l = link_of("tun-a", 7);
	monitor.link(monitor.ctx, &l);
	expect("+10.2.0.0/24@7");
}

static void suspect(enum suspicion_news news)
{
	list[0].view.suspicion = news;
	list[0].changed = true;
	bridge_reconcile(&bridge);
}

/* Whom the suspicion was raised about is rid of it, whatever the tunnel's device is by now. */
static void suspicion_outlives_a_reload(void **state)
{
	(void)state;
	zebra_comes("conn A\n prefix 10.2.0.0/24\n");
	suspect(SUSPICION_BEGUN);
	bridge_config_free(bridge.config);
	bridge.config = parse("conn A\n interface tun-b\n prefix 10.2.0.0/24\n");
	suspect(SUSPICION_OVER);
	suspect(SUSPICION_BEGUN);
	suspect(SUSPICION_OVER);
	assert_string_equal(suspected, "+tun-a -tun-a +tun-b -tun-b ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sweep_leaves_the_own_table, begin, end),
		cmocka_unit_test_setup_teardown(a_dropped_one_leaves_nothing, begin, end),
		cmocka_unit_test_setup_teardown(sweep_waits, begin, end),
		cmocka_unit_test_setup_teardown(sweep_does_not_wait_for_ever, begin, end),
		cmocka_unit_test_setup_teardown(sweep_knows, begin, end),
		cmocka_unit_test_setup_teardown(watch_moves_to_another_session, begin, end),
		cmocka_unit_test_setup_teardown(only_its_tunnels_are_looked_at, begin, end),
		cmocka_unit_test_setup_teardown(device_went_unnoticed, begin, end),
		cmocka_unit_test_setup_teardown(device_gets_another_name, begin, end),
		cmocka_unit_test_setup_teardown(suspicion_outlives_a_reload, begin, end),
	};

	return cmocka_run_group_tests_name("bridge_claims", tests, NULL, NULL);
}
