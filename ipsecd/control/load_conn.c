/* The connection part of load-conn: its keys, its authentication sections and the walk
 * through the message. Words and defaults are those of swanctl.conf(5), with two of ours
 * that docs/vici.md explains: dpd_delay and keyingtries. */
#include "ipsecd/control/load_keys.h"
#include "lib/text.h"
#include "lib/words.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define TABLE_MAX     64 /* keys of one table: bits of load.seen */

#define CONN(field)   offsetof(struct conn, field)
#define TUNNEL(field) offsetof(struct tunnel_config, field)

static const char no_certificates[] = "certificates are not supported yet";
static const char no_eap[] = "EAP and XAuth are not supported yet";

static const struct load_key conn_keys[] = {
	{"version", load_fixed, .text = "0|2"},
	{"local_addrs", load_hosts_local, .list = true},
	{"remote_addrs", load_hosts_remote, .list = true},
	{"local_port", load_fixed, .text = "500|4500"},
	{"remote_port", load_port, .offset = CONN(remote_port)},
	{"proposals", load_proposals, .offset = CONN(proposals), .list = true},
	{"vips", load_vips, .list = true},
	{"pools", load_pools, .list = true},
	{"aggressive", load_fixed, .text = "no"},
	{"pull", load_fixed, .text = "yes"},
	{"dscp", load_fixed, .text = "000000|0"},
	{"encap", .parse = load_encap},
	{"message_id_sync", load_bool, .offset = CONN(message_id_sync)},
	{"mobike", load_noted, .text = "MOBIKE is not supported yet"},
	{"dpd_delay", load_duration, .offset = CONN(dpd_delay)},
	{"dpd_timeout", .parse = load_ignored}, /* IKEv1 only */
	{"fragmentation", load_noted, .text = "IKE fragmentation is not supported yet"},
	{"childless", load_fixed, .text = "allow|never"},
	{"send_certreq", .parse = load_ignored},
	{"send_cert", .parse = load_ignored},
	{"ocsp", .parse = load_ignored},
	{"ppk_id", load_refused, .text = "postquantum preshared keys are not supported yet"},
	{"ppk_required", load_fixed, .text = "no"},
	{"keyingtries", load_u32, .offset = CONN(keying_tries)},
	{"unique", .parse = load_unique},
	{"reauth_time", load_duration, .offset = CONN(reauth_time)},
	{"rekey_time", load_duration, .offset = CONN(rekey_time)},
	{"over_time", load_duration, .offset = CONN(over_time)},
	{"rand_time", load_duration, .offset = CONN(rand_time)},
	{"if_id_in", load_if_id, .offset = TUNNEL(if_id_in)},
	{"if_id_out", load_if_id, .offset = TUNNEL(if_id_out)},
	{"mark_in", load_mark, .offset = TUNNEL(mark_in)},
	{"mark_out", load_mark, .offset = TUNNEL(mark_out)},
	{"mediation", load_fixed, .text = "no"},
	{"mediated_by", load_refused, .text = "mediation is not supported"},
	{"mediation_peer", load_refused, .text = "mediation is not supported"},
	{"interface", .parse = load_interface},
	{"interface_type", .parse = load_interface_type},
	{"interface_ip", load_interface_ip, .list = true},
	{"mtu", .parse = load_mtu},
	{"mss", .parse = load_mss},
	{0},
};

static bool load_auth(struct load *l, const struct load_key *key, const struct load_words *w);

static const struct load_key local_keys[] = {
	{"round", .parse = load_ignored},
	{"auth", .parse = load_auth},
	{"id", load_id, .offset = CONN(local_id)},
	{"certs", load_refused, .text = no_certificates, .list = true},
	{"pubkeys", load_refused, .text = no_certificates, .list = true},
	{"eap_id", load_refused, .text = no_eap},
	{"aaa_id", load_refused, .text = no_eap},
	{"xauth_id", load_refused, .text = no_eap},
	{0},
};

static const struct load_key remote_keys[] = {
	{"round", .parse = load_ignored},
	{"auth", .parse = load_auth},
	{"id", load_id, .offset = CONN(remote_id)},
	{"certs", load_refused, .text = no_certificates, .list = true},
	{"cacerts", load_refused, .text = no_certificates, .list = true},
	{"pubkeys", load_refused, .text = no_certificates, .list = true},
	{"cert_policy", load_refused, .text = no_certificates, .list = true},
	{"ca_id", load_refused, .text = no_certificates},
	{"groups", load_refused, .text = no_certificates, .list = true},
	{"revocation", load_fixed, .text = "relaxed|ifuri|strict"},
	{"eap_id", load_refused, .text = no_eap},
	{0},
};

/* ---- messages ---- */

bool load_error(struct load *l, const char *format, ...)
{
	char text[LOAD_CONN_WHY];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(l->why, l->size, "%s%s%s", l->path, l->key ? l->key : "", text);
	return false;
}

void load_note(struct load *l, const char *format, ...)
{
	char text[LOAD_CONN_WHY], line[LOAD_CONN_WHY + 320];
	va_list args;

	if (!l->notes)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s%s%s", l->path, l->key ? l->key : "", text);
	l->notes->note(l->notes->ctx, l->conn->name, line);
}

/* ---- the walk ---- */

static bool add_word(struct load *l, struct load_words *w, struct span v)
{
	if (memchr(v.ptr, '\0', v.len))
		return load_error(l, ": the value contains a NUL");
	if (w->n == LOAD_WORDS_MAX)
		return load_error(l, ": more than %d values", LOAD_WORDS_MAX);
	if (v.len >= sizeof(w->text) - w->used)
		return load_error(l, ": the value is too long");
	w->word[w->n++] = w->text + w->used;
	memcpy(w->text + w->used, v.ptr, v.len);
	w->used += v.len;
	w->text[w->used++] = '\0';
	return true;
}

static struct span trim(struct span v)
{
	while (v.len && v.ptr[0] == ' ')
		v = span_of(v.ptr + 1, v.len - 1);
	while (v.len && v.ptr[v.len - 1] == ' ')
		v.len--;
	return v;
}

/* A list that came as one value: commas between, empty words dropped. */
static bool split(struct load *l, struct load_words *w, struct span v)
{
	while (v.len) {
		const uint8_t *comma = memchr(v.ptr, ',', v.len);
		size_t n = comma ? (size_t)(comma - v.ptr) : v.len;
		struct span word = trim(span_of(v.ptr, n));

		if (word.len && !add_word(l, w, word))
			return false;
		v = comma ? span_of(comma + 1, v.len - n - 1) : (struct span){0};
	}
	return true;
}

static bool read_words(struct load *l, struct vici_iter *it, const struct vici_element *first,
		       const struct load_key *key, struct load_words *w)
{
	struct vici_element e;

	w->n = 0;
	w->used = 0;
	if (first->type == VICI_KEY_VALUE)
		return key->list
			       ? split(l, w, first->value)
			       : trim(first->value).len == 0 || add_word(l, w, trim(first->value));
	while (!vici_next(it, &e) && e.type == VICI_LIST_ITEM) {
		if (!add_word(l, w, trim(e.value)))
			return false;
	}
	if (w->n > 1 && !key->list)
		return load_error(l, ": expected one value, there are %u", w->n);
	return true;
}

static const struct load_key *find_key(const struct load_key *table, struct span name)
{
	for (; table->name; table++) {
		if (span_equal(name, span_str(table->name)))
			return table;
	}
	return NULL;
}

static bool unknown_key(struct load *l, const struct load_key *table, struct span name)
{
	const char *names[TABLE_MAX + 1] = {0}, *near;
	char text[VICI_NAME_MAX + 1];

	for (unsigned i = 0; table[i].name && i < TABLE_MAX; i++)
		names[i] = table[i].name;
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	near = words_nearest(text, names);
	l->key = NULL;
	return load_error(l, "%s: unknown key%s%s%s", text, near ? ", nearest is '" : "",
			  near ? near : "", near ? "'" : "");
}

static bool load_one(struct load *l, struct vici_iter *it, const struct vici_element *e,
		     const struct load_key *table)
{
	const struct load_key *key = find_key(table, e->name);
	struct load_words w;
	uint64_t bit;
	bool ok;

	if (!key)
		return unknown_key(l, table, e->name);
	l->key = key->name;
	bit = (uint64_t)1 << (key - table);
	if (l->seen & bit)
		return load_error(l, ": given twice");
	l->seen |= bit;
	ok = read_words(l, it, e, key, &w) && key->parse(l, key, &w);
	l->key = NULL;
	return ok;
}

bool load_seen(const struct load *l, const struct load_key *table, const char *name)
{
	const struct load_key *key = find_key(table, span_str(name));

	return key && (l->seen >> (key - table) & 1);
}

bool load_elements(struct load *l, struct vici_iter *it, const struct load_key *table,
		   load_section *on_section)
{
	struct vici_element e;

	while (!vici_next(it, &e)) {
		switch (e.type) {
		case VICI_KEY_VALUE:
		case VICI_LIST_START:
			if (!load_one(l, it, &e, table))
				return false;
			break;
		case VICI_SECTION_START:
			if (!on_section(l, it, e.name))
				return false;
			break;
		default: /* the end of this section or of the message */
			return true;
		}
	}
	return false;
}

bool load_no_section(struct load *l, struct vici_iter *it, struct span name)
{
	(void)it;
	return load_error(l, "%.*s: unknown section", (int)name.len, name.ptr);
}

/* ---- authentication ---- */

static bool load_auth(struct load *l, const struct load_key *key, const struct load_words *w)
{
	static const char *const later[] = {"pubkey", "rsa",   "ecdsa", "ed25519", "ed448",
					    "eap",    "xauth", "any",	NULL};
	const char *word = w->n ? w->word[0] : "";

	(void)key;
	if (strcmp(word, "psk") == 0) {
		l->psk_seen = true;
		return true;
	}
	for (unsigned i = 0; later[i]; i++) {
		if (strncmp(word, later[i], strlen(later[i])) == 0)
			return load_error(l, "=%s: only psk is supported yet", word);
	}
	return load_error(l, "='%s': unknown, expected psk", word);
}

static bool load_auth_section(struct load *l, struct vici_iter *it, struct span name, bool local)
{
	bool *seen = local ? &l->local_seen : &l->remote_seen;

	if (*seen)
		return load_error(l, "%.*s: a second round of authentication is not supported yet",
				  (int)name.len, name.ptr);
	*seen = true;
	l->psk_seen = false;
	l->seen = 0;
	snprintf(l->path, sizeof(l->path), "%.*s.", (int)name.len, name.ptr);
	if (!load_elements(l, it, local ? local_keys : remote_keys, load_no_section))
		return false;
	if (!l->psk_seen)
		return load_error(l, "auth: missing; the default, pubkey, is not supported yet, "
				     "expected psk");
	l->path[0] = '\0';
	return true;
}

static const struct load_key no_keys[] = {{0}};

static bool load_children(struct load *l, struct vici_iter *it)
{
	snprintf(l->path, sizeof(l->path), "children.");
	if (!load_elements(l, it, no_keys, load_child_section))
		return false;
	l->path[0] = '\0';
	return true;
}

static bool starts_with(struct span name, const char *head)
{
	return name.len >= strlen(head) && memcmp(name.ptr, head, strlen(head)) == 0;
}

static bool load_conn_section(struct load *l, struct vici_iter *it, struct span name)
{
	uint64_t seen = l->seen;
	bool ok;

	if (span_equal(name, span_str("children")))
		ok = load_children(l, it);
	else if (starts_with(name, "local"))
		ok = load_auth_section(l, it, name, true);
	else if (starts_with(name, "remote"))
		ok = load_auth_section(l, it, name, false);
	else
		ok = load_error(l,
				"%.*s: unknown section, expected local..., remote... or children",
				(int)name.len, name.ptr);
	l->seen = seen;
	return ok;
}

/* ---- the connection ---- */

/* The first of both that comes; 0: none does. */
static mono_time soonest(const struct conn *c)
{
	if (!c->rekey_time || !c->reauth_time)
		return c->rekey_time + c->reauth_time;
	return c->rekey_time < c->reauth_time ? c->rekey_time : c->reauth_time;
}

/* As swanctl.conf(5) has it: reauth_time alone means no rekeying beside it, over_time is 10 % of
 * the longer one, and rand_time is over_time, but here not more than half of what comes first. */
static void fill_times(struct load *l)
{
	struct conn *c = l->conn;

	if (c->reauth_time && !load_seen(l, conn_keys, "rekey_time"))
		c->rekey_time = 0;
	if (!load_seen(l, conn_keys, "over_time"))
		c->over_time =
			(c->rekey_time > c->reauth_time ? c->rekey_time : c->reauth_time) / 10;
	if (load_seen(l, conn_keys, "rand_time"))
		return;
	c->rand_time = c->over_time;
	if (c->rand_time > soonest(c) / 2)
		c->rand_time = soonest(c) / 2;
}

static bool check_conn(struct load *l)
{
	struct conn *c = l->conn;

	fill_times(l);
	if (!load_check_ends(l) || !load_check_device(l))
		return false;
	if (!l->local_seen || !l->remote_seen)
		return load_error(l, "%s: missing section with auth=psk",
				  l->local_seen ? "remote" : "local");
	if (c->rekey_time && c->rand_time >= c->rekey_time)
		return load_error(l, "rand_time: not less than rekey_time");
	if (!c->source && !(c->source = strdup("vici")))
		return load_error(l, "out of memory");
	return true;
}

static bool load_whole(struct load *l, struct vici_iter *it)
{
	struct vici_element e;

	if (!load_elements(l, it, conn_keys, load_conn_section) || !check_conn(l))
		return false;
	if (vici_next(it, &e) || e.type != VICI_END)
		return load_error(l, "expected one section, the connection, and nothing behind it");
	return true;
}

struct conn *load_conn_parse(struct span body, const struct load_notes *notes, char *why,
			     size_t size)
{
	struct load l = {.notes = notes, .why = why, .size = size};
	struct vici_iter it = vici_iter(body);
	char name[VICI_NAME_MAX + 1];
	struct vici_element e;

	if (vici_next(&it, &e) || e.type != VICI_SECTION_START) {
		snprintf(why, size, "expected a section: the connection");
		return NULL;
	}
	if (e.name.len == 0 || memchr(e.name.ptr, '\0', e.name.len)) {
		snprintf(why, size, "the connection's name is empty or contains a NUL");
		return NULL;
	}
	if (!text_is_ascii(e.name.ptr, e.name.len)) {
		snprintf(why, size, "the connection's name: " LOAD_NAME_WORDS);
		return NULL;
	}
	memcpy(name, e.name.ptr, e.name.len);
	name[e.name.len] = '\0';
	l.conn = conn_new(name);
	if (!l.conn)
		snprintf(why, size, "out of memory");
	else if (load_whole(&l, &it))
		return l.conn;
	conn_free(l.conn);
	return NULL;
}
