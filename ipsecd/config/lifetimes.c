/* Lifetimes: the dialect gives the end and a margin before it,
 *	rekeying at lifetime - margin * (1 + random * fuzz),
 * the model a time to rekey, how much of it is random, and the end. */
#include "ipsecd/config/build.h"

#define IKE_LIFETIME   (3 * 3600 * MONO_S)
#define CHILD_LIFETIME (3600 * MONO_S)
#define MARGIN	       (9 * 60 * MONO_S)
#define FUZZ_PERCENT   100
#define FUZZ_MAX       1000

struct margin {
	bool given; /* else it shrinks with short lifetimes */
	mono_time time;
	unsigned fuzz; /* percent */
};

struct life {
	mono_time soft, random, hard;
};

static mono_time duration(struct build *b, enum keyword_id id, mono_time otherwise)
{
	const struct setting *s = build_get(b, id, false);

	if (s)
		value_duration(b->errors, s, MONO_S, &otherwise);
	return otherwise;
}

/* "100%" or "100" */
static unsigned fuzz(struct build *b)
{
	const struct setting *s = build_get(b, KEYWORD_REKEYFUZZ, false);
	char digits[8];
	uint64_t n;
	size_t len = s ? strspn(s->value, "0123456789") : 0;

	if (!s)
		return FUZZ_PERCENT;
	if (len > 0 && len < sizeof(digits) &&
	    (s->value[len] == '\0' || strcmp(s->value + len, "%") == 0)) {
		memcpy(digits, s->value, len);
		digits[len] = '\0';
		if (words_parse_number(digits, FUZZ_MAX, &n))
			return (unsigned)n;
	}
	value_error(b->errors, s, "a percentage from 0% to 1000%");
	return FUZZ_PERCENT;
}

static struct life life_of(struct build *b, enum keyword_id id, mono_time otherwise,
			   const struct margin *m)
{
	mono_time hard = duration(b, id, otherwise), margin = m->time, random;
	struct config_pos at = b->at;

	if (!m->given && margin > hard / 20 * 3)
		margin = hard / 20 * 3;
	random = margin / 100 * m->fuzz;
	if (hard > 0 && margin + random < hard)
		return (struct life){hard - margin, random, hard};
	if (build_get(b, id, false))
		at = build_get(b, id, false)->at;
	else if (build_get(b, KEYWORD_MARGINTIME, false))
		at = build_get(b, KEYWORD_MARGINTIME, false)->at;
	if (hard == 0)
		config_error(b->errors, &at, "a lifetime of 0 is not possible");
	else
		config_error(b->errors, &at,
			     "conn %s: margintime and rekeyfuzz leave nothing of this lifetime "
			     "(%llu s)",
			     b->conn->name, (unsigned long long)(hard / MONO_S));
	return (struct life){0};
}

/* Bytes or packets: without a margin a tenth of the limit. */
static void limits(struct build *b, enum keyword_id life_id, enum keyword_id margin_id,
		   uint64_t *life, uint64_t *rekey)
{
	const struct setting *s = build_get(b, life_id, false);
	const struct setting *m = build_get(b, margin_id, false);
	uint64_t margin;

	if (!s) {
		if (m)
			config_error(b->errors, &m->key, "%s has no meaning without %s",
				     setting_name(m),
				     life_id == KEYWORD_LIFEBYTES ? "lifebytes" : "lifepackets");
		return;
	}
	if (!value_size(b->errors, s, life))
		return;
	margin = *life / 10;
	if (m && !value_size(b->errors, m, &margin))
		return;
	if (margin >= *life && *life)
		config_error(b->errors, m ? &m->at : &s->at, "the margin leaves nothing of %s",
			     setting_name(s));
	*rekey = *life - (margin < *life ? margin : *life);
}

static void never_rekeyed(struct child_config *child)
{
	child->rekey_time = child->rand_time = 0;
	child->rekey_bytes = child->rekey_packets = 0;
}

void build_lifetimes(struct build *b)
{
	const struct setting *margin = build_get(b, KEYWORD_MARGINTIME, false);
	const struct setting *rekey = build_get(b, KEYWORD_REKEY, false);
	const struct setting *reauth = build_get(b, KEYWORD_REAUTH, false);
	struct margin m = {.given = margin != NULL,
			   .time = duration(b, KEYWORD_MARGINTIME, MARGIN),
			   .fuzz = fuzz(b)};
	struct life ike = life_of(b, KEYWORD_IKELIFETIME, IKE_LIFETIME, &m);
	struct life child = life_of(b, KEYWORD_LIFETIME, CHILD_LIFETIME, &m);
	struct conn *c = b->conn;

	c->rekey_time = ike.soft;
	c->rand_time = ike.random;
	c->over_time = ike.hard - ike.soft;
	b->child->rekey_time = child.soft;
	b->child->rand_time = child.random;
	b->child->life_time = child.hard;
	limits(b, KEYWORD_LIFEBYTES, KEYWORD_MARGINBYTES, &b->child->life_bytes,
	       &b->child->rekey_bytes);
	limits(b, KEYWORD_LIFEPACKETS, KEYWORD_MARGINPACKETS, &b->child->life_packets,
	       &b->child->rekey_packets);
	if (rekey)
		value_bool(b->errors, rekey, &c->rekey);
	if (!c->rekey)
		never_rekeyed(b->child);
	if (reauth && value_bool(b->errors, reauth, &c->reauth) && c->reauth && !c->rekey)
		config_warning(b->errors, &reauth->key, "reauth=yes has no effect with rekey=no");
}
