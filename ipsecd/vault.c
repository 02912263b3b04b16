/* Two kinds of records: a secret is (1 byte: from files; name, NUL, bytes) under its number, and
 * the commands are one record (for each: 1 byte: current; text, NUL). Names and commands are
 * looked up in tables beside the store; the secrets' bytes are in the store alone. */
#include "ipsecd/vault.h"
#include "ipsecd/state/memfd.h"
#include "ipsecd/state/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#define NAME	     "ipsecd-vault"
#define SIZE	     65536
#define KIND_SECRET  1
#define KIND_COMMAND 2
#define FORMER_MAX   1000

/* The newest number of a name. */
struct named {
	char *unique;
	uint64_t held;
	UT_hash_handle hh;
};

struct command {
	char *text;
	bool current;
	UT_hash_handle hh; /* in order: newest first */
};

struct vault {
	struct memfd memory;
	struct store *store;
	struct named *names;
	struct command *commands;
	unsigned n_secrets;
	bool fresh;
	void (*random)(void *ctx, void *dst, size_t n);
};

static struct store_key secret_key(uint64_t held)
{
	return (struct store_key){KIND_SECRET, held};
}

/* ---- what is in a record ---- */

struct record {
	bool from_files;
	const char *unique;
	struct span data;
};

static bool read_record(struct span value, struct record *out)
{
	const uint8_t *end = value.len > 1 ? memchr(value.ptr + 1, '\0', value.len - 1) : NULL;

	if (!end)
		return false;
	out->from_files = value.ptr[0];
	out->unique = (const char *)value.ptr + 1;
	out->data = span_of(end + 1, value.len - (size_t)(end + 1 - value.ptr));
	return true;
}

/* ---- tables ---- */

static void forget_name(struct vault *v, struct named *n)
{
	HASH_DEL(v->names, n);
	free(n->unique);
	free(n);
}

static bool remember_name(struct vault *v, const char *unique, uint64_t held)
{
	struct named *n;

	HASH_FIND_STR(v->names, unique, n);
	if (!n) {
		n = calloc(1, sizeof(*n));
		if (n)
			n->unique = strdup(unique);
		if (!n || !n->unique) {
			free(n);
			return false;
		}
		HASH_ADD_KEYPTR(hh, v->names, n->unique, strlen(n->unique), n);
	}
	n->held = held;
	return true;
}

static struct command *find_command(const struct vault *v, const char *text)
{
	struct command *c;

	HASH_FIND_STR(v->commands, text, c);
	return c;
}

static bool add_command(struct command **table, const char *text, bool current)
{
	struct command *c;

	HASH_FIND_STR(*table, text, c);
	if (c)
		return true;
	c = calloc(1, sizeof(*c));
	if (c)
		c->text = strdup(text);
	if (!c || !c->text) {
		free(c);
		return false;
	}
	c->current = current;
	HASH_ADD_KEYPTR(hh, *table, c->text, strlen(c->text), c);
	return true;
}

static void free_commands(struct command **table)
{
	struct command *c, *next;

	HASH_ITER (hh, *table, c, next) {
		HASH_DEL(*table, c);
		free(c->text);
		free(c);
	}
}

static bool read_commands(struct vault *v, struct span value)
{
	while (value.len) {
		const uint8_t *end =
			value.len > 1 ? memchr(value.ptr + 1, '\0', value.len - 1) : NULL;

		if (!end || !add_command(&v->commands, (const char *)value.ptr + 1, value.ptr[0]))
			return false;
		value = span_of(end + 1, value.len - (size_t)(end + 1 - value.ptr));
	}
	return true;
}

static bool read_one(void *ctx, struct store_key key, struct span value)
{
	struct vault *v = ctx;
	struct record r;

	if (key.kind == KIND_COMMAND)
		return read_commands(v, value);
	v->n_secrets++;
	return read_record(value, &r) && remember_name(v, r.unique, key.id);
}

/* ---- life ---- */

static bool grow(void *ctx, size_t size, void **memory, size_t *now)
{
	struct vault *v = ctx;

	if (!memfd_grow(&v->memory, size))
		return false;
	*memory = v->memory.memory;
	*now = v->memory.size;
	return true;
}

static bool open_store(struct vault *v, char *why, size_t size)
{
	const struct store_host host = {.grow = grow, .ctx = v};

	if (!store_open(v->memory.memory, v->memory.size, &host, &v->store, why, size))
		return false;
	if (store_each(v->store, KIND_SECRET, KIND_COMMAND, read_one, v))
		return true;
	snprintf(why, size, "a record can't be read");
	return false;
}

static void forget_all(struct vault *v)
{
	struct named *n, *next;

	HASH_ITER (hh, v->names, n, next)
		forget_name(v, n);
	free_commands(&v->commands);
	v->n_secrets = 0;
	if (v->store)
		store_close(v->store);
	v->store = NULL;
}

static bool is_empty(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == 0;
}

static bool open_old(struct vault *v, int fd, char *why, size_t size)
{
	if (fd < 0)
		return false;
	if (is_empty(fd)) {
		close(fd);
		return false;
	}
	if (!memfd_map(&v->memory, fd, SIZE, why, size)) {
		close(fd);
		return false;
	}
	if (open_store(v, why, size))
		return true;
	forget_all(v);
	store_erase(v->memory.memory, v->memory.size);
	memfd_close(&v->memory);
	return false;
}

static bool open_new(struct vault *v, char *why, size_t size)
{
	if (!memfd_make(&v->memory, NAME, SIZE, why, size))
		return false;
	if (open_store(v, why, size))
		return true;
	memfd_close(&v->memory);
	return false;
}

struct vault *vault_open(int fd, void (*random)(void *ctx, void *dst, size_t n), char *why,
			 size_t size)
{
	struct vault *v = calloc(1, sizeof(*v));
	char second[128];

	why[0] = '\0';
	if (!v) {
		snprintf(why, size, "out of memory");
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	v->random = random;
	if (open_old(v, fd, why, size))
		return v;
	v->fresh = true;
	if (open_new(v, second, sizeof(second)))
		return v;
	snprintf(why, size, "%s", second);
	free(v);
	return NULL;
}

void vault_close(struct vault *v)
{
	if (!v)
		return;
	forget_all(v);
	memfd_close(&v->memory);
	free(v);
}

bool vault_is_new(const struct vault *v)
{
	return v->fresh;
}

int vault_fd(const struct vault *v)
{
	return v->memory.fd;
}

/* ---- secrets ---- */

static bool get(const struct vault *v, uint64_t held, struct record *out)
{
	struct span value;

	return store_get(v->store, secret_key(held), &value) && read_record(value, out);
}

bool vault_secret(const struct vault *v, uint64_t held, struct span *data)
{
	struct record r;

	if (!get(v, held, &r))
		return false;
	*data = r.data;
	return true;
}

uint64_t vault_find(const struct vault *v, const char *unique, struct span data)
{
	struct named *n;
	struct record r;

	HASH_FIND_STR(v->names, unique, n);
	return n && get(v, n->held, &r) && span_equal(r.data, data) ? n->held : 0;
}

/* At random: a vault that was lost and its successor give no number twice. */
uint64_t vault_new_number(const struct vault *v)
{
	struct record r;
	uint64_t held;

	do
		v->random(NULL, &held, sizeof(held));
	while (held == 0 || get(v, held, &r));
	return held;
}

bool vault_put(struct vault *v, uint64_t held, const char *unique, struct span data,
	       bool from_files)
{
	size_t n = strlen(unique) + 1;
	uint8_t *value;
	bool ok;

	if (v->n_secrets >= VAULT_SECRETS_MAX || !held)
		return false;
	value = malloc(1 + n + data.len);
	if (!value)
		return false;
	value[0] = from_files;
	memcpy(value + 1, unique, n);
	if (data.len)
		memcpy(value + 1 + n, data.ptr, data.len);
	ok = store_put(v->store, secret_key(held), span_of(value, 1 + n + data.len)) &&
	     remember_name(v, unique, held);
	explicit_bzero(value, 1 + n + data.len);
	free(value);
	v->n_secrets += ok;
	return ok;
}

bool vault_is_of_files(const struct vault *v, uint64_t held)
{
	struct record r;

	return get(v, held, &r) && r.from_files;
}

bool vault_remove(struct vault *v, uint64_t held)
{
	struct named *n;
	struct record r;

	if (!get(v, held, &r))
		return false;
	HASH_FIND_STR(v->names, r.unique, n);
	if (n && n->held == held)
		forget_name(v, n);
	if (!store_remove(v->store, secret_key(held)))
		return false;
	v->n_secrets--;
	return true;
}

struct sweep {
	bool (*keep)(void *ctx, uint64_t held);
	void *ctx;
	uint64_t *gone;
	unsigned n;
};

static bool look(void *ctx, struct store_key key, struct span value)
{
	struct sweep *s = ctx;
	struct record r;

	if (read_record(value, &r) && r.from_files && !s->keep(s->ctx, key.id))
		s->gone[s->n++] = key.id;
	return true;
}

unsigned vault_sweep(struct vault *v, bool (*keep)(void *ctx, uint64_t held), void *ctx)
{
	struct sweep s = {.keep = keep, .ctx = ctx};

	s.gone = calloc(v->n_secrets + 1u, sizeof(*s.gone));
	if (!s.gone)
		return 0; /* the next one sweeps them, too */
	store_each(v->store, KIND_SECRET, KIND_SECRET, look, &s);
	for (unsigned i = 0; i < s.n; i++)
		vault_remove(v, s.gone[i]);
	free(s.gone);
	return s.n;
}

/* ---- commands ---- */

static bool put_commands(struct vault *v)
{
	const struct store_key key = {KIND_COMMAND, 0};
	size_t len = 0, at = 0;
	uint8_t *value;
	bool ok;

	for (const struct command *c = v->commands; c; c = c->hh.next)
		len += 2 + strlen(c->text);
	value = malloc(len + 1);
	if (!value)
		return false;
	for (const struct command *c = v->commands; c; c = c->hh.next) {
		size_t n = strlen(c->text) + 1;

		value[at++] = c->current;
		memcpy(value + at, c->text, n);
		at += n;
	}
	ok = store_put(v->store, key, span_of(value, len));
	free(value);
	return ok;
}

bool vault_set_commands(struct vault *v, const char *const *commands, size_t n)
{
	struct command *before = v->commands;
	unsigned former = 0;
	bool ok = true;

	v->commands = NULL;
	for (size_t i = 0; i < n; i++)
		ok = add_command(&v->commands, commands[i], true) && ok;
	for (const struct command *c = before; c && former < FORMER_MAX; c = c->hh.next, former++)
		ok = add_command(&v->commands, c->text, false) && ok;
	free_commands(&before);
	return put_commands(v) && ok;
}

bool vault_command(const struct vault *v, const char *command, bool *current)
{
	const struct command *c = find_command(v, command);

	if (c)
		*current = c->current;
	return c;
}

/* ---- changes ---- */

void vault_begin(struct vault *v)
{
	store_begin(v->store);
}

bool vault_end(struct vault *v)
{
	return store_commit(v->store);
}
