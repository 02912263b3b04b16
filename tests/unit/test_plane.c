/* Which plane is picked, what is said of it, and what a plane lacks being offered to nobody:
 * over planes that are nothing but their probes. */
#include "ipsecd/offer.h"
#include "ipsecd/plane.h"
#include "tests/support/propose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static bool kernel_works, userspace_works, flush_works;
static char said[1024];

static bool kernel_probe(char *why, size_t size)
{
	snprintf(why, size, "no XFRM");
	return kernel_works;
}

static bool userspace_probe(char *why, size_t size)
{
	snprintf(why, size, "no TUN");
	return userspace_works;
}

static bool kernel_flush(const struct log_sink *log, char *why, size_t size)
{
	(void)log;
	snprintf(why, size, "not permitted");
	return flush_works;
}

/* A kernel without ChaCha20-Poly1305 and SHA2-384. */
static bool kernel_supports(struct dataplane *d, uint16_t encr, uint16_t bits, uint16_t integ,
			    bool esn)
{
	(void)d;
	(void)bits;
	(void)esn;
	return encr != ENCR_CHACHA20_POLY1305 && integ != INTEG_HMAC_SHA2_384_192;
}

const struct dataplane_ops dataplane_kernel = {.name = "kernel",
					       .probe = kernel_probe,
					       .flush = kernel_flush,
					       .supports = kernel_supports};
const struct dataplane_ops dataplane_userspace = {
	.name = "userspace", .plain = true, .probe = userspace_probe};

static void hear(void *ctx, enum log_level level, const char *subsystem, const char *name,
		 const char *text)
{
	size_t at = strlen(said);

	(void)ctx;
	(void)level;
	(void)subsystem;
	(void)name;
	snprintf(said + at, sizeof(said) - at, "%s\n", text);
}

static const struct log_sink sink = {.write = hear, .level = LOG_LEVEL_INFO};

static const struct dataplane_ops *choose(const char *wanted, char *why, size_t size)
{
	said[0] = '\0';
	return plane_choose(wanted, &sink, why, size);
}

static void auto_takes_what_works(void **state)
{
	char why[256];

	(void)state;
	kernel_works = userspace_works = true;
	assert_ptr_equal(choose("auto", why, sizeof(why)), &dataplane_kernel);
	assert_string_equal(said, "data plane: using kernel\n");
	assert_string_equal(why, "it works here and is the first choice");
	kernel_works = false;
	assert_ptr_equal(choose("auto", why, sizeof(why)), &dataplane_userspace);
	assert_string_equal(said,
			    "data plane kernel does not work here: no XFRM; using userspace\n");
	assert_string_equal(why, "data plane kernel does not work here: no XFRM");
	userspace_works = false;
	assert_null(choose("auto", why, sizeof(why)));
	assert_non_null(strstr(why, "no XFRM"));
	assert_non_null(strstr(why, "no TUN"));
}

static void asked_for_or_refused(void **state)
{
	char why[256];

	(void)state;
	kernel_works = false;
	userspace_works = true;
	assert_null(choose("kernel", why, sizeof(why)));
	assert_string_equal(why, "kernel does not work here: no XFRM");
	assert_ptr_equal(choose("userspace", why, sizeof(why)), &dataplane_userspace);
	assert_string_equal(said, "data plane: using userspace, as asked\n");
	assert_string_equal(why, "as asked with --plane");
}

static void flush_says_what_failed(void **state)
{
	char why[256];

	(void)state;
	flush_works = true;
	assert_true(plane_flush(&sink, why, sizeof(why)));
	flush_works = false;
	assert_false(plane_flush(&sink, why, sizeof(why)));
	assert_string_equal(why, "not permitted");
}

static struct conn *conn_with(const char *esp)
{
	struct conn *conn = conn_new("a-b");
	struct child_config *child = conn_add_child(conn, "net");

	propose(PROTOCOL_ESP, esp, &child->proposals);
	return conn;
}

static void lacking_is_not_offered(void **state)
{
	struct offer offer = {.ops = &dataplane_kernel, .log = &sink};
	struct conn *conn = conn_with("chacha20poly1305-aes128gcm16,aes128-sha384-sha256");
	struct conn *same = conn_with("aes128gcm16,aes128-sha256");
	char why[256];

	(void)state;
	said[0] = '\0';
	assert_true(offer_limit(&offer, conn, why, sizeof(why)));
	assert_true(proposal_list_equal(conn->children[0].proposals, same->children[0].proposals));
	assert_string_equal(said,
			    "the kernel data plane has no CHACHA20_POLY1305 here: not offered\n"
			    "the kernel data plane has no HMAC_SHA2_384_192 here: not offered\n");
	conn_free(conn);
	said[0] = '\0';
	conn = conn_with("chacha20poly1305-aes128gcm16"); /* once is enough */
	assert_true(offer_limit(&offer, conn, why, sizeof(why)));
	assert_string_equal(said, "");
	conn_free(conn);
	conn_free(same);
}

/* As often as it is asked: a new conn's device is asked for ahead, and the conn is loaded then. */
static void nothing_left_is_refused(void **state)
{
	struct offer offer = {.ops = &dataplane_kernel, .log = &sink};
	struct conn *conn = conn_with("aes128-sha384");
	char why[256];

	(void)state;
	said[0] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		why[0] = '\0';
		assert_false(offer_limit(&offer, conn, why, sizeof(why)));
		assert_string_equal(why, "child 'net': the kernel data plane can do none of "
					 "ESP:AES_CBC_128/HMAC_SHA2_384_192/NO_EXT_SEQ");
	}
	/* AES-CBC was not at fault. */
	assert_string_equal(said,
			    "the kernel data plane has no HMAC_SHA2_384_192 here: not offered\n");
	conn_free(conn);
}

static void plane_that_can_all(void **state)
{
	struct offer offer = {.ops = &dataplane_userspace, .log = &sink};
	struct conn *conn = conn_with("aes128-sha384");
	char why[256];

	(void)state;
	assert_true(offer_limit(&offer, conn, why, sizeof(why)));
	assert_int_equal(conn->children[0].proposals->n, 1);
	conn_free(conn);
}

static void without_effect_is_said(void **state)
{
	struct offer offer = {.ops = &dataplane_userspace, .log = &sink};
	struct conn *conn = conn_with("aes128gcm16");

	(void)state;
	said[0] = '\0';
	offer_say_unused(&offer, conn);
	assert_string_equal(said, "");
	conn->tunnel.keyed = conn->tunnel.external = true;
	conn->tunnel.mss = TUNNEL_MSS_AUTO;
	conn->children[0].flags.dscp = CHILD_DSCP_NO;
	conn->children[0].flags.set_mark_in_mask = 1;
	offer_say_unused(&offer, conn);
	assert_string_equal(said,
			    "without effect on the userspace data plane: marks and interface ids, "
			    "set-mark\n"
			    "the userspace data plane can't use a script's device and makes one: "
			    "a-b\n");
	said[0] = '\0';
	offer.ops = &dataplane_kernel;
	offer_say_unused(&offer, conn);
	assert_string_equal(said, "");
	conn_free(conn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(auto_takes_what_works),   cmocka_unit_test(asked_for_or_refused),
		cmocka_unit_test(flush_says_what_failed),  cmocka_unit_test(lacking_is_not_offered),
		cmocka_unit_test(nothing_left_is_refused), cmocka_unit_test(plane_that_can_all),
		cmocka_unit_test(without_effect_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
