/* Writing: what is told is put into the store's batch at once, and the batch counts when the
 * engine's records of the same input are in it, too. */
#include "ipsecd/publish.h"
#include "ipsecd/publish_body.h"
#include "ipsecd/state/memfd.h"
#include "ipsecd/state/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#define STATE_SIZE  ((size_t)1 << 20) /* at first */
#define SCRATCH_MIN ((size_t)64 << 10)
#define SCRATCH_MAX STORE_VALUE_MAX

struct number {
	char *name;
	uint64_t id;
	UT_hash_handle hh;
};

struct publish {
	const struct log_sink *log;
	struct memfd memory;
	struct store *store; /* NULL: it could not be written */
	struct number *numbers[PUBLISH_SETS];
	uint64_t last_id[PUBLISH_SETS];
	uint64_t names; /* reload_names, as written */
	bool reading;
	uint8_t *scratch;
	size_t scratch_size;
};

static const uint32_t kinds[PUBLISH_SETS] = {
	[PUBLISH_CONNS] = STORE_CONN,
	[PUBLISH_SECRETS] = STORE_SECRET,
	[PUBLISH_POOLS] = STORE_POOL,
	[PUBLISH_UPDOWN] = STORE_UPDOWN,
};

/* ---- numbers ---- */

static struct number *number_named(const struct publish *p, enum publish_set set, const char *name)
{
	struct number *n;

	HASH_FIND_STR(p->numbers[set], name, n);
	return n;
}

bool publish_know(struct publish *p, enum publish_set set, const char *name, uint64_t id)
{
	struct number *n = calloc(1, sizeof(*n));

	if (n)
		n->name = strdup(name);
	if (!n || !n->name) {
		free(n);
		return false;
	}
	n->id = id;
	if (p->last_id[set] < id)
		p->last_id[set] = id;
	HASH_ADD_KEYPTR(hh, p->numbers[set], n->name, strlen(n->name), n);
	return true;
}

static void number_free(struct publish *p, enum publish_set set, struct number *n)
{
	HASH_DEL(p->numbers[set], n);
	free(n->name);
	free(n);
}

/* ---- the store ---- */

static bool writing(const struct publish *p)
{
	return p && p->store && !p->reading;
}

static bool grow(void *ctx, size_t size, void **memory, size_t *now)
{
	struct memfd *m = ctx;

	if (!memfd_grow(m, size))
		return false;
	*memory = m->memory;
	*now = m->size;
	return true;
}

static void release(void *ctx, size_t at, size_t n)
{
	memfd_release(ctx, at, n);
}

static bool open_store(struct publish *p, char *why, size_t size)
{
	const struct store_host host = {.grow = grow, .release = release, .ctx = &p->memory};

	return store_open(p->memory.memory, p->memory.size, &host, &p->store, why, size);
}

/* State that is not the present one would be worse than none: a new process that went on with it
 * would repeat what it had said already. */
static void give_up(struct publish *p, const char *why)
{
	log_to(p->log, LOG_LEVEL_ERROR, "ike", "",
	       "state for a process after this one can't be kept any more: %s", why);
	store_close(p->store);
	p->store = NULL;
	store_erase(p->memory.memory, p->memory.size);
}

struct publish *publish_open(int fd, const struct log_sink *log)
{
	struct publish *p = calloc(1, sizeof(*p));
	char why[160];

	if (!p) {
		close(fd);
		return NULL;
	}
	p->log = log;
	p->memory.fd = -1;
	if (!memfd_map(&p->memory, fd, STATE_SIZE, why, sizeof(why))) {
		close(fd);
		log_to(log, LOG_LEVEL_ERROR, "ike", "", "memory for state: %s", why);
		publish_close(p, false);
		return NULL;
	}
	if (open_store(p, why, sizeof(why)))
		return p;
	log_to(log, LOG_LEVEL_WARN, "ike", "",
	       "the state of a former process is of no use (%s): beginning without it", why);
	store_erase(p->memory.memory, p->memory.size);
	if (open_store(p, why, sizeof(why)))
		return p;
	log_to(log, LOG_LEVEL_ERROR, "ike", "", "memory for state: %s", why);
	publish_close(p, false);
	return NULL;
}

static void forget_numbers(struct publish *p)
{
	struct number *n, *next;

	for (unsigned set = 0; set < PUBLISH_SETS; set++) {
		HASH_ITER (hh, p->numbers[set], n, next)
			number_free(p, set, n);
	}
}

void publish_forget(struct publish *p)
{
	char why[160];

	forget_numbers(p);
	store_close(p->store);
	p->store = NULL;
	store_erase(p->memory.memory, p->memory.size);
	if (!open_store(p, why, sizeof(why)))
		log_to(p->log, LOG_LEVEL_ERROR, "ike", "", "memory for state: %s", why);
}

void publish_close(struct publish *p, bool erase)
{
	if (!p)
		return;
	forget_numbers(p);
	store_close(p->store);
	if (erase && p->memory.memory)
		store_erase(p->memory.memory, p->memory.size);
	memfd_close(&p->memory);
	free(p->scratch);
	free(p);
}

const struct store *publish_found(const struct publish *p)
{
	const struct store_key key = {.kind = STORE_SETTINGS};
	struct span value;

	return p && p->store && store_get(p->store, key, &value) ? p->store : NULL;
}

/* ---- encoding ---- */

static bool more_scratch(struct publish *p)
{
	size_t size = p->scratch_size ? 2 * p->scratch_size : SCRATCH_MIN;
	uint8_t *memory = size <= SCRATCH_MAX ? malloc(size) : NULL;

	if (!memory)
		return false;
	free(p->scratch); /* nothing is in it */
	p->scratch = memory;
	p->scratch_size = size;
	return true;
}

/* Secrets are in the scratch memory only while it is copied from. */
static void put(struct publish *p, struct store_key key, const char *name, const void *what,
		struct codec_result (*encode)(const void *what, struct buf *out))
{
	struct codec_result r;
	struct buf b;
	char why[160];

	if (!writing(p))
		return;
	do {
		b = buf_over(p->scratch, p->scratch_size);
		r = encode(what, &b);
		if (!r.error)
			store_put(p->store, key, buf_span(&b)); /* if not, store_commit says so */
		if (p->scratch)
			explicit_bzero(p->scratch, b.len);
	} while ((r.error == CODEC_NO_ROOM || b.overflow) && more_scratch(p));
	if (!r.error)
		return;
	log_to(p->log, LOG_LEVEL_ERROR, "ike", name, "not kept for a process after this one: %s",
	       codec_describe(&r, why, sizeof(why)));
	store_remove(p->store, key);
}

static void put_named(struct publish *p, enum publish_set set, const char *name, const void *what,
		      struct codec_result (*encode)(const void *what, struct buf *out))
{
	struct number *n = writing(p) ? number_named(p, set, name) : NULL;

	if (!writing(p))
		return;
	if (!n && publish_know(p, set, name, p->last_id[set] + 1))
		n = number_named(p, set, name);
	if (n)
		put(p, (struct store_key){kinds[set], n->id}, name, what, encode);
	else
		give_up(p, "out of memory");
}

static void remove_named(struct publish *p, enum publish_set set, const char *name)
{
	struct number *n = writing(p) ? number_named(p, set, name) : NULL;

	if (!n)
		return;
	store_remove(p->store, (struct store_key){kinds[set], n->id});
	number_free(p, set, n);
}

/* ---- what is told ---- */

static struct codec_result encode_settings(const void *what, struct buf *out)
{
	return settings_encode(what, out);
}

void publish_settings(struct publish *p, const struct settings *s)
{
	put(p, (struct store_key){STORE_SETTINGS, 0}, "", s, encode_settings);
}

void publish_reloading(struct publish *p, bool reloading)
{
	const struct store_key key = {STORE_RELOADING, 0};

	if (writing(p) && reloading)
		store_put(p->store, key, span_of(NULL, 0));
	else if (writing(p))
		store_remove(p->store, key);
}

void publish_conn(struct publish *p, const struct conn *conn, uint32_t tunnel)
{
	const struct publish_conn what = {.tunnel = tunnel, .conn = conn};

	put_named(p, PUBLISH_CONNS, conn->name, &what, publish_encode_conn);
}

void publish_conn_gone(struct publish *p, const char *name)
{
	remove_named(p, PUBLISH_CONNS, name);
}

/* Where another process holds the bytes, it is asked for them by their number afterwards, too. */
static struct codec_result encode_secret(const void *what, struct buf *out)
{
	const struct secret *s = what;

	return secret_encode(s, !s->held, out);
}

void publish_secret(struct publish *p, const struct secret *s)
{
	put_named(p, PUBLISH_SECRETS, s->unique, s, encode_secret);
}

void publish_secret_gone(struct publish *p, const char *unique)
{
	remove_named(p, PUBLISH_SECRETS, unique);
}

void publish_pool(struct publish *p, const char *name, const char *addrs, const struct addr *dns,
		  uint8_t n_dns)
{
	struct publish_pool what = {.n_dns = n_dns < VIP_DNS_MAX ? n_dns : VIP_DNS_MAX};

	snprintf(what.name, sizeof(what.name), "%s", name);
	snprintf(what.addrs, sizeof(what.addrs), "%s", addrs);
	memcpy(what.dns, dns, what.n_dns * sizeof(*dns));
	put_named(p, PUBLISH_POOLS, name, &what, publish_encode_pool);
}

void publish_pool_gone(struct publish *p, const char *name)
{
	remove_named(p, PUBLISH_POOLS, name);
}

void publish_vips(struct publish *p, uint32_t tunnel, const struct addr *vips, unsigned n)
{
	const struct store_key key = {STORE_VIPS, tunnel};
	struct publish_vips what = {.n = (uint8_t)(n < PUBLISH_VIPS_MAX ? n : PUBLISH_VIPS_MAX)};

	memcpy(what.addrs, vips, what.n * sizeof(*vips));
	if (n)
		put(p, key, "", &what, publish_encode_vips);
	else if (writing(p))
		store_remove(p->store, key);
}

static void updown_told(void *ctx, const struct updown_told *told)
{
	char name[PUBLISH_UPDOWN_NAME];

	if (publish_updown_name(told, name))
		put_named(ctx, PUBLISH_UPDOWN, name, told, publish_encode_updown);
}

static void updown_undone(void *ctx, const struct updown_told *told)
{
	char name[PUBLISH_UPDOWN_NAME];

	if (publish_updown_name(told, name))
		remove_named(ctx, PUBLISH_UPDOWN, name);
}

struct updown_keeper publish_updown(struct publish *p)
{
	return (struct updown_keeper){.told = updown_told, .undone = updown_undone, .ctx = p};
}

/* ---- the batch ---- */

struct name_list {
	const struct reload *reload;
	enum reload_set set;
};

static void add_name(void *ctx, const char *name)
{
	buf_put(ctx, name, strlen(name) + 1);
}

static struct codec_result encode_names(const void *what, struct buf *out)
{
	const struct name_list *list = what;

	reload_each_name(list->reload, list->set, add_name, out);
	return (struct codec_result){.error = out->overflow ? CODEC_NO_ROOM : CODEC_OK,
				     .what = "names of the files"};
}

static void put_names(struct publish *p, const struct reload *reload)
{
	for (unsigned set = 0; reload && set < RELOAD_SETS; set++) {
		const struct name_list list = {.reload = reload, .set = set};

		put(p, (struct store_key){STORE_NAMES, set}, "", &list, encode_names);
	}
}

void publish_run(struct publish *p, struct ike_engine *engine, const struct reload *reload)
{
	struct ike_record r;

	if (!writing(p))
		return;
	while (ike_engine_publish(engine, &r)) {
		const struct store_key key = {STORE_ENGINE + r.kind, r.id};

		if (r.data.len)
			store_put(p->store, key, r.data);
		else
			store_remove(p->store, key);
	}
	if (reload && reload_names(reload) != p->names) {
		p->names = reload_names(reload);
		put_names(p, reload);
	}
	if (!store_commit(p->store))
		give_up(p, "there is no memory for it");
}

/* ---- reading ---- */

void publish_read_begin(struct publish *p)
{
	p->reading = true;
}

void publish_read_end(struct publish *p, const struct ike_engine *engine)
{
	struct number *n, *next;

	p->reading = false;
	HASH_ITER (hh, p->numbers[PUBLISH_CONNS], n, next) {
		if (!ike_engine_conn_named(engine, n->name))
			remove_named(p, PUBLISH_CONNS, n->name);
	}
}

/* ---- starts ---- */

static void put_starts(struct publish *p, uint8_t n)
{
	store_put(p->store, (struct store_key){STORE_STARTS, 0}, span_of(&n, sizeof(n)));
	if (!store_commit(p->store))
		give_up(p, "there is no memory for it");
}

unsigned publish_starts(struct publish *p, bool killed)
{
	struct span value;
	uint8_t n = 0;

	if (store_get(p->store, (struct store_key){STORE_STARTS, 0}, &value) && value.len == 1)
		n = value.ptr[0];
	if (killed && n)
		n--;
	put_starts(p, n < UINT8_MAX ? (uint8_t)(n + 1) : n);
	return n;
}

void publish_got_through(struct publish *p)
{
	if (p && p->store)
		put_starts(p, 0);
}

struct keys {
	struct store_key *list;
	size_t n, max;
};

static bool note_key(void *ctx, struct store_key key, struct span value)
{
	struct keys *k = ctx;

	(void)value;
	if (k->n < k->max)
		k->list[k->n++] = key;
	return true;
}

void publish_drop_engine(struct publish *p)
{
	struct store_view view;
	struct keys keys;

	store_look(p->store, &view);
	keys = (struct keys){.list = calloc(view.records, sizeof(*keys.list)), .max = view.records};
	if (!keys.list || !store_each(p->store, STORE_ENGINE, UINT32_MAX, note_key, &keys)) {
		free(keys.list);
		give_up(p, "out of memory");
		return;
	}
	for (size_t i = 0; i < keys.n; i++)
		store_remove(p->store, keys.list[i]);
	free(keys.list);
}
