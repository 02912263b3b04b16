/* The bridge's document for people. */
#include "routed-bridge/status.h"
#include "lib/unix_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS  10000
#define DOCUMENT_MAX ((size_t)64 << 20)
#define COLUMNS_MAX  8
#define CELL_MAX     256

/* ---- values ---- */

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static long long number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : (long long)json_number_value(v);
}

static double real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static bool yes(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static const char *age(long long seconds, char out[24])
{
	if (seconds < 120)
		snprintf(out, 24, "%llds", seconds);
	else if (seconds < 7200)
		snprintf(out, 24, "%lldm", seconds / 60);
	else if (seconds < 172800)
		snprintf(out, 24, "%lldh", seconds / 3600);
	else
		snprintf(out, 24, "%lldd", seconds / 86400);
	return out;
}

/* ---- tables: columns as wide as their widest cell ---- */

struct table {
	char (*cells)[COLUMNS_MAX][CELL_MAX];
	size_t rows;
	unsigned columns;
};

static void row(struct table *t, unsigned n, const char *const *cells)
{
	void *more = realloc(t->cells, (t->rows + 1) * sizeof(*t->cells));

	if (!more)
		return;
	t->cells = more;
	t->columns = n;
	for (unsigned i = 0; i < n; i++)
		snprintf(t->cells[t->rows][i], CELL_MAX, "%s", cells[i]);
	t->rows++;
}

#define ROW(t, ...)                                                    \
	row(t, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
	    (const char *const[]){__VA_ARGS__})

static void print_table(struct table *t, FILE *out)
{
	size_t width[COLUMNS_MAX] = {0};

	for (size_t r = 0; r < t->rows; r++) {
		for (unsigned i = 0; i < t->columns; i++) {
			size_t n = strlen(t->cells[r][i]);

			width[i] = n > width[i] ? n : width[i];
		}
	}
	for (size_t r = 0; r < t->rows; r++) {
		for (unsigned i = 0; i + 1 < t->columns; i++)
			fprintf(out, "%-*s  ", (int)width[i], t->cells[r][i]);
		fprintf(out, "%s\n", t->cells[r][t->columns - 1]);
	}
	free(t->cells);
}

/* ---- what is shown ---- */

static void state_of(char out[CELL_MAX], const json_t *session, const char *more)
{
	char since[24];

	age(number(session, "since"), since);
	if (yes(session, "connected"))
		snprintf(out, CELL_MAX, "connected for %s%s%.40s", since, *more ? ", " : "", more);
	else
		snprintf(out, CELL_MAX, "not connected for %s: %.90s", since,
			 *text(session, "complaint") ? text(session, "complaint") : "connecting");
}

static void print_sessions(const json_t *all, FILE *out)
{
	const json_t *ike = json_object_get(all, "ike"), *z;
	char state[CELL_MAX], more[64];
	struct table t = {0};
	size_t i;

	state_of(state, ike, "");
	ROW(&t, "ike", text(ike, "socket"), state);
	json_array_foreach (json_object_get(all, "zebra"), i, z) {
		snprintf(more, sizeof(more), "FRR %.30s%s", text(z, "frr"),
			 strcmp(text(z, "use"), "repairs") == 0 ? ", repairs" : "");
		state_of(state, z, more);
		ROW(&t, "zebra", text(z, "type"), state);
	}
	print_table(&t, out);
}

static void print_bfd(const json_t *all, FILE *out)
{
	const json_t *bfd = json_object_get(all, "bfd"), *s;
	char times[48];
	struct table t = {0};
	size_t i;

	if (!json_is_object(bfd))
		return;
	fprintf(out, "bfd    %s, %s, %lld of %zu sessions up, %lld failures detected\n",
		yes(bfd, "bfdd") ? "bfdd is connected" : "bfdd is not connected",
		yes(bfd, "real-time") ? "in real time" : "not in real time", number(bfd, "up"),
		json_array_size(json_object_get(bfd, "sessions")), number(bfd, "detections"));
	if (!json_array_size(json_object_get(bfd, "sessions")))
		return;
	fprintf(out, "\n");
	ROW(&t, "BFD PEER", "INTERFACE", "STATE", "SENDS EVERY", "DEAD AFTER");
	json_array_foreach (json_object_get(bfd, "sessions"), i, s) {
		long long hold = number(s, "hold-us"), detect = number(s, "detect-us");
		bool borne = hold > detect;
		char dead[48];

		snprintf(times, sizeof(times), "%.1f ms", (double)number(s, "transmit-us") / 1000.);
		snprintf(dead, sizeof(dead), "%.1f ms%s", (double)(borne ? hold : detect) / 1000.,
			 borne ? " (last way)" : "");
		ROW(&t, text(s, "peer"), text(s, "interface"), text(s, "state"), times, dead);
	}
	print_table(&t, out);
}

static void print_repair(const json_t *all, FILE *out)
{
	const json_t *r = json_object_get(all, "repair");

	if (!json_is_object(r)) {
		fprintf(out, "repair switched off\n");
		return;
	}
	fprintf(out,
		"repair %lld routes watched; %lld repaired now (%lld confirmed), %lld without an "
		"alternative; %lld repairs so far",
		number(r, "watched"), number(r, "active"), number(r, "installed"),
		number(r, "helpless"), number(r, "begun"));
	if (number(r, "turns"))
		fprintf(out, "; %lld U-turns", number(r, "turns"));
	fputc('\n', out);
}

static void print_paths(const json_t *all, FILE *out)
{
	const json_t *p = json_object_get(all, "paths"), *bmp = json_object_get(p, "bmp");
	const char *source = text(p, "source");

	if (strcmp(source, "none") == 0 && !json_is_object(bmp))
		return;
	fprintf(out, "paths  %lld to %lld prefixes, of %lld peers; ", number(p, "paths"),
		number(p, "prefixes"), number(p, "peers-up"));
	if (strcmp(source, "bmp") == 0)
		fprintf(out, "told by BMP (%s)\n", text(bmp, "speaker"));
	else if (json_is_object(bmp))
		fprintf(out, "bgpd is not connected with BMP\n");
	else
		fprintf(out, "asked over the vty\n");
}

static void print_quality(const json_t *all, FILE *out)
{
	struct table t = {0};
	const json_t *q;
	size_t i;

	if (!json_array_size(json_object_get(all, "quality")))
		return;
	fprintf(out, "\n");
	ROW(&t, "QUALITY OF", "STATE", "SINCE", "ROUND TRIP", "JITTER", "LOSS", "WHY");
	json_array_foreach (json_object_get(all, "quality"), i, q) {
		char since[24], rtt[32], jitter[32], loss[32];

		snprintf(rtt, sizeof(rtt), "%.2f ms", real(q, "rtt-ms"));
		snprintf(jitter, sizeof(jitter), "%.2f ms", real(q, "jitter-ms"));
		snprintf(loss, sizeof(loss), "%.1f %%", real(q, "loss-percent"));
		ROW(&t, text(q, "conn"), text(q, "state"), age(number(q, "since"), since), rtt,
		    jitter, loss, text(q, "why"));
	}
	print_table(&t, out);
}

static void print_tunnels(const json_t *all, FILE *out)
{
	struct table t = {0};
	const json_t *v;
	size_t i;

	if (!json_array_size(json_object_get(all, "tunnels"))) {
		fprintf(out, "\nno tunnels\n");
		return;
	}
	fprintf(out, "\n");
	ROW(&t, "TUNNEL", "STATE", "SINCE", "INTERFACE", "LINK", "SAS", "ROUTES", "CAUSE");
	json_array_foreach (json_object_get(all, "tunnels"), i, v) {
		const json_t *n = json_object_get(v, "routes");
		char since[24], sas[24], routes[48];

		snprintf(sas, sizeof(sas), "%lld", number(v, "child-sas"));
		snprintf(routes, sizeof(routes), "%lld/%lld",
			 number(n, "installed") + number(n, "shadowed"), number(n, "wanted"));
		ROW(&t, text(v, "conn"), yes(v, "up") ? "up" : "down",
		    age(number(v, "since"), since), text(v, "interface"),
		    yes(v, "operative") ? "up" : "down", sas,
		    yes(v, "expected") ? routes : "no section", text(v, "cause"));
	}
	print_table(&t, out);
}

static void print_routes(const json_t *all, FILE *out)
{
	const json_t *routes = json_object_get(all, "routes"), *r;
	struct table t = {0};
	size_t i;

	fprintf(out,
		"\nroutes in %s: wanted %lld, installed %lld, shadowed %lld, failed %lld, "
		"lacking %lld\n",
		text(routes, "in"), number(routes, "wanted"), number(routes, "installed"),
		number(routes, "shadowed"), number(routes, "failed"), number(routes, "lacking"));
	if (!json_array_size(json_object_get(routes, "table")))
		return;
	ROW(&t, "PREFIX", "STATE", "TUNNEL", "INTERFACE", "TYPE", "DISTANCE", "METRIC", "TAG");
	json_array_foreach (json_object_get(routes, "table"), i, r) {
		char distance[24], metric[24], tag[24];

		snprintf(distance, sizeof(distance), "%lld", number(r, "distance"));
		snprintf(metric, sizeof(metric), "%lld", number(r, "metric"));
		snprintf(tag, sizeof(tag), "%lld", number(r, "tag"));
		ROW(&t, text(r, "prefix"), text(r, "state"), text(r, "conn"), text(r, "interface"),
		    text(r, "type"), distance, metric, tag);
	}
	print_table(&t, out);
}

void status_print(const json_t *all, FILE *out)
{
	const json_t *warning;
	char since[24];
	size_t i;

	fprintf(out, "routed-bridge %s, process %lld, runs for %s\n", text(all, "version"),
		number(all, "pid"), age(number(all, "uptime"), since));
	print_sessions(all, out);
	print_repair(all, out);
	print_paths(all, out);
	print_bfd(all, out);
	print_tunnels(all, out);
	print_quality(all, out);
	print_routes(all, out);
	json_array_foreach (json_object_get(all, "warnings"), i, warning) {
		fprintf(out, "%swarning: %s\n", i ? "" : "\n", json_string_value(warning));
	}
}

/* ---- asking ---- */

/* All that comes until the end; NULL with errno set. */
static char *read_all(int fd, size_t *len)
{
	size_t cap = 65536;
	char *all = malloc(cap), *more;
	ssize_t n = 1;

	*len = 0;
	while (all && n > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, PATIENCE_MS) <= 0) {
			errno = ETIMEDOUT;
			break;
		}
		n = read(fd, all + *len, cap - *len);
		*len += n > 0 ? (size_t)n : 0;
		if (n == 0)
			return all;
		if (*len < cap)
			continue;
		more = cap < DOCUMENT_MAX ? realloc(all, cap *= 2) : NULL;
		if (!more)
			break;
		all = more;
	}
	free(all);
	return NULL;
}

static int complain(int status, const char *path, const char *why)
{
	fprintf(stderr, "routed-bridge: %s: %s\n", path, why);
	return status;
}

/* Where many ask, its queue may be full for a moment. */
static int reach(const char *path)
{
	int fd = unix_socket_connect(path);

	for (int waited = 0; fd < 0 && errno == EAGAIN && waited < PATIENCE_MS; waited += 20) {
		poll(NULL, 0, 20);
		fd = unix_socket_connect(path);
	}
	return fd;
}

int status_run(const char *path, bool as_json)
{
	int fd = reach(path);
	json_t *all;
	char *document;
	size_t len;

	if (fd < 0)
		return complain(STATUS_NO_BRIDGE, path,
				errno == ENOENT || errno == ECONNREFUSED
					? "no bridge runs with this control socket ('control' of "
					  "its file, or --control)"
					: strerror(errno));
	document = read_all(fd, &len);
	close(fd);
	if (!document)
		return complain(STATUS_NO_BRIDGE, path, strerror(errno));
	if (!len) {
		free(document);
		return complain(STATUS_NO_BRIDGE, path,
				"the bridge answers root and its own user alone");
	}
	all = json_loadb(document, len, 0, NULL);
	if (as_json && all) {
		fwrite(document, 1, len, stdout);
		putchar('\n');
	} else if (all) {
		status_print(all, stdout);
	}
	free(document);
	if (!all)
		return complain(STATUS_FAILED, path, "the answer is no JSON: is that a bridge?");
	json_decref(all);
	return STATUS_OK;
}
