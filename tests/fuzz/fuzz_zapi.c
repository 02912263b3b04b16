/* Fuzzes the ZAPI parsers as the client uses them: a stream of messages, each body given
 * to the parser of its command; and the answer to `show version`. */
#include "routed-bridge/frr_version.h"
#include "routed-bridge/zapi.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_body(const struct zapi_message *m, const struct zapi_version *v)
{
	struct zapi_fault fault = {0};
	struct zapi_interface i;
	struct zapi_notify n;
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
	parse_stream(data, size, zapi_version_find(10, 3));
	return 0;
}
