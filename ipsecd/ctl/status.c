/* ipsecctl status: the table, or the same as JSON. */
#include "ipsecd/ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>

#define COLUMNS 9
#define CELL	64

struct row {
	char cell[COLUMNS][CELL];
	char note[512]; /* a line of its own below, "" for none */
};

/* ---- cells ---- */

static void format_bytes(char *out, size_t size, json_int_t n)
{
	static const char units[] = "BKMGTP";
	double value = (double)n;
	unsigned unit = 0;

	while (value >= 10000 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(out, size, "%lld", (long long)n);
	else
		snprintf(out, size, "%.0f%c", value, units[unit]);
}

static void format_seconds(char *out, size_t size, json_int_t s)
{
	if (s < 0)
		snprintf(out, size, "-");
	else if (s < 120)
		snprintf(out, size, "%llds", (long long)s);
	else if (s < 7200)
		snprintf(out, size, "%lldm", (long long)s / 60);
	else if (s < 172800)
		snprintf(out, size, "%lldh%02lldm", (long long)s / 3600, (long long)s % 3600 / 60);
	else
		snprintf(out, size, "%lldd%02lldh", (long long)s / 86400,
			 (long long)s % 86400 / 3600);
}

struct sums {
	json_int_t ikes, children, in, out;
	json_int_t age, rekey; /* oldest IKE_SA, soonest rekeying; -1: none */
};

static json_int_t sooner(json_int_t a, json_int_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void add_ike(struct sums *s, const json_t *sa)
{
	json_int_t age = json_number(sa, "established", -1);

	s->ikes++;
	s->age = age > s->age ? age : s->age;
	s->rekey = sooner(s->rekey, json_number(sa, "rekey-time", -1));
}

static struct sums add_up(const json_t *conn)
{
	struct sums s = {.age = -1, .rekey = -1};
	json_t *sa, *child;
	const char *key;
	size_t i;

	json_array_foreach (json_object_get(conn, "sas"), i, sa) {
		if (!model_is_ending(sa))
			add_ike(&s, sa);
		json_object_foreach (json_object_get(sa, "child-sas"), key, child) {
			s.in += json_number(child, "bytes-in", 0);
			s.out += json_number(child, "bytes-out", 0);
			if (strcmp(json_text(child, "state"), "DELETED") == 0)
				continue;
			s.children++;
			s.rekey = sooner(s.rekey, json_number(child, "rekey-time", -1));
		}
	}
	return s;
}

/* The address in use, else the configured one. */
static const char *peer_of(const json_t *conn)
{
	const json_t *sa = json_array_get(json_object_get(conn, "sas"), 0);
	const json_t *addrs = json_object_get(json_object_get(conn, "config"), "remote_addrs");
	const char *configured = json_string_value(json_array_get(addrs, 0));

	if (sa && json_text(sa, "remote-host")[0])
		return json_text(sa, "remote-host");
	return configured ? configured : "-";
}

static bool is_shut_down(const json_t *config)
{
	return strcmp(json_text(config, "shutdown"), "yes") == 0;
}

static bool is_removed(const json_t *config)
{
	return json_number(config, "ifindex", -1) == 0;
}

/* A script, or somebody else, has yet to make it. */
static bool is_missing(const json_t *config)
{
	return is_removed(config) && strcmp(json_text(config, "external"), "yes") == 0;
}

/* As `ip link` has it: what the SAs allow, unless an operator set the device down. */
static void fill_interface(const json_t *config, char out[CELL])
{
	const char *device = json_text(config, "interface");
	const char *link = is_missing(config)	  ? "missing"
			   : is_removed(config)	  ? "removed"
			   : is_shut_down(config) ? "down"
						  : json_text(config, "link");

	snprintf(out, CELL, "%s%s%s", device[0] ? device : "-", link[0] ? " " : "", link);
}

/* " iptfs", " iptfs 500pps": of the newest CHILD_SA that has it. */
static void fill_iptfs(const json_t *conn, char out[CELL])
{
	json_t *sa, *child;
	const char *key;
	size_t i;

	out[0] = '\0';
	json_array_foreach (json_object_get(conn, "sas"), i, sa) {
		json_object_foreach (json_object_get(sa, "child-sas"), key, child) {
			const char *rate = json_text(child, "iptfs-rate");

			if (strcmp(json_text(child, "mode"), "IPTFS") == 0)
				snprintf(out, CELL, " iptfs%s%.24s", rate[0] ? " " : "", rate);
		}
	}
}

/* "tun", "tun iptfs", "vti 0xc", "vti 0xc/0xd" (in, out), "xfrm 0x5". */
static void fill_kind(const json_t *conn, const json_t *config, char out[CELL])
{
	const char *kind = json_text(config, "interface-type");
	bool marks = json_text(config, "mark-in")[0] || json_text(config, "mark-out")[0];
	unsigned long in = strtoul(json_text(config, marks ? "mark-in" : "if-id-in"), NULL, 16);
	unsigned long to = strtoul(json_text(config, marks ? "mark-out" : "if-id-out"), NULL, 16);
	char iptfs[CELL];

	fill_iptfs(conn, iptfs);
	if (in == to && in)
		snprintf(out, CELL, "%.15s %#lx", kind, in);
	else if (in || to)
		snprintf(out, CELL, "%.15s %#lx/%#lx", kind, in, to);
	else
		snprintf(out, CELL, "%.15s%.40s", *kind ? kind : "-", iptfs);
}

/* "": what was sent last went out. */
static const char *send_error(const json_t *conn, const json_t *config)
{
	const char *error = json_text(config, "send-error");
	json_t *sa;
	size_t i;

	json_array_foreach (json_object_get(conn, "sas"), i, sa) {
		if (json_text(sa, "send-error")[0])
			error = json_text(sa, "send-error");
	}
	return error;
}

static void fill_note(const json_t *conn, char *out, size_t size)
{
	const json_t *config = json_object_get(conn, "config");
	const char *sending = send_error(conn, config);
	const char *reason = *sending ? sending : json_text(config, "reason");
	const char *detail = *sending ? "" : json_text(config, "reason-detail");
	json_int_t next = json_number(config, "next-attempt", -1);
	char when[48] = "", start[64] = "";

	out[0] = '\0';
	if (strcmp(json_text(conn, "state"), "up") == 0)
		return;
	if (is_missing(config)) {
		snprintf(start, sizeof(start), "no device: a script or somebody else makes it");
	} else if (is_removed(config)) {
		snprintf(out, size,
			 "somebody removed the device; a reload (SIGHUP) makes it again");
		return;
	} else if (is_shut_down(config)) {
		snprintf(out, size, "the device was set down; 'ip link set %s up' ends that",
			 json_text(config, "interface"));
		return;
	}
	if (next >= 0)
		snprintf(when, sizeof(when), "next attempt in %llds", (long long)next);
	snprintf(out, size, "%s%s%s%s%s%s%s", start, start[0] && (reason[0] || when[0]) ? "; " : "",
		 reason, detail[0] ? ": " : "", detail, reason[0] && when[0] ? "; " : "", when);
}

static void fill_row(const json_t *conn, struct row *r)
{
	const json_t *config = json_object_get(conn, "config");
	struct sums s = add_up(conn);
	char in[16], out[16];

	format_bytes(in, sizeof(in), s.in);
	format_bytes(out, sizeof(out), s.out);
	snprintf(r->cell[0], CELL, "%s", json_text(conn, "name"));
	snprintf(r->cell[1], CELL, "%s", json_text(conn, "state"));
	snprintf(r->cell[2], CELL, "%s", peer_of(conn));
	fill_interface(config, r->cell[3]);
	snprintf(r->cell[4], CELL, "%lld/%lld", (long long)s.ikes, (long long)s.children);
	snprintf(r->cell[5], CELL, "%s/%s", in, out);
	format_seconds(r->cell[6], CELL, s.age);
	format_seconds(r->cell[7], CELL, s.rekey);
	fill_kind(conn, config, r->cell[8]);
	fill_note(conn, r->note, sizeof(r->note));
}

/* ---- the table ---- */

static const struct row head = {.cell = {"CONNECTION", "STATE", "PEER", "INTERFACE", "IKE/CHILD",
					 "BYTES IN/OUT", "AGE", "REKEY IN", "DEVICE"}};

static void widen(size_t widths[COLUMNS], const struct row *r)
{
	for (unsigned i = 0; i < COLUMNS; i++) {
		if (strlen(r->cell[i]) > widths[i])
			widths[i] = strlen(r->cell[i]);
	}
}

static void print_row(const size_t widths[COLUMNS], const struct row *r)
{
	for (unsigned i = 0; i + 1 < COLUMNS; i++)
		printf("%-*s  ", (int)widths[i], r->cell[i]);
	printf("%s\n", r->cell[COLUMNS - 1]);
	if (r->note[0])
		printf("    %s\n", r->note);
}

static bool is_shown(const json_t *conn, const char *only)
{
	return !only || strcmp(json_text(conn, "name"), only) == 0;
}

static void print_table(json_t *conns, const char *only)
{
	size_t widths[COLUMNS] = {0}, i;
	struct row r;
	json_t *conn;

	widen(widths, &head);
	json_array_foreach (conns, i, conn) {
		fill_row(conn, &r);
		if (is_shown(conn, only))
			widen(widths, &r);
	}
	print_row(widths, &head);
	json_array_foreach (conns, i, conn) {
		fill_row(conn, &r);
		if (is_shown(conn, only))
			print_row(widths, &r);
	}
}

static const char *device_offloads(const json_t *conn)
{
	return json_text(json_object_get(conn, "config"), "interface-offloads");
}

/* Most often all devices have the same; a kept descriptor may have less. */
static void print_device_offloads(json_t *conns)
{
	const char *before = "; devices: ";
	size_t i, j;
	json_t *conn;

	json_array_foreach (conns, i, conn) {
		const char *words = device_offloads(conn);

		for (j = 0; j < i && strcmp(device_offloads(json_array_get(conns, j)), words); j++)
			;
		if (j < i || !*words)
			continue;
		printf("%s%s", before, words);
		before = "; or ";
	}
}

static void print_plane(const json_t *plane, json_t *conns)
{
	const char *offloads = json_text(plane, "offloads");
	json_int_t workers = json_number(plane, "workers", 0);

	if (!plane)
		return;
	printf("data plane: %s (%s)", json_text(plane, "name"), json_text(plane, "why"));
	if (workers > 1)
		printf("; workers: %" JSON_INTEGER_FORMAT, workers);
	printf("%s%s", *offloads ? "; offloads: " : "", offloads);
	print_device_offloads(conns);
	putchar('\n');
}

/* "processes: plane 12, ike 14 (started again 2x; the last one killed by SIGSEGV), helper 13" */
static void print_processes(json_t *processes)
{
	const char *role, *before = "processes: ";
	json_t *p;

	json_object_foreach (processes, role, p) {
		json_int_t restarts = json_number(p, "restarts", 0);

		printf("%s%s %" JSON_INTEGER_FORMAT, before, role, json_number(p, "pid", 0));
		if (restarts)
			printf(" (started again %" JSON_INTEGER_FORMAT "x; the last one %s)",
			       restarts, json_text(p, "last-death"));
		before = ", ";
	}
	if (json_object_size(processes))
		putchar('\n');
}

/* What the files have and the daemon has not. only: of that connection. */
static void print_refused(const json_t *stats, const char *only)
{
	const json_t *configuration = json_object_get(stats, "configuration");
	json_t *refused = json_object_get(configuration, "not-loaded");
	json_int_t more = json_number(configuration, "more-not-loaded", 0);
	const char *failure = json_text(configuration, "last-reload"), *name;
	json_t *why;

	json_object_foreach (refused, name, why) {
		if (!only || strcmp(only, name) == 0)
			printf("not loaded: %s: %s\n", name, json_string_value(why));
	}
	if (only)
		return;
	if (more)
		printf("not loaded: %" JSON_INTEGER_FORMAT " more, see the log\n", more);
	if (*failure && strncmp(failure, "not loaded", 10) != 0) /* those are above */
		printf("configuration: %s\n", failure);
}

static int print_json(json_t *conns, const json_t *only, json_t *stats)
{
	json_t *all = only ? json_pack("{s:[O]}", "connections", only)
			   : json_pack("{s:O, s:O*, s:O*, s:O*}", "connections", conns, "dataplane",
				       json_object_get(stats, "dataplane"), "configuration",
				       json_object_get(stats, "configuration"), "processes",
				       json_object_get(stats, "processes"));
	int failed = !all || json_dumpf(all, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0;

	json_decref(all);
	return failed ? ctl_error("can't write") : CTL_OK;
}

/* "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519" */
static void print_suite(const json_t *sa)
{
	static const char *const keys[] = {"integ-alg", "prf-alg", "dh-group"};
	json_int_t bits = json_number(sa, "encr-keysize", 0);

	if (!*json_text(sa, "encr-alg"))
		return; /* not chosen yet */
	printf("    %s", json_text(sa, "encr-alg"));
	if (bits)
		printf("_%" JSON_INTEGER_FORMAT, bits);
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (*json_text(sa, keys[i]))
			printf("/%s", json_text(sa, keys[i]));
	}
	putchar('\n');
}

static void print_end(const json_t *sa, const char *side)
{
	char host[24], port[24], id[24];

	snprintf(host, sizeof(host), "%s-host", side);
	snprintf(port, sizeof(port), "%s-port", side);
	snprintf(id, sizeof(id), "%s-id", side);
	printf("%s %s[%" JSON_INTEGER_FORMAT "] (%s)", side, json_text(sa, host),
	       json_number(sa, port, 0), json_text(sa, id));
}

static void print_selectors(const json_t *child, const char *key)
{
	json_t *ts;
	size_t i;

	json_array_foreach (json_object_get(child, key), i, ts) {
		printf(" %s", json_string_value(ts));
	}
}

static void print_children(json_t *sa)
{
	json_t *child;
	const char *key;

	json_object_foreach (json_object_get(sa, "child-sas"), key, child) {
		json_int_t resource = json_number(child, "resource", 0);
		bool udp = strcmp(json_text(child, "encap"), "yes") == 0;

		printf("CHILD_SA %s #%" JSON_INTEGER_FORMAT ": ESP%s, SPI %s in, %s out",
		       json_text(child, "name"), json_number(child, "uniqueid", 0),
		       udp ? " in UDP" : "", json_text(child, "spi-in"),
		       json_text(child, "spi-out"));
		if (resource)
			printf(", for resource %" JSON_INTEGER_FORMAT, resource);
		putchar('\n');
		print_suite(child);
		printf("    local");
		print_selectors(child, "local-ts");
		printf(", remote");
		print_selectors(child, "remote-ts");
		putchar('\n');
	}
}

static const char *begun_by(const json_t *sa)
{
	return strcmp(json_text(sa, "initiator"), "yes") == 0
		       ? "connecting, begun here"
		       : "connecting, begun by the peer, who has not proved who it is";
}

/* What the table has no column for. */
static void print_sas(const json_t *conn)
{
	json_t *sa;
	size_t i;

	json_array_foreach (json_object_get(conn, "sas"), i, sa) {
		bool ids = json_text(sa, "message-id-sync")[0];
		bool counters = json_text(sa, "replay-counter-sync")[0];

		if (model_is_ending(sa))
			continue;
		printf("IKE SA #%" JSON_INTEGER_FORMAT ": ", json_number(sa, "uniqueid", 0));
		if (model_is_connecting(sa))
			printf("%s\n", begun_by(sa));
		else
			printf("synchronisation of %s (RFC 6311)\n",
			       ids && counters ? "message IDs and replay counters was negotiated"
			       : ids	       ? "message IDs was negotiated"
			       : counters      ? "replay counters was negotiated"
					       : "message IDs was not negotiated");
		print_suite(sa);
		printf("    ");
		print_end(sa, "local");
		printf(", ");
		print_end(sa, "remote");
		putchar('\n');
		print_children(sa);
	}
}

static int show_one(struct ctl *c, json_t *conns, const char *name)
{
	const json_t *only = model_find(c, conns, name);
	int status = only ? CTL_OK : CTL_FAILED;
	json_t *stats = NULL;

	if (only && c->json) {
		status = print_json(conns, only, NULL);
	} else if (only) {
		status = model_read_stats(c, &stats);
		print_table(conns, name);
		print_refused(stats, name);
		print_sas(only);
		json_decref(stats);
	}
	if (!status && strcmp(json_text(only, "state"), "up") != 0)
		status = CTL_DOWN;
	return status;
}

static int show_all(struct ctl *c, json_t *conns)
{
	json_t *stats;
	int status = model_read_stats(c, &stats);

	if (status)
		return status;
	if (c->json) {
		status = print_json(conns, NULL, stats);
	} else {
		print_table(conns, NULL);
		print_refused(stats, NULL);
		print_plane(json_object_get(stats, "dataplane"), conns);
		print_processes(json_object_get(stats, "processes"));
	}
	json_decref(stats);
	return status;
}

int command_status(struct ctl *c)
{
	json_t *conns;
	int status = model_read(c, &conns);

	if (status)
		return status;
	status = c->argc ? show_one(c, conns, c->argv[0]) : show_all(c, conns);
	json_decref(conns);
	return status;
}
