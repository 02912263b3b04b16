#!/usr/bin/env python3
"""Tunnels between VRFs: the tunnel device in one, the underlay in another or in the default one,
with either data plane."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

NAME = "vrf"
DEVICE = "tun1"
TABLES = {"red": 1001, "blue": 1002}
BOUND = "bind-device=blue"
MARK = "0x40/0x40"  # of the kernel's outer packets, for a rule that says which table is theirs


class VrfPair(KernelPair):
    """Our eth0 is in the VRF `underlay`, our tunnel's device in `overlay` (None: the default)."""

    def __init__(self, plane, underlay=None, overlay=None, setup=""):
        tunnels = [tunnel(NAME, 1) if plane == "userspace" else vti_tunnel(NAME, 1)]
        if plane == "kernel":
            ours, theirs = tunnels[0]
            tunnels = [(change(ours, extra=(f"set-mark-out={MARK}",)), theirs)]
        super().__init__(tunnels, Ipsecd, setup)
        self.plane, self.underlay, self.overlay = plane, underlay, overlay

    def _daemon(self, kind, index, *words, **options):
        options["plane"] = self.plane
        return super()._daemon(kind, index, *words, **options)

    def _wire(self):
        super()._wire()
        for name in TABLES:
            self.add_vrf(name)
        if self.underlay:
            self.enslave("eth0", self.underlay)
        if self.plane == "kernel":
            self.namespaces[0].ip("rule", "add", "priority", "900", "fwmark", MARK, "lookup",
                                  str(TABLES.get(self.underlay, 254)))

    def add_vrf(self, name):
        self.namespaces[0].batch([f"link add name {name} type vrf table {TABLES[name]}",
                                  f"link set dev {name} up"])

    def enslave(self, device, vrf):
        self.namespaces[0].ip("link", "set", "dev", device, "master", vrf)

    def up(self):
        if self.overlay:
            self.enslave(DEVICE, self.overlay)
            self.namespaces[0].ip("route", "replace", self.tunnels[0][0].remote_ts, "dev", DEVICE,
                                  "table", str(TABLES[self.overlay]))
            # What a VRF should have: nothing falls through to other tables.
            self.namespaces[0].ip("route", "add", "unreachable", "default", "metric",
                                  "4278198272", "table", str(TABLES[self.overlay]))
        self.ours.initiate(NAME)
        self.both_up(NAME)
        self.passes()

    def passes(self):
        ours = self.tunnels[0][0]
        source = self.overlay or ours.inside[0].split("/")[0]

        def answered():
            return " 1 received" in self.namespaces[0].run(
                "ping", "-n", "-c", "1", "-W", "1", "-I", source, ours.ping[0], check=False)

        until(f"packets pass from {source}", answered, 15)

    def take_away(self):
        self.ours.terminate(NAME)
        self.theirs.wait_down(NAME)


def tunnel_in_a_vrf(plane):
    with VrfPair(plane, overlay="red") as pair:
        pair.up()
        pair.take_away()
        pair.theirs.initiate(NAME)
        pair.both_up(NAME)
        pair.passes()


def underlay_in_a_vrf(plane):
    with VrfPair(plane, underlay="blue", setup=BOUND) as pair:
        pair.up()
        pair.take_away()
        pair.theirs.initiate(NAME)
        pair.both_up(NAME)
        pair.passes()


def both_in_vrfs(plane):
    with VrfPair(plane, underlay="blue", overlay="red", setup=BOUND) as pair:
        pair.up()


def vrf_that_comes_later():
    """While bind-device is missing nothing leaves at all; and it may be changed while up."""
    with VrfPair("userspace", setup=BOUND) as pair:
        here = pair.namespaces[0]
        here.ip("link", "del", "blue")
        pair.ours.setup = "bind-device=green"
        mark = pair.ours.log_mark()
        pair.ours.load([pair.tunnels[0][0]])
        pair.ours.wait_log("bind-device: No such device", mark)
        try:
            pair.ours.initiate(NAME, 1000)
            check(False, "the tunnel came up by the default VRF")
        except RuntimeError:
            pass
        here.batch(["link add name green type vrf table 1003", "link set dev green up",
                    "link set dev eth0 master green"])
        pair.ours.wait_log("the sockets are bound to it", mark, 30)
        pair.ours.initiate(NAME)
        pair.both_up(NAME)
        pair.passes()
        here.ip("link", "set", "dev", "eth0", "nomaster")
        pair.ours.setup = ""
        pair.ours.load([pair.tunnels[0][0]])
        pair.passes()


CASES = (
    ("tunnel in a VRF, userspace", tunnel_in_a_vrf, "userspace"),
    ("tunnel in a VRF, kernel", tunnel_in_a_vrf, "kernel"),
    ("underlay in a VRF, userspace", underlay_in_a_vrf, "userspace"),
    ("underlay in a VRF, kernel", underlay_in_a_vrf, "kernel"),
    ("both in VRFs, userspace", both_in_vrfs, "userspace"),
    ("both in VRFs, kernel", both_in_vrfs, "kernel"),
    ("a VRF that comes later", vrf_that_comes_later),
)


def main():
    suite = Suite("ipsec vrf")
    for name, function, *args in CASES:
        suite.case(name, function, *args)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
