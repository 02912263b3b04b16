/* The tunnel device of a conn: name and kind, addresses, MTU and MSS, marks, ids. */
#include "ipsecd/config/build.h"

#include <string.h>
#include <sys/socket.h>

#define MTU_MIN 576
#define MTU_MAX 65535
#define MSS_MIN 88 /* the kernel's own least */
#define MSS_MAX (MTU_MAX - TCP_IP)
#define TCP_IP	40    /* headers without options */
#define IPSEC0	16384 /* the id of libreswan's ipsec0, as 0 is none */

static void device_name(struct build *b)
{
	const struct setting *s = build_get(b, KEYWORD_INTERFACE, false);
	struct tunnel_config *t = &b->conn->tunnel;

	if (!s)
		return;
	if (!device_name_valid(s->value)) {
		value_error(b->errors, s,
			    "the name of a new device: at most 15 letters, digits, '-', '_', '.'");
		return;
	}
	memset(t->name, 0, sizeof(t->name));
	memcpy(t->name, s->value, strlen(s->value));
	t->named = true;
}

static void contradiction(struct build *b, const struct setting *s, const struct setting *other,
			  const char *why)
{
	config_error(b->errors, &s->key, "%s contradicts %s at %s:%u%s%s", setting_name(s),
		     setting_name(other), other->key.file, other->key.line, *why ? ": " : "", why);
}

static bool can_be_hosts(struct build *b, const struct setting *s, const struct config_pos *at,
			 const struct prefix *p)
{
	const char *why = tunnel_addr_fault(p);
	char text[PREFIX_TEXT];

	if (why)
		config_error(b->errors, at, "%s: %s is %s; expected the address of a host",
			     setting_name(s), prefix_format(p, text), why);
	return !why;
}

static uint8_t addresses(struct build *b, const struct setting *s, struct prefix *out)
{
	struct value_list l = value_list(s);
	struct config_pos at;
	char item[PREFIX_TEXT];
	uint8_t n = 0;
	bool ok = true;

	while (value_list_next(b->errors, &l, item, sizeof(item), &at, &ok)) {
		if (n == CONN_IF_ADDRS_MAX) {
			config_error(b->errors, &at, "%s: at most %d addresses", setting_name(s),
				     CONN_IF_ADDRS_MAX);
			break;
		}
		if (prefix_parse(item, &out[n]) && !addr_is_any(&out[n].addr))
			n += can_be_hosts(b, s, &at, &out[n]);
		else
			config_error(b->errors, &at,
				     "%s: '%s' is not possible; expected address/length, such as "
				     "10.255.0.1/30",
				     setting_name(s), item);
	}
	return n;
}

static void device_addresses(struct build *b)
{
	const struct setting *own = build_get(b, KEYWORD_INTERFACE_IP, false);
	const struct setting *left = build_get(b, KEYWORD_SIDE_INTERFACE_IP, false);
	const struct setting *right = build_get(b, KEYWORD_SIDE_INTERFACE_IP, true);
	struct tunnel_config *t = &b->conn->tunnel;

	if (own && (left || right)) {
		contradiction(b, own, left ? left : right, "");
		return;
	}
	b->out->sided_addrs = left || right;
	if (own)
		t->n_addrs = addresses(b, own, t->addrs);
	if (left)
		t->n_addrs = addresses(b, left, t->addrs);
	if (right)
		b->out->n_right_addrs = addresses(b, right, b->out->right_addrs);
}

/* The first of three that is given. */
static const struct setting *any_of(const struct build *b, enum keyword_id one, enum keyword_id two,
				    enum keyword_id three)
{
	const struct setting *s = build_get(b, one, false);

	s = s ? s : build_get(b, two, false);
	return s ? s : build_get(b, three, false);
}

static const struct setting *any_mark(const struct build *b)
{
	return any_of(b, KEYWORD_MARK, KEYWORD_MARK_IN, KEYWORD_MARK_OUT);
}

static const struct setting *any_if_id(const struct build *b)
{
	return any_of(b, KEYWORD_IF_ID, KEYWORD_IF_ID_IN, KEYWORD_IF_ID_OUT);
}

static void mark(struct build *b, enum keyword_id id, struct mark *one, struct mark *other)
{
	const struct setting *s = build_get(b, id, false);
	struct mark m;

	if (!s || !value_mark(b->errors, s, &m))
		return;
	*one = *other = m;
	b->conn->tunnel.keyed |= m.value || key_is_unique(s->value);
}

static void marks(struct build *b)
{
	struct tunnel_config *t = &b->conn->tunnel;

	mark(b, KEYWORD_MARK, &t->mark_in, &t->mark_out);
	mark(b, KEYWORD_MARK_IN, &t->mark_in, &t->mark_in);
	mark(b, KEYWORD_MARK_OUT, &t->mark_out, &t->mark_out);
}

static bool if_id(struct build *b, enum keyword_id id, uint32_t *out)
{
	const struct setting *s = build_get(b, id, false);

	if (!s || !value_if_id(b->errors, s, out))
		return false;
	b->conn->tunnel.keyed |= *out || key_is_unique(s->value);
	return true;
}

/* One device has one id; where only one direction is said, the other has the same. */
static void if_ids(struct build *b)
{
	const struct setting *out = build_get(b, KEYWORD_IF_ID_OUT, false);
	struct tunnel_config *t = &b->conn->tunnel;
	bool in_given, out_given;

	if (if_id(b, KEYWORD_IF_ID, &t->if_id_in))
		t->if_id_out = t->if_id_in;
	in_given = if_id(b, KEYWORD_IF_ID_IN, &t->if_id_in);
	out_given = if_id(b, KEYWORD_IF_ID_OUT, &t->if_id_out);
	if (in_given && !out_given)
		t->if_id_out = t->if_id_in;
	else if (out_given && !in_given)
		t->if_id_in = t->if_id_out;
	if (t->if_id_in != t->if_id_out)
		config_error(b->errors, &out->at,
			     "%s=%s: a conn has one device, so that if-id-in and if-id-out are the "
			     "same",
			     setting_name(out), out->value);
}

/* libreswan's: xfrm interface ipsecN with id N. */
static void ipsec_interface(struct build *b)
{
	const struct setting *s = build_get(b, KEYWORD_IPSEC_INTERFACE, false);
	const struct setting *named = build_get(b, KEYWORD_INTERFACE, false);
	struct tunnel_config *t = &b->conn->tunnel;
	uint64_t n = 1;
	bool on = true;

	if (!s)
		return;
	if (!words_parse_number(s->value, UINT32_MAX, &n) && !words_parse_bool(s->value, &on)) {
		value_error(b->errors, s, "yes, no or the number of the device");
		return;
	}
	if (!on)
		return;
	if (named || any_if_id(b)) {
		contradiction(b, s, named ? named : any_if_id(b), "it says name and id");
		return;
	}
	snprintf(t->name, sizeof(t->name), "ipsec%u", (unsigned)n);
	t->named = t->keyed = true;
	t->if_id_in = t->if_id_out = n ? (uint32_t)n : IPSEC0;
	b->out->unmanaged = b->setup->unmanaged;
}

static void device_kind(struct build *b)
{
	static const char *const words[] = {"auto", "vti", "xfrm", NULL};
	static const char why[] = "a vti has marks, an xfrm interface has an id";
	const struct setting *type = build_get(b, KEYWORD_INTERFACE_TYPE, false);
	const struct setting *ipsec = build_get(b, KEYWORD_IPSEC_INTERFACE, false);
	const struct setting *id = any_if_id(b), *mark = any_mark(b);
	struct tunnel_config *t = &b->conn->tunnel;
	unsigned which = DEVICE_AUTO;

	if (type)
		value_word(b->errors, type, words, &which);
	t->kind = which;
	if (!id && t->if_id_in)
		id = ipsec;
	if (id && mark)
		contradiction(b, id, mark, why);
	else if (id && which == DEVICE_VTI)
		contradiction(b, id, type, why);
	else if (mark && which == DEVICE_XFRM)
		contradiction(b, mark, type, why);
	if (id)
		t->kind = DEVICE_XFRM;
}

static void mtu_for_ipv6(struct build *b, const struct setting *mtu)
{
	const struct setting *ip = build_get(b, KEYWORD_INTERFACE_IP, false);
	const struct tunnel_config *t = &b->conn->tunnel;

	ip = ip ? ip : build_get(b, KEYWORD_SIDE_INTERFACE_IP, false);
	ip = ip ? ip : build_get(b, KEYWORD_SIDE_INTERFACE_IP, true);
	if (t->mtu && t->mtu < TUNNEL_MTU_IPV6 &&
	    (prefixes_have_ipv6(t->addrs, t->n_addrs) ||
	     prefixes_have_ipv6(b->out->right_addrs, b->out->n_right_addrs)))
		contradiction(b, mtu, ip, "IPv6 needs 1280 (RFC 8200 5)");
}

static void sizes(struct build *b)
{
	const struct setting *mtu = build_get(b, KEYWORD_MTU, false);
	const struct setting *mss = build_get(b, KEYWORD_MSS, false);
	struct tunnel_config *t = &b->conn->tunnel;
	uint64_t n;
	bool on;

	if (mtu && value_number(b->errors, mtu, MTU_MIN, MTU_MAX, &n))
		t->mtu = (uint16_t)n;
	mtu_for_ipv6(b, mtu);
	if (!mss)
		return;
	if (strcmp(mss->value, "auto") == 0)
		t->mss = TUNNEL_MSS_AUTO;
	else if (words_parse_number(mss->value, MSS_MAX, &n) && n >= MSS_MIN)
		t->mss = (uint16_t)n;
	else if (!words_parse_bool(mss->value, &on) || on)
		value_error(b->errors, mss, "a number from 88 to 65495, auto or no");
	if (t->mtu && t->mss > t->mtu - TCP_IP)
		contradiction(b, mss, mtu, "headers have 40 bytes at least");
}

void build_tunnel(struct build *b)
{
	device_name(b);
	device_addresses(b);
	marks(b);
	if_ids(b);
	ipsec_interface(b);
	device_kind(b);
	sizes(b);
}
