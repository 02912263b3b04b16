/* Fuzzes what the bridge makes of vici: the first byte picks the event, the rest is its
 * body; a packet may hold several of them behind one another (length, event, body). */
#include "lib/vici_codec.h"
#include "routed-bridge/tunnels.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const events[] = {"list-sa",	     "list-conn",   "child-updown", "child-rekey",
				     "ike-updown",   "ike-rekey",   "link-updown",  "begin",
				     "end",	     "connected",   "forget",	    "log",
				     "link-suspect", "disconnected"};

static void one(struct tunnels *t, uint8_t choice, struct span body)
{
	static mono_time now;
	const char *event = events[choice % (sizeof(events) / sizeof(events[0]))];
	size_t offset;

	if (strcmp(event, "begin") == 0)
		tunnels_list_begin(t);
	else if (strcmp(event, "end") == 0)
		tunnels_list_end(t, now += 1000 * MONO_S);
	else if (strcmp(event, "connected") == 0)
		tunnels_connected(t);
	else if (strcmp(event, "disconnected") == 0)
		tunnels_disconnected(t);
	else if (strcmp(event, "forget") == 0)
		tunnels_forget(t, "fuzz");
	else if (vici_body_check(body, &offset) == VICI_OK)
		tunnels_event(t, span_str(event), body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(span_of(data, size));
	struct tunnels *t = tunnels_new();
	struct tunnel_view v;

	while (reader_left(&r) >= 3) {
		uint16_t len = reader_u16(&r);
		uint8_t choice = reader_u8(&r);

		one(t, choice, reader_take(&r, len < reader_left(&r) ? len : reader_left(&r)));
	}
	while (tunnels_changed(t, &v)) {
		if (v.up && !v.children)
			abort();
	}
	tunnels_free(t);
	return 0;
}
