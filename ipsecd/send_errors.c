/* See send_errors.h. */
#include "ipsecd/send_errors.h"

#define ANSWER_WAIT MONO_S /* an error has come by then if there was one */

static unsigned place(const struct addr *to)
{
	return addr_hash(to, sizeof(to->bytes), 0x811c9dc5u) % SEND_ERRORS_MAX;
}

void send_errors_failed(struct send_errors *s, const struct addr *to, int error, mono_time now)
{
	struct send_error *e = &s->last[place(to)];

	if (!addr_equal(&e->to, to))
		*e = (struct send_error){.to = *to};
	e->error = error;
	e->at = now;
}

static bool is_over(const struct send_error *e, mono_time now)
{
	return e->sent_at > e->at && now - e->sent_at > ANSWER_WAIT;
}

void send_errors_sent(struct send_errors *s, const struct addr *to, mono_time now)
{
	struct send_error *e = &s->last[place(to)];

	if (!addr_equal(&e->to, to))
		return;
	if (is_over(e, now))
		e->error = 0;
	e->sent_at = now;
}

int send_errors_of(const struct send_errors *s, const struct addr *to, mono_time now)
{
	const struct send_error *e = &s->last[place(to)];

	return addr_equal(&e->to, to) && !is_over(e, now) ? e->error : 0;
}
