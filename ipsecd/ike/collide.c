/* Verdicts about crossing exchanges. Knows the RFC's tables and the nonce rule, changes
 * nothing. RFC 7296 2.8.1, 2.8.2, 2.25.1, 2.25.2. */
#include "ipsecd/ike/collide.h"

/* RFC 7296 2.25.2: while we rekey or close the IKE_SA, CHILD_SA requests have to wait. */
enum verdict collide_create_child(enum activity ike)
{
	return ike == ACTIVITY_NONE ? VERDICT_ANSWER : VERDICT_TEMPORARY_FAILURE;
}

/* RFC 7296 2.25.1, 2.25.2 */
enum verdict collide_rekey_child(enum activity child, enum activity ike, bool making)
{
	if (ike != ACTIVITY_NONE)
		return VERDICT_TEMPORARY_FAILURE;
	switch (child) {
	case ACTIVITY_NONE:
		return VERDICT_ANSWER;
	case ACTIVITY_REKEYING:
		return VERDICT_COLLISION;
	case ACTIVITY_CLOSING:
		return VERDICT_TEMPORARY_FAILURE;
	case ACTIVITY_GONE:
	case ACTIVITIES:
		break;
	}
	return making ? VERDICT_TEMPORARY_FAILURE : VERDICT_NOT_FOUND;
}

/* RFC 7296 2.25.1, 1.4.1. Closing here means that our own DELETE is under way. */
enum verdict collide_delete_child(enum activity child)
{
	switch (child) {
	case ACTIVITY_NONE:
	case ACTIVITY_REKEYING:
		return VERDICT_ANSWER;
	case ACTIVITY_CLOSING:
	case ACTIVITY_GONE:
	case ACTIVITIES:
		break;
	}
	return VERDICT_WITHOUT_DELETE;
}

/* RFC 7296 2.25.1 for children_busy, 2.25.2 for the rest. */
enum verdict collide_rekey_ike(enum activity ike, bool children_busy)
{
	switch (ike) {
	case ACTIVITY_NONE:
		return children_busy ? VERDICT_TEMPORARY_FAILURE : VERDICT_ANSWER;
	case ACTIVITY_REKEYING:
		return VERDICT_COLLISION;
	case ACTIVITY_CLOSING:
	case ACTIVITY_GONE:
	case ACTIVITIES:
		break;
	}
	return VERDICT_TEMPORARY_FAILURE;
}

/* RFC 7296 2.25.2 */
enum verdict collide_delete_ike(enum activity ike)
{
	return ike == ACTIVITY_NONE ? VERDICT_ANSWER : VERDICT_FORGET_OWN;
}

enum activity collide_child_activity(const struct child *c)
{
	if (!c)
		return ACTIVITY_GONE;
	switch (c->state) {
	case CHILD_INSTALLED:
		return ACTIVITY_NONE;
	case CHILD_REKEYING:
		return ACTIVITY_REKEYING;
	case CHILD_CREATED:
	case CHILD_REKEYED:
	case CHILD_DELETING:
		return ACTIVITY_CLOSING;
	case CHILD_DELETED:
	case CHILD_ENDED:
	case CHILD_STATES:
		break;
	}
	return ACTIVITY_GONE;
}

enum activity collide_ike_activity(const struct ike_sa *sa)
{
	switch (sa->state) {
	case IKE_SA_ESTABLISHED:
		return ACTIVITY_NONE;
	case IKE_SA_REKEYING:
		return ACTIVITY_REKEYING;
	case IKE_SA_REKEYED:
	case IKE_SA_DELETING:
		return ACTIVITY_CLOSING;
	default:
		return ACTIVITY_GONE;
	}
}

bool collide_making_child(const struct ike_sa *sa)
{
	const struct exchange_ops *ops = sa->running ? sa->running->ops : NULL;

	return ops && (ops->kind == KIND_CREATE_CHILD || ops->kind == KIND_REKEY_CHILD);
}

int collide_nonce_compare(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.ptr, b.ptr, n) : 0;

	if (order == 0)
		order = (a.len > b.len) - (a.len < b.len);
	return order;
}

struct span collide_lowest(struct span a, struct span b)
{
	return collide_nonce_compare(a, b) <= 0 ? a : b;
}

bool collide_ours_goes(struct span our_lowest, struct span their_lowest)
{
	return collide_nonce_compare(our_lowest, their_lowest) < 0;
}
