/* The SA payload: proposals, transforms, attributes (RFC 7296 3.3). Checks the
 * structure only; what is acceptable is decided by model/proposal.c. Numbers that
 * we don't know are kept, so that a refusal can name them.
 *
 * | Last Substruc |   RESERVED    |         Proposal Length       |
 * | Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|  SPI, transforms
 *
 * | Last Substruc |   RESERVED    |        Transform Length       |
 * |Transform Type |   RESERVED    |          Transform ID         |  attributes
 */
#include "ipsecd/wire/payload.h"

#define PROPOSAL_HEAD_LEN  8
#define TRANSFORM_HEAD_LEN 8
#define LAST_SUBSTRUC	   0
#define MORE_PROPOSALS	   2
#define MORE_TRANSFORMS	   3
#define ATTRIBUTE_TV	   0x8000 /* the AF bit: a two-byte value, no length */
#define ATTRIBUTE_KEY_LEN  14

/* RFC 7296 3.3.1: 8 for an IKE SA that is rekeyed and 0 for a first one, 4 for ESP and
 * AH. Other protocols are not ours to judge. */
static bool spi_size_fits(uint8_t protocol, uint8_t size)
{
	switch (protocol) {
	case PROTOCOL_IKE:
		return size == 0 || size == 8;
	case PROTOCOL_AH:
	case PROTOCOL_ESP:
		return size == 4;
	default:
		return true;
	}
}

/* RFC 7296 3.3.5: Key Length is the one attribute there is, always in TV form, and goes
 * with ciphers. 3.3.6: a transform with an attribute that we don't know is not to be
 * chosen, the rest of its proposal may be. */
static struct wire_fault parse_attributes(struct span in, size_t offset, struct transform *t)
{
	struct reader r = reader_over(in);
	bool usable = true;

	while (reader_left(&r)) {
		size_t at = offset + r.pos;
		uint16_t type = reader_u16(&r), value = reader_u16(&r);

		if (!(type & ATTRIBUTE_TV))
			reader_take(&r, value);
		if (r.truncated)
			return wire_fault(WIRE_BAD_TRANSFORM, at, type);
		if (type != (ATTRIBUTE_TV | ATTRIBUTE_KEY_LEN) || t->type != TRANSFORM_ENCR ||
		    value == 0) {
			if (type == ATTRIBUTE_KEY_LEN)
				return wire_fault(WIRE_BAD_TRANSFORM, at, type);
			usable = false;
		} else if (t->key_bits) {
			return wire_fault(WIRE_BAD_TRANSFORM, at, value);
		} else {
			t->key_bits = value;
		}
	}
	if (!usable)
		t->key_bits = TRANSFORM_KEY_UNUSABLE;
	return wire_ok();
}

/* `more`: another transform is announced behind this one. */
static struct wire_fault parse_transform(struct reader *r, size_t offset, struct transform *out,
					 bool *more)
{
	size_t at = offset + r->pos;
	uint8_t last = reader_u8(r);
	uint16_t length;
	struct span attributes;

	reader_u8(r); /* RESERVED */
	length = reader_u16(r);
	*out = (struct transform){.type = reader_u8(r)};
	reader_u8(r); /* RESERVED */
	out->id = reader_u16(r);
	if (r->truncated || length < TRANSFORM_HEAD_LEN)
		return wire_fault(WIRE_BAD_TRANSFORM, at, length);
	if (last != LAST_SUBSTRUC && last != MORE_TRANSFORMS) /* RFC 7296 3.3.2 */
		return wire_fault(WIRE_BAD_TRANSFORM, at, last);
	attributes = reader_take(r, length - TRANSFORM_HEAD_LEN);
	if (r->truncated)
		return wire_fault(WIRE_BAD_TRANSFORM, at + 2, length);
	*more = last == MORE_TRANSFORMS;
	return parse_attributes(attributes, at + TRANSFORM_HEAD_LEN, out);
}

/* RFC 7296 3.3.1: as many transforms as announced, the last one marked so, filling the
 * proposal. All are checked; those beyond PROPOSAL_TRANSFORMS_MAX are left out, the responder
 * may take any (2.7). */
static struct wire_fault parse_transforms(struct span in, size_t offset, uint8_t n,
					  struct proposal *out)
{
	struct reader r = reader_over(in);
	bool more = n > 0;

	for (uint8_t i = 0; i < n; i++) {
		struct transform t;
		struct wire_fault f;

		if (!more)
			return wire_fault(WIRE_BAD_TRANSFORM, offset + r.pos, n);
		f = parse_transform(&r, offset, &t, &more);
		if (f.error)
			return f;
		if (out->n_transforms < PROPOSAL_TRANSFORMS_MAX)
			out->transforms[out->n_transforms++] = t;
	}
	if (more || reader_left(&r))
		return wire_fault(WIRE_BAD_PROPOSAL, offset + r.pos, n);
	return wire_ok();
}

static struct wire_fault parse_proposal(struct reader *r, struct proposal *out, struct span *spi,
					bool *more)
{
	size_t at = r->pos;
	uint8_t last = reader_u8(r), spi_size, n;
	uint16_t length;
	struct span transforms;

	reader_u8(r); /* RESERVED */
	length = reader_u16(r);
	*out = (struct proposal){.number = reader_u8(r)};
	out->protocol = reader_u8(r);
	spi_size = reader_u8(r);
	n = reader_u8(r);
	if (r->truncated || length < PROPOSAL_HEAD_LEN + spi_size)
		return wire_fault(WIRE_BAD_PROPOSAL, at, length);
	if (last != LAST_SUBSTRUC && last != MORE_PROPOSALS)
		return wire_fault(WIRE_BAD_PROPOSAL, at, last);
	if (!spi_size_fits(out->protocol, spi_size))
		return wire_fault(WIRE_BAD_PROPOSAL, at + 6, spi_size);
	*spi = reader_take(r, spi_size);
	transforms = reader_take(r, (size_t)length - PROPOSAL_HEAD_LEN - spi_size);
	if (r->truncated)
		return wire_fault(WIRE_BAD_PROPOSAL, at + 2, length);
	*more = last == MORE_PROPOSALS;
	return parse_transforms(transforms, at + PROPOSAL_HEAD_LEN + spi_size, n, out);
}

/* RFC 7296 3.3.1: offers are numbered 1, 2, 3...; a lone proposal may be an answer and
 * then has the number of what was chosen. */
static bool number_fits(unsigned number, unsigned before, bool lone)
{
	return lone ? number != 0 : number == before + 1;
}

/* All are checked; those beyond PROPOSAL_LIST_MAX, the peer's last choices, are left out:
 * the responder may take any (RFC 7296 2.7). */
struct wire_fault payload_parse_sa(uint8_t type, struct span body, struct wire_message *m)
{
	struct reader r = reader_over(body);
	unsigned before = 0;
	bool more = true;

	(void)type;
	while (more) {
		size_t at = r.pos;
		struct proposal p;
		struct span spi;
		struct wire_fault f = parse_proposal(&r, &p, &spi, &more);

		if (f.error)
			return f;
		if (!number_fits(p.number, before, at == 0 && !more))
			return wire_fault(WIRE_BAD_PROPOSAL, at + 4, p.number);
		before = p.number;
		if (m->sa.n < PROPOSAL_LIST_MAX) {
			m->sa_spis[m->sa.n] = spi;
			m->sa.p[m->sa.n++] = p;
		}
	}
	if (reader_left(&r))
		return wire_fault(WIRE_BAD_PROPOSAL, r.pos, (uint32_t)reader_left(&r));
	return wire_ok();
}
