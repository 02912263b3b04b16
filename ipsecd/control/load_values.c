/* Values of load-conn: words to the fields of struct conn and struct child_config, with
 * an error that names key, value and what was expected. */
#include "ipsecd/control/load_keys.h"
#include "lib/words.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define MTU_MIN 576
#define MTU_MAX 65535

/* The one word of a key, "" for an empty value. */
static const char *only(const struct load_words *w)
{
	return w->n ? w->word[0] : "";
}

static void *field(struct load *l, const struct load_key *key)
{
	return (char *)(l->child ? (void *)l->child : (void *)l->conn) + key->offset;
}

/* ---- numbers, times, switches ---- */

bool load_bool(struct load *l, const struct load_key *key, const struct load_words *w)
{
	if (words_parse_bool(only(w), field(l, key)))
		return true;
	return load_error(l, "='%s': expected yes or no", only(w));
}

bool load_duration(struct load *l, const struct load_key *key, const struct load_words *w)
{
	if (words_parse_duration(only(w), field(l, key)))
		return true;
	return load_error(l, "='%s': expected a time such as 30s, 5m, 1h or 1d", only(w));
}

bool load_size(struct load *l, const struct load_key *key, const struct load_words *w)
{
	if (words_parse_size(only(w), field(l, key)))
		return true;
	return load_error(l, "='%s': expected a number such as 1000, 500K, 2M or 1G", only(w));
}

static bool number(struct load *l, const struct load_words *w, uint64_t min, uint64_t max,
		   uint64_t *out)
{
	if (words_parse_number(only(w), max, out) && *out >= min)
		return true;
	return load_error(l, "='%s': expected a number from %llu to %llu", only(w),
			  (unsigned long long)min, (unsigned long long)max);
}

bool load_u16(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	if (!number(l, w, 0, UINT16_MAX, &n))
		return false;
	*(uint16_t *)field(l, key) = (uint16_t)n;
	return true;
}

bool load_port(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	if (!number(l, w, 1, UINT16_MAX, &n))
		return false;
	*(uint16_t *)field(l, key) = (uint16_t)n;
	return true;
}

bool load_u32(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	if (!number(l, w, 0, UINT32_MAX, &n))
		return false;
	*(uint32_t *)field(l, key) = (uint32_t)n;
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

		if (same_word(only(w), p, n))
			return true;
		p += n + (p[n] == '|');
	}
	return load_error(l, "=%s: only %s is supported yet", only(w), key->text);
}

bool load_zero(struct load *l, const struct load_key *key, const struct load_words *w)
{
	char *end;

	if (strtoull(only(w), &end, 0) == 0 && end != only(w) && strlen(end) <= 1)
		return true;
	return load_error(l, "=%s: %s", only(w), key->text ? key->text : "only 0 is supported yet");
}

bool load_refused(struct load *l, const struct load_key *key, const struct load_words *w)
{
	return w->n == 0 || load_error(l, "=%s: %s", only(w), key->text);
}

bool load_noted(struct load *l, const struct load_key *key, const struct load_words *w)
{
	bool on;

	if (strcmp(only(w), "0") != 0 && !(words_parse_bool(only(w), &on) && !on))
		load_note(l, "=%s has no effect: %s", only(w), key->text);
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
		if (strcmp(only(w), actions[i].word) == 0) {
			*(enum start_action *)field(l, key) = actions[i].action;
			return true;
		}
	}
	return load_error(l, "='%s': expected none, trap, start or trap|start", only(w));
}

bool load_unique(struct load *l, const struct load_key *key, const struct load_words *w)
{
	static const char *const words[] = {[UNIQUE_NO] = "no",
					    [UNIQUE_NEVER] = "never",
					    [UNIQUE_KEEP] = "keep",
					    [UNIQUE_REPLACE] = "replace"};

	(void)key;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(only(w), words[i]) == 0) {
			l->conn->unique = i;
			return true;
		}
	}
	return load_error(l, "='%s': expected no, never, keep or replace", only(w));
}

bool load_id(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct id id;

	if (!id_parse(only(w), &id))
		return load_error(l,
				  "='%s': expected an identity: an address, a name, @name, "
				  "user@host or %%any",
				  only(w));
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
					  "='%s': expected an address, a prefix, a name or %%any",
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
	if (list.n)
		*(struct proposal_list *)field(l, key) = list;
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
	*(struct ts_list *)field(l, key) = list;
	return true;
}

/* ---- the tunnel device ---- */

/* Marks belong to the device, so that all children have the same. */
bool load_mark(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct mark *field_of_tunnel = (struct mark *)((char *)&l->conn->tunnel + key->offset);
	struct mark m;

	if (!mark_parse(only(w), &m))
		return load_error(l, "='%s': expected a mark such as 42 or 0x2a/0xff", only(w));
	if (field_of_tunnel->value && memcmp(field_of_tunnel, &m, sizeof(m)) != 0)
		return load_error(l,
				  "=%s: the children of a connection share its device and so "
				  "its marks",
				  only(w));
	*field_of_tunnel = m;
	return true;
}

bool load_interface(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct tunnel_config *t = &l->conn->tunnel;

	(void)key;
	if (w->n == 0)
		return true;
	if (!device_name_valid(only(w)))
		return load_error(l,
				  "='%s': expected the name of a new device: at most %d letters, "
				  "digits, '-', '_', '.'",
				  only(w), IF_NAMESIZE - 1);
	if (t->named && strcmp(t->name, only(w)) != 0)
		return load_error(l, "=%s: the connection's device is '%s' already", only(w),
				  t->name);
	snprintf(t->name, sizeof(t->name), "%s", only(w));
	t->named = true;
	return true;
}

bool load_interface_ip(struct load *l, const struct load_key *key, const struct load_words *w)
{
	struct tunnel_config *t = &l->conn->tunnel;

	(void)key;
	if (w->n && t->n_addrs)
		return load_error(l, ": the connection's device has its addresses already");
	if (w->n > CONN_IF_ADDRS_MAX)
		return load_error(l, ": at most %d addresses", CONN_IF_ADDRS_MAX);
	for (unsigned i = 0; i < w->n; i++) {
		if (!prefix_parse(w->word[i], &t->addrs[i]))
			return load_error(l,
					  "='%s': expected an address with its prefix length, "
					  "such as 10.0.0.1/30",
					  w->word[i]);
	}
	t->n_addrs = (uint8_t)w->n;
	return true;
}

bool load_mtu(struct load *l, const struct load_key *key, const struct load_words *w)
{
	uint64_t n;

	(void)key;
	if (!number(l, w, MTU_MIN, MTU_MAX, &n))
		return false;
	if (l->conn->tunnel.mtu && l->conn->tunnel.mtu != n)
		return load_error(l, "=%s: the connection's device has MTU %u already", only(w),
				  l->conn->tunnel.mtu);
	l->conn->tunnel.mtu = (uint16_t)n;
	return true;
}
