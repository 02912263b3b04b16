/* What the parser of routed-bridge.conf offers to the readers of statements: the words of the
 * line, complaints, values. Every statement has one function, which reads its words and
 * reports what is wrong with them; parsing goes on after an error, so that one run shows
 * all of them. Readers are grouped by topic: config_route.c, ... Private to config*.c. */
#ifndef DETOUR_BRIDGE_CONFIG_PARSE_H
#define DETOUR_BRIDGE_CONFIG_PARSE_H

#include "routed-bridge/config.h"

#define CONFIG_WORDS_MAX 8
#define CONFIG_WORD_SIZE 256

struct config_word {
	char text[CONFIG_WORD_SIZE];
	unsigned column;
};

struct config_parser {
	const char *file;
	void (*error)(void *ctx, const char *line);
	void *ctx;
	bool failed;
	unsigned line;
	unsigned n; /* words of this line */
	struct config_word words[CONFIG_WORDS_MAX];
	struct bridge_config *config;
	struct bridge_options defaults;
	struct bridge_section *section; /* NULL: before the first conn */
	bool section_bad;		/* its conn line was refused: read on, keep nothing */
	/* Of the statements about repair; 0: not there. */
	unsigned repair_line, repair_uturn_line, repair_type_line;
	uint64_t seen; /* bits of the statements that may come once, file or section */
};

/* "file:line:column: ..." */
void config_complain(struct config_parser *p, unsigned column, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void config_out_of_memory(struct config_parser *p);
/* The n words behind the keyword, or a complaint about how many there are. */
bool config_expect_words(struct config_parser *p, unsigned n, const char *form);
/* Word number `word` of the line as a number; out is untouched on a complaint. */
bool config_number(struct config_parser *p, unsigned word, uint64_t min, uint64_t max,
		   uint64_t *out);
/* The index of a word in a NULL-terminated list, or a complaint with the nearest. */
bool config_known_word(struct config_parser *p, const struct config_word *w,
		       const char *const *list, const char *what, unsigned *out);
/* yes or no */
bool config_yes_no(struct config_parser *p, bool *out);
/* ADDRESS:PORT behind the keyword. */
bool config_endpoint(struct config_parser *p, struct endpoint *out);
/* An absolute path that fits into sun_path. `out` has BRIDGE_PATH_MAX bytes. */
void config_read_path(struct config_parser *p, char *out);

/* ---- statements ---- */

enum config_place { IN_FILE = 1, IN_SECTION = 2, ANYWHERE = 3 };

/* `options` are the section's, or the defaults before the first one. */
typedef void config_reader(struct config_parser *p, struct bridge_options *options);

struct config_statement {
	const char *name;
	enum config_place place;
	bool repeats;
	config_reader *read;
};

/* Reads the words of the line that p has. */
void config_read_statement(struct config_parser *p);

/* Fills by_name; false: out of memory. */
bool config_sort(struct bridge_config *c);

/* The words behind the keyword as a route type; false and a complaint, which shows the form. */
bool config_route_type(struct config_parser *p, const char *form, enum zapi_route_type *type,
		       uint16_t *instance);

/* config_route.c */
extern config_reader config_read_type, config_read_tag, config_read_distance, config_read_metric,
	config_read_selectors, config_read_vips, config_read_table, config_read_mtu,
	config_read_weight, config_read_vrf, config_read_interface, config_read_prefix;

/* config_repair.c */
extern config_reader config_read_repair, config_read_repair_uturn, config_read_repair_distance,
	config_read_repair_type;
void config_repair_defaults(struct bridge_repair_options *o);
/* After the last line: the type of the repairs must be nobody else's. */
void config_repair_check(struct config_parser *p);

/* config_watch.c */
extern config_reader config_read_metrics, config_read_control;

/* config_quality.c */
extern config_reader config_read_quality;
/* After the last line: whoever sets limits has to ask. */
void config_quality_check(struct config_parser *p);

/* config_bfd.c */
extern config_reader config_read_bfd_dplane;
extern config_reader config_read_bfd_hold;

#endif
