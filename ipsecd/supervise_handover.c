/* From one program to the next in the same process: descriptors stay open over the exec, and a
 * memfd has their names and numbers. One line each, written by the former program of this very
 * process: trusted, but of another version. */
#include "ipsecd/supervise_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADER "ipsecd-handover 1"

static void set_cloexec(int fd, bool on)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

struct writer {
	FILE *file;
	bool cloexec; /* what the descriptors get */
};

static void write_kept(void *ctx, unsigned owner, const char *name, int fd)
{
	const struct writer *w = ctx;
	char text[KEEP_TEXT_MAX];

	set_cloexec(fd, w->cloexec);
	if (!w->file)
		return;
	keep_text(role_words[owner], name, text);
	fprintf(w->file, "keep %s %d\n", text, fd);
}

static void write_child(const struct writer *w, const struct child *c)
{
	const struct process *p = c->now;
	int link = p && p->link ? ipc_link_fd(p->link) : -1;

	if (p) {
		set_cloexec(link, w->cloexec);
		set_cloexec(p->stderr_fd, w->cloexec);
	}
	if (w->file)
		fprintf(w->file, "child %u %ld %d %d %u\n", c->role, p ? (long)p->pid : 0L, link,
			p ? p->stderr_fd : -1, c->restarts);
}

static void write_all(struct supervisor *s, struct writer *w)
{
	set_cloexec(s->lock, w->cloexec);
	for (unsigned i = 0; i < IPC_ROLES; i++)
		write_child(w, &s->children[i]);
	keep_each(s->keep, write_kept, w);
}

int handover_write(struct supervisor *s, int asker, int program)
{
	int fd = memfd_create("handover", 0), copy = fd < 0 ? -1 : dup(fd);
	struct writer w = {.file = copy < 0 ? NULL : fdopen(copy, "w")};

	if (!w.file) {
		if (copy >= 0)
			close(copy);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	set_cloexec(asker, false);
	set_cloexec(program, false);
	fprintf(w.file, HEADER "\nlock %d\nupgrades %u\nasker %d\nprogram %d\n", s->lock,
		s->upgrades, asker, program);
	if (s->keep_seconds) /* the next ike says it anew, but may take a while */
		fprintf(w.file, "stop-keeps %" PRIu32 "\n", s->keep_seconds);
	write_all(s, &w);
	if (fclose(w.file) == 0)
		return fd;
	close(fd);
	return -1;
}

void handover_undo(struct supervisor *s, int asker, int fd)
{
	struct writer w = {.cloexec = true};

	if (fd >= 0)
		close(fd);
	set_cloexec(asker, true);
	write_all(s, &w);
}

/* ---- the next program ---- */

static void adopt(struct supervisor *s, unsigned role, long pid, int link, int err)
{
	struct child *c = &s->children[role];
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return;
	p->supervisor = s;
	p->child = c;
	p->generation = s->generation - 1;
	p->stderr_fd = -1;
	p->begun = p->ready = true;
	set_cloexec(link, true);
	process_watch(p, (pid_t)pid);
	if (err >= 0) {
		set_cloexec(err, true);
		process_watch_stderr(p, err);
	}
	p->link = process_link(p, link);
	c->now = p;
}

static bool read_line(struct supervisor *s, const char *line, int *asker)
{
	char text[KEEP_TEXT_MAX], name[KEEP_NAME_MAX];
	unsigned role, restarts, owner;
	int fd, err;
	long pid;

	if (sscanf(line, "lock %d", &s->lock) == 1) {
		set_cloexec(s->lock, true);
	} else if (sscanf(line, "asker %d", asker) == 1) {
		set_cloexec(*asker, true);
	} else if (sscanf(line, "program %d", &s->former_program) == 1) {
		set_cloexec(s->former_program, true);
		s->came_back = s->former_program < 0;
	} else if (sscanf(line, "child %u %ld %d %d %u", &role, &pid, &fd, &err, &restarts) == 5) {
		if (role >= IPC_ROLES)
			return false;
		s->children[role].restarts = restarts;
		if (pid > 0)
			adopt(s, role, pid, fd, err);
	} else if (sscanf(line, "keep %223s %d", text, &fd) == 2) {
		set_cloexec(fd, true);
		if (!keep_parse(text, role_words, &owner, name))
			return false;
		keep_put(s->keep, owner, name, fd); /* systemd has it */
	} else if (sscanf(line, "stop-keeps %" SCNu32, &s->keep_seconds) != 1) {
		return sscanf(line, "upgrades %u", &s->upgrades) == 1;
	}
	return true;
}

bool handover_read(struct supervisor *s, int fd, int *asker, char *why, size_t size)
{
	char line[KEEP_TEXT_MAX + 32];
	FILE *file;

	*asker = -1;
	s->generation = 1;
	file = lseek(fd, 0, SEEK_SET) == 0 ? fdopen(fd, "r") : NULL;
	if (!file || !fgets(line, sizeof(line), file) || strcmp(line, HEADER "\n") != 0) {
		snprintf(why, size, "the former program left nothing that this one understands");
		if (file)
			fclose(file);
		return false;
	}
	while (fgets(line, sizeof(line), file)) {
		if (!read_line(s, line, asker))
			log_to(s->log, LOG_LEVEL_WARN, "job", "", "handover: '%.*s' means nothing",
			       (int)strcspn(line, "\n"), line);
	}
	fclose(file);
	return true;
}
