#!/usr/bin/env python3
"""A program of ours gives way to the next one, with the kernel's IPsec: by upgrade, by --takeover, by
a service manager that keeps descriptors, restarts and stops. The kernel forwards meanwhile, so that
nothing may be lost, and states and policies are what they were."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.killing import SPLIT, reconnect  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import children  # noqa: E402
from tests.support.replacing import NAME, Service, survives, takeover, upgrade  # noqa: E402
from tests.support.strongswan import KernelCharon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

INTERVAL = "0.005"  # of pings: one emulated processor has all the work
KEEP = "keep-on-stop=60s"


class OursWithOurs(KernelPair):
    def _their_daemon(self, settings, retransmit_timeout):
        return self._daemon(Ipsecd, 1, SPLIT, plane="kernel")


def pair_of(theirs, **options):
    kind = OursWithOurs if theirs is Ipsecd else KernelPair
    return kind([vti_tunnel(NAME, 1)], theirs=theirs, ipsecd_options=SPLIT, **options)


def come_up(pair):
    pair.ours.initiate(NAME)
    pair.both_up(NAME)
    until("UP", lambda: pair.ours.operstate("tun1") == "UP")
    pair.ping(NAME)


def in_kernel(pair):
    """SPIs, and tunnels' policies: those of sockets are made with each look at a socket."""
    states, policies = (pair.namespaces[0].ip("xfrm", what) for what in ("state", "policy"))
    return (sorted(re.findall(r"spi (0x[0-9a-f]+)", states)),
            sorted(text for text in re.split(r"^(?=src)", policies, flags=re.M) if "dir " in text))


def unchanged(pair, what):
    def run():
        before = in_kernel(pair)
        what()
        for word, now, was in zip(("states", "policies"), in_kernel(pair), before):
            check(now == was, f"{word}: {set(now) ^ set(was)}")
        check_equal(len(before[0]), 2, "states")
    survives(pair, run, 0, INTERVAL)


def stop_and_start(pair, service):
    """Nobody of ours lives for a while; whoever starts within the time goes on."""
    service.stop()
    check(not children(service.peer.daemon.child.pid), "no process is left")
    pair.ping(NAME, count=20)
    service.start()
    reconnect(pair.ours)


def main():
    suite = Suite("take over")
    for theirs in (Ipsecd, KernelCharon):
        with pair_of(theirs) as pair:
            come_up(pair)
            for word, what in (("upgrade", upgrade), ("--takeover", takeover)):
                suite.case(f"{theirs.kind}: {word}", unchanged, pair,
                           lambda what=what: what(pair.ours), logs=(pair.ours, pair.theirs))
        with pair_of(theirs, setup=KEEP) as pair:
            pair.ours.stop()
            service = Service(pair)
            with service.manager:
                service.start()
                pair.ours.connect()
                pair.ours.load(pair.ours.ends)
                come_up(pair)
                suite.case(f"{theirs.kind}: systemctl restart", unchanged, pair, service.restart,
                           logs=(pair.ours, pair.theirs))
                suite.case(f"{theirs.kind}: systemctl stop, then start", unchanged, pair,
                           lambda: stop_and_start(pair, service), logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
