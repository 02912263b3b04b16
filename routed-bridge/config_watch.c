/* Statements about who may look at the bridge: metrics, control. */
#include "routed-bridge/config_parse.h"

#include <string.h>

void config_read_metrics(struct config_parser *p, struct bridge_options *options)
{
	static const char form[] = "metrics ADDRESS:PORT|no";
	const char *value = p->words[1].text;
	struct endpoint at;

	(void)options;
	if (!config_expect_words(p, 1, form))
		return;
	if (strcmp(value, "no") == 0)
		return;
	if (endpoint_parse(value, &at))
		p->config->metrics = at;
	else
		config_complain(p, p->words[1].column,
				"'metrics': '%s' is neither an address with a port, such as "
				"127.0.0.1:9434 or [::1]:9434, nor no",
				value);
}

void config_read_control(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	if (p->n == 2 && strcmp(p->words[1].text, "no") == 0)
		p->config->control[0] = '\0';
	else
		config_read_path(p, p->config->control);
}
