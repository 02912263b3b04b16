/* Fuzzes load-conn behind the body check, as the server calls it. A conn that comes out
 * keeps its bounds: the counts of its arrays and the ends of its strings. */
#include "ipsecd/control/load_conn.h"
#include "lib/vici_codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(void *ctx, const char *conn, const char *text)
{
	(void)ctx;
	if (strlen(conn) > VICI_NAME_MAX || text[0] == '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct load_notes notes = {.note = note};
	struct span body = span_of(data, size);
	char why[LOAD_CONN_WHY] = "";
	struct conn *c;
	size_t offset;

	if (vici_body_check(body, &offset))
		return 0;
	c = load_conn_parse(body, &notes, why, sizeof(why));
	if (!c) {
		if (why[0] == '\0' || strlen(why) >= sizeof(why))
			abort(); /* a refusal always says why */
		return 0;
	}
	if (c->n_local > CONN_ADDRS_MAX || c->n_remote > CONN_ADDRS_MAX ||
	    c->tunnel.n_addrs > CONN_IF_ADDRS_MAX || strlen(c->tunnel.name) >= IF_NAMESIZE)
		abort();
	for (unsigned i = 0; i < c->n_children; i++) {
		if (c->children[i].local_ts.n == 0 || c->children[i].proposals->n == 0)
			abort();
	}
	conn_free(c);
	return 0;
}
