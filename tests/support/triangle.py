"""Three sites, A, B and C, with a tunnel between any two, BGP over each and a bridge with
local repair at each. Cables stand for the tunnels: as on them, a device is DORMANT while
its tunnel is not usable, and passes packets nevertheless. A fake IKE daemon announces."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from . import netns
from .bridge import BINARY
from .fake_vici import FakeVici
from .frr import Frr
from .ipsecd import ROOT
from .poll import until
from .process import Daemon

PROBE = os.path.join(ROOT, "build/bin/lab-probe")
SITES = "abc"
LINKS = ("ab", "ac", "bc")


def lan(site):
    return f"10.{SITES.index(site) + 1}.0.0/24"


def lan6(site):
    return f"2001:db8:{SITES.index(site) + 1}::/48"


class Router:
    def __init__(self, triangle, name, bmp, config):
        self.name = name
        self.dir = f"{triangle.dir}/{name}"
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        self.config = config
        self.bmp = bmp
        self.ns = netns.Namespace(f"repair-{name}")
        self.host = netns.Namespace(f"repair-host-{name}")
        self.frr = Frr(self.ns, f"{self.dir}/frr")
        if bmp:
            self.frr.modules["bgpd"] = "bmp"
        self.vici = None
        self.bridge = None
        self.links = {}  # tunnel -> (own end, other end, other site)
        netns.veth(self.ns, "lan", self.host, "eth")
        net = lan(name)[:-4]
        self.ns.address("lan", f"{net}1/24", lan6(name).replace("::/48", "::1/64"))
        self.host.address("eth", f"{net}2/24")
        self.host.route("default", "via", f"{net}1")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.ns.sysctl(key, 1)

    # -- life --

    def bgp(self):
        number = SITES.index(self.name) + 1
        lines = [f"router bgp {65000 + number}", f" bgp router-id 10.0.0.{number}",
                 " no bgp ebgp-requires-policy", " no bgp default ipv4-unicast"]
        for _own, other, site in self.links.values():
            lines += [f" neighbor {a} remote-as {65001 + SITES.index(site)}"
                      for a in (other, v6(other))]
            lines += [f" neighbor {a} timers {rest}" for a in (other, v6(other))
                      for rest in ("1 3", "connect 1")]
        if self.bmp:
            lines += [" bmp targets bridge",
                      "  bmp connect 127.0.0.1 port 17900 min-retry 100 max-retry 500",
                      "  bmp monitor ipv4 unicast post-policy",
                      "  bmp monitor ipv6 unicast post-policy", " exit"]
        for family, net, of in (("ipv4", lan(self.name), str), ("ipv6", lan6(self.name), v6)):
            lines += [f" address-family {family} unicast", f"  network {net}"]
            lines += [f"  neighbor {of(other)} activate" for _own, other, _s in self.links.values()]
            lines += [" exit-address-family"]
        return "\n".join(lines) + "\n"

    def start(self):
        self.frr.configure("zebra", "zebra work-queue 0\nno ip nht resolve-via-default\n"
                           f"ipv6 route {lan6(self.name)} lan\n")
        self.frr.start("zebra")
        self.frr.configure("staticd", f"ipv6 route {lan6(self.name)} lan\n")
        self.frr.start("staticd")
        self.vici = FakeVici(f"{self.dir}/vici")
        for number, link in enumerate(self.links):
            self.vici.conn(link, f"tun-{link}")
            self.vici.child_up(link, number + 1)
            self.vici.link(link, True)
        self.start_bridge()
        self.frr.configure("bgpd", self.bgp())
        self.frr.start("bgpd")

    def start_bridge(self):
        with open(f"{self.dir}/bridge.conf", "w", encoding="utf-8") as file:
            file.write(f"vici {self.dir}/vici\nzserv {self.frr.zserv}\nvty-dir {self.frr.dir}\n"
                       f"control {self.dir}/control\nmetrics 127.0.0.1:9434\n")
            file.write("bmp 127.0.0.1:17900\n" if self.bmp else "")
            file.write(self.config)
            for link in self.links:
                file.write(f"conn {link}\n interface tun-{link}\n")
        self.bridge = Daemon("routed-bridge", self.ns.argv(
            BINARY, "--config", f"{self.dir}/bridge.conf", "--foreground",
            "--log-level", "debug"), f"{self.dir}/bridge.log")

    def stop(self):
        if self.bridge:
            self.bridge.stop()
        self.frr.stop_all()
        if self.vici:
            self.vici.stop()
        self.host.remove()
        self.ns.remove()

    # -- what happens --

    def announce(self, link, up, reason="test"):
        self.vici.link(link, up, reason)

    def state(self, link, state):
        self.ns.ip("link", "set", "dev", f"tun-{link}", "state", state)

    # -- what is seen --

    def log(self):
        return self.bridge.log() if self.bridge else ""

    def status(self):
        return json.loads(self.ns.run(BINARY, "--status", "--json", "--control",
                                      f"{self.dir}/control"))

    def wait_log(self, text, times=1, timeout=10):
        until(f"'{text}' in the log of {self.name}'s bridge",
              lambda: self.log().count(text) >= times, timeout)

    def kernel(self, prefix):
        """(device, protocol) of the kernel's route; None without one."""
        family = "-6" if ":" in prefix else "-4"
        for route in json.loads(self.ns.run("ip", family, "-j", "route", "show", "exact", prefix)):
            return route.get("dev"), route.get("protocol")
        return None

    def over(self, prefix, link, protocol="bgp"):
        return self.kernel(prefix) == (f"tun-{link}", protocol)

    def wait_over(self, prefix, link, protocol="bgp", timeout=20):
        until(f"{self.name} has {prefix} over {link} by {protocol}",
              lambda: self.over(prefix, link, protocol), timeout)

    def repaired(self):
        """Prefixes that zebra has a repair for."""
        return {prefix for family in ("ip", "ipv6") for prefix, entries in self.frr.json(
            "zebra", f"show {family} route table json").items()
            if any(e.get("instance") == 247 for e in entries)}

    def wait_no_repair(self, timeout=10):
        until(f"{self.name} has no repairs", lambda: not self.repaired(), timeout)


def v6(address):
    """The IPv6 address that goes with an end of a tunnel: 10.255.3.1 -> fd00:3::1."""
    part = address.split(".")
    return f"fd00:{part[2]}::{int(part[3]) + 1}"


class Monitor:
    """The kernel's routes as they change: [(seconds since the epoch, line)]."""

    def __init__(self, router):
        self.router = router
        self.child = subprocess.Popen(router.ns.argv("ip", "-ts", "-4", "monitor", "route"),
                                      stdout=subprocess.PIPE)
        os.set_blocking(self.child.stdout.fileno(), False)
        self.rest = b""
        self.lines = []
        until("the monitor is there", self.poke)

    def poke(self):
        for verb in ("add", "del"):
            self.router.ns.ip("route", verb, "blackhole", "192.0.2.254", check=False)
        return any("192.0.2.254" in line for _at, line in self.read())

    def read(self):
        *lines, self.rest = (self.rest + (self.child.stdout.read() or b"")).split(b"\n")
        for line in map(bytes.decode, lines):
            match = re.match(r"\[(.+?)\.(\d+)\] (.*)", line)
            if match:
                at = time.mktime(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
                self.lines.append((at + float(f"0.{match[2]}"), match[3]))
        return self.lines

    def first(self, prefix, *words):
        """When the prefix first had a route with these words; None."""
        wanted = prefix.split("/")[0]
        for at, line in self.read():
            if wanted in line and not line.startswith("Deleted") and all(
                    word in line for word in words):
                return at
        return None

    def stop(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


class Triangle:
    def __init__(self, bmp=True, config="repair yes\n"):
        self.dir = tempfile.mkdtemp(prefix="repair-")
        os.chmod(self.dir, 0o755)
        self.routers = {}
        self.echo = None
        try:
            for name in SITES:
                self.routers[name] = Router(self, name, bmp, config)
            for number, link in enumerate(LINKS):
                self.cable(number, link)
            for router in self.routers.values():
                router.start()
        except BaseException:
            self.stop()
            raise

    def cable(self, number, link):
        a, b = (self.routers[end] for end in link)
        netns.veth(a.ns, f"tun-{link}", b.ns, f"tun-{link}")
        for end, (router, other) in enumerate(((a, b), (b, a))):
            own, far = f"10.255.{number}.{end}", f"10.255.{number}.{1 - end}"
            router.ns.address(f"tun-{link}", f"{own}/31", f"{v6(own)}/64")
            router.ns.ip("link", "set", "dev", f"tun-{link}", "mode", "dormant", "state", "up")
            router.links[link] = (own, far, other.name)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_exception):
        if kind and kind is not SystemExit:
            for router in self.routers.values():
                print("\n".join(f"      {router.name}| {line}"
                                for line in router.log().splitlines()[-30:]))
        self.stop()

    def stop(self):
        if self.echo:
            self.echo.stop()
        for router in self.routers.values():
            router.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def sites(self):
        return (self.routers[name] for name in SITES)

    def wait_converged(self):
        """Everyone reaches everyone over the direct tunnel, and knows a way around."""
        for link in LINKS:
            for site, other in (link, link[::-1]):
                for net in (lan(other), lan6(other)):
                    self.routers[site].wait_over(net, link, timeout=30)
        for router in self.routers.values():
            until(f"{router.name}'s bridge knows the ways around",
                  lambda r=router: self.knows_paths(r), 20)

    def knows_paths(self, router):
        """Each other site's two networks from both neighbours: bgpd, and the bridge of both
        families."""
        try:
            known = router.status()["paths"]["paths"]
        except RuntimeError:  # the bridge has only just begun
            return False
        table = router.frr.json("bgpd", "show bgp ipv4 unicast json").get("routes", {})
        return known == 8 and all(
            len(table.get(lan(site), [])) == 2 for site in SITES if site != router.name)

    def announce(self, link, up):
        for end in link:
            self.routers[end].announce(link, up)

    def state(self, link, state):
        for end in link:
            self.routers[end].state(link, state)

    def cut(self, link):
        """Nothing passes any more; the devices stay as they are."""
        for end in link:
            self.routers[end].ns.nft(
                f"table inet cut {{ chain in {{ type filter hook prerouting priority -300; "
                f"iifname \"tun-{link}\" drop; }}; chain out {{ type filter hook postrouting "
                f"priority -300; oifname \"tun-{link}\" drop; }}; }}")

    def mend(self, link):
        for end in link:
            self.routers[end].ns.nft_clear()

    @contextlib.contextmanager
    def probe(self, source="a", target="b", rate=500):
        """Datagrams from host to host; yields a dict that has lost, sent, gap_ms afterwards."""
        address = lan(target)[:-4] + "2"
        if not self.echo:
            self.echo = Daemon("echo", self.routers[target].host.argv(PROBE, "echo", address, "7"),
                               f"{self.dir}/echo.log")
            until("the echo is there", lambda: ":0007 " in self.routers[target].host.run(
                "cat", "/proc/net/udp"))
        sender = subprocess.Popen(
            self.routers[source].host.argv(PROBE, "send", address, "7", str(rate)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        result = {}
        try:
            sender.stdout.readline()
            yield result
        finally:
            sender.stdin.close()
            result.update(json.loads(sender.stdout.read() or "{}"))
            sender.wait()
            sender.stdout.close()
