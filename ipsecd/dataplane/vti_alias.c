/* The alias by which a device of ours is known, across restarts and to the operator who
 * looks at it: "ipsecd:made", or "ipsecd:adopted" with what the device is given back with,
 * word by word, the operator's own alias last. Pure. */
#include "ipsecd/dataplane/vti.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MADE	"ipsecd:made"
#define ADOPTED "ipsecd:adopted"

static void append(char *out, size_t *len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *out, size_t *len, const char *format, ...)
{
	size_t room = NETLINK_ALIAS_MAX + 1 - *len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(out + *len, room, format, args);
	va_end(args);
	*len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static void append_addr(char *out, size_t *len, const char *word, const struct addr *a)
{
	char text[ADDR_TEXT];

	if (!addr_is_any(a))
		append(out, len, " %s=%s", word, addr_format(a, text));
}

void vti_alias_format(const struct vti *v, char *out)
{
	const struct vti_saved *s = &v->saved;
	size_t len = 0;

	out[0] = 0;
	if (v->owner != VTI_ADOPTED) {
		append(out, &len, "%s", MADE);
		return;
	}
	append(out, &len, "%s mtu=%u mode=%u up=%d", ADOPTED, s->mtu, s->linkmode, s->up);
	for (unsigned i = 0; i < VTI_SETTINGS; i++)
		if (s->settings[i][0])
			append(out, &len, " s%u=%s", i, s->settings[i]);
	append_addr(out, &len, "local", &s->local);
	append_addr(out, &len, "remote", &s->remote);
	if (s->alias[0])
		append(out, &len, " alias=%s", s->alias);
}

static void take_setting(struct vti_saved *s, const char *word, const char *value)
{
	char *end;
	unsigned long i = strtoul(word, &end, 10);

	if (end != word && *end == 0 && i < VTI_SETTINGS)
		snprintf(s->settings[i], sizeof(s->settings[i]), "%s", value);
}

static void take_word(struct vti_saved *s, const char *word, const char *value)
{
	if (strcmp(word, "mtu") == 0)
		s->mtu = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(word, "mode") == 0)
		s->linkmode = (uint8_t)strtoul(value, NULL, 10);
	else if (strcmp(word, "up") == 0)
		s->up = value[0] == '1';
	else if (strcmp(word, "local") == 0)
		addr_parse(value, &s->local);
	else if (strcmp(word, "remote") == 0)
		addr_parse(value, &s->remote);
	else if (word[0] == 's')
		take_setting(s, word + 1, value);
}

static void parse_saved(const char *text, struct vti_saved *s)
{
	char word[96];

	while (*text == ' ') {
		size_t len = strcspn(++text, " ");
		char *value;

		if (strncmp(text, "alias=", 6) == 0) {
			snprintf(s->alias, sizeof(s->alias), "%s", text + 6);
			return;
		}
		snprintf(word, sizeof(word), "%.*s", (int)(len < 90 ? len : 90), text);
		text += len;
		value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = 0;
		take_word(s, word, value);
	}
}

/* Behind " | tunnel " is what routed-bridge tells the operator of the tunnel's state. */
static void cut_description(const char *alias, char *out)
{
	const char *end = strstr(alias, " | tunnel ");

	snprintf(out, NETLINK_ALIAS_MAX + 1, "%.*s", end ? (int)(end - alias) : NETLINK_ALIAS_MAX,
		 alias);
}

bool vti_alias_parse(const char *text, enum vti_owner *owner, struct vti_saved *saved)
{
	char alias[NETLINK_ALIAS_MAX + 1];
	size_t len = strlen(ADOPTED);

	cut_description(text, alias);
	*owner = VTI_NONE;
	*saved = (struct vti_saved){0};
	if (strcmp(alias, MADE) == 0) {
		*owner = VTI_MADE;
		return true;
	}
	if (strncmp(alias, ADOPTED, len) != 0 || (alias[len] && alias[len] != ' '))
		return false;
	*owner = VTI_ADOPTED;
	parse_saved(alias + len, saved);
	return true;
}
