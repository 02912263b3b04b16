/* The fields of records, both ways. Knows the model's plain types, not what they are for. */
#include "ipsecd/ike/codec.h"

#include <stdlib.h>

struct codec codec_writer(struct buf *out)
{
	return (struct codec){.out = out};
}

struct codec codec_reader(struct span in)
{
	return (struct codec){.in = reader_over(in)};
}

void codec_fault(struct codec *c, const char *what)
{
	if (!codec_reads(c) || c->fault)
		return;
	c->fault = what;
	c->fault_at = c->in.pos;
}

bool codec_done(struct codec *c)
{
	if (reader_left(&c->in))
		codec_fault(c, "bytes are left over");
	return !c->fault;
}

/* Reading only: true when `n` more bytes may be read. */
static bool has(struct codec *c, size_t n)
{
	if (reader_left(&c->in) < n)
		codec_fault(c, "cut off");
	return !c->fault;
}

void codec_u8(struct codec *c, uint8_t *v)
{
	if (codec_reads(c))
		*v = has(c, 1) ? reader_u8(&c->in) : 0;
	else
		buf_put_u8(c->out, *v);
}

/* ---- numbers ---- */

#define ONE_BYTE_MAX 0xf7u /* behind a larger first byte come 1 to 8 bytes, the highest first */

/* Most numbers of an idle SA are small, or zero: nothing is called for them. */
static inline bool wrote_small(struct codec *c, uint64_t v)
{
	if (codec_reads(c) || v > ONE_BYTE_MAX || c->version < CODEC_SHORT_NUMBERS)
		return false;
	buf_put_u8(c->out, (uint8_t)v);
	return true;
}

static void write_short(struct codec *c, uint64_t v)
{
	unsigned n = 8 - (unsigned)__builtin_clzll(v) / 8;
	uint8_t bytes[9];

	be64_set(bytes + 1, v << (64 - 8 * n));
	bytes[0] = (uint8_t)(ONE_BYTE_MAX + n);
	buf_put(c->out, bytes, n + 1);
}

static uint64_t read_short(struct codec *c)
{
	uint64_t first = has(c, 1) ? reader_u8(&c->in) : 0;
	uint8_t bytes[8] = {0};
	unsigned n;

	if (first <= ONE_BYTE_MAX)
		return first;
	n = (unsigned)first - ONE_BYTE_MAX;
	if (!has(c, n))
		return 0;
	memcpy(bytes + 8 - n, reader_take(&c->in, n).ptr, n);
	return be64_get(bytes);
}

/* Of `size` bytes, when it is not short. */
static __attribute__((noinline)) uint64_t number(struct codec *c, uint64_t v, unsigned size)
{
	bool is_short = c->version >= CODEC_SHORT_NUMBERS;
	uint8_t bytes[8];

	be64_set(bytes, v);
	if (!codec_reads(c)) {
		if (is_short)
			write_short(c, v);
		else
			buf_put(c->out, bytes + 8 - size, size);
		return v;
	}
	if (is_short) {
		v = read_short(c);
	} else {
		memset(bytes, 0, sizeof(bytes));
		if (has(c, size))
			memcpy(bytes + 8 - size, reader_take(&c->in, size).ptr, size);
		v = be64_get(bytes);
	}
	if (size == 8 || v >> 8 * size == 0)
		return v;
	codec_fault(c, "a number is too large");
	return 0;
}

void codec_u16(struct codec *c, uint16_t *v)
{
	if (!wrote_small(c, *v))
		*v = (uint16_t)number(c, *v, sizeof(*v));
}

void codec_u32(struct codec *c, uint32_t *v)
{
	if (!wrote_small(c, *v))
		*v = (uint32_t)number(c, *v, sizeof(*v));
}

void codec_u64(struct codec *c, uint64_t *v)
{
	if (!wrote_small(c, *v))
		*v = number(c, *v, sizeof(*v));
}

void codec_random64(struct codec *c, uint64_t *v)
{
	if (codec_reads(c))
		*v = has(c, 8) ? reader_u64(&c->in) : 0;
	else
		buf_put_u64(c->out, *v);
}

void codec_unsigned(struct codec *c, unsigned *v)
{
	uint32_t number = (uint32_t)*v;

	codec_u32(c, &number);
	*v = number;
}

unsigned codec_choice(struct codec *c, unsigned v, unsigned limit, const char *what)
{
	uint16_t number = (uint16_t)v;

	codec_u16(c, &number);
	if (number < limit)
		return number;
	codec_fault(c, what);
	return codec_reads(c) ? 0 : number;
}

void codec_bool(struct codec *c, bool *v)
{
	uint8_t byte = *v;

	codec_u8(c, &byte);
	if (byte > 1)
		codec_fault(c, "neither true nor false");
	*v = byte == 1;
}

void codec_bytes(struct codec *c, void *p, size_t n)
{
	if (!codec_reads(c)) {
		buf_put(c->out, p, n);
		return;
	}
	if (n && has(c, n))
		memcpy(p, reader_take(&c->in, n).ptr, n);
	else if (n)
		memset(p, 0, n);
}

void codec_short(struct codec *c, uint8_t *p, uint16_t *len, size_t max, const char *what)
{
	CODEC_COUNT(c, *len, max, what);
	codec_bytes(c, p, *len);
}

void codec_key(struct codec *c, uint8_t *p, uint8_t *len, size_t max)
{
	CODEC_COUNT(c, *len, max, "a key is too long");
	codec_bytes(c, p, *len);
}

void codec_memory(struct codec *c, uint8_t **p, size_t *len, size_t max, const char *what)
{
	uint32_t n = (uint32_t)*len;

	codec_u32(c, &n);
	if (!codec_reads(c)) {
		buf_put(c->out, *p, n);
		return;
	}
	*p = NULL;
	*len = 0;
	if (n > max)
		codec_fault(c, what);
	if (!n || !has(c, n))
		return;
	*p = malloc(n);
	if (!*p) {
		codec_fault(c, "out of memory");
		return;
	}
	*len = n;
	codec_bytes(c, *p, n);
}

#define NO_STRING UINT16_MAX

void codec_string(struct codec *c, char **s, const char *what)
{
	size_t n = codec_reads(c) || !*s ? SIZE_MAX : strlen(*s);
	uint16_t len = n <= CODEC_STRING_MAX ? (uint16_t)n : NO_STRING;
	struct span text;

	codec_u16(c, &len);
	if (!codec_reads(c)) {
		if (len != NO_STRING)
			buf_put(c->out, *s, len);
		return;
	}
	*s = NULL;
	if (c->fault || len == NO_STRING)
		return;
	if (len > CODEC_STRING_MAX || !has(c, len)) {
		codec_fault(c, what);
		return;
	}
	text = reader_take(&c->in, len);
	if (len && memchr(text.ptr, 0, len)) {
		codec_fault(c, what);
		return;
	}
	*s = calloc(1, len + 1u);
	if (!*s)
		codec_fault(c, "out of memory");
	else if (len)
		memcpy(*s, text.ptr, len);
}

/* ---- of the model ---- */

static void family(struct codec *c, uint8_t *v)
{
	codec_u8(c, v);
	if (*v && !addr_size(*v)) {
		codec_fault(c, "no such address family");
		*v = 0;
	}
}

void codec_addr(struct codec *c, struct addr *a)
{
	if (codec_reads(c))
		*a = (struct addr){0};
	family(c, &a->family);
	codec_bytes(c, a->bytes, addr_size(a->family));
}

void codec_addrs(struct codec *c, struct addr *list, uint8_t *n, unsigned max, const char *what)
{
	CODEC_COUNT(c, *n, max, what);
	for (unsigned i = 0; i < *n; i++)
		codec_addr(c, &list[i]);
}

void codec_endpoint(struct codec *c, struct endpoint *e)
{
	codec_addr(c, &e->addr);
	codec_u16(c, &e->port);
}

void codec_path(struct codec *c, struct ike_path *p)
{
	codec_endpoint(c, &p->local);
	codec_endpoint(c, &p->remote);
}

void codec_id(struct codec *c, struct id *id)
{
	codec_u8(c, &id->type);
	codec_u8(c, &id->len);
	codec_bytes(c, id->data, id->len);
	if (codec_reads(c) && !c->fault && !id_fits(id))
		codec_fault(c, "an identity of no such type or length");
}

static void selector(struct codec *c, struct ts *ts)
{
	size_t n;

	family(c, &ts->family);
	n = addr_size(ts->family);
	codec_bool(c, &ts->dynamic);
	codec_u8(c, &ts->protocol);
	codec_u16(c, &ts->port_start);
	codec_u16(c, &ts->port_end);
	codec_bytes(c, ts->start, n);
	codec_bytes(c, ts->end, n);
	if (!n && !ts->dynamic)
		codec_fault(c, "a selector without addresses");
	if (memcmp(ts->start, ts->end, n) > 0 || !ts_ports_fit(ts))
		codec_fault(c, "a selector's range");
}

void codec_ts_list(struct codec *c, struct ts_list *l)
{
	CODEC_COUNT(c, l->n, TS_LIST_MAX, "too many selectors");
	for (unsigned i = 0; i < l->n; i++)
		selector(c, &l->ts[i]);
}

void codec_ke(struct codec *c, const struct algorithm_ke **ke)
{
	uint16_t id = codec_reads(c) || !*ke ? KE_NONE : (*ke)->id;

	codec_u16(c, &id);
	if (!codec_reads(c))
		return;
	*ke = id ? algorithm_ke(id) : NULL;
	if (id && !*ke)
		codec_fault(c, "unknown key exchange method");
}

void codec_suite(struct codec *c, struct suite *s)
{
	bool w = !codec_reads(c);
	uint16_t encr = w && s->encr ? s->encr->id : 0, bits = w && s->encr ? s->encr->key_bits : 0;
	uint16_t integ = w && s->integ ? s->integ->id : 0, prf = w && s->prf ? s->prf->id : 0;

	codec_u16(c, &encr);
	codec_u16(c, &bits);
	codec_u16(c, &integ);
	codec_u16(c, &prf);
	codec_ke(c, &s->ke);
	codec_bool(c, &s->esn);
	if (w)
		return;
	s->encr = encr ? algorithm_encr(encr, bits) : NULL;
	s->integ = integ ? algorithm_integ(integ) : NULL;
	s->prf = prf ? algorithm_prf(prf) : NULL;
	if ((encr && !s->encr) || (integ && !s->integ) || (prf && !s->prf))
		codec_fault(c, "unknown algorithm");
	else if (s->encr && (s->encr->icv_len != 0) == (s->integ != NULL))
		codec_fault(c, "integrity and cipher do not fit");
}

void codec_timer(struct codec *c, struct timer *t)
{
	mono_time at = codec_reads(c) || !timer_armed(t) ? 0 : t->at;

	codec_u64(c, &at);
	if (codec_reads(c))
		t->at = at == MONO_NEVER ? 0 : at;
}
