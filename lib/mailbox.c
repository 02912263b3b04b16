/* Messages between threads: owns their memory and their order. */
#include "lib/mailbox.h"

#include <ev.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct message {
	struct message *next;
	unsigned kind;
	size_t len;
	_Alignas(16) uint8_t bytes[];
};

struct mailbox {
	struct ev_loop *loop;
	ev_async mail;
	mailbox_taker *taker;
	void *ctx;
	size_t most;
	/* Under the lock. */
	pthread_mutex_t lock;
	struct message *first, **last;
	size_t waiting; /* bytes */
};

/* ---- putting ---- */

static size_t total(const struct span *parts, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += parts[i].len;
	return len;
}

static struct message *message_of(unsigned kind, const struct span *parts, size_t n)
{
	size_t len = total(parts, n), at = 0;
	struct message *g = malloc(sizeof(*g) + len);

	if (!g)
		return NULL;
	g->next = NULL;
	g->kind = kind;
	g->len = len;
	for (size_t i = 0; i < n; at += parts[i++].len)
		if (parts[i].len)
			memcpy(g->bytes + at, parts[i].ptr, parts[i].len);
	return g;
}

bool mailbox_put(struct mailbox *m, unsigned kind, const struct span *parts, size_t n)
{
	struct message *g = message_of(kind, parts, n);
	bool fits;

	if (!g)
		return false;
	pthread_mutex_lock(&m->lock);
	fits = sizeof(*g) + g->len <= m->most - m->waiting;
	if (fits) {
		*m->last = g;
		m->last = &g->next;
		m->waiting += sizeof(*g) + g->len;
	}
	pthread_mutex_unlock(&m->lock);
	if (fits)
		ev_async_send(m->loop, &m->mail);
	else
		free(g);
	return fits;
}

/* ---- taking ---- */

static struct message *take_all(struct mailbox *m)
{
	struct message *all;

	pthread_mutex_lock(&m->lock);
	all = m->first;
	m->first = NULL;
	m->last = &m->first;
	m->waiting = 0;
	pthread_mutex_unlock(&m->lock);
	return all;
}

void mailbox_take(struct mailbox *m)
{
	struct message *g = take_all(m), *next;

	for (; g; g = next) {
		next = g->next;
		m->taker(m->ctx, g->kind, span_of(g->bytes, g->len));
		free(g);
	}
}

static void on_mail(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	(void)revents;
	mailbox_take(w->data);
}

/* ---- life ---- */

struct mailbox *mailbox_new(struct ev_loop *loop, size_t most, mailbox_taker *taker, void *ctx)
{
	struct mailbox *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->loop = loop;
	m->most = most;
	m->taker = taker;
	m->ctx = ctx;
	m->last = &m->first;
	pthread_mutex_init(&m->lock, NULL);
	ev_async_init(&m->mail, on_mail);
	m->mail.data = m;
	ev_async_start(loop, &m->mail);
	ev_unref(loop); /* it keeps no loop running */
	return m;
}

void mailbox_free(struct mailbox *m)
{
	struct message *g, *next;

	if (!m)
		return;
	for (g = take_all(m); g; g = next) {
		next = g->next;
		free(g);
	}
	ev_ref(m->loop);
	ev_async_stop(m->loop, &m->mail);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
