#include "tests/support/ipc_samples.h"

#include <errno.h>
#include <stdio.h>

static struct addr addr(const char *text)
{
	struct addr a;

	addr_parse(text, &a);
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	prefix_parse(text, &p);
	return p;
}

struct ipc_tunnel sample_tunnel(void)
{
	struct ipc_tunnel t;

	memset(&t, 0, sizeof(t));
	t.tunnel = 7;
	snprintf(t.config.name, sizeof(t.config.name), "site-7");
	t.config.named = true;
	t.config.kind = DEVICE_XFRM;
	t.config.n_addrs = 2;
	t.config.addrs[0] = prefix("10.1.0.1/24");
	t.config.addrs[1] = prefix("fd00:1::1/64");
	t.config.mtu = 1400;
	t.config.mark_in = t.config.mark_out = (struct mark){5, 0xff};
	t.config.local = addr("192.0.2.1");
	t.config.remote = addr("192.0.2.2");
	return t;
}

struct child_sa sample_child(void)
{
	struct child_sa c;

	memset(&c, 0, sizeof(c));
	c.id = 9;
	c.tunnel = 7;
	c.spi_in = 0xa0000001;
	c.spi_out = 0xb0000001;
	c.encr_id = ENCR_AES_CBC;
	c.encr_key_bits = 256;
	c.integ_id = INTEG_HMAC_SHA2_256_128;
	c.udp_encap = c.outbound = true;
	c.replay_window = 64;
	c.local = (struct endpoint){addr("192.0.2.1"), 4500};
	c.remote = (struct endpoint){addr("192.0.2.2"), 4500};
	c.local_ts.n = 1;
	c.remote_ts.n = 2;
	ts_parse("10.1.0.0/16[tcp/80]", &c.local_ts.ts[0]);
	ts_parse("10.2.0.0/16", &c.remote_ts.ts[0]);
	ts_parse("fd00:2::/32", &c.remote_ts.ts[1]);
	c.in.encr_len = c.out.encr_len = 32;
	c.in.integ_len = c.out.integ_len = 32;
	return c;
}

/* ---- one of each ---- */

static void put(struct ipc_sample *s, const void *body, size_t len)
{
	memcpy(s->body + s->len, body, len);
	s->len += len;
}

#define PUT(s, value) put(s, &(value), sizeof(value))

static struct ipc_path path(void)
{
	struct ipc_path p;

	memset(&p, 0, sizeof(p));
	p.local = (struct endpoint){addr("2001:db8::1"), 4500};
	p.remote = (struct endpoint){addr("2001:db8::2"), 40000};
	return p;
}

static void tunnels(struct ipc_sample *s)
{
	const struct ipc_tunnel_link link = {7, 1};
	const struct ipc_tunnel t = sample_tunnel();
	const uint32_t ids[] = {7, 8, 9};

	if (s->verb == IPC_TUNNEL_CREATE || s->verb == IPC_TUNNEL_UPDATE)
		PUT(s, t);
	else if (s->verb == IPC_TUNNEL_LINK)
		PUT(s, link);
	else if (s->verb == IPC_TUNNEL_INFO)
		PUT(s, ids);
	else
		PUT(s, ids[0]);
}

static void children(struct ipc_sample *s)
{
	const struct child_sa c = sample_child();
	const uint64_t ids[] = {9, 10};
	struct ipc_child_update u;

	memset(&u, 0, sizeof(u));
	u.child = 9;
	u.outbound = 1;
	u.local = c.local;
	u.remote = c.remote;
	if (s->verb == IPC_CHILD_INSTALL)
		PUT(s, c);
	else if (s->verb == IPC_CHILD_UPDATE)
		PUT(s, u);
	else if (s->verb == IPC_CHILD_STATS)
		PUT(s, ids);
	else
		PUT(s, ids[0]);
}

static void network(struct ipc_sample *s)
{
	const struct ipc_path p = path();
	const struct ipc_route route = {.add = 1,
					.protocol = IPC_OUR_ROUTES,
					.dst = prefix("10.2.0.0/16"),
					.source = addr("10.1.0.1"),
					.ifindex = 5,
					.table = 220,
					.metric = 1024};
	const struct ipc_rule rule = {.add = 1,
				      .family = AF_INET6,
				      .protocol = IPC_OUR_ROUTES,
				      .table = 220,
				      .priority = 220};
	const struct ipc_address address = {
		.add = 1, .device = "lo", .prefix = prefix("10.9.0.1/32")};
	const struct ipc_device device = {"blue"};
	const uint8_t datagram[IPC_IKE_HEADER] = {1};

	if (s->verb == IPC_SEND_IKE || s->verb == IPC_IKE || s->verb == IPC_SEND_KEEPALIVE)
		PUT(s, p);
	if (s->verb == IPC_SEND_IKE || s->verb == IPC_IKE)
		PUT(s, datagram);
	else if (s->verb == IPC_ROUTE)
		PUT(s, route);
	else if (s->verb == IPC_RULE)
		PUT(s, rule);
	else if (s->verb == IPC_ADDRESS)
		PUT(s, address);
	else if (s->verb == IPC_BIND)
		PUT(s, device);
}

static void rest(struct ipc_sample *s)
{
	const struct ipc_suite suite = {ENCR_AES_GCM_16, 128, INTEG_NONE, 1};
	struct ipc_send_failed failed;
	struct dataplane_event event;

	memset(&event, 0, sizeof(event));
	event.kind = DATAPLANE_CHILD_PEER_MOVED;
	event.child = 9;
	event.remote = path().remote;
	memset(&failed, 0, sizeof(failed));
	failed.path = path();
	failed.error = ENETUNREACH;
	if (s->verb == IPC_SUPPORTS)
		PUT(s, suite);
	else if (s->verb == IPC_EVENT)
		PUT(s, event);
	else if (s->verb == IPC_SEND_FAILED)
		PUT(s, failed);
}

static void answer(struct ipc_sample *s)
{
	const struct ipc_plane plane = {.name = "userspace", .encap_better = 1, .why = "asked for"};
	const struct ipc_done done = {DATAPLANE_SYSTEM, "no such device"};
	const struct ipc_info info = {
		.tunnel = 7, .there = 1, .name = "site-7", .kind = "tun", .ifindex = 5};
	const struct ipc_stats stats = {.child = 9, .there = 1, .stats.bytes_in = 1};
	const struct ipc_counters counters = {.net = {1}};
	const uint64_t changes = 3;
	struct ipc_made made;

	memset(&made, 0, sizeof(made));
	made.done = done;
	made.info = info;
	if (s->verb == IPC_PLANE_HELLO)
		PUT(s, plane);
	else if (s->verb == IPC_TUNNEL_CREATE || s->verb == IPC_TUNNEL_LINK)
		PUT(s, made);
	else if (s->verb == IPC_TUNNEL_INFO)
		PUT(s, info);
	else if (s->verb == IPC_CHILD_STATS)
		PUT(s, stats);
	else if (s->verb == IPC_COUNTERS)
		PUT(s, counters);
	else if (s->verb == IPC_CHANGES)
		PUT(s, changes);
	else
		PUT(s, done);
}

bool ipc_sample(unsigned n, struct ipc_sample *out)
{
	static const uint32_t requests[] = {IPC_PLANE_HELLO,
					    IPC_TUNNEL_CREATE,
					    IPC_TUNNEL_UPDATE,
					    IPC_TUNNEL_REMOVE,
					    IPC_TUNNEL_LINK,
					    IPC_TUNNEL_INFO,
					    IPC_TUNNEL_DISINHERIT,
					    IPC_CHILD_INSTALL,
					    IPC_CHILD_UPDATE,
					    IPC_CHILD_REMOVE,
					    IPC_CHILD_STATS,
					    IPC_SETTLED,
					    IPC_SUPPORTS,
					    IPC_COUNTERS,
					    IPC_SEND_IKE,
					    IPC_SEND_KEEPALIVE,
					    IPC_ROUTE,
					    IPC_RULE,
					    IPC_ADDRESS,
					    IPC_BIND,
					    IPC_CHANGES,
					    IPC_EVENT,
					    IPC_IKE,
					    IPC_SEND_FAILED};
	static const uint32_t answers[] = {IPC_PLANE_HELLO, IPC_TUNNEL_CREATE, IPC_TUNNEL_LINK,
					   IPC_TUNNEL_INFO, IPC_TUNNEL_REMOVE, IPC_CHILD_STATS,
					   IPC_COUNTERS,    IPC_ROUTE,	       IPC_BIND,
					   IPC_CHANGES};
	const unsigned n_requests = sizeof(requests) / sizeof(requests[0]);

	if (n >= n_requests + sizeof(answers) / sizeof(answers[0]))
		return false;
	*out = (struct ipc_sample){.answer = n >= n_requests};
	out->verb = out->answer ? answers[n - n_requests] : requests[n];
	if (out->answer)
		answer(out);
	else if (out->verb >= IPC_TUNNEL_CREATE && out->verb <= IPC_TUNNEL_DISINHERIT)
		tunnels(out);
	else if (out->verb >= IPC_CHILD_INSTALL && out->verb <= IPC_CHILD_STATS)
		children(out);
	else if (out->verb >= IPC_SEND_IKE && out->verb != IPC_EVENT &&
		 out->verb != IPC_SEND_FAILED)
		network(out);
	else
		rest(out);
	return true;
}
