/* What the three *_msg.c files share: addresses, selectors and tags in the kernel's layout.
 * For them only. */
#ifndef DETOUR_XFRM_CODEC_H
#define DETOUR_XFRM_CODEC_H

#include "ipsecd/dataplane/xfrm_msg.h"

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

/* What the headers of Linux 6.1 do not have yet; one byte (6.10), a processor's number (6.13). */
#define XFRM_ATTR_SA_DIR  33
#define XFRM_ATTR_SA_PCPU 35
#define XFRM_ATTR_DIR_OUT 2

/* Family 0 is zeroes. */
void xfrm_put_addr(const struct addr *a, xfrm_address_t *out);
/* The whole address; family 0 for zeroes where `any` says that they mean none. */
struct addr xfrm_get_addr(const xfrm_address_t *a, uint16_t family, bool any);
void xfrm_put_sel(const struct xfrm_sel *s, struct xfrm_selector *out);
/* false: prefixes longer than the family's addresses, or an unknown family. */
bool xfrm_get_sel(const struct xfrm_selector *s, struct xfrm_sel *out);
void xfrm_put_no_limits(struct xfrm_lifetime_cfg *out);
bool xfrm_put_tag(struct nlmsghdr *h, size_t size, const struct xfrm_tag *tag);
/* XFRMA_MARK and XFRMA_IF_ID; others are passed over. */
void xfrm_take_tag(const struct nlattr *attr, struct xfrm_tag *out);
void xfrm_take_u32(const struct nlattr *attr, uint32_t *out);

/* Of a kernel's name, in an array as its structs have it; 0: another. */
uint16_t xfrm_encr_id(const char *name);
uint16_t xfrm_integ_id(const char *name);

/* Bodies of messages, which events have in other places: a struct xfrm_usersa_info, a struct
 * xfrm_userpolicy_info, as they lie. false: malformed. */
bool xfrm_get_state(const void *body, struct xfrm_state_info *out);
void xfrm_take_state_attr(const struct nlattr *attr, struct xfrm_state_info *out);
bool xfrm_get_policy(const void *body, struct xfrm_policy *out);
void xfrm_take_policy_attr(const struct nlattr *attr, struct xfrm_policy *out);

#endif
