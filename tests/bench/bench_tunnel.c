/* The smallest shell for the userspace plane, to measure it: real UDP sockets, one
 * tunnel, one CHILD_SA with fixed keys, no IKE. Never for anything but a bench.
 *	bench_tunnel A|B LOCAL REMOTE DEVICE CIPHER
 * CIPHER: a word of ipsec.conf's esp=, "aes128gcm16" or "aes128". */
#include "ipsecd/crypto/crypto.h"
#include "ipsecd/esp_udp.h"

#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct shell {
	struct udp *udp;
	struct dataplane *plane;
};

static void send_failed(void *ctx, const struct esp_run *run, int error)
{
	(void)ctx;
	(void)run;
	(void)error; /* a drop counter has it */
}

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	struct shell *s = ctx;

	esp_udp_send(s->udp, runs, n, send_failed, s);
}

static void take_esp(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		     uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now)
{
	struct shell *s = ctx;

	dataplane_userspace.esp_input(s->plane, 0, local, remote, tos, packets, len, size, now);
}

static void end_esp(void *ctx, mono_time now)
{
	struct shell *s = ctx;

	dataplane_userspace.esp_flush(s->plane, 0, now);
}

static void ignore_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		       struct span datagram, mono_time now)
{
	(void)ctx;
	(void)local;
	(void)remote;
	(void)datagram;
	(void)now;
}

static void ignore_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	(void)event;
}

static void stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static bool fill_keys(struct child_keys *k, const struct algorithm_encr *encr,
		      const struct algorithm_integ *integ, uint8_t seed)
{
	memset(k->encr, seed, sizeof(k->encr));
	memset(k->integ, seed + 1, sizeof(k->integ));
	k->encr_len = (uint8_t)(encr->key_len + encr->salt_len);
	k->integ_len = integ ? integ->key_len : 0;
	return true;
}

static bool child_make(struct child_sa *c, bool a, char **argv)
{
	const struct algorithm_encr *encr = NULL;
	const struct algorithm_integ *integ;

	*c = (struct child_sa){.id = 1,
			       .tunnel = 1,
			       .spi_in = a ? 0x1000 : 0x2000,
			       .spi_out = a ? 0x2000 : 0x1000,
			       .udp_encap = true,
			       .outbound = true,
			       .esn = true,
			       .replay_window = 1024,
			       .local.port = 4500,
			       .remote.port = 4500,
			       .local_ts.n = 2,
			       .remote_ts.n = 2};
	for (unsigned i = 0; (encr = algorithm_encr_at(i)) && strcmp(encr->word, argv[5]) != 0; i++)
		;
	if (!encr || !addr_parse(argv[2], &c->local.addr) || !addr_parse(argv[3], &c->remote.addr))
		return false;
	integ = encr->icv_len ? NULL : algorithm_integ(INTEG_HMAC_SHA2_256_128);
	c->encr_id = encr->id;
	c->encr_key_bits = encr->key_bits;
	c->integ_id = integ ? integ->id : 0;
	for (unsigned i = 0; i < 2; i++) {
		if (!ts_parse(i ? "::/0" : "0.0.0.0/0", &c->local_ts.ts[i]) ||
		    !ts_parse(i ? "::/0" : "0.0.0.0/0", &c->remote_ts.ts[i]))
			return false;
	}
	return fill_keys(&c->in, encr, integ, a ? 1 : 2) &&
	       fill_keys(&c->out, encr, integ, a ? 2 : 1);
}

static int run(struct shell *s, struct ev_loop *loop, const struct child_sa *child,
	       const struct tunnel_config *config)
{
	const struct dataplane_ops *ops = &dataplane_userspace;
	ev_signal term;

	if (ops->tunnel_create(s->plane, 1, config) != DATAPLANE_OK ||
	    ops->child_install(s->plane, child) != DATAPLANE_OK ||
	    ops->tunnel_set_link(s->plane, 1, true) != DATAPLANE_OK) {
		fprintf(stderr, "bench_tunnel: %s\n", ops->last_error(s->plane));
		return 1;
	}
	ev_signal_init(&term, stop, SIGTERM);
	ev_signal_start(loop, &term);
	ev_run(loop, 0);
	for (unsigned i = 0; i < DROP_COUNTERS; i++) {
		if (ops->counters(s->plane)[i])
			printf("  %s: %llu\n", dataplane_counter_name((enum dataplane_counter)i),
			       (unsigned long long)ops->counters(s->plane)[i]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct tunnel_config config = {.named = true};
	struct shell s = {0};
	struct udp_host udp = {.ike = ignore_ike,
			       .esp = take_esp,
			       .esp_end = end_esp,
			       .ctx = &s,
			       .log = log_default(),
			       .esp_here = true};
	struct dataplane_host host = {.send_esp = send_esp,
				      .event = ignore_event,
				      .ctx = &s,
				      .crypto = &crypto_openssl,
				      .random = crypto_random,
				      .log = log_default(),
				      .loop = loop};
	struct child_sa child;
	char why[128] = "";
	int status = 1;

	if (argc != 6 || !child_make(&child, argv[1][0] == 'A', argv)) {
		fprintf(stderr, "usage: bench_tunnel A|B LOCAL REMOTE DEVICE CIPHER\n");
		return 2;
	}
	snprintf(config.name, sizeof(config.name), "%s", argv[4]);
	s.udp = udp_open(loop, &udp, why, sizeof(why));
	s.plane = s.udp ? dataplane_userspace.open(&host) : NULL;
	if (s.plane)
		status = run(&s, loop, &child, &config);
	else
		fprintf(stderr, "bench_tunnel: %s\n", why);
	if (s.plane)
		dataplane_userspace.close(s.plane);
	if (s.udp)
		udp_close(s.udp);
	return status;
}
