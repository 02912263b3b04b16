/* ipsec.conf: any text, includes that give the same text again. What was accepted
 * must be fit for use: printable, orientable, equal to its copy. */
#include "ipsecd/config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *include(void *ctx, const char *pattern, const char *from,
			   void (*give)(void *give_ctx, const char *path, struct span text),
			   void *give_ctx)
{
	(void)from;
	give(give_ctx, pattern, *(struct span *)ctx);
	return NULL;
}

static bool is_local(void *ctx, const struct addr *a)
{
	(void)ctx;
	return a->bytes[3] & 1;
}

static void use(struct config_conn *c)
{
	char text[PROPOSAL_TEXT * PROPOSAL_LIST_MAX];
	struct conn *copy;

	config_orient(c, is_local, NULL);
	copy = conn_copy(c->conn);
	if (!copy || conn_compare(c->conn, copy) != CONN_SAME || !c->conn->tunnel.name[0])
		abort();
	id_format(&copy->remote_id, text);
	proposal_list_format(copy->proposals, text, sizeof(text));
	ts_list_format(&copy->children[0].local_ts, text, sizeof(text));
	conn_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	struct config_reader reader = {.ctx = &text, .include = include};
	struct config_errors errors = {0};
	struct config config = {0};

	if (ipsec_conf_parse("fuzz", text, &reader, &config, &errors) != (errors.n_errors == 0))
		abort();
	for (unsigned i = 0; i < config.n_conns; i++)
		use(&config.conns[i]);
	config_errors_free(&errors);
	config_free(&config);
	return 0;
}
