/* The statement `quality` and its words: each may come once, in a section or as the default of
 * all that follow. */
#include "routed-bridge/config_parse.h"
#include "lib/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_FROM    48 /* bits of config_parser.seen behind those of the statements */
#define LOSS_MAX     100.
#define TIME_MAX     (60 * MONO_S) /* of a round trip */
#define HOLD_MAX     (3600 * MONO_S)
#define METRIC_LIMIT UINT32_MAX

/* "200ms", "5s", "2m" between min and max; `form` says so. */
static bool read_time(struct config_parser *p, unsigned word, mono_time min, mono_time max,
		      const char *form, mono_time *out)
{
	static const struct {
		const char *unit;
		mono_time factor;
	} units[] = {{"ms", MONO_MS}, {"s", MONO_S}, {"m", 60 * MONO_S}};
	const struct config_word *w = &p->words[word];
	char *end;
	double n = strtod(w->text, &end);

	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		double ns = n * (double)units[i].factor;

		if (!isdigit((unsigned char)w->text[0]) || strcmp(end, units[i].unit) != 0 ||
		    ns < (double)min || ns > (double)max)
			continue;
		*out = (mono_time)ns;
		return true;
	}
	config_complain(p, w->column, "'quality': '%s' is no time %s", w->text, form);
	return false;
}

static bool read_percent(struct config_parser *p, unsigned word, uint32_t *permille)
{
	const struct config_word *w = &p->words[word];
	char *end;
	double n = strtod(w->text, &end);

	if (!isdigit((unsigned char)w->text[0]) || strcmp(end, "%") != 0 || n < .1 ||
	    n > LOSS_MAX) {
		config_complain(p, w->column, "'quality': '%s' is no part from 0.1%% to 100%%",
				w->text);
		return false;
	}
	*permille = (uint32_t)(n * 10 + .5);
	return true;
}

static bool expect(struct config_parser *p, unsigned least, unsigned most, const char *form)
{
	if (p->n > least && p->n <= most + 1)
		return true;
	config_complain(p, p->words[0].column, "the form is '%s'", form);
	return false;
}

static void read_probe(struct config_parser *p, struct bridge_quality_options *q)
{
	if (expect(p, 2, 2, "quality probe TIME"))
		read_time(p, 2, QUALITY_PROBE_MIN, QUALITY_PROBE_MAX, "from 10ms to 60s",
			  &q->limits.probe);
}

static void read_loss(struct config_parser *p, struct bridge_quality_options *q)
{
	if (!expect(p, 2, 3, "quality loss PERCENT [TIME]") || !read_percent(p, 2, &q->limits.loss))
		return;
	if (p->n > 3)
		read_time(p, 3, MONO_S, QUALITY_OVER_MAX, "from 1s to 10m", &q->limits.loss_over);
}

static void read_rtt(struct config_parser *p, struct bridge_quality_options *q)
{
	if (expect(p, 2, 2, "quality rtt TIME"))
		read_time(p, 2, MONO_MS, TIME_MAX, "from 1ms to 60s", &q->limits.rtt);
}

static void read_jitter(struct config_parser *p, struct bridge_quality_options *q)
{
	if (expect(p, 2, 2, "quality jitter TIME"))
		read_time(p, 2, MONO_MS, TIME_MAX, "from 1ms to 60s", &q->limits.jitter);
}

static void read_hold(struct config_parser *p, struct bridge_quality_options *q)
{
	if (expect(p, 2, 2, "quality hold TIME"))
		read_time(p, 2, MONO_S, HOLD_MAX, "from 1s to 60m", &q->limits.hold);
}

static void read_metric(struct config_parser *p, struct bridge_quality_options *q)
{
	struct config_word *w = &p->words[2];
	uint64_t n;

	if (!expect(p, 2, 2, "quality metric +N"))
		return;
	if (w->text[0] != '+') {
		config_complain(p, w->column, "'quality': '%s' is no +N, which is added", w->text);
		return;
	}
	memmove(w->text, w->text + 1, strlen(w->text));
	w->column++;
	if (config_number(p, 2, 1, METRIC_LIMIT, &n))
		q->metric = (uint32_t)n;
}

static void read_tag(struct config_parser *p, struct bridge_quality_options *q)
{
	uint64_t n;

	if (expect(p, 2, 2, "quality tag N") && config_number(p, 2, 1, UINT32_MAX, &n))
		q->tag = (uint32_t)n;
}

/* It becomes a word of a command. */
static void read_list(struct config_parser *p, struct bridge_quality_options *q)
{
	const struct config_word *w = &p->words[2];

	if (!expect(p, 2, 2, "quality list NAME"))
		return;
	for (const char *c = w->text; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c)) {
			config_complain(p, w->column,
					"'quality': '%s': a prefix list has a name of letters, "
					"digits, '-', '_' and '.'",
					w->text);
			return;
		}
	}
	if (strlen(w->text) >= sizeof(q->list))
		config_complain(p, w->column, "'quality': '%s' is longer than %zu characters",
				w->text, sizeof(q->list) - 1);
	else
		memcpy(q->list, w->text, strlen(w->text) + 1);
}

static void read_peer(struct config_parser *p, struct bridge_quality_options *q)
{
	const struct config_word *w = &p->words[2];

	if (!expect(p, 2, 2, "quality peer ADDRESS"))
		return;
	if (!p->section)
		config_complain(p, w->column, "'quality peer' belongs into a 'conn' section");
	else if (!addr_parse(w->text, &q->peer))
		config_complain(p, w->column, "'quality': '%s' is no address", w->text);
}

void config_read_quality(struct config_parser *p, struct bridge_options *options)
{
	static const char *const names[] = {"probe",  "loss", "rtt",  "jitter", "hold",
					    "metric", "tag",  "list", "peer",	NULL};
	static void (*const readers[])(struct config_parser * p,
				       struct bridge_quality_options * q) = {
		read_probe,  read_loss, read_rtt,  read_jitter, read_hold,
		read_metric, read_tag,	read_list, read_peer};
	unsigned which;

	if (p->n < 2) {
		config_complain(
			p, p->words[0].column,
			"the form is 'quality probe|loss|rtt|jitter|hold|metric|tag|list|peer "
			"...'");
		return;
	}
	if (!config_known_word(p, &p->words[1], names, "word of 'quality'", &which))
		return;
	if (p->seen & UINT64_C(1) << (SEEN_FROM + which)) {
		config_complain(p, p->words[1].column, "'quality %s' is there already",
				p->words[1].text);
		return;
	}
	p->seen |= UINT64_C(1) << (SEEN_FROM + which);
	readers[which](p, &options->quality);
}

void config_quality_check(struct config_parser *p)
{
	for (size_t i = 0; i < p->config->n_sections; i++) {
		const struct bridge_quality_options *q = &p->config->sections[i].options.quality;
		bool limits = q->limits.loss || q->limits.rtt || q->limits.jitter;

		if (q->limits.probe || !(limits || q->metric || q->tag || q->list[0]))
			continue;
		p->line = p->config->sections[i].line;
		config_complain(p, 1,
				"'quality': 'conn %s' has no 'quality probe', without which "
				"nothing is measured",
				p->config->sections[i].pattern);
		return;
	}
}
