/* nf_tables messages of the MSS clamp, by libnftnl. */
#include "ipsecd/dataplane/mss_nft.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define TABLE	 "ipsecd"
#define CHAIN	 "mss"
#define PRIORITY (-150) /* "mangle" */

/* nft's numbers of types, for who lists the table: an interface's name, a 16-bit number. */
#define TYPE_IFNAME	 41
#define TYPE_NUMBER	 13
#define HOST_ORDER	 1
#define BIG_ENDIAN_ORDER 2

#define TCP_FLAGS	 13 /* offset in the TCP header */
#define TCP_SYN_RST	 0x06
#define TCP_SYN		 0x02
#define MSS_OPTION	 2 /* TCP option's kind; length and value follow */
#define MSS_OFFSET	 2
#define MSS_TYPE(h)	 ((h)->nlmsg_type & 0xff)
#define NFT_TYPE(h)	 ((h)->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES)

static const char *const map_names[] = {[MSS_IPV4] = "mss4", [MSS_IPV6] = "mss6"};
static const uint8_t map_protocols[] = {[MSS_IPV4] = NFPROTO_IPV4, [MSS_IPV6] = NFPROTO_IPV6};

static struct nlmsghdr *next_message(struct mss_batch *b, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr((char *)b->buf + b->len, type, NFPROTO_INET,
				     (uint16_t)(NLM_F_ACK | flags), 0);
}

static void added(struct mss_batch *b, const struct nlmsghdr *h)
{
	b->len += MNL_ALIGN(h->nlmsg_len);
}

void mss_batch_begin(struct mss_batch *b)
{
	b->len = 0;
	b->failed = false;
	added(b, nftnl_batch_begin((char *)b->buf, 0));
}

void mss_batch_end(struct mss_batch *b)
{
	added(b, nftnl_batch_end((char *)b->buf + b->len, 0));
}

/* ---- table and chain ---- */

static void put_table(struct mss_batch *b, uint16_t type, uint16_t flags)
{
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *h;

	if (!t) {
		b->failed = true;
		return;
	}
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, TABLE);
	h = next_message(b, type, flags);
	nftnl_table_nlmsg_build_payload(h, t);
	added(b, h);
	nftnl_table_free(t);
}

void mss_batch_remove_table(struct mss_batch *b)
{
	put_table(b, NFT_MSG_DELTABLE, 0);
}

static void put_chain(struct mss_batch *b)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nlmsghdr *h;

	if (!c) {
		b->failed = true;
		return;
	}
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, CHAIN);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, NF_INET_FORWARD);
	nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, PRIORITY);
	nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	h = next_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nftnl_chain_nlmsg_build_payload(h, c);
	added(b, h);
	nftnl_chain_free(c);
}

/* ---- maps ---- */

static struct nftnl_set *map_alloc(enum mss_map map)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s)
		return NULL;
	nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, map_names[map]);
	return s;
}

/* For who lists the table: how its bytes are to be read. */
static void describe_map(struct nftnl_set *s, bool *failed)
{
	struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);

	if (!u) {
		*failed = true;
		return;
	}
	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, HOST_ORDER);
	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_DATABYTEORDER, BIG_ENDIAN_ORDER);
	nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
}

static void put_map(struct mss_batch *b, enum mss_map map)
{
	struct nftnl_set *s = map_alloc(map);
	struct nlmsghdr *h;

	if (!s) {
		b->failed = true;
		return;
	}
	nftnl_set_set_u32(s, NFTNL_SET_ID, (uint32_t)map + 1);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_MAP);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, TYPE_IFNAME);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, IF_NAMESIZE);
	nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, TYPE_NUMBER);
	nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, sizeof(uint16_t));
	describe_map(s, &b->failed);
	h = next_message(b, NFT_MSG_NEWSET, NLM_F_CREATE);
	nftnl_set_nlmsg_build_payload(h, s);
	added(b, h);
	nftnl_set_free(s);
}

void mss_batch_element(struct mss_batch *b, enum mss_map map, const char *device, uint16_t mss,
		       bool add)
{
	struct nftnl_set *s = map_alloc(map);
	struct nftnl_set_elem *e = nftnl_set_elem_alloc();
	char key[IF_NAMESIZE] = "";
	uint16_t value = htons(mss);
	struct nlmsghdr *h;

	if (!s || !e) {
		b->failed = true;
		goto out;
	}
	memcpy(key, device, strnlen(device, sizeof(key) - 1));
	nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, sizeof(key));
	if (add)
		nftnl_set_elem_set(e, NFTNL_SET_ELEM_DATA, &value, sizeof(value));
	nftnl_set_elem_add(s, e);
	e = NULL; /* the set's */
	h = next_message(b, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0);
	nftnl_set_elems_nlmsg_build_payload(h, s);
	added(b, h);
out:
	if (e)
		nftnl_set_elem_free(e);
	if (s)
		nftnl_set_free(s);
}

/* ---- rules ---- */

static struct nftnl_expr *add_expr(struct nftnl_rule *r, const char *name, bool *failed)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	if (e)
		nftnl_rule_add_expr(r, e);
	else
		*failed = true;
	return e;
}

static void add_meta(struct nftnl_rule *r, uint32_t key, bool *failed)
{
	struct nftnl_expr *e = add_expr(r, "meta", failed);

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void add_equal(struct nftnl_rule *r, uint8_t value, bool *failed)
{
	struct nftnl_expr *e = add_expr(r, "cmp", failed);

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, &value, sizeof(value));
}

/* SYN and SYN+ACK; no RST. */
static void add_syn(struct nftnl_rule *r, bool *failed)
{
	struct nftnl_expr *load = add_expr(r, "payload", failed);
	struct nftnl_expr *mask = add_expr(r, "bitwise", failed);
	uint8_t flags = TCP_SYN_RST, none = 0;

	if (!load || !mask)
		return;
	nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
	nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_OFFSET, TCP_FLAGS);
	nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_LEN, sizeof(flags));
	nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	nftnl_expr_set_u32(mask, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(mask, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(mask, NFTNL_EXPR_BITWISE_LEN, sizeof(flags));
	nftnl_expr_set(mask, NFTNL_EXPR_BITWISE_MASK, &flags, sizeof(flags));
	nftnl_expr_set(mask, NFTNL_EXPR_BITWISE_XOR, &none, sizeof(none));
	add_equal(r, TCP_SYN, failed);
}

/* The device's size from the map; a device that is not in it ends the rule. */
static void add_lookup(struct nftnl_rule *r, enum mss_map map, bool *failed)
{
	struct nftnl_expr *e = add_expr(r, "lookup", failed);

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_1);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, map_names[map]);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, (uint32_t)map + 1);
}

static void add_write(struct nftnl_rule *r, bool *failed)
{
	struct nftnl_expr *e = add_expr(r, "exthdr", failed);

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
	nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, MSS_OPTION);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, MSS_OFFSET);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, sizeof(uint16_t));
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_SREG, NFT_REG_1);
}

static struct nftnl_rule *rule_alloc(void)
{
	struct nftnl_rule *r = nftnl_rule_alloc();

	if (!r)
		return NULL;
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, TABLE);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, CHAIN);
	nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, NFPROTO_INET);
	return r;
}

static void put_rule(struct mss_batch *b, enum mss_map map, uint32_t device_key)
{
	struct nftnl_rule *r = rule_alloc();
	struct nlmsghdr *h;

	if (!r) {
		b->failed = true;
		return;
	}
	add_meta(r, NFT_META_NFPROTO, &b->failed);
	add_equal(r, map_protocols[map], &b->failed);
	add_meta(r, NFT_META_L4PROTO, &b->failed);
	add_equal(r, IPPROTO_TCP, &b->failed);
	add_syn(r, &b->failed);
	add_meta(r, device_key, &b->failed);
	add_lookup(r, map, &b->failed);
	add_write(r, &b->failed);
	h = next_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nftnl_rule_nlmsg_build_payload(h, r);
	added(b, h);
	nftnl_rule_free(r);
}

static void remove_rules(struct mss_batch *b)
{
	struct nftnl_rule *r = rule_alloc();
	struct nlmsghdr *h;

	if (!r) {
		b->failed = true;
		return;
	}
	h = next_message(b, NFT_MSG_DELRULE, 0);
	nftnl_rule_nlmsg_build_payload(h, r);
	added(b, h);
	nftnl_rule_free(r);
}

void mss_batch_structure(struct mss_batch *b)
{
	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	put_chain(b);
	remove_rules(b);
	for (enum mss_map map = 0; map < MSS_MAPS; map++) {
		put_map(b, map);
		put_rule(b, map, NFT_META_IIFNAME);
		put_rule(b, map, NFT_META_OIFNAME);
	}
}

/* ---- asking ---- */

struct nlmsghdr *mss_build_dump(void *buf, enum mss_map map)
{
	struct nftnl_set *s = map_alloc(map);
	struct nlmsghdr *h;

	if (!s)
		return NULL;
	h = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, 0);
	nftnl_set_elems_nlmsg_build_payload(h, s);
	nftnl_set_free(s);
	return h;
}

struct nlmsghdr *mss_build_generation(void *buf)
{
	return nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETGEN, AF_UNSPEC, NLM_F_ACK, 0);
}

struct telling {
	void (*cb)(void *ctx, const char *device, uint16_t mss);
	void *ctx;
};

static int tell_element(struct nftnl_set_elem *e, void *data)
{
	const struct telling *t = data;
	char device[IF_NAMESIZE + 1] = "";
	uint32_t key_len = 0, value_len = 0;
	const void *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &key_len);
	const void *value = nftnl_set_elem_get(e, NFTNL_SET_ELEM_DATA, &value_len);
	uint16_t mss;

	if (!key || !value || key_len > IF_NAMESIZE || value_len != sizeof(mss))
		return 0;
	memcpy(device, key, key_len);
	memcpy(&mss, value, sizeof(mss));
	t->cb(t->ctx, device, ntohs(mss));
	return 0;
}

bool mss_parse_elements(const struct nlmsghdr *h,
			void (*cb)(void *ctx, const char *device, uint16_t mss), void *ctx)
{
	struct telling telling = {.cb = cb, .ctx = ctx};
	struct nftnl_set *s;
	bool ok;

	if (!NFT_TYPE(h) || MSS_TYPE(h) != NFT_MSG_NEWSETELEM ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
		return false;
	s = nftnl_set_alloc();
	ok = s && nftnl_set_elems_nlmsg_parse(h, s) >= 0 &&
	     nftnl_set_elem_foreach(s, tell_element, &telling) >= 0;
	if (s)
		nftnl_set_free(s);
	return ok;
}

bool mss_parse_generation(const struct nlmsghdr *h, uint32_t *out)
{
	const struct nlattr *attr;

	if (!NFT_TYPE(h) || MSS_TYPE(h) != NFT_MSG_NEWGEN ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
		return false;
	mnl_attr_for_each(attr, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID &&
		    mnl_attr_get_payload_len(attr) == sizeof(*out)) {
			*out = ntohl(mnl_attr_get_u32(attr));
			return true;
		}
	}
	return false;
}
