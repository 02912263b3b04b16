/* Security associations: owns their ciphers, windows and counters, and the two
 * tables. Must not know of tunnels' devices, of time or of who is told what.
 * RFC 4301 4.4.2 and 5, RFC 4303 3.3.3. */
#include "ipsecd/dataplane/sadb.h"

#include <stdio.h>
#include <stdlib.h>

#define SPI_RESERVED_MAX 255 /* RFC 4303 2.1 */

uint64_t sa_seq_hard(const struct sa *sa)
{
	return sa->child.esn ? UINT64_MAX : UINT32_MAX;
}

uint64_t sa_seq_soft(const struct sa *sa)
{
	/* A sixteenth is left for the rekey: four minutes at a million packets a second. */
	return sa_seq_hard(sa) / 16 * 15;
}

void sa_skip(struct sa *sa, uint64_t n)
{
	uint64_t used = __atomic_load_n(&sa->live->seq_out, __ATOMIC_RELAXED), left;

	do
		left = used < sa_seq_hard(sa) ? sa_seq_hard(sa) - used : 0;
	while (!__atomic_compare_exchange_n(&sa->live->seq_out, &used, used + (n < left ? n : left),
					    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

static bool check(const struct child_sa *c, const struct crypto_ops *crypto, char *why, size_t size)
{
	char text[32];

	if (c->spi_in <= SPI_RESERVED_MAX || c->spi_out <= SPI_RESERVED_MAX)
		snprintf(why, size, "SPI %u is reserved (RFC 4303 2.1)",
			 c->spi_in <= SPI_RESERVED_MAX ? c->spi_in : c->spi_out);
	else if (!algorithm_encr(c->encr_id, c->encr_key_bits) ||
		 !crypto->has(TRANSFORM_ENCR, c->encr_id, c->encr_key_bits))
		snprintf(why, size, "no cipher %s here",
			 algorithm_format(TRANSFORM_ENCR, c->encr_id, c->encr_key_bits, text));
	else if (c->integ_id != INTEG_NONE &&
		 (!algorithm_integ(c->integ_id) || !crypto->has(TRANSFORM_INTEG, c->integ_id, 0)))
		snprintf(why, size, "no integrity algorithm %s here",
			 algorithm_format(TRANSFORM_INTEG, c->integ_id, 0, text));
	else if (c->local.addr.family != c->remote.addr.family || c->local.addr.family == 0)
		snprintf(why, size, "the outer addresses are not of one family");
	else
		return true;
	return false;
}

/* The keys are where they may not stay: sa_attach says where they do. */
static bool direction_init(struct esp *e, const struct child_sa *c, bool encrypt,
			   const struct crypto_ops *crypto)
{
	const struct child_keys *keys = encrypt ? &c->out : &c->in;

	if (keys->encr_len > sizeof(keys->encr) || keys->integ_len > sizeof(keys->integ))
		return false;
	return esp_init(e, crypto, algorithm_encr(c->encr_id, c->encr_key_bits),
			algorithm_integ(c->integ_id), span_of(keys->encr, keys->encr_len),
			span_of(keys->integ, keys->integ_len), encrypt ? c->spi_out : c->spi_in,
			c->esn, encrypt);
}

static struct sa_child take(const struct child_sa *c)
{
	return (struct sa_child){
		.id = c->id,
		.tunnel = c->tunnel,
		.reqid = c->reqid,
		.spi_in = c->spi_in,
		.flags = c->flags,
		.life_bytes = c->life_bytes,
		.life_packets = c->life_packets,
		.rekey_bytes = c->rekey_bytes,
		.rekey_packets = c->rekey_packets,
		.encr_id = c->encr_id,
		.encr_key_bits = c->encr_key_bits,
		.integ_id = c->integ_id,
		.replay_window = c->replay_window,
		.resource = c->resource,
		.esn = c->esn,
		.outbound = c->outbound,
	};
}

struct sa *sa_new(const struct child_sa *child, const struct crypto_ops *crypto,
		  enum dataplane_error *error, char *why, size_t size)
{
	struct sa *sa;

	*error = DATAPLANE_UNSUPPORTED;
	if (!check(child, crypto, why, size))
		return NULL;
	sa = calloc(1, sizeof(*sa));
	if (!sa) {
		*error = DATAPLANE_NO_MEMORY;
		snprintf(why, size, "out of memory");
		return NULL;
	}
	if (!direction_init(&sa->in, child, false, crypto) ||
	    !direction_init(&sa->out, child, true, crypto)) {
		snprintf(why, size, "the keys do not fit the algorithms");
		sa_free(sa);
		return NULL;
	}
	sa->child = take(child);
	sa_set_path(sa, child);
	*error = DATAPLANE_OK;
	return sa;
}

void sa_set_path(struct sa *sa, const struct child_sa *path)
{
	struct sa_child *c = &sa->child;

	c->udp_encap = path->udp_encap;
	c->local = path->local;
	c->remote = path->remote;
	if (!c->udp_encap)
		c->local.port = c->remote.port = 0;
}

static void attach_parts(struct sa *sa, const struct area_child_parts *p)
{
	struct sa_child *c = &sa->child;

	c->local_ts = p->local_ts;
	c->remote_ts = p->remote_ts;
	c->n_local_ts = p->n_local_ts;
	c->n_remote_ts = p->n_remote_ts;
	sa->in.key = p->in.encr.ptr;
	sa->in.integ_key = p->in.integ.ptr;
	sa->out.key = p->out.encr.ptr;
	sa->out.integ_key = p->out.integ.ptr;
}

void sa_attach(struct sa *sa, struct area_slot *slot, bool resumed)
{
	const struct area_child_parts parts = area_child_parts(slot);
	const struct sa_child *c = &sa->child;

	sa->slot = slot;
	sa->live = area_child_live(slot);
	attach_parts(sa, &parts);
	if (!resumed) {
		replay_init(&sa->live->replay, c->replay_window, c->esn);
		return;
	}
	replay_resume(&sa->live->replay, c->replay_window, c->esn);
	sa->soft_reported = sa->live->soft_reported != 0;
	sa->hard_reported = sa->live->hard_reported != 0;
	sa->used_reported = sa->live->used_reported != 0;
}

/* A lane may make another one meanwhile. */
static size_t take_ciphers(struct esp *e, struct crypto_cipher **out)
{
	size_t n = 0;

	while (n < ESP_LANES && (out[n] = esp_take_cipher(e)))
		n++;
	return n;
}

static bool idle(const struct esp *e, const mono_time *last, mono_time since)
{
	return (SA_GET(e->cipher) || SA_GET(e->ciphers)) && SA_GET(*last) < since;
}

bool sa_is_idle(const struct sa *sa, mono_time since)
{
	return idle(&sa->in, &sa->live->stats.last_in, since) ||
	       idle(&sa->out, &sa->live->stats.last_out, since);
}

size_t sa_take_idle(struct sa *sa, mono_time since, struct crypto_cipher **out)
{
	size_t n = 0;

	if (idle(&sa->in, &sa->live->stats.last_in, since))
		n += take_ciphers(&sa->in, out);
	if (idle(&sa->out, &sa->live->stats.last_out, since))
		n += take_ciphers(&sa->out, out + n);
	return n;
}

void sa_free(struct sa *sa)
{
	if (!sa)
		return;
	esp_release(&sa->in);
	esp_release(&sa->out);
	area_slot_free(sa->slot);
	free(sa);
}

/* ---- by SPI ---- */

#define SPIS_LEAST 16

struct sadb_spis {
	uint32_t mask;
	uint32_t used; /* slots that were ever used */
	struct sa *slots[];
};

static struct sa gone; /* a slot whose SA went: what lies behind it is still found */

static uint32_t place_of(const struct sadb_spis *t, uint32_t spi)
{
	return (spi * 0x9e3779b1u) >> 7 & t->mask;
}

static struct sa *slot_get(const struct sadb_spis *t, uint32_t i)
{
	return __atomic_load_n(&t->slots[i], __ATOMIC_ACQUIRE);
}

static void spis_put(struct sadb_spis *t, struct sa *sa)
{
	uint32_t i = place_of(t, sa->child.spi_in);

	while (slot_get(t, i))
		i = (i + 1) & t->mask;
	t->used++;
	__atomic_store_n(&t->slots[i], sa, __ATOMIC_RELEASE);
}

/* Twice as long as it has to be, or longer, so that a lookup finds an empty slot soon. */
static struct sadb_spis *spis_new(size_t n)
{
	size_t size = SPIS_LEAST;
	struct sadb_spis *t;

	while (size < 2 * n)
		size *= 2;
	t = calloc(1, sizeof(*t) + size * sizeof(struct sa *));
	if (t)
		t->mask = (uint32_t)size - 1;
	return t;
}

static void retire(struct sadb *db, void *memory)
{
	if (db->retire && memory)
		db->retire(db->ctx, memory);
	else
		free(memory);
}

/* Room for one more. */
static bool spis_grow(struct sadb *db)
{
	struct sadb_spis *old = db->spis, *t;

	if (old && (uint64_t)(old->used + 1) * 4 <= ((uint64_t)old->mask + 1) * 3)
		return true;
	t = spis_new(2 * (size_t)HASH_CNT(by_id, db->by_id) + 1);
	if (!t)
		return false;
	for (uint32_t i = 0; old && i <= old->mask; i++)
		if (old->slots[i] && old->slots[i] != &gone)
			spis_put(t, old->slots[i]);
	__atomic_store_n(&db->spis, t, __ATOMIC_RELEASE);
	retire(db, old);
	return true;
}

struct sa *sadb_by_spi(const struct sadb *db, uint32_t spi)
{
	const struct sadb_spis *t = __atomic_load_n(&db->spis, __ATOMIC_ACQUIRE);
	struct sa *sa;

	if (!t)
		return NULL;
	for (uint32_t i = place_of(t, spi); (sa = slot_get(t, i)); i = (i + 1) & t->mask)
		if (sa != &gone && sa->child.spi_in == spi)
			return sa;
	return NULL;
}

static void spis_remove(struct sadb_spis *t, const struct sa *sa)
{
	uint32_t i = place_of(t, sa->child.spi_in);

	while (t->slots[i] != sa)
		i = (i + 1) & t->mask;
	__atomic_store_n(&t->slots[i], &gone, __ATOMIC_RELEASE);
}

/* ---- the tables ---- */

bool sadb_insert(struct sadb *db, struct sa *sa)
{
	if (!spis_grow(db))
		return false;
	HASH_ADD(by_id, db->by_id, child.id, sizeof(sa->child.id), sa);
	if (!sa->by_id.tbl)
		return false;
	spis_put(db->spis, sa);
	return true;
}

void sadb_remove(struct sadb *db, struct sa *sa)
{
	HASH_DELETE(by_id, db->by_id, sa);
	spis_remove(db->spis, sa);
}

void sadb_release(struct sadb *db)
{
	free(db->spis);
	db->spis = NULL;
}

struct sa *sadb_by_id(const struct sadb *db, uint64_t id)
{
	struct sa *sa;

	HASH_FIND(by_id, db->by_id, &id, sizeof(id), sa);
	return sa;
}

void sa_list_add(struct sa **newest, struct sa *sa)
{
	sa->tunnel_prev = NULL;
	sa->tunnel_next = *newest;
	if (*newest)
		(*newest)->tunnel_prev = sa;
	__atomic_store_n(newest, sa, __ATOMIC_RELEASE);
}

/* Who is at it just now goes on from it. */
void sa_list_remove(struct sa **newest, struct sa *sa)
{
	struct sa **link = sa->tunnel_prev ? &sa->tunnel_prev->tunnel_next : newest;

	__atomic_store_n(link, sa->tunnel_next, __ATOMIC_RELEASE);
	if (sa->tunnel_next)
		sa->tunnel_next->tunnel_prev = sa->tunnel_prev;
}

/* ---- selectors ---- */

/* RFC 4301 7.1: without its ports a fragment takes an SA for any port, or one for such. */
static bool matches(const struct ts *ts, unsigned n, const struct addr *a,
		    const struct inner *packet, uint16_t port)
{
	return packet->opaque ? ts_any_match_opaque(ts, n, a, packet->protocol)
			      : ts_any_match(ts, n, a, packet->protocol, port);
}

static bool may_carry(const struct sa *sa, const struct inner *packet)
{
	const struct sa_child *c = &sa->child;

	return matches(c->local_ts, c->n_local_ts, &packet->src, packet, packet->src_port) &&
	       matches(c->remote_ts, c->n_remote_ts, &packet->dst, packet, packet->dst_port);
}

struct sa *sa_select(struct sa *newest, uint32_t resource, const struct inner *packet, bool *any)
{
	struct sa *sa, *general = NULL, *other = NULL;

	*any = false;
	for (sa = newest; sa; sa = sa_next(&sa->tunnel_next)) {
		uint32_t of = sa->child.resource;

		if (!sa->child.outbound)
			continue;
		*any = true;
		if ((of == 0 ? general != NULL : of != resource && other) || !may_carry(sa, packet))
			continue;
		if (of && of == resource)
			return sa;
		*(of ? &other : &general) = sa;
	}
	return general ? general : other;
}

bool sa_accepts(const struct sa *sa, const struct inner *packet)
{
	const struct sa_child *c = &sa->child;

	return matches(c->local_ts, c->n_local_ts, &packet->dst, packet, packet->dst_port) &&
	       matches(c->remote_ts, c->n_remote_ts, &packet->src, packet, packet->src_port);
}
