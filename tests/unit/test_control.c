/* The vici server from a client's side, on a real socket and loop. The engine is a
 * double that shows scripted SAs and records what it is asked: what the server does with
 * it is looked at byte by byte. */
#include "ipsecd/control/control.h"
#include "lib/vici_client.h"
#include "lib/vici_stream.h"

#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the engine's double ---- */

#define LOADED_MAX 8
#define NAMES_MAX  3000

struct ike_engine {
	struct conn *conns[NAMES_MAX];
	struct secret *secrets[NAMES_MAX];
	unsigned n_conns, n_secrets, n_sas, children_each;
	struct ike_counters counters;
};

static struct ike_engine engine;
static struct ike_sa_info sa;
static struct ike_child_info child;

void ike_engine_each_sa(const struct ike_engine *e,
			void (*cb)(void *ctx, const struct ike_sa_info *ike,
				   const struct ike_child_info *child),
			void *ctx)
{
	for (unsigned i = 0; i < e->n_sas; i++) {
		struct ike_sa_info ike = sa;

		ike.id = sa.id + i;
		cb(ctx, &ike, NULL);
		for (unsigned j = 0; j < e->children_each; j++) {
			struct ike_child_info c = child;

			c.id = child.id + j;
			cb(ctx, &ike, &c);
		}
	}
}

const struct conn *ike_engine_conn(const struct ike_engine *e, unsigned n)
{
	return n < e->n_conns ? e->conns[n] : NULL;
}

const struct conn *ike_engine_conn_named(const struct ike_engine *e, const char *name)
{
	for (unsigned i = 0; i < e->n_conns; i++) {
		if (strcmp(e->conns[i]->name, name) == 0)
			return e->conns[i];
	}
	return NULL;
}

const struct secret *ike_engine_secret(const struct ike_engine *e, unsigned n)
{
	return n < e->n_secrets ? e->secrets[n] : NULL;
}

const struct secret *ike_engine_secret_named(const struct ike_engine *e, const char *unique)
{
	for (unsigned i = 0; i < e->n_secrets; i++) {
		if (strcmp(e->secrets[i]->unique, unique) == 0)
			return e->secrets[i];
	}
	return NULL;
}

enum ike_reason ike_engine_conn_status(const struct ike_engine *e, const char *conn,
				       mono_time *next_attempt, char detail[160])
{
	(void)e;
	(void)conn;
	*next_attempt = 107 * MONO_S;
	snprintf(detail, 160, "peer wants MODP_2048");
	return IKE_REASON_NO_PROPOSAL;
}

const struct ike_counters *ike_engine_counters(const struct ike_engine *e)
{
	return &e->counters;
}

const char *ike_reason_text(enum ike_reason r)
{
	return r == IKE_REASON_NO_PROPOSAL ? "no proposal chosen" : "some reason";
}

const char *ike_suspicion_text(enum ike_suspicion s)
{
	return s == IKE_SUSPECT_ICMP_HOST ? "ICMP: host unreachable" : "something";
}

/* ---- the shell's double ---- */

static struct {
	struct ike_select select;
	char ike[64], child[64];
	uint64_t tag;
	unsigned calls;
	bool force, hold, reauth, refuse, done_at_once, tunnel_up;
	unsigned n_refused;
	bool unreachable;
	bool addr_taken;
	char log[8192];
} shell;

static struct control *control;
static struct ev_loop *loop;
static char path[64];

static mono_time now(void *ctx)
{
	(void)ctx;
	return 100 * MONO_S;
}

static bool tunnel(void *ctx, const char *conn, struct control_tunnel *out)
{
	(void)ctx;
	(void)conn;
	*out = (struct control_tunnel){.interface = "vpn0",
				       .ifindex = 7,
				       .mtu = 1400,
				       .up = shell.tunnel_up,
				       .admin_up = true,
				       .kind = "vti",
				       .mark_in = {12, UINT32_MAX},
				       .mark_out = {0x1d, 0xff}};
	return true;
}

static bool child_stats(void *ctx, uint64_t child_sa, struct dataplane_child_stats *out)
{
	(void)ctx;
	(void)child_sa;
	*out = (struct dataplane_child_stats){.bytes_in = 1000,
					      .packets_in = 10,
					      .bytes_out = 2000,
					      .packets_out = 20,
					      .last_in = 99 * MONO_S};
	return true;
}

static bool process(void *ctx, unsigned n, struct control_process *out)
{
	static const struct control_process all[] = {
		{.role = "supervisor", .pid = 10, .upgrades = 2},
		{.role = "plane", .pid = 11},
		{.role = "ike", .restarts = 3, .last_death = "killed by SIGSEGV"}};

	(void)ctx;
	if (n < sizeof(all) / sizeof(all[0]))
		*out = all[n];
	return n < sizeof(all) / sizeof(all[0]);
}

static const uint64_t *plane_counters(void *ctx)
{
	static const uint64_t counters[DATAPLANE_COUNTERS] = {[DROP_REPLAY] = 3};

	(void)ctx;
	return counters;
}

static unsigned net_counters(void *ctx, struct control_counter out[CONTROL_NET_COUNTERS_MAX])
{
	(void)ctx;
	out[0] = (struct control_counter){"udp-received", 9};
	return 1;
}

static int send_error(void *ctx, const struct addr *to)
{
	struct addr there;

	(void)ctx;
	assert_true(addr_parse("192.0.2.2", &there));
	return shell.unreachable && addr_equal(to, &there) ? ENETUNREACH : 0;
}

static void command_done(bool ok)
{
	struct ike_output out = {.kind = IKE_OUTPUT_EVENT,
				 .event = IKE_EVENT_COMMAND_DONE,
				 .tag = shell.tag,
				 .ok = ok,
				 .reason = IKE_REASON_NO_PROPOSAL,
				 .reason_detail = "peer wants MODP_2048"};

	control_event(control, &out);
}

static bool take_command(const struct ike_select *select, uint64_t tag, const char **error)
{
	shell.calls++;
	shell.select = *select;
	snprintf(shell.ike, sizeof(shell.ike), "%s", select->ike ? select->ike : "");
	snprintf(shell.child, sizeof(shell.child), "%s", select->child ? select->child : "");
	shell.tag = tag;
	if (shell.refuse)
		*error = "shutting down";
	if (shell.done_at_once)
		command_done(true);
	return !shell.refuse;
}

static bool initiate(void *ctx, const struct ike_select *select, uint64_t tag, const char **error)
{
	(void)ctx;
	return take_command(select, tag, error);
}

static bool terminate(void *ctx, const struct ike_select *select, bool force, bool hold,
		      uint64_t tag, const char **error)
{
	(void)ctx;
	shell.force = force;
	shell.hold = hold;
	return take_command(select, tag, error);
}

static bool load_conn(void *ctx, struct conn *conn, char *why, size_t size)
{
	(void)ctx;
	if (engine.n_conns == LOADED_MAX) {
		snprintf(why, size, "too many");
		conn_free(conn);
		return false;
	}
	engine.conns[engine.n_conns++] = conn;
	return true;
}

static const char *addr_owner(void *ctx, const struct conn *conn, struct addr *addr)
{
	(void)ctx;
	(void)conn;
	addr_parse("10.0.0.1", addr);
	return shell.addr_taken ? "gw" : NULL;
}

static bool unload_conn(void *ctx, const char *name, const char **error)
{
	(void)ctx;
	for (unsigned i = 0; i < engine.n_conns; i++) {
		if (strcmp(engine.conns[i]->name, name) == 0) {
			conn_free(engine.conns[i]);
			engine.conns[i] = engine.conns[--engine.n_conns];
			return true;
		}
	}
	*error = "no such connection";
	return false;
}

static bool load_secret(void *ctx, struct secret *secret, const char **error)
{
	(void)ctx;
	(void)error;
	engine.secrets[engine.n_secrets++] = secret;
	return true;
}

static bool unload_secret(void *ctx, const char *unique, const char **error)
{
	(void)ctx;
	for (unsigned i = 0; i < engine.n_secrets; i++) {
		if (strcmp(engine.secrets[i]->unique, unique) == 0) {
			secret_free(engine.secrets[i]);
			engine.secrets[i] = engine.secrets[--engine.n_secrets];
			return true;
		}
	}
	*error = "no such secret";
	return false;
}

static bool rekey(void *ctx, const struct ike_select *select, bool reauth, uint64_t tag,
		  const char **error)
{
	shell.reauth = reauth;
	return initiate(ctx, select, tag, error);
}

static void reload_over(bool ok)
{
	control_reloaded(control, shell.tag, ok ? NULL : "ipsec.conf:3:2: unknown keyword");
}

static const char *reload_failure(void *ctx)
{
	(void)ctx;
	return shell.n_refused ? "not loaded: gw: no device" : "";
}

static void refused(void *ctx, void (*cb)(void *cb_ctx, const char *name, const char *why),
		    void *cb_ctx)
{
	(void)ctx;
	for (unsigned i = 0; i < shell.n_refused; i++) {
		char name[16];

		snprintf(name, sizeof(name), "gw%u", i);
		cb(cb_ctx, name, "no device");
	}
}

static void reload(void *ctx, uint64_t tag)
{
	(void)ctx;
	shell.tag = tag;
	shell.calls++;
	if (shell.done_at_once)
		reload_over(!shell.refuse);
}

/* Address pools: those that load_pool made, each with one lease in use and one not. */
static struct {
	unsigned n;
	char names[4][32], addrs[4][32];
	struct addr dns[4][VIP_DNS_MAX];
	uint8_t n_dns[4];
	unsigned more, leases; /* pools that are there besides, and leases of each pool */
} loaded;

static bool pool(void *ctx, unsigned n, struct control_pool *out)
{
	(void)ctx;
	if (n >= loaded.n + loaded.more)
		return false;
	*out = (struct control_pool){.size = 254, .online = 1, .offline = 1};
	if (n < loaded.n)
		snprintf(out->name, sizeof(out->name), "%s", loaded.names[n]);
	else
		snprintf(out->name, sizeof(out->name), "pool%u", n);
	addr_parse("10.3.0.0", &out->base);
	addr_parse("10.3.0.1", &out->first);
	addr_parse("10.3.0.254", &out->last);
	return true;
}

static void leases(void *ctx, unsigned n,
		   void (*cb)(void *cb_ctx, const struct control_lease *lease), void *cb_ctx)
{
	struct control_lease l = {.online = true};
	struct id id;

	(void)ctx;
	(void)n;
	assert_true(id_parse("carol@example.org", &id));
	l.identity = &id;
	addr_parse("10.3.0.1", &l.addr);
	cb(cb_ctx, &l);
	addr_parse("10.3.0.2", &l.addr);
	l.online = false;
	cb(cb_ctx, &l);
	for (unsigned i = 0; i < loaded.leases; i++)
		cb(cb_ctx, &l);
}

static bool load_pool(void *ctx, const char *name, const char *addrs, const struct addr *dns,
		      uint8_t n_dns, char *why, size_t size)
{
	(void)ctx;
	if (shell.refuse) {
		snprintf(why, size, "pool %s: no", name);
		return false;
	}
	snprintf(loaded.names[loaded.n], 32, "%s", name);
	snprintf(loaded.addrs[loaded.n], 32, "%s", addrs);
	loaded.n_dns[loaded.n] = n_dns;
	memcpy(loaded.dns[loaded.n++], dns, n_dns * sizeof(*dns));
	return true;
}

static bool unload_pool(void *ctx, const char *name, char *why, size_t size)
{
	(void)ctx;
	if (loaded.n && strcmp(loaded.names[loaded.n - 1], name) == 0) {
		loaded.n--;
		return true;
	}
	snprintf(why, size, "pool %s: not found", name);
	return false;
}

static void write_log(void *ctx, enum log_level level, const char *subsystem, const char *name,
		      const char *text)
{
	size_t n = strlen(shell.log);

	(void)ctx;
	(void)level;
	(void)name;
	snprintf(shell.log + n, sizeof(shell.log) - n, "%s %s\n", subsystem, text);
	control_log(control, level, subsystem, name, text); /* as the daemon does */
}

static const struct log_sink log_sink = {.write = write_log, .level = LOG_LEVEL_DEBUG};

static struct control_host host(void)
{
	return (struct control_host){
		.loop = loop,
		.engine = &engine,
		.log = &log_sink,
		.plane = "fake",
		.plane_why = "it is a test",
		.plane_offloads = "UDP_GRO",
		.now = now,
		.tunnel = tunnel,
		.child_stats = child_stats,
		.plane_counters = plane_counters,
		.process = process,
		.net_counters = net_counters,
		.send_error = send_error,
		.initiate = initiate,
		.rekey = rekey,
		.terminate = terminate,
		.load_conn = load_conn,
		.addr_owner = addr_owner,
		.unload_conn = unload_conn,
		.load_secret = load_secret,
		.unload_secret = unload_secret,
		.reload = reload,
		.reload_failure = reload_failure,
		.refused = refused,
		.pool = pool,
		.leases = leases,
		.load_pool = load_pool,
		.unload_pool = unload_pool,
	};
}

/* ---- a client of the test's own: non-blocking, in the same loop ---- */

struct peer {
	int fd;
	struct vici_stream in;
	uint8_t body[VICI_PACKET_MAX]; /* of the last packet */
	struct vici_packet packet;
};

static struct peer peers[2];

static void turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

static void connect_peer(struct peer *p)
{
	char why[200];

	p->fd = vici_client_socket(path, why, sizeof(why));
	if (p->fd < 0)
		fail_msg("%s", why);
	vici_stream_init(&p->in);
	turn();
}

static void close_peer(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	vici_stream_free(&p->in);
	p->fd = -1;
	turn();
	turn();
}

static void send_bytes(struct peer *p, const void *bytes, size_t n)
{
	assert_int_equal(send(p->fd, bytes, n, MSG_NOSIGNAL), n);
}

static void send_packet(struct peer *p, enum vici_packet_type type, const char *name,
			struct span body)
{
	static uint8_t memory[VICI_PACKET_MAX];
	struct buf b = buf_over(memory, sizeof(memory));

	vici_start(&b, type, name);
	buf_put_span(&b, body);
	assert_true(vici_finish(&b));
	send_bytes(p, b.data, b.len);
}

/* Turns the loop until a packet is there (true) or the connection ends (false). */
static bool receive(struct peer *p)
{
	struct span packet;

	for (unsigned tries = 0; tries < 100000; tries++) {
		size_t room;
		uint8_t *space;
		ssize_t n;

		if (vici_stream_next(&p->in, &packet) == VICI_STREAM_PACKET) {
			size_t offset;

			memcpy(p->body, packet.ptr, packet.len);
			packet.ptr = p->body;
			assert_int_equal(vici_packet_parse(packet, &p->packet), VICI_OK);
			assert_int_equal(vici_body_check(p->packet.body, &offset), VICI_OK);
			return true;
		}
		turn();
		space = vici_stream_space(&p->in, &room);
		assert_non_null(space);
		n = recv(p->fd, space, room, MSG_DONTWAIT);
		if (n == 0)
			return false;
		if (n > 0)
			vici_stream_wrote(&p->in, (size_t)n);
	}
	fail_msg("nothing arrives");
	return false;
}

static bool quiet(struct peer *p)
{
	struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
	struct span packet;

	turn();
	turn();
	return vici_stream_next(&p->in, &packet) == VICI_STREAM_MORE && poll(&poll_fd, 1, 0) == 0;
}

static void expect(struct peer *p, enum vici_packet_type type, const char *name)
{
	assert_true(receive(p));
	assert_int_equal(p->packet.type, type);
	if (name && !span_equal(p->packet.name, span_str(name)))
		fail_msg("got %.*s, expected %s", (int)p->packet.name.len, p->packet.name.ptr,
			 name);
}

static void expect_key(struct peer *p, const char *key, const char *want)
{
	char text[1024];

	if (!vici_get_str(p->packet.body, key, text, sizeof(text)))
		fail_msg("no %s", key);
	assert_string_equal(text, want);
}

static void expect_missing(struct peer *p, const char *key)
{
	struct span v;

	if (vici_get(p->packet.body, key, &v))
		fail_msg("%s is there", key);
}

static void call(struct peer *p, const char *command, struct span body)
{
	send_packet(p, VICI_CMD_REQUEST, command, body);
	expect(p, VICI_CMD_RESPONSE, NULL);
}

static void subscribe(struct peer *p, const char *event)
{
	send_packet(p, VICI_EVENT_REGISTER, event, (struct span){0});
	expect(p, VICI_EVENT_CONFIRM, NULL);
}

/* A body of key/value pairs, NULL at the end. */
static struct span pairs(const char *key, ...)
{
	static uint8_t memory[4096];
	struct buf b = buf_over(memory, sizeof(memory));
	va_list args;

	va_start(args, key);
	for (; key; key = va_arg(args, const char *))
		vici_put(&b, key, va_arg(args, const char *));
	va_end(args);
	return buf_span(&b);
}

static const struct span none;

/* ---- set up ---- */

static void script_engine(void)
{
	static struct ts_list local, remote;

	memset(&engine, 0, sizeof(engine));
	memset(&shell, 0, sizeof(shell));
	shell.tunnel_up = true;
	local.n = remote.n = 1;
	ts_parse("10.1.0.0/16", &local.ts[0]);
	ts_parse("10.2.0.0/16", &remote.ts[0]);
	sa = (struct ike_sa_info){.conn = "gw",
				  .id = 5,
				  .spi_i = 0x1122334455667788,
				  .spi_r = 0x99aabbccddeeff00,
				  .initiator = true,
				  .state = "ESTABLISHED",
				  .nat_remote = true,
				  .established = 40 * MONO_S,
				  .rekey_at = 1100 * MONO_S};
	addr_parse("192.0.2.1", &sa.path.local.addr);
	addr_parse("192.0.2.2", &sa.path.remote.addr);
	sa.path.local.port = sa.path.remote.port = 4500;
	addr_parse("10.3.0.1", &sa.local_vips[sa.n_local_vips++]);
	addr_parse("10.3.0.2", &sa.remote_vips[sa.n_remote_vips++]);
	id_parse("a.example.org", &sa.local_id);
	id_parse("b.example.org", &sa.remote_id);
	sa.suite.encr = algorithm_encr(ENCR_AES_GCM_16, 128);
	sa.suite.prf = algorithm_prf(PRF_HMAC_SHA2_256);
	sa.suite.ke = algorithm_ke(KE_CURVE25519);
	child = (struct ike_child_info){.conn = "gw",
					.name = "net",
					.id = 9,
					.child_sa = 77,
					.reqid = 1,
					.state = "INSTALLED",
					.udp_encap = true,
					.spi_in = 0xc0000001,
					.spi_out = 0xc0000002,
					.local_ts = &local,
					.remote_ts = &remote,
					.installed = 90 * MONO_S,
					.rekey_at = 400 * MONO_S,
					.expires_at = 500 * MONO_S};
	child.suite.encr = algorithm_encr(ENCR_AES_CBC, 256);
	child.suite.integ = algorithm_integ(INTEG_HMAC_SHA2_256_128);
	child.suite.esn = true;
	engine.n_sas = 1;
	engine.children_each = 1;
}

static void add_conn(const char *name, const char *source)
{
	struct conn *c = conn_new(name);

	assert_non_null(c);
	c->source = strdup(source);
	c->remote[0].kind = HOST_ADDR;
	addr_parse("192.0.2.2", &c->remote[0].addr);
	assert_non_null(conn_add_child(c, "net"));
	engine.conns[engine.n_conns++] = c;
}

static int start(void **state)
{
	struct control_host h;
	char why[200];

	(void)state;
	script_engine();
	snprintf(path, sizeof(path), "/tmp/test-control-%d.vici", (int)getpid());
	loop = ev_loop_new(EVFLAG_AUTO);
	h = host();
	control = control_open(path, &h, why, sizeof(why));
	if (!control)
		fail_msg("%s", why);
	add_conn("gw", "ipsec.conf:12");
	connect_peer(&peers[0]);
	connect_peer(&peers[1]);
	return 0;
}

static int stop(void **state)
{
	struct stat st;

	(void)state;
	close_peer(&peers[0]);
	close_peer(&peers[1]);
	control_close(control);
	control = NULL;
	ev_loop_destroy(loop);
	while (engine.n_conns)
		conn_free(engine.conns[--engine.n_conns]);
	while (engine.n_secrets)
		secret_free(engine.secrets[--engine.n_secrets]);
	return stat(path, &st) < 0 ? 0 : -1; /* the socket is gone */
}

/* ---- reports ---- */

static void test_reports(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	engine.counters.ike_sas = 4;
	engine.counters.auth_failed = 6;
	call(p, "version", none);
	expect_key(p, "daemon", "ipsecd");
	call(p, "stats", none);
	expect_key(p, "ikesas.total", "4");
	expect_key(p, "uptime.running", "0 seconds");
	expect_key(p, "workers.active.medium", "1");
	expect_key(p, "dataplane.name", "fake");
	expect_key(p, "dataplane.why", "it is a test");
	expect_key(p, "dataplane.offloads", "UDP_GRO");
	expect_key(p, "vici.registrations", "0");
	expect_key(p, "processes.supervisor.upgrades", "2");
	expect_key(p, "processes.plane.restarts", "0");
	expect_key(p, "processes.ike.last-death", "killed by SIGSEGV");
	shell.n_refused = 203;
	call(p, "stats", none);
	expect_key(p, "configuration.last-reload", "not loaded: gw: no device");
	expect_key(p, "configuration.not-loaded.gw199", "no device");
	expect_key(p, "configuration.more-not-loaded", "3");
	call(p, "get-algorithms", none);
	expect_key(p, "aead.AES_GCM_16", "openssl");
	expect_key(p, "encryption.AES_CBC", "openssl");
	expect_key(p, "ke.CURVE_25519", "openssl");
	call(p, "get-counters", none);
	expect_key(p, "success", "yes");
	expect_key(p, "counters..auth-failed", "6");
	expect_key(p, "counters..esp-drop-replay", "3");
	expect_key(p, "counters..udp-received", "9");
	call(p, "reset-counters", none);
	expect_key(p, "success", "yes");
	engine.counters.auth_failed = 8;
	call(p, "get-counters", none);
	expect_key(p, "counters..auth-failed", "2");
	expect_key(p, "counters..esp-drop-replay", "0");
	expect_key(p, "counters..udp-received", "0");
	call(p, "get-counters", pairs("name", "gw", NULL));
	expect_key(p, "success", "no");
}

static void test_empty_kinds(void **state)
{
	static const char *const lists[] = {"get-keys", "get-authorities", "list-certs",
					    "list-authorities", "list-policies"};
	static const char *const refused[] = {"load-cert",	"load-key",    "load-token",
					      "load-authority", "unload-pool", "load-pool",
					      "unload-key",	"install",     "redirect"};
	struct peer *p = &peers[0];

	(void)state;
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		call(p, lists[i], none);
		expect_missing(p, "success");
	}
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char why[256];

		call(p, refused[i], none);
		expect_key(p, "success", "no");
		assert_true(vici_get_str(p->packet.body, "errmsg", why, sizeof(why)));
		assert_true(strlen(why) > 10);
	}
	send_packet(p, VICI_CMD_REQUEST, "nonsense", none);
	expect(p, VICI_CMD_UNKNOWN, NULL);
	send_packet(p, VICI_EVENT_REGISTER, "nonsense", none);
	expect(p, VICI_EVENT_UNKNOWN, NULL);
}

static struct span pool_body(const char *name, const char *addrs, const char *dns, bool list)
{
	static uint8_t memory[512];
	struct buf b = buf_over(memory, sizeof(memory));

	vici_put_section(&b, name);
	vici_put(&b, "addrs", addrs);
	if (dns && list) {
		vici_put_list(&b, "dns");
		vici_put_item(&b, dns);
		vici_put_list_end(&b);
	} else if (dns) {
		vici_put(&b, "dns", dns);
	}
	vici_put_section_end(&b);
	return buf_span(&b);
}

static void test_pools(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	memset(&loaded, 0, sizeof(loaded));
	call(p, "load-pool", pool_body("rw", "10.3.0.0/24", "10.3.1.1", true));
	expect_key(p, "success", "yes");
	assert_string_equal(loaded.addrs[0], "10.3.0.0/24");
	assert_int_equal(loaded.n_dns[0], 1);
	call(p, "load-pool", pool_body("two", "10.4.0.0/24", "10.3.1.1, 2001:db8::1", false));
	expect_key(p, "success", "yes");
	assert_int_equal(loaded.n_dns[1], 2);
	call(p, "load-pool", pool_body("gr\xc3\xb6n", "10.4.0.0/24", NULL, true));
	expect_key(
		p, "errmsg",
		"the pool's name: expected printable ASCII characters: swanctl can't read others");
	call(p, "load-pool", pool_body("bad", "10.4.0.0/24", "ns", true));
	expect_key(p, "errmsg", "pool bad: dns: expected an address");
	call(p, "load-pool", pool_body("bad", "", NULL, true));
	expect_key(p, "errmsg", "pool bad: addrs: missing");
	call(p, "load-pool", pairs("addrs", "10.3.0.0/24", NULL));
	expect_key(p, "errmsg", "expected one section: the pool");
	shell.refuse = true;
	call(p, "load-pool", pool_body("bad", "10.4.0.0/24", NULL, true));
	expect_key(p, "errmsg", "pool bad: no");
	shell.refuse = false;
	call(p, "get-pools", none);
	expect_key(p, "rw.base", "10.3.0.0");
	expect_key(p, "rw.addrs", "10.3.0.1-10.3.0.254");
	expect_key(p, "rw.size", "254");
	expect_key(p, "two.online", "1");
	expect_missing(p, "rw.leases.0.address");
	call(p, "get-pools", pairs("leases", "yes", "name", "two", NULL));
	expect_missing(p, "rw.base");
	expect_key(p, "two.leases.0.address", "10.3.0.1");
	expect_key(p, "two.leases.0.identity", "carol@example.org");
	expect_key(p, "two.leases.0.status", "online");
	expect_key(p, "two.leases.1.status", "offline");
	call(p, "unload-pool", pairs("name", "nil", NULL));
	expect_key(p, "errmsg", "pool nil: not found");
	call(p, "unload-pool", pairs("name", "two", NULL));
	expect_key(p, "success", "yes");
	call(p, "unload-pool", none);
	expect_key(p, "errmsg", "missing or overlong name");
}

/* Pools that are there and those that are not are n. */
static void expect_sum(struct peer *p, unsigned n)
{
	struct vici_iter it = vici_iter(p->packet.body);
	struct vici_element e;
	char more[16];

	assert_true(vici_get_str(p->packet.body, "more-pools", more, sizeof(more)));
	n -= (unsigned)strtoul(more, NULL, 10);
	while (!vici_next(&it, &e) && e.type != VICI_END)
		n -= e.type == VICI_SECTION_START && it.depth == 1;
	assert_int_equal(n, 0);
}

/* More than a packet holds: the client gets what fits, and how much does not. */
static void test_pools_many(void **state)
{
	struct peer *p = &peers[0];
	char more[16];

	(void)state;
	memset(&loaded, 0, sizeof(loaded));
	loaded.more = 30;
	loaded.leases = 10000;
	call(p, "get-pools", pairs("leases", "yes", NULL));
	expect_key(p, "pool0.leases.0.address", "10.3.0.1");
	assert_true(vici_get_str(p->packet.body, "pool0.more-leases", more, sizeof(more)));
	assert_in_range(strtoul(more, NULL, 10), 1, 10001);
	expect_key(p, "pool29.size", "254");
	expect_key(p, "pool29.more-leases", "10002");
	expect_missing(p, "more-pools");
	loaded.more = 20000;
	loaded.leases = 0;
	call(p, "get-pools", none);
	expect_key(p, "pool0.size", "254");
	expect_key(p, "pool1000.size", "254");
	expect_sum(p, 20000);
	memset(&loaded, 0, sizeof(loaded));
}

/* ---- lists ---- */

static void test_list_sas(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	subscribe(p, "list-sa");
	send_packet(p, VICI_CMD_REQUEST, "list-sas", none);
	expect(p, VICI_EVENT, "list-sa");
	expect_key(p, "gw.uniqueid", "5");
	expect_key(p, "gw.version", "2");
	expect_key(p, "gw.state", "ESTABLISHED");
	expect_key(p, "gw.local-host", "192.0.2.1");
	expect_key(p, "gw.remote-port", "4500");
	expect_key(p, "gw.remote-id", "b.example.org");
	expect_key(p, "gw.initiator", "yes");
	expect_key(p, "gw.initiator-spi", "1122334455667788");
	expect_missing(p, "gw.nat-local");
	expect_key(p, "gw.nat-any", "yes");
	expect_key(p, "gw.encr-alg", "AES_GCM_16");
	expect_key(p, "gw.encr-keysize", "128");
	expect_key(p, "gw.prf-alg", "PRF_HMAC_SHA2_256");
	expect_key(p, "gw.dh-group", "CURVE_25519");
	expect_key(p, "gw.established", "60");
	expect_key(p, "gw.rekey-time", "1000");
	expect_missing(p, "gw.reauth-time");
	expect_key(p, "gw.child-sas.net-9.name", "net");
	expect_key(p, "gw.child-sas.net-9.mark-in", "0000000c");
	expect_missing(p, "gw.child-sas.net-9.mark-mask-in");
	expect_key(p, "gw.child-sas.net-9.mark-out", "0000001d");
	expect_key(p, "gw.child-sas.net-9.mark-mask-out", "000000ff");
	expect_missing(p, "gw.child-sas.net-9.if-id-in");
	expect_key(p, "gw.child-sas.net-9.uniqueid", "9");
	expect_key(p, "gw.child-sas.net-9.mode", "TUNNEL");
	expect_key(p, "gw.child-sas.net-9.encap", "yes");
	expect_key(p, "gw.child-sas.net-9.spi-in", "c0000001");
	expect_key(p, "gw.child-sas.net-9.encr-alg", "AES_CBC");
	expect_key(p, "gw.child-sas.net-9.encr-keysize", "256");
	expect_key(p, "gw.child-sas.net-9.integ-alg", "HMAC_SHA2_256_128");
	expect_key(p, "gw.child-sas.net-9.esn", "1");
	expect_key(p, "gw.child-sas.net-9.bytes-in", "1000");
	expect_key(p, "gw.child-sas.net-9.use-in", "1");
	expect_missing(p, "gw.child-sas.net-9.use-out");
	expect_key(p, "gw.child-sas.net-9.install-time", "10");
	expect_key(p, "gw.child-sas.net-9.rekey-time", "300");
	expect_key(p, "gw.child-sas.net-9.life-time", "400");
	expect(p, VICI_CMD_RESPONSE, NULL);
}

static unsigned count_sas(struct peer *p, struct span filter)
{
	unsigned n = 0;

	send_packet(p, VICI_CMD_REQUEST, "list-sas", filter);
	while (receive(p) && p->packet.type == VICI_EVENT)
		n++;
	assert_int_equal(p->packet.type, VICI_CMD_RESPONSE);
	return n;
}

static void test_list_sas_filters(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	assert_int_equal(count_sas(p, none), 0); /* not registered: the response alone */
	subscribe(p, "list-sa");
	assert_int_equal(count_sas(p, pairs("ike", "gw", "noblock", "yes", NULL)), 1);
	assert_int_equal(count_sas(p, pairs("ike", "other", NULL)), 0);
	assert_int_equal(count_sas(p, pairs("ike-id", "5", NULL)), 1);
	assert_int_equal(count_sas(p, pairs("ike-id", "6", NULL)), 0);
	send_packet(p, VICI_CMD_REQUEST, "list-sas", pairs("child", "other", NULL));
	expect(p, VICI_EVENT, "list-sa");
	expect_missing(p, "gw.child-sas.net-9.name");
	expect(p, VICI_CMD_RESPONSE, NULL);
	call(p, "list-sas", pairs("ike-id", "five", NULL));
	expect_key(p, "errmsg", "ike-id: not a number");
}

/* Twenty thousand SAs are some 30 MB: they pass a bounded queue as they are read. */
static void test_list_sas_many(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	engine.n_sas = 20000;
	subscribe(p, "list-sa");
	assert_int_equal(count_sas(p, none), 20000);
	assert_int_equal(control_counters(control)->dropped_slow, 0);
}

/* Sections in the inner one of the last packet. */
static unsigned count_sections(const struct peer *p, const char *outer, const char *inner)
{
	struct span section;
	struct vici_element e;
	struct vici_iter it;
	unsigned n = 0;

	assert_true(vici_section(p->packet.body, outer, &section));
	assert_true(vici_section(section, inner, &section));
	it = vici_iter(section);
	while (!vici_next(&it, &e) && e.type != VICI_END)
		n += e.type == VICI_SECTION_START && it.depth == 1;
	return n;
}

/* As many events as it takes, each whole; the queue never has more than one beyond its pause. */
static void expect_parts(struct peer *p, const char *command, const char *inner, unsigned n,
			 unsigned parts_min)
{
	unsigned parts = 0;

	for (send_packet(p, VICI_CMD_REQUEST, command, none);
	     receive(p) && p->packet.type == VICI_EVENT; parts++)
		n -= count_sections(p, "gw", inner);
	assert_int_equal(p->packet.type, VICI_CMD_RESPONSE);
	assert_int_equal(n, 0);
	assert_in_range(parts, parts_min, parts_min + 4);
	assert_int_equal(control_counters(control)->dropped_slow, 0);
	assert_null(strstr(shell.log, "does not fit"));
}

/* What one packet does not hold comes in several. */
static void test_list_sas_of_a_large_one(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	engine.n_sas = 2;
	engine.children_each = 300;
	subscribe(p, "list-sa");
	expect_parts(p, "list-sas", "child-sas", 2 * 300, 2);
	engine.children_each = 20000;
	expect_parts(p, "list-sas", "child-sas", 2 * 20000, 2 * 17);
}

static void test_list_conns_of_a_large_one(void **state)
{
	struct peer *p = &peers[0];
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		struct child_config *c;

		snprintf(name, sizeof(name), "net%u", i);
		c = conn_add_child(engine.conns[0], name);
		assert_non_null(c);
		c->start_action = ACTION_TRAP;
	}
	subscribe(p, "list-conn");
	expect_parts(p, "list-conns", "children", 10001, 4);
}

/* What the socket has, without a turn of the server's loop. */
static size_t read_raw(struct peer *p, uint8_t *to, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size && (n = recv(p->fd, to + len, size - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	return len;
}

/* Packets of this type among whole and cut ones. */
static unsigned count_packets(const uint8_t *bytes, size_t len, enum vici_packet_type type)
{
	unsigned n = 0;

	for (size_t at = 0; at + 5 <= len; at += 4 + be32_get(bytes + at))
		n += bytes[at + 4] == type;
	return n;
}

/* A paused list goes on also when something else than its own turn emptied the queue: here
 * a log line, sent when the client had just read what was there. */
static void test_list_sas_goes_on(void **state)
{
	static uint8_t bytes[4 << 20];
	struct peer *p = &peers[0];
	size_t len = 0;

	(void)state;
	engine.n_sas = 1000;
	subscribe(p, "list-sa");
	subscribe(p, "log");
	send_packet(p, VICI_CMD_REQUEST, "list-sas", none);
	turn();
	len += read_raw(p, bytes, sizeof(bytes));
	assert_int_equal(count_packets(bytes, len, VICI_CMD_RESPONSE), 0);
	control_log(control, LOG_LEVEL_INFO, "ike", "gw", "meanwhile");
	for (unsigned tries = 0; tries < 1000; tries++) {
		turn();
		len += read_raw(p, bytes + len, sizeof(bytes) - len);
	}
	assert_int_equal(count_packets(bytes, len, VICI_CMD_RESPONSE), 1);
	assert_int_equal(count_packets(bytes, len, VICI_EVENT), 1000 + 1);
}

static void test_list_conns(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	subscribe(p, "list-conn");
	send_packet(p, VICI_CMD_REQUEST, "list-conns", none);
	expect(p, VICI_EVENT, "list-conn");
	expect_key(p, "gw.version", "IKEv2");
	expect_key(p, "gw.remote_port", "500");
	expect_key(p, "gw.local-1.class", "pre-shared key");
	expect_key(p, "gw.children.net.mode", "TUNNEL");
	expect_key(p, "gw.children.net.interface", "gw");
	expect_key(p, "gw.interface", "vpn0");
	expect_key(p, "gw.interface-type", "vti");
	expect_key(p, "gw.mark-in", "0000000c");
	expect_key(p, "gw.link", "up");
	expect_key(p, "gw.source", "ipsec.conf:12");
	expect_missing(p, "gw.reason");
	expect(p, VICI_CMD_RESPONSE, NULL);

	shell.tunnel_up = false;
	send_packet(p, VICI_CMD_REQUEST, "list-conns", pairs("ike", "gw", NULL));
	expect(p, VICI_EVENT, "list-conn");
	expect_key(p, "gw.link", "dormant");
	expect_key(p, "gw.reason", "no proposal chosen");
	expect_key(p, "gw.reason-detail", "peer wants MODP_2048");
	expect_key(p, "gw.next-attempt", "7");
	expect_missing(p, "gw.send-error");
	expect(p, VICI_CMD_RESPONSE, NULL);
	shell.unreachable = true;
	send_packet(p, VICI_CMD_REQUEST, "list-conns", pairs("ike", "gw", NULL));
	expect(p, VICI_EVENT, "list-conn");
	expect_key(p, "gw.send-error", "can't send to 192.0.2.2: Network is unreachable");
	expect(p, VICI_CMD_RESPONSE, NULL);
	call(p, "list-conns", pairs("ike", "other", NULL));
}

static void test_list_policies(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	subscribe(p, "list-policy");
	call(p, "list-policies", pairs("trap", "yes", NULL)); /* nothing waits for traffic */
	engine.conns[0]->children[0].start_action = ACTION_TRAP;
	send_packet(p, VICI_CMD_REQUEST, "list-policies",
		    pairs("drop", "yes", "trap", "yes", NULL));
	expect(p, VICI_EVENT, "list-policy");
	expect_key(p, "gw/net.child", "net");
	expect_key(p, "gw/net.ike", "gw");
	expect_key(p, "gw/net.mode", "TUNNEL");
	expect(p, VICI_CMD_RESPONSE, NULL);
	call(p, "list-policies", pairs("drop", "yes", "pass", "yes", NULL));
	call(p, "list-policies", pairs("trap", "yes", "ike", "other", NULL));
	call(p, "list-policies", pairs("trap", "yes", "child", "other", NULL));
}

/* ---- loading ---- */

static struct span conn_body(const char *name)
{
	static uint8_t memory[1024];
	struct buf b = buf_over(memory, sizeof(memory));

	vici_put_section(&b, name);
	for (unsigned i = 0; i < 2; i++) {
		vici_put_section(&b, i ? "local" : "remote");
		vici_put(&b, "auth", "psk");
		vici_put_section_end(&b);
	}
	vici_put_section_end(&b);
	return buf_span(&b);
}

static bool listed(struct peer *p, const char *word)
{
	struct vici_iter it = vici_iter(p->packet.body);
	struct vici_element e;

	while (!vici_next(&it, &e) && e.type != VICI_END) {
		if (e.type == VICI_LIST_ITEM && span_equal(e.value, span_str(word)))
			return true;
	}
	return false;
}

static void test_conns(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	call(p, "load-conn", conn_body("new"));
	expect_key(p, "success", "yes");
	call(p, "get-conns", none);
	assert_true(listed(p, "new"));
	assert_false(listed(p, "gw")); /* the file's */
	call(p, "load-conn", conn_body("gw"));
	expect_key(p, "errmsg", "connection 'gw' is defined at ipsec.conf:12: change it there");
	call(p, "unload-conn", pairs("name", "gw", NULL));
	expect_key(p, "errmsg", "connection 'gw' is defined at ipsec.conf:12: remove it there");
	call(p, "unload-conn", pairs("name", "neww", NULL));
	expect_key(p, "errmsg", "connection 'neww' not found, nearest is 'new'");
	call(p, "unload-conn", pairs("name", "new", NULL));
	expect_key(p, "success", "yes");
	shell.addr_taken = true;
	call(p, "load-conn", conn_body("new"));
	expect_key(p, "errmsg",
		   "connection 'new': interface_ip 10.0.0.1 is that of connection 'gw' already: if "
		   "that is to go, unload it first");
	call(p, "load-conn", pairs("a", "b", NULL));
	expect_key(p, "errmsg", "expected a section: the connection");
	shell.done_at_once = true;
	call(p, "reload-settings", none);
	expect_key(p, "success", "yes");
	shell.refuse = true;
	call(p, "reload-settings", none);
	expect_key(p, "errmsg", "ipsec.conf:3:2: unknown keyword");
}

/* Names that no packet holds: an error that says so, and the client is served on. */
static void test_names_beyond_a_packet(void **state)
{
	struct peer *p = &peers[0];
	char name[256];

	(void)state;
	for (unsigned i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "vici:%0240u", i);
		engine.secrets[engine.n_secrets++] = secret_new(name, SECRET_IKE, span_str("x"));
		add_conn(name, "vici");
	}
	call(p, "get-conns", none);
	expect_key(p, "success", "no");
	expect_key(p, "errmsg",
		   "the connections' names do not fit a packet of 512 KiB: list-conns tells them "
		   "one by one");
	assert_false(listed(p, name));
	call(p, "get-shared", none);
	expect_key(p, "success", "no");
	expect_key(p, "errmsg",
		   "the secrets' names do not fit a packet of 512 KiB: unload-shared and "
		   "clear-creds work without this list");
	assert_non_null(strstr(shell.log, "the connections' names do not fit"));
	call(p, "version", none);
	expect_key(p, "daemon", "ipsecd");
}

/* Another process reads the files: the answer comes when it has. */
static void test_reload_later(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	send_packet(p, VICI_CMD_REQUEST, "reload-settings", none);
	assert_true(quiet(p));
	assert_int_equal(shell.calls, 1);
	reload_over(false);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "errmsg", "ipsec.conf:3:2: unknown keyword");
}

static struct span secret_body(const char *id, const char *owner)
{
	static uint8_t memory[1024];
	struct buf b = buf_over(memory, sizeof(memory));

	if (id)
		vici_put(&b, "id", id);
	vici_put(&b, "type", "ike");
	vici_put(&b, "data", "swordfish");
	vici_put_list(&b, "owners");
	vici_put_item(&b, owner);
	vici_put_list_end(&b);
	return buf_span(&b);
}

static void test_secrets(void **state)
{
	struct peer *p = &peers[0];
	const char *unused;

	(void)state;
	load_secret(NULL, secret_new("ipsec.secrets:1", SECRET_IKE, span_str("x")), &unused);
	call(p, "load-shared", secret_body("ike-1", "a.example.org"));
	expect_key(p, "success", "yes");
	assert_int_equal(engine.secrets[1]->n_owners, 1);
	assert_true(span_equal(span_of(engine.secrets[1]->data, engine.secrets[1]->len),
			       span_str("swordfish")));
	call(p, "load-shared", secret_body(NULL, "%any"));
	expect_key(p, "success", "yes");
	assert_int_equal(engine.secrets[2]->n_owners, 0);
	call(p, "get-shared", none);
	assert_true(listed(p, "ike-1"));
	assert_false(listed(p, "ipsec.secrets:1"));
	call(p, "load-shared", secret_body("x", "@#zz"));
	expect_key(p, "errmsg", "owners: '@#zz' is not an identity");
	call(p, "load-shared", pairs("type", "EAP", "data", "x", NULL));
	expect_key(p, "errmsg", "type=EAP: secrets of this type are not supported yet");
	call(p, "load-shared", pairs("type", "IKE", NULL));
	expect_key(p, "errmsg", "missing data: a secret can't be empty");
	call(p, "unload-shared", pairs("id", "ipsec.secrets:1", NULL));
	expect_key(p, "success", "no");
	call(p, "unload-shared", pairs("id", "ike-1", NULL));
	expect_key(p, "success", "yes");
	call(p, "clear-creds", none);
	expect_key(p, "success", "yes");
	assert_int_equal(engine.n_secrets, 1); /* the file's stays */
	assert_null(strstr(shell.log, "swordfish"));
}

/* What a former process was given without an id is still there: it had the numbers that this one
 * comes to. */
static void test_unnamed_secrets(void **state)
{
	struct peer *p = &peers[0];
	char name[32];
	const char *unused;

	(void)state;
	for (unsigned i = 1; i <= 7; i++) {
		snprintf(name, sizeof(name), "vici:unnamed-%u", i);
		load_secret(NULL, secret_new(name, SECRET_IKE, span_str("x")), &unused);
	}
	call(p, "load-shared", secret_body(NULL, "%any"));
	expect_key(p, "success", "yes");
	assert_int_equal(engine.n_secrets, 8);
	assert_string_equal(engine.secrets[7]->unique, "vici:unnamed-8");
	call(p, "clear-creds", none);
	assert_int_equal(engine.n_secrets, 0);
}

/* ---- actions ---- */

static void test_initiate(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	send_packet(p, VICI_CMD_REQUEST, "initiate", pairs("child", "net", NULL));
	assert_true(quiet(p)); /* waits */
	assert_string_equal(shell.ike, "gw");
	assert_string_equal(shell.child, "net");
	command_done(true);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "success", "yes");

	send_packet(p, VICI_CMD_REQUEST, "initiate", pairs("child", "net", NULL));
	assert_true(quiet(p));
	command_done(false);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "errmsg",
		   "establishing CHILD_SA 'net' failed: no proposal chosen: peer "
		   "wants MODP_2048");
	command_done(true); /* of a command that is answered: nobody is told */
	assert_true(quiet(p));
}

static void test_initiate_at_once(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	call(p, "initiate",
	     pairs("child", "net", "timeout", "-1", "async", "1", "init-limits", "1", "other-host",
		   "192.0.2.2", NULL));
	expect_key(p, "success", "yes");
	assert_int_equal(shell.tag, 0);
	shell.done_at_once = true;
	call(p, "initiate", pairs("child", "net", NULL));
	expect_key(p, "success", "yes");
	shell.done_at_once = false;
	shell.refuse = true;
	call(p, "initiate", pairs("child", "net", NULL));
	expect_key(p, "errmsg", "shutting down");
}

static void test_initiate_refused(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	call(p, "initiate", none);
	expect_key(p, "errmsg", "missing configuration name");
	call(p, "initiate", pairs("child", "nett", NULL));
	expect_key(p, "errmsg", "CHILD_SA config 'nett' not found, nearest is 'net'");
	call(p, "initiate", pairs("child", "nett", "ike", "gw", NULL));
	expect_key(p, "errmsg",
		   "CHILD_SA config 'nett' not found in connection 'gw', nearest is 'net'");
	add_conn("two", "vici");
	assert_non_null(conn_add_child(engine.conns[1], "spare"));
	call(p, "initiate", pairs("child", "spare", "ike", "gw", NULL));
	expect_key(p, "errmsg", "CHILD_SA config 'spare' not found in connection 'gw'");
	call(p, "initiate", pairs("child", "t\xc3\xbcr", NULL)); /* libvici takes ASCII alone */
	expect_key(p, "errmsg", "CHILD_SA config 't??r' not found");
	call(p, "initiate", pairs("ike", "gv", NULL));
	expect_key(p, "errmsg", "IKE_SA config 'gv' not found, nearest is 'gw'");
	call(p, "initiate", pairs("child", "net", "timeout", "soon", NULL));
	expect_key(p, "errmsg", "timeout: not a number from -1 on");
	call(p, "initiate", pairs("child", "net", "other-host", "192.0.2.9", NULL));
	expect_key(p, "errmsg",
		   "other-host=192.0.2.9: only the addresses that the connection "
		   "names can be initiated to yet");
	assert_int_equal(shell.calls, 0);
}

static void test_initiate_timeout(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	send_packet(p, VICI_CMD_REQUEST, "initiate", pairs("child", "net", "timeout", "20", NULL));
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "errmsg", "CHILD_SA 'net' not established after 20ms");
	command_done(true);
	assert_true(quiet(p));
}

static void test_terminate(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	send_packet(p, VICI_CMD_REQUEST, "terminate",
		    pairs("ike", "gw", "force", "yes", "hold", "yes", NULL));
	assert_true(quiet(p));
	assert_true(shell.force && shell.hold);
	engine.n_sas = 0;
	command_done(true);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "success", "yes");
	expect_key(p, "matches", "1");
	expect_key(p, "terminated", "1");

	/* No SA, but it is configured: it is to stay down. */
	send_packet(p, VICI_CMD_REQUEST, "terminate", pairs("ike", "gw", NULL));
	assert_true(quiet(p));
	command_done(true);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "matches", "0");
	call(p, "terminate", pairs("child", "other", NULL));
	expect_key(p, "errmsg", "no matching SAs to terminate found");
	call(p, "terminate", pairs("ike-id", "5", NULL));
	expect_key(p, "errmsg", "no matching SAs to terminate found");
	call(p, "terminate", none);
	expect_key(p, "errmsg", "missing terminate selector");
}

static void test_rekey(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	send_packet(p, VICI_CMD_REQUEST, "rekey", pairs("child-id", "9", NULL));
	assert_true(quiet(p));
	assert_int_equal(shell.select.child_id, 9);
	command_done(true);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "success", "yes");
	expect_key(p, "matches", "1");
	expect_missing(p, "terminated");
	assert_false(shell.reauth);
	send_packet(p, VICI_CMD_REQUEST, "rekey", pairs("ike", "gw", "reauth", "yes", NULL));
	assert_true(quiet(p));
	assert_true(shell.reauth);
	command_done(true);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "success", "yes");
	call(p, "rekey", pairs("child", "net", "reauth", "yes", NULL));
	expect_key(p, "errmsg",
		   "reauth: it is IKE_SAs that are reauthenticated, with all their CHILD_SAs");
	call(p, "rekey", pairs("child-id", "8", NULL));
	expect_key(p, "errmsg", "no matching SAs to rekey found");
}

/* ---- events ---- */

static struct ike_output event(enum ike_event_kind kind)
{
	struct ike_output out = {.kind = IKE_OUTPUT_EVENT,
				 .event = kind,
				 .have_ike = true,
				 .have_child = true,
				 .ike = sa,
				 .ike_old = sa,
				 .sa = child,
				 .sa_old = child};

	out.sa_old.id = 8;
	out.sa_old.state = "REKEYED";
	out.ike_old.id = 4;
	return out;
}

static void raise_event(enum ike_event_kind kind)
{
	struct ike_output out = event(kind);

	control_event(control, &out);
}

static void test_events(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	subscribe(p, "ike-updown");
	subscribe(p, "child-updown");
	subscribe(p, "ike-rekey");
	subscribe(p, "child-rekey");
	raise_event(IKE_EVENT_IKE_UP);
	expect(p, VICI_EVENT, "ike-updown");
	expect_key(p, "up", "yes");
	expect_key(p, "gw.uniqueid", "5");
	raise_event(IKE_EVENT_CHILD_UP);
	expect(p, VICI_EVENT, "child-updown");
	expect_key(p, "up", "yes");
	expect_key(p, "gw.child-sas.net-9.uniqueid", "9");
	raise_event(IKE_EVENT_CHILD_REKEYED);
	expect(p, VICI_EVENT, "child-rekey");
	expect_key(p, "gw.child-sas.net.old.uniqueid", "8");
	expect_key(p, "gw.child-sas.net.new.uniqueid", "9");
	raise_event(IKE_EVENT_IKE_REKEYED);
	expect(p, VICI_EVENT, "ike-rekey");
	expect_key(p, "gw.old.uniqueid", "4");
	expect_key(p, "gw.new.uniqueid", "5");
	raise_event(IKE_EVENT_CHILD_DOWN);
	expect(p, VICI_EVENT, "child-updown");
	expect_missing(p, "up");
	raise_event(IKE_EVENT_IKE_DOWN);
	expect(p, VICI_EVENT, "ike-updown");
	expect_missing(p, "up");
	assert_true(quiet(&peers[1])); /* registered for nothing */
	send_packet(p, VICI_EVENT_UNREGISTER, "ike-updown", none);
	expect(p, VICI_EVENT_CONFIRM, NULL);
	raise_event(IKE_EVENT_IKE_UP);
	assert_true(quiet(p));
}

static void test_nhrp_events(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	subscribe(p, "child-state-installed");
	subscribe(p, "child-state-rekeyed");
	subscribe(p, "child-state-destroying");
	raise_event(IKE_EVENT_CHILD_UP);
	expect(p, VICI_EVENT, "child-state-installed");
	expect_key(p, "gw.child-sas.net-9.state", "INSTALLED");
	expect_key(p, "gw.remote-host", "192.0.2.2");
	raise_event(IKE_EVENT_CHILD_REKEYED);
	expect(p, VICI_EVENT, "child-state-installed");
	expect(p, VICI_EVENT, "child-state-rekeyed");
	expect_key(p, "gw.child-sas.net-8.state", "REKEYED");
	raise_event(IKE_EVENT_CHILD_DOWN);
	expect(p, VICI_EVENT, "child-state-destroying");
}

static void test_link(void **state)
{
	struct peer *p = &peers[0];
	struct control_tunnel t;

	(void)state;
	tunnel(NULL, "gw", &t);
	subscribe(p, "link-updown");
	control_link(control, "gw", &t, false, "peer is dead");
	/* Without a turn of the loop: it must be out before the link changes. */
	assert_int_equal(recv(p->fd, p->body, 4, MSG_PEEK | MSG_DONTWAIT), 4);
	expect(p, VICI_EVENT, "link-updown");
	expect_missing(p, "up");
	expect_key(p, "gw.interface", "vpn0");
	expect_key(p, "gw.ifindex", "7");
	expect_key(p, "gw.link", "dormant");
	expect_key(p, "gw.reason", "peer is dead");
	control_link(control, "gw", &t, true, "");
	expect(p, VICI_EVENT, "link-updown");
	expect_key(p, "up", "yes");
	expect_key(p, "gw.link", "up");
	control_link(NULL, "gw", &t, true, ""); /* no socket: nothing happens */
}

static void test_link_suspect(void **state)
{
	struct ike_output out = {.kind = IKE_OUTPUT_EVENT,
				 .event = IKE_EVENT_SUSPECT,
				 .conn = "gw",
				 .suspicion = IKE_SUSPECT_ICMP_HOST};
	struct peer *p = &peers[0];

	(void)state;
	control_event(control, &out); /* nobody listens */
	subscribe(p, "link-suspect");
	control_event(control, &out);
	expect(p, VICI_EVENT, "link-suspect");
	expect_key(p, "gw.interface", "vpn0");
	expect_key(p, "gw.up", "no");
	expect_key(p, "gw.reason", "ICMP: host unreachable");
	out.ok = true;
	control_event(control, &out);
	expect(p, VICI_EVENT, "link-suspect");
	expect_key(p, "gw.up", "yes");
}

static void test_logs(void **state)
{
	struct peer *p = &peers[0], *watcher = &peers[1];

	(void)state;
	subscribe(watcher, "log");
	subscribe(p, "control-log");
	control_log(control, LOG_LEVEL_INFO, "ike", "gw", "before"); /* no command active */
	expect(watcher, VICI_EVENT, "log");
	expect_key(watcher, "group", "IKE");
	expect_key(watcher, "ikesa-name", "gw");
	expect_key(watcher, "msg", "before");
	send_packet(p, VICI_CMD_REQUEST, "initiate", pairs("child", "net", "loglevel", "1", NULL));
	assert_true(quiet(p));
	control_log(control, LOG_LEVEL_INFO, "ike", "other", "another connection's");
	control_log(control, LOG_LEVEL_DEBUG, "ike", "gw", "too detailed");
	control_log(control, LOG_LEVEL_INFO, "ike", "gw", "sending IKE_SA_INIT");
	expect(p, VICI_EVENT, "control-log");
	expect_key(p, "msg", "sending IKE_SA_INIT");
	expect_key(p, "level", "1");
	command_done(true);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect(watcher, VICI_EVENT, "log");
	expect_key(watcher, "msg", "another connection's");
	expect(watcher, VICI_EVENT, "log"); /* debug is not for this event */
	expect_key(watcher, "msg", "sending IKE_SA_INIT");
}

/* ---- bad and slow clients ---- */

static void test_pipelined(void **state)
{
	struct peer *p = &peers[0];

	(void)state;
	send_packet(p, VICI_CMD_REQUEST, "initiate", pairs("child", "net", NULL));
	send_packet(p, VICI_CMD_REQUEST, "version", none);
	send_packet(p, VICI_CMD_REQUEST, "get-conns", none);
	assert_true(quiet(p)); /* one command at a time */
	command_done(true);
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "success", "yes");
	expect(p, VICI_CMD_RESPONSE, NULL);
	expect_key(p, "daemon", "ipsecd");
	expect(p, VICI_CMD_RESPONSE, NULL);
}

static void check_dropped(const void *bytes, size_t n)
{
	struct peer *p = &peers[0];
	uint64_t before = control_counters(control)->dropped_malformed;

	send_bytes(p, bytes, n);
	assert_false(receive(p));
	assert_true(control_counters(control)->dropped_malformed == before + 1);
	close_peer(p);
	connect_peer(p);
	call(&peers[1], "version", none); /* the other one is not touched */
}

static void test_malformed(void **state)
{
	(void)state;
	check_dropped("\0\0\0\0", 4);		      /* empty packet */
	check_dropped("\0\0\0\1\x42", 5);	      /* unknown type */
	check_dropped("\0\0\0\1\1", 5);		      /* a response from a client */
	check_dropped("\0\0\0\2\0\0", 6);	      /* no name */
	check_dropped("\0\0\0\4\0\7ve", 8);	      /* name past the end */
	check_dropped("\0\0\0\x0a\0\7version\2", 14); /* end without a start */
	check_dropped("\0\x08\0\1", 4);		      /* more than 512 KiB announced */
	check_dropped("\xff\xff\xff\xff", 4);
	assert_non_null(strstr(shell.log, "malformed packet: sections and lists are not balanced "
					  "at offset 9"));
}

/* A watcher that never reads is dropped at its bound, and the others live on. */
static void test_slow(void **state)
{
	char text[900];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	subscribe(&peers[1], "log");
	for (unsigned i = 0; i < 20000; i++)
		control_log(control, LOG_LEVEL_INFO, "ike", "gw", text);
	assert_int_equal(control_counters(control)->dropped_slow, 1);
	assert_non_null(strstr(shell.log, "client dropped: it does not read"));
	call(&peers[0], "version", none);
}

/* It asks for a long list, reads nothing and leaves. */
static void test_leaves(void **state)
{
	(void)state;
	engine.n_sas = 20000;
	subscribe(&peers[1], "list-sa");
	send_packet(&peers[1], VICI_CMD_REQUEST, "list-sas", none);
	turn();
	turn();
	close_peer(&peers[1]);
	send_packet(&peers[0], VICI_CMD_REQUEST, "initiate", pairs("child", "net", NULL));
	assert_true(quiet(&peers[0]));
	close_peer(&peers[0]);
	command_done(true); /* nobody waits any more */
	connect_peer(&peers[0]);
	call(&peers[0], "version", none);
}

static void test_many_clients(void **state)
{
	static int fds[300];
	char why[200];
	unsigned open_count = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		fds[i] = vici_client_socket(path, why, sizeof(why));
		turn();
		open_count += fds[i] >= 0;
	}
	assert_true(open_count == 300);
	assert_non_null(strstr(shell.log, "client refused: 256 are connected"));
	call(&peers[0], "version", none);
	for (unsigned i = 0; i < 300; i++)
		close(fds[i]);
	turn();
	turn();
	close_peer(&peers[1]);
	connect_peer(&peers[1]);
	call(&peers[1], "version", none);
}

/* ---- the socket ---- */

static void test_second_daemon(void **state)
{
	struct control_host h = host();
	char why[200], want[200];

	(void)state;
	assert_null(control_open(path, &h, why, sizeof(why)));
	snprintf(want, sizeof(want),
		 "another daemon runs with this socket: process %d holds %s.lock", (int)getpid(),
		 path);
	assert_string_equal(why, want);
	call(&peers[0], "version", none); /* the first one was not disturbed */
}

static void test_socket_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0770);
}

static int listen_at(const char *at)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink(at);
	memcpy((char *)&ss + offsetof(struct sockaddr, sa_data), at, strlen(at));
	assert_int_equal(
		bind(fd, (struct sockaddr *)&ss, (socklen_t)(sizeof(sa_family_t) + strlen(at) + 1)),
		0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_stale_socket(void **state)
{
	struct control_host h;
	char why[200], at[80];
	struct control *c;
	FILE *file;
	int fd;

	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO);
	h = host();
	snprintf(at, sizeof(at), "/tmp/test-control-stale-%d", (int)getpid());
	fd = listen_at(at);
	assert_null(control_open(at, &h, why, sizeof(why))); /* strongSwan, say */
	assert_non_null(strstr(why, "another daemon answers at"));
	close(fd);
	c = control_open(at, &h, why, sizeof(why)); /* it died and left the socket */
	assert_non_null(c);
	control_close(c);
	file = fopen(at, "w");
	assert_non_null(file);
	fclose(file);
	assert_null(control_open(at, &h, why, sizeof(why)));
	assert_non_null(strstr(why, "is in the way and is not a socket"));
	unlink(at);
	assert_null(control_open("/nonexistent/dir/x", &h, why, sizeof(why)));
	assert_string_equal(why, "/nonexistent/dir/x.lock: No such file or directory");
	ev_loop_destroy(loop);
}

#define WITH_SERVER(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_reports),
		WITH_SERVER(test_empty_kinds),
		WITH_SERVER(test_pools),
		WITH_SERVER(test_pools_many),
		WITH_SERVER(test_list_sas),
		WITH_SERVER(test_list_sas_filters),
		WITH_SERVER(test_list_sas_many),
		WITH_SERVER(test_list_sas_of_a_large_one),
		WITH_SERVER(test_list_conns_of_a_large_one),
		WITH_SERVER(test_list_sas_goes_on),
		WITH_SERVER(test_list_conns),
		WITH_SERVER(test_list_policies),
		WITH_SERVER(test_conns),
		WITH_SERVER(test_names_beyond_a_packet),
		WITH_SERVER(test_secrets),
		WITH_SERVER(test_unnamed_secrets),
		WITH_SERVER(test_reload_later),
		WITH_SERVER(test_initiate),
		WITH_SERVER(test_initiate_at_once),
		WITH_SERVER(test_initiate_refused),
		WITH_SERVER(test_initiate_timeout),
		WITH_SERVER(test_terminate),
		WITH_SERVER(test_rekey),
		WITH_SERVER(test_events),
		WITH_SERVER(test_nhrp_events),
		WITH_SERVER(test_link),
		WITH_SERVER(test_link_suspect),
		WITH_SERVER(test_logs),
		WITH_SERVER(test_pipelined),
		WITH_SERVER(test_malformed),
		WITH_SERVER(test_slow),
		WITH_SERVER(test_leaves),
		WITH_SERVER(test_many_clients),
		WITH_SERVER(test_second_daemon),
		WITH_SERVER(test_socket_mode),
		cmocka_unit_test(test_stale_socket),
	};

	peers[0].fd = peers[1].fd = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
