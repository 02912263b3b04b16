/* Reading the bodies of vici events that tell of SAs: sections one after the other, and
 * the few values that matter here. Pure; bodies were checked by vici_body_check. */
#ifndef DETOUR_VICI_BODY_H
#define DETOUR_VICI_BODY_H

#include "lib/addr.h"
#include "lib/vici_codec.h"

/* Walks the sections directly inside a body. */
struct body_walk {
	struct vici_iter it;
	struct span name, body;
};

struct body_walk body_walk(struct span body);
bool body_next(struct body_walk *w);

bool body_number(struct span body, const char *path, uint32_t *out);
bool body_says_yes(struct span body, const char *path);
/* Can the CHILD_SA of this section carry traffic? REKEYED is the replaced one: its
 * successor counts. */
bool body_usable(struct span section);
/* The remote-ts list of a CHILD_SA's section. Returns how many prefixes it has and, unless
 * out is NULL, writes them. Selectors that are no prefix are left out. */
size_t body_selectors(struct span section, struct prefix *out);
/* The remote-vips list of an IKE_SA's section as host prefixes; as body_selectors. */
size_t body_vips(struct span section, struct prefix *out);
/* A traffic selector as vici writes it: "10.0.0.0/24", "10.0.0.1/32[tcp/80]". false for
 * ranges and other forms that are no prefix. */
bool body_parse_selector(struct span text, struct prefix *out);

#endif
