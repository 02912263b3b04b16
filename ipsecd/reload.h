/* Configuration files into the running daemon, by difference: what did not change is
 * not touched, and files with errors change nothing. */
#ifndef DETOUR_RELOAD_H
#define DETOUR_RELOAD_H

#include "ipsecd/config/errors.h"
#include "ipsecd/ike/engine.h"
#include "ipsecd/options.h"

struct reload;

/* PARTLY: the files are in force but for connections or secrets that were refused. FAILED: nothing
 * was changed. */
enum reload_end { RELOAD_DONE, RELOAD_PARTLY, RELOAD_FAILED };

struct reload_host {
	/* `config setup`, before anything that is loaded. */
	void (*settings)(void *ctx, const struct settings *settings);
	/* What is done to every conn before it is compared with the one that is loaded. false:
	 * it can't be loaded, `why`. */
	bool (*prepare_conn)(void *ctx, struct conn *conn, char *why, size_t size);
	/* Ahead of load_conn, for conns that are new, in the same order; `expected` once all are
	 * loaded. NULL: nothing is gained by that. */
	void (*expect_conn)(void *ctx, struct conn *conn);
	void (*expected)(void *ctx);
	/* Takes the conn (also on failure). The reason of a refusal in `why`. */
	bool (*load_conn)(void *ctx, struct conn *conn, char *why, size_t size);
	bool (*unload_conn)(void *ctx, const char *name, const char **error);
	/* For a conn that did not change: its device as configured, if somebody removed it or
	 * its addresses. */
	bool (*mend_conn)(void *ctx, const struct conn *conn, char *why, size_t size);
	/* Before and behind a mend_conn of all conns that another process left out. false: it would
	 * do nothing for any of them. all: for none it failed. NULL: nobody knows. */
	bool (*mend_begin)(void *ctx);
	void (*mend_end)(void *ctx, bool all);
	bool (*load_secret)(void *ctx, struct secret *secret, const char **error);
	bool (*unload_secret)(void *ctx, const char *unique, const char **error);
	/* Asks another process to read the files; reload_read follows. whole: also what did not
	 * change since the last time. false: that can't be, `why`. NULL: they are read here and
	 * now. */
	bool (*read)(void *ctx, bool whole, char *why, size_t size);
	/* The end of a reload_run with this tag. Not RELOAD_DONE: `why`, in a sentence. */
	void (*done)(void *ctx, uint64_t tag, enum reload_end end, const char *why);
	void *ctx;
	const struct ike_engine *engine; /* what is loaded now, to compare with */
	const struct log_sink *log;
};

/* Reads and reports; the exit status of `ipsecd --check`. */
int reload_check(const struct options *options);

/* Since the start, a PARTLY as failed; at: wall clock, seconds, of the last one that is in force,
 * if partly, 0: none. */
struct reload_counters {
	uint64_t succeeded, failed;
	long long at;
	bool last_ok;
};

const struct reload_counters *reload_counters(const struct reload *r);

/* Why the last one was not RELOAD_DONE; "": it was. */
const char *reload_failure(const struct reload *r);
/* Connections that the files give and that are not in force as they give them. */
void reload_each_refused(const struct reload *r,
			 void (*cb)(void *ctx, const char *name, const char *why), void *ctx);

struct reload *reload_new(const struct options *options, const struct reload_host *host);
void reload_free(struct reload *r);
/* Reads the files and carries out the difference; host.done says when, perhaps before the
 * return. Errors in the files are reported to the log, and nothing is changed. Connections
 * loaded by vici stay as they are. */
void reload_run(struct reload *r, uint64_t tag);
/* Not all of what is loaded is as it was read: the next reading leaves nothing out. */
void reload_doubt(struct reload *r);
/* Because what had been read is lost elsewhere, `why` (kept, not copied): all is read, but not more
 * often than each 10 s; what comes too soon waits for reload_tick. */
void reload_again(struct reload *r, enum log_level level, const char *why, mono_time now);
void reload_tick(struct reload *r, mono_time now);
/* What host.read asked for. Both are emptied; ok false: `errors` say why. */
void reload_read(struct reload *r, bool ok, struct config *config, struct config_errors *errors);
/* ... and when nobody could read them. */
void reload_unread(struct reload *r, const char *why);

/* Which names came from the files: a new process is told them again, and goes on as if it had read
 * the files itself. `names` changes with them. */
enum reload_set { RELOAD_CONNS, RELOAD_SECRETS, RELOAD_SETS };

uint64_t reload_names(const struct reload *r);
void reload_each_name(const struct reload *r, enum reload_set set,
		      void (*cb)(void *ctx, const char *name), void *ctx);
void reload_know(struct reload *r, enum reload_set set, const char *name);

/* The reading itself, in any process: files, which end of each conn is ours, scripts. */
bool reload_files(const struct options *o, struct config *config, struct config_errors *errors);
/* The same with what was recalled (config/recall.h). *holds false: nothing was gained, and all is
 * to be read. Addresses of this machine are as they were at the last reading. */
bool reload_files_recall(const struct options *o, struct recall *recall, bool *holds,
			 struct config *config, struct config_errors *errors);

#endif
