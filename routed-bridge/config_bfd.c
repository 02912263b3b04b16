/* bfd-dplane: where bfdd listens for its data plane; bfd-hold: what the last way is granted. */
#include "routed-bridge/config_parse.h"

#include <string.h>

void config_read_bfd_dplane(struct config_parser *p, struct bridge_options *options)
{
	const struct config_word *w = &p->words[1];

	(void)options;
	if (p->n == 2 && strlen(w->text) > BRIDGE_BFDD_PATH_MAX)
		config_complain(p, w->column,
				"'bfd-dplane': '%s' is too long; bfdd takes at most %d characters",
				w->text, BRIDGE_BFDD_PATH_MAX);
	else
		config_read_path(p, p->config->bfd_dplane);
}

void config_read_bfd_hold(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	(void)options;
	if (config_expect_words(p, 1, "bfd-hold MILLISECONDS") &&
	    config_number(p, 1, 0, BRIDGE_BFD_HOLD_MAX, &n))
		p->config->bfd_hold = (uint32_t)n;
}
