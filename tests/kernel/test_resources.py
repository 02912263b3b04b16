#!/usr/bin/env python3
"""CHILD_SAs for single processors (RFC 9611) in the kernel, ipsecd on both ends: as many as both want, through rekeys
and kills without losing a packet, each outbound state with its processor. A kernel that knows nothing of that (before
Linux 6.13, but for some 6.12) has the general one alone, and the log says why."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.killing import SPLIT  # noqa: E402
from tests.support.per_resource import killed, rekeyed, wait  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

NAME = "three"
SAYS_SO = "per-resource-sas has no effect"


class OursWithOurs(KernelPair):
    def _their_daemon(self, settings, retransmit_timeout):
        return self._daemon(Ipsecd, 1, SPLIT, plane="kernel")


def of_kernel(pair):
    pair.ours.initiate(NAME)
    return [0] if SAYS_SO in pair.ours.log() else [0, 1, 2, 3]


def as_many(pair, wanted):
    release = tuple(int(n) for n in os.uname().release.split(".")[:2])
    check(len(wanted) > 1 or release < (6, 13), f"{release}: {SAYS_SO}")
    wait(pair, NAME, wanted)
    pair.ping(NAME)
    pair.transfer(NAME, 1 << 18)
    processors = os.sysconf("SC_NPROCESSORS_CONF")
    used = {1 if len(wanted) > 1 and processors == 1 else r for r in wanted}
    for peer in (pair.ours, pair.theirs):
        sent = {int(c.get("resource", 0)) for c in peer.children(NAME) if int(c["bytes-out"])}
        check(sent and sent <= used, f"{peer.kind}: {sorted(sent)} of {wanted} have sent")


def one_goes(pair, wanted):
    """The general one goes on with its packets."""
    first = next(c for c in pair.ours.children(NAME) if c.get("resource") == "1")
    pair.ours.control.request("terminate", {"child-id": first["uniqueid"], "timeout": 10000})
    wait(pair, NAME, wanted[:1] + wanted[2:])
    with pair.pinging(NAME) as pinging:
        pinging.go_on(20)
    pinging.check_no_loss()


def main():
    suite = Suite("kernel resources")
    ends = tuple(change(end, extra=("per-resource-sas=3",)) for end in vti_tunnel(NAME, 1))
    with OursWithOurs([ends], theirs=Ipsecd, ipsecd_options=SPLIT) as pair:
        logs, wanted = (pair.ours, pair.theirs), of_kernel(pair)
        suite.case("as many as the kernel has room for", as_many, pair, wanted, logs=logs)
        suite.case("rekeys, 0 lost", rekeyed, pair, NAME, logs=logs)
        for role in ("plane", "ike"):
            suite.case(f"{role} is killed", killed, pair, NAME, role, logs=logs)
        if len(wanted) > 1:
            suite.case("one is deleted", one_goes, pair, wanted, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
