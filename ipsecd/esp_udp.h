/* Between the plane and the sockets: runs of ESP packets, and which of both parts the kernel does.
 * Knows neither's inside. */
#ifndef DETOUR_ESP_UDP_H
#define DETOUR_ESP_UDP_H

#include "ipsecd/dataplane/dataplane.h"
#include "ipsecd/net/udp.h"

/* Sends the runs, sets what became of each, and tells of those that failed. */
void esp_udp_send(struct udp *u, struct esp_run *runs, size_t n,
		  void (*failed)(void *ctx, const struct esp_run *run, int error), void *ctx);

#endif
