/* The BFD process tells a bridge of more sessions than the socket between them holds. */
#include "routed-bridge/bfd_link.h"
#include "routed-bridge/bfd_reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSIONS 2000

static void put(struct bfd_table *table, unsigned n)
{
	struct bfddp_session s = {
		.discriminator = n + 1, .min_tx = 10000, .min_rx = 10000, .multiplier = 3};
	struct bfd_peer *p;
	char text[32];

	snprintf(text, sizeof(text), "10.%u.%u.1", n / 256, n % 256);
	assert_true(addr_parse(text, &s.peer));
	snprintf(s.ifname, sizeof(s.ifname), "tun%u", n);
	assert_int_equal(bfd_table_put(table, &s, 1, 0, &p), BFD_PUT_NEW);
}

static void run(struct bfd_loop *loop)
{
	bfd_loop_dispatch(loop, bfd_loop_wait(loop, mono_now() + MONO_MS));
}

/* What was not told before LISTED is forgotten by the bridge: it comes once, behind them all. */
static void listed_comes_last(void **state)
{
	struct bfd_table *table = bfd_table_new(1);
	const struct log_sink log = {0};
	struct bfd_link_message m;
	struct bfd_reports *r;
	struct bfd_loop loop;
	unsigned sessions = 0, listed = 0;
	char path[32];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "test-%d", (int)getpid());
	assert_true(bfd_loop_open(&loop));
	r = bfd_reports_new(&loop, table, &log, path);
	assert_non_null(r);
	for (unsigned n = 0; n < SESSIONS; n++)
		put(table, n);
	fd = bfd_link_connect(path);
	assert_true(fd >= 0);
	while (!bfd_reports_attached(r))
		run(&loop);
	for (unsigned round = 0; !listed && round < SESSIONS; round++) {
		while (bfd_link_read(fd, &m) > 0) {
			assert_false(listed && m.kind == BFD_LINK_SESSION);
			sessions += m.kind == BFD_LINK_SESSION;
			listed += m.kind == BFD_LINK_LISTED;
		}
		run(&loop);
	}
	assert_int_equal(sessions, SESSIONS);
	assert_int_equal(listed, 1);
	close(fd);
	bfd_reports_free(r);
	bfd_table_free(table);
	bfd_loop_close(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listed_comes_last),
	};

	return cmocka_run_group_tests_name("bfd_reports", tests, NULL, NULL);
}
