/* Views for events, list-sas and metrics: reads the engine's state, changes none. */
#include "ipsecd/ike/info.h"
#include "ipsecd/ike/aggfrag.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/exchange.h"

#include <stdio.h>

/* As strongSwan writes them; clients know these words. */
static const char *const ike_states[IKE_SA_STATES] = {
	[IKE_SA_CREATED] = "CREATED",	      [IKE_SA_INIT_SENT] = "CONNECTING",
	[IKE_SA_HALF_OPEN] = "CONNECTING",    [IKE_SA_AUTH_SENT] = "CONNECTING",
	[IKE_SA_ESTABLISHED] = "ESTABLISHED", [IKE_SA_REKEYING] = "REKEYING",
	[IKE_SA_REKEYED] = "REKEYED",	      [IKE_SA_DELETING] = "DELETING",
	[IKE_SA_ENDED] = "DESTROYING",
};

static unsigned count_tasks(const struct ike_sa *sa)
{
	const struct task *t;
	unsigned n = sa->running ? 1 : 0;

	DL_FOREACH (sa->tasks, t)
		n++;
	return n;
}

static void copy_id(struct id *to, const struct id *kept)
{
	if (kept)
		memcpy(to, kept, offsetof(struct id, data) + kept->len);
}

static void copy_vips(const struct sa_vips *v, struct ike_sa_info *out)
{
	out->n_local_vips = v->n_local;
	out->n_remote_vips = v->n_remote;
	out->n_dns = v->n_dns;
	memcpy(out->local_vips, v->local, sizeof(out->local_vips));
	memcpy(out->remote_vips, v->remote, sizeof(out->remote_vips));
	memcpy(out->dns, v->dns, sizeof(out->dns));
}

void info_ike(const struct ike_sa *sa, struct ike_sa_info *out)
{
	*out = (struct ike_sa_info){
		.conn = ike_sa_conn_name(sa),
		.id = sa->id,
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.initiator = sa->initiator,
		.state = ike_states[sa->state],
		.path = sa->path,
		.suite = sa->suite,
		.nat_local = sa->nat_local,
		.nat_remote = sa->nat_remote,
		.nat_faked = sa->nat_faked,
		.syncs_ids = sa->sync.ids,
		.syncs_counters = sa->sync.counters,
		.created = sa->created,
		.established = sa->established,
		.rekey_at = sa->rekey_at,
		.reauth_at = timer_armed(&sa->reauth_timer) ? sa->reauth_timer.at : 0,
		.tasks_queued = count_tasks(sa),
	};
	copy_id(&out->local_id, sa->local_id);
	copy_id(&out->remote_id, sa->remote_id);
	if (sa->vips)
		copy_vips(sa->vips, out);
}

void info_child(const struct child *c, struct ike_child_info *out)
{
	*out = (struct ike_child_info){
		.conn = ike_sa_conn_name(c->sa),
		.name = c->config->name,
		.id = c->unique,
		.child_sa = c->id,
		.replaces = c->replaces,
		.tunnel = c->tunnel,
		.reqid = c->reqid,
		.state = child_state_name(c->state),
		.udp_encap = c->udp_encap,
		.resource = c->resource,
		.spi_in = c->spi_in,
		.spi_out = c->spi_out,
		.suite = c->suite,
		.local_ts = c->local_ts,
		.remote_ts = c->remote_ts,
		.installed = c->installed,
		.rekey_at = c->rekey_at,
		.expires_at = c->expires_at,
		.announced = c->announced,
		.aggfrag = aggfrag_agreed(c),
	};
}

void ike_engine_each_sa(const struct ike_engine *e,
			void (*cb)(void *ctx, const struct ike_sa_info *ike,
				   const struct ike_child_info *child),
			void *ctx)
{
	const struct ike_sa *sa;
	const struct child *c;
	struct ike_sa_info ike;
	struct ike_child_info child;

	DL_FOREACH (e->sas, sa) {
		info_ike(sa, &ike);
		cb(ctx, &ike, NULL);
		DL_FOREACH (sa->children, c) {
			info_child(c, &child);
			cb(ctx, &ike, &child);
		}
	}
}

const struct conn *ike_engine_conn(const struct ike_engine *e, unsigned n)
{
	struct ike_engine *cache = (struct ike_engine *)(uintptr_t)e;
	struct conn_entry *entry = n && n >= e->looked_n ? e->looked : NULL;
	unsigned at = entry ? e->looked_n : 0;

	if (!entry)
		entry = e->conns;
	for (; entry && at < n; at++)
		entry = entry->next;
	cache->looked = entry;
	cache->looked_n = at;
	return entry ? entry->version->conn : NULL;
}

const struct conn *ike_engine_conn_named(const struct ike_engine *e, const char *name)
{
	const struct conn_entry *entry = conns_named(e, name);

	return entry ? entry->version->conn : NULL;
}

const struct secret *ike_engine_secret(const struct ike_engine *e, unsigned n)
{
	return n < e->secrets.n ? e->secrets.list[n] : NULL;
}

const struct secret *ike_engine_secret_named(const struct ike_engine *e, const char *unique)
{
	return secrets_named(&e->secrets, unique);
}

enum ike_reason ike_engine_conn_status(const struct ike_engine *e, const char *conn,
				       mono_time *next_attempt, char detail[160])
{
	const struct conn_entry *entry = conns_named(e, conn);

	*next_attempt = 0;
	detail[0] = '\0';
	if (!entry)
		return IKE_REASON_NONE;
	if (timer_armed(&entry->retry_timer))
		*next_attempt = entry->retry_timer.at;
	else if (entry->query)
		*next_attempt = e->now ? e->now : 1; /* it begins when the name is known */
	if (entry->device_down) {
		snprintf(detail, sizeof(entry->detail), "comes again when the device is set up");
		return IKE_REASON_DEVICE;
	}
	if (entry->held) {
		snprintf(detail, sizeof(entry->detail), "%s",
			 entry->held == HOLD_PEER
				 ? "taken down; stays so until it is initiated here"
				 : "taken down; comes again when the peer wants it");
		return IKE_REASON_COMMAND;
	}
	memcpy(detail, entry->detail, sizeof(entry->detail));
	return entry->reason;
}

void ike_engine_each_conn(const struct ike_engine *e,
			  void (*cb)(void *ctx, const struct ike_conn_info *conn), void *ctx)
{
	const struct conn_entry *entry;
	struct ike_conn_info info;
	char detail[IKE_DETAIL];

	DL_FOREACH (e->conns, entry) {
		info = (struct ike_conn_info){.conn = entry->version->conn,
					      .held = entry->held != HOLD_NONE};
		info.expected = !info.held && (entry->wanted || entry->acquired ||
					       conns_starts(entry->version->conn));
		info.reason = ike_engine_conn_status(e, entry->name, &info.next_attempt, detail);
		cb(ctx, &info);
	}
}

const struct ike_counters *ike_engine_counters(const struct ike_engine *e)
{
	return &e->counters;
}

const char *ike_reason_text(enum ike_reason r)
{
	static const char *const text[] = {
		[IKE_REASON_NONE] = "no reason",
		[IKE_REASON_PEER_DELETED] = "deleted by the peer",
		[IKE_REASON_COMMAND] = "command",
		[IKE_REASON_PEER_DEAD] = "peer is dead",
		[IKE_REASON_REPLACED] = "replaced",
		[IKE_REASON_EXPIRED] = "lifetime is over",
		[IKE_REASON_CONFIG] = "configuration changed",
		[IKE_REASON_SHUTDOWN] = "shutdown",
		[IKE_REASON_INSTALL_FAILED] = "data plane refused the install",
		[IKE_REASON_AUTH_FAILED] = "authentication failed",
		[IKE_REASON_NO_PROPOSAL] = "no proposal chosen",
		[IKE_REASON_TS_UNACCEPTABLE] = "traffic selectors unacceptable",
		[IKE_REASON_INVALID_SYNTAX] = "invalid syntax",
		[IKE_REASON_NO_SECRET] = "no pre-shared key for these identities",
		[IKE_REASON_NO_ANSWER] = "no answer",
		[IKE_REASON_RESOLVE_FAILED] = "name does not resolve",
		[IKE_REASON_PEER_REFUSED] = "refused by the peer",
		[IKE_REASON_INTERNAL] = "internal error",
		[IKE_REASON_NOT_POSSIBLE] = "not possible",
		[IKE_REASON_NO_ADDRESS] = "no virtual address",
		[IKE_REASON_DEVICE] = "an operator set the device down",
		[IKE_REASON_PEER_RESTARTED] = "the peer was restarted",
	};

	return (unsigned)r < sizeof(text) / sizeof(text[0]) && text[r] ? text[r] : "unknown";
}
