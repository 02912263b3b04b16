/* A strict reader of the Prometheus text format 0.0.4: what lib/metrics.c writes must pass. */
#ifndef DETOUR_METRICS_CHECK_H
#define DETOUR_METRICS_CHECK_H

#include <stddef.h>

/* Fails the running test (cmocka) at the first line that breaks a rule: names and labels,
 * escapes, one HELP and TYPE for each family and before its samples, families in one piece, no
 * sample twice, counters that end in _total, buckets that rise and agree with _count. */
void metrics_check(const char *text, size_t len);

#endif
