#!/usr/bin/env python3
"""Rekeying the IKE SA and the CHILD_SA, with and without PFS, started by either side
and by both at once, while a ping every 10 ms runs through the tunnel: none is lost,
one SA of each kind is in use, the same on both sides, and in the end nothing else is left.

Limits of the peer: charon 5.9.8 keeps the CHILD_SA that a rekeying replaced for
charon.delete_rekeyed_delay (5 s by default) before it forgets it; it is set to 1 s.
"""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis, rekey_child  # noqa: E402
from tests.support.rekeying import rekey_ike, settled  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.vici import Failed  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402


def nothing_left_over(pair, names):
    for name in names:
        one_of_each(pair.ours, name)
        one_of_each(pair.theirs, name)


DROP_IKE = """
table inet lossy {{
    chain {hook} {{ type filter hook {hook} priority 0; udp dport 4500 @th,64,32 0 drop; }}
}}
"""


def with_loss(pair, name, initiator, hook):
    """IKE messages (those with the non-ESP marker, RFC 3948 2.2) are lost at their side,
    on the way in or out, until the initiator has retransmitted; ESP passes."""
    mark = initiator.log_mark()
    with pair.pinging(name) as pinging:
        before = child_spis(pair.ours, name)
        pair.theirs.namespace.nft(DROP_IKE.format(hook=hook))
        rekeying = threading.Thread(target=initiator.rekey_child, args=(name,))
        rekeying.start()
        try:
            initiator.wait_log("retransmit", mark)
        finally:
            pair.theirs.namespace.nft_clear()
            rekeying.join()
        until("new SPIs", lambda: not before & child_spis(pair.ours, name), 15)
        settled(pair, name)
    pinging.check_no_loss()


def other_group(pair, name, initiator):
    """The first group of the initiator's list is not the responder's: INVALID_KE_PAYLOAD
    in CREATE_CHILD_SA (RFC 7296 1.3), and the rekeying goes on with the other one."""
    with pair.up(name, pair.ours):
        rekey_child(pair, name, [initiator])
        check_equal(pair.ours.children(name)[0]["dh-group"], "CURVE_25519", "group")


def refused(pair, name, initiator):
    """No group in common shows only when rekeying (IKE_AUTH's CHILD_SA has none). The
    attempt is refused, and the CHILD_SA that is there goes on."""
    with pair.up(name, pair.ours):
        spis, mark = child_spis(pair.ours, name), pair.ours.log_mark()
        with pair.pinging(name) as pinging:
            try:
                initiator.rekey_child(name)
            except Failed as failure:  # ipsecd says so; charon has the answer in its log only
                check("no proposal chosen" in str(failure), f"reason: {failure}")
            line = pair.ours.wait_log("NO_PROPOSAL_CHOSEN", mark)
            pair.ping(name, count=10)
        pinging.check_no_loss()
        print(f"      {line}")
        check("ECP_256" in line, "our log says what we want")
        check_equal(child_spis(pair.ours, name), spis, "the CHILD_SA")


def by_lifetimes(pair, name):
    """Nobody asks: the lifetimes in the configuration do."""
    with pair.pinging(name) as pinging:
        for _ in range(2):
            children, ikes = child_spis(pair.ours, name), ike_spis(pair.ours, name)
            until("new CHILD_SA", lambda: not children & child_spis(pair.ours, name), 15)
            until("new IKE SA", lambda: not ikes & ike_spis(pair.ours, name), 15)
    pinging.check_no_loss()
    until("old IKE SAs go away", lambda: len(pair.ours.sas(name)) <= 2)


def with_esp(name, n, our_groups, their_groups):
    ours, theirs = tunnel(name, n)
    return (change(ours, esp=f"aes128gcm16-{our_groups}"),
            change(theirs, esp=f"aes128gcm16-{their_groups}"))


def main():
    suite = Suite("rekey")
    short = tunnel("lifetimes", 3)
    tunnels = [tunnel("pfs", 1, esp="aes128gcm16-ecp256"), tunnel("no-pfs", 2),
               (change(short[0], child_rekey=2, ike_rekey=3), short[1]),
               with_esp("we-guess-wrong", 4, "ecp256-x25519", "x25519"),
               with_esp("they-guess-wrong", 5, "x25519", "ecp256-x25519"),
               with_esp("no-group-in-common", 6, "ecp256", "ecp384")]
    with Pair(tunnels, charon_settings="delete_rekeyed_delay = 1") as pair:
        who = [("by us", [pair.ours]), ("by them", [pair.theirs]),
               ("by both at once", [pair.ours, pair.theirs])]
        logs = (pair.ours, pair.theirs)
        for name in ("pfs", "no-pfs"):
            pair.ours.initiate(name)
            pair.both_up(name)
            for by, peers in who:
                # Theirs first: charon 6 forgets a CHILD_SA that it is told to rekey between its
                # answer to our rekey and our DELETE of the old one.
                suite.case(f"CHILD_SA, {name}, {by}", rekey_child, pair, name, peers[::-1],
                           logs=logs)
                suite.case(f"IKE SA, {name}, {by}", rekey_ike, pair, name, peers, logs=logs)
        for who, initiator, hooks in (("our", pair.ours, ("input", "output")),
                                      ("their", pair.theirs, ("output", "input"))):
            for what, hook in zip(("request", "response"), hooks):
                suite.case(f"{who} rekeying, the {what} is lost", with_loss, pair, "pfs",
                           initiator, hook, logs=logs)
        suite.case("INVALID_KE_PAYLOAD to us", other_group, pair, "we-guess-wrong", pair.ours,
                   logs=logs)
        suite.case("INVALID_KE_PAYLOAD to them", other_group, pair, "they-guess-wrong",
                   pair.theirs, logs=logs)
        for who, initiator in (("by us", pair.ours), ("by them", pair.theirs)):
            suite.case(f"refused, {who}", refused, pair, "no-group-in-common", initiator,
                       logs=logs)
        suite.case("replaced SAs are gone", nothing_left_over, pair, ("pfs", "no-pfs"), logs=logs)
        pair.ours.initiate("lifetimes")
        pair.both_up("lifetimes")
        suite.case("by lifetimes", by_lifetimes, pair, "lifetimes", logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
