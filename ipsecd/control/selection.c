/* Which SAs or conns a request means, and the nearest known name when it means none. */
#include "ipsecd/control/server.h"
#include "lib/words.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names ---- */

static const char *format_nearest(const char *name, const char *const *list, char *text)
{
	const char *near = words_nearest(name, list);

	if (near)
		snprintf(text, CONTROL_NAME_MAX + 16, ", nearest is '%.*s'", CONTROL_NAME_MAX - 1,
			 near);
	else
		text[0] = '\0';
	return text;
}

static const char **collect_conns(const struct control *c)
{
	const struct conn *conn;
	const char **names;
	size_t n = 0;

	while (ike_engine_conn(c->host.engine, (unsigned)n))
		n++;
	names = calloc(n + 1, sizeof(*names));
	for (unsigned i = 0; names && (conn = ike_engine_conn(c->host.engine, i)); i++)
		names[i] = conn->name;
	return names;
}

static bool is_asked(const struct conn *conn, const char *ike)
{
	return !ike[0] || strcmp(ike, conn->name) == 0;
}

/* Of the conn `ike`; of all where that is empty. */
static const char **collect_children(const struct control *c, const char *ike)
{
	const struct conn *conn;
	const char **names;
	size_t n = 0;

	for (unsigned i = 0; (conn = ike_engine_conn(c->host.engine, i)); i++)
		n += is_asked(conn, ike) ? conn->n_children : 0;
	names = calloc(n + 1, sizeof(*names));
	n = 0;
	for (unsigned i = 0; names && (conn = ike_engine_conn(c->host.engine, i)); i++) {
		for (unsigned j = 0; is_asked(conn, ike) && j < conn->n_children; j++)
			names[n++] = conn->children[j].name;
	}
	return names;
}

static const char *nearest(const char **names, const char *name, char *text)
{
	text[0] = '\0';
	if (names)
		format_nearest(name, names, text);
	free(names);
	return text;
}

const char *nearest_conn(const struct control *c, const char *name, char *text)
{
	return nearest(collect_conns(c), name, text);
}

const char *nearest_child(const struct control *c, const char *ike, const char *name, char *text)
{
	return nearest(collect_children(c, ike), name, text);
}

/* ---- selectors of requests ---- */

static bool read_name(struct client *c, struct span body, const char *key, char *out)
{
	struct span v;

	out[0] = '\0';
	if (!vici_get(body, key, &v) || vici_get_str(body, key, out, CONTROL_NAME_MAX))
		return true;
	client_fail(c, "%s: not a name of at most %d characters", key, CONTROL_NAME_MAX - 1);
	return false;
}

static bool read_id(struct client *c, struct span body, const char *key, uint32_t *out)
{
	char text[16];
	struct span v;
	uint64_t n;

	*out = 0;
	if (!vici_get(body, key, &v))
		return true;
	if (vici_get_str(body, key, text, sizeof(text)) &&
	    words_parse_number(text, UINT32_MAX, &n)) {
		*out = (uint32_t)n;
		return true;
	}
	client_fail(c, "%s: not a number", key);
	return false;
}

bool selection_read(struct client *c, struct span body, struct selection *out)
{
	return read_name(c, body, "ike", out->ike) && read_name(c, body, "child", out->child) &&
	       read_id(c, body, "ike-id", &out->ike_id) &&
	       read_id(c, body, "child-id", &out->child_id);
}

bool selection_has(const struct selection *s, const struct ike_sa_info *ike,
		   const struct ike_child_info *child)
{
	if ((s->ike[0] && strcmp(s->ike, ike->conn) != 0) || (s->ike_id && s->ike_id != ike->id))
		return false;
	if (!child)
		return true;
	return (!s->child[0] || strcmp(s->child, child->name) == 0) &&
	       (!s->child_id || s->child_id == child->id);
}
