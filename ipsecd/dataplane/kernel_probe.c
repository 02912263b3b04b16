/* What this kernel can do, found out by trying, under names and numbers that are nobody's. */
#include "ipsecd/dataplane/kernel.h"

#include "lib/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPI_RESERVED_MAX 255 /* RFC 4303 2.1 */

#define PROBE_SPI	 0x4400ffffu
#define PROBE_KEY	 0x44fffffeu
#define PROBE_NAME	 "ike-probe-"

/* ---- devices ---- */

static void note_leftover(void *ctx, const struct netlink_link *link,
			  const struct netlink_device *device)
{
	int *ifindex = ctx;

	if (strncmp(link->name, PROBE_NAME, sizeof(PROBE_NAME) - 1) == 0 &&
	    (device->okey == PROBE_KEY || device->if_id == PROBE_KEY))
		*ifindex = link->ifindex;
}

/* Of a process that was killed while it tried. Its device has the only key and endpoints that are
 * tried, so no other one could be made for ever. */
static bool remove_leftover(struct netlink *nl)
{
	int ifindex = 0;

	return netlink_device_list(nl, note_leftover, &ifindex) == 0 && ifindex &&
	       netlink_link_del(nl, ifindex) == 0;
}

static int try_device(struct netlink *nl, enum netlink_device_kind kind)
{
	struct netlink_device d = {
		.kind = kind, .ikey = PROBE_KEY, .okey = PROBE_KEY, .if_id = PROBE_KEY};
	int ifindex, e;

	snprintf(d.name, sizeof(d.name), PROBE_NAME "%u", (unsigned)getpid() % 10000);
	if (kind == NETLINK_DEVICE_VTI)
		d.remote = (struct addr){AF_INET, {240, 255, 255, 1}};
	if (kind == NETLINK_DEVICE_VTI6)
		d.remote = (struct addr){AF_INET6, {1, [15] = 3}};
	do
		e = netlink_device_add(nl, &d, true, &ifindex);
	while (e == -EEXIST && remove_leftover(nl));
	if (e == 0)
		netlink_link_del(nl, ifindex);
	return e;
}

static bool devices_work(struct netlink *nl, char *why, size_t size)
{
	int vti = try_device(nl, NETLINK_DEVICE_VTI), xfrm;
	char words[96];

	if (vti == 0)
		return true;
	snprintf(words, sizeof(words), "%s", netlink_strerror(nl, vti));
	xfrm = try_device(nl, NETLINK_DEVICE_XFRM);
	if (xfrm == 0)
		return true;
	if (vti == -EPERM)
		snprintf(why, size, "devices can't be made: %s (CAP_NET_ADMIN)", words);
	else
		snprintf(why, size,
			 "the kernel has neither vti (ip_vti: %s) nor xfrm interfaces "
			 "(xfrm_interface: %s)",
			 words, netlink_strerror(nl, xfrm));
	return false;
}

/* ---- algorithms ---- */

static int try_state(struct netlink *nl, uint16_t encr_id, uint16_t key_bits, uint16_t integ_id,
		     bool esn, uint8_t family)
{
	static const uint8_t zero[CHILD_KEY_MAX];
	const struct algorithm_encr *encr = algorithm_encr(encr_id, key_bits);
	const struct algorithm_integ *integ = algorithm_integ(integ_id);
	struct xfrm_state s = {
		.spi = PROBE_SPI,
		.reqid = REQID_BASE,
		.src = {family, {240, 255, 255, 1}},
		.dst = {family, {240, 255, 255, 2}},
		.tag.mark = {PROBE_KEY, UINT32_MAX},
		.encr_id = encr_id,
		.key_bits = key_bits,
		.integ_id = integ_id,
		.esn = esn,
		.replay_window = 64,
	};
	int e;

	if (!encr)
		return -ENOSYS;
	s.encr_key = span_of(zero, (size_t)encr->key_len + encr->salt_len);
	s.integ_key = span_of(zero, integ ? integ->key_len : 0);
	e = xfrm_state_add(nl, &s);
	if (e == 0 || e == -EEXIST)
		xfrm_state_remove(nl, &s.dst, s.spi, &s.tag);
	return e == -EEXIST ? 0 : e;
}

static bool esp_works(char *why, size_t size)
{
	struct netlink *nl = netlink_open_protocol(NETLINK_XFRM);
	int e;

	if (!nl) {
		snprintf(why, size, "the kernel has no XFRM (xfrm_user): %s", strerror(errno));
		return false;
	}
	e = try_state(nl, ENCR_AES_GCM_16, 128, 0, false, AF_INET);
	if (e == -ENOSYS)
		e = try_state(nl, ENCR_AES_CBC, 128, INTEG_HMAC_SHA2_256_128, false, AF_INET);
	if (e)
		snprintf(why, size, "the kernel has no ESP (esp4): %s", netlink_strerror(nl, e));
	netlink_close(nl);
	return e == 0;
}

bool kernel_probe(char *why, size_t size)
{
	struct netlink *nl;
	bool works;

	if (!esp_works(why, size))
		return false;
	nl = netlink_open();
	if (!nl) {
		snprintf(why, size, "rtnetlink: %s", strerror(errno));
		return false;
	}
	works = devices_work(nl, why, size);
	netlink_close(nl);
	return works;
}

/* ---- what may be offered ---- */

static uint32_t ability_key(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, bool esn)
{
	return (uint32_t)encr_id << 24 | (uint32_t)integ_id << 16 | (uint32_t)key_bits << 1 | esn;
}

bool kernel_supports(struct dataplane *d, uint16_t encr_id, uint16_t key_bits, uint16_t integ_id,
		     bool esn)
{
	uint32_t key = ability_key(encr_id, key_bits, integ_id, esn);
	struct kernel_ability *a;
	int e;

	HASH_FIND(hh, d->abilities, &key, sizeof(key), a);
	if (a)
		return a->works;
	e = try_state(d->xfrm, encr_id, key_bits, integ_id, esn, AF_INET);
	a = calloc(1, sizeof(*a));
	if (!a)
		return e == 0;
	a->key = key;
	a->works = e == 0;
	HASH_ADD(hh, d->abilities, key, sizeof(a->key), a);
	if (!a->hh.tbl)
		free(a);
	return e == 0;
}

/* ---- what may be installed ---- */

static bool keys_fit(const struct child_sa *c, const struct child_keys *k)
{
	const struct algorithm_encr *encr = algorithm_encr(c->encr_id, c->encr_key_bits);
	const struct algorithm_integ *integ = algorithm_integ(c->integ_id);

	if (k->encr_len != encr->key_len + encr->salt_len)
		return false;
	return encr->icv_len ? true : integ && k->integ_len == integ->key_len;
}

enum dataplane_error kernel_child_check(struct dataplane *d, const struct child_sa *c)
{
	enum dataplane_error no = DATAPLANE_UNSUPPORTED;
	char text[32];

	if (c->spi_in <= SPI_RESERVED_MAX || c->spi_out <= SPI_RESERVED_MAX)
		return kernel_fail(d, no, "SPI %u is reserved (RFC 4303 2.1)",
				   c->spi_in <= SPI_RESERVED_MAX ? c->spi_in : c->spi_out);
	if (!algorithm_encr(c->encr_id, c->encr_key_bits) || !xfrm_encr_name(c->encr_id))
		return kernel_fail(
			d, no, "no cipher %s here",
			algorithm_format(TRANSFORM_ENCR, c->encr_id, c->encr_key_bits, text));
	if (c->integ_id != INTEG_NONE &&
	    (!algorithm_integ(c->integ_id) || !xfrm_integ_name(c->integ_id)))
		return kernel_fail(d, no, "no integrity algorithm %s here",
				   algorithm_format(TRANSFORM_INTEG, c->integ_id, 0, text));
	if (c->local.addr.family != c->remote.addr.family || c->local.addr.family == 0)
		return kernel_fail(d, no, "the outer addresses are not of one family");
	if (!keys_fit(c, &c->in) || !keys_fit(c, &c->out))
		return kernel_fail(d, no, "the keys do not fit the algorithms");
	return DATAPLANE_OK;
}

/* ---- processors ---- */

unsigned kernel_processors(struct netlink *xfrm)
{
	long n = xfrm_has_cpus(xfrm) ? sysconf(_SC_NPROCESSORS_CONF) : 0;

	return n > 0 ? (unsigned)n : 0;
}

bool kernel_resources(struct dataplane *d)
{
	return d->processors > 0;
}

void kernel_abilities_free(struct dataplane *d)
{
	struct kernel_ability *a, *next;

	HASH_ITER (hh, d->abilities, a, next) {
		HASH_DELETE(hh, d->abilities, a);
		free(a);
	}
}
