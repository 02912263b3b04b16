"""One site: its FRR daemons, ipsecd and routed-bridge, in its namespace, configured by
topology's files alone."""
import json
import os
import shlex
import shutil
import signal
import socket

from shell import Daemon, LabError, inside, run, say, wait_until

FAILOVER = ("zebra", "ipsecd", "routed-bridge")
FRR = "/usr/lib/frr"
# Since FRR 10, zebra's configuration goes through mgmtd, whose sockets have fixed names
# in a folder that -N alone can move.
HAS_MGMTD = os.path.exists(f"{FRR}/mgmtd")
RUN = "/run/frr"
START_SECONDS = 20
VTY_SECONDS = 5
STEADY_MS = 1000


def vty_ask(path, command):
    """What vtysh does: a command ends with a zero byte, an answer with three and a status.
    "" when the daemon does not answer."""
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as vty:
            vty.settimeout(VTY_SECONDS)
            vty.connect(path)
            for line in ("enable", command):
                vty.sendall(line.encode() + b"\0")
                answer = b""
                while answer[-4:-1] != b"\0\0\0":
                    data = vty.recv(65536)
                    if not data:
                        return ""
                    answer += data
    except OSError:
        return ""
    return answer[:-4].decode(errors="replace")


class Site:
    def __init__(self, lab, name, programs, sockets, logs, plane, first):
        self.name, self.lab, self.plane, self.first = name, lab, plane, first
        self.namespace = lab.namespace(name)
        self.sockets = os.path.join(sockets, name)
        self.frr = os.path.join(self.sockets, "frr")
        self.vici = os.path.join(self.sockets, "vici")
        self.programs = programs
        self.config = os.path.join(lab.folder, name)
        self.logs = logs
        self.daemons = {}

    # ---- starting

    def prepare(self):
        os.makedirs(self.frr)
        shutil.chown(self.frr, "frr", "frr")
        if HAS_MGMTD and not os.path.exists(RUN):  # /run is empty in a container or test kernel
            os.makedirs(RUN)
            shutil.chown(RUN, "frr", "frr")

    def _start(self, name, words):
        log = os.path.join(self.logs, f"{self.name}-{name}.log")
        if name in FAILOVER:
            words = self.first + words
        daemon = self.daemons.get(name) or Daemon(f"{name} of {self.name}",
                                                  inside(self.namespace, words), log)
        self.daemons[name] = daemon
        daemon.start()
        return daemon

    def _start_frr_daemon(self, name):
        words = [f"{FRR}/{name}", "--vty_socket", self.frr, "-z", f"{self.frr}/zserv.api",
                 "-i", f"{self.frr}/{name}.pid", "--log", "stdout"] + self._options(name)
        if name == "bfdd" and self._bfdd_has_control_socket():
            words += ["--bfdctl", f"{self.frr}/bfdd.sock"]
        if HAS_MGMTD:
            words += ["-N", self.namespace]
        daemon = self._start(name, words)
        wait_until(f"{name}'s vty socket at {self.name}",
                   lambda: os.path.exists(f"{self.frr}/{name}.vty"), START_SECONDS, [daemon])

    def _options(self, name):
        """What topology's file of daemons says, with the data plane's socket at this site."""
        with open(os.path.join(self.config, "daemons")) as source:
            given = [line.split("=", 1)[1] for line in source
                     if line.startswith(f"{name}_options=")]
        words = shlex.split(shlex.split(given[0])[0]) if given else ["-A", "127.0.0.1"]
        return [f"unix:{self.frr}/bfd.sock" if word.startswith("unix:") else word for word in words]

    def _bfdd_has_control_socket(self):
        """One path for the whole machine, unless told otherwise; gone since FRR 10."""
        return "--bfdctl" in run([f"{FRR}/bfdd", "--help"], quiet=True)

    def frr_daemons(self):
        """zebra and those that topology's file of daemons asks for."""
        with open(os.path.join(self.config, "daemons")) as source:
            asked = [line.split("=")[0] for line in source if line.strip().endswith("d=yes")]
        return (["mgmtd"] if HAS_MGMTD else []) + ["zebra"] + asked

    def bfd_dataplane(self):
        """Whether topology's files have routed-bridge run bfdd's sessions."""
        with open(os.path.join(self.config, "daemons")) as source:
            return "--dplaneaddr" in source.read()

    def start_frr(self):
        for name in self.frr_daemons():
            self._start_frr_daemon(name)
        self.load_frr()

    def load_frr(self):
        run(["vtysh", "--vty_socket", self.frr, "-f", os.path.join(self.config, "frr.conf")])

    def _ipsecd_words(self):
        return [f"{self.programs}/ipsecd", "--foreground", "--plane", self.plane,
                "--config", f"{self.config}/ipsec.conf",
                "--secrets", f"{self.config}/ipsec.secrets", "--vici", self.vici,
                "--crash-secret", f"{self.config}/crash-secret"]

    def start_ipsecd(self):
        daemon = self._start("ipsecd", self._ipsecd_words())
        wait_until(f"ipsecd's socket at {self.name}", lambda: os.path.exists(self.vici),
                   START_SECONDS, [daemon])

    def start_bridge(self):
        words = [f"{self.programs}/routed-bridge", "--foreground",
                 "--config", f"{self.config}/routed-bridge.conf", "--vici", self.vici,
                 "--zserv", f"{self.frr}/zserv.api", "--vty-dir", self.frr,
                 "--control", f"{self.frr}/bridge.sock"]
        if self.bfd_dataplane():
            words += ["--bfd-dplane", f"{self.frr}/bfd.sock"]
        self._start("routed-bridge", words)

    # ---- restarting

    def restart_zebra(self):
        """As FRR's watchfrr does it: the daemons that depend on zebra start anew behind it
        (bgpd alone would come back without giving its routes to the new zebra)."""
        names = self.frr_daemons()
        names = names[names.index("zebra"):]
        for name in names:
            self.daemons[name].stop()
        for name in names:
            if os.path.exists(f"{self.frr}/{name}.vty"):
                os.unlink(f"{self.frr}/{name}.vty")
            self._start_frr_daemon(name)
        self.load_frr()

    def restart_bridge(self):
        self.daemons["routed-bridge"].stop()
        self.start_bridge()

    def kill_bridge(self):
        """As systemd with Restart=always and no delay: a new one follows at once."""
        self.daemons["routed-bridge"].kill()
        self.start_bridge()

    def processes(self):
        """Process ids of ipsecd's processes by role; 0: it is just being started. {} while
        ipsecd does not answer."""
        try:
            status = json.loads(self.ipsecctl("status", "--json", quiet=True))
        except LabError:
            return {}
        return {role: int(known["pid"]) for role, known in status.get("processes", {}).items()}

    def all_processes(self):
        """Once all of them run."""
        def known():
            found = self.processes()
            return found if found and all(found.values()) else None
        return wait_until(f"all processes of ipsecd on {self.name}", known, START_SECONDS)

    def kill_process(self, role):
        pid = self.all_processes()[role]
        say(f"  $ kill -KILL {pid}    # ipsecd: {role} of {self.name}")
        os.kill(pid, signal.SIGKILL)

    def take_over_ipsecd(self):
        """What a restart is without systemd: the new one gets all from the old one, which ends."""
        old = self.daemons["ipsecd"]
        words = inside(self.namespace, self.first + self._ipsecd_words() + ["--takeover"])
        new = self.daemons["ipsecd"] = Daemon(old.name, words, old.log)
        new.start()
        old.process.wait(START_SECONDS)

    def tell_end(self):
        """All tunnels drain at the same time."""
        if "ipsecd" in self.daemons:
            self.daemons["ipsecd"].terminate()

    def stop(self):
        """In the order that lets each part tell the others: tunnels drain first."""
        for name in ["ipsecd", "routed-bridge", "staticd", "bfdd", "bgpd", "zebra",
                     "mgmtd"]:
            if name in self.daemons and self.daemons[name].process:
                self.daemons[name].stop()
        if HAS_MGMTD:
            shutil.rmtree(f"{RUN}/{self.namespace}", ignore_errors=True)

    # ---- asking

    def vtysh(self, *commands, quiet=True):
        words = [word for command in commands for word in ("-c", command)]
        return run(["vtysh", "--vty_socket", self.frr] + words, quiet=quiet)

    def vty_json(self, daemon, command):
        """Asked of the daemon's own socket: vtysh takes 75 ms of a processor that is being
        measured. {} while the daemon is not there."""
        text = vty_ask(f"{self.frr}/{daemon}.vty", command + " json")
        try:
            return json.loads(text) if text else {}
        except json.JSONDecodeError as error:
            raise LabError(f"'{command} json' of {daemon} at {self.name} gave no JSON") from error

    def ipsecctl(self, *words, quiet=False):
        return run(inside(self.namespace, [f"{self.programs}/ipsecctl", "--vici", self.vici]
                          + list(words)), quiet=quiet)

    def _sas(self, conn):
        """ipsecctl's view of one connection's IKE_SAs."""
        status = json.loads(self.ipsecctl("status", "--json", quiet=True))
        for known in status["connections"]:
            if known["name"] == conn:
                return known["sas"]
        raise LabError(f"ipsecctl at {self.name} knows no connection {conn}")

    def ike_spis(self, conn):
        return {sa["initiator-spi"] for sa in self._sas(conn)}

    def child_spis(self, conn):
        return {child["spi-in"] for sa in self._sas(conn)
                for child in sa["child-sas"].values()}

    def addresses(self):
        """Every IPv4 address of the site's router, with its interface."""
        links = json.loads(run(["ip", "-n", self.namespace, "-j", "-4", "address", "show"],
                               quiet=True))
        return {info["local"]: link["ifname"] for link in links if link
                for info in link["addr_info"]}

    def operstate(self, interface):
        links = json.loads(run(["ip", "-n", self.namespace, "-j", "link", "show", "dev",
                                interface], quiet=True))
        return links[0]["operstate"]

    def bgp_peers(self):
        return self.vty_json("bgpd", "show bgp ipv4 unicast summary").get("peers", {})

    def peers_established(self):
        peers = self.bgp_peers()
        return bool(peers) and all(p["state"] == "Established" for p in peers.values())

    def steady(self, peers):
        """BGP with so many peers has been up for a while, and so has BFD: when BFD is new to
        a session, it may come up twice."""
        up = [p for p in self.bgp_peers().values() if p["state"] == "Established"]
        return (len(up) >= peers and all(p["peerUptimeMsec"] >= STEADY_MS for p in up)
                and self.bfd_follows())

    def bfd_follows(self):
        """BFD is up with every peer that BGP is up with, where there is BFD at all."""
        up = {p["peer"] for p in self.vty_json("bfdd", "show bfd peers") or []
              if p["status"] == "up"}
        return self.no_bfd() or up >= {address for address, p in self.bgp_peers().items()
                                       if p["state"] == "Established"}

    def bfd_downs(self):
        """How often a BFD session that was up has gone down."""
        return sum(p.get("session-down", 0)
                   for p in self.vty_json("bfdd", "show bfd peers counters") or [])

    def bgp_downs(self):
        """How often a session of BGP that was up has gone down."""
        return sum(p.get("connectionsDropped", 0) for p in self.bgp_peers().values())

    def no_bfd(self):
        with open(os.path.join(self.config, "frr.conf")) as source:
            return not any(line.split()[2:3] == ["bfd"] for line in source)

    def bgp_routes(self):
        """Prefixes that zebra has from bgpd and has given to the kernel."""
        routes = self.vty_json("zebra", "show ip route bgp")
        return {prefix for prefix, ways in routes.items() if any(w.get("installed") for w in ways)}

    def bridge_routes(self):
        """Prefixes that routed-bridge has given to zebra."""
        return set(self.vty_json("zebra", "show ip route nhrp"))

    def bridge_wanted(self):
        with open(f"{self.config}/routed-bridge.conf") as source:
            words = [line.split() for line in source]
        return {w[1] for w in words if w and w[0] == "prefix"}

    def running(self):
        return [d for d in self.daemons.values() if d.process]
