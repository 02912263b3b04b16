/* Bodies of vici messages that several commands and events share. */
#ifndef DETOUR_CONTROL_BODIES_H
#define DETOUR_CONTROL_BODIES_H

#include "ipsecd/control/control.h"
#include "lib/vici_codec.h"

/* The fields of an IKE_SA as in list-sa, without the section around them. */
void body_put_ike(struct buf *b, const struct ike_sa_info *ike, mono_time now);
/* The fields of a CHILD_SA as in list-sa; stats NULL where it is not installed, tunnel NULL where
 * its device is not known. */
void body_put_child(struct buf *b, const struct ike_child_info *child,
		    const struct dataplane_child_stats *stats, const struct control_tunnel *tunnel,
		    mono_time now);
/* The fields of a conn as in list-conn, auth sections included, and its children from the first-th
 * on, as many as the packet holds, but one at least; returns the number of the next one. */
unsigned body_put_conn(struct buf *b, const struct conn *conn, unsigned first);
/* No room is left to end the sections of an event. */
bool body_full(const struct buf *b);
/* The fields of a policy as in list-policy: what traffic brings a child up. */
void body_put_policy(struct buf *b, const struct conn *conn, const struct child_config *child);
void body_put_tunnel(struct buf *b, const struct control_tunnel *tunnel);
/* "AES_GCM_16" of an encryption algorithm (names carry the key size); text of 32 bytes. */
const char *body_encr_name(const struct algorithm_encr *encr, char *text);

#endif
