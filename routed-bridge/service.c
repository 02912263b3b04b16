/* What the service manager is told of a bridge. */
#include "routed-bridge/service.h"
#include "routed-bridge/bridge.h"
#include "lib/notify.h"

#include <string.h>

#define FIRST_SECONDS 0.5 /* the daemons that it listens to are there by then */
#define EACH_SECONDS  5.

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct service *s = timer->data;
	char text[sizeof(s->told)];

	(void)loop;
	(void)events;
	bridge_summary(s->bridge, text, sizeof(text));
	if (strcmp(text, s->told) == 0)
		return;
	memcpy(s->told, text, sizeof(text));
	notify_status("%s", text);
}

static void on_alive(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	notify_send("WATCHDOG=1");
}

void service_start(struct service *s, struct ev_loop *loop, struct bridge *bridge)
{
	double within = notify_watchdog();

	s->bridge = bridge;
	ev_timer_init(&s->look, on_look, FIRST_SECONDS, EACH_SECONDS);
	ev_timer_init(&s->alive, on_alive, 0., within / 3.);
	s->look.data = s;
	if (!notify_on())
		return;
	ev_timer_start(loop, &s->look);
	if (within > 0.)
		ev_timer_start(loop, &s->alive);
	notify_send("READY=1");
}

void service_reloading(void)
{
	notify_reloading();
}

void service_reloaded(void)
{
	notify_send("READY=1");
}

void service_stop(struct service *s, struct ev_loop *loop)
{
	ev_timer_stop(loop, &s->look);
	ev_timer_stop(loop, &s->alive);
	notify_send("STOPPING=1");
}
