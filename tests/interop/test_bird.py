#!/usr/bin/env python3
"""BIRD 2 instead of FRR: a triangle of sites with the configuration of docs/bird.md, BGP between
their own addresses over tunnels, whose routes routed-bridge writes into the kernel. A tunnel
that ends moves the traffic between A and B to the way over C and back."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bird import Bird  # noqa: E402
from tests.support.bridge import Site  # noqa: E402
from tests.support.fake_vici import FakeVici  # noqa: E402
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.pair import Pinging  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402

NUMBER = {"a": 1, "b": 2, "c": 3}


def documented_config():
    with open(os.path.join(ROOT, "docs/bird.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```\n(.*?)```", file.read(), re.S)
    return next(block for block in blocks if block.startswith("router id"))


def config_of(name):
    """Site A's, with A's numbers and this site's exchanged."""
    mine = NUMBER[name]
    swap = {"1": str(mine), str(mine): "1"}
    text = documented_config()
    for pattern in (r"(10\.255\.0\.)([1-3])\b", r"(as 6500)([1-3])"):
        text = re.sub(pattern, lambda m: m[1] + swap.get(m[2], m[2]), text)
    return text.replace(f"site_{name}", "site_a") if name != "a" else text


class BirdSite(Site):
    """A namespace with a bridge that writes to the kernel, and BIRD. Tunnels are cables: the
    kernel lets a DORMANT one pass packets, as ipsecd's devices do while a tunnel ends."""

    def __init__(self, name):
        self.name = name
        others = [other for other in "abc" if other != name]
        super().__init__(name, "zebra no\n" + "".join(
            f"conn {name}-{other}\n prefix 10.255.0.{NUMBER[other]}/32\n" for other in others))
        self.vici = FakeVici(self.vici_path)
        for other in others:
            self.vici.conn(f"{name}-{other}", f"tun-{name}{other}")
        self.bird = None
        mine = NUMBER[name]
        self.inner = f"10.{mine}.0.1"
        self.ns.sysctl("net.ipv4.ip_forward", 1)
        self.ns.batch([f"address add 10.255.0.{mine}/32 dev lo",
                       "link add name lan type bridge", "link set dev lan up",
                       f"address add {self.inner}/24 dev lan"])

    def run(self):
        self.start_bridge()
        self.bird = Bird(self.ns, self.dir, config_of(self.name))

    def __exit__(self, *exception):
        if self.bird:
            self.bird.stop()
        super().__exit__(*exception)

    def way(self, other):
        """The device towards another site's network, as the kernel has it."""
        match = re.search(r"dev (\S+)", self.kernel(f"10.{NUMBER[other]}.0.0/24"))
        return match[1] if match else None

    def tunnel(self, other, up):
        self.vici.link(f"{self.name}-{other}", up, "test")

    def device(self, other, *words):
        self.ns.ip("link", "set", "dev", f"tun-{self.name}{other}", *words)


def cable(x, y):
    netns.veth(x.ns, f"tun-{x.name}{y.name}", y.ns, f"tun-{y.name}{x.name}")
    for one, other in ((x, y), (y, x)):
        one.device(other.name, "mode", "dormant")
        one.device(other.name, "state", "up")
        one.vici.child_up(f"{one.name}-{other.name}", NUMBER[other.name])


def ways(a, b, device_a, device_b):
    until(f"A uses {device_a} and B {device_b}",
          lambda: (a.way("b"), b.way("a")) == (device_a, device_b), 20)


def start_triangle(a, b, c):
    for x, y in ((a, b), (a, c), (b, c)):
        cable(x, y)
    for site in (a, b, c):
        site.run()
    until("all sessions are established", lambda: a.bird.established("site_b", "site_c") and
          b.bird.established("site_a", "site_c"), 30)
    ways(a, b, "tun-ab", "tun-ba")
    # Until C has told of them, a tunnel that ends leaves nothing to move to.
    for site, other in ((a, "b"), (b, "a")):
        until(f"{site.name} knows the way over C", lambda site=site, other=other: site.bird.path(
            "site_c", f"10.{NUMBER[other]}.0.0/24"))
    until("C has its own ways", lambda: (c.way("a"), c.way("b")) == ("tun-ca", "tun-cb"))


def traffic_moves_over_the_third_site():
    with BirdSite("a") as a, BirdSite("b") as b, BirdSite("c") as c:
        start_triangle(a, b, c)
        check("proto 69" in a.kernel("10.255.0.2/32"), "the bridge's route")
        for what in ("announced", "dormant"):
            with Pinging(a.ns, a.inner, b.inner, "0.005") as pings:
                for one, other in ((a, "b"), (b, "a")):
                    if what == "announced":
                        one.tunnel(other, False)
                    else:
                        one.device(other, "state", "dormant")
                ways(a, b, "tun-ac", "tun-bc")
            pings.check_no_loss()
            print(f"      {what}: {pings.lost} of {pings.sent} pings lost")
            check(not a.kernel("10.255.0.2/32"), "the dead tunnel's route is gone")
            with Pinging(a.ns, a.inner, b.inner, "0.005") as pings:
                for one, other in ((a, "b"), (b, "a")):
                    if what == "announced":
                        one.tunnel(other, True)
                    else:
                        one.device(other, "state", "up")
                ways(a, b, "tun-ab", "tun-ba")
            pings.check_no_loss()


def a_killed_bridge_takes_nothing_away():
    with BirdSite("a") as a, BirdSite("b") as b, BirdSite("c") as c:
        start_triangle(a, b, c)
        with Pinging(a.ns, a.inner, b.inner, "0.005") as pings:
            a.stop_bridge(signal.SIGKILL)
            a.start_bridge()
            a.wait_log("wanted 2, installed 2", 2)
            check(a.way("b") == "tun-ab", "A's way")
        pings.check_no_loss()
        a.stop_bridge()
        ways(a, b, None, "tun-ba")


CASES = (traffic_moves_over_the_third_site, a_killed_bridge_takes_nothing_away)


def main():
    netns.remove_stale()
    suite = Suite("bird")
    for case in CASES:
        suite.case(case.__name__.replace("_", " "), case)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
