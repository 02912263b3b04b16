/* Raw sockets of bare ESP (IP protocol 50, RFC 4303): what they lack of a UDP socket (ports, one
 * more header, runs that the kernel cuts and merges), the rest of net/udp does without. */
#include "ipsecd/net/udp_parts.h"

#include <errno.h>
#include <unistd.h>

#define IPV4_HEADER 20
/* The kernel counts twice this, and a packet of 1500 bytes as 2300: some 900 packets, what a Gbit/s
 * brings while this process waits 10 ms for a core. They come one by one, so that it is behind
 * sooner than with UDP, and what waits here is latency. */
#define QUEUE_BARE (1 << 20)

static const int families[] = {AF_INET, AF_INET6};

void udp_bare_options(struct udp_socket *s)
{
	udp_socket_queues(s->fd, QUEUE_BARE);
	udp_socket_headers(s, true);
}

static int open_one(const struct udp *u, int family)
{
	int fd = u->host.kept ? u->host.kept(u->host.ctx, (uint8_t)family, 0) : -1, error;

	if (fd < 0)
		fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ESP);
	if (fd < 0 || udp_socket_family(fd, family))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

void udp_bare_open(struct udp *u)
{
	for (size_t f = 0; f < 2; f++) {
		int fd = open_one(u, families[f]);

		if (fd >= 0)
			udp_socket_add(u, fd, families[f], 0);
		else if (errno != EAFNOSUPPORT)
			log_to(u->host.log, LOG_LEVEL_WARN, "net", "",
			       "raw socket for ESP (%s): %s%s; ESP passes in UDP alone, which "
			       "encapsulation=no does not give without a NAT",
			       families[f] == AF_INET ? "IPv4" : "IPv6", strerror(errno),
			       errno == EPERM ? " (CAP_NET_RAW is missing)" : "");
	}
}

/* Only those of IPv4 show the IP header, which the kernel has checked. */
uint8_t *udp_bare_packet(int family, uint8_t *data, size_t *len)
{
	size_t head = 0;

	if (family == AF_INET) {
		head = *len < IPV4_HEADER ? IPV4_HEADER : (size_t)(data[0] & 15) * 4;
		if (head < IPV4_HEADER || head > *len)
			return NULL;
	}
	if (*len == head)
		return NULL;
	*len -= head;
	return data + head;
}
