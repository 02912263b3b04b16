/* Routes about which zebra says nothing: one that is not selected from the start, because another
 * protocol's is better, is not confirmed and not refused. zebra is asked on its vty. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/repair_json.h"
#include "routed-bridge/vty.h"

#include <stdio.h>
#include <stdlib.h>

#define ASKING_MAX 32 /* at one time */

struct question {
	struct bridge_silent *of;
	bool out;
	struct zapi_route route;
};

struct bridge_silent {
	struct bridge *b;
	struct vty *vty;
	struct question questions[ASKING_MAX];
	unsigned out;
	size_t at, done; /* the walk over the routes: where it is, how far it has come */
};

static void walk(struct bridge_silent *s);

static void on_answer(void *ctx, struct span text, uint8_t status, const char *why)
{
	struct question *q = ctx;
	struct bridge_silent *s = q->of;
	char ours[24];

	q->out = false;
	s->out--;
	bridge_type_format(q->route.type, q->route.instance, ours);
	if (!why && status == VTY_SUCCESS && repair_json_shadowed(text, ours))
		routes_shadowed(s->b->routes, &q->route);
	if (s->out)
		return;
	bridge_confirmed(s->b);
	walk(s);
}

/* Of a table of its own zebra can't be asked so; there nobody else has routes. */
static void ask(struct bridge_silent *s, const struct zapi_route *route)
{
	const char *vrf = interfaces_vrf_name(s->b->interfaces, route->vrf);
	char command[128], text[PREFIX_TEXT];
	struct question *q = s->questions;

	if (route->table || (route->vrf != ZAPI_VRF_DEFAULT && !vrf))
		return;
	while (q->out)
		q++;
	snprintf(command, sizeof(command), "show %s route %s%s%s%s json",
		 route->prefix.addr.family == AF_INET6 ? "ipv6" : "ip", vrf ? "vrf " : "",
		 vrf ? vrf : "", vrf ? " " : "", prefix_format(&route->prefix, text));
	q->route = *route;
	q->out = vty_ask(s->vty, "zebra", command, on_answer, q);
	s->out += q->out;
}

static void take(void *ctx, const struct route_view *route)
{
	struct bridge_silent *s = ctx;

	if (s->at++ < s->done || s->out == ASKING_MAX)
		return;
	s->done = s->at;
	if (strcmp(route->state, "sent") == 0 && route->attempts > 1)
		ask(s, route->route);
}

/* On from where it stopped. */
static void walk(struct bridge_silent *s)
{
	s->at = 0;
	routes_each(s->b->routes, take, s);
}

void bridge_silent_ask(struct bridge *b)
{
	struct bridge_silent *s = b->silent;

	if (!s || s->out || bridge_kernel_writes(b))
		return;
	s->done = 0;
	walk(s);
}

/* ---- life ---- */

void bridge_silent_fit(struct bridge *b)
{
	struct bridge_silent *s;

	bridge_silent_end(b);
	s = calloc(1, sizeof(*s));
	if (!s)
		return;
	s->b = b;
	s->vty = vty_new(b->loop, b->config->vty_dir, &(struct vty_limits){.answer_max = 1 << 20});
	for (unsigned i = 0; i < ASKING_MAX; i++)
		s->questions[i].of = s;
	if (s->vty)
		b->silent = s;
	else
		free(s);
}

void bridge_silent_end(struct bridge *b)
{
	if (!b->silent)
		return;
	vty_free(b->silent->vty);
	free(b->silent);
	b->silent = NULL;
}
