#!/usr/bin/env python3
"""TCP and UDP in super-packets through the userspace plane: IPv4 and IPv6 inside and outside,
offloads of the cable and of the tunnel devices on and off, MTUs of odd sizes and jumbo frames, datagrams cut at
every kind of size (UDP_SEGMENT), a host behind the gateway that gets every packet with right
checksums, and charon's plane, which knows no super-packets, at the other end.
"""
import os
import socket
import struct
import sys
import threading
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.pair import OursWithOurs, Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.sniffer import IPV4, IPV6, Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import tunnel  # noqa: E402

UDP_SEGMENT, UDP_GRO, SO_NO_CHECK = 103, 104, 11
MTUS = (1280, 1281, 1337, 1399)
ALL = ("tso", "gso", "gro", "tx", "rx")
OUTSIDE, INSIDE = "eth0", "the tunnel device"
# What ethtool turns off, where.
SETTINGS = {
    "all on": {},
    "cable without": {OUTSIDE: ALL},
    "device without": {INSIDE: ("tso", "gso", "tx")},
    "device without checksums": {INSIDE: ("tx",)},
    "device without TSO": {INSIDE: ("tso",)},
    "none": {OUTSIDE: ALL, INSIDE: ("tso", "gso", "tx", "gro")},
}


# ---- offloads and counters ----

@contextmanager
def offloads(pair, name, setting):
    done = []
    try:
        for peer in (pair.ours, pair.theirs):
            for where, features in SETTINGS[setting].items():
                device = pair.end(name, peer).device if where == INSIDE else where
                for feature in features:
                    peer.namespace.run("ethtool", "-K", device, feature, "off")
                    done.append((peer.namespace, device, feature))
        yield
    finally:
        for namespace, device, feature in reversed(done):
            namespace.run("ethtool", "-K", device, feature, "on", check=False)


def wrong_checksums(namespace):
    """How many packets this stack has refused for their checksum or header."""
    found = 0
    lines = namespace.run("cat", "/proc/net/snmp").splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        kind, *names = names.split()
        counts = dict(zip(names, values.split()[1:]))
        found += int(counts.get("InCsumErrors", 0))
        if kind == "Ip:":
            found += int(counts["InHdrErrors"])
    for line in namespace.run("cat", "/proc/net/snmp6").splitlines():
        key, value = line.split()
        if key in ("Ip6InHdrErrors", "Udp6InCsumErrors"):
            found += int(value)
    return found


@contextmanager
def all_checksums_right(pair):
    before = [wrong_checksums(n) for n in pair.namespaces]
    yield
    check_equal([wrong_checksums(n) for n in pair.namespaces], before,
                "packets refused for a checksum")


# ---- traffic ----

def udp_socket(namespace, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = netns.socket_of(namespace, family, socket.SOCK_DGRAM)
    sock.settimeout(20)
    sock.bind((address, 0))
    return sock


def datagrams(number, size, total):
    """`total` bytes, in datagrams of `size`, no two alike."""
    pattern = bytes((i * 7 + number) & 0xFF for i in range(total))
    data = bytearray(pattern)
    for at in range(0, total, size):
        if total - at >= 4:
            data[at:at + 4] = struct.pack("!I", number << 16 | at // size)
    return bytes(data), [bytes(data[at:at + size]) for at in range(0, total, size)]


def sizes_for(largest):
    """(datagram, bytes of all): one byte, odd ones, a last one of one byte, as large as fits."""
    yield 1, 40
    yield 2, 127
    yield 100, 6301
    yield 511, 511 * 20 + 1
    yield 512, 512 * 64
    many = min(40, 65000 // largest)
    yield largest - 1, (largest - 1) * (many * 3 // 4) + 5
    yield largest, largest * many + 1
    yield largest, largest * many


def send_datagrams(source, target, mtu, merged):
    """Cut by the kernel or by the plane; each arrives once, whole, in order."""
    largest = mtu - (48 if source.family == socket.AF_INET6 else 28)
    target.setsockopt(socket.IPPROTO_UDP, UDP_GRO, int(merged))
    for number, (size, total) in enumerate(sizes_for(largest)):
        whole, parts = datagrams(number, size, total)
        source.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
        source.sendto(whole, target.getsockname()[:2])
        got = b""
        count = 0
        while len(got) < total:
            part = target.recv(1 << 16)
            if not merged:
                check_equal(part, parts[count], f"datagram {count} of {size} bytes")
            got += part
            count += 1
        check_equal(got, whole, f"datagrams of {size} bytes, {total} in all")
    source.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)


def udp(source, target, mtu):
    """Each a (namespace, address)."""
    with udp_socket(*source) as out, udp_socket(*target) as into:
        send_datagrams(out, into, mtu, True)
        send_datagrams(out, into, mtu, False)
        if out.family == socket.AF_INET:  # RFC 768: none; such ones are not joined
            out.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        for i in range(30):
            out.sendto(bytes([i]) * (i * 11 % 300), into.getsockname()[:2])
        for i in range(30):
            check_equal(into.recv(2000), bytes([i]) * (i * 11 % 300), f"datagram {i}")


def read_all(sock, into):
    into.append(b"".join(iter(lambda: sock.recv(1 << 16), b"")))


def tcp(source, target, size):
    """So many bytes each way at the same time."""
    with netns.tcp_socket(*target) as server, netns.tcp_socket(*source) as client:
        server.listen()
        client.connect(server.getsockname()[:2])
        other, _ = server.accept()
        with other:
            data, got = os.urandom(size), {client: [], other: []}
            threads = [threading.Thread(target=read_all, args=(s, got[s])) for s in got]
            threads += [threading.Thread(target=send_all, args=(s, data)) for s in got]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            check(got[client] == [data] and got[other] == [data],
                  f"TCP {source[1]} - {target[1]}: what came is not what was sent")


def send_all(sock, data):
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def ends(pair, name):
    """((our namespace, address), (their namespace, address)) for each family inside."""
    ours = pair.end(name, pair.ours)
    return [((pair.namespaces[0], source.split("/")[0]), (pair.namespaces[1], target))
            for source, target in zip(ours.inside, ours.ping)]


def mtu_of(pair, name):
    return min(p.link(pair.end(name, p).device)["mtu"] for p in (pair.ours, pair.theirs))


def traffic(pair, name, size=2_000_000):
    mtu = mtu_of(pair, name)
    with all_checksums_right(pair):
        for ours, theirs in ends(pair, name):
            tcp(ours, theirs, size)
            udp(ours, theirs, mtu)
            udp(theirs, ours, mtu)


# ---- cases ----

class Sizes(Sniffer):
    """How long the longest packet was that went out, and that came in."""

    out = into = 0

    def packet(self, packet):
        if self.outgoing:
            self.out = max(self.out, len(packet))
        else:
            self.into = max(self.into, len(packet))


def with_offloads(pair, name, setting):
    with offloads(pair, name, setting):
        traffic(pair, name)


def super_packets_are_used(pair, name):
    """They are what makes it fast: out of the device and into the other one."""
    mtu = mtu_of(pair, name)
    device = pair.end(name, pair.ours).device
    for ours, theirs in ends(pair, name):
        with Sizes(pair.namespaces[0], device) as seen:
            tcp(ours, theirs, 4_000_000)
        check(seen.out > 2 * mtu, f"the longest packet out was {seen.out}")
        check(seen.into > 2 * mtu, f"the longest packet that came up was {seen.into}")
        with offloads(pair, name, "device without"), Sizes(pair.namespaces[0], device) as seen:
            tcp(ours, theirs, 1_000_000)
        check(seen.out <= mtu, f"without TSO, a packet of {seen.out} bytes")


class Checked(Sniffer):
    """Every packet's checksums, as they are on the cable."""

    def __init__(self, namespace, device):
        super().__init__(namespace, device)
        self.wrong, self.right, self.longest = [], 0, 0

    def packet(self, packet):
        if packet[0] >> 4 == 4:
            head, addresses, number = (packet[0] & 15) * 4, packet[12:20], packet[9]
            whole = packet[:struct.unpack("!H", packet[2:4])[0]]
            fine = ones_sum(whole[:head]) == 0xFFFF
        elif packet[0] >> 4 == 6:
            head, addresses, number, fine = 40, packet[8:40], packet[6], True
            whole = packet[:40 + struct.unpack("!H", packet[4:6])[0]]
        else:
            return
        if number not in (6, 17):
            return
        body = whole[head:]
        none = number == 17 and body[6:8] == b"\0\0" and head != 40
        if not fine or not none and ones_sum(addresses + struct.pack("!IHH", len(body), 0, number)
                                             + body) != 0xFFFF:
            self.wrong.append(packet[:60].hex())
        self.right += 1
        self.longest = max(self.longest, len(whole))


def ones_sum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@contextmanager
def host_behind(pair, name):
    """A host behind their gateway, on a cable without offloads: ((namespace, address) ...)."""
    ours = pair.end(name, pair.ours)
    host = netns.Namespace("host")
    pair.namespaces.append(host)
    gateway = pair.namespaces[1]
    netns.veth(gateway, "lan0", host, "eth0")
    hosts = []
    for address in ours.ping:
        address = address[:-1] + "c8" if ":" in address else address[:-1] + "200"
        length = "/128" if ":" in address else "/32"
        host.address("eth0", address + length)
        gateway.route(address + length, "dev", "lan0")
        router = "fe80::1" if ":" in address else "192.0.2.1"
        gateway.address("lan0", router + ("/64" if ":" in address else "/32"))
        host.route(router + length, "dev", "eth0")
        host.route("default" if length == "/32" else "::/0", "via", router, "dev", "eth0")
        hosts.append((host, address))
    for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        gateway.sysctl(key, 1)
    for namespace, device in ((gateway, "lan0"), (host, "eth0")):
        for feature in ALL:
            namespace.run("ethtool", "-K", device, feature, "off", check=False)
    try:
        yield hosts
    finally:
        gateway.ip("link", "delete", "lan0")
        pair.namespaces.remove(host)
        host.remove()


def host_gets_right_packets(pair, name):
    """What was joined is cut again by the gateway's kernel, and forwarded: and the other way."""
    mtu = mtu_of(pair, name)
    with host_behind(pair, name) as hosts, all_checksums_right(pair):
        for (ours, _), host in zip(ends(pair, name), hosts):
            with Checked(host[0], "eth0") as seen:
                tcp(ours, host, 1_000_000)
                udp(ours, host, mtu)
                udp(host, ours, mtu)
            check(seen.right > 500, f"{seen.right} packets seen")
            check(seen.longest <= 1500, f"a packet of {seen.longest} bytes on a cable of 1500")
            check_equal(seen.wrong, [], "packets with wrong checksums")


def jumbo(pair, name):
    """A cable of 9000 bytes: packets and segments of nearly that size, with and without offloads."""
    for namespace in pair.namespaces[:2]:
        namespace.ip("link", "set", OUTSIDE, "mtu", "9000")
    pair.ours.initiate(name)
    pair.both_up(name)
    until("the device's MTU is 8938", lambda: mtu_of(pair, name) == 8938)
    for setting in ("all on", "cable without", "none"):
        with Sizes(pair.namespaces[0], OUTSIDE) as seen:
            with_offloads(pair, name, setting)
        check(seen.out > 8900, f"{setting}: the longest packet outside was {seen.out}")


def tunnels():
    mixed = [tunnel(f"both-in-{outer}", n, outer=outer, inside=(4, 6))
             for n, outer in enumerate((4, 6), 1)]
    odd = [tunnel(f"mtu-{mtu}", n, outer=4 if mtu & 1 else 6, inside=(4, 6), extra=(f"mtu={mtu}",))
           for n, mtu in enumerate(MTUS, 3)]
    return mixed, odd


def main():
    suite = Suite("offload")
    mixed, odd = tunnels()
    with OursWithOurs(mixed + odd) as pair:
        logs = (pair.ours, pair.theirs)
        for name in (ours.name for ours, _ in mixed + odd):
            pair.ours.initiate(name)
            pair.both_up(name)
        for name in (ours.name for ours, _ in mixed):
            for setting in SETTINGS:
                suite.case(f"{name}, {setting}", with_offloads, pair, name, setting, logs=logs)
            suite.case(f"{name}, super-packets pass the devices", super_packets_are_used, pair, name,
                       logs=logs)
            suite.case(f"{name}, a host behind the gateway", host_gets_right_packets, pair, name,
                       logs=logs)
        for name in (ours.name for ours, _ in odd):
            check_equal(mtu_of(pair, name), int(name.split("-")[1]), "the device's MTU")
            suite.case(name, traffic, pair, name, logs=logs)
    mixed, _ = tunnels()
    with Pair(mixed[:1]) as pair:
        name = mixed[0][0].name
        with pair.up(name, pair.ours):
            for setting in ("all on", "none"):
                suite.case(f"with charon, {name}, {setting}", with_charon, pair, name, setting,
                           logs=(pair.ours, pair.theirs))
    with OursWithOurs([tunnel("jumbo", 1, inside=(4, 6))]) as pair:
        suite.case("jumbo frames", jumbo, pair, "jumbo", logs=(pair.ours, pair.theirs))
    return suite.finish()


def with_charon(pair, name, setting):
    """Its device is another one, with an MTU of its own, and has no offloads to be turned off."""
    mtu = 1280
    device = pair.end(name, pair.ours).device
    for feature in SETTINGS[setting].get(INSIDE, ()):
        pair.ours.namespace.run("ethtool", "-K", device, feature, "off")
    with all_checksums_right(pair):
        for ours, theirs in ends(pair, name):
            tcp(ours, theirs, 1_000_000)
            udp(ours, theirs, mtu)
            udp(theirs, ours, mtu)


if __name__ == "__main__":
    sys.exit(main())
