"""routed-bridge at one site: a namespace with the real zebra, TUN devices in the place of
tunnels, a fake vici server in the place of the IKE daemon."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from . import netns
from .fake_vici import FakeVici
from .frr import Frr
from .ipsecd import ROOT
from .poll import until
from .process import Daemon
from .suite import check
from .tun import Tun

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
    """A namespace with zebra, a fake IKE daemon and a bridge. `with Site("a") as site:`.

    With a peer (tests/support/peer.py) that daemon and its namespace take the place of
    the fake one's."""

    def __init__(self, role, config=CONFIG, ours=True, peer=None):
        self.config = config
        self.ours = ours
        self.peer = peer
        self.dir = tempfile.mkdtemp(prefix=f"bridge-{role}-")
        os.chmod(self.dir, 0o755)
        self.ns = peer.namespace if peer else netns.Namespace(f"bridge-{role}")
        self.vici_path = peer.socket_path if peer else f"{self.dir}/vici"
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
        if not self.peer:
            self.ns.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        self.frr.start("zebra")
        if not self.peer:
            self.vici = FakeVici(self.vici_path, self.ours)
            self.tun("tun-ab", "10.9.0.0/31")
            self.vici.conn("a-b", "tun-ab")
        self.start_bridge()
        return self

    def start_without_zebra(self):
        self.vici = FakeVici(self.vici_path, self.ours)
        self.tun("tun-ab", "10.9.0.0/31")
        self.vici.conn("a-b", "tun-ab")
        self.start_bridge()
        return self

    def tun(self, name, *addresses):
        self.tuns[name] = Tun(self.ns, name, *addresses)
        return self.tuns[name]

    def write_config(self):
        with open(f"{self.dir}/bridge.conf", "w", encoding="utf-8") as file:
            file.write(f"vici {self.vici_path}\nzserv {self.frr.zserv}\n"
                       f"vty-dir {self.frr.dir}\ncontrol {self.dir}/control\n{self.config}")

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
        status = bridge.stop()
        # A SIGTERM that comes before main() has set its handler just ends the process.
        check(status == -sig or (status == 0 and sig == signal.SIGTERM),
              f"status of the bridge after signal {sig}: {status}")

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
