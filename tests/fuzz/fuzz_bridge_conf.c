/* Fuzzes the parser of routed-bridge.conf: either errors or a configuration, and what it
 * holds is in range. */
#include "routed-bridge/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const char *line)
{
	if (strncmp(line, "fuzz:", 5) != 0)
		abort();
	++*(unsigned *)ctx;
}

static void check_section(const struct bridge_section *s)
{
	if (!s->pattern[0] || !s->options.distance || s->options.distance > 254 ||
	    (s->options.instance != 0) != (s->options.type == ZAPI_TYPE_TABLE))
		abort();
	for (size_t i = 0; i < s->n_prefixes; i++) {
		struct prefix masked = prefix_mask(&s->prefixes[i]);

		if (!prefix_equal(&masked, &s->prefixes[i]))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned errors = 0;
	struct bridge_config *c = bridge_config_parse("fuzz", span_of(data, size), count, &errors);

	if ((c == NULL) != (errors > 0))
		abort();
	if (!c)
		return 0;
	for (size_t i = 0; i < c->n_sections; i++)
		check_section(&c->sections[i]);
	bridge_config_match(c, "a-b");
	bridge_config_free(c);
	return 0;
}
