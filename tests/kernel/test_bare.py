#!/usr/bin/env python3
"""The userspace plane's bare ESP (IP protocol 50) against Linux's own: our kernel plane and strongSwan as peers, with
vti devices at their end; both families, ESN, all sizes of packets, rekeys from both sides. Our
namespace's kernel has ESP as well: it gets a copy of each packet, which must not matter."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.rekeying import rekey_child, rekey_ike  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.strongswan import KernelCharon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

ROWS = {Ipsecd: (("gcm", {}), ("over-six", {"outer": 6})),
        KernelCharon: (("gcm-esn", {"esp": "aes128gcm16-esn"}), ("cbc", {"esp": "aes256-sha256"}),
                       ("over-six", {"outer": 6, "inside": (6,)}))}


class PlanePair(KernelPair):
    """Ours with the userspace plane."""

    def _our_daemon(self, options):
        return self._daemon(Ipsecd, 0, options, plane="userspace")


def bare(name, n, **fields):
    ours, theirs = vti_tunnel(name, n, **fields)
    return change(ours, mark=0, extra=("encapsulation=no",)), theirs


def with_resources(name, n):
    ours, theirs = bare(name, n)
    wish = ("per-resource-sas=4",)
    return change(ours, extra=ours.extra + wish), change(theirs, extra=theirs.extra + wish)


def passes(pair, name):
    with Sniffer(pair.namespaces[1], "eth0") as cable, pair.up(name, pair.ours):
        pair.ping_sizes(name)
        pair.transfer(name, 1 << 18)
        for peer in (pair.ours, pair.theirs):
            rekey_child(pair, name, [peer], times=1)
            rekey_ike(pair, name, [peer], times=1)
        pair.ping(name)
    check(cable.seen["esp"] > 50 and not cable.clear, f"on the cable: {cable.seen} {cable.clear[:5]}")


def general_alone(pair, name):
    """What our plane would like (RFC 9611) the kernel's has no part in, and says so."""
    with pair.up(name, pair.ours):
        for peer in (pair.ours, pair.theirs):
            check_equal([c.get("resource") for c in peer.children(name)], [None], "for resources")
    check_equal(pair.theirs.log().count("per-resource-sas has no effect"), 1, "it is said once")


def main():
    suite = Suite("bare")
    for kind, rows in ROWS.items():
        tunnels = [bare(name, n, **fields) for n, (name, fields) in enumerate(rows, 1)]
        if kind is Ipsecd:
            tunnels.append(with_resources("resources", 9))
        with PlanePair(tunnels, theirs=kind, charon_settings="delete_rekeyed_delay = 1") as pair:
            for ours, _ in tunnels[:len(rows)]:
                suite.case(f"{ours.name}, {kind.__name__}", passes, pair, ours.name,
                           logs=(pair.ours, pair.theirs))
            if kind is Ipsecd:
                suite.case("no CHILD_SAs for resources", general_alone, pair, "resources",
                           logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
