#!/usr/bin/env python3
"""What the cable shows while a tunnel's packets go on and everything happens to the tunnel: only
IKE, ESP and address resolution, ever. There is a default route to the peer, so what leaves the
tunnel device's route would be seen. On the vti itself packets are clear, both ways."""
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import ike_spis, rekeyed  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402

NAME = "leak"


class Traffic:
    """Packets from our network to theirs all the while, whether they arrive or not. `with` ends
    after some more of them, and says if any was in clear on the cable."""

    def __init__(self, pair, name=NAME):
        self.end = pair.end(name, pair.ours)
        self.namespace = pair.namespaces[0]
        self.cable = Sniffer(pair.namespaces[1], "eth0")
        self.sent = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        sockets = [(netns.udp_socket(self.namespace, "::" if ":" in target else "0.0.0.0"), target)
                   for target in self.end.ping]
        while not self.ending.wait(0.01):
            for sock, target in sockets:
                try:
                    sock.sendto(b"secret", (target, 9))
                except OSError:
                    pass  # no route, no device: not sent at all
            self.sent += 1
        for sock, _ in sockets:
            sock.close()

    def __enter__(self):
        self.cable.__enter__()
        self.thread.start()
        return self

    def __exit__(self, kind, *_exception):
        if kind is None:
            self.some_more()
        self.ending.set()
        self.thread.join()
        self.cable.__exit__()
        if kind is None:
            check(not self.cable.clear, f"in clear: {self.cable.clear[:5]}, {self.cable.seen}")

    def some_more(self, count=40):
        before = self.sent
        until(f"{count} more packets", lambda: self.sent >= before + count)


def up_and_clear_inside(pair):
    with Sniffer(pair.namespaces[0], pair.end(NAME, pair.ours).device) as inside, Traffic(pair):
        pair.ping(NAME, 5)
    for ends in ("10.1.1.1 > 10.2.1.1", "10.2.1.1 > 10.1.1.1",
                 "fd01:1::1 > fd02:1::1", "fd02:1::1 > fd01:1::1"):
        check(any(ends in text for text in inside.clear), f"the vti shows {ends} in clear")


def rekeys(pair):
    with Traffic(pair):
        for peer in (pair.ours, pair.theirs):
            rekeyed(pair, NAME, peer.rekey_child)
            rekeyed(pair, NAME, peer.rekey_ike, ike_spis)


def down_and_up(pair):
    """By either side; nothing is sent while there is no SA, and then again."""
    with Traffic(pair) as traffic:
        for peer in (pair.theirs, pair.ours):
            peer.terminate(NAME)
            pair.both_down(NAME)
            traffic.some_more()
            pair.ours.initiate(NAME)
            pair.both_up(NAME)
            traffic.some_more()


def device_down(pair):
    """Its routes go with it. A blackhole route behind them, as docs/operations.md has it and
    topology writes it, keeps packets from the default route."""
    ours = pair.end(NAME, pair.ours)
    for network in ours.remote_ts.split(","):
        pair.namespaces[0].ip("route", "add", "blackhole", network, "metric", "4294967295")
    with Traffic(pair) as traffic:
        pair.namespaces[0].ip("link", "set", "dev", ours.device, "down")
        traffic.some_more()
        pair.namespaces[0].ip("link", "set", "dev", ours.device, "up")
        for network in ours.remote_ts.split(","):
            pair.namespaces[0].route(network, "dev", ours.device)
        until("UP again", lambda: pair.ours.operstate(ours.device) == "UP")
    pair.ping(NAME)


def killed(pair):
    """Killed, SAs go on and end at their lifetimes; here they are taken away at once."""
    with Traffic(pair) as traffic:
        pair.ours.kill()
        traffic.some_more()
        pair.namespaces[0].ip("xfrm", "state", "flush")
        traffic.some_more()
        pair.ours.start(pair.ours.ends)
        traffic.some_more()
        pair.ours.initiate(NAME)
        pair.ours.wait_up(NAME)
    pair.ping(NAME)


def stopped(pair):
    with Traffic(pair) as traffic:
        pair.ours.daemon.kill(signal.SIGTERM)
        pair.ours.daemon.child.wait(20)
        traffic.some_more()
        pair.ours.start(pair.ours.ends)
        traffic.some_more()
        pair.ours.initiate(NAME)
        pair.ours.wait_up(NAME)
    pair.ping(NAME)


def main():
    suite = Suite("leak")
    for outer in (4, 6):
        with KernelPair([vti_tunnel(NAME, 1, outer=outer, inside=(4, 6))]) as pair:
            pair.namespaces[0].address("eth0", "172.31.0.1/24", "fd31::1/64")
            pair.namespaces[1].address("eth0", "172.31.0.2/24", "fd31::2/64")
            pair.namespaces[0].route("default", "via", "172.31.0.2")
            pair.namespaces[0].ip("-6", "route", "replace", "default", "via", "fd31::2")
            pair.ours.initiate(NAME)
            pair.both_up(NAME)
            for name, function in (("up, and clear on the vti", up_and_clear_inside),
                                   ("rekeys", rekeys), ("down and up", down_and_up),
                                   ("the device down", device_down),
                                   ("the daemon killed", killed), ("the daemon stopped", stopped)):
                suite.case(f"IPv{outer} outside, {name}", function, pair,
                           logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
