/* What systemd is told, and what it keeps while no process of ours lives. */
#include "ipsecd/config/errors.h"
#include "ipsecd/reload.h"
#include "ipsecd/supervise.h"
#include "ipsecd/supervise_parts.h"
#include "lib/line_socket.h"
#include "lib/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

/* Replaces what a stop before this one made. While a daemon runs again, both commands refuse. */
static int make_timer(const char *binary, const char *vici, uint32_t seconds)
{
	static const char script[] =
		"systemctl stop " CLEAN_UP ".timer 2>/dev/null; exec systemd-run --quiet --collect "
		"--unit=" CLEAN_UP " --on-active=\"$2s\" --timer-property=AccuracySec=1s "
		"/bin/sh -c '\"$0\" --flush --vici \"$1\"; systemctl clean --what=fdstore \"$2\"' "
		"\"$0\" \"$1\" \"$3\"";
	char number[16], unit[256] = "ipsecd.service";

	notify_unit(unit, sizeof(unit));
	snprintf(number, sizeof(number), "%u", seconds);
	execl("/bin/sh", "sh", "-c", script, binary, vici, number, unit, (char *)NULL);
	perror("ipsecd --before-stop: /bin/sh");
	return 1;
}

int supervise_before_stop(const struct options *options)
{
	struct config_errors errors = {0};
	struct config config = {0};
	uint32_t seconds = 0;
	char *binary = upgrade_own_path();
	int status;

	if (reload_files(options, &config, &errors))
		seconds = config.settings.keep_on_stop;
	config_errors_free(&errors);
	config_free(&config);
	status = !seconds ? 0 : binary ? make_timer(binary, options->vici, seconds) : 1;
	free(binary);
	return status;
}

void systemd_take(struct supervisor *s)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	notify_each_stored(take, s);
	check_path(s, "vici", s->options->vici);
	if (line_path(s->options->vici, path, sizeof(path)))
		check_path(s, "socket", path);
	if (!keep_count(s->keep))
		return;
	s->reload_due = true;
	/* It kept for us: as long as ike has not said otherwise that is still so. */
	s->keep_seconds = 1;
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
