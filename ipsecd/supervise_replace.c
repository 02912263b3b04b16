/* Every process gives way to one of the new generation, and packets do not wait: ike goes first,
 * when it has published what it knows; then helper; the plane forwards until the process that
 * adopts its state waits for nothing but its end. The new ike begins when it has both others. */
#include "ipsecd/supervise_parts.h"

static const enum ipc_role go[IPC_ROLES] = {IPC_ROLE_IKE, IPC_ROLE_HELPER, IPC_ROLE_PLANE};
static const enum ipc_role come[IPC_ROLES] = {IPC_ROLE_HELPER, IPC_ROLE_PLANE, IPC_ROLE_IKE};

static bool is_old(const struct child *c)
{
	return c->elsewhere || (c->now && c->now->generation != c->supervisor->generation);
}

static void give_way(struct child *c)
{
	if (c->elsewhere) {
		takeover_stop(c);
		return;
	}
	if (c->now->stopping)
		return;
	process_stop(c->now, true);
	supervise_arm_limit(c->supervisor, GIVE_WAY_SECONDS);
}

static void finish(struct supervisor *s)
{
	double ms = (double)(mono_now() - s->replacing_since) / (double)MONO_MS;

	s->replacing = false;
	s->upgrades++;
	upgrade_stays(s);
	log_to(s->log, LOG_LEVEL_NOTICE, "job", "",
	       "ipsecd " DETOUR_VERSION " has taken over, in %.0f ms", ms);
	if (s->came_back)
		asker_say(s->asker, -1,
			  "error its processes die, see the log; ipsecd " DETOUR_VERSION
			  " has taken over again");
	else
		asker_say(s->asker, -1, "ok ipsecd " DETOUR_VERSION " has taken over, in %.0f ms",
			  ms);
	asker_free(s->asker);
	takeover_done(s);
	supervise_tell(s);
	supervise_step(s);
}

void replace_step(struct supervisor *s)
{
	bool all = true;

	for (unsigned i = 0; i < IPC_ROLES; i++) {
		if (is_old(&s->children[go[i]])) {
			give_way(&s->children[go[i]]);
			return;
		}
	}
	for (unsigned i = 0; i < IPC_ROLES; i++) {
		struct child *c = &s->children[come[i]];

		if (!c->now && !ev_is_active(&c->restart))
			child_start(c);
		all = all && c->now && c->now->ready;
	}
	if (all)
		finish(s);
}

/* The plane at once; the caller looks at the rest. */
void replace_gone(struct child *c)
{
	ev_timer_stop(c->supervisor->loop, &c->supervisor->limit);
	if (c->role != IPC_ROLE_IKE)
		child_start(c);
}

void replace_begin(struct supervisor *s)
{
	s->phase = PHASE_RUNNING;
	s->replacing = s->reload_due = true;
	s->replacing_since = mono_now();
	for (unsigned i = 0; i < IPC_ROLES; i++)
		s->children[i].next = process_spawn(&s->children[i]);
	replace_step(s);
}
