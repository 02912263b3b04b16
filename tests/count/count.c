/* What `make count` counts the instructions of (tests/count/run, under callgrind): one handshake of
 * two engines, IKE_SA and CHILD_SA at both ends, with records for a next process; 1,000 packets of
 * 1,000 bytes from one userspace plane to another. Each is done twice. The same instructions in
 *each run: bytes that are random elsewhere are counted up here, and the time stands still. count
 *handshake|packets */
#include "ipsecd/dataplane/forward.h"
#include "ipsecd/ike/engine.h"
#include "tests/support/esp_runs.h"

#include "lib/buf.h"

#include <stdio.h>
#include <stdlib.h>

#define QUEUE	     8
#define DATAGRAM_MAX 4096
#define PACKETS	     1000
#define PACKET_LEN   1000

void count_handshake(unsigned n);
void count_packets(void);

static const mono_time now = MONO_S;

static void die(const char *what)
{
	fprintf(stderr, "count: %s\n", what);
	exit(1);
}

static void counted_up(void *ctx, void *dst, size_t n)
{
	static uint8_t last;
	uint8_t *bytes = dst;

	(void)ctx;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(++last ^ i);
}

/* ---- a handshake ---- */

struct datagram {
	struct ike_path path; /* as the receiver sees it */
	size_t len;
	uint8_t bytes[DATAGRAM_MAX];
};

static struct node {
	struct ike_engine *engine;
	struct datagram in[QUEUE];
	unsigned n_in, children;
} nodes[2];

static void command(struct node *node, struct ike_command c)
{
	const char *error = NULL;

	if (!ike_engine_command(node->engine, &c, &error, now))
		die(error ? error : "command");
}

static void set_end(struct host *host, struct id *id, unsigned side, unsigned n)
{
	char text[32];

	*host = (struct host){
		.kind = HOST_ADDR,
		.addr = {.family = AF_INET, .bytes = {10, (uint8_t)side, 0, (uint8_t)n}}};
	snprintf(text, sizeof(text), "side%u-%u.example", side, n);
	if (!id_parse(text, id))
		die("identity");
}

static void set_proposals(const struct proposal_list **shared, enum proposal_protocol protocol,
			  const char *words)
{
	struct proposal_list l;
	size_t at, len;

	if (proposal_list_parse(protocol, words, &l, &at, &len) != PROPOSAL_OK ||
	    !proposals_set(shared, &l))
		die("proposal");
}

static void load(unsigned side, unsigned n)
{
	char name[16];
	struct conn *conn;
	struct child_config *child;

	snprintf(name, sizeof(name), "peer%u", n);
	conn = conn_new(name);
	child = conn ? conn_add_child(conn, "net") : NULL;
	if (!child)
		die("out of memory");
	set_end(&conn->local[0], &conn->local_id, side, n);
	set_end(&conn->remote[0], &conn->remote_id, !side, n);
	conn->remote_id_set = true;
	child->local_ts.n = child->remote_ts.n = 1;
	if (!ts_parse(side ? "172.17.0.0/16" : "172.16.0.0/16", &child->local_ts.ts[0]) ||
	    !ts_parse(side ? "172.16.0.0/16" : "172.17.0.0/16", &child->remote_ts.ts[0]))
		die("selector");
	set_proposals(&conn->proposals, PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519");
	set_proposals(&child->proposals, PROTOCOL_ESP, "aes128gcm16");
	command(&nodes[side],
		(struct ike_command){.kind = IKE_COMMAND_LOAD_CONN, .conn = conn, .tunnel = n + 1});
}

static void open_node(unsigned side)
{
	const struct ike_env env = {.crypto = &crypto_openssl, .random = counted_up};
	const struct ike_settings settings = {.encap_default = true, .publish = true};
	struct secret *secret = secret_new("all", SECRET_IKE, span_str("to be counted"));

	nodes[side].engine = ike_engine_new(&env, &settings);
	if (!nodes[side].engine || !secret)
		die("out of memory");
	command(&nodes[side],
		(struct ike_command){.kind = IKE_COMMAND_LOAD_SECRET, .secret = secret});
	for (unsigned n = 0; n < 2; n++)
		load(side, n);
}

static void pull(struct node *node, struct node *peer)
{
	struct ike_output out;
	struct ike_record record;

	while (ike_engine_publish(node->engine, &record))
		;
	while (ike_engine_next(node->engine, &out)) {
		struct datagram *d = &peer->in[peer->n_in];

		node->children += out.kind == IKE_OUTPUT_CHILD_INSTALL;
		if (out.kind != IKE_OUTPUT_SEND)
			continue;
		if (peer->n_in == QUEUE || out.datagram.len > DATAGRAM_MAX)
			die("more or longer datagrams than a handshake has");
		d->path = (struct ike_path){.local = out.path.remote, .remote = out.path.local};
		d->len = out.datagram.len;
		memcpy(d->bytes, out.datagram.ptr, d->len);
		peer->n_in++;
	}
}

static bool feed(struct node *node, struct node *peer)
{
	unsigned n = node->n_in;

	node->n_in = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct datagram *d = &node->in[i];

		ike_engine_datagram(node->engine, &d->path, span_of(d->bytes, d->len), now);
		pull(node, peer);
	}
	return n > 0;
}

__attribute__((noinline)) void count_handshake(unsigned n)
{
	struct ike_command c = {.kind = IKE_COMMAND_INITIATE};
	char name[16];

	snprintf(name, sizeof(name), "peer%u", n);
	c.select.ike = name;
	command(&nodes[0], c);
	pull(&nodes[0], &nodes[1]);
	while (feed(&nodes[1], &nodes[0]) || feed(&nodes[0], &nodes[1]))
		;
}

static void handshake(void)
{
	open_node(0);
	open_node(1);
	count_handshake(0);
	count_handshake(1);
	if (nodes[0].children != 2 || nodes[1].children != 2)
		die("a handshake did not end with a CHILD_SA at both ends");
	ike_engine_free(nodes[0].engine);
	ike_engine_free(nodes[1].engine);
}

/* ---- packets ---- */

static struct plane {
	struct forward f;
	struct forward_tunnel tunnel;
} planes[2];

static unsigned delivered;

static bool carry(void *ctx, const struct esp_run *run, struct span esp)
{
	static uint8_t packet[2 * PACKET_LEN];

	(void)ctx;
	if (esp.len > sizeof(packet))
		die("a packet is longer than it can be");
	memcpy(packet, esp.ptr, esp.len);
	forward_input(&planes[1].f.lane, run->to, run->from, run->tos, packet, esp.len, esp.len,
		      now);
	forward_flush(&planes[1].f.lane, now);
	return true;
}

static void take_sent(void *ctx, struct esp_run *runs, size_t n)
{
	esp_runs_each(runs, n, carry, ctx);
}

static bool take_delivered(struct forward_tunnel *tunnel, const struct iovec *iov, size_t n)
{
	(void)tunnel;
	(void)iov;
	(void)n;
	delivered++;
	return true;
}

static void no_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	(void)event;
}

static void open_plane(unsigned side)
{
	const struct dataplane_host host = {.send_esp = take_sent,
					    .event = no_event,
					    .crypto = &crypto_openssl,
					    .random = counted_up};
	const struct area_tunnel as = {.id = 1, .config.name = "t"};
	struct child_sa c = {.id = 1,
			     .tunnel = 1,
			     .spi_in = 0x1000 + side,
			     .spi_out = 0x1000 + !side,
			     .encr_id = ENCR_AES_GCM_16,
			     .encr_key_bits = 128,
			     .udp_encap = true,
			     .outbound = true,
			     .replay_window = 64,
			     .local = {.addr.family = AF_INET},
			     .remote = {.addr.family = AF_INET},
			     .local_ts.n = 1,
			     .remote_ts.n = 1,
			     .in.encr_len = 20,
			     .out.encr_len = 20};
	struct plane *p = &planes[side];

	forward_init(&p->f, &host, take_delivered);
	if (!ts_parse("10.0.0.0/8", &c.local_ts.ts[0]))
		die("selector");
	c.remote_ts = c.local_ts;
	if (forward_tunnel_add(&p->f, &p->tunnel, 1, "t") != DATAPLANE_OK ||
	    forward_tunnel_keep(&p->f, &p->tunnel, &as) != DATAPLANE_OK ||
	    forward_child_install(&p->f, &c) != DATAPLANE_OK)
		die(p->f.error);
}

__attribute__((noinline)) void count_packets(void)
{
	static uint8_t packet[PACKET_LEN];
	const struct forward_packet p = {.data = packet, .len = PACKET_LEN};

	packet[0] = 0x45;
	packet[9] = 47; /* is joined with no other */
	packet[12] = packet[16] = 10;
	be16_set(packet + 2, PACKET_LEN);
	for (unsigned i = 0; i < PACKETS; i++) {
		forward_output(&planes[0].f.lane, &planes[0].tunnel, &p, now);
		forward_flush(&planes[0].f.lane, now);
	}
}

static void packets(void)
{
	open_plane(0);
	open_plane(1);
	count_packets();
	count_packets();
	if (delivered != 2 * PACKETS)
		die("not all packets arrived");
	for (unsigned side = 0; side < 2; side++) {
		forward_tunnel_remove(&planes[side].f, &planes[side].tunnel);
		forward_release(&planes[side].f);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "handshake") == 0)
		handshake();
	else if (argc == 2 && strcmp(argv[1], "packets") == 0)
		packets();
	else
		die("usage: count handshake|packets");
	return 0;
}
