/* Exchanges: how a request is started, how a response is built, who does what.
 *
 * As initiator. Work waits as struct task in sa->tasks; one request is in flight
 * (window 1, RFC 7296 2.3). exchange_run takes the first task that is due, calls its
 * ops->create_request, protects, sends; window.c retransmits. The response with the
 * right message id comes back through ops->consume_response; the task is freed behind
 * that unless the handler asked for another round with exchange_again. A request that
 * stays without an answer ends the IKE_SA (PEER_DEAD) and every task through ops->abandon.
 *
 * As responder. The dispatcher (dispatch.c) decrypts, checks id and window, parses,
 * looks (state, kind, role) up in transitions.c, refuses what the table does not have
 * and calls the row's handler with x->out open inside SK. What the handler writes is
 * the response; it is protected, cached for retransmissions and sent after the handler
 * returned, behind all outputs that the handler queued. A handler refuses with
 * exchange_refuse before it wrote anything and before it changed anything.
 *
 * The initiator's half of an exchange is a pair, create_x_request and consume_x_response;
 * the responder's is x_respond. */
#ifndef DETOUR_EXCHANGE_H
#define DETOUR_EXCHANGE_H

#include "ipsecd/ike/quick_crash.h"
#include "ipsecd/ike/suspect.h"
#include "ipsecd/ike/sync.h"

/* What a message means, once its payloads are seen (CREATE_CHILD_SA has three uses). */
enum exchange_kind {
	KIND_IKE_SA_INIT,
	KIND_IKE_AUTH,
	KIND_CREATE_CHILD, /* a further CHILD_SA */
	KIND_REKEY_CHILD,  /* CREATE_CHILD_SA with N(REKEY_SA) */
	KIND_REKEY_IKE,	   /* CREATE_CHILD_SA without traffic selectors */
	KIND_INFORMATIONAL,
	KIND_COUNT
};

/* What a handler gets. */
struct exchange {
	struct ike_engine *e;
	struct ike_sa *sa;
	struct task *task;		  /* initiator; NULL as responder */
	const struct wire_message *in;	  /* NULL in create_request */
	struct wire_writer *out;	  /* NULL in consume_response */
	const struct ike_path *path;	  /* of the message that came; NULL in create_request */
	const struct wire_header *header; /* of the message that came */
	struct span datagram;		  /* IKE_SA_INIT: as it came */
	struct span inner; /* a request's payloads, decrypted; the first one's type: */
	uint8_t first;
	bool aside; /* set by the handler: no answer now, dispatch_resume or the peer will repeat
		       this */
	bool have_auth; /* what the peer's AUTH has to be */
	uint8_t auth[ALGORITHM_PRF_MAX];
	mono_time now;
};

struct exchange_ops {
	const char *name;
	enum exchange_kind kind;
	/* Writes the payloads of the request (inside SK). false: there is nothing to do any
	 * more; the task is dropped without a message, or kept after exchange_wait. */
	bool (*create_request)(struct exchange *x);
	void (*consume_response)(struct exchange *x);
	/* The SA ended, or the task is dropped unsent; may be NULL. Must not end the SA.
	 * task->tag is answered by the caller. */
	void (*abandon)(struct ike_engine *e, struct ike_sa *sa, struct task *t);
};

struct task {
	struct task *prev, *next;
	const struct exchange_ops *ops;
	uint64_t child;	  /* handle: which CHILD_SA is rekeyed or deleted; 0 */
	char *child_name; /* create_child: the child_config's name; owned; may be NULL */
	uint64_t tag;	  /* COMMAND_DONE when it is over; 0 */
	unsigned tries;
	mono_time not_before;
	enum ike_reason reason; /* rekey_child: why what the peer makes goes again; 0: it stays */
	bool again;		/* set by exchange_again, exchange_wait */

	/* The request in flight (create_child, rekey_*). */
	uint8_t nonce[IKE_NONCE_LEN];
	const struct algorithm_ke *ke_alg; /* NULL: none */
	struct crypto_ke *ke;
	uint8_t ke_random[CRYPTO_KE_RANDOM]; /* what ke was made from, if it is published */
	uint8_t ke_public[ALGORITHM_PUBLIC_MAX];
	uint16_t ke_group; /* asked for by INVALID_KE_PAYLOAD; 0: our first */
	uint32_t spi;	   /* new inbound CHILD_SA SPI */
	uint64_t new_sa;   /* rekey_ike: own_spi of the IKE_SA in the making; 0 */
	/* What the peer made meanwhile (2.8.1): its handle, 0: nothing; the lower nonce of its
	 * exchange, kept because it may be gone before our answer comes; whether it stays for
	 * sure, because the peer deleted the old one in its favour. */
	uint64_t collision;
	uint8_t collision_nonce[IKE_NONCE_MAX];
	uint16_t collision_nonce_len;
	bool collision_lost;
	uint32_t gone_spi; /* the peer deleted this one, unknown to us: the one in the making? */
};

/* Queues a task and runs the queue. An equal waiting task (ops, child, name) is kept and
 * the new one not added; its tag then is added to the running one when that has none. NULL:
 * out of memory or the SA is ending. */
struct task *exchange_enqueue(struct ike_engine *e, struct ike_sa *sa,
			      const struct exchange_ops *ops, uint64_t child,
			      const char *child_name, uint64_t tag);
/* Lets the next due request be sent, at the end of this input, if none is in flight. */
void exchange_run(struct ike_engine *e, struct ike_sa *sa);
/* Sends it now, for an SA that will not be there any more at the end of this input. */
void exchange_run_now(struct ike_engine *e, struct ike_sa *sa);
/* At the end of each input: runs the queues that exchange_run marked. A request never
 * overtakes the response that is being built. */
void exchange_run_marked(struct ike_engine *e);
/* The running task's response came: hands it to the task, then goes on. */
void exchange_consume_response(struct exchange *x);
/* The same on an IKE_SA that is being deleted: the task is abandoned. */
void exchange_discard_response(struct exchange *x);
/* Starts a protected message: header and the open SK payload. */
void exchange_begin(struct ike_engine *e, const struct ike_sa *sa, struct wire_writer *w,
		    void *memory, size_t size, uint8_t exchange, uint32_t id, bool response);
/* Closes and encrypts it. false: too long, or crypto failed. */
bool exchange_seal(struct ike_engine *e, struct ike_sa *sa, struct wire_writer *w,
		   struct span *datagram);
/* In consume_response: keep the task and send it anew after `delay` (0: at once), as for
 * INVALID_KE_PAYLOAD or TEMPORARY_FAILURE (RFC 7296 2.25). The KE and nonce are renewed by
 * create_request. */
void exchange_again(struct exchange *x, mono_time delay);
/* In create_request, which then returns false: the task is kept and asked again after `delay`. */
void exchange_wait(struct exchange *x, mono_time delay);
/* Answers the peer's CREATE_CHILD_SA request `id` anew, with a refusal: what the first answer
 * promised can't be kept. false: that answer has left already. */
bool exchange_take_back(struct ike_engine *e, struct ike_sa *sa, uint32_t id, uint16_t notify);
/* The request in flight, if there is one, gets no answer any more, and its id is used up: what it
 * was for is asked for anew, as if the peer had been busy where SAs are made. */
void exchange_lost(struct ike_engine *e, struct ike_sa *sa);
/* Ends the task's command, if one waits. */
void exchange_done(struct ike_engine *e, struct task *t, bool ok, enum ike_reason reason,
		   const char *detail);
/* A task of these ops for `child` is waiting or running: returns it, else NULL. */
struct task *exchange_find(const struct ike_sa *sa, const struct exchange_ops *ops, uint64_t child);
/* Drops waiting (not running) tasks for a CHILD_SA that went. */
void exchange_drop_child(struct ike_engine *e, struct ike_sa *sa, uint64_t child);
void task_free(struct ike_engine *e, struct task *t);

/* Writes an error notify as the whole response and logs the reason, which is static or
 * formatted text that says who wanted what. */
void exchange_refuse(struct exchange *x, uint16_t notify, struct span data, const char *reason);

/* For the counters: an error notify that goes out, and those that came (none but errors count,
 * RFC 7296 3.10.1). */
void exchange_count_sent(struct ike_engine *e, uint16_t notify);
void exchange_count_received(struct ike_engine *e, const struct wire_message *m);

/* Fresh nonce into t->nonce, and KE of group `ke` (NULL: none) into t. false: crypto failed. */
bool task_new_secrets(struct ike_engine *e, struct task *t, const struct algorithm_ke *ke);

/* ---- the table (transitions.c) ---- */

enum exchange_role { ROLE_REQUEST, ROLE_RESPONSE }; /* what came in */

struct transition {
	enum ike_sa_state state;
	enum exchange_kind kind;
	enum exchange_role role;
	uint64_t required, allowed; /* WIRE_BIT masks; NOTIFY and VENDOR_ID are always allowed */
	void (*handle)(struct exchange *x);
	enum ike_sa_state next; /* the state after success; the handler sets it */
};

const struct transition *transition_find(enum ike_sa_state state, enum exchange_kind kind,
					 enum exchange_role role);
/* Payload bits that the row requires and m lacks, or that it does not allow. */
uint64_t transition_missing(const struct transition *t, const struct wire_message *m);
uint64_t transition_unexpected(const struct transition *t, const struct wire_message *m);
/* From the exchange type and the decrypted payloads; false: not one of ours. */
bool exchange_classify(uint8_t exchange, const struct wire_message *m, enum exchange_kind *kind);

/* ---- handlers ---- */

/* init.c, auth.c; IKE_SA_INIT and IKE_AUTH are not tasks: init_start begins them. */
void init_respond(struct exchange *x); /* x->sa is NULL: makes one */
void init_consume_response(struct exchange *x);
void auth_respond(struct exchange *x);
void auth_consume_response(struct exchange *x);
/* false: the peer's AUTH can't be verified now; nothing was changed. */
bool auth_can_consume(struct exchange *x);
extern const struct exchange_ops auth_failed_ops;

/* create_child.c, rekey_child.c, rekey_ike.c, informational.c */
void create_child_respond(struct exchange *x);
void rekey_child_respond(struct exchange *x);
void rekey_ike_respond(struct exchange *x);
void informational_respond(struct exchange *x);
extern const struct exchange_ops create_child_ops, rekey_child_ops, rekey_ike_ops;
extern const struct exchange_ops resource_child_ops;	/* resources.c */
extern const struct exchange_ops confirm_ops, sign_ops; /* duplicates.c */
extern const struct exchange_ops delete_child_ops, delete_ike_ops, liveness_ops;
extern const struct exchange_ops quick_crash_ops; /* quick_crash.c */

/* informational.c: liveness (RFC 7296 2.4). Armed by ike_sa_establish; the timer sends an empty
 * INFORMATIONAL when nothing was heard (sa->last_heard, set for every authenticated message
 * and IKE_CHILD_ALIVE) for conn->dpd_delay. */
void liveness_arm(struct ike_engine *e, struct ike_sa *sa);
void liveness_expire(struct ike_engine *e, void *sa);

#endif
