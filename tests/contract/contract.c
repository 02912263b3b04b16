/* The two-plane world of the contract cases: hosts that queue what is sent and record
 * what is reported, CHILD_SA pairs, packets. */
#include "tests/contract/contract.h"

#include "ipsecd/dataplane/esp.h"
#include "lib/buf.h"
#include "tests/support/esp_runs.h"

#include <stdio.h>

#define WAITS 2000

const struct contract_driver *contract;

static bool take_packet(void *ctx, const struct esp_run *run, struct span esp)
{
	struct side *s = ctx;
	struct packet *p = &s->sent[s->n_sent];

	if (s->refuse_send)
		return false;
	assert_true(s->n_sent < QUEUE_MAX);
	assert_true(esp.len <= PACKET_MAX);
	*p = (struct packet){.len = esp.len, .from = *run->from, .to = *run->to};
	memcpy(p->data, esp.ptr, esp.len);
	s->n_sent++;
	return true;
}

static void host_send(void *ctx, struct esp_run *runs, size_t n)
{
	esp_runs_each(runs, n, take_packet, ctx);
}

static void host_event(void *ctx, const struct dataplane_event *event)
{
	struct side *s = ctx;

	assert_true(s->n_events < EVENTS_MAX);
	s->events[s->n_events++] = *event;
	if (s->remove_on_event)
		contract->ops->child_remove(s->plane, s->remove_on_event);
	s->remove_on_event = 0;
}

void side_open(struct side *s, const char *device)
{
	struct dataplane_host host = {.send_esp = host_send,
				      .event = host_event,
				      .ctx = s,
				      .crypto = &crypto_openssl,
				      .random = crypto_random,
				      .loop = contract->loop,
				      .area = s->more.area,
				      .kept_tun = s->more.kept_tun,
				      .keep_tun = s->more.keep_tun,
				      .drop_tun = s->more.drop_tun};

	snprintf(s->device, sizeof(s->device), "%s", device);
	s->plane = contract->ops->open(&host);
	assert_non_null(s->plane);
}

static void side_create(struct side *s)
{
	struct tunnel_config config = config_for(s);

	if (contract->ops->tunnel_create(s->plane, TUNNEL, &config) != DATAPLANE_OK)
		fail_msg("tunnel_create: %s", contract->ops->last_error(s->plane));
	contract->watch(s);
}

struct tunnel_config config_for(const struct side *s)
{
	struct tunnel_config config = {.named = true};

	memcpy(config.name, s->device, sizeof(config.name));
	return config;
}

int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->now = contract->now();
	side_open(&w->a, "dp-a");
	side_create(&w->a);
	side_open(&w->b, "dp-b");
	side_create(&w->b);
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	contract->unwatch(&w->a);
	contract->unwatch(&w->b);
	contract->ops->close(w->a.plane);
	contract->ops->close(w->b.plane);
	free(w);
	return 0;
}

/* ---- CHILD_SAs ---- */

static void keys_fill(struct child_keys *k, const struct suite_case *suite, unsigned seed)
{
	const struct algorithm_encr *encr = algorithm_encr(suite->encr, suite->bits);
	const struct algorithm_integ *integ = algorithm_integ(suite->integ);

	k->encr_len = (uint8_t)(encr->key_len + encr->salt_len);
	k->integ_len = integ ? integ->key_len : 0;
	for (unsigned i = 0; i < sizeof(k->encr); i++)
		k->encr[i] = (uint8_t)(seed * 31 + i);
	for (unsigned i = 0; i < sizeof(k->integ); i++)
		k->integ[i] = (uint8_t)(seed * 57 + i * 3);
}

static struct endpoint endpoint(const char *text, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_true(addr_parse(text, &e.addr));
	return e;
}

void child_pair(unsigned n, const struct suite_case *suite, struct child_sa *a, struct child_sa *b)
{
	*a = (struct child_sa){
		.id = 100 + n,
		.tunnel = TUNNEL,
		.reqid = n,
		.spi_in = 0xa0000000 + n,
		.spi_out = 0xb0000000 + n,
		.encr_id = suite->encr,
		.encr_key_bits = suite->bits,
		.integ_id = suite->integ,
		.esn = suite->esn,
		.udp_encap = true,
		.outbound = true,
		.replay_window = 64,
		.local = endpoint("192.0.2.1", 4500),
		.remote = endpoint("192.0.2.2", 4500),
		.local_ts.n = 2,
		.remote_ts.n = 2,
	};
	assert_true(ts_parse("10.1.0.0/16", &a->local_ts.ts[0]));
	assert_true(ts_parse("fd00:1::/32", &a->local_ts.ts[1]));
	assert_true(ts_parse("10.2.0.0/16", &a->remote_ts.ts[0]));
	assert_true(ts_parse("fd00:2::/32", &a->remote_ts.ts[1]));
	keys_fill(&a->in, suite, n);
	keys_fill(&a->out, suite, n + 1000);
	*b = *a;
	b->spi_in = a->spi_out;
	b->spi_out = a->spi_in;
	b->local = a->remote;
	b->remote = a->local;
	b->local_ts = a->remote_ts;
	b->remote_ts = a->local_ts;
	b->in = a->out;
	b->out = a->in;
}

void install(struct side *s, const struct child_sa *child)
{
	if (contract->ops->child_install(s->plane, child) != DATAPLANE_OK)
		fail_msg("child_install: %s", contract->ops->last_error(s->plane));
}

void install_pair(struct world *w, unsigned n, struct child_sa *a, struct child_sa *b)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};

	child_pair(n, &gcm, a, b);
	install(&w->a, a);
	install(&w->b, b);
}

/* ---- packets ---- */

static void put_ipv4(uint8_t *p, unsigned host, size_t len, bool back)
{
	p[0] = 0x45;
	be16_set(p + 2, (uint16_t)len);
	p[8] = 64;
	p[9] = 17;
	be32_set(p + 12, 0x0a010000 + host);
	be32_set(p + 16, 0x0a020000 + host);
	if (back) {
		p[13] = 2;
		p[17] = 1;
	}
}

static void put_ipv6(uint8_t *p, unsigned host, size_t len, bool back)
{
	p[0] = 0x60;
	be16_set(p + 4, (uint16_t)(len - 40));
	p[6] = 17;
	p[7] = 64;
	be32_set(p + 8, back ? 0xfd000002 : 0xfd000001);
	be32_set(p + 20, host);
	be32_set(p + 24, back ? 0xfd000001 : 0xfd000002);
	be32_set(p + 36, host);
}

struct span udp_packet(uint8_t *out, uint8_t family, unsigned host, size_t len, bool back)
{
	size_t head = family == AF_INET6 ? 40 : 20;

	memset(out, 0, len);
	if (family == AF_INET6)
		put_ipv6(out, host, len, back);
	else
		put_ipv4(out, host, len, back);
	be16_set(out + head, 40000);
	be16_set(out + head + 2, 7);
	be16_set(out + head + 4, (uint16_t)(len - head));
	for (size_t i = head + 8; i < len; i++)
		out[i] = (uint8_t)(i + host);
	return span_of(out, len);
}

struct packet forge(const struct child_sa *child, uint64_t seq, uint8_t next_header,
		    struct span inner)
{
	const struct child_keys *k = &child->in;
	uint8_t room[ESP_HEADROOM + PACKET_MAX + ESP_TAILROOM], iv[ALGORITHM_IV_MAX] = {0};
	struct packet p = {.from = child->remote, .to = child->local};
	struct span sealed;
	struct esp e;

	assert_true(esp_init(&e, &crypto_openssl,
			     algorithm_encr(child->encr_id, child->encr_key_bits),
			     algorithm_integ(child->integ_id), span_of(k->encr, k->encr_len),
			     span_of(k->integ, k->integ_len), child->spi_in, child->esn, true));
	be64_set(iv, seq ^ UINT64_C(0x5555555500000000));
	memcpy(room + ESP_HEADROOM, inner.ptr, inner.len);
	sealed = esp_seal(&e, 0, seq, iv, next_header, room + ESP_HEADROOM, inner.len);
	assert_true(sealed.len > 0 && sealed.len <= PACKET_MAX);
	p.len = sealed.len;
	memcpy(p.data, sealed.ptr, sealed.len);
	esp_release(&e);
	return p;
}

void input(struct world *w, struct side *to, const struct packet *p)
{
	/* Exactly as long as the packet, so that a sanitizer sees every overread. */
	uint8_t *copy = malloc(p->len ? p->len : 1);

	assert_non_null(copy);
	memcpy(copy, p->data, p->len);
	contract->ops->esp_input(to->plane, 0, &p->to, &p->from, 0, copy, p->len, p->len, w->now);
	contract->ops->esp_flush(to->plane, 0, w->now);
	free(copy);
}

void look(struct world *w, struct side *s)
{
	if (contract->told_late)
		contract->ops->tick(s->plane, w->now);
}

void carry(struct world *w, struct side *from, struct side *to)
{
	for (unsigned i = 0; i < from->n_sent; i++)
		input(w, to, &from->sent[i]);
	from->n_sent = 0;
}

void expect_received(struct side *s, struct span packet)
{
	uint8_t got[PACKET_MAX];
	size_t len = contract->received(s, got, sizeof(got));

	for (unsigned i = 0; contract->wait && len == 0 && i < WAITS; i++) {
		contract->wait(s);
		len = contract->received(s, got, sizeof(got));
	}
	assert_int_equal(len, packet.len);
	assert_memory_equal(got, packet.ptr, len);
}

void expect_nothing(struct side *s)
{
	uint8_t got[PACKET_MAX];

	assert_int_equal(contract->received(s, got, sizeof(got)), 0);
}

void pass(struct world *w, struct side *from, struct side *to, struct span packet)
{
	unsigned before = from->n_sent;

	contract->transmit(from, packet, w->now);
	for (unsigned i = 0; contract->wait && from->n_sent == before && i < WAITS; i++)
		contract->wait(from);
	assert_int_equal(from->n_sent, before + 1);
	carry(w, from, to);
	expect_received(to, packet);
}

uint64_t dropped(struct side *s, enum dataplane_counter c)
{
	return contract->ops->counters(s->plane)[c];
}

void expect_unsent(struct side *s, uint64_t no_sa, uint64_t no_selector)
{
	if (contract->one_drop_out) {
		/* The kernel's answer to the sender may find no SA either. */
		assert_in_range(dropped(s, DROP_NO_SA), no_sa + no_selector,
				no_sa + 2 * no_selector);
		return;
	}
	assert_int_equal(dropped(s, DROP_NO_SA), no_sa);
	assert_int_equal(dropped(s, DROP_NO_SELECTOR), no_selector);
}

unsigned events(const struct side *s, enum dataplane_event_kind kind, struct dataplane_event *event)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_events; i++) {
		if (s->events[i].kind != kind)
			continue;
		n++;
		if (event)
			*event = s->events[i];
	}
	return n;
}

int contract_run(const struct contract_driver *driver)
{
	const char *name = driver->ops->name;

	contract = driver;
	return contract_device_cases(name) + contract_packet_cases(name) +
	       contract_event_cases(name) + (driver->alone ? 0 : contract_restore_cases(name));
}
