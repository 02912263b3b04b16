/* Configuration payload (RFC 7296 3.15). Owns its shape; what is asked for and given is the
 * engine's affair.
 *
 * |   CFG Type    |                    RESERVED                   |  attributes:
 * |R|         Attribute Type      |            Length             |  value
 */
#include "ipsecd/wire/payload.h"

#define CP_HEAD_LEN   4
#define TYPE_MASK     0x7fff /* the first bit is reserved */
#define IP4_LEN	      4
#define IP6_LEN	      16
#define NO_PREFIX     0
#define PREFIX_AFTER  1 /* one byte behind the address */
#define NETMASK_AFTER 4

/* What the value of an attribute is, when it is not empty (3.15.1). */
static const struct cp_rule {
	uint16_t type;
	uint8_t addr_len; /* 0: text or a list */
	uint8_t tail;
} rules[] = {
	{CFG_INTERNAL_IP4_ADDRESS, IP4_LEN, NO_PREFIX},
	{CFG_INTERNAL_IP4_NETMASK, IP4_LEN, NO_PREFIX},
	{CFG_INTERNAL_IP4_DNS, IP4_LEN, NO_PREFIX},
	{CFG_INTERNAL_IP4_NBNS, IP4_LEN, NO_PREFIX},
	{CFG_INTERNAL_IP4_DHCP, IP4_LEN, NO_PREFIX},
	{CFG_APPLICATION_VERSION, 0, 0},
	{CFG_INTERNAL_IP6_ADDRESS, IP6_LEN, PREFIX_AFTER},
	{CFG_INTERNAL_IP6_DNS, IP6_LEN, NO_PREFIX},
	{CFG_INTERNAL_IP6_DHCP, IP6_LEN, NO_PREFIX},
	{CFG_INTERNAL_IP4_SUBNET, IP4_LEN, NETMASK_AFTER},
	{CFG_SUPPORTED_ATTRIBUTES, 0, 0},
	{CFG_INTERNAL_IP6_SUBNET, IP6_LEN, PREFIX_AFTER},
};

static const struct cp_rule *rule_of(uint16_t type)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].type == type)
			return &rules[i];
	}
	return NULL;
}

static bool mask_to_prefix(uint32_t mask, uint8_t *len)
{
	for (*len = 0; mask & UINT32_C(0x80000000); mask <<= 1)
		(*len)++;
	return mask == 0;
}

static bool read_value(const struct cp_rule *rule, struct wire_cp_attribute *a)
{
	const uint8_t *tail = a->value.ptr + rule->addr_len;

	if (a->value.len == 0)
		return true;
	if (rule->addr_len == 0)
		return a->type != CFG_SUPPORTED_ATTRIBUTES || a->value.len % 2 == 0;
	if (a->value.len != (size_t)rule->addr_len + rule->tail)
		return false;
	addr_from_bytes(span_of(a->value.ptr, rule->addr_len), &a->addr);
	a->prefix_len = (uint8_t)(8 * rule->addr_len);
	if (rule->tail == PREFIX_AFTER)
		a->prefix_len = tail[0];
	return a->prefix_len <= 8 * rule->addr_len &&
	       (rule->tail != NETMASK_AFTER || mask_to_prefix(be32_get(tail), &a->prefix_len));
}

struct wire_fault payload_parse_cp(uint8_t type, struct span body, struct wire_message *m)
{
	struct reader r = reader_over(body);

	(void)type;
	m->cp.type = reader_u8(&r);
	reader_take(&r, CP_HEAD_LEN - 1); /* RESERVED */
	while (reader_left(&r)) {
		size_t at = r.pos;
		struct wire_cp_attribute a = {.type = reader_u16(&r) & TYPE_MASK};
		const struct cp_rule *rule = rule_of(a.type);

		a.value = reader_take(&r, reader_u16(&r));
		if (r.truncated || (rule && !read_value(rule, &a)))
			return wire_fault(WIRE_BAD_CP, at, a.type);
		if (rule && m->cp.n < WIRE_CP_MAX)
			m->cp.attributes[m->cp.n++] = a;
		else /* RFC 7296 3.15.1: what we don't know is passed over */
			m->ignored++;
	}
	return wire_ok();
}
