/* ipsecd: options, process set-up, and then daemon_run. */
#include "ipsecd/background.h"
#include "ipsecd/daemon.h"
#include "ipsecd/flush.h"
#include "ipsecd/reload.h"

#include <signal.h>
#include <stdio.h>
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
	log_echo(false);
	background_running();
}

int main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(argc, argv, &options);

	if (status >= 0)
		return status;
	if (options.check)
		return reload_check(&options);
	if (options.flush)
		return flush_run(&options);
	keep_memory_private();
	signal(SIGPIPE, SIG_IGN);
	if (!options.foreground && !go_to_background(&options))
		return 1;
	log_open("ipsecd", !options.foreground, options.log_level);
	log_echo(true);
	return daemon_run(&options, running);
}
