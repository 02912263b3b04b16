/* The vty client against a daemon's socket of our own, and the framing byte by byte. */
#include "routed-bridge/vty.h"

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- framing ---- */

static void an_answer_ends_wherever_it_is_cut(void **state)
{
	static const char whole[] = "line\r\n\0odd\0\0it\0\0\0\2"; /* the array's NUL is behind */
	size_t n = sizeof(whole) - 1, text_len, used;
	uint8_t status;

	(void)state;
	for (size_t first = 0; first < n; first++) {
		struct vty_frame f = {0};

		assert_false(vty_frame_end(&f, span_of(whole, first), &text_len, &status, &used));
		assert_true(vty_frame_end(&f, span_of(whole, n), &text_len, &status, &used));
		assert_int_equal(text_len, n - 4);
		assert_int_equal(status, 2);
		assert_int_equal(used, n);
	}
}

static void an_empty_answer_with_status_nul(void **state)
{
	struct vty_frame f = {0};
	size_t text_len, used;
	uint8_t status = 9;

	(void)state;
	assert_false(vty_frame_end(&f, span_of("\0\0\0", 3), &text_len, &status, &used));
	assert_true(vty_frame_end(&f, span_of("\0\0\0\0\0", 5), &text_len, &status, &used));
	assert_int_equal(text_len, 0);
	assert_int_equal(status, 0);
	assert_int_equal(used, 4);
}

/* ---- the client ---- */

enum manner { ECHO, CLOSES, SILENT, TWICE, ENDLESS };

/* A daemon that answers each command with itself, or as its manner is. */
struct server {
	struct ev_loop *loop;
	char dir[64], path[96];
	int listening, fd;
	ev_io acceptable, readable;
	enum manner manner;
	unsigned connections, commands;
	char in[2048];
	size_t len;
};

struct answers {
	struct vty *v;
	unsigned n;
	char text[8][64];
	char why[256];
	uint8_t status;
	bool ask_more;
};

static void drop(struct server *s)
{
	if (s->fd < 0)
		return;
	ev_io_stop(s->loop, &s->readable);
	close(s->fd);
	s->fd = -1;
}

static void respond(struct server *s, const char *command)
{
	static char much[65536];
	char out[256];
	int n = snprintf(out, sizeof(out), "<%s>", command);

	s->commands++;
	if (strcmp(command, "enable") == 0)
		n = 0;
	else if (s->manner == SILENT)
		return;
	else if (s->manner == CLOSES) {
		drop(s);
		return;
	} else if (s->manner == ENDLESS) {
		memset(much, 'x', sizeof(much));
		while (write(s->fd, much, sizeof(much)) > 0)
			;
		return;
	}
	memcpy(out + n, "\0\0\0\1", 4);
	n += 4;
	if (n > 4 && s->manner == TWICE) {
		memcpy(out + n, out, (size_t)n);
		n *= 2;
	}
	assert_int_equal(write(s->fd, out, (size_t)n), n);
}

static void on_server_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct server *s = io->data;
	ssize_t n = read(s->fd, s->in + s->len, sizeof(s->in) - s->len);
	char *end;

	(void)loop;
	(void)events;
	if (n <= 0) {
		drop(s);
		return;
	}
	s->len += (size_t)n;
	while (s->fd >= 0 && (end = memchr(s->in, '\0', s->len))) {
		size_t used = (size_t)(end - s->in) + 1;

		respond(s, s->in);
		memmove(s->in, s->in + used, s->len - used);
		s->len -= used;
	}
}

static void on_server_acceptable(struct ev_loop *loop, ev_io *io, int events)
{
	struct server *s = io->data;

	(void)events;
	drop(s);
	s->fd = accept4(s->listening, NULL, NULL, SOCK_NONBLOCK);
	s->connections++;
	s->len = 0;
	ev_io_init(&s->readable, on_server_readable, s->fd, EV_READ);
	s->readable.data = s;
	ev_io_start(loop, &s->readable);
}

static void server_start(struct server *s, enum manner manner)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	*s = (struct server){.loop = ev_loop_new(EVFLAG_AUTO), .fd = -1, .manner = manner};
	snprintf(s->dir, sizeof(s->dir), "/tmp/test_vty.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/bgpd.vty", s->dir);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", s->path);
	s->listening = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listening, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(s->listening, 4), 0);
	ev_io_init(&s->acceptable, on_server_acceptable, s->listening, EV_READ);
	s->acceptable.data = s;
	ev_io_start(s->loop, &s->acceptable);
}

static void server_stop(struct server *s)
{
	drop(s);
	ev_io_stop(s->loop, &s->acceptable);
	close(s->listening);
	unlink(s->path);
	rmdir(s->dir);
	ev_loop_destroy(s->loop);
}

static void on_answer(void *ctx, struct span text, uint8_t status, const char *why)
{
	struct answers *a = ctx;

	assert_true(a->n < 8);
	snprintf(a->text[a->n++], sizeof(a->text[0]), "%.*s", (int)(text.len < 60 ? text.len : 60),
		 text.len ? (const char *)text.ptr : "");
	a->status = status;
	if (why)
		snprintf(a->why, sizeof(a->why), "%s", why);
	if (a->ask_more) {
		a->ask_more = false;
		assert_true(vty_ask(a->v, "bgpd", "more", on_answer, a));
	}
}

/* Until n answers are there. */
static void run(struct server *s, const struct answers *a, unsigned n)
{
	while (a->n < n)
		ev_run(s->loop, EVRUN_ONCE);
}

static void questions_are_answered_in_order(void **state)
{
	struct server s;
	struct answers a = {.ask_more = true};

	(void)state;
	server_start(&s, ECHO);
	a.v = vty_new(s.loop, s.dir, NULL);
	assert_true(vty_ask(a.v, "bgpd", "show one", on_answer, &a));
	assert_true(vty_ask(a.v, "bgpd", "show two", on_answer, &a));
	assert_int_equal(a.n, 0);
	run(&s, &a, 3);
	assert_string_equal(a.text[0], "<show one>");
	assert_string_equal(a.text[1], "<show two>");
	assert_string_equal(a.text[2], "<more>");
	assert_int_equal(a.status, VTY_WARNING);
	assert_string_equal(a.why, "");
	assert_int_equal(s.connections, 1);
	assert_int_equal(s.commands, 4); /* enable, too */
	vty_free(a.v);
	server_stop(&s);
}

static void each_failure_names_itself(void **state)
{
	static const struct {
		enum manner manner;
		const char *why;
	} failures[] = {{CLOSES, "closed the connection"},
			{SILENT, "no answer"},
			{TWICE, "more than one answer"},
			{ENDLESS, "larger than"}};
	const struct vty_limits limits = {.answer_max = 60000, .patience = 0.05};

	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		struct server s;
		struct answers a = {0};

		server_start(&s, failures[i].manner);
		a.v = vty_new(s.loop, s.dir, &limits);
		vty_ask(a.v, "bgpd", "show one", on_answer, &a);
		run(&s, &a, 1);
		assert_non_null(strstr(a.why, failures[i].why));
		assert_non_null(strstr(a.why, "bgpd.vty"));
		s.manner = ECHO; /* it works again */
		vty_ask(a.v, "bgpd", "show two", on_answer, &a);
		run(&s, &a, 2);
		assert_string_equal(a.text[1], "<show two>");
		vty_free(a.v);
		server_stop(&s);
	}
}

static void a_daemon_that_is_not_there(void **state)
{
	struct server s;
	struct answers a = {0};

	(void)state;
	server_start(&s, ECHO);
	a.v = vty_new(s.loop, s.dir, NULL);
	vty_ask(a.v, "ospfd", "show one", on_answer, &a);
	vty_ask(a.v, "ospfd", "show two", on_answer, &a);
	vty_ask(a.v, "bgpd", "show three", on_answer, &a);
	run(&s, &a, 3);
	assert_non_null(strstr(a.why, "ospfd.vty: No such file"));
	vty_free(a.v);
	server_stop(&s);
}

static void an_unused_connection_is_closed_and_made_anew(void **state)
{
	const struct vty_limits limits = {.idle = 0.02};
	struct server s;
	struct answers a = {0};

	(void)state;
	server_start(&s, ECHO);
	a.v = vty_new(s.loop, s.dir, &limits);
	vty_ask(a.v, "bgpd", "show one", on_answer, &a);
	run(&s, &a, 1);
	while (s.fd >= 0)
		ev_run(s.loop, EVRUN_ONCE);
	vty_ask(a.v, "bgpd", "show two", on_answer, &a);
	run(&s, &a, 2);
	assert_int_equal(s.connections, 2);
	drop(&s); /* as a daemon that ends */
	vty_ask(a.v, "bgpd", "show three", on_answer, &a);
	run(&s, &a, 3);
	vty_free(a.v);
	server_stop(&s);
}

static void forgotten_questions_are_not_answered(void **state)
{
	struct server s;
	struct answers a = {0}, b = {0};

	(void)state;
	server_start(&s, ECHO);
	a.v = vty_new(s.loop, s.dir, NULL);
	vty_ask(a.v, "bgpd", "show one", on_answer, &b);
	vty_ask(a.v, "bgpd", "show two", on_answer, &a);
	vty_ask(a.v, "bgpd", "show three", on_answer, &b);
	vty_forget(a.v, &b);
	vty_ask(a.v, "bgpd", "show four", on_answer, &a);
	run(&s, &a, 2);
	assert_string_equal(a.text[1], "<show four>");
	assert_int_equal(b.n, 0);
	vty_free(a.v);
	server_stop(&s);
}

static void what_cannot_be_asked(void **state)
{
	struct server s;
	struct answers a = {0};
	char command[VTY_COMMAND_MAX + 1];

	(void)state;
	server_start(&s, ECHO);
	a.v = vty_new(s.loop, s.dir, NULL);
	memset(command, 'x', sizeof(command));
	command[VTY_COMMAND_MAX] = '\0';
	assert_false(vty_ask(a.v, "bgpd", command, on_answer, &a));
	assert_false(vty_ask(a.v, "bgpd", "two\nlines", on_answer, &a));
	assert_false(vty_ask(a.v, "bgpd", "", on_answer, &a));
	assert_false(vty_ask(a.v, "a name that no daemon has", "show", on_answer, &a));
	for (unsigned i = 0; i < VTY_WAITING_MAX; i++)
		assert_true(vty_ask(a.v, "bgpd", "show", on_answer, &a));
	assert_false(vty_ask(a.v, "bgpd", "show", on_answer, &a));
	vty_free(a.v);
	server_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_ends_wherever_it_is_cut),
		cmocka_unit_test(an_empty_answer_with_status_nul),
		cmocka_unit_test(questions_are_answered_in_order),
		cmocka_unit_test(each_failure_names_itself),
		cmocka_unit_test(a_daemon_that_is_not_there),
		cmocka_unit_test(an_unused_connection_is_closed_and_made_anew),
		cmocka_unit_test(forgotten_questions_are_not_answered),
		cmocka_unit_test(what_cannot_be_asked),
	};

	return cmocka_run_group_tests_name("vty", tests, NULL, NULL);
}
