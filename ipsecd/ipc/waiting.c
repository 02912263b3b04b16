/* The list of messages that wait. */
#include "ipsecd/ipc/waiting.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

size_t waiting_cost(const struct ipc_header *h)
{
	return sizeof(struct waiting) + h->len;
}

void waiting_close(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

void waiting_drop_all(struct waiting **list)
{
	struct waiting *w, *next;

	DL_FOREACH_SAFE (*list, w, next) {
		DL_DELETE(*list, w);
		waiting_close(w->fds, w->n_fds);
		explicit_bzero(w->body, w->header.len);
		free(w);
	}
}

bool waiting_add(struct waiting **list, const struct ipc_header *h, const struct span *parts,
		 unsigned n_parts, const int *fds, unsigned n_fds, bool duplicate)
{
	struct waiting *w = malloc(sizeof(*w) + h->len);
	uint8_t *at;

	if (!w)
		return false;
	w->header = *h;
	w->n_fds = n_fds;
	for (unsigned i = 0; i < n_fds; i++) {
		w->fds[i] = duplicate ? fcntl(fds[i], F_DUPFD_CLOEXEC, 0) : fds[i];
		if (w->fds[i] < 0) {
			waiting_close(w->fds, i);
			free(w);
			return false;
		}
	}
	at = w->body;
	for (unsigned i = 0; i < n_parts; i++) {
		if (parts[i].len)
			memcpy(at, parts[i].ptr, parts[i].len);
		at += parts[i].len;
	}
	DL_APPEND(*list, w);
	return true;
}
