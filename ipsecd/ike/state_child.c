/* CHILD_SAs in the record of their IKE_SA, with all that a data plane wants. */
#include "ipsecd/ike/state.h"

#include <stdlib.h>

static void keys(struct codec *c, struct child_keys *k)
{
	codec_key(c, k->encr, &k->encr_len, sizeof(k->encr));
	codec_key(c, k->integ, &k->integ_len, sizeof(k->integ));
}

static void flags(struct codec *c, struct child_flags *f)
{
	unsigned both;

	CODEC_ENUM(c, f->df, CHILD_DF_CLEAR + 1, "unknown treatment of DF");
	CODEC_ENUM(c, f->dscp, CHILD_DSCP_BOTH + 1, "unknown treatment of DSCP");
	/* One byte, so that records of before there was an offload are read, too. */
	both = codec_choice(c, f->no_ecn | (unsigned)f->offload << 1, (CHILD_OFFLOAD_YES + 1) << 1,
			    "unknown treatment of ECN or offload");
	f->no_ecn = both & 1;
	f->offload = (uint8_t)(both >> 1);
	codec_u16(c, &f->tfc_pad);
	codec_u32(c, &f->set_mark_out);
	codec_u32(c, &f->set_mark_out_mask);
	codec_u32(c, &f->set_mark_in);
	codec_u32(c, &f->set_mark_in_mask);
}

static void both_keys(struct codec *c, struct child *child)
{
	struct child_keys in, out;

	kept_child_keys_get(child->keys, &in, &out);
	keys(c, &in);
	keys(c, &out);
	if (codec_reads(c) && (in.encr_len != out.encr_len || in.integ_len != out.integ_len))
		codec_fault(c, "keys of a CHILD_SA of two lengths");
	else if (codec_reads(c) && !kept_child_keys(&child->keys, &in, &out))
		codec_fault(c, "out of memory");
	explicit_bzero(&in, sizeof(in));
	explicit_bzero(&out, sizeof(out));
}

static void told_fields(struct codec *c, struct child_told *t)
{
	codec_u16(c, &t->replay_window);
	codec_u64(c, &t->life_bytes);
	codec_u64(c, &t->life_packets);
	codec_u64(c, &t->rekey_bytes);
	codec_u64(c, &t->rekey_packets);
	codec_u32(c, &t->life_seconds);
	flags(c, &t->flags);
}

static void told(struct codec *c, struct child *child)
{
	struct child_told t = {0};

	if (!codec_reads(c))
		t = child_told(child);
	told_fields(c, &t);
	if (!codec_reads(c))
		return;
	child->told = malloc(sizeof(t));
	if (child->told)
		*child->told = t;
	else
		codec_fault(c, "out of memory");
}

/* Of its config, or as read while that is not known. */
static const char *name_of(const struct child *c)
{
	return c->config ? c->config->name : c->config_name;
}

static void name(struct codec *c, struct child *child)
{
	char *text = codec_reads(c) ? NULL : (char *)(uintptr_t)name_of(child);

	codec_string(c, &text, "no name of a child");
	if (!codec_reads(c))
		return;
	child->config_name = text;
	if (!text)
		codec_fault(c, "a CHILD_SA without name");
}

/* Tunnels may be numbered otherwise by another process: its conn says how. */
static void tunnel(struct codec *c, const struct ike_sa *sa, struct child *child)
{
	bool of_conn = !codec_reads(c) && sa->entry && child->tunnel == sa->entry->tunnel;

	codec_bool(c, &of_conn);
	codec_u32(c, &child->tunnel);
	if (codec_reads(c))
		child->tunnel_of_conn = of_conn;
}

static void times(struct codec *c, struct child *child)
{
	struct timer *all[CHILD_TIMERS];

	codec_u64(c, &child->installed);
	codec_u64(c, &child->rekey_at);
	codec_u64(c, &child->expires_at);
	child_timers(child, all);
	for (unsigned i = 0; i < CHILD_TIMERS; i++)
		codec_timer(c, all[i]);
}

static void fate(struct codec *c, struct child *child)
{
	CODEC_ENUM(c, child->end_reason, IKE_REASONS, "unknown reason");
	codec_u64(c, &child->asked_by);
	codec_u64(c, &child->replaces);
	codec_u64(c, &child->replaced_by);
	codec_bool(c, &child->redundant);
	codec_bool(c, &child->announced);
	state_short(c, &child->lowest_nonce, IKE_NONCE_MAX, "a nonce is too long");
}

static void selectors(struct codec *c, const struct ts_list **list)
{
	struct ts_list l = {0};

	if (*list)
		ts_list_copy(&l, *list);
	codec_ts_list(c, &l);
	if (codec_reads(c) && !kept_ts(list, &l))
		codec_fault(c, "out of memory");
}

static void resources(struct codec *c, struct child *child)
{
	codec_u32(c, &child->resource);
	codec_bool(c, &child->resources_agreed);
	codec_bool(c, &child->resources_full);
	if (child->resource > CHILD_RESOURCES_MAX)
		codec_fault(c, "a resource beyond all that there are");
}

static void fields(struct codec *c, const struct ike_sa *sa, struct child *child)
{
	codec_u64(c, &child->id);
	codec_u32(c, &child->unique);
	CODEC_ENUM(c, child->state, CHILD_ENDED, "unknown state of a CHILD_SA");
	name(c, child);
	codec_random64(c, &child->traffic);
	codec_random64(c, &child->keying);
	codec_bool(c, &child->initiator);
	codec_u32(c, &child->spi_in);
	codec_u32(c, &child->spi_out);
	codec_u32(c, &child->reqid);
	tunnel(c, sa, child);
	codec_suite(c, &child->suite);
	selectors(c, &child->local_ts);
	selectors(c, &child->remote_ts);
	codec_bool(c, &child->udp_encap);
	codec_bool(c, &child->no_tfc);
	codec_bool(c, &child->outbound);
	codec_bool(c, &child->in_plane);
	codec_endpoint(c, &child->local);
	codec_endpoint(c, &child->remote);
	times(c, child);
	fate(c, child);
	both_keys(c, child);
	told(c, child);
}

void state_children(struct codec *c, struct ike_engine *e, struct ike_sa *sa)
{
	unsigned n = sa->n_children;
	struct child *child = sa->children;

	CODEC_COUNT(c, n, IKE_CHILDREN_MAX + 1, "too many CHILD_SAs");
	for (unsigned i = 0; i < n && !c->fault; i++) {
		if (codec_reads(c)) {
			child = child_alloc(e);
			if (!child) {
				codec_fault(c, "out of memory");
				return;
			}
			DL_APPEND(sa->children, child);
		}
		fields(c, sa, child);
		child = child->next;
	}
}

static void aggfrag_params(struct codec *c, struct aggfrag_params *p)
{
	codec_u8(c, &p->mode);
	codec_bool(c, &p->dont_frag);
	codec_bool(c, &p->rate_bits);
	codec_u16(c, &p->packet_size);
	codec_u16(c, &p->reorder_window);
	codec_u32(c, &p->drop_time);
	codec_u32(c, &p->max_queue);
	codec_u64(c, &p->rate);
	if (codec_reads(c) && !aggfrag_params_valid(p))
		codec_fault(c, "AGGFRAG that can't be");
}

void state_children_later(struct codec *c, struct ike_sa *sa)
{
	struct child_told t = {0};
	struct child *child;

	DL_FOREACH (sa->children, child) {
		resources(c, child);
		codec_bool(c, &child->aggfrag);
		if (!child->aggfrag)
			continue;
		codec_bool(c, &child->aggfrag_whole);
		if (!codec_reads(c))
			t = child_told(child);
		aggfrag_params(c, &t.flags.aggfrag);
		if (child->told)
			child->told->flags.aggfrag = t.flags.aggfrag;
	}
}

static bool keys_fit(const struct kept_child_keys *k, const struct suite *s)
{
	return k->encr_len == s->encr->key_len + s->encr->salt_len &&
	       k->integ_len == (s->integ ? s->integ->key_len : 0);
}

const char *state_child_fault(const struct child *c)
{
	if (!c->id || c->spi_in < 256) /* RFC 4303 2.1 */
		return "a CHILD_SA without id or SPI";
	if (!c->suite.encr)
		return "a CHILD_SA without algorithms";
	if (!keys_fit(c->keys, &c->suite))
		return "keys of a CHILD_SA that do not fit the algorithms";
	if (!c->local_ts->n || !c->remote_ts->n)
		return "a CHILD_SA without selectors";
	return NULL;
}
