/* XFRM states and policies in every combination, and what must be read back of them. */
#include "tests/support/xfrm_samples.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct span sample_key(size_t len)
{
	static uint8_t key[CHILD_KEY_MAX];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + 1);
	return span_of(key, len);
}

struct addr sample_addr(const char *text)
{
	struct addr a = {0};

	if (text)
		assert_true(addr_parse(text, &a));
	return a;
}

static struct xfrm_sel sel_of(const char *src, const char *dst)
{
	struct xfrm_sel s = {0};

	assert_true(prefix_parse(src, &s.src) && prefix_parse(dst, &s.dst));
	s.family = s.src.addr.family;
	return s;
}

void sample_algorithm(struct xfrm_state *s, unsigned encr, unsigned integ)
{
	const struct algorithm_encr *e = algorithm_encr_at(encr);
	const struct algorithm_integ *i = algorithm_integ_at(integ);

	s->encr_id = e->id;
	s->key_bits = e->key_bits;
	s->encr_key = sample_key((size_t)e->key_len + e->salt_len);
	if (e->icv_len)
		return;
	s->integ_id = i->id;
	s->integ_key = sample_key(i->key_len);
}

/* Combination number n of everything that a state can have. */
struct xfrm_state sample_state(unsigned n)
{
	static const uint16_t windows[] = {0, 32, 33, 64, 4096};
	struct xfrm_state s = {.spi = 0xc0de0000 + n, .reqid = 0x44000000 + n};
	bool ipv6 = n & 1;

	s.src = sample_addr(ipv6 ? "2001:db8::1" : "192.0.2.1");
	s.dst = sample_addr(ipv6 ? "2001:db8::2" : "198.51.100.1");
	sample_algorithm(&s, n / 2 % 5, n / 2 % 3);
	s.esn = n & 4;
	s.inbound = n & 8;
	s.replay_window = windows[n / 3 % 5];
	if (n & 16)
		s.tag.mark = (struct mark){.value = 42, .mask = 0xffffffff};
	if (n & 32)
		s.tag.if_id = 0x01020304;
	if (n & 64) {
		s.encap = true;
		s.sport = 4500;
		s.dport = 33333;
	}
	if (n & 128) {
		s.soft_bytes = 1000;
		s.hard_bytes = 1ull << 40;
		s.soft_packets = 1;
		s.hard_packets = 5;
		s.hard_seconds = 3600;
	}
	if (n & 256)
		s.sequence = 0x7fffffff;
	if (n & 256 && s.esn && !s.inbound)
		s.sequence |= 3ull << 32;
	if (n & 512)
		s.sel = sel_of(ipv6 ? "10.0.0.0/8" : "fd00::/8", ipv6 ? "10.1.2.3/32" : "::/0");
	s.flags.dscp = n / 5 % 4;
	s.flags.df = n / 7 % 2 ? CHILD_DF_CLEAR : CHILD_DF_COPY;
	s.flags.no_ecn = n / 11 % 2;
	s.flags.tfc_pad = n / 13 % 3 == 0 ? 0 : n / 13 % 3 == 1 ? 1400 : CHILD_TFC_MTU;
	if (n / 17 % 2) {
		s.flags.set_mark_out = 7;
		s.flags.set_mark_out_mask = 0xff;
		s.flags.set_mark_in = 9;
		s.flags.set_mark_in_mask = 0xf;
	}
	return s;
}

/* The window that the kernel is asked for. */
static unsigned window_of(const struct xfrm_state *s)
{
	if (!s->inbound)
		return s->esn ? 32 : 0;
	return s->esn && !s->replay_window ? XFRM_WINDOW_MAX : s->replay_window;
}

static void assert_flags(const struct xfrm_state *s, const struct xfrm_state *back)
{
	bool out = s->flags.dscp == CHILD_DSCP_OUT || s->flags.dscp == CHILD_DSCP_BOTH;
	bool in = s->flags.dscp == CHILD_DSCP_IN || s->flags.dscp == CHILD_DSCP_BOTH;

	assert_int_equal(back->flags.no_ecn, s->flags.no_ecn);
	if (s->inbound) {
		assert_int_equal(back->flags.dscp, in ? CHILD_DSCP_BOTH : CHILD_DSCP_OUT);
		assert_int_equal(back->flags.df, CHILD_DF_COPY);
		assert_int_equal(back->flags.tfc_pad, 0);
		assert_int_equal(back->flags.set_mark_in, s->flags.set_mark_in);
		assert_int_equal(back->flags.set_mark_in_mask, s->flags.set_mark_in_mask);
	} else {
		assert_int_equal(back->flags.dscp, out ? CHILD_DSCP_OUT : CHILD_DSCP_NO);
		assert_int_equal(back->flags.df, s->flags.df);
		assert_int_equal(back->flags.tfc_pad, s->flags.tfc_pad);
		assert_int_equal(back->flags.set_mark_out, s->flags.set_mark_out);
		assert_int_equal(back->flags.set_mark_out_mask, s->flags.set_mark_out_mask);
	}
}

void assert_state_keys(const struct xfrm_state *s, const struct xfrm_state *back)
{
	assert_int_equal(back->encr_id, s->encr_id);
	assert_int_equal(back->key_bits, s->key_bits);
	assert_int_equal(back->integ_id, s->integ_id);
	assert_true(span_equal(back->encr_key, s->encr_key));
	assert_true(span_equal(back->integ_key, s->integ_key));
	assert_true(xfrm_sel_equal(&back->sel, &s->sel));
	assert_int_equal(back->esn, s->esn);
	assert_int_equal(back->replay_window, window_of(s));
	assert_int_equal(back->soft_bytes, s->soft_bytes);
	assert_int_equal(back->hard_bytes, s->hard_bytes);
	assert_int_equal(back->soft_packets, s->soft_packets);
	assert_int_equal(back->hard_packets, s->hard_packets);
	assert_int_equal(back->hard_seconds, s->hard_seconds);
	assert_int_equal(back->sequence, s->sequence);
	assert_flags(s, back);
}

void assert_state_info(const struct xfrm_state *s, const struct xfrm_state_info *info)
{
	assert_int_equal(info->spi, s->spi);
	assert_int_equal(info->reqid, s->reqid);
	assert_int_equal(info->protocol, IPPROTO_ESP);
	assert_true(addr_equal(&info->src, &s->src) && addr_equal(&info->dst, &s->dst));
	assert_int_equal(info->tag.mark.value, s->tag.mark.value);
	assert_int_equal(info->tag.mark.mask, s->tag.mark.mask);
	assert_int_equal(info->tag.if_id, s->tag.if_id);
	assert_int_equal(info->encap, s->encap);
	assert_int_equal(info->sport, s->sport);
	assert_int_equal(info->dport, s->dport);
	assert_int_equal(info->sequence, s->inbound ? 0 : s->sequence);
	assert_int_equal(info->received, s->inbound ? s->sequence : 0);
	assert_int_equal(info->hard_seconds, s->hard_seconds);
	assert_int_equal(info->esn, s->esn);
	assert_false(info->larval);
}

struct xfrm_policy sample_policy(unsigned n)
{
	bool ipv6 = n & 1, ipv6_outside = n & 2;
	struct xfrm_policy p = {.dir = n % 3, .priority = 1000 + n};

	p.sel = ipv6 ? sel_of("::/0", "fd00::/8") : sel_of("10.0.0.0/8", "0.0.0.0/0");
	if (n & 4) {
		p.sel.protocol = IPPROTO_TCP;
		p.sel.sport = 80;
		p.sel.sport_mask = 0xffff;
		p.sel.dport = 1024;
		p.sel.dport_mask = 0xfc00;
	}
	if (n & 8)
		p.tag.mark = (struct mark){.value = 0x12, .mask = 0xffffffff};
	if (n & 16)
		p.tag.if_id = 0x44000001;
	p.block = n & 32;
	if (p.block)
		return p;
	p.family = ipv6_outside ? AF_INET6 : AF_INET;
	p.reqid = n & 64 ? 0x44000007 : 0;
	if (n & 128)
		p.src = sample_addr(ipv6_outside ? "2001:db8::1" : "192.0.2.1");
	if (n & 256)
		p.dst = sample_addr(ipv6_outside ? "2001:db8::2" : "198.51.100.1");
	return p;
}

void assert_policy(const struct xfrm_policy *p, const struct xfrm_policy *back)
{
	assert_int_equal(back->dir, p->dir);
	assert_true(xfrm_sel_equal(&back->sel, &p->sel));
	assert_int_equal(back->tag.mark.value, p->tag.mark.value);
	assert_int_equal(back->tag.mark.mask, p->tag.mark.mask);
	assert_int_equal(back->tag.if_id, p->tag.if_id);
	assert_int_equal(back->priority, p->priority);
	assert_int_equal(back->block, p->block);
	assert_int_equal(back->reqid, p->reqid);
	assert_int_equal(back->family, p->family);
	assert_true(addr_equal(&back->src, &p->src) && addr_equal(&back->dst, &p->dst));
	assert_false(back->other_tmpl);
}
