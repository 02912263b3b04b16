#!/usr/bin/env python3
"""Several threads that carry packets (workers=2) at both ends: flows keep their order through rekeys,
no IV is used twice, processes are killed and replaced as with one, and who has one thread speaks
with who has two. The same where they put their packets into the same payloads (iptfs=)."""
import os
import select
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.killing import SPLIT, Ivs, reconnect  # noqa: E402
from tests.support.pair import OursWithOurs, Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, rekey_child, rekey_ike, settled  # noqa: E402
from tests.support.replacing import NAME, kill_role, survives, takeover, upgrade  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import tunnel  # noqa: E402

FLOWS, REKEYS, FORGED, WIDE = 8, 4, 50, ("replay-window=4096",)
UDP_SEGMENT, PART, PARTS = 103, 200, 20
SETUP = "workers=2"


class Workers(OursWithOurs):
    def _their_daemon(self, settings, retransmit_timeout):
        peer = super()._their_daemon(settings, retransmit_timeout)
        peer.setup = self.setup
        return peer


def come_up(pair):
    pair.ours.initiate(NAME)
    pair.both_up(NAME)
    pair.ping(NAME)


def threads(peer):
    return len(os.listdir(f"/proc/{peer.role('plane')}/task"))


def has_two(pair):
    for peer in (pair.ours, pair.theirs):
        check(threads(peer) >= 2, f"threads of plane: {threads(peer)}")
        stats = peer.control.request("stats")
        check_equal(stats["dataplane"]["workers"], "2", "workers in stats")
        check(len(os.listdir(f"/proc/{peer.daemon.child.pid}/task")) == 1, "the supervisor has one")


# ---- order ----

class Flow:
    """One UDP flow: datagrams with numbers that count up, every other flow in super-packets."""

    def __init__(self, pair, number):
        ours, theirs = pair.end(NAME, pair.ours), pair.end(NAME, pair.theirs)
        self.out = netns.socket_of(pair.ours.namespace, socket.AF_INET, socket.SOCK_DGRAM)
        self.into = netns.socket_of(pair.theirs.namespace, socket.AF_INET, socket.SOCK_DGRAM)
        self.into.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        self.into.bind((ours.ping[0], 20000 + number))
        self.into.setblocking(False)
        self.out.bind((theirs.ping[0], 30000 + number))
        self.out.connect((ours.ping[0], 20000 + number))
        self.parts = PARTS if number % 2 else 1
        if self.parts > 1:
            self.out.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, PART)
        self.sent = self.last = self.got = 0
        self.odd = []

    def send(self):
        numbers = range(self.sent + 1, self.sent + 1 + self.parts)
        try:
            self.out.send(b"".join(struct.pack("!Q", n) + bytes(PART - 8) for n in numbers))
        except OSError:  # a queue is full
            pass
        self.sent += self.parts

    def receive(self):
        try:
            while True:
                number = struct.unpack("!Q", self.into.recv(PART)[:8])[0]
                if number <= self.last:
                    self.odd.append((self.last, number))
                self.last = number
                self.got += 1
        except BlockingIOError:
            pass

    def close(self):
        self.out.close()
        self.into.close()


def one_way_of_packets(pair):
    """What the cable's kernel does with packets of two threads is not what is looked at: one
    processor has them all."""
    for namespace in pair.namespaces:
        namespace.run("sh", "-c", "echo 1 >/sys/class/net/eth0/queues/rx-0/rps_cpus")


def in_order(pair, over=settled):
    one_way_of_packets(pair)
    flows = [Flow(pair, n) for n in range(FLOWS)]
    stop = threading.Event()

    def send():
        while not stop.is_set():
            for flow in flows:
                flow.send()
            select.select([], [], [], 0.001)

    def receive():
        while not stop.is_set():
            ready, _, _ = select.select([flow.into for flow in flows], [], [], 0.05)
            for flow in flows:
                if flow.into in ready:
                    flow.receive()

    both = [threading.Thread(target=run) for run in (send, receive)]
    with Ivs(pair.ours.namespace, "eth0") as ivs:
        for thread in both:
            thread.start()
        try:
            for i in range(REKEYS):
                before = child_spis(pair.ours, NAME)
                (pair.ours, pair.theirs)[i % 2].rekey_child(NAME)
                until("new SPIs", lambda b=before: not b & child_spis(pair.ours, NAME), 15)
                over(pair, NAME)
                at = [flow.got for flow in flows]
                until("each flow goes on", lambda a=at: all(
                    flow.got > n + 50 for flow, n in zip(flows, a)))
        finally:
            stop.set()
            for thread in both:
                thread.join()
    for flow in flows:
        flow.receive()
        flow.close()
    ivs.check_unique()
    sent, got = sum(f.sent for f in flows), sum(f.got for f in flows)
    print(f"      {got} of {sent} datagrams, {REKEYS} rekeys")
    check_equal([f.odd[:3] for f in flows if f.odd], [], "datagrams out of order")


def same_lane(pair):
    """The lowest byte of our SPI, by which the kernel picks the thread, stays over rekeys."""
    def low(peer):
        return {int(spi, 16) & 0xff for spi, _ in child_spis(peer, NAME)}
    before = [low(peer) for peer in (pair.ours, pair.theirs)]
    rekey_child(pair, NAME, (pair.ours,), times=2)
    rekey_child(pair, NAME, (pair.theirs,), times=1)
    check_equal([low(peer) for peer in (pair.ours, pair.theirs)], before, "lowest bytes of SPIs")


def not_torn(pair):
    """Threads put packets into payloads in turns, and these leave in the order of their numbers."""
    for peer in (pair.ours, pair.theirs):
        check_equal({c["mode"] for c in peer.children(NAME)}, {"IPTFS"}, f"mode of {peer.kind}")
        counters = peer.counters()
        for name in ("esp-drop-aggfrag", "esp-aggfrag-late"):
            check_equal(counters[name], 0, name)


def has_one_for_each(pair, name):
    for peer in (pair.ours, pair.theirs):
        until(f"{peer.kind} has one for each", lambda p=peer: sorted(
            int(c.get("resource", 0)) for c in p.children(name)) == [0, 1, 2], 15)


def one_for_each(pair):
    """RFC 9611: each thread sends by the CHILD_SA that is for it alone."""
    has_one_for_each(pair, NAME)
    flows = [Flow(pair, n) for n in range(4 * FLOWS)]  # the kernel's choice of a queue is a hash, with a seed

    def used():
        for flow in flows:
            flow.send()
        return all(int(c["packets-out"]) > 20 for c in pair.ours.children(NAME) if c.get("resource", "0") != "0")
    try:
        until("each is used", used)
        until("what they carry arrives", lambda: [flow.receive() for flow in flows] and all(f.got for f in flows))
    finally:
        for flow in flows:
            flow.close()
    # The peer's kernel hands each to the thread of its number.
    check_equal({int(c["spi-in"], 16) & 0xff for c in pair.theirs.children(NAME) if c.get("resource", "0") != "0"},
                {0, 1}, "lowest bytes of their SPIs")


def forged(pair, name):
    """Packets that are not the peer's, at a worker's socket: it opens them, and tells of them by the main thread's log."""
    def spi():
        (one,) = child_spis(pair.ours, name)
        return int(one[0], 16)
    for _ in range(40):
        if spi() & 1:
            break
        pair.take_down(name)
        pair.ours.initiate(name)
        pair.both_up(name)
    check(spi() & 1, f"SPI {spi():#x} is of the second thread")
    at, start = spi(), 1 << 20
    ours, theirs = pair.end(name, pair.ours), pair.end(name, pair.theirs)
    before, mark = pair.ours.counters()["esp-drop-icv"], pair.ours.log_mark()
    with netns.udp_socket(pair.theirs.namespace, theirs.local) as sock:
        def send(n):
            for number in range(n):
                sock.sendto(struct.pack("!II", at, start + number) + os.urandom(88), (ours.local, 4500))
        send(FORGED)
        until("they are counted", lambda: pair.ours.counters()["esp-drop-icv"] == before + FORGED)
        # Five lines a second of each thread: those of this second may be used up.
        told = f"SPI 0x{at:08x}, sequence number {start}: "
        until("it is told", lambda: send(1) or told in pair.ours.log(mark))
    pair.ping(name)


# ---- the rest of life ----

def killed(pair, times=3):
    for _ in range(times):
        kill_role(pair.ours, "plane")
        reconnect(pair.ours)
        one_of_each(pair.ours, NAME)
        until("its threads", lambda: threads(pair.ours) >= 2)


def reloaded(pair):
    """A number that runs stays; what is said of that."""
    mark = pair.ours.log_mark()
    pair.ours.setup = "workers=1"
    pair.ours.load(pair.ours.ends)
    pair.ours.wait_log("workers=1: 2 threads carry packets until ipsecd is started anew", mark)
    pair.ours.setup = SETUP
    pair.ours.load(pair.ours.ends)
    has_two(pair)
    pair.ping(NAME)


def bound_meanwhile(pair):
    """The workers' sockets can't be bound: said once, and all goes on as it was."""
    mark = pair.ours.log_mark()
    pair.ours.setup = f"{SETUP}\n    bind-device=eth0"
    pair.ours.load(pair.ours.ends)
    pair.ours.wait_log("bind-device: several threads carry packets (workers)", mark)
    has_two(pair)
    in_order(pair)
    pair.ours.setup = SETUP
    pair.ours.load(pair.ours.ends)
    has_two(pair)


def bound_before(pair):
    """One thread, which bare ESP and ESP in UDP come to."""
    check_equal(threads(pair.ours), 1, "threads of plane")
    check("workers has no effect with bind-device" in pair.ours.log(0), "that is said")
    pair.ping(NAME)


def main():
    suite = Suite("workers")
    with Workers([tunnel(NAME, 1, extra=WIDE)], ipsecd_options=SPLIT, setup=SETUP) as pair:
        logs = (pair.ours, pair.theirs)
        come_up(pair)
        suite.case("both have two threads", has_two, pair, logs=logs)
        suite.case("flows keep their order", in_order, pair, logs=logs)
        suite.case("an SA's lane stays its successors'", same_lane, pair, logs=logs)
        suite.case("the IKE_SA is rekeyed", rekey_ike, pair, NAME, (pair.ours,), logs=logs)
        suite.case("TCP", pair.transfer, NAME, 8 << 20, logs=logs)
        suite.case("reload", reloaded, pair, logs=logs)
        suite.case("a reload that binds to a device", bound_meanwhile, pair, logs=logs)
        suite.case("kill -9 of plane", survives, pair, lambda: killed(pair), 50, logs=logs)
        suite.case("upgrade", survives, pair, lambda: upgrade(pair.ours), 50, logs=logs)
        suite.case("takeover", survives, pair, lambda: takeover(pair.ours), 50)
    with Workers([tunnel(NAME, 1, extra=WIDE + ("iptfs=yes",))], ipsecd_options=SPLIT, setup=SETUP) as pair:
        logs = (pair.ours, pair.theirs)
        come_up(pair)
        suite.case("iptfs: both have two threads", has_two, pair, logs=logs)
        suite.case("iptfs: flows keep their order", in_order, pair, logs=logs)
        suite.case("iptfs: nothing was torn", not_torn, pair, logs=logs)
        suite.case("iptfs: TCP", pair.transfer, NAME, 8 << 20, logs=logs)
        suite.case("iptfs: kill -9 of plane", survives, pair, lambda: killed(pair, 1), 50, logs=logs)
    with Workers([tunnel(NAME, 1, extra=WIDE + ("iptfs=yes", "iptfs-rate=20mbit"))], ipsecd_options=SPLIT,
                 setup=SETUP) as pair:
        logs = (pair.ours, pair.theirs)
        come_up(pair)
        suite.case("iptfs, constant rate: flows keep their order", in_order, pair, logs=logs)
        suite.case("iptfs, constant rate: TCP", pair.transfer, NAME, 1 << 20, logs=logs)
    with Workers([tunnel(NAME, 1, extra=("per-resource-sas=2",))], ipsecd_options=SPLIT, setup=SETUP) as pair:
        logs = (pair.ours, pair.theirs)
        come_up(pair)
        suite.case("a CHILD_SA for each thread", one_for_each, pair, logs=logs)
        suite.case("a CHILD_SA for each thread: flows keep their order", in_order, pair, has_one_for_each,
                   logs=logs)
    with Workers([tunnel(NAME, 1, extra=WIDE)], ipsecd_options=SPLIT,
                 setup=f"{SETUP}\n    bind-device=eth0") as pair:
        come_up(pair)
        suite.case("bound to a device", bound_before, pair, logs=(pair.ours, pair.theirs))
    with Workers([tunnel(NAME, 1, extra=WIDE + ("encapsulation=no",))], ipsecd_options=SPLIT, setup=SETUP) as pair:
        logs = (pair.ours, pair.theirs)
        come_up(pair)
        suite.case("bare ESP: flows keep their order", in_order, pair, logs=logs)
        suite.case("bare ESP: TCP", pair.transfer, NAME, 8 << 20, logs=logs)
    with Workers([tunnel(NAME, 1, extra=WIDE), tunnel("six", 2, outer=6, extra=WIDE)], ipsecd_options=SPLIT,
                 setup=SETUP) as pair:
        logs = (pair.ours, pair.theirs)
        come_up(pair)
        pair.ours.initiate("six")
        pair.both_up("six")
        suite.case("IPv6 outside: TCP", pair.transfer, "six", 8 << 20, logs=logs)
        for name in (NAME, "six"):
            suite.case(f"forged packets at a worker: {name}", forged, pair, name, logs=logs)
    with Pair([tunnel(NAME, 1)], ipsecd_options=SPLIT, setup=SETUP) as pair:
        logs = (pair.ours, pair.theirs)
        come_up(pair)
        suite.case("with charon: rekeys", rekey_child, pair, NAME, (pair.ours,), logs=logs)
        suite.case("with charon: TCP", pair.transfer, NAME, 8 << 20, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
