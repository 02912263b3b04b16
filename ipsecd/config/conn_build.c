/* One conn section -> one struct conn with one child of the same name. */
#include "ipsecd/config/build.h"

#include <stdlib.h>
#include <string.h>

#define REPLAY_WINDOW_MAX 4096

const struct setting *build_get(const struct build *b, enum keyword_id id, bool right)
{
	const struct setting *s = b->section->resolved.set[id][right];

	return s && *s->value ? s : NULL;
}

enum build_auto build_auto(const struct section *section, struct config_errors *errors)
{
	static const char *const words[] = {"ignore", "add",	  "start", "up",
					    "route",  "ondemand", NULL};
	static const enum build_auto meaning[] = {BUILD_IGNORE, BUILD_ADD,   BUILD_START,
						  BUILD_START,	BUILD_ROUTE, BUILD_ROUTE};
	const struct setting *s = section->resolved.set[KEYWORD_AUTO][0];
	unsigned which = 0;

	if (s && *s->value)
		value_word(errors, s, words, &which);
	return meaning[which];
}

static bool has_ke(const struct proposal_list *l)
{
	return proposal_first_ke(l) != NULL;
}

static void build_proposals(struct build *b)
{
	const struct setting *ike = build_get(b, KEYWORD_IKE, false);
	const struct setting *esp = build_get(b, KEYWORD_ESP, false);
	const struct setting *pfs = build_get(b, KEYWORD_PFS, false);
	bool want;

	if (ike)
		value_proposals(b->errors, ike, PROTOCOL_IKE, &b->conn->proposals);
	if (esp)
		value_proposals(b->errors, esp, PROTOCOL_ESP, &b->child->proposals);
	if (!pfs || !value_bool(b->errors, pfs, &want) || want == has_ke(b->child->proposals))
		return;
	config_error(b->errors, &pfs->at, "%s",
		     want ? "pfs=yes: name a group in esp=, such as aes128gcm16-x25519"
			  : "pfs=no contradicts the group in esp=");
}

static bool build_action(struct build *b, enum keyword_id id, enum start_action *out)
{
	static const char *const words[] = {"none",  "clear",	"hold",	 "trap",
					    "route", "restart", "start", NULL};
	static const enum start_action meaning[] = {ACTION_NONE, ACTION_NONE, ACTION_TRAP,
						    ACTION_TRAP, ACTION_TRAP, ACTION_START,
						    ACTION_START};
	const struct setting *s = build_get(b, id, false);
	unsigned which;

	if (!s || !value_word(b->errors, s, words, &which))
		return false;
	*out = meaning[which];
	/* As in strongSwan, none switches the checks off; clear does not. */
	if (id == KEYWORD_DPDACTION && which == 0)
		b->conn->dpd_delay = 0;
	return true;
}

static void build_actions(struct build *b, enum build_auto mode)
{
	struct child_config *child = b->child;

	child->start_action = mode == BUILD_START   ? ACTION_START
			      : mode == BUILD_ROUTE ? ACTION_TRAP
						    : ACTION_NONE;
	/* What was to be up from the start is to come back when its peer dies. */
	child->dpd_action = child->start_action;
	build_action(b, KEYWORD_DPDACTION, &child->dpd_action);
	child->close_action = mode == BUILD_ROUTE ? ACTION_TRAP : ACTION_NONE;
	build_action(b, KEYWORD_CLOSEACTION, &child->close_action);
}

static void build_liveness(struct build *b)
{
	const struct setting *delay = build_get(b, KEYWORD_DPDDELAY, false);
	const struct setting *dpd = build_get(b, KEYWORD_DPDTIMEOUT, false);
	const struct setting *interval = build_get(b, KEYWORD_RETRANSMIT_INTERVAL, false);
	const struct setting *timeout = build_get(b, KEYWORD_RETRANSMIT_TIMEOUT, false);
	struct conn *c = b->conn;

	if (delay)
		value_duration(b->errors, delay, MONO_S, &c->dpd_delay);
	if (interval) /* libreswan counts these in milliseconds */
		value_duration(b->errors, interval, MONO_MS, &c->retransmit_interval);
	if (dpd)
		value_duration(b->errors, dpd, MONO_S, &c->retransmit_timeout);
	if (timeout)
		value_duration(b->errors, timeout, MONO_S, &c->retransmit_timeout);
	timeout = timeout ? timeout : dpd;
	if (c->retransmit_interval < 10 * MONO_MS)
		value_error(b->errors, interval, "at least 10ms");
	else if (c->retransmit_timeout < c->retransmit_interval)
		config_error(b->errors, timeout ? &timeout->at : &interval->at,
			     "the wait for an answer (%llu ms) is shorter than its first part, "
			     "retransmit-interval (%llu ms)",
			     (unsigned long long)(c->retransmit_timeout / MONO_MS),
			     (unsigned long long)(c->retransmit_interval / MONO_MS));
}

static void build_encap(struct build *b, const struct setting *s)
{
	bool yes;

	if (strcmp(s->value, "auto") == 0)
		b->conn->encap = ENCAP_AUTO;
	else if (words_parse_bool(s->value, &yes))
		b->conn->encap = yes ? ENCAP_YES : ENCAP_NO;
	else
		value_error(b->errors, s, "auto, yes or no");
}

static void build_resources(struct build *b)
{
	const struct setting *s = build_get(b, KEYWORD_PER_RESOURCE_SAS, false);
	uint64_t n;

	if (!s || strcmp(s->value, "no") == 0)
		return;
	if (strcmp(s->value, "auto") == 0)
		b->child->resources = CHILD_RESOURCES_AUTO;
	else if (words_parse_number(s->value, CHILD_RESOURCES_MAX, &n))
		b->child->resources = (uint16_t)n;
	else
		value_error(b->errors, s, "no, auto or a number up to 64");
}

static void build_rest(struct build *b)
{
	const struct setting *tries = build_get(b, KEYWORD_KEYINGTRIES, false);
	const struct setting *encap = build_get(b, KEYWORD_FORCEENCAPS, false);
	const struct setting *sync = build_get(b, KEYWORD_MESSAGE_ID_SYNC, false);
	const struct setting *window = build_get(b, KEYWORD_REPLAY_WINDOW, false);
	const struct setting *reqid = build_get(b, KEYWORD_REQID, false);
	uint64_t n;

	if (tries && strcmp(tries->value, "%forever") != 0 &&
	    value_number(b->errors, tries, 0, UINT32_MAX, &n))
		b->conn->keying_tries = (uint32_t)n;
	if (encap)
		build_encap(b, encap);
	build_resources(b);
	if (sync)
		value_bool(b->errors, sync, &b->conn->message_id_sync);
	if (window && value_number(b->errors, window, 0, REPLAY_WINDOW_MAX, &n))
		b->child->replay_window = (uint16_t)n;
	if (reqid && value_number(b->errors, reqid, 1, UINT32_MAX, &n))
		b->child->reqid = (uint32_t)n;
}

static bool reachable(const struct conn *c)
{
	for (unsigned i = 0; i < c->n_remote; i++) {
		if (c->remote[i].kind == HOST_ADDR || c->remote[i].kind == HOST_NAME)
			return true;
	}
	return false;
}

static void check(struct build *b, enum build_auto mode)
{
	const struct setting *s = build_get(b, KEYWORD_AUTO, false);
	const struct conn *c = b->conn;

	if ((mode == BUILD_START || mode == BUILD_ROUTE) && !reachable(c))
		config_error(b->errors, &s->at,
			     "conn %s: auto=%s needs an address or a name of the peer (%s=)",
			     c->name, s->value, b->out->swapped ? "left" : "right");
	if (c->tunnel.named && !build_get(b, KEYWORD_SUBNET, false) &&
	    !build_get(b, KEYWORD_SUBNET, true))
		config_warning(b->errors, &b->at,
			       "conn %s: without leftsubnet and rightsubnet the tunnel carries "
			       "only what the two peers themselves say to each other",
			       c->name);
}

static char *source_of(const struct section *s)
{
	char *text;

	return asprintf(&text, "%s:%u", s->pos.file, s->pos.line) < 0 ? NULL : text;
}

bool build_conn(const struct section *s, const struct setup *setup, struct config_conn *out,
		struct config_errors *errors)
{
	struct build b = {.errors = errors, .setup = setup, .section = s, .out = out, .at = s->pos};
	enum build_auto mode;

	*out = (struct config_conn){.conn = conn_new(s->name)};
	b.conn = out->conn;
	b.child = b.conn ? conn_add_child(b.conn, s->name) : NULL;
	if (!b.child)
		return false;
	b.conn->source = source_of(s);
	b.conn->unique = setup->unique;
	mode = build_auto(s, errors);
	build_sourceip(&b);
	build_ends(&b);
	build_proposals(&b);
	build_lifetimes(&b);
	build_liveness(&b);
	build_actions(&b, mode);
	build_tunnel(&b);
	build_child(&b);
	build_rest(&b);
	build_complete(out);
	check(&b, mode);
	return b.conn->source != NULL;
}
