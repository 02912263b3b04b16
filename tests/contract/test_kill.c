/* The userspace plane killed hundreds of times while packets pass both ways at full speed, at
 * whatever instruction it is at. On the wire no IV of an SA comes twice, no packet is delivered
 * twice, what waits in the queues comes out, the device never flaps, and SAs are replaced all the
 * while. Half of what goes out comes in super-packets, and what comes in is joined to such. The
 * parent is the network, the host behind the device, and keeps memory and descriptors.
 *
 *	parent -- packet socket -- TUN -- plane (child) -- socketpair `wire` -- parent */
#include "tests/contract/contract.h"
#include "tests/contract/keeper.h"
#include "tests/contract/kernel.h"

#include "ipsecd/dataplane/checksum.h"
#include "ipsecd/dataplane/esp.h"
#include "ipsecd/dataplane/vnet.h"
#include "lib/buf.h"
#include "tests/support/esp_runs.h"

#include <arpa/inet.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__ /* many times slower */
#define KILLS	 100
#define PATIENCE (120 * MONO_S)
#else
#define KILLS	 400
#define PATIENCE (20 * MONO_S)
#endif
#define DEVICE	 "dp-kill"
#define SAS	 64	   /* SA numbers, of which three at most are there at once */
#define NUMBERS	 (1 << 19) /* of an SA, and of packets */
#define IN_QUEUE 150	   /* packets that may wait in the TUN */
#define LEN	 100
#define HEADERS	 28
#define SUPER	 8  /* packets in a super-packet outward */
#define BATCH	 16 /* packets that the plane gets in one call */

static const struct suite_case gcm = {ENCR_AES_GCM_16, 128, 0, false};

static struct keeper keeper;
static int wire_out[2], wire_in[2]; /* ESP from the plane; to it */
/* What the engine wants, and, written by the plane's process, what there is. */
struct shared {
	unsigned oldest, newest;
	volatile unsigned ready; /* the newest that was installed */
};

static struct shared *shared;

struct log {
	struct esp from[SAS], to[SAS]; /* the peer's ends */
	struct child_keys keys[SAS][2];
	uint8_t *iv[SAS];  /* by number: seen on the wire */
	uint64_t seq[SAS]; /* of the peer */
	uint8_t *out, *in; /* by packet: how often it came */
	uint32_t sent_out, seen_out, sent_in, seen_in;
	uint32_t gone_out; /* up to here a plane that was killed may have read them */
	uint32_t first_in; /* of the newest SA */
	unsigned flaps, addrs, lost_events, joined;
	int ifindex, tap, supers;
	struct netlink_monitor *monitor;
	uint32_t random;
};

static struct log *l;

/* ---- the plane's process ---- */

static bool send_packet(void *ctx, const struct esp_run *run, struct span esp)
{
	(void)ctx;
	(void)run;
	return send(wire_out[1], esp.ptr, esp.len, 0) == (ssize_t)esp.len;
}

static void send_esp(void *ctx, struct esp_run *runs, size_t n)
{
	esp_runs_each(runs, n, send_packet, ctx);
}

static void no_event(void *ctx, const struct dataplane_event *event)
{
	(void)ctx;
	(void)event;
}

static int kept_tun(void *ctx, const char *name)
{
	(void)ctx;
	return keeper_kept(&keeper, name);
}

static void keep_tun(void *ctx, const char *name, int fd)
{
	(void)ctx;
	keeper_keep(&keeper, name, fd);
}

static void drop_tun(void *ctx, const char *name)
{
	(void)ctx;
	keeper_drop(&keeper, name);
}

static void on_wire(struct ev_loop *loop, ev_io *w, int revents)
{
	static const struct endpoint peer = {{AF_INET, {192, 0, 2, 2}}, 4500},
				     own = {{AF_INET, {192, 0, 2, 1}}, 4500};
	uint8_t packets[BATCH * PACKET_MAX];
	size_t len = 0, size = 0;
	ssize_t n;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < BATCH; i++) {
		n = recv(wire_in[1], packets + len, PACKET_MAX, MSG_DONTWAIT);
		if (n <= 0)
			break;
		size = (size_t)n; /* all are equally long */
		len += size;
	}
	if (len == 0)
		return;
	dataplane_userspace.esp_input(w->data, 0, &own, &peer, 0, packets, len, size, mono_now());
	dataplane_userspace.esp_flush(w->data, 0, mono_now());
}

static void claim(struct dataplane *d)
{
	struct tunnel_config config = {.name = DEVICE, .named = true, .n_addrs = 1};
	const struct dataplane_ops *ops = &dataplane_userspace;
	struct child_sa a, b;

	config.addrs[0] = (struct prefix){{AF_INET, {10, 9, 0, 1}}, 24};
	if (ops->tunnel_create(d, TUNNEL, &config) != DATAPLANE_OK)
		_exit(10);
	for (unsigned n = shared->oldest; n <= shared->newest; n++) {
		child_pair(n, &gcm, &a, &b);
		a.outbound = n == shared->newest;
		if (ops->child_install(d, &a) != DATAPLANE_OK)
			_exit(11);
		if (n > shared->ready)
			shared->ready = n;
	}
	if (ops->tunnel_set_link(d, TUNNEL, true) != DATAPLANE_OK)
		_exit(12);
	ops->settled(d);
}

static void live(bool claims)
{
	struct dataplane_host host = {.send_esp = send_esp,
				      .event = no_event,
				      .crypto = &crypto_openssl,
				      .random = crypto_random,
				      .loop = ev_loop_new(0),
				      .area = keeper_area(&keeper),
				      .kept_tun = kept_tun,
				      .keep_tun = keep_tun,
				      .drop_tun = drop_tun};
	struct dataplane *d = dataplane_userspace.open(&host);
	ev_io wire;

	if (!d)
		_exit(13);
	if (claims)
		claim(d);
	ev_io_init(&wire, on_wire, wire_in[1], EV_READ);
	wire.data = d;
	ev_io_start(host.loop, &wire);
	ev_run(host.loop, 0);
	_exit(14);
}

/* ---- the world around it ---- */

static uint32_t draw(uint32_t below)
{
	l->random = l->random * 1664525 + 1013904223;
	return (l->random >> 8) % below;
}

static uint64_t pseudo(const uint8_t *ip, size_t len)
{
	return checksum_add(checksum_number(17) + checksum_number(len - 20), ip + 12, 8);
}

/* A number in each packet tells it from all others. */
static struct span numbered(uint8_t *memory, uint32_t number, bool back)
{
	udp_packet(memory, AF_INET, 1, LEN, back);
	memory[6] = 0x40; /* DF: the identification has no meaning, and they may be joined */
	be32_set(memory + HEADERS, number);
	checksum_set(memory + 10, (uint16_t)~checksum_fold(checksum_add(0, memory, 20)));
	checksum_set(memory + 26, (uint16_t)~checksum_fold(checksum_add(pseudo(memory, LEN),
									memory + 20, LEN - 20)));
	return span_of(memory, LEN);
}

/* Several in one, as a socket with UDP_SEGMENT gives them to the device. */
static void host_sends_super(const struct sockaddr_ll *sll)
{
	struct {
		struct virtio_net_hdr vnet;
		uint8_t packet[HEADERS + SUPER * (LEN - HEADERS)];
	} s = {.vnet = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
			.hdr_len = HEADERS,
			.gso_size = LEN - HEADERS,
			.csum_start = 20,
			.csum_offset = 6}};

	udp_packet(s.packet, AF_INET, 1, sizeof(s.packet), false);
	for (uint32_t i = 0; i < SUPER; i++)
		be32_set(s.packet + HEADERS + i * (LEN - HEADERS), l->sent_out + 1 + i);
	checksum_set(s.packet + 26, checksum_fold(pseudo(s.packet, sizeof(s.packet))));
	if (sendto(l->supers, &s, sizeof(s), MSG_DONTWAIT, (const struct sockaddr *)sll,
		   sizeof(*sll)) == sizeof(s))
		l->sent_out += SUPER;
}

static void host_sends(void)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = l->ifindex};
	uint8_t memory[LEN];
	uint32_t settled = l->seen_out > l->gone_out ? l->seen_out : l->gone_out;

	if (l->sent_out - settled + SUPER >= IN_QUEUE || l->sent_out + SUPER >= NUMBERS)
		return;
	if (draw(16) == 0) {
		host_sends_super(&sll);
		return;
	}
	numbered(memory, l->sent_out + 1, false);
	if (sendto(l->tap, memory, LEN, MSG_DONTWAIT, (const struct sockaddr *)&sll, sizeof(sll)) ==
	    LEN)
		l->sent_out++;
}

static bool wire_send(unsigned n, uint64_t seq, uint32_t number)
{
	uint8_t room[ESP_HEADROOM + LEN + ESP_TAILROOM], iv[ALGORITHM_IV_MAX] = {0};
	struct span esp;

	be64_set(iv, seq);
	numbered(room + ESP_HEADROOM, number, true);
	esp = esp_seal(&l->to[n], 0, seq, iv, ESP_NEXT_IPV4, room + ESP_HEADROOM, LEN);
	return send(wire_in[0], esp.ptr, esp.len, MSG_DONTWAIT) == (ssize_t)esp.len;
}

/* Each packet once, and those of the window again and again, with the same number. */
static void peer_sends(void)
{
	unsigned n = shared->ready;
	uint64_t seq = l->seq[n] + 1, old;

	if (!n || l->sent_in + 1 >= NUMBERS)
		return;
	if (seq == 1)
		l->first_in = l->sent_in + 1;
	if (wire_send(n, seq, l->sent_in + 1)) {
		l->seq[n] = seq;
		l->sent_in++;
	}
	old = draw(20);
	if (l->seq[n] > old) /* packet and number go up together while the SA is the newest */
		wire_send(n, l->seq[n] - old, l->sent_in - (uint32_t)old);
}

static void wire_seen(uint8_t *packet, size_t len)
{
	uint32_t n = be32_get(packet) - 0xb0000000, seq = be32_get(packet + 4), number;
	struct esp_payload payload;

	assert_in_range(n, 1, SAS - 1);
	assert_in_range(seq, 1, NUMBERS - 1);
	assert_int_equal(be64_get(packet + 8), seq); /* GCM: the IV is the number */
	if (l->iv[n][seq]++)
		fail_msg("IV %u of SA %u was used twice", seq, n);
	assert_int_equal(esp_open(&l->from[n], 0, seq, packet, len, &payload), ESP_OK);
	number = be32_get(payload.data + HEADERS);
	assert_in_range(number, 1, l->sent_out);
	l->out[number]++;
	l->seen_out = number;
}

/* One packet, or several joined. */
static void delivered(const uint8_t *packet, size_t len)
{
	assert_int_equal((len - HEADERS) % (LEN - HEADERS), 0);
	l->joined += len > LEN;
	for (size_t at = HEADERS; at < len; at += LEN - HEADERS) {
		l->seen_in = be32_get(packet + at);
		assert_in_range(l->seen_in, 1, l->sent_in);
		l->in[l->seen_in]++;
	}
}

static void look_around(void)
{
	uint8_t packet[BATCH * PACKET_MAX];
	ssize_t n;

	while ((n = recv(wire_out[0], packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		wire_seen(packet, (size_t)n);
	while ((n = recv(l->tap, packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		delivered(packet, (size_t)n);
	assert_int_equal(netlink_monitor_read(l->monitor), 0);
}

static void on_link(void *ctx, const struct netlink_link *link)
{
	(void)ctx;
	if (link->ifindex == l->ifindex && (link->removed || link->operstate != IF_OPER_UP ||
					    !(link->flags & IFF_UP) || link->mtu != 1438))
		l->flaps++;
}

static void on_addr(void *ctx, const struct netlink_addr *addr)
{
	(void)ctx;
	l->addrs += addr->ifindex == l->ifindex;
}

static void on_lost(void *ctx)
{
	(void)ctx;
	l->lost_events++;
}

/* ---- lives ---- */

static pid_t begin(bool claims)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves nothing */
		live(claims);
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
	l->gone_out = l->sent_out; /* all of its queue at once, or none */
	keeper_collect(&keeper);
}

/* However slow the machine is, some lives get to work. */
static void traffic_passes(void)
{
	mono_time late = mono_now() + PATIENCE;
	uint32_t out = l->seen_out, in = l->seen_in;

	while (l->seen_out == out || l->seen_in == in || shared->ready != shared->newest) {
		assert_true(mono_now() < late);
		host_sends();
		peer_sends();
		look_around();
	}
}

static void traffic(mono_time until)
{
	while (mono_now() < until) {
		for (unsigned i = 0; i < 8; i++) {
			host_sends();
			peer_sends();
		}
		look_around();
	}
}

/* Until the plane has nothing left to do. */
static void drain(void)
{
	mono_time end = mono_now() + 10 * MONO_S;

	while (l->seen_out != l->sent_out && mono_now() < end) {
		look_around();
		poll(NULL, 0, 1);
	}
	for (unsigned i = 0; i < 50; i++) {
		look_around();
		poll(NULL, 0, 1);
	}
	assert_int_equal(l->seen_out, l->sent_out);
}

static void world_open(void)
{
	struct netlink_monitor_host host = {.link = on_link, .addr = on_addr, .lost = on_lost};
	int size = 1 << 23, on = 1;

	l->ifindex = kernel_link(DEVICE).ifindex;
	l->tap = kernel_tap(DEVICE);
	l->supers = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(l->supers, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	setsockopt(l->tap, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	l->monitor = netlink_monitor_open(&host);
	assert_non_null(l->monitor);
}

static void memory_make(void)
{
	struct child_sa a, b;

	l = calloc(1, sizeof(*l));
	assert_non_null(l);
	l->random = 4;
	l->out = calloc(1, NUMBERS);
	l->in = calloc(1, NUMBERS);
	for (unsigned n = 0; n < SAS; n++) {
		struct child_keys *keys = l->keys[n];

		l->iv[n] = calloc(1, NUMBERS);
		child_pair(n, &gcm, &a, &b);
		keys[0] = a.out;
		keys[1] = a.in;
		assert_true(esp_init(&l->from[n], &crypto_openssl, algorithm_encr(a.encr_id, 128),
				     NULL, span_of(keys[0].encr, keys[0].encr_len),
				     span_of(NULL, 0), a.spi_out, false, false));
		assert_true(esp_init(&l->to[n], &crypto_openssl, algorithm_encr(a.encr_id, 128),
				     NULL, span_of(keys[1].encr, keys[1].encr_len),
				     span_of(NULL, 0), a.spi_in, false, true));
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(shared != MAP_FAILED);
	shared->oldest = shared->newest = 1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire_out), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire_in), 0);
	keeper_open(&keeper);
}

static void memory_free(void)
{
	for (unsigned n = 0; n < SAS; n++) {
		esp_release(&l->from[n]);
		esp_release(&l->to[n]);
		free(l->iv[n]);
	}
	netlink_monitor_close(l->monitor);
	close(l->tap);
	close(l->supers);
	keeper_close(&keeper);
	free(l->out);
	free(l->in);
	free(l);
}

/* A new SA every eight lives; the old one is let go later, once its last packet has come. */
static void rekey(unsigned round)
{
	if (round % 8 == 0 && shared->newest + 1 < SAS && shared->ready == shared->newest)
		shared->newest++;
	if (round % 8 >= 3 && l->seq[shared->newest] && l->seen_in >= l->first_in)
		shared->oldest = shared->newest;
}

static unsigned count(const uint8_t *seen, uint32_t up_to, unsigned *twice)
{
	unsigned missing = 0;

	for (uint32_t i = 1; i <= up_to; i++) {
		missing += seen[i] == 0;
		*twice += seen[i] > 1;
	}
	return missing;
}

static void passes_packets_through_hundreds_of_kills(void **state)
{
	unsigned twice_out = 0, twice_in = 0, missing_out, missing_in;
	pid_t pid;

	(void)state;
	memory_make();
	pid = begin(true);
	while (!shared->ready || kernel_link(DEVICE).operstate != IF_OPER_UP)
		poll(NULL, 0, 1);
	world_open();
	for (unsigned round = 1; round <= KILLS; round++) {
		traffic(mono_now() + (mono_time)draw(12000) * 1000);
		if (round % 4 == 0)
			traffic_passes();
		end(pid);
		look_around();
		for (unsigned i = 0; i < 10; i++)
			host_sends(); /* nobody is there to take them */
		rekey(round);
		assert_int_equal(kernel_link(DEVICE).ifindex, l->ifindex);
		pid = begin(round % 2);
	}
	drain();
	end(pid);
	missing_out = count(l->out, l->sent_out, &twice_out);
	missing_in = count(l->in, l->sent_in, &twice_in);
	printf("%u kills, %u SAs: %u packets out, %u missing; %u in, %u missing, joined to %u\n",
	       KILLS, shared->newest, l->sent_out, missing_out, l->sent_in, missing_in, l->joined);
	assert_int_equal(twice_out + twice_in, 0);
	/* Each kill may cost what is in the plane's hands: outward what it had taken from the
	 * device, inward what came by one call. */
	assert_in_range(missing_out, 0, KILLS * IN_QUEUE);
	assert_in_range(missing_in, 0, KILLS * BATCH);
	assert_true(l->joined > 0);
	assert_true(l->sent_out > KILLS / 4 && l->sent_in > KILLS / 4);
	assert_true(shared->newest > KILLS / 16);
	assert_int_equal(l->flaps, 0);
	assert_int_equal(l->addrs, 0);
	assert_int_equal(l->lost_events, 0);
	memory_free();
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(passes_packets_through_hundreds_of_kills),
	};

	kernel_namespace("test_kill");
	return cmocka_run_group_tests(cases, NULL, NULL);
}
