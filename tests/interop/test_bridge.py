#!/usr/bin/env python3
"""routed-bridge against the real zebra and bgpd of the machine's FRR: one namespace per
site, TUN devices in the place of tunnels, a fake vici server in the place of the IKE
daemon. Each test builds its own site and takes it down. Run all, or those named."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.fake_vici import FakeVici  # noqa: E402
from tests.support.frr import Frr  # noqa: E402
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import Daemon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tun import Tun  # noqa: E402

BINARY = os.environ.get("BRIDGE", os.path.join(ROOT, "build/bin/routed-bridge"))
PREFIX = "10.2.0.0/24"
PREFIX6 = "2001:db8:2::/48"
CONFIG = f"""
conn a-b
    prefix {PREFIX}
    prefix {PREFIX6}
    tag 65002
"""


class Site:
    """A namespace with zebra, a fake IKE daemon and a bridge. `with Site("a") as site:`."""

    def __init__(self, role, config=CONFIG, ours=True):
        self.config = config
        self.ours = ours
        self.dir = tempfile.mkdtemp(prefix=f"bridge-{role}-")
        os.chmod(self.dir, 0o755)
        self.ns = netns.Namespace(f"bridge-{role}")
        self.frr = Frr(self.ns, f"{self.dir}/frr")
        self.vici = None
        self.tuns = {}
        self.bridge = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_exception):
        if kind and kind is not SystemExit:
            print("\n".join(f"      bridge| {line}" for line in self.log().splitlines()[-40:]))
        if self.bridge:
            self.bridge.stop()
        self.frr.stop_all()
        if self.vici:
            self.vici.stop()
        for tun in self.tuns.values():
            tun.remove()
        self.ns.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        self.frr.start("zebra")
        self.vici = FakeVici(f"{self.dir}/vici", self.ours)
        self.tun("tun-ab", "10.9.0.0/31")
        self.vici.conn("a-b", "tun-ab")
        self.start_bridge()
        return self

    def tun(self, name, *addresses):
        self.tuns[name] = Tun(self.ns, name, *addresses)
        return self.tuns[name]

    def write_config(self):
        with open(f"{self.dir}/bridge.conf", "w", encoding="utf-8") as file:
            file.write(f"vici {self.dir}/vici\nzserv {self.frr.zserv}\n"
                       f"vty-dir {self.frr.dir}\n{self.config}")

    def reload(self, config):
        self.config = config
        self.write_config()
        self.bridge.kill(signal.SIGHUP)

    def argv(self):
        return self.ns.argv(BINARY, "--config", f"{self.dir}/bridge.conf", "--foreground",
                            "--log-level", "debug")

    def start_bridge(self):
        self.write_config()
        self.bridge = Daemon("routed-bridge", self.argv(), f"{self.dir}/bridge.log")

    def stop_bridge(self, sig=signal.SIGTERM):
        bridge, self.bridge = self.bridge, None
        bridge.kill(sig)
        check_equal(bridge.stop(), 0 if sig == signal.SIGTERM else -sig, "status of the bridge")

    def log(self):
        with contextlib.suppress(OSError):
            with open(f"{self.dir}/bridge.log", encoding="utf-8") as file:
                return file.read()
        return ""

    def wait_log(self, text, times=1, timeout=5.0):
        until(f"'{text}' in the bridge's log", lambda: self.log().count(text) >= times, timeout)

    # -- what is seen --

    def kernel(self, prefix=PREFIX):
        family = "-6" if ":" in prefix else "-4"
        return self.ns.run("ip", family, "route", "show", "exact", prefix).strip()

    def installed(self, prefix=PREFIX, protocol="nhrp"):
        entries = self.frr.rib(prefix, protocol)
        return bool(entries) and entries[0].get("installed", False) and bool(self.kernel(prefix))

    def gone(self, prefix=PREFIX, protocol="nhrp"):
        return not self.frr.rib(prefix, protocol) and not self.kernel(prefix)

    def up(self, child=1):
        """As ipsecd brings a tunnel up."""
        self.tuns["tun-ab"].up()
        self.vici.child_up("a-b", child)
        self.vici.link("a-b", True)

    def wait_installed(self, prefix=PREFIX, protocol="nhrp", timeout=5):
        until(f"{prefix} installed", lambda: self.installed(prefix, protocol), timeout)

    def wait_gone(self, prefix=PREFIX, protocol="nhrp", timeout=5):
        until(f"{prefix} gone", lambda: self.gone(prefix, protocol), timeout)

    @contextlib.contextmanager
    def untouched(self):
        """The kernel's routes are not touched meanwhile."""
        monitor = subprocess.Popen(self.ns.argv("ip", "monitor", "route"),
                                   stdout=subprocess.PIPE, text=True)
        try:
            self.poke(monitor, "192.0.2.254")
            yield
            seen = [line for line in self.poke(monitor, "192.0.2.255")
                    if "192.0.2.254" not in line]
            check(not seen, f"routes were touched: {seen}")
        finally:
            monitor.kill()
            monitor.wait()
            monitor.stdout.close()

    def poke(self, monitor, address):
        """Adds and removes a route until the monitor shows it; returns what came before."""
        shown = threading.Event()

        def poke():
            while not shown.is_set():
                for verb in ("add", "del"):
                    self.ns.ip("route", verb, "blackhole", address, check=False)
                shown.wait(0.05)

        thread = threading.Thread(target=poke)
        thread.start()
        seen = []
        while address not in (line := monitor.stdout.readline()):
            seen.append(line)
        shown.set()
        thread.join()
        return seen


# ---- tunnels and routes ----

def add_on_up_withdraw_on_down():
    with Site("a") as s:
        s.start()
        s.up()
        s.wait_installed()
        s.wait_installed(PREFIX6)
        entry = s.frr.rib(PREFIX)[0]
        check_equal((entry["distance"], entry["tag"]), (10, 65002), "distance and tag")
        s.vici.child_down(1)
        s.wait_gone()
        s.wait_gone(PREFIX6)


def needs_tunnel_and_interface():
    with Site("a") as s:
        s.start()
        s.vici.child_up("a-b", 1)
        s.wait_log("CHILD_SA {1}")
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
        s.tuns["tun-ab"].dormant()
        s.tuns["tun-ab"].up()
        s.wait_log("INTERFACE_UP", 2)
        check(s.gone(), "the CHILD_SA is still there, but the daemon said that the link is down")
        s.vici.link("a-b", True)
        s.wait_installed()


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
        s.wait_gone(timeout=1)
        s.start_bridge()
        s.wait_installed()
        s.stop_bridge(signal.SIGKILL)
        s.wait_gone(timeout=1)
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
            s.vici.start()
            listings = s.vici.listings
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


def any_order_of_restarts():
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"    SEED={seed}")
    rng = random.Random(seed)
    with Site("a") as s:
        s.start()
        s.up()
        zebra, vici, bridge, child, ids = True, True, True, 1, 1
        for _ in range(25):
            step = rng.choice(("zebra", "vici", "bridge", "child", "link", "rekey"))
            if step == "zebra":
                if zebra:
                    s.frr.stop("zebra", rng.choice((signal.SIGTERM, signal.SIGKILL)))
                else:
                    s.frr.start("zebra")
                zebra = not zebra
            elif step == "vici":
                s.vici.stop() if vici else s.vici.start()
                vici = not vici
            elif step == "bridge":
                if bridge:
                    s.stop_bridge(rng.choice((signal.SIGTERM, signal.SIGKILL)))
                else:
                    s.start_bridge()
                bridge = not bridge
            elif step == "link":
                s.tuns["tun-ab"].state(rng.choice(("up", "dormant")))
            elif step == "child":
                if child:
                    s.vici.child_down(child)
                    child = 0
                else:
                    child = ids = ids + 1
                    s.vici.child_up("a-b", child)
            elif child:
                ids += 1
                s.vici.child_rekey(child, ids)
                child = ids
            time.sleep(rng.random() * 0.3)  # how far the others get is part of the order
        if not zebra:
            s.frr.start("zebra")
        if not vici:
            s.vici.start()
        if not bridge:
            s.start_bridge()
        s.tuns["tun-ab"].up()
        if child:
            s.wait_installed(timeout=10)
            s.wait_installed(PREFIX6)
            s.vici.child_down(child)
        s.wait_gone(timeout=10)
        s.vici.child_up("a-b", 1000)
        s.wait_installed()


# ---- FRR ----

BGP_A = """
ip prefix-list ours permit any
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


def redistribute_reaches_the_other_bgpd():
    config = CONFIG + "conn a-d\n prefix 10.4.0.0/24\n tag 65004\n"
    a = Site("a", config=config, stack=stack).start()
    c = Site("c", stack=stack)
    ip(a.ns, "link", "add", "name", "wan", "type", "veth", "peer", "name", "wan", "netns", c.ns)
    for site, address in ((a, "10.99.0.1/30"), (c, "10.99.0.2/30")):
        ip(site.ns, "address", "add", address, "dev", "wan")
        ip(site.ns, "link", "set", "wan", "up")
    a.tun("tun-ad").up()
    a.vici.conn("a-d", "tun-ad")
    a.vici.child_up("a-d", 9)
    a.up()
    c.frr.start("zebra")
    a.frr.configure("bgpd", BGP_A)
    c.frr.configure("bgpd", BGP_C)
    a.frr.start("bgpd")
    c.frr.start("bgpd")
    until("C has A's route", lambda: remote_has(c), 20)
    a.wait_installed("10.4.0.0/24")
    check(not remote_has(c, "10.4.0.0/24"), "the route-map's tag was not respected")
    start = time.monotonic()
    a.vici.child_down(1)
    until("C has lost A's route", lambda: not remote_has(c))
    print(f"    withdrawn at the other bgpd after {(time.monotonic() - start) * 1000:.0f} ms")
    a.vici.child_up("a-b", 2)
    until("C has it again", lambda: remote_has(c))
    a.frr.stop("bgpd", signal.SIGKILL)
    a.frr.start("bgpd")
    until("C has it after A's bgpd restarted", lambda: remote_has(c), 20)
    start = time.monotonic()
    a.stop_bridge(signal.SIGKILL)
    until("C has lost it with A's bridge", lambda: not remote_has(c))
    print(f"    gone there {(time.monotonic() - start) * 1000:.0f} ms after kill -9 of the bridge")


def fake_vty(path, text):
    """A zebra.vty that says another version."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(4)

    def serve():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            with sock:
                sock.recv(100)
                sock.sendall(text.encode() + b"\0\0\0\0")

    threading.Thread(target=serve, daemon=True).start()
    return server


def unknown_frr_is_refused():
    with Site("a") as s:
        s.frr.start("zebra")
        vty = f"{s.frr.dir}/zebra.vty"
        os.unlink(vty)
        server = fake_vty(vty, "FRRouting 10.4.1 (other) on Linux(6.1).\nCopyright\n")
        s.vici = FakeVici(f"{s.dir}/vici")
        s.start_bridge()
        s.wait_log("says FRR 10.4.1")
        line = next(l for l in s.log().splitlines() if "says FRR 10.4.1" in l)
        check("knows the zserv protocol of FRR 8.4" in line, line)
        until("it asks again", lambda: s.bridge.poll() is None)
        time_of_retries = time.monotonic() + 1.5
        until("it went on asking", lambda: time.monotonic() > time_of_retries, 3)
        check(s.log().count("says FRR 10.4.1") == 1, "said more than once")
        check("connected" not in s.log(), "no connection was made")
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def nhrpd_is_warned_about():
    with Site("a") as s:
        s.frr.start("zebra")
        s.frr.start("nhrpd")
        s.vici = FakeVici(f"{s.dir}/vici")
        s.start_bridge()
        s.wait_log("nhrpd runs")


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
        s.config = CONFIG + "conn unused\n prefix 10.5.0.0/24\n"
        s.write_config()
        with s.untouched():
            s.bridge.send_signal(signal.SIGHUP)
            s.wait_log("read again")
        s.config = f"nonsense\n{CONFIG}"
        s.write_config()
        with s.untouched():
            s.bridge.send_signal(signal.SIGHUP)
            s.wait_log("nothing is changed")
        check("bridge.conf:4:1: unknown keyword 'nonsense'" in s.log(), "the error has its place")
        s.reload(f"conn a-b\n prefix {PREFIX}\n prefix 10.6.0.0/24\n tag 65002\n")
        s.wait_installed("10.6.0.0/24")
        s.wait_gone(PREFIX6)
        check(s.installed(), "what did not change is there")
        s.reload(f"conn a-b\n prefix {PREFIX}\n type table 9\n")
        s.wait_installed(PREFIX, "table")
        s.wait_gone("10.6.0.0/24")


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


def main():
    wanted = sys.argv[1:]
    tests = {n: f for n, f in globals().items() if n.startswith("test_") and callable(f)}
    failed = []
    for name, test in tests.items():
        if wanted and name not in wanted:
            continue
        start = time.monotonic()
        try:
            with contextlib.ExitStack() as stack:
                test(stack)
            print(f"ok   {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            failed.append(name)
            print(f"FAIL {name}", flush=True)
    n = len(wanted) if wanted else len(tests)
    print(f"bridge: {n - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
