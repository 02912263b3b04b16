/* The tunnel device of a conn: name, addresses, MTU, marks. */
#include "ipsecd/config/build.h"

#include <string.h>

#define MTU_MIN 576
#define MTU_MAX 65535

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
			n++;
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
		config_error(b->errors, &own->key, "interface-ip contradicts %s at %s:%u",
			     setting_name(left ? left : right), (left ? left : right)->key.file,
			     (left ? left : right)->key.line);
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

static void marks(struct build *b)
{
	const struct setting *both = build_get(b, KEYWORD_MARK, false);
	const struct setting *in = build_get(b, KEYWORD_MARK_IN, false);
	const struct setting *out = build_get(b, KEYWORD_MARK_OUT, false);
	struct tunnel_config *t = &b->conn->tunnel;

	if (both && value_mark(b->errors, both, &t->mark_in))
		t->mark_out = t->mark_in;
	if (in)
		value_mark(b->errors, in, &t->mark_in);
	if (out)
		value_mark(b->errors, out, &t->mark_out);
}

void build_tunnel(struct build *b)
{
	const struct setting *mtu = build_get(b, KEYWORD_MTU, false);
	uint64_t n;

	device_name(b);
	device_addresses(b);
	marks(b);
	if (mtu && value_number(b->errors, mtu, MTU_MIN, MTU_MAX, &n))
		b->conn->tunnel.mtu = (uint16_t)n;
}
