/* `ipsecd --flush`: never beside a running daemon, whose devices it would take away. */
#include "ipsecd/flush.h"
#include "ipsecd/control/control.h"
#include "ipsecd/leftovers.h"
#include "ipsecd/plane.h"

#include <stdio.h>

static void flush_routes(void)
{
	struct netlink *nl = netlink_open();
	unsigned rules, routes;

	if (!nl)
		return;
	rules = leftovers_remove_rules(nl);
	routes = leftovers_remove_routes(nl, NULL, NULL);
	if (rules + routes)
		log_to(log_default(), LOG_LEVEL_NOTICE, "net", "", "%u routes and %u rules removed",
		       routes, rules);
	netlink_close(nl);
}

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
	flush_routes();
	ok = plane_flush(log_default(), why, sizeof(why));
	if (!ok)
		fprintf(stderr, "ipsecd --flush: %s\n", why);
	control_unlock(options->vici, lock);
	return ok ? 0 : 1;
}
