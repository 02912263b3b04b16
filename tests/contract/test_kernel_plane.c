/* What only the kernel plane has: devices that are adopted and given back, what a killed
 * process leaves, what others do to devices, states and policies, and that theirs are left
 * alone. Needs root, and a kernel with ESP and vti or xfrm interfaces. */
#include "tests/contract/site.h"

#include "ipsecd/dataplane/device.h"
#include "ipsecd/dataplane/esp.h"
#include "ipsecd/dataplane/xfrm.h"
#include "lib/buf.h"
#include "lib/netlink_device.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define OURS_FIRST 0x44000000u
#define OURS_LAST  0x44ffffffu
#define ADDRS_MAX  16

static const struct dataplane_ops *const ops = &dataplane_kernel;

/* One namespace with one plane, an operator's sockets beside it. */
struct fixture {
	struct site site;
	struct side side;
	struct netlink *xfrm;
	struct dataplane *d;
	int home;
};

static enum device_kind kind;

static bool is_xfrm(void)
{
	return kind == DEVICE_XFRM;
}

/* ---- the plane ---- */

static void on_event(void *ctx, const struct dataplane_event *event)
{
	struct fixture *f = ctx;

	assert_true(f->side.n_events < EVENTS_MAX);
	f->side.events[f->side.n_events++] = *event;
}

static unsigned n_lost, n_addrs_lost; /* times that the plane said so */

static void log_write(void *ctx, enum log_level level, const char *subsystem, const char *name,
		      const char *text)
{
	(void)ctx;
	(void)level;
	n_lost += strstr(text, "events of the kernel were lost") != NULL;
	n_addrs_lost += strstr(text, "somebody removed the address") != NULL;
	printf("             %s[%s] %s\n", subsystem, name, text);
}

static void plane_open(struct fixture *f)
{
	static const struct log_sink log = {.write = log_write, .level = LOG_LEVEL_INFO};
	struct dataplane_host host = {.event = on_event,
				      .ctx = f,
				      .crypto = &crypto_openssl,
				      .random = crypto_random,
				      .loop = f->site.loop,
				      .log = &log};

	f->d = ops->open(&host);
	assert_non_null(f->d);
	f->site.plane = f->d;
	assert_true(ops->ike_socket(f->d, f->site.udp, AF_INET, true));
}

static void plane_close(struct fixture *f)
{
	ops->close(f->d);
	f->d = NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->home = site_namespace();
	site_open(&f->site, "192.0.2.1/24");
	f->site.side = &f->side;
	f->xfrm = netlink_open_protocol(NETLINK_XFRM);
	assert_non_null(f->xfrm);
	plane_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->d)
		plane_close(f);
	netlink_close(f->xfrm);
	site_close(&f->site);
	site_leave(f->home);
	free(f);
	return 0;
}

static struct tunnel_config config_of(const char *name)
{
	struct tunnel_config c = {.named = true, .kind = kind};

	snprintf(c.name, sizeof(c.name), "%s", name);
	return c;
}

static void set_key(struct tunnel_config *c, uint32_t key)
{
	if (is_xfrm())
		c->if_id_in = c->if_id_out = key;
	else
		c->mark_in = c->mark_out = (struct mark){key, UINT32_MAX};
}

static void create(struct fixture *f, uint32_t id, const struct tunnel_config *c)
{
	if (ops->tunnel_create(f->d, id, c) != DATAPLANE_OK)
		fail_msg("tunnel_create: %s", ops->last_error(f->d));
}

static void must_install(struct fixture *f, const struct child_sa *c)
{
	if (ops->child_install(f->d, c) != DATAPLANE_OK)
		fail_msg("child_install: %s", ops->last_error(f->d));
}

static struct dataplane_tunnel_info info_of(struct fixture *f, uint32_t id)
{
	struct dataplane_tunnel_info info;

	assert_true(ops->tunnel_info(f->d, id, &info));
	return info;
}

static uint32_t key_of(const struct dataplane_tunnel_info *info)
{
	return is_xfrm() ? info->if_id_out : info->mark_out.value;
}

static struct child_sa child_of(unsigned n, uint32_t tunnel)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};
	struct child_sa a, b;

	child_pair(n, &gcm, &a, &b);
	a.tunnel = tunnel;
	return a;
}

/* Runs the plane, ticks included, until so many events of a kind were told. */
static void wait_for(struct fixture *f, enum dataplane_event_kind what, unsigned n)
{
	mono_time end = mono_now() + 10 * MONO_S;

	while (events(&f->side, what, NULL) < n && mono_now() < end) {
		site_pump(&f->site);
		ops->tick(f->d, mono_now());
		usleep(20000);
	}
	assert_int_equal(events(&f->side, what, NULL), n);
}

/* ---- the operator ---- */

static struct addr addr_of(const char *text)
{
	struct addr a = {0};

	if (*text)
		assert_true(addr_parse(text, &a));
	return a;
}

static int make_device(struct fixture *f, const char *name, uint32_t key, const char *local,
		       const char *remote)
{
	struct netlink_device d = {.kind = is_xfrm() ? NETLINK_DEVICE_XFRM : NETLINK_DEVICE_VTI,
				   .ikey = key,
				   .okey = key,
				   .if_id = key};
	int ifindex;

	snprintf(d.name, sizeof(d.name), "%s", name);
	if (!is_xfrm()) {
		d.local = addr_of(local);
		d.remote = addr_of(remote);
	}
	assert_int_equal(netlink_device_add(f->site.netlink, &d, false, &ifindex), 0);
	return ifindex;
}

static struct netlink_device device_of(struct fixture *f, int ifindex)
{
	struct netlink_device d;

	assert_int_equal(netlink_device_get(f->site.netlink, ifindex, &d), 0);
	return d;
}

static bool has_device(struct fixture *f, const char *name)
{
	struct netlink_link link;

	return netlink_link_find(f->site.netlink, name, &link) == 0;
}

static void expect_sysctl(const char *device, const char *knob, const char *value)
{
	char is[16];

	assert_true(device_sysctl_get("ipv4", device, knob, is, sizeof(is)));
	assert_string_equal(is, value);
}

struct count {
	unsigned ours, others, out;
	struct xfrm_state_info last_out;
	struct xfrm_policy last_policy; /* ours, outbound, not a base policy */
};

static void count_state(void *ctx, const struct xfrm_state_info *s)
{
	struct count *c = ctx;

	if (s->larval) /* of an acquire: IPv6 says something on every new device */
		return;
	if (s->reqid < OURS_FIRST || s->reqid > OURS_LAST) {
		c->others++;
		return;
	}
	c->ours++;
	if (!(s->reqid & 1))
		return;
	c->out++;
	c->last_out = *s;
}

static struct count states(struct fixture *f)
{
	struct count c = {0};

	assert_int_equal(xfrm_state_list(f->xfrm, count_state, &c), 0);
	return c;
}

static void count_policy(void *ctx, const struct xfrm_policy *p)
{
	struct count *c = ctx;

	if (p->priority < OURS_FIRST || p->priority > OURS_LAST) {
		c->others++;
		return;
	}
	c->ours++;
	if (p->dir == XFRM_OUT && p->reqid != OURS_FIRST)
		c->last_policy = *p;
}

static struct count policies(struct fixture *f)
{
	struct count c = {0};

	assert_int_equal(xfrm_policy_list(f->xfrm, count_policy, &c), 0);
	return c;
}

/* Of another daemon: a state, a policy and a device, all marked. */
static void others_make(struct fixture *f)
{
	static const uint8_t key[20] = {1};
	struct xfrm_state s = {.spi = 0x1234,
			       .reqid = 7,
			       .src = addr_of("192.0.2.1"),
			       .dst = addr_of("192.0.2.77"),
			       .tag.mark = {77, UINT32_MAX},
			       .encr_id = ENCR_AES_GCM_16,
			       .key_bits = 128,
			       .encr_key = {key, 20}};
	struct xfrm_policy p = {.dir = XFRM_OUT,
				.tag.mark = {77, UINT32_MAX},
				.priority = 1000,
				.reqid = 7,
				.family = AF_INET,
				.src = s.src,
				.dst = s.dst};

	p.sel.family = p.sel.src.addr.family = p.sel.dst.addr.family = AF_INET;
	assert_int_equal(xfrm_state_add(f->xfrm, &s), 0);
	assert_int_equal(xfrm_policy_set(f->xfrm, &p), 0);
	make_device(f, "others", 77, "192.0.2.1", "192.0.2.77");
}

static void others_are_there(struct fixture *f)
{
	assert_int_equal(states(f).others, 1);
	assert_int_equal(policies(f).others, 1);
	assert_true(has_device(f, "others"));
}

/* A process of ours that does something and is killed. */
static void killed(struct fixture *f, void (*act)(struct fixture *f))
{
	int status;
	pid_t pid;

	plane_close(f);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		ev_loop_fork(f->site.loop);
		plane_open(f);
		act(f);
		fflush(stdout);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	plane_open(f);
}

/* ---- devices ---- */

static void makes_and_removes(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct dataplane_tunnel_info info;
	struct child_sa child = child_of(1, 1);

	create(f, 1, &c);
	info = info_of(f, 1);
	assert_string_equal(info.name, "dp-a");
	assert_string_equal(info.kind, is_xfrm() ? "xfrm" : "vti");
	assert_true(key_of(&info) > 0xffff);
	assert_string_equal(device_of(f, info.ifindex).alias, "ipsecd:made");
	expect_sysctl("dp-a", "rp_filter", "2");
	expect_sysctl("dp-a", "disable_policy", is_xfrm() ? "0" : "1");
	must_install(f, &child);
	assert_int_equal(states(f).ours, 2);
	assert_int_equal(ops->tunnel_remove(f->d, 1), DATAPLANE_OK);
	assert_false(has_device(f, "dp-a"));
	assert_int_equal(states(f).ours, 0);
	assert_int_equal(policies(f).ours, 0);
}

static void keys_are_stable_over_restarts(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct dataplane_tunnel_info before, after;

	create(f, 1, &c);
	before = info_of(f, 1);
	plane_close(f);
	assert_true(has_device(f, "dp-a"));
	plane_open(f);
	create(f, 9, &c);
	after = info_of(f, 9);
	assert_int_equal(after.ifindex, before.ifindex);
	assert_int_equal(key_of(&after), key_of(&before));
	assert_int_equal(after.inherited, 0);
}

static void adopts_and_gives_back(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("vti0");
	int ifindex = make_device(f, "vti0", 12, "192.0.2.1", "192.0.2.2");
	struct netlink_link link;

	netlink_link_set_alias(f->site.netlink, ifindex, "to the branch; mtu=9");
	device_sysctl_set("ipv4", "vti0", "rp_filter", "1");
	device_sysctl_set("ipv4", "all", "forwarding", "1");
	device_sysctl_set("ipv4", "vti0", "forwarding", "0");
	netlink_link_set_mtu(f->site.netlink, ifindex, 1400);
	netlink_link_set_up(f->site.netlink, ifindex, true);
	set_key(&c, 12);
	c.local = addr_of("192.0.2.1");
	create(f, 1, &c);
	assert_int_equal(info_of(f, 1).ifindex, ifindex);
	assert_non_null(strstr(device_of(f, ifindex).alias, "ipsecd:adopted"));
	expect_sysctl("vti0", "rp_filter", "2");
	expect_sysctl("vti0", "forwarding", "1");
	expect_sysctl("vti0", "disable_policy", is_xfrm() ? "0" : "1");
	/* Killed meanwhile: what it was before is not forgotten. */
	plane_close(f);
	plane_open(f);
	create(f, 1, &c);
	ops->tunnel_remove(f->d, 1);
	assert_string_equal(device_of(f, ifindex).alias, "to the branch; mtu=9");
	expect_sysctl("vti0", "rp_filter", "1");
	expect_sysctl("vti0", "forwarding", "0");
	expect_sysctl("vti0", "disable_policy", "0");
	assert_int_equal(netlink_link_get(f->site.netlink, ifindex, &link), 0);
	assert_int_equal(link.linkmode, IF_LINK_MODE_DEFAULT);
	assert_int_equal(link.operstate, IF_OPER_UP);
	assert_int_equal(link.mtu, 1400);
}

static void adopts_under_its_own_name(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("A-B");
	int ifindex = make_device(f, "vti0", 12, "192.0.2.1", "192.0.2.2");

	c.named = false;
	set_key(&c, 12);
	create(f, 1, &c);
	assert_int_equal(info_of(f, 1).ifindex, ifindex);
	assert_string_equal(info_of(f, 1).name, "vti0");
	assert_false(has_device(f, "A-B"));
	ops->tunnel_remove(f->d, 1);
	assert_true(has_device(f, "vti0"));
}

struct addrs {
	unsigned n;
	char text[ADDRS_MAX][PREFIX_TEXT];
};

static void take_addr(void *ctx, const struct netlink_addr *addr)
{
	struct addrs *list = ctx;

	if (addr->scope != 0) /* link-local */
		return;
	assert_true(list->n < ADDRS_MAX);
	prefix_format(&addr->prefix, list->text[list->n++]);
}

static void expect_addrs(struct fixture *f, int ifindex, const struct tunnel_config *c)
{
	struct addrs list = {0};
	char text[PREFIX_TEXT];
	unsigned found = 0;

	assert_int_equal(netlink_addr_list(f->site.netlink, ifindex, take_addr, &list), 0);
	assert_int_equal(list.n, c->n_addrs);
	for (unsigned i = 0; i < c->n_addrs; i++)
		for (unsigned j = 0; j < list.n; j++)
			found += !strcmp(prefix_format(&c->addrs[i], text), list.text[j]);
	assert_int_equal(found, c->n_addrs);
}

/* Both families, networks of two addresses and of one, none at all: by difference, on a device
 * that stays. */
static void addresses_of_all_kinds(void **state)
{
	static const char *const kinds[] = {"10.9.0.0/31", "10.9.0.5/30", "10.9.0.9/32",
					    "fd00:9::1/64", "fd00:a::/127"};
	struct fixture *f = *state;
	struct tunnel_config none = config_of("dp-a"), all = none, last = none;
	int ifindex;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		assert_true(prefix_parse(kinds[i], &all.addrs[all.n_addrs++]));
	last.addrs[last.n_addrs++] = all.addrs[all.n_addrs - 1];
	create(f, 1, &all);
	ifindex = info_of(f, 1).ifindex;
	expect_addrs(f, ifindex, &all);
	assert_int_equal(ops->tunnel_update(f->d, 1, &last), DATAPLANE_OK);
	expect_addrs(f, ifindex, &last);
	assert_int_equal(ops->tunnel_update(f->d, 1, &none), DATAPLANE_OK);
	expect_addrs(f, ifindex, &none);
	assert_int_equal(ops->tunnel_update(f->d, 1, &all), DATAPLANE_OK);
	expect_addrs(f, ifindex, &all);
	assert_int_equal(info_of(f, 1).ifindex, ifindex);
}

/* Removed by ourselves or with the device it is no news. */
static void somebody_removes_addresses(void **state)
{
	static const char *const kinds[] = {"10.9.0.0/31", "fd00:9::1/64"};
	struct fixture *f = *state;
	struct tunnel_config none = config_of("dp-a"), all = none;
	int ifindex;

	n_addrs_lost = 0;
	for (unsigned i = 0; i < 2; i++)
		assert_true(prefix_parse(kinds[i], &all.addrs[all.n_addrs++]));
	create(f, 1, &all);
	ifindex = info_of(f, 1).ifindex;
	assert_int_equal(ops->tunnel_update(f->d, 1, &none), DATAPLANE_OK);
	assert_int_equal(ops->tunnel_update(f->d, 1, &all), DATAPLANE_OK);
	site_pump(&f->site);
	assert_int_equal(n_addrs_lost, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(netlink_addr_remove(f->site.netlink, ifindex, &all.addrs[i]), 0);
		site_pump(&f->site);
		assert_int_equal(n_addrs_lost, i + 1);
	}
	assert_int_equal(ops->tunnel_update(f->d, 1, &all), DATAPLANE_OK);
	expect_addrs(f, ifindex, &all);
	assert_int_equal(netlink_link_del(f->site.netlink, ifindex), 0);
	site_pump(&f->site);
	assert_int_equal(n_addrs_lost, 2);
}

static void expect_mtu(struct fixture *f, uint16_t mtu)
{
	assert_int_equal(info_of(f, 1).mtu, mtu);
	assert_int_equal(kernel_link("dp-a").mtu, mtu);
}

static void path_is(struct fixture *f, uint32_t mtu)
{
	int under = kernel_link("under").ifindex;

	assert_int_equal(netlink_link_set_mtu(f->site.netlink, under, mtu), 0);
}

/* AES-GCM in UDP in IPv4; `mtu=` wins. */
static void the_mtu_follows_the_path(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1);

	path_is(f, 1400);
	create(f, 1, &c);
	must_install(f, &a);
	expect_mtu(f, 1338);
	path_is(f, 1450);
	ops->tick(f->d, mono_now() + 20 * MONO_S);
	expect_mtu(f, 1386);
	path_is(f, 1300); /* less than IPv6 has to have is not left inside */
	ops->tick(f->d, mono_now() + 40 * MONO_S);
	expect_mtu(f, 1280);
	c.mtu = 1333;
	assert_int_equal(ops->tunnel_update(f->d, 1, &c), DATAPLANE_OK);
	expect_mtu(f, 1333);
	path_is(f, 1500);
	ops->tick(f->d, mono_now() + 60 * MONO_S);
	expect_mtu(f, 1333);
	c.mtu = 0;
	assert_int_equal(ops->tunnel_update(f->d, 1, &c), DATAPLANE_OK);
	expect_mtu(f, 1438);
}

static void refused(struct fixture *f, const struct tunnel_config *c, const char *word)
{
	assert_int_equal(ops->tunnel_create(f->d, 1, c), DATAPLANE_EXISTS);
	if (!strstr(ops->last_error(f->d), word))
		fail_msg("\"%s\" does not say \"%s\"", ops->last_error(f->d), word);
	assert_int_equal(policies(f).ours, 0);
}

static void refuses_what_does_not_fit(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("vti0");
	int ifindex = make_device(f, "vti0", 12, "192.0.2.1", "192.0.2.2");

	set_key(&c, 13);
	refused(f, &c, "is 12, wanted is 13");
	c = config_of("vti0");
	c.kind = is_xfrm() ? DEVICE_VTI : DEVICE_XFRM;
	refused(f, &c, is_xfrm() ? "kind xfrm" : "kind vti");
	c = config_of("under");
	refused(f, &c, "another kind");
	if (!is_xfrm()) {
		c = config_of("vti0");
		c.remote = addr_of("192.0.2.3");
		refused(f, &c, "remote address is 192.0.2.2, wanted is 192.0.2.3");
		c = config_of("vti0");
		c.local = addr_of("192.0.2.9");
		refused(f, &c, "local address is 192.0.2.1");
		c.local = c.remote = addr_of("2001:db8::1");
		refused(f, &c, "wanted is a vti6");
	}
	assert_string_equal(device_of(f, ifindex).alias, "");
}

/* A vti finds its packets by its endpoints: they follow the peer. */
static void endpoints_follow(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a"), other = config_of("dp-b");
	struct child_sa a = child_of(1, 1), b = child_of(2, 2);
	struct netlink_device d;
	int ifindex;

	create(f, 1, &c);
	create(f, 2, &other);
	ifindex = info_of(f, 1).ifindex;
	if (is_xfrm()) { /* it has none, and two peers behind one address are no matter */
		must_install(f, &a);
		must_install(f, &b);
		return;
	}
	assert_int_equal(device_of(f, ifindex).remote.bytes[0] & 0xf0, 0xf0);
	must_install(f, &a);
	d = device_of(f, ifindex);
	assert_true(addr_equal(&d.local, &a.local.addr) && addr_equal(&d.remote, &a.remote.addr));
	a.remote.addr = addr_of("192.0.2.5");
	assert_int_equal(ops->child_update(f->d, &a), DATAPLANE_OK);
	d = device_of(f, ifindex);
	assert_true(addr_equal(&d.remote, &a.remote.addr));
	assert_int_equal(info_of(f, 1).ifindex, ifindex);
	/* Another peer there, too: the kernel could not tell them apart. */
	b.remote = a.remote;
	assert_int_equal(ops->child_install(f->d, &b), DATAPLANE_EXISTS);
	assert_non_null(strstr(ops->last_error(f->d), "interface-type=xfrm"));
	assert_int_equal(states(f).ours, 2);
	/* The first one leaves, the address is free. */
	ops->child_remove(f->d, a.id);
	assert_int_equal(device_of(f, ifindex).remote.bytes[0] & 0xf0, 0xf0);
	must_install(f, &b);
}

/* IPv4 and IPv6 in IPv6, without UDP: a vti6, or what an xfrm interface always is. */
static void ipv6_outside(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a"), v4 = config_of("dp-b");
	struct child_sa a = child_of(1, 1), b = child_of(2, 2);
	struct dataplane_tunnel_info info;
	struct netlink_device d;

	a.local.addr = addr_of("2001:db8::1");
	a.remote.addr = addr_of("2001:db8::2");
	a.udp_encap = false;
	a.esn = true;
	c.local = a.local.addr;
	create(f, 1, &c);
	info = info_of(f, 1);
	assert_string_equal(info.kind, is_xfrm() ? "xfrm" : "vti6");
	must_install(f, &a);
	d = device_of(f, info.ifindex);
	assert_true(is_xfrm() || addr_equal(&d.remote, &a.remote.addr));
	assert_int_equal(info_of(f, 1).mtu, 1426);
	a.remote.addr = addr_of("2001:db8::3");
	assert_int_equal(ops->child_update(f->d, &a), DATAPLANE_OK);
	d = device_of(f, info.ifindex);
	assert_true(is_xfrm() || addr_equal(&d.remote, &a.remote.addr));
	assert_int_equal(states(f).ours, 2);
	/* A vti that was made for IPv4 can't take it. */
	create(f, 2, &v4);
	b.local = a.local;
	b.remote = a.remote;
	assert_int_equal(ops->child_install(f->d, &b),
			 is_xfrm() ? DATAPLANE_OK : DATAPLANE_UNSUPPORTED);
	if (!is_xfrm())
		assert_non_null(strstr(ops->last_error(f->d), "interface-type=xfrm"));
}

/* Another mark in the configuration: the same device, and the SAs go on under it. */
static void the_mark_changes(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1);
	struct dataplane_tunnel_info info;
	int ifindex;

	set_key(&c, 5);
	create(f, 1, &c);
	ifindex = info_of(f, 1).ifindex;
	must_install(f, &a);
	set_key(&c, 6);
	if (is_xfrm()) {
		assert_int_equal(ops->tunnel_update(f->d, 1, &c), DATAPLANE_UNSUPPORTED);
		return;
	}
	assert_int_equal(ops->tunnel_update(f->d, 1, &c), DATAPLANE_OK);
	info = info_of(f, 1);
	assert_int_equal(info.ifindex, ifindex);
	assert_int_equal(key_of(&info), 6);
	assert_int_equal(device_of(f, ifindex).okey, 6);
	assert_int_equal(states(f).ours, 2);
	assert_int_equal(states(f).last_out.tag.mark.value, 6);
	assert_true(states(f).last_out.sequence > 1000);
	assert_int_equal(policies(f).ours, 6);
	assert_int_equal(policies(f).last_policy.tag.mark.value, 6);
	ops->tunnel_remove(f->d, 1);
	assert_int_equal(policies(f).ours, 0);
}

static void somebody_removes_the_device(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1);
	struct dataplane_tunnel_info before, after;

	assert_true(prefix_parse("10.1.0.1/32", &c.addrs[0]));
	c.n_addrs = 1;
	create(f, 1, &c);
	must_install(f, &a);
	ops->tunnel_set_link(f->d, 1, true);
	before = info_of(f, 1);
	assert_int_equal(netlink_link_del(f->site.netlink, before.ifindex), 0);
	wait_for(f, DATAPLANE_DEVICE_CHANGED, 1);
	assert_int_equal(info_of(f, 1).ifindex, 0);
	assert_int_equal(ops->tunnel_update(f->d, 1, &c), DATAPLANE_OK);
	after = info_of(f, 1);
	assert_true(after.ifindex > 0 && after.link_up && after.admin_up);
	assert_int_equal(key_of(&after), key_of(&before));
	assert_int_equal(states(f).ours, 2);
}

static void what_is_set_down_stays_down(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct netlink_link link;

	create(f, 1, &c);
	netlink_link_set_up(f->site.netlink, info_of(f, 1).ifindex, false);
	wait_for(f, DATAPLANE_DEVICE_CHANGED, 1);
	plane_close(f);
	plane_open(f);
	create(f, 1, &c);
	assert_false(info_of(f, 1).admin_up);
	assert_int_equal(netlink_link_find(f->site.netlink, "dp-a", &link), 0);
	assert_false(link.flags & IFF_UP);
}

/* leftupdown= makes the device: it is known by its keys. */
static void a_script_makes_the_device(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("conn");
	struct child_sa a = child_of(1, 1);
	struct dataplane_tunnel_info info;
	struct netlink_link link;
	int ifindex;

	c.named = false;
	c.external = true;
	set_key(&c, 2);
	create(f, 1, &c);
	assert_int_equal(info_of(f, 1).ifindex, 0);
	must_install(f, &a);
	assert_int_equal(ops->tunnel_set_link(f->d, 1, true), DATAPLANE_OK);
	ifindex = make_device(f, "vti7", 2, "192.0.2.1", "192.0.2.2");
	wait_for(f, DATAPLANE_DEVICE_CHANGED, 1);
	info = info_of(f, 1);
	assert_int_equal(info.ifindex, ifindex);
	assert_string_equal(info.name, "vti7");
	assert_int_equal(netlink_link_get(f->site.netlink, ifindex, &link), 0);
	assert_int_equal(link.operstate, IF_OPER_UP);
	assert_int_equal(link.linkmode, IF_LINK_MODE_DORMANT);
	expect_sysctl("vti7", "rp_filter", "2");
	/* The script takes it away again. */
	netlink_link_del(f->site.netlink, ifindex);
	wait_for(f, DATAPLANE_DEVICE_CHANGED, 2);
	ifindex = make_device(f, "vti8", 2, "192.0.2.1", "192.0.2.2");
	wait_for(f, DATAPLANE_DEVICE_CHANGED, 3);
	ops->tunnel_remove(f->d, 1);
	assert_true(has_device(f, "vti8"));
	expect_sysctl("vti8", "rp_filter", "0");
}

static void two_tunnels_with_one_key(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config a = config_of("dp-a"), b = config_of("dp-b");

	set_key(&a, 5);
	set_key(&b, 5);
	create(f, 1, &a);
	assert_int_equal(ops->tunnel_create(f->d, 2, &b), DATAPLANE_EXISTS);
	assert_true(has_device(f, "dp-a"));
	assert_false(has_device(f, "dp-b"));
	assert_int_equal(policies(f).ours, 2);
}

/* ---- what a killed process leaves ---- */

static void leave_a_tunnel(struct fixture *f)
{
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1);

	create(f, 1, &c);
	a.local_ts.n = a.remote_ts.n = 1;
	ts_parse("0.0.0.0/0", &a.local_ts.ts[0]);
	ts_parse("0.0.0.0/0", &a.remote_ts.ts[0]);
	must_install(f, &a);
	ops->tunnel_set_link(f->d, 1, true);
}

static struct dataplane_tunnel_info take_over(struct fixture *f)
{
	struct tunnel_config c = config_of("dp-a");
	struct dataplane_tunnel_info info;
	struct netlink_link link;

	create(f, 1, &c);
	info = info_of(f, 1);
	assert_int_equal(info.inherited, 1);
	assert_true(info.link_up);
	assert_int_equal(netlink_link_get(f->site.netlink, info.ifindex, &link), 0);
	assert_int_equal(link.operstate, IF_OPER_UP);
	return info;
}

static void inherits_and_replaces(void **state)
{
	struct fixture *f = *state;
	struct child_sa b = child_of(2, 1);

	killed(f, leave_a_tunnel);
	take_over(f);
	assert_int_equal(states(f).ours, 2);
	/* The former one still sends: its policy is there, the base policy is not in its way. */
	assert_int_equal(policies(f).last_policy.priority > 0, 1);
	must_install(f, &b);
	assert_int_equal(states(f).ours, 4);
	ops->tick(f->d, mono_now() + 2 * MONO_S);
	assert_int_equal(events(&f->side, DATAPLANE_INHERITED_GONE, NULL), 0);
	ops->tick(f->d, mono_now() + 6 * MONO_S);
	assert_int_equal(events(&f->side, DATAPLANE_INHERITED_GONE, NULL), 1);
	assert_int_equal(states(f).ours, 2);
	assert_int_equal(info_of(f, 1).inherited, 0);
	/* Two families, in, out (and forwarded), and what lies beneath for both. */
	assert_int_equal(policies(f).ours, is_xfrm() ? 8 : 6);
}

static void inheritance_ends_when_the_peer_is_dead(void **state)
{
	struct fixture *f = *state;

	killed(f, leave_a_tunnel);
	take_over(f);
	ops->tunnel_disinherit(f->d, 1);
	wait_for(f, DATAPLANE_INHERITED_GONE, 1);
	assert_int_equal(states(f).ours, 0);
	assert_int_equal(policies(f).ours, 2);
	assert_int_equal(policies(f).last_policy.priority, 0);
}

static void inheritance_ends_in_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct xfrm_state_info out;

	killed(f, leave_a_tunnel);
	take_over(f);
	out = states(f).last_out;
	assert_int_equal(xfrm_state_remove(f->xfrm, &out.dst, out.spi, &out.tag), 0);
	wait_for(f, DATAPLANE_INHERITED_GONE, 1);
	assert_int_equal(states(f).ours, 0);
	assert_int_equal(policies(f).ours, 2);
}

static void leave_two(struct fixture *f)
{
	struct tunnel_config c = config_of("dp-b");
	struct child_sa a = child_of(7, 2);

	leave_a_tunnel(f);
	create(f, 2, &c);
	a.remote.addr = addr_of("192.0.2.9");
	must_install(f, &a);
	make_device(f, "vti9", 99, "192.0.2.1", "192.0.2.99");
	c = config_of("vti9");
	create(f, 3, &c);
}

static void leftovers_go_when_settled(void **state)
{
	struct fixture *f = *state;

	others_make(f);
	killed(f, leave_two);
	take_over(f);
	assert_true(has_device(f, "dp-b"));
	ops->settled(f->d);
	assert_false(has_device(f, "dp-b"));
	assert_true(has_device(f, "dp-a"));
	assert_true(has_device(f, "vti9")); /* given back */
	assert_int_equal(states(f).ours, 2);
	assert_int_equal(info_of(f, 1).inherited, 1);
	others_are_there(f);
}

/* What probe makes and removes at once stays of a process that is killed in between. */
static void tries_again_behind_a_killed_trial(void **state)
{
	struct fixture *f = *state;
	char why[256];
	struct netlink_device d = {.kind = kernel_has_vti() ? NETLINK_DEVICE_VTI
							    : NETLINK_DEVICE_XFRM,
				   .name = "ike-probe-7777",
				   .ikey = 0x44fffffe,
				   .okey = 0x44fffffe,
				   .if_id = 0x44fffffe,
				   .remote = {AF_INET, {240, 255, 255, 1}}};
	int ifindex;

	assert_int_equal(netlink_device_add(f->site.netlink, &d, true, &ifindex), 0);
	assert_true(ops->probe(why, sizeof(why)));
	assert_false(has_device(f, d.name));
}

static void flush_removes_what_is_ours(void **state)
{
	struct fixture *f = *state;
	char why[256];

	others_make(f);
	killed(f, leave_two);
	plane_close(f);
	assert_true(ops->flush(NULL, why, sizeof(why)));
	assert_false(has_device(f, "dp-a"));
	assert_false(has_device(f, "dp-b"));
	assert_true(has_device(f, "vti9"));
	assert_int_equal(states(f).ours, 0);
	assert_int_equal(policies(f).ours, 0);
	others_are_there(f);
}

static void close_leaves_nothing_that_sends(void **state)
{
	struct fixture *f = *state;
	uint8_t memory[PACKET_MAX];
	struct nlmsghdr flush = {.nlmsg_len = sizeof(flush), .nlmsg_type = XFRM_MSG_FLUSHPOLICY};
	struct netlink_link link;
	int tap;

	leave_a_tunnel(f);
	link = kernel_link("dp-a");
	site_route(&f->site, "10.2.0.0/16", link.ifindex);
	site_route(&f->site, "fd00:2::/32", link.ifindex);
	tap = kernel_tap("dp-a");
	kernel_inject(tap, "dp-a", udp_packet(memory, AF_INET, 1, 100, false));
	site_pump(&f->site);
	assert_int_equal(f->side.n_sent, 1);
	plane_close(f);
	link = kernel_link("dp-a");
	assert_int_equal(link.operstate, IF_OPER_DORMANT);
	assert_int_equal(states(f).ours, 0);
	/* With base policies, and without: nothing leaves. */
	for (unsigned round = 0; round < 2; round++) {
		kernel_inject(tap, "dp-a", udp_packet(memory, AF_INET, 1, 100, false));
		kernel_inject(tap, "dp-a", udp_packet(memory, AF_INET6, 1, 100, false));
		site_collect(&f->site);
		assert_int_equal(f->side.n_sent, 1);
		assert_int_equal(netlink_request(f->xfrm, &flush), 0);
	}
	close(tap);
}

/* ---- what others do to states and policies ---- */

static void somebody_deletes_a_state(void **state)
{
	struct fixture *f = *state;
	struct xfrm_state_info out;
	struct dataplane_event e;

	leave_a_tunnel(f);
	out = states(f).last_out;
	assert_int_equal(xfrm_state_remove(f->xfrm, &out.dst, out.spi, &out.tag), 0);
	for (unsigned i = 0; i < 10 && f->side.n_events == 0; i++)
		site_pump(&f->site); /* no tick is needed */
	assert_int_equal(events(&f->side, DATAPLANE_CHILD_HARD_EXPIRE, &e), 1);
	assert_int_equal(e.child, 101);
	ops->tick(f->d, mono_now());
	assert_int_equal(events(&f->side, DATAPLANE_CHILD_HARD_EXPIRE, NULL), 1);
	assert_int_equal(ops->child_remove(f->d, 101), DATAPLANE_OK);
	assert_int_equal(states(f).ours, 0);
}

static void flush_states(struct fixture *f)
{
	struct {
		struct nlmsghdr h;
		struct xfrm_usersa_flush body;
	} m = {.h = {.nlmsg_len = sizeof(m), .nlmsg_type = XFRM_MSG_FLUSHSA},
	       .body = {.proto = IPPROTO_ESP}};

	assert_int_equal(netlink_request(f->xfrm, &m.h), 0);
}

static void somebody_flushes_the_states(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-b");
	struct child_sa a = child_of(7, 2);

	leave_a_tunnel(f);
	create(f, 2, &c);
	a.remote.addr = addr_of("192.0.2.9");
	must_install(f, &a);
	flush_states(f);
	for (unsigned i = 0; i < 10 && f->side.n_events < 2; i++)
		site_pump(&f->site);
	assert_int_equal(events(&f->side, DATAPLANE_CHILD_HARD_EXPIRE, NULL), 2);
}

static void somebody_deletes_policies(void **state)
{
	struct fixture *f = *state;
	struct nlmsghdr flush = {.nlmsg_len = sizeof(flush), .nlmsg_type = XFRM_MSG_FLUSHPOLICY};
	struct xfrm_policy p;
	unsigned before;

	leave_a_tunnel(f);
	before = policies(f).ours;
	p = policies(f).last_policy;
	assert_int_equal(xfrm_policy_remove(f->xfrm, &p), 0);
	assert_int_equal(policies(f).ours, before - 1);
	site_pump(&f->site);
	assert_int_equal(policies(f).ours, before);
	assert_int_equal(policies(f).last_policy.reqid, p.reqid);
	assert_int_equal(netlink_request(f->xfrm, &flush), 0);
	assert_int_equal(policies(f).ours, 0);
	site_pump(&f->site);
	assert_int_equal(policies(f).ours, before);
	/* What we remove ourselves stays away. */
	ops->tunnel_remove(f->d, 1);
	site_pump(&f->site);
	site_pump(&f->site);
	assert_int_equal(policies(f).ours, 0);
}

/* The socket overflows: nothing is guessed, everything is looked at. */
static void lost_events_are_made_up_for(void **state)
{
	static const uint8_t key[20] = {1};
	struct fixture *f = *state;
	struct xfrm_state_info out;
	struct xfrm_policy p;
	struct xfrm_state s = {.reqid = 7,
			       .src = addr_of("192.0.2.1"),
			       .dst = addr_of("192.0.2.77"),
			       .encr_id = ENCR_AES_GCM_16,
			       .key_bits = 128,
			       .encr_key = {key, 20}};

	leave_a_tunnel(f);
	site_pump(&f->site);
	n_lost = 0;
	for (s.spi = 1000; s.spi < 9000; s.spi++) {
		assert_int_equal(xfrm_state_add(f->xfrm, &s), 0);
		xfrm_state_remove(f->xfrm, &s.dst, s.spi, &s.tag);
	}
	out = states(f).last_out;
	p = policies(f).last_policy;
	assert_int_equal(xfrm_policy_remove(f->xfrm, &p), 0);
	assert_int_equal(xfrm_state_remove(f->xfrm, &out.dst, out.spi, &out.tag), 0);
	for (unsigned i = 0; i < 10 && f->side.n_events == 0; i++)
		site_pump(&f->site);
	assert_int_not_equal(n_lost, 0);
	assert_int_equal(events(&f->side, DATAPLANE_CHILD_HARD_EXPIRE, NULL), 1);
	assert_int_equal(policies(f).last_policy.reqid, p.reqid);
}

/* RFC 4303 3.3.3: a number is used once, also by a state that was made again. */
static void sequence_numbers_go_on(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1);
	uint8_t memory[PACKET_MAX];
	int tap;

	create(f, 1, &c);
	must_install(f, &a);
	site_route(&f->site, "10.2.0.0/16", info_of(f, 1).ifindex);
	tap = kernel_tap("dp-a");
	for (unsigned n = 1; n <= 3; n++)
		kernel_inject(tap, "dp-a", udp_packet(memory, AF_INET, n, 100, false));
	site_pump(&f->site);
	assert_int_equal(states(f).last_out.sequence, 3);
	a.remote.addr = addr_of("192.0.2.5");
	assert_int_equal(ops->child_update(f->d, &a), DATAPLANE_OK);
	assert_true(states(f).last_out.sequence > 1000);
	kernel_inject(tap, "dp-a", udp_packet(memory, AF_INET, 4, 100, false));
	site_pump(&f->site);
	assert_int_equal(f->side.n_sent, 4);
	assert_true(addr_equal(&f->side.sent[3].to.addr, &a.remote.addr));
	assert_true(f->side.sent[3].data[5] > 0);
	close(tap);
}

/* What was received by the state before does not come again by the one made in its place. */
static void replays_are_known_after_a_move(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1);
	struct dataplane_child_stats stats;
	uint8_t memory[PACKET_MAX];
	struct packet p;

	create(f, 1, &c);
	must_install(f, &a);
	p = forge(&a, 5, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));
	site_input(&f->site, &p.to, &p.from, span_of(p.data, p.len));
	a.remote.addr = addr_of("192.0.2.5");
	assert_int_equal(ops->child_update(f->d, &a), DATAPLANE_OK);
	site_input(&f->site, &p.to, &a.remote, span_of(p.data, p.len));
	site_pump(&f->site);
	assert_true(ops->child_stats(f->d, a.id, &stats));
	assert_int_equal(stats.packets_in, 1);
	assert_int_equal(stats.drop_replay, 1);
	p = forge(&a, 6, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));
	site_input(&f->site, &p.to, &a.remote, span_of(p.data, p.len));
	assert_true(ops->child_stats(f->d, a.id, &stats));
	assert_int_equal(stats.packets_in, 2);
}

/* The kernel told of the first packets, and before that is read they are known otherwise, or nobody
 * waits for them any more: it is no limit that was reached. */
static void first_packets_are_no_limit(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1), b = child_of(2, 1);
	uint8_t memory[PACKET_MAX];
	struct packet p;

	a.outbound = b.outbound = false;
	b.rekey_packets = 5;
	create(f, 1, &c);
	must_install(f, &a);
	must_install(f, &b);
	for (unsigned n = 1; n <= 2; n++) {
		p = forge(&a, n, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));
		site_input(&f->site, &p.to, &p.from, span_of(p.data, p.len));
		p = forge(&b, n, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));
		site_input(&f->site, &p.to, &p.from, span_of(p.data, p.len));
	}
	a.outbound = true;
	assert_int_equal(ops->child_update(f->d, &a), DATAPLANE_OK);
	ops->tick(f->d, mono_now());
	site_pump(&f->site);
	assert_int_equal(events(&f->side, DATAPLANE_CHILD_SOFT_EXPIRE, NULL), 0);
	assert_int_equal(events(&f->side, DATAPLANE_CHILD_USED_NEW, NULL), 1);
	for (unsigned n = 3; n <= 6; n++) { /* b has a limit of its own */
		p = forge(&b, n, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, 100, true));
		site_input(&f->site, &p.to, &p.from, span_of(p.data, p.len));
	}
	wait_for(f, DATAPLANE_CHILD_SOFT_EXPIRE, 1);
}

/* ---- CHILD_SAs for single processors (RFC 9611) ---- */

static void update(struct fixture *f, struct child_sa *c, bool outbound)
{
	c->outbound = outbound;
	if (ops->child_update(f->d, c) != DATAPLANE_OK)
		fail_msg("child_update: %s", ops->last_error(f->d));
}

/* The SPI that the next packet leaves by, from this processor; its number. */
static uint32_t leaves_by(struct fixture *f, uint32_t *number)
{
	static unsigned n;
	const struct packet *p = &f->side.sent[f->side.n_sent];
	unsigned before = f->side.n_sent;
	uint8_t memory[PACKET_MAX];
	int tap = kernel_tap("dp-a");

	kernel_inject(tap, "dp-a", udp_packet(memory, AF_INET, ++n, 100, false));
	site_pump(&f->site);
	close(tap);
	assert_int_equal(f->side.n_sent, before + 1);
	*number = be32_get(p->data + 4);
	return be32_get(p->data);
}

static void must_leave_by(struct fixture *f, const struct child_sa *c)
{
	uint32_t number;

	assert_int_equal(leaves_by(f, &number), c->spi_out);
}

static struct child_sa child_for(unsigned n, uint32_t processor)
{
	struct child_sa c = child_of(n, 1);

	c.resource = processor;
	return c;
}

static void begin_processors(struct fixture *f, struct child_sa *general)
{
	struct tunnel_config c = config_of("dp-a");
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	assert_int_equal(sched_setaffinity(0, sizeof(first), &first), 0);
	create(f, 1, &c);
	*general = child_of(1, 1);
	must_install(f, general);
	site_route(&f->site, "10.2.0.0/16", info_of(f, 1).ifindex);
}

/* A kernel that knows nothing of processors (tests/kernel/test_xfrm_kernel.c) never sends by what
 * is for one. */
static void by_the_state_of_the_processor(void **state)
{
	struct fixture *f = *state;
	struct child_sa general, mine = child_for(2, 1), nobodys = child_for(3, 5000);
	uint32_t number;

	begin_processors(f, &general);
	must_install(f, &nobodys);
	must_leave_by(f, &general);
	mine.outbound = false; /* the peer may not have it yet */
	must_install(f, &mine);
	must_leave_by(f, &general);
	update(f, &mine, true);
	if (!ops->resources(f->d)) {
		must_leave_by(f, &general);
		assert_int_equal(states(f).ours, 6);
		return;
	}
	assert_int_equal(leaves_by(f, &number), mine.spi_out);
	assert_int_equal(number, 1);
	assert_int_equal(ops->child_remove(f->d, mine.id), DATAPLANE_OK);
	must_leave_by(f, &general);
	assert_int_equal(states(f).ours, 4);
}

/* At no time is there nothing to send by, and no number is used twice. Where the kernel knows
 * nothing of processors the general one has the packets, as long as there is one. */
static void the_general_one_goes_and_comes(void **state)
{
	struct fixture *f = *state;
	struct child_sa general, mine = child_for(2, 1), next = child_of(3, 1),
				 last = child_of(4, 1);
	uint32_t first, number;
	bool has;

	begin_processors(f, &general);
	has = ops->resources(f->d);
	must_install(f, &mine);
	assert_int_equal(leaves_by(f, &first), has ? mine.spi_out : general.spi_out);
	next.outbound = false; /* rekeyed */
	must_install(f, &next);
	must_leave_by(f, has ? &mine : &general);
	update(f, &next, true);
	assert_int_equal(leaves_by(f, &number), has ? mine.spi_out : next.spi_out);
	assert_true(!has || number > first + 1);
	update(f, &general, false);
	assert_int_equal(ops->child_remove(f->d, general.id), DATAPLANE_OK);
	first = number;
	assert_int_equal(leaves_by(f, &number), has ? mine.spi_out : next.spi_out);
	assert_int_equal(number, first + 1);
	/* Alone it is for every processor's packets. */
	assert_int_equal(ops->child_remove(f->d, next.id), DATAPLANE_OK);
	assert_int_equal(states(f).last_out.cpu, 0);
	must_leave_by(f, &mine);
	must_install(f, &last);
	must_leave_by(f, has ? &mine : &last);
	assert_int_equal(ops->child_remove(f->d, mine.id), DATAPLANE_OK);
	must_leave_by(f, &last);
	assert_int_equal(f->side.n_events, 0);
}

static void acquires_come_again(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	uint8_t memory[PACKET_MAX];
	mono_time end = mono_now() + 10 * MONO_S;
	int tap;

	create(f, 1, &c);
	site_route(&f->site, "10.2.0.0/16", info_of(f, 1).ifindex);
	tap = kernel_tap("dp-a");
	while (events(&f->side, DATAPLANE_ACQUIRE, NULL) < 3 && mono_now() < end) {
		kernel_inject(tap, "dp-a", udp_packet(memory, AF_INET, 1, 100, false));
		site_pump(&f->site);
		ops->tick(f->d, mono_now());
		usleep(100000);
	}
	assert_int_equal(events(&f->side, DATAPLANE_ACQUIRE, NULL), 3);
	close(tap);
}

/* 100 bytes of UDP to port 7, with a checksum that holds. */
static struct span ip_packet(uint8_t *out, uint32_t src, uint32_t dst)
{
	uint32_t sum = 0;

	udp_packet(out, AF_INET, 1, 100, true);
	be32_set(out + 12, src);
	be32_set(out + 16, dst);
	for (unsigned i = 0; i < 20; i += 2)
		sum += be16_get(out + i);
	sum = (sum & 0xffff) + (sum >> 16);
	be16_set(out + 10, (uint16_t) ~(sum + (sum >> 16)));
	return span_of(out, 100);
}

/* RFC 4301 5.2, to a program of this host: behind the device, whoever checks. */
static void selectors_hold_behind_the_device(void **state)
{
	struct fixture *f = *state;
	struct tunnel_config c = config_of("dp-a");
	struct child_sa a = child_of(1, 1);
	struct endpoint own = {.port = 7};
	struct sockaddr_storage sa;
	uint8_t memory[PACKET_MAX], got[PACKET_MAX];
	struct packet p;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(prefix_parse("10.1.0.1/32", &c.addrs[0]));
	c.n_addrs = 1;
	create(f, 1, &c);
	must_install(f, &a);
	site_route(&f->site, "10.2.0.0/16", info_of(f, 1).ifindex);
	site_route(&f->site, "10.99.0.0/16", info_of(f, 1).ifindex);
	own.addr = c.addrs[0].addr;
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, endpoint_to_sockaddr(&own, &sa)), 0);
	p = forge(&a, 1, ESP_NEXT_IPV4, ip_packet(memory, 0x0a020001, 0x0a010001));
	site_input(&f->site, &p.to, &p.from, span_of(p.data, p.len));
	assert_int_equal(recv(fd, got, sizeof(got), 0), 72);
	/* From where the selectors have nobody. */
	p = forge(&a, 2, ESP_NEXT_IPV4, ip_packet(memory, 0x0a630001, 0x0a010001));
	site_input(&f->site, &p.to, &p.from, span_of(p.data, p.len));
	assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
	assert_int_equal(ops->counters(f->d)[DROP_SELECTOR_IN], 1);
	close(fd);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	struct netlink *own;
	int failed;
	const struct CMUnitTest tests[] = {
		CASE(makes_and_removes),
		CASE(addresses_of_all_kinds),
		CASE(somebody_removes_addresses),
		CASE(the_mtu_follows_the_path),
		CASE(keys_are_stable_over_restarts),
		CASE(adopts_and_gives_back),
		CASE(adopts_under_its_own_name),
		CASE(refuses_what_does_not_fit),
		CASE(endpoints_follow),
		CASE(ipv6_outside),
		CASE(the_mark_changes),
		CASE(somebody_removes_the_device),
		CASE(what_is_set_down_stays_down),
		CASE(a_script_makes_the_device),
		CASE(two_tunnels_with_one_key),
		CASE(inherits_and_replaces),
		CASE(inheritance_ends_when_the_peer_is_dead),
		CASE(inheritance_ends_in_the_kernel),
		CASE(leftovers_go_when_settled),
		CASE(tries_again_behind_a_killed_trial),
		CASE(flush_removes_what_is_ours),
		CASE(close_leaves_nothing_that_sends),
		CASE(somebody_deletes_a_state),
		CASE(somebody_flushes_the_states),
		CASE(somebody_deletes_policies),
		CASE(lost_events_are_made_up_for),
		CASE(sequence_numbers_go_on),
		CASE(replays_are_known_after_a_move),
		CASE(first_packets_are_no_limit),
		CASE(by_the_state_of_the_processor),
		CASE(the_general_one_goes_and_comes),
		CASE(acquires_come_again),
		CASE(selectors_hold_behind_the_device),
	};

	kernel_namespace("test_kernel_plane");
	own = kernel_netlink();
	kind = kernel_device_kind();
	if (kind == DEVICE_AUTO)
		kind = kernel_has_vti() ? DEVICE_VTI : DEVICE_XFRM;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	netlink_close(own);
	return failed;
}
