#!/usr/bin/env python3
"""What ipsec.conf says of packets and devices is what the kernel has: a reload brings header
flags, padding, marks and windows in force by a rekey, without a lost packet; another mark is
another device."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

NAME = "settings"
DEVICE = "tun1"


def state(pair, spi):
    """The kernel's words for the state with this SPI."""
    text = pair.namespaces[0].run("ip", "-s", "xfrm", "state")
    return next(s for s in re.split(r"^(?=src )", text, flags=re.M) if f"spi 0x{spi}" in s)


def check_words(pair, key, wanted):
    spi = pair.ours.children(NAME)[0][key]
    for word in wanted:
        check(word in state(pair, spi), f"'{word}' is missing in: {state(pair, spi)}")


def reloaded(pair, lines, inbound=(), outbound=()):
    before = child_spis(pair.ours, NAME)
    with pair.pinging(NAME) as pinging:
        pair.ours.load([change(pair.tunnels[0][0], extra=lines)])
        until("one CHILD_SA, a new one", lambda: len(child_spis(pair.ours, NAME)) == 1
              and child_spis(pair.ours, NAME) != before, 20)
        pair.ping(NAME)
    pinging.check_no_loss()
    check_words(pair, "spi-in", inbound)
    check_words(pair, "spi-out", outbound)


def limited(pair):
    """The kernel counts packets: at the soft limit there are new SAs, long before the hard one."""
    reloaded(pair, ("lifepackets=1000", "marginpackets=900"),
             outbound=("soft 99(packets), hard 1000(packets)",))
    with pair.pinging(NAME) as pinging:
        for _ in range(2):
            before = child_spis(pair.ours, NAME)
            until("new SPIs", lambda b=before: not b & child_spis(pair.ours, NAME), 20)
        pair.ping(NAME)
    pinging.check_no_loss()


def without_a_card(pair):
    """nic-offload=auto is the kernel's own work then, and yes no CHILD_SA: what is there stays."""
    mark = pair.ours.log_mark()
    reloaded(pair, ("nic-offload=auto",))
    pair.ours.wait_log("the kernel does the ESP of the tunnel's CHILD_SAs: no card on the path",
                       mark)
    before, mark = child_spis(pair.ours, NAME), pair.ours.log_mark()
    with pair.pinging(NAME) as pinging:
        pair.ours.load([change(pair.tunnels[0][0], extra=("nic-offload=yes",))])
        pair.ours.wait_log("is to be offloaded to the network card, and no card on the path can",
                           mark)
        pair.ping(NAME)
        check_equal(child_spis(pair.ours, NAME), before, "the CHILD_SA that was there")
    pinging.check_no_loss()
    reloaded(pair, ())


def other_mark(pair, mark):
    pair.ours.load([change(pair.tunnels[0][0], mark=mark)])
    until("the mark", lambda: pair.ours.conns()[NAME].get("mark-out") == f"{mark:08x}")
    pair.both_up(NAME, 30)
    until("the device is UP", lambda: pair.ours.operstate(DEVICE) == "UP", 20)
    for network in pair.ours.ends[0].remote_ts.split(","):  # routes go with the old device
        pair.ours.namespace.route(network, "dev", DEVICE)
    pair.ping(NAME)
    check_words(pair, "spi-out", [f"mark {mark:#x}/0xffffffff"])
    policies = pair.namespaces[0].ip("xfrm", "policy")
    check_equal(set(re.findall(r"mark (0x\w+)/", policies)), {f"{mark:#x}"}, "policies' marks")


def main():
    suite = Suite("settings")
    ours, theirs = vti_tunnel(NAME, 1)
    ours = change(ours, auto="start")
    cases = (("padding", ("tfc=600",), (), ("tfcpad 600",)),
             ("header", ("copy-df=no", "copy-dscp=in", "copy-ecn=no"), ("decap-dscp", "noecn"),
              ("nopmtudisc", "dont-encap-dscp", "noecn")),
             ("marks", ("set-mark-in=0x5/0xff", "set-mark-out=%same"),
              ("output-mark 0x5/0xff",), ("output-mark 0x1/0xffffffff",)),
             ("window", ("replay-window=4096",), ("replay_window 4096",), ()))
    with KernelPair([(ours, theirs)], theirs=Ipsecd) as pair:
        pair.both_up(NAME, 30)
        for name, *words in cases:
            suite.case(name, reloaded, pair, *words, logs=(pair.ours,))
        suite.case("a network card without offload", without_a_card, pair, logs=(pair.ours,))
        suite.case("a limit in packets", limited, pair, logs=(pair.ours,))
        for mark in (77, 1):
            suite.case(f"mark={mark}", other_mark, pair, mark, logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
