/* Fuzzes the end of a vty answer: it is the same wherever the answer was cut, and nothing
 * before it has three NULs in a row with a byte behind. */
#include "routed-bridge/vty.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vty_frame whole = {0}, bytes = {0};
	size_t text_len = 0, used = 0, text_len2 = 0, used2 = 0, n = 0;
	uint8_t status = 0, status2 = 0;
	bool end = vty_frame_end(&whole, span_of(data, size), &text_len, &status, &used);
	bool end2 = false;

	while (!end2 && n < size)
		end2 = vty_frame_end(&bytes, span_of(data, ++n), &text_len2, &status2, &used2);
	if (end != end2)
		abort();
	if (!end)
		return 0;
	if (text_len != text_len2 || used != used2 || status != status2)
		abort();
	if (used != text_len + 4 || used > size || data[used - 1] != status)
		abort();
	for (size_t i = 0; i + 3 < used - 1; i++) {
		if (!data[i] && !data[i + 1] && !data[i + 2])
			abort();
	}
	return 0;
}
