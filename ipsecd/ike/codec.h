/* One walk over the fields of a record that either writes or reads them, so that both sides can't
 * differ. Numbers take as many bytes as they have to, and one that says how many;
 * small ones are that byte. Before CODEC_SHORT_NUMBERS, and those that are random still, they have
 * all of their bytes, in network byte order. Reading trusts nothing: the first fault is kept
 * with its offset, everything behind it reads as zero, and what was read is to be thrown away. */
#ifndef DETOUR_CODEC_H
#define DETOUR_CODEC_H

#include "ipsecd/ike/engine.h"
#include "ipsecd/ike/timer.h"
#include "lib/buf.h"

#define CODEC_STRING_MAX    1024
#define CODEC_SHORT_NUMBERS 4 /* since this version */

struct codec {
	struct buf *out;   /* writing; NULL: reading */
	struct reader in;  /* reading */
	uint16_t version;  /* of the record; 0: not known yet, numbers have all their bytes */
	const char *fault; /* static text; NULL: none yet */
	size_t fault_at;
};

struct codec codec_writer(struct buf *out);
struct codec codec_reader(struct span in);
static inline bool codec_reads(const struct codec *c)
{
	return !c->out;
}

/* Keeps the first one. Nothing when writing. */
void codec_fault(struct codec *c, const char *what);
/* Reading: all was well, and nothing is left over. */
bool codec_done(struct codec *c);

void codec_u8(struct codec *c, uint8_t *v);
void codec_u16(struct codec *c, uint16_t *v);
void codec_u32(struct codec *c, uint32_t *v);
void codec_u64(struct codec *c, uint64_t *v);
void codec_random64(struct codec *c, uint64_t *v); /* SPIs and digests */
void codec_unsigned(struct codec *c, unsigned *v); /* below 2^32 */
void codec_bool(struct codec *c, bool *v);
/* v, or what was read; below limit. */
unsigned codec_choice(struct codec *c, unsigned v, unsigned limit, const char *what);
/* Of an enum field, 0..limit - 1. */
#define CODEC_ENUM(c, field, limit, what) \
	((field) = (__typeof__(field))codec_choice(c, (unsigned)(field), (unsigned)(limit), what))
/* A count of things that follow, at most max. */
#define CODEC_COUNT(c, field, max, what) \
	((field) = (__typeof__(field))codec_choice(c, (unsigned)(field), (unsigned)(max) + 1, what))
void codec_bytes(struct codec *c, void *p, size_t n);
/* *len bytes, at most max. */
void codec_short(struct codec *c, uint8_t *p, uint16_t *len, size_t max, const char *what);
void codec_key(struct codec *c, uint8_t *p, uint8_t *len, size_t max);
/* Allocated when reading; NULL where there is none. Names have at most 255 bytes: one that is
 * longer than CODEC_STRING_MAX is none. */
void codec_string(struct codec *c, char **s, const char *what);
void codec_memory(struct codec *c, uint8_t **p, size_t *len, size_t max, const char *what);

void codec_addr(struct codec *c, struct addr *a);
void codec_addrs(struct codec *c, struct addr *list, uint8_t *n, unsigned max, const char *what);
void codec_endpoint(struct codec *c, struct endpoint *e);
void codec_path(struct codec *c, struct ike_path *p);
void codec_id(struct codec *c, struct id *id);
void codec_ts_list(struct codec *c, struct ts_list *l);
/* All of it, or none (encr NULL). */
void codec_suite(struct codec *c, struct suite *s);
void codec_ke(struct codec *c, const struct algorithm_ke **ke);
/* Reading sets t->at alone, 0 where it was not armed. */
void codec_timer(struct codec *c, struct timer *t);

#endif
