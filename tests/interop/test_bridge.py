#!/usr/bin/env python3
"""routed-bridge against the real zebra and bgpd of the machine's FRR (tests/support/bridge.py
tells what a site is made of). Each case builds its own site and takes it down.
SEED=n takes another order of restarts, SEED=random any."""
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bridge import CONFIG, PREFIX, PREFIX6, Site  # noqa: E402
from tests.support.fake_vici import FakeVici  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402


# ---- tunnels and routes ----

def add_on_up_withdraw_on_down():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.wait_installed(PREFIX6)
        entry = s.frr.rib(PREFIX)[0]
        check_equal((entry["distance"], entry["tag"]), (10, 65002), "distance and tag")
        check("warn" not in s.log(), "nothing to warn about")
        s.vici.child_down(1)
        s.wait_gone()
        s.wait_gone(PREFIX6)


def devices_are_described():
    """show interface names the peer and the state; an operator's alias is left alone."""
    def shown(site, name="tun-ab"):
        return site.frr.vty("zebra", f"show interface {name}")

    with Site("a") as s:
        s.start()
        s.vici.conn("a-c", "tun-ac")
        s.tun("tun-ac", "10.9.0.2/31").up()
        s.ns.ip("link", "set", "dev", "tun-ac", "alias", "to the branch")
        s.reload(CONFIG + "conn a-c\n")
        s.up()
        s.vici.child_up("a-c", 2)
        s.wait_installed()
        until("described as up", lambda: "OS Description: tunnel a-b to b.example (192.0.2.2): up"
              in shown(s))
        s.vici.child_down(1)
        s.tuns["tun-ab"].dormant()
        until("described as down", lambda: "(192.0.2.2): down, " in shown(s))
        check("down" in s.frr.vty("zebra", "show interface description"), "in the short list")
        check("to the branch" in s.ns.ip("link", "show", "tun-ac"), "an operator's alias")
        s.reload("describe no\n" + CONFIG)
        until("no longer described", lambda: "alias" not in s.ns.ip("link", "show", "tun-ab"))
        s.reload(CONFIG)
        until("described again", lambda: "tunnel a-b" in s.ns.ip("link", "show", "tun-ab"))
        s.reload(CONFIG.replace("conn a-b", "conn a-c"))
        until("not of a connection without a section",
              lambda: "alias" not in s.ns.ip("link", "show", "tun-ab"))
        s.reload(CONFIG)
        until("and again", lambda: "tunnel a-b" in s.ns.ip("link", "show", "tun-ab"))
        s.stop_bridge()
        until("no description is left", lambda: "alias" not in s.ns.ip("link", "show", "tun-ab"))


def needs_tunnel_and_interface():
    with Site("a") as s:
        s.start()
        s.vici.child_up("a-b", 1)
        s.wait_log("tunnel[a-b] up")
        check(s.gone(), "added while the interface was DORMANT")
        s.tuns["tun-ab"].up()
        s.wait_installed()
        s.vici.child_down(1)
        s.wait_gone()
        s.vici.child_up("a-b", 2)
        s.wait_installed()


def withdraw_before_dormant():
    """link-updown comes first; the device is UP until we set it down."""
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.vici.link("a-b", False, "operator")
        s.wait_gone()
        check("state UP" in s.ns.ip("link", "show", "tun-ab"), "the device is still UP")
        check("link-updown down: operator" in s.log(), "the log tells the daemon's reason")
        ups = s.log().count("INTERFACE_UP: tun-ab")
        s.tuns["tun-ab"].dormant()
        s.tuns["tun-ab"].up()
        s.wait_log("INTERFACE_UP: tun-ab", ups + 1)
        check(s.gone(), "the CHILD_SA is still there, but the daemon said that the link is down")
        s.vici.link("a-b", True)
        s.wait_installed()


def a_suspicion_is_told_and_changes_no_route():
    """What becomes of the routes that go over it is local repair's business."""
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.vici.suspect("a-b", False)
        s.wait_log("passes nothing (suspicion): ICMP: host unreachable")
        s.vici.suspect("a-b", True)
        s.wait_log("passes packets again (suspicion)")
        s.vici.suspect("a-b", False)
        s.wait_log("passes nothing (suspicion)", 2)
        check("ROUTE_DELETE" not in s.log(), "nothing was withdrawn")
        s.vici.child_down(1)
        s.wait_log("passes packets again (suspicion)", 2)
        s.wait_gone()


def interface_down_without_the_daemon():
    """zebra itself neither withdraws nor puts back a client's route."""
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        for down, up in ((("down",), ("up",)), (("state", "dormant"), ("state", "up"))):
            s.ns.ip("link", "set", "dev", "tun-ab", *down)
            s.wait_gone()
            s.ns.ip("link", "set", "dev", "tun-ab", *up)
            s.wait_installed()
            s.wait_installed(PREFIX6)


def rekeys_and_duplicates_touch_nothing():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.wait_installed(PREFIX6)
        with s.untouched():
            s.vici.child_rekey(1, 2)
            s.vici.child_up("a-b", 3, ike=2)
            s.vici.child_down(2)
            s.vici.event("child-updown", {"a-b": {"uniqueid": 1, "child-sas": {
                "net-99": {"name": "net", "uniqueid": 99, "state": "DELETING"}}}})
            s.vici.event("ike-updown", {"a-b": {"uniqueid": 1, "state": "DELETING"}})
            s.vici.event("ike-rekey", {"a-b": {"old": {"uniqueid": 2}, "new": {"uniqueid": 7}}})
            s.vici.children[3]["ike"] = 7
            s.vici.event("ike-updown", {"a-b": {"uniqueid": 2, "state": "DELETING"}})
            listings = s.vici.listings
            until("a check by list-sas", lambda: s.vici.listings > listings, 10)
        s.vici.event("ike-updown", {"a-b": {"uniqueid": 7, "state": "DELETING"}})
        s.wait_gone()


def selectors_type_table():
    with Site("a", config="type table 200\nconn a-*\n  selectors yes\n  tag 5\n  metric 30\n") as s:
        s.start()
        s.tuns["tun-ab"].up()
        s.vici.child_up("a-b", 1, ("0.0.0.0/0", "10.7.0.0/16", "10.8.0.9/32[tcp/80]", "10.0.0.1..10.0.0.9"))
        s.wait_installed("10.7.0.0/16", "table")
        s.wait_installed("10.8.0.9/32", "table")
        entry = s.frr.rib("10.7.0.0/16", "table")[0]
        check_equal((entry["instance"], entry["metric"], entry["tag"]), (200, 30, 5),
                    "instance, metric and tag")
        check(not s.kernel("0.0.0.0/0"), "a selector of everything made a default route")
        s.vici.child_up("a-b", 2, ("10.7.0.0/16",))
        s.vici.child_down(1)
        s.wait_gone("10.8.0.9/32", "table")
        check(s.installed("10.7.0.0/16", "table"), "the other CHILD_SA has this selector, too")


def two_tunnels_for_one_prefix():
    config = f"conn a-b\n prefix {PREFIX}\nconn a-b2\n prefix {PREFIX}\n metric 5\n"
    with Site("a", config=config) as s:
        s.start()
        s.tun("tun-ab2", "10.9.0.2/31").up()
        s.vici.conn("a-b2", "tun-ab2")
        s.vici.child_up("a-b2", 7)
        s.wait_installed()
        check("tun-ab2" in s.kernel(), "the only tunnel that is up has it")
        s.up()
        until("the better one has it", lambda: "dev tun-ab " in s.kernel() + " ")
        s.vici.child_down(1)
        until("the other one has it", lambda: "dev tun-ab2" in s.kernel())


def failed_install_is_retried():
    with Site("a") as s:
        s.start()
        s.ns.sysctl("net.ipv6.conf.tun-ab.disable_ipv6", 1)
        s.up()
        s.wait_installed()
        s.wait_log("FAIL_INSTALL")
        s.ns.sysctl("net.ipv6.conf.tun-ab.disable_ipv6", 0)
        s.wait_installed(PREFIX6, timeout=12)


def ifindex_reuse():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        index = s.ns.ip("-o", "link", "show", "tun-ab").split(":")[0]
        s.tuns["tun-ab"].remove()
        s.ns.ip("link", "add", "name", "other", "index", index, "type", "bridge")
        s.ns.ip("link", "set", "other", "up")
        s.wait_gone()
        s.ns.ip("link", "del", "other")
        s.tun("tun-ab", "10.9.0.0/31").up()
        s.wait_installed()


# ---- restarts ----

def foreign_signals():
    """Orders to open the log anew, which are FRR's."""
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        for sig in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXFSZ):
            s.bridge.kill(sig)
        s.vici.child_down(1)
        s.wait_gone()
        check(s.bridge.running(), "the bridge ended")


def zebra_restart():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        for sig in (signal.SIGTERM, signal.SIGKILL):
            s.frr.stop("zebra", sig)
            s.frr.start("zebra")
            s.wait_installed()
            s.wait_installed(PREFIX6)
        s.frr.stop("zebra", signal.SIGKILL)
        check(s.kernel(), "the kernel's route outlives zebra")
        s.vici.child_down(1)
        s.frr.start("zebra")
        s.wait_gone()


def bridge_end():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.stop_bridge()
        s.wait_gone()
        s.start_bridge()
        s.wait_installed()
        s.stop_bridge(signal.SIGKILL)
        s.wait_gone()
        s.start_bridge()
        s.wait_installed()


def daemon_restart():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        with s.untouched():
            s.vici.stop()
            s.wait_log("closed the connection")
            listings = s.vici.listings
            s.vici.start()
            until("it lists again", lambda: s.vici.listings > listings)
        s.vici.stop()
        s.vici.children.clear()
        s.vici.start()
        s.wait_gone()
        s.up(child=1)
        s.wait_installed()


def daemon_gone_for_good():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.vici.stop()
        s.wait_gone(timeout=15)
        s.vici.start()
        s.wait_installed()


class Disorder:
    """Everything that can restart does, in an order that the seed gives."""

    def __init__(self, site, rng):
        self.site = site
        self.rng = rng
        self.runs = {"zebra": True, "vici": True, "bridge": True}
        self.child = self.last_id = 1

    def toggle(self, part):
        site, sig = self.site, self.rng.choice((signal.SIGTERM, signal.SIGKILL))
        start = {"zebra": lambda: site.frr.start("zebra"), "vici": site.vici.start,
                 "bridge": site.start_bridge}
        stop = {"zebra": lambda: site.frr.stop("zebra", sig), "vici": site.vici.stop,
                "bridge": lambda: site.stop_bridge(sig)}
        (stop if self.runs[part] else start)[part]()
        self.runs[part] = not self.runs[part]

    def toggle_child(self):
        if self.child:
            self.site.vici.child_down(self.child)
            self.child = 0
        else:
            self.last_id += 1
            self.child = self.last_id
            self.site.vici.child_up("a-b", self.child)

    def rekey(self):
        if self.child:
            self.last_id += 1
            self.site.vici.child_rekey(self.child, self.last_id)
            self.child = self.last_id

    def step(self):
        what = self.rng.choice((*self.runs, "child", "link", "rekey"))
        if what in self.runs:
            self.toggle(what)
        elif what == "child":
            self.toggle_child()
        elif what == "rekey":
            self.rekey()
        else:
            self.rng.choice((self.site.tuns["tun-ab"].up, self.site.tuns["tun-ab"].dormant))()
        time.sleep(self.rng.random() * 0.3)  # how far the others get is part of the order

    def end(self):
        for part, running in self.runs.items():
            if not running:
                self.toggle(part)
        self.site.tuns["tun-ab"].up()


def any_order_of_restarts():
    seed = os.environ.get("SEED", "2277878925")
    seed = random.randrange(1 << 32) if seed == "random" else int(seed)
    print(f"      SEED={seed}")
    with Site("a") as s:
        s.start()
        s.up()
        disorder = Disorder(s, random.Random(seed))
        for _ in range(25):
            disorder.step()
        disorder.end()
        if disorder.child:
            s.wait_installed(timeout=10)
            s.wait_installed(PREFIX6)
            s.vici.child_down(disorder.child)
        s.wait_gone(timeout=10)
        s.vici.child_up("a-b", 1000)
        s.wait_installed()


# ---- FRR ----

BGP_A = """
route-map tunnels permit 10
 match tag 65002
router bgp 65001
 bgp router-id 10.99.0.1
 no bgp ebgp-requires-policy
 neighbor 10.99.0.2 remote-as 65003
 neighbor 10.99.0.2 timers 1 3
 neighbor 10.99.0.2 timers connect 1
 address-family ipv4 unicast
  redistribute nhrp route-map tunnels
"""
BGP_C = """
router bgp 65003
 bgp router-id 10.99.0.2
 no bgp ebgp-requires-policy
 neighbor 10.99.0.1 remote-as 65001
 neighbor 10.99.0.1 timers 1 3
 neighbor 10.99.0.1 timers connect 1
"""


def remote_has(site, prefix=PREFIX):
    return "proto bgp" in site.kernel(prefix)


def two_sites(a, c):
    """A with two tunnels and a bridge, C beyond a cable, BGP between them."""
    netns.veth(a.ns, "wan", c.ns, "wan")
    a.ns.address("wan", "10.99.0.1/30")
    c.ns.address("wan", "10.99.0.2/30")
    a.start()
    a.tun("tun-ad").up()
    a.vici.conn("a-d", "tun-ad")
    a.vici.child_up("a-d", 9)
    a.up()
    c.frr.start("zebra")
    for site, config in ((a, BGP_A), (c, BGP_C)):
        site.frr.configure("bgpd", config)
        site.frr.start("bgpd")


def passed_on(site, prefix=PREFIX):
    return "proto bgp" in site.kernel(prefix)


def timed(what, condition):
    start = time.monotonic()
    until(what, condition)
    print(f"      {what}: {(time.monotonic() - start) * 1000:.0f} ms")


def redistribute_reaches_the_other_bgpd():
    config = CONFIG + "conn a-d\n prefix 10.4.0.0/24\n tag 65004\n"
    with Site("a", config) as a, Site("c") as c:
        two_sites(a, c)
        until("C has A's route", lambda: passed_on(c), 20)
        a.wait_installed("10.4.0.0/24")
        check(not passed_on(c, "10.4.0.0/24"), "the route-map lets only the other tag through")
        a.vici.child_down(1)
        timed("C has lost A's route", lambda: not passed_on(c))
        a.vici.child_up("a-b", 2)
        timed("C has it again", lambda: passed_on(c))
        a.frr.stop("bgpd", signal.SIGKILL)
        timed("C has lost it with A's bgpd", lambda: not passed_on(c))
        a.frr.start("bgpd")
        until("C has it after A's bgpd restarted", lambda: passed_on(c), 20)
        a.stop_bridge(signal.SIGKILL)
        timed("C has lost it with A's bridge", lambda: not passed_on(c))


def nhrpd_is_warned_about():
    with Site("a") as s:
        s.frr.start("zebra")
        s.frr.start("nhrpd")
        s.vici = FakeVici(s.vici_path)
        s.start_bridge()
        s.wait_log("nhrpd runs")


def switched_off_link_detection_is_warned_about():
    with Site("a") as s:
        s.start()
        s.up()
        s.frr.configure_zebra("interface tun-ab", "no link-detect")
        until("zebra has done so", lambda: "line protocol detection is disabled" in
              s.frr.vty("zebra", "show interface tun-ab"))
        for change in ("down", "up"):  # zebra tells it beside the next change
            s.ns.ip("link", "set", "dev", "tun-ab", change)
        s.wait_log("tun-ab has 'no link-detect'")
        s.wait_installed()


def it_is_warned_about_when_the_tunnel_comes_later():
    """zebra tells of the device before the IKE daemon says whose it is."""
    with Site("a") as s:
        s.frr.start("zebra")
        s.vici = FakeVici(s.vici_path)
        s.tun("tun-ab", "10.9.0.0/31")
        s.frr.configure_zebra("interface tun-ab", "no link-detect")
        until("zebra has done so", lambda: "line protocol detection is disabled" in
              s.frr.vty("zebra", "show interface tun-ab"))
        for change in ("down", "up"):
            s.ns.ip("link", "set", "dev", "tun-ab", change)
        s.start_bridge()
        s.wait_log("INTERFACE_ADD: tun-ab")
        check("no link-detect" not in s.log(), "whose device it is was not known yet")
        s.vici.conn("a-b", "tun-ab")
        s.up()
        s.wait_log("tun-ab has 'no link-detect'")
        s.wait_installed()
        check_equal(s.log().count("tun-ab has 'no link-detect'"), 1, "said again")


def settings_that_defeat_failover_are_warned_about():
    """Each is said once, and once more when it is gone."""
    with Site("a") as s:
        s.frr.configure("bgpd", "no bgp ebgp-requires-policy\nrouter bgp 65001\n"
                        " neighbor 10.9.0.1 remote-as 65002\n neighbor 192.0.2.7 remote-as 65003\n"
                        " neighbor 10.9.0.1 ebgp-multihop 3\n no bgp fast-external-failover\n"
                        " address-family ipv4 unicast\n  redistribute nhrp\n")
        s.start()
        s.frr.start("bgpd")
        s.up()
        where = "router bgp 65001, neighbor 10.9.0.1 (tun-ab)"
        for text in (f"{where}: 'ebgp-multihop'", f"{where} has no 'bfd'",
                     f"{where} has no policy for either direction",
                     f"{where}: 'timers connect' is 120 s", "'redistribute nhrp' without",
                     "'no bgp fast-external-failover'"):
            s.wait_log(text, timeout=15)
        check("192.0.2.7" not in s.log(), "a neighbor that is not over a tunnel")
        s.frr.vty("bgpd", "configure terminal", "router bgp 65001",
                  "no neighbor 10.9.0.1 ebgp-multihop", "bgp fast-external-failover")
        s.reload(CONFIG + "conn other\n")
        s.wait_log("no longer so: router bgp 65001: 'no bgp fast", timeout=15)
        s.wait_log(f"no longer so: {where}: 'ebgp-multihop'")
        check_equal(s.log().count(f"{where} has no 'bfd'"), 1, "said again")


# ---- the program ----

def second_bridge_is_refused():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        other = subprocess.run(s.argv(), capture_output=True, text=True, timeout=10, check=False)
        check_equal(other.returncode, 1, "exit status of the second one")
        check(f"another routed-bridge has it, process {s.bridge.child.pid}" in other.stderr,
              other.stderr)
        check(s.installed(), "the first one goes on")


def reload_by_difference():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.wait_installed(PREFIX6)
        with s.untouched():
            s.reload(CONFIG + "conn unused\n prefix 10.5.0.0/24\n")
            s.wait_log("read again")
        with s.untouched():
            s.reload(f"nonsense\n{CONFIG}")
            s.wait_log("nothing is changed")
        check(re.search(r"bridge.conf:[4-9]:1: unknown keyword 'nonsense'", s.log()),
              "the error has its place")
        s.reload(f"conn a-b\n prefix {PREFIX}\n prefix 10.6.0.0/24\n tag 65002\n")
        s.wait_installed("10.6.0.0/24")
        s.wait_gone(PREFIX6)
        check(s.installed(), "what did not change is there")
        s.reload(f"conn a-b\n prefix {PREFIX}\n type table 9\n")
        s.wait_installed(PREFIX, "table")
        s.wait_gone("10.6.0.0/24")


def watch_moves_to_another_session():
    """zebra tells of all devices before it gives the router id, of which the bridge knows that it is
    all; what is told anew changes nothing."""
    kept = f"conn a-b\n type table 9\n prefix {PREFIX}\n"
    with Site("a", config="conn other\n type nhrp\n prefix 10.6.0.0/24\n" + kept) as s:
        s.start()
        s.up()
        s.wait_installed(PREFIX, "table")
        s.wait_log("all devices are told")
        told = s.log().split("all devices are told", maxsplit=1)[0]
        check("INTERFACE_ADD: lo " in told, f"the order: {told}")
        with s.untouched():
            s.reload(kept)
            s.wait_log("all devices are told", 2)
        check(s.installed(PREFIX, "table"), "it is there")


def daemon_without_our_extensions():
    """As strongSwan: no link-updown, no interface names."""
    config = f"conn tun-ab\n prefix {PREFIX}\nconn other\n interface tun-ab\n prefix 10.6.0.0/24\n"
    with Site("a", config=config, ours=False) as s:
        s.start()
        s.tuns["tun-ab"].up()
        s.vici.child_up("tun-ab", 1)
        s.vici.child_up("other", 2)
        s.wait_installed()
        s.wait_installed("10.6.0.0/24")
        check("has no event link-updown" in s.log(), "it is said once")
        s.vici.child_rekey(1, 3)
        s.vici.child_down(3)
        s.wait_gone()


CASES = (
    add_on_up_withdraw_on_down,
    needs_tunnel_and_interface, devices_are_described,
    withdraw_before_dormant,
    a_suspicion_is_told_and_changes_no_route,
    interface_down_without_the_daemon,
    rekeys_and_duplicates_touch_nothing,
    selectors_type_table,
    two_tunnels_for_one_prefix,
    failed_install_is_retried,
    ifindex_reuse,
    foreign_signals,
    zebra_restart,
    bridge_end,
    daemon_restart,
    daemon_gone_for_good,
    any_order_of_restarts,
    redistribute_reaches_the_other_bgpd,
    nhrpd_is_warned_about,
    switched_off_link_detection_is_warned_about,
    it_is_warned_about_when_the_tunnel_comes_later,
    settings_that_defeat_failover_are_warned_about,
    second_bridge_is_refused,
    reload_by_difference,
    watch_moves_to_another_session,
    daemon_without_our_extensions,
)


def main():
    netns.remove_stale()
    suite = Suite("bridge")
    for case in CASES:
        suite.case(case.__name__.replace("_", " "), case)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
