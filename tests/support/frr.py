"""FRR daemons of one network namespace, each with its own sockets in a folder of its own."""

import json
import os
import shutil
import signal
import socket

from .netns import run
from .poll import until
from .process import Daemon

FRR = "/usr/lib/frr"
# Since FRR 10 it has the configuration of zebra and staticd; -N places its sockets.
HAS_MGMTD = os.path.exists(f"{FRR}/mgmtd")
WITHOUT_FILE = ("mgmtd", "staticd") if HAS_MGMTD else ()


class Frr:
    """zebra, bgpd and others in a namespace; sockets, configurations and logs in `folder`."""

    def __init__(self, namespace, folder):
        self.namespace = namespace
        self.dir = folder
        os.makedirs(folder, exist_ok=True)
        shutil.chown(folder, "frr", "frr")
        os.chmod(folder, 0o755)
        self.zserv = f"{folder}/zserv.api"
        self.daemons = {}
        self.configs = {}
        self.modules = {}  # of a daemon: {"bgpd": "bmp"}

    def configure(self, daemon, text):
        path = f"{self.dir}/{daemon}.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        shutil.chown(path, "frr", "frr")
        self.configs[daemon] = path

    def start(self, daemon, *options):
        if daemon not in self.configs:
            self.configure(daemon, "")
        for leftover in (f"{self.dir}/{daemon}.vty", f"{self.dir}/{daemon}.pid"):
            if os.path.exists(leftover):
                os.unlink(leftover)
        argv = [f"{FRR}/{daemon}", "--vty_socket", self.dir, "-z", self.zserv,
                "-i", f"{self.dir}/{daemon}.pid", "-P", "0"]
        if daemon in self.modules:
            argv += ["-M", self.modules[daemon]]
        if daemon not in WITHOUT_FILE:
            argv += ["-f", self.configs[daemon]]
        if daemon == "bfdd" and "--bfdctl" in run(f"{FRR}/bfdd", "--help"):
            argv += ["--bfdctl", f"{self.dir}/bfdd.sock"]
        if HAS_MGMTD:
            argv += ["-N", self.namespace.name]
            if not os.path.isdir("/run/frr"):  # as in a container: nobody made it at boot
                os.makedirs("/run/frr", exist_ok=True)
                shutil.chown("/run/frr", "frr", "frr")
        self.daemons[daemon] = Daemon(daemon, self.namespace.argv(*argv, *options),
                                      f"{self.dir}/{daemon}.log")
        until(f"{daemon} answers", lambda: self.answers(daemon), 15)
        if daemon == "staticd" and HAS_MGMTD:
            with open(self.configs[daemon], encoding="utf-8") as file:
                self._tell_mgmtd(daemon, *file.read().splitlines())

    def answers(self, daemon):
        try:
            return bool(self.vty(daemon, "show version"))
        except OSError:
            return False

    def stop(self, daemon, sig=signal.SIGTERM):
        process = self.daemons.pop(daemon)
        process.kill(sig)
        process.stop()

    def stop_all(self):
        for daemon in list(reversed(self.daemons)):
            self.stop(daemon)
        shutil.rmtree(f"/run/frr/{self.namespace.name}", ignore_errors=True)

    def configure_zebra(self, *commands):
        """While it runs; it may take effect a little later."""
        if HAS_MGMTD:
            self._tell_mgmtd("zebra", *commands)
        else:
            self.vty("zebra", "configure terminal", *commands)

    def _tell_mgmtd(self, daemon, *commands):
        if "mgmtd" not in self.daemons:
            self.start("mgmtd")
        until(f"{daemon} has found mgmtd", lambda: daemon in self.vty(
            "mgmtd", "show mgmt backend-adapter all"))

        def taken():
            self.vty("mgmtd", "configure terminal", *commands)
            lines = self.vty("mgmtd", "show running-config").splitlines()
            return all(c.startswith("no ") or c.strip() in map(str.strip, lines) for c in commands)

        until(f"mgmtd has taken {commands}", taken)

    def vty(self, daemon, *commands):
        """The answer to the last command, over the daemon's vty socket: it ends with
        three NULs and a status byte."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(f"{self.dir}/{daemon}.vty")
            answer = b""
            for command in ("enable",) + commands:
                s.sendall(command.encode() + b"\0")
                answer = b""
                while not (len(answer) >= 4 and answer[-4:-1] == b"\0\0\0"):
                    piece = s.recv(65536)
                    if not piece:
                        raise OSError(f"{daemon} closed its vty socket")
                    answer += piece
            return answer[:-4].decode(errors="replace")

    def json(self, daemon, command):
        return json.loads(self.vty(daemon, command) or "{}")

    def rib(self, prefix=None, protocol="nhrp"):
        """zebra's routes of a protocol: {prefix: [entries]}, or the entries of one prefix."""
        family = "ipv6" if prefix and ":" in prefix else "ip"
        routes = self.json("zebra", f"show {family} route {protocol} json")
        return routes.get(prefix, []) if prefix else routes
