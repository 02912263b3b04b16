/* The table of interfaces, fed by zebra's INTERFACE_* messages. Pure: input is a parsed
 * message, output the entry that changed. Entries are never freed while the table lives,
 * so that their generation survives deletion. */
#include "routed-bridge/interfaces.h"

#include <stdlib.h>
#include <uthash.h>

struct entry {
	struct interface interface;
	UT_hash_handle hh;
};

struct interfaces {
	struct entry *by_name;
};

struct interfaces *interfaces_new(void)
{
	return calloc(1, sizeof(struct interfaces));
}

void interfaces_free(struct interfaces *t)
{
	struct entry *e, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->by_name, e, next) {
		HASH_DEL(t->by_name, e);
		free(e);
	}
	free(t);
}

static struct entry *find(const struct interfaces *t, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(t->by_name, name, e);
	return e;
}

static struct entry *find_or_add(struct interfaces *t, const char *name)
{
	struct entry *e = find(t, name);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	memcpy(e->interface.name, name, strlen(name));
	HASH_ADD_STR(t->by_name, interface.name, e);
	return e;
}

const struct interface *interfaces_update(struct interfaces *t, enum zapi_command command,
					  const struct zapi_interface *report)
{
	const uint64_t needed = IFF_UP | IFF_RUNNING;
	struct entry *e = find_or_add(t, report->name);
	struct interface next;

	if (!e)
		return NULL;
	next = e->interface;
	next.present = command != ZAPI_INTERFACE_DELETE;
	next.ifindex = report->ifindex;
	next.link_detect = report->link_detect;
	next.operative = next.present && (report->flags & needed) == needed;
	if (next.present && (!e->interface.present || e->interface.ifindex != next.ifindex))
		next.generation++;
	if (memcmp(&next, &e->interface, sizeof(next)) == 0)
		return NULL;
	e->interface = next;
	return &e->interface;
}

void interfaces_forget(struct interfaces *t)
{
	struct entry *e, *next;

	HASH_ITER (hh, t->by_name, e, next) {
		e->interface.present = false;
		e->interface.operative = false;
	}
}

const struct interface *interfaces_find(const struct interfaces *t, const char *name)
{
	const struct entry *e = find(t, name);

	return e ? &e->interface : NULL;
}
