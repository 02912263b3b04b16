"""What passes a device of a namespace, read while a `with` block runs."""
import select
import socket
import struct
import threading
from collections import Counter

from . import netns

ETH_P_ALL = 3
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
ICMP, TCP, UDP, ESP, ICMPV6 = 1, 6, 17, 50, 58
IKE_PORTS = {500, 4500}
SO_RCVBUFFORCE = 33  # asm/socket.h


def describe(protocol, packet):
    """(what, text) of a layer 3 packet: "esp", "ike" (ESP in UDP among it), "neighbour", else
    "clear"."""
    if protocol == ARP:
        return "neighbour", "ARP"
    if protocol == IPV4 and len(packet) >= 20:
        number, head = packet[9], (packet[0] & 15) * 4
        ends = f"{socket.inet_ntoa(packet[12:16])} > {socket.inet_ntoa(packet[16:20])}"
        later = struct.unpack("!H", packet[6:8])[0] & 0x1FFF  # a fragment without ports
    elif protocol == IPV6 and len(packet) >= 40:
        number, head, later = packet[6], 40, 0
        ends = " > ".join(socket.inet_ntop(socket.AF_INET6, packet[at:at + 16]) for at in (8, 24))
        if number == 0 and len(packet) > 48:  # hop by hop: MLD
            number, head = packet[40], 48
    else:
        return "clear", f"ethertype {protocol:#x}"
    body = packet[head:]
    if number == ESP:
        return "esp", ends
    if number == UDP and (later or IKE_PORTS & set(struct.unpack("!HH", body[:4]))):
        return "ike", ends
    if number == ICMPV6 and body[:1] and body[0] in (130, 131, 132, 133, 134, 135, 136, 137, 143):
        return "neighbour", ends
    return "clear", f"protocol {number}, {ends}, {len(packet)} bytes"


class Sniffer:
    """.seen counts by kind, .clear has the words for what is neither IKE, ESP nor address
    resolution. On a tunnel device all is clear: .clear says which packets went by."""

    def __init__(self, namespace, device):
        # Without a protocol until it is bound: it would take what passes other devices.
        self.sock = netns.socket_of(namespace, socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.sock.bind((device, ETH_P_ALL))
        self.device = device
        self.seen = Counter()
        self.clear = []
        self.outgoing = False  # the packet that is looked at
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.ending.is_set() or select.select([self.sock], [], [], 0)[0]:
            if select.select([self.sock], [], [], 0.1)[0]:
                try:
                    packet, address = self.sock.recvfrom(65536)
                except OSError:  # the device went down
                    continue
                self.outgoing = address[2] == socket.PACKET_OUTGOING
                self.packet(packet)
                kind, text = describe(address[1], packet)
                self.seen[kind] += 1
                if kind == "clear":
                    self.clear.append(text)

    def packet(self, packet):
        """For who wants more of it than its kind."""

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exception):
        self.ending.set()
        self.thread.join()
        self.sock.close()


NLMSG_DONE, RTM_NEWLINK, RTM_DELLINK = 3, 16, 17
RTMGRP_LINK = 1
IFLA_IFNAME, IFLA_OPERSTATE = 3, 16
IFF_UP = 1
OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")


class LinkWatch:
    """What rtnetlink tells of a device meanwhile: .changes has (state, ifindex) whenever one of
    them differs from the last; state is an operstate, "ADMIN DOWN" or "DELETED"."""

    def __init__(self, namespace, device):
        self.sock = netns.socket_of(namespace, socket.AF_NETLINK, socket.SOCK_RAW,
                                    socket.NETLINK_ROUTE)
        self.sock.bind((0, RTMGRP_LINK))
        self.device = device
        self.changes = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.ending.is_set() or select.select([self.sock], [], [], 0)[0]:
            if select.select([self.sock], [], [], 0.1)[0]:
                data = self.sock.recv(65536)
                while len(data) >= 16:
                    length, kind = struct.unpack("=IH", data[:6])
                    self._message(kind, data[16:length])
                    data = data[(length + 3) & ~3:]

    def _message(self, kind, body):
        if kind not in (RTM_NEWLINK, RTM_DELLINK):
            return
        index, flags = struct.unpack("=iI", body[4:12])
        attributes, rest = {}, body[16:]
        while len(rest) >= 4:
            length, number = struct.unpack("=HH", rest[:4])
            if length < 4:
                break
            attributes[number & 0x3FFF] = rest[4:length]
            rest = rest[(length + 3) & ~3:]
        if attributes.get(IFLA_IFNAME, b"").rstrip(b"\0").decode() != self.device:
            return
        state = OPERSTATES[attributes.get(IFLA_OPERSTATE, b"\0")[0]]
        state = "DELETED" if kind == RTM_DELLINK else state if flags & IFF_UP else "ADMIN DOWN"
        if not self.changes or self.changes[-1] != (state, index):
            self.changes.append((state, index))

    def states(self):
        return [state for state, _ in self.changes]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exception):
        self.ending.set()
        self.thread.join()
        self.sock.close()
