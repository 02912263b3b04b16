/* What the parts of the simulation owe each other; tests include sim.h. */
#ifndef DETOUR_SIM_PARTS_H
#define DETOUR_SIM_PARTS_H

#include "tests/sim/sim.h"

/* One datagram on its way, with the addresses the receiver will see. */
struct sim_packet {
	mono_time at;
	uint64_t seq;
	unsigned from;
	struct endpoint src, dst;
	bool esp;     /* a tunnelled packet instead: spi says by which CHILD_SA */
	bool encap;   /* ESP in UDP: passes NATs */
	uint32_t spi; /* of esp */
	size_t len;
	uint8_t data[];
};

uint64_t sim_random(uint64_t *state);
/* Carries out all that the node's engine wants. */
void sim_drain(struct sim *s, unsigned node);

/* Another engine with nothing loaded; the former one is the caller's. */
void sim_start_engine(struct sim_node *n);

/* ---- sim_state.c ---- */
bool sim_restores(void);
extern bool sim_replacing; /* an engine is made anew: that is not to fail */
/* Before each output: what changed goes into the node's records. */
void sim_publish(struct sim_node *n);
/* An input is handled and its outputs are carried out. */
void sim_input_over(struct sim_node *n);
/* Is it to be killed before the next output? Then it was, and there is none. */
bool sim_dies(struct sim_node *n);
/* Its process is there. */
bool sim_lives(const struct sim_node *n);
/* A killed one comes back if it is time. */
void sim_revive(struct sim_node *n);
/* An output of ike_engine_resume: true if it is only a repetition. */
bool sim_repeated(struct sim_node *n, const struct ike_output *o);
void sim_records_free(struct sim_node *n);
/* The record of e's first IKE_SA as an ipsecd of before wrote it. Returns its length. */
size_t sim_record_as(struct ike_engine *e, uint16_t version, uint8_t *memory, size_t size);
/* That of its first conn. */
size_t sim_conn_record_as(struct ike_engine *e, uint16_t version, uint8_t *memory, size_t size);
/* Calls back for each of the node's records. */
void sim_each_record(const struct sim_node *n,
		     void (*cb)(void *ctx, const struct ike_record *record), void *ctx);
/* Into n->engine: the secrets and, to be restored, the conns of `old`. */
void sim_load_as(struct sim_node *n, const struct ike_engine *old);

/* ---- sim_net.c ---- */
void sim_net_send(struct sim *s, unsigned node, const struct ike_path *path, struct span datagram);
void sim_net_send_esp(struct sim *s, unsigned node, const struct child_sa *c);
mono_time sim_net_deadline(const struct sim *s);
/* Delivers what has arrived by now. */
void sim_net_deliver(struct sim *s);
void sim_net_free(struct sim *s);

/* ---- sim_plane.c ---- */
void sim_plane_install(struct sim_node *n, const struct child_sa *sa);
void sim_plane_update(struct sim_node *n, const struct child_sa *sa);
void sim_plane_remove(struct sim_node *n, uint64_t id);
void sim_plane_traffic(struct sim_node *n);
void sim_plane_input(struct sim_node *n, const struct sim_packet *p);
/* Its engine is gone: what is there becomes an inheritance. */
void sim_plane_inherit(struct sim_node *n);
void sim_plane_reap(struct sim_node *n);
/* A CHILD_SA of a process that was killed: adopted, or installed if it is not there. */
void sim_plane_resume(struct sim_node *n, const struct child_sa *sa);
/* What nobody claimed goes; what nobody heard is reported again. */
void sim_plane_settle(struct sim_node *n);
bool sim_plane_inherited(const struct sim_node *n, uint32_t tunnel);
void sim_plane_free(struct sim_node *n);

/* ---- sim_pool.c ---- */
void sim_pool_query(struct sim_node *n, const struct ike_output *o);
void sim_pool_release(struct sim_node *n, uint64_t id);
mono_time sim_pool_deadline(const struct sim_node *n);
/* Those answers that are due. */
void sim_pool_answer(struct sim_node *n);
void sim_pool_free(struct sim_node *n);

/* ---- sim_check.c ---- */
void sim_check_mirror(struct sim *s, const struct sim_child *c);
/* One more time what was sent before. */
void sim_check_repeated(struct sim_node *n, struct span datagram);
void sim_check_sent(struct sim_node *n, struct span datagram);
void sim_check_received(struct sim_node *n, struct span datagram);
void sim_transcribe(struct sim *s, unsigned node, const struct ike_output *o);
void sim_windows_free(struct sim_node *n);

#endif
