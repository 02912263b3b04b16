/* What a former process left in the kernel: SAs that still pass packets are inherited by the
 * tunnel with their tag until they are replaced, and what belongs to nobody is removed. Only
 * what has one of our reqids or priorities and a tag is ours. */
#include "ipsecd/dataplane/kernel.h"

#include "ipsecd/dataplane/mss.h"
#include "lib/netlink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* ---- reading ---- */

static bool has_tag(const struct xfrm_tag *tag)
{
	return tag->if_id || (tag->mark.value && tag->mark.mask);
}

static bool policy_is_ours(const struct xfrm_policy *p)
{
	if (p->block || p->other_tmpl || !has_tag(&p->tag) || p->priority < PRIORITY_LEAST ||
	    p->priority > PRIORITY_BASE)
		return false;
	return p->dir == XFRM_OUT ? reqid_is_ours(p->reqid) : p->reqid == 0;
}

static struct found *found_for(struct dataplane *d, const struct xfrm_tag *tag)
{
	struct found *f;

	HASH_FIND(hh, d->found, tag, sizeof(*tag), f);
	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->tag = *tag;
	HASH_ADD(hh, d->found, tag, sizeof(f->tag), f);
	if (f->hh.tbl)
		return f;
	free(f);
	return NULL;
}

static void take_state(void *ctx, const struct xfrm_state_info *info)
{
	struct dataplane *d = ctx;
	struct kernel_state *s;
	struct found *f;

	if (info->larval || info->protocol != IPPROTO_ESP || !reqid_is_ours(info->reqid) ||
	    !has_tag(&info->tag))
		return;
	f = found_for(d, &info->tag);
	s = f ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return;
	s->found = f;
	s->reqid = info->reqid;
	s->outbound = (info->reqid & REQID_OUT) != 0;
	if (!kernel_state_track(d, s, &info->dst, info->spi, &info->tag)) {
		free(s);
		return;
	}
	DL_APPEND(f->states, s);
	if ((info->reqid - REQID_BASE) >> 1 > d->last_number)
		d->last_number = (info->reqid - REQID_BASE) >> 1;
}

static void take_policy(void *ctx, const struct xfrm_policy *p)
{
	struct dataplane *d = ctx;
	struct found_policy *policy;
	struct found *f;

	if (!policy_is_ours(p))
		return;
	f = found_for(d, &p->tag);
	policy = f ? calloc(1, sizeof(*policy)) : NULL;
	if (!policy)
		return;
	policy->policy = *p;
	DL_APPEND(f->policies, policy);
}

static void take_device(void *ctx, const struct netlink_link *link,
			const struct netlink_device *device)
{
	struct dataplane *d = ctx;
	struct kernel_key *k, *other;

	(void)link;
	if (device->kind == NETLINK_DEVICE_OTHER)
		return;
	k = calloc(1, sizeof(*k));
	if (!k)
		return;
	k->key = vti_is_vti(device) ? device->okey : device->if_id;
	HASH_FIND(hh, d->keys, &k->key, sizeof(k->key), other);
	if (!other)
		HASH_ADD(hh, d->keys, key, sizeof(k->key), k);
	if (!k->hh.tbl)
		free(k);
}

int kernel_found_load(struct dataplane *d)
{
	int e = netlink_device_list(d->route, take_device, d);

	if (e == 0)
		e = xfrm_state_list(d->xfrm, take_state, d);
	return e ? e : xfrm_policy_list(d->xfrm, take_policy, d);
}

/* ---- letting go ---- */

static void state_free(struct dataplane *d, struct kernel_state *s)
{
	DL_DELETE(s->found->states, s);
	kernel_state_forget(d, s);
	free(s);
}

/* From memory only. */
static void found_free(struct dataplane *d, struct found *f)
{
	struct found_policy *p, *next;

	while (f->states)
		state_free(d, f->states);
	DL_FOREACH_SAFE (f->policies, p, next)
		free(p);
	if (!f->tunnel)
		HASH_DELETE(hh, d->found, f);
	free(f);
}

void kernel_found_free(struct dataplane *d)
{
	struct found *f, *next;
	struct kernel_key *k, *next_key;

	HASH_ITER (hh, d->found, f, next)
		found_free(d, f);
	HASH_ITER (hh, d->keys, k, next_key) {
		HASH_DELETE(hh, d->keys, k);
		free(k);
	}
}

/* From the kernel, too; policies that a tunnel has set since stay. Policies first: what they
 * lead to must not go before. */
static void found_remove(struct dataplane *d, struct found *f)
{
	const struct kernel_tunnel *t = f->tunnel;
	struct found_policy *p;
	struct kernel_state *s;

	DL_FOREACH (f->policies, p) {
		if (!t || !kernel_policy_is_set(t, &p->policy))
			xfrm_policy_remove(d->xfrm, &p->policy);
	}
	DL_FOREACH (f->states, s)
		xfrm_state_remove(d->xfrm, &s->key.dst, s->key.spi, &s->key.tag);
	found_free(d, f);
}

/* ---- inheriting ---- */

static struct found *claim(struct dataplane *d, struct kernel_tunnel *t, const struct xfrm_tag *tag)
{
	struct found *f;

	HASH_FIND(hh, d->found, tag, sizeof(*tag), f);
	if (!f)
		return NULL;
	HASH_DELETE(hh, d->found, f);
	f->tunnel = t;
	return f;
}

/* Which outbound states do policies lead to? Later policies of the tunnel win over all these. */
static void find_senders(struct kernel_tunnel *t, struct found *f)
{
	struct found_policy *p, *next;
	struct kernel_state *s;

	DL_FOREACH_SAFE (f->policies, p, next) {
		if (p->policy.dir == XFRM_OUT && p->policy.reqid == REQID_BASE) {
			DL_DELETE(f->policies, p); /* the tunnel sets it again by itself */
			free(p);
			continue;
		}
		if (p->policy.priority < t->last_priority)
			t->last_priority = p->policy.priority;
		DL_FOREACH (f->states, s) {
			if (p->policy.dir != XFRM_OUT || s->reqid != p->policy.reqid || s->sends)
				continue;
			s->sends = true;
			t->info.inherited++;
		}
		if (kernel_policy_inherit(t, &p->policy) != 0)
			kernel_say(t, LOG_LEVEL_WARN, "out of memory");
	}
}

void kernel_inherit_claim(struct dataplane *d, struct kernel_tunnel *t)
{
	t->inherited = claim(d, t, &t->out);
	t->inherited_in = claim(d, t, &t->in); /* NULL where it is the same tag */
}

/* An outbound state for one processor may have another's reqid; then it is told by its SPI. */
static bool is_of(const struct kernel_state *s, const struct child_sa *sa, uint32_t reqid,
		  bool outbound)
{
	return s->outbound == outbound && s->key.spi == (outbound ? sa->spi_out : sa->spi_in) &&
	       (s->reqid == reqid || (outbound && sa->resource));
}

static uint32_t take_from(struct dataplane *d, struct found *f, const struct child_sa *sa,
			  uint32_t reqid, bool outbound, struct state_key *key)
{
	struct kernel_state *s;
	uint32_t found;

	for (s = f ? f->states : NULL; s; s = s->next) {
		if (!is_of(s, sa, reqid, outbound))
			continue;
		memcpy(key, &s->key, sizeof(*key)); /* with its padding: it is hashed */
		found = s->reqid;
		state_free(d, s);
		return found;
	}
	return 0;
}

uint32_t kernel_found_take(struct kernel_tunnel *t, const struct child_sa *sa, uint32_t number,
			   bool outbound, struct state_key *key)
{
	uint32_t reqid = REQID_BASE | number << 1 | outbound;
	uint32_t found = take_from(t->plane, t->inherited, sa, reqid, outbound, key);

	return found ? found : take_from(t->plane, t->inherited_in, sa, reqid, outbound, key);
}

/* Those that lead to CHILD_SAs that go on. */
static void adopt_policies(struct kernel_tunnel *t, struct found *f)
{
	struct found_policy *p, *next;

	DL_FOREACH_SAFE (f->policies, p, next) {
		if (!kernel_policy_adopt(t, &p->policy))
			continue;
		DL_DELETE(f->policies, p);
		free(p);
	}
}

void kernel_inherit(struct kernel_tunnel *t)
{
	if (t->newest && t->inherited)
		adopt_policies(t, t->inherited);
	if (t->newest && t->inherited_in)
		adopt_policies(t, t->inherited_in);
	if (t->inherited)
		find_senders(t, t->inherited);
	if (t->info.inherited == 0)
		kernel_disinherit(t);
}

/* With policies that stood in the base policies' place, these are set again. */
void kernel_disinherit(struct kernel_tunnel *t)
{
	struct dataplane *d = t->plane;
	bool any = t->info.inherited != 0;
	struct found *out = t->inherited, *in = t->inherited_in;

	t->info.inherited = 0;
	t->inherited = t->inherited_in = NULL;
	t->inherit_end = 0;
	if (!out && !in)
		return;
	if (any)
		kernel_policy_base(t);
	if (out)
		found_remove(d, out);
	if (in)
		found_remove(d, in);
	if (any) {
		kernel_say(t, LOG_LEVEL_INFO, "no SA of a former process is left");
		kernel_tunnel_note(d, t, DUE_INHERITED_GONE);
	}
}

void kernel_inherited_gone(struct dataplane *d, struct kernel_state *s)
{
	struct kernel_tunnel *t = s->found->tunnel;
	bool sent = s->sends;

	state_free(d, s);
	if (!t || !sent)
		return;
	if (t->info.inherited > 1)
		t->info.inherited--;
	else
		kernel_disinherit(t);
}

/* With its last sending state the whole inheritance goes: begin anew behind each. */
static bool one_is_gone(struct dataplane *d, struct found *f)
{
	struct kernel_state *s;

	DL_FOREACH (f->states, s) {
		if (s->seen == d->round)
			continue;
		kernel_inherited_gone(d, s);
		return true;
	}
	return false;
}

void kernel_found_check(struct dataplane *d)
{
	struct kernel_tunnel *t, *next_tunnel;
	struct found *f, *next;

	HASH_ITER (hh, d->found, f, next)
		while (one_is_gone(d, f))
			;
	HASH_ITER (by_id, d->by_id, t, next_tunnel) {
		while (t->inherited && one_is_gone(d, t->inherited))
			;
		while (t->inherited_in && one_is_gone(d, t->inherited_in))
			;
	}
}

/* ---- settling and flushing ---- */

static void reclaim(void *ctx, const struct netlink_link *link, const struct netlink_device *device)
{
	struct dataplane *d = ctx;
	struct kernel_tunnel *t;
	enum vti_owner owner;

	HASH_FIND(by_ifindex, d->by_ifindex, &link->ifindex, sizeof(link->ifindex), t);
	if (t)
		return;
	owner = vti_reclaim(d->route, link, device);
	if (owner != VTI_NONE)
		log_to(d->host.log, LOG_LEVEL_NOTICE, "knl", link->name,
		       "device %s was of no tunnel and is %s", link->name,
		       owner == VTI_MADE ? "removed" : "given back as it was");
}

/* Devices first: with them go their routes, and nothing comes that could leak. */
void kernel_settled(struct dataplane *d)
{
	struct found *f, *next;
	int e = netlink_device_list(d->route, reclaim, d);

	if (e)
		log_to(d->host.log, LOG_LEVEL_WARN, "knl", "", "reading the devices: %s",
		       netlink_strerror(d->route, e));
	HASH_ITER (hh, d->found, f, next)
		found_remove(d, f);
	if (d->mss)
		mss_settled(d->mss);
}

/* A plane without tunnels: everything is of none. */
bool kernel_flush(const struct log_sink *log, char *why, size_t size)
{
	struct dataplane d = {.host.log = log};
	int e = 0;

	d.route = netlink_open();
	d.xfrm = d.route ? netlink_open_protocol(NETLINK_XFRM) : NULL;
	if (d.xfrm)
		e = kernel_found_load(&d);
	if (!d.xfrm)
		snprintf(why, size, "netlink: %s", strerror(errno));
	else if (e)
		snprintf(why, size, "reading states and policies: %s", netlink_strerror(d.xfrm, e));
	else
		kernel_settled(&d);
	kernel_found_free(&d);
	e = d.xfrm ? e : -1;
	netlink_close(d.xfrm);
	netlink_close(d.route);
	return e == 0 && mss_flush(why, size);
}
