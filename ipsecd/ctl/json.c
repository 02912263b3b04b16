/* vici messages as JSON. Every value of vici is text; those that count or measure become
 * numbers, the rest stay strings (hex SPIs look like numbers and are none). */
#include "ipsecd/ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_count(struct span name)
{
	static const char *const keys[] = {
		"uniqueid",	"reqid",	"resource",	     "local-port",
		"remote-port",	"established",	"rekey-time",	     "reauth-time",
		"life-time",	"install-time", "bytes-in",	     "packets-in",
		"use-in",	"bytes-out",	"packets-out",	     "use-out",
		"encr-keysize", "mtu",		"ifindex",	     "next-attempt",
		"local_port",	"remote_port",	"reauth_time",	     "rekey_time",
		"dpd_delay",	"rekey_bytes",	"rekey_packets",     "level",
		"size",		"online",	"offline",	     "pid",
		"restarts",	"upgrades",	"iptfs-packet-size", "more-not-loaded",
		"more-leases",	"more-pools",	"workers",
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (span_equal(name, span_str(keys[i])))
			return true;
	}
	return false;
}

static json_t *value_of(struct span name, struct span value)
{
	char text[19], *end; /* what surely fits a json_int_t */
	json_int_t n;
	json_t *s;

	if (is_count(name) && value.len > 0 && value.len < sizeof(text)) {
		memcpy(text, value.ptr, value.len);
		text[value.len] = '\0';
		n = strtoll(text, &end, 10);
		if (*end == '\0')
			return json_integer(n);
	}
	s = json_stringn((const char *)value.ptr, value.len);
	/* Not UTF-8, so not a JSON string: its size is all that can be said. */
	return s ? s : json_sprintf("(%zu bytes)", value.len);
}

/* As a shell takes it back between $' and '. */
static void escape(struct span name, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < name.len && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, name.ptr[i] < 0x80 ? "%c" : "\\x%02x",
				      name.ptr[i]);
}

/* Names are what a client gave, or a file in any encoding; one that is not UTF-8, and so no name
 * of JSON's, must not cost the others. */
static bool add(json_t *object, struct span name, json_t *value)
{
	char key[4 * VICI_NAME_MAX + 1];
	json_t *utf8 = json_stringn((const char *)name.ptr, name.len);

	if (utf8)
		snprintf(key, sizeof(key), "%.*s", (int)name.len, (const char *)name.ptr);
	else
		escape(name, key, sizeof(key));
	json_decref(utf8);
	return json_object_set_new(object, key, value) == 0;
}

static json_t *list_at(struct vici_iter *it)
{
	json_t *list = json_array();
	struct vici_element e;

	while (list && !vici_next(it, &e) && e.type == VICI_LIST_ITEM) {
		if (json_array_append_new(list, value_of((struct span){0}, e.value)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Depth is bounded by the body check: at most VICI_DEPTH_MAX. */
static json_t *object_at(struct vici_iter *it)
{
	json_t *object = json_object();
	struct vici_element e;
	bool ok = object != NULL;

	while (ok && !vici_next(it, &e) && e.type != VICI_END && e.type != VICI_SECTION_END) {
		if (e.type == VICI_SECTION_START)
			ok = add(object, e.name, object_at(it));
		else if (e.type == VICI_LIST_START)
			ok = add(object, e.name, list_at(it));
		else if (e.type == VICI_KEY_VALUE)
			ok = add(object, e.name, value_of(e.name, e.value));
	}
	if (!ok) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *json_from_vici(struct span body)
{
	struct vici_iter it = vici_iter(body);

	return object_at(&it);
}

const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t json_number(const json_t *object, const char *key, json_int_t missing)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : missing;
}
