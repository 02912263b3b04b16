/* What a tunnel's device is called for the operator: its alias, which zebra shows as "OS
 * Description" in `show interface` and in `show interface description`. Pure. */
#ifndef DETOUR_DESCRIBE_H
#define DETOUR_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#define DESCRIBE_MAX 256 /* the kernel's IFALIASZ, with the NUL */

struct describe_tunnel {
	const char *conn;
	const char *peer_host, *peer_id; /* "": not known yet */
	bool up;
	const char *cause; /* of being down */
};

/* "tunnel A-B to b.example (198.51.100.2): up", cut to fit. */
void describe_format(const struct describe_tunnel *t, char out[DESCRIBE_MAX]);

/* The alias that a device with the alias `old` gets. Behind ipsecd's own, which says what
 * belongs to whom, the text is appended with " | "; an operator's alias is kept, then this
 * is false. An empty text takes ours away. `out` may be the same as `old`'s content. */
bool describe_merge(const char *old, const char *text, char out[DESCRIBE_MAX]);

#endif
