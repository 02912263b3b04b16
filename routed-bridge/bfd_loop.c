#include "routed-bridge/bfd_loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 128

static struct epoll_event batch[BATCH];

bool bfd_loop_open(struct bfd_loop *l)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};

	*l = (struct bfd_loop){.armed = MONO_NEVER, .now = mono_now()};
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return l->epoll >= 0 && l->timer >= 0 &&
	       epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &e) == 0;
}

void bfd_loop_close(struct bfd_loop *l)
{
	if (l->epoll >= 0)
		close(l->epoll);
	if (l->timer >= 0)
		close(l->timer);
}

bool bfd_loop_add(struct bfd_loop *l, int fd, struct bfd_watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

void bfd_loop_change(struct bfd_loop *l, int fd, struct bfd_watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &e);
}

static void arm(struct bfd_loop *l, mono_time deadline)
{
	/* A time of 0 would disarm it. */
	mono_time at = deadline ? deadline : 1;
	struct itimerspec spec = {0};

	if (at == l->armed)
		return;
	l->armed = at;
	if (at != MONO_NEVER) {
		spec.it_value.tv_sec = (time_t)(at / MONO_S);
		spec.it_value.tv_nsec = (long)(at % MONO_S);
	}
	timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

int bfd_loop_wait(struct bfd_loop *l, mono_time deadline)
{
	int n;

	arm(l, deadline);
	do
		n = epoll_wait(l->epoll, batch, BATCH, -1);
	while (n < 0 && errno == EINTR);
	l->now = mono_now();
	return n > 0 ? n : 0;
}

static void take_timer(struct bfd_loop *l)
{
	uint64_t fired;

	if (read(l->timer, &fired, sizeof(fired)) == sizeof(fired))
		l->armed = MONO_NEVER;
}

void bfd_loop_dispatch(struct bfd_loop *l, int n)
{
	for (;;) {
		for (int i = 0; i < n; i++) {
			struct bfd_watch *w = batch[i].data.ptr;

			if (w)
				w->ready(w->ctx, batch[i].events);
			else if (batch[i].events)
				take_timer(l);
			batch[i].events = 0;
		}
		if (n < BATCH)
			return;
		n = epoll_wait(l->epoll, batch, BATCH, 0);
	}
}

void bfd_loop_forget(struct bfd_loop *l, const struct bfd_watch *w)
{
	(void)l;
	for (int i = 0; i < BATCH; i++) {
		if (batch[i].data.ptr == w)
			batch[i] = (struct epoll_event){0};
	}
}
