/* Own addresses and the kernel's choice of source address. Asks the kernel each
 * time: addresses come and go, and the question is rare. */
#include "ipsecd/net/source.h"

#include <errno.h>
#include <ifaddrs.h>
#include <unistd.h>

bool source_is_local(const struct addr *a)
{
	struct ifaddrs *list, *i;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (i = list; i && !found; i = i->ifa_next) {
		struct endpoint e;

		found = i->ifa_addr && endpoint_from_sockaddr(i->ifa_addr, &e) &&
			addr_equal(&e.addr, a);
	}
	freeifaddrs(list);
	return found;
}

/* Connecting a UDP socket sends nothing and makes the kernel choose a route. */
bool source_towards(const struct addr *remote, struct addr *out)
{
	struct endpoint to = {.addr = *remote, .port = 500}, from;
	struct sockaddr_storage name;
	socklen_t len = endpoint_to_sockaddr(&to, &name);
	int fd = socket(remote->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return false;
	ok = connect(fd, (struct sockaddr *)&name, len) == 0;
	len = sizeof(name);
	ok = ok && getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
	     endpoint_from_sockaddr((struct sockaddr *)&name, &from) && !addr_is_any(&from.addr);
	close(fd);
	if (ok)
		*out = from.addr;
	return ok;
}
