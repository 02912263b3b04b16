/* Head, messages, settings, connections (with the sum of their text), those that are as they were
 * (their number and sum), names of those that are gone, secrets; each encoded thing behind its
 * length. */
#include "ipsecd/loaded.h"
#include "ipsecd/model/conn_codec.h"
#include "lib/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	   0x64746366u /* "dtcf" */
#define VERSION	   3
#define FIRST_SIZE ((size_t)1 << 20)
#define CONN_GUESS                                                                    \
	((size_t)1 << 10) /* more than most take; what is not written takes no memory \
			   */
#define ITEM_MIN     2	  /* bytes that each thing takes at least */
#define MESSAGE_TEXT 4096
#define CONNS_MAX    1000000u
#define SEALS	     (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* ---- writing ---- */

static void put_string(struct buf *b, const char *s)
{
	size_t n = strnlen(s, MESSAGE_TEXT);

	buf_put_u16(b, (uint16_t)n);
	buf_put(b, s, n);
}

static void put_messages(struct buf *b, const struct config_errors *e)
{
	buf_put_u32(b, e->n);
	buf_put_u32(b, e->n_errors);
	buf_put_u32(b, e->n_warnings);
	buf_put_u32(b, e->n_notes);
	for (unsigned i = 0; i < e->n; i++) {
		const struct config_message *m = &e->list[i];

		buf_put_u8(b, (uint8_t)m->kind);
		buf_put_u32(b, m->line);
		buf_put_u32(b, m->column);
		put_string(b, m->file);
		put_string(b, m->text);
	}
}

/* The length goes before what is encoded behind it. */
static size_t begin_item(struct buf *b)
{
	size_t at = b->len;

	buf_put_u32(b, 0);
	return at;
}

static void end_item(struct buf *b, size_t at, struct codec_result r)
{
	if (r.error)
		b->overflow = true;
	if (!b->overflow)
		buf_set_u32(b, at, (uint32_t)(b->len - at - 4));
}

static void put_config(struct buf *b, const struct config *c)
{
	size_t at = begin_item(b);

	end_item(b, at, settings_encode(&c->settings, b));
	buf_put_u32(b, c->n_conns);
	for (unsigned i = 0; i < c->n_conns && !b->overflow; i++) {
		buf_put_u64(b, c->conns[i].digest);
		at = begin_item(b);
		end_item(b, at, conn_encode(c->conns[i].conn, b));
	}
	buf_put_u32(b, c->n_unchanged);
	buf_put_u64(b, c->unchanged_sum);
	buf_put_u32(b, c->n_gone);
	for (unsigned i = 0; i < c->n_gone; i++)
		put_string(b, c->gone[i]);
	buf_put_u8(b, c->secrets_unchanged);
	buf_put_u32(b, c->n_secrets);
	for (unsigned i = 0; i < c->n_secrets && !b->overflow; i++) {
		at = begin_item(b);
		end_item(b, at, secret_encode(c->secrets[i], false, b));
	}
}

bool loaded_encode(bool ok, const struct config *config, const struct config_errors *errors,
		   struct buf *out)
{
	buf_put_u32(out, MAGIC);
	buf_put_u32(out, VERSION);
	buf_put_u8(out, ok);
	put_messages(out, errors);
	if (ok)
		put_config(out, config);
	return !out->overflow;
}

/* ---- reading ---- */

static char *get_string(struct reader *r)
{
	struct span s = reader_take(r, reader_u16(r));
	char *copy;

	if (r->truncated || s.len > MESSAGE_TEXT)
		return NULL;
	copy = malloc(s.len + 1);
	if (!copy)
		return NULL;
	text_clean(copy, s.len + 1, s.ptr, s.len);
	return copy;
}

static const char *get_messages(struct reader *r, struct config_errors *e)
{
	unsigned n = reader_u32(r);

	e->n_errors = reader_u32(r);
	e->n_warnings = reader_u32(r);
	e->n_notes = reader_u32(r);
	if (r->truncated || n > 3 * CONFIG_ERRORS_MAX)
		return "the number of messages";
	e->list = calloc(n + 1u, sizeof(*e->list));
	if (!e->list)
		return "out of memory";
	while (e->n < n) {
		struct config_message *m = &e->list[e->n++];
		uint8_t kind = reader_u8(r);

		m->kind = (enum config_kind)kind;
		m->line = reader_u32(r);
		m->column = reader_u32(r);
		m->file = get_string(r);
		m->text = get_string(r);
		if (!m->file || !m->text || kind > CONFIG_NOTE)
			return "a message";
	}
	return NULL;
}

static struct span get_item(struct reader *r)
{
	return reader_take(r, reader_u32(r));
}

static bool count_fits(const struct reader *r, uint32_t n)
{
	return !r->truncated && n <= CONNS_MAX && n <= reader_left(r) / ITEM_MIN;
}

static const char *get_conns(struct reader *r, struct config *c)
{
	uint32_t n = reader_u32(r);

	if (!count_fits(r, n))
		return "the number of connections";
	c->conns = calloc(n + 1u, sizeof(*c->conns));
	if (!c->conns)
		return "out of memory";
	for (; c->n_conns < n; c->n_conns++) {
		struct span item;

		c->conns[c->n_conns].digest = reader_u64(r);
		item = get_item(r);
		if (r->truncated || conn_decode(item, &c->conns[c->n_conns].conn).error)
			return "a connection";
	}
	return NULL;
}

static const char *get_gone(struct reader *r, struct config *c)
{
	uint32_t n = reader_u32(r);

	if (!count_fits(r, n))
		return "the number of connections that are gone";
	c->gone = calloc(n + 1u, sizeof(*c->gone));
	if (!c->gone)
		return "out of memory";
	for (; c->n_gone < n; c->n_gone++) {
		c->gone[c->n_gone] = get_string(r);
		if (!c->gone[c->n_gone])
			return "the name of a connection that is gone";
	}
	return NULL;
}

static const char *get_unchanged(struct reader *r, struct config *c)
{
	const char *wrong;

	c->n_unchanged = reader_u32(r);
	c->unchanged_sum = reader_u64(r);
	wrong = get_gone(r, c);
	c->secrets_unchanged = reader_u8(r);
	if (c->n_unchanged > CONNS_MAX)
		wrong = "the number of unchanged connections";
	return wrong;
}

/* Those of the files alone: a number of the helper's, and a name that no vici client can use. */
static bool describes_file(const struct secret *s)
{
	return s->held && !s->len && strncmp(s->unique, "vici:", 5) != 0;
}

static const char *get_secrets(struct reader *r, struct config *c)
{
	uint32_t n = reader_u32(r);

	if (!count_fits(r, n))
		return "the number of secrets";
	c->secrets = calloc(n + 1u, sizeof(struct secret *));
	if (!c->secrets)
		return "out of memory";
	for (; c->n_secrets < n; c->n_secrets++) {
		struct span item = get_item(r);
		struct secret *s = NULL;
		bool with_bytes = false;

		if (r->truncated || secret_decode(item, &s, &with_bytes).error)
			return "a secret";
		c->secrets[c->n_secrets] = s;
		if (with_bytes || !describes_file(s)) {
			c->n_secrets++;
			return "a secret that is no description";
		}
	}
	return NULL;
}

static const char *get_config(struct reader *r, struct config *c)
{
	struct span item = get_item(r);
	const char *wrong;

	if (r->truncated || settings_decode(item, &c->settings).error)
		return "the settings";
	wrong = get_conns(r, c);
	if (!wrong)
		wrong = get_unchanged(r, c);
	return wrong ? wrong : get_secrets(r, c);
}

static const char *get_all(struct reader *r, bool *ok, struct config *config,
			   struct config_errors *errors)
{
	const char *wrong;
	uint8_t word;

	if (reader_u32(r) != MAGIC || reader_u32(r) != VERSION)
		return "it is of another kind or version";
	word = reader_u8(r);
	if (word > 1)
		return "the outcome";
	*ok = word;
	wrong = get_messages(r, errors);
	if (!wrong && *ok)
		wrong = get_config(r, config);
	if (!wrong && *ok && errors->n_errors)
		wrong = "the number of errors";
	if (!wrong && (r->truncated || reader_left(r)))
		wrong = "the length";
	return wrong;
}

bool loaded_decode(struct span in, bool *ok, struct config *config, struct config_errors *errors,
		   char *why, size_t size)
{
	struct reader r = reader_over(in);
	struct config_errors e = {0};
	struct config c = {0};
	const char *wrong = get_all(&r, ok, &c, &e);

	if (wrong) {
		snprintf(why, size, "%s (at byte %zu)", wrong, r.pos);
		config_free(&c);
		config_errors_free(&e);
		return false;
	}
	*config = c;
	*errors = e;
	return true;
}

/* ---- the memory ---- */

static bool encode_into(int fd, size_t size, bool ok, const struct config *config,
			const struct config_errors *errors, size_t *used)
{
	struct buf b;
	void *m;

	if (ftruncate(fd, (off_t)size) < 0)
		return false;
	m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return false;
	b = buf_over(m, size);
	if (!loaded_encode(ok, config, errors, &b))
		errno = ENOSPC;
	*used = b.len;
	munmap(m, size);
	return !b.overflow;
}

bool loaded_write(int fd, bool ok, const struct config *config, const struct config_errors *errors)
{
	size_t size = FIRST_SIZE + (ok ? config->n_conns * CONN_GUESS : 0), used;

	if (size > LOADED_MAX)
		size = LOADED_MAX;
	while (!encode_into(fd, size, ok, config, errors, &used)) {
		if (errno != ENOSPC || size >= LOADED_MAX)
			return false;
		size *= 2;
	}
	return ftruncate(fd, (off_t)used) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0;
}

bool loaded_read(int fd, bool *ok, struct config *config, struct config_errors *errors, char *why,
		 size_t size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	bool good;
	void *m;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0 ||
	    (size_t)st.st_size > LOADED_MAX) {
		snprintf(why, size, "it is not in sealed memory");
		return false;
	}
	m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED) {
		snprintf(why, size, "%s", strerror(errno));
		return false;
	}
	good = loaded_decode(span_of(m, (size_t)st.st_size), ok, config, errors, why, size);
	munmap(m, (size_t)st.st_size);
	return good;
}
