/* Echo replies, bgpd's prefix lists, and probes that are sent, answered and judged at any time.
 * First byte: which. */
#include "routed-bridge/prefix_list.h"
#include "routed-bridge/probe_message.h"
#include "routed-bridge/quality.h"
#include "lib/buf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void lists(struct span text)
{
	static struct prefix_list_addrs is, wanted;
	char command[PREFIX_LIST_COMMAND];

	for (unsigned f = 0; f < 2; f++) {
		wanted.n = 0;
		prefix_list_read(text, f ? AF_INET6 : AF_INET, &is);
		for (uint32_t n = is.n;
		     prefix_list_command("X", f ? AF_INET6 : AF_INET, &is, &wanted, command);)
			if (is.n != --n)
				abort();
	}
}

static void play(struct span script)
{
	const struct quality_limits l = {10 * MONO_MS, 20,	    MONO_S,
					 50 * MONO_MS, 5 * MONO_MS, MONO_S};
	struct quality *q = quality_new(&l, 0);
	struct quality_view v;
	mono_time now = MONO_S;

	for (size_t i = 0; i + 1 < script.len; i += 2) {
		now += script.ptr[i + 1] * (mono_time)MONO_MS;
		if ((script.ptr[i] & 3) == 0)
			quality_sent(q, now);
		else if ((script.ptr[i] & 3) == 1)
			quality_answered(q, script.ptr[i] >> 2, now);
		else if ((script.ptr[i] & 3) == 2)
			quality_judge(q, now);
		else
			quality_pause(q, now);
		quality_view(q, &v);
		if (v.answered + v.lost > v.sent || v.loss > 1000 || v.state >= QUALITY_STATES)
			abort();
	}
	quality_free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct probe_echo e;
	uint8_t *copy;

	if (size < 1 || size > 4000)
		return 0;
	copy = malloc(size); /* an allocation of its own: every overread is seen */
	memcpy(copy, data + 1, size - 1);
	if (data[0] % 4 < 2)
		probe_parse(data[0] & 1 ? AF_INET6 : AF_INET, span_of(copy, size - 1), &e);
	else if (data[0] % 4 == 2)
		lists(span_of(copy, size - 1));
	else
		play(span_of(copy, size - 1));
	free(copy);
	return 0;
}
