/* Virtual addresses per tunnel. On a named device an address is there once, however many
 * tunnels have it, and goes with the last. */
#include "ipsecd/vips.h"
#include "ipsecd/means.h"

#include <stdlib.h>
#include <uthash.h>

struct entry {
	uint32_t tunnel;
	unsigned n;
	struct addr addrs[TUNNEL_ADDRS_MAX];
	UT_hash_handle hh;
};

struct vips {
	struct means *means;
	struct tunnels *tunnels;
	const struct log_sink *log;
	bool install;
	char on[IF_NAMESIZE]; /* "": the tunnel's device */
	struct entry *entries;
};

struct vips *vips_new(struct means *means, struct tunnels *tunnels, const struct log_sink *log)
{
	struct vips *v = calloc(1, sizeof(*v));

	if (v)
		*v = (struct vips){.means = means, .tunnels = tunnels, .log = log};
	return v;
}

static bool has(const struct entry *e, const struct addr *a)
{
	for (unsigned i = 0; e && i < e->n; i++) {
		if (addr_equal(&e->addrs[i], a))
			return true;
	}
	return false;
}

/* ---- on a named device ---- */

static bool another_has(const struct vips *v, const struct entry *but, const struct addr *a)
{
	for (const struct entry *e = v->entries; e; e = e->hh.next) {
		if (e != but && has(e, a))
			return true;
	}
	return false;
}

static void set_named(const struct vips *v, const struct addr *a, bool add)
{
	struct prefix p = {.addr = *a, .len = (uint8_t)(addr_size(a->family) * 8)};
	int e = v->means->act->address(v->means, v->on, &p, add);
	char text[ADDR_TEXT];

	if (e && add)
		log_to(v->log, LOG_LEVEL_ERROR, "tun", "", "virtual address %s on %s: %s",
		       addr_format(a, text), v->on, v->means->act->words(v->means, e));
}

static void change_named(const struct vips *v, const struct entry *e, const struct entry *from,
			 const struct entry *to)
{
	for (unsigned i = 0; to && i < to->n; i++) {
		if (!has(from, &to->addrs[i]) && !another_has(v, e, &to->addrs[i]))
			set_named(v, &to->addrs[i], true);
	}
	for (unsigned i = 0; from && i < from->n; i++) {
		if (!has(to, &from->addrs[i]) && !another_has(v, e, &from->addrs[i]))
			set_named(v, &from->addrs[i], false);
	}
}

/* ---- either way ---- */

/* `from` and `to` may be NULL: none. */
static void apply(const struct vips *v, const struct entry *e, const struct entry *from,
		  const struct entry *to)
{
	if (!v->install)
		return;
	if (v->on[0])
		change_named(v, e, from, to);
	else
		tunnels_set_vips(v->tunnels, e->tunnel, to ? to->addrs : e->addrs, to ? to->n : 0);
}

void vips_configure(struct vips *v, const struct settings *settings)
{
	struct entry *e, *next;

	if (v->install == settings->install_virtual_ip &&
	    strcmp(v->on, settings->install_virtual_ip_on) == 0)
		return;
	HASH_ITER (hh, v->entries, e, next)
		apply(v, e, e, NULL);
	v->install = settings->install_virtual_ip;
	memcpy(v->on, settings->install_virtual_ip_on, sizeof(v->on));
	HASH_ITER (hh, v->entries, e, next)
		apply(v, e, NULL, e);
}

static struct entry *find(const struct vips *v, uint32_t tunnel)
{
	struct entry *e;

	HASH_FIND(hh, v->entries, &tunnel, sizeof(tunnel), e);
	return e;
}

void vips_set(struct vips *v, uint32_t tunnel, const struct addr *addrs, unsigned n)
{
	struct entry *e = find(v, tunnel), before;

	if (!e && n == 0)
		return;
	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return;
		e->tunnel = tunnel;
		HASH_ADD(hh, v->entries, tunnel, sizeof(e->tunnel), e);
	}
	before = *e;
	e->n = n < TUNNEL_ADDRS_MAX ? n : TUNNEL_ADDRS_MAX;
	memcpy(e->addrs, addrs, e->n * sizeof(*addrs));
	apply(v, e, &before, e);
	if (e->n == 0) {
		HASH_DEL(v->entries, e);
		free(e);
	}
}

const struct addr *vips_of(const struct vips *v, uint32_t tunnel, uint8_t family)
{
	const struct entry *e = find(v, tunnel);

	for (unsigned i = 0; e && i < e->n; i++) {
		if (e->addrs[i].family == family)
			return &e->addrs[i];
	}
	return NULL;
}

bool vips_have(const struct vips *v, const struct addr *a)
{
	return another_has(v, NULL, a);
}

void vips_free(struct vips *v)
{
	struct entry *e, *next;

	if (!v)
		return;
	HASH_ITER (hh, v->entries, e, next) {
		if (v->on[0])
			apply(v, e, e, NULL);
		HASH_DEL(v->entries, e);
		free(e);
	}
	free(v);
}
