/* The words of AGGFRAG's settings, and their bounds. Pure. */
#include "ipsecd/model/aggfrag.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct unit {
	const char *name;
	uint64_t factor;
	bool bits;
} units[] = {
	{"pps", 1, false},    {"gbit", 1000000000, true}, {"mbit", 1000000, true},
	{"kbit", 1000, true}, {"bit", 1, true},
};

#define UNITS (sizeof(units) / sizeof(units[0]))

bool aggfrag_params_equal(const struct aggfrag_params *a, const struct aggfrag_params *b)
{
	return a->mode == b->mode && a->dont_frag == b->dont_frag && a->rate_bits == b->rate_bits &&
	       a->packet_size == b->packet_size && a->reorder_window == b->reorder_window &&
	       a->drop_time == b->drop_time && a->max_queue == b->max_queue && a->rate == b->rate;
}

bool aggfrag_mode_parse(const char *text, uint8_t *out)
{
	static const char *const words[] = {"no", "yes", "require"};

	for (uint8_t i = AGGFRAG_NO; i <= AGGFRAG_REQUIRE; i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool in_bounds(uint64_t n, bool bits)
{
	return bits ? n >= AGGFRAG_BITS_MIN && n <= AGGFRAG_BITS_MAX
		    : n >= 1 && n <= AGGFRAG_PACKETS_MAX;
}

bool aggfrag_rate_parse(const char *text, struct aggfrag_params *p)
{
	uint64_t n;
	char *end;

	if (strcmp(text, "no") == 0 || strcmp(text, "0") == 0) {
		p->rate = 0;
		p->rate_bits = false;
		return true;
	}
	if (!isdigit((unsigned char)text[0]))
		return false;
	n = strtoull(text, &end, 10);
	for (unsigned i = 0; i < UNITS; i++) {
		if (strcasecmp(end, units[i].name) != 0)
			continue;
		if (n > AGGFRAG_BITS_MAX || !in_bounds(n * units[i].factor, units[i].bits))
			return false;
		p->rate = n * units[i].factor;
		p->rate_bits = units[i].bits;
		return true;
	}
	return false;
}

const char *aggfrag_rate_format(const struct aggfrag_params *p, char out[AGGFRAG_RATE_TEXT])
{
	out[0] = '\0';
	for (unsigned i = 0; p->rate && i < UNITS && !out[0]; i++)
		if (units[i].bits == p->rate_bits && p->rate % units[i].factor == 0)
			snprintf(out, AGGFRAG_RATE_TEXT, "%" PRIu64 "%s", p->rate / units[i].factor,
				 units[i].name);
	return out;
}

bool aggfrag_params_valid(const struct aggfrag_params *p)
{
	return p->mode <= AGGFRAG_REQUIRE &&
	       (p->packet_size == 0 || p->packet_size >= AGGFRAG_PACKET_MIN) &&
	       p->reorder_window <= AGGFRAG_WINDOW_MAX && p->drop_time <= AGGFRAG_DROP_MAX &&
	       (p->max_queue == 0 ||
		(p->max_queue >= AGGFRAG_QUEUE_MIN && p->max_queue <= AGGFRAG_QUEUE_MAX)) &&
	       (p->rate == 0 ? !p->rate_bits : in_bounds(p->rate, p->rate_bits));
}
