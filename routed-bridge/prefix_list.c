/* Lines are "   seq 5 permit 10.9.0.1/32"; whatever else FRR prints around them is passed over. */
#include "routed-bridge/prefix_list.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool has(const struct prefix_list_addrs *l, const struct addr *a)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (addr_equal(&l->list[i], a))
			return true;
	}
	return false;
}

bool prefix_list_add(struct prefix_list_addrs *l, const struct addr *a)
{
	if (has(l, a))
		return true;
	if (l->n == PREFIX_LIST_ADDRS_MAX)
		return false;
	l->list[l->n++] = *a;
	return true;
}

static void read_line(struct span line, uint8_t family, struct prefix_list_addrs *out)
{
	static const char word[] = "permit ";
	const uint8_t *at = memmem(line.ptr, line.len, word, sizeof(word) - 1);
	struct prefix prefix;
	char text[PREFIX_TEXT];
	size_t n = 0;

	if (!at)
		return;
	at += sizeof(word) - 1;
	while (at + n < line.ptr + line.len && at[n] > ' ' && n < sizeof(text) - 1)
		n++;
	memcpy(text, at, n);
	text[n] = '\0';
	if (prefix_parse(text, &prefix) && prefix.addr.family == family &&
	    prefix.len == addr_size(family) * 8)
		prefix_list_add(out, &prefix.addr);
}

void prefix_list_read(struct span text, uint8_t family, struct prefix_list_addrs *out)
{
	out->n = 0;
	while (text.len) {
		const uint8_t *end = memchr(text.ptr, '\n', text.len);
		size_t n = end ? (size_t)(end - text.ptr) : text.len;

		read_line(span_of(text.ptr, n), family, out);
		n += end != NULL;
		text = span_of(text.ptr + n, text.len - n);
	}
}

static void write_command(bool no, const char *name, const struct addr *a,
			  char out[PREFIX_LIST_COMMAND])
{
	char text[ADDR_TEXT];

	snprintf(out, PREFIX_LIST_COMMAND, "%s%s prefix-list %s permit %s/%zu", no ? "no " : "",
		 a->family == AF_INET6 ? "ipv6" : "ip", name, addr_format(a, text),
		 addr_size(a->family) * 8);
}

bool prefix_list_command(const char *name, uint8_t family, struct prefix_list_addrs *is,
			 const struct prefix_list_addrs *wanted, char out[PREFIX_LIST_COMMAND])
{
	for (uint32_t i = 0; i < wanted->n; i++) {
		if (wanted->list[i].family == family && !has(is, &wanted->list[i])) {
			write_command(false, name, &wanted->list[i], out);
			return prefix_list_add(is, &wanted->list[i]);
		}
	}
	for (uint32_t i = 0; i < is->n; i++) {
		if (is->list[i].family == family && !has(wanted, &is->list[i])) {
			write_command(true, name, &is->list[i], out);
			is->list[i] = is->list[--is->n];
			return true;
		}
	}
	return false;
}
