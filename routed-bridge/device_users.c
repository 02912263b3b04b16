/* The tunnels of each device. A device is there as long as it has users. */
#include "routed-bridge/device_users.h"
#include "lib/hash.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

struct device;

struct user {
	struct device *device; /* NULL: on none */
	struct user *prev, *next;
	bool up;
	UT_hash_handle hh;
	char conn[]; /* the key */
};

struct device {
	char name[IF_NAMESIZE];
	struct user *users;
	unsigned n, n_up;
	UT_hash_handle hh;
};

struct device_users {
	struct user *by_conn;
	struct device *by_name;
};

struct device_users *device_users_new(void)
{
	return calloc(1, sizeof(struct device_users));
}

void device_users_free(struct device_users *t)
{
	struct device *d, *next_device;
	struct user *u, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->by_name, d, next_device) {
		HASH_DEL(t->by_name, d);
		free(d);
	}
	HASH_ITER (hh, t->by_conn, u, next) {
		HASH_DEL(t->by_conn, u);
		free(u);
	}
	free(t);
}

static struct device *find_device(const struct device_users *t, const char *name)
{
	struct device *d;

	HASH_FIND_STR(t->by_name, name, d);
	return d;
}

static struct device *find_or_add_device(struct device_users *t, const char *name)
{
	struct device *d = find_device(t, name);

	if (d || strlen(name) >= sizeof(d->name))
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	memcpy(d->name, name, strlen(name));
	HASH_ADD_STR(t->by_name, name, d);
	if (!d->hh.tbl) {
		free(d);
		return NULL;
	}
	return d;
}

static struct user *find_user(const struct device_users *t, const char *conn)
{
	struct user *u;

	HASH_FIND_STR(t->by_conn, conn, u);
	return u;
}

static struct user *find_or_add_user(struct device_users *t, const char *conn)
{
	struct user *u = find_user(t, conn);
	size_t len = strlen(conn);

	if (u)
		return u;
	u = calloc(1, sizeof(*u) + len + 1);
	if (!u)
		return NULL;
	memcpy(u->conn, conn, len);
	HASH_ADD_KEYPTR(hh, t->by_conn, u->conn, len, u);
	if (!u->hh.tbl) {
		free(u);
		return NULL;
	}
	return u;
}

static void leave(struct device_users *t, struct user *u)
{
	struct device *d = u->device;

	if (!d)
		return;
	u->device = NULL;
	DL_DELETE(d->users, u);
	d->n--;
	d->n_up -= u->up;
	if (d->users)
		return;
	HASH_DEL(t->by_name, d);
	free(d);
}

static void name_former(const struct user *u, char *former)
{
	if (former)
		snprintf(former, IF_NAMESIZE, "%s", u && u->device ? u->device->name : "");
}

bool device_users_put(struct device_users *t, const char *conn, const char *device, bool up,
		      char *former)
{
	struct user *u = find_or_add_user(t, conn);
	struct device *d;

	name_former(u, former);
	if (!u)
		return false;
	leave(t, u);
	u->up = up;
	d = *device ? find_or_add_device(t, device) : NULL;
	if (!d)
		return !*device;
	u->device = d;
	DL_APPEND(d->users, u);
	d->n++;
	d->n_up += up;
	return true;
}

void device_users_drop(struct device_users *t, const char *conn, char *former)
{
	struct user *u = find_user(t, conn);

	name_former(u, former);
	if (!u)
		return;
	leave(t, u);
	HASH_DEL(t->by_conn, u);
	free(u);
}

unsigned device_users_count(const struct device_users *t, const char *device, unsigned *up)
{
	const struct device *d = find_device(t, device);

	*up = d ? d->n_up : 0;
	return d ? d->n : 0;
}

void device_users_each(const struct device_users *t, const char *device,
		       void (*cb)(void *ctx, const char *conn), void *ctx)
{
	const struct device *d = find_device(t, device);
	const struct user *u, *next;

	if (!d)
		return;
	for (u = d->users; u; u = next) {
		next = u->next;
		cb(ctx, u->conn);
	}
}
