/* A round: wait; send what is due; read every socket until it is empty; judge silences; tell.
 * A process that was kept from running for a while thus takes no peer's packets, which lie in
 * its sockets, for that peer's silence, and its own delay is counted. */
#include "routed-bridge/bfd_plane.h"
#include "routed-bridge/bfd_bfdd.h"
#include "routed-bridge/bfd_reports.h"
#include "routed-bridge/bfd_sockets.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PRIORITY     20		   /* SCHED_RR */
#define LATE	     (2 * MONO_MS) /* a wake-up that is later than that is counted */
#define TICK	     (MONO_S / 4)
#define SECOND_TICKS 4
#define FAREWELLS    3 /* announcements of the end, in case one is lost */
#define FAREWELL_GAP (30 * MONO_MS)

struct plane {
	const struct bfd_plane_options *options;
	const struct log_sink *log;
	struct bfd_loop loop;
	struct bfd_table *table;
	struct bfd_sockets *sockets;
	struct bfd_reports *reports;
	struct bfd_bfdd *bfdd;
	struct bfd_bfdd_host host;
	int signals;
	struct bfd_watch on_signal;
	bool ending;
	mono_time tick_at, alone_since;
	unsigned ticks;
};

/* ---- what happens ---- */

static void on_signal(void *ctx, uint32_t events)
{
	struct plane *p = ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(p->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		p->ending = true;
}

static void on_opened(void *ctx, struct bfd_peer *peer)
{
	struct plane *p = ctx;

	bfd_sockets_open(p->sockets, peer);
}

static void on_closing(void *ctx, struct bfd_peer *peer)
{
	struct plane *p = ctx;

	bfd_reports_gone(p->reports, peer);
	bfd_sockets_close(p->sockets, peer);
}

static void send_due(struct plane *p)
{
	uint8_t memory[BFD_PACKET_SIZE];
	struct bfd_peer *peer;
	struct buf b;

	while (b = buf_over(memory, sizeof(memory)),
	       (peer = bfd_table_send(p->table, &b, p->loop.now)))
		bfd_sockets_send(p->sockets, peer, buf_span(&b));
}

static void tell_changes(struct plane *p)
{
	struct bfd_peer *peer;

	while ((peer = bfd_table_changed(p->table))) {
		bfd_bfdd_tell(p->bfdd, peer, p->ending);
		bfd_reports_changed(p->reports, peer);
	}
}

/* Nobody asks for them any more: the peers are told, a moment later they are removed. */
static void drop_orphans(struct plane *p)
{
	struct bfd_peer *peer;

	while ((peer = bfd_table_lost(p->table, p->loop.now))) {
		if (!peer->session.set.admin_down) {
			bfd_table_shut_one(p->table, peer);
			peer->orphan_until = p->loop.now + MONO_S;
			continue;
		}
		on_closing(p, peer);
		bfd_table_remove(p->table, peer);
	}
}

static void linger(struct plane *p)
{
	if (bfd_reports_stopped(p->reports))
		p->ending = true;
	if (bfd_reports_attached(p->reports) || !p->options->linger) {
		p->alone_since = p->loop.now;
	} else if (p->loop.now - p->alone_since > p->options->linger * MONO_S && !p->ending) {
		log_to(p->log, LOG_LEVEL_NOTICE, "bfd", "", "no bridge for %u s: BFD ends",
		       p->options->linger);
		p->ending = true;
	}
}

static void tick(struct plane *p)
{
	if (p->loop.now < p->tick_at)
		return;
	p->tick_at = p->loop.now + TICK;
	linger(p);
	if (++p->ticks % SECOND_TICKS)
		return;
	bfd_sockets_tick(p->sockets);
	drop_orphans(p);
	bfd_reports_stats(p->reports);
}

/* For how long past its time the round began; 0: it was in time. */
static mono_time lateness(struct plane *p, mono_time planned)
{
	mono_time late = p->loop.now > planned ? p->loop.now - planned : 0;
	struct bfd_stats *stats = bfd_table_stats(p->table);

	if (late <= LATE)
		return 0;
	stats->late++;
	stats->late_last = late / 1000;
	if (stats->late_last > stats->late_worst)
		stats->late_worst = stats->late_last;
	return late;
}

static mono_time earlier(mono_time a, mono_time b)
{
	return a < b ? a : b;
}

static void run_round(struct plane *p)
{
	mono_time before = p->loop.now, due = bfd_table_deadline(p->table);
	mono_time planned = due > before ? due : before;
	mono_time other = earlier(p->tick_at, bfd_bfdd_run(p->bfdd)), late;
	int n = bfd_loop_wait(&p->loop, earlier(planned, other));

	late = lateness(p, planned);
	send_due(p);
	bfd_loop_dispatch(&p->loop, n);
	bfd_table_expire(p->table, late, bfd_sockets_witness, p->sockets, p->loop.now);
	send_due(p);
	tell_changes(p);
	tick(p);
}

/* ---- life ---- */

/* Ahead of everything that is not real-time, and never waiting for a page. */
static void be_quick(struct plane *p)
{
	struct sched_param param = {.sched_priority = PRIORITY};
	bool scheduled = sched_setscheduler(0, SCHED_RR, &param) == 0;
	int error = errno;
	bool locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;

	bfd_table_stats(p->table)->real_time = scheduled && locked;
	if (!scheduled || !locked)
		log_to(p->log, LOG_LEVEL_WARN, "bfd", "",
		       "%s refused (%s): on a busy machine short intervals may give false alarms",
		       scheduled ? "locked memory" : "real-time scheduling",
		       strerror(scheduled ? errno : error));
}

/* Two sockets a session and more. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static bool open_signals(struct plane *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN); /* the bridge's terminal */
	p->on_signal = (struct bfd_watch){on_signal, p};
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signals >= 0 && bfd_loop_add(&p->loop, p->signals, &p->on_signal, EPOLLIN);
}

static bool open_parts(struct plane *p)
{
	p->table = bfd_table_new((uint32_t)getpid() * 2654435761u);
	if (!p->table)
		return false;
	p->sockets = bfd_sockets_new(&p->loop, p->table, p->log);
	p->host = (struct bfd_bfdd_host){
		.opened = on_opened,
		.closing = on_closing,
		.ctx = p,
		.loop = &p->loop,
		.table = p->table,
		.log = p->log,
	};
	p->bfdd = bfd_bfdd_new(&p->host, p->options->path);
	p->reports = p->sockets && p->bfdd
			     ? bfd_reports_new(&p->loop, p->table, p->log, p->options->path)
			     : NULL;
	return p->reports != NULL;
}

static void close_parts(struct plane *p)
{
	struct bfd_peer *peer;

	while (p->table && (peer = bfd_table_first(p->table))) {
		if (p->reports)
			bfd_reports_gone(p->reports, peer);
		bfd_sockets_close(p->sockets, peer);
		bfd_table_remove(p->table, peer);
	}
	if (p->bfdd)
		bfd_bfdd_free(p->bfdd);
	if (p->reports)
		bfd_reports_free(p->reports);
	bfd_sockets_free(p->sockets);
	bfd_table_free(p->table);
	if (p->signals >= 0)
		close(p->signals);
	bfd_loop_close(&p->loop);
}

/* RFC 5880 6.8.16: the peers are told that this is no failure. bfdd hears Down, for it has no
 * BFD from here on. */
static void say_farewell(struct plane *p)
{
	bfd_table_shut(p->table);
	for (unsigned i = 0; i < FAREWELLS; i++) {
		mono_time until = p->loop.now + FAREWELL_GAP;

		send_due(p);
		tell_changes(p);
		while (p->loop.now < until)
			bfd_loop_dispatch(&p->loop, bfd_loop_wait(&p->loop, until));
		bfd_table_repeat(p->table);
	}
}

int bfd_plane_run(const struct bfd_plane_options *options, const struct log_sink *log)
{
	struct plane p = {.options = options, .log = log, .signals = -1};
	int status = 1;

	if (bfd_loop_open(&p.loop) && open_signals(&p) && open_parts(&p)) {
		raise_limit();
		be_quick(&p);
		p.tick_at = p.alone_since = p.loop.now;
		while (!p.ending)
			run_round(&p);
		say_farewell(&p);
		status = 0;
	} else if (errno == EADDRINUSE) {
		status = 3;
	} else {
		log_to(log, LOG_LEVEL_ERROR, "bfd", "", "BFD cannot start: %s", strerror(errno));
	}
	close_parts(&p);
	return status;
}
