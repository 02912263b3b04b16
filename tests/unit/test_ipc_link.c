/* Links between processes: order, descriptors, sockets that are full, calls amid other messages,
 * peers that die or send garbage. The other end is raw where it has to be bad. */
#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/verbs.h"

#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TOLD_MAX  4096
#define MAGIC	  0x44544f52u
#define QUESTIONS 500

struct end {
	struct ipc_link *link;
	uint32_t told[TOLD_MAX]; /* verbs */
	unsigned n_told;
	uint32_t serial; /* of the last */
	int fd;		 /* taken from the last; -1: none */
	unsigned closed;
	char why[96];
	bool free_inside; /* the callback ends the link */
	bool asks;	  /* the callback calls the peer */
	bool takes;
};

struct fixture {
	struct ev_loop *loop;
	struct end a, b;
	int raw; /* the other end of a, where there is no b */
};

static void on_message(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	struct end *e = ctx;

	assert_true(e->n_told < TOLD_MAX);
	e->told[e->n_told++] = m->verb;
	e->serial = m->serial;
	if (m->n_fds && e->takes) {
		e->fd = m->fds[0];
		m->fds[0] = -1;
	}
	if (m->serial && m->verb == 7)
		assert_true(ipc_send(link, IPC_ANSWER, m->serial, &m->body, 1, NULL, 0));
	if (e->asks) {
		struct ipc_message answer;

		assert_true(ipc_call(link, 7, NULL, 0, NULL, 0, -1, &answer));
	}
	if (e->free_inside) {
		ipc_link_free(link);
		e->link = NULL;
	}
}

static void on_closed(void *ctx, struct ipc_link *link, const char *why)
{
	struct end *e = ctx;

	(void)link;
	e->closed++;
	strncpy(e->why, why, sizeof(e->why) - 1);
}

static void open_end(struct fixture *f, struct end *e, int fd)
{
	const struct ipc_host host = {.message = on_message, .closed = on_closed, .ctx = e};

	e->fd = -1;
	e->link = ipc_link_new(f->loop, fd, &host);
	assert_non_null(e->link);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	f->loop = ev_loop_new(0);
	assert_true(ipc_pair(fds));
	open_end(f, &f->a, fds[0]);
	open_end(f, &f->b, fds[1]);
	f->raw = -1;
	*state = f;
	return 0;
}

static int setup_raw(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	f->loop = ev_loop_new(0);
	assert_true(ipc_pair(fds));
	open_end(f, &f->a, fds[0]);
	f->raw = fds[1];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ipc_link_free(f->a.link);
	ipc_link_free(f->b.link);
	if (f->raw >= 0)
		close(f->raw);
	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

/* As long as it takes, but not for ever. */
static void run(struct fixture *f)
{
	for (unsigned i = 0; i < 50; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
}

static void keeps_order(void **state)
{
	struct fixture *f = *state;

	for (uint32_t verb = 100; verb < 1000; verb++)
		assert_true(ipc_send(f->a.link, verb, 0, NULL, 0, NULL, 0));
	run(f);
	assert_int_equal(f->b.n_told, 900);
	for (unsigned i = 0; i < 900; i++)
		assert_int_equal(f->b.told[i], 100 + i);
}

static void waits_for_a_full_socket(void **state)
{
	static uint8_t big[IPC_BODY_MAX];
	const struct span part = span_of(big, sizeof(big));
	struct fixture *f = *state;
	unsigned n = 0;

	while (!ipc_backlog(f->a.link)) {
		assert_true(ipc_send(f->a.link, 100 + n, 0, &part, 1, NULL, 0));
		n++;
	}
	/* What may be lost is, and does not overtake. */
	assert_false(ipc_offer(f->a.link, 1, NULL, 0));
	assert_true(ipc_send(f->a.link, 100 + n++, 0, NULL, 0, NULL, 0));
	run(f);
	assert_int_equal(f->b.n_told, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(f->b.told[i], 100 + i);
	assert_int_equal(ipc_backlog(f->a.link), 0);
	assert_true(ipc_offer(f->a.link, 1, NULL, 0));
}

static void a_peer_that_does_not_read_is_given_up(void **state)
{
	static uint8_t big[IPC_BODY_MAX];
	const struct span part = span_of(big, sizeof(big));
	struct fixture *f = *state;
	unsigned n = 0;

	while (ipc_send(f->a.link, 100, 0, &part, 1, NULL, 0))
		assert_true(++n < 4 * (IPC_BACKLOG_MAX + (8 << 20)) / IPC_BODY_MAX);
	assert_int_equal(f->a.closed, 0); /* never from inside of a send */
	assert_false(ipc_send(f->a.link, 100, 0, NULL, 0, NULL, 0));
	run(f);
	assert_int_equal(f->a.closed, 1);
	assert_string_not_equal(f->a.why, "");
}

/* What has no body costs memory, too. */
static void a_peer_that_does_not_read_is_given_up_with_small_ones(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	while (ipc_send(f->a.link, 100, 0, NULL, 0, NULL, 0))
		assert_true(++n < 1000000);
	run(f);
	assert_int_equal(f->a.closed, 1);
}

static void too_long_is_refused(void **state)
{
	static uint8_t big[IPC_BODY_MAX + 1];
	const struct span part = span_of(big, sizeof(big));
	struct fixture *f = *state;

	assert_false(ipc_send(f->a.link, 100, 0, &part, 1, NULL, 0));
	assert_true(ipc_send(f->a.link, 101, 0, &(struct span){big, sizeof(big) - 1}, 1, NULL, 0));
	run(f);
	assert_int_equal(f->b.n_told, 1);
	assert_int_equal(f->b.closed, 0);
}

static void descriptors_cross(void **state)
{
	struct fixture *f = *state;
	int pipes[2];
	char byte = 'x';

	f->b.takes = true;
	assert_int_equal(pipe(pipes), 0);
	assert_true(ipc_send(f->a.link, 100, 0, NULL, 0, &pipes[1], 1));
	close(pipes[1]); /* the link has a copy, wherever the message is */
	run(f);
	assert_true(f->b.fd >= 0);
	assert_true(fcntl(f->b.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(f->b.fd, &byte, 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(f->b.fd);
	assert_int_equal(read(pipes[0], &byte, 1), 0); /* nobody else has it */
	close(pipes[0]);
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;
	struct stat st;

	for (int fd = 0; fd < 1024; fd++)
		n += fstat(fd, &st) == 0;
	return n;
}

static void descriptors_nobody_takes_are_closed(void **state)
{
	struct fixture *f = *state;
	unsigned before = open_descriptors();
	int fds[IPC_FDS_MAX] = {0, 1, 2, 0};

	for (unsigned i = 0; i < 100; i++)
		assert_true(ipc_send(f->a.link, 100, 0, NULL, 0, fds, IPC_FDS_MAX));
	run(f);
	assert_int_equal(f->b.n_told, 100);
	assert_int_equal(open_descriptors(), before);
}

static void queued_descriptors_are_closed_with_the_link(void **state)
{
	static uint8_t big[IPC_BODY_MAX];
	const struct span part = span_of(big, sizeof(big));
	struct fixture *f = *state;
	unsigned before = open_descriptors();
	int zero = 0;

	while (ipc_backlog(f->a.link) < IPC_BACKLOG_MAX / 2)
		assert_true(ipc_send(f->a.link, 100, 0, &part, 1, &zero, 1));
	assert_true(open_descriptors() > before);
	ipc_link_free(f->a.link);
	f->a.link = NULL;
	assert_int_equal(open_descriptors(), before - 1);
}

/* ---- calls ---- */

struct helper {
	int fd;
	unsigned before; /* messages that go before the answer */
	bool answer, die, garble;
};

struct raw_header {
	uint32_t magic, verb, serial, len;
};

/* The raw peer: reads one request and does as it is told. */
static void *peer(void *ctx)
{
	struct helper *h = ctx;
	struct raw_header head, other = {MAGIC, 500, 0, 0};
	uint8_t body[64];
	struct iovec iov[2] = {{&head, sizeof(head)}, {body, sizeof(body)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	fcntl(h->fd, F_SETFL, 0);
	if (recvmsg(h->fd, &msg, 0) < (ssize_t)sizeof(head))
		return NULL;
	for (unsigned i = 0; i < h->before; i++, other.verb++)
		send(h->fd, &other, sizeof(other), MSG_NOSIGNAL);
	if (h->garble)
		send(h->fd, "garbage", 7, MSG_NOSIGNAL);
	if (h->answer) {
		head.verb = IPC_ANSWER;
		iov[1].iov_len = head.len;
		sendmsg(h->fd, &msg, MSG_NOSIGNAL);
	}
	if (h->die)
		shutdown(h->fd, SHUT_RDWR);
	return NULL;
}

static bool call_with(struct fixture *f, struct helper h, int timeout, struct ipc_message *answer)
{
	const struct span part = span_of("question", 8);
	pthread_t thread;
	bool ok;

	h.fd = f->raw;
	assert_int_equal(pthread_create(&thread, NULL, peer, &h), 0);
	ok = ipc_call(f->a.link, 7, &part, 1, NULL, 0, timeout, answer);
	pthread_join(thread, NULL);
	return ok;
}

static void a_call_gets_its_answer(void **state)
{
	struct fixture *f = *state;
	struct ipc_message m;

	assert_true(call_with(f, (struct helper){.answer = true}, -1, &m));
	assert_int_equal(m.verb, IPC_ANSWER);
	assert_int_equal(m.body.len, 8);
	assert_memory_equal(m.body.ptr, "question", 8);
}

static void others_wait_and_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct raw_header later = {MAGIC, 600, 0, 0};
	struct ipc_message m;

	assert_true(call_with(f, (struct helper){.before = 20, .answer = true}, -1, &m));
	assert_int_equal(f->a.n_told, 0); /* not from inside of the call */
	assert_int_equal(send(f->raw, &later, sizeof(later), 0), sizeof(later));
	run(f);
	assert_int_equal(f->a.n_told, 21);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(f->a.told[i], 500 + i);
	assert_int_equal(f->a.told[20], 600);
}

/* The raw peer: behind each question there is a message, and before the answer, and so on. */
static void *asking_peer(void *ctx)
{
	struct raw_header head, other = {MAGIC, 9, 0, 0};
	int fd = *(int *)ctx;

	fcntl(fd, F_SETFL, 0);
	for (unsigned i = 0; i < QUESTIONS && recv(fd, &head, sizeof(head), 0) > 0; i++) {
		if (i + 1 < QUESTIONS)
			send(fd, &other, sizeof(other), MSG_NOSIGNAL);
		head.verb = IPC_ANSWER;
		send(fd, &head, sizeof(head), MSG_NOSIGNAL);
	}
	return NULL;
}

/* Each message is a call, and each call brings the next message: the loop has its turns. */
static void calls_that_bring_messages_take_turns(void **state)
{
	struct fixture *f = *state;
	struct raw_header first = {MAGIC, 9, 0, 0};
	pthread_t thread;

	f->a.asks = true;
	assert_int_equal(pthread_create(&thread, NULL, asking_peer, &f->raw), 0);
	assert_int_equal(send(f->raw, &first, sizeof(first), 0), sizeof(first));
	for (unsigned turns = 0; f->a.n_told < QUESTIONS; turns++) {
		unsigned before = f->a.n_told;

		assert_true(turns < 1000);
		ev_run(f->loop, EVRUN_NOWAIT);
		assert_true(f->a.n_told - before <= 128);
	}
	pthread_join(thread, NULL);
}

static void answer(const struct fixture *f, uint32_t serial, const char *text)
{
	struct raw_header head = {MAGIC, IPC_ANSWER, serial, (uint32_t)strlen(text)};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)text, head.len}};
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	assert_true(sendmsg(f->raw, &msg, MSG_NOSIGNAL) > 0);
}

static void expect(struct fixture *f, uint32_t serial, const char *text)
{
	struct ipc_message m;

	assert_true(ipc_await(f->a.link, serial, 1000, &m));
	assert_int_equal(m.serial, serial);
	assert_int_equal(m.body.len, strlen(text));
	assert_memory_equal(m.body.ptr, text, m.body.len);
}

/* In whatever order, and with another call between them. One that nobody waits for is a message. */
static void asked_beforehand(void **state)
{
	const struct span part = span_of("question", 8);
	struct fixture *f = *state;
	uint32_t asked[4];

	for (unsigned i = 0; i < 4; i++) {
		asked[i] = ipc_ask(f->a.link, 7, &part, 1, NULL, 0);
		assert_int_not_equal(asked[i], 0);
	}
	for (unsigned i = 0; i < 4; i++)
		answer(f, asked[i], i & 1 ? "odd" : "even");
	expect(f, asked[2], "even");
	expect(f, asked[0], "even");
	expect(f, asked[3], "odd");
	assert_int_equal(f->a.n_told, 0);
	run(f);
	assert_int_equal(f->a.n_told, 1);
	assert_int_equal(f->a.told[0], IPC_ANSWER);
}

static void a_call_does_not_wait_for_ever(void **state)
{
	struct fixture *f = *state;
	struct ipc_message m;

	assert_false(call_with(f, (struct helper){.before = 1}, 50, &m));
	run(f);
	assert_int_equal(f->a.closed, 0);
	assert_int_equal(f->a.n_told, 1);
	/* Another one finds its own answer. */
	assert_true(call_with(f, (struct helper){.answer = true}, -1, &m));
}

#define PATIENCE     400
#define FIRST_SERIAL 0x80000001u

/* A message in each half of the patience, and the answer behind them. */
static void *works_slowly(void *ctx)
{
	const struct fixture *f = ctx;
	struct raw_header head = {MAGIC, 100, 0, 0};

	for (unsigned i = 0; i < 3; i++) {
		usleep(PATIENCE / 2 * 1000);
		assert_true(send(f->raw, &head, sizeof(head), MSG_NOSIGNAL) > 0);
	}
	answer(f, FIRST_SERIAL, "done");
	return NULL;
}

/* Who says anything is at work. */
static void patience_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct ipc_message m;
	pthread_t thread;

	assert_int_equal(ipc_ask(f->a.link, 7, NULL, 0, NULL, 0), FIRST_SERIAL);
	assert_int_equal(pthread_create(&thread, NULL, works_slowly, f), 0);
	assert_true(ipc_await(f->a.link, FIRST_SERIAL, PATIENCE, &m));
	assert_int_equal(m.body.len, 4);
	pthread_join(thread, NULL);
	run(f);
	assert_int_equal(f->a.n_told, 3);
}

static void the_peer_dies_in_a_call(void **state)
{
	struct fixture *f = *state;
	struct ipc_message m;

	assert_false(call_with(f, (struct helper){.before = 2, .die = true}, -1, &m));
	assert_int_equal(f->a.closed, 0);
	run(f);
	/* What it still said comes first. */
	assert_int_equal(f->a.n_told, 2);
	assert_int_equal(f->a.closed, 1);
	assert_string_equal(f->a.why, "it has ended");
	assert_false(ipc_call(f->a.link, 7, NULL, 0, NULL, 0, -1, &m));
	run(f);
	assert_int_equal(f->a.closed, 1);
}

static void garbage_in_a_call(void **state)
{
	struct fixture *f = *state;
	struct ipc_message m;

	assert_false(call_with(f, (struct helper){.garble = true, .answer = true}, -1, &m));
	run(f);
	assert_int_equal(f->a.closed, 1);
	assert_int_equal(f->a.n_told, 0);
}

/* ---- garbage ---- */

static void expect_end(struct fixture *f, const void *bytes, size_t len)
{
	assert_int_equal(send(f->raw, bytes, len, 0), len);
	run(f);
	assert_int_equal(f->a.n_told, 0);
	assert_int_equal(f->a.closed, 1);
	assert_string_equal(f->a.why, "it sent what is no message");
}

static void short_header(void **state)
{
	expect_end(*state, "DTOR", 4);
}

static void wrong_magic(void **state)
{
	const struct raw_header h = {MAGIC + 1, 100, 0, 0};

	expect_end(*state, &h, sizeof(h));
}

static void length_that_is_not(void **state)
{
	const struct raw_header h = {MAGIC, 100, 0, 1};

	expect_end(*state, &h, sizeof(h));
}

static void longer_than_any(void **state)
{
	static struct {
		struct raw_header h;
		uint8_t body[IPC_BODY_MAX + 8];
	} m = {{MAGIC, 100, 0, IPC_BODY_MAX + 8}, {0}};

	expect_end(*state, &m, sizeof(m));
}

static void more_descriptors_than_any(void **state)
{
	struct fixture *f = *state;
	struct raw_header h = {MAGIC, 100, 0, 0};
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int) * 16)] = {0};
	struct iovec iov = {&h, sizeof(h)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	unsigned before = open_descriptors();

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * 16);
	assert_int_equal(sendmsg(f->raw, &msg, 0), sizeof(h));
	run(f);
	assert_int_equal(f->a.closed, 1);
	assert_int_equal(open_descriptors(), before);
}

/* The kernel says ECONNRESET first when the dead one has not read all, and has its words still. */
static void last_words_of_one_that_did_not_read(void **state)
{
	const uint32_t words[] = {MAGIC, 100, 0, 0};
	struct fixture *f = *state;

	assert_true(ipc_send(f->a.link, 101, 0, NULL, 0, NULL, 0));
	assert_int_equal(write(f->raw, words, sizeof(words)), sizeof(words));
	close(f->raw);
	f->raw = -1;
	run(f);
	assert_int_equal(f->a.n_told, 1);
	assert_int_equal(f->a.told[0], 100);
	assert_int_equal(f->a.closed, 1);
	assert_string_equal(f->a.why, "it has ended");
}

/* Nor are they lost when we find out by sending. */
static void last_words_of_one_that_is_sent_to(void **state)
{
	const uint32_t words[] = {MAGIC, 100, 0, 0};
	struct fixture *f = *state;

	assert_int_equal(write(f->raw, words, sizeof(words)), sizeof(words));
	close(f->raw);
	f->raw = -1;
	assert_false(ipc_send(f->a.link, 101, 0, NULL, 0, NULL, 0));
	assert_false(ipc_send(f->a.link, 101, 0, NULL, 0, NULL, 0));
	run(f);
	assert_int_equal(f->a.n_told, 1);
	assert_int_equal(f->a.closed, 1);
}

static void the_end_is_told_once(void **state)
{
	struct fixture *f = *state;

	close(f->raw);
	f->raw = -1;
	run(f);
	run(f);
	assert_int_equal(f->a.closed, 1);
	assert_string_equal(f->a.why, "it has ended");
	assert_false(ipc_send(f->a.link, 100, 0, NULL, 0, NULL, 0));
}

static void may_be_freed_inside(void **state)
{
	struct fixture *f = *state;

	f->b.free_inside = true;
	for (unsigned i = 0; i < 10; i++)
		assert_true(ipc_send(f->a.link, 100 + i, 0, NULL, 0, NULL, 0));
	run(f);
	assert_int_equal(f->b.n_told, 1);
	assert_null(f->b.link);
	assert_int_equal(f->a.closed, 1);
}

/* It says why, and ends with something of ours unread: the kernel then speaks of a reset first. */
static void last_words_are_heard(void **state)
{
	struct fixture *f = *state;

	assert_true(ipc_send(f->a.link, 100, 0, NULL, 0, NULL, 0));
	assert_true(ipc_send(f->b.link, 101, 0, NULL, 0, NULL, 0));
	ipc_link_free(f->b.link);
	f->b.link = NULL;
	run(f);
	assert_int_equal(f->a.n_told, 1);
	assert_int_equal(f->a.told[0], 101);
	assert_int_equal(f->a.closed, 1);
}

static void last_words_are_heard_by_who_sends(void **state)
{
	struct fixture *f = *state;

	assert_true(ipc_send(f->b.link, 101, 0, NULL, 0, NULL, 0));
	assert_true(ipc_send(f->b.link, 102, 0, NULL, 0, NULL, 0));
	ipc_link_free(f->b.link);
	f->b.link = NULL;
	assert_false(ipc_send(f->a.link, 100, 0, NULL, 0, NULL, 0));
	assert_int_equal(f->a.n_told, 0); /* never from inside of a send */
	run(f);
	assert_int_equal(f->a.n_told, 2);
	assert_int_equal(f->a.told[1], 102);
	assert_int_equal(f->a.closed, 1);
}

static void last_words_are_heard_before_another_link(void **state)
{
	struct fixture *f = *state;

	assert_true(ipc_send(f->b.link, 101, 0, NULL, 0, NULL, 0));
	assert_true(ipc_send(f->b.link, 102, 0, NULL, 0, NULL, 0));
	ipc_link_drain(f->a.link); /* of one that lives: it goes on behind it */
	assert_int_equal(f->a.n_told, 2);
	assert_true(ipc_send(f->b.link, 103, 0, NULL, 0, NULL, 0));
	ipc_link_free(f->b.link);
	f->b.link = NULL;
	ipc_link_drain(f->a.link);
	assert_int_equal(f->a.n_told, 3);
	assert_int_equal(f->a.told[2], 103);
	assert_int_equal(f->a.closed, 0);
	ipc_link_free(f->a.link);
	f->a.link = NULL;
	run(f);
	assert_int_equal(f->a.closed, 0);
}

/* ---- answers that go together ---- */

struct gatherer {
	struct ipc_link *link;
	int peer;
	unsigned asked, seen_early; /* answers that were there before all was handed over */
	size_t body;
	bool offers, frees;
	void (*told)(void *ctx);
};

static void answer_gathered(void *ctx, struct ipc_link *link, struct ipc_message *m)
{
	static const uint8_t body[IPC_BODY_MAX];
	struct gatherer *g = ctx;
	struct span part = {body, g->body};
	uint8_t peek;

	g->asked++;
	g->seen_early += recv(g->peer, &peek, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
	assert_true(ipc_send(link, IPC_ANSWER, m->serial, &part, 1, NULL, 0));
	if (g->offers)
		assert_true(ipc_offer(link, 900, NULL, 0));
	if (!g->frees)
		return;
	ipc_link_free(link);
	g->link = NULL;
}

/* So many questions at once. */
static void ask_gatherer(struct fixture *f, struct gatherer *g, unsigned n)
{
	const struct ipc_host host = {.message = answer_gathered,
				      .closed = on_closed,
				      .ctx = g,
				      .gather = true,
				      .gathered = g->told};
	int fds[2];

	assert_true(ipc_pair(fds));
	g->peer = fds[1];
	g->link = ipc_link_new(f->loop, fds[0], &host);
	for (uint32_t i = 1; i <= n; i++) {
		const struct raw_header h = {MAGIC, 100, i, 0};

		assert_int_equal(send(g->peer, &h, sizeof(h), 0), sizeof(h));
	}
	run(f);
}

static void expect_raw(const struct gatherer *g, uint32_t verb, uint32_t serial)
{
	struct raw_header h;

	assert_true(recv(g->peer, &h, sizeof(h), MSG_DONTWAIT) == sizeof(h));
	assert_int_equal(h.verb, verb);
	assert_int_equal(h.serial, serial);
}

static void close_gatherer(struct gatherer *g)
{
	uint8_t byte;

	assert_true(recv(g->peer, &byte, 1, MSG_DONTWAIT) <= 0); /* no more */
	ipc_link_free(g->link);
	close(g->peer);
}

static void answers_go_together(void **state)
{
	struct gatherer g = {.body = 100};

	ask_gatherer(*state, &g, 40);
	assert_int_equal(g.asked, 40);
	assert_int_equal(g.seen_early, 0);
	for (uint32_t i = 1; i <= 40; i++)
		expect_raw(&g, IPC_ANSWER, i);
	assert_int_equal(ipc_backlog(g.link), 0);
	close_gatherer(&g);
}

/* Nobody waits for the end of very much, and memory is bounded. */
static void long_answers_go_sooner(void **state)
{
	struct gatherer g = {.body = IPC_BODY_MAX / 2};

	ask_gatherer(*state, &g, 8);
	assert_int_equal(g.asked, 8);
	assert_true(g.seen_early >= 5);
	for (uint32_t i = 1; i <= 8; i++)
		expect_raw(&g, IPC_ANSWER, i);
	close_gatherer(&g);
}

static void what_may_be_lost_is_not_for_that(void **state)
{
	struct gatherer g = {.body = 10, .offers = true};

	ask_gatherer(*state, &g, 5);
	for (uint32_t i = 1; i <= 5; i++) {
		expect_raw(&g, IPC_ANSWER, i);
		expect_raw(&g, 900, 0);
	}
	close_gatherer(&g);
}

static void may_be_freed_while_it_gathers(void **state)
{
	struct gatherer g = {.body = 10, .frees = true};

	ask_gatherer(*state, &g, 5);
	assert_int_equal(g.asked, 1);
	close_gatherer(&g);
}

static void answer_the_rest(void *ctx)
{
	struct gatherer *g = ctx;
	uint8_t peek;

	g->seen_early += recv(g->peer, &peek, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
	assert_true(ipc_send(g->link, 901, 0, NULL, 0, NULL, 0));
}

/* Told once, and what is sent then goes with the others. */
static void the_end_of_a_burst_is_told(void **state)
{
	struct gatherer g = {.body = 10, .told = answer_the_rest};

	ask_gatherer(*state, &g, 3);
	assert_int_equal(g.seen_early, 0);
	for (uint32_t i = 1; i <= 3; i++)
		expect_raw(&g, IPC_ANSWER, i);
	expect_raw(&g, 901, 0);
	close_gatherer(&g);
}

static uint32_t next_raw(int fd)
{
	struct raw_header h;

	return recv(fd, &h, sizeof(h), MSG_DONTWAIT) == sizeof(h) ? h.verb : 0;
}

/* With its descriptor, whose owner may have closed it by then. */
static void later_goes_when_the_loop_turns(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY);

	f->b.takes = true;
	assert_true(ipc_send_later(f->a.link, 100, NULL, 0, NULL, 0));
	assert_true(ipc_send_later(f->a.link, 101, NULL, 0, &fd, 1));
	close(fd);
	assert_true(ipc_backlog(f->a.link) > 0);
	run(f);
	assert_int_equal(ipc_backlog(f->a.link), 0);
	assert_int_equal(f->b.n_told, 2);
	assert_int_equal(f->b.told[0], 100);
	assert_int_equal(f->b.told[1], 101);
	assert_true(f->b.fd >= 0);
	assert_int_equal(close(f->b.fd), 0);
}

/* Where no descriptor is left for a duplicate it goes at once, behind what waits. */
static void later_goes_at_once_without_a_descriptor(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY), next = dup(fd);
	struct rlimit all, few;

	assert_int_equal(close(next), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = (struct rlimit){(rlim_t)next, all.rlim_max};
	assert_true(ipc_send_later(f->a.link, 100, NULL, 0, NULL, 0));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_true(ipc_send_later(f->a.link, 101, NULL, 0, &fd, 1));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(ipc_backlog(f->a.link), 0);
	assert_int_equal(next_raw(f->raw), 100);
	assert_int_equal(next_raw(f->raw), 101);
	close(fd);
}

/* Nor does a duplicate stay. */
static void later_goes_when_it_is_told_to(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY), next = dup(fd);

	assert_int_equal(close(next), 0);
	assert_true(ipc_send_later(f->a.link, 100, NULL, 0, &fd, 1));
	assert_int_equal(next_raw(f->raw), 0);
	ipc_send_held(f->a.link);
	assert_int_equal(next_raw(f->raw), 100);
	assert_int_equal(dup(fd), next);
	close(next);
	close(fd);
}

static void later_goes_before_the_next(void **state)
{
	struct fixture *f = *state;

	assert_true(ipc_send_later(f->a.link, 100, NULL, 0, NULL, 0));
	assert_int_equal(next_raw(f->raw), 0);
	assert_true(ipc_send(f->a.link, 101, 0, NULL, 0, NULL, 0));
	assert_int_equal(next_raw(f->raw), 100);
	assert_int_equal(next_raw(f->raw), 101);
	assert_true(ipc_send_later(f->a.link, 102, NULL, 0, NULL, 0));
	assert_true(ipc_offer(f->a.link, 103, NULL, 0));
	assert_int_equal(next_raw(f->raw), 102);
	assert_int_equal(next_raw(f->raw), 103);
}

/* What a says later is there before what b says. */
static void one_link_behind_another(void **state)
{
	struct fixture *f = *state;
	struct ipc_host host = {
		.message = on_message, .closed = on_closed, .ctx = &f->b, .behind = f->a.link};
	int fds[2];

	assert_true(ipc_pair(fds));
	f->b.link = ipc_link_new(f->loop, fds[0], &host);
	assert_true(ipc_send_later(f->a.link, 100, NULL, 0, NULL, 0));
	assert_true(ipc_send_later(f->b.link, 200, NULL, 0, NULL, 0));
	assert_int_equal(next_raw(f->raw), 0);
	assert_true(ipc_send(f->b.link, 201, 0, NULL, 0, NULL, 0));
	assert_int_equal(next_raw(f->raw), 100);
	assert_int_equal(next_raw(fds[1]), 200);
	assert_int_equal(next_raw(fds[1]), 201);
	close(fds[1]);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RAW(f)	cmocka_unit_test_setup_teardown(f, setup_raw, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(keeps_order),
		CASE(waits_for_a_full_socket),
		CASE(a_peer_that_does_not_read_is_given_up),
		CASE(a_peer_that_does_not_read_is_given_up_with_small_ones),
		CASE(too_long_is_refused),
		CASE(descriptors_cross),
		CASE(descriptors_nobody_takes_are_closed),
		CASE(queued_descriptors_are_closed_with_the_link),
		CASE(last_words_are_heard),
		CASE(last_words_are_heard_by_who_sends),
		CASE(last_words_are_heard_before_another_link),
		RAW(a_call_gets_its_answer),
		RAW(others_wait_and_keep_their_order),
		RAW(calls_that_bring_messages_take_turns),
		RAW(asked_beforehand),
		RAW(a_call_does_not_wait_for_ever),
		RAW(patience_begins_anew),
		RAW(the_peer_dies_in_a_call),
		RAW(garbage_in_a_call),
		RAW(short_header),
		RAW(wrong_magic),
		RAW(length_that_is_not),
		RAW(longer_than_any),
		RAW(more_descriptors_than_any),
		RAW(last_words_of_one_that_did_not_read),
		RAW(last_words_of_one_that_is_sent_to),
		RAW(the_end_is_told_once),
		CASE(may_be_freed_inside),
		CASE(answers_go_together),
		CASE(long_answers_go_sooner),
		CASE(what_may_be_lost_is_not_for_that),
		CASE(may_be_freed_while_it_gathers),
		CASE(the_end_of_a_burst_is_told),
		CASE(later_goes_when_the_loop_turns),
		RAW(later_goes_at_once_without_a_descriptor),
		RAW(later_goes_when_it_is_told_to),
		RAW(later_goes_before_the_next),
		RAW(one_link_behind_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
