/* Calls over the link, and when the plane has to be asked at all. */
#include "ipsecd/ipc/check.h"
#include "ipsecd/remote/parts.h"

#include <ev.h>
#include <stdio.h>
#include <unistd.h>

static void close_all(struct ipc_message *m)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		close(m->fds[i]);
}

static const char *check(uint32_t verb, const struct ipc_message *m, size_t len)
{
	if (m->verb != IPC_ANSWER)
		return "not an answer";
	if (len && m->body.len != len)
		return "not as long as it has to be";
	return ipc_check_answer(verb, m->body);
}

/* What is asked for counts as done when there is no answer: by a new link all of it is said again.
 */
static void give_up(struct remote *r, uint32_t verb, mono_time asked)
{
	if (mono_now() - asked < (mono_time)r->patience_ms * MONO_MS)
		return; /* the link has ended, which its callback says */
	log_to(r->host.log, LOG_LEVEL_ERROR, "tun", "",
	       "the plane's process does not answer %s in %d ms; what is to be done there waits "
	       "for a new link",
	       ipc_plane_verb_name(verb), r->patience_ms);
	far_drop_link(r);
}

bool far_await(struct remote *r, uint32_t verb, uint32_t serial, size_t answer_len,
	       struct span *answer)
{
	static struct log_limit limit = {.burst = 5};
	mono_time asked = mono_now();
	struct ipc_message m;
	const char *why;

	if (!r->link)
		return false;
	if (!ipc_await(r->link, serial, r->patience_ms, &m)) {
		give_up(r, verb, asked);
		return false;
	}
	close_all(&m);
	why = check(verb, &m, answer_len);
	if (why) {
		if (log_limit_pass(&limit, mono_now()))
			log_to(r->host.log, LOG_LEVEL_ERROR, "tun", "",
			       "the plane's process answers %s wrongly: %s",
			       ipc_plane_verb_name(verb), why);
		return false;
	}
	*answer = m.body;
	return true;
}

bool far_call(struct remote *r, uint32_t verb, const void *body, size_t len, size_t answer_len,
	      struct span *answer)
{
	struct span part = span_of(body, len);
	uint32_t serial = r->link ? ipc_ask(r->link, verb, &part, 1, NULL, 0) : 0;

	return far_await(r, verb, serial, answer_len, answer);
}

bool far_done(struct remote *r, uint32_t verb, const void *body, size_t len, int *error)
{
	struct ipc_done d;
	struct span answer;

	if (!far_call(r, verb, body, len, sizeof(d), &answer))
		return false;
	memcpy(&d, answer.ptr, sizeof(d));
	*error = d.error;
	if (d.error)
		memcpy(r->error, d.words, sizeof(r->error));
	return true;
}

void far_take_info(struct far_tunnel *t, const struct ipc_info *info, unsigned round)
{
	static const char *const kinds[] = {"tun", "vti", "vti6", "xfrm", "fake"};
	struct dataplane_tunnel_info *i = &t->info;

	if (!info->there)
		return;
	*i = (struct dataplane_tunnel_info){.ifindex = info->ifindex,
					    .mtu = info->mtu,
					    .link_up = info->link_up,
					    .admin_up = info->admin_up,
					    .kind = "",
					    .offloads = info->offloads,
					    .mark_in = info->mark_in,
					    .mark_out = info->mark_out,
					    .if_id_in = info->if_id_in,
					    .if_id_out = info->if_id_out,
					    .inherited = info->inherited,
					    .as_made = info->as_made != 0};
	memcpy(i->name, info->name, sizeof(i->name));
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strcmp(info->kind, kinds[k]) == 0)
			i->kind = kinds[k];
	}
	t->round = round;
}

unsigned far_round(const struct remote *r)
{
	return ev_iteration(r->host.loop) + 1;
}

/* One that is asked for alone costs one; a list soon costs one message for many. */
size_t far_ahead(struct remote *r, size_t most)
{
	unsigned round = far_round(r);

	if (r->asked_round != round)
		r->asked = 0;
	r->asked_round = round;
	r->asked++;
	return r->asked == 1 ? 0 : r->asked == 2 ? 7 : most - 1;
}
