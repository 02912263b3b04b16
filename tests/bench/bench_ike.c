/* What an IKE_SA with its first CHILD_SA costs, without sockets and data plane: an
 * initiator's and a responder's engine in one process, OpenSSL, PSK, x25519,
 * aes128gcm16-prfsha256, one connection for each peer, one handshake after another.
 * Prints JSON: CPU time of each side's engine for an SA, by number of SAs already
 * there, and of the two X25519 operations alone, which nobody can do without.
 *	bench_ike [SAS] */
#include "ipsecd/crypto/crypto.h"
#include "ipsecd/ike/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STEPS	     10
#define QUEUE	     8
#define DATAGRAM_MAX 4096
#define KE_ROUNDS    1000

struct datagram {
	struct ike_path path; /* as the receiver sees it */
	size_t len;
	uint8_t bytes[DATAGRAM_MAX];
};

struct node {
	struct ike_engine *engine;
	struct datagram in[QUEUE];
	unsigned n_in;
	unsigned children;
	double cpu; /* seconds in the engine */
};

static struct node initiator, responder;
static const mono_time now = MONO_S; /* 0 means "not planned"; no timer is to run out */

static void die(const char *what)
{
	fprintf(stderr, "bench_ike: %s\n", what);
	exit(1);
}

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- configuration: peer n has addresses, identities and selectors of its own ---- */

static struct addr address(unsigned side, unsigned n)
{
	struct addr a = {.family = AF_INET, .bytes = {10, (uint8_t)side}};

	a.bytes[2] = (uint8_t)(n >> 8);
	a.bytes[3] = (uint8_t)n;
	return a;
}

static void set_id(struct id *id, unsigned side, unsigned n)
{
	char text[32];

	snprintf(text, sizeof(text), "side%u-%u.example", side, n);
	if (!id_parse(text, id))
		die("identity");
}

static void set_selector(struct ts_list *l, unsigned side, unsigned n)
{
	char text[32];

	snprintf(text, sizeof(text), "172.%u.%u.%u/32", 16 + side, n >> 8, n & 255);
	l->n = 1;
	if (!ts_parse(text, &l->ts[0]))
		die("selector");
}

static void set_proposals(struct proposal_list *l, enum proposal_protocol protocol,
			  const char *words)
{
	size_t at, len;

	l->n = 0;
	if (proposal_list_parse(protocol, words, l, &at, &len) != PROPOSAL_OK)
		die("proposal");
}

static void command(struct node *node, const struct ike_command *c)
{
	const char *error = NULL;

	if (!ike_engine_command(node->engine, c, &error, now))
		die(error ? error : "command");
}

static void load(struct node *node, unsigned side, unsigned n)
{
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_CONN, .tunnel = n + 1};
	struct child_config *child;
	char name[16];

	snprintf(name, sizeof(name), "peer%u", n);
	c.conn = conn_new(name);
	child = c.conn ? conn_add_child(c.conn, "net") : NULL;
	if (!child)
		die("out of memory");
	c.conn->local[0] = (struct host){.kind = HOST_ADDR, .addr = address(side, n)};
	c.conn->remote[0] = (struct host){.kind = HOST_ADDR, .addr = address(!side, n)};
	set_id(&c.conn->local_id, side, n);
	set_id(&c.conn->remote_id, !side, n);
	c.conn->remote_id_set = true;
	set_selector(&child->local_ts, side, n);
	set_selector(&child->remote_ts, !side, n);
	set_proposals(&c.conn->proposals, PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519");
	set_proposals(&child->proposals, PROTOCOL_ESP, "aes128gcm16");
	command(node, &c);
}

static void node_open(struct node *node)
{
	struct ike_env env = {.crypto = &crypto_openssl, .random = crypto_random};
	struct ike_settings settings = {.encap_always = true};
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_SECRET};

	node->engine = ike_engine_new(&env, &settings);
	c.secret = secret_new("all", SECRET_IKE, span_str("for a measurement only"));
	if (!node->engine || !c.secret)
		die("out of memory");
	command(node, &c);
}

/* ---- handshakes ---- */

static void pull(struct node *node, struct node *peer)
{
	struct ike_output out;
	struct datagram *d;

	while (ike_engine_next(node->engine, &out)) {
		node->children += out.kind == IKE_OUTPUT_CHILD_INSTALL;
		if (out.kind != IKE_OUTPUT_SEND)
			continue;
		if (peer->n_in == QUEUE || out.datagram.len > DATAGRAM_MAX)
			die("more or longer datagrams than a handshake has");
		d = &peer->in[peer->n_in++];
		d->path = (struct ike_path){.local = out.path.remote, .remote = out.path.local};
		d->len = out.datagram.len;
		memcpy(d->bytes, out.datagram.ptr, d->len);
	}
}

static bool feed(struct node *node, struct node *peer)
{
	double start = cpu_now();
	bool any = node->n_in > 0;

	for (unsigned i = 0; i < node->n_in; i++) {
		const struct datagram *d = &node->in[i];

		ike_engine_datagram(node->engine, &d->path, span_of(d->bytes, d->len), now);
		pull(node, peer);
	}
	node->n_in = 0;
	node->cpu += cpu_now() - start;
	return any;
}

static void handshake(unsigned n)
{
	struct ike_command c = {.kind = IKE_COMMAND_INITIATE};
	double start = cpu_now();
	char name[16];

	snprintf(name, sizeof(name), "peer%u", n);
	c.select.ike = name;
	command(&initiator, &c);
	pull(&initiator, &responder);
	initiator.cpu += cpu_now() - start;
	while (feed(&responder, &initiator) || feed(&initiator, &responder))
		;
	if (initiator.children != n + 1 || responder.children != n + 1)
		die("a handshake did not end with a CHILD_SA at both ends");
}

/* ---- the floor: a key pair and a shared secret ---- */

static double x25519_ms(void)
{
	uint8_t random[CRYPTO_KE_RANDOM], peer[32], own[32], shared[32];
	struct crypto_ke *ke;
	double start;

	crypto_random(NULL, random, sizeof(random));
	ke = crypto_openssl.ke_new(KE_CURVE25519, random, peer);
	crypto_openssl.ke_free(ke);
	start = cpu_now();
	for (unsigned i = 0; i < KE_ROUNDS; i++) {
		crypto_random(NULL, random, sizeof(random));
		ke = crypto_openssl.ke_new(KE_CURVE25519, random, own);
		if (!ke || !crypto_openssl.ke_derive(ke, span_of(peer, sizeof(peer)), shared))
			die("x25519");
		crypto_openssl.ke_free(ke);
	}
	return (cpu_now() - start) / KE_ROUNDS * 1e3;
}

/* One line: the mean of `step` handshakes, of which `n` is the first. */
static void run_step(unsigned n, unsigned step)
{
	double before_i = initiator.cpu, before_r = responder.cpu;

	for (unsigned i = 0; i < step; i++)
		handshake(n + i);
	printf("%s\n {\"sas\": %u, \"initiator_ms\": %.4f, \"responder_ms\": %.4f}", n ? "," : "",
	       n + step, (initiator.cpu - before_i) / step * 1e3,
	       (responder.cpu - before_r) / step * 1e3);
}

int main(int argc, char **argv)
{
	unsigned sas = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5000, step = sas / STEPS;

	if (step == 0 || sas > 65536)
		die("usage: bench_ike [10..65536]");
	node_open(&initiator);
	node_open(&responder);
	for (unsigned n = 0; n < sas; n++) {
		load(&initiator, 0, n);
		load(&responder, 1, n);
	}
	printf("{\"x25519_ms\": %.4f, \"steps\": [", x25519_ms());
	for (unsigned n = 0; n < step * STEPS; n += step)
		run_step(n, step);
	printf("]}\n");
	ike_engine_free(initiator.engine);
	ike_engine_free(responder.engine);
	return 0;
}
