/* The HTTP server for metrics, on libmicrohttpd and a libev loop: GET and HEAD of /metrics,
 * and nothing else. No threads; nothing blocks.
 *
 * Clients can't disturb the daemon. The text is made at most once a second, however many ask,
 * and shared by all; each connection serves one request and ends after
 * METRICS_HTTP_SECONDS, whatever the client does or does not do; when
 * METRICS_HTTP_CONNECTIONS are open the oldest one has to go. */
#ifndef DETOUR_METRICS_HTTP_H
#define DETOUR_METRICS_HTTP_H

#include "lib/addr.h"
#include "lib/log.h"
#include "lib/metrics.h"

#define METRICS_HTTP_CONNECTIONS 64
#define METRICS_HTTP_SECONDS	 10

struct metrics_http;
struct ev_loop;

struct metrics_http_host {
	/* Writes all families. */
	void (*write)(void *ctx, struct metrics *m);
	void *ctx;
	struct ev_loop *loop;
	const struct log_sink *log;
	unsigned seconds; /* a connection may last; 0: METRICS_HTTP_SECONDS */
};

/* Listens nowhere yet. NULL when out of memory. */
struct metrics_http *metrics_http_new(const struct metrics_http_host *host);
void metrics_http_free(struct metrics_http *h); /* NULL allowed */
/* Serves there from now on; a family of 0: nowhere. The same address again changes nothing.
 * Where it can't be had (taken, not ours) the log says so, once, and it is tried again every few
 * seconds: a daemon does not fail for this. */
void metrics_http_listen(struct metrics_http *h, const struct endpoint *at);

#endif
