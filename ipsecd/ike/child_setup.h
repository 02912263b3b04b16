/* What IKE_AUTH's first CHILD_SA, CREATE_CHILD_SA for further ones and CHILD rekeys
 * share: choosing child_config and proposal, narrowing selectors, deriving
 * KEYMAT, installing. Functions that decide are pure and say in words who wanted what. */
#ifndef DETOUR_CHILD_SETUP_H
#define DETOUR_CHILD_SETUP_H

#include "ipsecd/ike/exchange.h"

/* The result of a negotiation, made in locals before anything is committed. */
struct child_offer {
	const struct child_config *config;
	struct suite suite;
	struct proposal chosen; /* responder: goes back on the wire */
	uint32_t spi_in, spi_out;
	struct ts_list local_ts, remote_ts;
	uint32_t resource;   /* resources.h; 0: general */
	bool resources;	     /* both ends said SA_RESOURCE_INFO */
	bool no_tfc;	     /* the peer says ESP_TFC_PADDING_NOT_SUPPORTED */
	bool aggfrag;	     /* aggfrag.h; */
	bool aggfrag_whole;  /* the peer wants no fragments */
	uint16_t error;	     /* NOTIFY_* when the negotiation failed */
	uint16_t want_group; /* with INVALID_KE_PAYLOAD: the group we take */
	enum ike_reason reason;
	char detail[IKE_WORDS];
};

/* Our selectors for `config` on this SA's path (dynamic ones resolved). */
void child_setup_selectors(const struct ike_sa *sa, const struct child_config *config,
			   struct ts_list *local, struct ts_list *remote);

/* What we offer as initiator: in IKE_AUTH, where virtual addresses are asked for and not known yet,
 * any address in place of ours (RFC 7296 2.19). */
void child_setup_offered(const struct ike_sa *sa, const struct child_config *config, bool in_auth,
			 struct ts_list *local, struct ts_list *remote);

/* Initiator's payloads SA (our proposals with spi; without_ke leaves KE transforms out), with
 * the notifies before it that say what else the CHILD_SA is to be, TSi, TSr. Nonce and KE are put
 * by the caller between them in the RFC's order:
 *	[N(REKEY_SA)] [N(USE_AGGFRAG)] SA Ni [KEi] TSi TSr */
void child_setup_put_sa(const struct ike_engine *e, struct wire_writer *w,
			const struct child_config *config, uint32_t spi, bool without_ke);
void child_setup_put_ts(struct wire_writer *w, const struct ts_list *tsi,
			const struct ts_list *tsr);

/* Responder: chooses config (of `only`, or any child of sa's conn when NULL), proposal and
 * selectors from in->sa, in->tsi, in->tsr. With without_ke, KE transforms are ignored; else
 * the chosen suite's KE must be that of in->ke (INVALID_KE_PAYLOAD otherwise). Draws spi_in.
 * false: out->error, reason and detail are set. */
bool child_setup_select(struct ike_engine *e, const struct ike_sa *sa,
			const struct wire_message *in, const struct child_config *only,
			bool without_ke, struct child_offer *out);
/* Initiator: checks the peer's choice against what we offered (RFC 7296 2.7, 2.9: subsets only).
 * spi_in is what we sent. */
bool child_setup_accept(struct ike_engine *e, const struct ike_sa *sa,
			const struct wire_message *in, const struct child_config *config,
			uint32_t spi_in, bool without_ke, struct child_offer *out);
/* Of a rekey, in both roles: RFC 7296 2.9.2: the new CHILD_SA MUST NOT have narrower selectors
 * than the one in use, as far as those are still configured (a %dynamic end may have moved).
 * false: out says so. */
bool child_setup_keeps(const struct ike_sa *sa, const struct child *old, struct child_offer *out);
/* Initiator: what the peer's refusal means in words, with what we had asked for. */
void child_setup_refusal(const struct ike_sa *sa, const struct child_config *config,
			 uint16_t notify, char *detail, size_t size);
/* Responder's payload SA with the chosen proposal and spi_in, and the notifies before it. */
void child_setup_put_choice(struct wire_writer *w, const struct child_offer *offer);

/* Commits: child record, KEYMAT, CHILD_INSTALL. nonce_i and nonce_r are those of the exchange,
 * shared is empty without PFS. `initiator`: we sent the request. `old`: the CHILD_SA it
 * replaces (replaces/replaced_by are set), or NULL. NULL: crypto or
 * memory failed, nothing was installed. No event. */
struct child *child_setup_commit(struct ike_engine *e, struct ike_sa *sa,
				 const struct child_offer *offer, struct span nonce_i,
				 struct span nonce_r, struct span shared, bool initiator,
				 bool outbound, struct child *old);

#endif
