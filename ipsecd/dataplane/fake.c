/* The fake data plane: the real packet paths over devices in memory, every call
 * recorded, any call refused on demand. For tests; owns its devices' queues. */
#include "ipsecd/dataplane/fake.h"

#include "ipsecd/dataplane/cut.h"
#include "ipsecd/dataplane/forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define FAKE_QUEUE_MAX	   256
#define FAKE_MTU_NO_SA	   1438
#define FAKE_PATH_MTU	   1500
#define FAKE_FIRST_IFINDEX 100

struct packet {
	struct packet *prev, *next;
	size_t len;
	uint8_t data[];
};

struct tunnel {
	struct forward_tunnel forward; /* first: forward hands it back */
	struct tunnel_config config;
	struct dataplane_tunnel_info info;
	struct packet *received;
	unsigned n_received;
};

struct dataplane {
	struct forward forward;
	struct fake_call *calls;
	unsigned n_calls, cap_calls;
	mono_time now;				 /* as of the last packet or tick */
	enum dataplane_error refuse[FAKE_VERBS]; /* DATAPLANE_OK: don't */
};

static bool fake_probe(char *why, size_t size)
{
	snprintf(why, size, "%s", "");
	return true;
}

/* One after the other, as the kernel's software GSO would have them. */
static bool queue_segments(struct tunnel *t, struct cut *cut)
{
	size_t len;

	while ((len = cut_peek(cut)) != 0) {
		struct packet *p = t->n_received < FAKE_QUEUE_MAX ? malloc(sizeof(*p) + len) : NULL;

		if (!p)
			return false;
		p->len = cut_next(cut, p->data, len);
		DL_APPEND(t->received, p);
		t->n_received++;
	}
	return true;
}

static bool queue_packet(struct forward_tunnel *f, const struct iovec *iov, size_t n)
{
	struct tunnel *t = (struct tunnel *)f;
	uint8_t packet[VNET_PACKET_MAX];
	size_t len = 0;
	struct cut cut;

	if (!t->info.admin_up)
		return false;
	for (size_t i = 1; i < n; i++) {
		memcpy(packet + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return cut_begin(&cut, iov[0].iov_base, packet, len) == CUT_OK && queue_segments(t, &cut);
}

static int last_ifindex = FAKE_FIRST_IFINDEX; /* one host: no two devices share it */

static void restore(void *ctx, struct area_slot *slot);
static void set_mtu(struct tunnel *t);

static struct dataplane *fake_open(const struct dataplane_host *host)
{
	struct dataplane *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	forward_init(&d->forward, host, queue_packet);
	if (host->area) {
		area_each_tunnel(host->area, restore, d);
		forward_restore(&d->forward);
		for (struct forward_tunnel *t = d->forward.tunnels; t; t = t->hh.next)
			set_mtu((struct tunnel *)t);
	}
	return d;
}

static struct tunnel *tunnel_find(const struct dataplane *d, uint32_t id)
{
	return (struct tunnel *)forward_tunnel_find(&d->forward, id);
}

static void tunnel_free(struct dataplane *d, struct tunnel *t)
{
	struct packet *p, *next;

	forward_tunnel_remove(&d->forward, &t->forward);
	DL_FOREACH_SAFE (t->received, p, next)
		free(p);
	free(t);
}

static void fake_close(struct dataplane *d)
{
	while (d->forward.tunnels)
		tunnel_free(d, (struct tunnel *)d->forward.tunnels);
	forward_release(&d->forward);
	free(d->calls);
	free(d);
}

/* ---- recording ---- */

static enum dataplane_error record(struct dataplane *d, struct fake_call call)
{
	if (d->n_calls == d->cap_calls) {
		unsigned cap = d->cap_calls ? d->cap_calls * 2 : 64;
		struct fake_call *more = realloc(d->calls, cap * sizeof(*more));

		if (!more)
			abort(); /* a test without its record proves nothing */
		d->calls = more;
		d->cap_calls = cap;
	}
	d->calls[d->n_calls++] = call;
	return call.result;
}

/* The refusal that a test asked for, once; else DATAPLANE_OK. */
static enum dataplane_error refused(struct dataplane *d, enum fake_verb verb)
{
	enum dataplane_error e = d->refuse[verb];

	d->refuse[verb] = DATAPLANE_OK;
	return e == DATAPLANE_OK ? e : forward_fail(&d->forward, e, "refused by the test");
}

const struct fake_call *fake_calls(const struct dataplane *d, unsigned *n)
{
	*n = d->n_calls;
	return d->calls;
}

void fake_forget(struct dataplane *d)
{
	d->n_calls = 0;
}

void fake_refuse(struct dataplane *d, enum fake_verb verb, enum dataplane_error e)
{
	d->refuse[verb] = e;
}

/* ---- tunnels ---- */

static uint16_t path_mtu(void *ctx, const struct addr *local, const struct addr *remote)
{
	(void)ctx;
	(void)local;
	(void)remote;
	return FAKE_PATH_MTU;
}

static void set_mtu(struct tunnel *t)
{
	uint16_t mtu = forward_tunnel_mtu(&t->forward, path_mtu, NULL);

	if (t->config.mtu)
		t->info.mtu = t->config.mtu;
	else if (mtu)
		t->info.mtu = mtu;
}

static enum dataplane_error keep(struct dataplane *d, struct tunnel *t)
{
	const struct area_tunnel as = {.id = t->forward.id,
				       .ifindex = t->info.ifindex,
				       .link_up = t->info.link_up,
				       .admin_up = t->info.admin_up,
				       .config = t->config};

	return forward_tunnel_keep(&d->forward, &t->forward, &as);
}

/* A tunnel with the device of this number. NULL with *e. */
static struct tunnel *tunnel_new(struct dataplane *d, uint32_t id,
				 const struct tunnel_config *config, int ifindex,
				 enum dataplane_error *e)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	if (!t) {
		*e = forward_fail(&d->forward, DATAPLANE_NO_MEMORY, "out of memory");
		return NULL;
	}
	t->config = *config;
	t->info = (struct dataplane_tunnel_info){
		.ifindex = ifindex, .mtu = FAKE_MTU_NO_SA, .admin_up = true, .kind = "tun"};
	memcpy(t->info.name, config->name, sizeof(t->info.name));
	*e = forward_tunnel_add(&d->forward, &t->forward, id, t->config.name);
	t->forward.may_join = COALESCE_TCP | COALESCE_UDP;
	if (*e == DATAPLANE_OK)
		return t;
	free(t);
	return NULL;
}

/* Its devices are memory: what was in their queues is lost. */
static void restore(void *ctx, struct area_slot *slot)
{
	struct dataplane *d = ctx;
	enum dataplane_error e;
	struct area_tunnel as;
	struct tunnel *t;

	area_tunnel_get(slot, &as);
	t = tunnel_new(d, as.id, &as.config, as.ifindex, &e);
	if (!t) {
		area_slot_free(slot);
		return;
	}
	t->forward.slot = slot;
	t->forward.claimed = false;
	t->info.link_up = as.link_up;
	t->info.admin_up = as.admin_up;
	if (as.ifindex > last_ifindex)
		last_ifindex = as.ifindex;
}

static enum dataplane_error create(struct dataplane *d, uint32_t id,
				   const struct tunnel_config *config)
{
	enum dataplane_error e = refused(d, FAKE_TUNNEL_CREATE);
	struct tunnel *t = NULL;

	if (e == DATAPLANE_OK)
		t = (struct tunnel *)forward_tunnel_claim(&d->forward, id, config->name, &e);
	if (t)
		t->config = *config;
	else if (e == DATAPLANE_OK)
		t = tunnel_new(d, id, config, ++last_ifindex, &e);
	if (!t)
		return e;
	set_mtu(t);
	e = keep(d, t);
	if (e != DATAPLANE_OK)
		tunnel_free(d, t);
	return e;
}

static enum dataplane_error fake_tunnel_create(struct dataplane *d, uint32_t id,
					       const struct tunnel_config *config)
{
	enum dataplane_error e = create(d, id, config);

	return record(d, (struct fake_call){.verb = FAKE_TUNNEL_CREATE, .result = e, .tunnel = id});
}

/* The tunnel for a verb, or why there is none. */
static struct tunnel *tunnel_for(struct dataplane *d, enum fake_verb verb, uint32_t id,
				 enum dataplane_error *e)
{
	struct tunnel *t = tunnel_find(d, id);

	*e = refused(d, verb);
	if (*e == DATAPLANE_OK && !t)
		*e = forward_fail(&d->forward, DATAPLANE_NOT_FOUND, "no tunnel %u", id);
	return *e == DATAPLANE_OK ? t : NULL;
}

static enum dataplane_error fake_tunnel_update(struct dataplane *d, uint32_t id,
					       const struct tunnel_config *config)
{
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, FAKE_TUNNEL_UPDATE, id, &e);

	if (t && strcmp(t->config.name, config->name) != 0) {
		e = forward_fail(&d->forward, DATAPLANE_UNSUPPORTED,
				 "a device keeps its name (%s, not %s)", t->config.name,
				 config->name);
	} else if (t) {
		t->config = *config;
		set_mtu(t);
		keep(d, t);
	}
	return record(d, (struct fake_call){.verb = FAKE_TUNNEL_UPDATE, .result = e, .tunnel = id});
}

static enum dataplane_error fake_tunnel_remove(struct dataplane *d, uint32_t id)
{
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, FAKE_TUNNEL_REMOVE, id, &e);

	if (t)
		tunnel_free(d, t);
	return record(d, (struct fake_call){.verb = FAKE_TUNNEL_REMOVE, .result = e, .tunnel = id});
}

static enum dataplane_error fake_tunnel_set_link(struct dataplane *d, uint32_t id, bool up)
{
	enum dataplane_error e;
	struct tunnel *t = tunnel_for(d, FAKE_TUNNEL_SET_LINK, id, &e);

	if (t) {
		t->info.link_up = up;
		keep(d, t);
	}
	return record(d,
		      (struct fake_call){
			      .verb = FAKE_TUNNEL_SET_LINK, .result = e, .tunnel = id, .on = up});
}

static bool fake_tunnel_info(struct dataplane *d, uint32_t id, struct dataplane_tunnel_info *out)
{
	const struct tunnel *t = tunnel_find(d, id);

	if (!t)
		return false;
	*out = t->info;
	return true;
}

/* ---- children ---- */

static enum dataplane_error fake_child_install(struct dataplane *d, const struct child_sa *child)
{
	enum dataplane_error e = refused(d, FAKE_CHILD_INSTALL);

	if (e == DATAPLANE_OK)
		e = forward_child_install(&d->forward, child);
	if (e == DATAPLANE_OK) {
		forward_pass_held(&d->forward, child->spi_in, d->now);
		set_mtu(tunnel_find(d, child->tunnel));
	}
	return record(d, (struct fake_call){.verb = FAKE_CHILD_INSTALL,
					    .result = e,
					    .tunnel = child->tunnel,
					    .child = child->id,
					    .on = child->outbound});
}

/* Which tunnel a child serves; 0 when it is unknown. */
static uint32_t tunnel_of(const struct dataplane *d, uint64_t child)
{
	const struct sa *sa = sadb_by_id(&d->forward.sadb, child);

	return sa ? sa->child.tunnel : 0;
}

static enum dataplane_error fake_child_update(struct dataplane *d, const struct child_sa *child)
{
	enum dataplane_error e = refused(d, FAKE_CHILD_UPDATE);
	uint32_t tunnel = tunnel_of(d, child->id);

	if (e == DATAPLANE_OK)
		e = forward_child_update(&d->forward, child);
	if (e == DATAPLANE_OK)
		set_mtu(tunnel_find(d, tunnel));
	return record(d, (struct fake_call){.verb = FAKE_CHILD_UPDATE,
					    .result = e,
					    .tunnel = tunnel,
					    .child = child->id,
					    .on = child->outbound});
}

static enum dataplane_error fake_child_remove(struct dataplane *d, uint64_t child)
{
	enum dataplane_error e = refused(d, FAKE_CHILD_REMOVE);
	uint32_t tunnel = tunnel_of(d, child);

	if (e == DATAPLANE_OK)
		e = forward_child_remove(&d->forward, child);
	if (e == DATAPLANE_OK)
		set_mtu(tunnel_find(d, tunnel));
	return record(d, (struct fake_call){.verb = FAKE_CHILD_REMOVE,
					    .result = e,
					    .tunnel = tunnel,
					    .child = child});
}

static void fake_unsettle(struct dataplane *d)
{
	forward_unsettle(&d->forward);
}

static void fake_settled(struct dataplane *d)
{
	struct forward_tunnel *f, *next;

	forward_settled(&d->forward);
	HASH_ITER (hh, d->forward.tunnels, f, next) {
		struct tunnel *t = (struct tunnel *)f;

		if (!f->claimed) {
			tunnel_free(d, t);
		} else if (!f->newest && t->info.link_up) {
			t->info.link_up = false;
			keep(d, t);
		}
	}
}

static bool fake_child_stats(struct dataplane *d, uint64_t child, struct dataplane_child_stats *out)
{
	return forward_child_stats(&d->forward, child, out);
}

/* ---- packets and events ---- */

static void fake_esp_input(struct dataplane *d, unsigned lane, const struct endpoint *local,
			   const struct endpoint *remote, uint8_t tos, uint8_t *packets, size_t len,
			   size_t size, mono_time now)
{
	(void)lane;
	d->now = now;
	forward_input(&d->forward.lane, local, remote, tos, packets, len, size, now);
}

static void fake_esp_flush(struct dataplane *d, unsigned lane, mono_time now)
{
	(void)lane;
	forward_flush(&d->forward.lane, now);
}

static void fake_ike_passed(struct dataplane *d, const struct endpoint *remote, mono_time now)
{
	d->now = now;
	forward_ike_passed(&d->forward, remote, now);
}

static void fake_tick(struct dataplane *d, mono_time now)
{
	d->now = now;
	forward_tick(&d->forward, now);
	forward_aggfrag_run(&d->forward.lane, now);
	forward_flush(&d->forward.lane, now);
}

static const uint64_t *fake_counters(struct dataplane *d)
{
	return d->forward.lane.drops;
}

static const char *fake_last_error(struct dataplane *d)
{
	return d->forward.error;
}

bool fake_transmit(struct dataplane *d, uint32_t id, struct span packet, mono_time now)
{
	static const struct virtio_net_hdr plain;

	return fake_transmit_super(d, id, &plain, packet, now);
}

bool fake_transmit_super(struct dataplane *d, uint32_t id, const struct virtio_net_hdr *vnet,
			 struct span packet, mono_time now)
{
	const struct forward_packet p = {.vnet = *vnet, .data = packet.ptr, .len = packet.len};
	struct tunnel *t = tunnel_find(d, id);

	if (!t)
		return false;
	if (!t->info.admin_up)
		return true; /* as the kernel: a device that is down takes nothing */
	forward_output(&d->forward.lane, &t->forward, &p, now);
	forward_flush(&d->forward.lane, now);
	return true;
}

size_t fake_received(struct dataplane *d, uint32_t id, uint8_t *out, size_t size)
{
	struct tunnel *t = tunnel_find(d, id);
	struct packet *p = t ? t->received : NULL;
	size_t len;

	if (!p)
		return 0;
	len = p->len < size ? p->len : size;
	memcpy(out, p->data, len);
	DL_DELETE(t->received, p);
	t->n_received--;
	free(p);
	return len;
}

void fake_event(struct dataplane *d, const struct dataplane_event *event)
{
	d->forward.host.event(d->forward.host.ctx, event);
}

void fake_set_admin(struct dataplane *d, uint32_t id, bool up)
{
	struct tunnel *t = tunnel_find(d, id);
	struct dataplane_event event = {
		.kind = DATAPLANE_DEVICE_CHANGED, .tunnel = id, .admin_up = up, .present = true};

	if (!t || t->info.admin_up == up)
		return;
	t->info.admin_up = up;
	keep(d, t);
	fake_event(d, &event);
}

static bool fake_resources(struct dataplane *d)
{
	(void)d;
	return true;
}

const struct dataplane_ops dataplane_fake = {
	.name = "fake",
	.encap_better = true,
	.aggfrag = true,
	.resources = fake_resources,
	.probe = fake_probe,
	.open = fake_open,
	.close = fake_close,
	.unsettle = fake_unsettle,
	.settled = fake_settled,
	.tunnel_create = fake_tunnel_create,
	.tunnel_update = fake_tunnel_update,
	.tunnel_remove = fake_tunnel_remove,
	.tunnel_set_link = fake_tunnel_set_link,
	.tunnel_info = fake_tunnel_info,
	.child_install = fake_child_install,
	.child_update = fake_child_update,
	.child_remove = fake_child_remove,
	.child_stats = fake_child_stats,
	.esp_input = fake_esp_input,
	.esp_flush = fake_esp_flush,
	.ike_passed = fake_ike_passed,
	.tick = fake_tick,
	.counters = fake_counters,
	.last_error = fake_last_error,
};
