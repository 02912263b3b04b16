/* Connections over vici: load-conn, unload-conn, get-conns; and reload-settings. What
 * files define belongs to the files: it is neither replaced nor unloaded here. */
#include "ipsecd/control/load_conn.h"
#include "ipsecd/control/server.h"

#include <stdio.h>

void command_get_conns(struct client *c, struct span body)
{
	struct buf b = client_response(c);
	const struct conn *conn;

	(void)body;
	vici_put_list(&b, "conns");
	for (unsigned i = 0; (conn = ike_engine_conn(c->control->host.engine, i)); i++) {
		if (conn_from_vici(conn))
			vici_put_item(&b, conn->name);
	}
	vici_put_list_end(&b);
	if (!b.overflow)
		client_respond(c, &b);
	else
		client_fail_large(c, "the connections' names", "list-conns tells them one by one");
}

static void log_note(void *ctx, const char *conn, const char *text)
{
	const struct control *control = ctx;

	log_to(control->host.log, LOG_LEVEL_NOTICE, "cfg", conn, "%s", text);
}

/* As in ipsec.conf; there all connections are known at once. */
static bool check_addrs(struct client *c, const struct conn *conn)
{
	const struct control_host *host = &c->control->host;
	char text[ADDR_TEXT];
	struct addr addr;
	const char *other = host->addr_owner(host->ctx, conn, &addr);

	if (other)
		client_fail(c,
			    "connection '%s': interface_ip %s is that of connection '%s' already: "
			    "if that is to go, unload it first",
			    conn->name, addr_format(&addr, text), other);
	return !other;
}

void command_load_conn(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	const struct load_notes notes = {.note = log_note, .ctx = c->control};
	const struct conn *loaded;
	char why[LOAD_CONN_WHY];
	struct conn *conn;

	conn = load_conn_parse(body, &notes, why, sizeof(why));
	if (!conn) {
		client_fail(c, "%s", why);
		return;
	}
	loaded = ike_engine_conn_named(host->engine, conn->name);
	if (loaded && !conn_from_vici(loaded)) {
		client_fail(c, "connection '%s' is defined at %s: change it there", conn->name,
			    loaded->source ? loaded->source : "a file");
		conn_free(conn);
		return;
	}
	if (!check_addrs(c, conn)) {
		conn_free(conn);
		return;
	}
	if (host->load_conn(host->ctx, conn, why, sizeof(why)))
		client_succeed(c);
	else
		client_fail(c, "%s", why);
}

void command_unload_conn(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	char name[CONTROL_NAME_MAX], near[CONTROL_NAME_MAX + 16];
	const char *error = "refused";
	const struct conn *conn;

	if (!vici_get_str(body, "name", name, sizeof(name))) {
		client_fail(c, "missing or overlong name");
		return;
	}
	conn = ike_engine_conn_named(host->engine, name);
	if (!conn)
		client_fail(c, "connection '%s' not found%s", name,
			    nearest_conn(c->control, name, near));
	else if (!conn_from_vici(conn))
		client_fail(c, "connection '%s' is defined at %s: remove it there", name,
			    conn->source ? conn->source : "a file");
	else if (host->unload_conn(host->ctx, name, &error))
		client_succeed(c);
	else
		client_fail(c, "%s", error);
}

void command_reload_settings(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	const struct pending p = {.kind = PENDING_RELOAD};

	(void)body;
	host->reload(host->ctx, pending_start(c, &p));
}
