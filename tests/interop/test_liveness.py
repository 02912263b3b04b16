#!/usr/bin/env python3
"""Dead peer detection (RFC 7296 2.4): a peer that was killed, and a path that drops
everything without a word. Each side must notice in time, our tunnel device must say so,
and the tunnel must come back by itself (auto=start).

Our side: dpddelay=1s, retransmit-timeout=3s, so dead within 4 s plus the lifetime of a
request that is already under way. charon: dpd_delay 1 s, five transmissions at 0.3 s
with base 1.2, so dead within 4 s, too.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

DROP_ALL = """
table inet cut {
    chain in  { type filter hook input priority 0; iifname "eth0" drop; }
    chain out { type filter hook output priority 0; oifname "eth0" drop; }
}
"""
WITHIN = 8.0


def established(pair, name):
    pair.ours.wait_up(name, 15)
    pair.theirs.wait_up(name, 15)
    until("device up", lambda: pair.ours.operstate("tun1") == "UP")
    pair.ping(name)


def idle_tunnel_stays(pair, name):
    """Liveness checks with nothing to complain about: the same SA after some of them."""
    established(pair, name)
    spi = pair.ours.sas(name)[0]["initiator-spi"]
    since = pair.ours.counters()["info-out-req"]
    until("three liveness checks of ours",
          lambda: pair.ours.counters()["info-out-req"] >= since + 3, 15)
    check(pair.ours.sas(name)[0]["initiator-spi"] == spi, "the IKE SA is still the same")


def cut_path(pair, name):
    """Both ends see silence; both give up in time; the tunnel is repaired afterwards."""
    established(pair, name)
    start = time.monotonic()
    pair.theirs.namespace.nft(DROP_ALL)
    try:
        until("our side calls the peer dead and the device dormant",
              lambda: pair.ours.operstate("tun1") == "DORMANT", WITHIN)
        ours = time.monotonic() - start
        until("their side calls us dead", lambda: not pair.theirs.children(name), WITHIN)
        theirs = time.monotonic() - start
        check(not pair.ours.children(name), "no CHILD_SA is left")
    finally:
        pair.theirs.namespace.nft_clear()
    print(f"      ours after {ours:.1f} s, theirs after {theirs:.1f} s")
    established(pair, name)


def killed_peer(pair, name):
    established(pair, name)
    mark = pair.ours.log_mark()
    pair.theirs.kill()
    try:
        until("our side calls the peer dead and the device dormant",
              lambda: pair.ours.operstate("tun1") == "DORMANT", WITHIN)
        pair.ours.wait_log("does not answer", mark)
    finally:
        pair.theirs.start(pair.theirs.ends)
    established(pair, name)
    one_of_each(pair.theirs, name)


def killed_and_back_at_once(pair, name):
    """The peer restarts faster than anyone notices: INVALID_SPI helps nobody (it can't
    be trusted), DPD or the peer's own INITIAL_CONTACT must repair it."""
    established(pair, name)
    pair.theirs.kill()
    pair.theirs.start(pair.theirs.ends)
    until("the tunnel is new at the peer", lambda: pair.theirs.is_up(name), 15)
    established(pair, name)
    one_of_each(pair.ours, name)


def killed_ours(pair, name):
    """The mirror: our daemon dies without a word, charon notices."""
    established(pair, name)
    pair.ours.kill()
    pair.theirs.wait_down(name, WITHIN)
    pair.ours.start(pair.ours.ends)
    established(pair, name)


def ours_restarted_at_once(pair, name):
    """Our INITIAL_CONTACT (RFC 7296 2.4) makes charon forget the SAs that it still has."""
    established(pair, name)
    pair.ours.kill()
    pair.ours.start(pair.ours.ends)
    established(pair, name)
    one_of_each(pair.theirs, name)


def main():
    suite = Suite("liveness")
    ours, theirs = tunnel("watched", 1, dpd=1)
    ours = change(ours, auto="start", extra=("retransmit-interval=300ms",
                                             "retransmit-timeout=3s"))
    with Pair([(ours, theirs)], retransmit_timeout=0.3) as pair:
        for name, function in (("idle tunnel stays", idle_tunnel_stays),
                               ("path cut", cut_path),
                               ("peer killed", killed_peer),
                               ("peer restarted at once", killed_and_back_at_once),
                               ("we are killed", killed_ours),
                               ("we restart at once", ours_restarted_at_once)):
            suite.case(name, function, pair, "watched", logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
