/* The store's span: a header with two slots, and the log that the active one describes.
 * Only store.c, its log and its tests include this.
 *
 *   header | region of one slot ...... | region of the other ......
 *   region: record, record, ... up to the tail; zeros up to the capacity
 *
 * Words that are marked atomic change by one aligned store. Everything else is written only
 * where nothing counts yet, or (the value of a dead record) no more. */
#ifndef DETOUR_STORE_LOG_H
#define DETOUR_STORE_LOG_H

#include "ipsecd/state/store.h"
#include "lib/crc32c.h"

#define STORE_MAGIC   UINT64_C(0x45524f5453524544)
#define STORE_VERSION 1
#define STORE_ORDER   0x01020304u

struct store_slot {
	uint64_t offset, capacity; /* of the region; multiples of 8 */
	uint64_t first;		   /* sequence number of its first record */
	uint32_t check, zero;	   /* of the three above */
	uint64_t tail;		   /* atomic: committed bytes, and 16 bits to check them */
	uint64_t dirty;		   /* atomic: bytes that may be other than zero */
};

struct store_header {
	uint64_t magic; /* atomic: written last. 0: nothing here counts */
	uint32_t version, order;
	uint64_t active; /* atomic: STORE_FIRST or STORE_SECOND */
	struct store_slot slots[2];
};

#define STORE_FIRST  UINT64_C(0x5354f14a7e5107a0)
#define STORE_SECOND UINT64_C(0xacab0eb581aef85f)

struct store_record {
	uint64_t sequence; /* one more than the record before: none is an older log's */
	uint64_t id;
	uint32_t kind, len; /* the value follows, with zeros up to a multiple of 8 */
	uint32_t removes;   /* 1: the key is gone; no value */
	uint32_t value_check, check;
	uint32_t state; /* atomic: STORE_LIVE or STORE_DEAD (its value is not valid, and zeroed) */
};

#define STORE_LIVE 0x4c495645u
#define STORE_DEAD 0xdeadb6b9u

_Static_assert(sizeof(struct store_slot) == 48 && sizeof(struct store_header) == 120 &&
		       sizeof(struct store_record) == 40,
	       "the format does not depend on the compiler");

/* The span, opened. */
struct store_log {
	uint8_t *memory;
	size_t size;
	struct store_host host;
	struct crc32c crc;
	unsigned active;
	size_t offset, capacity; /* of the active region */
	size_t tail;		 /* committed */
	size_t end;		 /* with what is written and not committed */
	uint64_t sequence;	 /* of the next record */
};

/* Checks the header and the active slot. fresh: the span has no store yet, see store_log_format. */
bool store_log_open(struct store_log *l, bool *fresh, char *why, size_t why_size);
void store_log_format(struct store_log *l);
/* After the records were looked at: zeros where nothing counts. */
void store_log_cleanse(struct store_log *l);

/* A record at this offset of the active region, which is below `end`. */
const struct store_record *store_log_record(const struct store_log *l, size_t at);
struct span store_log_value(const struct store_record *r);
/* What it takes in the log. */
size_t store_log_size(size_t len);
/* The next record of those up to the tail: *at moves behind it. false: *at is the tail, or
 * (why is not "") damage there. */
bool store_log_next(struct store_log *l, size_t *at, const struct store_record **out, char *why,
		    size_t why_size);

/* Writes a record behind the others, which has to fit. Returns where. */
size_t store_log_append(struct store_log *l, struct store_key key, struct span value, bool removes);
/* All that was written counts; or is zeroed. */
void store_log_commit(struct store_log *l);
void store_log_abort(struct store_log *l);
/* The value there is not valid any more. */
void store_log_kill(struct store_log *l, size_t at);

/* Changing over to another region, for records of `need` bytes: finds room for it, else grows
 * the span. `next` is then a log of which nothing counts: records are appended to it, and
 * store_log_change makes it, as far as `committed`, the active one and zeroes the old one. */
bool store_log_prepare(struct store_log *l, size_t need, struct store_log *next);
void store_log_change(struct store_log *l, struct store_log *next, size_t committed);

uint32_t store_log_slot_check(const struct crc32c *c, const struct store_slot *slot);
uint64_t store_log_pack_tail(const struct crc32c *c, const struct store_slot *slot, uint64_t tail);
uint32_t store_log_record_check(const struct crc32c *c, const struct store_record *r);

#endif
