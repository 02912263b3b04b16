/* The schema of topology files for libcyaml, and loading by it. Every scalar is loaded
 * as a string, so that model.c can say what is wrong with it and where. */
#include "topology/file.h"
#include "lib/words.h"

#include <cyaml/cyaml.h>
#include <stdlib.h>

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define TEXT(key, type, member) \
	CYAML_FIELD_STRING_PTR(key, OPTIONAL, struct type, member, 0, CYAML_UNLIMITED)

static const cyaml_schema_value_t text_item = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t site_fields[] = {
	TEXT("name", file_site, name),
	TEXT("as", file_site, as),
	TEXT("public", file_site, public),
	TEXT("gateway", file_site, gateway),
	TEXT("blackhole", file_site, blackhole),
	CYAML_FIELD_SEQUENCE("lans", OPTIONAL, struct file_site, lans, &text_item, 0,
			     CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t link_fields[] = {
	CYAML_FIELD_SEQUENCE("between", OPTIONAL, struct file_link, between, &text_item, 0,
			     CYAML_UNLIMITED),
	TEXT("key", file_link, key),
	TEXT("mtu", file_link, mtu),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t bfd_fields[] = {
	TEXT("interval", file_bfd, interval),
	TEXT("multiplier", file_bfd, multiplier),
	TEXT("dataplane", file_bfd, dataplane),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t images_fields[] = {
	TEXT("site", file_images, site),
	TEXT("host", file_images, host),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t site_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_site, site_fields),
};

static const cyaml_schema_value_t link_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_link, link_fields),
};

static const cyaml_schema_field_t top_fields[] = {
	TEXT("name", file_topology, name),
	TEXT("tunnels", file_topology, tunnels),
	TEXT("routers", file_topology, routers),
	TEXT("ike", file_topology, ike),
	TEXT("esp", file_topology, esp),
	TEXT("mtu", file_topology, mtu),
	TEXT("blackhole", file_topology, blackhole),
	CYAML_FIELD_MAPPING_PTR("bfd", OPTIONAL, struct file_topology, bfd, bfd_fields),
	CYAML_FIELD_MAPPING_PTR("images", OPTIONAL, struct file_topology, images, images_fields),
	CYAML_FIELD_SEQUENCE("sites", OPTIONAL, struct file_topology, sites, &site_value, 0,
			     CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("links", OPTIONAL, struct file_topology, links, &link_value, 0,
			     CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file_topology, top_fields),
};

/* ---- unknown keys, with the nearest known one; libcyaml would stop at the first ---- */

struct section {
	const char *path; /* without numbers */
	const char *noun;
	const cyaml_schema_field_t *fields;
};

static const struct section sections[] = {
	{"", "the file", top_fields},	     {"sites[]", "a site", site_fields},
	{"links[]", "a link", link_fields},  {"bfd", "bfd", bfd_fields},
	{"images", "images", images_fields},
};

/* "sites[12].as" -> "sites[]" and "as"; false for an item of a sequence. */
static bool split_path(const char *path, char *parent, size_t size, const char **key)
{
	const char *dot = strrchr(path, '.');
	size_t n = 0;

	*key = dot ? dot + 1 : path;
	if (!**key || strchr(*key, '['))
		return false;
	for (const char *p = path; dot && p < dot && n + 1 < size; p++)
		if (*p < '0' || *p > '9')
			parent[n++] = *p;
	parent[n] = '\0';
	return true;
}

#define KEYS_MAX 16

static void check_key(const struct section *section, const struct location *location,
		      const char *key, struct problems *problems)
{
	const char *known[KEYS_MAX] = {0}, *near;

	for (unsigned i = 0; section->fields[i].key && i + 1 < KEYS_MAX; i++) {
		known[i] = section->fields[i].key;
		if (strcmp(known[i], key) == 0)
			return;
	}
	near = words_nearest(key, known);
	if (near)
		problem_at(problems, location->key, "unknown key '%s' in %s; did you mean '%s'?",
			   key, section->noun, near);
	else
		problem_at(problems, location->key, "unknown key '%s' in %s", key, section->noun);
}

static void check_keys(const struct locations *where, struct problems *problems)
{
	char parent[64];
	const char *key;

	for (size_t i = 0; i < where->n; i++) {
		if (!split_path(where->list[i].path, parent, sizeof(parent), &key))
			continue;
		for (size_t s = 0; s < sizeof(sections) / sizeof(sections[0]); s++)
			if (strcmp(sections[s].path, parent) == 0)
				check_key(&sections[s], &where->list[i], key, problems);
	}
}

/* ---- loading ---- */

/* libcyaml's complaint arrives as log lines: a sentence, then places from the inside out. */
struct complaint {
	char text[PROBLEM_TEXT];
	struct position at;
};

/* libcyaml speaks of events; people of lists and words. */
static const char *plain_word(const char *event)
{
	static const char *const words[][2] = {
		{"SEQUENCE", "a list"},		{"SEQUENCE_START", "a list"},
		{"MAPPING", "keys and values"}, {"SCALAR", "a lone value"},
		{"STRING", "a value"},		{"MAPPING_START", "keys and values"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], event) == 0)
			return words[i][1];
	return event;
}

static void take_sentence(struct complaint *c, const char *line)
{
	char wanted[32], got[32];

	if (strncmp(line, "Load: ", 6) == 0)
		line += 6;
	if (sscanf(line, "Expecting %31[A-Z_], got event: %31[A-Z_]", wanted, got) == 2)
		snprintf(c->text, sizeof(c->text), "expected %s, found %s", plain_word(wanted),
			 plain_word(got));
	else
		snprintf(c->text, sizeof(c->text), "%s", line);
}

static void listen(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
	struct complaint *c = ctx;
	char line[PROBLEM_TEXT];
	unsigned at_line, at_column;
	const char *place;

	(void)level;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	place = strstr(line, "(line: ");
	if (!c->text[0])
		take_sentence(c, line);
	else if (!c->at.line && place &&
		 sscanf(place, "(line: %u, column: %u)", &at_line, &at_column) == 2)
		c->at = (struct position){at_line, at_column};
}

static cyaml_config_t loader(struct complaint *complaint)
{
	return (cyaml_config_t){.log_fn = listen,
				.log_ctx = complaint,
				.log_level = CYAML_LOG_ERROR,
				.mem_fn = cyaml_mem};
}

struct file_topology *file_load(struct span text, struct locations *where,
				struct problems *problems)
{
	struct complaint complaint = {0};
	cyaml_config_t config = loader(&complaint);
	cyaml_data_t *data = NULL;
	struct position at;
	const char *error;
	cyaml_err_t result;

	if (!locations_read(text, where, &at, &error)) {
		problem_at(problems, at, "%s", error);
		return NULL;
	}
	problems->where = where;
	if (!where->n) {
		problem_at(problems, (struct position){1, 1}, "the file is empty");
		return NULL;
	}
	check_keys(where, problems);
	if (problems->n)
		return NULL;
	result = cyaml_load_data(text.ptr, text.len, &config, &top_value, &data, NULL);
	if (result == CYAML_OK)
		return data;
	if (!complaint.at.line)
		complaint.at = (struct position){1, 1};
	problem_at(problems, complaint.at, "%s",
		   complaint.text[0] ? complaint.text : cyaml_strerror(result));
	return NULL;
}

void file_free(struct file_topology *file)
{
	struct complaint complaint = {0};
	cyaml_config_t config = loader(&complaint);

	cyaml_free(&config, &top_value, file, 0);
}
