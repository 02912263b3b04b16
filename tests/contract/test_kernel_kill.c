/* The kernel plane killed again and again while packets pass through the kernel, which goes on
 * without it: it adopts what it finds there as its own. No number of an SA comes twice on the
 * wire, also where states are made again while it is killed; nothing is lost where nothing
 * changes. Needs root, and a kernel with ESP and vti or xfrm interfaces. */
#include "tests/contract/keeper.h"
#include "tests/contract/site.h"

#include "ipsecd/dataplane/esp.h"
#include "ipsecd/dataplane/xfrm.h"
#include "lib/buf.h"

#include <linux/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS	40
#define DEVICE	"dp-kill"
#define SAS	128
#define NUMBERS (1 << 25) /* moves leave out 65536 each */
#define LEN	100

static const struct dataplane_ops *const ops = &dataplane_kernel;

struct fixture {
	struct site site;
	struct netlink *xfrm;
	struct keeper keeper;
	struct dataplane *d;
	struct sa_area *area;
	int home, tap, ifindex;
	unsigned n_events[DATAPLANE_INHERITED_GONE + 1];
	uint8_t *seen[SAS]; /* by SA and number: on the wire */
	unsigned sent, on_wire, delivered, flaps, addrs;
	uint64_t in_seq;
	struct netlink_monitor *monitor;
	mono_time life; /* as long as one takes to do its work */
	uint32_t random;
};

static struct fixture *f;

/* What the engine wants; `ready`: the newest SA that was installed. */
struct wishes {
	unsigned oldest, newest;
	volatile unsigned ready, done;
};

static struct wishes *wishes;

/* ---- the plane's process ---- */

static void on_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	f->n_events[event->kind]++;
}

static void plane_open(void)
{
	struct dataplane_host host = {.event = on_event,
				      .crypto = &crypto_openssl,
				      .random = crypto_random,
				      .loop = f->site.loop,
				      .area = f->area = keeper_area(&f->keeper)};

	f->d = ops->open(&host);
	assert_non_null(f->d);
	f->site.plane = f->d;
	assert_true(ops->ike_socket(f->d, f->site.udp, AF_INET, true));
}

static void plane_close(void)
{
	ops->close(f->d);
	area_close(f->area);
	f->d = NULL;
}

static struct child_sa child_of(unsigned n)
{
	static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, true};
	struct child_sa a, b;

	child_pair(n, &gcm, &a, &b);
	a.replay_window = 1024;
	a.outbound = n == wishes->newest;
	return a;
}

static enum dataplane_error create(void)
{
	struct tunnel_config config = {
		.name = DEVICE, .named = true, .kind = kernel_device_kind(), .n_addrs = 1};

	config.addrs[0] = (struct prefix){{AF_INET, {10, 9, 0, 1}}, 24};
	return ops->tunnel_create(f->d, TUNNEL, &config);
}

static void claim(void)
{
	if (create() != DATAPLANE_OK)
		_exit(10);
	/* The newest first: while the older one sends no more there must be another. */
	for (unsigned n = wishes->newest; n >= wishes->oldest; n--) {
		struct child_sa a = child_of(n);

		if (ops->child_install(f->d, &a) != DATAPLANE_OK)
			_exit(11);
		if (n > wishes->ready)
			wishes->ready = n;
	}
	if (ops->tunnel_set_link(f->d, TUNNEL, true) != DATAPLANE_OK)
		_exit(12);
	ops->settled(f->d);
	wishes->done++;
}

static void works(void)
{
	claim();
}

static void looks(void) /* and is not spoken to */
{
	ops->tick(f->d, mono_now());
}

/* The peer is here and there, as fast as can be. */
static void moves(void)
{
	claim();
	for (unsigned i = 0; i < 6; i++) {
		struct child_sa a = child_of(wishes->newest);

		if (i % 2)
			a.remote.addr.bytes[3] = 77;
		if (ops->child_update(f->d, &a) != DATAPLANE_OK)
			_exit(13);
	}
}

static pid_t begin(void (*what)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ev_loop_fork(f->site.loop);
		plane_open();
		what();
		for (;;) {
			ev_run(f->site.loop, EVRUN_ONCE);
			ops->tick(f->d, mono_now());
		}
	}
	return pid;
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		fail_msg("the plane ended with %d", WEXITSTATUS(status));
}

/* ---- the world around it ---- */

static uint32_t draw(uint32_t below)
{
	f->random = f->random * 1664525 + 1013904223;
	return (f->random >> 8) % below;
}

static void wire_seen(const uint8_t *ip, size_t len)
{
	size_t head = (size_t)(ip[0] & 15) * 4 + 8;
	uint32_t n, seq;

	if (len < head + 16 || ip[0] >> 4 != 4 || ip[9] != IPPROTO_UDP)
		return;
	n = be32_get(ip + head) - 0xb0000000;
	seq = be32_get(ip + head + 4);
	assert_in_range(n, 1, SAS - 1);
	assert_in_range(seq, 1, NUMBERS - 1);
	if (f->seen[n][seq]++)
		fail_msg("number %u of SA %u was used twice", seq, n);
	f->on_wire++;
}

static void look_around(void)
{
	uint8_t packet[PACKET_MAX];
	ssize_t n;

	while ((n = read(f->site.under, packet, sizeof(packet))) > 0)
		wire_seen(packet, (size_t)n);
	while (kernel_received(f->tap, packet, sizeof(packet)) > 0)
		f->delivered++;
	assert_int_equal(netlink_monitor_read(f->monitor), 0);
}

static void host_sends(void)
{
	uint8_t memory[PACKET_MAX];

	kernel_inject(f->tap, DEVICE, udp_packet(memory, AF_INET, 1, LEN, false));
	f->sent++;
}

/* Each number twice: the second one never comes through. */
static void peer_sends(void)
{
	struct child_sa a = child_of(wishes->ready);
	uint8_t memory[PACKET_MAX];
	struct packet p =
		forge(&a, ++f->in_seq, ESP_NEXT_IPV4, udp_packet(memory, AF_INET, 1, LEN, true));

	site_input(&f->site, &a.local, &a.remote, span_of(p.data, p.len));
	site_input(&f->site, &a.local, &a.remote, span_of(p.data, p.len));
}

/* In the midst of its work, or behind it. */
static mono_time some_time(void)
{
	return f->life * draw(250) / 100;
}

static void traffic(mono_time length, bool both)
{
	mono_time until = mono_now() + length;

	do {
		host_sends();
		if (both)
			peer_sends();
		look_around();
	} while (mono_now() < until);
}

static void on_link(void *ctx, const struct netlink_link *link)
{
	(void)ctx;
	if (link->ifindex == f->ifindex &&
	    (link->removed || link->operstate != IF_OPER_UP || !(link->flags & IFF_UP)))
		f->flaps++;
}

static void on_addr(void *ctx, const struct netlink_addr *addr)
{
	(void)ctx;
	f->addrs += addr->ifindex == f->ifindex;
}

static void on_lost(void *ctx)
{
	(void)ctx;
	f->flaps++;
}

/* ---- set up ---- */

static int setup(void **state)
{
	(void)state;
	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->random = 5;
	f->tap = -1;
	for (unsigned i = 0; i < SAS; i++) {
		f->seen[i] = mmap(NULL, NUMBERS, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_true(f->seen[i] != MAP_FAILED);
	}
	wishes = mmap(NULL, sizeof(*wishes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(wishes != MAP_FAILED);
	*wishes = (struct wishes){.oldest = 1, .newest = 1};
	f->home = site_namespace();
	site_open(&f->site, "192.0.2.1/24");
	f->xfrm = netlink_open_protocol(NETLINK_XFRM);
	keeper_open(&f->keeper);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (f->d)
		plane_close();
	netlink_monitor_close(f->monitor);
	netlink_close(f->xfrm);
	keeper_close(&f->keeper);
	if (f->tap >= 0)
		close(f->tap);
	site_close(&f->site);
	site_leave(f->home);
	for (unsigned i = 0; i < SAS; i++)
		munmap(f->seen[i], NUMBERS);
	munmap(wishes, sizeof(*wishes));
	free(f);
	return 0;
}

/* A life that has done its work. */
static pid_t whole(void (*what)(void))
{
	mono_time start = mono_now(), late = start + 20 * MONO_S;
	unsigned done = wishes->done;
	pid_t pid = begin(what);

	while (wishes->done == done) {
		assert_true(mono_now() < late);
		usleep(200);
	}
	f->life = mono_now() - start;
	return pid;
}

static pid_t first(void)
{
	struct netlink_monitor_host host = {.link = on_link, .addr = on_addr, .lost = on_lost};
	pid_t pid = whole(works);

	end(pid); /* it took longer, to load modules */
	pid = whole(works);
	f->ifindex = kernel_link(DEVICE).ifindex;
	f->tap = kernel_tap(DEVICE);
	site_route(&f->site, "10.1.0.0/16", 0); /* the stack is not to answer */
	poll(NULL, 0, 50);
	f->monitor = netlink_monitor_open(&host);
	assert_non_null(f->monitor);
	return pid;
}

static void count_state(void *ctx, const struct xfrm_state_info *s)
{
	if (!s->larval)
		++*(unsigned *)ctx;
}

static unsigned states(void)
{
	unsigned n = 0;

	assert_int_equal(xfrm_state_list(f->xfrm, count_state, &n), 0);
	return n;
}

static void expect_no_flap(void)
{
	look_around();
	assert_int_equal(kernel_link(DEVICE).ifindex, f->ifindex);
	assert_int_equal(kernel_link(DEVICE).operstate, IF_OPER_UP);
	assert_int_equal(f->flaps, 0);
	assert_int_equal(f->addrs, 0);
}

/* ---- cases ---- */

static void nothing_is_lost(void **state)
{
	struct dataplane_child_stats stats;
	struct dataplane_tunnel_info info;
	pid_t pid = first();

	(void)state;
	for (unsigned i = 0; i < KILLS; i++) {
		traffic(some_time(), true);
		end(pid);
		traffic(0, true);
		pid = begin(i % 2 ? works : looks);
	}
	traffic(50 * MONO_MS, true);
	end(pid);
	expect_no_flap();
	assert_int_equal(f->on_wire, f->sent);
	assert_int_equal(f->delivered, f->in_seq);
	printf("             %u kills: %u packets out, %u in, none lost\n", KILLS, f->sent,
	       f->delivered);
	plane_open();
	assert_true(ops->tunnel_info(f->d, TUNNEL, &info));
	assert_int_equal(info.ifindex, f->ifindex);
	assert_int_equal(info.inherited, 0);
	assert_true(info.link_up);
	assert_true(ops->child_stats(f->d, 101, &stats));
	assert_int_equal(stats.packets_out, f->sent);
	assert_int_equal(stats.packets_in, f->delivered);
	assert_int_equal(states(), 2);
	ops->tick(f->d, mono_now());
	assert_int_equal(f->n_events[DATAPLANE_CHILD_HARD_EXPIRE], 0);
}

static void killed_while_the_peer_moves(void **state)
{
	pid_t pid = first();

	(void)state;
	for (unsigned i = 0; i < KILLS; i++) {
		traffic(some_time(), false);
		end(pid);
		traffic(0, false);
		pid = begin(moves);
	}
	traffic(100 * MONO_MS, false);
	end(pid);
	expect_no_flap();
	printf("             %u kills: %u packets out, %u on the wire, no number twice\n", KILLS,
	       f->sent, f->on_wire);
	assert_true(f->on_wire > KILLS);
	plane_open(); /* makes what was between being removed and being made */
	assert_int_equal(states(), 2);
	ops->tick(f->d, mono_now());
	assert_int_equal(f->n_events[DATAPLANE_CHILD_HARD_EXPIRE], 0);
}

static void killed_while_sas_are_replaced(void **state)
{
	pid_t pid = first();

	(void)state;
	for (unsigned i = 0; i < KILLS; i++) {
		traffic(some_time(), false);
		end(pid);
		traffic(0, false);
		/* Next to the old one, then alone. */
		if (wishes->newest == wishes->oldest)
			wishes->newest++;
		else if (wishes->ready == wishes->newest)
			wishes->oldest = wishes->newest;
		pid = i % 4 ? begin(works) : whole(works);
	}
	/* One that has its time: of an SA that is being removed one state may be gone. */
	end(pid);
	pid = whole(works);
	traffic(100 * MONO_MS, false);
	end(pid);
	expect_no_flap();
	printf("             %u kills, %u SAs: %u packets out, %u lost\n", KILLS, wishes->newest,
	       f->sent, f->sent - f->on_wire);
	assert_int_equal(f->on_wire, f->sent); /* make before break */
	assert_true(wishes->newest > KILLS / 10);
	plane_open();
	assert_int_equal(create(), DATAPLANE_OK);
	assert_int_equal(states(), area_children(f->area) * 2);
	ops->settled(f->d);
	assert_int_equal(states(), 0);
	assert_int_equal(kernel_link(DEVICE).operstate, IF_OPER_DORMANT);
}

/* With these keys it must not begin at 1 again. */
static void a_lost_state_has_expired(void **state)
{
	struct child_sa a = child_of(1);
	struct dataplane_tunnel_info info;
	struct xfrm_tag tag;
	pid_t pid = first();

	(void)state;
	traffic(20 * MONO_MS, false);
	end(pid);
	plane_open();
	assert_true(ops->tunnel_info(f->d, TUNNEL, &info));
	tag = (struct xfrm_tag){.mark = info.mark_out, .if_id = info.if_id_out};
	/* As it was before the kill, without a word to the plane, which is dead. */
	pid = begin(looks);
	end(pid);
	assert_int_equal(xfrm_state_remove(f->xfrm, &a.remote.addr, a.spi_out, &tag), 0);
	pid = begin(looks);
	traffic(50 * MONO_MS, false);
	end(pid);
	area_close(f->area);
	plane_open();
	assert_int_equal(create(), DATAPLANE_OK);
	assert_int_equal(ops->child_install(f->d, &a), DATAPLANE_OK);
	ops->tick(f->d, mono_now());
	assert_int_equal(f->n_events[DATAPLANE_CHILD_HARD_EXPIRE], 1);
	assert_int_equal(states(), 1);
	assert_int_equal(ops->child_remove(f->d, a.id), DATAPLANE_OK);
	assert_int_equal(states(), 0);
}

static void not_done(void *ctx, struct area_slot *slot)
{
	struct area_tunnel as;

	(void)ctx;
	area_tunnel_get(slot, &as);
	as.ifindex = 0;
	as.admin_up = false;
	area_tunnel_set(slot, &as);
}

/* As it is between the device and the word that it is done. */
static void makes_half(void)
{
	if (create() != DATAPLANE_OK || !area_each_tunnel(f->area, not_done, NULL) ||
	    netlink_link_set_up(kernel_netlink(), kernel_link(DEVICE).ifindex, false) != 0)
		_exit(10);
	wishes->done++;
	raise(SIGKILL); /* or it would hear that it is down */
}

/* It is down, which was nobody's will. */
static void a_device_made_by_half_is_finished(void **state)
{
	struct dataplane_tunnel_info info;

	(void)state;
	end(whole(makes_half));
	plane_open();
	assert_int_equal(create(), DATAPLANE_OK);
	assert_true(ops->tunnel_info(f->d, TUNNEL, &info));
	assert_true(info.ifindex && info.admin_up);
	assert_true(kernel_link(DEVICE).flags & IFF_UP);
}

#define CASE(c) cmocka_unit_test_setup_teardown(c, setup, teardown)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(nothing_is_lost),
		CASE(killed_while_the_peer_moves),
		CASE(killed_while_sas_are_replaced),
		CASE(a_lost_state_has_expired),
		CASE(a_device_made_by_half_is_finished),
	};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
