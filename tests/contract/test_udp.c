/* The UDP sockets on a real kernel: runs that it cuts, datagrams that it merges, IKE among them,
 * the outer header both ways, and what happens where it refuses. Over loopback, with a peer's plain
 * socket. */
#include "ipsecd/net/udp.h"
#include "lib/worker.h"
#include "tests/contract/kernel.h"

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NATT	  4500
#define PEER	  7777
#define HEARD_MAX 256
#define WAIT	  (5 * MONO_S)

enum what { HEARD_IKE, HEARD_ESP, HEARD_END };

struct heard {
	enum what what;
	uint8_t tos, first; /* byte */
	const uint8_t *at;
	size_t len, size;
};

static struct ev_loop *loop;
static struct udp *u;
static struct endpoint own, peer;
static int peer_fd;
static struct heard heard[HEARD_MAX];
static unsigned n_heard, n_too_big;
static uint32_t too_big_mtu;
static struct {
	int fd;
	uint8_t family;
	uint16_t port;
} kept[6];
static unsigned n_kept;
static bool refuse_segments;

/* ---- the kernel that refuses ---- */

ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
int __real_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);

static bool refused(const struct msghdr *m)
{
	struct msghdr copy = *m;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); refuse_segments && c;
	     c = CMSG_NXTHDR(&copy, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
			return true;
	return false;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (!refused(m))
		return __real_sendmsg(fd, m, flags);
	errno = EIO;
	return -1;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	unsigned good = 0;

	while (good < n && !refused(&m[good].msg_hdr))
		good++;
	if (good)
		return __real_sendmmsg(fd, m, good, flags);
	errno = EIO;
	return -1;
}

/* ---- the host ---- */

static void hear(enum what what, uint8_t tos, const uint8_t *data, size_t len, size_t size)
{
	assert_true(n_heard < HEARD_MAX);
	heard[n_heard++] = (struct heard){.what = what,
					  .tos = tos,
					  .first = len ? data[0] : 0,
					  .at = data,
					  .len = len,
					  .size = size};
}

static void on_ike(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   struct span datagram, mono_time now)
{
	(void)ctx;
	(void)now;
	assert_true(endpoint_equal(local, &own));
	assert_true(endpoint_equal(remote, &peer));
	hear(HEARD_IKE, 0, datagram.ptr, datagram.len, datagram.len);
}

static void on_esp(void *ctx, const struct endpoint *local, const struct endpoint *remote,
		   uint8_t tos, uint8_t *packets, size_t len, size_t size, mono_time now)
{
	(void)ctx;
	(void)now;
	assert_true(endpoint_equal(local, &own));
	assert_true(endpoint_equal(remote, &peer));
	hear(HEARD_ESP, tos, packets, len, size);
}

/* What was heard since the end before is where it was, as it was. */
static void on_end(void *ctx, mono_time now)
{
	(void)ctx;
	(void)now;
	for (unsigned i = n_heard; i > 0 && heard[i - 1].what != HEARD_END; i--)
		if (heard[i - 1].what == HEARD_ESP)
			assert_int_equal(heard[i - 1].at[0], heard[i - 1].first);
	hear(HEARD_END, 0, NULL, 0, 0);
}

static void on_too_big(void *ctx, const struct addr *to, uint32_t mtu)
{
	(void)ctx;
	assert_true(addr_equal(to, &peer.addr));
	n_too_big++;
	too_big_mtu = mtu;
}

static int give_kept(void *ctx, uint8_t family, uint16_t port)
{
	(void)ctx;
	for (unsigned i = 0; i < n_kept; i++) {
		int fd = kept[i].fd;

		if (kept[i].family != family || kept[i].port != port)
			continue;
		kept[i].fd = -1;
		return fd;
	}
	return -1;
}

static void keep(void *ctx, int fd, uint8_t family, uint16_t port)
{
	(void)ctx;
	assert_in_range(n_kept, 0, 5);
	kept[n_kept].fd = dup(fd);
	kept[n_kept].family = family;
	kept[n_kept++].port = port;
}

static void open_sockets(bool esp_here)
{
	const struct udp_host host = {.ike = on_ike,
				      .esp = on_esp,
				      .esp_end = on_end,
				      .too_big = on_too_big,
				      .kept = give_kept,
				      .log = log_default(),
				      .esp_here = esp_here};
	char why[128] = "";

	u = udp_open(loop, &host, why, sizeof(why));
	assert_string_equal(why, "");
	assert_non_null(u);
	for (; n_kept; n_kept--)
		if (kept[n_kept - 1].fd >= 0)
			close(kept[n_kept - 1].fd);
}

/* Until so many are heard, the ends of batches not counted. */
static unsigned hear_all(unsigned wanted)
{
	mono_time until = mono_now() + WAIT;
	unsigned n = 0;

	while (n < wanted && mono_now() < until) {
		ev_run(loop, EVRUN_NOWAIT);
		n = 0;
		for (unsigned i = 0; i < n_heard; i++)
			n += heard[i].what != HEARD_END;
		poll(NULL, 0, 1);
	}
	return n;
}

/* ---- the peer ---- */

static void open_peer(uint8_t family)
{
	struct sockaddr_storage name;
	socklen_t len;
	int on = 1, room = 8 << 20;

	own = (struct endpoint){.port = NATT};
	peer = (struct endpoint){.port = PEER};
	assert_true(addr_parse(family == AF_INET ? "127.0.0.1" : "::1", &own.addr));
	assert_true(addr_parse(family == AF_INET ? "127.0.0.2" : "::1", &peer.addr));
	len = endpoint_to_sockaddr(&peer, &name);
	peer_fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(peer_fd, (struct sockaddr *)&name, len), 0);
	if (family == AF_INET)
		assert_int_equal(setsockopt(peer_fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on)), 0);
	else
		assert_int_equal(
			setsockopt(peer_fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(peer_fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	n_heard = n_too_big = 0;
	refuse_segments = false;
}

static void close_all(void)
{
	udp_close(u);
	close(peer_fd);
}

/* From the peer to us: one datagram, or several of `size` for the kernel to cut. */
static void peer_send(const uint8_t *data, size_t len, uint16_t size, int tos)
{
	struct sockaddr_storage name;
	socklen_t name_len = endpoint_to_sockaddr(&own, &name);
	bool v6 = own.addr.family == AF_INET6;
	int zero = 0, n = size;

	assert_int_equal(setsockopt(peer_fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
				    v6 ? IPV6_TCLASS : IP_TOS, &tos, sizeof(tos)),
			 0);
	assert_int_equal(
		setsockopt(peer_fd, IPPROTO_UDP, UDP_SEGMENT, size ? &n : &zero, sizeof(n)), 0);
	assert_int_equal(sendto(peer_fd, data, len, 0, (struct sockaddr *)&name, name_len), len);
}

/* The next datagram at the peer; *tos its outer header's. */
static ssize_t peer_receive(uint8_t *out, size_t size, int *tos)
{
	_Alignas(struct cmsghdr) uint8_t control[64];
	struct iovec iov = {out, size};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct pollfd p = {.fd = peer_fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, (int)(WAIT / MONO_MS)) != 1)
		return -1;
	n = recvmsg(peer_fd, &m, 0);
	*tos = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		*tos = *CMSG_DATA(c);
	return n;
}

static void expect_at_peer(const uint8_t *data, size_t len, size_t size, uint8_t tos)
{
	static uint8_t got[65536];
	int had;

	for (size_t at = 0; at < len; at += size) {
		size_t n = len - at < size ? len - at : size;

		assert_int_equal(peer_receive(got, sizeof(got), &had), n);
		assert_memory_equal(got, data + at, n);
		assert_int_equal(had, tos);
	}
}

static void fill(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(1 + i * 31 + i / 256 * 7);
}

static struct udp_run run_of(const uint8_t *data, size_t len, size_t size)
{
	return (struct udp_run){
		.from = &own, .to = &peer, .datagrams = span_of(data, len), .size = size};
}

/* ---- cases ---- */

static const uint8_t both[] = {AF_INET, AF_INET6};

/* Every length a run may have, the last shorter or not, more than the kernel cuts at once. */
static void runs_are_cut(void **state)
{
	static const size_t sizes[] = {40, 92, 1300, 1452}, counts[] = {1, 2, 63, 64, 65, 130};
	static uint8_t data[130 * 1452];

	(void)state;
	fill(data, sizeof(data));
	for (unsigned f = 0; f < 2; f++) {
		open_peer(both[f]);
		open_sockets(true);
		for (unsigned s = 0; s < 4; s++) {
			for (unsigned c = 0; c < 6; c++) {
				size_t len = counts[c] * sizes[s] - (c & 1 ? 0 : 17);
				struct udp_run run = run_of(data, len, sizes[s]);

				run.tos = (uint8_t)(c * 37);
				run.df = s & 1;
				udp_send_runs(u, &run, 1);
				assert_int_equal(run.error, 0);
				expect_at_peer(data, len, sizes[s], run.tos);
			}
		}
		assert_int_equal(udp_counters(u)->send_failed, 0);
		assert_int_equal(udp_counters(u)->sent, 4 * (1 + 2 + 63 + 64 + 65 + 130));
		close_all();
	}
}

/* Mixed: other lengths, other headers, in their order, IKE and a keepalive behind. */
static void runs_of_all_kinds(void **state)
{
	static uint8_t data[50 * 900];
	struct udp_run runs[50];
	int tos;

	(void)state;
	fill(data, sizeof(data));
	open_peer(AF_INET);
	open_sockets(true);
	for (unsigned i = 0; i < 50; i++) {
		runs[i] = run_of(data + i * 900, 100 + i * 16, i % 3 ? 100 + i * 16 : 50);
		runs[i].tos = (uint8_t)i;
		runs[i].df = i / 7 % 2;
	}
	udp_send_runs(u, runs, 50);
	assert_true(udp_send_ike(u, &own, &peer, span_of(data, 20)));
	assert_true(udp_send_keepalive(u, &own, &peer));
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(runs[i].error, 0);
		expect_at_peer(data + i * 900, 100 + i * 16, runs[i].size, (uint8_t)i);
	}
	assert_int_equal(peer_receive(data + 100, 100, &tos), 24);
	assert_memory_equal(data + 100, "\0\0\0\0", 4);
	assert_memory_equal(data + 104, data, 20);
	assert_int_equal(peer_receive(data + 100, 100, &tos), 1);
	assert_int_equal(data[100], 0xff);
	close_all();
}

/* The kernel merges what the peer's had cut: loopback hands it on as it is. */
static void merged_datagrams(void **state)
{
	static uint8_t data[20 * 100];
	unsigned esp = 0;

	(void)state;
	for (unsigned f = 0; f < 2; f++) {
		open_peer(both[f]);
		open_sockets(true);
		fill(data, sizeof(data));
		memset(data + 7 * 100, 0, 4); /* IKE */
		memset(data + 12 * 100, 0, 4);
		peer_send(data, 19 * 100 + 30, 100, 0xb9); /* the last is shorter */
		assert_true(hear_all(5) >= 5);
		assert_int_equal(udp_counters(u)->received, 20);
		esp = 0;
		for (unsigned i = 0, at = 0; i < n_heard; i++) {
			if (heard[i].what == HEARD_END)
				continue;
			assert_int_equal(heard[i].first,
					 data[at + (heard[i].what == HEARD_IKE ? 4 : 0)]);
			assert_int_equal(heard[i].what,
					 at == 700 || at == 1200 ? HEARD_IKE : HEARD_ESP);
			assert_true(heard[i].what == HEARD_IKE || heard[i].tos == 0xb9);
			esp += heard[i].what == HEARD_ESP;
			at += heard[i].what == HEARD_IKE ? 100 : heard[i].len;
		}
		/* Nothing that was told before IKE is held back behind it. */
		for (unsigned i = 1; i < n_heard; i++)
			assert_true(heard[i].what != HEARD_IKE || heard[i - 1].what != HEARD_ESP);
		if (strstr(udp_offloads(u), "UDP_GRO"))
			assert_int_equal(esp, 3);
		close_all();
	}
}

/* Datagrams that nobody merged stay until the end of the wakeup, over several batches; a batch that
 * has a long one, which is whole, ends where it does. */
static void a_wakeup_has_one_end(void **state)
{
	static uint8_t data[9000];
	unsigned ends = 0;

	(void)state;
	open_peer(AF_INET);
	open_sockets(true);
	for (unsigned i = 0; i < 120; i++) {
		size_t len = i == 40 ? sizeof(data) : 1400;

		memset(data, 1 + (int)i, len);
		peer_send(data, len, 0, 0);
	}
	assert_int_equal(hear_all(120), 120);
	for (unsigned i = 0, n = 0; i < n_heard; i++) {
		ends += heard[i].what == HEARD_END;
		if (heard[i].what == HEARD_END)
			continue;
		assert_int_equal(heard[i].first, 1 + n);
		assert_int_equal(heard[i].len, n == 40 ? sizeof(data) : 1400);
		n++;
	}
	assert_int_equal(ends, 2);
	close_all();
}

/* Each byte of lengths around that of a small buffer. */
static void lengths_around_a_small_buffer(void **state)
{
	static uint8_t data[2400], got[2400];

	(void)state;
	open_peer(AF_INET);
	open_sockets(true);
	fill(data, sizeof(data));
	for (size_t len = 2108; len <= 2116; len++) {
		n_heard = 0;
		peer_send(data, len, 0, 0);
		assert_int_equal(hear_all(1), 1);
		assert_int_equal(heard[0].len, len);
		memcpy(got, heard[0].at, len); /* nothing has come since */
		assert_memory_equal(got, data, len);
	}
	close_all();
}

static void keepalives_and_runts(void **state)
{
	static const uint8_t keepalives[] = {0xff, 0xff, 0xff}, runt[] = {1, 2, 3};

	(void)state;
	open_peer(AF_INET);
	open_sockets(true);
	peer_send(keepalives, 3, 1, 0);
	peer_send(runt, 3, 0, 0);
	peer_send((const uint8_t *)"\0\0\0\0abcd", 8, 0, 0);
	assert_int_equal(hear_all(1), 1);
	assert_int_equal(heard[0].what, HEARD_IKE);
	assert_int_equal(heard[0].len, 4);
	assert_int_equal(udp_counters(u)->keepalives, 3);
	assert_int_equal(udp_counters(u)->runt, 1);
	close_all();
}

/* A device or a route that can't: the run goes all the same, and the next ones without a try. */
static void refused_segments_go_singly(void **state)
{
	static uint8_t data[10 * 500];
	struct udp_run run;

	(void)state;
	fill(data, sizeof(data));
	open_peer(AF_INET);
	open_sockets(true);
	refuse_segments = true;
	for (unsigned i = 0; i < 3; i++) {
		run = run_of(data, sizeof(data) - 3, 500);
		udp_send_runs(u, &run, 1);
		assert_int_equal(run.error, 0);
		expect_at_peer(data, sizeof(data) - 3, 500, 0);
	}
	assert_int_equal(udp_counters(u)->sent, 30);
	assert_int_equal(n_too_big, 0);
	close_all();
}

/* Segments that the device does not hold are fragments; the plane is told. */
static void segments_too_big(void **state)
{
	static uint8_t data[5 * 3000];
	struct udp_run run;

	(void)state;
	fill(data, sizeof(data));
	assert_int_equal(netlink_link_set_mtu(kernel_netlink(), 1, 1500), 0);
	open_peer(AF_INET);
	open_sockets(true);
	for (unsigned i = 0; i < 2; i++) {
		run = run_of(data, sizeof(data), 3000);
		run.df = i;
		udp_send_runs(u, &run, 1);
		assert_int_equal(run.error, 0);
		expect_at_peer(data, sizeof(data), 3000, 0);
	}
	assert_int_equal(n_too_big, 1);
	assert_int_equal(too_big_mtu, 0);
	run = run_of(data, 4000, 1000); /* smaller ones are cut as ever */
	udp_send_runs(u, &run, 1);
	expect_at_peer(data, 4000, 1000, 0);
	assert_int_equal(netlink_link_set_mtu(kernel_netlink(), 1, 65536), 0);
	close_all();
}

/* The next datagram to the peer, as it was on the way, one or a run of them: has it DF? */
static bool has_df(int raw)
{
	uint8_t packet[28];

	do
		assert_true(recv(raw, packet, sizeof(packet), 0) == sizeof(packet));
	while (packet[22] != PEER >> 8 || packet[23] != (PEER & 0xff));
	return packet[6] & 0x40;
}

/* One or a run that the kernel cuts: the network may fragment it, or tell us. */
static void runs_have_df(void **state)
{
	static uint8_t data[40 * 1000];
	const struct timeval patience = {.tv_sec = 5};
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);

	(void)state;
	fill(data, sizeof(data));
	assert_int_equal(setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(netlink_link_set_mtu(kernel_netlink(), 1, 1500), 0);
	open_peer(AF_INET);
	open_sockets(true);
	for (unsigned i = 0; i < 6; i++) {
		struct udp_run run = run_of(data, i / 2 ? i / 2 * 20000 : 1000, 1000);

		run.df = i % 2;
		udp_send_runs(u, &run, 1);
		assert_int_equal(run.error, 0);
		assert_int_equal(has_df(raw), run.df);
		expect_at_peer(data, run.datagrams.len, 1000, 0);
		while (recv(raw, data, 0, MSG_DONTWAIT) >= 0)
			;
	}
	assert_int_equal(n_too_big, 0);
	assert_int_equal(netlink_link_set_mtu(kernel_netlink(), 1, 65536), 0);
	close(raw);
	close_all();
}

/* Told, and not lost. */
static void one_too_big(void **state)
{
	static uint8_t data[3000];
	struct udp_run run;

	(void)state;
	fill(data, sizeof(data));
	assert_int_equal(netlink_link_set_mtu(kernel_netlink(), 1, 1500), 0);
	open_peer(AF_INET);
	open_sockets(true);
	for (unsigned i = 0; i < 3; i++) {
		run = run_of(data, sizeof(data), sizeof(data));
		run.df = true;
		udp_send_runs(u, &run, 1);
		assert_int_equal(run.error, 0);
		expect_at_peer(data, sizeof(data), sizeof(data), 0);
	}
	assert_int_equal(n_too_big, 1);
	assert_int_equal(udp_counters(u)->sent, 3);
	assert_int_equal(udp_counters(u)->send_failed, 0);
	assert_int_equal(netlink_link_set_mtu(kernel_netlink(), 1, 65536), 0);
	close_all();
}

/* Nobody at one destination: the ICMP error that comes back costs no other's packet. */
static void errors_of_others(void **state)
{
	static uint8_t data[4 * 200];
	struct endpoint nobody = {.port = 9};
	struct udp_run run, lost;

	(void)state;
	fill(data, sizeof(data));
	open_peer(AF_INET);
	open_sockets(true);
	assert_true(addr_parse("127.0.0.3", &nobody.addr));
	for (unsigned i = 0; i < 20; i++) {
		lost = run_of(data, 200, 200);
		lost.to = &nobody;
		udp_send_runs(u, &lost, 1);
		assert_int_equal(lost.error, 0);
		if (i % 2) {
			run = run_of(data, sizeof(data), 200);
			udp_send_runs(u, &run, 1);
			assert_int_equal(run.error, 0);
			expect_at_peer(data, sizeof(data), 200, 0);
		}
	}
	assert_int_equal(udp_counters(u)->send_failed, 0);
	/* The queue of errors is emptied, or it would wake us for ever. */
	peer_send(data, 200, 0, 0);
	assert_int_equal(hear_all(1), 1);
	for (unsigned i = 0; i < 50; i++)
		ev_run(loop, EVRUN_NOWAIT);
	ev_now_update(loop);
	assert_int_equal(n_too_big, 0);
	close_all();
}

static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* A router that never was says that what we sent to the peer is too big (RFC 792, RFC 1191). */
static void forge_too_big(int fd)
{
	uint8_t b[8 + 20 + 8] = {3, 4, [6] = 1300 >> 8, 1300 & 0xff};
	uint8_t *ip = b + 8, *udp = b + 28;
	const struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	uint16_t sum;

	ip[0] = 0x45;
	ip[2] = 1400 >> 8;
	ip[3] = 1400 & 0xff;
	ip[6] = 0x40; /* DF */
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, own.addr.bytes, 4);
	memcpy(ip + 16, peer.addr.bytes, 4);
	sum = checksum(ip, 20);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	udp[0] = NATT >> 8;
	udp[1] = NATT & 0xff;
	udp[2] = PEER >> 8;
	udp[3] = PEER & 0xff;
	udp[4] = 1380 >> 8;
	udp[5] = 1380 & 0xff;
	sum = checksum(b, sizeof(b));
	b[2] = (uint8_t)(sum >> 8);
	b[3] = (uint8_t)sum;
	assert_int_equal(sendto(fd, b, sizeof(b), 0, (const struct sockaddr *)&to, sizeof(to)),
			 sizeof(b));
}

/* Anybody can send these: they neither keep us from reading nor from our work. */
static void forged_errors(void **state)
{
	static uint8_t data[200];
	struct udp_run run;
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	(void)state;
	assert_true(raw >= 0);
	fill(data, sizeof(data));
	open_peer(AF_INET);
	open_sockets(true);
	run = run_of(data, sizeof(data), sizeof(data));
	run.df = true; /* who lets the network fragment is told of nothing */
	udp_send_runs(u, &run, 1);
	assert_int_equal(run.error, 0);
	for (unsigned i = 0; i < 300; i++)
		forge_too_big(raw);
	peer_send(data, sizeof(data), 0, 0);
	ev_run(loop, EVRUN_NOWAIT); /* once: behind ten times as many errors as are taken */
	assert_true(n_heard > 0);
	assert_int_equal(heard[0].what, HEARD_ESP);
	for (unsigned i = 0; i < 100; i++)
		ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(udp_counters(u)->too_big, 300);
	assert_in_range(n_too_big, 1, 200); /* a hundred a second */
	close(raw);
	close_all();
}

static void no_socket_for_it(void **state)
{
	static uint8_t data[100];
	struct endpoint other = {.port = 1};
	struct udp_run runs[2];

	(void)state;
	open_peer(AF_INET);
	open_sockets(true);
	fill(data, sizeof(data));
	other.addr = own.addr;
	runs[0] = runs[1] = run_of(data, 100, 100);
	runs[0].from = &other;
	udp_send_runs(u, runs, 2);
	assert_int_equal(runs[0].error, EAFNOSUPPORT);
	assert_int_equal(runs[1].error, 0);
	expect_at_peer(data, 100, 100, 0);
	assert_int_equal(udp_counters(u)->send_failed, 1);
	close_all();
}

/* Of a former process, with this plane or with the kernel's: the options are what they are to be.
 */
static void kept_sockets(void **state)
{
	static uint8_t data[6 * 100];
	char first[64];

	(void)state;
	fill(data, sizeof(data));
	open_peer(AF_INET);
	open_sockets(true);
	snprintf(first, sizeof(first), "%s", udp_offloads(u));
	udp_each_socket(u, keep, NULL);
	udp_close(u);
	open_sockets(false);
	assert_string_equal(udp_offloads(u), "");
	peer_send(data, 300, 100, 0);
	assert_int_equal(hear_all(3), 3); /* never merged: the kernel would take it for one */
	udp_each_socket(u, keep, NULL);
	udp_close(u);
	n_heard = 0;
	open_sockets(true);
	assert_string_equal(udp_offloads(u), first);
	peer_send(data, 300, 100, 2);
	hear_all(1);
	assert_int_equal(heard[0].tos, 2);
	assert_true(!strstr(first, "UDP_GRO") || heard[0].len == 300);
	close_all();
}

/* IP protocol 50, between two raw sockets. A run goes packet by packet, and has the header that it
 * was to have; what comes has endpoints without ports. */
static void bare(uint8_t family)
{
	static uint8_t data[40 * 100];
	static const size_t sizes[] = {4000, 100, 100, 4};
	struct udp_run runs[4];
	uint32_t n = 0;

	open_peer(family);
	own.port = peer.port = 0;
	fill(data, sizeof(data));
	open_sockets(true);
	if (family == AF_INET6)
		own = peer; /* it has one address */
	for (unsigned i = 0; i < 4; i++) {
		runs[i] = run_of(data, i == 1 ? 4000 - 17 : sizes[i], sizes[i]);
		runs[i].from = &peer;
		runs[i].to = &own;
		runs[i].tos = (uint8_t)(i * 37);
		runs[i].df = i & 1;
		n += i == 1 ? 40 : 1;
	}
	udp_send_runs(u, runs, 4);
	assert_int_equal(hear_all(n), n);
	for (unsigned i = 0, at = 0; i < 4; i++) {
		assert_int_equal(runs[i].error, 0);
		for (unsigned k = 0; k < (i == 1 ? 40u : 1u); k++, at++) {
			while (heard[at].what == HEARD_END)
				at++;
			assert_int_equal(heard[at].what, HEARD_ESP);
			assert_int_equal(heard[at].tos, runs[i].tos);
			assert_int_equal(heard[at].size, heard[at].len);
			assert_int_equal(heard[at].len, i == 1 && k == 39 ? 83 : sizes[i]);
			assert_int_equal(heard[at].first, data[k * 100]);
		}
	}
	assert_int_equal(udp_counters(u)->sent, n);
	/* IKE has no such way. */
	assert_false(udp_send_ike(u, &peer, &own, span_of(data, 40)));
	close_all();
}

static void bare_packets(void **state)
{
	(void)state;
	bare(AF_INET);
	bare(AF_INET6);
}

/* Nor for a plane of the kernel's. */
static void no_bare_socket(void **state)
{
	static uint8_t data[100];
	struct udp_run run;

	(void)state;
	open_peer(AF_INET);
	own.port = 0;
	open_sockets(false);
	run = run_of(data, 100, 100);
	udp_send_runs(u, &run, 1);
	assert_int_equal(run.error, EAFNOSUPPORT);
	close_all();
}

/* ---- at the start ---- */

static void a_port_that_is_taken(void **state)
{
	const struct udp_host host = {.ike = on_ike, .kept = give_kept, .log = log_default()};
	const struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(500)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char why[128] = "";

	(void)state;
	assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
	assert_null(udp_open(loop, &host, why, sizeof(why)));
	assert_int_equal(errno, EADDRINUSE); /* plane waits a while for such a one */
	assert_string_equal(why, "UDP port 500 (IPv4): Address already in use; is another IKE "
				 "daemon running? `ss -lnup` tells; stop it first");
	close(fd);
}

/* ---- with a worker ---- */

static bool hears_errors(int fd, uint8_t family)
{
	bool v6 = family == AF_INET6;
	socklen_t len = sizeof(int);
	int on = -1;

	assert_int_equal(getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
				    v6 ? IPV6_RECVERR : IP_RECVERR, &on, &len),
			 0);
	return on;
}

/* ctx: the one that was opened first. */
static void look_at_socket(void *ctx, int fd, uint8_t family, uint16_t port)
{
	if (port != 500)
		assert_int_equal(hears_errors(fd, family), port == NATT || ctx == u);
	n_kept++;
}

/* Each raw socket has a copy of an ICMP error: one of them is enough. */
static void errors_come_once(void **state)
{
	const struct udp_host host = {.ike = on_ike,
				      .esp = on_esp,
				      .esp_end = on_end,
				      .log = log_default(),
				      .esp_here = true};
	struct worker *worker = worker_start();
	int spare[UDP_SPARE];
	struct udp *joined;
	char why[128] = "";

	(void)state;
	assert_non_null(worker);
	open_peer(AF_INET);
	open_sockets(true);
	udp_spare(spare);
	joined = udp_join(u, worker, &host, spare, why, sizeof(why));
	assert_string_equal(why, "");
	udp_each_socket(u, look_at_socket, u);
	assert_int_equal(n_kept, 6);
	udp_each_socket(joined, look_at_socket, joined);
	assert_int_equal(n_kept, 10);
	n_kept = 0;
	close_all();
	worker_stop(worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_cut),
		cmocka_unit_test(runs_of_all_kinds),
		cmocka_unit_test(merged_datagrams),
		cmocka_unit_test(a_wakeup_has_one_end),
		cmocka_unit_test(lengths_around_a_small_buffer),
		cmocka_unit_test(keepalives_and_runts),
		cmocka_unit_test(refused_segments_go_singly),
		cmocka_unit_test(segments_too_big),
		cmocka_unit_test(runs_have_df),
		cmocka_unit_test(one_too_big),
		cmocka_unit_test(errors_of_others),
		cmocka_unit_test(forged_errors),
		cmocka_unit_test(no_socket_for_it),
		cmocka_unit_test(kept_sockets),
		cmocka_unit_test(bare_packets),
		cmocka_unit_test(no_bare_socket),
		cmocka_unit_test(a_port_that_is_taken),
		cmocka_unit_test(errors_come_once),
	};
	int failed;

	kernel_namespace("test_udp");
	kernel_ipv6(true);
	loop = ev_loop_new(0);
	failed = cmocka_run_group_tests_name("udp", tests, NULL, NULL);
	ev_loop_destroy(loop);
	return failed;
}
