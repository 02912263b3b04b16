/* The reading of the configuration files, in whichever process: text to connections, and which end
 * of each is ours. Changes nothing. */
#include "ipsecd/config/recall.h"
#include "ipsecd/net/source.h"
#include "ipsecd/reload.h"

#include <errno.h>
#include <sys/stat.h>

static bool is_local(void *ctx, const struct addr *a)
{
	return source_addrs_has(ctx, a);
}

/* The default files may be absent: a daemon that only vici clients configure. */
static const char *path(const char *name, bool given)
{
	struct stat st;

	return given || stat(name, &st) == 0 ? name : NULL;
}

/* The machine is asked once: with a thousand tunnels its answer takes a twentieth of a second. */
static bool orient_all(const struct options *o, struct config *config, struct config_errors *errors)
{
	const struct config_pos at = {.file = o->config};
	struct source_addrs *own = source_addrs_read();

	if (!own) {
		config_error(errors, &at, "this machine's addresses can't be read: %s",
			     strerror(errno));
		return false;
	}
	for (unsigned i = 0; i < config->n_conns; i++)
		config_orient(&config->conns[i], is_local, own);
	source_addrs_free(own);
	return true;
}

struct former {
	const struct conn *conn;
	bool swapped;
};

/* The ends are the former ones, and this machine is where it was. */
static bool was_local(void *ctx, const struct addr *a)
{
	const struct former *f = ctx;
	bool is_remote = false;

	for (unsigned i = 0; i < f->conn->n_remote; i++)
		is_remote |= a == &f->conn->remote[i].addr;
	return is_remote == f->swapped;
}

static void orient_again(const struct recall *recall, struct config *config)
{
	for (unsigned i = 0; i < config->n_conns; i++) {
		struct former f = {config->conns[i].conn, recall_swapped(recall, i)};

		config_orient(&config->conns[i], was_local, &f);
	}
}

/* Which end of each conn is ours. */
static bool orient(const struct options *o, const struct recall *recall, struct config *config,
		   struct config_errors *errors)
{
	if (recall_uses(recall))
		orient_again(recall, config);
	else if (!orient_all(o, config, errors))
		return false;
	config_check_scripts(config, errors);
	config_check_sourceip(config, errors);
	return errors->n_errors == 0;
}

/* Connections from a file want secrets: that their default file is not there, too, is said. */
static bool read_files(const struct options *o, struct recall *recall, struct config *config,
		       struct config_errors *errors)
{
	const char *conf = path(o->config, o->config_given);
	const char *secrets = path(o->secrets, o->secrets_given || conf);
	const struct config_pos at = {.file = o->config};

	if (!conf)
		config_note(errors, &at,
			    "there is no such file: only vici clients bring connections");
	return config_load_recall(conf, secrets, recall, config, errors) &&
	       orient(o, recall, config, errors);
}

bool reload_files(const struct options *o, struct config *config, struct config_errors *errors)
{
	return read_files(o, NULL, config, errors);
}

bool reload_files_recall(const struct options *o, struct recall *recall, bool *holds,
			 struct config *config, struct config_errors *errors)
{
	bool used = recall_uses(recall), ok = read_files(o, recall, config, errors);

	*holds = !used || (ok && recall_holds(recall));
	if (!ok || !*holds)
		return false;
	recall_oriented(recall, config);
	for (unsigned i = 0; i < config->n_conns; i++)
		config->conns[i].digest = recall_digest(recall, i);
	*holds = !used || recall_unchanged(recall, config);
	return *holds;
}

static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

int reload_check(const struct options *options)
{
	struct config_errors errors = {0};
	struct config config = {0};
	bool ok = reload_files(options, &config, &errors);

	config_errors_print(&errors, stderr);
	if (ok)
		printf("%s: %u connection%s, %u secret%s, no errors\n", options->config,
		       config.n_conns, plural(config.n_conns), config.n_secrets,
		       plural(config.n_secrets));
	config_errors_free(&errors);
	config_free(&config);
	return ok ? 0 : 2;
}
