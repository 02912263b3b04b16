/* Checks of tunnels and CHILD_SAs that ike wants. */
#include "ipsecd/ipc/check_parts.h"

#define SPI_LEAST 256 /* RFC 4303 2.1: those below are reserved */
#define MTU_LEAST 68  /* RFC 791 3.2 */

/* Of bools, which must not be read before. */
static bool flags_at(struct span body, const size_t *offsets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!check_flag(body.ptr[offsets[i]]))
			return false;
	}
	return true;
}

static bool enum_at(struct span body, size_t offset, int last)
{
	int value;

	memcpy(&value, body.ptr + offset, sizeof(value));
	return value >= 0 && value <= last;
}

/* ---- tunnels ---- */

static bool good_mark(struct mark m)
{
	return (m.value & ~m.mask) == 0;
}

static const char *check_config(const struct tunnel_config *c)
{
	if (!check_name(c->name, sizeof(c->name)) || !device_name_valid(c->name))
		return "no name for a device";
	if (c->n_addrs > TUNNEL_ADDRS_MAX)
		return "more addresses than a device has room for";
	for (unsigned i = 0; i < c->n_addrs; i++) {
		if (!check_prefix(&c->addrs[i]) || !check_own_addr(&c->addrs[i].addr))
			return "an address that no device may have";
	}
	if (c->mtu && c->mtu < MTU_LEAST)
		return "an MTU below 68";
	if (!good_mark(c->mark_in) || !good_mark(c->mark_out))
		return "bits of a mark outside of its mask";
	if (!check_addr_or_none(&c->local) || !check_addr_or_none(&c->remote))
		return "an outer address is none";
	return NULL;
}

const char *check_tunnel(struct span body)
{
	static const size_t base = offsetof(struct ipc_tunnel, config);
	static const size_t flags[] = {
		offsetof(struct ipc_tunnel, config.named),
		offsetof(struct ipc_tunnel, config.external),
		offsetof(struct ipc_tunnel, config.keyed),
	};
	struct ipc_tunnel b;

	if (!flags_at(body, flags, sizeof(flags) / sizeof(flags[0])))
		return "a flag is neither 0 nor 1";
	if (!enum_at(body, base + offsetof(struct tunnel_config, kind), DEVICE_XFRM))
		return "no such kind of device";
	memcpy(&b, body.ptr, sizeof(b));
	return check_config(&b.config);
}

/* ---- CHILD_SAs ---- */

static const char *check_keys(const struct child_keys *k, const struct algorithm_encr *encr,
			      const struct algorithm_integ *integ)
{
	if (k->encr_len != encr->key_len + encr->salt_len)
		return "the key has not the length that the cipher needs";
	if (k->integ_len != (integ ? integ->key_len : 0))
		return "the integrity key has not the length that the algorithm needs";
	return NULL;
}

static const char *check_algorithms(const struct child_sa *c)
{
	const struct algorithm_encr *encr = algorithm_encr(c->encr_id, c->encr_key_bits);
	const struct algorithm_integ *integ =
		c->integ_id == INTEG_NONE ? NULL : algorithm_integ(c->integ_id);
	const char *why;

	if (!encr || (c->integ_id != INTEG_NONE && !integ))
		return "no such algorithm";
	if ((encr->icv_len == 0) != (integ != NULL))
		return "a cipher and an integrity algorithm that do not go together";
	why = check_keys(&c->in, encr, integ);
	return why ? why : check_keys(&c->out, encr, integ);
}

static bool good_ts(const struct ts *t)
{
	static const uint8_t zeros[sizeof(t->start)];
	size_t n = addr_size(t->family);

	if (!n || memcmp(t->start, t->end, n) > 0 ||
	    memcmp(t->start + n, zeros, sizeof(zeros) - n) != 0 ||
	    memcmp(t->end + n, zeros, sizeof(zeros) - n) != 0)
		return false;
	/* RFC 7296 3.13.1: 65535-0 is OPAQUE */
	return t->port_start <= t->port_end || (t->port_start == UINT16_MAX && t->port_end == 0);
}

static const char *check_selectors(struct span body, size_t at)
{
	struct ts_list l;

	/* The count is a byte, and stands at the beginning. */
	if (body.ptr[at] == 0 || body.ptr[at] > TS_LIST_MAX)
		return "no traffic selectors, or too many";
	for (size_t i = 0; i < TS_LIST_MAX; i++) {
		size_t ts = at + offsetof(struct ts_list, ts) + i * sizeof(struct ts);

		if (!check_flag(body.ptr[ts + offsetof(struct ts, dynamic)]))
			return "a flag is neither 0 nor 1";
	}
	memcpy(&l, body.ptr + at, sizeof(l));
	for (unsigned i = 0; i < l.n; i++) {
		if (!good_ts(&l.ts[i]))
			return "a traffic selector is no range";
	}
	return NULL;
}

static const char *check_values(const struct child_sa *c)
{
	const char *why;

	if (c->spi_in < SPI_LEAST || c->spi_out < SPI_LEAST)
		return "a reserved SPI";
	if (c->udp_encap && (!c->local.port || !c->remote.port))
		return "in UDP without a port";
	if (!aggfrag_params_valid(&c->flags.aggfrag))
		return "AGGFRAG out of its bounds";
	why = check_endpoints(&c->local, &c->remote);
	return why ? why : check_algorithms(c);
}

const char *check_child(struct span body)
{
	static const size_t flags[] = {
		offsetof(struct child_sa, esn),
		offsetof(struct child_sa, udp_encap),
		offsetof(struct child_sa, outbound),
		offsetof(struct child_sa, resumed),
		offsetof(struct child_sa, flags.no_ecn),
		offsetof(struct child_sa, flags.aggfrag.dont_frag),
		offsetof(struct child_sa, flags.aggfrag.rate_bits),
	};
	struct child_sa c;
	const char *why;

	if (!flags_at(body, flags, sizeof(flags) / sizeof(flags[0])))
		return "a flag is neither 0 nor 1";
	if (!enum_at(body, offsetof(struct child_sa, flags.df), CHILD_DF_CLEAR) ||
	    body.ptr[offsetof(struct child_sa, flags.offload)] > CHILD_OFFLOAD_YES ||
	    !enum_at(body, offsetof(struct child_sa, flags.dscp), CHILD_DSCP_BOTH))
		return "no such way with outer headers";
	why = check_selectors(body, offsetof(struct child_sa, local_ts));
	if (!why)
		why = check_selectors(body, offsetof(struct child_sa, remote_ts));
	if (why)
		return why;
	memcpy(&c, body.ptr, sizeof(c));
	why = check_values(&c);
	child_sa_cleanse(&c);
	return why;
}
