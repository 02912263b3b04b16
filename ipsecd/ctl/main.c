/* ipsecctl: the operator's command. Options, and the table of commands. */
#include "ipsecd/ctl/ctl.h"
#include "lib/usage.h"
#include "lib/words.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_TIMEOUT 30

enum {
	OPT_VICI = 1,
	OPT_JSON,
	OPT_IKE,
	OPT_CHILD,
	OPT_REAUTH,
	OPT_FORCE,
	OPT_TIMEOUT,
	OPT_VERBOSE,
	OPT_SECRETS,
	OPT_VERSION,
	OPT_HELP
};

static const struct option options[] = {
	{"vici", required_argument, NULL, OPT_VICI},
	{"json", no_argument, NULL, OPT_JSON},
	{"ike", no_argument, NULL, OPT_IKE},
	{"child", no_argument, NULL, OPT_CHILD},
	{"reauth", no_argument, NULL, OPT_REAUTH},
	{"force", no_argument, NULL, OPT_FORCE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"secrets", required_argument, NULL, OPT_SECRETS},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static const struct {
	const char *name;
	int (*run)(struct ctl *c);
	int min_args, max_args;
	bool needs_daemon;
	unsigned options; /* bits of those that it takes; --vici, which may be an alias's, all do */
} commands[] = {
	{"status", command_status, 0, 1, true, 1U << OPT_JSON},
	{"up", command_up, 1, 1, true, 1U << OPT_TIMEOUT | 1U << OPT_VERBOSE},
	{"down", command_down, 1, 1, true, 1U << OPT_TIMEOUT | 1U << OPT_VERBOSE | 1U << OPT_FORCE},
	{"rekey", command_rekey, 1, 1, true,
	 1U << OPT_TIMEOUT | 1U << OPT_VERBOSE | 1U << OPT_IKE | 1U << OPT_CHILD |
		 1U << OPT_REAUTH},
	{"monitor", command_monitor, 0, 0, true, 1U << OPT_JSON},
	{"log", command_log, 0, 0, true, 0},
	{"pools", command_pools, 0, 1, true, 1U << OPT_JSON},
	{"check", command_check, 0, 1, false, 1U << OPT_SECRETS},
	{"upgrade", command_upgrade, 0, 1, false, 1U << OPT_TIMEOUT | 1U << OPT_FORCE},
	{"reload", command_reload, 0, 0, true, 1U << OPT_TIMEOUT},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char usage[] =
	"usage: ipsecctl [options] command\n"
	"  status [NAME]     connections and their tunnels; with NAME, exit status 4 if not up\n"
	"  up NAME           bring a connection up (or one child of it)\n"
	"  down NAME         take it down: routes move first, then the SAs are deleted\n"
	"  rekey NAME        new keys for the CHILD_SAs and the IKE_SA\n"
	"  reload            read the configuration files again, by difference (as SIGHUP does)\n"
	"  monitor           SAs and links coming and going, until interrupted\n"
	"  log               the daemon's log, until interrupted\n"
	"  pools [NAME]      address pools and their leases\n"
	"  check [FILE]      check a configuration without using it (default /etc/ipsec.conf)\n"
	"  upgrade [BINARY]  let a new ipsecd take over; tunnels stay (default: the binary where\n"
	"                    the running one was started from)\n"
	"options:\n"
	"  --vici SOCKET     the daemon's control socket (default " VICI_SOCKET_PATH ")\n"
	"  --json            status, monitor, pools: as JSON\n"
	"  --ike, --child    rekey: only the IKE_SA, only the CHILD_SAs\n"
	"  --reauth          rekey: a new IKE_SA with a new authentication, and new CHILD_SAs\n"
	"  --force           down: the SAs are deleted at once, packets under way are lost;\n"
	"                    upgrade: also to one that can't read what the running one knows\n"
	"  --timeout S       up, down, rekey, reload, upgrade: seconds to wait for the result\n"
	"                    (default 30)\n"
	"  --verbose         up, down, rekey: the daemon's log meanwhile\n"
	"  --secrets FILE    check: the keys (default: ipsec.secrets beside FILE, else\n"
	"                    /etc/ipsec.secrets)\n"
	"  --version         show the version\n"
	"  --help            show this\n";

static int bad_command(const char *word)
{
	const char *names[COMMANDS + 1] = {0};

	for (unsigned i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	usage_unknown("ipsecctl", "command", word, names);
	return CTL_USAGE;
}

static int take_timeout(struct ctl *c, const char *text)
{
	mono_time t;

	if (!words_parse_duration(text, &t) || t < MONO_S || t > 86400 * MONO_S) {
		ctl_error("--timeout '%s': expected a time from 1s to 1d", text);
		return CTL_USAGE;
	}
	c->timeout_s = (int)(t / MONO_S);
	return -1;
}

/* -1: go on; else the exit status. */
static int take_option(struct ctl *c, int option, char **argv)
{
	switch (option) {
	case OPT_VICI:
		c->socket = optarg;
		return -1;
	case OPT_JSON:
		c->json = true;
		return -1;
	case OPT_IKE:
		c->ike_only = true;
		return -1;
	case OPT_CHILD:
		c->child_only = true;
		return -1;
	case OPT_REAUTH:
		c->reauth = true;
		return -1;
	case OPT_FORCE:
		c->force = true;
		return -1;
	case OPT_TIMEOUT:
		return take_timeout(c, optarg);
	case OPT_VERBOSE:
		c->verbose = true;
		return -1;
	case OPT_SECRETS:
		c->secrets = optarg;
		return -1;
	case OPT_VERSION:
		puts("ipsecctl " DETOUR_VERSION " (Detour)");
		return CTL_OK;
	case OPT_HELP:
		fputs(usage, stdout);
		return CTL_OK;
	default:
		usage_bad_option("ipsecctl", option, argv, options);
		return CTL_USAGE;
	}
}

/* given: bits of options. -1: all are the command's. */
static int check_options(const char *word, unsigned given, unsigned taken)
{
	for (const struct option *o = options; o->name; o++) {
		if (given >> o->val & ~(taken >> o->val) & 1) {
			ctl_error("%s: there is no option '--%s' of this command (see ipsecctl "
				  "--help)",
				  word, o->name);
			return CTL_USAGE;
		}
	}
	return -1;
}

static int run(struct ctl *c, const char *word, unsigned given)
{
	for (unsigned i = 0; i < COMMANDS; i++) {
		int status;

		if (strcmp(word, commands[i].name) != 0)
			continue;
		if (c->argc < commands[i].min_args || c->argc > commands[i].max_args) {
			ctl_error("%s: %s (see ipsecctl --help)", word,
				  c->argc < commands[i].min_args
					  ? "the connection's name is missing"
					  : "too many words");
			return CTL_USAGE;
		}
		status = check_options(word, given, commands[i].options | 1U << OPT_VICI);
		if (status >= 0)
			return status;
		status = commands[i].needs_daemon ? ctl_connect(c) : CTL_OK;
		if (!status)
			status = commands[i].run(c);
		vici_client_close(c->client);
		return status;
	}
	return bad_command(word);
}

int main(int argc, char **argv)
{
	struct ctl c = {.socket = VICI_SOCKET_PATH, .timeout_s = DEFAULT_TIMEOUT};
	int option, status = -1;
	unsigned given = 0;

	signal(SIGPIPE, SIG_DFL);
	opterr = 0;
	while (status < 0 && (option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		status = take_option(&c, option, argv);
		given |= option <= OPT_HELP ? 1U << option : 0;
	}
	if (status >= 0)
		return status;
	if (c.ike_only + c.child_only + c.reauth > 1) {
		ctl_error("--ike, --child and --reauth exclude each other");
		return CTL_USAGE;
	}
	if (optind == argc) {
		ctl_error("a command is missing");
		fputs(usage, stderr);
		return CTL_USAGE;
	}
	c.argc = argc - optind - 1;
	c.argv = argv + optind + 1;
	return run(&c, argv[optind], given);
}
