"""A program of ours gives way to the next one, in all the ways there are, while packets pass."""
import os
import signal

from .ipsecd import BINARY
from .killing import Ivs, reconnect
from .netns import run
from .pair import one_of_each
from .poll import until
from .process import Daemon
from .rekeying import child_spis
from .service_manager import ServiceManager
from .sniffer import LinkWatch
from .suite import check, check_equal

CTL = os.path.join(os.path.dirname(BINARY), "ipsecctl")
NAME = "net"  # of the tunnel, number 1
LOST_WITH_PLANE = 3  # a kill: what a plane had read and not yet sent is gone with it


def all_roles(peer):
    return sorted(peer.roles()) == ["helper", "ike", "plane"]


def kill_role(peer, role):
    """kill -9; another process has taken its place when this returns. The number of the one before."""
    old = peer.role(role)
    os.kill(old, signal.SIGKILL)
    until(f"another {role}", lambda: all_roles(peer) and peer.roles().get(role, old) != old)
    return old


def survives(pair, what, borne=0, interval="0.001"):
    """Packets pass, the link stays, and with it the SAs: nothing is negotiated anew, no IV is used twice."""
    index, spis = pair.ours.link("tun1")["ifindex"], child_spis(pair.ours, NAME)
    with LinkWatch(pair.ours.namespace, "tun1") as link, Ivs(pair.ours.namespace, "eth0") as ivs, \
            pair.pinging(NAME, interval) as pinging:
        what()
        pair.ping(NAME, count=10)
    print(f"      {pinging.lost} of {pinging.sent} pings lost")
    pinging.check_no_loss(borne)
    ivs.check_unique()
    check(set(link.states()) <= {"UP"}, f"the link: {link.states()}")
    check_equal(pair.ours.link("tun1")["ifindex"], index, "the device")
    one_of_each(pair.ours, NAME)
    one_of_each(pair.theirs, NAME)
    check_equal(child_spis(pair.ours, NAME), spis, "SPIs")


class Service:
    """Our end as a service of systemd's, with its store of descriptors."""

    def __init__(self, pair):
        self.peer = pair.ours
        self.manager = ServiceManager(pair.folder)
        self.argv = self.peer.daemon.child.args
        self.n = 0

    def start(self):
        self.n += 1
        log = self.peer.path(f"log.{self.n}")
        process = self.manager.start(self.argv, log)
        self.peer.daemon = Daemon.of("ipsecd", process, log)
        until("READY=1", lambda: self.manager.heard("READY=1"))
        self.manager.told = []

    def stop(self):
        self.peer.daemon.child.terminate()
        check_equal(self.manager.wait(self.peer.daemon.child), 0, "exit status")

    def restart(self, times=3):
        for _ in range(times):
            self.stop()
            self.start()
            reconnect(self.peer)
            one_of_each(self.peer, NAME)


def upgrade(peer):
    old = peer.roles()
    said = run(CTL, "--vici", peer.socket_path, "upgrade")
    print(f"      {said.strip()}")
    check(all_roles(peer) and not set(peer.roles().values()) & set(old.values()), "old processes")
    reconnect(peer)


def takeover(peer):
    old = peer.daemon
    peer.daemon = Daemon("ipsecd", peer.namespace.argv(*old.child.args[4:], "--takeover"),
                         peer.path("log.next"))
    check_equal(old.child.wait(20), 0, "exit status of the former one")
    old.log_file.close()
    peer.wait_log(" runs: plane")
    reconnect(peer)
