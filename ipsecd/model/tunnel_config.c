/* Whether two configurations of a tunnel device are one. */
#include "ipsecd/model/conn.h"

#include <string.h>

static bool marks_equal(const struct mark *a, const struct mark *b)
{
	return a->value == b->value && a->mask == b->mask;
}

bool tunnel_config_equal(const struct tunnel_config *a, const struct tunnel_config *b)
{
	if (strcmp(a->name, b->name) != 0 || a->external != b->external || a->kind != b->kind ||
	    a->mtu != b->mtu || a->mss != b->mss || a->if_id_in != b->if_id_in ||
	    a->if_id_out != b->if_id_out || !marks_equal(&a->mark_in, &b->mark_in) ||
	    !marks_equal(&a->mark_out, &b->mark_out) || !addr_equal(&a->local, &b->local) ||
	    !addr_equal(&a->remote, &b->remote) || a->n_addrs != b->n_addrs)
		return false;
	for (unsigned i = 0; i < a->n_addrs; i++) {
		if (!prefix_equal(&a->addrs[i], &b->addrs[i]))
			return false;
	}
	return true;
}
