/* Merged datagrams of anybody. First two bytes: the length of a datagram, and the port; the rest is
 * the buffer. Every datagram is told once, in its order, as what it is when it comes alone. */
#include "ipsecd/net/udp_frame.h"

#include <stdlib.h>

static struct udp_frame alone(uint8_t *data, size_t len, bool natt)
{
	struct udp_frames f = udp_frames_of(data, len, 0, natt);
	struct udp_frame one;

	if (!udp_frames_next(&f, &one) || one.datagrams != 1 || one.size != one.len)
		abort();
	return one;
}

static void check(const struct udp_frame *f, uint8_t **at, size_t *left, size_t size, bool natt)
{
	for (unsigned i = 0; i < f->datagrams; i++) {
		size_t len = *left < size ? *left : size;
		struct udp_frame one = alone(*at, len, natt);

		if (one.kind != f->kind || (f->datagrams == 1 && one.data != f->data) ||
		    (f->datagrams == 1 && one.len != f->len))
			abort();
		*at += len;
		*left -= len;
	}
	if (f->datagrams > 1 && (f->size != size || f->data + f->len != *at))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step, left = size - 2;
	struct udp_frames frames;
	struct udp_frame f;
	uint8_t *copy, *at;
	bool natt;

	if (size < 2 || size > 4000)
		return 0;
	natt = data[1] & 1;
	at = copy = malloc(left ? left : 1); /* an allocation of its own: every overread is seen */
	memcpy(copy, data + 2, left);
	frames = udp_frames_of(copy, left, data[0], natt);
	step = data[0] && data[0] < left ? data[0] : left;
	while (udp_frames_next(&frames, &f))
		check(&f, &at, &left, step, natt);
	free(copy);
	if (left)
		abort();
	return 0;
}
