/* Every vici command that is served, by name. What can't exist here yet (certificates,
 * keys, authorities, policies) is listed as empty and refused when loaded, so that
 * stock clients work and nobody believes that something was loaded. */
#include "ipsecd/control/server.h"

static void answer_nothing(struct client *c, struct span body)
{
	struct buf b = client_response(c);

	(void)body;
	client_respond(c, &b);
}

static void answer_success(struct client *c, struct span body)
{
	(void)body;
	client_succeed(c);
}

static void answer_list(struct client *c, const char *name)
{
	struct buf b = client_response(c);

	vici_put_list(&b, name);
	vici_put_list_end(&b);
	client_respond(c, &b);
}

static void get_keys(struct client *c, struct span body)
{
	(void)body;
	answer_list(c, "keys");
}

static void get_authorities(struct client *c, struct span body)
{
	(void)body;
	answer_list(c, "authorities");
}

static void refuse_certificates(struct client *c, struct span body)
{
	(void)body;
	client_fail(c, "certificates and private keys are not supported yet: connections "
		       "authenticate with auth=psk");
}

static void refuse_redirect(struct client *c, struct span body)
{
	(void)body;
	client_fail(c, "redirect (RFC 5685) is not supported yet");
}

static void refuse_policies(struct client *c, struct span body)
{
	(void)body;
	client_fail(c, "there are no policies to install: each connection has a tunnel device "
		       "from the moment it is loaded");
}

static void refuse_unload(struct client *c, struct span body)
{
	char id[CONTROL_NAME_MAX];

	if (!vici_get_str(body, "id", id, sizeof(id)) &&
	    !vici_get_str(body, "name", id, sizeof(id)))
		client_fail(c, "missing the name or id of what is to be unloaded");
	else
		client_fail(c, "'%s' not found", id);
}

static const struct {
	const char *name;
	command_handler *handler;
} commands[] = {
	{"version", command_version},
	{"stats", command_stats},
	{"list-sas", command_list_sas},
	{"list-conns", command_list_conns},
	{"list-policies", command_list_policies},
	{"get-conns", command_get_conns},
	{"initiate", command_initiate},
	{"terminate", command_terminate},
	{"rekey", command_rekey},
	{"load-conn", command_load_conn},
	{"unload-conn", command_unload_conn},
	{"load-shared", command_load_shared},
	{"unload-shared", command_unload_shared},
	{"get-shared", command_get_shared},
	{"clear-creds", command_clear_creds},
	{"load-pool", command_load_pool},
	{"unload-pool", command_unload_pool},
	{"get-pools", command_get_pools},
	{"reload-settings", command_reload_settings},
	{"get-algorithms", command_get_algorithms},
	{"get-counters", command_get_counters},
	{"reset-counters", command_reset_counters},
	{"get-keys", get_keys},
	{"get-authorities", get_authorities},
	{"list-certs", answer_nothing},
	{"list-authorities", answer_nothing},
	{"flush-certs", answer_success},
	{"load-cert", refuse_certificates},
	{"load-key", refuse_certificates},
	{"load-token", refuse_certificates},
	{"load-authority", refuse_certificates},
	{"unload-key", refuse_unload},
	{"unload-authority", refuse_unload},
	{"install", refuse_policies},
	{"uninstall", refuse_policies},
	{"redirect", refuse_redirect},
};

command_handler *command_find(struct span name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (span_equal(name, span_str(commands[i].name)))
			return commands[i].handler;
	}
	return NULL;
}
