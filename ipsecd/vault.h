/* The helper's memory that outlives it: the bytes of secrets, each under a number by which ike
 * knows it, and the commands of scripts that the files gave. A store (state/store.h) in a memfd
 * that the supervisor keeps. */
#ifndef DETOUR_VAULT_H
#define DETOUR_VAULT_H

#include "lib/span.h"

#define VAULT_SECRETS_MAX 200000

struct vault;

/* fd: of the helper before us, -1 or an empty one: none. Where it can't be used, `why` says so
 * (else "") and a new one is made: secrets then have to be read or loaded again. NULL: `why`.
 * random is crypto.h's. */
struct vault *vault_open(int fd, void (*random)(void *ctx, void *dst, size_t n), char *why,
			 size_t size);
void vault_close(struct vault *v);
bool vault_is_new(const struct vault *v);
int vault_fd(const struct vault *v); /* the vault's own */

/* The secret's bytes, valid until the vault changes. */
bool vault_secret(const struct vault *v, uint64_t held, struct span *data);
/* The number of this secret under this name: the same as long as the bytes are, never one that
 * was another's. 0: it is not there. */
uint64_t vault_find(const struct vault *v, const char *unique, struct span data);
/* A number that is free. */
uint64_t vault_new_number(const struct vault *v);
/* Keeps it under this number. false: no memory, or too many. */
bool vault_put(struct vault *v, uint64_t held, const char *unique, struct span data,
	       bool from_files);
bool vault_is_of_files(const struct vault *v, uint64_t held); /* false: also where there is none */
bool vault_remove(struct vault *v, uint64_t held);
/* Removes those from files for which `keep` is false. Returns how many. */
unsigned vault_sweep(struct vault *v, bool (*keep)(void *ctx, uint64_t held), void *ctx);

/* What was read from the files last is `current`; what stood there before may be wanted to undo
 * what it did. Replaces the list; only the newest former ones are kept. */
bool vault_set_commands(struct vault *v, const char *const *commands, size_t n);
bool vault_command(const struct vault *v, const char *command, bool *current);

/* Changes from here to the end are one (kill -9 safe). false at the end: nothing was changed. */
void vault_begin(struct vault *v);
bool vault_end(struct vault *v);

#endif
