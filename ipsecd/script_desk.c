/* Jobs by number: those that are running or waiting, and the last ones that ended, which a helper
 * that is new may ask for again. */
#include "ipsecd/script_desk.h"
#include "ipsecd/ipc/helper_body.h"
#include "ipsecd/script.h"
#include "lib/mono.h"

#include <stdlib.h>
#include <uthash.h>

#define ENDED_MAX 4096
#define LEFT_MAX  65536
#define BYTES_MAX ((size_t)64 << 20) /* of what waits and runs */

struct job {
	uint64_t number;
	bool ended;
	size_t bytes;
	UT_hash_handle hh; /* in order of coming */
};

struct script_desk {
	struct script_desk_host host;
	struct scripts *scripts;
	struct job *jobs;
	unsigned n_ended;
	size_t bytes;
};

static struct job *find(const struct script_desk *d, uint64_t number)
{
	struct job *j;

	HASH_FIND(hh, d->jobs, &number, sizeof(number), j);
	return j;
}

static void tell_ended(struct script_desk *d, uint64_t number)
{
	const struct ipc_ran ran = {.job = number};

	d->host.send(d->host.ctx, IPC_RAN, span_of(&ran, sizeof(ran)));
}

static void forget_oldest(struct script_desk *d)
{
	struct job *j, *next;

	HASH_ITER (hh, d->jobs, j, next) {
		if (!j->ended)
			continue;
		HASH_DEL(d->jobs, j);
		free(j);
		d->n_ended--;
		return;
	}
}

static void on_ended(void *ctx, uint64_t number)
{
	struct script_desk *d = ctx;
	struct job *j = find(d, number);

	if (!j || j->ended)
		return;
	j->ended = true;
	d->bytes -= j->bytes;
	if (++d->n_ended > ENDED_MAX)
		forget_oldest(d);
	tell_ended(d, number);
}

static void run(struct script_desk *d, const struct script_view *s, size_t bytes)
{
	struct script script = {.job = s->job,
				.line = s->line,
				.name = s->name,
				.what = s->what,
				.command = s->command,
				.env = s->env,
				.timeout = s->timeout_ms / 1000.};
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		tell_ended(d, s->job);
		return;
	}
	j->number = s->job;
	j->bytes = bytes;
	d->bytes += bytes;
	HASH_ADD(hh, d->jobs, number, sizeof(j->number), j);
	if (!scripts_run(d->scripts, &script))
		on_ended(d, s->job);
}

static void on_run(struct script_desk *d, const struct ipc_message *m)
{
	static struct log_limit limit = {.burst = 5};
	struct script_view s;
	const char *wrong = ipc_script_check(m->body, &s);
	const struct job *j = wrong ? NULL : find(d, s.job);

	if (!wrong && !j &&
	    (scripts_left(d->scripts) >= LEFT_MAX || d->bytes + m->body.len > BYTES_MAX))
		wrong = "too many of them";
	if (wrong) {
		if (log_limit_pass(&limit, mono_now()))
			log_to(d->host.log, LOG_LEVEL_ERROR, "job", "",
			       "helper wants a script run, refused: %s", wrong);
	} else if (!j) {
		run(d, &s, m->body.len);
	} else if (j->ended) {
		tell_ended(d, s.job);
	}
}

bool script_desk_message(struct script_desk *d, const struct ipc_message *m)
{
	if (m->verb != IPC_RUN)
		return false;
	on_run(d, m);
	return true;
}

size_t script_desk_left(const struct script_desk *d)
{
	return scripts_left(d->scripts);
}

struct script_desk *script_desk_new(const struct script_desk_host *host)
{
	struct scripts_host scripts = {.loop = host->loop, .log = host->log, .ended = on_ended};
	struct script_desk *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->host = *host;
	scripts.ctx = d;
	d->scripts = scripts_new(&scripts);
	if (d->scripts)
		return d;
	free(d);
	return NULL;
}

void script_desk_free(struct script_desk *d)
{
	struct job *j, *next;

	if (!d)
		return;
	scripts_free(d->scripts);
	HASH_ITER (hh, d->jobs, j, next) {
		HASH_DEL(d->jobs, j);
		free(j);
	}
	free(d);
}
