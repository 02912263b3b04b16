/* nf_tables messages of the MSS clamp: one table of ours, family inet, with a chain in the
 * forward hook and a map per IP version from device to segment size. Four rules do the work
 * for all tunnels: of a TCP SYN, to or from a device in a map, the option is lowered (the
 * kernel never raises it). Pure; libnftnl's allocations are the only ones. */
#ifndef DETOUR_MSS_NFT_H
#define DETOUR_MSS_NFT_H

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSS_BATCH_SIZE 16384 /* everything that one batch here can be */

enum mss_map { MSS_IPV4, MSS_IPV6, MSS_MAPS };

struct mss_batch {
	uint8_t *buf; /* MSS_BATCH_SIZE bytes, aligned as malloc does */
	size_t len;
	bool failed; /* out of memory: nothing to send */
};

void mss_batch_begin(struct mss_batch *b);
void mss_batch_end(struct mss_batch *b);
/* Table, chain and maps where they are missing; the chain's rules anew. */
void mss_batch_structure(struct mss_batch *b);
void mss_batch_remove_table(struct mss_batch *b);
void mss_batch_element(struct mss_batch *b, enum mss_map map, const char *device, uint16_t mss,
		       bool add);

/* Into MSS_BATCH_SIZE bytes. */
struct nlmsghdr *mss_build_dump(void *buf, enum mss_map map);
struct nlmsghdr *mss_build_generation(void *buf);
/* false: another message, or malformed. */
bool mss_parse_elements(const struct nlmsghdr *h,
			void (*cb)(void *ctx, const char *device, uint16_t mss), void *ctx);
/* Counts every change of any ruleset. */
bool mss_parse_generation(const struct nlmsghdr *h, uint32_t *out);

#endif
