/* The contract on the userspace plane, with real TUN devices in a network namespace
 * of this program's own. Needs root. */
#include "tests/contract/kernel.h"
#include "tests/contract/tun_host.h"

#include <ev.h>

int main(void)
{
	int failed;
	const struct contract_driver driver = {
		.ops = &dataplane_userspace,
		.loop = ev_loop_new(0),
		.watch = tun_watch,
		.unwatch = tun_unwatch,
		.transmit = tun_transmit,
		.received = tun_received,
		.oper_up = tun_oper_up,
		.set_admin = tun_set_admin,
		.now = mono_now,
	};

	kernel_namespace("contract_userspace");
	failed = contract_run(&driver);
	ev_loop_destroy(driver.loop);
	return failed;
}
