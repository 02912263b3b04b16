#!/usr/bin/env python3
"""The outer header of the userspace plane, ipsecd at both ends, a router between: DF, DSCP and ECN of the packets
inside go out with them, what a router did to ECN comes back inside (RFC 6040), and when a path holds less than the
device offers, the device follows (RFC 4301 8.2), and comes back when the path has.

    inside 10.1.n.1 -- ours -- 172.16.1.254 router 172.16.2.254 -- theirs -- 10.2.n.1
"""
import os
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.pair import OursWithOurs  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.sniffer import ESP, IPV4, IPV6, UDP, Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

PORT = 5005
BARE = "encapsulation=no"
OVERHEAD = {"plain": 20, "six": 40, "bare": 20 - 8, "bare-six": 40 - 8}  # of the outer IP header
ROUND = 8 + 8 + 8 + 16 + 2  # UDP, SPI and number, IV, ICV, trailer


class Headers(Sniffer):
    """.outer: (TOS, DF, fragment or not) of ESP, bare or in UDP from a port 4500."""

    def __init__(self, namespace, device):
        super().__init__(namespace, device)
        self.outer = []

    def packet(self, packet):
        if packet[0] >> 4 == 4 and packet[9] in (UDP, ESP):
            flags = struct.unpack("!H", packet[6:8])[0]
            ports = (packet[9] == ESP or flags & 0x1FFF or
                     struct.unpack("!HH", packet[20:24])[0] == 4500)
            if ports and len(packet) > 150:
                self.outer.append((packet[1], bool(flags & 0x4000), bool(flags & 0x3FFF)))
        elif packet[0] >> 4 == 6 and packet[6] in (UDP, ESP, 44) and len(packet) > 150:
            self.outer.append(((packet[0] << 4 | packet[1] >> 4) & 0xFF, True, packet[6] == 44))


class Receiver:
    """A UDP socket inside that sees TOS."""

    def __init__(self, namespace, address):
        self.sock = netns.socket_of(namespace, socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        self.sock.bind((address, PORT))
        self.sock.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.sock.close()

    def seen(self):
        """(TOS,) of the next datagram; None when there is none."""
        try:
            _data, control, _flags, _from = self.sock.recvmsg(2048, 128)
        except BlockingIOError:
            return None
        return (control[0][2][0] if control else 0,)

    def wait(self):
        return until("the datagram arrives", self.seen)[0]


def sender(pair, tos, dont_fragment=True):
    sock = netns.socket_of(pair.namespaces[0], socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((pair.end(pair.current, pair.ours).inside[0].split("/")[0], 0))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    sock.setsockopt(socket.IPPROTO_IP, 10, 2 if dont_fragment else 0)  # IP_MTU_DISCOVER
    return sock


def send(pair, tos, dont_fragment=True, count=1):
    with sender(pair, tos, dont_fragment) as sock:
        for _ in range(count):
            sock.sendto(bytes(200), (pair.end(pair.current, pair.ours).ping[0], PORT))


def up(pair, name):
    pair.current = name
    pair.ours.initiate(name)
    pair.both_up(name)
    pair.ping(name)


# ---- header fields ----

def outwards(pair, name, expected):
    """What each inner TOS and DF becomes outside: as the option says."""
    up(pair, name)
    with Receiver(pair.namespaces[1], pair.end(name, pair.ours).ping[0]) as receiver:
        for tos in (0, 0xB8, 0xB9, 0x01, 0x02, 0x03, 0xFC):
            for df in (True, False):
                with Headers(pair.namespaces[0], "eth0") as headers:
                    send(pair, tos, df)
                    got = receiver.wait()
                check_equal(got, tos, f"inside, from {tos:#x}")
                check(headers.outer, "no ESP packet was seen")
                check_equal({(t, d) for t, d, _f in headers.outer}, {expected(tos, df)},
                            f"outside, of {tos:#x}, DF {df}")


def congested(pair, name, expected):
    """The router marks congestion on everything: on what is for ECN it comes through, the rest is
    dropped and counted (RFC 6040 4.2)."""
    up(pair, name)
    pair.router.nft("table inet congestion { chain f { type filter hook forward priority 0; "
                    "ip protocol { udp, esp } ip ecn set ce; }; }")
    try:
        with Receiver(pair.namespaces[1], pair.end(name, pair.ours).ping[0]) as receiver:
            for tos in (0xB9, 0x02, 0x03):
                send(pair, tos)
                check_equal(receiver.wait(), expected(tos), f"inside, from {tos:#x}")
            before = drops(pair.theirs)
            send(pair, 0x00, count=3)
            if expected(0) is None:
                until("they are dropped", lambda: drops(pair.theirs) - before == 3)
                check_equal(receiver.seen(), None, "nothing arrives")
            else:
                check_equal([receiver.wait() for _ in range(3)], [expected(0)] * 3, "inside")
                check_equal(drops(pair.theirs), before, "nothing is dropped")
    finally:
        pair.router.nft_clear()


def drops(peer):
    return peer.counters()["esp-drop-ecn"]


# ---- path MTU ----

def narrow(pair, mtu):
    """The cable between the router and theirs."""
    pair.router.ip("link", "set", "eth2", "mtu", str(mtu))
    pair.namespaces[1].ip("link", "set", "eth0", "mtu", str(mtu))


def expires(pair, seconds):
    """After so long the kernel forgets what ICMP told of a path."""
    for family in ("ipv4", "ipv6"):
        pair.namespaces[0].sysctl(f"net.{family}.route.mtu_expires", seconds)


def wire_six(pair):
    """The same path by IPv6: fd0a:1::/64, router, fd0a:2::/64."""
    pair.router.sysctl("net.ipv6.conf.all.forwarding", 1)
    for side in (1, 2):
        pair.router.address(f"eth{side}", f"fd0a:{side}::254/64")
        pair.namespaces[side - 1].route("::/0", "via", f"fd0a:{side}::254")


def device_mtu(pair, name):
    return pair.ours.link(pair.end(name, pair.ours).device)["mtu"]


def ping(pair, name, size, *more):
    ours = pair.end(name, pair.ours)
    return pair.namespaces[0].run("ping", "-n", "-c", "1", "-W", "2", "-s", str(size - 28), *more,
                                  "-I", ours.inside[0].split("/")[0], ours.ping[0], check=False)


def inner_mtu(path, kind):
    room = path - OVERHEAD[kind] - ROUND + 2
    return room - room % 4 - 2


def follows(pair, name, kind, comes_back=True):
    """The device's MTU goes down with the path at the first ICMP message, and senders inside are
    told; it comes back up when what the kernel learnt has aged, which takes a while."""
    up(pair, name)
    full = device_mtu(pair, name)
    check_equal(full, inner_mtu(1500, kind), "the MTU of a path of 1500 bytes")
    check(" 1 received" in ping(pair, name, full, "-M", "do"), "the largest packet passes")
    narrow(pair, 1400)
    try:
        ping(pair, name, full, "-M", "do")  # the one that finds out
        until("the device follows", lambda: device_mtu(pair, name) == inner_mtu(1400, kind), 5)
        said = ping(pair, name, full, "-M", "do")
        check(re.search(r"(?i)mtu[ =]", said), f"who sends more is told: {said}")
        with Headers(pair.namespaces[0], "eth0") as headers:
            pair.transfer(name, 1 << 20)
            check(" 1 received" in ping(pair, name, inner_mtu(1400, kind), "-M", "do"), "it fits")
        check(not any(fragment for _t, _d, fragment in headers.outer), "fragments outside")
        if not comes_back:
            return
        expires(pair, 1)  # of what is learnt from now on
        narrow(pair, 1350)
        ping(pair, name, inner_mtu(1400, kind), "-M", "do")
    finally:
        narrow(pair, 1500)
    until("the device comes back up", lambda: device_mtu(pair, name) == full, 30)
    expires(pair, 600)


def below_the_floor(pair, name):
    """A path that holds less than an inner packet of 1280 bytes needs: the packets outside are
    fragmented, nothing is lost for good."""
    up(pair, name)
    narrow(pair, 1000)
    try:
        ping(pair, name, 1200, "-M", "do")
        until("the device's MTU is at its floor", lambda: device_mtu(pair, name) == 1280, 20)
        check(" 1 received" in ping(pair, name, 1280, "-M", "do"), "1280 bytes pass")
        pair.transfer(name, 1 << 18)
    finally:
        narrow(pair, 1500)


def fixed(pair, name):
    """mtu= is what the operator said: the device keeps it, outer packets are fragmented."""
    up(pair, name)
    check_equal(device_mtu(pair, name), 1438, "the MTU that was asked for")
    narrow(pair, 1400)
    try:
        ping(pair, name, 1438, "-M", "do")
        until("the packets pass in fragments",
              lambda: " 1 received" in ping(pair, name, 1438, "-M", "do"))
        check_equal(device_mtu(pair, name), 1438, "it stays")
    finally:
        narrow(pair, 1500)


def whole_or_not(pair, name):
    """Inner packets without DF may be fragmented on the way: they pass at once."""
    up(pair, name)
    narrow(pair, 1300)
    try:
        for _ in range(3):
            check(" 1 received" in ping(pair, name, 1400, "-M", "dont"), "it passes")
    finally:
        narrow(pair, 1500)


def by_the_device_of_the_sockets(pair, name):
    """The routing table has a better route to the peer, by another device. The sockets are bound
    (bind-device): what counts is the path of theirs."""
    ours = pair.end(name, pair.ours)
    here = pair.namespaces[0]
    here.batch(["link add name eth1 mtu 9000 up type veth peer name eth1-end",
                "link set dev eth1-end up"])
    here.route(ours.remote, "dev", "eth1")
    up(pair, name)
    check_equal(device_mtu(pair, name), inner_mtu(1500, "plain"), "the MTU of eth0's path")
    mark = pair.ours.log_mark()
    here.ip("link", "set", "eth1", "down")
    here.ip("link", "set", "eth0", "down")
    pair.ours.wait_log("may be out of reach (the underlay's link is down)", mark, 5)
    check_equal(pair.ours.log(mark).count("may be out of reach"), 1, "eth0's alone is of interest")


def both(name, n, *options, **more):
    ours, theirs = tunnel(name, n, **more)
    return change(ours, extra=options), change(theirs, extra=options)


def both_six(name, n, *options):
    ours, theirs = both(name, n, *options)
    ours_at, theirs_at = f"fd0a:1::{n}", f"fd0a:2::{n}"
    return (change(ours, local=ours_at, remote=theirs_at),
            change(theirs, local=theirs_at, remote=ours_at))


def main():
    suite = Suite("outer")
    tunnels = [both("copied", 1), both("kept", 2, "copy-dscp=no", "copy-ecn=no", "copy-df=no"),
               both("inwards", 3, "copy-dscp=in"), both("path", 4), both("floor", 5),
               both("fixed", 6, "mtu=1438"), both("loose", 7), both_six("six", 8),
               both("bare", 9, BARE), both("bare-kept", 10, BARE, "copy-dscp=no", "copy-df=no"),
               both_six("bare-six", 11, BARE), both("bare-path", 12, BARE)]
    with OursWithOurs(tunnels, routed=True) as pair:
        logs = (pair.ours, pair.theirs)
        suite.case("all is copied outwards", outwards, pair, "copied",
                   lambda tos, df: (tos, df), logs=logs)
        suite.case("all is copied outwards, bare ESP", outwards, pair, "bare",
                   lambda tos, df: (tos, df), logs=logs)
        suite.case("DF and DSCP are not copied, bare ESP", outwards, pair, "bare-kept",
                   lambda tos, df: (tos & 3, False), logs=logs)
        suite.case("nothing is copied", outwards, pair, "kept", lambda tos, df: (0, False),
                   logs=logs)
        suite.case("congestion on the way", congested, pair, "copied",
                   lambda tos: tos | 3 if tos & 3 else None, logs=logs)
        suite.case("congestion on the way, bare ESP", congested, pair, "bare",
                   lambda tos: tos | 3 if tos & 3 else None, logs=logs)
        suite.case("congestion, ECN not copied", congested, pair, "kept", lambda tos: tos,
                   logs=logs)
        suite.case("congestion, DSCP copied inwards", congested, pair, "inwards",
                   lambda tos: 3 if tos & 3 else None, logs=logs)
        suite.case("inner packets without DF", whole_or_not, pair, "loose", logs=logs)
        suite.case("the device follows the path", follows, pair, "path", "plain", logs=logs)
        suite.case("the device follows the path, bare ESP", follows, pair, "bare-path", "bare",
                   False, logs=logs)
        wire_six(pair)
        suite.case("the device follows the path, bare ESP over IPv6", follows, pair, "bare-six",
                   "bare-six", False, logs=logs)
        suite.case("the device follows the path, IPv6", follows, pair, "six", "six", logs=logs)
        suite.case("a path below the floor", below_the_floor, pair, "floor", logs=logs)
        suite.case("an MTU that was asked for", fixed, pair, "fixed", logs=logs)
    with OursWithOurs([both("bound", 1)], setup="bind-device=eth0") as pair:
        suite.case("the sockets' device", by_the_device_of_the_sockets, pair, "bound",
                   logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
