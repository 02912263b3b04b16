/* What a connection of a test proposes, in the words of its configuration. */
#ifndef DETOUR_TEST_PROPOSE_H
#define DETOUR_TEST_PROPOSE_H

#include "ipsecd/model/proposals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static inline void propose(enum proposal_protocol protocol, const char *words,
			   const struct proposal_list **out)
{
	struct proposal_list l;
	size_t at, len;

	assert_int_equal(proposal_list_parse(protocol, words, &l, &at, &len), PROPOSAL_OK);
	assert_true(proposals_set(out, &l));
}

#endif
