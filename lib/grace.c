/* What is freed behind a grace period: owns the way from liburcu's thread, which waits for the
 * readers, back to the writer's loop, where things may be freed. */
#include "lib/grace.h"

#include <ev.h>
#include <pthread.h>
#include <stdlib.h>
#include <urcu/urcu-qsbr.h>

struct deferred {
	struct rcu_head head; /* first: liburcu gives it back */
	struct grace *grace;
	void *object;
	void (*release)(void *object);
	struct deferred *next;
};

struct grace {
	struct ev_loop *loop;
	ev_async due;
	pthread_mutex_t lock;
	pthread_cond_t none; /* is deferred any more */
	/* Under the lock. */
	unsigned waiting;
	struct deferred *ready; /* those whose time has come */
};

/* ---- readers ---- */

/* ThreadSanitizer does not see into liburcu: here it is told that what a reader has done before it
 * rests, and the writer before it defers something, comes before what is done when that is freed.
 */
#ifdef __SANITIZE_THREAD__
static unsigned edge;
#define COMES_BEFORE() __atomic_add_fetch(&edge, 1, __ATOMIC_RELEASE)
#define COMES_BEHIND() (void)__atomic_load_n(&edge, __ATOMIC_ACQUIRE)
#else
#define COMES_BEFORE() (void)0
#define COMES_BEHIND() (void)0
#endif

void grace_reader_begins(void)
{
	urcu_qsbr_register_thread();
	grace_reader_rests();
}

void grace_reader_works(void)
{
	urcu_qsbr_thread_online();
}

void grace_reader_rests(void)
{
	COMES_BEFORE();
	urcu_qsbr_thread_offline();
}

void grace_reader_ends(void)
{
	urcu_qsbr_unregister_thread();
}

/* ---- the writer ---- */

static struct deferred *take_ready(struct grace *g)
{
	struct deferred *all;

	pthread_mutex_lock(&g->lock);
	all = g->ready;
	g->ready = NULL;
	pthread_mutex_unlock(&g->lock);
	return all;
}

static void release_ready(struct grace *g)
{
	struct deferred *d = take_ready(g), *next;

	for (; d; d = next) {
		next = d->next;
		d->release(d->object);
		free(d);
	}
}

static void on_due(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	(void)revents;
	release_ready(w->data);
}

/* In liburcu's thread. */
static void on_grace(struct rcu_head *head)
{
	struct deferred *d = (struct deferred *)(void *)head;
	struct grace *g;

	COMES_BEHIND();
	g = d->grace;
	pthread_mutex_lock(&g->lock);
	d->next = g->ready;
	g->ready = d;
	/* Within the lock: the writer may free all behind it. */
	ev_async_send(g->loop, &g->due);
	if (--g->waiting == 0)
		pthread_cond_signal(&g->none);
	pthread_mutex_unlock(&g->lock);
}

void grace_defer(struct grace *g, void *object, void (*release)(void *object))
{
	struct deferred *d = malloc(sizeof(*d));

	if (!d) { /* rather a moment's wait than a leak with keys in it */
		urcu_qsbr_synchronize_rcu();
		COMES_BEHIND();
		release(object);
		return;
	}
	*d = (struct deferred){.grace = g, .object = object, .release = release};
	pthread_mutex_lock(&g->lock);
	g->waiting++;
	pthread_mutex_unlock(&g->lock);
	COMES_BEFORE();
	urcu_qsbr_thread_online();
	urcu_qsbr_call_rcu(&d->head, on_grace);
	urcu_qsbr_thread_offline();
}

struct grace *grace_new(struct ev_loop *loop)
{
	struct grace *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->none, NULL);
	g->loop = loop;
	ev_async_init(&g->due, on_due);
	g->due.data = g;
	ev_async_start(loop, &g->due);
	ev_unref(loop); /* it keeps no loop running */
	grace_reader_begins();
	urcu_qsbr_get_default_call_rcu_data(); /* its thread: it ends the process without one */
	return g;
}

void grace_free(struct grace *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	while (g->waiting)
		pthread_cond_wait(&g->none, &g->lock);
	pthread_mutex_unlock(&g->lock);
	release_ready(g);
	ev_ref(g->loop);
	ev_async_stop(g->loop, &g->due);
	grace_reader_ends();
	pthread_cond_destroy(&g->none);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
