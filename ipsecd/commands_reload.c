/* Reloads that clients ask for, and what they are told of them. */
#include "ipsecd/shell.h"

void commands_reload(void *ctx, uint64_t tag)
{
	struct daemon *d = ctx;

	reload_run(d->reload, tag);
}

const char *commands_reload_failure(void *ctx)
{
	const struct daemon *d = ctx;

	return reload_failure(d->reload);
}

void commands_refused(void *ctx, void (*cb)(void *cb_ctx, const char *name, const char *why),
		      void *cb_ctx)
{
	const struct daemon *d = ctx;

	reload_each_refused(d->reload, cb, cb_ctx);
}

/* What is in force partly is as good a start as any: one tunnel must not keep the others down. */
void commands_reloaded(void *ctx, uint64_t tag, enum reload_end end, const char *why)
{
	struct daemon *d = ctx;

	publish_reloading(d->publish, false);
	shell_publish(d);
	if (tag)
		control_reloaded(d->control, tag, end == RELOAD_DONE ? NULL : why);
	if (!d->running)
		shell_started(d, end != RELOAD_FAILED);
	else if (d->setup.reloaded)
		d->setup.reloaded(d->setup.ctx);
}
