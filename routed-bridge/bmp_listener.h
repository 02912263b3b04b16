/* The monitoring station: bgpd connects to it by TCP (`bmp connect`) and tells its paths,
 * which go to the table. One connection at a time; a second one is refused. What makes no
 * sense closes the connection, with the reason in the log; bgpd comes again by itself. The
 * table outlives connections: see paths_resync_begin. */
#ifndef DETOUR_BMP_LISTENER_H
#define DETOUR_BMP_LISTENER_H

#include "lib/log.h"
#include "routed-bridge/bmp_feed.h"

struct ev_loop;
struct bmp_listener;

struct bmp_listener_host {
	void (*connected)(void *ctx, const char *speaker); /* its first message came */
	void (*changed)(void *ctx);			   /* the table may have changed */
	void (*synced)(void *ctx); /* once a connection, when it has told all it has */
	/* May a process of this user on this machine tell paths? NULL: every one. Those of
	 * other machines may: the address that is listened at lets them in, or does not. */
	bool (*trusts)(void *ctx, unsigned uid);
	void (*lost)(void *ctx); /* after connected, and not when it is asked to come again */
	void *ctx;
	const struct log_sink *log;
	struct ev_loop *loop;
};

/* Listens at once; where that is not possible (the address is not there yet) it is tried
 * again every second, and the reason is in the log. The host and the table outlive it. NULL
 * when out of memory. */
struct bmp_listener *bmp_listener_new(const struct bmp_listener_host *host, struct paths *paths,
				      const struct endpoint *at);
/* Closes; calls nothing back. */
void bmp_listener_free(struct bmp_listener *l);
bool bmp_listener_is_at(const struct bmp_listener *l, const struct endpoint *at);

struct bmp_listener_state {
	bool listening, connected, synced;
	const char *speaker; /* "" while not connected; valid until the loop runs on */
	uint64_t connections, refused, resyncs;
	struct bmp_feed_count feed; /* of this connection, or the last one */
};

struct bmp_listener_state bmp_listener_state(const struct bmp_listener *l);

#endif
