/* Encoding of what a client sends to zebra. Field order and widths: FRR lib/zclient.c
 * (zclient_send_hello, zapi_route_encode); see zapi.h for what varies. */
#include "routed-bridge/zapi.h"

/* Presence bits of a route message and nexthop types. */
enum {
	ROUTE_HAS_NEXTHOP = 0x01,
	ROUTE_HAS_DISTANCE = 0x02,
	ROUTE_HAS_METRIC = 0x04,
	ROUTE_HAS_TAG = 0x08,
	ROUTE_HAS_MTU = 0x10,
	ROUTE_HAS_TABLE = 0x100,
	NEXTHOP_IFINDEX = 1,
	NEXTHOP_IPV4_IFINDEX = 3,
	NEXTHOP_IPV6_IFINDEX = 5,
	NEXTHOP_BLACKHOLE = 6,
	NEXTHOP_ONLINK = 0x01,
	NEXTHOP_HAS_WEIGHT = 0x04,
	FLAG_TABLE = 0x800,
	BLACKHOLE_NULL = 1, /* without a word; 2 answers with ICMP unreachable */
	SAFI_UNICAST = 1,
	AFI_IP = 1,
	AFI_IP6 = 2,
};

/* Returns where the length stands, for message_end. */
static size_t message_start(struct buf *b, uint16_t command, uint32_t vrf)
{
	size_t at = b->len;

	buf_put_u16(b, 0);
	buf_put_u8(b, ZAPI_MARKER);
	buf_put_u8(b, ZAPI_HEADER_V6);
	buf_put_u32(b, vrf);
	buf_put_u16(b, command);
	return at;
}

static void message_end(struct buf *b, size_t at)
{
	buf_set_u16(b, at, (uint16_t)(b->len - at));
}

void zapi_encode_hello(struct buf *b, const struct zapi_version *v, enum zapi_route_type type,
		       uint16_t instance)
{
	size_t at = message_start(b, v->command[ZAPI_HELLO], ZAPI_VRF_DEFAULT);

	buf_put_u8(b, v->type[type]);
	buf_put_u16(b, instance);
	buf_put_u32(b, 0); /* session id */
	if (!v->notify_request)
		buf_put_u8(b, 1);
	buf_put_u8(b, 0); /* not the synchronous channel */
	message_end(b, at);
	if (v->notify_request) {
		at = message_start(b, v->notify_request, ZAPI_VRF_DEFAULT);
		buf_put_u8(b, 1);
		message_end(b, at);
	}
}

void zapi_encode_router_id_add(struct buf *b, const struct zapi_version *v, uint8_t family)
{
	size_t at = message_start(b, v->command[ZAPI_ROUTER_ID_ADD], ZAPI_VRF_DEFAULT);

	buf_put_u16(b, family == AF_INET6 ? AFI_IP6 : AFI_IP);
	message_end(b, at);
}

void zapi_encode_interface_add(struct buf *b, const struct zapi_version *v)
{
	message_end(b, message_start(b, v->command[ZAPI_INTERFACE_ADD], ZAPI_VRF_DEFAULT));
}

static void put_route_head(struct buf *b, const struct zapi_version *v,
			   const struct zapi_route *route, uint32_t present)
{
	struct prefix p = prefix_mask(&route->prefix);

	buf_put_u8(b, v->type[route->type]);
	buf_put_u16(b, route->instance);
	/* A nexthop that is a device needs no recursion. */
	buf_put_u32(b, v->table_flag && route->table ? FLAG_TABLE : 0);
	buf_put_u32(b, present);
	buf_put_u8(b, SAFI_UNICAST);
	buf_put_u8(b, p.addr.family);
	buf_put_u8(b, p.len);
	buf_put(b, p.addr.bytes, (p.len + 7u) / 8);
}

/* What a nexthop is made of follows its type; the weight comes last. */
static void put_nexthop(struct buf *b, const struct zapi_version *v, const struct zapi_nexthop *n)
{
	bool six = n->gateway.family == AF_INET6;

	buf_put_u32(b, n->vrf);
	if (!n->gateway.family && !n->ifindex) {
		buf_put_u8(b, NEXTHOP_BLACKHOLE);
		buf_put_u8(b, 0);
		buf_put_u8(b, BLACKHOLE_NULL);
		return;
	}
	buf_put_u8(b, !n->gateway.family ? NEXTHOP_IFINDEX
		      : six		 ? NEXTHOP_IPV6_IFINDEX
					 : NEXTHOP_IPV4_IFINDEX);
	buf_put_u8(b, (n->onlink ? NEXTHOP_ONLINK : 0) | (n->weight ? NEXTHOP_HAS_WEIGHT : 0));
	if (n->gateway.family)
		buf_put(b, n->gateway.bytes, six ? 16 : 4);
	buf_put_u32(b, n->ifindex);
	if (n->weight && v->weight_u64)
		buf_put_u64(b, n->weight);
	else if (n->weight)
		buf_put_u32(b, n->weight);
}

#define WEIGHT_SCALE 254 /* what zebra makes of the largest one, unless all are 1 */
#define VARIANTS     3

/* All but a largest one may change: zebra scales by that. */
static unsigned changeable(const struct zapi_route *r, const uint32_t *weights)
{
	unsigned largest = 0;

	while (weights[largest] < WEIGHT_SCALE)
		largest++;
	return largest == r->n_nexthops - 1u ? largest - 1 : r->n_nexthops - 1u;
}

/* The weights of a variant as zebra sees them: 0 those that are wanted, 1 scaled even where all
 * are 1, from 2 on one of them changed a little, more each time. */
static void weigh(const struct zapi_route *r, unsigned variant, uint32_t *out)
{
	uint32_t max = 1, by = variant - 1, *changed;

	for (unsigned i = 0; i < r->n_nexthops; i++) {
		out[i] = r->nexthops[i].weight ? r->nexthops[i].weight : 1;
		max = out[i] > max ? out[i] : max;
	}
	if (max == 1 && variant == 0)
		return;
	for (unsigned i = 0; i < r->n_nexthops; i++)
		out[i] = out[i] * WEIGHT_SCALE / max ? out[i] * WEIGHT_SCALE / max : 1;
	if (variant < 2 || r->n_nexthops < 2)
		return;
	changed = &out[changeable(r, out)];
	*changed = *changed > by ? *changed - by : *changed + by;
}

static bool is_other(const struct zapi_route *a, unsigned variant, const struct zapi_route *b,
		     unsigned its_variant)
{
	uint32_t mine[ZAPI_NEXTHOPS_MAX], its[ZAPI_NEXTHOPS_MAX];

	weigh(a, variant, mine);
	weigh(b, its_variant, its);
	for (unsigned i = 0; i < a->n_nexthops; i++) {
		for (unsigned k = 0; k < b->n_nexthops; k++) {
			if (a->nexthops[i].ifindex == b->nexthops[k].ifindex && mine[i] != its[k])
				return true;
		}
	}
	return false;
}

void zapi_route_vary(struct zapi_route *route, const struct zapi_route *last)
{
	route->variant = 0;
	while (!is_other(route, route->variant, last, last->variant) &&
	       route->variant < VARIANTS - 1)
		route->variant++;
}

/* Whether the zebra was given that of `last` depends on its release. */
void zapi_route_renew(struct zapi_route *route, const struct zapi_route *last, unsigned renewal)
{
	route->renewed = true;
	for (unsigned i = 0; i < ZAPI_RENEWALS; i++) {
		route->variant = (uint8_t)(1 + (renewal + i) % ZAPI_RENEWALS);
		if (is_other(route, route->variant, last, last->variant) &&
		    is_other(route, route->variant, last, 0))
			return;
	}
}

void zapi_encode_route_add(struct buf *b, const struct zapi_version *v,
			   const struct zapi_route *given)
{
	struct zapi_route copy = *given, *route = &copy;
	uint32_t weights[ZAPI_NEXTHOPS_MAX];
	size_t at = message_start(b, v->command[ZAPI_ROUTE_ADD], route->vrf);
	uint32_t present = ROUTE_HAS_NEXTHOP | ROUTE_HAS_METRIC;

	if (route->variant && (v->keeps_nexthops || route->renewed)) {
		weigh(given, given->variant, weights);
		for (unsigned i = 0; i < route->n_nexthops; i++)
			route->nexthops[i].weight = weights[i];
	}
	present |= route->distance ? ROUTE_HAS_DISTANCE : 0;
	present |= route->tag ? ROUTE_HAS_TAG : 0;
	present |= route->mtu ? ROUTE_HAS_MTU : 0;
	present |= route->table ? ROUTE_HAS_TABLE : 0;
	put_route_head(b, v, route, present);
	buf_put_u16(b, route->n_nexthops);
	for (unsigned i = 0; i < route->n_nexthops; i++)
		put_nexthop(b, v, &route->nexthops[i]);
	if (route->distance)
		buf_put_u8(b, route->distance);
	buf_put_u32(b, route->metric);
	if (route->tag)
		buf_put_u32(b, route->tag);
	if (route->mtu)
		buf_put_u32(b, route->mtu);
	if (route->table)
		buf_put_u32(b, route->table);
	message_end(b, at);
}

void zapi_encode_route_delete(struct buf *b, const struct zapi_version *v,
			      const struct zapi_route *route)
{
	size_t at = message_start(b, v->command[ZAPI_ROUTE_DELETE], route->vrf);

	put_route_head(b, v, route, route->table ? ROUTE_HAS_TABLE : 0);
	if (route->table)
		buf_put_u32(b, route->table);
	message_end(b, at);
}

void zapi_encode_redistribute(struct buf *b, const struct zapi_version *v, bool add, uint32_t vrf,
			      uint8_t family, enum zapi_route_type type, uint16_t instance)
{
	enum zapi_command c = add ? ZAPI_REDISTRIBUTE_ADD : ZAPI_REDISTRIBUTE_DELETE;
	size_t at = message_start(b, v->command[c], vrf);

	buf_put_u8(b, family == AF_INET6 ? AFI_IP6 : AFI_IP);
	buf_put_u8(b, v->type[type]);
	buf_put_u16(b, instance);
	message_end(b, at);
}
