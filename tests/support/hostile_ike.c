/* What somebody says who owns the process ike, over the links that it has: requests that none of
 *the others may carry out. Printed for a test that sends them (tests/interop/test_owned.py), a line
 *each:
 *
 *	link | what is wrong | verb | descriptors that go with it | body in hex | words of the log
 *
 * hostile-ike DEVICE IFINDEX TUNNEL ADDRESS
 *	DEVICE IFINDEX: one of this machine that is no tunnel's; ADDRESS: a host address that it has
 *	TUNNEL: number of a tunnel */
#include "ipsecd/ipc/helper_body.h"
#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/plane.h"
#include "tests/support/ipc_samples.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

static const char *device, *own;
static int ifindex;
static uint32_t tunnel;

static void say(const char *link, const char *what, uint32_t verb, unsigned fds, const void *body,
		size_t len, const char *words)
{
	const uint8_t *bytes = body;

	printf("%s|%s|%u|%u|", link, what, verb, fds);
	for (size_t i = 0; i < len; i++)
		printf("%02x", bytes[i]);
	printf("|%s\n", words);
}

#define PLANE(what, verb, body, words)	say("plane", what, verb, 0, &(body), sizeof(body), words)
#define HELPER(what, verb, body, words) say("helper", what, verb, 0, &(body), sizeof(body), words)
#define SUPERVISOR(what, verb, body, words) \
	say("supervisor", what, verb, 0, &(body), sizeof(body), words)

static struct prefix prefix(const char *text)
{
	struct prefix p;

	if (!prefix_parse(text, &p))
		exit(2);
	return p;
}

/* ---- to plane ---- */

static struct ipc_route route(void)
{
	return (struct ipc_route){.add = 1,
				  .kind = IPC_ROUTE_BLACKHOLE,
				  .protocol = IPC_OUR_ROUTES,
				  .dst = prefix("198.51.100.0/24"),
				  .table = RT_TABLE_MAIN,
				  .metric = 77};
}

static void routes(void)
{
	struct ipc_route r = route();

	r.protocol = RTPROT_STATIC;
	PLANE("a route of another protocol", IPC_ROUTE, r,
	      "refused to ike: route add 198.51.100.0/24 device 0, table 254, protocol 4, kind 1: "
	      "routes of another protocol are not ours");
	r = route();
	r.table = RT_TABLE_LOCAL;
	PLANE("a route in the table of addresses", IPC_ROUTE, r, "not in this routing table");
	r = route();
	r.kind = IPC_ROUTE_DEVICE;
	r.ifindex = ifindex;
	PLANE("a route by a device that is no tunnel's", IPC_ROUTE, r,
	      "a route through a device that is no tunnel's");
	r.ifindex = 1;
	PLANE("a route by lo", IPC_ROUTE, r, "a route through a device that is no tunnel's");
	r = route();
	r.dst = prefix("0.0.0.0/0");
	r.metric = 0;
	PLANE("a route in the place of the operator's", IPC_ROUTE, r,
	      "is there, which is not ours");
	r = route();
	r.add = 2;
	PLANE("a flag of 2", IPC_ROUTE, r, "a flag or the kind has no such value");
	r = route();
	r.dst.addr.family = 77;
	PLANE("a route to no address", IPC_ROUTE, r, "no address)/24");
	say("plane", "a route that is too short", IPC_ROUTE, 0, &r, sizeof(r) - 1,
	    "it has not the length of its kind");
}

static void rules(void)
{
	struct ipc_rule good = {.add = 1,
				.family = AF_INET,
				.protocol = IPC_OUR_ROUTES,
				.table = 100,
				.priority = 7},
			r = good;

	r.protocol = RTPROT_STATIC;
	PLANE("a rule of another protocol", IPC_RULE, r, "rules of another protocol are not ours");
	r = good;
	r.table = RT_TABLE_LOCAL;
	PLANE("a rule to the table of addresses", IPC_RULE, r, "not to this routing table");
	r = good;
	r.priority = 0;
	PLANE("a rule before all others", IPC_RULE, r, "or with this priority");
	r = good;
	memset(r.iif, 'x', sizeof(r.iif));
	PLANE("a rule with a name without an end", IPC_RULE, r, "a name has no end");
}

static void addresses(void)
{
	struct ipc_address a = {.add = 1};
	char words[128];

	snprintf(a.device, sizeof(a.device), "%s", device);
	a.prefix = prefix("10.0.0.0/8");
	PLANE("an address with a network", IPC_ADDRESS, a, "more than one address");
	a.prefix = prefix("127.0.0.1/32");
	PLANE("a loopback address", IPC_ADDRESS, a, "not such an address");
	a.prefix = prefix("224.0.0.9/32");
	PLANE("a multicast address", IPC_ADDRESS, a, "not such an address");
	a.add = 0;
	a.prefix = prefix(own);
	snprintf(words, sizeof(words),
		 "refused to ike: address remove %s device '%s': removing an address that is not "
		 "ours",
		 own, device);
	PLANE("an address of the operator's taken away", IPC_ADDRESS, a, words);
	a.add = 1;
	say("plane", "an address that is there, added", IPC_ADDRESS, 0, &a, sizeof(a), "");
	a.add = 0;
	PLANE("... and then taken away", IPC_ADDRESS, a, words);
	a.add = 1;
	snprintf(a.device, sizeof(a.device), "../%.8s", device);
	PLANE("an address for a path", IPC_ADDRESS, a, "no name of a device");
}

static struct ipc_tunnel other_tunnel(void)
{
	struct ipc_tunnel t = {.tunnel = 4242};

	snprintf(t.config.name, sizeof(t.config.name), "attack0");
	t.config.named = true;
	return t;
}

static void tunnels(void)
{
	struct ipc_tunnel t = other_tunnel();
	const struct ipc_tunnel_link link = {4242, 1};
	const uint32_t nobody = 4242;
	char words[128];

	snprintf(t.config.name, sizeof(t.config.name), "%s", device);
	snprintf(words, sizeof(words),
		 "not done for ike: tunnel-create 4242 '%s': device %s exists", device, device);
	PLANE("a device that is there and not ours", IPC_TUNNEL_CREATE, t, words);
	t.tunnel = tunnel;
	PLANE("a tunnel that becomes that device", IPC_TUNNEL_UPDATE, t, "a device keeps its name");
	t = other_tunnel();
	snprintf(t.config.name, sizeof(t.config.name), "../attack");
	PLANE("a device with a path for a name", IPC_TUNNEL_CREATE, t, "no name for a device");
	t = other_tunnel();
	t.config.n_addrs = 1;
	t.config.addrs[0] = prefix("127.0.0.1/8");
	PLANE("a device with a loopback address", IPC_TUNNEL_CREATE, t,
	      "an address that no device may have");
	t.config.n_addrs = 255;
	PLANE("a device with 255 addresses", IPC_TUNNEL_CREATE, t,
	      "more addresses than a device has room for");
	t = other_tunnel();
	t.config.mtu = 1;
	PLANE("an MTU of 1", IPC_TUNNEL_CREATE, t, "an MTU below 68");
	PLANE("a tunnel removed that is none", IPC_TUNNEL_REMOVE, nobody,
	      "tunnel-remove 4242: no tunnel");
	PLANE("a link set of what is no tunnel", IPC_TUNNEL_LINK, link,
	      "tunnel-link 4242: no tunnel");
}

static struct child_sa child(void)
{
	struct child_sa c = sample_child();

	c.tunnel = tunnel;
	c.id = 0xa77acc;
	return c;
}

static void children(void)
{
	const uint64_t nobody = 0xdead;
	struct ipc_child_update u = {.child = nobody, .udp_encap = 1};
	struct child_sa c = child();

	c.tunnel = 4242;
	PLANE("an SA of what is no tunnel", IPC_CHILD_INSTALL, c, "no tunnel 4242");
	c = child();
	c.spi_in = 255;
	PLANE("an SA with a reserved SPI", IPC_CHILD_INSTALL, c, "a reserved SPI");
	c = child();
	c.encr_id = 999;
	PLANE("an SA with a cipher that there is not", IPC_CHILD_INSTALL, c, "no such algorithm");
	c = child();
	c.in.encr_len = 255;
	PLANE("a key longer than its room", IPC_CHILD_INSTALL, c,
	      "the key has not the length that the cipher needs");
	c = child();
	c.local_ts.n = 255;
	PLANE("255 traffic selectors", IPC_CHILD_INSTALL, c, "no traffic selectors, or too many");
	c = child();
	c.remote_ts.ts[0].start[0] = 255;
	PLANE("a range upside down", IPC_CHILD_INSTALL, c, "a traffic selector is no range");
	c = child();
	c.remote.addr = prefix("224.0.0.1/32").addr;
	PLANE("an SA to everybody", IPC_CHILD_INSTALL, c,
	      "the peer's address is not one machine's");
	u.local = child().local;
	u.remote = child().remote;
	PLANE("an update of an SA that there is not", IPC_CHILD_UPDATE, u, "no CHILD_SA 57005");
	PLANE("an SA removed that there is not", IPC_CHILD_REMOVE, nobody, "no CHILD_SA 57005");
}

static void datagrams(void)
{
	struct {
		struct ipc_path path;
		uint8_t bytes[64];
	} d = {.path = {.local = child().local, .remote = child().remote}};

	d.path.local.port = 53;
	PLANE("a datagram from another port", IPC_SEND_IKE, d,
	      "neither from port 500 nor from 4500");
	d.path.local.port = 500;
	d.path.remote.port = 0;
	PLANE("a datagram to port 0", IPC_SEND_IKE, d, "to port 0");
	d.path.remote.port = 500;
	d.path.remote.addr = prefix("255.255.255.255/32").addr;
	PLANE("a datagram to everybody", IPC_SEND_IKE, d,
	      "the peer's address is not one machine's");
	d.path.remote.addr = child().remote.addr;
	say("plane", "a datagram that is none of IKE", IPC_SEND_IKE, 0, &d, sizeof(d.path) + 27,
	    "it has not the length of an IKE message");
	d.path.local.port = 1;
	PLANE("a keepalive from another port", IPC_SEND_KEEPALIVE, d.path,
	      "neither from port 500 nor from 4500");
}

static void anything(void)
{
	static uint8_t much[IPC_BODY_MAX];
	static uint64_t list[IPC_STATS_MAX + 1];
	struct ipc_device d;

	memset(&d, 'x', sizeof(d));
	PLANE("a device without an end", IPC_BIND, d, "a name has no end");
	PLANE("more numbers than there is room for", IPC_CHILD_STATS, list, "or too many");
	PLANE("as much as there is room for", IPC_SETTLED, much, "settled of 98304 bytes");
	say("plane", "a message that is not there", 99, 0, "", 0,
	    "message 99 of 0 bytes: no such request");
	say("plane", "the largest number", UINT32_MAX, 0, "", 0, "message 4294967295 of 0 bytes");
	say("plane", "what plane says itself", IPC_EVENT, 0, "", 0, "message 128 of 0 bytes");
	say("plane", "what is said to helper", IPC_PSK_MAC, 0, "", 0, "message 192 of 0 bytes");
	say("plane", "a descriptor with it", IPC_COUNTERS, 1, "", 0, "with descriptors");
	say("plane", "four of them", IPC_SETTLED, 4, "", 0, "with descriptors");
}

/* ---- to helper ---- */

/* RFC 7296 2.15: an IKE_SA_INIT message, a nonce, prf(SK_p, ID). */
static struct mac {
	struct ipc_mac head;
	uint8_t message[64], nonce[32], id[32];
} good_mac(void)
{
	struct mac m = {
		.head = {.held = 1, .prf = PRF_HMAC_SHA2_256, .nonce_len = 32, .message_len = 64}};

	m.message[17] = 0x20;
	m.message[18] = 34;
	m.message[27] = 64;
	return m;
}

static void macs(void)
{
	struct mac m = good_mac();

	HELPER("AUTH by a guessed secret", IPC_PSK_MAC, m,
	       "ike asks for AUTH (secret 0000000000000001, PRF 5, a message of 64, a nonce of 32, "
	       "144 "
	       "bytes), refused: there is no such secret");
	m.message[18] = 35;
	HELPER("a MAC of another exchange", IPC_PSK_MAC, m,
	       "do not begin with an IKE_SA_INIT message");
	m = good_mac();
	m.message[20] = 1;
	HELPER("a MAC of a later message", IPC_PSK_MAC, m,
	       "do not begin with an IKE_SA_INIT message");
	m = good_mac();
	m.message[27] = 63;
	HELPER("a MAC of a message of another length", IPC_PSK_MAC, m,
	       "do not begin with an IKE_SA_INIT message");
	m = good_mac();
	m.head.nonce_len = 15;
	HELPER("a short nonce", IPC_PSK_MAC, m, "the nonce's length");
	m = good_mac();
	m.head.prf = 77;
	HELPER("a PRF that there is not", IPC_PSK_MAC, m, "no such PRF");
	m = good_mac();
	m.head.message_len = UINT32_MAX;
	HELPER("a message of 4 GB", IPC_PSK_MAC, m, "the octets' length");
	m.head.message_len = 0;
	HELPER("a MAC of no message", IPC_PSK_MAC, m, "the octets' length");
	say("helper", "a MAC of nothing", IPC_PSK_MAC, 0, &m, 3, "refused: the length");
}

static void secrets(void)
{
	const struct ipc_held held = {.held = 77};
	uint8_t memory[256];
	struct buf b = buf_over(memory, sizeof(memory));

	ipc_secret_put(&b, "files:mine", span_str("known"));
	say("helper", "a secret in the name of the files", IPC_SECRET_HOLD, 0, memory, b.len,
	    "a secret to be kept as 'files:mine', refused: its name is not a vici client's");
	say("helper", "half a secret", IPC_SECRET_HOLD, 0, memory, b.len - 1, "to be kept (");
	HELPER("a secret forgotten that there is not", IPC_SECRET_FORGET, held,
	       "secret 000000000000004d to be forgotten, refused: there is no such secret");
	say("helper", "half a number", IPC_SECRET_FORGET, 0, &held, 4, "to be forgotten (4 bytes)");
	say("helper", "a reading without a number", IPC_LOAD_TAKEN, 0, &held, 3,
	    "to be in force (3 bytes)");
}

static void resolve(const char *what, const char *host, uint8_t family, const char *words)
{
	struct ipc_resolve r = {.query = 1, .family = family};

	snprintf(r.name, sizeof(r.name), "%s", host);
	HELPER(what, IPC_RESOLVE, r, words);
}

static void script(const char *what, const char *verb, const char *command, const char *variable,
		   const char *words)
{
	static uint8_t memory[4096];
	struct buf b = buf_over(memory, sizeof(memory));
	char verb_var[64], variable_var[64];
	struct script_view s = {.job = 1,
				.line = 1,
				.timeout_ms = 1000,
				.name = "net",
				.what = verb,
				.command = command,
				.n_env = 2,
				.env = {verb_var, variable_var}};

	snprintf(verb_var, sizeof(verb_var), "PLUTO_VERB=up-client");
	snprintf(variable_var, sizeof(variable_var), "%s", variable);
	ipc_script_put(&b, &s);
	say("helper", what, IPC_RUN, 0, memory, b.len, words);
}

static void to_helper(void)
{
	macs();
	secrets();
	resolve("a name that is a path", "../../etc/shadow", 0, "a name (../../etc/shadow)");
	resolve("a name with a line's end", "a.example\nforged", 0, "a name (a.example");
	resolve("a name of another family", "a.example", 77, "refused: the family");
	script("a script that the files do not name", "up-client", "/bin/sh -c id", "PLUTO_X=1",
	       "'/bin/sh -c id' is not run");
	script("a script beside the folders", "up-client", "/etc/ipsec.d/../shadow", "PLUTO_X=1",
	       "no '..' in it");
	script("a script with a shell's letters", "up-client", "/etc/ipsec.d/x;id", "PLUTO_X=1",
	       "'/etc/ipsec.d/x;id' is not run");
	script("another verb than the one it sees", "down-client", "/etc/ipsec.d/x", "PLUTO_X=1",
	       "PLUTO_VERB is not 'down-client'");
	script("a library for the script", "up-client", "/etc/ipsec.d/x", "LD_PRELOAD=/tmp/x",
	       "variable LD_PRELOAD=/tmp/x: only PLUTO_");
	say("helper", "half a script", IPC_RUN, 0, "x", 1, "a script (1 bytes)");
	say("helper", "a message that is not there", 99, 0, "", 0, "message 99, refused");
	say("helper", "what helper says itself", IPC_RESOLVED, 0, "", 0,
	    "there is no such request");
	say("helper", "what is said to plane", IPC_ROUTE, 0, "", 0, "message 80, refused");
	say("helper", "a descriptor with it", IPC_LOAD, 1, "", 0, "with descriptors");
}

/* ---- to the supervisor ---- */

static void keep(const char *what, uint32_t verb, unsigned fds, const char *text, const char *words)
{
	struct ipc_name n = {0};

	snprintf(n.name, sizeof(n.name), "%s", text);
	say("supervisor", what, verb, fds, &n, sizeof(n), words);
}

static void to_supervisor(void)
{
	const struct ipc_stop stop = {0};

	keep("another vault", IPC_KEEP, 1, "vault", "ike wants 'vault' kept, refused");
	keep("another control socket", IPC_KEEP, 1, "vici", "ike wants 'vici' kept, refused");
	keep("another socket of IKE", IPC_KEEP, 1, "udp4-500",
	     "ike wants 'udp4-500' kept, refused");
	keep("a descriptor that is missing", IPC_KEEP, 0, "area", "without a name or a descriptor");
	keep("plane's memory dropped", IPC_DROP, 0, "area", "ike wants 'area' dropped, refused");
	keep("the vault dropped", IPC_DROP, 0, "vault", "ike wants 'vault' dropped, refused");
	SUPERVISOR("what a supervisor says", IPC_STOP, stop,
		   "ike asks for 4 (1 bytes), which it may not");
	say("supervisor", "a script", IPC_RUN, 0, "x", 1, "which it may not");
	say("supervisor", "a message that is not there", 99, 0, "", 0, "ike asks for 99 (0 bytes)");
	say("supervisor", "a descriptor with a line", IPC_LOG, 1, "", 0, "with descriptors");
	say("supervisor", "half a time", IPC_KEEP_ON_STOP, 0, "x", 1, "of another length");
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: hostile-ike DEVICE IFINDEX TUNNEL ADDRESS\n");
		return 2;
	}
	device = argv[1];
	ifindex = (int)strtol(argv[2], NULL, 10);
	tunnel = (uint32_t)strtoul(argv[3], NULL, 10);
	own = argv[4];
	routes();
	rules();
	addresses();
	tunnels();
	children();
	datagrams();
	anything();
	to_helper();
	to_supervisor();
	return 0;
}
