#include "routed-bridge/bfd_reports.h"
#include "routed-bridge/bfd_link.h"
#include "lib/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct bfd_reports {
	struct bfd_loop *loop;
	struct bfd_table *table;
	const struct log_sink *log;
	int listener, bridge; /* -1: none */
	bool blocked;	      /* some sessions are untold */
	bool listing;	      /* LISTED comes when all are told */
	bool stopped;
	bool paused; /* nobody is accepted for a moment */
	struct bfd_watch on_listener, on_bridge;
};

/* ---- to the bridge ---- */

static void detach(struct bfd_reports *r)
{
	if (r->bridge < 0)
		return;
	/* Nobody tells when there is another way again. */
	for (struct bfd_peer *p = bfd_table_first(r->table); p; p = bfd_table_next(p))
		bfd_session_set_patience(&p->session, 0);
	bfd_loop_forget(r->loop, &r->on_bridge);
	close(r->bridge);
	r->bridge = -1;
	r->blocked = r->listing = false;
	log_to(r->log, LOG_LEVEL_INFO, "bfd", "", "the bridge is gone; sessions go on");
}

/* false: it has to wait, or there is nobody. */
static bool say(struct bfd_reports *r, const struct bfd_link_message *m)
{
	if (r->bridge < 0)
		return false;
	if (bfd_link_write(r->bridge, m))
		return true;
	if (errno != EAGAIN && errno != EWOULDBLOCK) {
		detach(r);
		return false;
	}
	if (!r->blocked)
		bfd_loop_change(r->loop, r->bridge, &r->on_bridge, EPOLLIN | EPOLLOUT);
	r->blocked = true;
	return false;
}

static struct bfd_link_session describe(const struct bfd_peer *p)
{
	const struct bfd_session *s = &p->session;
	struct bfd_link_session out = {
		.discriminator = s->set.discriminator,
		.remote_discriminator = s->remote_discriminator,
		.peer = p->key.peer,
		.local = p->key.local,
		.multihop = p->key.multihop,
		.state = (uint8_t)s->state,
		.diag = s->diag,
		.failed = s->failed,
		.bearing = s->bearing,
		.remote_state = (uint8_t)s->remote_state,
		.remote_diag = s->remote_diag,
		.tx = s->tx > s->remote_min_rx ? s->tx : s->remote_min_rx,
		.detect = (uint32_t)(s->detect_time / 1000),
		.silence = s->last_since / 1000,
		.in_packets = p->in_packets,
		.out_packets = p->out_packets,
	};

	memcpy(out.ifname, p->key.ifname, sizeof(out.ifname));
	if (!out.ifname[0] && !p->key.multihop && p->ifindex)
		if_indextoname(p->ifindex, out.ifname);
	return out;
}

static bool tell(struct bfd_reports *r, struct bfd_peer *p)
{
	struct bfd_link_message m = {.kind = BFD_LINK_SESSION, .session = describe(p)};

	p->untold = !say(r, &m);
	return !p->untold;
}

void bfd_reports_changed(struct bfd_reports *r, struct bfd_peer *p)
{
	const struct bfd_session *s = &p->session;
	char text[ADDR_TEXT];

	if (r->bridge >= 0) {
		tell(r, p);
		return;
	}
	log_to(r->log, LOG_LEVEL_INFO, "bfd", p->key.ifname, "session with %s is %s (%s)",
	       addr_format(&p->key.peer, text), bfd_state_name(s->state), bfd_diag_name(s->diag));
}

/* A bridge that is behind is told all anew: it lists what there is, this one is not. */
void bfd_reports_gone(struct bfd_reports *r, const struct bfd_peer *p)
{
	struct bfd_link_message m = {
		.kind = BFD_LINK_GONE,
		.session.discriminator = p->session.set.discriminator,
	};

	if (r->bridge >= 0 && !say(r, &m))
		detach(r);
}

void bfd_reports_stats(struct bfd_reports *r)
{
	struct bfd_link_message m = {.kind = BFD_LINK_STATS, .stats = *bfd_table_stats(r->table)};

	if (!r->blocked)
		say(r, &m);
	if (!r->paused)
		return;
	r->paused = false;
	bfd_loop_change(r->loop, r->listener, &r->on_listener, EPOLLIN);
}

/* The bridge forgets what was not told before: not one session may be missing. */
static bool end_listing(struct bfd_reports *r)
{
	struct bfd_link_message m = {.kind = BFD_LINK_LISTED};

	r->listing = r->listing && !say(r, &m);
	return !r->listing;
}

static void tell_untold(struct bfd_reports *r)
{
	for (struct bfd_peer *p = bfd_table_first(r->table); p; p = bfd_table_next(p)) {
		if (p->untold && !tell(r, p))
			return;
	}
	if (!end_listing(r) || r->bridge < 0)
		return;
	r->blocked = false;
	bfd_loop_change(r->loop, r->bridge, &r->on_bridge, EPOLLIN);
}

/* ---- from the bridge ---- */

static void greet(struct bfd_reports *r)
{
	struct bfd_link_message m = {.kind = BFD_LINK_HELLO, .version = BFD_LINK_VERSION};

	bool all = true;

	say(r, &m);
	for (struct bfd_peer *p = bfd_table_first(r->table); p; p = bfd_table_next(p))
		all = tell(r, p) && all;
	r->listing = true;
	if (all)
		end_listing(r);
	bfd_reports_stats(r);
}

static void set_patience(struct bfd_reports *r, const struct bfd_link_session *s)
{
	struct bfd_peer *p = bfd_table_find(r->table, s->discriminator);

	if (p)
		bfd_session_set_patience(&p->session, s->patience * (mono_time)1000);
}

static void on_bridge(void *ctx, uint32_t events)
{
	struct bfd_reports *r = ctx;
	struct bfd_link_message m;
	int n;

	while (r->bridge >= 0 && (n = bfd_link_read(r->bridge, &m)) != 0) {
		if (n < 0)
			detach(r);
		else if (m.kind == BFD_LINK_STOP)
			r->stopped = true;
		else if (m.kind == BFD_LINK_PATIENCE)
			set_patience(r, &m.session);
	}
	if (r->bridge >= 0 && events & EPOLLOUT)
		tell_untold(r);
}

/* The newest one is served: the former one is ending, or stuck. */
static void on_listener(void *ctx, uint32_t events)
{
	struct bfd_reports *r = ctx;
	int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (!accept_ran_short(errno))
			return;
		log_to(r->log, LOG_LEVEL_ERROR, "bfd", "", "can't accept a bridge: %s",
		       strerror(errno));
		r->paused = true;
		bfd_loop_change(r->loop, r->listener, &r->on_listener, 0);
		return;
	}
	if (!bfd_link_trusts(fd)) {
		log_to(r->log, LOG_LEVEL_WARN, "bfd", "", "another user's connection is refused");
		close(fd);
		return;
	}
	detach(r);
	r->bridge = fd;
	if (!bfd_loop_add(r->loop, fd, &r->on_bridge, EPOLLIN)) {
		detach(r);
		return;
	}
	greet(r);
}

/* ---- life ---- */

struct bfd_reports *bfd_reports_new(struct bfd_loop *loop, struct bfd_table *table,
				    const struct log_sink *log, const char *path)
{
	struct bfd_reports *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return NULL;
	*r = (struct bfd_reports){.loop = loop, .table = table, .log = log, .bridge = -1};
	r->on_listener = (struct bfd_watch){on_listener, r};
	r->on_bridge = (struct bfd_watch){on_bridge, r};
	r->listener = bfd_link_listen(path);
	if (r->listener >= 0 && bfd_loop_add(loop, r->listener, &r->on_listener, EPOLLIN))
		return r;
	error = errno;
	if (r->listener >= 0)
		close(r->listener);
	free(r);
	errno = error;
	return NULL;
}

void bfd_reports_free(struct bfd_reports *r)
{
	if (r->bridge >= 0)
		close(r->bridge);
	close(r->listener);
	free(r);
}

bool bfd_reports_attached(const struct bfd_reports *r)
{
	return r->bridge >= 0;
}

bool bfd_reports_stopped(const struct bfd_reports *r)
{
	return r->stopped;
}
