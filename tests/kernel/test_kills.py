#!/usr/bin/env python3
"""As tests/interop/test_kills.py, with the kernel's IPsec at both ends: packets pass without any
process of ours, so that not even a killed plane costs one, and an IV is the kernel's own to count.

KILLS=N kills of each course (40 in all), SEED=N another course of things."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.killing import OTHER, SPLIT, STEADY, Killer, killed  # noqa: E402
from tests.support.poll import Timeout, until  # noqa: E402
from tests.support.rekeying import child_spis  # noqa: E402
from tests.support.suite import Suite  # noqa: E402

KILLS = int(os.environ.get("KILLS", "10"))
SEED = int(os.environ.get("SEED", "3"))
SPI = re.compile(r"proto esp spi (0x[0-9a-f]+)")
LEFT = 40  # seconds
INTERVAL = "0.005"  # of pings: one emulated processor has all the work


class OursWithOurs(KernelPair):
    def _their_daemon(self, settings, retransmit_timeout):
        return self._daemon(Ipsecd, 1, SPLIT, plane="kernel")


def states(namespace):
    return {int(spi, 16) for spi in SPI.findall(namespace.ip("xfrm", "state"))}


def nothing_is_left(pair):
    """The kernel of both ends has the states of the SAs that there are, once what was half open
    has ended."""
    for peer, namespace in zip((pair.ours, pair.theirs), pair.namespaces):
        def same(peer=peer, namespace=namespace):
            spis = {int(spi, 16) for name in (STEADY, OTHER) for pair in child_spis(peer, name)
                    for spi in pair}
            return states(namespace) == spis
        try:
            until("no state but those of the SAs", same, LEFT)
        except Timeout as late:
            raise AssertionError(namespace.ip("-s", "xfrm", "state")) from late


def main():
    suite = Suite("kernel kills")
    with OursWithOurs([vti_tunnel(STEADY, 1), vti_tunnel(OTHER, 2, dpd=1)], theirs=Ipsecd,
                      ipsecd_options=SPLIT) as pair:
        logs = (pair.ours, pair.theirs)
        for name in (STEADY, OTHER):
            pair.ours.initiate(name)
            pair.both_up(name)
        one, both = (pair.ours,), (pair.ours, pair.theirs)
        for what, victims, roles in (("ike", one, ("ike",)), ("plane", one, ("plane",)),
                                     ("any", one, ("ike", "helper", "plane")),
                                     ("any of either end", both, ("ike", "helper", "plane"))):
            suite.case(f"{what}, {KILLS} times", killed, Killer(pair, SEED, victims), KILLS,
                       lambda r, roles=roles: r.choice(roles), 0, INTERVAL, logs=logs)
        suite.case("nothing is left over", nothing_is_left, pair, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
