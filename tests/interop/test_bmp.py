#!/usr/bin/env python3
"""The table of paths against the real bgpd: what BMP tells, and what its vty answers, is what
`show bgp ... json` says; with IPv4, IPv6 and unnumbered (RFC 8950) peers, withdrawals, policy,
a peer that goes, a bgpd that is killed. Prints how soon a lost session is told."""
import fcntl
import ipaddress
import json
import os
import queue
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.frr import Frr  # noqa: E402
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import Daemon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

TABLE = os.environ.get("BMP_TABLE", os.path.join(ROOT, "build/bench/bmp_table"))
BRIDGE = os.environ.get("BRIDGE", os.path.join(ROOT, "build/bin/routed-bridge"))
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
OURS, BRIDGES = "127.0.0.1 port 17900", "127.0.0.1 port 17901"
COMMON = """
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 3 9
"""
CONFIG = {
    "a": f"""
router bgp 65001
 bgp router-id 1.1.1.1
{COMMON}
 neighbor 10.9.0.1 remote-as 65002
 neighbor 10.9.0.1 timers connect 1
 neighbor 2001:db8:ab::2 remote-as 65002
 neighbor 2001:db8:ab::2 timers connect 1
 neighbor ac interface remote-as 65003
 neighbor ac timers connect 1
 neighbor ac capability extended-nexthop
 bmp targets tests
  bmp connect {OURS} min-retry 100 max-retry 500
  bmp connect {BRIDGES} min-retry 100 max-retry 500
  bmp monitor ipv4 unicast post-policy
  bmp monitor ipv6 unicast post-policy
  bmp monitor ipv4 unicast pre-policy
 exit
 address-family ipv4 unicast
  network 10.1.0.0/24
  no neighbor 2001:db8:ab::2 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:1::/48
  neighbor 2001:db8:ab::2 activate
  neighbor ac activate
 exit-address-family
exit
ip prefix-list private seq 5 permit 10.66.0.0/16
route-map in deny 10
 match ip address prefix-list private
exit
route-map in permit 20
exit
""",
    "b": f"""
router bgp 65002
 bgp router-id 2.2.2.2
{COMMON}
 neighbor 10.9.0.0 remote-as 65001
 neighbor 2001:db8:ab::1 remote-as 65001
 neighbor 10.9.0.5 remote-as 65003
 neighbor 10.9.0.5 timers connect 1
 address-family ipv4 unicast
  network 10.2.0.0/24
  network 10.66.0.0/16
  no neighbor 2001:db8:ab::1 activate
  neighbor 10.9.0.0 route-map out out
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:2::/48
  neighbor 2001:db8:ab::1 activate
 exit-address-family
exit
route-map out permit 10
 set metric 42
 set as-path prepend 65002 70000
exit
""",
    "c": f"""
router bgp 65003
 bgp router-id 3.3.3.3
{COMMON}
 neighbor ca interface remote-as 65001
 neighbor ca capability extended-nexthop
 neighbor ca timers connect 1
 neighbor 10.9.0.4 remote-as 65002
 neighbor 10.9.0.4 timers connect 1
 address-family ipv4 unicast
  network 10.3.0.0/24
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:3::/48
  neighbor ca activate
 exit-address-family
exit
""",
}


class Table:
    """The program bmp_table in a namespace."""

    def __init__(self, namespace, vty_dir, log):
        check(os.path.exists(TABLE), f"no {TABLE}: make build/bench/bmp_table")
        self.log = open(log, "wb")
        self.process = subprocess.Popen(
            namespace.argv(TABLE, "127.0.0.1:17900", vty_dir), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.answers, self.events = queue.Queue(), queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        answer = []
        for line in self.process.stdout:
            if line == ".\n":
                self.answers.put(answer)
                answer = []
                continue
            value = json.loads(line)
            if "up" in value:
                self.events.put(value)
            else:
                answer.append(value)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answers.get(timeout=20)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(5)
        self.log.close()


def nexthops(entry):
    """Global and link-local next hop as bgpd's JSON has them."""
    found = [ipaddress.ip_address(hop["ip"]) for hop in entry["nexthops"]]
    return (next((str(a) for a in found if not a.is_link_local), None),
            next((str(a) for a in found if a.is_link_local), None))


class Net:
    """Three routers, a triangle; `a` is listened to."""

    def __init__(self):
        netns.remove_stale()
        self.dir = tempfile.mkdtemp(prefix="interop-bmp-")
        os.chmod(self.dir, 0o755)
        self.ns = {name: netns.Namespace(f"bmp-{name}") for name in CONFIG}
        self.frr = {name: Frr(ns, f"{self.dir}/{name}") for name, ns in self.ns.items()}
        self.table = self.bridge = None

    def __enter__(self):
        for one, other in ("ab", "ac", "bc"):
            netns.veth(self.ns[one], one + other, self.ns[other], other + one)
        self.ns["a"].address("ab", "10.9.0.0/31", "2001:db8:ab::1/64")
        self.ns["b"].address("ba", "10.9.0.1/31", "2001:db8:ab::2/64")
        self.ns["b"].address("bc", "10.9.0.4/31")
        self.ns["c"].address("cb", "10.9.0.5/31")
        self.frr["a"].modules = {"bgpd": "bmp"}
        for name, config in CONFIG.items():
            self.frr[name].configure("bgpd", config)
            self.frr[name].start("zebra")
            self.frr[name].start("bgpd")
        self.table = Table(self.ns["a"], self.frr["a"].dir, f"{self.dir}/table.log")
        return self

    def __exit__(self, kind, *_exception):
        if self.bridge:
            self.bridge.stop()
        if self.table:
            self.table.stop()
        if kind:
            with open(f"{self.dir}/table.log", encoding="utf-8") as log:
                print("".join(f"      table| {line}" for line in log.readlines()[-30:]))
        for frr in self.frr.values():
            frr.stop_all()
        for ns in self.ns.values():
            ns.remove()
        os.environ.get("INTEROP_KEEP") or shutil.rmtree(self.dir, ignore_errors=True)

    def vty(self, name, *commands):
        return self.frr[name].vty("bgpd", *commands)

    def configure(self, name, *commands):
        self.vty(name, "configure terminal", *commands, "end")

    def shown(self):
        """{(prefix, peer): (path, next hops, med, origin)} of valid paths, as bgpd shows them."""
        paths = {}
        for family in ("ipv4", "ipv6"):
            answer = self.frr["a"].json("bgpd", f"show bgp {family} unicast json")
            for prefix, entries in answer.get("routes", {}).items():
                for entry in entries:
                    if entry.get("valid") and entry["peerId"] != "(unspec)":
                        paths[prefix, entry["peerId"]] = (
                            [int(a) for a in entry["path"].split()], *nexthops(entry),
                            entry.get("metric"), entry["origin"])
        return paths

    def known(self, command):
        origins = ("IGP", "EGP", "incomplete")
        return {(p["prefix"], p["peer"]): (p["path"], p.get("nexthop"), p.get("nexthop_local"),
                                           p.get("med"), origins[p["origin"]])
                for p in self.table.ask(command)}

    def wait_equal(self, what, command="dump", timeout=20, having=None):
        def equal():
            shown = self.shown()
            return shown == self.known(command) and (having is None or having(shown))
        try:
            until(f"bgpd's paths in the table {what}", equal, timeout)
        except Exception as error:
            raise AssertionError(f"{error}: bgpd {self.shown()}, table {self.known(command)}, "
                                 f"{self.table.ask('count')}") from error
        return self.shown()


def complete(shown):
    """Each of the three networks of both others, over both where there are two ways."""
    prefixes = [prefix for prefix, _ in shown]
    return (prefixes.count("10.2.0.0/24") == 2 and prefixes.count("10.3.0.0/24") == 2 and
            "2001:db8:2::/48" in prefixes and "2001:db8:3::/48" in prefixes)


def holds_what_bgpd_shows(net):
    shown = net.wait_equal("at the beginning", having=complete, timeout=30)
    unnumbered = [hop for (prefix, peer), hop in shown.items()
                  if prefix == "10.2.0.0/24" and peer.startswith("fe80")]
    check(unnumbered and unnumbered[0][2].startswith("fe80"), f"no RFC 8950 path: {shown}")
    paths = {tuple(path[0]) for path in shown.values()}
    check((65002, 65002, 70000) in paths, f"no AS of four bytes: {paths}")
    check_equal({p["local_as"] for p in net.table.ask("dump")}, {65001}, "our AS")
    check({p["local"] for p in net.table.ask("dump")} >= {"10.9.0.0", "2001:db8:ab::1"},
          "our ends of the sessions")


def asked_over_the_vty(net):
    net.wait_equal("by questions", "ask")
    bmp = {(p["prefix"], p["peer"]): p for p in net.table.ask("dump")}
    for path in net.table.ask("ask"):
        check_equal(path, bmp[path["prefix"], path["peer"]], "the same by both")


def withdrawn_and_announced(net):
    net.configure("b", "router bgp 65002", "address-family ipv4 unicast",
                  "no network 10.2.0.0/24", "network 10.22.0.0/24")
    net.wait_equal("after a withdrawal", having=lambda shown: not any(
        prefix == "10.2.0.0/24" for prefix, _ in shown) and any(
            prefix == "10.22.0.0/24" for prefix, _ in shown))
    net.configure("b", "router bgp 65002", "address-family ipv4 unicast",
                  "network 10.2.0.0/24", "no network 10.22.0.0/24")
    net.wait_equal("after it came again", having=complete)


def policy_takes_and_gives(net):
    refused = "10.66.0.0/16"
    for verb in ("", "no "):
        net.configure("a", "router bgp 65001", "address-family ipv4 unicast",
                      f"{verb}neighbor 10.9.0.1 route-map in in")
        net.vty("a", "clear bgp ipv4 unicast 10.9.0.1 in")
        net.wait_equal("with the policy" if not verb else "without", having=lambda shown, verb=verb:
                       ((refused, "10.9.0.1") in shown) == bool(verb))


def drain(net):
    while not net.table.events.empty():
        net.table.events.get()


def set_down(namespace, device):
    """At once, and not when an `ip` has been started."""
    with netns.socket_of(namespace, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", device.encode(), 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", device.encode(), flags & ~1))


def lost_sessions_are_told_at_once(net):
    net.table.ask("watch")
    took = []
    for _ in range(5):
        drain(net)
        start = time.monotonic_ns()
        set_down(net.ns["a"], "ab")
        while True:
            event = net.table.events.get(timeout=5)
            if event["peer"] == "10.9.0.1" and not event["up"]:
                break
        took.append((event["at"] - start) / 1e6)
        check(event["reason"], "without a reason")
        net.wait_equal("after a peer went", having=lambda shown: not any(
            peer == "10.9.0.1" for _, peer in shown))
        net.ns["a"].ip("link", "set", "dev", "ab", "up")
        net.ns["a"].ip("address", "replace", "2001:db8:ab::1/64", "dev", "ab")
        net.wait_equal("after it came again", having=complete, timeout=40)
    print(f"      from the link's end to Peer Down: median "
          f"{statistics.median(took):.1f} ms, worst {max(took):.1f} ms")
    check(max(took) < 5000, f"{took}")


def reset_says_why(net):
    drain(net)
    net.vty("b", "clear bgp 10.9.0.0")
    while True:
        event = net.table.events.get(timeout=10)
        if event["peer"] == "10.9.0.1" and not event["up"]:
            break
    check("Cease, Administrative Reset" in event["reason"], event["reason"])
    net.wait_equal("after a reset", having=complete, timeout=40)


def killed_and_started(net):
    net.frr["a"].stop("bgpd", signal.SIGKILL)
    net.frr["a"].start("bgpd")
    net.wait_equal("after bgpd was killed", having=complete, timeout=40)


def without_anything_lost_nothing_changes(net):
    """The table is told again when bgpd is made to connect anew: no event, the same paths."""
    before = net.known("dump")
    drain(net)
    net.configure("a", "router bgp 65001", "bmp targets tests", f"no bmp connect {OURS} "
                  "min-retry 100 max-retry 500")
    net.configure("a", "router bgp 65001", "bmp targets tests", f"bmp connect {OURS} "
                  "min-retry 100 max-retry 500")
    until("told again", lambda: net.table.ask("count")[0]["synced"], 20)
    check_equal(net.known("dump"), before, "the table")
    check(net.table.events.empty(), "peers flickered")


def write_bridge_config(net, text):
    with open(f"{net.dir}/bridge.conf", "w", encoding="utf-8") as file:
        file.write(f"vici {net.dir}/no-vici\nzserv {net.frr['a'].zserv}\n"
                   f"vty-dir {net.frr['a'].dir}\nrepair yes\n{text}")


def start_bridge(net):
    net.bridge = Daemon("routed-bridge", net.ns["a"].argv(
        BRIDGE, "--config", f"{net.dir}/bridge.conf", "--foreground"), f"{net.dir}/bridge.log")


def the_bridge_by_bmp_then_by_questions(net):
    """`bmp` in its file, then bgpd without the connection, then a file without `bmp`."""
    write_bridge_config(net, "bmp 127.0.0.1:17901\n")
    start_bridge(net)
    net.bridge.wait_log("connected: FRRouting")
    line = net.bridge.wait_log("paths to", timeout=20)
    check("paths[bmp]" in line and "of 3 peers" in line, line)
    check("peer[10.9.0.1] up, AS 65002" in net.bridge.log(), "peers are said")
    mark = net.bridge.log_mark()
    net.configure("a", "router bgp 65001", "bmp targets tests", f"no bmp connect {BRIDGES} "
                  "min-retry 100 max-retry 500")
    line = net.bridge.wait_log("paths to", mark, 20)
    check("paths[vty]" in line and "of 3 peers" in line, line)
    check(" down: " not in net.bridge.log(mark), "nothing flickers when the source changes")
    write_bridge_config(net, "")
    net.bridge.kill(signal.SIGHUP)
    net.vty("b", "clear bgp 10.9.0.0")
    net.bridge.wait_log("peer[10.9.0.1] down: bgpd has no such session", mark, 20)
    net.bridge.wait_log("peer[10.9.0.1] up", mark, 40)


def strangers_are_refused(net):
    """Of users of this machine that are neither root nor bgpd's."""
    write_bridge_config(net, "bmp 127.0.0.1:17902\n")
    if net.bridge:
        net.bridge.kill(signal.SIGHUP)
    else:
        start_bridge(net)
    net.bridge.wait_log("17902] waiting for bgpd")
    code = ("import encodings.idna, os, socket; os.setuid(65534); "
            "s = socket.create_connection(('127.0.0.1', 17902)); s.settimeout(5); "
            "print(s.recv(1))")
    check_equal(net.ns["a"].run(sys.executable, "-c", code).strip(), "b''", "nobody's connection")
    net.bridge.wait_log("neither root's nor that of bgpd's user")


CASES = (holds_what_bgpd_shows, asked_over_the_vty, withdrawn_and_announced,
         policy_takes_and_gives, lost_sessions_are_told_at_once, reset_says_why,
         killed_and_started, without_anything_lost_nothing_changes,
         the_bridge_by_bmp_then_by_questions, strangers_are_refused)


def main():
    suite = Suite("bmp")
    with Net() as net:
        for case in CASES:
            suite.case(case.__name__.replace("_", " "), case, net)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
