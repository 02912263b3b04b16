/* Log lines between threads: owns how they lie in a message, and the count of those that were lost.
 */
#include "lib/log_mail.h"
#include "lib/mailbox.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_MOST ((size_t)64 << 10) /* bytes */

struct log_mail {
	struct mailbox *mail;
	const struct log_sink *to;
	struct log_sink sink;
	unsigned lost; /* atomic: since that was said last */
};

/* ---- in any thread ---- */

/* With its 0. */
static struct span word(const char *s)
{
	return span_of(s, strlen(s) + 1);
}

/* The message's kind is the level. */
static void put_line(void *ctx, enum log_level level, const char *subsystem, const char *name,
		     const char *text)
{
	const struct span parts[] = {word(subsystem), word(name), word(text)};
	struct log_mail *m = ctx;

	if (!mailbox_put(m->mail, level, parts, 3))
		__atomic_fetch_add(&m->lost, 1, __ATOMIC_RELAXED);
}

/* ---- in the sink's ---- */

static void take_line(void *ctx, unsigned level, struct span body)
{
	const char *subsystem = (const char *)body.ptr, *name = subsystem + strlen(subsystem) + 1,
		   *text = name + strlen(name) + 1;
	struct log_mail *m = ctx;
	unsigned lost;

	m->to->write(m->to->ctx, (enum log_level)level, subsystem, name, text);
	lost = __atomic_exchange_n(&m->lost, 0, __ATOMIC_RELAXED);
	if (lost)
		log_to(m->to, LOG_LEVEL_WARN, "job", "", "%u log lines of workers were lost here",
		       lost);
}

/* ---- life ---- */

struct log_mail *log_mail_new(struct ev_loop *loop, const struct log_sink *to)
{
	struct log_mail *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->to = to;
	m->sink = (struct log_sink){.write = put_line, .ctx = m, .level = to->level};
	m->mail = mailbox_new(loop, WAITING_MOST, take_line, m);
	if (m->mail)
		return m;
	free(m);
	return NULL;
}

void log_mail_free(struct log_mail *m)
{
	if (!m)
		return;
	mailbox_take(m->mail);
	mailbox_free(m->mail);
	free(m);
}

const struct log_sink *log_mail_sink(const struct log_mail *m)
{
	return &m->sink;
}
