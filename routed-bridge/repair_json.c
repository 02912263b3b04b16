/* Reading `show ip route PREFIX json`: an object with a list of entries for the prefix,
 * {} for none. */
#include "routed-bridge/repair_json.h"

#include <jansson.h>
#include <stdio.h>

static bool is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* An active one with a device; a recursive nexthop is followed by what it resolves to. */
static bool read_hop(const json_t *o, struct zapi_nexthop *out)
{
	json_int_t ifindex = json_integer_value(json_object_get(o, "interfaceIndex"));

	*out = (struct zapi_nexthop){0};
	if (!is_true(o, "active") || is_true(o, "recursive") || is_true(o, "blackhole") ||
	    ifindex <= 0 || ifindex > UINT32_MAX)
		return false;
	out->ifindex = (uint32_t)ifindex;
	out->onlink = is_true(o, "onLink");
	return !*string_of(o, "ip") || addr_parse(string_of(o, "ip"), &out->gateway);
}

static void read_hops(const json_t *entry, struct repair_hops *out)
{
	const json_t *list = json_object_get(entry, "nexthops"), *o;
	size_t i;

	out->n = 0;
	json_array_foreach (list, i, o) {
		if (out->n < ZAPI_NEXTHOPS_MAX && read_hop(o, &out->hop[out->n]))
			out->n++;
	}
}

static bool is_ours(const json_t *entry, const char *ours)
{
	const json_t *instance = json_object_get(entry, "instance");
	char text[48];

	if (instance)
		snprintf(text, sizeof(text), "%s %" JSON_INTEGER_FORMAT,
			 string_of(entry, "protocol"), json_integer_value(instance));
	else
		snprintf(text, sizeof(text), "%s", string_of(entry, "protocol"));
	return strcmp(text, ours) == 0;
}

static void read_entries(const json_t *list, const char *ours, struct repair_answer *out)
{
	struct repair_hops hops = {0};
	const json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry) {
		json_int_t distance = json_integer_value(json_object_get(entry, "distance"));

		read_hops(entry, &hops);
		if (is_ours(entry, ours) || hops.n == 0 || distance < 0 || distance >= 255 ||
		    (out->hops.n && distance >= out->distance))
			continue;
		out->distance = (uint8_t)distance;
		out->hops = hops;
	}
}

void repair_json_read(struct span text, const char *ours, struct repair_answer *out)
{
	json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
	const char *key;
	json_t *list;

	*out = (struct repair_answer){.valid = json_is_object(root)};
	json_object_foreach (root, key, list) {
		if (json_is_array(list))
			read_entries(list, ours, out);
		else
			out->valid = false;
	}
	json_decref(root);
}

bool repair_json_shadowed(struct span text, const char *ours)
{
	json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
	bool there = false, selected = false;
	const json_t *list, *entry;
	const char *key;
	size_t i;

	json_object_foreach (root, key, list) {
		json_array_foreach (list, i, entry) {
			if (!is_ours(entry, ours))
				continue;
			there = true;
			selected = selected || is_true(entry, "selected");
		}
	}
	json_decref(root);
	return there && !selected;
}
