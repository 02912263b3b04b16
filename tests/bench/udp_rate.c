/* Datagrams at a rate, for the bench. IPv4; knows nothing of tunnels.
 *
 *	udp_rate send ADDRESS PORT SIZE RATE SECONDS
 *
 * Paced, in small bursts; RATE 0: as fast as it goes. Prints how many.
 *
 *	udp_rate count PORT
 *
 * Prints "ready", counts until standard input ends and then nothing has come for a while, and
 * prints how many. Both also print the seconds from first to last: a rate that only a queue
 * behind it could take shows in the counter's. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define BURST	     64
#define TICK_NS	     200000
#define DATAGRAM_MAX 2048
#define QUIET_MS     60
#define QUEUE	     (8 << 20) /* bytes of a socket's queue: the counter must not be what loses */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "udp_rate: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = QUEUE;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		fail("socket");
	return fd;
}

static void fill(struct mmsghdr *messages, struct iovec *iov, uint8_t data[][DATAGRAM_MAX],
		 size_t size)
{
	for (unsigned i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){data[i], size};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
}

/* What is due at a tick goes at once; one that comes late makes good for it. Rate 0: each
 * burst right behind the one before. */
static void run_send(const struct sockaddr_in *to, size_t size, double rate, double seconds)
{
	static uint8_t data[BURST][DATAGRAM_MAX];
	const struct timespec tick = {.tv_nsec = TICK_NS};
	struct mmsghdr messages[BURST];
	struct iovec iov[BURST];
	uint64_t sent = 0, total = rate > 0 ? (uint64_t)(rate * seconds) : UINT64_MAX, due;
	int fd = open_socket();
	double start, passed;

	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		fail("connect");
	fill(messages, iov, data, size);
	prctl(PR_SET_TIMERSLACK, 1UL);
	start = now();
	while (sent < total) {
		passed = now() - start;
		if (rate <= 0 && passed >= seconds)
			break;
		due = rate > 0 ? (uint64_t)(rate * passed) : sent + BURST;
		if (due > total)
			due = total;
		while (sent < due) {
			unsigned n = due - sent < BURST ? (unsigned)(due - sent) : BURST;
			int done = sendmmsg(fd, messages, n, 0);

			if (done < 0 && errno != ENOBUFS)
				fail("send");
			sent += done < 0 ? n : (unsigned)done; /* what found no room is lost */
		}
		if (rate > 0)
			nanosleep(&tick, NULL);
	}
	printf("%llu %.6f\n", (unsigned long long)sent, now() - start);
}

static void run_count(uint16_t port)
{
	static uint8_t data[BURST][DATAGRAM_MAX];
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct mmsghdr messages[BURST];
	struct iovec iov[BURST];
	struct pollfd fds[2] = {{.fd = open_socket(), .events = POLLIN}, {.events = POLLIN}};
	double first = 0, last = 0;
	uint64_t count = 0;

	if (bind(fds[0].fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		fail("bind");
	puts("ready");
	fflush(stdout);
	fill(messages, iov, data, DATAGRAM_MAX);
	for (;;) {
		int n = poll(fds, 2, fds[1].fd < 0 ? QUIET_MS : -1);

		if (n == 0)
			break;
		if (fds[1].revents)
			fds[1].fd = -1; /* told to end: as soon as it is quiet */
		n = recvmmsg(fds[0].fd, messages, BURST, MSG_DONTWAIT, NULL);
		if (n <= 0)
			continue;
		last = now();
		if (count == 0)
			first = last;
		count += (uint64_t)n;
	}
	printf("%llu %.6f\n", (unsigned long long)count, last - first);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	size_t size = argc == 7 ? strtoul(argv[4], NULL, 10) : 0;

	if (argc == 3 && strcmp(argv[1], "count") == 0) {
		run_count((uint16_t)strtoul(argv[2], NULL, 10));
		return 0;
	}
	if (argc != 7 || strcmp(argv[1], "send") != 0 || size == 0 || size > DATAGRAM_MAX ||
	    inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: udp_rate send ADDRESS PORT SIZE RATE SECONDS\n"
				"       udp_rate count PORT\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	run_send(&to, size, strtod(argv[5], NULL), strtod(argv[6], NULL));
	return 0;
}
