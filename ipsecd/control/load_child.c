/* The children of load-conn: their keys, and what swanctl.conf(5) makes of lifetimes that
 * are left out. */
#include "ipsecd/control/load_keys.h"
#include "lib/text.h"

#include <stddef.h>
#include <stdio.h>

#define CHILD(field)  offsetof(struct child_config, field)

#define TUNNEL(field) offsetof(struct tunnel_config, field)

static const struct load_key child_keys[] = {
	{"ah_proposals", load_refused, .text = "AH is not supported", .list = true},
	{"esp_proposals", load_proposals, .offset = CHILD(proposals), .list = true},
	{"sha256_96", load_fixed, .text = "no"},
	{"local_ts", load_ts, .offset = CHILD(local_ts), .list = true},
	{"remote_ts", load_ts, .offset = CHILD(remote_ts), .list = true},
	{"rekey_time", load_duration, .offset = CHILD(rekey_time)},
	{"life_time", load_duration, .offset = CHILD(life_time)},
	{"rand_time", load_duration, .offset = CHILD(rand_time)},
	{"rekey_bytes", load_size, .offset = CHILD(rekey_bytes)},
	{"life_bytes", load_size, .offset = CHILD(life_bytes)},
	{"rand_bytes", load_noted, .text = "only the time of rekeying is varied"},
	{"rekey_packets", load_size, .offset = CHILD(rekey_packets)},
	{"life_packets", load_size, .offset = CHILD(life_packets)},
	{"rand_packets", load_noted, .text = "only the time of rekeying is varied"},
	{"updown", .parse = load_updown},
	{"hostaccess", .parse = load_ignored}, /* only scripts read it */
	{"mode", .parse = load_mode},
	{"iptfs", .parse = load_iptfs},
	{"iptfs_packet_size", .parse = load_iptfs_packet},
	{"iptfs_rate", .parse = load_iptfs_rate},
	{"iptfs_max_queue_size", .parse = load_iptfs_queue},
	{"iptfs_reorder_window", .parse = load_iptfs_window},
	{"iptfs_drop_time", .parse = load_iptfs_drop_time},
	{"iptfs_dont_frag", .parse = load_iptfs_whole},
	{"policies", load_fixed, .text = "yes"},
	{"policies_fwd_out", load_fixed, .text = "no"},
	{"dpd_action", load_action, .offset = CHILD(dpd_action)},
	{"ipcomp", load_fixed, .text = "no"},
	{"inactivity", .parse = load_zero},
	{"reqid", load_u32, .offset = CHILD(reqid)},
	{"priority", load_noted, .text = "in a tunnel the newest CHILD_SA comes first"},
	{"interface", .parse = load_interface},
	{"interface_type", .parse = load_interface_type},
	{"interface_ip", load_interface_ip, .list = true},
	{"mtu", .parse = load_mtu},
	{"mss", .parse = load_mss},
	{"mark_in", load_mark, .offset = TUNNEL(mark_in)},
	{"mark_in_sa", .parse = load_ignored}, /* the device needs what it needs */
	{"mark_out", load_mark, .offset = TUNNEL(mark_out)},
	{"set_mark_in", load_set_mark, .offset = CHILD(flags.set_mark_in)},
	{"set_mark_out", load_set_mark, .offset = CHILD(flags.set_mark_out)},
	{"if_id_in", load_if_id, .offset = TUNNEL(if_id_in)},
	{"if_id_out", load_if_id, .offset = TUNNEL(if_id_out)},
	{"label", load_refused, .text = "security labels are not supported"},
	{"label_mode", .parse = load_ignored},
	{"tfc_padding", .parse = load_tfc},
	{"replay_window", .parse = load_window},
	{"per_cpu_sas", .parse = load_resources},
	{"hw_offload", .parse = load_offload},
	{"copy_df", .parse = load_copy_df},
	{"copy_ecn", .parse = load_copy_ecn},
	{"copy_dscp", .parse = load_copy_dscp},
	{"icmp", load_fixed, .text = "no"},
	{"start_action", load_action, .offset = CHILD(start_action)},
	{"close_action", load_action, .offset = CHILD(close_action)},
	{0},
};

/* Either follows from the other: soft is hard less 10 %, hard is soft and 10 %. */
static void fill_pair(bool soft_given, uint64_t *soft, bool hard_given, uint64_t *hard)
{
	if (soft_given && !hard_given)
		*hard = *soft + *soft / 10;
	else if (hard_given && !soft_given)
		*soft = *hard - *hard / 10;
}

static bool fill_limit(struct load *l, const char *soft_key, uint64_t *soft, const char *hard_key,
		       uint64_t *hard)
{
	fill_pair(load_seen(l, child_keys, soft_key), soft, load_seen(l, child_keys, hard_key),
		  hard);
	if (*soft && *hard && *soft >= *hard)
		return load_error(l, "%s: not less than %s", soft_key, hard_key);
	return true;
}

static bool fill_limits(struct load *l)
{
	struct child_config *c = l->child;

	if (!fill_limit(l, "rekey_time", &c->rekey_time, "life_time", &c->life_time) ||
	    !fill_limit(l, "rekey_bytes", &c->rekey_bytes, "life_bytes", &c->life_bytes) ||
	    !fill_limit(l, "rekey_packets", &c->rekey_packets, "life_packets", &c->life_packets))
		return false;
	if (!load_seen(l, child_keys, "rand_time"))
		c->rand_time = c->life_time > c->rekey_time ? c->life_time - c->rekey_time : 0;
	if (c->rekey_time && c->rand_time >= c->rekey_time)
		return load_error(l, "rand_time: not less than rekey_time");
	return true;
}

/* As the file's: a key that does nothing is a mistake. */
static bool check_iptfs(struct load *l)
{
	if (l->child->flags.aggfrag.mode != AGGFRAG_NO)
		return true;
	for (const struct load_key *k = child_keys; k->name; k++) {
		if (strncmp(k->name, "iptfs_", 6) == 0 && load_seen(l, child_keys, k->name))
			return load_error(l,
					  "%s does nothing without mode=iptfs, iptfs=yes or "
					  "iptfs=require",
					  k->name);
	}
	return true;
}

bool load_child_section(struct load *l, struct vici_iter *it, struct span name)
{
	char text[VICI_NAME_MAX + 1];
	bool ok;

	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	if (strlen(text) != name.len || name.len == 0)
		return load_error(l, " a name is empty or contains a NUL");
	if (!text_is_ascii(text, name.len))
		return load_error(l, " a child's name: " LOAD_NAME_WORDS);
	snprintf(l->path, sizeof(l->path), "children.%s.", text);
	if (conn_child(l->conn, text))
		return load_error(l, " given twice");
	l->child = conn_add_child(l->conn, text);
	if (!l->child)
		return load_error(l, " out of memory");
	l->seen = 0;
	ok = load_elements(l, it, child_keys, load_no_section) && fill_limits(l) && check_iptfs(l);
	l->child = NULL;
	if (ok)
		snprintf(l->path, sizeof(l->path), "children.");
	return ok;
}
