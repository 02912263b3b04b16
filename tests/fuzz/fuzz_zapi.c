/* Fuzzes the ZAPI parsers as the client uses them: a stream of messages, each body given
 * to the parser of its command; and the answer to `show version`. */
#include "routed-bridge/frr_version.h"
#include "routed-bridge/zapi.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written and read again: the same comes out. */
static void check_route(const struct zapi_route *route, const struct zapi_version *v)
{
	uint8_t memory[1024];
	struct buf b = buf_over(memory, sizeof(memory));
	struct zapi_message m;
	struct zapi_route again;

	if (route->prefix.len > addr_size(route->prefix.addr.family) * 8 ||
	    route->n_nexthops > ZAPI_NEXTHOPS_MAX)
		abort();
	if (route->type == ZAPI_TYPES_ALL)
		return;
	zapi_encode_route_add(&b, v, route);
	if (b.overflow || zapi_parse_message(buf_span(&b), v, &m, NULL) != ZAPI_OK ||
	    zapi_parse_route(&m, v, &again, NULL) != ZAPI_OK)
		abort();
	if (again.n_nexthops != route->n_nexthops || again.tag != route->tag ||
	    again.metric != route->metric || again.table != route->table ||
	    again.mtu != route->mtu || again.distance != route->distance ||
	    !prefix_equal(&again.prefix, &route->prefix))
		abort();
}

static void parse_body(const struct zapi_message *m, const struct zapi_version *v)
{
	struct zapi_fault fault = {0};
	struct zapi_interface i;
	struct zapi_notify n;
	struct zapi_address a;
	struct zapi_route route;
	struct zapi_vrf vrf;
	struct prefix p;
	enum zapi_error e = ZAPI_OK;
	uint32_t code;

	switch (m->command) {
	case ZAPI_INTERFACE_ADD:
	case ZAPI_INTERFACE_DELETE:
	case ZAPI_INTERFACE_UP:
	case ZAPI_INTERFACE_DOWN:
		e = zapi_parse_interface(m->body, &i, &fault);
		if (e == ZAPI_OK && (!i.name[0] || strlen(i.name) >= IF_NAMESIZE))
			abort();
		break;
	case ZAPI_ROUTE_NOTIFY_OWNER:
		e = zapi_parse_notify(m->body, v, &n, &fault);
		if (e == ZAPI_OK && n.prefix.len > addr_size(n.prefix.addr.family) * 8)
			abort();
		break;
	case ZAPI_INTERFACE_ADDRESS_ADD:
	case ZAPI_INTERFACE_ADDRESS_DELETE:
		e = zapi_parse_address(m->body, &a, &fault);
		if (e == ZAPI_OK && a.prefix.len > addr_size(a.prefix.addr.family) * 8)
			abort();
		break;
	case ZAPI_VRF_ADD:
	case ZAPI_VRF_DELETE:
		e = zapi_parse_vrf(m->body, &vrf, &fault);
		if (e == ZAPI_OK && (!vrf.name[0] || strlen(vrf.name) > ZAPI_VRF_NAME))
			abort();
		break;
	case ZAPI_REDISTRIBUTE_ROUTE_ADD:
	case ZAPI_REDISTRIBUTE_ROUTE_DEL:
		e = zapi_parse_route(m, v, &route, &fault);
		if (e == ZAPI_OK)
			check_route(&route, v);
		break;
	case ZAPI_ROUTER_ID_UPDATE:
		e = zapi_parse_router_id(m->body, &p, &fault);
		break;
	case ZAPI_CAPABILITIES:
		e = zapi_parse_capabilities(m->body, v, &fault);
		break;
	case ZAPI_ERROR:
		e = zapi_parse_error(m->body, &code, &fault);
		break;
	default:
		break;
	}
	if (fault.offset > m->body.len || (e == ZAPI_OK && fault.offset))
		abort();
}

static void parse_stream(const uint8_t *data, size_t size, const struct zapi_version *v)
{
	struct zapi_message m;
	size_t pos = 0;

	while (zapi_parse_message(span_of(data + pos, size - pos), v, &m, NULL) == ZAPI_OK) {
		if (m.size != ZAPI_HEADER_SIZE + m.body.len)
			abort();
		parse_body(&m, v);
		pos += m.size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frr_version version;

	frr_version_parse(span_of(data, size), &version);
	parse_stream(data, size, zapi_version_find(8, 4));
	parse_stream(data, size, zapi_version_find(9, 1));
	parse_stream(data, size, zapi_version_find(10, 3));
	parse_stream(data, size, zapi_version_find(10, 7));
	return 0;
}
