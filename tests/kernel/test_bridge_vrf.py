#!/usr/bin/env python3
"""Tunnel devices in VRFs: routes go into the VRF's table, follow a device that is moved, or stay in
the VRF that the file names; with the real zebra, and in the kernel without it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bridge import PREFIX, PREFIX6, Site  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402

PLAIN = f"conn a-b\n prefix {PREFIX}\n prefix {PREFIX6}\n"
NAMED = f"conn a-b\n vrf red\n prefix {PREFIX}\n"


def add_vrf(site, name, table):
    site.ns.batch([f"link add name {name} type vrf table {table}", f"link set dev {name} up"])


def table(site, number, prefix=PREFIX):
    family = "-6" if ":" in prefix else "-4"
    return site.ns.run("ip", family, "route", "show", "table", str(number), "exact", prefix,
                       check=False).strip()


def wait_table(site, number, prefixes=(PREFIX, PREFIX6), there=True):
    for prefix in prefixes:
        until(f"{prefix} {'' if there else 'not '}in table {number}",
              lambda p=prefix: ("dev tun-ab" in table(site, number, p)) == there, 30)


def enslave(site, master):
    words = ("master", master) if master else ("nomaster",)
    site.ns.ip("link", "set", "dev", "tun-ab", *words)


def start(site, zebra):
    add_vrf(site, "red", 1001)
    add_vrf(site, "blue", 1002)
    if zebra:
        site.start()
    else:
        site.start_without_zebra()


def device_in_a_vrf(zebra):
    with Site("a", config=("" if zebra else "zebra no\n") + PLAIN) as s:
        start(s, zebra)
        enslave(s, "red")
        s.up()
        wait_table(s, 1001)
        check(not table(s, 254), "nothing in the main table")
        s.wait_log("wanted 2, installed 2")
        for master, here, before in (("blue", 1002, 1001), (None, 254, 1002), ("red", 1001, 254)):
            enslave(s, master)
            wait_table(s, here)
            wait_table(s, before, there=False)
        s.tuns["tun-ab"].dormant()
        wait_table(s, 1001, there=False)
        s.tuns["tun-ab"].up()
        wait_table(s, 1001)
        s.vici.child_down(1)
        wait_table(s, 1001, there=False)
        if zebra:
            check(not s.frr.json("zebra", "show ip route vrf red nhrp json"), "zebra's VRF")


def several_devices_in_a_vrf():
    """zebra 8.4 takes up a group of nexthops again that the kernel has taken one from."""
    with Site("a", config=PLAIN + PLAIN.replace("a-b", "a-c")) as s:
        start(s, True)
        s.tun("tun-ac", "10.9.0.2/31").up()
        s.vici.conn("a-c", "tun-ac")
        for device in ("tun-ab", "tun-ac"):
            s.ns.ip("link", "set", "dev", device, "master", "red")
        s.up()
        s.vici.child_up("a-c", 7)
        wait_both(s)
        s.vici.child_down(7)
        until("one is left", lambda: "dev tun-ac" not in table(s, 1001) + table(s, 1001, PREFIX6), 30)
        s.ns.batch(["link set dev tun-ac down", "link set dev tun-ac up"])
        s.vici.child_up("a-c", 8)
        wait_both(s)


def wait_both(site):
    for prefix in (PREFIX, PREFIX6):
        until(f"{prefix} over both", lambda p=prefix: all(
            f"dev {device}" in table(site, 1001, p) for device in ("tun-ab", "tun-ac")), 30)


def device_in_a_vrf_with_zebra():
    device_in_a_vrf(True)


def device_in_a_vrf_without_zebra():
    device_in_a_vrf(False)


def routes_in_a_named_vrf(zebra):
    """The device is in the default VRF, the routes are in red's table, as soon as there is one."""
    with Site("a", config=("" if zebra else "zebra no\n") + NAMED) as s:
        if zebra:
            s.start()
        else:
            s.start_without_zebra()
        s.up()
        s.wait_log("tunnel[a-b] up", timeout=30)
        check(not table(s, 254), "not in the main table")
        add_vrf(s, "red", 1001)
        wait_table(s, 1001, (PREFIX,))
        s.ns.ip("link", "del", "red")
        wait_table(s, 1001, (PREFIX,), there=False)
        add_vrf(s, "red", 1003)
        wait_table(s, 1003, (PREFIX,))
        check(not table(s, 254), "not in the main table")


def routes_in_a_named_vrf_with_zebra():
    routes_in_a_named_vrf(True)


def routes_in_a_named_vrf_without_zebra():
    routes_in_a_named_vrf(False)


def restarts_with_a_vrf():
    with Site("a", config=PLAIN) as s:
        start(s, True)
        enslave(s, "red")
        s.up()
        wait_table(s, 1001)
        s.frr.stop("zebra")
        s.frr.start("zebra")
        wait_table(s, 1001)
        s.stop_bridge(9)
        wait_table(s, 1001, there=False)
        s.start_bridge()
        wait_table(s, 1001)


CASES = (device_in_a_vrf_with_zebra, device_in_a_vrf_without_zebra,
         routes_in_a_named_vrf_with_zebra, routes_in_a_named_vrf_without_zebra,
         restarts_with_a_vrf, several_devices_in_a_vrf)


def main():
    netns.remove_stale()
    suite = Suite("bridge vrf")
    for case in CASES:
        suite.case(case.__name__.replace("_", " "), case)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
