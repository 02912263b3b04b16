/* Checks of everything but tunnels and CHILD_SAs (check_child.c). Flags and enums are looked at as
 * the bytes that they are: a bool that is read with another value is undefined. */
#include "ipsecd/ipc/check.h"
#include "ipsecd/ipc/check_parts.h"

#include <linux/rtnetlink.h>

/* ---- values ---- */

bool check_flag(uint8_t byte)
{
	return byte <= 1;
}

bool check_name(const char *name, size_t size)
{
	return memchr(name, '\0', size) != NULL;
}

/* Unused bytes are zero: addresses are compared as memory. */
bool check_addr(const struct addr *a)
{
	static const uint8_t zeros[sizeof(a->bytes)];
	size_t n = addr_size(a->family);

	return n && memcmp(a->bytes + n, zeros, sizeof(a->bytes) - n) == 0;
}

bool check_addr_or_none(const struct addr *a)
{
	static const struct addr none;

	return a->family ? check_addr(a) : addr_equal(a, &none);
}

bool check_prefix(const struct prefix *p)
{
	return check_addr(&p->addr) && p->len <= addr_size(p->addr.family) * 8;
}

/* One that a device of this machine may have. */
bool check_own_addr(const struct addr *a)
{
	return check_addr(a) && !addr_is_any(a) && !addr_is_loopback(a) && !addr_is_multicast(a);
}

const char *check_endpoints(const struct endpoint *local, const struct endpoint *remote)
{
	if (!check_addr(&local->addr) || !check_addr(&remote->addr))
		return "an endpoint is no address";
	if (local->addr.family != remote->addr.family)
		return "endpoints of two address families";
	if (addr_is_any(&remote->addr) || addr_is_multicast(&remote->addr))
		return "the peer's address is not one machine's";
	return NULL;
}

static const char *check_path(const struct ipc_path *p)
{
	if (p->local.port != 500 && p->local.port != 4500)
		return "neither from port 500 nor from 4500";
	if (p->remote.port == 0)
		return "to port 0";
	return check_endpoints(&p->local, &p->remote);
}

/* ---- requests ---- */

static const char *check_nothing(struct span body)
{
	(void)body;
	return NULL;
}

static const char *check_tunnel_link(struct span body)
{
	struct ipc_tunnel_link b;

	memcpy(&b, body.ptr, sizeof(b));
	return check_flag(b.up) ? NULL : "a flag is neither 0 nor 1";
}

static const char *check_child_update(struct span body)
{
	struct ipc_child_update b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_flag(b.outbound) || !check_flag(b.udp_encap))
		return "a flag is neither 0 nor 1";
	return check_endpoints(&b.local, &b.remote);
}

static const char *check_suite(struct span body)
{
	struct ipc_suite b;

	memcpy(&b, body.ptr, sizeof(b));
	return check_flag(b.esn) ? NULL : "a flag is neither 0 nor 1";
}

static const char *check_datagram(struct span body)
{
	struct ipc_path b;
	size_t len = body.len - sizeof(b);

	memcpy(&b, body.ptr, sizeof(b));
	if (len < IPC_IKE_HEADER || len > UINT16_MAX)
		return "it has not the length of an IKE message";
	return check_path(&b);
}

static const char *check_keepalive(struct span body)
{
	struct ipc_path b;

	memcpy(&b, body.ptr, sizeof(b));
	return check_path(&b);
}

static const char *check_route(struct span body)
{
	struct ipc_route b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_flag(b.add) || b.kind > IPC_ROUTE_THROW)
		return "a flag or the kind has no such value";
	if (b.protocol != IPC_OUR_ROUTES)
		return "routes of another protocol are not ours";
	if (!check_prefix(&b.dst) || !check_addr_or_none(&b.source))
		return "the destination or the source is no address";
	if (b.source.family && b.source.family != b.dst.addr.family)
		return "destination and source of two address families";
	if (b.table == RT_TABLE_UNSPEC || b.table == RT_TABLE_LOCAL)
		return "not in this routing table";
	if (b.ifindex < 0 || (b.add && (b.kind == IPC_ROUTE_DEVICE) != (b.ifindex > 0)))
		return "the kind of route and its device contradict each other";
	return NULL;
}

static const char *check_rule(struct span body)
{
	struct ipc_rule b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_flag(b.add) || !addr_size(b.family))
		return "a flag or the address family has no such value";
	if (b.protocol != IPC_OUR_ROUTES)
		return "rules of another protocol are not ours";
	if (b.table == RT_TABLE_UNSPEC || b.table == RT_TABLE_LOCAL || b.priority == 0)
		return "not to this routing table or with this priority";
	if (!check_name(b.iif, sizeof(b.iif)))
		return "a name has no end";
	return NULL;
}

static const char *check_address(struct span body)
{
	struct ipc_address b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_flag(b.add))
		return "a flag is neither 0 nor 1";
	/* An operator's device may be named as no tunnel may ("lo"). */
	if (!check_name(b.device, sizeof(b.device)) || !b.device[0] || strchr(b.device, '/'))
		return "no name of a device";
	if (!check_prefix(&b.prefix) || !check_own_addr(&b.prefix.addr))
		return "not such an address";
	if (b.prefix.len != addr_size(b.prefix.addr.family) * 8)
		return "more than one address";
	return NULL;
}

static const char *check_device(struct span body)
{
	struct ipc_device b;

	memcpy(&b, body.ptr, sizeof(b));
	return check_name(b.device, sizeof(b.device)) ? NULL : "a name has no end";
}

/* ---- what plane tells ---- */

static const char *check_event(struct span body)
{
	const uint8_t *flags = body.ptr;
	struct dataplane_event b;
	int kind;

	memcpy(&kind, body.ptr + offsetof(struct dataplane_event, kind), sizeof(kind));
	if (kind < DATAPLANE_CHILD_ALIVE || kind > DATAPLANE_ESP_UNKNOWN)
		return "no such event";
	if (!check_flag(flags[offsetof(struct dataplane_event, admin_up)]) ||
	    !check_flag(flags[offsetof(struct dataplane_event, present)]))
		return "a flag is neither 0 nor 1";
	memcpy(&b, body.ptr, sizeof(b));
	if (b.kind == DATAPLANE_CHILD_PEER_MOVED || b.kind == DATAPLANE_ESP_UNKNOWN
		    ? !check_addr(&b.remote.addr)
		    : !check_addr_or_none(&b.remote.addr))
		return "the endpoint is no address";
	if (b.kind == DATAPLANE_ESP_UNKNOWN
		    ? !check_addr(&b.local.addr) || b.local.addr.family != b.remote.addr.family
		    : !check_addr_or_none(&b.local.addr))
		return "our endpoint is no address";
	return NULL;
}

/* What an enemy of everybody sent is the engine's to judge. */
static const char *check_received(struct span body)
{
	struct ipc_path b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_addr(&b.local.addr) || !check_addr(&b.remote.addr) ||
	    b.local.addr.family != b.remote.addr.family)
		return "an endpoint is no address";
	return body.len - sizeof(b) > UINT16_MAX ? "longer than any datagram" : NULL;
}

static const char *check_send_failed(struct span body)
{
	struct ipc_send_failed b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_flag(b.esp) || b.error < 0)
		return "a flag or the error has no such value";
	if (!check_addr_or_none(&b.path.local.addr) || !check_addr_or_none(&b.path.remote.addr))
		return "an endpoint is no address";
	return NULL;
}

/* ---- answers ---- */

static const char *check_words(const struct ipc_done *d)
{
	return check_name(d->words, sizeof(d->words)) ? NULL : "words without an end";
}

static const char *check_done(struct span body)
{
	struct ipc_done b;

	memcpy(&b, body.ptr, sizeof(b));
	return check_words(&b);
}

static const char *check_info(struct span body)
{
	struct ipc_info b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_flag(b.there) || !check_flag(b.link_up) || !check_flag(b.admin_up))
		return "a flag is neither 0 nor 1";
	if (!check_name(b.name, sizeof(b.name)) || !check_name(b.kind, sizeof(b.kind)))
		return "a name has no end";
	return b.ifindex < 0 ? "no such device number" : NULL;
}

static const char *check_made(struct span body)
{
	struct ipc_made b;
	const char *why;

	memcpy(&b, body.ptr, sizeof(b));
	why = check_words(&b.done);
	return why ? why : check_info(span_of(&b.info, sizeof(b.info)));
}

static const char *check_stats(struct span body)
{
	struct ipc_stats b;

	memcpy(&b, body.ptr, sizeof(b));
	return b.there <= 1 ? NULL : "a flag is neither 0 nor 1";
}

static const char *check_plane(struct span body)
{
	struct ipc_plane b;

	memcpy(&b, body.ptr, sizeof(b));
	if (!check_flag(b.encap_better) || !check_flag(b.plain) || !check_flag(b.persistent) ||
	    !check_flag(b.asks_supports) || !check_flag(b.aggfrag) || !check_flag(b.resources))
		return "a flag is neither 0 nor 1";
	if (!check_name(b.name, sizeof(b.name)) || !check_name(b.why, sizeof(b.why)) ||
	    !check_name(b.offloads, sizeof(b.offloads)))
		return "a name has no end";
	return NULL;
}

static const char *check_workers(struct span body)
{
	struct ipc_workers b;

	memcpy(&b, body.ptr, sizeof(b));
	return b.threads > IPC_WORKERS_MAX || b.most > IPC_WORKERS_MAX ? "so many workers" : NULL;
}

/* ---- the tables ---- */

/* `size` is exact, or the least where bytes follow, or of each of at most `max` elements. */
struct shape {
	size_t size;
	const char *(*check)(struct span body);
	bool bytes_follow;
	size_t max;
};

#define ONE(type, f)                      \
	{                                 \
		sizeof(type), f, false, 0 \
	}
#define WITH_BYTES(t, f)              \
	{                             \
		sizeof(t), f, true, 0 \
	}
#define LIST(type, f, max)                  \
	{                                   \
		sizeof(type), f, false, max \
	}
#define EMPTY                              \
	{                                  \
		0, check_nothing, false, 0 \
	}

static const struct shape requests[] = {
	[IPC_PLANE_HELLO] = EMPTY,
	[IPC_TUNNEL_CREATE] = ONE(struct ipc_tunnel, check_tunnel),
	[IPC_TUNNEL_UPDATE] = ONE(struct ipc_tunnel, check_tunnel),
	[IPC_TUNNEL_REMOVE] = ONE(uint32_t, check_nothing),
	[IPC_TUNNEL_LINK] = ONE(struct ipc_tunnel_link, check_tunnel_link),
	[IPC_TUNNEL_INFO] = LIST(uint32_t, check_nothing, IPC_INFOS_MAX),
	[IPC_TUNNEL_DISINHERIT] = ONE(uint32_t, check_nothing),
	[IPC_CHILD_INSTALL] = ONE(struct child_sa, check_child),
	[IPC_CHILD_UPDATE] = ONE(struct ipc_child_update, check_child_update),
	[IPC_CHILD_REMOVE] = ONE(uint64_t, check_nothing),
	[IPC_CHILD_STATS] = LIST(uint64_t, check_nothing, IPC_STATS_MAX),
	[IPC_SETTLED] = EMPTY,
	[IPC_SUPPORTS] = ONE(struct ipc_suite, check_suite),
	[IPC_COUNTERS] = EMPTY,
	[IPC_SEND_IKE] = WITH_BYTES(struct ipc_path, check_datagram),
	[IPC_SEND_KEEPALIVE] = ONE(struct ipc_path, check_keepalive),
	[IPC_ROUTE] = ONE(struct ipc_route, check_route),
	[IPC_RULE] = ONE(struct ipc_rule, check_rule),
	[IPC_ADDRESS] = ONE(struct ipc_address, check_address),
	[IPC_BIND] = ONE(struct ipc_device, check_device),
	[IPC_WORKERS] = ONE(struct ipc_workers, check_workers),
	[IPC_CHANGES] = EMPTY,
	[IPC_EVENT] = ONE(struct dataplane_event, check_event),
	[IPC_IKE] = WITH_BYTES(struct ipc_path, check_received),
	[IPC_SEND_FAILED] = ONE(struct ipc_send_failed, check_send_failed),
};

static const struct shape answers[IPC_PLANE_END] = {
	[IPC_PLANE_HELLO] = ONE(struct ipc_plane, check_plane),
	[IPC_TUNNEL_CREATE] = ONE(struct ipc_made, check_made),
	[IPC_TUNNEL_UPDATE] = ONE(struct ipc_made, check_made),
	[IPC_TUNNEL_REMOVE] = ONE(struct ipc_done, check_done),
	[IPC_TUNNEL_LINK] = ONE(struct ipc_made, check_made),
	[IPC_TUNNEL_INFO] = LIST(struct ipc_info, check_info, IPC_INFOS_MAX),
	[IPC_CHILD_INSTALL] = ONE(struct ipc_done, check_done),
	[IPC_CHILD_UPDATE] = ONE(struct ipc_done, check_done),
	[IPC_CHILD_REMOVE] = ONE(struct ipc_done, check_done),
	[IPC_CHILD_STATS] = LIST(struct ipc_stats, check_stats, IPC_STATS_MAX),
	[IPC_SUPPORTS] = ONE(struct ipc_done, check_done),
	[IPC_COUNTERS] = ONE(struct ipc_counters, check_nothing),
	[IPC_ROUTE] = ONE(struct ipc_done, check_done),
	[IPC_RULE] = ONE(struct ipc_done, check_done),
	[IPC_ADDRESS] = ONE(struct ipc_done, check_done),
	[IPC_BIND] = ONE(struct ipc_done, check_done),
	[IPC_WORKERS] = ONE(struct ipc_workers, check_workers),
	[IPC_CHANGES] = ONE(uint64_t, check_nothing),
};

static const char *check_list(const struct shape *s, struct span body)
{
	if (body.len == 0 || body.len % s->size || body.len / s->size > s->max)
		return "not a whole number of elements, or too many";
	for (size_t at = 0; at < body.len; at += s->size) {
		const char *why = s->check(span_of(body.ptr + at, s->size));

		if (why)
			return why;
	}
	return NULL;
}

static const char *check_shape(const struct shape *table, size_t n, uint32_t verb, struct span body)
{
	const struct shape *s = verb < n ? &table[verb] : NULL;

	if (!s || !s->check)
		return "no such message";
	if (s->max)
		return check_list(s, body);
	if (s->bytes_follow ? body.len < s->size : body.len != s->size)
		return "it has not the length of its kind";
	return s->check(body);
}

const char *ipc_check(uint32_t verb, struct span body)
{
	return check_shape(requests, sizeof(requests) / sizeof(requests[0]), verb, body);
}

const char *ipc_check_answer(uint32_t verb, struct span body)
{
	return check_shape(answers, sizeof(answers) / sizeof(answers[0]), verb, body);
}

bool ipc_event_comes_again(enum dataplane_event_kind kind)
{
	return kind == DATAPLANE_CHILD_ALIVE || kind == DATAPLANE_CHILD_PEER_MOVED ||
	       kind == DATAPLANE_ACQUIRE || kind == DATAPLANE_ESP_UNKNOWN;
}

const char *ipc_plane_verb_name(uint32_t verb)
{
	static const char *const names[] = {
		[IPC_PLANE_HELLO] = "hello",
		[IPC_TUNNEL_CREATE] = "tunnel-create",
		[IPC_TUNNEL_UPDATE] = "tunnel-update",
		[IPC_TUNNEL_REMOVE] = "tunnel-remove",
		[IPC_TUNNEL_LINK] = "tunnel-link",
		[IPC_TUNNEL_INFO] = "tunnel-info",
		[IPC_TUNNEL_DISINHERIT] = "tunnel-disinherit",
		[IPC_CHILD_INSTALL] = "child-install",
		[IPC_CHILD_UPDATE] = "child-update",
		[IPC_CHILD_REMOVE] = "child-remove",
		[IPC_CHILD_STATS] = "child-stats",
		[IPC_SETTLED] = "settled",
		[IPC_SUPPORTS] = "supports",
		[IPC_COUNTERS] = "counters",
		[IPC_SEND_IKE] = "send-ike",
		[IPC_SEND_KEEPALIVE] = "send-keepalive",
		[IPC_ROUTE] = "route",
		[IPC_RULE] = "rule",
		[IPC_ADDRESS] = "address",
		[IPC_BIND] = "bind",
		[IPC_WORKERS] = "workers",
		[IPC_CHANGES] = "changes",
		[IPC_EVENT] = "event",
		[IPC_IKE] = "ike",
		[IPC_SEND_FAILED] = "send-failed",
	};

	return verb < sizeof(names) / sizeof(names[0]) && names[verb] ? names[verb] : "?";
}
