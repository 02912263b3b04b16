/* `ipsecd --flush`: never beside a running daemon, whose devices it would take away. */
#include "ipsecd/flush.h"
#include "ipsecd/control/control.h"
#include "ipsecd/plane.h"

#include <stdio.h>

int flush_run(const struct options *options)
{
	char why[512];
	int lock = control_lock(options->vici, why, sizeof(why));
	bool ok;

	if (lock < 0) {
		fprintf(stderr, "ipsecd --flush: %s; nothing was removed\n", why);
		return 1;
	}
	log_open("ipsecd", false, options->log_level);
	ok = plane_flush(log_default(), why, sizeof(why));
	if (!ok)
		fprintf(stderr, "ipsecd --flush: %s\n", why);
	control_unlock(options->vici, lock);
	return ok ? 0 : 1;
}
