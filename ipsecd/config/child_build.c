/* What a child asks of its packets: padding, outer header fields, marks; and its script. */
#include "ipsecd/config/build.h"

#include <string.h>

#define TFC_MAX (CHILD_TFC_MTU - 1)

static void padding(struct build *b)
{
	const struct setting *s = build_get(b, KEYWORD_TFC, false);
	uint64_t n;
	bool on;

	if (!s)
		return;
	if (strcmp(s->value, "%mtu") == 0)
		b->child->flags.tfc_pad = CHILD_TFC_MTU;
	else if (words_parse_number(s->value, TFC_MAX, &n))
		b->child->flags.tfc_pad = (uint16_t)n;
	else if (!words_parse_bool(s->value, &on) || on)
		value_error(b->errors, s, "a length in bytes, %mtu or no");
}

/* strongSwan's word and its opposite in libreswan. */
static void dont_fragment(struct build *b)
{
	const struct setting *copy = build_get(b, KEYWORD_COPY_DF, false);
	const struct setting *nopmtudisc = build_get(b, KEYWORD_NOPMTUDISC, false);
	bool copied = true, cleared = false;

	if (copy)
		value_bool(b->errors, copy, &copied);
	if (nopmtudisc)
		value_bool(b->errors, nopmtudisc, &cleared);
	if (copy && nopmtudisc && copied == cleared)
		config_error(b->errors, &nopmtudisc->at, "%s=%s contradicts %s at %s:%u",
			     setting_name(nopmtudisc), nopmtudisc->value, setting_name(copy),
			     copy->key.file, copy->key.line);
	if (!copied || cleared)
		b->child->flags.df = CHILD_DF_CLEAR;
}

/* One word (strongSwan) or a switch for each direction (libreswan). */
static void dscp(struct build *b)
{
	static const char *const words[] = {"out", "no", "in", "yes", NULL};
	static const enum child_dscp meaning[] = {CHILD_DSCP_OUT, CHILD_DSCP_NO, CHILD_DSCP_IN,
						  CHILD_DSCP_BOTH};
	const struct setting *copy = build_get(b, KEYWORD_COPY_DSCP, false);
	const struct setting *encap = build_get(b, KEYWORD_ENCAP_DSCP, false);
	const struct setting *decap = build_get(b, KEYWORD_DECAP_DSCP, false);
	const struct setting *one = encap ? encap : decap;
	bool out = true, in = false;
	unsigned which;

	if (copy && one) {
		config_error(b->errors, &copy->key, "%s contradicts %s at %s:%u",
			     setting_name(copy), setting_name(one), one->key.file, one->key.line);
		return;
	}
	if (copy && value_word(b->errors, copy, words, &which))
		b->child->flags.dscp = meaning[which];
	if (encap)
		value_bool(b->errors, encap, &out);
	if (decap)
		value_bool(b->errors, decap, &in);
	if (one)
		b->child->flags.dscp = out ? (in ? CHILD_DSCP_BOTH : CHILD_DSCP_OUT)
					   : (in ? CHILD_DSCP_IN : CHILD_DSCP_NO);
}

static void congestion(struct build *b)
{
	const struct setting *s = build_get(b, KEYWORD_COPY_ECN, false);
	bool copied = true;

	if (s && value_bool(b->errors, s, &copied))
		b->child->flags.no_ecn = !copied;
}

static void offload(struct build *b)
{
	const struct setting *s = build_get(b, KEYWORD_NIC_OFFLOAD, false);

	if (s && strcasecmp(s->value, "packet") == 0)
		config_error(
			b->errors, &s->at,
			"%s=packet: a network card's policies know no tunnel devices: expected "
			"no, auto, yes or crypto",
			setting_name(s));
	else if (s && !offload_parse(s->value, &b->child->flags.offload))
		value_error(b->errors, s, "no, auto, yes or crypto");
}

static void set_mark(struct build *b, enum keyword_id id, struct mark same, uint32_t *value,
		     uint32_t *mask)
{
	const struct setting *s = build_get(b, id, false);

	if (!s)
		return;
	if (strcmp(s->value, "%same") != 0) {
		if (!mark_parse_set(s->value, value, mask))
			value_error(b->errors, s,
				    "value, value/mask with 32 bits (no bit of value outside of "
				    "mask) or %same");
	} else if (!same.value) {
		config_error(b->errors, &s->at,
			     "%s=%%same needs a number in mark=", setting_name(s));
	} else {
		*value = same.value;
		*mask = same.mask;
	}
}

/* A path without blanks, or with a script's arguments behind it. NULL: none. */
static char *script(struct build *b, bool right)
{
	const struct setting *s = build_get(b, KEYWORD_UPDOWN, right);
	char *copy;

	if (!s || strcmp(s->value, "%disabled") == 0)
		return NULL;
	if (s->value[0] != '/') {
		value_error(b->errors, s, "the full path of a script");
		return NULL;
	}
	copy = strdup(s->value);
	if (!copy)
		config_error(b->errors, &s->at, "out of memory");
	return copy;
}

void build_child(struct build *b)
{
	const struct tunnel_config *t = &b->conn->tunnel;
	struct child_flags *f = &b->child->flags;

	padding(b);
	dont_fragment(b);
	dscp(b);
	congestion(b);
	offload(b);
	build_iptfs(b);
	set_mark(b, KEYWORD_SET_MARK_IN, t->mark_in, &f->set_mark_in, &f->set_mark_in_mask);
	set_mark(b, KEYWORD_SET_MARK_OUT, t->mark_out, &f->set_mark_out, &f->set_mark_out_mask);
	b->child->updown = script(b, false);
	b->out->right_updown = script(b, true);
}
