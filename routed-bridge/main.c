/* routed-bridge: options, signals, the loop. */
#include "routed-bridge/bridge.h"
#include "routed-bridge/bfd_plane.h"
#include "routed-bridge/service.h"
#include "routed-bridge/status.h"
#include "lib/usage.h"
#include "lib/words.h"

#include <ev.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONFIG_PATH    "/etc/routed-bridge.conf"
#define CONFIG_MAX     (16 << 20)
#define BFD_LINGER_MAX 86400

struct program {
	const char *config_path, *vici, *zserv, *vty_dir, *bfd_dplane,
		*control; /* NULL: as the file says */
	bool foreground, check, status, json;
	enum log_level level;
	struct bridge *bridge;
	struct bfd_plane_options bfd; /* path NULL: a bridge */
};

static const char usage[] =
	"usage: routed-bridge [options]\n"
	"  --config FILE        configuration (" CONFIG_PATH ")\n"
	"  --vici SOCKET        the IKE daemon's vici socket; wins over the file\n"
	"  --zserv SOCKET       zebra's zserv socket; wins over the file\n"
	"  --vty-dir DIR        the folder of zebra.vty; wins over the file\n"
	"  --bfd-dplane SOCKET  where bfdd waits for its data plane; wins over the file\n"
	"  --control SOCKET     where --status asks; wins over the file\n"
	"  --foreground         log to standard error instead of syslog\n"
	"  --log-level LEVEL    error, warn, notice, info or debug (info)\n"
	"  --check              read the configuration, report errors, end\n"
	"  --status             show tunnels, routes and sessions of the bridge that runs, end\n"
	"  --json               with --status: as JSON\n"
	"  --bfd-only SOCKET    run nothing but BFD, for the bfdd that waits at SOCKET\n"
	"  --bfd-linger N       with --bfd-only: end after N seconds without a bridge\n"
	"  --version, --help\n"
	"SIGHUP reads the configuration again; SIGTERM withdraws all routes and ends.\n";

/* ---- options ---- */

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"vici", required_argument, NULL, 'i'},
	{"zserv", required_argument, NULL, 'z'},
	{"vty-dir", required_argument, NULL, 'd'},
	{"control", required_argument, NULL, 'C'},
	{"status", no_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
	{"foreground", no_argument, NULL, 'f'},
	{"log-level", required_argument, NULL, 'l'},
	{"check", no_argument, NULL, 'k'},
	{"version", no_argument, NULL, 'v'},
	{"bfd-dplane", required_argument, NULL, 'p'},
	{"bfd-only", required_argument, NULL, 'b'},
	{"bfd-linger", required_argument, NULL, 'n'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void set_path(const char **to, const char *value)
{
	if (value[0] != '/' || strlen(value) >= BRIDGE_PATH_MAX) {
		fprintf(stderr,
			"routed-bridge: '%s' is not an absolute path of at most %d characters\n",
			value, BRIDGE_PATH_MAX - 1);
		exit(2);
	}
	*to = value;
}

static void set_bfdd_path(const char **to, const char *value)
{
	if (strlen(value) > BRIDGE_BFDD_PATH_MAX) {
		fprintf(stderr,
			"routed-bridge: '%s' is too long; bfdd takes at most %d characters\n",
			value, BRIDGE_BFDD_PATH_MAX);
		exit(2);
	}
	set_path(to, value);
}

static void set_linger(struct program *p, const char *value)
{
	uint64_t n;

	if (!words_parse_number(value, BFD_LINGER_MAX, &n) || n == 0) {
		fprintf(stderr, "routed-bridge: '%s' is not a number from 1 to %d\n", value,
			BFD_LINGER_MAX);
		exit(2);
	}
	p->bfd.linger = (unsigned)n;
}

static void read_option(struct program *p, int option)
{
	switch (option) {
	case 'p':
		set_bfdd_path(&p->bfd_dplane, optarg);
		break;
	case 'b':
		set_bfdd_path(&p->bfd.path, optarg);
		break;
	case 'n':
		set_linger(p, optarg);
		break;
	case 'c':
		p->config_path = optarg;
		break;
	case 'i':
		set_path(&p->vici, optarg);
		break;
	case 'z':
		set_path(&p->zserv, optarg);
		break;
	case 'd':
		set_path(&p->vty_dir, optarg);
		break;
	case 'C':
		set_path(&p->control, optarg);
		break;
	case 's':
		p->status = true;
		break;
	case 'j':
		p->json = true;
		break;
	case 'f':
		p->foreground = true;
		break;
	case 'k':
		p->check = true;
		break;
	case 'l':
		if (!log_parse_level(optarg, &p->level)) {
			usage_not_one_of("routed-bridge", "log level", optarg, log_level_words());
			exit(2);
		}
		break;
	case 'v':
		puts("routed-bridge " DETOUR_VERSION " (Detour)");
		exit(0);
	case 'h':
		fputs(usage, stdout);
		exit(0);
	}
}

static void require(bool holds, const char *rule)
{
	if (holds)
		return;
	fprintf(stderr, "routed-bridge: %s\n", rule);
	exit(2);
}

static void read_options(struct program *p, int argc, char **argv)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == '?' || option == ':') {
			usage_bad_option("routed-bridge", option, argv, options);
			exit(2);
		}
		read_option(p, option);
	}
	if (optind < argc) {
		fprintf(stderr,
			"routed-bridge: unexpected argument '%s' (see routed-bridge --help)\n",
			argv[optind]);
		exit(2);
	}
	require(!p->json || p->status, "--json belongs to --status");
	require(!p->bfd.linger || p->bfd.path, "--bfd-linger belongs to --bfd-only");
	require(p->check + p->status + (p->bfd.path != NULL) <= 1,
		"--check, --status and --bfd-only exclude each other");
}

/* ---- the file ---- */

static void print_error(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

static void log_error(void *ctx, const char *line)
{
	(void)ctx;
	log_to(log_default(), LOG_LEVEL_ERROR, "config", "", "%s", line);
}

/* The whole file; NULL with errno set. The caller frees it. */
static uint8_t *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	uint8_t *text;

	if (!f)
		return NULL;
	text = malloc(CONFIG_MAX);
	errno = 0;
	*len = text ? fread(text, 1, CONFIG_MAX, f) : 0;
	if (text && (ferror(f) || *len == CONFIG_MAX)) {
		if (!ferror(f))
			errno = EFBIG;
		else if (!errno)
			errno = EIO;
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

static void override(char *to, const char *value)
{
	if (value)
		snprintf(to, BRIDGE_PATH_MAX, "%s", value);
}

static struct bridge_config *load_config(const struct program *p,
					 void (*error)(void *ctx, const char *line))
{
	struct bridge_config *c;
	char line[256];
	size_t len;
	uint8_t *text = read_file(p->config_path, &len);

	if (!text) {
		snprintf(line, sizeof(line), "%s: %s", p->config_path, strerror(errno));
		error(NULL, line);
		return NULL;
	}
	c = bridge_config_parse(p->config_path, span_of(text, len), error, NULL);
	free(text);
	if (!c)
		return NULL;
	override(c->vici, p->vici);
	override(c->zserv, p->zserv);
	override(c->vty_dir, p->vty_dir);
	override(c->bfd_dplane, p->bfd_dplane);
	override(c->control, p->control);
	return c;
}

/* ---- signals ---- */

static void on_end(struct ev_loop *loop, ev_signal *signal, int events)
{
	(void)events;
	log_to(log_default(), LOG_LEVEL_NOTICE, "main", "", "signal %d: withdrawing all routes",
	       signal->signum);
	ev_break(loop, EVBREAK_ALL);
}

static void on_reload(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct program *p = signal->data;
	struct bridge_config *c;

	(void)loop;
	(void)events;
	service_reloading();
	c = load_config(p, log_error);
	if (c) {
		log_to(log_default(), LOG_LEVEL_NOTICE, "config", "", "%s read again",
		       p->config_path);
		bridge_reload(p->bridge, c);
	} else {
		log_to(log_default(), LOG_LEVEL_ERROR, "config", "",
		       "%s has errors: nothing is changed", p->config_path);
	}
	service_reloaded();
}

static int run(struct program *p, struct bridge_config *config)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
	struct service service = {.told = ""};
	ev_signal term, interrupt, hup;
	char why[256];

	log_open("routed-bridge", !p->foreground, p->level);
	p->bridge = bridge_new(loop, log_default(), config, why, sizeof(why));
	if (!p->bridge) {
		fprintf(stderr, "routed-bridge: %s\n", why);
		return 1;
	}
	ev_signal_init(&term, on_end, SIGTERM);
	ev_signal_init(&interrupt, on_end, SIGINT);
	ev_signal_init(&hup, on_reload, SIGHUP);
	hup.data = p;
	ev_signal_start(loop, &term);
	ev_signal_start(loop, &interrupt);
	ev_signal_start(loop, &hup);
	service_start(&service, loop, p->bridge);
	ev_run(loop, 0);
	service_stop(&service, loop);
	bridge_free(p->bridge);
	return 0;
}

/* Where the bridge that runs listens: the option, the file that can be read, the default. */
static int show_status(struct program *p)
{
	struct bridge_config *c = NULL;
	int status;

	if (!p->control && access(p->config_path, R_OK) == 0)
		c = load_config(p, print_error);
	if (c && !c->control[0])
		fprintf(stderr, "routed-bridge: %s has 'control no': there is nothing to ask\n",
			p->config_path);
	status = c && !c->control[0] ? STATUS_NO_BRIDGE
				     : status_run(p->control ? p->control
						  : c	     ? c->control
							     : BRIDGE_CONTROL_PATH,
						  p->json);
	bridge_config_free(c);
	return status;
}

/* Their default is our end. SIGPIPE and SIGXFSZ: whoever reads the log went, or its file is full,
 * and the write that fails tells enough. SIGUSR1, SIGUSR2: to FRR's daemons an order to open the
 * log anew, which a careless hand or script sends to us, too. */
static void leave_signals(void)
{
	static const int signals[] = {SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2};

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
}

int main(int argc, char **argv)
{
	struct program p = {.config_path = CONFIG_PATH, .level = LOG_LEVEL_INFO};
	struct bridge_config *config;

	read_options(&p, argc, argv);
	leave_signals();
	if (p.status)
		return show_status(&p);
	if (p.bfd.path) {
		log_open("routed-bridge", !p.foreground, p.level);
		return bfd_plane_run(&p.bfd, log_default());
	}
	config = load_config(&p, print_error);
	if (!config)
		return 2;
	if (!p.check)
		return run(&p, config);
	printf("%s: %zu sections, no errors\n", p.config_path, config->n_sections);
	bridge_config_free(config);
	return 0;
}
