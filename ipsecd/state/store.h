/* Records in memory that outlives the process: what a new one needs to go on.
 *
 * The store lies in one span, a memfd that somebody else keeps open. It is a log: records are
 * written behind the last, and one aligned store of eight bytes, the tail, makes all of a batch
 * count. So whoever opens the span after a kill -9 at any instruction finds each batch whole or
 * not at all. A log that is full is copied, without what is not valid any more, to another part
 * of the span, and again one store of eight bytes changes over.
 *
 * Values are keys and other secrets: what is replaced, removed or copied away is cleansed, at
 * the latest by the next store_open. The store does no I/O; the caller maps the span, 8-byte
 * aligned, and grows it. One process at a time writes. Native byte order: the span never leaves
 * the machine, and one of another order is refused. */
#ifndef DETOUR_STORE_H
#define DETOUR_STORE_H

#include "lib/span.h"

#define STORE_SIZE_MIN	4096		    /* of a span */
#define STORE_VALUE_MAX ((size_t)256 << 20) /* bytes of one value */

/* Whose a record is. Numbers are part of the format. */
enum store_kind {
	STORE_SETTINGS = 1,  /* id 0 */
	STORE_POOL = 2,	     /* loaded by name */
	STORE_CONN = 3,	     /* id: in the order of loading */
	STORE_SECRET = 4,    /* likewise */
	STORE_NAMES = 5,     /* id: a set of names that the configuration files gave */
	STORE_VIPS = 6,	     /* id: the tunnel that they are on */
	STORE_STARTS = 7,    /* id 0: of processes that died while they read this */
	STORE_RELOADING = 8, /* id 0: the files were being carried out */
	STORE_UPDOWN = 9,    /* what a child's script was told */
	STORE_ENGINE = 0x100 /* and above: STORE_ENGINE + the kind of the engine's record */
};

struct store_key {
	uint32_t kind;
	uint64_t id;
};

struct store_host {
	/* The span at least `size` bytes long, with its content at the same offsets; it may lie
	 * elsewhere afterwards. false: impossible. NULL: the span never grows. */
	bool (*grow)(void *ctx, size_t size, void **memory, size_t *now);
	/* n bytes at this offset are zeros, and will be read as such for long: their memory may
	 * go. NULL: it stays. */
	void (*release)(void *ctx, size_t at, size_t n);
	/* For tests: n bytes at this offset were written by one step. NULL else. */
	void (*wrote)(void *ctx, size_t at, size_t n);
	void *ctx;
};

struct store;

/* Looks at everything in the span before it counts. A span of zeros becomes an empty store.
 * false: `why`, and nothing was changed: damaged, cut off, of another version, no memory. The
 * span is the caller's, also afterwards; `host` is copied. */
bool store_open(void *memory, size_t size, const struct store_host *host, struct store **out,
		char *why, size_t why_size);
/* The span stays as it is; a batch that is not committed is dropped. */
void store_close(struct store *s);
/* Makes zeros of a span of which nobody has a store: all that was there is gone. */
void store_erase(void *memory, size_t size);

/* A batch: what is put and removed counts at store_commit, all of it or nothing. A put or remove
 * that fails (the span can't grow, no memory) fails its batch: store_commit then drops it and
 * returns false, and the store is as before the batch. */
void store_begin(struct store *s);
/* Copies the value. One that is there already is not written again. */
bool store_put(struct store *s, struct store_key key, struct span value);
bool store_remove(struct store *s, struct store_key key); /* of what is not there: nothing */
bool store_commit(struct store *s);
void store_abort(struct store *s);

/* What is committed. The value is valid until the next put; false: there is none. */
bool store_get(const struct store *s, struct store_key key, struct span *value);
/* Each record of the kinds from..to, by kind, then id. The callback must not change the store;
 * it ends the round with false. Returns false after that, or without memory for the order. */
bool store_each(const struct store *s, uint32_t from, uint32_t to,
		bool (*cb)(void *ctx, struct store_key key, struct span value), void *ctx);

struct store_view {
	size_t records;
	size_t live;		  /* bytes that a copied log would have */
	size_t used, capacity;	  /* of the present log */
	size_t size;		  /* of the span */
	uint64_t commits, copies; /* since it was opened */
};

void store_look(const struct store *s, struct store_view *out);

#endif
