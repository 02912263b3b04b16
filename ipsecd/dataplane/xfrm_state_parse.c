/* What the kernel says of a state. Bodies are copied before they are read: messages and
 * attributes lie at multiples of four, their numbers want eight. Pure. */
#include "ipsecd/dataplane/xfrm_codec.h"

#include <arpa/inet.h>

bool xfrm_get_state(const void *body, struct xfrm_state_info *out)
{
	struct xfrm_usersa_info info, *sa = &info;

	memcpy(&info, body, sizeof(info));
	if (sa->family != AF_INET && sa->family != AF_INET6)
		return false;
	*out = (struct xfrm_state_info){
		.spi = ntohl(sa->id.spi),
		.reqid = sa->reqid,
		.protocol = sa->id.proto,
		.dst = xfrm_get_addr(&sa->id.daddr, sa->family, false),
		.src = xfrm_get_addr(&sa->saddr, sa->family, false),
		.bytes = sa->curlft.bytes,
		.packets = sa->curlft.packets,
		.add_time = sa->curlft.add_time,
		.use_time = sa->curlft.use_time,
		.hard_seconds = sa->lft.hard_add_expires_seconds,
		.window_errors = sa->stats.replay_window,
		.replay_errors = sa->stats.replay,
		.integrity_errors = sa->stats.integrity_failed,
		.esn = sa->flags & XFRM_STATE_ESN,
		.larval = true, /* until there is an algorithm */
	};
	return true;
}

static void take_encap(const struct nlattr *attr, bool *encap, uint16_t *sport, uint16_t *dport)
{
	struct xfrm_encap_tmpl e;

	if (mnl_attr_get_payload_len(attr) < sizeof(e))
		return;
	memcpy(&e, mnl_attr_get_payload(attr), sizeof(e));
	*encap = true;
	*sport = ntohs(e.encap_sport);
	*dport = ntohs(e.encap_dport);
}

static void take_replay(const struct nlattr *attr, uint64_t *sequence, uint64_t *received)
{
	struct xfrm_replay_state r;

	if (mnl_attr_get_payload_len(attr) < sizeof(r))
		return;
	memcpy(&r, mnl_attr_get_payload(attr), sizeof(r));
	*sequence = r.oseq;
	*received = r.seq;
}

static void take_replay_esn(const struct nlattr *attr, uint64_t *sequence, uint64_t *received,
			    uint16_t *window)
{
	struct xfrm_replay_state_esn r;

	if (mnl_attr_get_payload_len(attr) < sizeof(r))
		return;
	memcpy(&r, mnl_attr_get_payload(attr), sizeof(r));
	*sequence = (uint64_t)r.oseq_hi << 32 | r.oseq;
	*received = (uint64_t)r.seq_hi << 32 | r.seq;
	*window = r.replay_window < UINT16_MAX ? (uint16_t)r.replay_window : UINT16_MAX;
}

void xfrm_take_state_attr(const struct nlattr *attr, struct xfrm_state_info *out)
{
	struct xfrm_user_offload offload = {0};
	uint16_t window;

	switch (mnl_attr_get_type(attr)) {
	case XFRMA_ALG_AEAD:
	case XFRMA_ALG_CRYPT:
	case XFRMA_ALG_AUTH:
	case XFRMA_ALG_AUTH_TRUNC:
		out->larval = false;
		return;
	case XFRMA_ENCAP:
		take_encap(attr, &out->encap, &out->sport, &out->dport);
		return;
	case XFRMA_REPLAY_VAL:
		take_replay(attr, &out->sequence, &out->received);
		return;
	case XFRMA_REPLAY_ESN_VAL:
		take_replay_esn(attr, &out->sequence, &out->received, &window);
		return;
	case XFRMA_OFFLOAD_DEV:
		if (mnl_attr_get_payload_len(attr) >= sizeof(offload))
			memcpy(&offload, mnl_attr_get_payload(attr), sizeof(offload));
		out->offload = offload.ifindex;
		return;
	case XFRM_ATTR_SA_PCPU:
		if (mnl_attr_get_payload_len(attr) == sizeof(out->cpu))
			out->cpu = mnl_attr_get_u32(attr) + 1;
		return;
	case XFRMA_LASTUSED:
		if (mnl_attr_get_payload_len(attr) == sizeof(out->last_time))
			out->last_time = mnl_attr_get_u64(attr);
		return;
	default:
		xfrm_take_tag(attr, &out->tag);
		return;
	}
}

static bool is_state(const struct nlmsghdr *h)
{
	return (h->nlmsg_type == XFRM_MSG_NEWSA || h->nlmsg_type == XFRM_MSG_UPDSA) &&
	       mnl_nlmsg_get_payload_len(h) >= sizeof(struct xfrm_usersa_info);
}

bool xfrm_parse_state(const struct nlmsghdr *h, struct xfrm_state_info *out)
{
	const struct nlattr *attr;

	if (!is_state(h) || !xfrm_get_state(mnl_nlmsg_get_payload(h), out))
		return false;
	mnl_attr_for_each(attr, h, sizeof(struct xfrm_usersa_info)) xfrm_take_state_attr(attr, out);
	return true;
}

/* ---- parsing keys ---- */

/* The key behind an algorithm's head of this size; false: it does not fit the attribute. */
static bool take_key(const struct nlattr *attr, size_t head, unsigned bits, struct span *out)
{
	size_t len = ((size_t)bits + 7) / 8;

	if (len > mnl_attr_get_payload_len(attr) - head)
		return false;
	*out = span_of((const uint8_t *)mnl_attr_get_payload(attr) + head, len);
	return true;
}

static bool take_aead(const struct nlattr *attr, struct xfrm_state *out)
{
	const struct xfrm_algo_aead *a = mnl_attr_get_payload(attr);
	const struct algorithm_encr *encr = NULL;

	if (mnl_attr_get_payload_len(attr) < sizeof(*a) ||
	    !take_key(attr, sizeof(*a), a->alg_key_len, &out->encr_key))
		return false;
	out->encr_id = xfrm_encr_id(a->alg_name);
	for (unsigned i = 0; (encr = algorithm_encr_at(i)); i++) {
		if (encr->id == out->encr_id &&
		    a->alg_key_len == (encr->key_len + encr->salt_len) * 8u &&
		    a->alg_icv_len == encr->icv_len * 8u)
			out->key_bits = encr->key_bits;
	}
	return true;
}

static bool take_crypt(const struct nlattr *attr, struct xfrm_state *out)
{
	const struct xfrm_algo *a = mnl_attr_get_payload(attr);

	if (mnl_attr_get_payload_len(attr) < sizeof(*a) ||
	    !take_key(attr, sizeof(*a), a->alg_key_len, &out->encr_key))
		return false;
	out->encr_id = xfrm_encr_id(a->alg_name);
	out->key_bits = a->alg_key_len <= CHILD_KEY_MAX * 8 ? (uint16_t)a->alg_key_len : 0;
	return true;
}

static bool take_auth(const struct nlattr *attr, struct xfrm_state *out)
{
	const struct xfrm_algo_auth *a = mnl_attr_get_payload(attr);
	const struct algorithm_integ *integ;
	uint16_t id;

	if (mnl_attr_get_payload_len(attr) < sizeof(*a) ||
	    !take_key(attr, sizeof(*a), a->alg_key_len, &out->integ_key))
		return false;
	id = xfrm_integ_id(a->alg_name);
	integ = algorithm_integ(id);
	out->integ_id = integ && a->alg_trunc_len == integ->icv_len * 8u ? id : 0;
	return true;
}

static void take_flag_attr(const struct nlattr *attr, struct xfrm_state *out)
{
	uint32_t n = 0;

	xfrm_take_u32(attr, &n);
	switch (mnl_attr_get_type(attr)) {
	case XFRMA_TFCPAD:
		out->flags.tfc_pad = n < CHILD_TFC_MTU ? (uint16_t)n : CHILD_TFC_MTU;
		return;
	case XFRMA_SET_MARK:
		out->flags.set_mark_in = out->flags.set_mark_out = n;
		return;
	case XFRMA_SET_MARK_MASK:
		out->flags.set_mark_in_mask = out->flags.set_mark_out_mask = n;
		return;
	case XFRMA_SA_EXTRA_FLAGS:
		if (n & XFRM_SA_XFLAG_DONT_ENCAP_DSCP)
			out->flags.dscp =
				out->flags.dscp == CHILD_DSCP_BOTH ? CHILD_DSCP_IN : CHILD_DSCP_NO;
		return;
	case XFRMA_OFFLOAD_DEV:
		out->flags.offload = CHILD_OFFLOAD_YES;
		return;
	case XFRM_ATTR_SA_PCPU:
		out->cpu = n + 1;
		return;
	default:
		xfrm_take_tag(attr, &out->tag);
		return;
	}
}

static bool take_key_attr(const struct nlattr *attr, struct xfrm_state *out)
{
	uint64_t received = 0;

	switch (mnl_attr_get_type(attr)) {
	case XFRMA_ALG_AEAD:
		return take_aead(attr, out);
	case XFRMA_ALG_CRYPT:
		return take_crypt(attr, out);
	case XFRMA_ALG_AUTH_TRUNC:
		return take_auth(attr, out);
	case XFRMA_ENCAP:
		take_encap(attr, &out->encap, &out->sport, &out->dport);
		return true;
	case XFRMA_REPLAY_VAL:
		take_replay(attr, &out->sequence, &received);
		break;
	case XFRMA_REPLAY_ESN_VAL:
		take_replay_esn(attr, &out->sequence, &received, &out->replay_window);
		break;
	default:
		take_flag_attr(attr, out);
		return true;
	}
	if (received)
		out->sequence = received;
	return true;
}

static uint64_t limit_of(uint64_t n)
{
	return n == XFRM_INF ? 0 : n;
}

static bool get_state_body(const void *body, struct xfrm_state *out)
{
	struct xfrm_usersa_info sa;
	struct xfrm_state_info info;
	struct xfrm_sel sel;

	memcpy(&sa, body, sizeof(sa));
	if (!xfrm_get_state(body, &info) || !xfrm_get_sel(&sa.sel, &sel))
		return false;
	*out = (struct xfrm_state){
		.spi = info.spi,
		.reqid = info.reqid,
		.src = info.src,
		.dst = info.dst,
		.sel = sel,
		.esn = info.esn,
		.replay_window = sa.replay_window,
		.soft_bytes = limit_of(sa.lft.soft_byte_limit),
		.hard_bytes = limit_of(sa.lft.hard_byte_limit),
		.soft_packets = limit_of(sa.lft.soft_packet_limit),
		.hard_packets = limit_of(sa.lft.hard_packet_limit),
		.hard_seconds = (uint32_t)sa.lft.hard_add_expires_seconds,
		.flags = {.no_ecn = sa.flags & XFRM_STATE_NOECN,
			  .df = sa.flags & XFRM_STATE_NOPMTUDISC ? CHILD_DF_CLEAR : CHILD_DF_COPY,
			  .dscp = sa.flags & XFRM_STATE_DECAP_DSCP ? CHILD_DSCP_BOTH
								   : CHILD_DSCP_OUT},
	};
	return true;
}

bool xfrm_parse_state_keys(const struct nlmsghdr *h, struct xfrm_state *out)
{
	const struct nlattr *attr;

	if (!is_state(h) || !get_state_body(mnl_nlmsg_get_payload(h), out))
		return false;
	mnl_attr_for_each(attr, h, sizeof(struct xfrm_usersa_info))
	{
		if (!take_key_attr(attr, out))
			return false;
	}
	return true;
}
