/* PLUTO_* variables. The values that a script saw when it was called with "up" are those that
 * it sees with "down": what it undoes is what it did. */
#include "ipsecd/updown_env.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION "1.1" /* of this interface, as scripts may ask */
#define VERB	"PLUTO_VERB="

static void put(struct updown_env *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put(struct updown_env *e, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (e->n == UPDOWN_VARS_MAX || vasprintf(&text, format, args) < 0)
		e->failed = true;
	else
		e->vars[e->n++] = text;
	va_end(args);
}

/* ---- selectors ---- */

/* The smallest prefix around a range: scripts know prefixes only. */
static struct prefix cover(const struct ts *ts)
{
	struct prefix p = {.addr.family = ts->family};
	size_t bits = addr_size(ts->family) * 8;

	while (p.len < bits) {
		uint8_t bit = (uint8_t)(0x80 >> p.len % 8);

		if ((ts->start[p.len / 8] ^ ts->end[p.len / 8]) & bit)
			break;
		p.len++;
	}
	memcpy(p.addr.bytes, ts->start, sizeof(p.addr.bytes));
	return prefix_mask(&p);
}

static bool is_host(const struct ts *ts, const struct addr *host)
{
	size_t size = addr_size(ts->family);

	return ts->family == host->family && memcmp(ts->start, host->bytes, size) == 0 &&
	       memcmp(ts->end, host->bytes, size) == 0;
}

static bool is_icmp(const struct ts *a, const struct ts *b)
{
	uint8_t protocol = a->protocol > b->protocol ? a->protocol : b->protocol;

	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* Of ICMP the type is ours and the code the peer's (RFC 4301 4.4.1.1); one port, any ("0") or
 * "first:last". */
static void put_port(struct updown_env *e, const char *whose, const struct ts *ts,
		     const struct ts *other, bool mine)
{
	uint16_t icmp = ts->port_start > other->port_start ? ts->port_start : other->port_start;

	if (is_icmp(ts, other))
		put(e, "PLUTO_%s_PORT=%u", whose, mine ? icmp >> 8 : icmp & 0xff);
	else if (ts->port_start == ts->port_end ||
		 (ts->port_start == 0 && ts->port_end == UINT16_MAX))
		put(e, "PLUTO_%s_PORT=%u", whose, ts->port_start);
	else
		put(e, "PLUTO_%s_PORT=%u:%u", whose, ts->port_start, ts->port_end);
}

static void put_end(struct updown_env *e, const char *whose, const struct ts *ts,
		    const struct ts *other, bool mine)
{
	struct prefix client = cover(ts);
	char text[ADDR_TEXT];

	put(e, "PLUTO_%s_CLIENT=%s/%u", whose, addr_format(&client.addr, text), client.len);
	put_port(e, whose, ts, other, mine);
	put(e, "PLUTO_%s_PROTOCOL=%u", whose, ts->protocol);
}

/* ---- what the two ends are and gave each other ---- */

static void put_id(struct updown_env *e, const char *name, const struct id *id)
{
	char text[ID_TEXT];

	put(e, "%s=%s", name, id_format(id, text));
}

/* "NAME4_1", "NAME6_1", "NAME4_2" ... in the order of each family. */
static void put_numbered(struct updown_env *e, const char *name, const struct addr *list,
			 unsigned n)
{
	unsigned n4 = 0, n6 = 0;
	char text[ADDR_TEXT];

	for (unsigned i = 0; i < n; i++) {
		bool six = list[i].family == AF_INET6;

		put(e, "%s%c_%u=%s", name, six ? '6' : '4', six ? ++n6 : ++n4,
		    addr_format(&list[i], text));
	}
}

static void put_vips(struct updown_env *e, const char *whose, const struct addr *list, unsigned n)
{
	char name[32], text[ADDR_TEXT];

	if (n == 0)
		return;
	put(e, "PLUTO_%s_SOURCEIP=%s", whose, addr_format(&list[0], text));
	snprintf(name, sizeof(name), "PLUTO_%s_SOURCEIP", whose);
	put_numbered(e, name, list, n);
}

static void put_mark(struct updown_env *e, const char *name, const struct mark *m)
{
	if (m->value)
		put(e, "%s=%u/0x%08x", name, m->value, m->mask);
}

static void put_tunnel(struct updown_env *e, const struct updown_facts *f)
{
	put(e, "PLUTO_INTERFACE=%s", f->interface[0] ? f->interface : "unknown");
	put(e, "PLUTO_VIRT_INTERFACE=%s", f->device);
	put(e, "PLUTO_REQID=%u", f->child->reqid);
	put(e, "PLUTO_PROTO=esp");
	put(e, "PLUTO_UNIQUEID=%u", f->child->tunnel);
	put_mark(e, "PLUTO_MARK_IN", &f->mark_in);
	put_mark(e, "PLUTO_MARK_OUT", &f->mark_out);
	if (f->if_id_in)
		put(e, "PLUTO_IF_ID_IN=%u", f->if_id_in);
	if (f->if_id_out)
		put(e, "PLUTO_IF_ID_OUT=%u", f->if_id_out);
	if (f->child->udp_encap)
		put(e, "PLUTO_UDP_ENC=%u", f->ike->path.remote.port);
}

static void put_peers(struct updown_env *e, const struct ike_sa_info *ike)
{
	char text[ADDR_TEXT];

	put(e, "PLUTO_ME=%s", addr_format(&ike->path.local.addr, text));
	put_id(e, "PLUTO_MY_ID", &ike->local_id);
	put_vips(e, "MY", ike->local_vips, ike->n_local_vips);
	put(e, "PLUTO_PEER=%s", addr_format(&ike->path.remote.addr, text));
	put_id(e, "PLUTO_PEER_ID", &ike->remote_id);
	put_vips(e, "PEER", ike->remote_vips, ike->n_remote_vips);
	put_numbered(e, "PLUTO_DNS", ike->dns, ike->n_dns);
}

/* ---- runs ---- */

static bool pair(const struct ts_list *mine, const struct ts_list *peers, unsigned n,
		 const struct ts **a, const struct ts **b, unsigned *count)
{
	*count = 0;
	for (unsigned i = 0; i < mine->n; i++) {
		for (unsigned j = 0; j < peers->n; j++) {
			if (mine->ts[i].family != peers->ts[j].family)
				continue;
			*a = &mine->ts[i];
			*b = &peers->ts[j];
			if ((*count)++ == n)
				return true;
		}
	}
	return false;
}

unsigned updown_env_pairs(const struct ts_list *mine, const struct ts_list *peers)
{
	const struct ts *a, *b;
	unsigned count = 0;

	pair(mine, peers, UINT_MAX, &a, &b, &count);
	return count;
}

bool updown_env_make(struct updown_env *e, const struct updown_facts *f, unsigned n)
{
	const struct ts *mine, *peers;
	unsigned count;

	*e = (struct updown_env){0};
	if (!pair(f->child->local_ts, f->child->remote_ts, n, &mine, &peers, &count))
		return false;
	snprintf(e->suffix, sizeof(e->suffix), "%s%s",
		 is_host(mine, &f->ike->path.local.addr) ? "host" : "client",
		 mine->family == AF_INET6 ? "-v6" : "");
	put(e, VERB "up-%s", e->suffix);
	put(e, "PATH=%s", f->path);
	put(e, "PLUTO_VERSION=" VERSION);
	put(e, "PLUTO_CONNECTION=%s", f->child->name);
	put_tunnel(e, f);
	put_peers(e, f->ike);
	put_end(e, "MY", mine, peers, true);
	put_end(e, "PEER", peers, mine, false);
	if (!e->failed)
		return true;
	updown_env_clear(e);
	return false;
}

const char *updown_env_verb(struct updown_env *e, bool up)
{
	char *verb;

	if (asprintf(&verb, VERB "%s-%s", up ? "up" : "down", e->suffix) < 0)
		return NULL;
	free(e->vars[0]);
	e->vars[0] = verb;
	return verb + strlen(VERB);
}

void updown_env_clear(struct updown_env *e)
{
	for (unsigned i = 0; i < e->n; i++)
		free(e->vars[i]);
	*e = (struct updown_env){0};
}

void updown_told_clear(struct updown_told *t)
{
	for (unsigned i = 0; i < t->n_envs; i++)
		updown_env_clear(&t->envs[i]);
	free(t->envs);
	free(t->script);
	free(t->child);
	free(t->conn);
	*t = (struct updown_told){0};
}
