/* How long BFD bears silence: on the last way alone, whatever else the IKE daemon has. */
#include "routed-bridge/bfd_client.h"
#include "routed-bridge/bridge_parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- what the file leans on ---- */

static const struct bfd_client_host *host;
static unsigned told; /* how often */
static uint32_t told_discriminator, told_patience;
static struct tunnel_view views[4];
static size_t n_views;
static char pattern[] = "A-B";
static struct bridge_section section = {.pattern = pattern};

struct bfd_client *bfd_client_new(const struct bfd_client_host *h, const char *path)
{
	(void)path;
	host = h;
	return (struct bfd_client *)&section; /* never looked into */
}

void bfd_client_free(struct bfd_client *c, bool stop)
{
	(void)c;
	(void)stop;
}

bool bfd_client_patience(struct bfd_client *c, uint32_t discriminator, uint32_t patience)
{
	(void)c;
	told++;
	told_discriminator = discriminator;
	told_patience = patience;
	return true;
}

const char *bfd_client_path(const struct bfd_client *c)
{
	(void)c;
	return "bfdd";
}

const char *bfd_state_name(unsigned state)
{
	(void)state;
	return "";
}

const char *bfd_diag_name(unsigned diag)
{
	(void)diag;
	return "";
}

const struct bridge_section *bridge_config_match(const struct bridge_config *c, const char *conn)
{
	(void)c;
	return strcmp(conn, section.pattern) == 0 ? &section : NULL;
}

const char *bridge_interface_of(const struct bridge_section *s, const char *conn, const char *named)
{
	return s->interface[0] ? s->interface : named[0] ? named : conn;
}

bool bridge_repair_last_way(const struct bridge *b, const char *interface, bool *last)
{
	(void)b;
	(void)interface;
	(void)last;
	return false; /* not known */
}

void bridge_tunnel_dead(struct bridge *b, const char *interface, enum tunnel_witness who,
			const char *cause)
{
	(void)b;
	(void)interface;
	(void)who;
	(void)cause;
}

void bridge_tunnel_alive(struct bridge *b, const char *interface, enum tunnel_witness who,
			 const char *cause)
{
	bridge_tunnel_dead(b, interface, who, cause);
}

void tunnels_each_view(struct tunnels *t, void (*cb)(void *ctx, const struct tunnel_view *tunnel),
		       void *ctx)
{
	(void)t;
	for (size_t i = 0; i < n_views; i++)
		cb(ctx, &views[i]);
}

/* ---- tests ---- */

static struct bridge_config config = {.bfd_dplane = "bfdd", .bfd_hold = 500};
static const struct log_sink quiet;
static struct bridge bridge = {.log = &quiet, .config = &config};

static struct bfd_link_session up(uint32_t discriminator)
{
	struct bfd_link_session s = {
		.discriminator = discriminator, .ifname = "tun-b", .state = BFD_UP};

	assert_true(addr_parse("10.255.0.1", &s.peer));
	return s;
}

static int begin(void **state)
{
	(void)state;
	bridge.loop = ev_loop_new(0);
	bridge_bfd_fit(&bridge);
	told = 0;
	n_views = 0;
	views[n_views++] = (struct tunnel_view){.conn = "A-B", .interface = "tun-b", .up = true};
	return bridge.bfd ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	bridge_bfd_end(&bridge);
	ev_loop_destroy(bridge.loop);
	return 0;
}

static void look(void)
{
	ev_run(bridge.loop, EVRUN_ONCE);
}

static void begin_with(struct bfd_link_session s)
{
	host->begin(host->ctx);
	host->session(host->ctx, &s);
	host->listed(host->ctx);
	look();
}

/* A road warrior, of whom the file says nothing. */
static void connection_without_section(void **state)
{
	(void)state;
	views[n_views++] = (struct tunnel_view){.conn = "warrior", .interface = "", .up = true};
	views[n_views++] = (struct tunnel_view){.conn = "A-B-2", .interface = "tun-b", .up = true};
	begin_with(up(1));
	assert_int_equal(told, 1);
	assert_int_equal(told_patience, 500000);
	views[n_views++] = (struct tunnel_view){.conn = "A-C", .interface = "tun-c", .up = true};
	look();
	assert_int_equal(told, 2);
	assert_int_equal(told_patience, 0);
}

/* Another bfdd: the session has another number, and its process has kept its patience. */
static void session_of_another_bfdd(void **state)
{
	struct bfd_link_session again = up(2);

	(void)state;
	begin_with(up(1));
	assert_int_equal(told_patience, 500000);
	host->session(host->ctx, &again);
	views[n_views++] = (struct tunnel_view){.conn = "A-C", .interface = "tun-c", .up = true};
	look();
	assert_int_equal(told, 2);
	assert_int_equal(told_discriminator, 2);
	assert_int_equal(told_patience, 0);
	look();
	assert_int_equal(told, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(connection_without_section, begin, end),
		cmocka_unit_test_setup_teardown(session_of_another_bfdd, begin, end),
	};

	return cmocka_run_group_tests_name("bridge_bfd", tests, NULL, NULL);
}
