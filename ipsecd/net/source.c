/* Own addresses and the kernel's choice of source address. Nothing is kept between two
 * questions: addresses come and go. */
#include "ipsecd/net/source.h"
#include "lib/netlink_route.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_MORE 16 /* addresses that came between two questions */

struct source_addrs {
	size_t n;
	struct addr list[]; /* sorted */
};

static int compare(const void *a, const void *b)
{
	return addr_compare(a, b);
}

struct reading {
	struct source_addrs *s;
	size_t room;
};

static void count(void *ctx, const struct netlink_addr *a)
{
	(void)a;
	++*(size_t *)ctx;
}

static void take(void *ctx, const struct netlink_addr *a)
{
	struct reading *r = ctx;

	if (r->s->n < r->room)
		r->s->list[r->s->n++] = a->prefix.addr;
}

struct source_addrs *source_addrs_read_by(struct netlink *nl)
{
	struct reading r = {0};
	int e = netlink_addr_list(nl, 0, count, &r.room);

	if (e) {
		errno = -e;
		return NULL;
	}
	r.room += ROOM_MORE;
	r.s = malloc(sizeof(*r.s) + r.room * sizeof(r.s->list[0]));
	if (!r.s)
		return NULL;
	r.s->n = 0;
	e = netlink_addr_list(nl, 0, take, &r);
	if (e) {
		free(r.s);
		errno = -e;
		return NULL;
	}
	qsort(r.s->list, r.s->n, sizeof(r.s->list[0]), compare);
	return r.s;
}

struct source_addrs *source_addrs_read(void)
{
	struct netlink *nl = netlink_open();
	struct source_addrs *s = nl ? source_addrs_read_by(nl) : NULL;

	netlink_close(nl);
	return s;
}

void source_addrs_free(struct source_addrs *s)
{
	free(s);
}

bool source_addrs_has(const struct source_addrs *s, const struct addr *a)
{
	return s && bsearch(a, s->list, s->n, sizeof(s->list[0]), compare);
}

bool source_addrs_find(const struct source_addrs *s, bool (*match)(void *ctx, const struct addr *a),
		       void *ctx, struct addr *out)
{
	for (size_t i = 0; s && i < s->n; i++) {
		if (match(ctx, &s->list[i])) {
			*out = s->list[i];
			return true;
		}
	}
	return false;
}

bool source_towards(struct netlink *nl, const struct addr *remote, const char *device,
		    struct addr *out)
{
	struct netlink_route route;
	struct netlink_link link = {0};

	if (!remote->family || (device[0] && netlink_link_find(nl, device, &link) != 0) ||
	    netlink_route_by(nl, remote, &(struct addr){0}, link.ifindex, &route) != 0 ||
	    route.blackhole || addr_is_any(&route.source))
		return false;
	*out = route.source;
	return true;
}
