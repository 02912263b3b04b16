"""What strongSwan and ipsecd have in common for a test: a daemon with a vici socket."""
import json
import os

from .poll import until
from .process import Daemon
from .vici import Failed, Vici


class Peer:
    """Base of Charon and Ipsecd. `folder` holds its configuration, socket and log."""

    kind = "peer"
    tells_spis = True  # of its IKE SAs

    def __init__(self, namespace, folder):
        self.namespace = namespace
        self.folder = folder
        self.socket_path = os.path.join(folder, "vici")
        self.daemon = None
        self.control = None
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    # -- life --

    def launch(self, argv, env=None, pass_fds=()):
        self.daemon = Daemon(self.kind, self.namespace.argv(*argv), self.path("log"), env, pass_fds)
        self.connect()

    def connect(self):
        def connected():
            if not self.daemon.running():
                raise AssertionError(f"{self.kind} ended at once: {self.log()[-2000:]}")
            try:
                return Vici(self.socket_path)
            except OSError:
                return None
        self.control = until(f"{self.kind} answers on its vici socket", connected)

    def stop(self):
        if self.control:
            self.control.close()
        return self.daemon.stop() if self.daemon else None

    def kill(self):
        """Until nobody listens any more: ipsecd's other processes end a moment later."""
        self.daemon.kill()
        self.daemon.child.wait()
        until(f"{self.kind}'s socket is dead", lambda: not self._answers())

    def _answers(self):
        try:
            Vici(self.socket_path).close()
        except OSError:
            return False
        return True

    # -- devices --

    def link(self, device):
        """The device as the kernel shows it ({} if there is none)."""
        text = self.namespace.ip("-j", "-d", "link", "show", "dev", device, check=False)
        return json.loads(text)[0] if text.startswith("[") else {}

    def operstate(self, device):
        return self.link(device).get("operstate")

    # -- log --

    def log(self, since=0):
        return self.daemon.log(since)

    def log_mark(self):
        return self.daemon.log_mark()

    def wait_log(self, text, since=0, timeout=10.0):
        return self.daemon.wait_log(text, since, timeout)

    # -- control, the same words for both --

    def initiate(self, name, timeout=10.0):
        """Brings up the child of that name (conn and child share the name)."""
        self.control.request("initiate", {"child": name, "ike": name,
                                          "timeout": int(timeout * 1000)})

    def try_initiate(self, name, timeout=10.0):
        """Like initiate, but the daemon's refusal is what we want to see."""
        try:
            self.initiate(name, timeout)
        except Failed as failure:
            return str(failure)
        raise AssertionError(f"{self.kind}: '{name}' came up, but must not")

    def terminate(self, name, timeout=10.0):
        self.control.request("terminate", {"ike": name, "timeout": int(timeout * 1000)})

    def terminate_child(self, name):
        self.control.request("terminate", {"child": name, "timeout": 10000})

    def rekey_child(self, name):
        self.control.request("rekey", {"child": name})

    def rekey_ike(self, name):
        self.control.request("rekey", {"ike": name})

    def conns(self):
        """Loaded connections by name."""
        return {name: conn for event in self.control.stream("list-conns", "list-conn")
                for name, conn in event.items()}

    def sas(self, name=None):
        """IKE SAs as list-sas gives them, one dict each, its name under 'name'."""
        found = []
        for event in self.control.stream("list-sas", "list-sa"):
            for conn, sa in event.items():
                if name in (None, conn):
                    found.append({"name": conn, **sa})
        return found

    def children(self, name, state="INSTALLED"):
        return [child for sa in self.sas(name) for child in sa.get("child-sas", {}).values()
                if child["state"] == state]

    def is_up(self, name):
        return bool(self.children(name))

    def wait_up(self, name, timeout=10.0):
        until(f"{self.kind}: '{name}' is up", lambda: self.is_up(name), timeout)

    def wait_down(self, name, timeout=10.0):
        until(f"{self.kind}: '{name}' is gone", lambda: not self.sas(name), timeout)
