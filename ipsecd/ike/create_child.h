/* The parts of CREATE_CHILD_SA that its three uses share (RFC 7296 1.3): nonces, KE,
 * refusals that are worth another round, negotiated CHILD_SAs on both sides. */
#ifndef DETOUR_CREATE_CHILD_H
#define DETOUR_CREATE_CHILD_H

#include "ipsecd/ike/child_setup.h"

/* The group to start with: asked for by the peer, else `used` before if still configured, else
 * the first of `ours`; NULL: none. */
const struct algorithm_ke *create_child_group(const struct task *t,
					      const struct proposal_list *ours,
					      const struct algorithm_ke *used);

/* ---- initiator ---- */

/* SA Ni [KEi] TSi TSr [N(SA_RESOURCE_INFO)] of a request for `config`, in the place of `old` or
 * (NULL) beside all others; makes the secrets and the SPI of x->task. false: crypto failed, nothing
 * was written. */
bool create_child_put_offer(struct exchange *x, const struct child_config *config,
			    const struct child *old, uint32_t resource);

enum refusal {
	REFUSAL_NONE,  /* not refused */
	REFUSAL_AGAIN, /* goes into another round: exchange_again was called */
	REFUSAL_FINAL, /* reason and detail say why */
};

struct refusal_cause {
	uint16_t notify;
	enum ike_reason reason;
	char detail[IKE_WORDS];
};

/* Looks for an error notify; `config` is the child's, NULL for an IKE_SA. INVALID_KE_PAYLOAD for a
 * group of `ours` and TEMPORARY_FAILURE (RFC 7296 1.3, 2.25) are answered with another round. */
enum refusal create_child_refusal(struct exchange *x, const struct proposal_list *ours,
				  const struct child_config *config, struct refusal_cause *cause);

/* Checks the peer's choice and derives: *offer and shared (ALGORITHM_SHARED_MAX bytes) with its
 * length are set. `old`: the CHILD_SA that is rekeyed, or NULL. false: cause says why, nothing
 * changed. */
bool create_child_consume_choice(struct exchange *x, const struct child_config *config,
				 const struct child *old, struct child_offer *offer,
				 uint8_t *shared, size_t *shared_len, struct refusal_cause *cause);
/* The peer made a CHILD_SA that we don't take: has it deleted (RFC 7296 1.4.1). */
void create_child_undo_at_peer(struct exchange *x);
/* After REFUSAL_FINAL or a choice that was no good: must the IKE_SA go, too (2.21.3, 2.25)? */
bool create_child_out_of_step(const struct refusal_cause *cause);
/* The child of x->task as configured now: a reload or a command counts at once. NULL: taken
 * out, or taken down by command, and cause says so. */
const struct child_config *create_child_config(const struct exchange *x,
					       struct refusal_cause *cause);

/* ---- responder ---- */

/* Negotiates, installs, writes the response SA Nr [KEr] TSi TSr [N(SA_RESOURCE_INFO)]. One for a
 * resource does not send yet. NULL: it was refused, and nothing changed. */
struct child *create_child_answer(struct exchange *x, const struct child_config *only,
				  struct child *old, bool outbound);
/* Our half of a KE for the group of x->in->ke. false: refused; a value that is none ends the
 * IKE_SA (RFC 6989, RFC 7296 2.21.3). */
bool create_child_answer_ke(struct exchange *x, const struct algorithm_ke *alg,
			    uint8_t *public_value, uint8_t *shared);

/* Remembers the lower nonce of an exchange (RFC 7296 2.8.1). */
void create_child_keep_lowest(struct span a, struct span b, struct message_copy *out);

/* The data plane refused to install `c`: nobody gets to know it, if the answer that makes the peer
 * use it is still queued; else it is deleted. What it was to replace stays. */
void create_child_install_failed(struct ike_engine *e, struct child *c);

/* ---- collisions ---- */

/* `theirs` meets our own request in flight. */
void create_child_meet(struct task *own, const struct child *theirs);
/* Our answer is here: has what we made to go (RFC 7296 2.8.1)? */
bool create_child_ours_goes(const struct exchange *x);

#endif
