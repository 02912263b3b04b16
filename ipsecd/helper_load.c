/* The reading process writes two pieces of memory: one for ike, without secrets (loaded.h), and one
 * for us, with the secrets that the vault does not have, and the commands of scripts:
 *
 *	1 byte: the files are good, and if so what follows is there
 *	1 byte: the secrets are those of the last reading; if not:
 *	number of secrets; for each: its number, 1 byte: it is new, and if so name and bytes
 *	number of commands; for each: the text
 *	what the next reading recalls (config/recall.h), behind its length (4 bytes)
 *
 * Texts and bytes stand behind their length (2 bytes). */
#include "ipsecd/helper_load.h"
#include "ipsecd/config/recall.h"
#include "ipsecd/loaded.h"
#include "ipsecd/reload.h"
#include "ipsecd/state/memfd.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 120.
#define OWN_SIZE    ((size_t)1 << 20)

struct helper_load {
	struct helper_load_host host;
	ev_child ended;
	ev_timer limit;
	pid_t pid;	  /* 0: none */
	int public;	  /* memory that it fills, for ike */
	struct memfd own; /* ... and for us */
	uint64_t generation;
	uint64_t *numbers; /* sorted: of the secrets of `generation` */
	unsigned n_numbers;
	uint8_t *memo; /* recalled by the next reading; not looked at here */
	size_t memo_len;
	bool whole; /* the reading that goes on must not */
};

/* ---- in the reading process ---- */

static void put_bytes(struct buf *b, const void *p, size_t n)
{
	if (n > UINT16_MAX)
		b->overflow = true;
	buf_put_u16(b, (uint16_t)n);
	buf_put(b, p, n);
}

/* Gives the secret its number, and takes its bytes out of what ike gets. */
static void put_secret(struct buf *b, const struct vault *vault, struct secret *s)
{
	struct span data = span_of(s->data, s->len);
	uint64_t held = vault_find(vault, s->unique, data);
	bool new = held == 0;

	if (new)
		held = vault_new_number(vault);
	buf_put_u64(b, held);
	buf_put_u8(b, new);
	if (new) {
		put_bytes(b, s->unique, strlen(s->unique) + 1);
		put_bytes(b, s->data, s->len);
	}
	s->held = held;
}

static void put_commands(struct buf *b, const struct recall *recall)
{
	size_t count_at = b->len, len;
	const char *command;
	uint32_t n = 0;

	buf_put_u32(b, 0);
	for (unsigned i = 0; (command = recall_command(recall, i, &len)) != NULL; i++) {
		if (len)
			put_bytes(b, command, len);
		n += len != 0;
	}
	buf_set_u32(b, count_at, n);
}

struct result {
	bool ok;
	struct recall *recall;
	struct config config;
	struct config_errors errors;
};

static void put_own(struct buf *b, const struct vault *vault, const struct result *r)
{
	const struct config *c = &r->config;
	size_t at;

	buf_put_u8(b, r->ok);
	if (!r->ok)
		return;
	buf_put_u8(b, c->secrets_unchanged);
	if (!c->secrets_unchanged) {
		buf_put_u32(b, c->n_secrets);
		for (unsigned i = 0; i < c->n_secrets; i++)
			put_secret(b, vault, c->secrets[i]);
	}
	put_commands(b, r->recall);
	at = b->len;
	buf_put_u32(b, 0);
	recall_put(r->recall, &r->errors, b);
	buf_set_u32(b, at, (uint32_t)(b->len - at - sizeof(uint32_t)));
}

static bool write_own(struct helper_load *l, const struct result *r)
{
	for (;;) {
		struct buf b = buf_over(l->own.memory, l->own.size);

		put_own(&b, l->host.vault, r);
		if (!b.overflow)
			return true;
		if (!memfd_grow(&l->own, 2 * l->own.size))
			return false;
	}
}

static void drop_bytes(struct config *c)
{
	for (unsigned i = 0; i < c->n_secrets; i++) {
		explicit_bzero(c->secrets[i]->data, c->secrets[i]->len);
		c->secrets[i]->len = 0;
	}
}

/* false: out of memory, or what was recalled does not hold. */
static bool try_reading(const struct helper_load *l, struct span memo, struct result *r)
{
	bool holds;

	*r = (struct result){.recall = recall_new(memo)};
	if (!r->recall)
		return false;
	r->ok = reload_files_recall(l->host.options, r->recall, &holds, &r->config, &r->errors);
	return holds;
}

static bool read_files(const struct helper_load *l, struct result *r)
{
	if (!l->whole && l->memo_len && try_reading(l, span_of(l->memo, l->memo_len), r))
		return true;
	/* What that left is for the process's end to free. */
	return try_reading(l, span_of(NULL, 0), r);
}

static _Noreturn void read_all(struct helper_load *l, pid_t parent)
{
	struct result r;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
	if (!read_files(l, &r) || !write_own(l, &r))
		_exit(1);
	drop_bytes(&r.config);
	_exit(loaded_write(l->public, r.ok, &r.config, &r.errors) ? 0 : 1);
}

/* ---- in the helper ---- */

static void clean_up(struct helper_load *l)
{
	ev_timer_stop(l->host.loop, &l->limit);
	ev_child_stop(l->host.loop, &l->ended);
	if (l->pid) {
		explicit_bzero(l->own.memory, l->own.size);
		memfd_close(&l->own);
	}
	l->pid = 0;
}

static void give_up(struct helper_load *l, const char *why)
{
	clean_up(l);
	if (l->public >= 0)
		close(l->public);
	l->public = -1;
	l->host.done(l->host.ctx, 0, -1, why);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool is_text(struct span s)
{
	return s.len && memchr(s.ptr, '\0', s.len) == s.ptr + s.len - 1;
}

static bool take_secrets(struct helper_load *l, struct reader *r)
{
	uint32_t n = reader_u32(r);
	uint64_t *numbers = n <= VAULT_SECRETS_MAX ? calloc(n + 1u, sizeof(*numbers)) : NULL;
	bool ok = numbers != NULL;

	for (uint32_t i = 0; ok && i < n; i++) {
		struct span unique, data;

		numbers[i] = reader_u64(r);
		if (!reader_u8(r))
			continue;
		unique = reader_take(r, reader_u16(r));
		data = reader_take(r, reader_u16(r));
		ok = !r->truncated && is_text(unique) &&
		     vault_put(l->host.vault, numbers[i], (const char *)unique.ptr, data, true);
	}
	ok = ok && !r->truncated;
	if (!ok) {
		free(numbers);
		return false;
	}
	qsort(numbers, n, sizeof(*numbers), by_number);
	free(l->numbers);
	l->numbers = numbers;
	l->n_numbers = n;
	return true;
}

static bool take_commands(struct helper_load *l, struct reader *r)
{
	uint32_t n = reader_u32(r);
	const char **commands = n <= reader_left(r) / 2 ? calloc(n + 1u, sizeof(*commands)) : NULL;
	bool ok = commands != NULL;

	for (uint32_t i = 0; ok && i < n; i++) {
		struct span text = reader_take(r, reader_u16(r));

		ok = is_text(text);
		commands[i] = (const char *)text.ptr;
	}
	ok = ok && vault_set_commands(l->host.vault, commands, n);
	free(commands);
	return ok;
}

/* Only a later reading looks into it. */
static bool take_memo(struct helper_load *l, struct reader *r)
{
	struct span memo = reader_take(r, reader_u32(r));
	uint8_t *copy = malloc(memo.len + 1);

	if (r->truncated || !copy) {
		free(copy);
		return false;
	}
	if (memo.len)
		memcpy(copy, memo.ptr, memo.len);
	free(l->memo);
	l->memo = copy;
	l->memo_len = memo.len;
	return true;
}

/* Everything or nothing. */
static bool take_own(struct helper_load *l)
{
	struct reader r;
	struct stat st;
	bool ok;

	if (fstat(l->own.fd, &st) < 0 || !memfd_grow(&l->own, (size_t)st.st_size))
		return false;
	r = reader_over(span_of(l->own.memory, l->own.size));
	if (!reader_u8(&r))
		return true; /* errors in the files change nothing */
	vault_begin(l->host.vault);
	l->memo_len = 0;
	ok = (reader_u8(&r) || take_secrets(l, &r)) && take_commands(l, &r);
	ok = vault_end(l->host.vault) && ok;
	return ok && take_memo(l, &r);
}

static void on_ended(struct ev_loop *loop, ev_child *w, int revents)
{
	struct helper_load *l = w->data;
	int status = w->rstatus, fd = l->public;
	char why[96];

	(void)loop;
	(void)revents;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		if (WIFSIGNALED(status))
			snprintf(why, sizeof(why),
				 "the process that read the files was ended by signal %d",
				 WTERMSIG(status));
		else
			snprintf(why, sizeof(why), "the files are too large, or no memory");
		give_up(l, why);
		return;
	}
	if (!take_own(l)) {
		give_up(l, "the secrets could not be kept: too many, or no memory");
		return;
	}
	clean_up(l);
	l->public = -1;
	if (!++l->generation)
		l->generation++;
	l->host.done(l->host.ctx, l->generation, fd, "");
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct helper_load *l = w->data;

	(void)loop;
	(void)revents;
	l->host.stuck(l->host.ctx);
}

/* For what the reading process writes. */
static bool make_memory(struct helper_load *l, char *why, size_t size)
{
	if (!memfd_make(&l->own, "ipsecd-read", OWN_SIZE, why, size))
		return false;
	l->public = memfd_create("ipsecd-loaded", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (l->public >= 0)
		return true;
	snprintf(why, size, "memory for the configuration: %s", strerror(errno));
	memfd_close(&l->own);
	return false;
}

void helper_load_begin(struct helper_load *l, bool whole)
{
	pid_t parent = getpid();
	char why[160];

	if (l->pid)
		return;
	l->whole = whole;
	if (!make_memory(l, why, sizeof(why))) {
		l->host.done(l->host.ctx, 0, -1, why);
		return;
	}
	l->pid = fork();
	if (l->pid == 0)
		read_all(l, parent);
	if (l->pid < 0) {
		snprintf(why, sizeof(why), "a process to read the files: %s", strerror(errno));
		memfd_close(&l->own);
		l->pid = 0;
		give_up(l, why);
		return;
	}
	ev_child_set(&l->ended, l->pid, 0);
	ev_child_start(l->host.loop, &l->ended);
	ev_now_update(l->host.loop);
	ev_timer_set(&l->limit, SECONDS_MAX, 0.);
	ev_timer_start(l->host.loop, &l->limit);
}

static bool is_in_use(void *ctx, uint64_t held)
{
	const struct helper_load *l = ctx;

	return bsearch(&held, l->numbers, l->n_numbers, sizeof(held), by_number);
}

void helper_load_taken(struct helper_load *l, uint64_t generation)
{
	if (!generation || generation != l->generation || !l->numbers)
		return;
	vault_begin(l->host.vault);
	vault_sweep(l->host.vault, is_in_use, l);
	vault_end(l->host.vault);
}

struct helper_load *helper_load_new(const struct helper_load_host *host)
{
	struct helper_load *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->host = *host;
	l->public = -1;
	l->generation = vault_new_number(host->vault); /* no other helper's */
	ev_init(&l->ended, on_ended);
	ev_timer_init(&l->limit, on_limit, 0., 0.);
	l->ended.data = l->limit.data = l;
	return l;
}

void helper_load_free(struct helper_load *l)
{
	if (!l)
		return;
	clean_up(l);
	if (l->public >= 0)
		close(l->public);
	free(l->numbers);
	free(l->memo);
	free(l);
}
