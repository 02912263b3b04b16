#!/usr/bin/env python3
"""Reauthentication while a ping every 10 ms runs through the tunnel: by command and by
lifetime, by us and by them, ours with ours, and with charon make-before-break or not. How
much is lost is printed; where our end is at both ends nothing may be.

charon 5.9.8 as responder sends by its new CHILD_SA before its answer is with ours: plane keeps
such packets, and none may be lost.
charon.make_before_break is off by default: then charon deletes first, and packets are lost.
With it on and charon beginning, one that waits in charon's queues when its old SA is destroyed
is lost now and then on a busy machine: one each time is borne.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import OursWithOurs, Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis, settled  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

TIMES = 5


def by_command(peer, name):
    peer.control.request("rekey", {"ike": name, "reauth": "yes"})


def report(pinging, what):
    print(f"      {what}: {pinging.lost} of {pinging.sent} pings lost")


def reauthenticated(pair, name, start):
    children, ikes = child_spis(pair.ours, name), ike_spis(pair.ours, name)
    start()
    until("new SAs", lambda: child_spis(pair.ours, name) and ike_spis(pair.ours, name)
          and not children & child_spis(pair.ours, name)
          and not ikes & ike_spis(pair.ours, name), 20)
    settled(pair, name)
    pair.ping(name, count=10)


def several(pair, name, peer, lossless, borne=0):
    """The link of the tunnel's device stays as it is."""
    index, mark = pair.ours.link(f"tun{pair.number}")["ifindex"], pair.ours.log_mark()
    with pair.pinging(name) as pinging:
        for _ in range(TIMES):
            reauthenticated(pair, name, lambda: by_command(peer, name))
    report(pinging, f"{TIMES} reauthentications by {peer.kind}")
    if lossless:
        pinging.check_no_loss(borne)
        check("dormant" not in pair.ours.log(mark).lower(), "the link is not touched")
    check_equal(pair.ours.link(f"tun{pair.number}")["ifindex"], index, "ifindex")


def by_lifetime(pair, name, lossless=True, borne=0):
    with pair.pinging(name) as pinging:
        for _ in range(3):
            reauthenticated(pair, name, lambda: None)
    report(pinging, "3 reauthentications by lifetime")
    if lossless:
        pinging.check_no_loss(borne)


def both_at_once(pair, name):
    """As often as it takes; one or two new IKE SAs, one stays."""
    def start():
        for peer in (pair.ours, pair.theirs):
            peer.control.request("rekey", {"ike": name, "reauth": "yes", "timeout": "-1"})

    with pair.pinging(name) as pinging:
        for _ in range(TIMES):
            reauthenticated(pair, name, start)
    report(pinging, f"{TIMES} reauthentications by both")
    pinging.check_no_loss()


def up(pair, name, number):
    pair.number = number
    pair.ours.initiate(name)
    pair.both_up(name)
    pair.ping(name)


def ours_with_ours(suite):
    timed = tunnel("timed", 2)
    wanted = tunnel("wanted", 3)
    tunnels = [tunnel("commanded", 1),
               (change(timed[0], ike_rekey=3, extra=("reauth=yes",)), timed[1]),
               (wanted[0], change(wanted[1], ike_rekey=4, extra=("reauth=yes",)))]
    with OursWithOurs(tunnels) as pair:
        logs = (pair.ours, pair.theirs)
        up(pair, "commanded", 1)
        suite.case("ours, ours: by command", several, pair, "commanded", pair.ours, True,
                   logs=logs)
        suite.case("ours, ours: by the other end's command", several, pair, "commanded",
                   pair.theirs, True, logs=logs)
        suite.case("ours, ours: by both at once", both_at_once, pair, "commanded", logs=logs)
        up(pair, "timed", 2)
        suite.case("ours, ours: by lifetime", by_lifetime, pair, "timed", logs=logs)
        up(pair, "wanted", 3)
        suite.case("ours, ours: the responder wants it", by_lifetime, pair, "wanted", logs=logs)


def with_charon(suite, make_before_break):
    word = "make-before-break" if make_before_break else "break-before-make"
    timed = tunnel("timed", 2)
    wanted = tunnel("wanted", 3)
    tunnels = [tunnel("commanded", 1),
               (change(timed[0], ike_rekey=3, extra=("reauth=yes",)), timed[1]),
               # charon begins its over_time before the end that it is told, at once if that is less.
               (change(wanted[0], ike_rekey=8, extra=("reauth=yes",)),
                change(wanted[1], extra=("over_time = 4s",)))]
    settings = "delete_rekeyed_delay = 1\n    make_before_break = " + \
        ("yes" if make_before_break else "no")
    with Pair(tunnels, charon_settings=settings) as pair:
        logs = (pair.ours, pair.theirs)
        up(pair, "commanded", 1)
        suite.case(f"charon, {word}: by us", several, pair, "commanded", pair.ours, True,
                   logs=logs)
        suite.case(f"charon, {word}: by them", several, pair, "commanded", pair.theirs,
                   make_before_break, TIMES, logs=logs)
        up(pair, "timed", 2)
        suite.case(f"charon, {word}: by our lifetime", by_lifetime, pair, "timed", logs=logs)
        pair.number = 3
        pair.theirs.initiate("wanted")
        pair.both_up("wanted")
        suite.case(f"charon, {word}: we want it of them", by_lifetime, pair, "wanted",
                   make_before_break, 3, logs=logs)


def main():
    suite = Suite("reauth")
    ours_with_ours(suite)
    for make_before_break in (True, False):
        with_charon(suite, make_before_break)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
