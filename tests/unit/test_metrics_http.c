/* The HTTP server for metrics, on loopback: what it answers, an address that is taken, and
 * clients that mean harm. */
#include "lib/metrics_http.h"
#include "lib/mono.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE (20 * MONO_S)
#define SECONDS	 2 /* that a connection may last */

struct site {
	struct ev_loop *loop;
	struct metrics_http *http;
	struct endpoint at;
	unsigned written; /* how often the text was made */
	unsigned errors;
	char said[256]; /* the last error of the log */
	size_t extra;	/* samples */
};

static void write_all(void *ctx, struct metrics *m)
{
	struct site *s = ctx;
	char n[24];

	s->written++;
	metrics_family(m, METRICS_GAUGE, "x", "x");
	metrics_uint(m, s->written, NULL);
	for (size_t i = 0; i < s->extra; i++) {
		snprintf(n, sizeof(n), "%zu", i);
		metrics_uint(m, 0, "number", n, NULL);
	}
}

static void hear(void *ctx, enum log_level level, const char *subsystem, const char *name,
		 const char *text)
{
	struct site *s = ctx;

	(void)subsystem;
	(void)name;
	if (level > LOG_LEVEL_ERROR)
		return;
	s->errors++;
	snprintf(s->said, sizeof(s->said), "%s", text);
}

/* A port that is free now. */
static struct endpoint free_port(int *hold)
{
	struct endpoint at = {.addr = {AF_INET, {127, 0, 0, 1}}};
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&at, &sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, 1) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, &at));
	if (hold)
		*hold = fd;
	else
		close(fd);
	return at;
}

static struct log_sink sink;

static void site_open_for(struct site *s, unsigned seconds)
{
	struct metrics_http_host host = {
		.write = write_all, .ctx = s, .log = &sink, .seconds = seconds};

	*s = (struct site){.loop = ev_loop_new(EVFLAG_AUTO)};
	sink = (struct log_sink){.write = hear, .ctx = s, .level = LOG_LEVEL_DEBUG};
	host.loop = s->loop;
	s->http = metrics_http_new(&host);
	assert_non_null(s->http);
}

static void site_open(struct site *s)
{
	site_open_for(s, SECONDS);
}

static void serve(struct site *s)
{
	s->at = free_port(NULL);
	metrics_http_listen(s->http, &s->at);
	assert_int_equal(s->errors, 0);
}

static void site_close(struct site *s)
{
	metrics_http_free(s->http);
	ev_loop_destroy(s->loop);
}

/* ---- clients ---- */

static int reach(const struct site *s)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&s->at, &sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	connect(fd, (struct sockaddr *)&sa, len);
	return fd;
}

static void turn(struct site *s)
{
	ev_run(s->loop, EVRUN_NOWAIT);
	poll(NULL, 0, 1);
}

static void say(struct site *s, int fd, const char *text)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	mono_time end = mono_now() + PATIENCE;

	while (poll(&p, 1, 0) == 0 && mono_now() < end)
		turn(s);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* All that comes until the server closes; malloc'd, with its length. */
static char *hear_out(struct site *s, int fd, size_t *len)
{
	mono_time end = mono_now() + PATIENCE;
	char *text = calloc(1, 1);
	char part[65536];
	ssize_t n = -1;

	*len = 0;
	while (n != 0 && mono_now() < end) {
		turn(s);
		while ((n = recv(fd, part, sizeof(part), 0)) > 0) {
			text = realloc(text, *len + (size_t)n + 1);
			memcpy(text + *len, part, (size_t)n);
			*len += (size_t)n;
			text[*len] = '\0';
		}
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			break;
	}
	close(fd);
	assert_true(n <= 0 && mono_now() < end);
	return text;
}

static char *ask(struct site *s, const char *request)
{
	int fd = reach(s);
	size_t len;

	turn(s);
	say(s, fd, request);
	return hear_out(s, fd, &len);
}

static void expect(struct site *s, const char *request, const char *status, const char *part)
{
	char *answer = ask(s, request);

	if (strncmp(answer, status, strlen(status)) != 0 || !strstr(answer, part))
		fail_msg("%s: %s", request, answer);
	assert_non_null(strstr(answer, "Connection: close"));
	free(answer);
}

#define GET "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_answers(void **state)
{
	struct site s;
	char *answer;

	(void)state;
	site_open(&s);
	serve(&s);
	expect(&s, GET, "HTTP/1.1 200 ", "\r\n\r\n# HELP x x\n# TYPE x gauge\nx 1\n");
	expect(&s, "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.", "x 1\n");
	expect(&s, "GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", METRICS_TYPE);
	expect(&s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", "/metrics");
	expect(&s, "GET /metricsx HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", "");
	expect(&s, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
	       "HTTP/1.1 405 ", "Allow: GET, HEAD");
	expect(&s, "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ", "");
	answer = ask(&s, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(answer, "Content-Length: 30\r\n"));
	assert_null(strstr(answer, "# HELP"));
	free(answer);
	site_close(&s);
}

/* Made once a second, however many ask. */
static void test_shared(void **state)
{
	mono_time begun = mono_now();
	struct site s;

	(void)state;
	site_open(&s);
	serve(&s);
	for (unsigned i = 0; i < 50; i++)
		free(ask(&s, GET));
	assert_true(s.written >= 1 && s.written <= 1 + (mono_now() - begun) / MONO_S);
	site_close(&s);
}

static void test_taken(void **state)
{
	mono_time end = mono_now() + PATIENCE;
	struct site s;
	int holder;

	(void)state;
	site_open(&s);
	s.at = free_port(&holder);
	metrics_http_listen(s.http, &s.at);
	assert_int_equal(s.errors, 1);
	assert_non_null(strstr(s.said, "Address already in use"));
	metrics_http_listen(s.http, &s.at); /* a reload: nothing is said again */
	assert_int_equal(s.errors, 1);
	close(holder);
	do {
		int fd = reach(&s), error = 0;
		socklen_t len = sizeof(error);

		turn(&s);
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
		close(fd);
		if (!error)
			break;
		poll(NULL, 0, 20);
	} while (mono_now() < end);
	expect(&s, GET, "HTTP/1.1 200 ", "x ");
	site_close(&s);
}

static void test_moves(void **state)
{
	struct endpoint nowhere = {0}, old;
	struct site s;

	(void)state;
	site_open(&s);
	serve(&s);
	old = s.at;
	serve(&s);
	expect(&s, GET, "HTTP/1.1 200 ", "x ");
	metrics_http_listen(s.http, &old); /* and back: the port is free again */
	s.at = old;
	expect(&s, GET, "HTTP/1.1 200 ", "x ");
	metrics_http_listen(s.http, &nowhere);
	assert_int_equal(s.errors, 0);
	site_close(&s);
}

/* Five times as many as there may be, which say half a word and wait: who asks gets an answer,
 * at once and again, and the oldest ones are sent away. */
static void test_half_requests(void **state)
{
	int fds[5 * METRICS_HTTP_CONNECTIONS];
	const size_t n = sizeof(fds) / sizeof(*fds);
	mono_time begun = mono_now();
	struct site s;

	(void)state;
	site_open_for(&s, 1000); /* none goes by its age */
	serve(&s);
	for (size_t i = 0; i < n; i++) {
		fds[i] = reach(&s);
		turn(&s);
		if (i % 2)
			send(fds[i], "GET /metr", 9, MSG_NOSIGNAL);
		if (i % 50 == 49)
			expect(&s, GET, "HTTP/1.1 200 ", "x ");
	}
	assert_true(mono_now() - begun < PATIENCE);
	for (size_t i = 0; i < n - METRICS_HTTP_CONNECTIONS; i++) {
		size_t len;

		free(hear_out(&s, fds[i], &len));
	}
	for (size_t i = n - METRICS_HTTP_CONNECTIONS; i < n; i++)
		close(fds[i]);
	expect(&s, GET, "HTTP/1.1 200 ", "x ");
	site_close(&s);
}

/* All at once: the library stops to take connections at its limit, and has to begin again. */
static void test_burst(void **state)
{
	int fds[3 * METRICS_HTTP_CONNECTIONS];
	const size_t n = sizeof(fds) / sizeof(*fds);
	struct site s;

	(void)state;
	site_open_for(&s, 1000);
	serve(&s);
	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < n; i++)
			fds[i] = reach(&s);
		expect(&s, GET, "HTTP/1.1 200 ", "x ");
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
	}
	site_close(&s);
}

/* A byte now and then would begin the library's own time limit anew. */
static void test_dripping(void **state)
{
	mono_time begun = mono_now();
	struct site s;
	ssize_t n = 1;
	char byte;
	int fd;

	(void)state;
	site_open(&s);
	serve(&s);
	fd = reach(&s);
	turn(&s);
	say(&s, fd, "GET /metrics HTTP/1.1\r\nX: ");
	while (mono_now() - begun < PATIENCE) {
		for (unsigned i = 0; i < 50; i++)
			turn(&s);
		n = recv(fd, &byte, 1, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (send(fd, "y", 1, MSG_NOSIGNAL) < 0)
			break;
	}
	assert_true(mono_now() - begun < PATIENCE);
	assert_true(mono_now() - begun >= SECONDS * MONO_S - MONO_S / 10);
	close(fd);
	expect(&s, GET, "HTTP/1.1 200 ", "x ");
	site_close(&s);
}

/* Several megabytes that nobody reads cost nobody else anything. */
static void test_not_read(void **state)
{
	int fds[METRICS_HTTP_CONNECTIONS];
	struct site s;

	(void)state;
	site_open(&s);
	serve(&s);
	s.extra = 100000;
	for (size_t i = 0; i < METRICS_HTTP_CONNECTIONS; i++) {
		fds[i] = reach(&s);
		turn(&s);
		say(&s, fds[i], GET);
		turn(&s);
	}
	expect(&s, GET, "HTTP/1.1 200 ", "number=\"99999\"");
	assert_true(s.written < 10);
	for (size_t i = 0; i < METRICS_HTTP_CONNECTIONS; i++)
		close(fds[i]);
	expect(&s, GET, "HTTP/1.1 200 ", "number=\"99999\"");
	site_close(&s);
}

static void test_nonsense(void **state)
{
	static const char *const words[] = {
		"\r\n\r\n",
		"GET\r\n\r\n",
		"GET /metrics HTTP/9.9\r\n\r\n",
		"\x16\x03\x01\x02\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};
	char *long_one = malloc(70001);
	struct site s;
	size_t len;
	int fd;

	(void)state;
	site_open(&s);
	serve(&s);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		fd = reach(&s);
		turn(&s);
		say(&s, fd, words[i]);
		shutdown(fd, SHUT_WR);
		free(hear_out(&s, fd, &len));
	}
	memset(long_one, 'a', 70000);
	memcpy(long_one, "GET /", 5);
	long_one[70000] = '\0';
	fd = reach(&s);
	turn(&s);
	send(fd, long_one, 70000, MSG_NOSIGNAL);
	free(hear_out(&s, fd, &len));
	free(long_one);
	expect(&s, GET, "HTTP/1.1 200 ", "x ");
	site_close(&s);
}

static void test_endpoints(void **state)
{
	static const char *const good[] = {"127.0.0.1:1", "[::1]:9100", "0.0.0.0:65535", "[::]:80"};
	static const char *const bad[] = {"",
					  ":",
					  "127.0.0.1",
					  "127.0.0.1:",
					  "127.0.0.1:0",
					  "127.0.0.1:65536",
					  "127.0.0.1:1x",
					  "127.0.0.1: 1",
					  "::1:80",
					  "[::1]",
					  "[::1]80",
					  "[]:80",
					  "[:80",
					  "]:80",
					  "[127.0.0.1]:80",
					  "localhost:80",
					  ":80",
					  "127.0.0.1:000001",
					  "127.0.0.1:-1",
					  "127.0.0.1:0x50",
					  "[::1:80",
					  "a:b:80"};
	char text[ENDPOINT_TEXT];
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(endpoint_parse(good[i], &e));
		assert_string_equal(endpoint_format_url(&e, text), good[i]);
		assert_int_equal(addr_is_loopback(&e.addr), i < 2);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (endpoint_parse(bad[i], &e))
			fail_msg("taken: %s", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),	      cmocka_unit_test(test_shared),
		cmocka_unit_test(test_taken),	      cmocka_unit_test(test_moves),
		cmocka_unit_test(test_half_requests), cmocka_unit_test(test_burst),
		cmocka_unit_test(test_dripping),      cmocka_unit_test(test_not_read),
		cmocka_unit_test(test_nonsense),      cmocka_unit_test(test_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
