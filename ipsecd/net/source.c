/* Own addresses and the kernel's choice of source address. Nothing is kept between two
 * questions: addresses come and go. */
#include "ipsecd/net/source.h"

#include <ifaddrs.h>
#include <stdlib.h>
#include <unistd.h>

struct source_addrs {
	size_t n;
	struct addr list[]; /* sorted */
};

static int compare(const void *a, const void *b)
{
	return addr_compare(a, b);
}

struct source_addrs *source_addrs_read(void)
{
	struct source_addrs *s;
	struct ifaddrs *list;
	size_t max = 0;

	if (getifaddrs(&list) < 0)
		return NULL;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		max++;
	s = malloc(sizeof(*s) + max * sizeof(s->list[0]));
	if (s)
		s->n = 0;
	for (const struct ifaddrs *i = list; s && i; i = i->ifa_next) {
		struct endpoint e;

		if (i->ifa_addr && endpoint_from_sockaddr(i->ifa_addr, &e))
			s->list[s->n++] = e.addr;
	}
	freeifaddrs(list);
	if (s)
		qsort(s->list, s->n, sizeof(s->list[0]), compare);
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

/* Connecting a UDP socket sends nothing and makes the kernel choose a route. */
bool source_towards(const struct addr *remote, const char *device, struct addr *out)
{
	struct endpoint to = {.addr = *remote, .port = 500}, from;
	struct sockaddr_storage name;
	socklen_t len = endpoint_to_sockaddr(&to, &name);
	int fd = socket(remote->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return false;
	ok = !device[0] ||
	     setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) == 0;
	ok = ok && connect(fd, (struct sockaddr *)&name, len) == 0;
	len = sizeof(name);
	ok = ok && getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
	     endpoint_from_sockaddr((struct sockaddr *)&name, &from) && !addr_is_any(&from.addr);
	close(fd);
	if (ok)
		*out = from.addr;
	return ok;
}
