/* Text that others wrote, on its way to a log, a terminal or a name: control characters forge lines
 * and play with terminals. UTF-8 passes, but for its own control characters (C1: U+0080 to U+009F),
 * which some terminals obey. */
#ifndef DETOUR_TEXT_H
#define DETOUR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* `before`: the character that stands before it; 0: none. */
static inline bool text_is_control(char before, char c)
{
	unsigned char b = (unsigned char)before, u = (unsigned char)c;

	return u < ' ' || u == 0x7f || (b == 0xc2 && u >= 0x80 && u < 0xa0);
}

/* All `len` characters, of which NUL is one as others are. */
static inline bool text_is_clean(const void *text, size_t len)
{
	const char *t = text;

	for (size_t i = 0; i < len; i++) {
		if (text_is_control(i ? t[i - 1] : 0, t[i]))
			return false;
	}
	return true;
}

/* What libvici takes for a name, or shows of a value: ASCII without control characters. */
static inline bool text_is_ascii(const void *text, size_t len)
{
	const unsigned char *t = text;

	for (size_t i = 0; i < len; i++) {
		if (t[i] < ' ' || t[i] > '~')
			return false;
	}
	return true;
}

/* As much as `out` has room for, with its NUL; a '?' for each control character. May be done in
 * place. */
static inline void text_clean(char *out, size_t size, const void *text, size_t len)
{
	const char *t = text;
	char before = 0;
	size_t n = 0;

	for (; n < len && n + 1 < size; n++) {
		char c = t[n];

		out[n] = text_is_control(before, c) ? '?' : c;
		before = c;
	}
	out[n] = '\0';
}

/* All of a sentence, or what `out` has room for, to the end of a word, with "..." for the rest.
 * size: 4 at least. */
static inline void text_fit(char *out, size_t size, const char *text)
{
	size_t n = strlen(text);

	if (n < size) {
		memcpy(out, text, n + 1);
		return;
	}
	n = size - sizeof("...");
	while (n && !strchr(" ,/", text[n]))
		n--;
	if (!n) /* one long word */
		n = size - sizeof("...");
	memcpy(out, text, n);
	memcpy(out + n, "...", sizeof("..."));
}

#endif
