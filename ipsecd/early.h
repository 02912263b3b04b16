/* Early detection, the shell's part: what this machine sees of a peer that is out of reach, long
 * before its silence is conspicuous, as hints for the engine. Owns the ICMP sockets and which
 * underlay device each IKE_SA goes over. */
#ifndef DETOUR_EARLY_H
#define DETOUR_EARLY_H

#include "ipsecd/ike/engine.h"

struct early;
struct ev_loop;
struct icmp_counters;

struct early_host {
	void (*hint)(void *ctx, const struct ike_hint *hint);
	void *ctx;
	const struct log_sink *log;
	struct ev_loop *loop;
};

struct early *early_new(const struct early_host *host); /* NULL: no memory or no rtnetlink */
void early_free(struct early *e);
void early_set(struct early *e, bool on); /* off at the start */

/* An event of the engine: IKE_SAs come, move and go. */
void early_event(struct early *e, const struct ike_output *out);
/* An IKE_SA that a former process announced. */
void early_resumed(struct early *e, const struct ike_sa_info *ike);
void early_link_lost(struct early *e, int ifindex);
void early_addr_lost(struct early *e, const struct addr *a);
/* A send failed: errno in `error`. The hint follows when the loop gets its turn, so that this
 * may be called from amid the data plane. */
void early_send_failed(struct early *e, const struct endpoint *local, const struct endpoint *remote,
		       int error);
/* By which device, or VRF, IKE_SAs go alone: 0: any; -1: one that is missing. */
void early_bind(struct early *e, int ifindex);
/* Once a second: routes change. */
void early_tick(struct early *e);
const struct icmp_counters *early_icmp_counters(const struct early *e);

#endif
