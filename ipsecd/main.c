/* ipsecd: options, process set-up, and then the daemon, its supervisor, or one of its roles. */
#include "ipsecd/background.h"
#include "ipsecd/daemon.h"
#include "ipsecd/flush.h"
#include "ipsecd/reload.h"
#include "ipsecd/role.h"
#include "ipsecd/supervise.h"
#include "ipsecd/title.h"
#include "lib/notify.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Keys live in this process: no core files, no ptrace by others of the same user. */
static void keep_memory_private(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* As long as the command has not returned, its caller sees what goes wrong. */
static bool go_to_background(struct options *options)
{
	if (options_make_absolute(options) && background_begin() && chdir("/") == 0)
		return true;
	perror("ipsecd: going to the background");
	return false;
}

static void running(void)
{
	notify_send("READY=1");
	log_echo(false);
	background_running();
}

static int run_role(struct options *options, int argc, char **argv)
{
	static const struct {
		const char *name, *title;
		int (*run)(const struct options *options);
	} roles[] = {
		{"plane", "ipsecd: plane", plane_run},
		{"ike", "ipsecd: ike", ike_run},
		{"helper", "ipsecd: helper", helper_run},
	};

	for (unsigned i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(options->role, roles[i].name) != 0)
			continue;
		if (!options_own(options))
			return 1;
		title_set(argc, argv, roles[i].title);
		return roles[i].run(options);
	}
	fprintf(stderr, "ipsecd: --role '%s': plane, ike or helper\n", options->role);
	return 2;
}

/* Their default is our end. SIGPIPE and SIGXFSZ: whoever reads the log went, or its file is full,
 * and the write that fails tells enough. SIGUSR1, SIGUSR2: to FRR's daemons an order to open the
 * log anew, which a careless hand or script sends to ours, too. */
static void leave_signals(void)
{
	static const int signals[] = {SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2};

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
}

int main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(argc, argv, &options);

	if (status >= 0)
		return status;
	if (options.before_stop)
		return supervise_before_stop(&options);
	if (options.check_upgrade)
		return supervise_check_upgrade(&options);
	if (options.check)
		return reload_check(&options);
	if (options.flush)
		return flush_run(&options);
	keep_memory_private();
	leave_signals();
	if (options.role)
		return run_role(&options, argc, argv);
	if (!options.foreground && !supervise_is_continued() && !go_to_background(&options))
		return 1;
	log_open("ipsecd", !options.foreground, options.log_level);
	log_echo(true);
	return options.split ? supervise_run(&options, running) : daemon_run(&options, running);
}
