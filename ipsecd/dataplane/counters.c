/* Names of the counters and of what devices do, as statistics, metrics and tests write them. */
#include "ipsecd/dataplane/dataplane.h"

const char *dataplane_counter_name(enum dataplane_counter c)
{
	static const char *const names[DATAPLANE_COUNTERS] = {
		[DROP_NO_SA] = "drop-no-sa",
		[DROP_NO_SELECTOR] = "drop-no-selector",
		[DROP_UNKNOWN_SPI] = "drop-unknown-spi",
		[DROP_REPLAY] = "drop-replay",
		[DROP_ICV] = "drop-icv",
		[DROP_MALFORMED] = "drop-malformed",
		[DROP_SELECTOR_IN] = "drop-selector-in",
		[DROP_SEND] = "drop-send",
		[DROP_DEVICE] = "drop-device",
		[DROP_EXPIRED] = "drop-expired",
		[DROP_TOO_BIG] = "drop-too-big",
		[DROP_ECN] = "drop-ecn",
		[DROP_QUEUE] = "drop-queue",
		[DROP_FRAGMENT] = "drop-fragment",
		[DROP_AGGFRAG] = "drop-aggfrag",
		[DROP_LOOP] = "drop-loop",
		[ESP_HELD] = "held",
		[AGGFRAG_GAPS] = "aggfrag-lost",
		[AGGFRAG_LATES] = "aggfrag-late",
		[AGGFRAG_PADS] = "aggfrag-pad",
		[AGGFRAG_MISSED] = "aggfrag-missed",
	};

	return c < DATAPLANE_COUNTERS ? names[c] : "drop-unknown";
}

const char *dataplane_offload_words(unsigned offloads)
{
	return offloads & OFFLOAD_USO	     ? "vnet-hdr, checksums, TSO, USO"
	       : offloads & OFFLOAD_TSO	     ? "vnet-hdr, checksums, TSO"
	       : offloads & OFFLOAD_CHECKSUM ? "vnet-hdr, checksums"
	       : offloads & OFFLOAD_VNET     ? "vnet-hdr"
					     : "";
}
