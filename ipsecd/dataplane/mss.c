/* TCP MSS clamp: which devices' sizes are wanted, which the kernel has, and making them the
 * same. The table is looked at when the first size is set, after a refusal, and when the
 * ruleset's generation has changed. Messages: mss_nft.c. */
#include "ipsecd/dataplane/mss.h"

#include "ipsecd/dataplane/mss_nft.h"
#include "ipsecd/model/conn.h"
#include "lib/hash.h"
#include "lib/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IPV4_TCP    40
#define IPV6_TCP    60
#define MSS_LEAST   48 /* of an absurd MTU */
#define TICKS_CHECK 10

struct entry {
	char device[IF_NAMESIZE];
	bool set; /* by us; else only found */
	uint16_t want[MSS_MAPS], there[MSS_MAPS];
	UT_hash_handle hh;
};

struct mss {
	const struct log_sink *log;
	struct netlink *netlink; /* NULL: nobody wanted a clamp so far */
	struct entry *entries;	 /* by device */
	enum mss_map looking;	 /* which map is being read */
	bool looked;
	uint32_t generation;
	unsigned ticks;
	int said; /* the last error that was logged */
	uint8_t buf[MSS_BATCH_SIZE] __attribute__((aligned(8)));
};

struct mss *mss_open(const struct log_sink *log)
{
	struct mss *m = calloc(1, sizeof(*m));

	if (m)
		m->log = log;
	return m;
}

/* ---- entries ---- */

static struct entry *entry_find(struct mss *m, const char *device)
{
	struct entry *e;

	HASH_FIND_STR(m->entries, device, e);
	return e;
}

static struct entry *entry_get(struct mss *m, const char *device)
{
	struct entry *e = entry_find(m, device);

	if (e || strlen(device) >= sizeof(e->device))
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	memcpy(e->device, device, strlen(device) + 1);
	HASH_ADD_STR(m->entries, device, e);
	if (e->hh.tbl)
		return e;
	free(e);
	return NULL;
}

static void entry_free(struct mss *m, struct entry *e)
{
	HASH_DELETE(hh, m->entries, e);
	free(e);
}

static bool differs(const struct entry *e)
{
	return memcmp(e->want, e->there, sizeof(e->want)) != 0;
}

static bool is_there(const struct entry *e)
{
	return e->there[MSS_IPV4] || e->there[MSS_IPV6];
}

/* ---- looking ---- */

static void take_element(void *ctx, const char *device, uint16_t mss)
{
	struct mss *m = ctx;
	struct entry *e = entry_get(m, device);

	if (e)
		e->there[m->looking] = mss;
}

static void take_elements(void *ctx, const struct nlmsghdr *h)
{
	mss_parse_elements(h, take_element, ctx);
}

/* No table, no nf_tables: nothing is there, and setting something tells why. */
static void look(struct mss *m)
{
	struct entry *e, *next;

	HASH_ITER (hh, m->entries, e, next)
		memset(e->there, 0, sizeof(e->there));
	for (enum mss_map map = 0; map < MSS_MAPS; map++) {
		m->looking = map;
		netlink_query(m->netlink, mss_build_dump(m->buf, map), take_elements, m);
	}
	m->looked = true;
}

static void take_generation(void *ctx, const struct nlmsghdr *h)
{
	mss_parse_generation(h, ctx);
}

static uint32_t generation(struct mss *m)
{
	uint32_t n = m->generation;

	netlink_query(m->netlink, mss_build_generation(m->buf), take_generation, &n);
	return n;
}

/* ---- changing ---- */

static bool is_last(const struct mss *m, const struct entry *e)
{
	for (const struct entry *other = m->entries; other; other = other->hh.next) {
		if (other != e && is_there(other))
			return false;
	}
	return true;
}

static void put_changes(struct mss_batch *b, const struct entry *e)
{
	for (enum mss_map map = 0; map < MSS_MAPS; map++) {
		if (e->want[map] == e->there[map])
			continue;
		if (e->there[map])
			mss_batch_element(b, map, e->device, 0, false);
		if (e->want[map])
			mss_batch_element(b, map, e->device, e->want[map], true);
	}
}

/* One transaction: at no moment is a size missing that was there and is wanted. */
static int apply(struct mss *m, struct entry *e)
{
	struct mss_batch b = {.buf = m->buf};
	int error;

	mss_batch_begin(&b);
	if (!e->want[MSS_IPV4] && !e->want[MSS_IPV6] && is_last(m, e)) {
		mss_batch_remove_table(&b);
	} else {
		mss_batch_structure(&b);
		put_changes(&b, e);
	}
	mss_batch_end(&b);
	error = b.failed ? -ENOMEM : netlink_batch(m->netlink, b.buf, b.len);
	if (error == 0)
		memcpy(e->there, e->want, sizeof(e->there));
	return error;
}

static bool unsupported(int error)
{
	return error == -EOPNOTSUPP || error == -EAFNOSUPPORT || error == -EPROTONOSUPPORT ||
	       error == -ENOENT;
}

static bool refused(struct mss *m, const char *device, int error, const char *words)
{
	if (error == m->said)
		return false;
	m->said = error;
	if (unsupported(error))
		log_to(m->log, LOG_LEVEL_ERROR, "knl", device,
		       "mss: this kernel has no nf_tables that could clamp it (%s); the tunnel "
		       "works without",
		       words);
	else
		log_to(m->log, LOG_LEVEL_ERROR, "knl", device, "mss: %s", words);
	return false;
}

/* Somebody may have changed the table since we looked: once more, knowing that. */
static bool make_so(struct mss *m, struct entry *e)
{
	int error;

	if (!differs(e))
		return true;
	error = apply(m, e);
	if (error) {
		look(m);
		error = differs(e) ? apply(m, e) : 0;
	}
	if (error)
		return refused(m, e->device, error, netlink_strerror(m->netlink, error));
	m->said = 0;
	return true;
}

static bool ready(struct mss *m, const char *device)
{
	if (!m->netlink)
		m->netlink = netlink_open_protocol(NETLINK_NETFILTER);
	if (!m->netlink)
		return refused(m, device, -errno, strerror(errno));
	if (!m->looked)
		look(m);
	return true;
}

static uint16_t fits(uint16_t mtu, uint16_t headers)
{
	return mtu > headers + MSS_LEAST ? (uint16_t)(mtu - headers) : MSS_LEAST;
}

bool mss_set(struct mss *m, const char *device, uint16_t mss, uint16_t mtu)
{
	struct entry *e;

	if (mss == 0)
		return mss_clear(m, device);
	if (mss == TUNNEL_MSS_AUTO && mtu == 0)
		return true;
	if (!ready(m, device))
		return false;
	e = entry_get(m, device);
	if (!e)
		return refused(m, device, -ENOMEM, strerror(ENOMEM));
	e->set = true;
	e->want[MSS_IPV4] = mss == TUNNEL_MSS_AUTO ? fits(mtu, IPV4_TCP) : mss;
	e->want[MSS_IPV6] = mss == TUNNEL_MSS_AUTO ? fits(mtu, IPV6_TCP) : mss;
	return make_so(m, e);
}

static bool entry_clear(struct mss *m, struct entry *e)
{
	bool done;

	e->set = false;
	memset(e->want, 0, sizeof(e->want));
	done = make_so(m, e);
	if (done)
		entry_free(m, e);
	return done;
}

bool mss_clear(struct mss *m, const char *device)
{
	struct entry *e = entry_find(m, device);

	return !e || entry_clear(m, e);
}

void mss_settled(struct mss *m)
{
	struct entry *e, *next;

	HASH_ITER (hh, m->entries, e, next) {
		if (!e->set)
			entry_clear(m, e);
	}
}

void mss_tick(struct mss *m)
{
	struct entry *e, *next;
	uint32_t now;

	if (!m->entries || ++m->ticks % TICKS_CHECK)
		return;
	now = generation(m);
	if (now == m->generation)
		return;
	m->generation = now;
	look(m);
	HASH_ITER (hh, m->entries, e, next) {
		if (e->set)
			make_so(m, e);
	}
}

void mss_close(struct mss *m)
{
	struct entry *e, *next;

	if (!m)
		return;
	HASH_ITER (hh, m->entries, e, next) {
		if (e->set)
			entry_clear(m, e);
	}
	HASH_ITER (hh, m->entries, e, next)
		entry_free(m, e);
	netlink_close(m->netlink);
	free(m);
}

bool mss_flush(char *why, size_t size)
{
	struct netlink *nl = netlink_open_protocol(NETLINK_NETFILTER);
	uint8_t buf[MSS_BATCH_SIZE] __attribute__((aligned(8)));
	struct mss_batch b = {.buf = buf};
	int error;

	if (!nl)
		return true; /* no nf_tables, no table */
	mss_batch_begin(&b);
	mss_batch_remove_table(&b);
	mss_batch_end(&b);
	error = b.failed ? -ENOMEM : netlink_batch(nl, b.buf, b.len);
	if (error && !unsupported(error))
		snprintf(why, size, "MSS clamp: %s", netlink_strerror(nl, error));
	netlink_close(nl);
	return error == 0 || unsupported(error);
}
