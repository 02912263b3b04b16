/* Windows and retransmission, with doubles in place of the rest of the engine. */
#include "ipsecd/ike/peers.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/sync.h"
#include "ipsecd/ike/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static unsigned sent, ended, failed;
static enum ike_reason end_reason;
static uint8_t last_sent[64];

/* ---- doubles ---- */

void output_send(struct ike_engine *e, const struct ike_path *path, struct span datagram)
{
	(void)e;
	(void)path;
	sent++;
	memcpy(last_sent, datagram.ptr, datagram.len);
}

/* Synchronisation has simulations of its own (tests/sim/test_sim_sync.c). */
void sync_expire(struct ike_engine *e, struct ike_sa *sa)
{
	(void)e;
	(void)sa;
}

bool sync_takes_over(struct ike_engine *e, struct ike_sa *sa)
{
	(void)e;
	(void)sa;
	return false;
}

void sa_touch(struct ike_engine *e, struct ike_sa *sa)
{
	(void)e;
	(void)sa;
}

mono_time engine_random_below(struct ike_engine *e, mono_time limit)
{
	(void)e;
	return limit / 2; /* no jitter */
}

void ike_log(const struct ike_engine *e, const struct ike_sa *sa, enum log_level level,
	     const char *format, ...)
{
	(void)e;
	(void)sa;
	(void)level;
	(void)format;
}

void ike_sa_end(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason, const char *detail)
{
	(void)detail;
	ended++;
	end_reason = reason;
	window_stop(e, sa);
}

void peers_attempt_failed(struct ike_engine *e, struct ike_sa *sa, enum ike_reason reason,
			  const char *detail)
{
	(void)detail;
	failed++;
	end_reason = reason;
	window_stop(e, sa);
}

/* ---- tests ---- */

struct fixture {
	struct ike_engine e;
	struct ike_sa sa;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	sent = ended = failed = 0;
	timer_heap_reserve(&f->e.timers, 1);
	timer_init(&f->sa.tx.timer, window_expire, &f->sa);
	f->sa.state = IKE_SA_ESTABLISHED;
	f->e.now = 100 * MONO_S;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	window_free(&f->e, &f->sa);
	timer_heap_free(&f->e.timers);
	free(f);
	return 0;
}

static void run(struct fixture *f)
{
	struct timer *t;

	while ((t = timer_first(&f->e.timers))) {
		f->e.now = t->at;
		timer_cancel(&f->e.timers, t);
		t->fire(&f->e, timer_owner(t));
	}
}

static void test_back_off(void **state)
{
	(void)state;
	assert_int_equal(window_interval(500 * MONO_MS, 1), 500 * MONO_MS);
	assert_int_equal(window_interval(500 * MONO_MS, 2), 900 * MONO_MS);
	assert_int_equal(window_interval(500 * MONO_MS, 3), 1620 * MONO_MS);
	assert_true(window_interval(500 * MONO_MS, 100000) > 0);
}

/* Default: dead after 18 s and six transmissions; well below 30 s. */
static void test_peer_dies(void **state)
{
	struct fixture *f = *state;

	assert_true(window_send_request(&f->e, &f->sa, span_str("request")));
	assert_int_equal(sent, 1);
	run(f);
	assert_int_equal(ended, 1);
	assert_int_equal(end_reason, IKE_REASON_PEER_DEAD);
	assert_int_equal(f->e.now, 118 * MONO_S);
	assert_int_equal(sent, 6);
	assert_int_equal(f->e.counters.retransmits_sent, 5);
	assert_int_equal(f->e.counters.peers_dead, 1);
	assert_memory_equal(last_sent, "request", 7);
}

static void test_conn_decides(void **state)
{
	struct fixture *f = *state;
	struct conn conn = {.retransmit_interval = 100 * MONO_MS, .retransmit_timeout = MONO_S};

	f->sa.conn = &conn;
	f->sa.state = IKE_SA_AUTH_SENT;
	window_send_request(&f->e, &f->sa, span_str("request"));
	run(f);
	assert_int_equal(failed, 1);
	assert_int_equal(end_reason, IKE_REASON_NO_ANSWER);
	assert_int_equal(f->e.now, 101 * MONO_S);
}

static void test_answer(void **state)
{
	struct fixture *f = *state;

	assert_false(window_check_response(&f->sa, 0));
	window_send_request(&f->e, &f->sa, span_str("request"));
	assert_true(window_check_response(&f->sa, 0));
	assert_false(window_check_response(&f->sa, 1));
	window_answered(&f->e, &f->sa);
	assert_false(window_check_response(&f->sa, 0));
	assert_false(timer_armed(&f->sa.tx.timer));
	window_send_request(&f->e, &f->sa, span_str("next"));
	assert_true(window_check_response(&f->sa, 1));
	assert_false(window_check_response(&f->sa, 0));
}

static void test_requests(void **state)
{
	struct fixture *f = *state;
	struct ike_path path = {0};

	assert_int_equal(window_check_request(&f->sa, 0), WINDOW_NEW);
	assert_int_equal(window_check_request(&f->sa, 1), WINDOW_DROP);
	assert_int_equal(window_check_request(&f->sa, UINT32_MAX), WINDOW_DROP);
	window_send_response(&f->e, &f->sa, &path, span_str("answer 0"));
	assert_int_equal(window_check_request(&f->sa, 0), WINDOW_RETRANSMIT);
	assert_int_equal(window_check_request(&f->sa, 1), WINDOW_NEW);
	assert_int_equal(window_check_request(&f->sa, 2), WINDOW_DROP);
	window_send_response(&f->e, &f->sa, &path, span_str("answer 1"));
	assert_int_equal(window_check_request(&f->sa, 0), WINDOW_DROP);
	assert_int_equal(window_check_request(&f->sa, 1), WINDOW_RETRANSMIT);
	assert_memory_equal(f->sa.rx.response.data, "answer 1", 8);
}

/* RFC 7296 2.2: the last id is never used, so none is used twice. */
static void test_last_id(void **state)
{
	struct fixture *f = *state;
	struct ike_path path = {0};

	f->sa.tx.next_id = f->sa.rx.next_id = UINT32_MAX - 1;
	assert_true(window_has_id(&f->sa));
	window_send_request(&f->e, &f->sa, span_str("request"));
	window_answered(&f->e, &f->sa);
	assert_false(window_has_id(&f->sa));
	assert_int_equal(window_check_request(&f->sa, UINT32_MAX - 1), WINDOW_NEW);
	window_send_response(&f->e, &f->sa, &path, span_str("answer"));
	assert_int_equal(window_check_request(&f->sa, UINT32_MAX - 1), WINDOW_RETRANSMIT);
	assert_int_equal(window_check_request(&f->sa, UINT32_MAX), WINDOW_DROP);
	assert_int_equal(window_check_request(&f->sa, 0), WINDOW_DROP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back_off),
		cmocka_unit_test_setup_teardown(test_peer_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conn_decides, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_id, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
