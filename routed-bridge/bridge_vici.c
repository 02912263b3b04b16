/* The IKE daemon's side: its events go to `tunnels`, and what changed there is looked at. */
#include "routed-bridge/bridge_parts.h"

#define VICI_HOLD 10.0 /* seconds without the daemon before its tunnels count as down */

static void on_vici_connected(void *ctx)
{
	struct bridge *b = ctx;

	tunnels_connected(b->tunnels);
}

static void on_list_begin(void *ctx)
{
	struct bridge *b = ctx;

	tunnels_list_begin(b->tunnels);
}

static void on_list_end(void *ctx)
{
	struct bridge *b = ctx;

	ev_timer_stop(b->loop, &b->vici_hold);
	tunnels_list_end(b->tunnels, mono_now());
	b->tunnels_known = true;
	if (b->ike_silent)
		tunnels_touch(b->tunnels, "the IKE daemon is heard");
	b->ike_silent = false;
	bridge_reconcile(b);
}

static bool is_listing(struct span name)
{
	return span_equal(name, span_str("list-sa")) || span_equal(name, span_str("list-conn"));
}

static void on_vici_event(void *ctx, struct span name, struct span body)
{
	struct bridge *b = ctx;

	tunnels_event(b->tunnels, name, body);
	if (is_listing(name))
		return; /* many in a row: settled together */
	bridge_reconcile(b);
	vici_relist(b->vici);
}

static void on_batch_end(void *ctx)
{
	bridge_reconcile(ctx);
}

static void on_vici_hold(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge *b = timer->data;

	(void)loop;
	(void)events;
	log_to(b->log, LOG_LEVEL_WARN, "vici", "",
	       "no word from the IKE daemon for %.0f s: its tunnels count as down", VICI_HOLD);
	b->ike_silent = true;
	tunnels_forget(b->tunnels, "the IKE daemon is gone");
	b->tunnels_known = true;
	bridge_reconcile(b);
}

/* The daemon may just restart, and its tunnels may pass on meanwhile (the interface tells,
 * and withdraws them at once if not): wait a little. */
void bridge_vici_lost(struct bridge *b)
{
	tunnels_disconnected(b->tunnels);
	if (!ev_is_active(&b->vici_hold)) {
		ev_timer_set(&b->vici_hold, VICI_HOLD, 0.);
		ev_timer_start(b->loop, &b->vici_hold);
	}
}

static void on_vici_lost(void *ctx)
{
	bridge_vici_lost(ctx);
}

void bridge_vici_init(struct bridge *b)
{
	b->vici_host = (struct vici_host){
		.connected = on_vici_connected,
		.list_begin = on_list_begin,
		.event = on_vici_event,
		.list_end = on_list_end,
		.batch_end = on_batch_end,
		.lost = on_vici_lost,
		.ctx = b,
		.log = b->log,
		.loop = b->loop,
	};
	ev_timer_init(&b->vici_hold, on_vici_hold, 0., 0.);
	b->vici_hold.data = b;
}
