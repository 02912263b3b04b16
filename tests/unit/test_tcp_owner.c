/* The kernel's table of TCP sockets: lines of it, and a connection of our own. */
#include "routed-bridge/tcp_owner.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct endpoint at(const char *text)
{
	struct endpoint e;

	assert_true(endpoint_parse(text, &e));
	return e;
}

/* Written on a machine of this byte order. */
static const char table[] =
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
	"timeout\n"
	"   0: 0100007F:45EC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        "
	"0 1\n"
	"   1: 0100007F:B2C4 0100007F:45EC 01 00000000:00000000 02:00000000 00000000   107        "
	"0 2\n"
	"   2: 0000000000000000FFFF00000100007F:B2C5 0000000000000000FFFF00000100007F:45EC 01 "
	"00000000:00000000 00:00000000 00000000  1000        0 3\n"
	"   3: 00000000000000000000000001000000:B2C6 00000000000000000000000001000000:45EC 01 "
	"00000000:00000000 00:00000000 00000000     7        0 4\n"
	/* Closed by user 1000 before anybody looked: FIN_WAIT2, TIME_WAIT. */
	"   4: 0100007F:B2C8 0100007F:45EC 05 00000000:00000000 00:00000000 00000000     0        "
	"0 0\n"
	"   5: 0100007F:B2C9 0100007F:45EC 06 00000000:00000000 03:00001770 00000000     0        "
	"0 0\n";

static bool owner(const char *from, const char *to, unsigned *uid)
{
	struct endpoint a = at(from), b = at(to);
	FILE *f = fmemopen((void *)(uintptr_t)table, sizeof(table) - 1, "r");
	bool found = tcp_owner_in(f, &a, &b, uid);

	fclose(f);
	return found;
}

static void lines_of_the_table(void **state)
{
	unsigned uid = 0;

	(void)state;
	assert_true(owner("127.0.0.1:45764", "127.0.0.1:17900", &uid));
	assert_int_equal(uid, 107);
	assert_true(owner("127.0.0.1:45765", "127.0.0.1:17900", &uid)); /* of an IPv6 socket */
	assert_int_equal(uid, 1000);
	assert_true(owner("[::1]:45766", "[::1]:17900", &uid));
	assert_int_equal(uid, 7);
	assert_false(owner("127.0.0.1:45764", "127.0.0.1:17901", &uid));
	assert_false(owner("127.0.0.1:45766", "127.0.0.1:17900", &uid));
	assert_false(owner("127.0.0.2:45764", "127.0.0.1:17900", &uid));
	assert_false(owner("127.0.0.1:45768", "127.0.0.1:17900", &uid));
	assert_false(owner("127.0.0.1:45769", "127.0.0.1:17900", &uid));
}

static void a_connection_of_our_own(void **state)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in there = here;
	int listening = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct endpoint from, to;
	socklen_t len = sizeof(here);
	unsigned uid = 12345;

	(void)state;
	assert_int_equal(bind(listening, (struct sockaddr *)&here, len), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&here, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&here, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&there, &len), 0);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&there, &from));
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&here, &to));
	assert_true(tcp_owner(&from, &to, &uid));
	assert_int_equal(uid, getuid());
	close(fd);
	assert_false(tcp_owner(&from, &to, &uid)); /* whoever may accept it: it is nobody's */
	close(listening);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_the_table),
		cmocka_unit_test(a_connection_of_our_own),
	};

	return cmocka_run_group_tests_name("tcp_owner", tests, NULL, NULL);
}
