/* ipsecctl monitor and log: events as they come, one line each, until interrupted. */
#include "ipsecd/ctl/ctl.h"

#include <stdio.h>
#include <time.h>

static void print_time(void)
{
	struct timespec now;
	struct tm tm;
	char text[16];

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s.%03ld ", text, now.tv_nsec / 1000000);
}

static int watch(struct ctl *c, vici_event_cb *on_event)
{
	enum vici_client_error e;

	c->on_event = on_event;
	c->event_ctx = c;
	e = vici_client_wait(c->client, VICI_WAIT_FOREVER);
	c->on_event = NULL;
	ctl_error("%s", vici_client_strerror(e));
	return CTL_NO_DAEMON;
}

/* ---- monitor ---- */

static bool is(struct span name, const char *word)
{
	return span_equal(name, span_str(word));
}

static void print_child(const char *conn, const char *verb, const json_t *child)
{
	const json_t *new = json_object_get(child, "new");
	const json_t *shown = new ? new : child;

	printf("%s CHILD_SA %s #%lld %s, spi %s/%s\n", conn, json_text(shown, "name"),
	       (long long)json_number(shown, "uniqueid", 0), verb, json_text(shown, "spi-in"),
	       json_text(shown, "spi-out"));
}

static void print_ike(const char *conn, const char *verb, const json_t *sa)
{
	const json_t *new = json_object_get(sa, "new");
	const json_t *shown = new ? new : sa;

	printf("%s IKE_SA #%lld %s, %s[%lld] %s\n", conn,
	       (long long)json_number(shown, "uniqueid", 0), verb, json_text(shown, "remote-host"),
	       (long long)json_number(shown, "remote-port", 0), json_text(shown, "remote-id"));
}

static void print_link(const char *conn, bool up, const json_t *link)
{
	const char *reason = json_text(link, "reason");

	printf("%s link %s is %s%s%s\n", conn, json_text(link, "interface"), up ? "up" : "dormant",
	       reason[0] ? ": " : "", reason);
}

static void print_suspect(const char *conn, const json_t *link)
{
	bool over = strcmp(json_text(link, "up"), "yes") == 0;

	printf("%s link %s %s: %s\n", conn, json_text(link, "interface"),
	       over ? "works: the peer answers, suspected was" : "is suspected",
	       json_text(link, "reason"));
}

static void print_event(struct span name, const char *conn, bool up, const json_t *section)
{
	const char *key;
	json_t *child;

	print_time();
	if (is(name, "link-updown")) {
		print_link(conn, up, section);
	} else if (is(name, "link-suspect")) {
		print_suspect(conn, section);
	} else if (is(name, "ike-updown")) {
		print_ike(conn, up ? "up" : "down", section);
	} else if (is(name, "ike-rekey")) {
		print_ike(conn, "rekeyed", section);
	} else {
		json_object_foreach (json_object_get(section, "child-sas"), key, child) {
			print_child(conn,
				    is(name, "child-rekey") ? "rekeyed"
				    : up		    ? "up"
							    : "down",
				    child);
		}
	}
}

static void print_event_json(struct span name, json_t *body)
{
	json_t *line = json_pack("{s:s%, s:O}", "event", name.ptr, name.len, "body", body);

	if (line && json_dumpf(line, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	json_decref(line);
}

static void on_monitor(void *ctx, struct span name, struct span body)
{
	json_t *all = json_from_vici(body), *section;
	const struct ctl *c = ctx;
	const char *key;

	if (c->json) {
		print_event_json(name, all);
	} else {
		json_object_foreach (all, key, section) {
			if (json_is_object(section))
				print_event(name, key, strcmp(json_text(all, "up"), "yes") == 0,
					    section);
		}
	}
	json_decref(all);
	fflush(stdout);
}

int command_monitor(struct ctl *c)
{
	static const char *const events[] = {"ike-updown", "ike-rekey", "child-updown",
					     "child-rekey"};
	/* Ours alone: strongSwan does not know them, and is watched without. */
	static const char *const own[] = {"link-updown", "link-suspect"};
	enum vici_client_error e;

	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		int status = ctl_register(c, events[i]);

		if (status)
			return status;
	}
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		e = vici_client_register(c->client, own[i], CTL_TIMEOUT_MS);
		if (e && e != VICI_CLIENT_UNKNOWN)
			return ctl_error("%s: %s", own[i], vici_client_strerror(e));
	}
	return watch(c, on_monitor);
}

/* ---- log ---- */

static void on_log(void *ctx, struct span name, struct span body)
{
	char group[16] = "", conn[CTL_NAME_MAX] = "", text[1200] = "";

	(void)ctx;
	(void)name;
	vici_get_str(body, "group", group, sizeof(group));
	vici_get_str(body, "ikesa-name", conn, sizeof(conn));
	vici_get_str(body, "msg", text, sizeof(text));
	print_time();
	printf("%s%s%s%s %s\n", group, conn[0] ? "[" : "", conn, conn[0] ? "]" : "", text);
	fflush(stdout);
}

int command_log(struct ctl *c)
{
	int status = ctl_register(c, "log");

	return status ? status : watch(c, on_log);
}
