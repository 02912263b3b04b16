#!/usr/bin/env python3
"""Bare ESP (IP protocol 50) between two userspace planes, in namespaces whose kernel has no ESP: over both families,
through rekeys, kills and starts of the plane; what a NAT or the other end's choice makes of it; and that a kernel with
nobody to take ESP says so, but not while we are there, nor while our plane is started again."""
import os
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import nat, netns  # noqa: E402
from tests.support.ipsecd import BINARY, OPTIONS  # noqa: E402
from tests.support.pair import OursWithOurs  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import rekey_child, rekey_ike  # noqa: E402
from tests.support.replacing import LOST_WITH_PLANE, kill_role  # noqa: E402
from tests.support.sniffer import ESP, ICMP, ICMPV6, UDP, Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

BARE = "encapsulation=no"
IPSECCTL = os.path.join(os.path.dirname(BINARY), "ipsecctl")


class Cable(Sniffer):
    """.esp: packets of bare ESP, .in_udp: of ESP in UDP, .refusals: ICMP messages, protocol
    unreachable or next header unknown."""

    def __init__(self, namespace):
        super().__init__(namespace, "eth0")
        self.esp = self.in_udp = self.refusals = 0

    def packet(self, packet):
        four = packet[0] >> 4 == 4
        if not four and packet[0] >> 4 != 6:
            return
        protocol, body = (packet[9], packet[(packet[0] & 15) * 4:]) if four else (packet[6],
                                                                                  packet[40:])
        self.esp += protocol == ESP
        if protocol == UDP and struct.unpack("!HH", body[:4]) == (4500, 4500):
            self.in_udp += body[8:12] != bytes(4) and len(body) > 9
        self.refusals += ((protocol == ICMP and body[:2] == b"\x03\x02") or
                          (protocol == ICMPV6 and body[:2] == b"\x04\x01"))


def bare_passes(pair, name):
    with Cable(pair.namespaces[1]) as cable:
        with pair.up(name, pair.ours):
            check_equal([c["encap"] for p in (pair.ours, pair.theirs) for c in p.children(name)
                         if "encap" in c], [], "in UDP")
            status = netns.run(IPSECCTL, "--vici", pair.ours.socket_path, "status", name)
            check(re.search(rf"^CHILD_SA {name} #\d+: ESP, SPI ", status, re.M), status)
            pair.ping_sizes(name)
            pair.transfer(name, 1 << 20)
            for peers in ([pair.ours], [pair.theirs]):
                rekey_child(pair, name, peers, times=1)
                rekey_ike(pair, name, peers, times=1)
            pair.ping(name)
    check(cable.esp > 100 and not cable.in_udp and not cable.refusals,
          f"bare {cable.esp}, in UDP {cable.in_udp}, refusals {cable.refusals}")
    check(not cable.clear, f"in clear on the cable: {cable.clear[:5]}")


def one_wants_udp(pair, name):
    """One end claims a NAT, the other does as it is told (RFC 7296 2.23)."""
    with Cable(pair.namespaces[1]) as cable:
        for initiator in (pair.ours, pair.theirs):
            with pair.up(name, initiator):
                pass
    check(cable.in_udp and not cable.esp, f"bare {cable.esp}, in UDP {cable.in_udp}")


def plane_is_killed(pair, name):
    """Its sockets are the supervisor's as well: the peer sees no ICMP message, and what comes meanwhile waits. What
    each of the two had in hand is gone."""
    with Cable(pair.namespaces[1]) as cable, pair.up(name, pair.ours):
        with pair.pinging(name) as pinging:
            for peer in (pair.ours, pair.theirs):
                kill_role(peer, "plane")
                pinging.go_on(20)
        pinging.check_no_loss(2 * LOST_WITH_PLANE)
    check(not cable.refusals and not cable.in_udp, f"ICMP messages: {cable.refusals}")


def says_unreachable(pair, name):
    """What a stranger's ESP is answered with: nothing by us, protocol unreachable (or, over IPv6, next header unknown)
    by a kernel where nobody takes ESP."""
    ends = [pair.end(name, p) for p in (pair.theirs, pair.ours)]
    family = socket.AF_INET6 if ":" in ends[0].local else socket.AF_INET

    def send():
        with netns.socket_of(pair.namespaces[1], family, socket.SOCK_RAW, ESP) as sock:
            sock.bind((ends[0].local, 0))
            sock.sendto(struct.pack("!II", 0xDEADBEEF, 1) + bytes(32), (ends[1].local, 0))

    def drops():
        return pair.ours.counters()["esp-drop-unknown-spi"]

    before = drops()
    with Cable(pair.namespaces[1]) as cable:
        send()
        until("it is counted", lambda: drops() > before)
    check_equal(cable.refusals, 0, "while we are there")
    pair.ours.stop()
    with Cable(pair.namespaces[1]) as cable:
        until("the kernel says that nobody takes it", lambda: send() or cable.refusals)
    pair.ours.start(pair.ours.ends)


def through_nat(pair, name):
    """A NAT that is found needs UDP, whatever was asked for."""
    with Cable(pair.namespaces[1]) as cable, pair.up(name, pair.ours):
        pair.transfer(name, 1 << 16)
    check(cable.in_udp and not cable.esp, f"bare {cable.esp}, in UDP {cable.in_udp}")


def both(name, n, ours_say=BARE, theirs_say=BARE, **more):
    ours, theirs = tunnel(name, n, **more)
    return change(ours, extra=(ours_say,)), change(theirs, extra=(theirs_say,))


def main():
    suite = Suite("bare")
    tunnels = [both("four", 1, inside=(4, 6)), both("six", 2, outer=6, inside=(4, 6)),
               both("cbc", 3, esp="aes256-sha256"), both("chacha", 4, esp="chacha20poly1305"),
               both("ours-udp", 5, ours_say="encapsulation=yes"),
               both("theirs-auto", 6, theirs_say="encapsulation=auto")]
    with OursWithOurs(tunnels) as pair:
        logs = (pair.ours, pair.theirs)
        for name in ("four", "six", "cbc", "chacha"):
            suite.case(f"{name}: packets, rekeys", bare_passes, pair, name, logs=logs)
        suite.case("one end wants UDP", one_wants_udp, pair, "ours-udp", logs=logs)
        suite.case("one end leaves it to its plane", one_wants_udp, pair, "theirs-auto", logs=logs)
        if "--single-process" not in OPTIONS:
            for name in ("four", "six"):
                suite.case(f"{name}: the plane is killed", plane_is_killed, pair, name,
                           logs=logs)
        for name in ("four", "six"):
            suite.case(f"{name}: unreachable but for us", says_unreachable, pair, name, logs=logs)
    with OursWithOurs([both("nat", 1)], routed=True) as pair:
        nat.masquerade(pair.router, "eth2")
        ours, theirs = pair.tunnels[0]
        pair.theirs.load([change(theirs, remote="%any")])
        suite.case("a NAT between", through_nat, pair, "nat", logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
