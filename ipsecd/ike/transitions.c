/* The state machine as one table: in which state which message may come in which role,
 * what it must and may carry, who handles it, and which state a success leads to.
 * What is not here is refused by the dispatcher. Notify and Vendor ID payloads are
 * allowed everywhere (RFC 7296 1.2, 3.10, 3.12); a response that carries an error notify
 * needs no other payload (2.21). */
#include "ipsecd/ike/exchange.h"

#define B(type)	    WIRE_BIT(PAYLOAD_##type)
#define INIT_NEEDS  (B(SA) | B(KE) | B(NONCE))
#define INIT_MAY    (INIT_NEEDS | B(CERTREQ))
#define AUTH_NEEDS  (B(IDI) | B(SA) | B(TSI) | B(TSR))
#define AUTH_MAY    (AUTH_NEEDS | B(IDR) | B(AUTH) | B(CERT) | B(CERTREQ) | B(CP) | B(EAP))
#define CHILD_NEEDS (B(SA) | B(NONCE) | B(TSI) | B(TSR))
#define CHILD_MAY   (CHILD_NEEDS | B(KE) | B(CP))
#define IKE_NEEDS   (B(SA) | B(NONCE) | B(KE))
#define IKE_MAY	    IKE_NEEDS
#define INFO_MAY    (B(DELETE) | B(CP))

static void refuse_temporary(struct exchange *x)
{
	/* RFC 7296 2.25.2: an IKE_SA that is being rekeyed away or closed takes nothing new. */
	exchange_refuse(x, NOTIFY_TEMPORARY_FAILURE, span_of(NULL, 0),
			"this IKE_SA is being closed");
}

static const struct transition table[] = {
	/* clang-format off */
	/* state	      message		 role		required     allowed	 handler		    next */
	{IKE_SA_CREATED,      KIND_IKE_SA_INIT,	 ROLE_REQUEST,	INIT_NEEDS,  INIT_MAY,	 init_respond,		    IKE_SA_HALF_OPEN},
	{IKE_SA_INIT_SENT,    KIND_IKE_SA_INIT,	 ROLE_RESPONSE,	INIT_NEEDS,  INIT_MAY,	 init_consume_response,	    IKE_SA_AUTH_SENT},
	{IKE_SA_HALF_OPEN,    KIND_IKE_AUTH,	 ROLE_REQUEST,	AUTH_NEEDS,  AUTH_MAY,	 auth_respond,		    IKE_SA_ESTABLISHED},
	{IKE_SA_AUTH_SENT,    KIND_IKE_AUTH,	 ROLE_RESPONSE,	B(IDR) | B(AUTH), AUTH_MAY, auth_consume_response,  IKE_SA_ESTABLISHED},

	{IKE_SA_ESTABLISHED,  KIND_CREATE_CHILD, ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 create_child_respond,	    IKE_SA_ESTABLISHED},
	{IKE_SA_ESTABLISHED,  KIND_REKEY_CHILD,	 ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 rekey_child_respond,	    IKE_SA_ESTABLISHED},
	{IKE_SA_ESTABLISHED,  KIND_REKEY_IKE,	 ROLE_REQUEST,	IKE_NEEDS,   IKE_MAY,	 rekey_ike_respond,	    IKE_SA_REKEYED},
	{IKE_SA_ESTABLISHED,  KIND_INFORMATIONAL, ROLE_REQUEST,	0,	     INFO_MAY,	 informational_respond,	    IKE_SA_ESTABLISHED},
	{IKE_SA_ESTABLISHED,  KIND_CREATE_CHILD, ROLE_RESPONSE,	CHILD_NEEDS, CHILD_MAY,	 exchange_consume_response, IKE_SA_ESTABLISHED},
	{IKE_SA_ESTABLISHED,  KIND_REKEY_CHILD,	 ROLE_RESPONSE,	CHILD_NEEDS, CHILD_MAY,	 exchange_consume_response, IKE_SA_ESTABLISHED},
	{IKE_SA_ESTABLISHED,  KIND_REKEY_IKE,	 ROLE_RESPONSE,	IKE_NEEDS,   IKE_MAY,	 exchange_consume_response, IKE_SA_REKEYED},
	{IKE_SA_ESTABLISHED,  KIND_INFORMATIONAL, ROLE_RESPONSE, 0,	     INFO_MAY,	 exchange_consume_response, IKE_SA_ESTABLISHED},

	/* Our own rekey is in flight: the handlers know the collisions (2.8.1, 2.25). */
	{IKE_SA_REKEYING,     KIND_CREATE_CHILD, ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 create_child_respond,	    IKE_SA_REKEYING},
	{IKE_SA_REKEYING,     KIND_REKEY_CHILD,	 ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 rekey_child_respond,	    IKE_SA_REKEYING},
	{IKE_SA_REKEYING,     KIND_REKEY_IKE,	 ROLE_REQUEST,	IKE_NEEDS,   IKE_MAY,	 rekey_ike_respond,	    IKE_SA_REKEYING},
	{IKE_SA_REKEYING,     KIND_INFORMATIONAL, ROLE_REQUEST,	0,	     INFO_MAY,	 informational_respond,	    IKE_SA_REKEYING},
	{IKE_SA_REKEYING,     KIND_CREATE_CHILD, ROLE_RESPONSE,	CHILD_NEEDS, CHILD_MAY,	 exchange_consume_response, IKE_SA_REKEYING},
	{IKE_SA_REKEYING,     KIND_REKEY_CHILD,	 ROLE_RESPONSE,	CHILD_NEEDS, CHILD_MAY,	 exchange_consume_response, IKE_SA_REKEYING},
	{IKE_SA_REKEYING,     KIND_REKEY_IKE,	 ROLE_RESPONSE,	IKE_NEEDS,   IKE_MAY,	 exchange_consume_response, IKE_SA_REKEYED},
	{IKE_SA_REKEYING,     KIND_INFORMATIONAL, ROLE_RESPONSE, 0,	     INFO_MAY,	 exchange_consume_response, IKE_SA_REKEYING},

	{IKE_SA_REKEYED,      KIND_CREATE_CHILD, ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 refuse_temporary,	    IKE_SA_REKEYED},
	{IKE_SA_REKEYED,      KIND_REKEY_CHILD,	 ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 refuse_temporary,	    IKE_SA_REKEYED},
	{IKE_SA_REKEYED,      KIND_REKEY_IKE,	 ROLE_REQUEST,	IKE_NEEDS,   IKE_MAY,	 refuse_temporary,	    IKE_SA_REKEYED},
	{IKE_SA_REKEYED,      KIND_INFORMATIONAL, ROLE_REQUEST,	0,	     INFO_MAY,	 informational_respond,	    IKE_SA_ENDED},
	{IKE_SA_REKEYED,      KIND_CREATE_CHILD, ROLE_RESPONSE,	CHILD_NEEDS, CHILD_MAY,	 exchange_consume_response, IKE_SA_REKEYED},
	{IKE_SA_REKEYED,      KIND_REKEY_CHILD,	 ROLE_RESPONSE,	CHILD_NEEDS, CHILD_MAY,	 exchange_consume_response, IKE_SA_REKEYED},
	{IKE_SA_REKEYED,      KIND_REKEY_IKE,	 ROLE_RESPONSE,	IKE_NEEDS,   IKE_MAY,	 exchange_consume_response, IKE_SA_REKEYED},
	{IKE_SA_REKEYED,      KIND_INFORMATIONAL, ROLE_RESPONSE, 0,	     INFO_MAY,	 exchange_consume_response, IKE_SA_ENDED},

	{IKE_SA_DELETING,     KIND_CREATE_CHILD, ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 refuse_temporary,	    IKE_SA_DELETING},
	{IKE_SA_DELETING,     KIND_REKEY_CHILD,	 ROLE_REQUEST,	CHILD_NEEDS, CHILD_MAY,	 refuse_temporary,	    IKE_SA_DELETING},
	{IKE_SA_DELETING,     KIND_REKEY_IKE,	 ROLE_REQUEST,	IKE_NEEDS,   IKE_MAY,	 refuse_temporary,	    IKE_SA_DELETING},
	{IKE_SA_DELETING,     KIND_INFORMATIONAL, ROLE_REQUEST,	0,	     INFO_MAY,	 informational_respond,	    IKE_SA_DELETING},
	{IKE_SA_DELETING,     KIND_CREATE_CHILD, ROLE_RESPONSE,	0,	     CHILD_MAY,	 exchange_discard_response, IKE_SA_DELETING},
	{IKE_SA_DELETING,     KIND_REKEY_CHILD,	 ROLE_RESPONSE,	0,	     CHILD_MAY,	 exchange_discard_response, IKE_SA_DELETING},
	{IKE_SA_DELETING,     KIND_REKEY_IKE,	 ROLE_RESPONSE,	0,	     IKE_MAY,	 exchange_consume_response, IKE_SA_DELETING},
	{IKE_SA_DELETING,     KIND_INFORMATIONAL, ROLE_RESPONSE, 0,	     INFO_MAY,	 exchange_consume_response, IKE_SA_ENDED},
	/* clang-format on */
};

const struct transition *transition_find(enum ike_sa_state state, enum exchange_kind kind,
					 enum exchange_role role)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct transition *t = &table[i];

		if (t->state == state && t->kind == kind && t->role == role)
			return t;
	}
	return NULL;
}

/* RFC 7296 1.3: REKEY_SA makes it a CHILD rekey (1.3.3); without traffic selectors it is
 * the IKE_SA's own (1.3.2). */
static enum exchange_kind classify_create_child(const struct wire_message *m)
{
	if (wire_find_notify(m, NOTIFY_REKEY_SA))
		return KIND_REKEY_CHILD;
	if (m->present & (B(TSI) | B(TSR)))
		return KIND_CREATE_CHILD;
	return m->sa.n && m->sa.p[0].protocol == PROTOCOL_IKE ? KIND_REKEY_IKE : KIND_CREATE_CHILD;
}

bool exchange_classify(uint8_t exchange, const struct wire_message *m, enum exchange_kind *kind)
{
	switch (exchange) {
	case EXCHANGE_IKE_SA_INIT:
		*kind = KIND_IKE_SA_INIT;
		return true;
	case EXCHANGE_IKE_AUTH:
		*kind = KIND_IKE_AUTH;
		return true;
	case EXCHANGE_CREATE_CHILD_SA:
		*kind = classify_create_child(m);
		return true;
	case EXCHANGE_INFORMATIONAL:
		*kind = KIND_INFORMATIONAL;
		return true;
	default:
		return false;
	}
}

uint64_t transition_missing(const struct transition *t, const struct wire_message *m)
{
	if (t->role == ROLE_RESPONSE && wire_find_error(m))
		return 0;
	return t->required & ~m->present;
}

uint64_t transition_unexpected(const struct transition *t, const struct wire_message *m)
{
	return m->present & ~(t->allowed | B(NOTIFY) | B(VENDOR_ID));
}
