#!/usr/bin/env python3
"""AGGFRAG and IP-TFS (RFC 9347), ipsecd at both ends, a router with a narrow cable between: what is inside is as large
as it likes, a lost packet takes no more with it than what it held, a constant rate is the same with and without
traffic, and all of it outlives rekeys, reauthentication and a killed plane. A charon without it gets plain ESP.

    inside 10.1.n.1 -- ours -- 172.16.1.254 router 172.16.2.254 (1280 bytes) -- theirs -- 10.2.n.1
"""
import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.killing import SPLIT  # noqa: E402
from tests.support.netns import socket_of  # noqa: E402
from tests.support.pair import OursWithOurs, Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import rekey_child, rekey_ike, settled  # noqa: E402
from tests.support.replacing import LOST_WITH_PLANE, kill_role  # noqa: E402
from tests.support.sniffer import UDP, Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

PATH = 1280
RATE, PACKET = 200, 1000
LOSS = """
add table inet loss
add counter inet loss lost
add chain inet loss f { type filter hook forward priority 0; }
add rule inet loss f iifname eth1 udp dport 4500 @th,64,32 != 0 numgen inc mod 100 == 7 counter name lost drop
"""


class Outer(Sniffer):
    """.sizes: of outgoing packets with ESP in UDP from `source`, in their order."""

    def __init__(self, namespace, device, source):
        super().__init__(namespace, device)
        self.source = socket.inet_aton(source)
        self.sizes = []

    def packet(self, packet):
        if packet[0] >> 4 != 4 or packet[9] != UDP or packet[12:16] != self.source:
            return
        head = (packet[0] & 15) * 4
        ports = struct.unpack_from("!HH", packet, head)
        if ports[0] == 4500 and packet[head + 8:head + 12] != b"\0\0\0\0" and len(packet) > head + 9:
            self.sizes.append(len(packet))


def both(name, n, *options, **more):
    ours, theirs = tunnel(name, n, **more)
    return change(ours, extra=options), change(theirs, extra=options)


def narrow(pair, mtu):
    """All cables. Packets are cut before they are seen on them."""
    for namespace in pair.namespaces[:2]:
        namespace.run("ethtool", "-K", "eth0", "tx-udp-segmentation", "off", "gso", "off")
        namespace.ip("link", "set", "eth0", "mtu", str(mtu))
    pair.router.ip("link", "set", "eth1", "mtu", str(mtu))
    far(pair, mtu)


def far(pair, mtu):
    """The cable between the router and theirs."""
    pair.router.ip("link", "set", "eth2", "mtu", str(mtu))
    pair.namespaces[1].ip("link", "set", "eth0", "mtu", str(mtu))


def mode(peer, name):
    return {c["mode"] for c in peer.children(name)}


def up(pair, name, expected="IPTFS"):
    if not pair.ours.is_up(name):
        pair.ours.initiate(name)
    pair.both_up(name)
    pair.ping(name)
    for peer in (pair.ours, pair.theirs):
        check_equal(mode(peer, name), {expected}, f"mode of {peer.kind}")


def ping(pair, name, size, *more):
    """size: of the IPv4 packet."""
    ours = pair.end(name, pair.ours)
    return pair.namespaces[0].run("ping", "-n", "-w", "10", "-s", str(size - 28), *more, "-I",
                                  ours.inside[0].split("/")[0], ours.ping[0], check=False)


def passes(pair, name, *sizes):
    for size in sizes:
        said = ping(pair, name, size, "-c", "1", "-M", "do")
        check(" 1 received" in said, f"{size} bytes pass: {said.strip()}")


# ---- sizes ----

def independent(pair, name, mtu):
    """The device offers `mtu` on a path of 1280 bytes, and no outer packet is longer than that."""
    up(pair, name)
    ours = pair.end(name, pair.ours)
    check_equal(pair.ours.link(ours.device)["mtu"], mtu, "the device's MTU")
    with Outer(pair.namespaces[0], "eth0", ours.local) as outer:
        passes(pair, name, 28, 29, 100, 1200, 1280, mtu - 1, mtu)
        pair.transfer(name, 1 << 20)
    check(outer.sizes and max(outer.sizes) <= PATH, f"outer packets: {sorted(set(outer.sizes))[-3:]}")


def follows(pair, name):
    """A path that holds less from now on: the payloads follow, what is inside does not notice."""
    up(pair, name)
    ours = pair.end(name, pair.ours)
    mtu = pair.ours.link(ours.device)["mtu"]
    far(pair, 900)
    try:
        until("packets of 1500 bytes pass again",
              lambda: " 1 received" in ping(pair, name, 1500, "-c", "1", "-W", "1", "-M", "do"))

        def fit():
            with Outer(pair.namespaces[0], "eth0", ours.local) as outer:
                passes(pair, name, 1200, 1500, mtu)  # the first is one payload, which has DF
            return max(outer.sizes) <= 900
        until("the payloads are as large as the path", fit, 20)
        check_equal(pair.ours.link(ours.device)["mtu"], mtu, "the device's MTU")
    finally:
        far(pair, PATH)


def whole(pair, name):
    """iptfs-dont-frag: the device holds what one payload does."""
    up(pair, name)
    mtu = pair.ours.link(pair.end(name, pair.ours).device)["mtu"]
    check_equal(mtu, 1280, "the device's MTU is at its floor")
    passes(pair, name, 100, mtu)
    pair.transfer(name, 1 << 18)
    check_equal(pair.ours.children(name)[0]["iptfs-dont-frag"], "yes", "list-sas")


def aggregates(pair, name):
    """Small packets that are there at once share outer ones."""
    up(pair, name)
    ours = pair.end(name, pair.ours)
    count = 200
    plane = pair.ours.roles().get("plane", pair.ours.daemon.child.pid)
    with socket_of(pair.namespaces[1], socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
            socket_of(pair.namespaces[0], socket.AF_INET, socket.SOCK_DGRAM) as sender, \
            Outer(pair.namespaces[0], "eth0", ours.local) as outer:
        receiver.bind((ours.ping[0], 5005))
        receiver.settimeout(10)
        os.kill(plane, signal.SIGSTOP)  # all of them wait in the device
        for n in range(count):
            sender.sendto(struct.pack("!I", n), (ours.ping[0], 5005))
        os.kill(plane, signal.SIGCONT)
        got = [struct.unpack("!I", receiver.recv(100))[0] for _ in range(count)]
    check_equal(got, list(range(count)), "datagrams, in order")
    check(len(outer.sizes) < count / 4, f"{len(outer.sizes)} outer packets for {count} datagrams")


# ---- loss ----

def lossy(pair, name, size):
    """Every hundredth packet is dropped on its way out: so many pings are lost, or those that shared
    it, which are more where the plane was not quick to take each, and no others."""
    up(pair, name)
    pair.router.nft(LOSS)
    try:
        with Outer(pair.namespaces[0], "eth0", pair.end(name, pair.ours).local) as outer:
            said = ping(pair, name, size, "-c", "500", "-i", "0.002", "-M", "do")
        dropped = int(pair.router.run("nft", "list", "counters").split("packets ")[1].split()[0])
    finally:
        pair.router.nft_clear()
    received = int(said.split(" received")[0].split()[-1])
    sent = int(said.split(" packets transmitted")[0].split()[-1])
    print(f"      {dropped} outer packets dropped, {sent - received} of {sent} pings of {size} bytes lost")
    check(dropped >= 3, f"{dropped} were dropped")
    most = sum(sorted((max(3, 2 + n // size) for n in outer.sizes), reverse=True)[:dropped])
    check(1 <= sent - received <= most, f"{sent - received} pings lost, {most} at most were in those")


# ---- constant rate ----

def rate_of(pair, name, seconds, what):
    ours = pair.end(name, pair.ours)
    with Outer(pair.namespaces[0], "eth0", ours.local) as outer:
        began, n = time.monotonic(), len(outer.sizes)
        what()
        until("some time", lambda: time.monotonic() - began > seconds, 60)
        took, n = time.monotonic() - began, len(outer.sizes) - n
    check_equal(set(outer.sizes), {PACKET}, "sizes of outer packets")
    print(f"      {n / took:.1f} packets/s of {PACKET} bytes for {took:.1f} s")
    check(0.6 * RATE < n / took < 1.2 * RATE, f"{n / took} packets/s")


def constant(pair, name):
    """One size, one rate: idle, under load, and while there is more than fits."""
    up(pair, name)
    check_equal(pair.ours.children(name)[0]["iptfs-rate"], f"{RATE}pps", "list-sas")
    rate_of(pair, name, 2, lambda: None)
    rate_of(pair, name, 2, lambda: pair.transfer(name, 1 << 17))
    rate_of(pair, name, 2, lambda: ping(pair, name, 1500, "-f", "-c", "2000", "-w", "2"))


def rekeyed(pair, name):
    up(pair, name)
    rekey_child(pair, name, [pair.ours])
    rekey_child(pair, name, [pair.theirs])
    rekey_ike(pair, name, [pair.ours])
    up(pair, name)


# ---- others ----

def reauthenticated(pair, name):
    up(pair, name)
    spis = {(sa["initiator-spi"]) for sa in pair.ours.sas(name)}
    with pair.pinging(name) as pinging:
        pair.ours.control.request("rekey", {"ike": name, "reauth": "yes"})
        until("another IKE_SA", lambda: not spis & {sa["initiator-spi"] for sa in pair.ours.sas(name)}, 30)
        settled(pair, name, 30)
        pinging.go_on(10)
    pinging.check_no_loss()
    up(pair, name)


def killed(pair, name):
    """kill -9 of plane: the packet that was being sent is lost, the next ones are not."""
    up(pair, name)
    for peer in (pair.ours, pair.theirs):
        with pair.pinging(name) as pinging:
            for _ in range(3):
                kill_role(peer, "plane")
                pinging.go_on(20)
        print(f"      {pinging.lost} of {pinging.sent} pings lost")
        pinging.check_no_loss(3 * LOST_WITH_PLANE)
    up(pair, name)
    passes(pair, name, 100, 1500)


def plain(pair, name):
    """The peer has none: plain ESP."""
    up_plain = pair.up(name, pair.ours)
    with up_plain:
        check_equal(mode(pair.ours, name), {"TUNNEL"}, "mode")
        pair.ping_sizes(name)
    with pair.up(name, pair.theirs):
        check_equal(mode(pair.ours, name), {"TUNNEL"}, "mode, as responder")


def required(pair, name):
    mark = pair.ours.log_mark()
    pair.ours.try_initiate(name)
    pair.ours.wait_log("IP-TFS is required (iptfs=require), and the peer does not use it", mark)
    until("the peer has no CHILD_SA left", lambda: not pair.theirs.children(name))


def main():
    suite = Suite("iptfs")
    pps = (f"iptfs-rate={RATE}pps", f"iptfs-packet-size={PACKET}")
    tunnels = [both("any", 1, "iptfs=yes"), both("jumbo", 2, "iptfs=require", "mtu=9000"),
               both("whole", 3, "iptfs=yes", "iptfs-dont-frag=yes"),
               both("rate", 4, "iptfs=require", *pps),
               both("half", 5, "iptfs=yes")]
    tunnels[4] = (tunnels[4][0], change(tunnels[4][1], extra=()))
    with OursWithOurs(tunnels, routed=True) as pair:
        logs = (pair.ours, pair.theirs)
        narrow(pair, PATH)
        suite.case("1500 inside on a path of 1280", independent, pair, "any", 1500, logs=logs)
        suite.case("9000 inside on a path of 1280", independent, pair, "jumbo", 9000, logs=logs)
        suite.case("the path narrows", follows, pair, "jumbo", logs=logs)
        suite.case("uncut packets", whole, pair, "whole", logs=logs)
        suite.case("small packets share", aggregates, pair, "any", logs=logs)
        suite.case("1 % loss", lossy, pair, "any", 84, logs=logs)
        suite.case("1 % loss, packets in two parts", lossy, pair, "any", 1500, logs=logs)
        suite.case("rekeys", rekeyed, pair, "any", logs=logs)
        suite.case("constant rate", constant, pair, "rate", logs=logs)
        suite.case("constant rate, rekeys", rekeyed, pair, "rate", logs=logs)
        suite.case("only one end wants it", up, pair, "half", "TUNNEL", logs=logs)
    with OursWithOurs([both("net", 1, "iptfs=require"), both("again", 2, "iptfs=require")],
                      ipsecd_options=SPLIT) as pair:
        logs = (pair.ours, pair.theirs)
        suite.case("kill -9 of plane", killed, pair, "net", logs=logs)
        suite.case("reauthentication", reauthenticated, pair, "again", logs=logs)
    ours, theirs = tunnel("plain", 1)
    must, theirs_too = tunnel("must", 2)
    with Pair([(change(ours, extra=("iptfs=yes",)), theirs),
               (change(must, extra=("iptfs=require",)), theirs_too)]) as pair:
        suite.case("a charon without it", plain, pair, "plain", logs=(pair.ours, pair.theirs))
        suite.case("a charon without it, required", required, pair, "must",
                   logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
