/* lab-probe: what a lab measures with, as hosts behind the routers would see it.
 *
 *	lab-probe echo ADDRESS PORT	answers every datagram with itself
 *	lab-probe send ADDRESS PORT RATE	sends RATE numbered datagrams a second, prints
 *		"ready" at the first answer or after a second without one, and goes on until its
 *		standard input ends; then waits for the last answers and prints, as JSON, how many
 *		got none (by sequence number), the longest time without an answer, and the
 *		longest time in which whatever was sent got lost
 *	lab-probe trace ADDRESS PORT	prints the addresses that answer for TTL 1, 2, ... up
 *		to the destination, '*' for none
 *
 *	lab-probe flood ADDRESS PORT	one TCP stream, as fast as it goes, until its standard
 *		input ends; with the routers' priority. Prints how many bytes it was
 *	lab-probe sink ADDRESS PORT	takes one such stream
 *	lab-probe watch PORT PREFIX	counts datagrams that leave a device named PREFIX...
 *		twice (labs/watch.h)
 *
 * Times are CLOCK_MONOTONIC. IPv4. Knows nothing of Detour. The hosts stand for machines
 * of their own: where it may, it runs before the routers that share this one. */
#include "labs/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S	 1000000000LL
#define NS_PER_MS	 1000000LL
#define BEHIND_MAX	 (20 * NS_PER_MS) /* the machine stalled: leave slots out, send no burst */
#define LAST_ANSWER_WAIT (1 * NS_PER_S)
#define READY_WAIT	 (1 * NS_PER_S)
#define SEQUENCE_MAX	 (1u << 24)
#define TTL_MAX		 16
#define TRACE_TRIES	 3
#define PRIORITY	 10 /* real time; no more than the kernel's own threads have */
#define TRACE_WAIT	 (300 * NS_PER_MS)

static int64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void take_precedence(void)
{
	struct sched_param p = {.sched_priority = PRIORITY};

	/* Without it gaps are larger, which is no error. A single processor would have no time left
	 * for the routers: what is sent is forwarded in the sender's own time. */
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		(void)sched_setscheduler(0, SCHED_FIFO, &p);
}

static void fail(const char *what)
{
	fprintf(stderr, "lab-probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool parse_endpoint(const char *address, const char *port, struct sockaddr_in *out)
{
	char *end;
	unsigned long n = strtoul(port, &end, 10);

	*out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)n)};
	return inet_pton(AF_INET, address, &out->sin_addr) == 1 && *port && !*end && n <= 65535;
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 1 << 20;

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

static void wait_ns(struct pollfd *fds, nfds_t n, int64_t ns)
{
	struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	if (ns > 0 && ppoll(fds, n, &t, NULL) < 0 && errno != EINTR)
		fail("poll");
}

/* ---- echo ---- */

static void run_echo(const struct sockaddr_in *local)
{
	uint8_t data[2048];
	struct sockaddr_in peer;
	socklen_t len;
	int fd = open_socket();

	if (bind(fd, (const struct sockaddr *)local, sizeof(*local)) < 0)
		fail("bind");
	puts("ready");
	fflush(stdout);
	for (;;) { /* until it is killed */
		ssize_t n;

		len = sizeof(peer);
		n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &len);
		if (n >= 0)
			(void)!sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
}

/* ---- send ---- */

struct run {
	int fd;
	uint32_t id, sent, answered, duplicates;
	uint8_t *seen;		  /* one byte a sequence number */
	int64_t *sent_at;	  /* one a sequence number */
	int64_t last_answer, gap; /* ns; before the first answer: since the start */
	int64_t started, gap_at;  /* when the longest gap began */
};

static void note_gap(struct run *r, int64_t at)
{
	if (at - r->last_answer > r->gap) {
		r->gap = at - r->last_answer;
		r->gap_at = r->last_answer;
	}
	r->last_answer = at;
}

static void take_answers(struct run *r)
{
	struct message m;

	while (recv(r->fd, &m, sizeof(m), MSG_DONTWAIT) == sizeof(m)) {
		if (m.run != r->id || m.sequence >= r->sent)
			continue;
		if (r->seen[m.sequence]++) {
			r->duplicates++;
			continue;
		}
		r->answered++;
		note_gap(r, now());
	}
}

static void send_next(struct run *r)
{
	struct message m = {.sequence = r->sent, .run = r->id};

	/* A datagram that the kernel refuses (no route, just now) is a lost one. */
	r->sent_at[r->sent++] = now();
	(void)!send(r->fd, &m, sizeof(m), MSG_DONTWAIT);
}

static void send_until_told(struct run *r, int64_t period)
{
	struct pollfd fds[2] = {{.fd = r->fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	int64_t next = r->started;
	char ignored[64];
	bool told = false;

	while (r->sent < SEQUENCE_MAX) {
		int64_t t = now();

		if (t >= next) {
			send_next(r);
			next = t - next > BEHIND_MAX ? t + period : next + period;
		}
		fds[1].revents = 0;
		wait_ns(fds, 2, next - now());
		take_answers(r);
		if (!told && (r->answered || now() > r->started + READY_WAIT)) {
			told = puts("ready") >= 0 && fflush(stdout) == 0;
			if (!told)
				return;
		}
		if (fds[1].revents && read(0, ignored, sizeof(ignored)) <= 0)
			return;
	}
}

/* Losses in a row, from the first one's sending to that of the next that was answered:
 * how long packets vanished, whatever the scheduler did to the answers. */
static int64_t longest_loss(const struct run *r, int64_t end, int64_t *at)
{
	int64_t longest = 0, first = 0;

	*at = r->started;
	for (uint32_t i = 0; i <= r->sent; i++) {
		bool lost = i < r->sent && !r->seen[i];
		int64_t t = i < r->sent ? r->sent_at[i] : end;

		if (lost && !first)
			first = t;
		if (lost || !first)
			continue;
		if (t - first > longest) {
			longest = t - first;
			*at = first;
		}
		first = 0;
	}
	return longest;
}

static void print_run(const struct run *r, int64_t end, int64_t wall_clock)
{
	int64_t loss_at, loss = longest_loss(r, end, &loss_at);

	printf("{\"sent\": %u, \"lost\": %u, \"duplicates\": %u, \"gap_ms\": %.1f, "
	       "\"gap_at_ms\": %.1f, \"blackhole_ms\": %.1f, \"blackhole_at_ms\": %.1f, "
	       "\"started\": %.4f}\n",
	       r->sent, r->sent - r->answered, r->duplicates, (double)r->gap / NS_PER_MS,
	       (double)(r->gap_at - r->started) / NS_PER_MS, (double)loss / NS_PER_MS,
	       (double)(loss_at - r->started) / NS_PER_MS, (double)wall_clock / NS_PER_S);
}

static int run_send(const struct sockaddr_in *peer, unsigned rate)
{
	struct run r = {.fd = open_socket(), .id = (uint32_t)now() | 1};
	struct pollfd fd = {.fd = r.fd, .events = POLLIN};
	int64_t end, wall_clock = read_clock(CLOCK_REALTIME);

	r.started = now();
	/* Pages that are not used cost nothing. */
	r.seen = calloc(SEQUENCE_MAX, sizeof(*r.seen));
	r.sent_at = calloc(SEQUENCE_MAX, sizeof(*r.sent_at));
	if (!r.seen || !r.sent_at ||
	    connect(r.fd, (const struct sockaddr *)peer, sizeof(*peer)) < 0)
		fail("connect");
	r.last_answer = r.started;
	send_until_told(&r, NS_PER_S / rate);
	end = now();
	while (r.answered < r.sent && now() < end + LAST_ANSWER_WAIT) {
		wait_ns(&fd, 1, end + LAST_ANSWER_WAIT - now());
		take_answers(&r);
	}
	if (r.answered < r.sent && r.last_answer < end)
		note_gap(&r, end);
	print_run(&r, end, wall_clock);
	free(r.seen);
	free(r.sent_at);
	return 0;
}

/* ---- load ---- */

static int open_stream(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

static int run_flood(const struct sockaddr_in *peer)
{
	static const uint8_t data[1 << 16];
	struct pollfd fds[2] = {{.events = POLLOUT}, {.fd = 0, .events = POLLIN}};
	uint64_t sent = 0;
	char ignored[64];

	fds[0].fd = open_stream();
	if (connect(fds[0].fd, (const struct sockaddr *)peer, sizeof(*peer)) < 0)
		fail("connect");
	puts("ready");
	fflush(stdout);
	while (poll(fds, 2, -1) > 0) {
		ssize_t n = 0;

		if (fds[1].revents && read(0, ignored, sizeof(ignored)) <= 0)
			break;
		if (fds[0].revents)
			n = send(fds[0].fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			fail("send");
		sent += n > 0 ? (uint64_t)n : 0;
	}
	printf("{\"sent\": %llu}\n", (unsigned long long)sent);
	return 0;
}

static int run_sink(const struct sockaddr_in *local)
{
	static uint8_t ignored[1 << 18];
	struct pollfd fds[2] = {{.events = POLLIN}, {.fd = 0, .events = POLLIN}};
	int listener = open_stream();

	if (bind(listener, (const struct sockaddr *)local, sizeof(*local)) < 0 ||
	    listen(listener, 1) < 0)
		fail("listen");
	puts("ready");
	fflush(stdout);
	fds[0].fd = accept(listener, NULL, NULL);
	while (fds[0].fd >= 0 && poll(fds, 2, -1) > 0) {
		if (fds[1].revents && read(0, ignored, sizeof(ignored)) <= 0)
			break;
		if (fds[0].revents && read(fds[0].fd, ignored, sizeof(ignored)) <= 0)
			break;
	}
	return 0;
}

/* ---- trace ---- */

/* The address of the ICMP error in the socket's error queue; false if there is none. */
static bool take_error(int fd, struct in_addr *from)
{
	_Alignas(struct cmsghdr) char control[512];
	char data[64];
	struct iovec iov = {data, sizeof(data)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};

	if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		const struct sock_extended_err *e = (const void *)CMSG_DATA(c);

		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR ||
		    e->ee_origin != SO_EE_ORIGIN_ICMP)
			continue;
		*from = ((const struct sockaddr_in *)SO_EE_OFFENDER(e))->sin_addr;
		return true;
	}
	return false;
}

enum answer { ANSWER_NONE, ANSWER_ROUTER, ANSWER_DESTINATION };

/* One datagram with this TTL, from a socket of its own so that nothing is mixed up. */
static enum answer ask(const struct sockaddr_in *peer, int ttl, struct in_addr *from)
{
	int fd = open_socket(), on = 1;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	enum answer answer = ANSWER_NONE;
	struct message m = {0};
	int64_t end = now() + TRACE_WAIT;

	setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	(void)!sendto(fd, &m, sizeof(m), 0, (const struct sockaddr *)peer, sizeof(*peer));
	while (answer == ANSWER_NONE && now() < end) {
		wait_ns(&p, 1, end - now());
		if (take_error(fd, from))
			answer = ANSWER_ROUTER;
		else if (recv(fd, &m, sizeof(m), MSG_DONTWAIT) >= 0)
			answer = ANSWER_DESTINATION;
	}
	close(fd);
	return answer;
}

static int run_trace(const struct sockaddr_in *peer)
{
	char text[INET_ADDRSTRLEN];
	enum answer answer = ANSWER_NONE;
	struct in_addr from;

	for (int ttl = 1; ttl <= TTL_MAX && answer != ANSWER_DESTINATION; ttl++) {
		answer = ANSWER_NONE;
		for (int i = 0; i < TRACE_TRIES && answer == ANSWER_NONE; i++)
			answer = ask(peer, ttl, &from);
		if (answer == ANSWER_NONE) {
			puts("*"); /* what is behind a silent hop isn't worth waiting for */
			return 1;
		}
		if (answer == ANSWER_DESTINATION || from.s_addr == peer->sin_addr.s_addr)
			answer = ANSWER_DESTINATION;
		if (answer == ANSWER_DESTINATION)
			from = peer->sin_addr;
		puts(inet_ntop(AF_INET, &from, text, sizeof(text)));
	}
	return answer == ANSWER_DESTINATION ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in endpoint;
	unsigned long rate = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;

	if (argc == 4 && strcmp(argv[1], "watch") == 0 &&
	    parse_endpoint("0.0.0.0", argv[2], &endpoint))
		return run_watch(ntohs(endpoint.sin_port), argv[3]);
	if (argc == 4 && parse_endpoint(argv[2], argv[3], &endpoint)) {
		if (strcmp(argv[1], "flood") == 0)
			return run_flood(&endpoint);
		if (strcmp(argv[1], "sink") == 0)
			return run_sink(&endpoint);
	}
	take_precedence();
	if (argc >= 4 && parse_endpoint(argv[2], argv[3], &endpoint)) {
		if (argc == 4 && strcmp(argv[1], "echo") == 0)
			run_echo(&endpoint);
		if (argc == 4 && strcmp(argv[1], "trace") == 0)
			return run_trace(&endpoint);
		if (strcmp(argv[1], "send") == 0 && rate >= 1 && rate <= 100000)
			return run_send(&endpoint, (unsigned)rate);
	}
	fprintf(stderr, "usage: lab-probe echo|trace|flood|sink ADDRESS PORT\n"
			"       lab-probe send ADDRESS PORT RATE\n"
			"       lab-probe watch PORT PREFIX\n");
	return 2;
}
