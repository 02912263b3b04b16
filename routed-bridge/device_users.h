/* Which connections' tunnels are on which device, so that what happens to a device is looked at in
 * its own tunnels alone. Pure; kept by connection and by the device's name. */
#ifndef DETOUR_DEVICE_USERS_H
#define DETOUR_DEVICE_USERS_H

#include <stdbool.h>

struct device_users;

struct device_users *device_users_new(void); /* NULL when out of memory */
void device_users_free(struct device_users *t);
/* The connection's tunnel is on that device from now on ("": on none), and up or not. former
 * (or NULL) has room for IF_NAMESIZE bytes and takes the device that it was on ("": none). false:
 * out of memory, or a name that is no device's: it is on none. */
bool device_users_put(struct device_users *t, const char *conn, const char *device, bool up,
		      char *former);
/* The connection is not there any more; former as above. */
void device_users_drop(struct device_users *t, const char *conn, char *former);
/* How many are on the device, and how many of these are up. */
unsigned device_users_count(const struct device_users *t, const char *device, unsigned *up);
/* Calls back for each that is on the device; nothing of the table may be changed from there. */
void device_users_each(const struct device_users *t, const char *device,
		       void (*cb)(void *ctx, const char *conn), void *ctx);

#endif
