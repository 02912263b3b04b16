/* Policies of the kernel plane. Per tunnel, and per pair of selectors that one of its CHILD_SAs
 * has: outbound to the newest of them that sends, inbound from any of them. Below, per tunnel,
 * base policies for every packet that no CHILD_SA takes: its template never has a state, so
 * that the kernel drops the packet and tells of it. RFC 4301 4.4.1. */
#include "ipsecd/dataplane/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

/* ---- one policy ---- */

static bool same(const struct xfrm_policy *a, const struct xfrm_policy *b)
{
	return a->priority == b->priority && a->reqid == b->reqid && a->family == b->family &&
	       addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst) &&
	       memcmp(&a->tag, &b->tag, sizeof(a->tag)) == 0;
}

/* Priority 0: there is to be none. */
static int apply(struct kernel_tunnel *t, struct xfrm_policy *is, const struct xfrm_policy *want)
{
	struct netlink *nl = t->plane->xfrm;
	struct xfrm_policy old = *is;
	int e;

	if (want->priority == 0 && is->priority == 0)
		return 0;
	if (want->priority == 0) {
		is->priority = 0;
		e = xfrm_policy_remove(nl, &old);
		if (e == 0 || e == -ENOENT)
			return 0;
		is->priority = old.priority; /* it is there: to be removed with the tunnel */
		return e;
	}
	if (is->priority && same(is, want))
		return 0;
	e = xfrm_policy_set(nl, want);
	if (e)
		return e;
	*is = *want;
	/* Another tag makes another policy. */
	if (old.priority && memcmp(&old.tag, &want->tag, sizeof(old.tag)) != 0)
		xfrm_policy_remove(nl, &old);
	return 0;
}

/* ---- pairs of selectors ---- */

/* Calls back for each pair, also behind one that returns something: what has to go has to go.
 * Returns what came first. */
static int each_pair(const struct child_sa *c, int (*cb)(void *ctx, const struct xfrm_sel *sel),
		     void *ctx)
{
	struct xfrm_sel sels[XFRM_SELS_MAX];
	int first = 0, e;
	bool exact;

	for (unsigned l = 0; l < c->local_ts.n; l++) {
		for (unsigned r = 0; r < c->remote_ts.n; r++) {
			unsigned n = xfrm_sels_from_ts(&c->local_ts.ts[l], &c->remote_ts.ts[r],
						       true, sels, &exact);

			for (unsigned i = 0; i < n; i++) {
				e = cb(ctx, &sels[i]);
				first = first ? first : e;
			}
		}
	}
	return first;
}

static int equals(void *ctx, const struct xfrm_sel *sel)
{
	return xfrm_sel_equal(ctx, sel);
}

static bool has_pair(const struct child_sa *c, struct xfrm_sel *sel)
{
	return each_pair(c, equals, sel) != 0;
}

static struct xfrm_sel reversed(const struct xfrm_sel *s)
{
	struct xfrm_sel r = *s;

	r.src = s->dst;
	r.dst = s->src;
	r.sport = s->dport;
	r.sport_mask = s->dport_mask;
	r.dport = s->sport;
	r.dport_mask = s->sport_mask;
	return r;
}

static struct xfrm_policy outbound(const struct kernel_child *c, const struct xfrm_sel *sel)
{
	return (struct xfrm_policy){
		.dir = XFRM_OUT,
		.sel = *sel,
		.tag = c->tunnel->out,
		.priority = c->priority,
		.reqid = c->out.state.reqid,
		.family = c->sa.remote.addr.family,
		.src = c->sa.local.addr,
		.dst = c->sa.remote.addr,
	};
}

/* By any state of the tunnel: its tag is what tells. */
static struct xfrm_policy inbound(const struct kernel_child *c, const struct xfrm_sel *sel,
				  enum xfrm_dir dir)
{
	return (struct xfrm_policy){
		.dir = dir,
		.sel = reversed(sel),
		.tag = c->tunnel->in,
		.priority = c->priority,
		.family = c->sa.remote.addr.family,
	};
}

/* ---- base policies ---- */

/* Addresses that no state has; both are given, so that nothing is looked up. */
static void base_template(struct xfrm_policy *p, uint8_t family)
{
	static const struct addr v4[2] = {{AF_INET, {240, 0, 0, 1}}, {AF_INET, {240, 0, 0, 2}}};
	static const struct addr v6[2] = {{AF_INET6, {1, [15] = 1}}, {AF_INET6, {1, [15] = 2}}};
	const struct addr *a = family == AF_INET6 ? v6 : v4;

	p->reqid = REQID_BASE;
	p->family = family == AF_INET6 ? AF_INET6 : AF_INET;
	p->src = a[0];
	p->dst = a[1];
}

static struct xfrm_policy base_policy(const struct kernel_tunnel *t, const struct xfrm_sel *sel)
{
	struct xfrm_policy p = {
		.dir = XFRM_OUT, .sel = *sel, .tag = t->out, .priority = PRIORITY_BASE};

	base_template(&p, vti_family(&t->vti.device));
	return p;
}

static struct kernel_policy *obtain(struct kernel_tunnel *t, const struct xfrm_sel *sel)
{
	struct kernel_policy *p;

	HASH_FIND(hh, t->policies, sel, sizeof(*sel), p);
	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->sel = *sel;
	HASH_ADD(hh, t->policies, sel, sizeof(p->sel), p);
	if (p->hh.tbl)
		return p;
	free(p);
	return NULL;
}

static void drop(struct kernel_tunnel *t, struct kernel_policy *p)
{
	HASH_DELETE(hh, t->policies, p);
	free(p);
}

/* Inbound first: who gets a packet may answer. An inbound policy that is there needs no
 * other priority. */
static int settle_inbound(struct kernel_tunnel *t, struct kernel_policy *p,
			  const struct kernel_child *any)
{
	struct xfrm_policy in = {0}, fwd = {0};
	int e, e_fwd;

	if (any) {
		in = inbound(any, &p->sel, XFRM_IN);
		in.priority = p->in.priority ? p->in.priority : in.priority;
	}
	e = apply(t, &p->in, &in);
	/* A vti asks the inbound ones only, an xfrm interface leaves it to the stack. */
	if (any && !vti_is_vti(&t->vti.device)) {
		fwd = in;
		fwd.dir = XFRM_FWD;
	}
	e_fwd = e && fwd.priority ? e : apply(t, &p->fwd, &fwd);
	return e ? e : e_fwd;
}

static int settle_pair(void *ctx, const struct xfrm_sel *sel)
{
	struct kernel_tunnel *t = ctx;
	struct kernel_child *c, *any = NULL, *sender = NULL;
	struct xfrm_policy out = {0};
	struct kernel_policy *p = obtain(t, sel);
	int e, e_out;

	if (!p)
		return -ENOMEM;
	DL_FOREACH (t->newest, c) {
		if (!has_pair(&c->sa, &p->sel))
			continue;
		if (!any)
			any = c;
		if (c->sa.outbound && !c->leader && !sender)
			sender = c;
	}
	if (sender) {
		out = outbound(sender, sel);
		sender->reached = true;
	} else if (p->left.priority && t->info.inherited) {
		out = p->left;
	} else if (p->base) {
		out = base_policy(t, sel);
	}
	e = settle_inbound(t, p, any);
	e_out = e && out.priority ? e : apply(t, &p->out, &out);
	if (!p->base && !p->out.priority && !p->in.priority && !p->fwd.priority)
		drop(t, p);
	return e ? e : e_out;
}

int kernel_policy_settle(struct kernel_tunnel *t, const struct child_sa *child)
{
	return each_pair(child, settle_pair, t);
}

/* What the base policies are for: every packet of a family. */
static struct xfrm_sel everything(unsigned i)
{
	struct xfrm_sel sel;

	memset(&sel, 0, sizeof(sel));
	sel.family = i ? AF_INET6 : AF_INET;
	sel.src.addr.family = sel.dst.addr.family = sel.family;
	return sel;
}

int kernel_policy_base(struct kernel_tunnel *t)
{
	int e = 0;

	for (unsigned i = 0; i < 2 && e == 0; i++) {
		struct xfrm_sel sel = everything(i);
		struct kernel_policy *p = obtain(t, &sel);

		if (!p)
			return -ENOMEM;
		p->base = true;
		e = settle_pair(t, &sel);
	}
	return e;
}

/* In the place of a base policy there is one that still leads to SAs of a former process. */
int kernel_policy_inherit(struct kernel_tunnel *t, const struct xfrm_policy *found)
{
	struct kernel_policy *p;

	if (found->dir != XFRM_OUT)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		struct xfrm_sel sel = everything(i);

		if (!xfrm_sel_equal(&sel, &found->sel))
			continue;
		p = obtain(t, &sel);
		if (!p)
			return -ENOMEM;
		p->base = true;
		p->out = p->left = *found;
	}
	return 0;
}

bool kernel_policy_adopt(struct kernel_tunnel *t, const struct xfrm_policy *found)
{
	struct xfrm_sel sel = found->dir == XFRM_OUT ? found->sel : reversed(&found->sel);
	const struct kernel_child *c;
	struct kernel_policy *p;

	DL_FOREACH (t->newest, c)
		if (has_pair(&c->sa, &sel) &&
		    (found->dir != XFRM_OUT || found->reqid == c->out.state.reqid))
			break;
	p = c ? obtain(t, &sel) : NULL;
	if (!p)
		return false;
	if (found->dir == XFRM_OUT)
		p->out = *found;
	else if (found->dir == XFRM_IN)
		p->in = *found;
	else
		p->fwd = *found;
	return true;
}

void kernel_policy_remove_all(struct kernel_tunnel *t)
{
	static const struct xfrm_policy none;
	struct kernel_policy *p, *next;

	HASH_ITER (hh, t->policies, p, next) {
		apply(t, &p->out, &none);
		apply(t, &p->in, &none);
		apply(t, &p->fwd, &none);
	}
	kernel_policy_free(t);
}

void kernel_policy_free(struct kernel_tunnel *t)
{
	struct kernel_policy *p, *next;

	HASH_ITER (hh, t->policies, p, next)
		drop(t, p);
}

/* ---- what others do to them ---- */

static const struct xfrm_policy *find_set(const struct kernel_tunnel *t,
					  const struct xfrm_policy *p)
{
	struct xfrm_sel sel = p->dir == XFRM_OUT ? p->sel : reversed(&p->sel);
	const struct xfrm_policy *is;
	struct kernel_policy *k;

	HASH_FIND(hh, t->policies, &sel, sizeof(sel), k);
	if (!k)
		return NULL;
	is = p->dir == XFRM_OUT ? &k->out : p->dir == XFRM_IN ? &k->in : &k->fwd;
	return is->priority ? is : NULL;
}

bool kernel_policy_is_set(const struct kernel_tunnel *t, const struct xfrm_policy *p)
{
	return find_set(t, p) != NULL;
}

/* All that are to be there, whether they are or not. */
static void set_again(struct kernel_tunnel *t)
{
	struct netlink *nl = t->plane->xfrm;
	struct kernel_policy *k, *next;

	HASH_ITER (hh, t->policies, k, next) {
		if (k->in.priority)
			xfrm_policy_set(nl, &k->in);
		if (k->fwd.priority)
			xfrm_policy_set(nl, &k->fwd);
		if (k->out.priority)
			xfrm_policy_set(nl, &k->out);
	}
}

void kernel_policy_gone(struct dataplane *d, const struct xfrm_policy *p, bool flushed)
{
	struct kernel_tunnel *t, *next;
	const struct xfrm_policy *is;

	if (flushed) {
		if (p && d->by_id)
			log_to(d->host.log, LOG_LEVEL_NOTICE, "knl", "",
			       "somebody flushed all policies: ours are set again");
		HASH_ITER (by_id, d->by_id, t, next)
			set_again(t);
		return;
	}
	t = kernel_tunnel_by_tag(d, &p->tag, p->dir == XFRM_OUT);
	is = t ? find_set(t, p) : NULL;
	if (is)
		xfrm_policy_set(d->xfrm, is);
}
