/* One tunnel device of the kernel: a vti (IPv4 outside), vti6 (IPv6 outside) or xfrm
 * interface. It is made, or one that is there is adopted when it fits, and it is given back or
 * removed in the end. What is ours is told by the link's alias, which outlives us and holds
 * what an adopted device had before. Knows no tunnel and no SA. */
#ifndef DETOUR_VTI_H
#define DETOUR_VTI_H

#include "ipsecd/dataplane/device.h"
#include "lib/netlink_device.h"

#define VTI_SETTINGS   10
#define VTI_VALUE_TEXT 12

enum vti_owner { VTI_NONE, VTI_MADE, VTI_ADOPTED };

/* What an adopted device is given back with; "" where nothing was changed. */
struct vti_saved {
	char settings[VTI_SETTINGS][VTI_VALUE_TEXT];
	uint32_t mtu;
	uint8_t linkmode;
	bool up;
	struct addr local, remote;
	char alias[NETLINK_ALIAS_MAX + 1];
};

struct vti {
	enum vti_owner owner;
	int ifindex;		      /* 0: none */
	bool oper_up, admin_up;	      /* as found or made */
	bool stays_down;	      /* one of ours that somebody set down */
	struct netlink_device device; /* as it is now */
	struct vti_saved saved;	      /* of an adopted one */
};

/* What the configuration asks for. */
struct vti_wish {
	const char *name;
	enum device_kind kind;
	uint32_t ikey, okey;	   /* 0: any of an existing device, `key` of a new one */
	uint32_t if_id;		   /* likewise */
	uint32_t key;		   /* for a new one */
	int other;		   /* ifindex of a device of another name that may serve; 0: none */
	struct addr local, remote; /* outer; family 0: not known */
};

bool vti_is_vti(const struct netlink_device *d);    /* vti or vti6 */
uint8_t vti_family(const struct netlink_device *d); /* outer family it is bound to; 0: any */

/* Can this device serve? Else `why` says what differs. Pure. */
bool vti_fits(const struct netlink_device *d, const struct vti_wish *w, char *why, size_t size);

/* Makes or takes the device; on failure nothing has changed and `why` has the words. 0, -EEXIST
 * (there is one that does not fit, or another vti has the endpoints) or another error. */
int vti_obtain(struct vti *v, struct netlink *nl, const struct vti_wish *w, char *why, size_t size);
/* Only takes one that is there already (an external tunnel's). */
int vti_take(struct vti *v, struct netlink *nl, int ifindex, const struct vti_wish *w, char *why,
	     size_t size);
/* Gives an adopted device back as it was, removes one that was made by us. */
void vti_release(struct vti *v, struct netlink *nl);
/* Likewise for a device whose alias says that it is ours; VTI_NONE: it is not. */
enum vti_owner vti_reclaim(struct netlink *nl, const struct netlink_link *link,
			   const struct netlink_device *device);
/* Makes the endpoints of a vti these; remote of family 0: nobody's. 0 for an xfrm interface. */
int vti_follow(struct vti *v, struct netlink *nl, const struct addr *local,
	       const struct addr *remote, char *why, size_t size);

/* The alias of a device of ours, and back. Pure. false: not one of ours. */
void vti_alias_format(const struct vti *v, char *out);
bool vti_alias_parse(const char *alias, enum vti_owner *owner, struct vti_saved *saved);

#endif
