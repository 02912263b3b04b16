/* Hostile packets to a plane's esp_input, and hostile inner packets that the real peer
 * sealed. First byte: suite and kind; the rest is the packet. What the peer did not
 * seal never comes out; what it did, only inside the selectors. */
#include "ipsecd/dataplane/esp.h"
#include "ipsecd/dataplane/fake.h"
#include "ipsecd/dataplane/inner.h"

#include <stdlib.h>

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		runs[i].sent = !ctx && runs[i].from->port == runs[i].to->port &&
			       runs[i].size != 0 && runs[i].size <= runs[i].esps.len;
}

static void ignore_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	(void)event;
}

static void child_make(struct child_sa *c, uint8_t kind)
{
	bool cbc = kind & 1;

	*c = (struct child_sa){.id = 1,
			       .tunnel = 1,
			       .spi_in = 0x1000,
			       .spi_out = 0x1000,
			       .udp_encap = true,
			       .encr_id = cbc ? ENCR_AES_CBC : ENCR_AES_GCM_16,
			       .encr_key_bits = 128,
			       .integ_id = cbc ? INTEG_HMAC_SHA2_256_128 : 0,
			       .esn = (kind & 4) != 0,
			       .outbound = true,
			       .replay_window = 64,
			       .local.addr.family = AF_INET,
			       .remote.addr.family = AF_INET,
			       .local_ts.n = 1,
			       .remote_ts.n = 1,
			       .in.encr_len = cbc ? 16 : 20,
			       .in.integ_len = cbc ? 32 : 0};
	c->out = c->in;
	if (!ts_parse("10.1.0.0/16", &c->local_ts.ts[0]) ||
	    !ts_parse("10.2.0.0/16[udp]", &c->remote_ts.ts[0]))
		abort();
}

/* Seals in `room`, at whose ESP_HEADROOM the packet lies. */
static struct span seal(const struct child_sa *c, uint8_t next_header, uint8_t *room, size_t len)
{
	const uint8_t iv[16] = {3};
	struct span sealed;
	struct esp e;

	if (!esp_init(&e, &crypto_openssl, algorithm_encr(c->encr_id, 128),
		      algorithm_integ(c->integ_id), span_of(c->in.encr, c->in.encr_len),
		      span_of(c->in.integ, c->in.integ_len), c->spi_in, c->esn, true))
		abort();
	sealed = esp_seal(&e, 0, 1, iv, next_header, room + ESP_HEADROOM, len);
	esp_release(&e);
	return sealed;
}

/* Of the peer's network, or an ICMP error about a packet to it. */
static bool inside(const struct child_sa *c, struct span packet)
{
	struct inner inner, answered;

	if (inner_parse(packet, &inner) != INNER_OK)
		return false;
	if (ts_list_match(&c->remote_ts, &inner.src, inner.protocol, inner.src_port))
		return true;
	return inner_answers(packet, &inner, &answered) &&
	       ts_list_match(&c->remote_ts, &answered.src, answered.protocol, answered.src_port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t room[ESP_HEADROOM + 4096 + ESP_TAILROOM], got[4096];
	const struct dataplane_host host = {.send_esp = send_esp,
					    .event = ignore_event,
					    .crypto = &crypto_openssl,
					    .random = crypto_random};
	const struct tunnel_config config = {.name = "t"};
	const struct dataplane_ops *ops = &dataplane_fake;
	struct span packet = span_of(data + 1, size - 1);
	struct virtio_net_hdr vnet;
	struct dataplane *d = NULL;
	struct child_sa c;
	uint8_t *copy;
	size_t len;
	bool early;

	if (size < 2 || size > 4000)
		return 0;
	early = data[0] & 16; /* the packet comes before its CHILD_SA */
	child_make(&c, data[0]);
	d = ops->open(&host);
	if (ops->tunnel_create(d, 1, &config) || (!early && ops->child_install(d, &c)))
		abort();
	memcpy(room + ESP_HEADROOM, packet.ptr, packet.len);
	if (data[0] & 2)
		packet = seal(&c, data[0] & 8 ? ESP_NEXT_IPV6 : ESP_NEXT_IPV4, room, packet.len);
	copy = malloc(packet.len); /* an allocation of its own: every overread is seen */
	memcpy(copy, packet.ptr, packet.len);
	if (early)
		ops->ike_passed(d, &c.remote, 1);
	ops->esp_input(d, 0, &c.local, &c.remote, 0, copy, packet.len, packet.len, 1);
	ops->esp_flush(d, 0, 1);
	free(copy);
	if (early && ops->child_install(d, &c))
		abort();
	len = fake_received(d, 1, got, sizeof(got));
	if (len && (!(data[0] & 2) || !inside(&c, span_of(got, len))))
		abort();
	fake_transmit(d, 1, span_of(data + 1, size - 1), 2);
	if (size > sizeof(vnet)) {
		memcpy(&vnet, data, sizeof(vnet));
		fake_transmit_super(d, 1, &vnet, span_of(data + sizeof(vnet), size - sizeof(vnet)),
				    3);
	}
	ops->close(d);
	return 0;
}
