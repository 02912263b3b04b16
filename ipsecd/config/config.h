/* ipsec.conf and ipsec.secrets -> connections, secrets, settings, or a list of
 * errors with file, line and column. The parsers are pure: text in, values out;
 * files that they include come through struct config_reader. load.c brings the file
 * system. docs/config.md and docs/man/ describe the dialect.
 *
 *	struct config config = {0};
 *	struct config_errors errors = {0};
 *	bool ok = config_load("/etc/ipsec.conf", "/etc/ipsec.secrets", &config, &errors);
 *	config_errors_print(&errors, stderr);
 *	...
 *	config_errors_free(&errors);
 *	config_free(&config);
 *
 * Lines are counted from 1, columns too, in bytes. */
#ifndef DETOUR_CONFIG_H
#define DETOUR_CONFIG_H

#include "ipsecd/model/conn.h"
#include "ipsecd/model/secret.h"
#include "ipsecd/model/settings.h"

#include <stdio.h>

#define CONFIG_ERRORS_MAX   50 /* then the rest is left out */
#define CONFIG_INCLUDE_MAX  16 /* includes inside includes */
#define CONFIG_FILE_BYTES   (4 * 1024 * 1024)
#define CONFIG_SECRET_BYTES 1024

enum config_kind { CONFIG_ERROR, CONFIG_WARNING, CONFIG_NOTE };

struct config_message {
	char *file;
	unsigned line, column; /* line 0: the file as a whole */
	enum config_kind kind;
	char *text; /* one sentence */
};

struct config_errors {
	unsigned n, n_errors, n_warnings, n_notes; /* n: messages kept; the others count all */
	struct config_message *list;
};

/* sourceip and dns of one side, as both readings have them. */
struct config_side {
	uint8_t n_vips, n_pools, n_dns;
	struct addr vips[VIPS_MAX], dns[VIP_DNS_MAX];
	struct pool_ref pools[POOL_REFS_MAX];
	bool pools_only, too_many; /* something in it is nothing to ask for */
};

/* A conn and what its other end was given, in case the other end is ours. */
struct config_conn {
	struct conn *conn; /* owned; set to NULL to take it over */
	uint64_t digest;   /* of its text, 0: not known */
	bool left_id_set, swapped;
	bool sided_addrs; /* the device's addresses are left's, these are right's: */
	uint8_t n_right_addrs;
	struct prefix right_addrs[CONN_IF_ADDRS_MAX];
	bool unmanaged;		   /* somebody else makes the device, whatever else is said */
	char *right_updown;	   /* owned; the child has left's */
	struct config_side *sides; /* left, right; owned; NULL: there is nothing on either */
};

struct config {
	unsigned n_conns;
	struct config_conn *conns; /* in the order of the file; auto=ignore is left out */
	unsigned n_secrets;
	struct secret **secrets; /* owned; an entry set to NULL is taken over */
	struct settings settings;
	/* Beside the ones above, what is as it was at the last reading is not told again:
	 * connections are counted, with the sum of their marks (recall_mark), secrets stay. Names
	 * of connections that are no more are `gone`, owned. */
	unsigned n_unchanged, n_gone;
	uint64_t unchanged_sum;
	char **gone;
	bool secrets_unchanged;
};

struct recall;

/* How a parser gets at other files. */
struct config_reader {
	void *ctx;
	/* Calls give(give_ctx, path, text) for each file that `pattern` names (a glob;
	 * relative to the directory of the file `from`), in order. NULL when done, else why
	 * not (valid until the next call). */
	const char *(*include)(void *ctx, const char *pattern, const char *from,
			       void (*give)(void *give_ctx, const char *path, struct span text),
			       void *give_ctx);
	struct recall *recall; /* recall.h, or NULL */
};

/* Both add to *out and *errors; false when there was an error (warnings are none), and
 * then *out holds nothing more than before. reader NULL: include is an error. */
bool ipsec_conf_parse(const char *file, struct span text, const struct config_reader *reader,
		      struct config *out, struct config_errors *errors);
bool ipsec_secrets_parse(const char *file, struct span text, const struct config_reader *reader,
			 struct config *out, struct config_errors *errors);

/* Reads both files (NULL: not that one) with their includes. A secrets file that
 * does not exist is a warning, a missing conf an error; so are unreadable ones. A
 * secrets file that others may read gets a warning. */
bool config_load(const char *conf, const char *secrets, struct config *out,
		 struct config_errors *errors);
/* The same; where `recall` holds at the end, with the connections alone that changed. */
bool config_load_recall(const char *conf, const char *secrets, struct recall *recall,
			struct config *out, struct config_errors *errors);
void config_free(struct config *c);

/* Decides which end is local: left, unless an address of right's is ours and none of
 * left's is; then both ends change places. Call it once for each conn before it is
 * used; calling it again with other addresses decides anew. A right=%defaultroute has
 * been put on the local side already. */
void config_orient(struct config_conn *c, bool (*is_local)(void *ctx, const struct addr *a),
		   void *ctx);

/* Once the ends are known: what deserves a look at this machine (scripts that can't be run) or
 * a word (devices that are left to scripts). No errors. */
void config_check_sourceip(const struct config *c, struct config_errors *errors);
void config_check_scripts(const struct config *c, struct config_errors *errors);

/* "file:line:column: error: sentence", one a line. */
void config_errors_print(const struct config_errors *e, FILE *out);
void config_errors_free(struct config_errors *e);

#endif
