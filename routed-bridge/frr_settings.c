/* A reader of running-config: line by line, words only, as far as failover is concerned.
 * Neighbors are collected for each `router bgp` block and judged at its end, when what they
 * have from their peer-group is known. */
#include "routed-bridge/frr_settings.h"
#include "lib/hash.h"
#include "lib/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX	8
#define NAME_SIZE	64
#define CONNECT_DEFAULT 120 /* seconds, of `frr defaults traditional` */
#define CONNECT_LONG	10
#define HOLD_DEFAULT	180

struct neighbor {
	char name[NAME_SIZE];
	char group[NAME_SIZE]; /* "": none */
	bool is_group, external, internal, bfd, multihop, policy_in, policy_out, shutdown;
	unsigned connect, hold; /* 0: not said */
	UT_hash_handle hh;
};

struct reader {
	const struct frr_settings *s;
	bool datacenter; /* `frr defaults datacenter` */
	bool complete;
	char as[16];
	char vrf[NAME_SIZE]; /* "": the default one */
	bool no_failover, no_policy, graceful;
	unsigned connect, hold;
	struct neighbor *neighbors;
	unsigned n;
	char words[WORDS_MAX][NAME_SIZE];
};

static void __attribute__((format(printf, 2, 3)))
finding(const struct frr_settings *s, const char *format, ...)
{
	char line[FRR_SETTINGS_LINE];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	s->finding(s->ctx, line);
}

/* ---- lines ---- */

/* Splits the first line off; false at the end. */
static bool next_line(struct span *rest, struct span *line)
{
	const uint8_t *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->ptr, '\n', rest->len);
	line->ptr = rest->ptr;
	line->len = end ? (size_t)(end - rest->ptr) : rest->len;
	rest->ptr += line->len + (end != NULL);
	rest->len -= line->len + (end != NULL);
	return true;
}

/* Words beyond the last that fits are dropped, as are ends of long ones: what matters here
 * is short and stands in front. Words that are missing are "". */
static void split(struct reader *r, struct span line)
{
	size_t i = 0;

	memset(r->words, 0, sizeof(r->words));
	for (r->n = 0; r->n < WORDS_MAX; r->n++) {
		size_t start, len;

		while (i < line.len && (line.ptr[i] <= ' '))
			i++;
		start = i;
		while (i < line.len && line.ptr[i] > ' ')
			i++;
		len = i - start < NAME_SIZE ? i - start : NAME_SIZE - 1;
		if (len == 0)
			return;
		memcpy(r->words[r->n], line.ptr + start, len);
	}
}

static bool is(const struct reader *r, unsigned word, const char *text)
{
	return word < WORDS_MAX && strcmp(r->words[word], text) == 0;
}

/* The word as a number; 0 if it is none. */
static unsigned number(const struct reader *r, unsigned word)
{
	uint64_t n = 0;

	return word < WORDS_MAX && words_parse_number(r->words[word], 65535, &n) ? (unsigned)n : 0;
}

/* ---- neighbors ---- */

static struct neighbor *find_or_add(struct reader *r, const char *name)
{
	struct neighbor *n;

	HASH_FIND_STR(r->neighbors, name, n);
	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (n) {
		snprintf(n->name, sizeof(n->name), "%s", name);
		HASH_ADD_STR(r->neighbors, name, n);
		if (n->hh.tbl)
			return n;
		free(n);
	}
	r->complete = false;
	return NULL;
}

static void free_neighbors(struct reader *r)
{
	struct neighbor *n, *next;

	HASH_ITER (hh, r->neighbors, n, next) {
		HASH_DEL(r->neighbors, n);
		free(n);
	}
	r->neighbors = NULL;
}

static void take_as(const struct reader *r, struct neighbor *n, unsigned word)
{
	n->internal = is(r, word, "internal") || is(r, word, r->as);
	n->external = !n->internal;
}

/* `neighbor NAME ...`; the words of `interface NAME` neighbors follow behind it. */
static void on_neighbor(struct reader *r)
{
	struct neighbor *n = r->words[1][0] ? find_or_add(r, r->words[1]) : NULL;
	unsigned at = is(r, 2, "interface") ? 3 : 2;

	if (!n)
		return;
	if (is(r, at, "v6only"))
		at++;
	if (is(r, at, "peer-group"))
		snprintf(n->group, sizeof(n->group), "%s", r->words[at + 1]);
	n->is_group = n->is_group || (is(r, at, "peer-group") && !r->words[at + 1][0]);
	if (is(r, at, "remote-as"))
		take_as(r, n, at + 1);
	n->bfd = n->bfd || is(r, 2, "bfd");
	n->multihop = n->multihop || is(r, 2, "ebgp-multihop");
	n->shutdown = n->shutdown || is(r, 2, "shutdown");
	if (is(r, 2, "timers") && is(r, 3, "connect"))
		n->connect = number(r, 4);
	else if (is(r, 2, "timers"))
		n->hold = number(r, 4);
	if (is(r, 2, "route-map") || is(r, 2, "prefix-list") || is(r, 2, "filter-list") ||
	    is(r, 2, "distribute-list")) {
		n->policy_in = n->policy_in || is(r, 4, "in");
		n->policy_out = n->policy_out || is(r, 4, "out");
	}
}

static struct neighbor with_group(const struct reader *r, const struct neighbor *n)
{
	struct neighbor all = *n;
	const struct neighbor *g;

	HASH_FIND_STR(r->neighbors, n->group, g);
	if (!n->group[0] || !g)
		return all;
	all.external |= g->external;
	all.internal |= g->internal;
	all.bfd |= g->bfd;
	all.multihop |= g->multihop;
	all.shutdown |= g->shutdown;
	all.policy_in |= g->policy_in;
	all.policy_out |= g->policy_out;
	all.connect = all.connect ? all.connect : g->connect;
	all.hold = all.hold ? all.hold : g->hold;
	return all;
}

/* ---- judgement ---- */

static void judge_timers(const struct reader *r, const struct neighbor *n, const char *where)
{
	unsigned hold = n->hold ? n->hold : r->hold, connect = n->connect ? n->connect : r->connect;

	hold = hold ? hold : r->datacenter ? 9 : HOLD_DEFAULT;
	connect = connect ? connect : r->datacenter ? 10 : CONNECT_DEFAULT;
	if (!n->bfd)
		finding(r->s, "%s has no 'bfd': a silent cut is noticed after the hold time, %u s",
			where, hold);
	if (connect > CONNECT_LONG)
		finding(r->s,
			"%s: 'timers connect' is %u s: so long may BGP wait before it tries a "
			"repaired tunnel",
			where, connect);
}

static void judge_neighbor(const struct reader *r, const struct neighbor *n)
{
	const char *tunnel = r->s->tunnel_of(r->s->ctx, n->name);
	char where[200];

	if (!tunnel || n->shutdown)
		return;
	snprintf(where, sizeof(where), "router bgp %s%s%s, neighbor %s (%s)", r->as,
		 r->vrf[0] ? " vrf " : "", r->vrf, n->name, tunnel);
	if (n->multihop)
		finding(r->s,
			"%s: 'ebgp-multihop' switches fast-external-failover off for it: when the "
			"tunnel goes down, BGP waits for a timer",
			where);
	if (n->external && !r->no_policy && !r->datacenter && !(n->policy_in && n->policy_out))
		finding(r->s,
			"%s has no policy for %s while 'bgp ebgp-requires-policy' holds: no route "
			"passes there",
			where,
			n->policy_in	? "what goes out"
			: n->policy_out ? "what comes in"
					: "either direction");
	judge_timers(r, n, where);
}

static void judge_router(const struct reader *r)
{
	const struct neighbor *n, *next;
	unsigned tunnels = 0;

	HASH_ITER (hh, r->neighbors, n, next) {
		struct neighbor all = with_group(r, n);

		if (n->is_group)
			continue;
		tunnels += r->s->tunnel_of(r->s->ctx, n->name) != NULL;
		judge_neighbor(r, &all);
	}
	if (tunnels && r->no_failover)
		finding(r->s,
			"router bgp %s: 'no bgp fast-external-failover': when a tunnel goes down, "
			"BGP waits for a timer",
			r->as);
	if (tunnels && r->graceful)
		finding(r->s,
			"router bgp %s: 'bgp graceful-restart': a peer keeps routes of a session "
			"that ended, also over a dead tunnel",
			r->as);
}

static void on_redistribute(const struct reader *r)
{
	char words[2 * NAME_SIZE + 1];
	bool numbered = is(r, 1, "table");
	unsigned at = numbered ? 3 : 2;

	snprintf(words, sizeof(words), "%s%s%s", r->words[1], numbered ? " " : "",
		 numbered ? r->words[2] : "");
	for (size_t i = 0; i < r->s->n_types; i++) {
		if (strcmp(r->s->types[i].words, words) != 0)
			continue;
		if (r->s->types[i].backup)
			finding(r->s,
				"router bgp %s: 'redistribute %s' announces routes of local "
				"repair: "
				"they may loop",
				r->as, words);
		else if (!is(r, at, "route-map") && !is(r, at + 2, "route-map"))
			finding(r->s,
				"router bgp %s: 'redistribute %s' without a route-map: these "
				"routes "
				"beat what the peer itself announces; use one that sets weight 0",
				r->as, words);
	}
}

/* ---- blocks ---- */

static void start_router(struct reader *r)
{
	free_neighbors(r);
	snprintf(r->as, sizeof(r->as), "%.15s", r->words[2]);
	snprintf(r->vrf, sizeof(r->vrf), "%s", is(r, 3, "vrf") ? r->words[4] : "");
	r->no_failover = r->no_policy = r->graceful = false;
	r->connect = r->hold = 0;
}

static void on_router_line(struct reader *r)
{
	if (is(r, 0, "neighbor"))
		on_neighbor(r);
	else if (is(r, 0, "redistribute"))
		on_redistribute(r);
	else if (is(r, 0, "timers") && is(r, 1, "bgp"))
		r->hold = number(r, 3);
	else if (is(r, 0, "no") && is(r, 2, "fast-external-failover"))
		r->no_failover = true;
	else if (is(r, 0, "no") && is(r, 2, "ebgp-requires-policy"))
		r->no_policy = true;
	else if (is(r, 0, "bgp") && is(r, 1, "graceful-restart") && !r->words[2][0])
		r->graceful = true;
}

bool frr_settings_bgp(const struct frr_settings *s, struct span config)
{
	struct reader r = {.s = s, .complete = true};
	bool in_router = false;
	struct span line;

	while (next_line(&config, &line)) {
		split(&r, line);
		if (is(&r, 0, "frr") && is(&r, 1, "defaults"))
			r.datacenter = is(&r, 2, "datacenter");
		if (in_router && line.len && line.ptr[0] > ' ' && !is(&r, 0, "!")) {
			judge_router(&r); /* `exit`, or what begins the next block */
			in_router = false;
		}
		if (is(&r, 0, "router") && is(&r, 1, "bgp")) {
			start_router(&r);
			in_router = true;
		} else if (in_router) {
			on_router_line(&r);
		}
	}
	if (in_router)
		judge_router(&r);
	free_neighbors(&r);
	return r.complete;
}

/* On by default in the traditional profile since 9.1, and not written then. */
static bool resolves_by_default(const char *version)
{
	char *dot;
	unsigned long major = strtoul(version, &dot, 10);

	return major > 9 || (major == 9 && *dot == '.' && dot[1] != '0');
}

void frr_settings_zebra(const struct frr_settings *s, struct span config)
{
	struct reader r = {.s = s};
	bool resolve = false;
	struct span line;

	while (next_line(&config, &line)) {
		unsigned at;

		split(&r, line);
		at = is(&r, 0, "no");
		if (is(&r, 0, "frr") && is(&r, 1, "version"))
			resolve = resolves_by_default(r.words[2]);
		if (is(&r, at, "ip") && is(&r, at + 1, "nht") &&
		    is(&r, at + 2, "resolve-via-default"))
			resolve = at == 0;
	}
	if (resolve)
		finding(s, "'ip nht resolve-via-default' is on: a default route hides that a BGP "
			   "nexthop is gone; use 'no ip nht resolve-via-default'");
}
