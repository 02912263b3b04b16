/* USE_AGGFRAG: owns what its flags mean (RFC 9347 6.1.4). Congestion control of a peer's payloads
 * needs reports of ours that we don't make, so that its flag is refused with the whole. */
#include "ipsecd/ike/aggfrag.h"

#include <stdio.h>

enum { FLAG_WHOLE = 1, FLAG_CONGESTION = 2, FLAGS_KNOWN = FLAG_WHOLE | FLAG_CONGESTION };

static bool wanted(const struct ike_engine *e, const struct child_config *config)
{
	return e->settings.aggfrag && config->flags.aggfrag.mode != AGGFRAG_NO;
}

static void put(struct wire_writer *w, const struct child_config *config)
{
	const uint8_t flags = config->flags.aggfrag.dont_frag ? FLAG_WHOLE : 0;

	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_USE_AGGFRAG, span_of(NULL, 0),
			span_of(&flags, sizeof(flags)));
}

void aggfrag_offer(const struct ike_engine *e, const struct child_config *config,
		   struct wire_writer *w)
{
	if (wanted(e, config))
		put(w, config);
}

void aggfrag_answer(const struct child_offer *offer, struct wire_writer *w)
{
	if (offer->aggfrag)
		put(w, offer->config);
}

/* NULL: it can be done as the peer wants it. */
static const char *fault(const struct wire_message *in, const struct wire_notify *n)
{
	if (n->data.len != 1)
		return "its flags are not one byte (RFC 9347 5.1)";
	if (n->data.ptr[0] & ~FLAGS_KNOWN)
		return "it has flags that are not known (RFC 9347 6.1.4)";
	if (n->data.ptr[0] & FLAG_CONGESTION)
		return "it requires congestion control, which is not supported";
	if (wire_find_notify(in, NOTIFY_USE_TRANSPORT_MODE))
		return "it comes with transport mode (RFC 9347 5.1)";
	return NULL;
}

/* Without it. */
static bool plain(const struct ike_engine *e, const struct child_offer *out, const char *because,
		  char *why, size_t size)
{
	if (out->config->flags.aggfrag.mode != AGGFRAG_REQUIRE)
		return true;
	snprintf(why, size, "IP-TFS is required (iptfs=require), and %s",
		 e->settings.aggfrag ? because
				     : "this data plane has none: use the userspace data plane");
	return false;
}

bool aggfrag_choose(struct ike_engine *e, const struct ike_sa *sa, const struct wire_message *in,
		    bool initiator, struct child_offer *out, char *why, size_t size)
{
	const struct wire_notify *n = wire_find_notify(in, NOTIFY_USE_AGGFRAG);
	bool asked = wanted(e, out->config);
	const char *wrong;

	out->aggfrag = out->aggfrag_whole = false;
	if (!n)
		return plain(e, out, "the peer does not use it", why, size);
	wrong = fault(in, n);
	if (asked && !wrong) {
		out->aggfrag = true;
		out->aggfrag_whole = n->data.ptr[0] & FLAG_WHOLE;
		return true;
	}
	if (!asked && !initiator)
		return plain(e, out, "", why, size);
	if (wrong) {
		e->counters.aggfrag_refused++;
		ike_log(e, sa, LOG_LEVEL_INFO, "the peer's USE_AGGFRAG is refused: %s", wrong);
	}
	if (!initiator)
		return plain(e, out, wrong, why, size);
	/* RFC 9347 5.1: what is required and can't be done SHOULD NOT be used; as initiator the
	 * CHILD_SA is deleted. An answer that nobody asked for is no better. */
	snprintf(why, size, "peer's USE_AGGFRAG: %s", wrong ? wrong : "it was not asked for");
	return false;
}

void aggfrag_check(const struct ike_engine *e, const struct conn *conn)
{
	for (uint16_t i = 0; i < conn->n_children && !e->settings.aggfrag; i++) {
		const struct child_config *c = &conn->children[i];

		if (c->flags.aggfrag.mode == AGGFRAG_NO)
			continue;
		log_to(e->env.log, LOG_LEVEL_WARN, "ike", conn->name,
		       "%s: IP-TFS (iptfs=%s) is not for this data plane: use the userspace data "
		       "plane (ipsecd --plane userspace); %s",
		       c->name, c->flags.aggfrag.mode == AGGFRAG_REQUIRE ? "require" : "yes",
		       c->flags.aggfrag.mode == AGGFRAG_REQUIRE ? "no CHILD_SA of it can be"
								: "its CHILD_SAs are plain ESP");
	}
}

struct aggfrag_params aggfrag_agreed(const struct child *c)
{
	struct aggfrag_params p = c->config->flags.aggfrag;

	if (!c->aggfrag)
		return (struct aggfrag_params){.mode = AGGFRAG_NO};
	p.dont_frag |= c->aggfrag_whole;
	return p;
}
