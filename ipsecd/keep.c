/* Kept descriptors by owner and name. */
#include "ipsecd/keep.h"
#include "lib/hash.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct key {
	unsigned owner;
	char name[KEEP_NAME_MAX]; /* zeros behind its end: compared as a whole */
};

struct kept {
	struct key key;
	int fd;
	UT_hash_handle hh;
};

struct keep {
	struct kept *all;
};

struct keep *keep_new(void)
{
	return calloc(1, sizeof(struct keep));
}

static void forget(struct keep *k, struct kept *one)
{
	HASH_DEL(k->all, one);
	close(one->fd);
	free(one);
}

void keep_free(struct keep *k)
{
	struct kept *one, *next;

	if (!k)
		return;
	HASH_ITER (hh, k->all, one, next)
		forget(k, one);
	free(k);
}

static bool make_key(struct key *key, unsigned owner, const char *name)
{
	size_t len = strlen(name);

	memset(key, 0, sizeof(*key));
	key->owner = owner;
	if (len == 0 || len >= sizeof(key->name))
		return false;
	memcpy(key->name, name, len);
	return true;
}

static struct kept *find(const struct keep *k, unsigned owner, const char *name)
{
	struct kept *one = NULL;
	struct key key;

	if (make_key(&key, owner, name))
		HASH_FIND(hh, k->all, &key, sizeof(key), one);
	return one;
}

static unsigned count_of(const struct keep *k, unsigned owner)
{
	unsigned n = 0;

	for (const struct kept *one = k->all; one; one = one->hh.next)
		n += one->key.owner == owner;
	return n;
}

static bool add(struct keep *k, const struct key *key, int fd)
{
	struct kept *one;

	if (HASH_COUNT(k->all) >= KEEP_PER_OWNER && count_of(k, key->owner) >= KEEP_PER_OWNER)
		return false;
	one = calloc(1, sizeof(*one));
	if (!one)
		return false;
	one->key = *key;
	one->fd = fd;
	HASH_ADD(hh, k->all, key, sizeof(one->key), one);
	if (one->hh.tbl)
		return true;
	free(one);
	return false;
}

bool keep_put(struct keep *k, unsigned owner, const char *name, int fd)
{
	struct kept *one;
	struct key key;
	bool ok;

	one = find(k, owner, name);
	if (one) {
		close(one->fd);
		one->fd = fd;
		return true;
	}
	ok = make_key(&key, owner, name) && add(k, &key, fd);
	if (!ok)
		close(fd);
	return ok;
}

bool keep_drop(struct keep *k, unsigned owner, const char *name)
{
	struct kept *one = find(k, owner, name);

	if (one)
		forget(k, one);
	return one;
}

int keep_find(const struct keep *k, unsigned owner, const char *name)
{
	const struct kept *one = find(k, owner, name);

	return one ? one->fd : -1;
}

void keep_each(const struct keep *k, keep_cb *cb, void *ctx)
{
	for (const struct kept *one = k->all; one; one = one->hh.next)
		cb(ctx, one->key.owner, one->key.name, one->fd);
}

unsigned keep_count(const struct keep *k)
{
	return HASH_COUNT(k->all);
}

/* ---- as text ---- */

static bool is_plain(unsigned char c)
{
	return c < 0x80 && (isalnum(c) || c == '-' || c == '_' || c == '.');
}

void keep_text(const char *owner, const char *name, char out[KEEP_TEXT_MAX])
{
	size_t at = (size_t)snprintf(out, KEEP_TEXT_MAX, "%s.", owner);

	for (; *name && at + 4 <= KEEP_TEXT_MAX; name++) {
		if (is_plain((unsigned char)*name))
			out[at++] = *name;
		else
			at += (size_t)snprintf(out + at, KEEP_TEXT_MAX - at, "%%%02X",
					       (unsigned char)*name);
	}
	out[at] = '\0';
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Only what keep_text writes: one name has one text. */
static bool decode(const char *text, char name[KEEP_NAME_MAX])
{
	size_t n = 0;

	for (; *text; text++) {
		char c = *text;

		if (c == '%') {
			int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			text += 2;
			if (c == '\0' || is_plain((unsigned char)c))
				return false;
		} else if (!is_plain((unsigned char)c)) {
			return false;
		}
		if (n + 1 >= KEEP_NAME_MAX)
			return false;
		name[n++] = c;
	}
	name[n] = '\0';
	return n > 0;
}

bool keep_parse(const char *text, const char *const *owners, unsigned *owner,
		char name[KEEP_NAME_MAX])
{
	const char *dot = strchr(text, '.');

	for (unsigned i = 0; dot && owners[i]; i++) {
		if (strlen(owners[i]) != (size_t)(dot - text) ||
		    strncmp(owners[i], text, (size_t)(dot - text)) != 0)
			continue;
		*owner = i;
		return decode(dot + 1, name);
	}
	return false;
}
