#!/usr/bin/env python3
"""A router that masquerades between an ipsecd and a libreswan, both with the kernel's IPsec: either
side behind it, either one initiating. ESP goes in UDP, and both ends follow the rekeys."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import nat  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.libreswan import Libreswan  # noqa: E402
from tests.support.rekeying import rekey_child, rekey_ike  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402


def through(pair, name, initiator, peer_address):
    with Sniffer(pair.namespaces[1], "eth0") as cable, pair.up(name, initiator):
        pair.ping_sizes(name)
        check_equal(pair.ours.sas(name)[0]["remote-host"], peer_address, "peer's address")
        rekey_child(pair, name, [pair.theirs], times=1)
        rekey_ike(pair, name, [pair.ours], times=1)
    check(not cable.clear and not cable.seen["esp"], f"on the cable: {cable.seen} "
                                                     f"{cable.clear[:3]}")


def main():
    suite = Suite("libreswan-nat")
    ours, theirs = vti_tunnel("ours-inside", 1)
    first = ours, change(theirs, remote="172.16.2.254")
    ours, theirs = vti_tunnel("theirs-inside", 2)
    second = change(ours, remote="172.16.1.254"), theirs
    with KernelPair([first, second], theirs=Libreswan, routed=True) as pair:
        logs = (pair.ours, pair.theirs)
        for name, outside, (host, side), seen in (
                ("ours-inside", "eth2", ("172.16.1.1", "we"), "172.16.2.1"),
                ("theirs-inside", "eth1", ("172.16.2.2", "they"), "172.16.1.254")):
            nat.clear(pair.router)
            nat.masquerade(pair.router, outside)
            nat.forward_ike(pair.router, outside, host)
            for who, initiator in (("we initiate", pair.ours), ("they initiate", pair.theirs)):
                suite.case(f"{side} are inside, {who}", through, pair, name, initiator, seen,
                           logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
