/* What the area has of the kernel plane: its tunnels and CHILD_SAs are those of the former
 * process, with the devices, states and policies that are in the kernel and go on without us.
 * What is in the kernel and not here is inherited (kernel_found.c); what is here and not in the
 * kernel has expired: a state with these keys must not begin at its first number again. */
#include "ipsecd/dataplane/kernel.h"

#include "lib/netlink.h"

#include <utlist.h>

enum dataplane_error kernel_tunnel_keep(struct kernel_tunnel *t)
{
	const struct area_tunnel as = {.id = t->id,
				       .ifindex = t->info.ifindex,
				       .link_up = t->info.link_up,
				       .admin_up = t->info.admin_up,
				       .config = t->config};

	if (t->slot)
		area_tunnel_set(t->slot, &as);
	else
		t->slot = area_tunnel_put(t->plane->area, &as);
	return t->slot ? DATAPLANE_OK : kernel_fail(t->plane, DATAPLANE_NO_MEMORY, "out of memory");
}

/* ---- claiming ---- */

static bool set_id(struct dataplane *d, struct kernel_tunnel *t, uint32_t id)
{
	struct kernel_child *c;

	HASH_DELETE(by_id, d->by_id, t);
	t->id = id;
	HASH_ADD(by_id, d->by_id, id, sizeof(t->id), t);
	DL_FOREACH (t->newest, c)
		c->sa.tunnel = id;
	return kernel_tunnel_keep(t) == DATAPLANE_OK && t->by_id.tbl != NULL;
}

/* Out of the way, for as long as nobody claims it. */
static bool set_spare_id(struct dataplane *d, struct kernel_tunnel *t)
{
	uint32_t id = UINT32_MAX;

	while (kernel_tunnel_find(d, id))
		id--;
	return set_id(d, t, id);
}

static bool can_claim(struct dataplane *d, const struct kernel_tunnel *t,
		      const struct kernel_tunnel *named, uint32_t id)
{
	if (named && named != t && named->claimed)
		kernel_fail(d, DATAPLANE_EXISTS, "device %s serves tunnel %u already",
			    named->config.name, named->id);
	else if (t && t != named && t->claimed)
		kernel_fail(d, DATAPLANE_EXISTS, "tunnel %u exists already: it is %s", id,
			    t->config.name);
	else
		return true;
	return false;
}

struct kernel_tunnel *kernel_tunnel_claim(struct dataplane *d, uint32_t id,
					  const struct tunnel_config *config,
					  enum dataplane_error *error)
{
	struct kernel_tunnel *t = kernel_tunnel_find(d, id), *named;
	bool was;

	HASH_FIND(by_name, d->by_name, config->name, strlen(config->name), named);
	*error = DATAPLANE_EXISTS;
	if (!can_claim(d, t, named, id))
		return NULL;
	*error = DATAPLANE_OK;
	if ((t && t != named && !set_spare_id(d, t)) ||
	    (named && named != t && !set_id(d, named, id)))
		*error = kernel_fail(d, DATAPLANE_NO_MEMORY, "out of memory");
	if (*error != DATAPLANE_OK || !named)
		return NULL;
	was = named->claimed;
	named->claimed = true;
	if (!named->present || !tunnel_config_equal(&named->config, config))
		*error = kernel_tunnel_update(d, id, config);
	if (*error == DATAPLANE_OK || was)
		return named;
	/* Another kind, another key: the device is to be another one. */
	kernel_tunnel_free(d, named, false);
	*error = DATAPLANE_OK;
	return NULL;
}

/* ---- restoring ---- */

static void restore_tunnel(void *ctx, struct area_slot *slot)
{
	struct dataplane *d = ctx;
	struct kernel_tunnel *t = NULL;
	struct area_tunnel as;
	enum dataplane_error e;

	area_tunnel_get(slot, &as);
	e = kernel_tunnel_new(d, as.id, &as.config, &t);
	if (e == DATAPLANE_OK) {
		t->slot = slot;
		t->claimed = false;
		e = kernel_tunnel_obtain(t);
	}
	if (e == DATAPLANE_OK) {
		kernel_inherit_claim(d, t);
		return;
	}
	log_to(d->host.log, LOG_LEVEL_ERROR, "knl", as.config.name,
	       "the tunnel of the former process can't go on: %s", d->error);
	if (t)
		kernel_tunnel_free(d, t, true);
	else
		area_slot_free(slot);
}

/* Killed before both states were there: nothing has been sent, and it will be asked for again. */
static void forget_child(struct dataplane *d, struct kernel_tunnel *t, const struct child_sa *sa,
			 uint32_t number)
{
	struct state_key key;

	for (unsigned out = 0; out < 2; out++)
		if (kernel_found_take(t, sa, number, out, &key))
			xfrm_state_remove(d->xfrm, &key.dst, key.spi, &key.tag);
}

/* false: the kernel has lost it. */
static bool restore_state(struct kernel_child *c, struct direction *x)
{
	struct dataplane *d = c->tunnel->plane;
	bool outbound = x == &c->out;
	struct state_key key;
	uint32_t reqid = kernel_found_take(c->tunnel, &c->sa, c->number, outbound, &key);

	if (reqid) {
		if (outbound)
			kernel_lead_restored(c, reqid);
		c->live->remaking &= outbound ? (uint8_t)~LIVE_OUT : (uint8_t)~LIVE_IN;
		return kernel_state_track(d, &x->state, &key.dst, key.spi, &key.tag);
	}
	if (c->live->remaking & (outbound ? LIVE_OUT : LIVE_IN))
		return kernel_child_add_again(c, outbound) == DATAPLANE_OK;
	return false;
}

static void restore_states(struct kernel_child *c)
{
	struct dataplane *d = c->tunnel->plane;
	bool in = restore_state(c, &c->in), out = restore_state(c, &c->out);

	if (in && out && kernel_child_read(c, mono_now())) {
		c->heard = c->in.packets + c->in.last.packets;
		/* Killed while it moved. */
		if (addr_equal(&c->out.state.key.dst, &c->sa.remote.addr) &&
		    addr_equal(&c->in.state.key.dst, &c->sa.local.addr))
			return;
		/* Nobody leads it yet: it is made as its own, and once more when that is known. */
		kernel_lead_restored(c, REQID_BASE | c->number << 1 | REQID_OUT);
		kernel_child_readdress(c);
		return;
	}
	kernel_say(c->tunnel, LOG_LEVEL_NOTICE,
		   "the kernel has no longer the states of the CHILD_SA with SPI 0x%08x",
		   c->sa.spi_in);
	c->hard_reported = true;
	kernel_child_note(d, c, DUE_HARD);
}

static void restore_child(void *ctx, struct area_slot *slot)
{
	struct dataplane *d = ctx;
	struct area_numbers numbers;
	struct kernel_tunnel *t;
	struct kernel_child *c;
	struct child_sa sa;

	area_child_get(slot, &sa, &numbers);
	t = kernel_tunnel_find(d, sa.tunnel);
	if (!t || !area_child_live(slot)->installed) {
		if (t)
			forget_child(d, t, &sa, numbers.reqid);
		area_slot_free(slot);
	} else {
		c = kernel_child_new(d, &sa, &numbers, slot);
		if (c)
			restore_states(c);
		if (numbers.reqid > d->last_number)
			d->last_number = numbers.reqid;
		if (numbers.priority < t->last_priority)
			t->last_priority = numbers.priority;
	}
	child_sa_cleanse(&sa);
}

/* Policies that are as they are to be are not set again. */
static int restore_policies(struct kernel_tunnel *t)
{
	struct kernel_child *c;
	int e;

	kernel_lead(t);
	e = kernel_policy_base(t);
	DL_FOREACH (t->newest, c)
		if (e == 0)
			e = kernel_policy_settle(t, &c->sa);
	kernel_led(t);
	return e;
}

/* One that was not there any more is made, and is a new one. One whose maker was killed before it
 * was done is down by nobody's will. */
static void restore_device(struct kernel_tunnel *t, const struct area_tunnel *as)
{
	t->info.link_up = as->link_up;
	t->info.admin_up = as->admin_up;
	if (!t->present)
		return;
	if (!as->ifindex)
		t->vti.stays_down = false;
	if (t->vti.ifindex != as->ifindex) {
		if (kernel_tunnel_follow(t) != DATAPLANE_OK ||
		    kernel_device_fill(t) != DATAPLANE_OK)
			kernel_say(t, LOG_LEVEL_ERROR, "%s", t->plane->error);
	} else if (kernel_link_refresh(t)) {
		kernel_tunnel_note(t->plane, t, DUE_DEVICE);
	}
}

static void restore_rest(struct kernel_tunnel *t)
{
	struct dataplane *d = t->plane;
	struct area_tunnel as;
	int e;

	area_tunnel_get(t->slot, &as);
	kernel_inherit(t);
	e = restore_policies(t);
	if (e)
		kernel_say(t, LOG_LEVEL_ERROR, "policies: %s", netlink_strerror(d->xfrm, e));
	restore_device(t, &as);
	kernel_tunnel_keep(t);
}

void kernel_restore(struct dataplane *d)
{
	const struct log_sink *log = d->host.log;
	struct kernel_tunnel *t, *next;

	if (area_dropped(d->area))
		log_to(log, LOG_LEVEL_NOTICE, "knl", "",
		       "%u entries of the former process were not whole and are dropped",
		       area_dropped(d->area));
	if (!area_each_tunnel(d->area, restore_tunnel, d) ||
	    !area_each_child(d->area, restore_child, d))
		log_to(log, LOG_LEVEL_ERROR, "knl", "",
		       "out of memory: what the former process had can't go on");
	HASH_ITER (by_id, d->by_id, t, next)
		restore_rest(t);
	if (d->by_id)
		log_to(log, LOG_LEVEL_NOTICE, "knl", "",
		       "going on with %u tunnels and %u CHILD_SAs of the former process",
		       area_tunnels(d->area), area_children(d->area));
}

/* ---- settling ---- */

void kernel_unsettle(struct dataplane *d)
{
	struct kernel_tunnel *t, *next;
	struct kernel_child *c;

	HASH_ITER (by_id, d->by_id, t, next) {
		t->claimed = false;
		DL_FOREACH (t->newest, c)
			c->claimed = false;
	}
}

static void settle_tunnel(struct dataplane *d, struct kernel_tunnel *t)
{
	struct kernel_child *c, *next;

	if (!t->claimed) {
		kernel_say(t, LOG_LEVEL_NOTICE,
			   "device %s was of a former process and is nobody's now", t->info.name);
		kernel_tunnel_free(d, t, false);
		return;
	}
	DL_FOREACH_SAFE (t->newest, c, next) {
		if (c->claimed)
			continue;
		kernel_say(t, LOG_LEVEL_NOTICE,
			   "CHILD_SA with SPI 0x%08x was of a former process and is nobody's now: "
			   "removed",
			   c->sa.spi_in);
		kernel_child_free(d, c);
	}
	if (!t->newest && !t->info.inherited && t->info.link_up)
		kernel_tunnel_set_link(d, t->id, false);
}

/* A link without an SA is not UP, whoever set it. */
void kernel_claims_settled(struct dataplane *d)
{
	struct kernel_tunnel *t, *next;

	HASH_ITER (by_id, d->by_id, t, next)
		settle_tunnel(d, t);
}
