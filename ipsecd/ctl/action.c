/* ipsecctl up, down, rekey: a name of a connection or of a child becomes requests for
 * the daemon, one after the other. And reload, of all connections. */
#include "ipsecd/ctl/ctl.h"

#include <stdio.h>

#define GRACE_MS 5000 /* the daemon answers in its timeout; so much later we give up */

static void on_log(void *ctx, struct span name, struct span body)
{
	char text[1024];

	(void)ctx;
	(void)name;
	if (vici_get_str(body, "msg", text, sizeof(text)))
		printf("  %s\n", text);
}

static int act(struct ctl *c, const char *command, const char *conn, const char *child)
{
	uint8_t memory[1024];
	struct buf b = buf_over(memory, sizeof(memory));
	char what[2 * CTL_NAME_MAX + 32];
	struct span response;
	int status;

	if (conn)
		vici_put(&b, "ike", conn);
	if (child)
		vici_put(&b, "child", child);
	if (strcmp(command, "terminate") == 0)
		vici_put(&b, "hold", "yes"); /* down means down, for the peer as well */
	if (c->force)
		vici_put(&b, "force", "yes");
	if (c->reauth)
		vici_put(&b, "reauth", "yes");
	vici_put_format(&b, "timeout", "%d", c->timeout_s * 1000);
	vici_put(&b, "loglevel", "1");
	if (b.overflow)
		return ctl_error("%s: the name is too long", command);
	snprintf(what, sizeof(what), "%s %s", command, child ? child : conn);
	c->on_event = on_log;
	status = ctl_call(c, command, buf_span(&b), c->timeout_s * 1000 + GRACE_MS, &response);
	c->on_event = NULL;
	return status ? status : ctl_success(response, what);
}

/* The conn that the word names, or whose child it names; *child tells which. */
static json_t *find_target(struct ctl *c, json_t *conns, const char *word, const char **child)
{
	json_t *conn;
	size_t i;

	*child = NULL;
	json_array_foreach (conns, i, conn) {
		if (strcmp(json_text(conn, "name"), word) == 0)
			return conn;
	}
	json_array_foreach (conns, i, conn) {
		const json_t *config = json_object_get(conn, "config");

		if (json_object_get(json_object_get(config, "children"), word)) {
			*child = word;
			return conn;
		}
	}
	return model_find(c, conns, word);
}

/* `command` for the named child, else for every configured child of the conn. */
static int each_child(struct ctl *c, const char *command, const json_t *conn, const char *child)
{
	json_t *children = json_object_get(json_object_get(conn, "config"), "children");
	const char *name = json_text(conn, "name"), *key;
	int status = CTL_OK;
	json_t *value;

	if (child)
		return act(c, command, name, child);
	if (json_object_size(children) == 0)
		return act(c, command, name, NULL);
	json_object_foreach (children, key, value) {
		int one = act(c, command, name, key);

		status = status ? status : one;
	}
	return status;
}

static int up(struct ctl *c, const json_t *conn, const char *child)
{
	return each_child(c, "initiate", conn, child);
}

static int down(struct ctl *c, const json_t *conn, const char *child)
{
	return act(c, "terminate", json_text(conn, "name"), child);
}

/* The CHILD_SAs and then the IKE_SA, unless one kind is asked for. A new IKE_SA that
 * authenticates anew brings new CHILD_SAs by itself. */
static int rekey(struct ctl *c, const json_t *conn, const char *child)
{
	const char *name = json_text(conn, "name"), *state = json_text(conn, "state");
	int status = CTL_OK;

	if (json_array_size(json_object_get(conn, "sas")) == 0)
		return ctl_error("rekey %s: it is %s: there are no keys to replace; 'ipsecctl up "
				 "%s' brings it up",
				 child ? child : name, state, child ? child : name);
	if (c->reauth && child)
		return ctl_error("rekey --reauth: '%s' is a child of '%s', and it is the "
				 "connection that is authenticated",
				 child, name);
	if (c->reauth)
		return act(c, "rekey", name, NULL);
	if (!c->ike_only)
		status = each_child(c, "rekey", conn, child);
	if (!status && !child && !c->child_only)
		status = act(c, "rekey", name, NULL);
	return status;
}

static int run(struct ctl *c, int (*action)(struct ctl *c, const json_t *conn, const char *child))
{
	const char *child;
	json_t *conns, *conn;
	int status = model_read(c, &conns);

	if (status)
		return status;
	if (c->verbose)
		status = ctl_register(c, "control-log");
	conn = status ? NULL : find_target(c, conns, c->argv[0], &child);
	if (conn)
		status = action(c, conn, child);
	else if (!status)
		status = CTL_FAILED;
	json_decref(conns);
	return status;
}

int command_up(struct ctl *c)
{
	return run(c, up);
}

int command_down(struct ctl *c)
{
	return run(c, down);
}

int command_rekey(struct ctl *c)
{
	return run(c, rekey);
}

int command_reload(struct ctl *c)
{
	const struct span none = {0};
	struct span response;
	int status =
		ctl_call(c, "reload-settings", none, c->timeout_s * 1000 + GRACE_MS, &response);

	return status ? status : ctl_success(response, "reload");
}
