/* ipsec.conf -> conns: the sections one by one, then what must hold among them. */
#include "ipsecd/config/build.h"
#include "ipsecd/config/recall.h"

#include <stdlib.h>
#include <string.h>

static bool add_conn(struct config *out, const struct config_conn *c)
{
	struct config_conn *conns = reallocarray(out->conns, out->n_conns + 1u, sizeof(*conns));

	if (!conns)
		return false;
	out->conns = conns;
	conns[out->n_conns++] = *c;
	return true;
}

static void release(struct config_conn *c)
{
	conn_free(c->conn);
	free(c->right_updown);
	sourceip_free(c);
}

/* Conns of auto=ignore are built to find their errors, and dropped. */
static void take_conn(struct section *s, const struct setup *setup, struct config *out,
		      struct config_errors *errors)
{
	struct config_conn c;

	if (!build_conn(s, setup, &c, errors))
		config_error(errors, &s->pos, "out of memory");
	else if (build_auto(s, errors) == BUILD_IGNORE)
		;
	else if (add_conn(out, &c))
		return;
	else
		config_error(errors, &s->pos, "out of memory");
	release(&c);
}

/* What only one conn can have: a device's name, a mark, an interface id, an address inside. */
struct claim {
	char key[ADDR_TEXT + 16];
	const struct conn *conn;
	UT_hash_handle hh;
};

#define CLAIMS_MAX BUILD_CLAIMS_MAX

/* Whichever end is ours: a file that both sites have is as wrong with one address for two
 * tunnels. */
static unsigned claim_addrs(const struct prefix *addrs, unsigned n_addrs, struct claim *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_addrs; i++) {
		char text[ADDR_TEXT];

		if (tunnel_addr_is_shared(&addrs[i]))
			continue;
		snprintf(out[n++].key, sizeof(out->key), "interface-ip %s",
			 addr_format(&addrs[i].addr, text));
	}
	return n;
}

static unsigned claims_of(const struct config_conn *conn, struct claim out[CLAIMS_MAX])
{
	const struct conn *c = conn->conn;
	const struct tunnel_config *t = &c->tunnel;
	unsigned n = 0;

	snprintf(out[n++].key, sizeof(out->key), "device %s", t->name);
	if (t->mark_in.value)
		snprintf(out[n++].key, sizeof(out->key), "mark-in %#x", t->mark_in.value);
	if (t->mark_out.value)
		snprintf(out[n++].key, sizeof(out->key), "mark-out %#x", t->mark_out.value);
	if (t->if_id_in)
		snprintf(out[n++].key, sizeof(out->key), "if-id %#x", t->if_id_in);
	n += claim_addrs(t->addrs, t->n_addrs, out + n);
	n += claim_addrs(conn->right_addrs, conn->n_right_addrs, out + n);
	for (unsigned i = 0; i < n; i++)
		out[i].conn = c;
	return n;
}

unsigned build_claims(const struct config_conn *c, uint64_t out[BUILD_CLAIMS_MAX])
{
	struct claim claims[CLAIMS_MAX];
	unsigned n = claims_of(c, claims);

	for (unsigned i = 0; i < n; i++) {
		out[i] = 0xcbf29ce484222325ULL; /* FNV-1a */
		for (const char *p = claims[i].key; *p; p++)
			out[i] = (out[i] ^ (uint8_t)*p) * 0x100000001b3ULL;
	}
	return n;
}

/* Marks may be said with one keyword: one message is enough. */
static void complain(const struct sections *sections, const struct claim *c,
		     const struct claim *same, struct config_errors *errors)
{
	struct section *s;

	HASH_FIND_STR(sections->conns, c->conn->name, s);
	if (s && strcmp(c->conn->name, same->conn->name) != 0) /* else check_names said it */
		config_error(errors, &s->pos, "conn %s: %s is that of conn %s at %s already",
			     c->conn->name, c->key, same->conn->name, same->conn->source);
}

static void check_claims(const struct sections *sections, const struct config *out,
			 struct config_errors *errors)
{
	struct claim own[CLAIMS_MAX], *all = NULL, *claims = NULL, *same;
	unsigned n = 0;

	for (unsigned i = 0; i < out->n_conns; i++)
		n += claims_of(&out->conns[i], own);
	all = calloc(n + 1, sizeof(*all));
	n = 0;
	for (unsigned i = 0; all && i < out->n_conns; i++) {
		unsigned n_own = claims_of(&out->conns[i], own);
		bool told = false;

		for (unsigned k = 0; k < n_own; k++) {
			HASH_FIND_STR(claims, own[k].key, same);
			if (same && !told)
				complain(sections, &own[k], same, errors);
			told |= same != NULL;
			if (same)
				continue;
			all[n] = own[k];
			HASH_ADD_STR(claims, key, &all[n]);
			n++;
		}
	}
	HASH_CLEAR(hh, claims);
	free(all);
}

/* One that others are made of need not be a connection itself. */
static void check_auto(const struct sections *sections, struct config_errors *errors)
{
	for (const struct section *s = sections->conns; s; s = s->hh.next) {
		const struct setting *mode = s->resolved.set[KEYWORD_AUTO][0];

		if (!s->referred && (!mode || !*mode->value))
			config_warning(errors, &s->pos,
				       "conn %s: it is not loaded, as there is no auto=; expected "
				       "auto=start, route or add, or auto=ignore if that is meant",
				       s->name);
	}
}

static void check_names(const struct config *out, unsigned before, const struct sections *sections,
			struct config_errors *errors)
{
	struct section *s;

	for (unsigned i = 0; i < before; i++) {
		HASH_FIND_STR(sections->conns, out->conns[i].conn->name, s);
		if (s)
			config_error(errors, &s->pos, "conn %s was already defined at %s", s->name,
				     out->conns[i].conn->source);
	}
}

static void drop_behind(struct config *c, unsigned n_conns)
{
	while (c->n_conns > n_conns)
		release(&c->conns[--c->n_conns]);
}

bool ipsec_conf_parse(const char *file, struct span text, const struct config_reader *reader,
		      struct config *out, struct config_errors *errors)
{
	unsigned n_before = out->n_conns, errors_before = errors->n_errors;
	struct sections sections = {0};
	struct section *s, *tmp;
	struct settings settings;
	struct setup setup;

	sections_read(file, text, reader, &sections, errors);
	sections_resolve(&sections, errors);
	setup_read(&sections, &setup, &settings, errors);
	check_names(out, n_before, &sections, errors);
	HASH_ITER (hh, sections.conns, s, tmp)
		take_conn(s, &setup, out, errors);
	check_claims(&sections, out, errors);
	if (!reader || !recall_uses(reader->recall)) /* else not all that refers is read */
		check_auto(&sections, errors);
	if (reader)
		recall_built(reader->recall, out);
	sections_free(&sections);
	config_errors_sort(errors);
	if (errors->n_errors == errors_before) {
		out->settings = settings;
		return true;
	}
	drop_behind(out, n_before);
	return false;
}

void config_free(struct config *c)
{
	drop_behind(c, 0);
	for (unsigned i = 0; i < c->n_secrets; i++)
		secret_free(c->secrets[i]);
	for (unsigned i = 0; i < c->n_gone; i++)
		free(c->gone[i]);
	free(c->gone);
	free(c->conns);
	free(c->secrets);
	*c = (struct config){0};
}
