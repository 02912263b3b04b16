/* The table of interfaces, fed by zebra's INTERFACE_* messages. Pure: input is a parsed
 * message, output the entry that changed. Generations are the table's, so that a name that was
 * forgotten comes back with another one. */
#include "routed-bridge/interfaces.h"

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

/* Those that are gone are told from such that never were, up to so many: names come and go. */
#define ABSENT_MAX 4096

struct entry {
	struct interface interface;
	bool blind_told;
	bool doubted; /* until it is told of again */
	bool indexed; /* in by_index, while it is present */
	bool absent;  /* in the list of these */
	struct entry *prev, *next;
	UT_hash_handle hh, at;
};

struct vrf {
	uint32_t id;
	bool gone;
	struct zapi_vrf value;
	UT_hash_handle hh;
};

struct interfaces {
	struct entry *by_name, *by_index;
	struct entry *absent; /* the oldest first */
	unsigned n_absent;
	uint32_t generation;
	struct vrf *vrfs;
};

struct interfaces *interfaces_new(void)
{
	return calloc(1, sizeof(struct interfaces));
}

static void forget_vrfs(struct interfaces *t)
{
	struct vrf *v, *next;

	HASH_ITER (hh, t->vrfs, v, next) {
		HASH_DEL(t->vrfs, v);
		free(v);
	}
}

void interfaces_free(struct interfaces *t)
{
	struct entry *e, *next;

	if (!t)
		return;
	HASH_CLEAR(at, t->by_index);
	HASH_ITER (hh, t->by_name, e, next) {
		HASH_DEL(t->by_name, e);
		free(e);
	}
	forget_vrfs(t);
	free(t);
}

static struct entry *find(const struct interfaces *t, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(t->by_name, name, e);
	return e;
}

static struct entry *find_at(const struct interfaces *t, uint32_t ifindex)
{
	struct entry *e;

	HASH_FIND(at, t->by_index, &ifindex, sizeof(ifindex), e);
	return e;
}

static void leave_index(struct interfaces *t, struct entry *e)
{
	if (e->indexed)
		HASH_DELETE(at, t->by_index, e);
	e->indexed = false;
}

static void enter_index(struct interfaces *t, struct entry *e)
{
	struct entry *former = find_at(t, e->interface.ifindex);

	if (former)
		leave_index(t, former);
	HASH_ADD(at, t->by_index, interface.ifindex, sizeof(e->interface.ifindex), e);
	e->indexed = true;
}

static void leave_absent(struct interfaces *t, struct entry *e)
{
	if (!e->absent)
		return;
	DL_DELETE(t->absent, e);
	t->n_absent--;
	e->absent = false;
}

static void enter_absent(struct interfaces *t, struct entry *e)
{
	if (e->absent)
		return;
	DL_APPEND(t->absent, e);
	t->n_absent++;
	e->absent = true;
}

static void drop_oldest(struct interfaces *t)
{
	while (t->n_absent > ABSENT_MAX) {
		struct entry *e = t->absent;

		leave_absent(t, e);
		HASH_DEL(t->by_name, e);
		free(e);
	}
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
	enter_absent(t, e);
	return e;
}

const struct interface *interfaces_update(struct interfaces *t, enum zapi_command command,
					  const struct zapi_interface *report)
{
	const uint64_t needed = IFF_UP | IFF_RUNNING;
	struct interface next;
	struct entry *e;

	drop_oldest(t);
	e = find_or_add(t, report->name);

	if (!e)
		return NULL;
	e->doubted = false;
	next = e->interface;
	next.present = command != ZAPI_INTERFACE_DELETE;
	next.ifindex = report->ifindex;
	next.link_detect = report->link_detect;
	next.vrf = report->vrf;
	next.operative = next.present && (report->flags & needed) == needed;
	if (next.present && (!e->interface.present || e->interface.ifindex != next.ifindex ||
			     e->interface.vrf != next.vrf))
		next.generation = ++t->generation;
	if (memcmp(&next, &e->interface, sizeof(next)) == 0)
		return NULL;
	leave_index(t, e);
	e->interface = next;
	if (next.present) {
		leave_absent(t, e);
		enter_index(t, e);
	} else {
		enter_absent(t, e);
	}
	return &e->interface;
}

static void forget(struct interfaces *t, struct entry *e)
{
	leave_index(t, e);
	enter_absent(t, e);
	e->interface.present = false;
	e->interface.operative = false;
	e->doubted = false;
}

void interfaces_forget(struct interfaces *t)
{
	struct entry *e, *next;

	HASH_ITER (hh, t->by_name, e, next)
		forget(t, e);
}

void interfaces_doubt(struct interfaces *t)
{
	struct entry *e, *next;

	HASH_ITER (hh, t->by_name, e, next)
		e->doubted = true;
}

bool interfaces_forget_doubted(struct interfaces *t)
{
	struct entry *e, *next;
	bool any = false;

	HASH_ITER (hh, t->by_name, e, next) {
		if (!e->doubted)
			continue;
		any = any || e->interface.present;
		forget(t, e);
	}
	return any;
}

bool interfaces_blind_news(struct interfaces *t, const char *name)
{
	struct entry *e = find(t, name);
	bool blind, news;

	if (!e || !e->interface.present)
		return false;
	blind = !e->interface.link_detect;
	news = blind && !e->blind_told;
	e->blind_told = blind;
	return news;
}

const struct interface *interfaces_find(const struct interfaces *t, const char *name)
{
	const struct entry *e = find(t, name);

	return e ? &e->interface : NULL;
}

const struct interface *interfaces_at(const struct interfaces *t, uint32_t ifindex)
{
	const struct entry *e = find_at(t, ifindex);

	return e ? &e->interface : NULL;
}

/* ---- VRFs ---- */

static struct vrf *find_vrf(const struct interfaces *t, uint32_t id)
{
	struct vrf *v;

	HASH_FIND(hh, t->vrfs, &id, sizeof(id), v);
	return v;
}

bool interfaces_vrf_add(struct interfaces *t, uint32_t id, const struct zapi_vrf *vrf)
{
	struct vrf *v = find_vrf(t, id);
	uint32_t former;

	if (v && !v->gone && v->value.table == vrf->table && strcmp(v->value.name, vrf->name) == 0)
		return false;
	/* Made anew while nobody told. */
	if (interfaces_vrf_find(t, vrf->name, &former) && former != id)
		interfaces_vrf_delete(t, former);
	v = find_vrf(t, id);
	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return false;
		v->id = id;
		HASH_ADD(hh, t->vrfs, id, sizeof(v->id), v);
	}
	v->value = *vrf;
	v->gone = false;
	return true;
}

/* Its table stays known: routes have to be taken out of it. */
void interfaces_vrf_delete(struct interfaces *t, uint32_t id)
{
	struct vrf *v = find_vrf(t, id);

	if (v)
		v->gone = true;
}

bool interfaces_vrf_find(const struct interfaces *t, const char *name, uint32_t *id)
{
	struct vrf *v, *next;

	HASH_ITER (hh, t->vrfs, v, next) {
		if (!v->gone && strcmp(v->value.name, name) == 0) {
			*id = v->id;
			return true;
		}
	}
	*id = ZAPI_VRF_DEFAULT;
	return strcmp(name, "default") == 0;
}

bool interfaces_vrf_present(const struct interfaces *t, uint32_t id)
{
	const struct vrf *v = find_vrf(t, id);

	return v && !v->gone;
}

const char *interfaces_vrf_name(const struct interfaces *t, uint32_t id)
{
	const struct vrf *v = id == ZAPI_VRF_DEFAULT ? NULL : find_vrf(t, id);

	return v && !v->gone ? v->value.name : NULL;
}

uint32_t interfaces_vrf_table(const struct interfaces *t, uint32_t id)
{
	const struct vrf *v = find_vrf(t, id);

	if (v && v->value.table)
		return v->value.table;
	return id == ZAPI_VRF_DEFAULT ? 254 : 0; /* RT_TABLE_MAIN */
}
