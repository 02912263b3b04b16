"""A BGP speaker that announces prefixes and keeps its session (RFC 4271; four-octet AS
numbers, RFC 6793), connecting again when it is closed. For measuring: it takes in nothing."""
import contextlib
import socket
import struct
import threading
import time

OPEN, UPDATE, KEEPALIVE = 1, 2, 4
HOLD = 180
A_MESSAGE = 800  # prefixes of three bytes: 4096 bytes are the limit
AS_TRANS = 23456


def message(kind, body=b""):
    return b"\xff" * 16 + struct.pack(">HB", 19 + len(body), kind) + body


def open_message(as_number, identifier):
    capability = struct.pack(">BBI", 65, 4, as_number)
    multi = struct.pack(">BBHBB", 1, 4, 1, 0, 1)  # IPv4 unicast
    options = b"".join(b"\x02" + bytes([len(c)]) + c for c in (multi, capability))
    number = as_number if as_number < 65536 else AS_TRANS
    return message(OPEN, struct.pack(">BHH", 4, number, HOLD) + socket.inet_aton(identifier)
                   + bytes([len(options)]) + options)


def attribute(flags, kind, value):
    return struct.pack(">BBB", flags, kind, len(value)) + value


def updates(nexthop, groups):
    """`groups`: [(AS numbers, [network /24 as its first three bytes])]."""
    for path, networks in groups:
        segment = struct.pack(">BB", 2, len(path)) + b"".join(struct.pack(">I", n) for n in path)
        attributes = (attribute(0x40, 1, b"\0") + attribute(0x40, 2, segment)
                      + attribute(0x40, 3, socket.inet_aton(nexthop)))
        for at in range(0, len(networks), A_MESSAGE):
            nlri = b"".join(b"\x18" + n for n in networks[at:at + A_MESSAGE])
            yield message(UPDATE, struct.pack(">HH", 0, len(attributes)) + attributes + nlri)


def end_of_rib():
    return message(UPDATE, struct.pack(">HH", 0, 0))


class Peer:
    """`connect()` gives a connected socket, made in the right namespace."""

    def __init__(self, as_number, address, connect, groups):
        self.as_number, self.address = as_number, address
        self.connect = connect
        self.data = b"".join(updates(address, groups)) + end_of_rib()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended.is_set():
            with contextlib.suppress(OSError):
                with self.connect() as session:
                    self._session(session)
            self.ended.wait(0.5)

    def _session(self, session):
        session.settimeout(HOLD / 3)
        session.sendall(open_message(self.as_number, self.address) + message(KEEPALIVE))
        if not self._receive(session):  # the other's OPEN
            return
        session.sendall(self.data)
        told = time.monotonic()
        while not self.ended.is_set() and self._receive(session):
            if time.monotonic() > told + 10:
                session.sendall(message(KEEPALIVE))
                told = time.monotonic()

    @staticmethod
    def _receive(session):
        try:
            return session.recv(65536)
        except TimeoutError:
            return b"silent"

    def stop(self):
        self.ended.set()
