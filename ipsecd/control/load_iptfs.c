/* IP-TFS of children (RFC 9347): mode=iptfs as in strongSwan, and keys that only we have. */
#include "ipsecd/control/load_keys.h"

#include "lib/words.h"

#include <strings.h>

static struct aggfrag_params *params(struct load *l)
{
	return &l->child->flags.aggfrag;
}

bool load_mode(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	if (strcasecmp(load_only(w), "iptfs") == 0)
		params(l)->mode = AGGFRAG_YES; /* as there: plain ESP where the peer has none */
	else if (strcasecmp(load_only(w), "tunnel") != 0)
		return load_error(l, "=%s: only tunnel and iptfs are supported yet", load_only(w));
	return true;
}

bool load_iptfs(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	return aggfrag_mode_parse(load_only(w), &params(l)->mode) ||
	       load_error(l, "='%s': expected no, yes or require", load_only(w));
}

bool load_iptfs_rate(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	return aggfrag_rate_parse(load_only(w), params(l)) ||
	       load_error(l, "='%s': expected " AGGFRAG_RATE_WORDS ", or no", load_only(w));
}

bool load_iptfs_packet(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	(void)key;
	if (!load_number(l, w, AGGFRAG_PACKET_MIN, UINT16_MAX, &n))
		return false;
	params(l)->packet_size = (uint16_t)n;
	return true;
}

bool load_iptfs_window(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	(void)key;
	if (!load_number(l, w, 1, AGGFRAG_WINDOW_MAX, &n))
		return false;
	params(l)->reorder_window = (uint16_t)n;
	return true;
}

bool load_iptfs_queue(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	(void)key;
	if (!words_parse_size(load_only(w), &n) || n < AGGFRAG_QUEUE_MIN || n > AGGFRAG_QUEUE_MAX)
		return load_error(l, "='%s': expected bytes from 4K to 16M", load_only(w));
	params(l)->max_queue = (uint32_t)n;
	return true;
}

bool load_iptfs_drop_time(struct load *l, const struct load_key *key, const struct load_words *w)
{
	mono_time t;

	(void)key;
	if (!words_parse_duration(load_only(w), &t) || t < MONO_MS ||
	    t > AGGFRAG_DROP_MAX * (mono_time)1000)
		return load_error(l, "='%s': expected a time from 1ms to 10s", load_only(w));
	params(l)->drop_time = (uint32_t)(t / 1000);
	return true;
}

bool load_iptfs_whole(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	return words_parse_bool(load_only(w), &params(l)->dont_frag) ||
	       load_error(l, "='%s': expected yes or no", load_only(w));
}
