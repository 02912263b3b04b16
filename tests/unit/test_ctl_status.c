/* What `ipsecctl status` makes of a daemon's answers, which are written here. */
#include "ipsecd/ctl/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const char *sa_state, *child_state; /* of gw's IKE_SA, and its CHILD_SA; NULL: none */
static unsigned parts;			   /* events that tell of it, each of another CHILD_SA */

/* ---- the daemon ---- */

static void put_child(struct buf *b, unsigned part)
{
	char section[16];

	snprintf(section, sizeof(section), "net-%u", part);
	vici_put_section(b, section);
	vici_put(b, "name", "net");
	vici_put(b, "state", child_state);
	vici_put_section_end(b);
}

static void put_sa(struct buf *b, unsigned part)
{
	vici_put_section(b, "gw");
	vici_put(b, "uniqueid", "7");
	vici_put(b, "state", sa_state);
	vici_put(b, "established", "90");
	vici_put_section(b, "child-sas");
	if (child_state)
		put_child(b, part);
	vici_put_section_end(b);
	vici_put_section_end(b);
}

int ctl_stream(struct ctl *c, const char *command, struct span body, const char *event,
	       vici_event_cb *on_event, void *ctx)
{
	(void)c;
	(void)body;
	for (unsigned part = 0; part < parts; part++) {
		uint8_t memory[512];
		struct buf b = buf_over(memory, sizeof(memory));

		if (strcmp(command, "list-conns") == 0) {
			vici_put_section(&b, "gw");
			vici_put(&b, "reason", "peer_refused");
			vici_put(&b, "next-attempt", "5");
			vici_put_section_end(&b);
		} else if (sa_state) {
			put_sa(&b, part);
		}
		on_event(ctx, span_str(event), buf_span(&b));
	}
	return CTL_OK;
}

int ctl_call(struct ctl *c, const char *command, struct span body, int timeout_ms,
	     struct span *response)
{
	(void)c;
	(void)body;
	(void)timeout_ms;
	assert_string_equal(command, "stats");
	*response = (struct span){0};
	return CTL_OK;
}

int ctl_error(const char *format, ...)
{
	fail_msg("%s", format);
	return CTL_FAILED;
}

/* ---- what is shown ---- */

static char shown[4096];

/* `status gw`: its exit status. */
static int show(const char *ike, const char *child)
{
	char gw[] = "gw", *argv[] = {gw};
	struct ctl c = {.argc = 1, .argv = argv};
	int before = dup(STDOUT_FILENO), status;
	FILE *f = tmpfile();

	sa_state = ike;
	child_state = child;
	assert_non_null(f);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	status = command_status(&c);
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	rewind(f);
	shown[fread(shown, 1, sizeof(shown) - 1, f)] = '\0';
	fclose(f);
	return status;
}

static void expect_row(const char *state, const char *count, const char *age)
{
	char name[16], is[16], peer[16], device[16], n[16], bytes[16], old[16];
	const char *row = strchr(shown, '\n');

	assert_non_null(row);
	assert_int_equal(sscanf(row, "%15s %15s %15s %15s %15s %15s %15s", name, is, peer, device,
				n, bytes, old),
			 7);
	assert_string_equal(name, "gw");
	assert_string_equal(is, state);
	assert_string_equal(n, count);
	assert_string_equal(old, age);
}

static void states(void **state)
{
	(void)state;
	parts = 1;
	assert_int_equal(show("ESTABLISHED", "INSTALLED"), CTL_OK);
	expect_row("up", "1/1", "90s");
	assert_int_equal(show("ESTABLISHED", NULL), CTL_DOWN);
	expect_row("established", "1/0", "90s");
	assert_int_equal(show("CONNECTING", NULL), CTL_DOWN);
	expect_row("connecting", "1/0", "90s");
	assert_non_null(strstr(shown, "IKE SA #7: connecting, begun by the peer"));
	assert_null(strstr(shown, "negotiated"));
	assert_int_equal(show(NULL, NULL), CTL_DOWN);
	expect_row("waiting", "0/0", "-");
}

/* One that a peer refused is there until that has been answered: it counts as none. */
static void one_that_is_ending(void **state)
{
	(void)state;
	assert_int_equal(show("DELETING", NULL), CTL_DOWN);
	expect_row("waiting", "0/0", "-");
	assert_null(strstr(shown, "IKE SA #7"));
	assert_non_null(strstr(shown, "peer_refused; next attempt in 5s"));
}

/* Packets may pass until its CHILD_SAs are gone. */
static void one_that_still_has_a_child(void **state)
{
	(void)state;
	assert_int_equal(show("DELETING", "INSTALLED"), CTL_OK);
	expect_row("up", "1/1", "90s");
	assert_non_null(strstr(shown, "IKE SA #7"));
}

/* The daemon tells in parts what one packet does not hold. */
static void one_in_parts(void **state)
{
	(void)state;
	parts = 3;
	assert_int_equal(show("ESTABLISHED", "INSTALLED"), CTL_OK);
	expect_row("up", "1/3", "90s");
	assert_null(strstr(strstr(shown, "gw") + 1, "\ngw"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states),
		cmocka_unit_test(one_that_is_ending),
		cmocka_unit_test(one_that_still_has_a_child),
		cmocka_unit_test(one_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
