"""Our ipsecd: configured by ipsec.conf and ipsec.secrets, with either data plane."""
import os
import re
import signal

from .peer import Peer
from .poll import until
from .process import children, title

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("IPSECD", os.path.join(ROOT, "build/bin/ipsecd"))
OPTIONS = os.environ.get("IPSECD_OPTIONS", "").split()  # --single-process: the same tests, another way
TITLE = "ipsecd: "  # of a process, before its role

CONN = """
conn {end.name}
    left={end.local}
    right={end.remote}
    leftid=@{end.local_id}
    rightid=@{end.remote_id}
    authby=secret
    leftsubnet={end.local_ts}
    rightsubnet={end.remote_ts}
    ike={end.ike}
    esp={end.esp}
    interface={end.device}
    interface-ip={inside}
    auto={end.auto}
    dpddelay={end.dpd}s
    {extra}
"""

LIFETIMES = """margintime={margin}s
    rekeyfuzz=0%
    lifetime={child}s
    ikelifetime={ike}s"""
MARGIN = 10  # more than a machine stands still


class Ipsecd(Peer):
    """ipsecd in a namespace; load() is a reload by SIGHUP, as an operator does it."""

    kind = "ipsecd"

    def __init__(self, namespace, folder, options=(), binary=BINARY, plane="userspace"):
        super().__init__(namespace, folder)
        self.binary = binary
        self.plane = plane
        self.options = list(options)
        self.ends = []
        self.setup = ""  # lines of `config setup`
        self.state = None  # a memfd that outlives the daemon: keep_state()

    def keep_state(self):
        """From its next start on, what it knows is in memory that we hold."""
        self.state = os.memfd_create("ipsecd-engine", os.MFD_ALLOW_SEALING)

    def again(self):
        """Where another one was killed. Files are as they are."""
        self._launch()

    def roles(self):
        """Process ids by role; one that is just being started is not among them."""
        titles = {title(pid): pid for pid in children(self.daemon.child.pid)}
        return {text.removeprefix(TITLE): pid for text, pid in titles.items()
                if text.startswith(TITLE)}

    def role(self, name):
        """The process of this role, once it is there."""
        return until(f"the {name}", lambda: self.roles().get(name))

    def start(self, ends=()):
        self.write_ends(ends)
        self._launch()
        self._settle()
        return self

    def _launch(self):
        state = () if self.state is None else (self.state,)
        self.launch([self.binary, "--config", self.path("ipsec.conf"),
                     "--secrets", self.path("ipsec.secrets"), "--vici", self.socket_path,
                     "--crash-secret", self.path("crash-secret"),
                     "--plane", self.plane, "--foreground", "--log-level", "debug",
                     *OPTIONS, *(f"--state-fd={fd}" for fd in state), *self.options],
                    pass_fds=state)

    def load(self, ends, clients=()):
        """`clients`: the connections that they loaded, which stay."""
        mark = self.log_mark()
        self.write_ends(ends)
        self.daemon.kill(signal.SIGHUP)
        self.wait_log("configuration in force", mark)  # the names may be those of before
        self._settle(clients)

    def write_ends(self, ends):
        self.ends = list(ends)
        conf = "".join(map(self._connection, self.ends))
        if self.setup:
            conf = f"config setup\n    {self.setup}\n{conf}"
        secrets = "".join(f'@{end.local_id} @{end.remote_id} : PSK "{end.secret}"\n'
                          for end in self.ends)
        self.write("ipsec.conf", conf)
        self.write("ipsec.secrets", secrets)

    @staticmethod
    def _connection(end):
        extra = [*end.extra, *end.child_extra]
        if end.device_kind:
            extra.append(f"interface-type={end.device_kind}")
        if end.encap:
            extra.append("forceencaps=yes")
        if end.mark:
            extra.append(f"mark={end.mark}")
        if end.child_rekey or end.ike_rekey:
            extra.append(LIFETIMES.format(margin=MARGIN, child=(end.child_rekey or 3600) + MARGIN,
                                          ike=(end.ike_rekey or 3600) + MARGIN))
        return CONN.format(end=end, inside=",".join(end.inside), extra="\n    ".join(extra))

    def _settle(self, clients=()):
        """Waits for conns and devices, then routes the networks behind the peers."""
        names = {end.name for end in self.ends} | set(clients)
        until("ipsecd has loaded its connections", lambda: set(self.conns()) == names)
        for end in self.ends:
            until(f"device {end.device}", lambda end=end: self.link(end.device))
            for network in end.remote_ts.split(","):
                if network != "%dynamic":
                    self.namespace.route(network, "dev", end.device)

    def counters(self):
        """get-counters, all connections together."""
        answer = self.control.request("get-counters")
        return {k: int(v) for k, v in answer["counters"][""].items() if v.isdigit()}


class IpsecdOf(Ipsecd):
    """ipsecd with files as an operator wrote them; load(conf, secrets) is a reload."""

    def __init__(self, namespace, folder, conf, secrets, **options):
        options.setdefault("plane", "kernel")
        super().__init__(namespace, folder, **options)
        self.files = (conf, secrets)

    def load(self, conf=None, secrets=None):
        mark = self.log_mark()
        self.files = (conf or self.files[0], secrets or self.files[1])
        self.write_ends(())
        self.daemon.kill(signal.SIGHUP)
        self.wait_log("configuration in force", mark)

    def write_ends(self, ends):
        for name, text in zip(("ipsec.conf", "ipsec.secrets"), self.files):
            self.write(name, text)

    def _settle(self):
        names = set(re.findall(r"^conn +([^%\s]\S*)", self.files[0], re.M))
        until("ipsecd has loaded its connections", lambda: set(self.conns()) == names)
