/* Where the table of paths comes from: BMP while bgpd is connected, else what bgpd answers
 * on its vty socket. Both tell all they have, then what they did not tell again goes, so
 * that a change of the source is none of the table. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/bgp_json.h"
#include "routed-bridge/bmp_listener.h"
#include "routed-bridge/vty.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BMP_PATIENCE (3 * MONO_S) /* without a connection until bgpd is asked instead */
#define POLL_FIRST   (MONO_S / 2)
#define POLL_MIN     (5 * MONO_S)
#define POLL_MAX     (300 * MONO_S)
#define POLL_SHARE   50		  /* of the time at most one part is spent with answers */
#define HINT_DELAY   (MONO_S / 5) /* bgpd shall have seen it, too */
#define HINT_SHARE   20
#define PEER_LINES   30		   /* of peers that come and go, in a second */
#define ABSENT_MAX   (60 * MONO_S) /* without an answer until the paths count as gone */

static const char *const commands[] = {
	"show bgp neighbors json",
	"show bgp ipv4 unicast json",
	"show bgp ipv6 unicast json",
};

#define STEPS (sizeof(commands) / sizeof(commands[0]))

struct bridge_paths {
	struct bridge *b;
	struct bmp_listener_host host;
	struct bmp_listener *listener; /* NULL: no `bmp` in the configuration */
	bool by_bmp;		       /* bgpd is connected */
	bool told;		       /* how many paths there are was said */
	bool asking;		       /* BMP was waited for long enough */
	struct vty *vty;
	ev_timer timer; /* the next round of questions */
	unsigned step;	/* of the round; STEPS: none is under way */
	mono_time begun, ended, took, heard;
	char complaint[256];
	uint64_t polls;
	struct log_limit peer_log; /* a thousand peers that go at once need no line each */
};

static void say_balance(struct bridge_paths *s, const char *from)
{
	struct paths_count n = paths_count(s->b->paths);

	if (s->told)
		return;
	s->told = true;
	log_to(s->b->log, LOG_LEVEL_INFO, "paths", from,
	       "%zu paths to %zu prefixes, of %zu peers that are up", n.paths, n.prefixes,
	       n.peers_up);
}

/* ---- asking ---- */

static void ask_step(struct bridge_paths *s);

static void arm(struct bridge_paths *s, mono_time delay)
{
	ev_timer_stop(s->b->loop, &s->timer);
	ev_now_update(s->b->loop);
	ev_timer_set(&s->timer, (double)delay / 1e9, 0.);
	ev_timer_start(s->b->loop, &s->timer);
}

static mono_time limited(mono_time t, mono_time min, mono_time max)
{
	return t < min ? min : t > max ? max : t;
}

/* The round is over; the next one comes the later, the longer this one took. */
static void end_round(struct bridge_paths *s)
{
	s->step = STEPS;
	s->ended = mono_now();
	s->took = s->ended - s->begun;
	arm(s, limited(s->took * POLL_SHARE, POLL_MIN, POLL_MAX));
}

static void forget_paths(struct bridge_paths *s)
{
	paths_resync_begin(s->b->paths);
	paths_resync_end(s->b->paths, "bgpd is not heard any more");
	bridge_paths_changed(s->b);
}

static void fail_round(struct bridge_paths *s, const char *why)
{
	if (strcmp(s->complaint, why) != 0) {
		snprintf(s->complaint, sizeof(s->complaint), "%s", why);
		log_to(s->b->log, LOG_LEVEL_NOTICE, "paths", "vty",
		       "%s: alternatives are not known%s", why,
		       s->listener ? "" : "; is bgpd started, and 'bmp' switched on?");
	}
	end_round(s);
	if (s->ended - s->heard >= ABSENT_MAX)
		forget_paths(s);
}

static bool take_answer(struct bridge_paths *s, struct span text)
{
	struct paths *p = s->b->paths;

	if (s->step == 0) {
		if (!bgp_json_neighbors(p, text))
			return false;
		paths_resync_peers(p, "bgpd has no such session any more");
		return true;
	}
	return bgp_json_routes(p, text, s->step == 1 ? AF_INET : AF_INET6);
}

static void on_answer(void *ctx, struct span text, uint8_t status, const char *why)
{
	struct bridge_paths *s = ctx;
	char reason[128];

	if (!why && (status != VTY_SUCCESS || !take_answer(s, text))) {
		snprintf(reason, sizeof(reason), "bgpd's answer to '%s' is not understood",
			 commands[s->step]);
		why = reason;
	}
	if (why) {
		fail_round(s, why);
		return;
	}
	s->heard = mono_now();
	if (++s->step < STEPS) {
		ask_step(s);
		return;
	}
	paths_resync_end(s->b->paths, "bgpd has no such session any more");
	s->complaint[0] = '\0';
	s->polls++;
	say_balance(s, "vty");
	end_round(s);
	bridge_paths_changed(s->b);
}

static void ask_step(struct bridge_paths *s)
{
	if (!vty_ask(s->vty, "bgpd", commands[s->step], on_answer, s))
		fail_round(s, "too many questions wait for bgpd");
}

static void begin_round(struct bridge_paths *s)
{
	s->step = 0;
	s->begun = mono_now();
	paths_resync_begin(s->b->paths);
	ask_step(s);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bridge_paths *s = timer->data;

	(void)loop;
	(void)events;
	s->asking = true;
	/* Paths are for repairs; nobody else needs them enough to ask. */
	if (s->b->config->repair.on)
		begin_round(s);
	else if (mono_now() - s->heard < ABSENT_MAX)
		arm(s, ABSENT_MAX);
	else
		forget_paths(s);
}

static void stop_asking(struct bridge_paths *s)
{
	ev_timer_stop(s->b->loop, &s->timer);
	vty_forget(s->vty, s);
	s->step = STEPS;
	s->asking = false;
}

void bridge_paths_hint(struct bridge *b)
{
	struct bridge_paths *s = b->paths_source;
	mono_time now = mono_now(), at = now + HINT_DELAY;

	if (!s || !s->asking || s->step != STEPS || !ev_is_active(&s->timer))
		return;
	if (s->ended && at < s->ended + s->took * HINT_SHARE)
		at = s->ended + s->took * HINT_SHARE;
	if ((double)(at - now) / 1e9 < ev_timer_remaining(b->loop, &s->timer))
		arm(s, at - now);
}

/* ---- BMP ---- */

static void on_bmp_connected(void *ctx, const char *speaker)
{
	struct bridge_paths *s = ctx;

	stop_asking(s);
	s->by_bmp = true;
	s->told = false;
	log_to(s->b->log, LOG_LEVEL_NOTICE, "paths", "bmp", "connected: %s", speaker);
}

static void on_bmp_changed(void *ctx)
{
	struct bridge_paths *s = ctx;

	bridge_paths_changed(s->b);
}

static void on_bmp_synced(void *ctx)
{
	struct bridge_paths *s = ctx;

	say_balance(s, "bmp");
}

/* Root, ourselves, and whose bgpd's vty socket is. */
static bool on_bmp_trusts(void *ctx, unsigned uid)
{
	struct bridge_paths *s = ctx;
	char path[BRIDGE_PATH_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/bgpd.vty", s->b->config->vty_dir);
	return uid == 0 || uid == geteuid() || (stat(path, &st) == 0 && st.st_uid == uid);
}

static void on_bmp_lost(void *ctx)
{
	struct bridge_paths *s = ctx;

	s->by_bmp = s->told = false;
	s->heard = mono_now();
	arm(s, BMP_PATIENCE);
}

/* ---- changes ---- */

void bridge_paths_peer(struct bridge *b, const struct path_change *change)
{
	const struct path_peer *peer = change->peer;
	char text[ADDR_TEXT];

	if (!b->paths_source || !log_limit_pass(&b->paths_source->peer_log, mono_now()))
		return;
	addr_format(&peer->key.addr, text);
	if (change->kind == PATH_CHANGE_PEER_UP)
		log_to(b->log, LOG_LEVEL_INFO, "peer", text, "up, AS %u", peer->as);
	else
		log_to(b->log, LOG_LEVEL_INFO, "peer", text, "down: %s", peer->reason);
}

/* ---- life ---- */

static void close_listener(struct bridge_paths *s)
{
	if (!s->listener)
		return;
	bmp_listener_free(s->listener);
	s->listener = NULL;
	s->by_bmp = s->told = false;
}

static void fit_listener(struct bridge_paths *s)
{
	const struct endpoint *at = &s->b->config->bmp;
	mono_time patience = at->addr.family ? BMP_PATIENCE : POLL_FIRST;

	if (s->listener && bmp_listener_is_at(s->listener, at))
		return;
	close_listener(s);
	if (at->addr.family) {
		s->listener = bmp_listener_new(&s->host, s->b->paths, at);
		if (!s->listener)
			log_to(s->b->log, LOG_LEVEL_ERROR, "bmp", "", "out of memory");
		else if (!addr_is_loopback(&at->addr))
			log_to(s->b->log, LOG_LEVEL_WARN, "bmp", "",
			       "'bmp' is at an address that others may reach: who connects there "
			       "is believed");
	}
	s->heard = mono_now();
	if (s->step == STEPS)
		arm(s, patience);
}

void bridge_paths_fit(struct bridge *b, const struct bridge_config *old)
{
	struct bridge_paths *s = b->paths_source;

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return;
		s->b = b;
		s->step = STEPS;
		s->peer_log.burst = PEER_LINES;
		s->host = (struct bmp_listener_host){
			.connected = on_bmp_connected,
			.changed = on_bmp_changed,
			.synced = on_bmp_synced,
			.lost = on_bmp_lost,
			.trusts = on_bmp_trusts,
			.ctx = s,
			.log = b->log,
			.loop = b->loop,
		};
		ev_timer_init(&s->timer, on_timer, 0., 0.);
		s->timer.data = s;
		b->paths_source = s;
	}
	if (!s->vty || strcmp(old->vty_dir, b->config->vty_dir) != 0) {
		if (s->vty)
			stop_asking(s);
		vty_free(s->vty);
		s->vty = vty_new(b->loop, b->config->vty_dir, NULL);
	}
	if (!s->vty) {
		log_to(b->log, LOG_LEVEL_ERROR, "paths", "", "out of memory");
		return;
	}
	fit_listener(s);
	if (!s->by_bmp && s->step == STEPS && !ev_is_active(&s->timer))
		arm(s, POLL_FIRST);
}

void bridge_paths_end(struct bridge *b)
{
	struct bridge_paths *s = b->paths_source;

	if (!s)
		return;
	b->paths_source = NULL;
	ev_timer_stop(b->loop, &s->timer);
	bmp_listener_free(s->listener);
	vty_free(s->vty);
	free(s);
}

struct bridge_paths_state bridge_paths_state(const struct bridge *b)
{
	const struct bridge_paths *s = b->paths_source;
	struct bridge_paths_state state = {.count = paths_count(b->paths), .source = "none"};

	if (!s)
		return state;
	state.source = s->by_bmp ? "bmp" : s->polls ? "vty" : "none";
	state.bmp_configured = s->listener != NULL;
	state.polls = s->polls;
	if (s->listener)
		state.bmp = bmp_listener_state(s->listener);
	return state;
}
