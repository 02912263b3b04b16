/* The interfaces and VRFs as zebra, or the kernel where there is none, sees them. An interface that
 * is deleted and made again is a new one, even under the same name and ifindex: `generation` tells
 * them apart. */
#ifndef DETOUR_INTERFACES_H
#define DETOUR_INTERFACES_H

#include "routed-bridge/zapi.h"

struct interfaces;

struct interface {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	uint32_t vrf;	     /* id: ifindex of the VRF device, or ZAPI_VRF_DEFAULT */
	uint32_t generation; /* another one whenever zebra meets the name anew */
	bool present;
	bool operative; /* IFF_UP and IFF_RUNNING: routes over it can work */
	bool link_detect;
};

struct interfaces *interfaces_new(void); /* NULL when out of memory */
void interfaces_free(struct interfaces *t);
/* Takes an INTERFACE_* message in. Returns the interface if it changed in a way that
 * matters, else NULL; valid while it is present, and until the next call of this. */
const struct interface *interfaces_update(struct interfaces *t, enum zapi_command command,
					  const struct zapi_interface *report);
/* A VRF came, or got another name or table. false: nothing changed. */
bool interfaces_vrf_add(struct interfaces *t, uint32_t id, const struct zapi_vrf *vrf);
void interfaces_vrf_delete(struct interfaces *t, uint32_t id);
/* The id behind a name ("default": ZAPI_VRF_DEFAULT); false for one that is not there. */
bool interfaces_vrf_find(const struct interfaces *t, const char *name, uint32_t *id);
bool interfaces_vrf_present(const struct interfaces *t, uint32_t id);
/* NULL for one that is not there, and for the default one. */
const char *interfaces_vrf_name(const struct interfaces *t, uint32_t id);
/* The kernel's table of a VRF, also of one that is gone; 0 for one that was never known. */
uint32_t interfaces_vrf_table(const struct interfaces *t, uint32_t id);
/* Zebra is gone: nothing is known. */
void interfaces_forget(struct interfaces *t);
/* All are about to be told of again; those that were not are gone: interfaces_forget_doubted,
 * true if there were any. */
void interfaces_doubt(struct interfaces *t);
bool interfaces_forget_doubted(struct interfaces *t);
/* Whether zebra ignores the state of this interface's link ("no link-detect") and nobody was told:
 * true once each time that it is found so. */
bool interfaces_blind_news(struct interfaces *t, const char *name);
/* NULL for a name that was never seen, or is gone for long. */
const struct interface *interfaces_find(const struct interfaces *t, const char *name);
/* The one that is present with that ifindex; NULL: none. */
const struct interface *interfaces_at(const struct interfaces *t, uint32_t ifindex);

#endif
