/* Tunnel state out of vici events. Owns one object per connection and one per usable
 * CHILD_SA; knows no socket, no route and no configuration. Field names are those of
 * strongSwan's vici plugin; ipsecd adds `interface` to a connection's section and the
 * event link-updown. */
#include "routed-bridge/tunnels.h"
#include "lib/vici_codec.h"
#include "routed-bridge/vici_body.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#define TUNNELS_PEER_MAX 96

enum link_state { LINK_UNKNOWN, LINK_UP, LINK_DOWN };

struct child {
	uint32_t id, ike; /* vici's uniqueid of the CHILD_SA and of its IKE_SA */
	uint32_t epoch;	  /* life of the daemon that the ids belong to */
	uint32_t listing; /* last listing or event that mentioned it */
	size_t n, n_vips;
	struct prefix *selectors; /* n of the CHILD_SA, behind them n_vips of its IKE_SA */
	struct child *prev, *next;
};

struct tunnel {
	char *conn;
	char interface[IF_NAMESIZE];
	char peer_host[TUNNELS_PEER_MAX], peer_id[TUNNELS_PEER_MAX];
	struct child *children;
	uint32_t listing; /* last one that mentioned it, or that an event came behind */
	enum link_state link;
	bool suspected, suspected_told, changed;
	char suspicion[64]; /* why */
	char cause[96];
	struct tunnel *prev, *next; /* in the queue of changed ones */
	size_t n_union, n_vips;
	struct prefix *selectors_union, *vips; /* in one piece */
	UT_hash_handle hh;
};

struct tunnels {
	struct tunnel *by_conn;
	struct tunnel *queue;
	uint32_t epoch, listing, complete; /* the last one that was begun, or that ended */
};

struct tunnels *tunnels_new(void)
{
	return calloc(1, sizeof(struct tunnels));
}

static void free_child(struct child *c)
{
	free(c->selectors);
	free(c);
}

void tunnels_free(struct tunnels *t)
{
	struct tunnel *tunnel, *next;
	struct child *c, *next_child;

	if (!t)
		return;
	HASH_ITER (hh, t->by_conn, tunnel, next) {
		HASH_DEL(t->by_conn, tunnel);
		DL_FOREACH_SAFE (tunnel->children, c, next_child) {
			free_child(c);
		}
		free(tunnel->selectors_union);
		free(tunnel->conn);
		free(tunnel);
	}
	free(t);
}

/* ---- tunnels ---- */

static void mark(struct tunnels *t, struct tunnel *tunnel, const char *cause)
{
	if (cause)
		snprintf(tunnel->cause, sizeof(tunnel->cause), "%s", cause);
	if (tunnel->changed)
		return;
	tunnel->changed = true;
	DL_APPEND(t->queue, tunnel);
}

static struct tunnel *find(const struct tunnels *t, struct span conn)
{
	struct tunnel *tunnel;

	HASH_FIND(hh, t->by_conn, conn.ptr, conn.len, tunnel);
	return tunnel;
}

static struct tunnel *find_or_add(struct tunnels *t, struct span conn)
{
	struct tunnel *tunnel = find(t, conn);

	if (tunnel || memchr(conn.ptr, '\0', conn.len))
		return tunnel;
	tunnel = calloc(1, sizeof(*tunnel));
	if (!tunnel)
		return NULL;
	tunnel->conn = strndup((const char *)conn.ptr, conn.len);
	if (!tunnel->conn) {
		free(tunnel);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, t->by_conn, tunnel->conn, conn.len, tunnel);
	mark(t, tunnel, "the IKE daemon knows it");
	return tunnel;
}

static unsigned count_children(const struct tunnel *tunnel)
{
	const struct child *c;
	unsigned n = 0;

	DL_FOREACH (tunnel->children, c) {
		n++;
	}
	return n;
}

static void set_link(struct tunnels *t, struct tunnel *tunnel, enum link_state link,
		     const char *cause)
{
	if (tunnel->link == link)
		return;
	tunnel->link = link;
	mark(t, tunnel, cause);
}

static void set_suspected(struct tunnels *t, struct tunnel *tunnel, bool suspected,
			  const char *reason)
{
	if (tunnel->suspected == suspected)
		return;
	tunnel->suspected = suspected;
	snprintf(tunnel->suspicion, sizeof(tunnel->suspicion), "%s", reason);
	mark(t, tunnel, NULL);
}

/* ---- CHILD_SAs ---- */

static void remove_child(struct tunnels *t, struct tunnel *tunnel, struct child *c,
			 const char *cause)
{
	char text[96];

	snprintf(text, sizeof(text), "%s, CHILD_SA {%u}, %u left", cause, c->id,
		 count_children(tunnel) - 1);
	DL_DELETE(tunnel->children, c);
	free_child(c);
	/* A link that was announced down comes up with the next CHILD_SA's announcement. */
	if (!tunnel->children) {
		tunnel->link = LINK_UNKNOWN;
		set_suspected(t, tunnel, false, "it is down");
	}
	mark(t, tunnel, text);
}

static struct child *find_child(const struct tunnels *t, const struct tunnel *tunnel, uint32_t id)
{
	struct child *c;

	DL_FOREACH (tunnel->children, c) {
		if (c->id == id && c->epoch == t->epoch)
			return c;
	}
	return NULL;
}

static bool same_selectors(const struct child *c, const struct prefix *p, size_t n, size_t n_vips)
{
	return c->n == n && c->n_vips == n_vips &&
	       (n + n_vips == 0 || memcmp(c->selectors, p, (n + n_vips) * sizeof(*p)) == 0);
}

/* The IKE_SA that a CHILD_SA's section stands in. */
struct ike {
	uint32_t id;
	struct span section;
};

static void put_child(struct tunnels *t, struct tunnel *tunnel, const struct ike *ike, uint32_t id,
		      struct span section, const char *cause)
{
	struct child *c = find_child(t, tunnel, id);
	size_t n = body_selectors(section, NULL), n_vips = body_vips(ike->section, NULL);
	struct prefix *selectors = calloc(n + n_vips + 1, sizeof(*selectors));
	char text[96];

	if (!selectors)
		return;
	body_selectors(section, selectors);
	body_vips(ike->section, selectors + n);
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c) {
			free(selectors);
			return;
		}
		DL_APPEND(tunnel->children, c);
	} else if (same_selectors(c, selectors, n, n_vips)) {
		c->ike = ike->id;
		c->listing = t->listing;
		free(selectors);
		return;
	}
	free(c->selectors);
	*c = (struct child){.id = id,
			    .ike = ike->id,
			    .epoch = t->epoch,
			    .listing = t->listing,
			    .n = n,
			    .n_vips = n_vips,
			    .selectors = selectors,
			    .prev = c->prev,
			    .next = c->next};
	snprintf(text, sizeof(text), "%s, CHILD_SA {%u}, %u there", cause, id,
		 count_children(tunnel));
	mark(t, tunnel, text);
}

enum presence { GONE, THERE, AS_STATE_SAYS };

/* Takes one CHILD_SA's section in. What an event says about it wins over the state that
 * it was in at that moment (the new one of a rekey may still be INSTALLING). */
static void take_child(struct tunnels *t, struct tunnel *tunnel, const struct ike *ike,
		       struct span section, enum presence presence, const char *cause)
{
	struct child *c;
	uint32_t id;

	if (!body_number(section, "uniqueid", &id))
		return;
	if (presence == AS_STATE_SAYS)
		presence = body_usable(section) ? THERE : GONE;
	if (presence == THERE) {
		put_child(t, tunnel, ike, id, section, cause);
		return;
	}
	c = find_child(t, tunnel, id);
	if (c)
		remove_child(t, tunnel, c, cause);
}

/* ---- events ---- */

static void take_interface(struct tunnels *t, struct tunnel *tunnel, struct span section)
{
	char name[IF_NAMESIZE];

	if (!vici_get_str(section, "interface", name, sizeof(name)) || !*name ||
	    strcmp(name, tunnel->interface) == 0)
		return;
	snprintf(tunnel->interface, sizeof(tunnel->interface), "%s", name);
	mark(t, tunnel, NULL);
}

static void take_peer_word(struct span section, const char *key, char *out)
{
	char text[TUNNELS_PEER_MAX];

	if (vici_get_str(section, key, text, sizeof(text)) && text[0] && text[0] != '%')
		snprintf(out, TUNNELS_PEER_MAX, "%s", text);
}

/* Who is at the other end; the identity is known when the peer is authenticated. */
static void take_peer(struct tunnel *tunnel, struct span section)
{
	take_peer_word(section, "remote-host", tunnel->peer_host);
	take_peer_word(section, "remote-id", tunnel->peer_id);
}

/* All CHILD_SAs below one IKE_SA's section. */
static void take_children(struct tunnels *t, struct tunnel *tunnel, struct span ike_section,
			  enum presence presence, const char *cause)
{
	struct body_walk w;
	struct ike ike = {.section = ike_section};
	struct span children;

	body_number(ike_section, "uniqueid", &ike.id);
	take_peer(tunnel, ike_section);
	take_interface(t, tunnel, ike_section);
	if (!vici_section(ike_section, "child-sas", &children))
		return;
	w = body_walk(children);
	while (body_next(&w))
		take_child(t, tunnel, &ike, w.body, presence, cause);
}

static void on_list_sa(struct tunnels *t, struct tunnel *tunnel, struct span body,
		       struct span section)
{
	(void)body;
	take_children(t, tunnel, section, AS_STATE_SAYS, "list-sas");
}

static void on_list_conn(struct tunnels *t, struct tunnel *tunnel, struct span body,
			 struct span section)
{
	(void)body;
	take_interface(t, tunnel, section);
}

static void on_child_updown(struct tunnels *t, struct tunnel *tunnel, struct span body,
			    struct span section)
{
	bool up = body_says_yes(body, "up");

	take_children(t, tunnel, section, up ? THERE : GONE,
		      up ? "child-updown up" : "child-updown down");
}

/* child-sas.NAME holds `old` and `new`, each like a CHILD_SA of list-sas. New goes in
 * first: the count must not touch zero. */
static void on_child_rekey(struct tunnels *t, struct tunnel *tunnel, struct span body,
			   struct span section)
{
	struct ike ike = {.section = section};
	struct span children, half;
	struct body_walk w;

	(void)body;
	body_number(section, "uniqueid", &ike.id);
	if (!vici_section(section, "child-sas", &children))
		return;
	w = body_walk(children);
	while (body_next(&w)) {
		if (vici_section(w.body, "new", &half))
			take_child(t, tunnel, &ike, half, THERE, "child-rekey");
		if (vici_section(w.body, "old", &half))
			take_child(t, tunnel, &ike, half, GONE, "child-rekey");
	}
}

/* The end of an IKE_SA is the end of its CHILD_SAs, told or not. */
static void on_ike_updown(struct tunnels *t, struct tunnel *tunnel, struct span body,
			  struct span section)
{
	struct child *c, *next;
	uint32_t ike;

	take_interface(t, tunnel, section);
	if (body_says_yes(body, "up") || !body_number(section, "uniqueid", &ike))
		return;
	DL_FOREACH_SAFE (tunnel->children, c, next) {
		if (c->ike == ike && c->epoch == t->epoch)
			remove_child(t, tunnel, c, "ike-updown down");
	}
}

/* RFC 7296 2.18: the new IKE_SA inherits the CHILD_SAs of the old one. */
static void on_ike_rekey(struct tunnels *t, struct tunnel *tunnel, struct span body,
			 struct span section)
{
	struct child *c;
	uint32_t from, to;

	(void)body;
	if (!body_number(section, "old.uniqueid", &from) ||
	    !body_number(section, "new.uniqueid", &to))
		return;
	DL_FOREACH (tunnel->children, c) {
		if (c->ike == from && c->epoch == t->epoch)
			c->ike = to;
	}
}

static void on_link_updown(struct tunnels *t, struct tunnel *tunnel, struct span body,
			   struct span section)
{
	char reason[64] = "", text[96];
	bool up = body_says_yes(body, "up");

	take_interface(t, tunnel, section);
	if (!vici_get_str(section, "reason", reason, sizeof(reason)))
		reason[0] = '\0';
	snprintf(text, sizeof(text), "link-updown %s%s%s", up ? "up" : "down", *reason ? ": " : "",
		 reason);
	set_link(t, tunnel, up ? LINK_UP : LINK_DOWN, text);
}

static void on_link_suspect(struct tunnels *t, struct tunnel *tunnel, struct span body,
			    struct span section)
{
	char reason[64] = "";

	(void)body;
	take_interface(t, tunnel, section);
	if (!vici_get_str(section, "reason", reason, sizeof(reason)))
		reason[0] = '\0';
	set_suspected(t, tunnel, !body_says_yes(section, "up"), reason);
}

bool tunnels_event(struct tunnels *t, struct span name, struct span body)
{
	static const struct {
		const char *name;
		void (*take)(struct tunnels *t, struct tunnel *tunnel, struct span body,
			     struct span section);
	} events[] = {
		{"list-sa", on_list_sa},	   {"list-conn", on_list_conn},
		{"child-updown", on_child_updown}, {"child-rekey", on_child_rekey},
		{"ike-updown", on_ike_updown},	   {"ike-rekey", on_ike_rekey},
		{"link-updown", on_link_updown},   {"link-suspect", on_link_suspect},
	};
	struct body_walk w = body_walk(body);
	struct tunnel *tunnel;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (!span_equal(name, span_str(events[i].name)))
			continue;
		while (body_next(&w)) {
			tunnel = w.name.len ? find_or_add(t, w.name) : NULL;
			if (!tunnel)
				continue;
			tunnel->listing = t->listing;
			events[i].take(t, tunnel, body, w.body);
		}
		return true;
	}
	return false;
}

/* ---- listings ---- */

void tunnels_connected(struct tunnels *t)
{
	struct tunnel *tunnel, *next;

	t->epoch++;
	HASH_ITER (hh, t->by_conn, tunnel, next) {
		tunnel->link = LINK_UNKNOWN;
		set_suspected(t, tunnel, false, "the IKE daemon is another one");
	}
}

void tunnels_disconnected(struct tunnels *t)
{
	t->epoch++;
}

void tunnels_list_begin(struct tunnels *t)
{
	t->listing++;
}

void tunnels_list_end(struct tunnels *t)
{
	struct tunnel *tunnel, *next;
	struct child *c, *next_child;

	t->complete = t->listing;
	HASH_ITER (hh, t->by_conn, tunnel, next) {
		DL_FOREACH_SAFE (tunnel->children, c, next_child) {
			if (c->listing != t->listing)
				remove_child(t, tunnel, c, "not in list-sas");
		}
	}
}

void tunnels_forget(struct tunnels *t, const char *cause)
{
	struct tunnel *tunnel, *next;
	struct child *c, *next_child;

	HASH_ITER (hh, t->by_conn, tunnel, next) {
		DL_FOREACH_SAFE (tunnel->children, c, next_child) {
			if (c->epoch != t->epoch)
				remove_child(t, tunnel, c, cause);
		}
	}
}

/* ---- output ---- */

static bool has_prefix(const struct prefix *list, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_equal(&list[i], p))
			return true;
	}
	return false;
}

static size_t unite(struct prefix *all, size_t n, const struct prefix *more, size_t n_more)
{
	for (size_t i = 0; i < n_more; i++) {
		if (!has_prefix(all, n, &more[i]))
			all[n++] = more[i];
	}
	return n;
}

static void unite_selectors(struct tunnel *tunnel)
{
	const struct child *c;
	struct prefix *all;
	size_t n = 0;

	DL_FOREACH (tunnel->children, c) {
		n += c->n + c->n_vips;
	}
	tunnel->n_union = tunnel->n_vips = 0;
	all = realloc(tunnel->selectors_union, (n ? n : 1) * sizeof(*all));
	if (!all)
		return;
	tunnel->selectors_union = all;
	DL_FOREACH (tunnel->children, c) {
		tunnel->n_union = unite(all, tunnel->n_union, c->selectors, c->n);
	}
	tunnel->vips = all + tunnel->n_union;
	DL_FOREACH (tunnel->children, c) {
		tunnel->n_vips =
			unite(tunnel->vips, tunnel->n_vips, c->selectors + c->n, c->n_vips);
	}
}

static struct tunnel_view view(const struct tunnels *t, struct tunnel *tunnel)
{
	unite_selectors(tunnel);
	return (struct tunnel_view){
		.conn = tunnel->conn,
		.interface = tunnel->interface,
		.loaded = tunnel->listing >= t->complete,
		.up = tunnel->children && tunnel->link != LINK_DOWN,
		.children = count_children(tunnel),
		.cause = tunnel->cause,
		.suspicion = tunnel->suspected == tunnel->suspected_told ? SUSPICION_SAME
			     : tunnel->suspected			 ? SUSPICION_BEGUN
									 : SUSPICION_OVER,
		.suspicion_reason = tunnel->suspicion,
		.peer_host = tunnel->peer_host,
		.peer_id = tunnel->peer_id,
		.n_selectors = tunnel->n_union,
		.selectors = tunnel->selectors_union,
		.n_vips = tunnel->n_vips,
		.vips = tunnel->vips,
	};
}

bool tunnels_changed(struct tunnels *t, struct tunnel_view *out)
{
	struct tunnel *tunnel = t->queue;

	if (!tunnel)
		return false;
	DL_DELETE(t->queue, tunnel);
	tunnel->changed = false;
	*out = view(t, tunnel);
	tunnel->suspected_told = tunnel->suspected;
	return true;
}

void tunnels_touch(struct tunnels *t, const char *cause)
{
	struct tunnel *tunnel, *next;

	HASH_ITER (hh, t->by_conn, tunnel, next) {
		mark(t, tunnel, cause);
	}
}

void tunnels_touch_one(struct tunnels *t, const char *conn, const char *cause)
{
	struct tunnel *tunnel = find(t, span_str(conn));

	if (tunnel)
		mark(t, tunnel, cause);
}

void tunnels_each(struct tunnels *t, void (*cb)(void *ctx, const char *conn, const char *interface),
		  void *ctx)
{
	struct tunnel *tunnel, *next;

	HASH_ITER (hh, t->by_conn, tunnel, next) {
		cb(ctx, tunnel->conn, tunnel->interface);
	}
}

void tunnels_each_view(struct tunnels *t, void (*cb)(void *ctx, const struct tunnel_view *tunnel),
		       void *ctx)
{
	struct tunnel *tunnel, *next;
	struct tunnel_view v;

	HASH_ITER (hh, t->by_conn, tunnel, next) {
		v = view(t, tunnel);
		cb(ctx, &v);
	}
}
