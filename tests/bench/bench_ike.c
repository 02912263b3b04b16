/* What an IKE_SA with its first CHILD_SA costs a responder, without sockets and data plane:
 * its engine with OpenSSL and the codec, PSK, x25519, aes128gcm16-prfsha256, one connection
 * for each peer, one handshake after another. The initiators' engine is another process.
 *	bench_ike SAS [publish]		SAS connections are loaded; publish: its records are
 *					written after each input, as for a daemon that survives
 * Each line of standard input is a number of handshakes to do; the answer is a line of JSON:
 *	sas		how many the responder has then
 *	responder_ms	CPU time of the responder's engine for each of these
 *	initiator_ms	the same of the initiators'
 *	rss_anon_kib	memory of the responder's process
 * The first line tells the CPU time of the two X25519 operations that nobody can do without. */
#include "ipsecd/crypto/crypto.h"
#include "ipsecd/ike/engine.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_MAX 4096
#define KE_ROUNDS    1000
#define SAS_MAX	     65536
#define INITIATORS   1000 /* with one engine: theirs is not what is measured */

/* Between the two processes. One without bytes tells the initiators how many handshakes to do,
 * and the responder that these are done. */
struct datagram {
	struct ike_path path; /* as the receiver sees it */
	uint32_t handshakes;
	double cpu; /* what the initiators' engine took for them, seconds */
	uint32_t len;
	uint8_t bytes[DATAGRAM_MAX];
};

struct node {
	struct ike_engine *engine;
	int fd; /* to the other one */
	bool publish;
	uint32_t children;
	double cpu; /* seconds in the engine */
};

static const mono_time now = MONO_S; /* 0 means "not planned"; no timer is to run out */

static _Noreturn void die(const char *what)
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

static void set_proposals(const struct proposal_list **shared, enum proposal_protocol protocol,
			  const char *words)
{
	struct proposal_list l;
	size_t at, len;

	if (proposal_list_parse(protocol, words, &l, &at, &len) != PROPOSAL_OK ||
	    !proposals_set(shared, &l))
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

/* With the connections of n peers from the first one on. */
static void node_open(struct node *node, unsigned side, unsigned first, unsigned n)
{
	struct ike_env env = {.crypto = &crypto_openssl, .random = crypto_random};
	struct ike_settings settings = {.encap_default = true, .publish = node->publish};
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_SECRET};

	node->engine = ike_engine_new(&env, &settings);
	c.secret = secret_new("all", SECRET_IKE, span_str("for a measurement only"));
	if (!node->engine || !c.secret)
		die("out of memory");
	command(node, &c);
	for (unsigned i = 0; i < n; i++)
		load(node, side, first + i);
}

/* ---- datagrams ---- */

static void tell(const struct node *node, const struct datagram *d)
{
	size_t len = offsetof(struct datagram, bytes) + d->len;

	if (send(node->fd, d, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("the other process is gone");
}

/* false: the other process has ended. */
static bool hear(const struct node *node, struct datagram *d)
{
	ssize_t n = recv(node->fd, d, sizeof(*d), 0);

	if (n < 0)
		die(strerror(errno));
	return n > 0;
}

/* What the engine wants after an input; the time for its way to the other process is not its. */
static void pull(struct node *node)
{
	static struct datagram d;
	struct ike_record record;
	struct ike_output out;
	double start = cpu_now();

	while (node->publish && ike_engine_publish(node->engine, &record))
		;
	while (ike_engine_next(node->engine, &out)) {
		node->children += out.kind == IKE_OUTPUT_CHILD_INSTALL;
		if (out.kind != IKE_OUTPUT_SEND)
			continue;
		if (out.datagram.len > DATAGRAM_MAX)
			die("a longer datagram than a handshake has");
		d.path = (struct ike_path){.local = out.path.remote, .remote = out.path.local};
		d.len = (uint32_t)out.datagram.len;
		memcpy(d.bytes, out.datagram.ptr, d.len);
		node->cpu += cpu_now() - start;
		tell(node, &d);
		start = cpu_now();
	}
	node->cpu += cpu_now() - start;
}

static void feed(struct node *node, const struct datagram *d)
{
	double start = cpu_now();

	ike_engine_datagram(node->engine, &d->path, span_of(d->bytes, d->len), now);
	node->cpu += cpu_now() - start;
	pull(node);
}

/* ---- the initiators' process ---- */

/* An engine ends without telling its peers: the responder's SAs stay. */
static void initiate(struct node *node, unsigned n)
{
	static struct datagram d;
	struct ike_command c = {.kind = IKE_COMMAND_INITIATE};
	double start;
	char name[16];

	if (n % INITIATORS == 0) {
		ike_engine_free(node->engine);
		node_open(node, 0, n, INITIATORS);
	}
	start = cpu_now();
	snprintf(name, sizeof(name), "peer%u", n);
	c.select.ike = name;
	command(node, &c);
	node->cpu += cpu_now() - start;
	pull(node);
	while (node->children <= n) {
		if (!hear(node, &d))
			exit(0);
		feed(node, &d);
	}
}

static void run_initiators(struct node *node)
{
	static struct datagram d;

	while (hear(node, &d)) {
		unsigned first = node->children;
		double before = node->cpu;

		for (unsigned i = 0; i < d.handshakes; i++)
			initiate(node, first + i);
		tell(node, &(struct datagram){.cpu = node->cpu - before});
	}
}

/* ---- the responder's ---- */

static unsigned rss_anon_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "RssAnon: %u", &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib;
}

static void run_responder(struct node *node, unsigned handshakes)
{
	static struct datagram d;
	unsigned before = node->children;
	double cpu = node->cpu;

	tell(node, &(struct datagram){.handshakes = handshakes});
	while (hear(node, &d) && d.len)
		feed(node, &d);
	if (node->children != before + handshakes)
		die("a handshake did not end with a CHILD_SA at both ends");
	printf("{\"sas\": %u, \"responder_ms\": %.5f, \"initiator_ms\": %.5f, "
	       "\"rss_anon_kib\": %u}\n",
	       node->children, (node->cpu - cpu) / handshakes * 1e3, d.cpu / handshakes * 1e3,
	       rss_anon_kib());
	fflush(stdout);
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

int main(int argc, char **argv)
{
	bool publish = argc == 3 && strcmp(argv[2], "publish") == 0;
	unsigned sas = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0, n;
	struct node node = {.publish = publish};
	int fds[2];
	char line[32];

	if (argc < 2 || argc > 2 + publish || sas == 0 || sas > SAS_MAX)
		die("usage: bench_ike SAS [publish], at most 65536");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		die(strerror(errno));
	switch (fork()) {
	case -1:
		die(strerror(errno));
	case 0:
		close(fds[0]);
		node = (struct node){.fd = fds[1]};
		run_initiators(&node);
		break;
	default:
		close(fds[1]);
		node.fd = fds[0];
		node_open(&node, 1, 0, sas);
		printf("{\"x25519_ms\": %.5f, \"rss_anon_kib\": %u}\n", x25519_ms(),
		       rss_anon_kib());
		fflush(stdout);
		while (fgets(line, sizeof(line), stdin) &&
		       (n = (unsigned)strtoul(line, NULL, 10)) && n <= sas - node.children)
			run_responder(&node, n);
	}
	ike_engine_free(node.engine);
	return 0;
}
