#!/usr/bin/env python3
"""Several peers behind one address that is a router's, served by xfrm interfaces (in User Mode
Linux, which has none, tests/kernel/test_nat.py has the vti's part)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.kernel.test_nat import behind_router, both_served, two_behind_one  # noqa: E402
from tests.support import nat  # noqa: E402
from tests.support.kernel_pair import KernelPair  # noqa: E402
from tests.support.suite import Suite  # noqa: E402


def main():
    suite = Suite("qemu nat")
    office = behind_router("office", 3, "xfrm")
    branch = behind_router("branch", 4, "xfrm", local="172.16.3.4")
    with KernelPair([office], routed=True) as pair:
        nat.masquerade(pair.router, "eth1")
        suite.case("pain_16_same_endpoints: two peers behind one address", two_behind_one, pair,
                   ("office", "branch"), branch, both_served, logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
