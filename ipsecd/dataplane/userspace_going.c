/* Devices of the userspace plane that were given up, and are there until whoever keeps a copy of
 * their descriptors closes it: owns which they are, and ends one whose name is wanted. */
#include "ipsecd/dataplane/userspace.h"

#include "lib/netlink_device.h"

#include <errno.h>

void userspace_going_add(struct dataplane *d, int ifindex)
{
	struct going *g = calloc(1, sizeof(*g));

	if (!g)
		return;
	g->ifindex = ifindex;
	HASH_ADD_INT(d->going, ifindex, g);
	if (!g->hh.tbl)
		free(g);
}

bool userspace_going_take(struct dataplane *d, int ifindex)
{
	struct going *g;

	HASH_FIND_INT(d->going, &ifindex, g);
	if (!g)
		return false;
	HASH_DELETE(hh, d->going, g);
	free(g);
	return true;
}

void userspace_going_free(struct dataplane *d)
{
	struct going *g, *next;

	HASH_ITER (hh, d->going, g, next) {
		HASH_DELETE(hh, d->going, g);
		free(g);
	}
}

bool userspace_going_end(struct dataplane *d, const char *name)
{
	struct netlink_link link;
	int e = netlink_link_find(d->netlink, name, &link);

	if (e == -ENODEV)
		return true;
	if (e || !userspace_going_take(d, link.ifindex))
		return false;
	e = netlink_link_del(d->netlink, link.ifindex);
	return e == 0 || e == -ENODEV;
}
