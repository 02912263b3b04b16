/* Means over a link to the plane's process (ipc/plane.h): a struct dataplane_ops, sends and changes
 * that are messages. What was asked for is remembered, so that a plane that is new gets all of it
 * again: it adopts what it kept, and makes what it lost. While there is none, what is asked for
 * counts as done, and is done when one is there; what it then can't do is told as an event
 * (CHILD_HARD_EXPIRE, DEVICE_CHANGED). So a plane's death is nothing that the shell has to know. */
#ifndef DETOUR_REMOTE_H
#define DETOUR_REMOTE_H

#include "ipsecd/means.h"

#define REMOTE_TIMEOUT_MS 10000 /* of an answer: a plane that makes many devices is busy */

struct remote;

/* NULL: no memory. */
struct remote *remote_new(const struct means_host *host);
/* A plane, the first or a new one; takes fd. Blocks until all that is remembered is there. false:
 * `why`, and it counts as gone; or, with `other` set, it is of another kind than the first, with
 * which the process can't go on. */
bool remote_link(struct remote *r, int fd, bool *other, char *why, size_t size);
bool remote_linked(const struct remote *r);
/* For an answer, instead of REMOTE_TIMEOUT_MS; then the link counts as broken. For tests. */
void remote_set_patience(struct remote *r, int ms);
/* Useful once remote_link succeeded; closing it frees the remote. */
struct means *remote_means(struct remote *r);

#endif
