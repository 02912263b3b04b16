/* Scripts that the helper approved: they run here, as root, and live on when helper or ike die. */
#include "ipsecd/supervise_parts.h"

static bool send_to_helper(void *ctx, uint32_t verb, struct span body)
{
	struct supervisor *s = ctx;
	struct process *helper = s->children[IPC_ROLE_HELPER].now;

	return helper && helper->begun && ipc_send(helper->link, verb, 0, &body, 1, NULL, 0);
}

bool supervise_open_scripts(struct supervisor *s)
{
	const struct script_desk_host host = {
		.loop = s->loop, .log = s->log, .send = send_to_helper, .ctx = s};

	s->scripts = script_desk_new(&host);
	return s->scripts;
}

bool supervise_run_script(struct process *p, const struct ipc_message *m)
{
	return p->child->role == IPC_ROLE_HELPER && script_desk_message(p->supervisor->scripts, m);
}
