/* Connections and children: defaults, copies, comparison. Knows neither where a
 * connection comes from nor what runs from it. */
#include "ipsecd/model/conn.h"

#include <stdlib.h>
#include <string.h>

#define IKE_PORT      500
#define MINUTES(n)    ((mono_time)(n)*60 * MONO_S)
#define REPLAY_WINDOW 32

struct conn *conn_new(const char *name)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->name = strdup(name);
	c->proposals = proposals_share_default(PROTOCOL_IKE);
	if (!c->name || !c->proposals) {
		conn_free(c);
		return NULL;
	}
	c->n_local = c->n_remote = 1;
	c->local_port = c->remote_port = IKE_PORT;
	c->rekey = c->message_id_sync = true;
	c->rekey_time = MINUTES(240);
	c->over_time = c->rand_time = MINUTES(24);
	c->dpd_delay = CONN_DPD_DELAY;
	c->retransmit_interval = CONN_RETRANSMIT_INTERVAL;
	c->retransmit_timeout = CONN_RETRANSMIT_TIMEOUT;
	c->unique = UNIQUE_REPLACE;
	conn_default_tunnel_name(c);
	return c;
}

static bool copy_string(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return *out || !text;
}

static bool copy_host_names(struct host *to, const struct host *from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!copy_string(&to[i].name, from[i].name))
			return false;
	}
	return true;
}

static bool copy_children(struct conn *to, const struct conn *from)
{
	to->children = calloc(from->n_children ? from->n_children : 1, sizeof(*to->children));
	if (!to->children)
		return false;
	for (unsigned i = 0; i < from->n_children; i++) {
		to->children[i] = from->children[i];
		to->children[i].name = to->children[i].updown = NULL;
		to->children[i].proposals = proposals_again(from->children[i].proposals);
		to->n_children++;
		if (!copy_string(&to->children[i].name, from->children[i].name) ||
		    !copy_string(&to->children[i].updown, from->children[i].updown))
			return false;
	}
	return true;
}

static bool copy_pools(struct conn *to, const struct conn *from)
{
	for (unsigned i = 0; i < from->n_pools; i++) {
		if (!pool_ref_copy(&to->pools[i], &from->pools[i]))
			return false;
	}
	return true;
}

struct conn *conn_copy(const struct conn *c)
{
	struct conn *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *c;
	copy->name = copy->source = NULL;
	copy->proposals = proposals_again(c->proposals);
	copy->children = NULL;
	copy->n_children = 0;
	for (unsigned i = 0; i < CONN_ADDRS_MAX; i++)
		copy->local[i].name = copy->remote[i].name = NULL;
	memset(copy->pools, 0, sizeof(copy->pools));
	if (copy_string(&copy->name, c->name) && copy_string(&copy->source, c->source) &&
	    copy_host_names(copy->local, c->local, c->n_local) &&
	    copy_host_names(copy->remote, c->remote, c->n_remote) && copy_pools(copy, c) &&
	    copy_children(copy, c))
		return copy;
	conn_free(copy);
	return NULL;
}

void conn_free(struct conn *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < CONN_ADDRS_MAX; i++) {
		free(c->local[i].name);
		free(c->remote[i].name);
	}
	for (unsigned i = 0; i < c->n_pools; i++)
		pool_ref_clear(&c->pools[i]);
	for (unsigned i = 0; i < c->n_children; i++) {
		free(c->children[i].name);
		free(c->children[i].updown);
		proposals_release(c->children[i].proposals);
	}
	free(c->children);
	proposals_release(c->proposals);
	free(c->source);
	free(c->name);
	free(c);
}

bool conn_from_vici(const struct conn *c)
{
	return c->source && strcmp(c->source, "vici") == 0;
}

struct child_config *conn_add_child(struct conn *c, const char *name)
{
	struct child_config *children, *child;
	const struct proposal_list *proposals;
	char *copy;

	if (c->n_children == UINT16_MAX)
		return NULL;
	children = reallocarray(c->children, c->n_children + 1u, sizeof(*children));
	if (!children)
		return NULL;
	c->children = children;
	copy = strdup(name);
	proposals = proposals_share_default(PROTOCOL_ESP);
	if (!copy || !proposals) {
		proposals_release(proposals);
		free(copy);
		return NULL;
	}
	child = &children[c->n_children++];
	*child = (struct child_config){
		.name = copy,
		.proposals = proposals,
		.rekey_time = MINUTES(60),
		.life_time = MINUTES(66),
		.rand_time = MINUTES(6),
		.replay_window = REPLAY_WINDOW,
	};
	child->local_ts.n = child->remote_ts.n = 1;
	ts_parse("%dynamic", &child->local_ts.ts[0]);
	child->remote_ts.ts[0] = child->local_ts.ts[0];
	return child;
}

const struct child_config *conn_child(const struct conn *c, const char *name)
{
	for (unsigned i = 0; i < c->n_children; i++) {
		if (strcmp(c->children[i].name, name) == 0)
			return &c->children[i];
	}
	return NULL;
}

static bool host_equal(const struct host *a, const struct host *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case HOST_ADDR:
		return addr_equal(&a->addr, &b->addr);
	case HOST_PREFIX:
		return prefix_equal(&a->prefix, &b->prefix);
	case HOST_NAME:
		return strcmp(a->name, b->name) == 0;
	default:
		return true;
	}
}

static bool hosts_equal(const struct host *a, unsigned na, const struct host *b, unsigned nb)
{
	if (na != nb)
		return false;
	for (unsigned i = 0; i < na; i++) {
		if (!host_equal(&a[i], &b[i]))
			return false;
	}
	return true;
}

bool tunnel_config_same_device(const struct tunnel_config *a, const struct tunnel_config *b)
{
	return strcmp(a->name, b->name) == 0 && a->kind == b->kind && a->external == b->external &&
	       mark_equal(a->mark_in, b->mark_in) && mark_equal(a->mark_out, b->mark_out) &&
	       a->if_id_in == b->if_id_in && a->if_id_out == b->if_id_out;
}

/* What a device may change and stay itself. The outer addresses are the conn's. */
static bool device_equal(const struct tunnel_config *a, const struct tunnel_config *b)
{
	if (a->mtu != b->mtu || a->mss != b->mss || a->n_addrs != b->n_addrs)
		return false;
	for (unsigned i = 0; i < a->n_addrs; i++) {
		if (!prefix_equal(&a->addrs[i], &b->addrs[i]))
			return false;
	}
	return true;
}

static bool ends_equal(const struct conn *a, const struct conn *b)
{
	return hosts_equal(a->local, a->n_local, b->local, b->n_local) &&
	       hosts_equal(a->remote, a->n_remote, b->remote, b->n_remote) &&
	       a->local_port == b->local_port && a->remote_port == b->remote_port &&
	       id_equal(&a->local_id, &b->local_id) && id_equal(&a->remote_id, &b->remote_id) &&
	       a->remote_id_set == b->remote_id_set;
}

/* What IKE_AUTH's configuration payloads ask for and give. */
static bool addresses_equal(const struct conn *a, const struct conn *b)
{
	if (!addrs_equal(a->vips, a->n_vips, b->vips, b->n_vips) ||
	    !addrs_equal(a->dns_wanted, a->n_dns_wanted, b->dns_wanted, b->n_dns_wanted) ||
	    !addrs_equal(a->dns, a->n_dns, b->dns, b->n_dns) || a->n_pools != b->n_pools)
		return false;
	for (unsigned i = 0; i < a->n_pools; i++) {
		if (!pool_ref_equal(&a->pools[i], &b->pools[i]))
			return false;
	}
	return true;
}

static bool ike_equal(const struct conn *a, const struct conn *b)
{
	return strcmp(a->name, b->name) == 0 && ends_equal(a, b) && addresses_equal(a, b) &&
	       a->local_auth == b->local_auth && a->remote_auth == b->remote_auth &&
	       proposal_list_equal(a->proposals, b->proposals) && a->encap == b->encap &&
	       tunnel_config_same_device(&a->tunnel, &b->tunnel);
}

/* What a running IKE SA may take over without being made anew. */
static bool policy_equal(const struct conn *a, const struct conn *b)
{
	return a->rekey == b->rekey && a->reauth == b->reauth && a->rekey_time == b->rekey_time &&
	       a->over_time == b->over_time && a->rand_time == b->rand_time &&
	       a->reauth_time == b->reauth_time && a->dpd_delay == b->dpd_delay &&
	       a->retransmit_interval == b->retransmit_interval &&
	       a->retransmit_timeout == b->retransmit_timeout &&
	       a->keying_tries == b->keying_tries && a->unique == b->unique &&
	       a->message_id_sync == b->message_id_sync;
}

static bool children_equal(const struct conn *a, const struct conn *b)
{
	if (a->n_children != b->n_children)
		return false;
	for (unsigned i = 0; i < a->n_children; i++) {
		const struct child_config *other = conn_child(b, a->children[i].name);

		if (!other || !child_config_equal(&a->children[i], other))
			return false;
	}
	return true;
}

static struct addr fixed_address(const struct host *hosts, unsigned n)
{
	return n == 1 && hosts[0].kind == HOST_ADDR ? hosts[0].addr : (struct addr){0};
}

void conn_fix_tunnel_ends(struct conn *c)
{
	c->tunnel.local = fixed_address(c->local, c->n_local);
	c->tunnel.remote = fixed_address(c->remote, c->n_remote);
}

bool child_config_same_traffic(const struct child_config *a, const struct child_config *b)
{
	return ts_list_equal(&a->local_ts, &b->local_ts) &&
	       ts_list_equal(&a->remote_ts, &b->remote_ts) && a->reqid == b->reqid;
}

bool child_flags_equal(const struct child_flags *a, const struct child_flags *b)
{
	return a->df == b->df && a->dscp == b->dscp && a->no_ecn == b->no_ecn &&
	       a->offload == b->offload && a->tfc_pad == b->tfc_pad &&
	       a->set_mark_out == b->set_mark_out && a->set_mark_out_mask == b->set_mark_out_mask &&
	       a->set_mark_in == b->set_mark_in && a->set_mark_in_mask == b->set_mark_in_mask &&
	       aggfrag_params_equal(&a->aggfrag, &b->aggfrag);
}

bool child_config_same_keying(const struct child_config *a, const struct child_config *b)
{
	return proposal_list_equal(a->proposals, b->proposals) && a->rekey_time == b->rekey_time &&
	       a->life_time == b->life_time && a->rand_time == b->rand_time &&
	       a->life_bytes == b->life_bytes && a->rekey_bytes == b->rekey_bytes &&
	       a->life_packets == b->life_packets && a->rekey_packets == b->rekey_packets &&
	       a->replay_window == b->replay_window && a->resources == b->resources &&
	       child_flags_equal(&a->flags, &b->flags);
}

static bool strings_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool child_config_equal(const struct child_config *a, const struct child_config *b)
{
	return strcmp(a->name, b->name) == 0 && child_config_same_traffic(a, b) &&
	       child_config_same_keying(a, b) && a->start_action == b->start_action &&
	       a->dpd_action == b->dpd_action && a->close_action == b->close_action &&
	       strings_equal(a->updown, b->updown);
}

enum conn_difference conn_compare(const struct conn *a, const struct conn *b)
{
	if (!ike_equal(a, b))
		return CONN_DIFFERS;
	if (!children_equal(a, b) || !policy_equal(a, b))
		return CONN_CHILDREN_DIFFER;
	return device_equal(&a->tunnel, &b->tunnel) ? CONN_SAME : CONN_DEVICE_DIFFERS;
}
