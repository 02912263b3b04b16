/* Security associations: owns their ciphers, windows and counters, and the two hash
 * tables. Must not know of tunnels' devices, of time or of who is told what.
 * RFC 4301 4.4.2 and 5, RFC 4303 3.3.3. */
#include "ipsecd/dataplane/sadb.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

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
	uint64_t used = __atomic_load_n(&sa->live->seq_out, __ATOMIC_SEQ_CST);
	uint64_t left = used < sa_seq_hard(sa) ? sa_seq_hard(sa) - used : 0;

	__atomic_add_fetch(&sa->live->seq_out, n < left ? n : left, __ATOMIC_SEQ_CST);
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

static void drop_ciphers(struct esp *e)
{
	struct crypto_cipher *c;

	while ((c = esp_take_cipher(e)))
		e->crypto->cipher_free(c);
}

void sa_drop_idle(struct sa *sa, mono_time since)
{
	if ((sa->in.cipher || sa->in.ciphers) && sa->live->stats.last_in < since)
		drop_ciphers(&sa->in);
	if ((sa->out.cipher || sa->out.ciphers) && sa->live->stats.last_out < since)
		drop_ciphers(&sa->out);
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

bool sadb_insert(struct sadb *db, struct sa *sa)
{
	db->generation++;
	HASH_ADD(by_id, db->by_id, child.id, sizeof(sa->child.id), sa);
	if (!sa->by_id.tbl)
		return false;
	HASH_ADD(by_spi, db->by_spi, child.spi_in, sizeof(sa->child.spi_in), sa);
	if (sa->by_spi.tbl)
		return true;
	HASH_DELETE(by_id, db->by_id, sa);
	return false;
}

void sadb_remove(struct sadb *db, struct sa *sa)
{
	db->generation++;
	HASH_DELETE(by_id, db->by_id, sa);
	HASH_DELETE(by_spi, db->by_spi, sa);
}

struct sa *sadb_by_id(const struct sadb *db, uint64_t id)
{
	struct sa *sa;

	HASH_FIND(by_id, db->by_id, &id, sizeof(id), sa);
	return sa;
}

struct sa *sadb_by_spi(const struct sadb *db, uint32_t spi)
{
	struct sa *sa;

	HASH_FIND(by_spi, db->by_spi, &spi, sizeof(spi), sa);
	return sa;
}

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
	DL_FOREACH2 (newest, sa, tunnel_next) {
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
