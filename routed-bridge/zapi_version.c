/* What differs between FRR releases, one row each. The numbers and layouts were read from
 * the tags of each release line, every point release included (none moved a number); a row is
 * `verified` when the tests ran against it. The length of CAPABILITIES tells at run time when
 * a row is wrong. Number 8 is ROUTE_ADD in 9.1 and something else in 10. */
#include "routed-bridge/zapi.h"

/* Numbers that never moved, and the three stretches that did: the middle (10.0 put a command
 * before it), what follows the redistributed routes (10.2 took one out), and ERROR. */
#define COMMANDS(middle, vrf, error)                                                            \
	{                                                                                       \
		[ZAPI_INTERFACE_ADD] = 0, [ZAPI_INTERFACE_DELETE] = 1, [ZAPI_INTERFACE_UP] = 4, \
		[ZAPI_INTERFACE_DOWN] = 5, [ZAPI_INTERFACE_ADDRESS_ADD] = 2,                    \
		[ZAPI_INTERFACE_ADDRESS_DELETE] = 3, [ZAPI_ROUTE_ADD] = (middle) + 8,           \
		[ZAPI_ROUTE_DELETE] = (middle) + 9, [ZAPI_ROUTE_NOTIFY_OWNER] = (middle) + 10,  \
		[ZAPI_REDISTRIBUTE_ADD] = (middle) + 11,                                        \
		[ZAPI_REDISTRIBUTE_DELETE] = (middle) + 12,                                     \
		[ZAPI_REDISTRIBUTE_ROUTE_ADD] = (middle) + 30,                                  \
		[ZAPI_REDISTRIBUTE_ROUTE_DEL] = (middle) + 31, [ZAPI_VRF_ADD] = vrf,            \
		[ZAPI_VRF_DELETE] = (vrf) + 1, [ZAPI_ROUTER_ID_ADD] = (middle) + 15,            \
		[ZAPI_ROUTER_ID_UPDATE] = (middle) + 17, [ZAPI_HELLO] = (middle) + 18,          \
		[ZAPI_CAPABILITIES] = (middle) + 19, [ZAPI_ERROR] = error,                      \
	}

/* 10.0 put `local` before them all. */
#define TYPES(more)                                                                 \
	{                                                                           \
		[ZAPI_TYPE_NHRP] = (more) + 12, [ZAPI_TYPE_TABLE] = (more) + 15,    \
		[ZAPI_TYPE_BABEL] = (more) + 22, [ZAPI_TYPE_SHARP] = (more) + 23,   \
		[ZAPI_TYPE_OPENFABRIC] = (more) + 26, [ZAPI_TYPE_BGP] = (more) + 9, \
		[ZAPI_TYPE_KERNEL] = 1,                                             \
	}

static const struct zapi_version rows[] = {
	{
		.major = 8,
		.minor = 2,
		.command = COMMANDS(0, 33, 118),
		.type = TYPES(0),
		.capabilities_len = 10,
	},
	{
		.major = 8,
		.minor = 3,
		.command = COMMANDS(0, 33, 118),
		.type = TYPES(0),
		.capabilities_len = 10,
	},
	{
		.major = 8,
		.minor = 4,
		.verified = true,
		.command = COMMANDS(0, 33, 118),
		.type = TYPES(0),
		.capabilities_len = 10,
	},
	{
		.major = 8,
		.minor = 5,
		.command = COMMANDS(0, 33, 118),
		.type = TYPES(0),
		.capabilities_len = 10,
	},
	{
		.major = 9,
		.minor = 0,
		.command = COMMANDS(0, 33, 118),
		.type = TYPES(0),
		.label_type = true,
		.capabilities_len = 10,
	},
	{
		.major = 9,
		.minor = 1,
		.command = COMMANDS(0, 33, 117),
		.type = TYPES(0),
		.label_type = true,
		.capabilities_len = 11,
	},
	{
		.major = 10,
		.minor = 0,
		.command = COMMANDS(1, 34, 118),
		.type = TYPES(1),
		.notify_request = 124,
		.label_type = true,
		.capabilities_len = 11,
	},
	{
		.major = 10,
		.minor = 1,
		.command = COMMANDS(1, 34, 118),
		.type = TYPES(1),
		.notify_request = 124,
		.label_type = true,
		.weight_u64 = true,
		.capabilities_len = 11,
	},
	{
		.major = 10,
		.minor = 2,
		.command = COMMANDS(1, 33, 120),
		.type = TYPES(1),
		.notify_request = 126,
		.label_type = true,
		.weight_u64 = true,
		.keeps_nexthops = true,
		.capabilities_len = 12,
	},
	{
		.major = 10,
		.minor = 3,
		.verified = true,
		.command = COMMANDS(1, 33, 120),
		.type = TYPES(1),
		.notify_request = 126,
		.notify_source = true,
		.label_type = true,
		.weight_u64 = true,
		.keeps_nexthops = true,
		.capabilities_len = 12,
	},
	{
		.major = 10,
		.minor = 4,
		.command = COMMANDS(1, 33, 120),
		.type = TYPES(1),
		.notify_request = 126,
		.notify_source = true,
		.label_type = true,
		.weight_u64 = true,
		.keeps_nexthops = true,
		.table_flag = true,
		.capabilities_len = 12,
	},
	{
		.major = 10,
		.minor = 5,
		.command = COMMANDS(1, 33, 120),
		.type = TYPES(1),
		.notify_request = 126,
		.notify_source = true,
		.label_type = true,
		.weight_u64 = true,
		.keeps_nexthops = true,
		.table_flag = true,
		.capabilities_len = 12,
	},
	{
		.major = 10,
		.minor = 6,
		.command = COMMANDS(1, 33, 120),
		.type = TYPES(1),
		.notify_request = 126,
		.notify_source = true,
		.label_type = true,
		.weight_u64 = true,
		.keeps_nexthops = true,
		.table_flag = true,
		.capabilities_len = 9,
	},
	{
		.major = 10,
		.minor = 7,
		.command = COMMANDS(1, 33, 120),
		.type = TYPES(1),
		.notify_request = 126,
		.notify_source = true,
		.label_type = true,
		.weight_u64 = true,
		.keeps_nexthops = true,
		.table_flag = true,
		.capabilities_len = 9,
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
	return "8.2 to 10.7";
}

const char *zapi_command_name(enum zapi_command c)
{
	static const char *const names[] = {
		[ZAPI_INTERFACE_ADD] = "INTERFACE_ADD",
		[ZAPI_INTERFACE_DELETE] = "INTERFACE_DELETE",
		[ZAPI_INTERFACE_UP] = "INTERFACE_UP",
		[ZAPI_INTERFACE_DOWN] = "INTERFACE_DOWN",
		[ZAPI_INTERFACE_ADDRESS_ADD] = "INTERFACE_ADDRESS_ADD",
		[ZAPI_INTERFACE_ADDRESS_DELETE] = "INTERFACE_ADDRESS_DELETE",
		[ZAPI_ROUTE_ADD] = "ROUTE_ADD",
		[ZAPI_ROUTE_DELETE] = "ROUTE_DELETE",
		[ZAPI_ROUTE_NOTIFY_OWNER] = "ROUTE_NOTIFY_OWNER",
		[ZAPI_REDISTRIBUTE_ADD] = "REDISTRIBUTE_ADD",
		[ZAPI_REDISTRIBUTE_DELETE] = "REDISTRIBUTE_DELETE",
		[ZAPI_REDISTRIBUTE_ROUTE_ADD] = "REDISTRIBUTE_ROUTE_ADD",
		[ZAPI_REDISTRIBUTE_ROUTE_DEL] = "REDISTRIBUTE_ROUTE_DEL",
		[ZAPI_VRF_ADD] = "VRF_ADD",
		[ZAPI_VRF_DELETE] = "VRF_DELETE",
		[ZAPI_ROUTER_ID_ADD] = "ROUTER_ID_ADD",
		[ZAPI_ROUTER_ID_UPDATE] = "ROUTER_ID_UPDATE",
		[ZAPI_HELLO] = "HELLO",
		[ZAPI_CAPABILITIES] = "CAPABILITIES",
		[ZAPI_ERROR] = "ERROR",
	};

	return (unsigned)c < ZAPI_COMMANDS ? names[c] : "unnamed command";
}
