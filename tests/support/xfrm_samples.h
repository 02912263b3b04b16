/* XFRM states and policies in every combination, and what must be read back of them: for the
 * messages' tests without a kernel and with one. */
#ifndef TESTS_XFRM_SAMPLES_H
#define TESTS_XFRM_SAMPLES_H

#include "ipsecd/dataplane/xfrm_msg.h"

#define SAMPLE_STATES	4096
#define SAMPLE_POLICIES 512

struct span sample_key(size_t len);
struct addr sample_addr(const char *text); /* NULL: none */
/* By their places in algorithm.h's tables. */
void sample_algorithm(struct xfrm_state *s, unsigned encr, unsigned integ);
/* Combination number n of everything that one can have. */
struct xfrm_state sample_state(unsigned n);
struct xfrm_policy sample_policy(unsigned n);

void assert_state_keys(const struct xfrm_state *s, const struct xfrm_state *back);
void assert_state_info(const struct xfrm_state *s, const struct xfrm_state_info *info);
void assert_policy(const struct xfrm_policy *p, const struct xfrm_policy *back);

#endif
