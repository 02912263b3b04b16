/* When the engine gets something without an input from outside: its deadline, and idle time. */
#include "ipsecd/shell.h"

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	ike_engine_expire(d->engine, mono_now());
	shell_pump(d);
}

/* One thing at a time: whatever comes meanwhile is first. */
static void on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)revents;
	ike_engine_idle(d->engine, mono_now());
	shell_pump(d);
}

void shell_time_open(struct daemon *d)
{
	ev_timer_init(&d->deadline, on_deadline, 0., 0.);
	ev_idle_init(&d->idle, on_idle);
	ev_set_priority(&d->idle, EV_MINPRI);
	d->deadline.data = d->idle.data = d;
}

static void arm_deadline(struct daemon *d)
{
	mono_time when = ike_engine_deadline(d->engine), now = mono_now();

	ev_timer_stop(d->loop, &d->deadline);
	if (when == MONO_NEVER)
		return;
	ev_now_update(d->loop);
	ev_timer_set(&d->deadline, when > now ? (double)(when - now) / (double)MONO_S : 0., 0.);
	ev_timer_start(d->loop, &d->deadline);
}

void shell_time_arm(struct daemon *d)
{
	arm_deadline(d);
	if (ike_engine_has_idle_work(d->engine))
		ev_idle_start(d->loop, &d->idle);
	else
		ev_idle_stop(d->loop, &d->idle);
}

void shell_time_close(struct daemon *d)
{
	ev_timer_stop(d->loop, &d->deadline);
	ev_idle_stop(d->loop, &d->idle);
}

void shell_alive(const struct daemon *d)
{
	if (d->setup.alive)
		d->setup.alive(d->setup.ctx);
}
