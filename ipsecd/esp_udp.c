/* Runs of the plane as runs of the sockets, which know nothing of planes. */
#include "ipsecd/esp_udp.h"

#define AT_A_TIME 64

static void send_some(struct udp *u, struct esp_run *runs, size_t n,
		      void (*failed)(void *ctx, const struct esp_run *run, int error), void *ctx)
{
	struct udp_run out[AT_A_TIME];

	for (size_t i = 0; i < n; i++)
		out[i] = (struct udp_run){.from = runs[i].from,
					  .to = runs[i].to,
					  .datagrams = runs[i].esps,
					  .size = runs[i].size,
					  .tos = runs[i].tos,
					  .df = runs[i].df};
	udp_send_runs(u, out, n);
	for (size_t i = 0; i < n; i++) {
		runs[i].sent = out[i].error == 0;
		runs[i].lost = out[i].lost;
		if (out[i].error)
			failed(ctx, &runs[i], out[i].error);
	}
}

void esp_udp_send(struct udp *u, struct esp_run *runs, size_t n,
		  void (*failed)(void *ctx, const struct esp_run *run, int error), void *ctx)
{
	for (size_t done = 0, some; done < n; done += some) {
		some = n - done < AT_A_TIME ? n - done : AT_A_TIME;
		send_some(u, runs + done, some, failed, ctx);
	}
}
