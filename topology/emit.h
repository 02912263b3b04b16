/* The emitters: one per output, each a pure function from the plan to text. */
#ifndef DETOUR_TOPOLOGY_EMIT_H
#define DETOUR_TOPOLOGY_EMIT_H

#include "topology/plan.h"

#include <stdio.h>

/* For one site (index into plan.sites): */
void emit_ipsec_conf(FILE *out, const struct plan *p, unsigned site);
void emit_ipsec_secrets(FILE *out, const struct plan *p, unsigned site);
void emit_frr_conf(FILE *out, const struct plan *p, unsigned site);
void emit_frr_daemons(FILE *out, const struct plan *p, unsigned site);
void emit_bridge_conf(FILE *out, const struct plan *p, unsigned site);

/* For the whole mesh: */
void emit_clab(FILE *out, const struct plan *p);
void emit_diagram(FILE *out, const struct plan *p);  /* Mermaid */
void emit_survival(FILE *out, const struct plan *p); /* which failures it survives */

#endif
