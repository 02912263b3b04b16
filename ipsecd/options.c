/* The command line of ipsecd: ipsecd(8) describes it. */
#include "ipsecd/options.h"
#include "lib/vici_codec.h"
#include "lib/words.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	OPT_CONFIG = 1,
	OPT_SECRETS,
	OPT_VICI,
	OPT_PLANE,
	OPT_FOREGROUND,
	OPT_LOG_LEVEL,
	OPT_CHECK,
	OPT_VERSION,
	OPT_HELP
};

static const struct option table[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"secrets", required_argument, NULL, OPT_SECRETS},
	{"vici", required_argument, NULL, OPT_VICI},
	{"plane", required_argument, NULL, OPT_PLANE},
	{"foreground", no_argument, NULL, OPT_FOREGROUND},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"check", no_argument, NULL, OPT_CHECK},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static const char *const option_words[] = {"--config",	   "--secrets",	  "--vici",  "--plane",
					   "--foreground", "--log-level", "--check", "--version",
					   "--help",	   NULL};
static const char *const planes[] = {"auto", "kernel", "userspace", NULL};
static const char *const levels[] = {"error", "warn", "notice", "info", "debug", NULL};

static const char usage[] =
	"usage: ipsecd [options]\n"
	"  --config FILE     connections and settings (default /etc/ipsec.conf)\n"
	"  --secrets FILE    pre-shared keys (default /etc/ipsec.secrets)\n"
	"  --vici SOCKET     control socket (default " VICI_SOCKET_PATH ")\n"
	"  --plane PLANE     auto, userspace or kernel (default auto)\n"
	"  --foreground      stay in the foreground, log to standard error\n"
	"  --log-level L     error, warn, notice, info (default), debug\n"
	"  --check           check the configuration and leave: 0 good, 2 errors\n"
	"  --version         show the version\n"
	"  --help            show this\n";

static int bad_word(const char *what, const char *word, const char *const *known)
{
	const char *near = words_nearest(word, known);

	fprintf(stderr, "ipsecd: %s '%s' is not known", what, word);
	if (near)
		fprintf(stderr, "; did you mean '%s'?\n", near);
	else
		fprintf(stderr, " (see ipsecd --help)\n");
	return 2;
}

static bool listed(const char *word, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(word, *list) == 0)
			return true;
	}
	return false;
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
	case OPT_PLANE:
		o->plane = optarg;
		return listed(optarg, planes) ? -1 : bad_word("plane", optarg, planes);
	case OPT_FOREGROUND:
		o->foreground = true;
		return -1;
	case OPT_LOG_LEVEL:
		return log_parse_level(optarg, &o->log_level)
			       ? -1
			       : bad_word("log level", optarg, levels);
	case OPT_CHECK:
		o->check = true;
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
				.plane = "auto",
				.log_level = LOG_LEVEL_INFO};
	opterr = 0;
	while (status < 0 && (option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
		if (option == ':') {
			fprintf(stderr, "ipsecd: option '%s' needs a value\n", argv[optind - 1]);
			return 2;
		}
		if (option == '?')
			return bad_word("option", argv[optind - 1], option_words);
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
	return make_absolute(&o->config) && make_absolute(&o->secrets) && make_absolute(&o->vici);
}
