/* Address pools over vici: load-pool, unload-pool, get-pools. */
#include "ipsecd/control/load_conn.h"
#include "ipsecd/control/server.h"
#include "lib/text.h"

#include <inttypes.h>
#include <stdio.h>

#define ADDRS_MAX 128
#define POOL_MAX  2048 /* more than one pool or lease and the end of the message take */
/* One packet: what is beyond is counted only. Leases leave some of it to pools. */
#define POOLS_END  (VICI_PACKET_MAX - POOL_MAX)
#define LEASES_END (VICI_PACKET_MAX / 4 * 3)

/* ---- load-pool ---- */

struct loading {
	struct client *client;
	char name[CONTROL_NAME_MAX], addrs[ADDRS_MAX];
	struct addr dns[VIP_DNS_MAX];
	uint8_t n_dns;
	bool failed;
};

static bool refuse(struct loading *l, const char *key, const char *reason)
{
	client_fail(l->client, "pool %s: %s: %s", l->name, key, reason);
	l->failed = true;
	return false;
}

static bool read_text(struct loading *l, const char *key, struct span v, char *out, size_t size)
{
	if (v.len >= size || memchr(v.ptr, '\0', v.len))
		return refuse(l, key, "the value is too long or contains a NUL");
	memcpy(out, v.ptr, v.len);
	out[v.len] = '\0';
	return true;
}

static bool load_dns(struct loading *l, struct span v)
{
	char text[ADDR_TEXT];

	if (!read_text(l, "dns", v, text, sizeof(text)))
		return false;
	if (l->n_dns == VIP_DNS_MAX)
		return refuse(l, "dns", "too many name servers");
	if (!addr_parse(text, &l->dns[l->n_dns]))
		return refuse(l, "dns", "expected an address");
	l->n_dns++;
	return true;
}

/* One value of a key, by itself or as an item of a list. */
static bool load_value(struct loading *l, struct span key, struct span v)
{
	char name[CONTROL_NAME_MAX];

	if (span_equal(key, span_str("addrs")))
		return read_text(l, "addrs", v, l->addrs, sizeof(l->addrs));
	if (span_equal(key, span_str("dns")))
		return load_dns(l, v);
	snprintf(name, sizeof(name), "%.*s", (int)key.len, key.ptr);
	return refuse(l, name, "only addrs and dns are possible here");
}

/* A value with commas is a list, too. */
static bool load_values(struct loading *l, struct span key, struct span v)
{
	while (v.len) {
		const uint8_t *comma = memchr(v.ptr, ',', v.len);
		struct span one = span_of(v.ptr, comma ? (size_t)(comma - v.ptr) : v.len);

		v = span_of(v.ptr + one.len + (comma ? 1 : 0), v.len - one.len - (comma ? 1 : 0));
		while (one.len && one.ptr[0] == ' ')
			one = span_of(one.ptr + 1, one.len - 1);
		while (one.len && one.ptr[one.len - 1] == ' ')
			one.len--;
		if (one.len && !load_value(l, key, one))
			return false;
	}
	return true;
}

static bool load_section(struct loading *l, struct vici_iter *it)
{
	struct span list = {0};
	struct vici_element e;

	while (!vici_next(it, &e)) {
		switch (e.type) {
		case VICI_KEY_VALUE:
			if (!load_values(l, e.name, e.value))
				return false;
			break;
		case VICI_LIST_START:
			list = e.name;
			break;
		case VICI_LIST_ITEM:
			if (!load_value(l, list, e.value))
				return false;
			break;
		case VICI_SECTION_END:
			return true;
		default:
			break;
		}
	}
	return refuse(l, "addrs", "the message is malformed");
}

void command_load_pool(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	struct loading l = {.client = c};
	struct vici_iter it = vici_iter(body);
	struct vici_element e;
	char why[256] = "refused";

	if (vici_next(&it, &e) || e.type != VICI_SECTION_START || !e.name.len ||
	    !read_text(&l, "name", e.name, l.name, sizeof(l.name))) {
		if (!l.failed)
			client_fail(c, "expected one section: the pool");
		return;
	}
	if (!text_is_ascii(e.name.ptr, e.name.len)) {
		client_fail(c, "the pool's name: " LOAD_NAME_WORDS);
		return;
	}
	if (!load_section(&l, &it))
		return;
	if (!l.addrs[0])
		client_fail(c, "pool %s: addrs: missing", l.name);
	else if (host->load_pool(host->ctx, l.name, l.addrs, l.dns, l.n_dns, why, sizeof(why)))
		client_succeed(c);
	else
		client_fail(c, "%s", why);
}

void command_unload_pool(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	char name[CONTROL_NAME_MAX], why[256] = "refused";

	if (!vici_get_str(body, "name", name, sizeof(name)))
		client_fail(c, "missing or overlong name");
	else if (host->unload_pool(host->ctx, name, why, sizeof(why)))
		client_succeed(c);
	else
		client_fail(c, "%s", why);
}

/* ---- get-pools ---- */

struct listing_leases {
	struct buf *b;
	unsigned n, more; /* more: beyond LEASES_END */
};

static void put_lease(void *ctx, const struct control_lease *lease)
{
	struct listing_leases *l = ctx;
	char index[16], addr[ADDR_TEXT], id[ID_TEXT];

	if (l->b->len > LEASES_END) {
		l->more++;
		return;
	}
	snprintf(index, sizeof(index), "%u", l->n++);
	vici_put_section(l->b, index);
	vici_put(l->b, "address", addr_format(&lease->addr, addr));
	vici_put(l->b, "identity", id_format(lease->identity, id));
	vici_put(l->b, "status", lease->online ? "online" : "offline");
	vici_put_section_end(l->b);
}

static void put_pool(struct client *c, struct buf *b, unsigned n, const struct control_pool *pool,
		     bool leases)
{
	const struct control_host *host = &c->control->host;
	struct listing_leases l = {.b = b};
	char text[ADDR_TEXT], last[ADDR_TEXT];

	vici_put_section(b, pool->name);
	vici_put(b, "base", addr_format(&pool->base, text));
	vici_put_format(b, "addrs", "%s-%s", addr_format(&pool->first, text),
			addr_format(&pool->last, last));
	vici_put_format(b, "size", "%" PRIu64, pool->size);
	vici_put_format(b, "online", "%u", pool->online);
	vici_put_format(b, "offline", "%u", pool->offline);
	if (leases) {
		vici_put_section(b, "leases");
		host->leases(host->ctx, n, put_lease, &l);
		vici_put_section_end(b);
	}
	if (l.more)
		vici_put_format(b, "more-leases", "%u", l.more);
	vici_put_section_end(b);
}

void command_get_pools(struct client *c, struct span body)
{
	const struct control_host *host = &c->control->host;
	struct buf b = client_response(c);
	char name[CONTROL_NAME_MAX] = "", leases[8] = "";
	struct control_pool pool;
	unsigned more = 0;

	vici_get_str(body, "name", name, sizeof(name));
	vici_get_str(body, "leases", leases, sizeof(leases));
	for (unsigned n = 0; host->pool(host->ctx, n, &pool); n++) {
		if (name[0] && strcmp(name, pool.name) != 0)
			continue;
		if (b.len < POOLS_END)
			put_pool(c, &b, n, &pool, strcmp(leases, "yes") == 0);
		else
			more++;
	}
	if (more)
		vici_put_format(&b, "more-pools", "%u", more);
	client_respond(c, &b);
}
