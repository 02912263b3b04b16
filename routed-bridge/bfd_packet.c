/* The checks are those of RFC 5880 6.8.6 that need no session, in its order. */
#include "routed-bridge/bfd_packet.h"

#define VERSION		 1
#define SIZE_WITH_AUTH	 26 /* RFC 5880 6.8.6: the least length with the A bit */
#define FLAG_POLL	 0x20
#define FLAG_FINAL	 0x10
#define FLAG_INDEPENDENT 0x08
#define FLAG_AUTH	 0x04
#define FLAG_DEMAND	 0x02
#define FLAG_MULTIPOINT	 0x01
#define AT_FLAGS	 1
#define AT_MULTIPLIER	 2
#define AT_LENGTH	 3
#define AT_MINE		 4
#define AT_YOURS	 8

const char *bfd_state_name(unsigned state)
{
	static const char *const names[] = {"AdminDown", "Down", "Init", "Up"};

	return state <= BFD_UP ? names[state] : "unknown";
}

const char *bfd_diag_name(unsigned diag)
{
	static const char *const names[] = {
		[BFD_DIAG_NONE] = "no diagnostic",
		[BFD_DIAG_EXPIRED] = "control detection time expired",
		[BFD_DIAG_ECHO_FAILED] = "echo function failed",
		[BFD_DIAG_NEIGHBOR_DOWN] = "neighbor signaled session down",
		[BFD_DIAG_FORWARDING_RESET] = "forwarding plane reset",
		[BFD_DIAG_PATH_DOWN] = "path down",
		[BFD_DIAG_CONCATENATED_DOWN] = "concatenated path down",
		[BFD_DIAG_ADMIN_DOWN] = "administratively down",
		[BFD_DIAG_REVERSE_DOWN] = "reverse concatenated path down",
	};

	return diag < sizeof(names) / sizeof(names[0]) ? names[diag] : "reserved";
}

static const struct {
	const char *word, *text;
} drops[BFD_DROPS] = {
	[BFD_TAKEN] = {"taken", "taken"},
	[BFD_DROP_SHORT] = {"short", "shorter than a control packet"},
	[BFD_DROP_VERSION] = {"version", "version is not 1"},
	[BFD_DROP_LENGTH] = {"length", "length field out of range"},
	[BFD_DROP_MULTIPLIER] = {"multiplier", "detect multiplier is zero"},
	[BFD_DROP_MULTIPOINT] = {"multipoint", "multipoint bit is set"},
	[BFD_DROP_MY_DISCRIMINATOR] = {"my-discriminator", "my discriminator is zero"},
	[BFD_DROP_YOUR_DISCRIMINATOR] = {"your-discriminator",
					 "your discriminator is zero in state Init or Up"},
	[BFD_DROP_AUTHENTICATED] = {"authenticated", "authentication is not supported"},
	[BFD_DROP_TTL] = {"ttl", "came over more hops than allowed"},
	[BFD_DROP_NO_SESSION] = {"no-session", "belongs to no session"},
	[BFD_DROP_SOURCE] = {"source", "does not come from the session's peer"},
};

const char *bfd_drop_text(enum bfd_drop d)
{
	return (unsigned)d < BFD_DROPS ? drops[d].text : "unknown";
}

const char *bfd_drop_word(enum bfd_drop d)
{
	return (unsigned)d < BFD_DROPS ? drops[d].word : "unknown";
}

static enum bfd_drop drop(enum bfd_drop d, size_t at, size_t *offset)
{
	if (offset)
		*offset = at;
	return d;
}

enum bfd_drop bfd_packet_parse(struct span in, struct bfd_packet *out, size_t *offset)
{
	const uint8_t *b = in.ptr;
	struct bfd_packet p;
	uint8_t flags;

	if (in.len < BFD_PACKET_SIZE)
		return drop(BFD_DROP_SHORT, in.len, offset);
	flags = b[AT_FLAGS] & 0x3f;
	/* RFC 5880 6.8.6: each of these MUST be discarded. */
	if (b[0] >> 5 != VERSION)
		return drop(BFD_DROP_VERSION, 0, offset);
	if (b[AT_LENGTH] < (flags & FLAG_AUTH ? SIZE_WITH_AUTH : BFD_PACKET_SIZE) ||
	    b[AT_LENGTH] > in.len)
		return drop(BFD_DROP_LENGTH, AT_LENGTH, offset);
	if (b[AT_MULTIPLIER] == 0)
		return drop(BFD_DROP_MULTIPLIER, AT_MULTIPLIER, offset);
	if (flags & FLAG_MULTIPOINT)
		return drop(BFD_DROP_MULTIPOINT, AT_FLAGS, offset);
	p = (struct bfd_packet){
		.state = (enum bfd_state)(b[AT_FLAGS] >> 6),
		.diag = b[0] & 0x1f,
		.multiplier = b[AT_MULTIPLIER],
		.poll = flags & FLAG_POLL,
		.final = flags & FLAG_FINAL,
		.independent = flags & FLAG_INDEPENDENT,
		.demand = flags & FLAG_DEMAND,
		.mine = be32_get(b + AT_MINE),
		.yours = be32_get(b + AT_YOURS),
		.min_tx = be32_get(b + 12),
		.min_rx = be32_get(b + 16),
		.min_echo_rx = be32_get(b + 20),
	};
	if (p.mine == 0)
		return drop(BFD_DROP_MY_DISCRIMINATOR, AT_MINE, offset);
	if (p.yours == 0 && p.state != BFD_DOWN && p.state != BFD_ADMIN_DOWN)
		return drop(BFD_DROP_YOUR_DISCRIMINATOR, AT_YOURS, offset);
	/* The A bit without authentication in use. */
	if (flags & FLAG_AUTH)
		return drop(BFD_DROP_AUTHENTICATED, AT_FLAGS, offset);
	*out = p;
	return BFD_TAKEN;
}

void bfd_packet_encode(struct buf *b, const struct bfd_packet *p)
{
	uint8_t flags = (uint8_t)((unsigned)p->state << 6);

	flags |= p->poll ? FLAG_POLL : 0;
	flags |= p->final ? FLAG_FINAL : 0;
	flags |= p->independent ? FLAG_INDEPENDENT : 0;
	flags |= p->demand ? FLAG_DEMAND : 0;
	buf_put_u8(b, (uint8_t)(VERSION << 5 | (p->diag & 0x1f)));
	buf_put_u8(b, flags);
	buf_put_u8(b, p->multiplier);
	buf_put_u8(b, BFD_PACKET_SIZE);
	buf_put_u32(b, p->mine);
	buf_put_u32(b, p->yours);
	buf_put_u32(b, p->min_tx);
	buf_put_u32(b, p->min_rx);
	buf_put_u32(b, p->min_echo_rx);
}
