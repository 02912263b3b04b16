/* iptfs= and what belongs to it (RFC 9347). */
#include "ipsecd/config/build.h"

#include <string.h>

static const enum keyword_id others[] = {
	KEYWORD_IPTFS_PACKET_SIZE,    KEYWORD_IPTFS_RATE,      KEYWORD_IPTFS_MAX_QUEUE_SIZE,
	KEYWORD_IPTFS_REORDER_WINDOW, KEYWORD_IPTFS_DROP_TIME, KEYWORD_IPTFS_DONT_FRAG,
};

static void refuse_others(struct build *b)
{
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const struct setting *s = build_get(b, others[i], false);

		if (s)
			config_error(b->errors, &s->key,
				     "%s does nothing without iptfs=yes or "
				     "iptfs=require",
				     setting_name(s));
	}
}

static void rate(struct build *b, struct aggfrag_params *p)
{
	const struct setting *s = build_get(b, KEYWORD_IPTFS_RATE, false);

	if (s && !aggfrag_rate_parse(s->value, p))
		value_error(b->errors, s, AGGFRAG_RATE_WORDS ", or no");
}

static void sizes(struct build *b, struct aggfrag_params *p)
{
	const struct setting *packet = build_get(b, KEYWORD_IPTFS_PACKET_SIZE, false);
	const struct setting *queue = build_get(b, KEYWORD_IPTFS_MAX_QUEUE_SIZE, false);
	const struct setting *window = build_get(b, KEYWORD_IPTFS_REORDER_WINDOW, false);
	uint64_t n;

	if (packet && value_number(b->errors, packet, AGGFRAG_PACKET_MIN, UINT16_MAX, &n))
		p->packet_size = (uint16_t)n;
	if (window && value_number(b->errors, window, 1, AGGFRAG_WINDOW_MAX, &n))
		p->reorder_window = (uint16_t)n;
	if (!queue || !value_size(b->errors, queue, &n))
		return;
	if (n >= AGGFRAG_QUEUE_MIN && n <= AGGFRAG_QUEUE_MAX)
		p->max_queue = (uint32_t)n;
	else
		value_error(b->errors, queue, "bytes from 4K to 16M");
}

static void drop_time(struct build *b, struct aggfrag_params *p)
{
	const struct setting *s = build_get(b, KEYWORD_IPTFS_DROP_TIME, false);
	mono_time t;

	if (!s || !value_duration(b->errors, s, MONO_MS, &t))
		return;
	if (t >= MONO_MS && t <= AGGFRAG_DROP_MAX * (mono_time)1000)
		p->drop_time = (uint32_t)(t / 1000);
	else
		value_error(b->errors, s, "a time from 1ms to 10s");
}

void build_iptfs(struct build *b)
{
	const struct setting *mode = build_get(b, KEYWORD_IPTFS, false);
	const struct setting *whole = build_get(b, KEYWORD_IPTFS_DONT_FRAG, false);
	struct aggfrag_params *p = &b->child->flags.aggfrag;
	bool on;

	if (mode && !aggfrag_mode_parse(mode->value, &p->mode)) {
		value_error(b->errors, mode, "no, yes or require");
		return;
	}
	if (p->mode == AGGFRAG_NO) {
		refuse_others(b);
		return;
	}
	rate(b, p);
	sizes(b, p);
	drop_time(b, p);
	if (whole && value_bool(b->errors, whole, &on))
		p->dont_frag = on;
}
