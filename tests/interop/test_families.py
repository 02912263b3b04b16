#!/usr/bin/env python3
"""IPv4 and IPv6 inside and outside of the tunnel in every combination, two families in
one CHILD_SA, packets of every size up to the tunnel device's MTU and above it, and a
TCP transfer there and back.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402
from tests.support.tunnel import tunnel  # noqa: E402

COMBINATIONS = [(4, (4,)), (4, (6,)), (4, (4, 6)), (6, (4,)), (6, (6,)), (6, (4, 6))]


def works(pair, name, initiator):
    with pair.up(name, initiator):
        pair.ping(name, count=5)
        pair.ping_sizes(name)
        pair.transfer(name, 2_000_000)


def mtu_is_right(pair, name):
    """The largest packet that the device takes fits the path: 1500 outside."""
    device = pair.end(name, pair.ours).device
    mtu = pair.ours.link(device)["mtu"]
    check(1350 <= mtu <= 1450, f"MTU of {device} is {mtu}")


def main():
    suite = Suite("families")
    tunnels = [tunnel(f"{'+'.join(map(str, inside))}-in-{outer}", n, outer=outer, inside=inside)
               for n, (outer, inside) in enumerate(COMBINATIONS, 1)]
    with Pair(tunnels) as pair:
        for ours, _ in tunnels:
            for who, initiator in (("we initiate", pair.ours), ("they initiate", pair.theirs)):
                suite.case(f"{ours.name}, {who}", works, pair, ours.name, initiator,
                           logs=(pair.ours, pair.theirs))
            suite.case(f"{ours.name}, MTU", mtu_is_right, pair, ours.name)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
