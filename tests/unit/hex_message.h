/* Messages that tests write as hexadecimal digits. Include it behind <cmocka.h>. */
#ifndef DETOUR_HEX_MESSAGE_H
#define DETOUR_HEX_MESSAGE_H

#include <stdio.h>

struct message {
	uint8_t bytes[4096];
	size_t len;
};

/* "0a02 00 ..." to bytes. */
static struct message hex(const char *text)
{
	struct message m = {.len = 0};
	unsigned v;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		assert_int_equal(sscanf(text, "%2x", &v), 1);
		m.bytes[m.len++] = (uint8_t)v;
		text++;
	}
	return m;
}

#endif
