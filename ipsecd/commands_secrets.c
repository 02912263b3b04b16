/* Secrets that files and clients load, as engine commands; in several processes the helper keeps
 * their bytes. */
#include "ipsecd/helper_client.h"
#include "ipsecd/shell.h"

#include <stdlib.h>

/* The helper's number of a loaded secret, 0: there is none. */
static uint64_t held_under(const struct daemon *d, const char *unique)
{
	const struct secret *s = d->helper ? ike_engine_secret_named(d->engine, unique) : NULL;

	return s ? s->held : 0;
}

/* Known to the next process before anything comes of it; one that the engine refuses is none. */
bool commands_load_secret(void *ctx, struct secret *secret, const char **error)
{
	struct ike_command c = {.kind = IKE_COMMAND_LOAD_SECRET, .secret = secret};
	char *unique = strdup(secret->unique);
	const struct secret *before;
	struct daemon *d = ctx;
	bool ok;

	publish_secret(d->publish, secret);
	ok = shell_command(d, &c, error);
	before = ok || !unique ? NULL : ike_engine_secret_named(d->engine, unique);
	if (before)
		publish_secret(d->publish, before);
	else if (!ok && unique)
		publish_secret_gone(d->publish, unique);
	free(unique);
	if (!ok)
		shell_publish(d);
	return ok;
}

/* A client's secret is here for as long as it takes to give it away. */
bool commands_load_client_secret(void *ctx, struct secret *secret, const char **error)
{
	struct daemon *d = ctx;
	uint64_t before = held_under(d, secret->unique), held;

	if (d->helper && !helper_client_hold(d->helper, secret, error)) {
		secret_free(secret);
		return false;
	}
	held = secret->held;
	if (!commands_load_secret(d, secret, error))
		return false;
	if (before && before != held)
		helper_client_forget(d->helper, before);
	return true;
}

bool commands_unload_secret(void *ctx, const char *unique, const char **error)
{
	struct ike_command c = {.kind = IKE_COMMAND_UNLOAD_SECRET, .name = unique};
	struct daemon *d = ctx;

	publish_secret_gone(d->publish, unique);
	return shell_command(d, &c, error);
}

bool commands_unload_client_secret(void *ctx, const char *unique, const char **error)
{
	struct daemon *d = ctx;
	uint64_t held = held_under(d, unique);

	if (!commands_unload_secret(d, unique, error))
		return false;
	if (held)
		helper_client_forget(d->helper, held);
	return true;
}

bool commands_holds_secrets(const struct daemon *d)
{
	const struct secret *s;

	for (unsigned i = 0; (s = ike_engine_secret(d->engine, i)); i++) {
		if (s->held)
			return true;
	}
	return false;
}
