/* Raw ICMP sockets. The kernel's own filters leave the unreachable messages; what they quote is
 * icmp_message.c's. */
#include "ipsecd/net/icmp.h"
#include "lib/mono.h"

#include <errno.h>
#include <ev.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH	   32	/* messages of one wakeup */
#define PER_SECOND 1000 /* a flood must not take the time of others */
#define QUEUE_MOST 4096 /* more than a socket's queue has room for */
#define PACKET	   1280 /* RFC 4443 2.4 c; RFC 1812 4.3.2.3 has 576 */

struct icmp {
	struct ev_loop *loop;
	struct icmp_host host;
	struct icmp_counters counters;
	struct log_limit rate;
	ev_io v4, v6;
	int fd4, fd6;
};

static void take(struct icmp *i, uint8_t family, struct span packet)
{
	struct icmp_quote quote;
	enum icmp_fault f;
	size_t offset;

	i->counters.received++;
	f = icmp_parse(family, packet, &quote, &offset);
	if (f == ICMP_OK) {
		i->host.unreachable(i->host.ctx, &quote);
		return;
	}
	i->counters.refused++;
	log_to(i->host.log, LOG_LEVEL_DEBUG, "net", "",
	       "ICMP unreachable of %zu bytes: %s at byte %zu", packet.len, icmp_strerror(f),
	       offset);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct icmp *i = w->data;
	uint8_t packet[PACKET];

	(void)loop;
	(void)revents;
	for (unsigned n = 0; n < BATCH; n++) {
		ssize_t len = recv(w->fd, packet, sizeof(packet), MSG_DONTWAIT);

		if (len < 0)
			break;
		if (log_limit_pass(&i->rate, mono_now()))
			take(i, w == &i->v4 ? AF_INET : AF_INET6, span_of(packet, (size_t)len));
	}
}

static bool filter(int fd, int family)
{
	struct icmp_filter v4 = {.data = ~(1U << ICMP_DEST_UNREACH)};
	struct icmp6_filter v6;

	if (family == AF_INET)
		return setsockopt(fd, SOL_RAW, ICMP_FILTER, &v4, sizeof(v4)) == 0;
	ICMP6_FILTER_SETBLOCKALL(&v6);
	ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &v6);
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6, sizeof(v6)) == 0;
}

static bool open_one(struct icmp *i, int family, int *out, ev_io *w)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	int error;

	*out = -1;
	if (fd < 0)
		return errno == EAFNOSUPPORT;
	if (!filter(fd, family)) {
		error = errno;
		close(fd);
		errno = error;
		return false;
	}
	*out = fd;
	ev_io_init(w, on_readable, fd, EV_READ);
	w->data = i;
	return true;
}

struct icmp *icmp_open(struct ev_loop *loop, const struct icmp_host *host)
{
	struct icmp *i = calloc(1, sizeof(*i));
	int error;

	if (!i)
		return NULL;
	i->loop = loop;
	i->host = *host;
	i->rate.burst = PER_SECOND;
	i->fd4 = i->fd6 = -1;
	if (open_one(i, AF_INET, &i->fd4, &i->v4) && open_one(i, AF_INET6, &i->fd6, &i->v6))
		return i;
	error = errno;
	icmp_close(i);
	errno = error;
	return NULL;
}

static void drain(int fd)
{
	uint8_t packet[PACKET];

	for (unsigned n = 0; n < QUEUE_MOST && recv(fd, packet, sizeof(packet), MSG_DONTWAIT) >= 0;)
		n++;
}

static void listen_one(struct icmp *i, int fd, ev_io *w, bool on)
{
	if (fd < 0 || on == (bool)ev_is_active(w))
		return;
	if (!on) {
		ev_io_stop(i->loop, w);
		return;
	}
	drain(fd);
	ev_io_start(i->loop, w);
}

void icmp_listen(struct icmp *i, bool on)
{
	if (!i)
		return;
	listen_one(i, i->fd4, &i->v4, on);
	listen_one(i, i->fd6, &i->v6, on);
}

static void close_one(struct icmp *i, int fd, ev_io *w)
{
	if (fd < 0)
		return;
	ev_io_stop(i->loop, w);
	close(fd);
}

void icmp_close(struct icmp *i)
{
	if (!i)
		return;
	close_one(i, i->fd4, &i->v4);
	close_one(i, i->fd6, &i->v6);
	free(i);
}

const struct icmp_counters *icmp_counters(const struct icmp *i)
{
	return &i->counters;
}
