#!/usr/bin/env python3
"""Early detection: what this machine sees of a peer out of reach, told as link-suspect long
before liveness or BFD can know, and ended by the peer's answer. A router between the two says
unreachable in its several ways, a cable is pulled, an address and a route are lost, forged
messages come. And what is announced is acted upon by both ends: the operator's command, an
operator's `ip link set down`, the end of a daemon, its verdict on a dead peer.
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.ipsecd import BINARY  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

IPSECCTL = os.path.join(os.path.dirname(BINARY), "ipsecctl")
NAME, DEVICE = "a", "tun1"


class Events:
    """The events of a daemon, as `ipsecctl monitor --json` prints them."""

    def __init__(self, peer):
        self.file = open(peer.path("events"), "w+", encoding="utf-8")
        self.child = subprocess.Popen(
            [IPSECCTL, "--vici", peer.socket_path, "monitor", "--json"], stdout=self.file)
        until("the monitor is registered for all six", lambda: int(
            peer.control.request("stats")["vici"]["registrations"]) == 6)

    def all(self, event="link-suspect"):
        with open(self.file.name, encoding="utf-8") as again:
            whole = [line for line in again if line.endswith("\n")]
        found = [json.loads(line) for line in whole]
        return [e["body"][NAME] for e in found if e["event"] == event and NAME in e["body"]]

    def count(self, up):
        return sum(e["up"] == up for e in self.all())

    def close(self):
        self.child.terminate()
        self.child.wait()
        self.file.close()


@contextmanager
def events(peer):
    seen = Events(peer)
    try:
        yield seen
    finally:
        seen.close()


def established(pair):
    if not pair.ours.is_up(NAME):
        pair.ours.initiate(NAME)
    pair.both_up(NAME, 30)
    until("device up", lambda: pair.ours.operstate(DEVICE) == "UP")
    pair.ping(NAME)


def send_some(pair):
    """Packets into the tunnel, answered or not."""
    end = pair.end(NAME, pair.ours)
    pair.namespaces[0].run("ping", "-n", "-c", "3", "-i", "0.02", "-W", "0.1", "-I",
                           end.inside[0].split("/")[0], end.ping[0], check=False)


def same_sa(pair):
    return pair.ours.sas(NAME)[0]["initiator-spi"]


@contextmanager
def suspected(pair, seen, reason, counter):
    """Inside the block the peer is out of reach; it is suspected in there, and not behind."""
    spi, before = same_sa(pair), pair.ours.counters()[counter]
    no, yes = seen.count("no"), seen.count("yes")
    start = time.monotonic()
    yield
    until(f"link-suspect: {reason}", lambda: send_some(pair) or seen.count("no") > no, 8)
    print(f"      {reason}: told after {1000 * (time.monotonic() - start):.0f} ms at most")
    check_equal(seen.all()[-1]["interface"], DEVICE, "the interface")
    check_equal(seen.all()[-1]["reason"], reason, "the reason")
    check(pair.ours.counters()[counter] > before, f"{counter} counts")
    check_equal(seen.count("yes"), yes, "not over yet")


def over(pair, seen, spi):
    until("link-suspect: over", lambda: seen.count("yes") == seen.count("no"), 10)
    check_equal(same_sa(pair), spi, "the IKE_SA is the same one")
    pair.ping(NAME)
    until("hints count again", lambda: not_too_often(pair), 12)


def not_too_often(pair):
    """A pause follows what was answered at once; here nothing was, so one second is enough."""
    mark = pair.ours.counters()["suspect-too-often"]
    time.sleep(0.3)
    return pair.ours.counters()["suspect-too-often"] == mark


ROUTES = (("unreachable", "ICMP: host unreachable", "suspect-icmp-host"),
          ("prohibit", "ICMP: prohibited", "suspect-icmp-prohibited"))


def router_says_unreachable(pair):
    """Routers have no route, or may not."""
    end = pair.end(NAME, pair.ours)
    with events(pair.ours) as seen:
        for kind, reason, counter in ROUTES:
            established(pair)
            spi = same_sa(pair)
            with suspected(pair, seen, reason, counter):
                pair.router.ip("route", "add", kind, f"{end.remote}/32")
            time.sleep(1.2)  # so that it counts as a true one
            pair.router.ip("route", "del", kind, f"{end.remote}/32")
            over(pair, seen, spi)


def peer_says_unreachable(pair):
    """Nobody listens at the peer any more: its port is closed, as after kill -9."""
    reject = "table inet r {\nchain i { type filter hook input priority 0; udp dport 4500 %s; }\n}\n"
    with events(pair.ours) as seen:
        for verdict, reason, counter in (
                ("reject", "ICMP: port unreachable", "suspect-icmp-port"),
                ("reject with icmp net-unreachable", "ICMP: network unreachable",
                 "suspect-icmp-net")):
            established(pair)
            spi = same_sa(pair)
            with suspected(pair, seen, reason, counter):
                pair.theirs.namespace.nft(reject % verdict)
            time.sleep(1.2)
            pair.theirs.namespace.nft_clear()
            over(pair, seen, spi)


def cable_pulled(pair):
    """The underlay's carrier goes: said at once, without a packet sent."""
    established(pair)
    spi = same_sa(pair)
    with events(pair.ours) as seen:
        start = time.monotonic()
        pair.router.ip("link", "set", "eth1", "down")
        until("link-suspect", lambda: seen.count("no") == 1)
        print(f"      told after {1000 * (time.monotonic() - start):.0f} ms at most")
        check_equal(seen.all()[-1]["reason"], "the underlay's link is down", "the reason")
        check_equal(pair.ours.operstate(DEVICE), "UP", "no verdict yet")
        pair.router.ip("link", "set", "eth1", "up")
        over(pair, seen, spi)


def address_lost(pair):
    """Our outer address is taken away."""
    established(pair)
    end, spi = pair.end(NAME, pair.ours), same_sa(pair)
    with events(pair.ours) as seen:
        pair.namespaces[0].ip("address", "del", f"{end.local}/24", "dev", "eth0")
        until("link-suspect", lambda: seen.count("no") == 1)
        check_equal(seen.all()[-1]["reason"], "our outer address is gone", "the reason")
        pair.namespaces[0].address("eth0", f"{end.local}/24")
        pair.namespaces[0].route("default", "via", "172.16.1.254")
        over(pair, seen, spi)


def route_lost(pair):
    """No route to the peer any more: a send says so, or the next look at the route."""
    established(pair)
    spi = same_sa(pair)
    with events(pair.ours) as seen:
        with suspected(pair, seen, "no route to the peer", "suspect-no-route"):
            pair.namespaces[0].ip("route", "del", "default")
        pair.namespaces[0].route("default", "via", "172.16.1.254")
        over(pair, seen, spi)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def forge(pair, spi, code=1):
    """An ICMP unreachable from the router, which quotes ESP in UDP of ours with this SPI."""
    end = pair.end(NAME, pair.ours)
    udp = struct.pack("!HHHHIII", 4500, 4500, 60, 0, spi, 1, 0)
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 80, 1, 0, 63, 17, 0,
                         socket.inet_aton(end.local), socket.inet_aton(end.remote)) + udp
    head = struct.pack("!BBHI", 3, code, 0, 0)
    message = struct.pack("!BBHI", 3, code, checksum(head + quoted), 0) + quoted
    with netns.socket_of(pair.router, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.sendto(message, (end.local, 0))


def spi_out(pair):
    return int(pair.ours.children(NAME)[0]["spi-out"], 16)


def forged(pair):
    """Guessed SPIs are nothing; one who sees ours gets a round trip's worth of suspicion, each
    time after a longer pause."""
    established(pair)
    with events(pair.ours) as seen:
        foreign = pair.ours.counters()["suspect-foreign"]
        for spi in range(0x1000, 0x1032):
            forge(pair, spi)
        until("guesses are counted",
              lambda: pair.ours.counters()["suspect-foreign"] >= foreign + 50)
        check_equal(seen.count("no"), 0, "guesses are no suspicion")
        start, spi, since = time.monotonic(), spi_out(pair), pair.ours.counters()["suspect-too-often"]

        def told_behind_more():
            for _ in range(10):
                forge(pair, spi)
            return seen.count("no")

        until("one is told", told_behind_more, 70)  # the cases before have their pauses, too
        until("4 s of them, and those that came in a pause are counted", lambda: told_behind_more() and
              time.monotonic() > start + 4 and pair.ours.counters()["suspect-too-often"] >= since + 50, 30)
        until("each is over", lambda: seen.count("yes") == seen.count("no"))
        took = time.monotonic() - start
        told = seen.count("no")
        # What is over within a second is followed by a pause of one at least.
        check(1 <= told <= took + 1, f"{told} suspicions in {took:.1f} s of forged messages")
        check_equal(pair.ours.operstate(DEVICE), "UP", "the device")
    pair.ping(NAME)


def switched_off(pair):
    """early-detection=no: nothing of it is heard."""
    pair.ours.setup = "early-detection=no"
    pair.ours.load(pair.ours.ends)
    established(pair)
    with events(pair.ours) as seen:
        received = pair.ours.counters()["icmp-received"]
        forge(pair, spi_out(pair))
        pair.router.ip("link", "set", "eth1", "down")
        pair.router.ip("link", "set", "eth1", "up")
        pair.ping(NAME)
        check_equal(seen.count("no"), 0, "suspicions")
        check_equal(pair.ours.counters()["icmp-received"], received, "ICMP messages read")
    pair.ours.setup = ""
    pair.ours.load(pair.ours.ends)


# ---- what is announced ----

@contextmanager
def both_go_down(pair):
    """By what one says to the other: the peer's own liveness check would need 3 s at least."""
    mark, start = pair.theirs.log_mark(), time.monotonic()
    yield
    pair.theirs.wait_down(NAME)
    theirs = time.monotonic() - start
    until("our device is not up", lambda: pair.ours.operstate(DEVICE) != "UP")
    print(f"      the other end acted after {1000 * theirs:.0f} ms at most")
    check(re.search("(received|sending) DELETE for IKE_SA", pair.theirs.log(mark)),
          "the peer knows it by a DELETE")


def operator_shuts_the_device(pair):
    """`ip link set down`: the peer's SAs go, and come again when it is up."""
    for _ in range(2):
        established(pair)
        with both_go_down(pair):
            pair.namespaces[0].ip("link", "set", DEVICE, "down")
        try:
            pair.theirs.initiate(NAME, timeout=1)
            check(False, "the peer got it up while the device is down")
        except RuntimeError:
            pass
        check_equal(pair.ours.children(NAME), [], "our CHILD_SAs")
        pair.namespaces[0].ip("link", "set", DEVICE, "up")
        pair.namespaces[0].route(pair.end(NAME, pair.ours).remote_ts, "dev", DEVICE)
        pair.both_up(NAME, 10)


def operators_command(pair):
    established(pair)
    with both_go_down(pair):
        subprocess.run([IPSECCTL, "--vici", pair.ours.socket_path, "down", NAME], check=True)


def peers_delete(pair):
    established(pair)
    with both_go_down(pair):
        pair.theirs.terminate(NAME)


def verdict(pair):
    """The peer is dead for us; it is told, should it live: here its answers were lost."""
    established(pair)
    pair.theirs.namespace.nft("table inet r {\nchain o { type filter hook output priority 0; "
                              "udp sport 4500 drop; }\n}\n")
    start = time.monotonic()
    try:
        until("our device is dormant", lambda: pair.ours.operstate(DEVICE) == "DORMANT", 10)
        pair.theirs.wait_down(NAME, 10)
        print(f"      both ends down after {time.monotonic() - start:.1f} s")
    finally:
        pair.theirs.namespace.nft_clear()


def daemons_end(pair):
    """SIGTERM: the peer gets a DELETE."""
    established(pair)
    start = time.monotonic()
    pair.ours.daemon.kill(signal.SIGTERM)
    pair.theirs.wait_down(NAME, 6)
    print(f"      the other end acted after {1000 * (time.monotonic() - start):.0f} ms at most")
    pair.ours.stop()
    pair.ours.start(pair.ours.ends)


CASES = (("a router says unreachable", router_says_unreachable),
         ("the peer says unreachable", peer_says_unreachable),
         ("the cable is pulled", cable_pulled), ("an address is lost", address_lost),
         ("a route is lost", route_lost), ("forged messages", forged),
         ("switched off", switched_off))
ANNOUNCED = (("ip link set down", operator_shuts_the_device),
             ("an operator's command", operators_command), ("the peer's DELETE", peers_delete),
             ("a verdict on a dead peer", verdict), ("the end of the daemon", daemons_end))


def main():
    suite = Suite("early")
    ours, theirs = tunnel(NAME, 1, dpd=5)
    with Pair([(ours, theirs)], routed=True) as pair:
        pair.router.sysctl("net.ipv4.icmp_ratelimit", 0)
        for name, function in CASES:
            suite.case(name, function, pair, logs=(pair.ours,))
    ours = change(ours, dpd=1, extra=("retransmit-interval=300ms", "retransmit-timeout=2s"))
    theirs = change(theirs, dpd=1)
    with Pair([(ours, theirs)], routed=True, retransmit_timeout=0.3) as pair:
        for name, function in ANNOUNCED:
            suite.case(name, function, pair, logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
