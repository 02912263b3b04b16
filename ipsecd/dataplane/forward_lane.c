/* What lanes share of the packet paths: owns the ways from any lane to the first one, which tells,
 * the locks of windows, and what is freed once no lane can have it. */
#include "ipsecd/dataplane/forward.h"

#include <stdlib.h>
#include <utlist.h>

#define IDLE_CIPHERS 256 /* freed at once */

void forward_lane_init(struct forward *f, struct lane *l, unsigned number,
		       void (*send_esp)(void *ctx, struct esp_run *runs, size_t n), void *ctx)
{
	l->forward = f;
	l->number = number;
	l->shared = number != 0;
	l->drop_log.burst = 5;
	l->send_esp = send_esp;
	l->send_ctx = ctx;
	l->aggfrag_due = MONO_NEVER;
	coalesce_init(&l->up, forward_deliver, l);
}

void forward_lane_release(struct lane *l)
{
	free(l->up_copies);
	l->up_copies = NULL;
}

void forward_hold(struct forward *f, bool on)
{
	if (f->threads.hold)
		f->threads.hold(f, on);
}

/* ---- what goes ---- */

void forward_defer(struct forward *f, void *object,
		   void (*release)(struct forward *f, void *object))
{
	if (f->threads.defer)
		f->threads.defer(f, object, release);
	else
		release(f, object);
}

struct idle_ciphers {
	size_t n;
	struct crypto_cipher *at[IDLE_CIPHERS];
};

static void free_ciphers(struct forward *f, void *object)
{
	struct idle_ciphers *c = object;

	for (size_t i = 0; i < c->n; i++)
		f->host.crypto->cipher_free(c->at[i]);
	free(c);
}

/* A lane may be at it with one just now. Without memory they stay until the next time. */
void forward_drop_idle(struct forward *f, mono_time since)
{
	struct idle_ciphers *gone = NULL;
	struct sa *sa, *next;

	HASH_ITER (by_id, f->sadb.by_id, sa, next) {
		if (!sa_is_idle(sa, since))
			continue;
		if (gone && gone->n + SA_CIPHERS > IDLE_CIPHERS) {
			forward_defer(f, gone, free_ciphers);
			gone = NULL;
		}
		if (!gone && !(gone = calloc(1, sizeof(*gone))))
			return;
		gone->n += sa_take_idle(sa, since, gone->at + gone->n);
	}
	if (gone)
		forward_defer(f, gone, free_ciphers);
}

/* ---- windows ---- */

/* An SA's packets mostly come to one lane: its lock is rarely waited for. */
static pthread_mutex_t *window_of(const struct lane *l, const struct sa *sa)
{
	return &l->forward->windows[(sa->child.spi_in >> 8) % FORWARD_WINDOW_LOCKS];
}

void forward_window_lock(struct lane *l, const struct sa *sa)
{
	if (l->shared)
		pthread_mutex_lock(window_of(l, sa));
}

void forward_window_unlock(struct lane *l, const struct sa *sa)
{
	if (l->shared)
		pthread_mutex_unlock(window_of(l, sa));
}

/* ---- what is noted ---- */

/* Who sets the first bit puts it onto the stack: it is there once. */
void forward_note(struct lane *l, struct sa *sa, enum sa_due what)
{
	struct sa **top = &l->forward->noted;

	if (__atomic_fetch_or(&sa->due, 1u << what, __ATOMIC_ACQ_REL))
		return;
	sa->due_next = SA_GET(*top);
	while (!__atomic_compare_exchange_n(top, &sa->due_next, sa, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}

void forward_note_acquire(struct lane *l, struct forward_tunnel *t)
{
	struct forward_tunnel **top = &l->forward->wanting;

	if (__atomic_exchange_n(&t->acquire_due, true, __ATOMIC_ACQ_REL))
		return;
	t->acquire_next = SA_GET(*top);
	while (!__atomic_compare_exchange_n(top, &t->acquire_next, t, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}

static void collect_sas(struct forward *f)
{
	struct sa *sa = __atomic_exchange_n(&f->noted, NULL, __ATOMIC_ACQUIRE), *next, *all = NULL;

	for (; sa; sa = next) { /* the latest was on top */
		next = sa->due_next;
		sa->listed = true;
		DL_PREPEND2(all, sa, due_prev, due_next);
	}
	DL_CONCAT2(f->due, all, due_prev, due_next);
}

static void collect_tunnels(struct forward *f)
{
	struct forward_tunnel *t = __atomic_exchange_n(&f->wanting, NULL, __ATOMIC_ACQUIRE), *next,
			      *all = NULL;

	for (; t; t = next) {
		next = t->acquire_next;
		t->acquire_listed = true;
		DL_PREPEND2(all, t, acquire_prev, acquire_next);
	}
	DL_CONCAT2(f->acquires, all, acquire_prev, acquire_next);
}

void forward_collect(struct forward *f)
{
	if (SA_GET(f->noted))
		collect_sas(f);
	if (SA_GET(f->wanting))
		collect_tunnels(f);
}

void forward_forget_sa(struct forward *f, struct sa *sa)
{
	forward_collect(f);
	if (sa->listed)
		DL_DELETE2(f->due, sa, due_prev, due_next);
	sa->listed = false;
}

void forward_forget_tunnel(struct forward *f, struct forward_tunnel *t)
{
	forward_collect(f);
	if (t->acquire_listed)
		DL_DELETE2(f->acquires, t, acquire_prev, acquire_next);
	t->acquire_listed = false;
}
