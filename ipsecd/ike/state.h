/* The engine's state as records that another process goes on with: what is in them
 * (state_sa.c, state_child.c, state_task.c, state_conn.c), which ones changed (state.c), taking
 * them (restore.c), and going on (resume.c). engine.h has the contract. */
#ifndef DETOUR_STATE_H
#define DETOUR_STATE_H

#include "ipsecd/ike/codec.h"
#include "ipsecd/ike/conns.h"
#include "ipsecd/ike/exchange.h"

/* Of what is in the records; older ones are read, newer ones refused. */
#define STATE_VERSION 5
/* 1: IKE_SAs without synchronisation of message IDs; 2: CHILD_SAs without resources and AGGFRAG;
 * 3: numbers have all their bytes (codec.h); 4: children without the time that they wait for behind
 * a refusal */
#define STATE_VERSION_MIN 1

#define STATE_REQUEST_MAX IKE_MESSAGE_MAX
#define STATE_TASKS_MAX	  1024
#define STATE_HELD_MAX	  1024

/* What belongs to an IKE_SA and is not in struct ike_sa itself. */
struct state_sa {
	char *conn;
	bool orphan;	/* its conn had been unloaded */
	bool attempt;	/* conn_entry.attempt */
	bool half_open; /* in the table of those, by init_key */
	uint8_t init_key[IKE_INIT_KEY];
	uint64_t digest_ike;
};

/* ---- fields ---- */
void state_sa_fields(struct codec *c, struct ike_engine *e, struct ike_sa *sa, struct state_sa *x);
/* With its CHILD_SAs; reading makes them, unlinked but in sa->children. */
void state_children(struct codec *c, struct ike_engine *e, struct ike_sa *sa);
/* What older records have not, behind their end. */
void state_children_later(struct codec *c, struct ike_sa *sa);
void state_tasks(struct codec *c, struct ike_engine *e, struct ike_sa *sa);
void state_init(struct codec *c, struct ike_engine *e, struct ike_sa *sa);
void state_entry_fields(struct codec *c, struct conn_entry *entry);
void state_engine_fields(struct codec *c, struct ike_engine *e);

/* codec_short of a copy that is allocated. */
void state_short(struct codec *c, struct message_copy *m, size_t max, const char *what);
/* Reads into memory of its own, and takes that if all was well. */
bool state_entry_read(struct codec *c, struct conn_entry *entry);
bool state_engine_read(struct codec *c, struct ike_engine *e);
/* The first field of an entry's record. */
void state_entry_name(struct codec *c, char **name);

/* NULL, or why an IKE_SA that was read can't be. */
const char *state_sa_fault(const struct ike_sa *sa, const struct state_sa *x);
const char *state_child_fault(const struct child *c);

/* Restored: the record of this IKE_SA is older than what its peer has seen. */
struct behind_mark {
	struct behind_mark *next;
	uint64_t id;
};

void state_free_marks(struct ike_engine *e);

/* ---- publishing (state.c) ---- */
bool publisher_new(struct ike_engine *e); /* false: out of memory */
void publisher_free(struct ike_engine *e);
/* What was just taken from its record needs none. Either may be NULL. */
void state_published(struct ike_engine *e, struct ike_sa *sa, struct conn_entry *entry);
void state_engine_published(struct ike_engine *e, struct span data);
/* A record that nobody took, or needs any more: it is published as gone. false: out of memory, it
 * stays, and the next process has to look at it. */
bool state_drop(struct ike_engine *e, const struct ike_record *r);

#endif
