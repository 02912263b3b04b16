#!/usr/bin/env python3
"""What routes of routed-bridge may be: over several tunnels with weights, in tables, with an MTU,
to virtual IPs; with the real zebra, and in the kernel without it.
SEED=n takes another order of restarts, SEED=random any; in that of each run zebra 8.4 takes up a group
of nexthops again that the kernel has taken one from."""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bridge import PREFIX, PREFIX6, Site  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

PARALLEL = "".join(f"conn a-b{n}\n interface tun-ab{n}\n prefix {PREFIX}\n prefix {PREFIX6}\n{{{n}}}"
                   for n in (1, 2, 3))


def nexthops(site, prefix=PREFIX):
    """{device: weight} of the kernel's route. zebra since 10.1 scales weights to 254."""
    words = site.kernel(prefix).replace("\n", " ").split()
    found = {}
    for i, word in enumerate(words):
        if word == "dev":
            found[words[i + 1]] = 1
        elif word == "weight":
            found[words[i - 1]] = int(words[i + 1])
    least = min(found.values(), default=1)
    return {device: round(weight / least) for device, weight in found.items()}


def wait_nexthops(site, expected, prefixes=(PREFIX, PREFIX6)):
    for prefix in prefixes:
        until(f"{prefix} over {expected}", lambda p=prefix: nexthops(site, p) == expected)


def start_parallel(site, zebra):
    if zebra:
        site.start()
    else:
        site.start_without_zebra()
    for n in (1, 2, 3):
        site.tun(f"tun-ab{n}", f"10.9.{n}.0/31").up()
        site.vici.conn(f"a-b{n}", f"tun-ab{n}")
        site.vici.child_up(f"a-b{n}", 10 + n)


def parallel_tunnels(zebra):
    head = "" if zebra else "zebra no\n"
    plain = head + PARALLEL.format("", "", "", "")
    with Site("a", config=plain) as s:
        start_parallel(s, zebra)
        wait_nexthops(s, {"tun-ab1": 1, "tun-ab2": 1, "tun-ab3": 1})
        s.tuns["tun-ab2"].dormant()
        wait_nexthops(s, {"tun-ab1": 1, "tun-ab3": 1})
        s.vici.child_down(11)
        wait_nexthops(s, {"tun-ab3": 1})
        s.tuns["tun-ab2"].up()
        wait_nexthops(s, {"tun-ab2": 1, "tun-ab3": 1})
        s.reload(head + PARALLEL.format("", "", "", " weight 5\n"))
        s.wait_log("read again")
        wait_nexthops(s, {"tun-ab2": 1, "tun-ab3": 5})
        s.reload(head + PARALLEL.format("", "", "", " metric 5\n"))
        wait_nexthops(s, {"tun-ab2": 1})
        s.vici.child_down(12)
        wait_nexthops(s, {"tun-ab3": 1})
        if zebra:
            entry = s.frr.rib(PREFIX)[0]
            check_equal([hop["interfaceName"] for hop in entry["nexthops"]], ["tun-ab3"],
                        "zebra's nexthops")
        s.vici.child_down(13)
        until("all are down", lambda: not s.kernel() and not s.kernel(PREFIX6))


def parallel_tunnels_with_zebra():
    parallel_tunnels(True)


def parallel_tunnels_without_zebra():
    parallel_tunnels(False)


def table_of(site, number, prefix=PREFIX):
    family = "-6" if ":" in prefix else "-4"
    return site.ns.run("ip", family, "route", "show", "table", str(number), "exact", prefix,
                       check=False)


def routes_in_a_table(zebra):
    config = (("" if zebra else "zebra no\n") + f"table 1001\nmtu 1300\nconn a-b\n prefix {PREFIX}\n"
              f" prefix {PREFIX6}\nconn a-c\n prefix {PREFIX}\n table 254\n")
    with Site("a", config=config) as s:
        s.start() if zebra else s.start_without_zebra()
        s.tun("tun-ac", "10.9.0.2/31").up()
        s.vici.conn("a-c", "tun-ac")
        s.vici.child_up("a-c", 7)
        s.up()
        for prefix in (PREFIX, PREFIX6):
            until(f"{prefix} in table 1001",
                  lambda p=prefix: "dev tun-ab" in table_of(s, 1001, p), 10)
            check("mtu 1300" in table_of(s, 1001, prefix), table_of(s, 1001, prefix))
        until("the other one in the main table", lambda: "dev tun-ac" in s.kernel())
        s.wait_log("wanted 3, installed 3")
        s.vici.child_down(1)
        until("gone from table 1001", lambda: not table_of(s, 1001) and not table_of(s, 1001, PREFIX6))
        check("dev tun-ac" in s.kernel(), "the main table's stays")
        s.vici.child_up("a-b", 2)
        until("it is back", lambda: table_of(s, 1001))
        if zebra:
            s.stop_bridge(signal.SIGKILL)
            until("zebra takes all of a killed bridge's routes away",
                  lambda: not table_of(s, 1001) and not s.kernel())
        else:
            s.stop_bridge()
            check(not table_of(s, 1001) and not s.kernel(), "routes of a bridge that ended")


def routes_in_a_table_with_zebra():
    routes_in_a_table(True)


def routes_in_a_table_without_zebra():
    routes_in_a_table(False)


def virtual_ips():
    with Site("a", config="conn rw\n interface tun-ab\n vips yes\n tag 9\nconn other\n") as s:
        s.start()
        s.tuns["tun-ab"].up()
        s.vici.child_up("rw", 1, ike=1, vips=("10.99.0.1", "fd00:99::1"))
        s.vici.child_up("rw", 2, ike=2, vips=("10.99.0.2",))
        s.vici.child_up("other", 3, ike=3, vips=("10.99.0.3",))
        for prefix in ("10.99.0.1/32", "fd00:99::1/128", "10.99.0.2/32"):
            s.wait_installed(prefix)
        check_equal(s.frr.rib("10.99.0.2/32")[0]["tag"], 9, "tag")
        s.vici.child_down(1)
        s.wait_gone("10.99.0.1/32")
        s.wait_gone("fd00:99::1/128")
        check(s.installed("10.99.0.2/32"), "the other client's stays")
        check(not s.kernel("10.99.0.3/32"), "without 'vips yes' there is none")


def flaps_faster_than_zebra():
    """However fast the device comes and goes, in the end the kernel has what zebra says."""
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        flaps = (["down", "up"], ["state dormant", "state up"], ["down", "state dormant", "up", "state up"])
        for words in flaps:
            for repeat in (1, 2, 7):
                s.ns.batch([f"link set dev tun-ab {word}" for word in words] * repeat)
                s.wait_installed()
                s.wait_installed(PREFIX6)
        s.vici.child_down(1)
        s.wait_gone()


def device_under_another_name():
    """A tunnel device that is made anew with another one's index among several."""
    with Site("a", config=PARALLEL.format("", "", "", "")) as s:
        start_parallel(s, True)
        wait_nexthops(s, {"tun-ab1": 1, "tun-ab2": 1, "tun-ab3": 1})
        for _ in range(3):
            s.tuns["tun-ab2"].remove()
            s.tun("tun-ab2", "10.9.2.0/31").up()
            wait_nexthops(s, {"tun-ab1": 1, "tun-ab2": 1, "tun-ab3": 1})


def a_kept_group_of_nexthops():
    """zebra 8.4 keeps a group that nobody uses, the kernel takes the device that goes down from it,
    and zebra takes it up again as if it were whole. Each round breaks the groups of the ones before."""
    everywhere = {"tun-ab1": 1, "tun-ab2": 1, "tun-ab3": 1}
    with Site("a", config=PARALLEL.format("", "", "", "")) as s:
        start_parallel(s, True)
        wait_nexthops(s, everywhere)
        for n, child, again in ((1, 11, 21), (1, 21, 31), (2, 12, 22), (1, 31, 41)):
            s.vici.child_down(child)
            wait_nexthops(s, {device: 1 for device in everywhere if device != f"tun-ab{n}"})
            s.ns.batch([f"link set dev tun-ab{n} {word}" for word in ("down", "up")])
            s.vici.child_up(f"a-b{n}", again)
            wait_nexthops(s, everywhere)
        s.wait_log("wanted 2, installed 2, shadowed 0")


class Disorder:
    """Three parallel tunnels, and everything that can restart or flap does."""

    def __init__(self, site, zebra):
        self.site = site
        seed = os.environ.get("SEED", "1147265532")
        seed = random.randrange(1 << 32) if seed == "random" else int(seed)
        print(f"      SEED={seed}")
        self.rng = random.Random(seed)
        self.down = set()
        self.children = {n: 10 + n for n in (1, 2, 3)}
        self.last_id = 100
        self.parts = ("zebra", "bgpd", "vici", "bridge") if zebra else ("vici", "bridge")

    def toggle(self, part):
        site, sig = self.site, self.rng.choice((signal.SIGTERM, signal.SIGKILL))
        if part in self.down:
            self.down.remove(part)
            {"vici": site.vici.start, "bridge": site.start_bridge}.get(
                part, lambda: site.frr.start(part))()
        else:
            self.down.add(part)
            {"vici": site.vici.stop, "bridge": lambda: site.stop_bridge(sig)}.get(
                part, lambda: site.frr.stop(part, sig))()

    def child(self, n):
        if self.children[n]:
            self.site.vici.child_down(self.children[n])
            self.children[n] = None
        else:
            self.last_id += 1
            self.children[n] = self.last_id
            self.site.vici.child_up(f"a-b{n}", self.last_id)

    def device(self, n):
        tun = self.site.tuns[f"tun-ab{n}"]
        what = self.rng.randrange(4)
        if what == 0:
            tun.remove()
            self.site.tun(f"tun-ab{n}", f"10.9.{n}.0/31")
        elif what == 1:
            self.site.ns.batch([f"link set dev tun-ab{n} {word}" for word in ("down", "up")])
        else:
            (tun.up if what == 2 else tun.dormant)()

    def step(self):
        part = self.rng.choice((*self.parts, "child", "child", "device", "device"))
        if part in self.parts:
            self.toggle(part)
        else:
            getattr(self, part)(self.rng.choice((1, 2, 3)))
        time.sleep(self.rng.random() * 0.3)  # how far the others get is part of the order

    def end(self):
        for part in list(self.down):
            self.toggle(part)
        for n in (1, 2, 3):
            self.site.tuns[f"tun-ab{n}"].up()
        wanted = {f"tun-ab{n}": 1 for n, child in self.children.items() if child}
        for prefix in (PREFIX, PREFIX6):
            until(f"{prefix} over {wanted}",
                  lambda p=prefix: nexthops(self.site, p) == wanted, 20)


def any_order(zebra):
    config = ("" if zebra else "zebra no\n") + PARALLEL.format("", "", "", "")
    with Site("a", config=config) as s:
        start_parallel(s, zebra)
        if zebra:
            s.frr.configure("bgpd", "router bgp 65001\n address-family ipv4 unicast\n"
                            "  redistribute nhrp\n")
            s.frr.start("bgpd")
        disorder = Disorder(s, zebra)
        for _ in range(3):
            for _ in range(10):
                disorder.step()
            disorder.end()


def any_order_of_restarts_with_zebra():
    any_order(True)


def any_order_of_restarts_without_zebra():
    any_order(False)


CASES = (any_order_of_restarts_with_zebra, any_order_of_restarts_without_zebra, parallel_tunnels_with_zebra, parallel_tunnels_without_zebra, routes_in_a_table_with_zebra,
         routes_in_a_table_without_zebra, virtual_ips, flaps_faster_than_zebra,
         device_under_another_name, a_kept_group_of_nexthops)


def main():
    netns.remove_stale()
    suite = Suite("bridge routes")
    for case in CASES:
        suite.case(case.__name__.replace("_", " "), case)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
