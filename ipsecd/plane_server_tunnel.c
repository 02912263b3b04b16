/* Requests of ike that are about tunnels (plane_server.c). */
#include "ipsecd/plane_server_parts.h"

static void answer_made(struct plane_server *s, const struct ipc_message *m, uint32_t tunnel,
			enum dataplane_error e)
{
	struct ipc_made made;

	memset(&made, 0, sizeof(made));
	made.done = plane_done(s, e);
	plane_note_failure(s, m, &made.done);
	made.info = served_ipc_info(&s->served, tunnel);
	plane_answer(s, m, &made, sizeof(made));
}

/* ---- creating ---- */

static void finish(struct plane_server *s, const struct begun *b)
{
	const struct served_tunnel *there = served_tunnel(&s->served, b->tunnel);
	struct ipc_tunnel t = {.tunnel = b->tunnel};
	const struct ipc_message m = {
		.verb = IPC_TUNNEL_CREATE, .serial = b->serial, .body = span_of(&t, sizeof(t))};

	if (there)
		t.config = there->config;
	answer_made(s, &m, b->tunnel, served_finish(&s->served, b->tunnel));
}

void plane_finish_begun(void *server)
{
	struct plane_server *s = server;
	unsigned n = s->n_begun;

	s->n_begun = 0;
	for (unsigned i = 0; i < n; i++)
		finish(s, &s->begun[i]);
}

/* What a plane asks of the kernel for several tunnels goes together where ike asks for several at
 * once: they are answered when that is done. */
static void begin(struct plane_server *s, const struct ipc_message *m, const struct ipc_tunnel *t)
{
	enum dataplane_error e = served_begin(&s->served, t);

	if (e != DATAPLANE_OK)
		answer_made(s, m, t->tunnel, e);
	else
		s->begun[s->n_begun++] = (struct begun){.tunnel = t->tunnel, .serial = m->serial};
	if (s->n_begun == BEGUN_MAX)
		plane_finish_begun(s);
}

void plane_on_tunnel(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_tunnel t;

	memcpy(&t, m->body.ptr, sizeof(t));
	if (m->verb == IPC_TUNNEL_CREATE && !served_has_room(&s->served, &t)) {
		plane_refuse(s, m, DATAPLANE_NO_MEMORY,
			     "there are as many tunnels as there may be");
		return;
	}
	if (m->verb == IPC_TUNNEL_CREATE)
		begin(s, m, &t);
	else
		answer_made(s, m, t.tunnel, served_update(&s->served, &t));
}

void plane_on_tunnel_remove(struct plane_server *s, const struct ipc_message *m)
{
	uint32_t tunnel;

	memcpy(&tunnel, m->body.ptr, sizeof(tunnel));
	plane_answer_done(s, m, served_remove(&s->served, tunnel));
}

void plane_on_tunnel_link(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_tunnel_link l;

	memcpy(&l, m->body.ptr, sizeof(l));
	answer_made(s, m, l.tunnel, s->host.ops->tunnel_set_link(s->plane, l.tunnel, l.up));
}

void plane_on_tunnel_info(struct plane_server *s, const struct ipc_message *m)
{
	struct ipc_info infos[IPC_INFOS_MAX];
	size_t n = m->body.len / sizeof(uint32_t);

	for (size_t i = 0; i < n; i++) {
		uint32_t tunnel;

		memcpy(&tunnel, m->body.ptr + i * sizeof(tunnel), sizeof(tunnel));
		infos[i] = served_ipc_info(&s->served, tunnel);
	}
	plane_answer(s, m, infos, n * sizeof(infos[0]));
}

void plane_on_tunnel_disinherit(struct plane_server *s, const struct ipc_message *m)
{
	uint32_t tunnel;

	memcpy(&tunnel, m->body.ptr, sizeof(tunnel));
	served_disinherit(&s->served, tunnel);
}
