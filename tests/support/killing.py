"""kill -9 of ipsecd's processes at random points of random exchanges, seeded, under a ping every
millisecond; and what must hold behind it."""
import os
import random
import select
import signal
import socket
import struct
import threading
from contextlib import suppress

from . import netns
from .poll import until
from .rekeying import child_spis, ike_spis
from .suite import check, check_equal
from .vici import Failed, Vici

STEADY, OTHER = "steady", "other"  # the tunnel of the ping, and one that comes and goes
SPLIT = ("--split", "--restart-pause", "0")
WITHIN = 0.03  # seconds from the beginning of an exchange to the kill, at most
SETTLE_EVERY = 5
SETTLED = 40  # an exchange that the peer does not answer ends after 18 s
SO_RCVBUFFORCE = 33  # asm/socket.h
ETH_P_IP, ETH_P_ALL = 0x0800, 0x0003
IVS = struct.Struct("!I4x8s")  # SPI, IV


def _answers(peer):
    if peer.control:
        peer.control.close()
    peer.connect()
    try:
        return peer.control.request("version")
    except OSError:
        return None


def reconnect(peer):
    """A vici client whose ike was killed begins anew, as swanctl would; with one that answers: who is
    started while plane is away ends once more."""
    until(f"the ike of {peer.kind} answers", lambda: _answers(peer))


class Ivs:
    """Every IV that leaves a namespace by a device, or comes in: none may be used twice with one
    SPI. AES-GCM loses all with a repetition."""

    def __init__(self, namespace, device):
        # Without a protocol until it is bound: it would take what passes other devices.
        self.sock = netns.socket_of(namespace, socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.sock.bind((device, ETH_P_ALL))  # of ETH_P_IP alone it would see what comes in
        self.seen, self.repeated, self.ending = set(), [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _take(self, packet):
        head = (packet[0] & 15) * 4
        if packet[9] == 17 and struct.unpack_from("!HH", packet, head)[1] == 4500:
            head += 8
        elif packet[9] != 50:
            return
        if len(packet) < head + IVS.size or packet[head:head + 4] == b"\0\0\0\0":
            return
        key = IVS.unpack_from(packet, head)
        if key in self.seen:
            self.repeated.append(key)
        self.seen.add(key)

    def _run(self):
        while not self.ending.is_set() or select.select([self.sock], [], [], 0)[0]:
            if select.select([self.sock], [], [], 0.1)[0]:
                packet, address = self.sock.recvfrom(128)
                if address[1] == ETH_P_IP:
                    self._take(packet)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exception):
        self.ending.set()
        self.thread.join()
        self.sock.close()

    def check_unique(self):
        check(self.seen, "no ESP packet was seen")
        check(not self.repeated, f"{len(self.repeated)} IVs were used twice, the first one: "
              f"{self.repeated[:1]}")


def _ask(peer, verb, name, key):
    """What a client asks may end with the ike that it asked."""
    def run():
        try:
            client = Vici(peer.socket_path)
            client.request(verb, {key: name, "timeout": 5000})
            client.close()
        except (OSError, EOFError, Failed, AssertionError):
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _child(peer, name):
    return _ask(peer, "rekey", name, "child")


def _ike(peer, name):
    return _ask(peer, "rekey", name, "ike")


class Killer:
    """victims: peers whose processes are killed. apart: one exchange after the other, each begun by
    one end, for a peer that is known to lose count otherwise."""

    def __init__(self, pair, seed, victims, apart=False):
        self.pair, self.random = pair, random.Random(seed)
        self.victims, self.apart = victims, apart
        self.threads = []
        self.told = None  # what the script of OTHER was told at our end, if it has one

    # -- exchanges

    def _come_or_go(self, peer):
        if peer.children(OTHER):
            return _ask(peer, "terminate", OTHER, "ike")
        return _ask(peer, "initiate", OTHER, "child")

    def _begin(self):
        """A random exchange, by one end or by both at once."""
        what = self.random.choice((_child, _child, _ike, _ike, "other", "other", "nothing"))
        both = (self.pair.ours, self.pair.theirs)
        peers = self.random.choice(((both[0],), (both[1],), both)[:2 if self.apart else 3])
        for peer in peers:
            if what == "other":
                self.threads.append(self._come_or_go(peer))
            elif what != "nothing":  # then perhaps an INFORMATIONAL of liveness
                name = self.random.choice((STEADY, OTHER))
                self.threads.append(what(peer, name))

    # -- kills

    def kill(self, role):
        victim = self.random.choice(self.victims)
        old = until(f"the {role} of before", lambda: victim.roles().get(role))
        self._begin()
        select.select([], [], [], self.random.uniform(0, WITHIN))
        with suppress(ProcessLookupError):  # it may end by itself: without plane, say
            os.kill(old, signal.SIGKILL)
        until(f"another {role}", lambda: victim.roles().get(role, old) != old)
        for peer in (self.pair.ours, self.pair.theirs):
            if peer in self.victims:
                reconnect(peer)

    def settle(self):
        for thread in self.threads:
            thread.join(6)
        self.threads.clear()
        for name in (STEADY, OTHER):
            until(f"{name}: the same at both ends", lambda name=name: self._agree(name), SETTLED)
        if self.told:
            until(f"the script of {OTHER} knows how it is", self._script_knows, SETTLED)

    def _agree(self, name):
        """One IKE_SA with one CHILD_SA, or none of both: the same at both ends."""
        peers = (self.pair.ours, self.pair.theirs)
        (ours, theirs), ikes = ([look(p, name) for p in peers] for look in (child_spis, ike_spis))
        return (ours == {(o, i) for i, o in theirs} and ikes[0] == ikes[1]
                and len(ours) == len(ikes[0]) in ((1,) if name == STEADY else (0, 1)))

    def _script_knows(self):
        """What it was told last; "up" and "down" may have come twice."""
        is_up = bool(self.pair.ours.children(OTHER))
        return self.told()[-1:] == (["up-client"] if is_up else ["down-client"])

    def run(self, times, choose):
        for n in range(1, times + 1):
            self.kill(choose(self.random))
            if self.apart or n % SETTLE_EVERY == 0 or n == times:
                self.settle()


def _links(peers):
    return [peer.link(f"tun{n}").get("ifindex") for peer in peers for n in (1, 2)]


def killed(killer, times, choose, hole=0, interval="0.001"):
    """`hole`: so many seconds may pass without a ping that is answered, 0: none may be lost;
    `interval`: between two of them."""
    pair = killer.pair
    peers = [p for p in (pair.ours, pair.theirs) if p in killer.victims]
    before = _links(peers)
    with Ivs(pair.ours.namespace, "eth0") as ivs, pair.pinging(STEADY, interval) as pinging:
        killer.run(times, choose)
        pair.ping(STEADY, count=10)
    print(f"      {times} kills: {pinging.lost} of {pinging.sent} pings lost, for "
          f"{pinging.hole * 1000:.0f} ms at most, {len(ivs.seen)} IVs")
    if hole:
        check(pinging.hole <= hole and pinging.alive, f"nothing passed for {pinging.hole:.2f} s")
    else:
        pinging.check_no_loss()
    ivs.check_unique()
    check_equal(_links(peers), before, "the devices")
