/* The vici stream (any cut of the bytes gives the same packets) and the blocking client
 * against a scripted peer. */
#include "lib/vici_client.h"
#include "lib/vici_stream.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- stream ---- */

static size_t three_packets(uint8_t *out, size_t cap)
{
	struct buf b = buf_over(out, cap);

	buf_put_u32(&b, 1);
	buf_put(&b, "a", 1);
	buf_put_u32(&b, 0);
	buf_put_u32(&b, 3);
	buf_put(&b, "bcd", 3);
	return b.len;
}

static void feed(struct vici_stream *s, const uint8_t *p, size_t n)
{
	while (n) {
		size_t room, take;
		uint8_t *space = vici_stream_space(s, &room);

		assert_non_null(space);
		take = n < room ? n : room;
		memcpy(space, p, take);
		vici_stream_wrote(s, take);
		p += take;
		n -= take;
	}
}

static unsigned drain(struct vici_stream *s, unsigned seen)
{
	static const char *const want[] = {"a", "", "bcd"};
	struct span packet;

	while (vici_stream_next(s, &packet) == VICI_STREAM_PACKET) {
		assert_true(seen < 3);
		assert_true(span_equal(packet, span_str(want[seen])));
		seen++;
	}
	return seen;
}

static void test_stream_any_cut(void **state)
{
	uint8_t bytes[64];
	size_t n = three_packets(bytes, sizeof(bytes));

	(void)state;
	for (size_t cut = 0; cut <= n; cut++) {
		struct vici_stream s;
		unsigned seen;

		vici_stream_init(&s);
		feed(&s, bytes, cut);
		seen = drain(&s, 0);
		feed(&s, bytes + cut, n - cut);
		assert_int_equal(drain(&s, seen), 3);
		vici_stream_free(&s);
	}
}

static void test_stream_large(void **state)
{
	static uint8_t big[4 + VICI_PACKET_MAX];
	struct vici_stream s;
	struct span packet;

	(void)state;
	memset(big, 'x', sizeof(big));
	be32_set(big, VICI_PACKET_MAX);
	vici_stream_init(&s);
	for (unsigned round = 0; round < 2; round++) {
		feed(&s, big, sizeof(big));
		assert_int_equal(vici_stream_next(&s, &packet), VICI_STREAM_PACKET);
		assert_int_equal(packet.len, VICI_PACKET_MAX);
		assert_int_equal(vici_stream_next(&s, &packet), VICI_STREAM_MORE);
		assert_true(s.cap < VICI_PACKET_MAX); /* nothing is held on to */
	}
	vici_stream_free(&s);
}

static void test_stream_too_long(void **state)
{
	uint8_t head[4];
	struct vici_stream s;
	struct span packet;
	size_t room;

	(void)state;
	be32_set(head, VICI_PACKET_MAX + 1);
	vici_stream_init(&s);
	feed(&s, head, sizeof(head));
	assert_int_equal(vici_stream_next(&s, &packet), VICI_STREAM_TOO_LONG);
	assert_null(vici_stream_space(&s, &room));
	vici_stream_free(&s);
}

static void test_stream_cleanses(void **state)
{
	static const uint8_t secret[] = {0, 0, 0, 6, 's', 'e', 'c', 'r', 'e', 't'};
	struct vici_stream s;
	struct span packet;

	(void)state;
	vici_stream_init(&s);
	feed(&s, secret, sizeof(secret));
	assert_int_equal(vici_stream_next(&s, &packet), VICI_STREAM_PACKET);
	assert_int_equal(vici_stream_next(&s, &packet), VICI_STREAM_MORE);
	assert_null(memmem(s.data, s.cap, "secret", 6));
	vici_stream_free(&s);
}

/* ---- client ---- */

struct peer {
	char path[108];
	pid_t pid;
};

static void send_packet(int fd, enum vici_packet_type type, const char *name, const char *value)
{
	uint8_t memory[256];
	struct buf b = buf_over(memory, sizeof(memory));

	vici_start(&b, type, name);
	if (value)
		vici_put(&b, "value", value);
	if (!vici_finish(&b) || write(fd, b.data, b.len) != (ssize_t)b.len)
		_exit(1);
}

static void receive_packet(int fd, struct vici_stream *s, struct vici_packet *out)
{
	struct span packet;

	while (vici_stream_next(s, &packet) != VICI_STREAM_PACKET) {
		size_t room;
		uint8_t *space = vici_stream_space(s, &room);
		ssize_t n = read(fd, space, room);

		if (n <= 0)
			_exit(n < 0);
		vici_stream_wrote(s, (size_t)n);
	}
	if (vici_packet_parse(packet, out))
		_exit(2);
}

/* Answers as the name asks; runs in a process of its own. */
static void serve(int fd)
{
	struct vici_stream s;
	struct vici_packet p;

	vici_stream_init(&s);
	for (;;) {
		receive_packet(fd, &s, &p);
		if (p.type == VICI_EVENT_REGISTER)
			send_packet(fd,
				    span_equal(p.name, span_str("tick")) ? VICI_EVENT_CONFIRM
									 : VICI_EVENT_UNKNOWN,
				    NULL, NULL);
		else if (p.type == VICI_EVENT_UNREGISTER)
			send_packet(fd, VICI_EVENT_CONFIRM, NULL, NULL);
		else if (span_equal(p.name, span_str("echo"))) {
			send_packet(fd, VICI_EVENT, "tick", "1");
			send_packet(fd, VICI_EVENT, "tick", "2");
			send_packet(fd, VICI_CMD_RESPONSE, NULL, "echoed");
		} else if (span_equal(p.name, span_str("odd")))
			send_packet(fd, VICI_CMD_REQUEST, "odd", NULL);
		else if (span_equal(p.name, span_str("close")))
			_exit(0);
		else if (!span_equal(p.name, span_str("silent")))
			send_packet(fd, VICI_CMD_UNKNOWN, NULL, NULL);
	}
}

static int start_peer(void **state)
{
	static struct peer peer;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(peer.path, sizeof(peer.path), "/tmp/test-vici-client-%d", (int)getpid());
	memcpy(un.sun_path, peer.path, strlen(peer.path));
	unlink(peer.path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) || listen(fd, 4))
		return -1;
	peer.pid = fork();
	if (peer.pid == 0)
		serve(accept(fd, NULL, NULL));
	close(fd);
	*state = &peer;
	return peer.pid < 0 ? -1 : 0;
}

static int stop_peer(void **state)
{
	struct peer *peer = *state;
	int status;

	unlink(peer->path);
	return waitpid(peer->pid, &status, 0) == peer->pid && WIFEXITED(status) ? 0 : -1;
}

static void count_tick(void *ctx, struct span name, struct span body)
{
	char value[4];

	assert_true(span_equal(name, span_str("tick")));
	assert_true(vici_get_str(body, "value", value, sizeof(value)));
	*(unsigned *)ctx += (unsigned)atoi(value);
}

static struct vici_client *connect_to(void **state, unsigned *ticks)
{
	struct peer *peer = *state;
	char why[200];
	struct vici_client *c =
		vici_client_connect(peer->path, count_tick, ticks, why, sizeof(why));

	assert_non_null(c);
	return c;
}

static void test_client_call(void **state)
{
	unsigned ticks = 0;
	struct vici_client *c = connect_to(state, &ticks);
	struct span response;
	char text[16];

	assert_int_equal(vici_client_register(c, "tick", 5000), VICI_CLIENT_OK);
	assert_int_equal(vici_client_register(c, "tock", 5000), VICI_CLIENT_UNKNOWN);
	assert_int_equal(vici_client_call(c, "echo", (struct span){0}, 5000, &response),
			 VICI_CLIENT_OK);
	assert_true(vici_get_str(response, "value", text, sizeof(text)));
	assert_string_equal(text, "echoed");
	assert_int_equal(ticks, 3);
	assert_int_equal(vici_client_unregister(c, "tick", 5000), VICI_CLIENT_OK);
	assert_int_equal(vici_client_call(c, "nonsense", (struct span){0}, 5000, &response),
			 VICI_CLIENT_UNKNOWN);
	assert_int_equal(vici_client_wait(c, 1), VICI_CLIENT_OK);
	vici_client_close(c);
}

static void test_client_timeout(void **state)
{
	unsigned ticks = 0;
	struct vici_client *c = connect_to(state, &ticks);
	struct span response;

	assert_int_equal(vici_client_call(c, "silent", (struct span){0}, 10, &response),
			 VICI_CLIENT_TIMEOUT);
	vici_client_close(c);
}

static void test_client_odd_answers(void **state)
{
	unsigned ticks = 0;
	struct vici_client *c = connect_to(state, &ticks);
	struct span response;

	assert_int_equal(vici_client_call(c, "odd", (struct span){0}, 5000, &response),
			 VICI_CLIENT_PROTOCOL);
	assert_int_equal(vici_client_call(c, "close", (struct span){0}, 5000, &response),
			 VICI_CLIENT_CLOSED);
	vici_client_close(c);
}

static void test_client_too_large(void **state)
{
	static uint8_t big[VICI_PACKET_MAX];
	unsigned ticks = 0;
	struct vici_client *c = connect_to(state, &ticks);
	struct span response;

	assert_int_equal(vici_client_call(c, "echo", span_of(big, sizeof(big)), 5000, &response),
			 VICI_CLIENT_TOO_LARGE);
	vici_client_close(c);
}

static void test_client_no_daemon(void **state)
{
	char why[400], path[300];

	(void)state;
	assert_null(vici_client_connect("/nonexistent/x.vici", NULL, NULL, why, sizeof(why)));
	assert_string_equal(why, "/nonexistent/x.vici: No such file or directory");
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_null(vici_client_connect(path, NULL, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "at most 107 characters"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream_any_cut),
		cmocka_unit_test(test_stream_large),
		cmocka_unit_test(test_stream_too_long),
		cmocka_unit_test(test_stream_cleanses),
		cmocka_unit_test_setup_teardown(test_client_call, start_peer, stop_peer),
		cmocka_unit_test_setup_teardown(test_client_timeout, start_peer, stop_peer),
		cmocka_unit_test_setup_teardown(test_client_odd_answers, start_peer, stop_peer),
		cmocka_unit_test_setup_teardown(test_client_too_large, start_peer, stop_peer),
		cmocka_unit_test(test_client_no_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
