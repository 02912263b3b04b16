/* /proc/net/tcp: one line a socket, addresses in words of the machine's byte order. */
#include "routed-bridge/tcp_owner.h"

#include <inttypes.h>

#define ADDRESS_TEXT 33
#define ESTABLISHED  1 /* TCP_ESTABLISHED, include/net/tcp_states.h of Linux */

/* As tcp (8 digits) or, with mapped, tcp6 (32) writes it. */
static void table_address(const struct addr *a, bool mapped, char out[ADDRESS_TEXT])
{
	uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};
	size_t n = a->family == AF_INET6 || mapped ? 16 : 4;
	uint32_t word;

	memcpy(bytes + (a->family == AF_INET && mapped ? 12 : 0), a->bytes, addr_size(a->family));
	for (size_t i = 0; i < n; i += 4) {
		memcpy(&word, bytes + i, 4);
		snprintf(out + i * 2, ADDRESS_TEXT - i * 2, "%08" PRIX32, word);
	}
}

static bool is_at(const struct endpoint *e, const char *address, unsigned port)
{
	char plain[ADDRESS_TEXT], mapped[ADDRESS_TEXT];

	if (port != e->port)
		return false;
	table_address(&e->addr, false, plain);
	table_address(&e->addr, true, mapped);
	return strcmp(address, plain) == 0 || strcmp(address, mapped) == 0;
}

bool tcp_owner_in(FILE *table, const struct endpoint *from, const struct endpoint *to,
		  unsigned *uid)
{
	char line[512], local[ADDRESS_TEXT], remote[ADDRESS_TEXT];
	unsigned local_port, remote_port, state, owner;

	while (fgets(line, sizeof(line), table)) {
		if (sscanf(line, " %*u: %32[0-9A-F]:%x %32[0-9A-F]:%x %x %*x:%*x %*x:%*x %*x %u",
			   local, &local_port, remote, &remote_port, &state, &owner) != 6)
			continue;
		if (!is_at(from, local, local_port) || !is_at(to, remote, remote_port))
			continue;
		/* A socket that was closed is nobody's any more: the kernel says 0 for its user. */
		if (state != ESTABLISHED)
			return false;
		*uid = owner;
		return true;
	}
	return false;
}

bool tcp_owner(const struct endpoint *from, const struct endpoint *to, unsigned *uid)
{
	static const char *const tables[] = {"/proc/self/net/tcp", "/proc/self/net/tcp6"};
	bool found = false;

	for (unsigned i = 0; i < 2 && !found; i++) {
		FILE *table = fopen(tables[i], "re");

		if (!table)
			continue;
		found = tcp_owner_in(table, from, to, uid);
		fclose(table);
	}
	return found;
}
