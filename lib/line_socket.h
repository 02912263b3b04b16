/* Lines over a SOCK_SEQPACKET socket, one a packet, with at most one descriptor beside each. */
#ifndef DETOUR_LINE_SOCKET_H
#define DETOUR_LINE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_SOCKET_MAX 4096 /* bytes of a line, with its NUL */

/* fd -1: none. Waits up to five seconds for room. */
bool line_send(int socket, const char *line, int fd);
/* Into line, NUL-terminated; *fd is the caller's, -1: none. 1; 0: none has come; -1: it ended, or
 * what came was no line. */
int line_receive(int socket, char *line, size_t size, int *fd);

#endif
