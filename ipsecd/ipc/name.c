/* Names as bodies. */
#include "ipsecd/ipc/name.h"
#include "lib/text.h"

#include <stdio.h>

const struct ipc_name *ipc_name(const struct ipc_message *m)
{
	const struct ipc_name *n = (const struct ipc_name *)(const void *)m->body.ptr;

	if (m->body.len != sizeof(*n) || n->name[0] == '\0' ||
	    !memchr(n->name, '\0', sizeof(n->name)))
		return NULL;
	return text_is_clean(n->name, strlen(n->name)) ? n : NULL;
}

static struct ipc_name name_of(const char *name)
{
	struct ipc_name n = {0};

	snprintf(n.name, sizeof(n.name), "%s", name);
	return n;
}

bool ipc_send_name(struct ipc_link *link, uint32_t verb, const char *name, int fd)
{
	const struct ipc_name n = name_of(name);
	struct span body = span_of(&n, sizeof(n));

	return ipc_send(link, verb, 0, &body, 1, &fd, fd >= 0);
}

bool ipc_send_name_later(struct ipc_link *link, uint32_t verb, const char *name, int fd)
{
	const struct ipc_name n = name_of(name);
	struct span body = span_of(&n, sizeof(n));

	return ipc_send_later(link, verb, &body, 1, &fd, fd >= 0);
}
