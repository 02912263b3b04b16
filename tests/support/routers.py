"""Routers at an internet: a namespace for each, with eth0 towards a namespace that forwards
between them and eth1 (a dummy) for the network behind the router."""
import os
import shutil
import tempfile
from dataclasses import dataclass

from . import netns
from .suite import check
from .pair import Pinging, answered


@dataclass(frozen=True)
class Site:
    name: str
    outer: str      # own address, /28
    gateway: str
    inner: str      # address on eth1, /28
    network: str    # behind eth1


class Internet:
    """`with Internet(sites) as net`: net.ns[name], net.middle; daemons that were given to
    add() are stopped behind the block."""

    def __init__(self, sites):
        self.sites = {site.name: site for site in sites}
        self.folder = tempfile.mkdtemp(prefix="interop-")
        os.chmod(self.folder, 0o755)
        self.ns = {}
        self.middle = None
        self.daemons = []

    def __enter__(self):
        netns.remove_stale()
        self.middle = netns.Namespace("internet")
        self.middle.sysctl("net.ipv4.ip_forward", 1)
        for site in self.sites.values():
            self._wire(site)
        return self

    def _wire(self, site):
        router = self.ns[site.name] = netns.Namespace(site.name)
        netns.veth(router, "eth0", self.middle, f"to-{site.name}")
        self.middle.address(f"to-{site.name}", f"{site.gateway}/28")
        router.batch([f"address add {site.outer}/28 dev eth0",
                      f"route add default via {site.gateway} dev eth0",
                      "link add name eth1 type dummy", "link set dev eth1 up",
                      f"address add {site.inner}/28 dev eth1"])
        router.sysctl("net.ipv4.ip_forward", 1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def add(self, daemon):
        self.daemons.append(daemon)
        return daemon

    def __exit__(self, *_exception):
        for daemon in reversed(self.daemons):
            daemon.stop()
        for namespace in [*self.ns.values(), self.middle]:
            namespace.remove()
        if not os.environ.get("INTEROP_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def cut(self, a, b, verb="add"):
        """Drops everything between two routers without a word; verb "del" heals that."""
        a, b = self.sites[a].outer, self.sites[b].outer
        for source, target in ((a, b), (b, a)):
            self.middle.ip("rule", verb, "from", source, "to", target, "blackhole")

    def heal(self, a, b):
        self.cut(a, b, "del")

    def pinging(self, a, b, interval="0.02"):
        return Pinging(self.ns[a], self.sites[a].inner, self.sites[b].inner, interval)

    def ping(self, a, b, count=3):
        output = self.ns[a].run("ping", "-n", "-c", str(count), "-i", "0.02", "-w", "5", "-I",
                                self.sites[a].inner, self.sites[b].inner, check=False)
        check(set(range(1, count + 1)) <= answered(output), f"ping {a} to {b}: {output.strip()}")

    def reaches(self, a, b):
        output = self.ns[a].run("ping", "-n", "-c", "1", "-W", "0.5", "-I", self.sites[a].inner,
                                self.sites[b].inner, check=False)
        return " 1 received" in output
