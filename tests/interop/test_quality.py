#!/usr/bin/env python3
"""Path quality against real zebra and bgpd: three sites with a tunnel between any two (cables
stand for them), measured in-band. A lossy A-B loses to a clean A-C-B before it dies: by the
route-map of docs/frr.md, which matches the prefix list that the bridge keeps in bgpd; the claims
of the tunnel get another metric and tag; a tunnel that does not answer is called dead. When it is
clean it is used again, once.
"""
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bridge import BINARY  # noqa: E402
from tests.support.fake_vici import FakeVici  # noqa: E402
from tests.support.frr import Frr  # noqa: E402
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import Daemon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

SITES = "abc"
LINKS = ("ab", "ac", "bc")
LIST = "TUNNELS-DEGRADED"
CONFIG = f"""
quality probe 20ms
quality loss 3% 2s
quality hold 3s
quality metric +50
quality tag 666
quality list {LIST}
"""


def documented():
    """The route-map that operators are told to paste."""
    with open(os.path.join(ROOT, "docs/frr.md"), encoding="utf-8") as file:
        return re.search(r"^```frr\n(route-map FROM-TUNNELS.*?)^```", file.read(), re.M | re.S)[1]


def lan(site):
    return f"10.{SITES.index(site) + 1}.0.0/24"


class Router:
    def __init__(self, folder, name):
        self.name = name
        self.dir = os.path.join(folder, name)
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        self.ns = netns.Namespace(f"quality-{name}")
        self.ns.sysctl("net.ipv4.ip_forward", 1)
        self.ns.address("lo", lan(name).replace(".0/24", ".1/24"))
        self.frr = Frr(self.ns, f"{self.dir}/frr")
        self.vici = self.bridge = None
        self.peers = {}  # tunnel -> the peer's address and site

    def bgp(self):
        number = SITES.index(self.name) + 1
        lines = [f"router bgp {65000 + number}", f" bgp router-id 10.0.0.{number}",
                 " no bgp ebgp-requires-policy"]
        family = [" address-family ipv4 unicast", f"  network {lan(self.name)}"]
        for peer, site in self.peers.values():
            lines += [f" neighbor {peer} remote-as {65001 + SITES.index(site)}",
                      f" neighbor {peer} timers 1 30", f" neighbor {peer} timers connect 1",
                      f" neighbor {peer} advertisement-interval 0"]
            family += [f"  neighbor {peer} route-map FROM-TUNNELS in",
                       f"  neighbor {peer} soft-reconfiguration inbound"]
        return "\n".join(lines + family + [" exit-address-family"]) + "\n" + documented()

    def start(self, config):
        self.frr.start("zebra")
        self.frr.configure("bgpd", self.bgp())
        self.frr.start("bgpd")
        self.vici = FakeVici(f"{self.dir}/vici")
        for number, link in enumerate(self.peers):
            self.vici.conn(link, f"tun-{link}")
            self.vici.child_up(link, number + 1)
            self.vici.link(link, True)
        self.configure(config)
        self.bridge = Daemon("routed-bridge", self.ns.argv(
            BINARY, "--config", f"{self.dir}/bridge.conf", "--foreground",
            "--log-level", "debug"), f"{self.dir}/bridge.log")

    def configure(self, config):
        with open(f"{self.dir}/bridge.conf", "w", encoding="utf-8") as file:
            file.write(f"vici {self.dir}/vici\nzserv {self.frr.zserv}\nvty-dir {self.frr.dir}\n"
                       f"{config}")
            for number, link in enumerate(self.peers):
                file.write(f"conn {link}\n interface tun-{link}\n tag 100\n"
                           f" prefix 10.99.{number}.0/24\n")

    def reload(self, config):
        self.configure(config)
        self.bridge.kill(signal.SIGHUP)

    def stop(self):
        if self.bridge:
            self.bridge.stop()
        self.frr.stop_all()
        if self.vici:
            self.vici.stop()
        self.ns.remove()

    # -- what is seen --

    def log(self):
        with open(f"{self.dir}/bridge.log", encoding="utf-8") as file:
            return file.read()

    def wait_log(self, text, times=1, timeout=10.0):
        until(f"'{text}' in {self.name}'s log", lambda: self.log().count(text) >= times, timeout)

    def changes(self, link):
        """The states of a tunnel, in order."""
        return re.findall(rf"\[{link}\] tun-{link} is (\w+)", self.log())

    def way(self, site):
        """The device by which the kernel reaches a site."""
        found = re.search(r"dev (\S+)", self.ns.ip("route", "get", lan(site)[:-4] + "1",
                                                   check=False))
        return found and found[1]

    def listed(self):
        text = self.frr.vty("bgpd", f"show ip prefix-list {LIST}")
        return set(re.findall(r"permit (\S+)/32", text))

    def claim(self, link):
        number = list(self.peers).index(link)
        entries = self.frr.rib(f"10.99.{number}.0/24")
        return (entries[0]["metric"], entries[0].get("tag")) if entries else None


class Lab:
    def __init__(self, config=CONFIG):
        self.dir = tempfile.mkdtemp(prefix="quality-")
        os.chmod(self.dir, 0o755)
        self.config = config
        self.routers = {}

    def __enter__(self):
        try:
            for name in SITES:
                self.routers[name] = Router(self.dir, name)
            for number, link in enumerate(LINKS):
                one, other = (self.routers[s] for s in link)
                netns.veth(one.ns, f"tun-{link}", other.ns, f"tun-{link}")
                for end, router in enumerate((one, other)):
                    router.ns.address(f"tun-{link}", f"10.255.{number}.{end}/31")
                    router.peers[link] = (f"10.255.{number}.{1 - end}", link[1 - end])
            for router in self.routers.values():
                router.start(self.config)
            a, b = self.routers["a"], self.routers["b"]
            until("A reaches B directly", lambda: a.way("b") == "tun-ab", 30)
            until("B reaches A directly", lambda: b.way("a") == "tun-ab", 30)
            until("A has the way by C, too", lambda: len(a.frr.json(
                "bgpd", f"show bgp ipv4 unicast {lan('b')} json").get("paths", ())) == 2, 30)
        except BaseException:
            self.__exit__(RuntimeError)
            raise
        return self

    def __exit__(self, kind, *_exception):
        for router in self.routers.values():
            if kind and router.bridge:
                print("\n".join(f"      {router.name}| {line}" for line in
                                router.log().splitlines()[-25:]))
            router.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def wait_good(self, link="ab"):
        for name in link:
            self.routers[name].wait_log(f"tun-{link} is good")

    @contextlib.contextmanager
    def lossy(self, link, percent):
        """Of what comes in at either end so many packets are lost."""
        ends = [self.routers[name] for name in link]
        part = f"numgen random mod 100 < {percent}" if percent < 100 else ""
        for router in ends:
            router.ns.nft("table inet loss {\nchain in { type filter hook prerouting "
                          f"priority -300; iifname \"tun-{link}\" {part} drop; }}\n}}\n")
        try:
            yield
        finally:
            for router in ends:
                router.ns.nft_clear()


def lossy_loses_to_clean():
    with Lab() as lab:
        a, b, c = (lab.routers[s] for s in SITES)
        lab.wait_good()
        check_equal(a.claim("ab"), (0, 100), "metric and tag of the claim")
        start = time.monotonic()
        with lab.lossy("ab", 10):
            until("A goes by C", lambda: a.way("b") == "tun-ac", 20)
            print(f"      A moved after {time.monotonic() - start:.1f} s")
            until("B goes by C", lambda: b.way("a") == "tun-bc", 20)
            print(f"      B moved after {time.monotonic() - start:.1f} s")
            check_equal(a.listed(), {"10.255.0.1"}, "A's list")
            check_equal(c.listed(), set(), "C's list")
            until("the claim has another metric and tag", lambda: a.claim("ab") == (50, 666))
            check_equal(a.claim("ac"), (0, 100), "that of the other tunnel")
            time.sleep(3)  # it may not change its mind while it is lossy
            check_equal((a.way("b"), b.way("a")), ("tun-ac", "tun-bc"), "still by C")
            check_equal(a.changes("ab"), ["good", "degraded"], "A's judgements")
        start = time.monotonic()
        until("A goes directly again", lambda: a.way("b") == "tun-ab", 30)
        print(f"      A moved back after {time.monotonic() - start:.1f} s")
        until("B goes directly again", lambda: b.way("a") == "tun-ab", 30)
        check(time.monotonic() - start >= 3, "the hold was kept")
        until("the lists are empty", lambda: not a.listed() and not b.listed())
        until("the claim is as it was", lambda: a.claim("ab") == (0, 100))
        check_equal(a.changes("ab"), ["good", "degraded", "good"], "A's judgements")
        check_equal(b.changes("ab"), ["good", "degraded", "good"], "B's judgements")


def silent_is_dead():
    """All answers are lost: repair is told, and told again when there are some."""
    with Lab() as lab:
        a = lab.routers["a"]
        lab.wait_good()
        with lab.lossy("ab", 100):
            a.wait_log("passes nothing (quality): no answer")
            until("A goes by C", lambda: a.way("b") == "tun-ac", 20)
        a.wait_log("passes packets again (quality)")
        until("A goes directly again", lambda: a.way("b") == "tun-ab", 40)


def down_is_no_loss():
    """A tunnel that is down is not measured; up again, it goes on as before. Nor is it the path's
    fault when the bridge itself does not run for a while."""
    with Lab() as lab:
        a = lab.routers["a"]
        lab.wait_good()
        a.vici.link("ab", False, "test")
        time.sleep(2)
        a.vici.link("ab", True)
        for _ in range(3):
            a.bridge.kill(signal.SIGSTOP)
            time.sleep(0.7)
            a.bridge.kill(signal.SIGCONT)
            time.sleep(0.7)
        check_equal(a.changes("ab"), ["good"], "A's judgements")


def bgpd_restarts():
    """It comes without the entries; they are there again soon. What is in the list and should
    not be goes when the bridge starts."""
    with Lab() as lab:
        a = lab.routers["a"]
        lab.wait_good()
        a.frr.vty("bgpd", "configure terminal", f"ip prefix-list {LIST} permit 10.255.1.1/32")
        until("a foreign entry goes", lambda: a.listed() == set(), 15)
        with lab.lossy("ab", 50):
            until("listed", lambda: a.listed() == {"10.255.0.1"}, 20)
            a.frr.stop("bgpd")
            a.frr.start("bgpd")
            until("listed again", lambda: a.listed() == {"10.255.0.1"}, 20)
            until("and used", lambda: a.way("b") == "tun-ac", 20)
            a.reload("")
            until("switched off: not listed", lambda: a.listed() == set(), 15)
            until("switched off: the claim is as it was", lambda: a.claim("ab") == (0, 100))


def off_by_default():
    """No packet is sent that nobody asked for."""
    with Lab(config="") as lab:
        a = lab.routers["a"]
        out = a.ns.run("nstat", "-az", "IcmpOutEchos")
        time.sleep(1)
        check_equal(a.ns.run("nstat", "-az", "IcmpOutEchos").split("\n")[1:], out.split("\n")[1:],
                    "echo requests")
        check("quality" not in a.log(), "the log does not speak of it")


def ipv6_link_local():
    """No IPv4 network of two: all nodes at the other end are asked, and one answers."""
    with Lab() as lab:
        a = lab.routers["a"]
        lab.wait_good()
        for router in lab.routers.values():
            router.reload("")
        for name in "ab":
            router = lab.routers[name]
            peer = router.peers["ab"][0]
            own = peer[:-1] + ("0" if peer.endswith("1") else "1")
            router.ns.ip("address", "del", f"{own}/31", "dev", "tun-ab")
        a.reload(CONFIG)
        a.wait_log("tun-ab is good", 2)
        with lab.lossy("ab", 50):
            until("its link-local address is listed", lambda: "permit fe80::" in a.frr.vty(
                "bgpd", f"show ipv6 prefix-list {LIST}"), 20)


CASES = (("a lossy path loses to a clean one, and is used again once", lossy_loses_to_clean),
         ("silent is dead", silent_is_dead), ("down is no loss", down_is_no_loss),
         ("bgpd restarts, foreign entries, switched off", bgpd_restarts),
         ("off by default", off_by_default), ("IPv6 link-local", ipv6_link_local))


def main():
    netns.remove_stale()
    suite = Suite("quality")
    for name, function in CASES:
        suite.case(name, function)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
