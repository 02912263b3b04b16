#!/usr/bin/env python3
"""IKE_SA_INIT's detours, in both roles: INVALID_KE_PAYLOAD (the responder wants another
group, RFC 7296 1.2) and COOKIE (it is flooded, RFC 7296 2.6); and datagrams that are
no IKE at all, which must not disturb a tunnel.

The flood is a few dozen IKE_SA_INIT requests that are never followed up. charon asks
for cookies from cookie_threshold half-open SAs on, ipsecd from 32.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import ike_init  # noqa: E402
from tests.support.netns import udp_socket  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

CHARON = """
    cookie_threshold = 10
    cookie_threshold_ip = 10
    block_threshold = 0
"""


def wrong_group_first(pair, name, initiator, responder):
    mark = initiator.log_mark()
    with pair.up(name, initiator):
        check("INVALID_KE_PAYLOAD" in initiator.log(mark) or "INVAL_KE" in initiator.log(mark),
              "the initiator's log names INVALID_KE_PAYLOAD")
        check_equal(responder.sas(name)[0]["dh-group"], "ECP_384", "group in use")


def under_flood(pair, name, initiator):
    end = pair.end(name, initiator)
    answers = ike_init.half_open(initiator.namespace, end.local, end.remote, 60)
    check(not ike_init.is_cookie(answers[0]), "the first half-open SA needs no cookie")
    check(ike_init.is_cookie(answers[-1]), "after many half-open SAs a cookie is asked for")
    mark = initiator.log_mark()
    with pair.up(name, initiator):
        check("COOKIE" in initiator.log(mark), "the initiator's log names COOKIE")


def garbage(pair, name):
    """Datagrams that are no IKE reach both ports; the tunnel doesn't notice."""
    end = pair.end(name, pair.ours)
    with pair.up(name, pair.ours):
        before = ike_sa(pair, name)
        with pair.pinging(name) as pinging:
            with udp_socket(pair.theirs.namespace, end.remote) as sock:
                for datagram in 20 * bad_datagrams(before):
                    sock.sendto(datagram, (end.local, 500))
                    sock.sendto(datagram, (end.local, 4500))
            pair.ping(name)
        pinging.check_no_loss()
        check_equal(ike_sa(pair, name), before, "the IKE SA")
    drops = sum(v for k, v in pair.ours.counters().items() if k.startswith("drop-"))
    check(drops > 0, "drops are counted")


def ike_sa(pair, name):
    sa = pair.ours.sas(name)[0]
    return sa["initiator-spi"], sa["responder-spi"]


def bad_datagrams(spis):
    """Nothing, keepalives, too short, cut, too long, other versions, a replayed first
    message that claims the SPIs of a live SA, noise."""
    good = ike_init.request()
    return [b"", b"\xff", bytes(4), bytes(28), good[:-1], good + b"x",
            good[:17] + b"\x30" + good[18:], bytes(4) + good[:40],
            bytes.fromhex(spis[0] + spis[1]) + good[16:],
            os.urandom(64), os.urandom(1400)]


def main():
    suite = Suite("init")
    base = "aes256gcm16-prfsha384"
    both = f"{base}-x25519-ecp384"
    tunnels = [tunnel("cookie", 1), tunnel("undisturbed", 2)]
    for n, loser in enumerate((0, 1), 3):
        ends = tunnel(("we-retry", "they-retry")[loser], n, ike=both)
        tunnels.append(tuple(end if side == loser else change(end, ike=f"{base}-ecp384")
                             for side, end in enumerate(ends)))
    with Pair(tunnels, charon_settings=CHARON) as pair:
        def case(name, *words):
            suite.case(name, *words, logs=(pair.ours, pair.theirs))

        case("INVALID_KE_PAYLOAD to us", wrong_group_first, pair, "we-retry", pair.ours,
             pair.theirs)
        case("INVALID_KE_PAYLOAD to them", wrong_group_first, pair, "they-retry", pair.theirs,
             pair.ours)
        case("COOKIE to us", under_flood, pair, "cookie", pair.ours)
        case("COOKIE to them", under_flood, pair, "cookie", pair.theirs)
        case("garbage on 500 and 4500", garbage, pair, "undisturbed")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
