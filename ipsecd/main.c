/* ipsecd: options, process set-up, and then daemon_run. */
#include "ipsecd/daemon.h"
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

int main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(argc, argv, &options);

	if (status >= 0)
		return status;
	if (options.check)
		return reload_check(&options);
	keep_memory_private();
	signal(SIGPIPE, SIG_IGN);
	if (!options.foreground && daemon(0, 0) < 0) {
		perror("ipsecd: going to the background");
		return 1;
	}
	log_open("ipsecd", !options.foreground, options.log_level);
	return daemon_run(&options);
}
