/* updown scripts: when they run. A child's script runs with "up" when its first CHILD_SA
 * is there and with "down" when the last one is gone; rekeying and reauthentication are
 * no events. It runs once for each pair of selectors of the same family. */
#ifndef DETOUR_UPDOWN_H
#define DETOUR_UPDOWN_H

#include "ipsecd/script.h"
#include "ipsecd/updown_env.h"

struct updown;

/* Remembers beyond this process what scripts were told. Either may be NULL. */
struct updown_keeper {
	void (*told)(void *ctx, const struct updown_told *told); /* "up" was just run */
	void (*undone)(void *ctx, const struct updown_told *told);
	void *ctx;
};

/* Both are copied; keeper may be NULL. */
struct updown *updown_new(const struct script_runner *scripts, const struct updown_keeper *keeper);
void updown_free(struct updown *u); /* runs nothing */
void updown_set_timeout(struct updown *u, uint32_t seconds);

/* CHILD_UP, or it was told in a former process; again for the same CHILD_SA: nothing. `script`
 * NULL: it has none by now. */
void updown_child_up(struct updown *u, const char *script, const struct updown_facts *facts);
void updown_child_rekeyed(struct updown *u, uint64_t old, uint64_t new);
void updown_child_down(struct updown *u, uint64_t child);
/* The daemon ends: "down" for whatever is up. */
void updown_end(struct updown *u);

/* What a former process told, before any CHILD_SA of its; takes what is in *told. */
void updown_know(struct updown *u, struct updown_told *told);
/* All of its CHILD_SAs were told: "down" for what has none any more. */
void updown_resumed(struct updown *u);

#endif
