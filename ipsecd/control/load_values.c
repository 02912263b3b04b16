/* Values of load-conn: words to the fields of struct conn and struct child_config, with
 * an error that names key, value and what was expected. */
#include "ipsecd/control/load_keys.h"
#include "lib/words.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

const char *load_only(const struct load_words *w)
{
	return w->n ? w->word[0] : "";
}

void *load_field(struct load *l, const struct load_key *key)
{
	return (char *)(l->child ? (void *)l->child : (void *)l->conn) + key->offset;
}

/* ---- numbers, times, switches ---- */

bool load_bool(struct load *l, const struct load_key *key, const struct load_words *w)
{
	if (words_parse_bool(load_only(w), load_field(l, key)))
		return true;
	return load_error(l, "='%s': expected yes or no", load_only(w));
}

bool load_encap(struct load *l, const struct load_key *key, const struct load_words *w)
{
	const char *word = load_only(w);
	bool yes;

	(void)key;
	if (strcmp(word, "auto") == 0)
		l->conn->encap = ENCAP_AUTO;
	else if (words_parse_bool(word, &yes))
		l->conn->encap = yes ? ENCAP_YES : ENCAP_NO;
	else
		return load_error(l, "='%s': expected auto, yes or no", word);
	return true;
}

bool load_duration(struct load *l, const struct load_key *key, const struct load_words *w)
{
	if (words_parse_duration(load_only(w), load_field(l, key)))
		return true;
	return load_error(l, "='%s': expected a time such as 30s, 5m, 1h or 1d", load_only(w));
}

bool load_size(struct load *l, const struct load_key *key, const struct load_words *w)
{
	if (words_parse_size(load_only(w), load_field(l, key)))
		return true;
	return load_error(l, "='%s': expected a number such as 1000, 500K, 2M or 1G", load_only(w));
}

bool load_number(struct load *l, const struct load_words *w, uint64_t min, uint64_t max,
		 uint64_t *out)
{
	if (words_parse_number(load_only(w), max, out) && *out >= min)
		return true;
	return load_error(l, "='%s': expected a number from %llu to %llu", load_only(w),
			  (unsigned long long)min, (unsigned long long)max);
}

bool load_port(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	if (!load_number(l, w, 1, UINT16_MAX, &n))
		return false;
	*(uint16_t *)load_field(l, key) = (uint16_t)n;
	return true;
}

bool load_u32(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	if (!load_number(l, w, 0, UINT32_MAX, &n))
		return false;
	*(uint32_t *)load_field(l, key) = (uint32_t)n;
	return true;
}

/* ---- what we have in one form only ---- */

/* Is `word` the `n` bytes at `accepted`, or the same switch in another spelling? */
static bool same_word(const char *word, const char *accepted, size_t n)
{
	char text[32];
	bool a, b;

	if (n >= sizeof(text))
		return false;
	memcpy(text, accepted, n);
	text[n] = '\0';
	if (strcmp(word, text) == 0)
		return true;
	return !isdigit((unsigned char)text[0]) && words_parse_bool(word, &a) &&
	       words_parse_bool(text, &b) && a == b;
}

bool load_fixed(struct load *l, const struct load_key *key, const struct load_words *w)
{
	const char *p = key->text;

	while (*p) {
		size_t n = strcspn(p, "|");

		if (same_word(load_only(w), p, n))
			return true;
		p += n + (p[n] == '|');
	}
	return load_error(l, "=%s: only %s is supported yet", load_only(w), key->text);
}

bool load_zero(struct load *l, const struct load_key *key, const struct load_words *w)
{
	char *end;

	if (strtoull(load_only(w), &end, 0) == 0 && end != load_only(w) && strlen(end) <= 1)
		return true;
	return load_error(l, "=%s: %s", load_only(w),
			  key->text ? key->text : "only 0 is supported yet");
}

bool load_refused(struct load *l, const struct load_key *key, const struct load_words *w)
{
	return w->n == 0 || load_error(l, "=%s: %s", load_only(w), key->text);
}

bool load_noted(struct load *l, const struct load_key *key, const struct load_words *w)
{
	bool on;

	if (strcmp(load_only(w), "0") != 0 && !(words_parse_bool(load_only(w), &on) && !on))
		load_note(l, "=%s has no effect: %s", load_only(w), key->text);
	return true;
}

bool load_ignored(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)l;
	(void)key;
	(void)w;
	return true;
}

/* ---- words with a meaning ---- */

/* swanctl.conf joins trap and start with '|'. Our device is there from the beginning, so
 * that start covers both. */
bool load_action(struct load *l, const struct load_key *key, const struct load_words *w)
{
	static const struct {
		const char *word;
		enum start_action action;
	} actions[] = {{"none", ACTION_NONE},	    {"clear", ACTION_NONE},
		       {"start", ACTION_START},	    {"restart", ACTION_START},
		       {"trap", ACTION_TRAP},	    {"route", ACTION_TRAP},
		       {"hold", ACTION_TRAP},	    {"trap|start", ACTION_START},
		       {"start|trap", ACTION_START}};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(load_only(w), actions[i].word) == 0) {
			*(enum start_action *)load_field(l, key) = actions[i].action;
			return true;
		}
	}
	return load_error(l, "='%s': expected none, trap, start or trap|start", load_only(w));
}

bool load_unique(struct load *l, const struct load_key *key, const struct load_words *w)
{
	static const char *const words[] = {[UNIQUE_NO] = "no",
					    [UNIQUE_NEVER] = "never",
					    [UNIQUE_KEEP] = "keep",
					    [UNIQUE_REPLACE] = "replace"};

	(void)key;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(load_only(w), words[i]) == 0) {
			l->conn->unique = i;
			return true;
		}
	}
	return load_error(l, "='%s': expected no, never, keep or replace", load_only(w));
}

bool load_id(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct id id;

	if (!id_parse(load_only(w), &id))
		return load_error(l,
				  "='%s': expected an identity: an address, a name, @name, "
				  "user@host or %%any",
				  load_only(w));
	*(struct id *)((char *)l->conn + key->offset) = id;
	l->conn->remote_id_set |= key->offset == offsetof(struct conn, remote_id);
	return true;
}

/* ---- hosts ---- */

static bool parse_hosts(struct load *l, const struct load_words *w, struct host *hosts,
			uint8_t *count)
{
	if (w->n > CONN_ADDRS_MAX)
		return load_error(l, ": at most %d addresses", CONN_ADDRS_MAX);
	for (unsigned i = 0; i < w->n; i++) {
		if (!host_parse(w->word[i], &hosts[i]))
			return load_error(l,
					  "='%s': expected an address of a machine, a prefix, a "
					  "name or %%any",
					  w->word[i]);
		*count = (uint8_t)(i + 1);
	}
	return true;
}

bool load_hosts_local(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	return parse_hosts(l, w, l->conn->local, &l->conn->n_local);
}

bool load_hosts_remote(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	return parse_hosts(l, w, l->conn->remote, &l->conn->n_remote);
}

/* An end whose family is known: its first address or prefix. */
static const char *first_of(const struct host *hosts, char text[PREFIX_TEXT])
{
	return hosts[0].kind == HOST_PREFIX ? prefix_format(&hosts[0].prefix, text)
					    : addr_format(&hosts[0].addr, text);
}

bool load_check_ends(struct load *l)
{
	const struct conn *c = l->conn;
	const struct addr *same = conn_same_end(c);
	uint8_t local = hosts_family(c->local, c->n_local);
	uint8_t remote = hosts_family(c->remote, c->n_remote);
	char text[PREFIX_TEXT], other[PREFIX_TEXT];

	if (same)
		return load_error(l,
				  "remote_addrs='%s': in local_addrs, too; expected an address "
				  "of the peer",
				  addr_format(same, text));
	if (local && remote && local != remote)
		return load_error(l, "remote_addrs='%s': expected IPv%d, as local_addrs='%s'",
				  first_of(c->remote, text), local == AF_INET6 ? 6 : 4,
				  first_of(c->local, other));
	return true;
}

/* ---- proposals and selectors ---- */

static bool proposal_problem(struct load *l, enum proposal_error e, const char *text, size_t at,
			     size_t len)
{
	char word[64];
	const char *near;

	if (e != PROPOSAL_UNKNOWN_WORD)
		return load_error(l, "='%s': %s", text, proposal_strerror(e));
	snprintf(word, sizeof(word), "%.*s", (int)len, text + at);
	near = words_nearest(word, proposal_words());
	return load_error(l, "='%s': unknown word '%s'%s%s%s", text, word,
			  near ? ", nearest is '" : "", near ? near : "", near ? "'" : "");
}

bool load_proposals(struct load *l, const struct load_key *key, const struct load_words *w)
{
	enum proposal_protocol protocol = l->child ? PROTOCOL_ESP : PROTOCOL_IKE;
	struct proposal_list list = {0};

	for (unsigned i = 0; i < w->n; i++) {
		struct proposal_list some;
		size_t at = 0, len = 0;
		enum proposal_error e = proposal_list_parse(protocol, w->word[i], &some, &at, &len);

		if (e)
			return proposal_problem(l, e, w->word[i], at, len);
		if (list.n + some.n > PROPOSAL_LIST_MAX)
			return load_error(l, ": more than %d proposals", PROPOSAL_LIST_MAX);
		memcpy(&list.p[list.n], some.p, some.n * sizeof(some.p[0]));
		list.n = (uint8_t)(list.n + some.n);
	}
	if (list.n && !proposals_set(load_field(l, key), &list))
		return load_error(l, ": out of memory");
	return true;
}

bool load_ts(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct ts_list list = {0};

	if (w->n == 0 || w->n > TS_LIST_MAX)
		return load_error(l, ": expected 1 to %d selectors", TS_LIST_MAX);
	for (unsigned i = 0; i < w->n; i++) {
		if (!ts_parse(w->word[i], &list.ts[i]))
			return load_error(l,
					  "='%s': expected a prefix, a range or dynamic, with or "
					  "without [protocol/port]",
					  w->word[i]);
	}
	list.n = (uint8_t)w->n;
	*(struct ts_list *)load_field(l, key) = list;
	return true;
}

/* ---- virtual addresses ---- */

bool load_vips(struct load *l, const struct load_key *key, const struct load_words *w)
{
	(void)key;
	if (w->n > VIPS_MAX)
		return load_error(l, ": at most %d addresses", VIPS_MAX);
	for (unsigned i = 0; i < w->n; i++) {
		if (!vip_parse(w->word[i], &l->conn->vips[i]))
			return load_error(l, "='%s': expected an address, 0.0.0.0 or :: for any",
					  w->word[i]);
		l->conn->n_vips = (uint8_t)(i + 1);
	}
	return true;
}

/* Names of pools that are or will be loaded; of ours: ranges and %config as well. */
bool load_pools(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct conn *c = l->conn;

	(void)key;
	if (w->n > POOL_REFS_MAX)
		return load_error(l, ": at most %d pools", POOL_REFS_MAX);
	for (unsigned i = 0; i < w->n; i++) {
		struct pool_ref *ref = &c->pools[i];

		if (strcmp(w->word[i], "dhcp") == 0 || strcmp(w->word[i], "radius") == 0)
			return load_error(l, "=%s: not supported yet", w->word[i]);
		if (!pool_ref_parse(w->word[i], ref)) {
			*ref = (struct pool_ref){.kind = POOL_NAMED, .name = strdup(w->word[i])};
			if (!ref->name)
				return load_error(l, ": out of memory");
		}
		c->n_pools = (uint8_t)(i + 1);
	}
	return true;
}
