/* What an SA keeps for long: as many bytes as it takes, where the plain types of the model and of
 * keymat.h have room for the largest. */
#ifndef DETOUR_KEPT_H
#define DETOUR_KEPT_H

#include "ipsecd/ike/keymat.h"
#include "ipsecd/model/id.h"
#include "ipsecd/model/ts.h"

/* Each takes a copy in place of the one before; NULL or ID_ANY: none. false: out of memory, that
 * one stays. What is behind the pointers ends with its last entry: never copy it by value. */
bool kept_id(struct id **to, const struct id *id);
bool kept_ts(const struct ts_list **to, const struct ts_list *list);

/* SK_* of an IKE_SA (RFC 7296 2.14), one behind the other. */
enum sk_kind { SK_D, SK_AI, SK_AR, SK_EI, SK_ER, SK_PI, SK_PR, SK_KINDS };

struct kept_keys {
	uint8_t d_len, a_len, e_len, p_len;
	uint8_t bytes[];
};

bool kept_keys(struct kept_keys **to, const struct ike_keys *keys);
/* Empty where there are no keys. */
struct span kept_key(const struct kept_keys *keys, enum sk_kind kind);
/* Without SK_pi and SK_pr, which only IKE_AUTH uses; without memory they stay. */
void kept_keys_drop_auth(struct kept_keys **keys);
/* The reverse of kept_keys; zeroes where there are none. */
void kept_keys_get(const struct kept_keys *keys, struct ike_keys *out);
void kept_keys_free(struct kept_keys *keys); /* NULL allowed; cleanses */

/* Keys of a CHILD_SA: those of its two directions have the same lengths. */
struct kept_child_keys {
	uint8_t encr_len, integ_len;
	uint8_t bytes[];
};

bool kept_child_keys(struct kept_child_keys **to, const struct child_keys *in,
		     const struct child_keys *out);
void kept_child_keys_get(const struct kept_child_keys *keys, struct child_keys *in,
			 struct child_keys *out);
void kept_child_keys_free(struct kept_child_keys *keys);

#endif
