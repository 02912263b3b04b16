/* One description for both directions: a function that codes a struct goes through its fields,
 * each with a call that writes the field's value or reads and checks a new one, and gives back
 * which it is now. So what is written is what is read, in the same order.
 *
 * The bytes are read as if an enemy had written them: what is out of range is refused, not
 * clamped, and there is one way only to write a value. Errors stick; the first one counts. */
#ifndef DETOUR_FIELDS_H
#define DETOUR_FIELDS_H

#include "ipsecd/model/id.h"
#include "lib/buf.h"

#define FIELDS_STRING_MAX UINT16_MAX

enum codec_error {
	CODEC_OK,
	CODEC_SHORT,   /* the bytes end too early */
	CODEC_LONG,    /* there are more than belong to it */
	CODEC_FORMAT,  /* something else, or another version of it */
	CODEC_VALUE,   /* out of range, or contradictory */
	CODEC_NO_ROOM, /* encoding: the buffer is full */
	CODEC_MEMORY,
};

struct codec_result {
	enum codec_error error;
	size_t at;	  /* offset into what was read or written */
	const char *what; /* the field; static, never NULL */
};

/* "tunnel name: not possible (at byte 217)" */
const char *codec_describe(const struct codec_result *r, char *text, size_t size);

struct fields {
	bool decoding;
	struct buf *out;
	struct reader in;
	size_t start; /* encoding: of this in the buffer */
	struct codec_result result;
};

/* Everything coded has a head: a tag of what it is, a version, its length. */
struct fields fields_encoder(struct buf *out, uint16_t tag, uint16_t version);
struct fields fields_decoder(struct span in, uint16_t tag, uint16_t version);
/* Encoding: writes the length. Decoding: nothing may be left. */
struct codec_result fields_end(struct fields *c);

bool fields_ok(const struct fields *c);
void fields_fail(struct fields *c, enum codec_error error, const char *what);
/* The same for a condition that has to hold in both directions. */
void fields_require(struct fields *c, bool holds, const char *what);

/* Each of these returns what the field is now; 0, false after an error. */
uint64_t fields_number(struct fields *c, uint64_t v, unsigned bytes, uint64_t max,
		       const char *what);
bool fields_bool(struct fields *c, bool v, const char *what);
uint8_t fields_u8(struct fields *c, uint8_t v, uint8_t max, const char *what);
uint16_t fields_u16(struct fields *c, uint16_t v, const char *what);
uint32_t fields_u32(struct fields *c, uint32_t v, const char *what);
uint64_t fields_u64(struct fields *c, uint64_t v, const char *what);
/* A span of time; what can be added to a time without coming round. */
uint64_t fields_time(struct fields *c, uint64_t v, const char *what);

void fields_bytes(struct fields *c, void *p, size_t n);
/* *s is the caller's to free after decoding; a string in place is `size` bytes with its NUL. */
void fields_string(struct fields *c, char **s, bool may_be_null, const char *what);
void fields_string_in(struct fields *c, char *s, size_t size, const char *what);
void fields_addr(struct fields *c, struct addr *a, bool may_be_none, const char *what);
void fields_prefix(struct fields *c, struct prefix *p, const char *what);
void fields_id(struct fields *c, struct id *id, const char *what);

#endif
