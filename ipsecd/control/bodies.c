/* Message bodies: SAs, conns and tunnels in vici's words. Pure: reads plain data, writes
 * elements. Field names and units are those that strongSwan's vici documents; the fields
 * of body_put_tunnel are our own. */
#include "ipsecd/control/bodies.h"

#include <inttypes.h>
#include <stdio.h>

#define SECTION_ENDS 2 /* bytes: children or child-sas, and the conn or IKE_SA around them */

static void put_seconds_since(struct buf *b, const char *key, mono_time then, mono_time now)
{
	if (then)
		vici_put_format(b, key, "%" PRIu64, now > then ? (now - then) / MONO_S : 0);
}

static void put_seconds_until(struct buf *b, const char *key, mono_time then, mono_time now)
{
	if (then && then != MONO_NEVER)
		vici_put_format(b, key, "%" PRIu64, then > now ? (then - now) / MONO_S : 0);
}

static void put_yes(struct buf *b, const char *key, bool on)
{
	if (on)
		vici_put(b, key, "yes");
}

const char *body_encr_name(const struct algorithm_encr *encr, char *text)
{
	char tail[8];
	size_t n;

	snprintf(text, 32, "%s", encr->name);
	n = (size_t)snprintf(tail, sizeof(tail), "_%u", encr->key_bits);
	if (encr->key_bits && strlen(text) > n && strcmp(text + strlen(text) - n, tail) == 0)
		text[strlen(text) - n] = '\0';
	return text;
}

static void put_suite(struct buf *b, const struct suite *s)
{
	char text[32];

	if (s->encr) {
		vici_put(b, "encr-alg", body_encr_name(s->encr, text));
		if (s->encr->key_bits)
			vici_put_format(b, "encr-keysize", "%u", s->encr->key_bits);
	}
	if (s->integ)
		vici_put(b, "integ-alg", s->integ->name);
	if (s->prf)
		vici_put(b, "prf-alg", s->prf->name);
	if (s->ke)
		vici_put(b, "dh-group", s->ke->name);
}

static void put_end(struct buf *b, const char *side, const struct endpoint *e, const struct id *id)
{
	char key[24], text[ID_TEXT];

	snprintf(key, sizeof(key), "%s-host", side);
	vici_put(b, key, addr_format(&e->addr, text));
	snprintf(key, sizeof(key), "%s-port", side);
	vici_put_format(b, key, "%u", e->port);
	snprintf(key, sizeof(key), "%s-id", side);
	vici_put(b, key, id_format(id, text));
}

static void put_addrs(struct buf *b, const char *key, const struct addr *list, unsigned n)
{
	char text[ADDR_TEXT];

	if (!n)
		return;
	vici_put_list(b, key);
	for (unsigned i = 0; i < n; i++)
		vici_put_item(b, addr_format(&list[i], text));
	vici_put_list_end(b);
}

void body_put_ike(struct buf *b, const struct ike_sa_info *ike, mono_time now)
{
	vici_put_format(b, "uniqueid", "%" PRIu32, ike->id);
	vici_put(b, "version", "2");
	vici_put(b, "state", ike->state);
	put_end(b, "local", &ike->path.local, &ike->local_id);
	put_end(b, "remote", &ike->path.remote, &ike->remote_id);
	put_yes(b, "initiator", ike->initiator);
	vici_put_format(b, "initiator-spi", "%016" PRIx64, ike->spi_i);
	vici_put_format(b, "responder-spi", "%016" PRIx64, ike->spi_r);
	put_yes(b, "nat-local", ike->nat_local);
	put_yes(b, "nat-remote", ike->nat_remote);
	put_yes(b, "nat-fake", ike->nat_faked);
	put_yes(b, "nat-any", ike->nat_local || ike->nat_remote || ike->nat_faked);
	put_yes(b, "message-id-sync", ike->syncs_ids);
	put_yes(b, "replay-counter-sync", ike->syncs_counters);
	put_suite(b, &ike->suite);
	put_seconds_since(b, "established", ike->established, now);
	put_seconds_until(b, "rekey-time", ike->rekey_at, now);
	put_seconds_until(b, "reauth-time", ike->reauth_at, now);
	put_addrs(b, "local-vips", ike->local_vips, ike->n_local_vips);
	put_addrs(b, "remote-vips", ike->remote_vips, ike->n_remote_vips);
	put_addrs(b, "dns", ike->dns, ike->n_dns);
}

static void put_ts_list(struct buf *b, const char *key, const struct ts_list *l)
{
	char text[TS_TEXT];

	vici_put_list(b, key);
	for (unsigned i = 0; l && i < l->n; i++)
		vici_put_item(b, ts_format(&l->ts[i], text));
	vici_put_list_end(b);
}

static void put_stats(struct buf *b, const struct dataplane_child_stats *s, mono_time now)
{
	vici_put_format(b, "bytes-in", "%" PRIu64, s->bytes_in);
	vici_put_format(b, "packets-in", "%" PRIu64, s->packets_in);
	put_seconds_since(b, "use-in", s->last_in, now);
	vici_put_format(b, "bytes-out", "%" PRIu64, s->bytes_out);
	vici_put_format(b, "packets-out", "%" PRIu64, s->packets_out);
	put_seconds_since(b, "use-out", s->last_out, now);
}

static void put_hex(struct buf *b, const char *key, uint32_t value)
{
	if (value)
		vici_put_format(b, key, "%08" PRIx32, value);
}

/* Masks are told where they are not all bits: here they never are. */
static void put_keys(struct buf *b, const struct control_tunnel *t)
{
	put_hex(b, "mark-in", t->mark_in.value);
	if (t->mark_in.value && t->mark_in.mask != UINT32_MAX)
		put_hex(b, "mark-mask-in", t->mark_in.mask);
	put_hex(b, "mark-out", t->mark_out.value);
	if (t->mark_out.value && t->mark_out.mask != UINT32_MAX)
		put_hex(b, "mark-mask-out", t->mark_out.mask);
	put_hex(b, "if-id-in", t->if_id_in);
	put_hex(b, "if-id-out", t->if_id_out);
}

/* RFC 9347. As strongSwan 6 the mode; the rest is ours. */
static void put_aggfrag(struct buf *b, const struct aggfrag_params *p)
{
	char text[AGGFRAG_RATE_TEXT];

	put_yes(b, "iptfs-dont-frag", p->dont_frag);
	if (p->rate)
		vici_put(b, "iptfs-rate", aggfrag_rate_format(p, text));
	if (p->packet_size)
		vici_put_format(b, "iptfs-packet-size", "%u", p->packet_size);
}

void body_put_child(struct buf *b, const struct ike_child_info *child,
		    const struct dataplane_child_stats *stats, const struct control_tunnel *tunnel,
		    mono_time now)
{
	static const struct dataplane_child_stats none;

	vici_put(b, "name", child->name);
	vici_put_format(b, "uniqueid", "%" PRIu32, child->id);
	vici_put_format(b, "reqid", "%" PRIu32, child->reqid);
	vici_put(b, "state", child->state);
	vici_put(b, "mode", child->aggfrag.mode ? "IPTFS" : "TUNNEL");
	if (child->aggfrag.mode)
		put_aggfrag(b, &child->aggfrag);
	vici_put(b, "protocol", "ESP");
	put_yes(b, "encap", child->udp_encap);
	if (child->resource)
		vici_put_format(b, "resource", "%" PRIu32, child->resource);
	vici_put_format(b, "spi-in", "%08" PRIx32, child->spi_in);
	vici_put_format(b, "spi-out", "%08" PRIx32, child->spi_out);
	if (tunnel)
		put_keys(b, tunnel);
	put_suite(b, &child->suite);
	if (child->suite.esn)
		vici_put(b, "esn", "1");
	put_stats(b, stats ? stats : &none, now);
	put_seconds_until(b, "rekey-time", child->rekey_at, now);
	put_seconds_until(b, "life-time", child->expires_at, now);
	vici_put_format(
		b, "install-time", "%" PRIu64,
		child->installed && now > child->installed ? (now - child->installed) / MONO_S : 0);
	put_ts_list(b, "local-ts", child->local_ts);
	put_ts_list(b, "remote-ts", child->remote_ts);
}

/* ---- conns ---- */

static void put_hosts(struct buf *b, const char *key, const struct host *hosts, unsigned n)
{
	char text[PREFIX_TEXT];

	vici_put_list(b, key);
	for (unsigned i = 0; i < n; i++) {
		const struct host *h = &hosts[i];

		if (h->kind == HOST_NAME)
			vici_put_item(b, h->name);
		else if (h->kind == HOST_ADDR)
			vici_put_item(b, addr_format(&h->addr, text));
		else if (h->kind == HOST_PREFIX)
			vici_put_item(b, prefix_format(&h->prefix, text));
		else
			vici_put_item(b, "%any");
	}
	vici_put_list_end(b);
}

static void put_auth(struct buf *b, const char *section, const struct id *id)
{
	char text[ID_TEXT];

	vici_put_section(b, section);
	vici_put(b, "class", "pre-shared key");
	if (id->type != ID_ANY)
		vici_put(b, "id", id_format(id, text));
	vici_put_section_end(b);
}

static const char *action_name(enum start_action action)
{
	static const char *const names[] = {
		[ACTION_NONE] = "none", [ACTION_START] = "start", [ACTION_TRAP] = "trap"};

	return names[action];
}

static void put_child_config(struct buf *b, const struct conn *conn, const struct child_config *ch)
{
	vici_put_section(b, ch->name);
	vici_put(b, "mode", ch->flags.aggfrag.mode ? "IPTFS" : "TUNNEL");
	vici_put_format(b, "rekey_time", "%" PRIu64, ch->rekey_time / MONO_S);
	vici_put_format(b, "rekey_bytes", "%" PRIu64, ch->rekey_bytes);
	vici_put_format(b, "rekey_packets", "%" PRIu64, ch->rekey_packets);
	vici_put(b, "dpd_action", action_name(ch->dpd_action));
	vici_put(b, "close_action", action_name(ch->close_action));
	vici_put(b, "start_action", action_name(ch->start_action));
	vici_put(b, "interface", conn->tunnel.name);
	put_ts_list(b, "local-ts", &ch->local_ts);
	put_ts_list(b, "remote-ts", &ch->remote_ts);
	vici_put_section_end(b);
}

static const char *unique_name(const struct conn *conn)
{
	static const char *const names[] = {[UNIQUE_NO] = "UNIQUE_NO",
					    [UNIQUE_NEVER] = "UNIQUE_NEVER",
					    [UNIQUE_KEEP] = "UNIQUE_KEEP",
					    [UNIQUE_REPLACE] = "UNIQUE_REPLACE"};

	return names[conn->unique];
}

bool body_full(const struct buf *b)
{
	return b->overflow || b->cap - b->len < SECTION_ENDS;
}

static unsigned put_children(struct buf *b, const struct conn *conn, unsigned first)
{
	unsigned i;

	vici_put_section(b, "children");
	for (i = first; i < conn->n_children; i++) {
		struct buf before = *b;

		put_child_config(b, conn, &conn->children[i]);
		if (i > first && body_full(b)) {
			*b = before;
			break;
		}
	}
	vici_put_section_end(b);
	return i;
}

unsigned body_put_conn(struct buf *b, const struct conn *conn, unsigned first)
{
	put_hosts(b, "local_addrs", conn->local, conn->n_local);
	put_hosts(b, "remote_addrs", conn->remote, conn->n_remote);
	vici_put_format(b, "local_port", "%u", conn->local_port);
	vici_put_format(b, "remote_port", "%u", conn->remote_port);
	vici_put(b, "version", "IKEv2");
	vici_put_format(b, "reauth_time", "%" PRIu64, conn->reauth_time / MONO_S);
	vici_put_format(b, "rekey_time", "%" PRIu64, conn->rekey_time / MONO_S);
	vici_put_format(b, "dpd_delay", "%" PRIu64, conn->dpd_delay / MONO_S);
	vici_put(b, "unique", unique_name(conn));
	if (conn->source)
		vici_put(b, "source", conn->source);
	put_auth(b, "local-1", &conn->local_id);
	put_auth(b, "remote-1", &conn->remote_id);
	return put_children(b, conn, first);
}

void body_put_policy(struct buf *b, const struct conn *conn, const struct child_config *child)
{
	vici_put(b, "child", child->name);
	vici_put(b, "ike", conn->name);
	vici_put(b, "mode", "TUNNEL");
	put_ts_list(b, "local-ts", &child->local_ts);
	put_ts_list(b, "remote-ts", &child->remote_ts);
}

void body_put_tunnel(struct buf *b, const struct control_tunnel *tunnel)
{
	vici_put(b, "interface", tunnel->interface);
	if (tunnel->kind)
		vici_put(b, "interface-type", tunnel->kind);
	if (tunnel->offloads && *tunnel->offloads)
		vici_put(b, "interface-offloads", tunnel->offloads);
	put_keys(b, tunnel);
	vici_put_format(b, "ifindex", "%d", tunnel->ifindex);
	vici_put_format(b, "mtu", "%u", tunnel->mtu);
	vici_put(b, "link", tunnel->up ? "up" : "dormant");
	put_yes(b, "draining", tunnel->draining);
	if (tunnel->external)
		vici_put(b, "external", "yes");
	if (!tunnel->admin_up)
		vici_put(b, "shutdown", "yes");
}
