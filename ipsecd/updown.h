/* updown scripts: when they run. A child's script runs with "up" when its first CHILD_SA
 * is there and with "down" when the last one is gone; rekeying and reauthentication are
 * no events. It runs once for each pair of selectors of the same family. */
#ifndef DETOUR_UPDOWN_H
#define DETOUR_UPDOWN_H

#include "ipsecd/script.h"
#include "ipsecd/updown_env.h"

struct updown;

struct updown *updown_new(const struct script_runner *scripts); /* copied */
void updown_free(struct updown *u);				/* runs nothing */
void updown_set_timeout(struct updown *u, uint32_t seconds);

/* CHILD_UP. `script` NULL: it has none. */
void updown_child_up(struct updown *u, const char *script, const struct updown_facts *facts);
/* It was up before this process began, and its script ran then. */
void updown_child_resumed(struct updown *u, const char *script, const struct updown_facts *facts);
void updown_child_rekeyed(struct updown *u, uint64_t old, uint64_t new);
void updown_child_down(struct updown *u, uint64_t child);
/* The daemon ends: "down" for whatever is up. */
void updown_end(struct updown *u);

#endif
