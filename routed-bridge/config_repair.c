/* The statements about local repair. */
#include "routed-bridge/config_parse.h"

#define DISTANCE_DEFAULT 5 /* better than eBGP's 20, not than what is connected or static */
#define DISTANCE_MAX	 254
#define INSTANCE_DEFAULT 247

void config_repair_defaults(struct bridge_repair_options *o)
{
	*o = (struct bridge_repair_options){
		.distance = DISTANCE_DEFAULT,
		.type = ZAPI_TYPE_TABLE,
		.instance = INSTANCE_DEFAULT,
	};
}

void config_read_repair(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	p->repair_line = p->line;
	config_yes_no(p, &p->config->repair.on);
}

void config_read_repair_uturn(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	p->repair_uturn_line = p->line;
	config_yes_no(p, &p->config->repair.uturn);
}

void config_read_repair_distance(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	(void)options;
	if (config_expect_words(p, 1, "repair-distance N") &&
	    config_number(p, 1, 1, DISTANCE_MAX, &n))
		p->config->repair.distance = (uint8_t)n;
}

void config_read_repair_type(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	p->repair_type_line = p->line;
	config_route_type(p, "repair-type table N|babel|openfabric|sharp|nhrp",
			  &p->config->repair.type, &p->config->repair.instance);
}

void config_repair_check(struct config_parser *p)
{
	const struct bridge_repair_options *o = &p->config->repair;
	char text[24];

	if (o->uturn && !p->repair_line) {
		p->line = p->repair_uturn_line;
		config_complain(p, 1, "'repair-uturn' does nothing without 'repair yes'");
	}
	for (size_t i = 0; o->on && i < p->config->n_sections; i++) {
		const struct bridge_section *s = &p->config->sections[i];

		if (s->options.type != o->type || s->options.instance != o->instance)
			continue;
		p->line = p->repair_type_line ? p->repair_type_line : p->repair_line;
		config_complain(p, 1,
				"'repair-type': '%s' is the type of the routes of 'conn %s', too; "
				"repairs need one of their own",
				bridge_type_format(o->type, o->instance, text), s->pattern);
		return;
	}
}
