/* XFRM messages of states: what is added, asked and deleted. Pure. RFC 4301 5.1.2 and 8.1 (outer
 * headers), RFC 4303 (window, ESN, padding). */
#include "ipsecd/dataplane/xfrm_codec.h"
#include "lib/netlink.h"

#include <arpa/inet.h>
#include <linux/udp.h>

#define NAME_MAX_KERNEL sizeof(((struct xfrm_algo *)NULL)->alg_name)
/* An ESN state has a window also where none is asked for: outbound the smallest. */
#define WINDOW_OUT    32
#define WINDOW_LEGACY 32 /* the older attribute's bitmap */

static const struct {
	uint16_t id;
	bool integ;
	const char *name;
} names[] = {
	{ENCR_AES_GCM_16, false, "rfc4106(gcm(aes))"},
	{ENCR_CHACHA20_POLY1305, false, "rfc7539esp(chacha20,poly1305)"},
	{ENCR_AES_CBC, false, "cbc(aes)"},
	{INTEG_HMAC_SHA2_256_128, true, "hmac(sha256)"},
	{INTEG_HMAC_SHA2_384_192, true, "hmac(sha384)"},
	{INTEG_HMAC_SHA2_512_256, true, "hmac(sha512)"},
};

#define NAMES (sizeof(names) / sizeof(names[0]))

static const char *name_of(uint16_t id, bool integ)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (names[i].id == id && names[i].integ == integ)
			return names[i].name;
	}
	return NULL;
}

static uint16_t id_of(const char *name, bool integ)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (names[i].integ == integ && strncmp(names[i].name, name, NAME_MAX_KERNEL) == 0)
			return names[i].id;
	}
	return 0;
}

uint16_t xfrm_encr_id(const char *name)
{
	return id_of(name, false);
}

uint16_t xfrm_integ_id(const char *name)
{
	return id_of(name, true);
}

const char *xfrm_encr_name(uint16_t encr_id)
{
	return name_of(encr_id, false);
}

const char *xfrm_integ_name(uint16_t integ_id)
{
	return name_of(integ_id, true);
}

/* ---- algorithms ---- */

static void put_name(char out[NAME_MAX_KERNEL], const char *name)
{
	memcpy(out, name, strlen(name) + 1);
}

/* An algorithm's attribute: its head, and the key behind it. */
static bool put_key(struct nlmsghdr *h, size_t size, uint16_t type, const void *head,
		    size_t head_len, struct span key)
{
	uint8_t bytes[sizeof(struct xfrm_algo_auth) + CHILD_KEY_MAX];
	bool fits;

	memcpy(bytes, head, head_len);
	memcpy(bytes + head_len, key.ptr, key.len);
	fits = mnl_attr_put_check(h, size, type, head_len + key.len, bytes);
	explicit_bzero(bytes, sizeof(bytes));
	return fits;
}

static bool put_aead(struct nlmsghdr *h, size_t size, const char *name, struct span key,
		     unsigned icv_len)
{
	struct xfrm_algo_aead a = {.alg_key_len = (unsigned)key.len * 8,
				   .alg_icv_len = icv_len * 8};

	put_name(a.alg_name, name);
	return put_key(h, size, XFRMA_ALG_AEAD, &a, sizeof(a), key);
}

static bool put_crypt(struct nlmsghdr *h, size_t size, const char *name, struct span key)
{
	struct xfrm_algo a = {.alg_key_len = (unsigned)key.len * 8};

	put_name(a.alg_name, name);
	return put_key(h, size, XFRMA_ALG_CRYPT, &a, sizeof(a), key);
}

static bool put_auth(struct nlmsghdr *h, size_t size, const char *name, struct span key,
		     unsigned icv_len)
{
	struct xfrm_algo_auth a = {.alg_key_len = (unsigned)key.len * 8,
				   .alg_trunc_len = icv_len * 8};

	put_name(a.alg_name, name);
	return put_key(h, size, XFRMA_ALG_AUTH_TRUNC, &a, sizeof(a), key);
}

static bool put_algorithms(struct nlmsghdr *h, size_t size, const struct xfrm_state *s)
{
	const struct algorithm_encr *encr = algorithm_encr(s->encr_id, s->key_bits);
	const struct algorithm_integ *integ = algorithm_integ(s->integ_id);
	const char *encr_name = xfrm_encr_name(s->encr_id);
	const char *integ_name = xfrm_integ_name(s->integ_id);

	if (!encr || !encr_name || s->encr_key.len != (size_t)encr->key_len + encr->salt_len)
		return false;
	if (encr->icv_len)
		return !s->integ_id && put_aead(h, size, encr_name, s->encr_key, encr->icv_len);
	return integ && integ_name && s->integ_key.len == integ->key_len &&
	       put_crypt(h, size, encr_name, s->encr_key) &&
	       put_auth(h, size, integ_name, s->integ_key, integ->icv_len);
}

/* ---- sequence numbers ---- */

static unsigned window_of(const struct xfrm_state *s)
{
	unsigned window = s->replay_window < XFRM_WINDOW_MAX ? s->replay_window : XFRM_WINDOW_MAX;

	if (s->cpu) /* the kernel refuses one where it is told the direction */
		return 0;
	if (!s->inbound)
		return s->esn ? WINDOW_OUT : 0;
	/* What is behind the window is taken for the next 2^32: none at all can't be. */
	return window || !s->esn ? window : XFRM_WINDOW_MAX;
}

static bool put_replay_esn(struct nlmsghdr *h, size_t size, const struct xfrm_state *s)
{
	struct xfrm_replay_state_esn r = {
		.replay_window = window_of(s),
		.bmp_len = (window_of(s) + 31) / 32,
	};
	uint32_t low = (uint32_t)s->sequence, high = s->esn ? (uint32_t)(s->sequence >> 32) : 0;
	uint8_t bytes[sizeof(r) + XFRM_WINDOW_MAX / 8];

	/* All of the window was received, or nothing. */
	memset(bytes, s->inbound && s->sequence ? 0xff : 0, sizeof(bytes));
	*(s->inbound ? &r.seq : &r.oseq) = low;
	*(s->inbound ? &r.seq_hi : &r.oseq_hi) = high;
	memcpy(bytes, &r, sizeof(r));
	return mnl_attr_put_check(h, size, XFRMA_REPLAY_ESN_VAL,
				  sizeof(r) + r.bmp_len * sizeof(uint32_t), bytes);
}

/* Without ESN and with a window that fits, the older attributes; the window is in the body. */
static bool put_replay(struct nlmsghdr *h, size_t size, const struct xfrm_state *s)
{
	struct xfrm_replay_state r = {.bitmap = s->inbound ? UINT32_MAX : 0};

	*(s->inbound ? &r.seq : &r.oseq) = (uint32_t)s->sequence;
	if (s->esn || window_of(s) > WINDOW_LEGACY)
		return put_replay_esn(h, size, s);
	return !s->sequence || mnl_attr_put_check(h, size, XFRMA_REPLAY_VAL, sizeof(r), &r);
}

/* ---- flags ---- */

static uint8_t flags_of(const struct xfrm_state *s)
{
	enum child_dscp dscp = s->flags.dscp;
	uint8_t flags = 0;

	if (s->esn)
		flags |= XFRM_STATE_ESN;
	if (!s->sel.family) /* the inner packets' family is not the outer one's */
		flags |= XFRM_STATE_AF_UNSPEC;
	if (s->flags.no_ecn) /* RFC 6040 4.3: who does not copy inwards must not copy outwards */
		flags |= XFRM_STATE_NOECN;
	if (s->inbound && (dscp == CHILD_DSCP_IN || dscp == CHILD_DSCP_BOTH))
		flags |= XFRM_STATE_DECAP_DSCP;
	if (!s->inbound && s->flags.df == CHILD_DF_CLEAR)
		flags |= XFRM_STATE_NOPMTUDISC;
	return flags;
}

static bool put_flags(struct nlmsghdr *h, size_t size, const struct xfrm_state *s)
{
	const struct child_flags *f = &s->flags;
	uint32_t mark = s->inbound ? f->set_mark_in : f->set_mark_out;
	uint32_t mask = s->inbound ? f->set_mark_in_mask : f->set_mark_out_mask;
	bool no_dscp = f->dscp == CHILD_DSCP_NO || f->dscp == CHILD_DSCP_IN;

	if ((mark || mask) && (!mnl_attr_put_u32_check(h, size, XFRMA_SET_MARK, mark) ||
			       !mnl_attr_put_u32_check(h, size, XFRMA_SET_MARK_MASK, mask)))
		return false;
	if (s->inbound)
		return true;
	if (no_dscp &&
	    !mnl_attr_put_u32_check(h, size, XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP))
		return false;
	/* The kernel takes the least of this and the path's MTU. */
	return !f->tfc_pad || mnl_attr_put_u32_check(h, size, XFRMA_TFCPAD, f->tfc_pad);
}

static bool put_encap(struct nlmsghdr *h, size_t size, const struct xfrm_state *s)
{
	struct xfrm_encap_tmpl encap = {.encap_type = UDP_ENCAP_ESPINUDP,
					.encap_sport = htons(s->sport),
					.encap_dport = htons(s->dport)};

	return !s->encap || mnl_attr_put_check(h, size, XFRMA_ENCAP, sizeof(encap), &encap);
}

/* Without a device's index the kernel takes that of the route between the two ends. */
static bool put_offload(struct nlmsghdr *h, size_t size, const struct xfrm_state *s)
{
	struct xfrm_user_offload o = {.flags = s->inbound ? XFRM_OFFLOAD_INBOUND : 0};

	if (s->dst.family == AF_INET6)
		o.flags |= XFRM_OFFLOAD_IPV6;
	return s->flags.offload == CHILD_OFFLOAD_NO ||
	       mnl_attr_put_check(h, size, XFRMA_OFFLOAD_DEV, sizeof(o), &o);
}

/* The kernel takes a processor only together with the direction. */
static bool put_cpu(struct nlmsghdr *h, size_t size, const struct xfrm_state *s)
{
	return !s->cpu || (mnl_attr_put_u8_check(h, size, XFRM_ATTR_SA_DIR, XFRM_ATTR_DIR_OUT) &&
			   mnl_attr_put_u32_check(h, size, XFRM_ATTR_SA_PCPU, s->cpu - 1));
}

/* ---- building ---- */

static uint64_t limit(uint64_t n)
{
	return n ? n : XFRM_INF;
}

static void put_limits(const struct xfrm_state *s, struct xfrm_lifetime_cfg *out)
{
	*out = (struct xfrm_lifetime_cfg){
		.soft_byte_limit = limit(s->soft_bytes),
		.hard_byte_limit = limit(s->hard_bytes),
		.soft_packet_limit = limit(s->soft_packets),
		.hard_packet_limit = limit(s->hard_packets),
		.hard_add_expires_seconds = s->hard_seconds, /* 0 is none here */
	};
}

static void put_state(const struct xfrm_state *s, struct xfrm_usersa_info *sa)
{
	unsigned window = window_of(s);

	xfrm_put_sel(&s->sel, &sa->sel);
	xfrm_put_addr(&s->dst, &sa->id.daddr);
	xfrm_put_addr(&s->src, &sa->saddr);
	sa->id.spi = htonl(s->spi);
	sa->id.proto = IPPROTO_ESP;
	put_limits(s, &sa->lft);
	sa->reqid = s->reqid;
	sa->family = s->dst.family;
	sa->mode = XFRM_MODE_TUNNEL;
	sa->replay_window = s->esn || window > WINDOW_LEGACY ? 0 : (uint8_t)window;
	sa->flags = flags_of(s);
}

struct nlmsghdr *xfrm_build_state_add(void *buf, size_t size, const struct xfrm_state *s,
				      bool update)
{
	struct nlmsghdr *h =
		netlink_build_start(buf, size, sizeof(struct xfrm_usersa_info),
				    update ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA, NLM_F_ACK);

	if (!h || !s->dst.family || s->dst.family != s->src.family)
		return NULL;
	put_state(s, mnl_nlmsg_get_payload(h));
	return put_algorithms(h, size, s) && put_replay(h, size, s) && put_encap(h, size, s) &&
			       xfrm_put_tag(h, size, &s->tag) && put_flags(h, size, s) &&
			       put_cpu(h, size, s) && (update || put_offload(h, size, s))
		       ? h
		       : NULL;
}

struct nlmsghdr *xfrm_build_cpu_trial(void *buf, size_t size)
{
	static const uint8_t no_key[1];
	const struct xfrm_state s = {.spi = UINT32_MAX,
				     .src = {AF_INET, {240, 255, 255, 1}},
				     .dst = {AF_INET, {240, 255, 255, 2}}};
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct xfrm_usersa_info),
						 XFRM_MSG_NEWSA, NLM_F_ACK);

	if (!h)
		return NULL;
	put_state(&s, mnl_nlmsg_get_payload(h));
	return put_aead(h, size, "none", span_of(no_key, 0), 16) &&
			       mnl_attr_put_u32_check(h, size, XFRM_ATTR_SA_PCPU, 0)
		       ? h
		       : NULL;
}

static struct nlmsghdr *build_id(void *buf, size_t size, uint16_t type, const struct addr *dst,
				 uint32_t spi, uint8_t protocol, const struct xfrm_tag *tag)
{
	struct nlmsghdr *h =
		netlink_build_start(buf, size, sizeof(struct xfrm_usersa_id), type, NLM_F_ACK);
	struct xfrm_usersa_id *id;

	if (!h || !dst->family)
		return NULL;
	id = mnl_nlmsg_get_payload(h);
	xfrm_put_addr(dst, &id->daddr);
	id->spi = htonl(spi);
	id->family = dst->family;
	id->proto = protocol;
	return xfrm_put_tag(h, size, tag) ? h : NULL;
}

struct nlmsghdr *xfrm_build_state_del(void *buf, size_t size, const struct xfrm_state_info *s)
{
	return build_id(buf, size, XFRM_MSG_DELSA, &s->dst, s->spi, s->protocol, &s->tag);
}

struct nlmsghdr *xfrm_build_state_get(void *buf, size_t size, const struct addr *dst, uint32_t spi,
				      const struct xfrm_tag *tag)
{
	return build_id(buf, size, XFRM_MSG_GETSA, dst, spi, IPPROTO_ESP, tag);
}

struct nlmsghdr *xfrm_build_state_dump(void *buf, size_t size)
{
	return netlink_build_start(buf, size, 0, XFRM_MSG_GETSA, NLM_F_DUMP);
}

/* Of the number range there is one: the kernel's choice is ours. */
struct nlmsghdr *xfrm_build_alloc_spi(void *buf, size_t size, const struct addr *src,
				      const struct addr *dst, const struct xfrm_tag *tag,
				      uint32_t reqid, uint32_t spi)
{
	struct nlmsghdr *h = netlink_build_start(buf, size, sizeof(struct xfrm_userspi_info),
						 XFRM_MSG_ALLOCSPI, NLM_F_ACK);
	struct xfrm_userspi_info *info;

	if (!h || !dst->family || dst->family != src->family)
		return NULL;
	info = mnl_nlmsg_get_payload(h);
	xfrm_put_addr(dst, &info->info.id.daddr);
	xfrm_put_addr(src, &info->info.saddr);
	info->info.id.proto = IPPROTO_ESP;
	info->info.reqid = reqid;
	info->info.mode = XFRM_MODE_TUNNEL;
	info->info.family = dst->family;
	info->min = info->max = spi;
	return xfrm_put_tag(h, size, tag) ? h : NULL;
}
