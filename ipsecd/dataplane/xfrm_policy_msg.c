/* XFRM messages of policies. Ours have one template (ESP, tunnel mode) or none (block).
 * Pure. */
#include "ipsecd/dataplane/xfrm_codec.h"
#include "lib/netlink.h"

#include <netinet/in.h>

static uint8_t outer_family(const struct xfrm_policy *p)
{
	if (p->family)
		return p->family;
	return p->dst.family ? p->dst.family : p->src.family ? p->src.family : p->sel.family;
}

static bool fits_family(const struct addr *a, uint8_t family)
{
	return a->family == 0 || a->family == family;
}

static bool put_tmpl(struct nlmsghdr *h, size_t size, const struct xfrm_policy *p)
{
	uint8_t family = outer_family(p);
	struct xfrm_user_tmpl t = {
		.id.proto = IPPROTO_ESP,
		.family = family,
		.reqid = p->reqid,
		.mode = XFRM_MODE_TUNNEL,
		.aalgos = UINT32_MAX,
		.ealgos = UINT32_MAX,
		.calgos = UINT32_MAX,
	};

	if (!fits_family(&p->src, family) || !fits_family(&p->dst, family))
		return false;
	xfrm_put_addr(&p->dst, &t.id.daddr);
	xfrm_put_addr(&p->src, &t.saddr);
	return mnl_attr_put_check(h, size, XFRMA_TMPL, sizeof(t), &t);
}

/* One of the same direction, selectors and tag is replaced. */
struct nlmsghdr *xfrm_build_policy_set(void *buf, size_t size, const struct xfrm_policy *p)
{
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct xfrm_userpolicy_info),
						 XFRM_MSG_UPDPOLICY, NLM_F_ACK);
	struct xfrm_userpolicy_info *info;

	if (!h || !p->sel.family)
		return NULL;
	info = mnl_nlmsg_get_payload(h);
	xfrm_put_sel(&p->sel, &info->sel);
	xfrm_put_no_limits(&info->lft);
	info->priority = p->priority;
	info->dir = (uint8_t)p->dir;
	info->action = p->block ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
	if (!p->block && !put_tmpl(h, size, p))
		return NULL;
	return xfrm_put_tag(h, size, &p->tag) ? h : NULL;
}

struct nlmsghdr *xfrm_build_policy_del(void *buf, size_t size, const struct xfrm_policy *p)
{
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct xfrm_userpolicy_id),
						 XFRM_MSG_DELPOLICY, NLM_F_ACK);
	struct xfrm_userpolicy_id *id;

	if (!h || !p->sel.family)
		return NULL;
	id = mnl_nlmsg_get_payload(h);
	xfrm_put_sel(&p->sel, &id->sel);
	id->dir = (uint8_t)p->dir;
	return xfrm_put_tag(h, size, &p->tag) ? h : NULL;
}

struct nlmsghdr *xfrm_build_policy_dump(void *buf, size_t size)
{
	return netlink_build_start(buf, size, 0, XFRM_MSG_GETPOLICY, NLM_F_DUMP);
}

/* ---- parsing ---- */

/* Policies of sockets have directions beyond these three; they are nobody's here. */
bool xfrm_get_policy(const void *body, struct xfrm_policy *out)
{
	struct xfrm_userpolicy_info info, *p = &info;
	struct xfrm_sel sel;

	memcpy(&info, body, sizeof(info));
	if (p->dir > XFRM_FWD || !xfrm_get_sel(&p->sel, &sel))
		return false;
	*out = (struct xfrm_policy){
		.dir = p->dir,
		.sel = sel,
		.priority = p->priority,
		.index = p->index,
		.block = p->action == XFRM_POLICY_BLOCK,
		.other_tmpl = p->action != XFRM_POLICY_BLOCK, /* until there is one */
	};
	return true;
}

static void take_tmpl(const struct nlattr *attr, struct xfrm_policy *out)
{
	struct xfrm_user_tmpl t;

	if (mnl_attr_get_payload_len(attr) < sizeof(t))
		return;
	memcpy(&t, mnl_attr_get_payload(attr), sizeof(t));
	if (t.family != AF_INET && t.family != AF_INET6)
		return;
	out->other_tmpl = mnl_attr_get_payload_len(attr) != sizeof(t) || out->block ||
			  t.id.proto != IPPROTO_ESP || t.mode != XFRM_MODE_TUNNEL || t.optional;
	out->family = (uint8_t)t.family;
	out->reqid = t.reqid;
	out->src = xfrm_get_addr(&t.saddr, t.family, true);
	out->dst = xfrm_get_addr(&t.id.daddr, t.family, true);
}

void xfrm_take_policy_attr(const struct nlattr *attr, struct xfrm_policy *out)
{
	if (mnl_attr_get_type(attr) == XFRMA_TMPL)
		take_tmpl(attr, out);
	else
		xfrm_take_tag(attr, &out->tag);
}

bool xfrm_parse_policy(const struct nlmsghdr *h, struct xfrm_policy *out)
{
	const struct nlattr *attr;

	if ((h->nlmsg_type != XFRM_MSG_NEWPOLICY && h->nlmsg_type != XFRM_MSG_UPDPOLICY) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(struct xfrm_userpolicy_info) ||
	    !xfrm_get_policy(mnl_nlmsg_get_payload(h), out))
		return false;
	mnl_attr_for_each(attr, h, sizeof(struct xfrm_userpolicy_info))
		xfrm_take_policy_attr(attr, out);
	return true;
}
