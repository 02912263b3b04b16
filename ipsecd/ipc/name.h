/* Bodies that are a name: IPC_GIVE, IPC_KEEP, IPC_DROP. */
#ifndef DETOUR_IPC_NAME_H
#define DETOUR_IPC_NAME_H

#include "ipsecd/ipc/link.h"
#include "ipsecd/ipc/verbs.h"

/* Points into the message. NULL: not one NUL-terminated name of printable characters, or empty. */
const struct ipc_name *ipc_name(const struct ipc_message *m);
/* `name` is cut if it is too long. */
bool ipc_send_name(struct ipc_link *link, uint32_t verb, const char *name, int fd /* -1: none */);
bool ipc_send_name_later(struct ipc_link *link, uint32_t verb, const char *name, int fd);

#endif
