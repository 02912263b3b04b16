/* Everything in one process (`ipsecd --single-process`): signals, and the shell over means of its
 * own. */
#include "ipsecd/crash_secret.h"
#include "ipsecd/daemon.h"
#include "ipsecd/shell.h"

struct single {
	struct daemon shell;
	ev_signal term, interrupt, hangup;
	int status; /* of the process, at its end */
	void (*running)(void);
};

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct single *s = w->data;

	(void)loop;
	(void)revents;
	shell_stop(&s->shell);
}

static void on_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct single *s = w->data;

	(void)loop;
	(void)revents;
	reload_run(s->shell.reload, 0);
}

static void on_ended(void *ctx)
{
	struct single *s = ctx;

	ev_break(s->shell.loop, EVBREAK_ALL);
}

static struct means *open_means(void *ctx, const struct means_host *host, char *why, size_t size)
{
	const struct single *s = ctx;

	return means_local_open(host, s->shell.options->plane, why, size);
}

static void watch_signals(struct single *s, struct ev_loop *loop)
{
	ev_signal_init(&s->term, on_term, SIGTERM);
	ev_signal_init(&s->interrupt, on_term, SIGINT);
	ev_signal_init(&s->hangup, on_hangup, SIGHUP);
	s->term.data = s->interrupt.data = s->hangup.data = s;
	ev_signal_start(loop, &s->term);
	ev_signal_start(loop, &s->interrupt);
	ev_signal_start(loop, &s->hangup);
}

static void on_started(void *ctx, bool ok)
{
	struct single *s = ctx;

	s->status = ok ? 0 : 2;
	if (ok)
		s->running();
	else
		ev_break(s->shell.loop, EVBREAK_ALL);
}

static void on_settings(void *ctx, const struct settings *settings)
{
	const struct single *s = ctx;

	if (settings->keep_on_stop)
		log_to(s->shell.log, LOG_LEVEL_WARN, "cfg", "",
		       "keep-on-stop has no effect in a single process: its devices end with it");
}

static int crash_secret(const struct options *options)
{
	char why[320];
	int fd = crash_secret_open(options->crash_secret, why, sizeof(why));

	if (why[0])
		log_to(log_default(), LOG_LEVEL_WARN, "ike", "", CRASH_SECRET_LOST, why);
	return fd;
}

int daemon_run(const struct options *options, void (*running)(void))
{
	struct single s = {.status = 1, .running = running};
	const struct shell_setup setup = {.options = options,
					  .loop = ev_default_loop(0),
					  .open_means = open_means,
					  .vici = -1,
					  .state = options->state_fd,
					  .crash_secret = crash_secret(options),
					  .started = on_started,
					  .settings = on_settings,
					  .ended = on_ended,
					  .ctx = &s};

	if (!setup.loop)
		return 1;
	watch_signals(&s, setup.loop);
	if (shell_open(&s.shell, &setup)) {
		s.status = 0;
		shell_start(&s.shell);
		if (s.status == 0)
			ev_run(setup.loop, 0);
	}
	shell_close(&s.shell);
	return s.status;
}
