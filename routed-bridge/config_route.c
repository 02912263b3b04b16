/* The statements about routes: of a section, or the defaults of all that follow. */
#include "routed-bridge/config_parse.h"
#include "lib/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISTANCE_MAX 254 /* 255 is zebra's "never use" */
#define MTU_MIN	     68	 /* RFC 791 3.2 */
#define MTU_MAX	     65535
#define INSTANCE_MAX 255 /* zebra keeps 8 bits of it: it would not know our routes again */

static const char *const type_names[] = {
	[ZAPI_TYPE_NHRP] = "nhrp",   [ZAPI_TYPE_TABLE] = "table",
	[ZAPI_TYPE_BABEL] = "babel", [ZAPI_TYPE_OPENFABRIC] = "openfabric",
	[ZAPI_TYPE_SHARP] = "sharp", [ZAPI_TYPES] = NULL,
};

bool config_route_type(struct config_parser *p, const char *form, enum zapi_route_type *type,
		       uint16_t *instance)
{
	uint64_t n = 0;
	unsigned t;

	if (p->n < 2)
		return config_expect_words(p, 1, form);
	if (!config_known_word(p, &p->words[1], type_names, "route type", &t))
		return false;
	if (!config_expect_words(p, t == ZAPI_TYPE_TABLE ? 2 : 1, form))
		return false;
	if (t == ZAPI_TYPE_TABLE && !config_number(p, 2, 1, INSTANCE_MAX, &n))
		return false;
	*type = (enum zapi_route_type)t;
	*instance = (uint16_t)n;
	return true;
}

void config_read_type(struct config_parser *p, struct bridge_options *options)
{
	config_route_type(p, "type nhrp|table N|babel|openfabric|sharp", &options->type,
			  &options->instance);
}

void config_read_tag(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (config_expect_words(p, 1, "tag N") && config_number(p, 1, 1, UINT32_MAX, &n))
		options->tag = (uint32_t)n;
}

void config_read_distance(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (config_expect_words(p, 1, "distance N") && config_number(p, 1, 1, DISTANCE_MAX, &n))
		options->distance = (uint8_t)n;
}

void config_read_metric(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (config_expect_words(p, 1, "metric N") && config_number(p, 1, 0, UINT32_MAX, &n))
		options->metric = (uint32_t)n;
}

void config_read_selectors(struct config_parser *p, struct bridge_options *options)
{
	config_yes_no(p, &options->selectors);
}

void config_read_vips(struct config_parser *p, struct bridge_options *options)
{
	config_yes_no(p, &options->vips);
}

void config_read_table(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (config_expect_words(p, 1, "table N") && config_number(p, 1, 1, UINT32_MAX, &n))
		options->table = (uint32_t)n;
}

void config_read_mtu(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (config_expect_words(p, 1, "mtu BYTES") && config_number(p, 1, MTU_MIN, MTU_MAX, &n))
		options->mtu = (uint32_t)n;
}

void config_read_weight(struct config_parser *p, struct bridge_options *options)
{
	uint64_t n;

	if (config_expect_words(p, 1, "weight N") && config_number(p, 1, 1, ZAPI_WEIGHT_MAX, &n))
		options->weight = (uint8_t)n;
}

void config_read_vrf(struct config_parser *p, struct bridge_options *options)
{
	const struct config_word *w = &p->words[1];

	if (!config_expect_words(p, 1, "vrf NAME"))
		return;
	if (strlen(w->text) > ZAPI_VRF_NAME)
		config_complain(p, w->column, "'vrf': '%s' is longer than %d characters", w->text,
				ZAPI_VRF_NAME);
	else if (strchr(w->text, '/'))
		config_complain(p, w->column, "'vrf': '%s' is no name of a VRF", w->text);
	else
		memcpy(options->vrf, w->text, strlen(w->text) + 1);
}

void config_read_interface(struct config_parser *p, struct bridge_options *options)
{
	const struct config_word *w = &p->words[1];

	(void)options;
	if (!config_expect_words(p, 1, "interface NAME"))
		return;
	if (strlen(w->text) >= IF_NAMESIZE)
		config_complain(p, w->column, "'interface': '%s' is longer than %d characters",
				w->text, IF_NAMESIZE - 1);
	else if (strchr(w->text, '/'))
		config_complain(p, w->column, "'interface': '%s' is no name of a device", w->text);
	else
		memcpy(p->section->interface, w->text, strlen(w->text) + 1);
}

void config_read_prefix(struct config_parser *p, struct bridge_options *options)
{
	struct bridge_section *s = p->section;
	const struct config_word *w = &p->words[1];
	struct prefix prefix, masked, *list;
	char text[PREFIX_TEXT];

	(void)options;
	if (!config_expect_words(p, 1, "prefix ADDRESS/LENGTH"))
		return;
	if (!prefix_parse(w->text, &prefix)) {
		config_complain(p, w->column, "'prefix': '%s' is no ADDRESS/LENGTH", w->text);
		return;
	}
	masked = prefix_mask(&prefix);
	if (!prefix_equal(&prefix, &masked)) {
		config_complain(p, w->column, "'prefix': '%s' has host bits; did you mean '%s'?",
				w->text, prefix_format(&masked, text));
		return;
	}
	for (size_t i = 0; i < s->n_prefixes; i++) {
		if (prefix_equal(&s->prefixes[i], &prefix)) {
			config_complain(p, w->column, "'prefix': '%s' is there already", w->text);
			return;
		}
	}
	list = realloc(s->prefixes, (s->n_prefixes + 1) * sizeof(*list));
	if (!list) {
		config_out_of_memory(p);
		return;
	}
	s->prefixes = list;
	list[s->n_prefixes++] = prefix;
}

const char *bridge_type_format(enum zapi_route_type type, uint16_t instance, char *text)
{
	if (type == ZAPI_TYPE_TABLE)
		snprintf(text, 24, "table %u", instance);
	else
		snprintf(text, 24, "%s", type_names[type]);
	return text;
}
