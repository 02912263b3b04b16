/* A packet socket in one site's namespace and a set of what has left each device. */
#include "labs/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERVAL_MS    20 /* packets wait in the socket meanwhile: nobody is woken for each */
#define BUFFER	       (8 << 20) /* of the socket, in bytes */
#define SET_START      (1u << 16)
#define DEVICES_MAX    4096 /* interface indexes */
#define UDP_HEADER_LEN 8

/* ---- the set: 64-bit keys, none of them 0 ---- */

struct set {
	uint64_t *slots;
	size_t size, used; /* size: a power of two */
};

static void set_make(struct set *s, size_t size)
{
	*s = (struct set){.slots = calloc(size, sizeof(*s->slots)), .size = size};
	if (!s->slots) {
		fprintf(stderr, "lab-probe: out of memory\n");
		exit(1);
	}
}

/* true: it was in already. */
static bool set_put(struct set *s, uint64_t key)
{
	size_t at = (size_t)((key * 0x9e3779b97f4a7c15ULL) >> 32) & (s->size - 1);

	while (s->slots[at] && s->slots[at] != key)
		at = (at + 1) & (s->size - 1);
	if (s->slots[at])
		return true;
	s->slots[at] = key;
	s->used++;
	return false;
}

static void set_grow(struct set *s)
{
	struct set larger;

	set_make(&larger, s->size * 2);
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i])
			set_put(&larger, s->slots[i]);
	free(s->slots);
	*s = larger;
}

/* ---- packets ---- */

struct watch {
	int fd;
	uint16_t port;
	const char *prefix;
	signed char device[DEVICES_MAX]; /* 1: a tunnel, -1: none, 0: not looked at */
	struct set seen;
	unsigned passed, repeats;
};

/* Outgoing IPv4 UDP from or to the port; of a thousand ESP packets none comes here. */
static void attach_filter(int fd, uint16_t port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 10),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 8),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 128),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0) {
		perror("lab-probe: filter");
		exit(1);
	}
}

static bool is_tunnel(struct watch *w, int ifindex)
{
	char name[IF_NAMESIZE];

	if (ifindex <= 0 || ifindex >= DEVICES_MAX)
		return false;
	if (!w->device[ifindex])
		w->device[ifindex] =
			if_indextoname((unsigned)ifindex, name) &&
					strncmp(name, w->prefix, strlen(w->prefix)) == 0
				? 1
				: -1;
	return w->device[ifindex] > 0;
}

static void take_packet(struct watch *w, const uint8_t *data, size_t n, int ifindex)
{
	size_t header = n ? (size_t)(data[0] & 15) * 4 : 0;
	struct message m;
	uint64_t key;
	bool answer;

	if (n < header + UDP_HEADER_LEN + sizeof(m) || !is_tunnel(w, ifindex))
		return;
	memcpy(&m, data + header + UDP_HEADER_LEN, sizeof(m));
	if (m.run == 0)
		return;
	answer = data[header] << 8 == (w->port & 0xff00) && data[header + 1] == (w->port & 0xff);
	/* 24 bits of the sequence, 1 of the direction, 12 of the device, 27 of the run */
	key = (uint64_t)(m.sequence & 0xffffff) | (uint64_t)answer << 24 | (uint64_t)ifindex << 25 |
	      (uint64_t)m.run << 37;
	w->passed++;
	w->repeats += set_put(&w->seen, key ? key : 1);
	if (w->seen.used * 2 > w->seen.size)
		set_grow(&w->seen);
}

static void take_packets(struct watch *w)
{
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	uint8_t data[256];
	ssize_t n;

	while ((n = recvfrom(w->fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &len)) >= 0) {
		take_packet(w, data, (size_t)n, from.sll_ifindex);
		len = sizeof(from);
	}
}

static void tell(struct watch *w)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	getsockopt(w->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len); /* and resets them */
	printf("{\"passed\": %u, \"repeats\": %u, \"missed\": %u}\n", w->passed, w->repeats,
	       stats.tp_drops);
	fflush(stdout);
	w->passed = w->repeats = 0;
	free(w->seen.slots);
	set_make(&w->seen, SET_START);
	memset(w->device, 0, sizeof(w->device)); /* devices may have been made anew */
}

int run_watch(uint16_t port, const char *prefix)
{
	static struct watch w;
	struct sockaddr_ll any = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct pollfd input = {.fd = 0, .events = POLLIN};
	int size = BUFFER;
	char line[64];

	w.port = port;
	w.prefix = prefix;
	set_make(&w.seen, SET_START);
	w.fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* no protocol: nothing yet */
	if (w.fd < 0) {
		perror("lab-probe: packet socket");
		return 1;
	}
	setsockopt(w.fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	attach_filter(w.fd, port);
	if (bind(w.fd, (const struct sockaddr *)&any, sizeof(any)) < 0) {
		perror("lab-probe: bind");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(&input, 1, INTERVAL_MS) < 0 && errno != EINTR)
			return 1;
		take_packets(&w);
		if (!input.revents)
			continue;
		if (read(0, line, sizeof(line)) <= 0)
			return 0;
		tell(&w);
	}
}
