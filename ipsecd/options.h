/* The command line of ipsecd. */
#ifndef DETOUR_OPTIONS_H
#define DETOUR_OPTIONS_H

#include "ipsecd/sandbox.h"
#include "lib/log.h"

struct dataplane_ops;

struct options {
	const char *config, *secrets, *vici;
	bool config_given, secrets_given;
	const char *crash_secret; /* file */
	const char *plane;	  /* auto, kernel, userspace */
	bool foreground, check, flush;
	bool split;	    /* into processes: supervise.h */
	bool takeover;	    /* from the supervisor that runs */
	bool before_stop;   /* see supervise.h */
	bool check_upgrade; /* internal: could this binary take over from the one that asks? */
	const char *role;   /* internal: which of them; NULL */
	enum sandbox_mode sandbox;
	int state_fd;	      /* internal: a memfd for what outlives the process; -1 */
	double restart_pause; /* seconds, the longest before one that dies is started again */
	enum log_level log_level;
};

/* Parses argv. Returns -1 to go on, else the exit status to leave with at once (0 after
 * --help and --version, 2 after an error, which is then on stderr). */
int options_parse(int argc, char **argv, struct options *out);

/* Copies what points into argv. false: no memory. */
bool options_own(struct options *o);

/* For a process that leaves its folder: paths that hold afterwards, kept until it ends.
 * false: no memory or no folder, see errno. */
bool options_make_absolute(struct options *o);

/* The way back, for processes of ours that are started with the same: the files, and what all of
 * them are given, as words that point into *o. Each returns how many it wrote. */
#define OPTIONS_WORDS_MAX 12
unsigned options_file_words(const struct options *o, const char **argv);
unsigned options_words(const struct options *o, const char **argv); /* with those of the files */

#endif
