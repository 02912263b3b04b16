#!/usr/bin/env python3
"""CHILD_SAs for single processors (RFC 9611) in the kernel, ipsecd on both ends: as many as both want, through rekeys
and kills without losing a packet, each outbound state with its processor. A kernel before Linux 6.13 has the general one
alone, and the log says why."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.killing import SPLIT  # noqa: E402
from tests.support.per_resource import killed, rekeyed, resources, wait  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

NAME = "three"
SINCE = (6, 13)


class OursWithOurs(KernelPair):
    def _their_daemon(self, settings, retransmit_timeout):
        return self._daemon(Ipsecd, 1, SPLIT, plane="kernel")


def of_kernel():
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return [0, 1, 2, 3] if tuple(map(int, release.groups())) >= SINCE else [0]


def as_many(pair, wanted):
    pair.ours.initiate(NAME)
    wait(pair, NAME, wanted)
    pair.ping(NAME)
    pair.transfer(NAME, 1 << 18)
    processors = os.sysconf("SC_NPROCESSORS_CONF")
    used = {1 if len(wanted) > 1 and processors == 1 else r for r in wanted}
    for peer in (pair.ours, pair.theirs):
        sent = {int(c.get("resource", 0)) for c in peer.children(NAME) if int(c["bytes-out"])}
        check(sent and sent <= used, f"{peer.kind}: {sorted(sent)} of {wanted} have sent")
    if len(wanted) == 1:
        check("per-resource-sas has no effect" in pair.ours.log(), "the log says so")


def one_goes(pair, wanted):
    """The general one goes on with its packets; what the peer sent by it before it knew may be lost."""
    first = next(c for c in pair.ours.children(NAME) if c.get("resource") == "1")
    with pair.pinging(NAME) as pinging:
        pair.ours.control.request("terminate", {"child-id": first["uniqueid"], "timeout": 10000})
        wait(pair, NAME, wanted[:1] + wanted[2:])
        pinging.go_on(20)
    pinging.check_no_loss(2)
    check_equal(resources(pair.theirs, NAME), wanted[:1] + wanted[2:], "theirs")


def main():
    suite = Suite("kernel resources")
    wanted = of_kernel()
    ends = tuple(change(end, extra=("per-resource-sas=3",)) for end in vti_tunnel(NAME, 1))
    with OursWithOurs([ends], theirs=Ipsecd, ipsecd_options=SPLIT) as pair:
        logs = (pair.ours, pair.theirs)
        suite.case("as many as the kernel has room for", as_many, pair, wanted, logs=logs)
        suite.case("rekeys, 0 lost", rekeyed, pair, NAME, logs=logs)
        for role in ("plane", "ike"):
            suite.case(f"{role} is killed", killed, pair, NAME, role, logs=logs)
        if len(wanted) > 1:
            suite.case("one is deleted", one_goes, pair, wanted, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
