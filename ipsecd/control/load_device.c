/* Values of load-conn that a device or its packets carry: name and kind, addresses, sizes,
 * marks and interface ids, header fields, scripts. All children of a conn share its device:
 * what they say of it, and what the conn says, must agree. */
#include "ipsecd/control/load_keys.h"
#include "lib/words.h"

#include <stddef.h>
#include <stdio.h>

#define MTU_MIN 576
#define MTU_MAX 65535
#define MSS_MIN 88
#define MSS_MAX (MTU_MAX - TCP_IP)
#define TCP_IP	40
#define WINDOW	4096

static void *tunnel_field(struct load *l, const struct load_key *key)
{
	return (char *)&l->conn->tunnel + key->offset;
}

/* ---- marks and ids ---- */

bool load_mark(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct tunnel_config *t = &l->conn->tunnel;
	bool unique = key_is_unique(load_only(w));
	struct mark *field = tunnel_field(l, key), m = {0};

	if (!unique && !mark_parse(load_only(w), &m))
		return load_error(l, "='%s': expected a mark such as 42, or %%unique",
				  load_only(w));
	if (m.value && m.mask != UINT32_MAX)
		return load_error(l,
				  "=%s: a tunnel device compares all 32 bits of a mark; leave "
				  "the mask out",
				  load_only(w));
	if (field->value && field->value != m.value)
		return load_error(l,
				  "=%s: the children of a connection share its device and so "
				  "its marks",
				  load_only(w));
	*field = m;
	t->keyed |= unique || m.value;
	return true;
}

bool load_if_id(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct tunnel_config *t = &l->conn->tunnel;
	bool unique = key_is_unique(load_only(w));
	uint32_t *field = tunnel_field(l, key);
	uint64_t n = 0;

	if (!unique && !load_number(l, w, 0, UINT32_MAX, &n))
		return false;
	if (*field && *field != n)
		return load_error(l,
				  "=%s: the children of a connection share its device and so "
				  "its interface id",
				  load_only(w));
	*field = (uint32_t)n;
	l->if_id_seen |= unique || n;
	t->keyed |= unique || n;
	return true;
}

bool load_set_mark(struct load *l, const struct load_key *key, const struct load_words *w)
{
	bool in = key->offset == offsetof(struct child_config, flags.set_mark_in);
	struct child_flags *f = &l->child->flags;
	uint32_t *value = in ? &f->set_mark_in : &f->set_mark_out;
	uint32_t *mask = in ? &f->set_mark_in_mask : &f->set_mark_out_mask;
	struct mark same = in ? l->conn->tunnel.mark_in : l->conn->tunnel.mark_out;

	if (strcmp(load_only(w), "%same") == 0) {
		if (!same.value)
			return load_error(l, "=%%same: expected a number in mark_%s before it",
					  in ? "in" : "out");
		*value = same.value;
		*mask = same.mask;
	} else if (strcmp(load_only(w), "0") == 0) { /* swanctl.conf: 0 is none */
		*value = *mask = 0;
	} else if (!mark_parse_set(load_only(w), value, mask)) {
		return load_error(l, "='%s': expected a mark such as 42 or 0x2a/0xff, or %%same",
				  load_only(w));
	}
	return true;
}

/* ---- packets ---- */

/* As strongSwan has it; a number is ours. */
bool load_resources(struct load *l, const struct load_key *key, const struct load_words *w)
{
	const char *word = load_only(w);
	uint64_t n;
	bool yes;

	(void)key;
	if (words_parse_number(word, CHILD_RESOURCES_MAX, &n))
		l->child->resources = (uint16_t)n;
	else if (words_parse_bool(word, &yes))
		l->child->resources = yes ? CHILD_RESOURCES_AUTO : 0;
	else
		return load_error(l, "='%s': expected yes, no or a number up to %u", word,
				  CHILD_RESOURCES_MAX);
	return true;
}

bool load_tfc(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n = CHILD_TFC_MTU;

	(void)key;
	if (strcmp(load_only(w), "mtu") != 0 && !load_number(l, w, 0, CHILD_TFC_MTU - 1, &n))
		return false;
	l->child->flags.tfc_pad = (uint16_t)n;
	return true;
}

bool load_copy_df(struct load *l, const struct load_key *key, const struct load_words *w)
{
	bool on;

	(void)key;
	if (!words_parse_bool(load_only(w), &on))
		return load_error(l, "='%s': expected yes or no", load_only(w));
	l->child->flags.df = on ? CHILD_DF_COPY : CHILD_DF_CLEAR;
	return true;
}

bool load_copy_ecn(struct load *l, const struct load_key *key, const struct load_words *w)
{
	bool on;

	(void)key;
	if (!words_parse_bool(load_only(w), &on))
		return load_error(l, "='%s': expected yes or no", load_only(w));
	l->child->flags.no_ecn = !on;
	return true;
}

bool load_copy_dscp(struct load *l, const struct load_key *key, const struct load_words *w)
{
	static const char *const words[] = {[CHILD_DSCP_OUT] = "out",
					    [CHILD_DSCP_NO] = "no",
					    [CHILD_DSCP_IN] = "in",
					    [CHILD_DSCP_BOTH] = "yes"};

	(void)key;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(load_only(w), words[i]) == 0) {
			l->child->flags.dscp = i;
			return true;
		}
	}
	return load_error(l, "='%s': expected out, in, yes or no", load_only(w));
}

bool load_offload(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	if (strcmp(load_only(w), "packet") == 0)
		return load_error(l, "='packet': a network card's policies know no tunnel devices; "
				     "expected no, auto, yes or crypto");
	if (!offload_parse(load_only(w), &l->child->flags.offload))
		return load_error(l, "='%s': expected no, auto, yes or crypto", load_only(w));
	return true;
}

bool load_window(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	(void)key;
	if (!load_number(l, w, 0, WINDOW, &n))
		return false;
	l->child->replay_window = (uint16_t)n;
	return true;
}

bool load_updown(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	if (w->n == 0)
		return true;
	if (load_only(w)[0] != '/')
		return load_error(l, "='%s': expected the full path of a script", load_only(w));
	l->child->updown = strdup(load_only(w));
	return l->child->updown || load_error(l, ": out of memory");
}

/* ---- the device itself ---- */

bool load_interface(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct tunnel_config *t = &l->conn->tunnel;

	(void)key;
	if (w->n == 0)
		return true;
	if (!device_name_valid(load_only(w)))
		return load_error(l,
				  "='%s': expected the name of a new device: at most %d letters, "
				  "digits, '-', '_', '.'",
				  load_only(w), IF_NAMESIZE - 1);
	if (t->named && strcmp(t->name, load_only(w)) != 0)
		return load_error(l, "=%s: the connection's device is '%s' already", load_only(w),
				  t->name);
	snprintf(t->name, sizeof(t->name), "%s", load_only(w));
	t->named = true;
	return true;
}

bool load_interface_type(struct load *l, const struct load_key *key, const struct load_words *w)
{
	static const char *const words[] = {
		[DEVICE_AUTO] = "auto", [DEVICE_VTI] = "vti", [DEVICE_XFRM] = "xfrm"};
	struct tunnel_config *t = &l->conn->tunnel;

	(void)key;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(load_only(w), words[i]) != 0)
			continue;
		if (t->kind != DEVICE_AUTO && t->kind != i)
			return load_error(l, "=%s: the connection's device is '%s' already",
					  load_only(w), words[t->kind]);
		t->kind = i;
		return true;
	}
	return load_error(l, "='%s': expected auto, vti or xfrm", load_only(w));
}

static bool read_address(struct load *l, const char *word, struct prefix *out)
{
	const char *fault;

	if (!prefix_parse(word, out) || addr_is_any(&out->addr))
		return load_error(l,
				  "='%s': expected an address with its prefix length, such as "
				  "10.0.0.1/30",
				  word);
	fault = tunnel_addr_fault(out);
	return !fault || load_error(l, "='%s': %s; expected the address of a host", word, fault);
}

bool load_interface_ip(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct tunnel_config *t = &l->conn->tunnel;

	(void)key;
	if (w->n && t->n_addrs)
		return load_error(l, ": the connection's device has its addresses already");
	if (w->n > CONN_IF_ADDRS_MAX)
		return load_error(l, ": at most %d addresses", CONN_IF_ADDRS_MAX);
	for (unsigned i = 0; i < w->n; i++) {
		if (!read_address(l, w->word[i], &t->addrs[i]))
			return false;
	}
	t->n_addrs = (uint8_t)w->n;
	return true;
}

bool load_mtu(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	(void)key;
	if (!load_number(l, w, MTU_MIN, MTU_MAX, &n))
		return false;
	if (l->conn->tunnel.mtu && l->conn->tunnel.mtu != n)
		return load_error(l, "=%s: the connection's device has MTU %u already",
				  load_only(w), l->conn->tunnel.mtu);
	l->conn->tunnel.mtu = (uint16_t)n;
	return true;
}

bool load_mss(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct tunnel_config *t = &l->conn->tunnel;
	uint64_t n = 0;
	bool on;

	(void)key;
	if (strcmp(load_only(w), "auto") == 0)
		n = TUNNEL_MSS_AUTO;
	else if ((!words_parse_bool(load_only(w), &on) || on) &&
		 (!words_parse_number(load_only(w), MSS_MAX, &n) || n < MSS_MIN))
		return load_error(l, "='%s': expected a number from %d to %d, auto or no",
				  load_only(w), MSS_MIN, MSS_MAX);
	if (t->mss && t->mss != n)
		return load_error(l, "=%s: the connection's device has another one already",
				  load_only(w));
	t->mss = (uint16_t)n;
	return true;
}

/* ---- all of it together ---- */

bool load_check_device(struct load *l)
{
	struct tunnel_config *t = &l->conn->tunnel;
	bool marked = t->mark_in.value || t->mark_out.value;

	if (t->if_id_in && t->if_id_out && t->if_id_in != t->if_id_out)
		return load_error(l, "if_id_out: a connection has one device, so that if_id_in and "
				     "if_id_out are the same");
	t->if_id_in = t->if_id_out = t->if_id_in ? t->if_id_in : t->if_id_out;
	if (l->if_id_seen && (marked || t->kind == DEVICE_VTI))
		return load_error(l, "if_id_in: a vti has marks, an xfrm interface has an id, and "
				     "a connection has one device");
	if (marked && t->kind == DEVICE_XFRM)
		return load_error(l, "mark_in: an xfrm interface has an id, marks are for a vti");
	if (t->mtu && t->mtu < TUNNEL_MTU_IPV6 && prefixes_have_ipv6(t->addrs, t->n_addrs))
		return load_error(l,
				  "mtu=%u: expected %u or more, which IPv6 needs (RFC 8200 5): "
				  "there is such an address in interface_ip",
				  t->mtu, TUNNEL_MTU_IPV6);
	if (t->mtu && t->mss > t->mtu - TCP_IP)
		return load_error(l, "mss: not %d less than mtu", TCP_IP);
	if (l->if_id_seen)
		t->kind = DEVICE_XFRM;
	conn_complete(l->conn);
	return true;
}
