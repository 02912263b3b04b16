"""What is measured side by side: pairs of network namespaces with a cable, and a tunnel of
one kind through each. Traffic goes from the first to the second.

    172.16.1.1 eth0 ==== cable ==== eth0 172.16.2.1     outside
    10.1.1.1   ============ tunnel ========== 10.2.1.1     inside
"""
import os
import re
import shutil

from tests.support import netns, strongswan
from tests.support.ipsecd import ROOT, Ipsecd
from tests.support.poll import until
from tests.support.process import Daemon, children
from tests.support.tunnel import change, tunnel

PROGRAMS = os.path.join(ROOT, "build/bench")
OFFLOADS = ("gso", "tso", "tx-udp-segmentation")
DEVICE = "tun1"
MTU = "1420"  # of tunnels that leave it to us


class Rig:
    """Two namespaces and a cable. Its subclasses put a tunnel through it: start() begins their
    daemons, `daemons` are these."""

    name = label = ""
    tunnelled = True
    by_default = True

    def __init__(self, folder):
        self.folder = os.path.join(folder, self.name)
        self.daemons = []
        self.spaces = []
        self.ends = tunnel("bench", 1)
        os.makedirs(self.folder)

    def lay_cable(self):
        self.spaces = [netns.Namespace(f"{self.name}-{side}") for side in "ab"]
        netns.veth(self.spaces[0], "eth0", self.spaces[1], "eth0")
        for space, end in zip(self.spaces, self.ends):
            space.address("eth0", end.local + "/16")

    @property
    def source(self):
        return self.ends[0].inside[0].split("/")[0]

    @property
    def target(self):
        return self.ends[1].inside[0].split("/")[0]

    def up(self):
        """Lays the cable, starts the daemons, waits until packets pass."""
        self.lay_cable()
        self.start()
        until(f"{self.label}: a ping passes", self.passes, 20)

    def start(self):
        """The tunnel."""

    def passes(self):
        for daemon in self.daemons:
            if not daemon.running():
                raise RuntimeError(f"{daemon.name} ended: {daemon.log()[-300:]}")
        return " 1 received" in self.spaces[0].run(
            "ping", "-c", "1", "-W", "1", "-I", self.source, self.target, check=False)

    def offloads(self, on):
        """Of the cable: whether segments cross it uncut."""
        words = [word for name in OFFLOADS for word in (name, "on" if on else "off")]
        for space in self.spaces:
            space.run("ethtool", "-K", "eth0", *words)

    def remove(self):
        for daemon in self.daemons:
            daemon.stop()
        for space in self.spaces:
            space.remove()

    # -- for daemons that are no support class --

    def path(self, name):
        return os.path.join(self.folder, name)

    def launch(self, side, *argv):
        self.daemons.append(Daemon(f"{self.label} {'ab'[side]}", self.spaces[side].argv(*argv),
                                   self.path(f"log-{'ab'[side]}")))

    def address_device(self, side):
        """Addresses of the tunnel's device, once it is there."""
        space, end, peer = self.spaces[side], self.ends[side], self.ends[1 - side]
        until(f"{self.label}: a device", lambda: DEVICE in space.links())
        space.ip("address", "add", end.inside[0].split("/")[0], "peer",
                 peer.inside[0].split("/")[0], "dev", DEVICE)
        space.ip("link", "set", DEVICE, "mtu", MTU, "up")

    # -- what it costs --

    def pids(self):
        """The processes of each daemon: it, and all that it has started."""
        return [family(daemon.child.pid) for daemon in self.daemons]

    def cpu(self):
        """Seconds of each daemon's threads, first and second, by the kernel's accounting."""
        return [sum(map(cpu_of, pids)) for pids in self.pids()]


class Veth(Rig):
    name, label, tunnelled = "veth", "veth", False

    @property
    def source(self):
        return self.ends[0].local

    @property
    def target(self):
        return self.ends[1].local


class Bare(Rig):
    """tests/bench/bare_tunnel.c: no VPN, the least that a tunnel costs."""

    mode = ""

    def start(self):
        for side, (end, peer) in enumerate(zip(self.ends, self.ends[::-1])):
            self.launch(side, f"{PROGRAMS}/bare_tunnel", DEVICE, end.local, peer.local, "7000", self.mode)
            self.address_device(side)


class BareOffload(Bare):
    name, label, mode = "bare_offload", "bare, offloads", "offload"


class BareOne(Bare):
    name, label, mode = "bare_one", "bare, one a call", "one"


def quiet_ipsecd(space, folder):
    return Ipsecd(space, folder, ("--log-level", "warn"))


class QuietCharon(strongswan.Charon):
    """With the plugins that Debian's packages load by themselves, and no log."""

    def __init__(self, namespace, folder):
        super().__init__(namespace, folder)
        with open(self.path("strongswan.conf"), encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"load = random nonce.*", "load_modular = yes", text, count=1)
        text = text.replace("plugins {", "plugins {\n        include /etc/strongswan.d/charon/*.conf\n"
                            "        kernel-libipsec {\n            load = yes\n        }\n"
                            "        bypass-lan {\n            load = no\n        }", 1)
        self.write("strongswan.conf", re.sub(r"(default|ike|cfg) = \d", r"\1 = -1", text))


class Peers(Rig):
    """Two daemons of tests/support, configured by an End each."""

    make = None

    def start(self):
        self.peers = [self.make(space, self.path(side)) for space, side in zip(self.spaces, "ab")]
        for peer, end in reversed(list(zip(self.peers, self.ends))):
            peer.start([end])
            self.daemons.insert(0, peer.daemon)
        self.peers[0].initiate(self.ends[0].name)


class Ours(Peers):
    name, label = "ipsecd", "ipsecd"
    make = staticmethod(quiet_ipsecd)

    def planes(self):
        """The process that carries packets, of each gateway."""
        return [peer.role("plane") for peer in self.peers]


class OursBare(Ours):
    """The same with bare ESP: only where it is asked for."""

    name, label = "ipsecd_bare", "ipsecd, bare ESP"
    by_default = False

    def start(self):
        self.ends = [change(end, extra=("encapsulation=no",)) for end in self.ends]
        super().start()


class OursWorkers(Ours):
    """The same with two threads for packets: only where it is asked for."""

    name, label = "ipsecd_workers", "ipsecd, 2 workers"
    by_default = False

    @staticmethod
    def make(space, folder):
        peer = quiet_ipsecd(space, folder)
        peer.setup = "workers=2"
        return peer


class StrongSwan(Peers):
    name, label = "strongswan", "strongSwan"
    make = QuietCharon

    def start(self):
        need("charon-systemd", "strongswan")
        need("swanctl", "strongswan")
        super().start()


class OpenVpn(Rig):
    """Peer to peer, TLS, each knows the other's certificate; its data channel in userspace."""

    name, label = "openvpn", "OpenVPN"

    def certificate(self, side):
        netns.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                  "-nodes", "-days", "2", "-subj", f"/CN={side}", "-keyout", self.path(f"{side}.key"),
                  "-out", self.path(f"{side}.crt"))
        text = netns.run("openssl", "x509", "-in", self.path(f"{side}.crt"), "-noout",
                         "-fingerprint", "-sha256")
        return text.split("=")[1].strip()

    def start(self):
        prints = [self.certificate(side) for side in "ab"]
        roles = (["--tls-client"], ["--tls-server", "--dh", "none"])
        for side, (end, peer) in enumerate(zip(self.ends, self.ends[::-1])):
            name = "ab"[side]
            self.launch(side, need("openvpn", "openvpn"), "--dev", DEVICE, "--dev-type", "tun", "--proto", "udp",
                        "--local", end.local, "--remote", peer.local, "--port", "1194",
                        "--ifconfig", end.inside[0].split("/")[0], peer.inside[0].split("/")[0],
                        "--cert", self.path(f"{name}.crt"), "--key", self.path(f"{name}.key"),
                        "--peer-fingerprint", prints[1 - side], "--data-ciphers", "AES-128-GCM",
                        "--cipher", "AES-128-GCM", "--disable-dco", "--sndbuf", "4000000",
                        "--rcvbuf", "4000000", "--txqueuelen", "1000", *roles[side])


class WireGuard(Rig):
    """A wireguard-go; ChaCha20-Poly1305, it has no AES."""

    name, label, binary = "wireguard_go", "wireguard-go", "wireguard-go"

    def start(self):
        binary = need(self.binary, "wireguard-go")
        keys = [netns.run(need("wg", "wireguard-go"), "genkey").strip() for _ in self.ends]
        public = [netns.run("wg", "pubkey", stdin=key).strip() for key in keys]
        for side, (end, peer) in enumerate(zip(self.ends, self.ends[::-1])):
            with open(self.path(f"key-{side}"), "w", encoding="ascii", opener=private) as file:
                file.write(keys[side])
            # Its control socket is in a /run of its own, where nobody else's has the same name.
            self.launch(side, "sh", "-c", f"mount -t tmpfs run /run && exec {binary} -f {DEVICE}")
            until(f"{self.label}: a device", lambda s=side: DEVICE in self.spaces[s].links())
            netns.run("nsenter", "-m", "-n", "-t", str(self.daemons[side].child.pid),
                      "wg", "set", DEVICE, "private-key", self.path(f"key-{side}"),
                      "listen-port", "51820", "peer", public[1 - side],
                      "endpoint", f"{peer.local}:51820",
                      "allowed-ips", peer.inside[0].split("/")[0] + "/32")
            self.address_device(side)


class WireGuardNew(WireGuard):
    name, label = "wireguard_go_new", "wireguard-go new"
    binary = os.environ.get("WIREGUARD_GO_NEW", "")


RIGS = [Veth, Ours, OursBare, OursWorkers, BareOffload, BareOne, StrongSwan, OpenVpn, WireGuard]
if WireGuardNew.binary:
    RIGS.append(WireGuardNew)


def private(path, flags):
    return os.open(path, flags, 0o600)


def need(program, group):
    """Its path; the error says how to get it."""
    found = shutil.which(program)
    if not found:
        raise RuntimeError(f"there is no program '{program}' (mk/deps.sh {group} installs it)")
    return found


def family(pid):
    """A process and all that it has started."""
    return [pid, *(p for child in children(pid) for p in family(child))]


def cpu_of(pid):
    """Seconds that a process's threads have run."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    except FileNotFoundError:
        pass  # it ended between two looks
    return total / 1e9


def memory(pid, field="VmRSS"):
    """KiB, of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{field}:\s+(\d+)", file.read())[1])
