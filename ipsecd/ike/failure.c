/* Why a conn is not up: its last failure, for the operator. Nothing is decided by it. */
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/peers.h"
#include "lib/text.h"

void peers_keep_failure(struct ike_engine *e, struct conn_entry *entry, enum ike_reason reason,
			const char *detail)
{
	entry_touch(e, entry);
	entry->reason = reason;
	text_fit(entry->detail, sizeof(entry->detail), detail ? detail : "");
}

/* Is this conn for that very peer, and not for whoever comes? */
static bool names(const struct conn_entry *entry, const struct addr *remote, const struct id *idi)
{
	const struct conn *c = entry->version->conn;

	if (idi && id_equal(&c->remote_id, idi))
		return true;
	for (uint8_t i = 0; i < c->n_remote; i++) {
		if (c->remote[i].kind == HOST_ADDR && addr_equal(&c->remote[i].addr, remote))
			return true;
	}
	return addr_equal(&entry->remote, remote);
}

void peers_keep_refusal(const struct exchange *x, struct conn_entry *entry, const struct id *idi,
			enum ike_reason reason, const char *detail)
{
	if (names(entry, &x->path->remote.addr, idi) && !peers_usable_sa(entry))
		peers_keep_failure(x->e, entry, reason, detail);
}
