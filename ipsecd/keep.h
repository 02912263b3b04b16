/* Descriptors that outlive the process which works with them, by owner and name: state in
 * memory, sockets, TUN devices. Owns them. Knows neither processes nor messages; the texts are
 * what carries the table to another supervisor (keep_text) or into systemd's store. */
#ifndef DETOUR_KEEP_H
#define DETOUR_KEEP_H

#include <stdbool.h>
#include <stddef.h>

#define KEEP_NAME_MAX  64 /* with its NUL, as IPC_NAME_MAX */
#define KEEP_PER_OWNER 16384

/* systemd takes 255 printable characters without ':'; a name's worst case is three for one. */
#define KEEP_TEXT_MAX 224

struct keep;

/* `owner` is small: an index of the caller's. */
typedef void keep_cb(void *ctx, unsigned owner, const char *name, int fd);

struct keep *keep_new(void);	/* NULL: out of memory */
void keep_free(struct keep *k); /* closes all */

/* Takes fd, in any case; what had the name is closed. false: a name that is empty or too long,
 * too many, or no memory. */
bool keep_put(struct keep *k, unsigned owner, const char *name, int fd);
bool keep_drop(struct keep *k, unsigned owner, const char *name);      /* false: unknown */
int keep_find(const struct keep *k, unsigned owner, const char *name); /* -1: none */
/* In the order of their coming. The table must not change meanwhile. */
void keep_each(const struct keep *k, keep_cb *cb, void *ctx);
unsigned keep_count(const struct keep *k);

/* "ike.engine": OWNER "." NAME, with %XX for what is not a letter, digit, '-', '_' or '.'. */
void keep_text(const char *owner, const char *name, char out[KEEP_TEXT_MAX]);
/* The way back. `owners` ends with NULL. false: not of ours. */
bool keep_parse(const char *text, const char *const *owners, unsigned *owner,
		char name[KEEP_NAME_MAX]);

#endif
