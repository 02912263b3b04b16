/* Text for Prometheus: the exposition format, version 0.0.4. Pure: values in, text out.
 *
 *	struct metrics m = {.limit = METRICS_BYTES};
 *	metrics_family(&m, METRICS_GAUGE, "ipsecd_tunnel_up", "1 while packets can pass.");
 *	metrics_uint(&m, 1, "conn", "to-b", NULL);
 *	metrics_uint(&m, 0, "conn", "to-c", NULL);
 *	if (!m.failed) ... m.text, m.len ...
 *	metrics_free(&m);
 *
 * A family is begun once, and all of its samples follow before the next one begins: the
 * format wants that, and nobody checks it here. The text grows up to `limit` bytes; beyond
 * it, or without memory, `failed` is set and stays. */
#ifndef DETOUR_METRICS_H
#define DETOUR_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_BYTES	    ((size_t)64 << 20)
#define METRICS_BUCKETS_MAX 16
#define METRICS_TYPE	    "text/plain; version=0.0.4; charset=utf-8"

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics {
	char *text; /* owned; not ended by a NUL */
	size_t len, cap, limit;
	const char *family; /* begun last */
	bool failed;
};

/* `name` and `help` are static texts; a counter's name ends in _total. */
void metrics_family(struct metrics *m, enum metrics_type type, const char *name, const char *help);
/* One sample of the family: pairs of label and value, closed by NULL. Values may be any
 * bytes: they are escaped, and what is no UTF-8 is replaced. */
void metrics_uint(struct metrics *m, uint64_t value, ...) __attribute__((sentinel));
void metrics_real(struct metrics *m, double value, ...) __attribute__((sentinel));
/* A family of one sample without labels. */
void metrics_gauge(struct metrics *m, const char *name, const char *help, uint64_t value);
void metrics_counter(struct metrics *m, const char *name, const char *help, uint64_t value);

/* Counts observations by size. `bounds` rise, and are all finite; the bucket above them is
 * always there. */
struct metrics_histogram {
	const double *bounds;
	unsigned n; /* of them, at most METRICS_BUCKETS_MAX */
	uint64_t counts[METRICS_BUCKETS_MAX + 1];
	double sum;
};

void metrics_observe(struct metrics_histogram *h, double value);
/* Its buckets, sum and count, as samples of the family. */
void metrics_histogram(struct metrics *m, const struct metrics_histogram *h, ...)
	__attribute__((sentinel));

void metrics_free(struct metrics *m);

/* The process itself, under the names that every Prometheus client library gives them:
 * process_resident_memory_bytes, process_open_fds and the like. Reads /proc, so it is not
 * pure; what can't be read is left out. */
void metrics_process(struct metrics *m);
/* Before the process gives up its files: opens what metrics_process reads. Else it does so itself.
 */
void metrics_process_begin(void);

#endif
