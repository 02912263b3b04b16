/* Shared secrets over vici: load-shared, unload-shared, get-shared, clear-creds. In the
 * engine their unique names start with "vici:", so that secrets from files are neither
 * listed nor unloaded here. The bytes pass through and are never logged. */
#include "ipsecd/control/server.h"
#include "lib/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PREFIX	   "vici:"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

static const char *vici_id(const struct secret *s)
{
	return strncmp(s->unique, PREFIX, PREFIX_LEN) == 0 ? s->unique + PREFIX_LEN : NULL;
}

static bool check_type(struct client *c, struct span body)
{
	static const char *const known[] = {"IKE", "EAP", "XAUTH", "NTLM", "PPK", NULL};
	char type[16] = "";

	if (!vici_get_str(body, "type", type, sizeof(type))) {
		client_fail(c, "missing or overlong type");
		return false;
	}
	if (strcasecmp(type, "IKE") == 0)
		return true;
	for (unsigned i = 0; known[i]; i++) {
		if (strcasecmp(type, known[i]) == 0) {
			client_fail(c, "type=%s: secrets of this type are not supported yet", type);
			return false;
		}
	}
	client_fail(c, "type=%s: unknown, expected IKE", type);
	return false;
}

static bool add_owner(struct client *c, struct secret *s, struct span owner)
{
	char text[ID_TEXT];
	struct id id;

	if (owner.len >= sizeof(text) || memchr(owner.ptr, '\0', owner.len)) {
		client_fail(c, "owners: an identity has at most %d characters", ID_TEXT - 1);
		return false;
	}
	memcpy(text, owner.ptr, owner.len);
	text[owner.len] = '\0';
	if (!id_parse(text, &id)) {
		client_fail(c, "owners: '%s' is not an identity", text);
		return false;
	}
	/* RFC 7296 leaves this to us: %any among the owners means no restriction, and so does
	 * an empty list. */
	if (id.type == ID_ANY || secret_add_owner(s, &id))
		return true;
	client_fail(c, "out of memory");
	return false;
}

static bool add_owners(struct client *c, struct secret *s, struct span body)
{
	struct vici_iter it = vici_iter(body);
	bool inside = false;
	struct vici_element e;

	while (!vici_next(&it, &e) && e.type != VICI_END) {
		if (e.type == VICI_LIST_START)
			inside = it.depth == 0 && span_equal(e.name, span_str("owners"));
		else if (e.type == VICI_LIST_ITEM && inside && !add_owner(c, s, e.value))
			return false;
	}
	return true;
}

/* A former process of ours, whose secrets we have, counted from the beginning, too. */
static void make_unique(struct control *control, char *out, size_t size)
{
	do
		snprintf(out, size, PREFIX "unnamed-%" PRIu64, control->next_tag++);
	while (ike_engine_secret_named(control->host.engine, out));
}

/* Without an id one is made, so that it can be unloaded. */
static bool read_unique(struct client *c, struct span body, char *out, size_t size)
{
	char id[CONTROL_NAME_MAX];
	struct span v;

	if (!vici_get(body, "id", &v)) {
		make_unique(c->control, out, size);
		return true;
	}
	if (!vici_get_str(body, "id", id, sizeof(id)) || !id[0]) {
		client_fail(c, "id: not a name of at most %d characters", CONTROL_NAME_MAX - 1);
		return false;
	}
	snprintf(out, size, PREFIX "%s", id);
	return true;
}

void command_load_shared(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	char unique[CONTROL_NAME_MAX + PREFIX_LEN];
	const char *error = "refused";
	struct secret *s;
	struct span data;

	if (!check_type(c, body) || !read_unique(c, body, unique, sizeof(unique)))
		return;
	if (!vici_get(body, "data", &data) || data.len == 0) {
		client_fail(c, "missing data: a secret can't be empty");
		return;
	}
	s = secret_new(unique, SECRET_IKE, data);
	if (!s) {
		client_fail(c, "out of memory");
		return;
	}
	if (!add_owners(c, s, body)) {
		secret_free(s);
		return;
	}
	if (host->load_secret(host->ctx, s, &error))
		client_succeed(c);
	else
		client_fail(c, "%s", error);
}

void command_unload_shared(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	char id[CONTROL_NAME_MAX], unique[CONTROL_NAME_MAX + PREFIX_LEN];
	const char *error = "refused";
	const struct secret *s;

	if (!vici_get_str(body, "id", id, sizeof(id))) {
		client_fail(c, "missing or overlong id");
		return;
	}
	snprintf(unique, sizeof(unique), PREFIX "%s", id);
	for (unsigned i = 0; (s = ike_engine_secret(host->engine, i)); i++) {
		if (strcmp(s->unique, unique) != 0)
			continue;
		if (host->unload_secret(host->ctx, unique, &error))
			client_succeed(c);
		else
			client_fail(c, "%s", error);
		return;
	}
	client_fail(c, "shared secret '%s' not found", id);
}

void command_get_shared(struct client *c, struct span body)
{
	struct buf b = client_response(c);
	const struct secret *s;

	(void)body;
	vici_put_list(&b, "keys");
	for (unsigned i = 0; (s = ike_engine_secret(c->control->host.engine, i)); i++) {
		if (vici_id(s))
			vici_put_item(&b, vici_id(s));
	}
	vici_put_list_end(&b);
	if (!b.overflow)
		client_respond(c, &b);
	else
		client_fail_large(c, "the secrets' names",
				  "unload-shared and clear-creds work without this list");
}

/* The first secret that came over vici, as an owned copy of its name. */
static char *first_unique(const struct ike_engine *engine)
{
	const struct secret *s;

	for (unsigned i = 0; (s = ike_engine_secret(engine, i)); i++) {
		if (vici_id(s))
			return strdup(s->unique);
	}
	return NULL;
}

void command_clear_creds(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	const char *error = "refused";
	bool ok = true;
	char *unique;

	(void)body;
	while (ok && (unique = first_unique(host->engine))) {
		ok = host->unload_secret(host->ctx, unique, &error);
		free(unique);
	}
	if (ok)
		client_succeed(c);
	else
		client_fail(c, "%s", error);
}
