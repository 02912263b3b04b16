/* What the kernel tells of states and policies without being asked. Pure. */
#include "ipsecd/dataplane/xfrm_codec.h"

#include <arpa/inet.h>

#define ALL_PROTOCOLS 255 /* IPSEC_PROTO_ANY */

/* A copy of the message's body; false: it is shorter. */
static bool get_body(const struct nlmsghdr *h, void *out, size_t size)
{
	if (mnl_nlmsg_get_payload_len(h) < size)
		return false;
	memcpy(out, mnl_nlmsg_get_payload(h), size);
	return true;
}

/* A packet found a policy and no state for it. The template is the policy's, the addresses
 * and selectors are the packet's. */
static bool parse_acquire(const struct nlmsghdr *h, struct xfrm_event *out)
{
	struct xfrm_user_acquire a;
	struct xfrm_policy *p = &out->policy;
	const struct nlattr *attr;
	struct xfrm_sel sel;

	if (!get_body(h, &a, sizeof(a)) || !xfrm_get_policy(&a.policy, p) ||
	    !xfrm_get_sel(&a.sel, &sel))
		return false;
	mnl_attr_for_each(attr, h, sizeof(a)) xfrm_take_policy_attr(attr, p);
	if (!p->family)
		p->family = sel.family;
	p->sel = sel;
	p->src = xfrm_get_addr(&a.saddr, p->family, true);
	p->dst = xfrm_get_addr(&a.id.daddr, p->family, true);
	out->seq = a.seq;
	out->kind = XFRM_EVENT_ACQUIRE;
	return true;
}

static bool parse_expire(const struct nlmsghdr *h, struct xfrm_event *out)
{
	struct xfrm_user_expire e;
	const struct nlattr *attr;

	if (!get_body(h, &e, sizeof(e)) || !xfrm_get_state(&e.state, &out->state))
		return false;
	mnl_attr_for_each(attr, h, sizeof(e)) xfrm_take_state_attr(attr, &out->state);
	out->state.larval = e.state.id.spi == 0; /* it tells no algorithms */
	out->kind = e.hard ? XFRM_EVENT_HARD_EXPIRE : XFRM_EVENT_SOFT_EXPIRE;
	return true;
}

static bool get_id(const struct xfrm_usersa_id *id, struct xfrm_state_info *out)
{
	if (id->family != AF_INET && id->family != AF_INET6)
		return false;
	*out = (struct xfrm_state_info){
		.spi = ntohl(id->spi),
		.protocol = id->proto,
		.dst = xfrm_get_addr(&id->daddr, id->family, false),
	};
	return true;
}

static bool parse_mapping(const struct nlmsghdr *h, struct xfrm_event *out)
{
	struct xfrm_user_mapping m;

	if (!get_body(h, &m, sizeof(m)) || !get_id(&m.id, &out->state))
		return false;
	out->state.reqid = m.reqid;
	out->state.encap = true;
	out->old_peer.addr = xfrm_get_addr(&m.old_saddr, m.id.family, false);
	out->old_peer.port = ntohs(m.old_sport);
	out->new_peer.addr = xfrm_get_addr(&m.new_saddr, m.id.family, false);
	out->new_peer.port = ntohs(m.new_sport);
	out->state.src = out->old_peer.addr;
	out->kind = XFRM_EVENT_MAPPING;
	return true;
}

/* The identity, and what the state was in attributes. */
static bool parse_state_gone(const struct nlmsghdr *h, struct xfrm_event *out)
{
	struct xfrm_usersa_id id;
	const struct nlattr *attr;

	if (!get_body(h, &id, sizeof(id)) || !get_id(&id, &out->state))
		return false;
	mnl_attr_for_each(attr, h, sizeof(id))
	{
		if (mnl_attr_get_type(attr) == XFRMA_SA &&
		    (mnl_attr_get_payload_len(attr) < sizeof(struct xfrm_usersa_info) ||
		     !xfrm_get_state(mnl_attr_get_payload(attr), &out->state)))
			return false;
	}
	mnl_attr_for_each(attr, h, sizeof(id)) xfrm_take_state_attr(attr, &out->state);
	out->kind = XFRM_EVENT_STATE_GONE;
	return true;
}

/* Likewise; one that was deleted by its index has no selectors in the identity. */
static bool parse_policy_gone(const struct nlmsghdr *h, struct xfrm_event *out)
{
	struct xfrm_userpolicy_id id;
	const struct nlattr *attr;
	struct xfrm_sel sel;

	if (!get_body(h, &id, sizeof(id)) || id.dir > XFRM_FWD || !xfrm_get_sel(&id.sel, &sel))
		return false;
	out->policy = (struct xfrm_policy){.dir = id.dir, .sel = sel, .index = id.index};
	mnl_attr_for_each(attr, h, sizeof(id))
	{
		if (mnl_attr_get_type(attr) == XFRMA_POLICY &&
		    (mnl_attr_get_payload_len(attr) < sizeof(struct xfrm_userpolicy_info) ||
		     !xfrm_get_policy(mnl_attr_get_payload(attr), &out->policy)))
			return false;
	}
	mnl_attr_for_each(attr, h, sizeof(id)) xfrm_take_policy_attr(attr, &out->policy);
	out->kind = XFRM_EVENT_POLICY_GONE;
	return true;
}

/* Of one protocol, or of all. */
static bool parse_states_flushed(const struct nlmsghdr *h, struct xfrm_event *out)
{
	struct xfrm_usersa_flush f;

	if (!get_body(h, &f, sizeof(f)) ||
	    (f.proto != 0 && f.proto != IPPROTO_ESP && f.proto != ALL_PROTOCOLS))
		return false;
	out->kind = XFRM_EVENT_STATE_GONE;
	out->flushed = true;
	return true;
}

static bool parse_policies_flushed(struct xfrm_event *out)
{
	out->kind = XFRM_EVENT_POLICY_GONE;
	out->flushed = true;
	return true;
}

static bool parse_event(const struct nlmsghdr *h, struct xfrm_event *out)
{
	switch (h->nlmsg_type) {
	case XFRM_MSG_ACQUIRE:
		return parse_acquire(h, out);
	case XFRM_MSG_EXPIRE:
		return parse_expire(h, out);
	case XFRM_MSG_MAPPING:
		return parse_mapping(h, out);
	case XFRM_MSG_DELSA:
		return parse_state_gone(h, out);
	case XFRM_MSG_DELPOLICY:
		return parse_policy_gone(h, out);
	case XFRM_MSG_FLUSHSA:
		return parse_states_flushed(h, out);
	case XFRM_MSG_FLUSHPOLICY:
		return parse_policies_flushed(out);
	default:
		return false;
	}
}

enum xfrm_event_kind xfrm_parse_event(const struct nlmsghdr *h, struct xfrm_event *out)
{
	*out = (struct xfrm_event){.kind = XFRM_EVENT_NONE};
	if (!parse_event(h, out))
		out->kind = XFRM_EVENT_NONE;
	return out->kind;
}
