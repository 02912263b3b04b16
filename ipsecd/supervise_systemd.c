/* What systemd is told, and what it keeps while no process of ours lives. */
#include "ipsecd/supervise_parts.h"
#include "lib/notify.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLEAN_UP "ipsecd-clean-up"

void systemd_kept(unsigned owner, const char *name, int fd)
{
	char text[KEEP_TEXT_MAX];

	if (!notify_on())
		return;
	keep_text(role_words[owner], name, text);
	if (fd >= 0)
		notify_store(text, fd);
	else
		notify_forget(text);
}

static void take(void *ctx, const char *text, int fd)
{
	struct supervisor *s = ctx;
	char name[KEEP_NAME_MAX];
	unsigned owner;

	if (keep_parse(text, role_words, &owner, name)) {
		keep_put(s->keep, owner, name, fd);
		return;
	}
	log_to(s->log, LOG_LEVEL_WARN, "job", "",
	       "a descriptor named '%s' came from the service manager: closed", text);
	close(fd);
}

/* A socket of another path is another daemon's, or a former configuration's. */
static void check_path(struct supervisor *s, const char *name, const char *path)
{
	int fd = keep_find(s->keep, OWNER_SELF, name);
	struct sockaddr_un un = {0};
	socklen_t len = sizeof(un) - 1;

	if (fd < 0)
		return;
	if (getsockname(fd, (struct sockaddr *)&un, &len) == 0 && strcmp(un.sun_path, path) == 0 &&
	    access(path, F_OK) == 0)
		return;
	supervise_drop(s, OWNER_SELF, name);
}

/* ---- who never starts again is cleaned up after ---- */

static pid_t start(const char *const *argv)
{
	int null;
	pid_t pid = fork();

	if (pid == 0) {
		null = open("/dev/null", O_RDWR);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

/* false: it could not be run, or failed. For the end: the loop, which would wait for it, too, does
 * not run any more. */
static bool command(const char *const *argv)
{
	pid_t pid = start(argv);
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static void stop_clean_up(void)
{
	static const char *const argv[] = {"systemctl", "--no-block", "stop", CLEAN_UP ".timer",
					   NULL};

	start(argv); /* nobody waits: packets do */
}

/* What we leave in the kernel and in systemd's store. Both refuse where a daemon runs again. */
void systemd_clean_up_later(const struct supervisor *s)
{
	char when[48], unit[256] = "ipsecd.service";
	const char *argv[] = {"systemd-run",
			      "--quiet",
			      "--collect",
			      "--unit=" CLEAN_UP,
			      when,
			      "--timer-property=AccuracySec=1s",
			      "/bin/sh",
			      "-c",
			      "\"$0\" --flush --vici \"$1\"; "
			      "systemctl clean --what=fdstore \"$2\"",
			      s->binary,
			      s->options->vici,
			      unit,
			      NULL};

	notify_unit(unit, sizeof(unit));
	snprintf(when, sizeof(when), "--on-active=%us", s->keep_seconds);
	if (s->binary && command(argv))
		log_to(s->log, LOG_LEVEL_NOTICE, "job", "",
		       "SAs and devices stay for the next start, %u s long", s->keep_seconds);
	else
		log_to(s->log, LOG_LEVEL_WARN, "job", "",
		       "SAs and devices stay for the next start; nobody removes them if there is "
		       "none (systemd-run failed): ipsecd --flush does");
}

void systemd_take(struct supervisor *s)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	notify_each_stored(take, s);
	check_path(s, "vici", s->options->vici);
	if (socket_path(s->options->vici, path, sizeof(path)))
		check_path(s, "socket", path);
	if (!keep_count(s->keep))
		return;
	s->reload_due = true;
	stop_clean_up();
	log_to(s->log, LOG_LEVEL_NOTICE, "job", "",
	       "going on with %u descriptors that the service manager kept", keep_count(s->keep));
}

static void on_watchdog(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	notify_send("WATCHDOG=1");
}

void systemd_watch(struct supervisor *s)
{
	double within = notify_watchdog();

	ev_timer_init(&s->watchdog, on_watchdog, 0., within / 3.);
	if (within > 0.)
		ev_timer_start(s->loop, &s->watchdog);
}
