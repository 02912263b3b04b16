/* Log lines of several threads at once come to one, whole and each thread's in their order; what
 * finds no room is counted. */
#include "lib/log_mail.h"

#include <ev.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 3
#define LINES	200

struct heard {
	pthread_t main;
	unsigned lines, elsewhere, odd, lost;
	unsigned last[THREADS];
};

static void hear(void *ctx, enum log_level level, const char *subsystem, const char *name,
		 const char *text)
{
	struct heard *h = ctx;
	unsigned thread, number, lost;

	h->elsewhere += !pthread_equal(pthread_self(), h->main);
	if (sscanf(text, "%u log lines of workers were lost here", &lost) == 1 &&
	    level == LOG_LEVEL_WARN) {
		h->lost += lost;
		return;
	}
	if (sscanf(text, "%u: %u", &thread, &number) != 2 || thread >= THREADS ||
	    level != LOG_LEVEL_INFO || strcmp(subsystem, "esp") != 0 || strcmp(name, "t") != 0 ||
	    number <= h->last[thread]) {
		h->odd++;
		return;
	}
	h->last[thread] = number;
	h->lines++;
}

struct writer {
	const struct log_sink *sink;
	unsigned number;
	pthread_t thread;
};

static void *write_lines(void *ctx)
{
	struct writer *w = ctx;

	for (unsigned i = 1; i <= LINES; i++) {
		log_to(w->sink, LOG_LEVEL_INFO, "esp", "t", "%u: %u", w->number, i);
		log_to(w->sink, LOG_LEVEL_DEBUG, "esp", "t", "nobody wants to know");
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct heard h = {.main = pthread_self()};
	const struct log_sink to = {.write = hear, .ctx = &h, .level = LOG_LEVEL_INFO};
	struct ev_loop *loop = ev_loop_new(0);
	struct log_mail *m = log_mail_new(loop, &to);
	struct writer writers[THREADS];

	(void)state;
	assert_non_null(m);
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){.sink = log_mail_sink(m), .number = i};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]),
				 0);
	}
	while (h.lines + h.lost < THREADS * LINES / 2)
		ev_run(loop, EVRUN_NOWAIT);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(writers[i].thread, NULL);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(h.lines + h.lost, THREADS * LINES);
	assert_int_equal(h.odd, 0);
	assert_int_equal(h.elsewhere, 0);
	log_mail_free(m);
	ev_loop_destroy(loop);
}

static void test_no_room(void **state)
{
	struct heard h = {.main = pthread_self()};
	const struct log_sink to = {.write = hear, .ctx = &h, .level = LOG_LEVEL_INFO};
	struct ev_loop *loop = ev_loop_new(0);
	struct log_mail *m = log_mail_new(loop, &to);
	char filler[900];

	(void)state;
	assert_non_null(m);
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = 0;
	for (unsigned i = 1; i <= LINES; i++)
		log_to(log_mail_sink(m), LOG_LEVEL_INFO, "esp", "t", "0: %u %s", i, filler);
	assert_int_equal(h.lines, 0);
	ev_run(loop, EVRUN_NOWAIT);
	assert_true(h.lines > 50 && h.lost > 50);
	assert_int_equal(h.lines + h.lost, LINES);
	/* What waits is written in the end, too. */
	log_to(log_mail_sink(m), LOG_LEVEL_INFO, "esp", "t", "1: 1");
	log_mail_free(m);
	assert_int_equal(h.lines + h.lost, LINES + 1);
	assert_int_equal(h.odd, 0);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
