/* Reading bgpd's JSON. Keys are those of FRR 8.4 to 10.x; entries that lack one are passed
 * over. */
#include "routed-bridge/bgp_json.h"

#include <jansson.h>
#include <stdlib.h>

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static uint32_t number_of(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

/* The JSON object of an answer, which begins with a newline; NULL. */
static json_t *load(struct span text)
{
	json_error_t error;
	json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_ALLOW_NUL, &error);

	if (root && json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

/* ---- neighbours ---- */

static void read_neighbor(struct paths *p, const char *name, const json_t *o)
{
	struct path_peer peer = {
		.as = number_of(o, "remoteAs"),
		.local_as = number_of(o, "localAs"),
	};
	const char *address = string_of(o, "bgpNeighborAddr");
	struct addr id;

	if (strcmp(string_of(o, "bgpState"), "Established") != 0)
		return;
	/* A neighbour of an address is named by it; one of a device says it here. */
	if (!addr_parse(address, &peer.key.addr) && !addr_parse(name, &peer.key.addr))
		return;
	if (addr_parse(string_of(o, "remoteRouterId"), &id) && id.family == AF_INET)
		peer.key.id = (uint32_t)id.bytes[0] << 24 | (uint32_t)id.bytes[1] << 16 |
			      (uint32_t)id.bytes[2] << 8 | id.bytes[3];
	if (!addr_parse(string_of(o, "hostLocal"), &peer.local))
		peer.local = (struct addr){0};
	paths_peer_up(p, &peer);
}

bool bgp_json_neighbors(struct paths *p, struct span text)
{
	json_t *root = load(text), *o;
	const char *name;

	if (!root)
		return false;
	json_object_foreach (root, name, o) {
		if (json_is_object(o))
			read_neighbor(p, name, o);
	}
	json_decref(root);
	return true;
}

/* ---- AS_PATH ---- */

static bool take_number(const char **s, uint32_t *out)
{
	uint64_t n = 0, high = 0;
	bool dotted = false;

	if (**s < '0' || **s > '9')
		return false;
	for (;; (*s)++) {
		if (**s >= '0' && **s <= '9') {
			n = n * 10 + (uint64_t)(**s - '0');
			if (n > UINT32_MAX)
				return false;
		} else if (**s == '.' && !dotted && n <= UINT16_MAX) { /* asdot */
			dotted = true;
			high = n << 16;
			n = 0;
		} else {
			break;
		}
	}
	if (dotted && n > UINT16_MAX)
		return false;
	*out = (uint32_t)(high | n);
	return true;
}

bool bgp_json_as_path(const char *text, uint32_t *list, size_t max, struct path_attrs *out)
{
	uint16_t n = 0, length = 0;
	char open = '\0'; /* { ( [ while inside one */

	for (const char *s = text; *s;) {
		if (*s == ' ' || (*s == ',' && open)) {
			s++;
		} else if (!open && (*s == '{' || *s == '(' || *s == '[')) {
			length += *s == '{';
			open = *s++;
		} else if ((*s == '}' && open == '{') || (*s == ')' && open == '(') ||
			   (*s == ']' && open == '[')) {
			open = '\0';
			s++;
		} else {
			if (n == max || n == UINT16_MAX || !take_number(&s, &list[n]))
				return false;
			n++;
			length += !open;
		}
	}
	if (open)
		return false;
	out->as_path = list;
	out->n_as = n;
	out->as_length = length;
	return true;
}

/* ---- routes ---- */

struct reader {
	struct paths *paths;
	const struct path_peer **peers; /* those that are up, by address */
	size_t n_peers;
	uint32_t as_path[PATHS_AS_MAX];
};

static int by_address(const void *a, const void *b)
{
	const struct path_peer *const *x = a, *const *y = b;

	return addr_compare(&(*x)->key.addr, &(*y)->key.addr);
}

static bool collect_peers(struct reader *r)
{
	const struct path_peer *peer = NULL;

	r->peers = calloc(PATHS_PEERS_MAX, sizeof(r->peers[0]));
	if (!r->peers)
		return false;
	while ((peer = paths_peer_next(r->paths, peer))) {
		if (peer->up && !peer->key.distinguisher)
			r->peers[r->n_peers++] = peer;
	}
	qsort(r->peers, r->n_peers, sizeof(r->peers[0]), by_address);
	return true;
}

static const struct path_peer *find_peer(const struct reader *r, const char *address)
{
	struct path_peer named = {0};
	const struct path_peer *key = &named, **found;

	if (!addr_parse(address, &named.key.addr))
		return NULL; /* our own route: "(unspec)" */
	found = bsearch(&key, r->peers, r->n_peers, sizeof(r->peers[0]), by_address);
	return found ? *found : NULL;
}

static uint8_t origin_of(const json_t *o)
{
	const char *word = string_of(o, "origin");

	return strcmp(word, "IGP") == 0	  ? PATH_ORIGIN_IGP
	       : strcmp(word, "EGP") == 0 ? PATH_ORIGIN_EGP
					  : PATH_ORIGIN_INCOMPLETE;
}

/* bgpd calls a link-local next hop "global", too, where there is no other. */
static void read_nexthops(const json_t *path, struct path_attrs *a)
{
	const json_t *list = json_object_get(path, "nexthops"), *o;
	struct addr addr;
	size_t i;

	json_array_foreach (list, i, o) {
		if (!addr_parse(string_of(o, "ip"), &addr))
			continue;
		if (addr_is_link_local(&addr))
			a->nexthop_local = addr;
		else if (!addr_is_any(&addr) && a->nexthop.family == 0)
			a->nexthop = addr;
	}
}

static void read_path(struct reader *r, const struct prefix *prefix, const json_t *o)
{
	const struct path_peer *peer;
	struct path_attrs a = {.origin = origin_of(o)};

	if (!json_is_true(json_object_get(o, "valid")))
		return;
	peer = find_peer(r, string_of(o, "peerId"));
	if (!peer || !bgp_json_as_path(string_of(o, "path"), r->as_path, PATHS_AS_MAX, &a))
		return;
	a.has_med = json_is_integer(json_object_get(o, "metric"));
	a.med = number_of(o, "metric");
	a.has_local_pref = json_is_integer(json_object_get(o, "locPrf"));
	a.local_pref = number_of(o, "locPrf");
	read_nexthops(o, &a);
	paths_announce(r->paths, &peer->key, prefix, &a);
}

static void read_routes(struct reader *r, const json_t *routes, uint8_t family)
{
	struct prefix prefix;
	const char *text;
	json_t *list, *o;
	size_t i;

	json_object_foreach ((json_t *)(uintptr_t)routes, text, list) {
		if (!prefix_parse(text, &prefix) || prefix.addr.family != family)
			continue;
		prefix = prefix_mask(&prefix);
		json_array_foreach (list, i, o) {
			read_path(r, &prefix, o);
		}
	}
}

bool bgp_json_routes(struct paths *p, struct span text, uint8_t family)
{
	struct reader *r = calloc(1, sizeof(*r));
	json_t *root = r ? load(text) : NULL;
	const json_t *routes = json_object_get(root, "routes");
	bool ok;

	if (r)
		r->paths = p;
	/* Without any route the object is empty. */
	ok = root && (routes ? json_is_object(routes) : json_object_size(root) == 0);
	if (ok && routes)
		ok = collect_peers(r);
	if (ok && routes)
		read_routes(r, routes, family);
	json_decref(root);
	if (r)
		free(r->peers);
	free(r);
	return ok;
}
