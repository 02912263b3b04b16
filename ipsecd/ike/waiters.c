/* Commands that wait for a conn or a child of it to come up. */
#include "ipsecd/ike/command.h"
#include "ipsecd/ike/conns.h"

#include <stdlib.h>

bool conns_add_waiter(struct ike_engine *e, struct conn_entry *entry, uint64_t tag,
		      const char *child)
{
	struct waiter *w;

	if (!tag)
		return true;
	w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	w->tag = tag;
	w->child = child ? strdup(child) : NULL;
	if (child && !w->child) {
		free(w);
		return false;
	}
	DL_APPEND(entry->waiters, w);
	entry_touch(e, entry);
	return true;
}

static bool waits_for(const struct waiter *w, const char *child)
{
	if (!w->child || !child)
		return !w->child && !child;
	return strcmp(w->child, child) == 0;
}

void conns_end_waiters(struct ike_engine *e, struct conn_entry *entry, const char *child, bool all,
		       bool ok, enum ike_reason reason, const char *detail)
{
	struct waiter *w, *tmp;

	DL_FOREACH_SAFE (entry->waiters, w, tmp) {
		if (!all && !waits_for(w, child))
			continue;
		DL_DELETE(entry->waiters, w);
		entry_touch(e, entry);
		command_progress(e, w->tag, ok, reason, detail);
		free(w->child);
		free(w);
	}
}
