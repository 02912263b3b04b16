/* Deletes that others ask for (RFC 7296 1.4.1). */
#ifndef DETOUR_INFORMATIONAL_H
#define DETOUR_INFORMATIONAL_H

#include "ipsecd/ike/exchange.h"

/* Has the peer delete a CHILD_SA that it made and we did not take, or that a command ended here
 * at once; we know it by the SPI that we had offered, and have no record of it. */
void delete_child_at_peer(struct ike_engine *e, struct ike_sa *sa, uint32_t spi_in);

#endif
