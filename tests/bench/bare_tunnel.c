/* What a tunnel costs at the least: TUN, UDP and AES-128-GCM, and nothing else. It is the
 * yardstick of `make bench`, never a VPN: the key stands below, nobody is authenticated, there
 * is no replay window. IPv4. One thread outward, one inward.
 *
 *	bare_tunnel DEVICE LOCAL REMOTE PORT one|offload
 *
 * one: one packet a system call. offload: TUN with vnet header and TSO, UDP_SEGMENT, UDP_GRO.
 * A datagram is one inner packet: 8 bytes that are only authenticated, 8 of IV, the packet,
 * 16 of ICV, as ESP with AES-GCM has them. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD	   16
#define ICV	   16
#define SUPER_MAX  65536
#define RUN_BYTES  65000 /* what one sendmsg may hold: below the longest UDP datagram */
#define RUN_MAX	   64	 /* datagrams of one sendmsg: the kernel's UDP_MAX_SEGMENTS */
#define PACKET_MAX 2048
#define QUEUE	   (8 << 20) /* bytes of a socket's queue */
#define VNET	   sizeof(struct virtio_net_hdr)
#define FLAGS	   13 /* of the TCP header, with their names of netinet/tcp.h and CWR */
#define CWR	   0x80

static int tun, sock;

static void die(const char *what)
{
	fprintf(stderr, "bare_tunnel: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Of a datagram or a packet that the kernel could not take: it is lost, as on any network. */
static void complain(const char *what)
{
	if (errno != EAGAIN && errno != ECONNREFUSED && errno != ENOBUFS)
		fprintf(stderr, "bare_tunnel: %s: %s\n", what, strerror(errno));
}

/* ---- sealing ---- */

static EVP_CIPHER_CTX *cipher_new(int encrypt)
{
	static const uint8_t key[16] = {1, 2, 3, 4, 5}, iv[12];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (!c || EVP_CipherInit_ex(c, EVP_aes_128_gcm(), NULL, key, iv, encrypt) != 1)
		die("cipher");
	return c;
}

/* d: HEAD bytes of room, the packet, ICV bytes of room. */
static size_t seal(EVP_CIPHER_CTX *c, uint8_t *d, size_t len)
{
	static uint64_t number; /* of the one thread that seals */
	uint64_t be = htobe64(++number);
	uint8_t nonce[12] = {0}, *icv = d + HEAD + len;
	int n;

	memset(d, 0, 8);
	memcpy(d + 8, &be, 8);
	memcpy(nonce + 4, &be, 8);
	if (EVP_EncryptInit_ex(c, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_EncryptUpdate(c, NULL, &n, d, 8) != 1 ||
	    EVP_EncryptUpdate(c, d + HEAD, &n, d + HEAD, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(c, icv, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, ICV, icv) != 1)
		die("seal");
	return HEAD + len + ICV;
}

/* The packet's length, it is at d + HEAD then; 0: not ours. */
static size_t open_sealed(EVP_CIPHER_CTX *c, uint8_t *d, size_t len)
{
	size_t inner = len - HEAD - ICV;
	uint8_t nonce[12] = {0};
	int n;

	if (len <= HEAD + ICV)
		return 0;
	memcpy(nonce + 4, d + 8, 8);
	if (EVP_DecryptInit_ex(c, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_DecryptUpdate(c, NULL, &n, d, 8) != 1 ||
	    EVP_DecryptUpdate(c, d + HEAD, &n, d + HEAD, (int)inner) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, ICV, d + len - ICV) != 1 ||
	    EVP_DecryptFinal_ex(c, d + len - ICV, &n) != 1)
		return 0;
	return inner;
}

/* ---- one packet a call ---- */

static void *one_out(void *unused)
{
	static uint8_t d[HEAD + PACKET_MAX + ICV];
	EVP_CIPHER_CTX *c = cipher_new(1);

	for (;;) {
		ssize_t n = read(tun, d + HEAD, PACKET_MAX);

		if (n > 0 && send(sock, d, seal(c, d, (size_t)n), 0) < 0)
			complain("send");
	}
	return unused;
}

static void *one_in(void *unused)
{
	static uint8_t d[HEAD + PACKET_MAX + ICV];
	EVP_CIPHER_CTX *c = cipher_new(0);

	for (;;) {
		ssize_t n = recv(sock, d, sizeof(d), 0);
		size_t len = n > 0 ? open_sealed(c, d, (size_t)n) : 0;

		if (len && write(tun, d + HEAD, len) < 0)
			complain("write to the device");
	}
	return unused;
}

/* ---- headers and checksums ---- */

static uint64_t sum(const uint8_t *p, size_t n, uint64_t start)
{
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		start += (word >> 32) + (uint32_t)word;
	}
	if (n) {
		uint64_t rest = 0;

		memcpy(&rest, p, n);
		start += (rest >> 32) + (uint32_t)rest;
	}
	return start;
}

static uint16_t fold(uint64_t s)
{
	while (s >> 16)
		s = (s >> 16) + (s & 0xffff);
	return (uint16_t)s;
}

/* Of addresses, protocol and length (RFC 9293 3.1). */
static uint64_t pseudo(const struct iphdr *ip, size_t tcp_len)
{
	return sum((const uint8_t *)&ip->saddr, 8, 0) + htons(ip->protocol) +
	       htons((uint16_t)tcp_len);
}

static void ip_finish(struct iphdr *ip, size_t len)
{
	ip->tot_len = htons((uint16_t)len);
	ip->check = 0;
	ip->check = (uint16_t)~fold(sum((const uint8_t *)ip, ip->ihl * 4U, 0));
}

/* ---- outward: cut, seal, send runs of datagrams of one size ---- */

struct run {
	EVP_CIPHER_CTX *cipher;
	uint8_t bytes[SUPER_MAX];
	size_t len, size; /* of all, of each but the last */
	unsigned n;
	bool closed; /* the last one is shorter */
};

static void run_send(struct run *r)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control = {0};
	struct iovec iov = {r->bytes, r->len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	uint16_t size = (uint16_t)r->size;

	if (r->n > 1) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(size)),
						  .cmsg_level = IPPROTO_UDP,
						  .cmsg_type = UDP_SEGMENT};
		memcpy(CMSG_DATA(&control.header), &size, sizeof(size));
	}
	if (r->n && sendmsg(sock, &m, 0) < 0)
		complain("sendmsg");
	r->len = r->n = 0;
	r->closed = false;
}

/* A packet in two parts. */
static void run_add(struct run *r, const uint8_t *head, size_t head_len, const uint8_t *body,
		    size_t body_len)
{
	size_t total = HEAD + head_len + body_len + ICV;
	uint8_t *d;

	if (r->n && (r->closed || total > r->size || r->n == RUN_MAX || r->len + total > RUN_BYTES))
		run_send(r);
	d = r->bytes + r->len;
	memcpy(d + HEAD, head, head_len);
	memcpy(d + HEAD + head_len, body, body_len);
	seal(r->cipher, d, head_len + body_len);
	if (r->n++ == 0)
		r->size = total;
	r->closed = total < r->size;
	r->len += total;
}

static void cut(struct run *r, uint8_t *packet, size_t len, size_t size)
{
	struct iphdr *ip = (struct iphdr *)packet;
	size_t ip_len = ip->ihl * 4U, head;
	uint8_t *flags = packet + ip_len + FLAGS, given = *flags;
	struct tcphdr *tcp = (struct tcphdr *)(packet + ip_len);
	uint16_t id = ntohs(ip->id);
	uint32_t seq = ntohl(tcp->seq);

	head = ip_len + tcp->doff * 4U;
	for (size_t at = head; at < len && size > 0; at += size) {
		size_t part = len - at < size ? len - at : size;

		ip->id = htons(id++);
		ip_finish(ip, head + part);
		tcp->seq = htonl(seq);
		*flags = given;
		if (at + part < len)
			*flags &= (uint8_t) ~(TH_FIN | TH_PUSH);
		if (at > head) /* the first segment only has it (RFC 3168 6.1.2) */
			*flags &= (uint8_t)~CWR;
		tcp->check = 0;
		tcp->check = (uint16_t)~fold(
			sum(packet + at, part,
			    sum((uint8_t *)tcp, head - ip_len, pseudo(ip, head - ip_len + part))));
		run_add(r, packet, head, packet + at, part);
		seq += (uint32_t)part;
	}
}

static void *offload_out(void *unused)
{
	static uint8_t in[VNET + SUPER_MAX];
	static struct run run;
	struct virtio_net_hdr vnet;
	uint8_t *packet = in + VNET;

	run.cipher = cipher_new(1);
	for (;;) {
		ssize_t n = read(tun, in, sizeof(in));
		size_t len = n > 0 ? (size_t)n - VNET : 0;

		if (n <= (ssize_t)VNET) { /* no more at the moment: what is gathered goes */
			run_send(&run);
			poll(&(struct pollfd){.fd = tun, .events = POLLIN}, 1, -1);
			continue;
		}
		memcpy(&vnet, in, VNET);
		if ((vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4) {
			cut(&run, packet, len, vnet.gso_size);
			continue;
		}
		if (vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
			uint16_t check = (uint16_t)~fold(
				sum(packet + vnet.csum_start, len - vnet.csum_start, 0));

			memcpy(packet + vnet.csum_start + vnet.csum_offset, &check, sizeof(check));
		}
		run_add(&run, packet, len, packet, 0);
	}
	return unused;
}

/* ---- inward: open, join the segments of a TCP stream, write ---- */

struct joint {
	uint8_t bytes[VNET + SUPER_MAX];
	size_t len, head, size; /* of the packet, its headers, a segment's payload */
	uint32_t next;		/* sequence number that follows */
	unsigned n;
	bool closed;
};

static void joint_write(struct joint *j)
{
	struct virtio_net_hdr vnet = {0};
	uint8_t *packet = j->bytes + VNET;
	struct iphdr *ip = (struct iphdr *)packet;
	struct tcphdr *tcp = (struct tcphdr *)(packet + ip->ihl * 4U);

	if (j->len == 0)
		return;
	if (j->n > 1) {
		ip_finish(ip, j->len);
		tcp->check = fold(pseudo(ip, j->len - ip->ihl * 4U));
		vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					       .hdr_len = (uint16_t)j->head,
					       .gso_size = (uint16_t)j->size,
					       .csum_start = (uint16_t)(ip->ihl * 4U),
					       .csum_offset = offsetof(struct tcphdr, check)};
	}
	memcpy(j->bytes, &vnet, VNET);
	if (write(tun, j->bytes, VNET + j->len) < 0)
		complain("write to the device");
	j->len = j->n = 0;
}

/* The length of the headers of a TCP segment with payload that may be joined; 0: it may not. */
static size_t joinable(const uint8_t *packet, size_t len)
{
	const struct iphdr *ip = (const struct iphdr *)packet;
	size_t ip_len = ip->ihl * 4U, head;
	const struct tcphdr *tcp = (const struct tcphdr *)(packet + ip_len);

	if (len < ip_len + sizeof(*tcp) || ip->version != 4 || ip_len < sizeof(*ip) ||
	    ip->protocol != IPPROTO_TCP || (ip->frag_off & htons(0x3fff)) ||
	    ntohs(ip->tot_len) != len)
		return 0;
	head = ip_len + tcp->doff * 4U;
	if (tcp->doff < 5 || head >= len || (packet[ip_len + FLAGS] & ~TH_PUSH) != TH_ACK)
		return 0;
	if (fold(sum(packet + ip_len, len - ip_len, pseudo(ip, len - ip_len))) != 0xffff)
		return 0;
	return head;
}

static bool same_stream(const uint8_t *a, const uint8_t *b, size_t head)
{
	const struct iphdr *ip = (const struct iphdr *)a, *ip_b = (const struct iphdr *)b;
	size_t ip_len = ip->ihl * 4U;
	const struct tcphdr *tcp = (const struct tcphdr *)(a + ip_len);
	const struct tcphdr *tcp_b = (const struct tcphdr *)(b + ip_len);

	return ip->ihl == ip_b->ihl && ip->tos == ip_b->tos && ip->ttl == ip_b->ttl &&
	       ip->frag_off == ip_b->frag_off &&
	       memcmp(&ip->saddr, &ip_b->saddr, ip_len - offsetof(struct iphdr, saddr)) == 0 &&
	       tcp->source == tcp_b->source && tcp->dest == tcp_b->dest &&
	       tcp->ack_seq == tcp_b->ack_seq && tcp->window == tcp_b->window &&
	       memcmp(tcp + 1, tcp_b + 1, head - ip_len - sizeof(*tcp)) == 0;
}

static void joint_add(struct joint *j, const uint8_t *packet, size_t len)
{
	size_t head = joinable(packet, len), payload = len - head;
	const struct tcphdr *tcp =
		(const struct tcphdr *)(packet + ((const struct iphdr *)packet)->ihl * 4U);
	uint8_t *own = j->bytes + VNET;

	if (head && j->n && !j->closed && head == j->head && payload <= j->size &&
	    j->len + payload < SUPER_MAX && ntohl(tcp->seq) == j->next &&
	    same_stream(own, packet, head)) {
		memcpy(own + j->len, packet + head, payload);
		if (tcp->psh)
			((struct tcphdr *)(own + ((struct iphdr *)own)->ihl * 4U))->psh = 1;
		j->len += payload;
		j->n++;
	} else {
		joint_write(j);
		memcpy(own, packet, len);
		j->len = len;
		j->head = head;
		j->size = payload;
		j->n = head ? 1 : 0;
	}
	if (!head) {
		joint_write(j);
		return;
	}
	j->next = ntohl(tcp->seq) + (uint32_t)payload;
	j->closed = payload < j->size || tcp->psh;
}

/* The size of each datagram in what recvmsg gave. */
static size_t gro_size(struct msghdr *m, size_t len)
{
	int size;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return size > 0 ? (size_t)size : len;
		}
	}
	return len;
}

static void *offload_in(void *unused)
{
	static uint8_t in[SUPER_MAX];
	static struct joint joint;
	EVP_CIPHER_CTX *c = cipher_new(0);

	for (;;) {
		_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
		struct iovec iov = {in, sizeof(in)};
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(sock, &m, joint.len ? MSG_DONTWAIT : 0);
		size_t len = n > 0 ? (size_t)n : 0, size;

		if (n <= 0) { /* no more at the moment: what is gathered goes */
			joint_write(&joint);
			continue;
		}
		size = gro_size(&m, len);
		for (size_t at = 0; at < len; at += size) {
			size_t inner = open_sealed(c, in + at, len - at < size ? len - at : size);

			if (inner >= sizeof(struct iphdr))
				joint_add(&joint, in + at + HEAD, inner);
		}
	}
	return unused;
}

/* ---- descriptors ---- */

static void open_tun(const char *name, bool offload)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};

	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | (offload ? O_NONBLOCK : 0));
	if (offload)
		r.ifr_flags |= IFF_VNET_HDR;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &r) < 0 ||
	    (offload && ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0))
		die(name);
}

static void open_socket(const char *local, const char *remote, const char *port, bool offload)
{
	struct sockaddr_in here = {.sin_family = AF_INET}, there = {.sin_family = AF_INET};
	int queue = QUEUE, on = 1;

	here.sin_port = there.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (inet_pton(AF_INET, local, &here.sin_addr) != 1 ||
	    inet_pton(AF_INET, remote, &there.sin_addr) != 1) {
		fprintf(stderr, "bare_tunnel: '%s', '%s': not IPv4 addresses\n", local, remote);
		exit(2);
	}
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &queue, sizeof(queue)) < 0 ||
	    (offload && setsockopt(sock, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) < 0) ||
	    bind(sock, (struct sockaddr *)&here, sizeof(here)) < 0 ||
	    connect(sock, (struct sockaddr *)&there, sizeof(there)) < 0)
		die("socket");
}

int main(int argc, char **argv)
{
	bool offload = argc == 6 && strcmp(argv[5], "offload") == 0;
	pthread_t thread;

	if (argc != 6 || (!offload && strcmp(argv[5], "one") != 0)) {
		fprintf(stderr, "usage: bare_tunnel DEVICE LOCAL REMOTE PORT one|offload\n");
		return 2;
	}
	open_tun(argv[1], offload);
	open_socket(argv[2], argv[3], argv[4], offload);
	if (pthread_create(&thread, NULL, offload ? offload_in : one_in, NULL) != 0)
		die("thread");
	if (offload)
		offload_out(NULL);
	else
		one_out(NULL);
	return 0;
}
