/* What differs between FRR releases, one row each. A row is added when its release was
 * run against, not before: number 8 is ROUTE_ADD in 8.4 and something else in 10. */
#include "routed-bridge/zapi.h"

static const struct zapi_version rows[] = {
	{
		.major = 8,
		.minor = 4,
		.command =
			{
				[ZAPI_INTERFACE_ADD] = 0,
				[ZAPI_INTERFACE_DELETE] = 1,
				[ZAPI_INTERFACE_UP] = 4,
				[ZAPI_INTERFACE_DOWN] = 5,
				[ZAPI_ROUTE_ADD] = 8,
				[ZAPI_ROUTE_DELETE] = 9,
				[ZAPI_ROUTE_NOTIFY_OWNER] = 10,
				[ZAPI_ROUTER_ID_ADD] = 15,
				[ZAPI_ROUTER_ID_UPDATE] = 17,
				[ZAPI_HELLO] = 18,
				[ZAPI_CAPABILITIES] = 19,
				[ZAPI_ERROR] = 118,
			},
		.type =
			{
				[ZAPI_TYPE_NHRP] = 12,
				[ZAPI_TYPE_TABLE] = 15,
				[ZAPI_TYPE_BABEL] = 22,
				[ZAPI_TYPE_SHARP] = 23,
				[ZAPI_TYPE_OPENFABRIC] = 26,
			},
		.capabilities_len = 10,
	},
	{
		.major = 10,
		.minor = 3,
		.command =
			{
				[ZAPI_INTERFACE_ADD] = 0,
				[ZAPI_INTERFACE_DELETE] = 1,
				[ZAPI_INTERFACE_UP] = 4,
				[ZAPI_INTERFACE_DOWN] = 5,
				[ZAPI_ROUTE_ADD] = 9,
				[ZAPI_ROUTE_DELETE] = 10,
				[ZAPI_ROUTE_NOTIFY_OWNER] = 11,
				[ZAPI_ROUTER_ID_ADD] = 16,
				[ZAPI_ROUTER_ID_UPDATE] = 18,
				[ZAPI_HELLO] = 19,
				[ZAPI_CAPABILITIES] = 20,
				[ZAPI_ERROR] = 120,
			},
		.type =
			{
				[ZAPI_TYPE_NHRP] = 13,
				[ZAPI_TYPE_TABLE] = 16,
				[ZAPI_TYPE_BABEL] = 23,
				[ZAPI_TYPE_SHARP] = 24,
				[ZAPI_TYPE_OPENFABRIC] = 27,
			},
		.notify_request = 126,
		.notify_source = true,
		.capabilities_len = 12,
	},
};

const struct zapi_version *zapi_version_find(unsigned major, unsigned minor)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].major == major && rows[i].minor == minor)
			return &rows[i];
	}
	return NULL;
}

const char *zapi_versions_known(void)
{
	return "8.4, 10.3";
}

const char *zapi_command_name(enum zapi_command c)
{
	static const char *const names[] = {
		[ZAPI_INTERFACE_ADD] = "INTERFACE_ADD",
		[ZAPI_INTERFACE_DELETE] = "INTERFACE_DELETE",
		[ZAPI_INTERFACE_UP] = "INTERFACE_UP",
		[ZAPI_INTERFACE_DOWN] = "INTERFACE_DOWN",
		[ZAPI_ROUTE_ADD] = "ROUTE_ADD",
		[ZAPI_ROUTE_DELETE] = "ROUTE_DELETE",
		[ZAPI_ROUTE_NOTIFY_OWNER] = "ROUTE_NOTIFY_OWNER",
		[ZAPI_ROUTER_ID_ADD] = "ROUTER_ID_ADD",
		[ZAPI_ROUTER_ID_UPDATE] = "ROUTER_ID_UPDATE",
		[ZAPI_HELLO] = "HELLO",
		[ZAPI_CAPABILITIES] = "CAPABILITIES",
		[ZAPI_ERROR] = "ERROR",
	};

	return (unsigned)c < ZAPI_COMMANDS ? names[c] : "unnamed command";
}
