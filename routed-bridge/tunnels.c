/* Tunnel state out of vici events. Owns one object per connection and one per usable
 * CHILD_SA; knows no socket, no route and no configuration. Field names are those of
 * strongSwan's vici plugin; ipsecd adds `interface` to a connection's section and the
 * event link-updown. */
#include "lib/vici_codec.h"
#include "routed-bridge/tunnels_parts.h"
#include "routed-bridge/vici_body.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* How long a connection that is not listed any more is remembered: a daemon that restarts, or is
 * loaded anew, lists what it has so far. */
#define MISSED_KEPT (600 * MONO_S)

struct tunnels *tunnels_new(void)
{
	return calloc(1, sizeof(struct tunnels));
}

static void free_child(struct child *c)
{
	free(c->selectors);
	free(c);
}

void tunnels_free_one(struct tunnel *tunnel)
{
	struct child *c, *next;

	if (!tunnel)
		return;
	DL_FOREACH_SAFE (tunnel->children, c, next) {
		free_child(c);
	}
	free(tunnel->selectors_union);
	free(tunnel->conn);
	free(tunnel);
}

void tunnels_free(struct tunnels *t)
{
	struct tunnel *tunnel, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->by_conn, tunnel, next) {
		HASH_DEL(t->by_conn, tunnel);
		if (!tunnel->changed)
			tunnels_free_one(tunnel);
	}
	/* Those that are dropped are here alone. */
	DL_FOREACH_SAFE (t->queue, tunnel, next) {
		tunnels_free_one(tunnel);
	}
	tunnels_free_one(t->told);
	free(t);
}

/* ---- tunnels ---- */

void tunnels_mark(struct tunnels *t, struct tunnel *tunnel, const char *cause)
{
	if (cause)
		snprintf(tunnel->cause, sizeof(tunnel->cause), "%s", cause);
	if (tunnel->changed)
		return;
	tunnel->changed = true;
	DL_APPEND(t->queue, tunnel);
}

struct tunnel *tunnels_find(const struct tunnels *t, struct span conn)
{
	struct tunnel *tunnel;

	HASH_FIND(hh, t->by_conn, conn.ptr, conn.len, tunnel);
	return tunnel;
}

static struct tunnel *find_or_add(struct tunnels *t, struct span conn)
{
	struct tunnel *tunnel = tunnels_find(t, conn);

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
	tunnel->missed = MONO_NEVER;
	HASH_ADD_KEYPTR(hh, t->by_conn, tunnel->conn, conn.len, tunnel);
	tunnels_mark(t, tunnel, "the IKE daemon knows it");
	return tunnel;
}

unsigned tunnels_count_children(const struct tunnel *tunnel)
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
	tunnels_mark(t, tunnel, cause);
}

static void set_suspected(struct tunnels *t, struct tunnel *tunnel, bool suspected,
			  const char *reason)
{
	if (tunnel->suspected == suspected)
		return;
	tunnel->suspected = suspected;
	snprintf(tunnel->suspicion, sizeof(tunnel->suspicion), "%s", reason);
	tunnels_mark(t, tunnel, NULL);
}

/* ---- CHILD_SAs ---- */

static void remove_child(struct tunnels *t, struct tunnel *tunnel, struct child *c,
			 const char *cause)
{
	char text[96];

	snprintf(text, sizeof(text), "%s, CHILD_SA {%u}, %u left", cause, c->id,
		 tunnels_count_children(tunnel) - 1);
	DL_DELETE(tunnel->children, c);
	free_child(c);
	/* A link that was announced down comes up with the next CHILD_SA's announcement. */
	if (!tunnel->children) {
		tunnel->link = LINK_UNKNOWN;
		set_suspected(t, tunnel, false, "it is down");
	}
	tunnels_mark(t, tunnel, text);
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
		 tunnels_count_children(tunnel));
	tunnels_mark(t, tunnel, text);
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
	tunnels_mark(t, tunnel, NULL);
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
	t->any_listed = true;
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
		tunnel->missed = MONO_NEVER;
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
	t->any_listed = false;
}

static void drop(struct tunnels *t, struct tunnel *tunnel)
{
	tunnel->dropped = true;
	set_suspected(t, tunnel, false, "it is gone");
	HASH_DEL(t->by_conn, tunnel);
	tunnels_mark(t, tunnel, "the IKE daemon does not know it any more");
}

/* A listing without a single connection does not tell that one was unloaded. */
static void look_whether_missed(struct tunnels *t, struct tunnel *tunnel, mono_time now)
{
	if (tunnel->listing == t->listing)
		tunnel->missed = MONO_NEVER;
	else if (t->any_listed && tunnel->missed == MONO_NEVER)
		tunnel->missed = now;
	else if (t->any_listed && now - tunnel->missed >= MISSED_KEPT)
		drop(t, tunnel);
}

void tunnels_list_end(struct tunnels *t, mono_time now)
{
	struct tunnel *tunnel, *next;
	struct child *c, *next_child;

	t->complete = t->listing;
	HASH_ITER (hh, t->by_conn, tunnel, next) {
		DL_FOREACH_SAFE (tunnel->children, c, next_child) {
			if (c->listing != t->listing)
				remove_child(t, tunnel, c, "not in list-sas");
		}
		look_whether_missed(t, tunnel, now);
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
