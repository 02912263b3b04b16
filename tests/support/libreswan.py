"""libreswan's pluto as the peer, with the kernel's IPsec and vti devices.

Debian's package conflicts with strongSwan's, so it is not installed: fetch() unpacks it with the
libraries that this machine lacks into a folder under build/, and pluto runs from there, with a
/run and a /usr/libexec/ipsec of its own by mount namespace. Its control is whack: Peer's words
are answered from there.

    python3 -m tests.support.libreswan    fetches, unless it is there
"""
import glob
import os
import re
import shutil
import subprocess
import sys

from . import netns, vti
from .peer import Peer
from .poll import until
from .process import Daemon
from .vici import Failed

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                      "build/libreswan")
ROOT = os.path.join(FOLDER, "root")
PROGRAMS = os.path.join(ROOT, "usr/libexec/ipsec")

CONF = """config setup
    logtime=yes
    uniqueids=yes
"""
CONN = """
conn {end.name}
    ikev2=insist
    authby=secret
    left={end.local}
    right={end.remote}
    leftid=@{end.local_id}
    rightid=@{end.remote_id}
    leftsubnet={end.local_ts}
    rightsubnet={end.remote_ts}
    ike={ike}
    esp={esp}
    mark={end.mark}/0xffffffff
    pfs=no
    mobike=no
    retransmit-timeout=10s
    leftupdown={updown}
    auto=ignore
    {extra}
"""
# libreswan's own script makes the device, with IPv4 outside and inside only. It runs dozens of
# programs at each end of an SA, so most tests have their devices made by hand.
SCRIPT = "vti-interface"
VTI = """vti-interface={end.device}
    vti-routing=yes
    leftvti={end.inside[0]}"""

WORDS = {"aes128gcm16": "aes_gcm128", "aes256gcm16": "aes_gcm256",
         "chacha20poly1305": "chacha20_poly1305", "sha256": "sha2_256", "sha384": "sha2_384",
         "sha512": "sha2_512", "prfsha256": "sha2_256", "prfsha384": "sha2_384",
         "prfsha512": "sha2_512", "x25519": "dh31", "ecp256": "dh19", "modp2048": "dh14"}
PFS_OR_ESN = {"x25519", "ecp256", "modp2048", "esn", "noesn"}


def by_script(end):
    return SCRIPT in end.extra


def fetch():
    """The programs and their libraries, from the mirror that apt knows."""
    if os.path.exists(os.path.join(PROGRAMS, "pluto")):
        return
    archives = os.path.join(FOLDER, "archives")
    os.makedirs(os.path.join(archives, "partial"), exist_ok=True)
    netns.run("apt-get", "-y", "-q", "--no-install-recommends", "--download-only",
              "-o", f"Dir::Cache::archives={archives}", "install", "libreswan")
    unpacked = ROOT + ".new"
    shutil.rmtree(unpacked, ignore_errors=True)
    for package in glob.glob(os.path.join(archives, "*.deb")):
        netns.run("dpkg", "-x", package, unpacked)
    shutil.rmtree(archives)
    os.rename(unpacked, ROOT)


def environment():
    """Its libraries come first, the machine's own serve where it has none."""
    folders = sorted({os.path.dirname(path) for path in
                      glob.glob(os.path.join(ROOT, "usr/lib/*/*.so*"))})
    return {"LD_LIBRARY_PATH": ":".join(folders),
            "PATH": f"{ROOT}/usr/sbin:{ROOT}/usr/bin:{os.environ['PATH']}"}


def proposal(words, esp=False):
    kept = [word for word in words.split("-") if not (esp and word in PFS_OR_ESN)]
    return "-".join(WORDS.get(word, word) for word in kept)


def _states(text, name, kind):
    """The numbers of the established states of a connection, as whack --showstates has them
    (since 5.0 without a number before each line, and STATE_V2_ before the state)."""
    return re.findall(rf'^(?:\d+ )?#(\d+): "{re.escape(name)}"(?:\[\d+\][^:]*)?:\S+ '
                      rf"(?:STATE_V2_)?ESTABLISHED_{kind}_SA ", text, re.M)


class Libreswan(Peer):
    """pluto in a namespace."""

    kind = "pluto"
    tells_spis = False

    def __init__(self, namespace, folder):
        super().__init__(namespace, folder)
        self.ends = []
        self.env = environment()

    def start(self, ends=()):
        os.makedirs(self.path("nss"), exist_ok=True)
        self._run("certutil", "-N", "-d", f"sql:{self.path('nss')}", "--empty-password")
        self._write(())
        prepare = ("mount -t tmpfs run /run && mount -t tmpfs exec /usr/libexec && "
                   f"mkdir /usr/libexec/ipsec && mount --bind {PROGRAMS} /usr/libexec/ipsec")
        pluto = (f"/usr/libexec/ipsec/pluto --nofork --stderrlog --use-xfrm --nhelpers 0 "
                 f"--config {self.path('ipsec.conf')} --secretsfile {self.path('ipsec.secrets')} "
                 f"--nssdir {self.path('nss')} --rundir {self.folder} --no-dnssec --uniqueids "
                 f"--ipsecdir {self.folder}")
        self.daemon = Daemon(self.kind, self.namespace.argv(
            "sh", "-c", f"{prepare} && exec {pluto}"), self.path("log"), self.env)
        until("pluto answers", lambda: "config setup options" in self.whack("--status"))
        self.load(ends)
        return self

    def load(self, ends):
        before = self.ends
        self._write(ends)
        self.whack("--rereadsecrets")
        vti.make(self.namespace, [end for end in self.ends if not by_script(end)])
        self.whack("--listen")
        for end in before:
            if end not in self.ends:
                self.whack("--delete", "--name", end.name)
        for end in self.ends:
            if end not in before:
                self._run(f"{PROGRAMS}/addconn", "--config", self.path("ipsec.conf"),
                          "--ctlsocket", self.path("pluto.ctl"), end.name)

    def stop(self):
        if not self.daemon:
            return None
        self.whack("--shutdown")
        return self.daemon.stop()

    def connect(self):
        pass

    # -- configuration --

    def _write(self, ends):
        self.ends = list(ends)
        self.write("ipsec.conf", CONF + "".join(map(self._connection, self.ends)))
        self.write("ipsec.secrets", "".join(
            f'@{end.local_id} @{end.remote_id} : PSK "{end.secret}"\n' for end in self.ends))

    @staticmethod
    def _connection(end):
        extra = [line for line in end.extra if line != SCRIPT]
        extra.append("esn=" + ("yes" if "esn" in end.esp.split("-") else "no"))
        if end.encap:
            extra.append("encapsulation=yes")
        if by_script(end):
            extra.append(VTI.format(end=end))
        if end.child_rekey or end.ike_rekey:
            extra.append(f"rekeymargin=2s\n    rekeyfuzz=0%\n"
                         f"    salifetime={(end.child_rekey or 3600) + 2}s\n"
                         f"    ikelifetime={(end.ike_rekey or 3600) + 2}s")
        return CONN.format(end=end, ike=proposal(end.ike), esp=proposal(end.esp, esp=True),
                           updown="/usr/libexec/ipsec/_updown" if by_script(end)
                           else "%disabled",
                           extra="\n    ".join(extra))

    # -- control --

    def _run(self, *argv, check=True):
        """Its control socket is a file: no namespace is needed."""
        return netns.run(*argv, check=check, env={**os.environ, **self.env})

    def whack(self, *words):
        return self._run(f"{PROGRAMS}/whack", "--rundir", self.folder, *words, check=False)

    def initiate(self, name, timeout=10.0):
        said = self.whack("--initiate", "--name", name, "--asynchronous")
        try:
            self.wait_up(name, timeout)
        except AssertionError as late:
            raise Failed("initiate", {"errmsg": said.strip()}) from late

    def terminate(self, name, timeout=10.0):
        self.whack("--terminate", "--name", name)

    def terminate_child(self, name):
        for number in _states(self.whack("--showstates"), name, "CHILD"):
            self.whack("--deletestate", number)

    def rekey_child(self, name):
        word = "--rekey-child" if "--rekey-child" in self.whack("--help") else "--rekey-ipsec"
        self.whack(word, "--name", name, "--asynchronous")

    def rekey_ike(self, name):
        self.whack("--rekey-ike", "--name", name, "--asynchronous")

    def conns(self):
        return {end.name: {} for end in self.ends}

    def sas(self, name=None):
        """As list-sas has them, as far as the tests look: each IKE SA with its children."""
        text = self.whack("--showstates")
        found = []
        for end in self.ends:
            if name not in (None, end.name):
                continue
            children = {}
            for number in _states(text, end.name, "CHILD"):
                spis = re.search(rf'^(?:\d+ )?#{number}: "[^\n]* esp\.(\w+)@\S+ esp\.(\w+)@', text, re.M)
                # pluto names the outbound SA, the peer's SPI, first.
                children[number] = {"name": end.name, "state": "INSTALLED",
                                    "spi-out": spis[1].rjust(8, "0") if spis else "",
                                    "spi-in": spis[2].rjust(8, "0") if spis else ""}
            for number in _states(text, end.name, "IKE"):
                found.append({"name": end.name, "state": "ESTABLISHED",
                              "initiator-spi": f"#{number}", "child-sas": children})
                children = {}
        return found


def main():
    try:
        fetch()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"libreswan: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
