/* What the pure parts of the fast path cost, one core, no system call:
 *   bench_segments
 * The checksum in GB/s; cutting and joining 46 TCP segments of 1,400 bytes, in ns a segment; a
 * packet through the fair queue, of 64 bytes and of 62 KB. Best of 9 rounds, by thread CPU time. */
#include "ipsecd/dataplane/checksum.h"
#include "ipsecd/dataplane/coalesce.h"
#include "ipsecd/dataplane/cut.h"
#include "ipsecd/dataplane/fq.h"
#include "tests/support/packets.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, TIMES = 400, SEGMENTS = 46, SEGMENT = 1400, SPACE = 1500 };

static uint8_t super[PACKET_MAX], segments[SEGMENTS * SPACE], fresh[SEGMENTS * SPACE];
static size_t written; /* so that the compiler leaves nothing out */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ns of one call out of TIMES. */
static double best(void (*call)(void))
{
	double least = 1e9;

	for (unsigned round = 0; round < ROUNDS; round++) {
		double begun = seconds(), took;

		for (unsigned i = 0; i < TIMES; i++)
			call();
		took = seconds() - begun;
		least = took < least ? took : least;
	}
	return least / TIMES * 1e9;
}

static void sum(void)
{
	for (size_t i = 0; i < SEGMENTS; i++)
		written += checksum_fold(checksum_add(0, segments + i * SPACE, SEGMENT));
}

static void cut(void)
{
	struct packet_form f = {.flags = 0x10, .df = true, .tcp_options = 12};
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = SEGMENT - 52,
		.csum_start = (uint16_t)packet_transport(&f),
		.csum_offset = 16,
	};
	struct cut c;
	size_t n = 0;

	if (cut_begin(&c, &vnet, super, 52 + SEGMENTS * (SEGMENT - 52)) != CUT_OK)
		return;
	while (cut_next(&c, segments + n * SPACE, SPACE))
		n++;
	written += n;
}

static void take(void *ctx, void *owner, const struct iovec *iov, size_t n)
{
	(void)ctx;
	(void)owner;
	written += iov[n - 1].iov_len;
}

/* The first one's headers are changed by joining. */
static void join(void)
{
	static struct coalesce c;

	coalesce_init(&c, take, NULL);
	memcpy(segments, fresh, SPACE);
	for (size_t i = 0; i < SEGMENTS; i++)
		coalesce_add(&c, NULL, COALESCE_TCP, segments + i * SPACE, SEGMENT);
	coalesce_flush(&c);
}

static struct fq *queue;
static size_t queued; /* bytes of a packet */

/* As the plane does it: some are read, then they go. */
static void through_queue(void)
{
	struct fq_packet p;

	for (size_t i = 0; i < SEGMENTS / 2; i++)
		fq_push(queue, NULL, 0, queued, written);
	while (fq_pop(queue, written, &p))
		written += p.len;
}

static void bench_queue(size_t len)
{
	struct packet_form f = {.udp = true, .payload = 36};
	size_t all = packet_build(super, &f);

	queued = len;
	/* each slot gets a packet: what is read into it is not measured */
	for (size_t i = 0; i < FQ_LARGE_SLOTS; i++) {
		memcpy(fq_slot(queue), super, all);
		fq_push(queue, NULL, 0, FQ_SLOT, 0);
	}
	memcpy(fq_slot(queue), super, all);
	printf("fq        %6.1f ns a packet of %zu bytes\n", best(through_queue) / (SEGMENTS / 2),
	       len);
}

int main(void)
{
	struct packet_form f = {.flags = 0x10, .df = true, .tcp_options = 12};
	struct virtio_net_hdr vnet;
	double ns;

	f.payload = SEGMENTS * (SEGMENT - 52);
	packet_make_super(super, packet_build(super, &f), &f, SEGMENT - 52, &vnet);
	cut();
	memcpy(fresh, segments, sizeof(fresh));
	ns = best(sum) / SEGMENTS;
	printf("checksum  %6.1f ns for %d bytes, %.1f GB/s\n", ns, SEGMENT, SEGMENT / ns);
	printf("cut       %6.1f ns a segment of %d bytes\n", best(cut) / SEGMENTS, SEGMENT);
	printf("coalesce  %6.1f ns a segment of %d bytes\n", best(join) / SEGMENTS, SEGMENT);
	queue = fq_new(1);
	if (!queue)
		return 1;
	bench_queue(64);
	bench_queue(62000);
	fq_free(queue);
	return written == 0;
}
