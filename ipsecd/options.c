/* The command line of ipsecd: ipsecd(8) describes it. */
#include "ipsecd/options.h"
#include "ipsecd/crash_secret.h"
#include "lib/usage.h"
#include "lib/vici_codec.h"
#include "lib/words.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	OPT_CONFIG = 1,
	OPT_SECRETS,
	OPT_VICI,
	OPT_CRASH_SECRET,
	OPT_PLANE,
	OPT_FOREGROUND,
	OPT_LOG_LEVEL,
	OPT_CHECK,
	OPT_FLUSH,
	OPT_SPLIT,
	OPT_SINGLE,
	OPT_RESTART_PAUSE,
	OPT_SANDBOX,
	OPT_TAKEOVER,
	OPT_CHECK_UPGRADE,
	OPT_BEFORE_STOP,
	OPT_ROLE,
	OPT_STATE_FD,
	OPT_VERSION,
	OPT_HELP
};

static const struct option table[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"secrets", required_argument, NULL, OPT_SECRETS},
	{"vici", required_argument, NULL, OPT_VICI},
	{"crash-secret", required_argument, NULL, OPT_CRASH_SECRET},
	{"plane", required_argument, NULL, OPT_PLANE},
	{"foreground", no_argument, NULL, OPT_FOREGROUND},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"check", no_argument, NULL, OPT_CHECK},
	{"flush", no_argument, NULL, OPT_FLUSH},
	{"split", no_argument, NULL, OPT_SPLIT},
	{"single-process", no_argument, NULL, OPT_SINGLE},
	{"sandbox", required_argument, NULL, OPT_SANDBOX},
	{"restart-pause", required_argument, NULL, OPT_RESTART_PAUSE},
	{"takeover", no_argument, NULL, OPT_TAKEOVER},
	{"before-stop", no_argument, NULL, OPT_BEFORE_STOP},
	{"check-upgrade", no_argument, NULL, OPT_CHECK_UPGRADE},
	{"role", required_argument, NULL, OPT_ROLE},
	{"state-fd", required_argument, NULL, OPT_STATE_FD},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static const char *const planes[] = {"auto", "kernel", "userspace", NULL};

static const char usage[] =
	"usage: ipsecd [options]\n"
	"  --config FILE     connections and settings (default /etc/ipsec.conf)\n"
	"  --secrets FILE    pre-shared keys (default /etc/ipsec.secrets)\n"
	"  --vici SOCKET     control socket (default " VICI_SOCKET_PATH ")\n"
	"  --crash-secret F  where the secret of quick crash detection outlives a reboot\n"
	"                    (default " CRASH_SECRET_PATH ")\n"
	"  --plane PLANE     auto, userspace or kernel (default auto)\n"
	"  --foreground      stay in the foreground, log to standard error\n"
	"  --log-level L     error, warn, notice, info (default), debug\n"
	"  --split           a supervisor and three processes with few rights each (default)\n"
	"  --single-process  everything in one process, to debug it\n"
	"  --sandbox MODE    of these processes: try (default), require: all of it or no start,\n"
	"                    off\n"
	"  --takeover        take over from the split ipsecd that runs: tunnels stay, it ends\n"
	"  --restart-pause S seconds, the longest pause before a process that dies again and\n"
	"                    again is started again (default 10)\n"
	"  --check           check the configuration and leave: 0 good, 2 errors\n"
	"  --before-stop     for ExecStop= of the unit: with keep-on-stop=, a timer that cleans\n"
	"                    up if nobody starts again\n"
	"  --flush           remove devices, SAs and policies of ours that a daemon left behind\n"
	"  --version         show the version\n"
	"  --help            show this\n";

static bool listed(const char *word, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(word, *list) == 0)
			return true;
	}
	return false;
}

static int take_pause(const char *text, struct options *o)
{
	char *end;

	errno = 0;
	o->restart_pause = strtod(text, &end);
	if (end != text && *end == '\0' && errno == 0 && o->restart_pause >= 0. &&
	    o->restart_pause <= 3600.)
		return -1;
	fprintf(stderr, "ipsecd: --restart-pause '%s': expected seconds from 0 to 3600\n", text);
	return 2;
}

/* For tests, which keep the memory of a daemon that they kill. */
static int take_state_fd(const char *text, struct options *o)
{
	uint64_t fd;

	if (words_parse_number(text, INT32_MAX, &fd)) {
		o->state_fd = (int)fd;
		return -1;
	}
	fprintf(stderr, "ipsecd: --state-fd '%s': expected a descriptor\n", text);
	return 2;
}

static int take(int option, struct options *o)
{
	switch (option) {
	case OPT_CONFIG:
		o->config = optarg;
		o->config_given = true;
		return -1;
	case OPT_SECRETS:
		o->secrets = optarg;
		o->secrets_given = true;
		return -1;
	case OPT_VICI:
		o->vici = optarg;
		return -1;
	case OPT_CRASH_SECRET:
		o->crash_secret = optarg;
		return -1;
	case OPT_PLANE:
		o->plane = optarg;
		if (listed(optarg, planes))
			return -1;
		usage_not_one_of("ipsecd", "plane", optarg, planes);
		return 2;
	case OPT_FOREGROUND:
		o->foreground = true;
		return -1;
	case OPT_LOG_LEVEL:
		if (log_parse_level(optarg, &o->log_level))
			return -1;
		usage_not_one_of("ipsecd", "log level", optarg, log_level_words());
		return 2;
	case OPT_CHECK:
		o->check = true;
		return -1;
	case OPT_FLUSH:
		o->flush = true;
		return -1;
	case OPT_SPLIT:
		o->split = true;
		return -1;
	case OPT_SINGLE:
		o->split = false;
		return -1;
	case OPT_TAKEOVER:
		o->takeover = o->split = true;
		return -1;
	case OPT_BEFORE_STOP:
		o->before_stop = true;
		return -1;
	case OPT_CHECK_UPGRADE:
		o->check_upgrade = true;
		return -1;
	case OPT_SANDBOX:
		if (sandbox_parse_mode(optarg, &o->sandbox))
			return -1;
		usage_not_one_of("ipsecd", "sandbox mode", optarg, sandbox_mode_words());
		return 2;
	case OPT_RESTART_PAUSE:
		return take_pause(optarg, o);
	case OPT_STATE_FD:
		o->split = false;
		return take_state_fd(optarg, o);
	case OPT_ROLE:
		o->role = optarg;
		return -1;
	case OPT_VERSION:
		puts("ipsecd " DETOUR_VERSION " (Detour)");
		return 0;
	default:
		fputs(usage, stdout);
		return 0;
	}
}

int options_parse(int argc, char **argv, struct options *out)
{
	int option, status = -1;

	*out = (struct options){.config = "/etc/ipsec.conf",
				.secrets = "/etc/ipsec.secrets",
				.vici = VICI_SOCKET_PATH,
				.crash_secret = CRASH_SECRET_PATH,
				.plane = "auto",
				.split = true,
				.state_fd = -1,
				.restart_pause = 10.,
				.log_level = LOG_LEVEL_INFO};
	opterr = 0;
	while (status < 0 && (option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
		if (option == '?' || option == ':') {
			usage_bad_option("ipsecd", option, argv, table);
			return 2;
		}
		status = take(option, out);
	}
	if (status < 0 && optind < argc) {
		fprintf(stderr, "ipsecd: unexpected argument '%s' (see ipsecd --help)\n",
			argv[optind]);
		return 2;
	}
	return status;
}

static bool make_absolute(const char **path)
{
	char *folder, *whole;

	if (**path == '/')
		return true;
	folder = getcwd(NULL, 0);
	if (!folder || asprintf(&whole, "%s/%s", folder, *path) < 0)
		whole = NULL;
	free(folder);
	if (whole)
		*path = whole;
	return whole;
}

bool options_make_absolute(struct options *o)
{
	return make_absolute(&o->config) && make_absolute(&o->secrets) && make_absolute(&o->vici) &&
	       make_absolute(&o->crash_secret);
}

static bool own(const char **text)
{
	if (*text)
		*text = strdup(*text);
	return *text;
}

bool options_own(struct options *o)
{
	return own(&o->config) && own(&o->secrets) && own(&o->vici) && own(&o->plane) &&
	       own(&o->crash_secret);
}

static unsigned put(const char **argv, const char *name, const char *value)
{
	argv[0] = name;
	argv[1] = value;
	return 2;
}

unsigned options_file_words(const struct options *o, const char **argv)
{
	unsigned n = 0;

	if (o->config_given)
		n += put(argv + n, "--config", o->config);
	if (o->secrets_given)
		n += put(argv + n, "--secrets", o->secrets);
	return n;
}

unsigned options_words(const struct options *o, const char **argv)
{
	unsigned n = options_file_words(o, argv);

	n += put(argv + n, "--vici", o->vici);
	n += put(argv + n, "--plane", o->plane);
	n += put(argv + n, "--sandbox", sandbox_mode_words()[o->sandbox]);
	n += put(argv + n, "--log-level", log_level_name(o->log_level));
	return n;
}
