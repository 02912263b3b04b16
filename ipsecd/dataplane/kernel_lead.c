/* CHILD_SAs for single processors (RFC 9611) in the kernel: the outbound state of each has its
 * processor, and the reqid of the general CHILD_SA that leads it, so that the policies of that one
 * lead to either. What is deleted or rekeyed by itself changes nothing for the others: the kernel
 * sends by the general state where a processor has none of its own. */
#include "ipsecd/dataplane/kernel.h"

#include <unistd.h>
#include <utlist.h>

static bool selectors_equal(const struct child_sa *a, const struct child_sa *b)
{
	return ts_list_equal(&a->local_ts, &b->local_ts) &&
	       ts_list_equal(&a->remote_ts, &b->remote_ts);
}

static uint32_t leader_of(const struct kernel_child *c)
{
	const struct kernel_child *general;

	if (!c->sa.resource)
		return 0;
	DL_FOREACH (c->tunnel->newest, general) {
		if (!general->sa.resource && general->sa.outbound &&
		    selectors_equal(&general->sa, &c->sa))
			return general->number;
	}
	return 0;
}

/* Of a processor that this machine does not have, nothing is sent by it; what comes is taken. */
static bool is_led(const struct kernel_child *c)
{
	return c->leader && c->sa.outbound && c->sa.resource <= c->tunnel->plane->processors;
}

uint32_t kernel_lead_cpu(const struct kernel_child *c)
{
	return is_led(c) ? c->sa.resource : 0;
}

static uint32_t reqid_of(const struct kernel_child *c)
{
	return REQID_BASE | (is_led(c) ? c->leader : c->number) << 1 | REQID_OUT;
}

void kernel_lead_restored(struct kernel_child *c, uint32_t reqid)
{
	c->out.state.reqid = reqid;
}

void kernel_lead_first(struct kernel_child *c)
{
	c->leader = leader_of(c);
	c->out.state.reqid = reqid_of(c);
	c->reached |= is_led(c);
}

static void follow(struct kernel_child *c)
{
	uint32_t reqid = reqid_of(c);

	if (c->out.state.reqid == reqid)
		return;
	c->out.state.reqid = reqid;
	if (kernel_child_requid(c) != DATAPLANE_OK)
		kernel_say(c->tunnel, LOG_LEVEL_ERROR, "%s", c->tunnel->plane->error);
	c->reached |= is_led(c);
}

void kernel_lead(struct kernel_tunnel *t)
{
	struct kernel_child *c;

	DL_FOREACH (t->newest, c) {
		c->leader = leader_of(c);
		if (!is_led(c))
			follow(c);
	}
}

void kernel_led(struct kernel_tunnel *t)
{
	struct kernel_child *c;

	DL_FOREACH (t->newest, c)
		follow(c);
}
