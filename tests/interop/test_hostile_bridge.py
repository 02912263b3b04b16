#!/usr/bin/env python3
"""routed-bridge (built with ASan and UBSan) against servers that mean harm or are broken: a
zebra, its vty, an IKE daemon and a bgpd that send garbage, stop in the middle, announce huge lengths,
never end or never answer. It reconnects with back-off, never ends, and works once the servers
do. BRIDGE_SAN names another binary; SEED=n repeats a run."""
import contextlib
import os
import random
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.attacker import corpus, flips  # noqa: E402
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import Daemon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.vici import encode  # noqa: E402

BINARY = os.environ.get("BRIDGE_SAN", os.path.join(ROOT, "build/san/bin/routed-bridge"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
RNG = random.Random(SEED)
VERSION = b"FRRouting 8.4.4 (here) on Linux.\r\n\0\0\0\0"
CAPABILITIES = 19
BMP = ("127.0.0.1", 17900)
PER_SECOND = 15  # connections: the back-off begins at 100 ms
LINES_PER_SECOND = 100
COMPLAINTS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehavior")


class Server:
    """A Unix socket; behave(sock) is what becomes of each connection."""

    def __init__(self, path, behave):
        self.behave = behave
        self.count = 0
        self.open = set()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.count += 1
            self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock, self.behave), daemon=True).start()

    def _serve(self, sock, behave):
        with sock:
            sock.settimeout(30)
            try:
                behave(sock)
            except OSError:
                pass  # the bridge closed it
            self.open.discard(sock)

    def drop(self):
        """Ends all connections."""
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it had ended by itself

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.drop()


# ---- what servers do ----

def wait_for_end(sock):
    while sock.recv(65536):
        pass


def says(*parts):
    """Waits for the bridge's word, says these things, and keeps the connection."""
    def behave(sock):
        sock.recv(65536)
        for part in parts:
            sock.sendall(part)
        wait_for_end(sock)
    return behave


def says_and_goes(*parts):
    def behave(sock):
        sock.recv(65536)
        for part in parts:
            sock.sendall(part)
    return behave


def says_for_ever(start, part, limit=8 << 20):
    def behave(sock):
        sock.recv(65536)
        sock.sendall(start)
        for _ in range(limit // len(part)):
            sock.sendall(part)
    return behave


def goes_at_once(_sock):
    pass


def says_nothing(sock):
    wait_for_end(sock)


def zapi(command, body=b"", length=None, marker=254, version=6, vrf=0):
    return struct.pack("!HBBIH", 10 + len(body) if length is None else length, marker, version,
                       vrf, command) + body


HELLO_ANSWER = zapi(CAPABILITIES, bytes(10))
INTERFACE = b"eth0".ljust(16, b"\0") + struct.pack("!IBQ", 7, 0, 1) + bytes(40)


def vici(data):
    return struct.pack("!I", len(data)) + data


def vici_event(name, body):
    return vici(bytes([7, len(name)]) + name + body)


CONFIRMED = vici(b"\5")
SECTION = b"\1\1a"


def zservs():
    yield "goes at once", goes_at_once
    yield "garbage", says(RNG.randbytes(200))
    yield "wrong marker", says(zapi(CAPABILITIES, bytes(10), marker=255))
    yield "wrong version", says(zapi(CAPABILITIES, bytes(10), version=5))
    yield "length 0", says(zapi(CAPABILITIES, length=0))
    yield "length 65535", says(HELLO_ANSWER, zapi(0, bytes(100), length=65535))
    yield "other capabilities", says(zapi(CAPABILITIES, bytes(99)))
    yield "half a message", says_and_goes(HELLO_ANSWER[:7])
    yield "a whole one and a half", says_and_goes(HELLO_ANSWER, zapi(0, INTERFACE)[:30])
    yield "no answer to HELLO", says_nothing
    yield "bodies cut short", says_and_goes(HELLO_ANSWER, *(
        zapi(command, INTERFACE[:n]) for command in range(130) for n in range(0, 60, 7)))
    yield "interfaces turned over", says_and_goes(HELLO_ANSWER, *(
        zapi(0, data) for data in flips(INTERFACE, 500, RNG)))
    yield "corpus", says_and_goes(HELLO_ANSWER, *corpus(ROOT, "zapi"))
    yield "messages without end", says_for_ever(HELLO_ANSWER, 100 * zapi(77, bytes(50)))
    yield "interfaces without end", says_for_ever(HELLO_ANSWER, b"".join(
        zapi(0, INTERFACE[:16] + struct.pack("!I", n) + INTERFACE[20:])
        for n in range(1000)))


def vtys():
    yield "goes at once", goes_at_once
    yield "garbage", says(RNG.randbytes(5000))
    yield "another program", says(b"Quagga 0.99.24 ().\r\n\0\0\0\0")
    yield "an unknown release", says(b"FRRouting 99.99 ().\r\n\0\0\0\0")
    yield "a number that overflows", says(b"FRRouting 99999999999999999999.4\r\n\0\0\0\0")
    yield "a long line", says(b"FRRouting " + b"8" * 100000)
    yield "NULs", says(bytes(1000))
    yield "no answer", says_nothing


def vicis():
    yield "goes at once", goes_at_once
    yield "garbage", says(RNG.randbytes(300))
    yield "length 4 GB", says(b"\xff\xff\xff\xff" + bytes(100))
    yield "length 0", says(bytes(4))
    yield "unknown packet type", says(vici(b"\x09"))
    yield "half a packet", says_and_goes(vici(b"\5" * 9)[:6])
    yield "no event that we want", says(*(9 * [vici(b"\6")]), vici(b"\2"))
    yield "an answer too many", says(*(20 * [CONFIRMED]))
    yield "sections too deep", says(vici_event(b"list-sa", SECTION * 5000))
    yield "sections that don't end", says(vici_event(b"list-sa", SECTION * 3))
    yield "items outside of lists", says(vici_event(b"list-sa", b"\5\0\1a"))
    yield "lengths that lie", says(vici_event(b"list-sa", b"\3\1a\xff\xffb"))
    yield "no answer", says_nothing
    yield "corpus", says_and_goes(*map(vici, corpus(ROOT, "vici", "bridge_tunnels")))
    yield "events without end", says_for_ever(b"", 50 * vici_event(b"child-updown", encode(
        {"up": "yes", "a-b": {"uniqueid": 1, "child-sas": {"n-1": {"name": "n"}}}})))


def bmp(kind, body=b"", length=None, version=3):
    return struct.pack("!BIB", version, 6 + len(body) if length is None else length, kind) + body


SPEAKER = bmp(4, struct.pack("!HH", 1, 4) + b"well")
PEER = bytes(18) + bytes(4) + struct.pack("!III", 65002, 7, 0) + bytes(4)


def bmps():
    """What a client of the BMP port sends."""
    session = corpus(ROOT, "bmp")
    yield "goes at once", b""
    yield "garbage", RNG.randbytes(3000)
    yield "another version", bmp(4, version=2)
    yield "length 0", bmp(0, length=0)
    yield "length 4 GB", bmp(0, length=0xffffffff)
    yield "half a message", SPEAKER + bmp(0, bytes(100))[:50]
    yield "bodies cut short", SPEAKER + b"".join(
        bmp(kind, PEER[:n]) for kind in range(9) for n in (0, 1, 41))
    yield "corpus", b"".join(session)
    yield "corpus turned over", SPEAKER + b"".join(flips(max(session, key=len), 500, RNG))
    yield "unknown types without end", SPEAKER + 40000 * bmp(99, bytes(200))
    yield "peers without end", SPEAKER + b"".join(
        bmp(3, PEER[:26] + struct.pack("!II", 65002, n) + bytes(8) + bytes(20) +
            2 * (b"\xff" * 16 + b"\0\x13\1")) for n in range(6000))


def connects(rig, mark):
    """A bgpd that behaves is listened to."""
    def accepted():
        with contextlib.suppress(OSError), netns.tcp_socket(rig.namespace, "127.0.0.1") as sock:
            sock.settimeout(5)
            sock.connect(BMP)
            sock.sendall(SPEAKER)
            sock.settimeout(0.3)
            try:
                return bool(sock.recv(1))  # closed: the one before may be there still
            except TimeoutError:
                return "connected: well" in rig.log(mark)
        return False
    until("a bgpd is accepted", accepted, 10)


def attacks_bmp(rig, data):
    mark, start = rig.log_mark(), time.monotonic()
    with netns.tcp_socket(rig.namespace, "127.0.0.1") as sock, contextlib.suppress(OSError):
        sock.connect(BMP)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    took = time.monotonic() - start
    check(rig.log(mark).count("\n") <= LINES_PER_SECOND * (took + 1), "lines in the log")
    connects(rig, rig.log_mark())
    works(rig)


def second_bmp(rig):
    """While one is connected others are refused, and it stays."""
    mark = rig.log_mark()
    with netns.tcp_socket(rig.namespace, "127.0.0.1") as first:
        first.connect(BMP)
        first.sendall(SPEAKER)
        until("the first is accepted", lambda: "connected: well" in rig.log(mark))
        for _ in range(50):
            with netns.tcp_socket(rig.namespace, "127.0.0.1") as other:
                other.connect(BMP)
                check_equal(other.recv(10), b"", "the second one")
        first.settimeout(0.1)
        first.sendall(bmp(99))
        try:
            check(first.recv(1), "the first one was closed")
        except TimeoutError:
            pass
    check("refusing" in rig.log(mark), "no line says so")


def good_vici(sock):
    """Confirms every registration and has nothing to list."""
    stream = sock.makefile("rb")
    for head in iter(lambda: stream.read(4), b""):
        kind = stream.read(struct.unpack("!I", head)[0])[0]
        sock.sendall(CONFIRMED if kind == 3 else vici(b"\1"))


# ---- the bridge among them ----

class Rig:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hostile-bridge-")
        self.namespace = netns.Namespace("hostile-bridge")
        self.vty = Server(f"{self.dir}/zebra.vty", says(VERSION))
        self.zserv = Server(f"{self.dir}/zserv", says(HELLO_ANSWER))
        self.vici = Server(f"{self.dir}/vici", good_vici)
        with open(f"{self.dir}/bridge.conf", "w", encoding="utf-8") as file:
            file.write(f"vici {self.dir}/vici\nzserv {self.dir}/zserv\nvty-dir {self.dir}\n"
                       "bmp 127.0.0.1:17900\nconn a-b\n    prefix 10.2.0.0/24\n")
        self.bridge = Daemon("routed-bridge", self.namespace.argv(
            BINARY, "--config", f"{self.dir}/bridge.conf", "--foreground"), f"{self.dir}/log")

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.bridge.stop()
        for server in (self.vty, self.zserv, self.vici):
            server.close()
        self.namespace.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    # As a peer of Suite.case: its log is shown after a failure.
    kind = "bridge"

    def log(self, since=0):
        return self.bridge.log(since)

    def log_mark(self):
        return self.bridge.log_mark()


def misbehaves(rig, server, behave, times=3):
    """The bridge comes again, and not too often; the server mends, and all is well."""
    good, before, start = server.behave, server.count, time.monotonic()
    mark = rig.log_mark()
    server.behave = behave
    for each in {server, rig.zserv}:
        each.drop()
    try:
        until(f"{times} connections", lambda: server.count >= before + times, 30)
    finally:
        server.behave = good
        server.drop()
    took = time.monotonic() - start
    check(server.count - before <= PER_SECOND * (took + 1),
          f"{server.count - before} connections in {took:.1f} s")
    check(rig.log(mark).count("\n") <= LINES_PER_SECOND * (took + 1), "lines in the log")
    works(rig)


def works(rig):
    """A session with zebra and one with the IKE daemon that last."""
    def settled():
        check(rig.bridge.running(), "the bridge has ended")
        return all(len(server.open) == 1 for server in (rig.zserv, rig.vici)) and counts == [
            rig.zserv.count, rig.vici.count]

    def lasting():
        nonlocal counts
        counts = [rig.zserv.count, rig.vici.count]
        until("both connected", lambda: rig.zserv.open and rig.vici.open, 10)
        time_up = time.monotonic() + 0.3
        return until("a while", lambda: time.monotonic() > time_up) and settled()

    counts = []
    until("sessions that last", lasting, 20)


def ends_well(rig):
    status = rig.bridge.stop(20)
    log = rig.log()
    check(not any(word in log for word in COMPLAINTS), f"a sanitizer complains: {log[-6000:]}")
    check_equal(status, 0, "exit status of the bridge")


def main():
    suite = Suite("hostile-bridge")
    check(os.path.exists(BINARY), f"{BINARY} is missing: make SAN=1 all")
    print(f"hostile-bridge: SEED={SEED}", flush=True)
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1:quarantine_size_mb=8")
    with Rig() as rig:
        suite.case("all is well", works, rig, logs=(rig,))
        for name, server, behaviours in (("zserv", rig.zserv, zservs()),
                                         ("vty", rig.vty, vtys()), ("vici", rig.vici, vicis())):
            for what, behave in behaviours:
                suite.case(f"{name}: {what}", misbehaves, rig, server, behave,
                           2 if behave is says_nothing else 3, logs=(rig,))
        for what, data in bmps():
            suite.case(f"bmp: {what}", attacks_bmp, rig, data, logs=(rig,))
        suite.case("bmp: a second one", second_bmp, rig, logs=(rig,))
        suite.case("ends well", ends_well, rig, logs=(rig,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
