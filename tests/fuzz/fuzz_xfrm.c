/* Fuzzes the reading of XFRM messages: states, keys, policies and events, a stream of them as
 * a socket gives it. What is read lies inside the message and is of one family. */
#include "ipsecd/dataplane/xfrm_msg.h"

#include <libmnl/libmnl.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth)
{
	if (!truth)
		abort();
}

static bool inside(const struct nlmsghdr *h, struct span s)
{
	const uint8_t *from = (const uint8_t *)h;

	return s.len == 0 || (s.ptr >= from && s.ptr + s.len <= from + MNL_ALIGN(h->nlmsg_len));
}

static void read_policy(const struct xfrm_policy *p)
{
	uint8_t buf[XFRM_MESSAGE_MAX] __attribute__((aligned(8)));
	struct xfrm_policy back;

	expect(p->sel.src.len <= addr_size(p->sel.family) * 8);
	expect(p->sel.dst.len <= addr_size(p->sel.family) * 8);
	expect(p->dir <= XFRM_FWD);
	/* What is like ours is written as it was read. */
	if (!p->sel.family || p->other_tmpl || p->block)
		return;
	expect(xfrm_parse_policy(xfrm_build_policy_set(buf, sizeof(buf), p), &back));
	expect(xfrm_sel_equal(&back.sel, &p->sel) && back.reqid == p->reqid);
}

static void read_one(const struct nlmsghdr *h)
{
	struct xfrm_state_info info;
	struct xfrm_policy policy;
	struct xfrm_event event;
	struct xfrm_state state;

	if (xfrm_parse_state(h, &info))
		expect(info.src.family == info.dst.family && addr_size(info.src.family));
	if (xfrm_parse_state_keys(h, &state))
		expect(inside(h, state.encr_key) && inside(h, state.integ_key));
	if (xfrm_parse_policy(h, &policy))
		read_policy(&policy);
	if (xfrm_parse_event(h, &event) == XFRM_EVENT_POLICY_GONE && !event.flushed)
		read_policy(&event.policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = calloc(1, MNL_ALIGN(size) + 1);
	struct nlmsghdr *h = (struct nlmsghdr *)copy;
	int left = (int)size;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	while (left > 0 && mnl_nlmsg_ok(h, left) && h->nlmsg_len <= (unsigned)left) {
		read_one(h);
		h = mnl_nlmsg_next(h, &left);
	}
	free(copy);
	return 0;
}
