/* Threads with loops: owns the two locks by which their maker gets in between two callbacks, and
 * the worker's part in RCU. */
#include "lib/worker.h"

#include "lib/grace.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
	struct ev_loop *loop;
	pthread_t thread;
	pthread_mutex_t busy; /* the worker has it but for when its loop waits */
	pthread_mutex_t turn; /* who wants `busy` next: a loop that never waits long would else
				 have it again and again */
	ev_async wake;
	unsigned paused; /* the maker's */
	bool stop;	 /* under `busy` */
};

static void take(struct worker *w)
{
	pthread_mutex_lock(&w->turn);
	pthread_mutex_lock(&w->busy);
	pthread_mutex_unlock(&w->turn);
}

/* ---- the thread ---- */

static void on_wait(struct ev_loop *loop)
{
	struct worker *w = ev_userdata(loop);

	grace_reader_rests();
	pthread_mutex_unlock(&w->busy);
}

static void on_work(struct ev_loop *loop)
{
	take(ev_userdata(loop));
	grace_reader_works();
}

static void on_wake(struct ev_loop *loop, ev_async *async, int revents)
{
	const struct worker *w = async->data;

	(void)revents;
	if (w->stop)
		ev_break(loop, EVBREAK_ALL);
}

static void *run(void *ctx)
{
	struct worker *w = ctx;

	grace_reader_begins();
	on_work(w->loop);
	ev_run(w->loop, 0);
	on_wait(w->loop);
	grace_reader_ends();
	return NULL;
}

/* ---- its maker ---- */

/* Signals are the main thread's; but those that the thread itself brings about are handled where
 * they come up (SIGSYS: sandbox_report.c), or end the process. */
static int start_thread(struct worker *w)
{
	static const int own[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
	sigset_t others, before;
	int error;

	sigfillset(&others);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&others, own[i]);
	pthread_sigmask(SIG_BLOCK, &others, &before);
	error = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void release(struct worker *w)
{
	if (w->loop)
		ev_loop_destroy(w->loop);
	pthread_mutex_destroy(&w->busy);
	pthread_mutex_destroy(&w->turn);
	free(w);
}

struct worker *worker_start(void)
{
	struct worker *w = calloc(1, sizeof(*w));
	int error;

	if (!w)
		return NULL;
	pthread_mutex_init(&w->busy, NULL);
	pthread_mutex_init(&w->turn, NULL);
	w->loop = ev_loop_new(0);
	error = w->loop ? 0 : ENOMEM;
	if (w->loop) {
		ev_set_userdata(w->loop, w);
		ev_set_loop_release_cb(w->loop, on_wait, on_work);
		ev_async_init(&w->wake, on_wake);
		w->wake.data = w;
		ev_async_start(w->loop, &w->wake);
		error = start_thread(w);
	}
	if (error == 0)
		return w;
	release(w);
	errno = error;
	return NULL;
}

struct ev_loop *worker_loop(const struct worker *w)
{
	return w->loop;
}

void worker_pause(struct worker *w)
{
	if (w->paused++ == 0)
		take(w);
}

void worker_resume(struct worker *w)
{
	if (--w->paused)
		return;
	ev_async_send(w->loop, &w->wake);
	pthread_mutex_unlock(&w->busy);
}

void worker_stop(struct worker *w)
{
	if (!w)
		return;
	worker_pause(w);
	w->stop = true;
	worker_resume(w);
	pthread_join(w->thread, NULL);
	release(w);
}
