/* States whose cryptography the network card does (XFRMA_OFFLOAD_DEV). Whether it will is known
 * only afterwards: a card without it is no error to the kernel, which does the work then itself.
 * What was asked for and refused is said. */
#include "ipsecd/dataplane/kernel.h"

#include "lib/netlink.h"

#include <net/if.h>
#include <stdio.h>

static enum dataplane_error no_card(const struct kernel_child *c, const struct xfrm_state *s,
				    const char *why)
{
	return kernel_fail(c->tunnel->plane, DATAPLANE_UNSUPPORTED,
			   "%s: %s state 0x%08x is to be offloaded to the network card, and %s",
			   c->tunnel->config.name, s->inbound ? "inbound" : "outbound", s->spi,
			   why);
}

/* Once for a tunnel, and again when the answer is another one. */
static void say(const struct kernel_child *c, int ifindex, const char *why)
{
	struct kernel_tunnel *t = c->tunnel;
	char device[IF_NAMESIZE] = "?";

	if (t->offload_told && t->offload == ifindex)
		return;
	t->offload_told = true;
	t->offload = ifindex;
	if (ifindex)
		log_to(t->plane->host.log, LOG_LEVEL_NOTICE, "knl", t->config.name,
		       "the network card of %s does the ESP of the tunnel's CHILD_SAs",
		       if_indextoname((unsigned)ifindex, device) ? device : "?");
	else
		log_to(t->plane->host.log, LOG_LEVEL_NOTICE, "knl", t->config.name,
		       "the kernel does the ESP of the tunnel's CHILD_SAs: %s", why);
}

enum dataplane_error kernel_offload_add(const struct kernel_child *c, const struct xfrm_state *s,
					int *error)
{
	struct netlink *nl = c->tunnel->plane->xfrm;
	struct xfrm_state_info is = {0};
	struct xfrm_state plain = *s;
	const char *why = "no card on the path can do it";
	enum dataplane_error e;
	char words[128];

	*error = xfrm_state_add(nl, s);
	if (s->flags.offload == CHILD_OFFLOAD_NO)
		return DATAPLANE_OK;
	if (*error == 0 && xfrm_state_read(nl, &s->dst, s->spi, &s->tag, &is) == 0 && is.offload) {
		say(c, is.offload, NULL);
		return DATAPLANE_OK;
	}
	if (*error)
		why = netlink_strerror(nl, *error);
	if (s->flags.offload == CHILD_OFFLOAD_AUTO) {
		plain.flags.offload = CHILD_OFFLOAD_NO;
		snprintf(words, sizeof(words), "%s", why); /* the next call's are others */
		if (*error)
			*error = xfrm_state_add(nl, &plain);
		if (*error == 0)
			say(c, 0, words);
		return DATAPLANE_OK;
	}
	e = no_card(c, s, why);
	if (*error == 0)
		xfrm_state_remove(nl, &s->dst, s->spi, &s->tag);
	*error = 0;
	return e;
}
