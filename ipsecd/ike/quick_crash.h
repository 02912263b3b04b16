/* Quick crash detection (RFC 6290): each end gives the other a token under the protection of an
 * IKE_SA, and shows it without protection when it has lost that IKE_SA. A token is made from a
 * secret that outlives us and the IKE_SA's SPIs, so that nothing else has to be remembered (5.1).
 */
#ifndef DETOUR_QUICK_CRASH_H
#define DETOUR_QUICK_CRASH_H

#include "ipsecd/ike/sa.h"
#include "ipsecd/wire/message.h"

#define QUICK_CRASH_TOKEN 32

/* ---- under protection ---- */

/* Our token for sa, into IKE_AUTH or the answer to its rekey (4.2, 4.3). */
void quick_crash_put(struct ike_engine *e, const struct ike_sa *sa, struct wire_writer *w);
/* Remembers the peer's for sa, if there is one in `in`; a later one replaces it (4.4). */
void quick_crash_take(struct ike_engine *e, struct ike_sa *sa, const struct wire_message *in);
/* We rekeyed the IKE_SA, and knew both SPIs of sa with the answer only: our token follows (4.3). */
void quick_crash_renew(struct ike_engine *e, struct ike_sa *sa);

/* ---- without ---- */

/* May who sent a request with this header have a token, and which? Never for an SPI that is in
 * use (4.5, 9.2); nor who is no peer of ours, as far as we know by now; nor a peer whose CHILD_SAs
 * the data plane still has from a former process: its traffic would stop before the new ones are
 * there. Counts as given. */
bool quick_crash_may_tell(struct ike_engine *e, const struct ike_path *path,
			  const struct wire_header *h, uint8_t token[QUICK_CRASH_TOKEN]);
/* A token in m is the one that the peer gave for sa, which has ended then. */
bool quick_crash_proved(struct ike_engine *e, struct ike_sa *sa, const struct wire_message *m);
/* INVALID_SPI (RFC 7296 1.5), to a peer that we have no IKE_SA with. */
void quick_crash_esp_unknown(struct ike_engine *e, const struct ike_path *path, uint32_t spi);

#endif
