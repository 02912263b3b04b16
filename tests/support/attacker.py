"""Somebody on the path between two gateways: sees their datagrams, and sends any of his own
under any address."""
import os
import random
import select
import socket
import struct
import threading

from . import netns

ETH_P_ALL = 3
UDP = 17
MORE_FRAGMENTS = 0x2000


def udp_of(packet):
    """(source, port, destination, port, payload) of an IPv4 packet, None if it is no UDP."""
    head = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != UDP or len(packet) < head + 8:
        return None
    ports = struct.unpack("!HH", packet[head:head + 4])
    return (socket.inet_ntoa(packet[12:16]), ports[0], socket.inet_ntoa(packet[16:20]), ports[1],
            packet[head + 8:])


class Capture:
    """The UDP datagrams that pass a device, while the `with` block runs, in .seen."""

    def __init__(self, namespace, device):
        # Without a protocol until it is bound: it would take what passes other devices.
        self.sock = netns.socket_of(namespace, socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.sock.bind((device, ETH_P_ALL))
        self.seen = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.ending.is_set() or select.select([self.sock], [], [], 0)[0]:
            if select.select([self.sock], [], [], 0.1)[0]:
                datagram = udp_of(self.sock.recv(65536))
                if datagram:
                    self.seen.append(datagram)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exception):
        self.ending.set()
        self.thread.join()
        self.sock.close()


class Attacker:
    """Sends from a namespace on the path. `pace` is called now and then, so that what is lost is
    not lost in a full queue."""

    def __init__(self, namespace, pace, every=100):
        self.raw = netns.socket_of(namespace, socket.AF_INET, socket.SOCK_RAW,
                                   socket.IPPROTO_RAW)
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.pace = pace
        self.every = every
        self.sent = 0

    def close(self):
        self.raw.close()

    def _ip(self, source, target, body, number=0, fragment=0):
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, fragment, 64, UDP, 0,
                           socket.inet_aton(source), socket.inet_aton(target))
        self.raw.sendto(head + body, (target, 0))

    def _count(self):
        self.sent += 1
        if self.sent % self.every == 0:
            self.pace()

    @staticmethod
    def _udp(source_port, target_port, payload):
        # A checksum of 0: not computed (RFC 768).
        return struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload

    def send(self, source, target, payload):
        """One datagram; source and target are (address, port)."""
        self._ip(source[0], target[0], self._udp(source[1], target[1], payload))
        self._count()

    def send_fragments(self, source, target, payload, size, wanted=None):
        """The same in IP fragments of `size` bytes, or only some of them, in this order."""
        body = self._udp(source[1], target[1], payload)
        parts = [(at, body[at:at + size], at + size < len(body))
                 for at in range(0, len(body), size)]
        number = random.randrange(1, 65536)
        for index in range(len(parts)) if wanted is None else wanted:
            at, part, more = parts[index]
            self._ip(source[0], target[0], part, number,
                     at // 8 | (MORE_FRAGMENTS if more else 0))
        self._count()


# ---- what can be done to a datagram ----

def truncations(payload, step=1):
    return [payload[:n] for n in range(0, len(payload), step)]


def flips(payload, count, rng):
    """Copies with one to four bits turned over."""
    out = []
    for _ in range(count):
        data = bytearray(payload)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        out.append(bytes(data))
    return out


def corpus(root, *names):
    """The files of these fuzzers' corpora."""
    found = []
    for name in names:
        folder = os.path.join(root, "tests/fuzz/corpus", name)
        for file in sorted(os.listdir(folder)):
            with open(os.path.join(folder, file), "rb") as data:
                found.append(data.read())
    return found
