/* left and right: addresses, identities, selectors, authentication, and which of the
 * two is the local end. */
#include "ipsecd/config/build.h"

#include <stdlib.h>
#include <string.h>

#define HOST_MAX_LEN 253 /* the longest name */

struct end {
	struct host *hosts;
	uint8_t *n_hosts;
	struct id *id;
	struct ts_list *ts;
};

static struct end end_of(struct build *b, bool right)
{
	if (right)
		return (struct end){b->conn->remote, &b->conn->n_remote, &b->conn->remote_id,
				    &b->child->remote_ts};
	return (struct end){b->conn->local, &b->conn->n_local, &b->conn->local_id,
			    &b->child->local_ts};
}

/* ---- addresses ---- */

static void host_error(struct build *b, const struct setting *s, const struct config_pos *at,
		       const char *text)
{
	static const char *const words[] = {"%any", "%defaultroute", NULL};
	const char *nearest = text[0] == '%' ? words_nearest(text, words) : NULL;

	config_error(b->errors, at,
		     "%s: '%s' is not possible; expected an address of a machine, a prefix, a "
		     "name, %%any or "
		     "%%defaultroute%s%s%s",
		     setting_name(s), text, nearest ? "; did you mean '" : "",
		     nearest ? nearest : "", nearest ? "'?" : "");
}

static void build_hosts(struct build *b, bool right)
{
	const struct setting *s = build_get(b, KEYWORD_HOST, right);
	struct value_list l;
	struct end end = end_of(b, right);
	char item[HOST_MAX_LEN + 1];
	struct config_pos at;
	uint8_t n = 0;
	bool ok = true;

	if (!s)
		return;
	l = value_list(s);
	while (value_list_next(b->errors, &l, item, sizeof(item), &at, &ok)) {
		if (n == CONN_ADDRS_MAX) {
			config_error(b->errors, &at, "%s: at most %d addresses", setting_name(s),
				     CONN_ADDRS_MAX);
			break;
		}
		if (host_parse(item, &end.hosts[n]))
			n++;
		else
			host_error(b, s, &at, item);
	}
	if (n > 1 && (end.hosts[0].kind == HOST_DEFAULT_ROUTE || end.hosts[0].kind == HOST_ANY))
		config_error(b->errors, &s->at, "%s: %%any and %%defaultroute stand alone",
			     setting_name(s));
	*end.n_hosts = n ? n : 1;
}

/* ---- identities ---- */

static bool looks_like_dn(const char *text)
{
	return strchr(text, '=') || strncmp(text, "asn1dn:", 7) == 0 ||
	       strcmp(text, "%fromcert") == 0 || strcmp(text, "%cert") == 0;
}

static bool build_id(struct build *b, bool right)
{
	const struct setting *s = build_get(b, KEYWORD_ID, right);
	struct end end = end_of(b, right);

	if (!s)
		return false;
	if (id_parse(s->value, end.id))
		return true;
	if (looks_like_dn(s->value))
		config_error(b->errors, &s->at,
			     "%s: certificates and their names are not supported yet",
			     setting_name(s));
	else
		value_error(b->errors, s,
			    "an address, a name (@name), an e-mail address, @#hex or %any");
	return true;
}

/* ---- selectors ---- */

/* "tcp", "17/53" -> "[tcp]", "[17/53]"; false when the end has no such setting. */
static bool protoport_tail(struct build *b, bool right, char *tail, size_t size)
{
	const struct setting *s = build_get(b, KEYWORD_PROTOPORT, right);
	char text[TS_TEXT];
	struct ts probe;

	if (!s)
		return false;
	snprintf(tail, size, "[%s]", s->value);
	snprintf(text, sizeof(text), "%%dynamic[%.60s]", s->value);
	if (strlen(s->value) <= 60 && ts_parse(text, &probe))
		return true;
	value_error(b->errors, s, "a protocol, or protocol/port, such as tcp, udp/53, 47");
	return false;
}

static bool parse_selector(const char *item, const char *tail, struct ts *out)
{
	char text[TS_TEXT];

	if (strchr(item, '['))
		tail = "";
	if (strlen(item) + strlen(tail) >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%s%s", item, tail);
	return ts_parse(text, out);
}

static void build_selectors(struct build *b, bool right)
{
	const struct setting *s = build_get(b, KEYWORD_SUBNET, right);
	struct ts_list list = {0}, *ts = end_of(b, right).ts;
	char item[TS_TEXT], tail[TS_TEXT] = "";
	struct value_list l;
	struct config_pos at;
	bool ok = true;

	if (!protoport_tail(b, right, tail, sizeof(tail)))
		tail[0] = '\0';
	if (!s) {
		parse_selector("%dynamic", tail, &ts->ts[0]);
		return;
	}
	l = value_list(s);
	while (value_list_next(b->errors, &l, item, sizeof(item), &at, &ok)) {
		if (list.n == TS_LIST_MAX) {
			config_error(b->errors, &at, "%s: at most %d selectors", setting_name(s),
				     TS_LIST_MAX);
			break;
		}
		if (parse_selector(item, tail, &list.ts[list.n]))
			list.n++;
		else
			config_error(b->errors, &at,
				     "%s: '%s' is not a selector; expected a prefix, a range "
				     "(first-last) or %%dynamic, perhaps with [protocol/port]",
				     setting_name(s), item);
	}
	if (list.n)
		*ts = list;
}

/* ---- authentication ---- */

static void check_auth(struct build *b, const struct setting *s)
{
	/* Both mean AUTH_KIND_PSK. */
	if (s && strcmp(s->value, "psk") != 0 && strcmp(s->value, "secret") != 0)
		value_error(b->errors, s,
			    "psk or secret (certificates and EAP are not supported yet)");
}

/* ---- which is which ---- */

/* A peer without a configured identity is known by its address or name. */
static void default_remote_id(struct conn *c)
{
	const struct host *h = &c->remote[0];
	size_t len = h->name ? strlen(h->name) : 0;

	if (c->remote_id_set)
		return;
	c->remote_id = (struct id){.type = ID_ANY};
	if (c->n_remote == 1 && h->kind == HOST_ADDR) {
		id_from_addr(&h->addr, &c->remote_id);
	} else if (c->n_remote == 1 && h->kind == HOST_NAME && len <= ID_DATA_MAX) {
		c->remote_id.type = ID_FQDN;
		c->remote_id.len = (uint8_t)len;
		memcpy(c->remote_id.data, h->name, len);
	}
}

static void swap_bytes(void *a, void *b, size_t n)
{
	uint8_t *x = a, *y = b;

	for (size_t i = 0; i < n; i++) {
		uint8_t t = x[i];

		x[i] = y[i];
		y[i] = t;
	}
}

void build_complete(struct config_conn *c)
{
	sourceip_apply(c);
	conn_complete(c->conn);
	c->conn->tunnel.external |= c->unmanaged;
}

static void swap_ends(struct config_conn *c)
{
	struct conn *n = c->conn;
	struct tunnel_config *t = &n->tunnel;

	if (!n->remote_id_set)
		n->remote_id = (struct id){.type = ID_ANY};
	swap_bytes(n->local, n->remote, sizeof(n->local));
	swap_bytes(&n->n_local, &n->n_remote, sizeof(n->n_local));
	swap_bytes(&n->local_port, &n->remote_port, sizeof(n->local_port));
	swap_bytes(&n->local_id, &n->remote_id, sizeof(n->local_id));
	swap_bytes(&n->local_auth, &n->remote_auth, sizeof(n->local_auth));
	swap_bytes(&c->left_id_set, &n->remote_id_set, sizeof(bool));
	for (unsigned i = 0; i < n->n_children; i++)
		swap_bytes(&n->children[i].local_ts, &n->children[i].remote_ts,
			   sizeof(n->children[i].local_ts));
	if (c->sided_addrs) {
		swap_bytes(&t->n_addrs, &c->n_right_addrs, sizeof(t->n_addrs));
		swap_bytes(t->addrs, c->right_addrs, sizeof(c->right_addrs));
	}
	swap_bytes(&n->children[0].updown, &c->right_updown, sizeof(c->right_updown));
	c->swapped = !c->swapped;
	default_remote_id(n);
	build_complete(c);
}

static bool any_local(const struct host *hosts, unsigned n,
		      bool (*is_local)(void *ctx, const struct addr *a), void *ctx)
{
	for (unsigned i = 0; i < n; i++) {
		if (hosts[i].kind == HOST_ADDR && is_local(ctx, &hosts[i].addr))
			return true;
	}
	return false;
}

void config_orient(struct config_conn *c, bool (*is_local)(void *ctx, const struct addr *a),
		   void *ctx)
{
	bool local = any_local(c->conn->local, c->conn->n_local, is_local, ctx);
	bool remote = any_local(c->conn->remote, c->conn->n_remote, is_local, ctx);

	if (c->conn->local[0].kind == HOST_DEFAULT_ROUTE)
		return;
	/* In doubt left is local, also when it was not the last time. */
	if ((remote && !local) || (c->swapped && remote == local))
		swap_ends(c);
}

static void check_families(struct build *b)
{
	const struct conn *c = b->conn;
	uint8_t left = hosts_family(c->local, c->n_local);
	uint8_t right = hosts_family(c->remote, c->n_remote);

	if (left && right && left != right)
		config_error(b->errors, &build_get(b, KEYWORD_HOST, true)->at,
			     "conn %s: left is IPv%d and right IPv%d", c->name,
			     left == AF_INET6 ? 6 : 4, right == AF_INET6 ? 6 : 4);
}

static void check_distinct(struct build *b)
{
	const struct conn *c = b->conn;
	const struct addr *same = conn_same_end(c);
	char text[ADDR_TEXT];

	if (same)
		config_error(b->errors, &build_get(b, KEYWORD_HOST, true)->at,
			     "conn %s: left and right have the same address, %s", c->name,
			     addr_format(same, text));
}

void build_ends(struct build *b)
{
	struct conn *c = b->conn;

	for (unsigned right = 0; right < 2; right++) {
		build_hosts(b, right);
		build_selectors(b, right);
		check_auth(b, build_get(b, KEYWORD_AUTH, right));
	}
	check_families(b);
	check_distinct(b);
	check_auth(b, build_get(b, KEYWORD_AUTHBY, false));
	b->out->left_id_set = build_id(b, false);
	c->remote_id_set = build_id(b, true);
	default_remote_id(c);
	if (c->remote[0].kind != HOST_DEFAULT_ROUTE)
		return;
	if (c->local[0].kind == HOST_DEFAULT_ROUTE)
		config_error(b->errors, &b->at,
			     "conn %s: left and right can't both be "
			     "%%defaultroute",
			     c->name);
	else
		swap_ends(b->out);
}
