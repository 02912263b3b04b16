/* Lines over a SOCK_SEQPACKET socket, one a packet, with at most one descriptor beside each. */
#ifndef DETOUR_LINE_SOCKET_H
#define DETOUR_LINE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_SOCKET_MAX 4096 /* bytes of a line, with its NUL */
#define LINE_WHY_MAX	320

/* The socket of the supervisor whose vici socket is `vici`: its path. false: too long. */
bool line_path(const char *vici, char *out, size_t size);
/* Connected to it, non-blocking. -1: `why` (LINE_WHY_MAX bytes), with the path and what to look
 * at. */
int line_connect(const char *vici, char *why);

/* fd -1: none. Waits up to five seconds for room. */
bool line_send(int socket, const char *line, int fd);
/* Into line, NUL-terminated; *fd is the caller's, -1: none. 1; 0: none has come; -1: it ended, or
 * what came was no line. */
int line_receive(int socket, char *line, size_t size, int *fd);

#endif
