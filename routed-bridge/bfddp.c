/* On the wire the messages are C structures of the machine's natural alignment, in network
 * order: that is where the padding of STATE_CHANGE and of the counters comes from. */
#include "routed-bridge/bfddp.h"

#define VERSION	      1
#define NAME_SIZE     64
#define ADDRESS_SIZE  16
#define COUNTERS_SIZE 72

static const uint16_t body_size[BFDDP_TYPES] = {
	[BFDDP_ECHO_REQUEST] = 16,	  [BFDDP_ECHO_REPLY] = 16,   [BFDDP_ADD_SESSION] = 132,
	[BFDDP_DELETE_SESSION] = 132,	  [BFDDP_STATE_CHANGE] = 28, [BFDDP_REQUEST_COUNTERS] = 4,
	[BFDDP_COUNTERS] = COUNTERS_SIZE,
};

const char *bfddp_strerror(enum bfddp_error e)
{
	static const char *const text[] = {
		[BFDDP_OK] = "no error",
		[BFDDP_MORE] = "message is not complete yet",
		[BFDDP_BAD_VERSION] = "protocol version is not 1",
		[BFDDP_BAD_LENGTH] = "length out of range",
		[BFDDP_TRUNCATED] = "message is shorter than its type",
		[BFDDP_BAD_DISCRIMINATOR] = "discriminator is zero",
		[BFDDP_BAD_MULTIPLIER] = "detect multiplier is zero",
		[BFDDP_BAD_PEER] = "peer address is missing",
		[BFDDP_BAD_NAME] = "interface name is too long or not terminated",
		[BFDDP_BAD_STATE] = "unknown session state",
	};

	return (unsigned)e < sizeof(text) / sizeof(text[0]) ? text[e] : "unknown error";
}

/* ---- parsing ---- */

static struct addr take_address(struct reader *r, bool ipv6)
{
	struct span bytes = reader_take(r, ADDRESS_SIZE);
	struct addr a = {0};

	if (bytes.len == ADDRESS_SIZE)
		addr_from_bytes(span_of(bytes.ptr, ipv6 ? 16 : 4), &a);
	return a;
}

static enum bfddp_error parse_session(struct reader *r, struct bfddp_session *s, size_t *at)
{
	struct span name;
	bool ipv6;

	s->flags = reader_u32(r);
	ipv6 = s->flags & BFDDP_IPV6;
	s->local = take_address(r, ipv6);
	s->peer = take_address(r, ipv6);
	*at = r->pos;
	s->discriminator = reader_u32(r);
	s->min_tx = reader_u32(r);
	s->min_rx = reader_u32(r);
	s->min_echo_tx = reader_u32(r);
	s->min_echo_rx = reader_u32(r);
	s->hold = reader_u32(r);
	s->min_ttl = reader_u8(r);
	s->multiplier = reader_u8(r);
	reader_take(r, 2);
	s->ifindex = reader_u32(r);
	name = reader_take(r, NAME_SIZE);
	if (s->discriminator == 0)
		return BFDDP_BAD_DISCRIMINATOR; /* RFC 5880 6.8.1: nonzero */
	*at += 25;
	if (s->multiplier == 0)
		return BFDDP_BAD_MULTIPLIER; /* RFC 5880 6.8.1: nonzero */
	*at = 20;
	if (addr_is_any(&s->peer))
		return BFDDP_BAD_PEER;
	*at = r->pos - NAME_SIZE;
	if (!memchr(name.ptr, '\0', IF_NAMESIZE))
		return BFDDP_BAD_NAME;
	memcpy(s->ifname, name.ptr, strlen((const char *)name.ptr) + 1);
	return BFDDP_OK;
}

static enum bfddp_error parse_state(struct reader *r, struct bfddp_state *s, size_t *at)
{
	s->discriminator = reader_u32(r);
	s->remote_discriminator = reader_u32(r);
	s->remote_flags = reader_u32(r);
	s->remote_min_tx = reader_u32(r);
	s->remote_min_rx = reader_u32(r);
	s->remote_min_echo_rx = reader_u32(r);
	*at = r->pos;
	s->state = reader_u8(r);
	s->diag = reader_u8(r);
	s->remote_multiplier = reader_u8(r);
	return s->state <= 3 ? BFDDP_OK : BFDDP_BAD_STATE;
}

static void parse_counters(struct reader *r, struct bfddp_counters *c)
{
	c->discriminator = reader_u32(r);
	reader_take(r, 4);
	c->in_bytes = reader_u64(r);
	c->in_packets = reader_u64(r);
	c->out_bytes = reader_u64(r);
	c->out_packets = reader_u64(r);
	c->echo_in_bytes = reader_u64(r);
	c->echo_in_packets = reader_u64(r);
	c->echo_out_bytes = reader_u64(r);
	c->echo_out_packets = reader_u64(r);
}

static enum bfddp_error parse_body(struct reader *r, struct bfddp_message *m, size_t *at)
{
	switch (m->type) {
	case BFDDP_ECHO_REQUEST:
	case BFDDP_ECHO_REPLY:
		m->echo.dplane_time = reader_u64(r);
		m->echo.bfdd_time = reader_u64(r);
		break;
	case BFDDP_ADD_SESSION:
	case BFDDP_DELETE_SESSION:
		return parse_session(r, &m->session, at);
	case BFDDP_STATE_CHANGE:
		return parse_state(r, &m->state, at);
	case BFDDP_REQUEST_COUNTERS:
		m->discriminator = reader_u32(r);
		break;
	case BFDDP_COUNTERS:
		parse_counters(r, &m->counters);
		break;
	case BFDDP_TYPES:
		break;
	}
	return BFDDP_OK;
}

static enum bfddp_error fail(enum bfddp_error e, size_t at, size_t *offset)
{
	if (offset)
		*offset = at;
	return e;
}

enum bfddp_error bfddp_parse(struct span in, struct bfddp_message *out, size_t *offset)
{
	struct reader r = reader_over(in);
	uint8_t version = reader_u8(&r);
	struct bfddp_message m = {0};
	enum bfddp_error e;
	struct reader body;
	size_t at = 0;

	if (in.len >= 1 && version != VERSION)
		return fail(BFDDP_BAD_VERSION, 0, offset);
	reader_u8(&r);
	m.number = reader_u16(&r);
	m.id = reader_u16(&r);
	m.size = reader_u16(&r);
	if (r.truncated)
		return BFDDP_MORE;
	if (m.size < BFDDP_HEADER_SIZE || m.size > BFDDP_MESSAGE_MAX)
		return fail(BFDDP_BAD_LENGTH, 6, offset);
	if (in.len < m.size)
		return BFDDP_MORE;
	m.type = m.number < BFDDP_TYPES ? (enum bfddp_type)m.number : BFDDP_TYPES;
	out->size = m.size;
	if (m.type < BFDDP_TYPES && m.size < (size_t)BFDDP_HEADER_SIZE + body_size[m.type])
		return fail(BFDDP_TRUNCATED, m.size, offset);
	body = reader_over(reader_take(&r, m.size - BFDDP_HEADER_SIZE));
	e = parse_body(&body, &m, &at);
	if (e != BFDDP_OK)
		return fail(e, BFDDP_HEADER_SIZE + at, offset);
	*out = m;
	return BFDDP_OK;
}

/* ---- encoding ---- */

static void put_address(struct buf *b, const struct addr *a)
{
	buf_put_span(b, addr_span(a));
	buf_put_zero(b, ADDRESS_SIZE - addr_size(a->family));
}

static void encode_session(struct buf *b, const struct bfddp_session *s)
{
	size_t n = strnlen(s->ifname, sizeof(s->ifname));

	buf_put_u32(b, s->flags);
	put_address(b, &s->local);
	put_address(b, &s->peer);
	buf_put_u32(b, s->discriminator);
	buf_put_u32(b, s->min_tx);
	buf_put_u32(b, s->min_rx);
	buf_put_u32(b, s->min_echo_tx);
	buf_put_u32(b, s->min_echo_rx);
	buf_put_u32(b, s->hold);
	buf_put_u8(b, s->min_ttl);
	buf_put_u8(b, s->multiplier);
	buf_put_zero(b, 2);
	buf_put_u32(b, s->ifindex);
	buf_put(b, s->ifname, n);
	buf_put_zero(b, NAME_SIZE - n);
}

static void encode_state(struct buf *b, const struct bfddp_state *s)
{
	buf_put_u32(b, s->discriminator);
	buf_put_u32(b, s->remote_discriminator);
	buf_put_u32(b, s->remote_flags);
	buf_put_u32(b, s->remote_min_tx);
	buf_put_u32(b, s->remote_min_rx);
	buf_put_u32(b, s->remote_min_echo_rx);
	buf_put_u8(b, s->state);
	buf_put_u8(b, s->diag);
	buf_put_u8(b, s->remote_multiplier);
	buf_put_zero(b, 1);
}

static void encode_counters(struct buf *b, const struct bfddp_counters *c)
{
	buf_put_u32(b, c->discriminator);
	buf_put_zero(b, 4);
	buf_put_u64(b, c->in_bytes);
	buf_put_u64(b, c->in_packets);
	buf_put_u64(b, c->out_bytes);
	buf_put_u64(b, c->out_packets);
	buf_put_u64(b, c->echo_in_bytes);
	buf_put_u64(b, c->echo_in_packets);
	buf_put_u64(b, c->echo_out_bytes);
	buf_put_u64(b, c->echo_out_packets);
}

static void encode_body(struct buf *b, const struct bfddp_message *m)
{
	switch (m->type) {
	case BFDDP_ECHO_REQUEST:
	case BFDDP_ECHO_REPLY:
		buf_put_u64(b, m->echo.dplane_time);
		buf_put_u64(b, m->echo.bfdd_time);
		break;
	case BFDDP_ADD_SESSION:
	case BFDDP_DELETE_SESSION:
		encode_session(b, &m->session);
		break;
	case BFDDP_STATE_CHANGE:
		encode_state(b, &m->state);
		break;
	case BFDDP_REQUEST_COUNTERS:
		buf_put_u32(b, m->discriminator);
		break;
	case BFDDP_COUNTERS:
		encode_counters(b, &m->counters);
		break;
	case BFDDP_TYPES:
		break;
	}
}

void bfddp_encode(struct buf *b, const struct bfddp_message *m)
{
	size_t start = b->len;

	buf_put_u8(b, VERSION);
	buf_put_u8(b, 0);
	buf_put_u16(b, (uint16_t)m->type);
	buf_put_u16(b, m->id);
	buf_put_u16(b, 0);
	encode_body(b, m);
	if (!b->overflow)
		buf_set_u16(b, start + 6, (uint16_t)(b->len - start));
}
