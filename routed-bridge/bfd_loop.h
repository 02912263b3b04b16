/* What the parts of the BFD data plane's process share: descriptors that are watched, and the
 * end of it all. epoll and a timerfd instead of libev, because order matters here: what is
 * due is sent, then every socket is read until it is empty, then silences are judged. */
#ifndef DETOUR_BFD_LOOP_H
#define DETOUR_BFD_LOOP_H

#include "lib/mono.h"

#include <stdbool.h>
#include <stdint.h>

struct bfd_watch {
	/* Reads until there is nothing more; events are epoll's. */
	void (*ready)(void *ctx, uint32_t events);
	void *ctx;
};

struct bfd_loop {
	int epoll, timer;
	mono_time armed; /* the timer's */
	mono_time now;	 /* of this round */
};

bool bfd_loop_open(struct bfd_loop *l); /* false: errno */
void bfd_loop_close(struct bfd_loop *l);
/* The watch must stay where it is until the descriptor is closed. false: errno. */
bool bfd_loop_add(struct bfd_loop *l, int fd, struct bfd_watch *w, uint32_t events);
void bfd_loop_change(struct bfd_loop *l, int fd, struct bfd_watch *w, uint32_t events);
/* Waits until `deadline` or for events, and says in l->now when that was. Their number;
 * bfd_loop_dispatch calls the watches, for these and all that came meanwhile. */
int bfd_loop_wait(struct bfd_loop *l, mono_time deadline);
void bfd_loop_dispatch(struct bfd_loop *l, int n);
/* A descriptor that is closed by a watch: events of this round that are its own are void. */
void bfd_loop_forget(struct bfd_loop *l, const struct bfd_watch *w);

#endif
