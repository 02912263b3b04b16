/* Unix stream sockets, from a client's side. */
#ifndef DETOUR_UNIX_SOCKET_H
#define DETOUR_UNIX_SOCKET_H

#include <stdbool.h>

/* A connected, non-blocking, close-on-exec socket. -1: errno tells; ENAMETOOLONG for a path
 * that no socket can have, EAGAIN when the server's queue is full. */
int unix_socket_connect(const char *path);
/* Is there a server? One whose queue is full counts. */
bool unix_socket_answers(const char *path);

#endif
