/* ipsecctl's connection to the daemon and the words for what goes wrong with it. */
#include "ipsecd/ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int ctl_error(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("ipsecctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return CTL_FAILED;
}

static void pass_event(void *ctx, struct span name, struct span body)
{
	struct ctl *c = ctx;

	if (c->on_event)
		c->on_event(c->event_ctx, name, body);
}

int ctl_connect(struct ctl *c)
{
	char why[256];

	c->client = vici_client_connect(c->socket, pass_event, c, why, sizeof(why));
	if (c->client)
		return CTL_OK;
	ctl_error("no daemon answers: %s", why);
	return CTL_NO_DAEMON;
}

static int failed(const char *what, enum vici_client_error e)
{
	if (e == VICI_CLIENT_SYSTEM)
		ctl_error("%s: %s", what, strerror(errno));
	else
		ctl_error("%s: %s", what, vici_client_strerror(e));
	return e == VICI_CLIENT_CLOSED ? CTL_NO_DAEMON : CTL_FAILED;
}

int ctl_call(struct ctl *c, const char *command, struct span body, int timeout_ms,
	     struct span *response)
{
	enum vici_client_error e = vici_client_call(c->client, command, body, timeout_ms, response);

	return e ? failed(command, e) : CTL_OK;
}

int ctl_register(struct ctl *c, const char *event)
{
	enum vici_client_error e = vici_client_register(c->client, event, CTL_TIMEOUT_MS);

	return e ? failed(event, e) : CTL_OK;
}

int ctl_stream(struct ctl *c, const char *command, struct span body, const char *event,
	       vici_event_cb *on_event, void *ctx)
{
	struct span response;
	int status = ctl_register(c, event);

	if (status)
		return status;
	c->on_event = on_event;
	c->event_ctx = ctx;
	status = ctl_call(c, command, body, CTL_TIMEOUT_MS, &response);
	c->on_event = NULL;
	if (status)
		return status;
	return vici_client_unregister(c->client, event, CTL_TIMEOUT_MS) ? CTL_FAILED : CTL_OK;
}

int ctl_success(struct span response, const char *what)
{
	char text[1024] = "no";

	if (vici_get_str(response, "success", text, sizeof(text)) && strcmp(text, "yes") == 0)
		return CTL_OK;
	if (!vici_get_str(response, "errmsg", text, sizeof(text)))
		snprintf(text, sizeof(text), "refused without a reason");
	return ctl_error("%s: %s", what, text);
}
