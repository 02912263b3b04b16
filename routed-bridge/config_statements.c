/* The statements of routed-bridge.conf: which there are, and where they may stand. */
#include "routed-bridge/config_parse.h"
#include "lib/words.h"

#include <stdlib.h>
#include <string.h>

static void read_vici(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	config_read_path(p, p->config->vici);
}

static void read_zserv(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	config_read_path(p, p->config->zserv);
}

static void read_vty_dir(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	config_read_path(p, p->config->vty_dir);
}

static void read_bmp(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	config_endpoint(p, &p->config->bmp);
}

static void read_describe(struct config_parser *p, struct bridge_options *options)
{
	(void)options;
	config_yes_no(p, &p->config->describe);
}

static void read_zebra(struct config_parser *p, struct bridge_options *options)
{
	const struct config_word *w = &p->words[1];

	(void)options;
	if (!config_expect_words(p, 1, "zebra auto|no"))
		return;
	p->config->zebra = strcmp(w->text, "no") != 0;
	if (p->config->zebra && strcmp(w->text, "auto") != 0)
		config_complain(p, w->column, "'zebra': '%s' is neither auto nor no", w->text);
}

static void read_conn(struct config_parser *p, struct bridge_options *options)
{
	struct bridge_config *c = p->config;
	struct bridge_section *list;

	(void)options;
	p->section = NULL;
	p->section_bad = true;
	p->seen = 0;
	if (!config_expect_words(p, 1, "conn NAME-OR-PATTERN"))
		return;
	for (size_t i = 0; i < c->n_sections; i++) {
		if (strcmp(c->sections[i].pattern, p->words[1].text) == 0) {
			config_complain(p, p->words[1].column,
					"'conn': there is a section '%s' already",
					p->words[1].text);
			return;
		}
	}
	list = realloc(c->sections, (c->n_sections + 1) * sizeof(*list));
	if (list)
		c->sections = list;
	if (!list ||
	    !(list[c->n_sections] = (struct bridge_section){.pattern = strdup(p->words[1].text),
							    .options = p->defaults})
		     .pattern) {
		config_out_of_memory(p);
		return;
	}
	p->section = &c->sections[c->n_sections++];
	p->section->line = p->line;
	p->section->glob = strpbrk(p->words[1].text, "*?[") != NULL;
	p->section_bad = false;
}

/* Ended by a name of NULL; at most 48 (config_parser.seen; config_quality.c has the rest). */
static const struct config_statement statements[] = {
	{"conn", ANYWHERE, true, read_conn},
	{"vici", IN_FILE, false, read_vici},
	{"zserv", IN_FILE, false, read_zserv},
	{"vty-dir", IN_FILE, false, read_vty_dir},
	{"repair", IN_FILE, false, config_read_repair},
	{"repair-uturn", IN_FILE, false, config_read_repair_uturn},
	{"repair-distance", IN_FILE, false, config_read_repair_distance},
	{"repair-type", IN_FILE, false, config_read_repair_type},
	{"bfd-dplane", IN_FILE, false, config_read_bfd_dplane},
	{"bfd-hold", IN_FILE, false, config_read_bfd_hold},
	{"zebra", IN_FILE, false, read_zebra},
	{"describe", IN_FILE, false, read_describe},
	{"metrics", IN_FILE, false, config_read_metrics},
	{"control", IN_FILE, false, config_read_control},
	{"bmp", IN_FILE, false, read_bmp},
	{"type", ANYWHERE, false, config_read_type},
	{"tag", ANYWHERE, false, config_read_tag},
	{"distance", ANYWHERE, false, config_read_distance},
	{"metric", ANYWHERE, false, config_read_metric},
	{"selectors", ANYWHERE, false, config_read_selectors},
	{"vips", ANYWHERE, false, config_read_vips},
	{"vrf", ANYWHERE, false, config_read_vrf},
	{"table", ANYWHERE, false, config_read_table},
	{"mtu", ANYWHERE, false, config_read_mtu},
	{"weight", ANYWHERE, false, config_read_weight},
	{"quality", ANYWHERE, true, config_read_quality},
	{"interface", IN_SECTION, false, config_read_interface},
	{"prefix", IN_SECTION, true, config_read_prefix},
};

#define STATEMENTS (sizeof(statements) / sizeof(statements[0]))

_Static_assert(STATEMENTS <= 48, "bits of config_parser.seen");

static bool find_statement(struct config_parser *p, unsigned *out)
{
	const char *names[STATEMENTS + 1] = {NULL};

	for (size_t i = 0; i < STATEMENTS; i++)
		names[i] = statements[i].name;
	return config_known_word(p, &p->words[0], names, "keyword", out);
}

void config_read_statement(struct config_parser *p)
{
	bool in_section = p->section || p->section_bad;
	const struct config_word *w = &p->words[0];
	const struct config_statement *s;
	unsigned i;

	if (!find_statement(p, &i))
		return;
	s = &statements[i];
	if (!(s->place & (in_section ? IN_SECTION : IN_FILE))) {
		config_complain(p, w->column,
				in_section ? "'%s' belongs before the first 'conn'"
					   : "'%s' belongs into a 'conn' section",
				w->text);
		return;
	}
	if (!s->repeats && (p->seen & UINT64_C(1) << i)) {
		config_complain(p, w->column, "'%s' is there already", w->text);
		return;
	}
	if (p->section_bad && s->read != read_conn)
		return;
	p->seen |= UINT64_C(1) << i;
	s->read(p, p->section ? &p->section->options : &p->defaults);
}
