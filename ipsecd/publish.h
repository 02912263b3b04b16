/* What a process that takes this one's place needs to go on, in a store that outlives us
 * (state/store.h): the engine's records, connections, secrets, settings, pools that clients
 * loaded, and which names came from the files. All that one input changed is one batch, written
 * before anything that it brings about is carried out: whoever comes after us knows at least as
 * much as the peer has seen.
 *
 * struct publish may be NULL everywhere: nothing outlives us. */
#ifndef DETOUR_PUBLISH_H
#define DETOUR_PUBLISH_H

#include "ipsecd/ike/engine.h"
#include "ipsecd/model/settings.h"
#include "ipsecd/reload.h"
#include "ipsecd/updown.h"

struct publish;
struct store;

/* Takes the memfd. What is damaged or of another version is dropped, with a line in the log: we
 * then begin like anybody. NULL: out of memory, or no memfd; the log has why. */
struct publish *publish_open(int fd, const struct log_sink *log);
/* erase: a regular end, nobody is to go on. */
void publish_close(struct publish *p, bool erase);
/* The configuration of a former process is there; NULL: it is not. For restore.c, which reads it.
 */
const struct store *publish_found(const struct publish *p);

/* Each of these is written with the next publish_run. A conn and a secret keep their place in the
 * order when they change. `tunnel`: the one that it has. */
void publish_settings(struct publish *p, const struct settings *s);
/* What the files say is only partly in force: whoever comes after us reads them anew. */
void publish_reloading(struct publish *p, bool reloading);
void publish_conn(struct publish *p, const struct conn *conn, uint32_t tunnel);
void publish_conn_gone(struct publish *p, const char *name);
void publish_secret(struct publish *p, const struct secret *s);
void publish_secret_gone(struct publish *p, const char *unique);
void publish_pool(struct publish *p, const char *name, const char *addrs, const struct addr *dns,
		  uint8_t n_dns);
void publish_pool_gone(struct publish *p, const char *name);
void publish_vips(struct publish *p, uint32_t tunnel, const struct addr *vips, unsigned n);
/* What scripts of children were told. */
struct updown_keeper publish_updown(struct publish *p);

/* After each input and before its outputs: writes what changed, there and in the engine and the
 * names, as one batch. What can't be written makes the store worthless: it is emptied, and said. */
void publish_run(struct publish *p, struct ike_engine *engine, const struct reload *reload);

/* While restore.c reads, nothing is written: what is told then is what was read. Afterwards conns
 * that the engine does not have go. */
void publish_read_begin(struct publish *p);
void publish_read_end(struct publish *p, const struct ike_engine *engine);
/* What restore.c found under this number of the store, so that a change finds it again. */
enum publish_set { PUBLISH_CONNS, PUBLISH_SECRETS, PUBLISH_POOLS, PUBLISH_UPDOWN, PUBLISH_SETS };

bool publish_know(struct publish *p, enum publish_set set, const char *name, uint64_t id);
/* How many processes in a row began with this state and died before publish_got_through. killed:
 * the last one's death does not count. */
unsigned publish_starts(struct publish *p, bool killed);
void publish_got_through(struct publish *p);
/* All of it is to be had by nobody. */
void publish_forget(struct publish *p);
/* None of the engine's records is to be had: the next process must not try them again. */
void publish_drop_engine(struct publish *p);

#endif
