/* A request of ike's in words, for the log. Nothing about it is known yet but its length: names may
 * have no end, addresses no family. Keys are left out. */
#include "ipsecd/ipc/check.h"

#include <stdarg.h>
#include <stdio.h>

struct words {
	char *text;
	size_t size, len;
};

static void say(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct words *w, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(w->text + w->len, w->size - w->len, format, args);
	va_end(args);
	if (n > 0)
		w->len = w->len + (size_t)n < w->size ? w->len + (size_t)n : w->size - 1;
}

static void say_name(struct words *w, const char *what, const char *name, size_t size)
{
	say(w, " %s'%.*s'", what, (int)strnlen(name, size), name);
}

static void say_prefix(struct words *w, const struct prefix *p)
{
	char text[ADDR_TEXT];

	if (addr_size(p->addr.family))
		say(w, " %s/%u", addr_format(&p->addr, text), p->len);
	else
		say(w, " (no address)/%u", p->len);
}

static void say_path(struct words *w, const struct endpoint *from, const struct endpoint *to)
{
	char a[ADDR_TEXT], b[ADDR_TEXT];
	bool known = addr_size(from->addr.family) && addr_size(to->addr.family);

	if (known)
		say(w, " %s[%u] to %s[%u]", addr_format(&from->addr, a), from->port,
		    addr_format(&to->addr, b), to->port);
	else
		say(w, " port %u to port %u", from->port, to->port);
}

static void tunnel(struct words *w, const uint8_t *body)
{
	struct ipc_tunnel b;

	memcpy(&b.tunnel, body, sizeof(b.tunnel));
	memcpy(b.config.name, body + offsetof(struct ipc_tunnel, config.name),
	       sizeof(b.config.name));
	say(w, " %u", b.tunnel);
	say_name(w, "", b.config.name, sizeof(b.config.name));
}

static void number(struct words *w, const uint8_t *body)
{
	uint32_t id;

	memcpy(&id, body, sizeof(id));
	say(w, " %u", id);
}

static void long_number(struct words *w, const uint8_t *body)
{
	uint64_t id;

	memcpy(&id, body, sizeof(id));
	say(w, " %llu", (unsigned long long)id);
}

/* Not the whole of it: keys stay where they are. */
static void child(struct words *w, const uint8_t *body)
{
	struct endpoint local, remote;
	uint32_t of, in, out;
	uint64_t id;

	memcpy(&id, body + offsetof(struct child_sa, id), sizeof(id));
	memcpy(&of, body + offsetof(struct child_sa, tunnel), sizeof(of));
	memcpy(&in, body + offsetof(struct child_sa, spi_in), sizeof(in));
	memcpy(&out, body + offsetof(struct child_sa, spi_out), sizeof(out));
	memcpy(&local, body + offsetof(struct child_sa, local), sizeof(local));
	memcpy(&remote, body + offsetof(struct child_sa, remote), sizeof(remote));
	say(w, " %llu of tunnel %u, SPIs %08x/%08x,", (unsigned long long)id, of, in, out);
	say_path(w, &local, &remote);
}

static void child_update(struct words *w, const uint8_t *body)
{
	struct endpoint local, remote;

	long_number(w, body);
	memcpy(&local, body + offsetof(struct ipc_child_update, local), sizeof(local));
	memcpy(&remote, body + offsetof(struct ipc_child_update, remote), sizeof(remote));
	say_path(w, &local, &remote);
}

static void path(struct words *w, const uint8_t *body)
{
	struct ipc_path b;

	memcpy(&b, body, sizeof(b));
	say_path(w, &b.local, &b.remote);
}

static void route(struct words *w, const uint8_t *body)
{
	struct ipc_route b;

	memcpy(&b, body, sizeof(b));
	say(w, " %s", b.add ? "add" : "remove");
	say_prefix(w, &b.dst);
	say(w, " device %d, table %u, protocol %u, kind %u", b.ifindex, b.table, b.protocol,
	    b.kind);
}

static void rule(struct words *w, const uint8_t *body)
{
	struct ipc_rule b;

	memcpy(&b, body, sizeof(b));
	say(w, " %s priority %u, table %u, protocol %u,", b.add ? "add" : "remove", b.priority,
	    b.table, b.protocol);
	say_name(w, "iif ", b.iif, sizeof(b.iif));
}

static void address(struct words *w, const uint8_t *body)
{
	struct ipc_address b;

	memcpy(&b, body, sizeof(b));
	say(w, " %s", b.add ? "add" : "remove");
	say_prefix(w, &b.prefix);
	say_name(w, "device ", b.device, sizeof(b.device));
}

static void device(struct words *w, const uint8_t *body)
{
	say_name(w, "", (const char *)body, sizeof(((struct ipc_device *)0)->device));
}

static const struct {
	size_t least; /* bytes that it looks at */
	void (*say)(struct words *w, const uint8_t *body);
} values[] = {
	[IPC_TUNNEL_CREATE] = {sizeof(struct ipc_tunnel), tunnel},
	[IPC_TUNNEL_UPDATE] = {sizeof(struct ipc_tunnel), tunnel},
	[IPC_TUNNEL_REMOVE] = {sizeof(uint32_t), number},
	[IPC_TUNNEL_LINK] = {sizeof(struct ipc_tunnel_link), number},
	[IPC_CHILD_INSTALL] = {sizeof(struct child_sa), child},
	[IPC_CHILD_UPDATE] = {sizeof(struct ipc_child_update), child_update},
	[IPC_CHILD_REMOVE] = {sizeof(uint64_t), long_number},
	[IPC_SEND_IKE] = {sizeof(struct ipc_path), path},
	[IPC_SEND_KEEPALIVE] = {sizeof(struct ipc_path), path},
	[IPC_ROUTE] = {sizeof(struct ipc_route), route},
	[IPC_RULE] = {sizeof(struct ipc_rule), rule},
	[IPC_ADDRESS] = {sizeof(struct ipc_address), address},
	[IPC_BIND] = {sizeof(struct ipc_device), device},
	[IPC_WORKERS] = {sizeof(struct ipc_workers), number},
};

const char *ipc_describe(uint32_t verb, struct span body, char *text, size_t size)
{
	struct words w = {.text = text, .size = size};

	text[0] = '\0';
	if (verb >= IPC_PLANE_HELLO && verb < IPC_PLANE_END)
		say(&w, "%s", ipc_plane_verb_name(verb));
	else
		say(&w, "message %u", verb);
	if (verb < sizeof(values) / sizeof(values[0]) && values[verb].say &&
	    body.len >= values[verb].least)
		values[verb].say(&w, body.ptr);
	else
		say(&w, " of %zu bytes", body.len);
	return text;
}
