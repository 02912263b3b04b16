#!/usr/bin/env python3
"""What does not fit must be refused with the right notify, and our log must say which
side wanted what: wrong secrets, proposals, selectors, identities; and where selectors
fit in part, they are narrowed (RFC 7296 2.9). Each with either side initiating.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

# What charon logs when it gets or sends the notify, by the name that we log.
THEIR_NAMES = {"AUTHENTICATION_FAILED": ("AUTHENTICATION_FAILED", "AUTH_FAILED"),
               "NO_PROPOSAL_CHOSEN": ("NO_PROPOSAL_CHOSEN", "NO_PROP"),
               "TS_UNACCEPTABLE": ("TS_UNACCEPTABLE", "TS_UNACCEPT")}


def refused(pair, name, initiator, notify, words):
    """The attempt fails, both logs name the notify, and one line of ours has all of
    `words`: what we have and, where the protocol tells it to us, what they offered."""
    marks = {peer: peer.log_mark() for peer in (pair.ours, pair.theirs)}
    initiator.try_initiate(name)
    until(f"charon's log names {notify}", lambda: any(
        word in pair.theirs.log(marks[pair.theirs]) for word in THEIR_NAMES[notify]))
    line = until(f"one line of our log names {notify} and {', '.join(words)}", lambda: next(
        (line for line in pair.ours.log(marks[pair.ours]).splitlines()
         if notify in line and name in line and all(word in line for word in words)), None))
    print(f"      {line}")
    for peer in (pair.ours, pair.theirs):
        check(not peer.children(name), f"{peer.kind} has no CHILD_SA of '{name}'")
    # Where only the CHILD_SA was refused, the IKE SA is there (RFC 7296 1.3). What was
    # refused altogether lingers for a while, to repeat the answer.
    if any(sa["state"] == "ESTABLISHED" for sa in pair.ours.sas(name)):
        pair.take_down(name)


def narrowed(pair, name, initiator):
    """Both ends agree on what both allow, and that passes traffic."""
    with pair.up(name, initiator):
        ours, theirs = pair.ours.children(name)[0], pair.theirs.children(name)[0]
        check_equal((ours["local-ts"], ours["remote-ts"]),
                    (theirs["remote-ts"], theirs["local-ts"]), "selectors, mirrored")
        check_equal(ours["local-ts"], [pair.end(name, pair.ours).local_ts], "our selector")


def cases(n):
    """Name, our end, their end, notify, words of the log line when we initiate and when
    they do. A refusing responder knows both sides; an initiator knows its own."""
    good = tunnel("psk", n)
    yield "psk", good[0], change(good[1], secret="another"), "AUTHENTICATION_FAILED", \
        (["ours-1.example"], ["theirs-1.example"])
    good = tunnel("identity", n + 1)
    yield "identity", good[0], change(good[1], local_id="stranger.example"), \
        "AUTHENTICATION_FAILED", (["ours-2.example"], ["stranger.example", "theirs-2.example"])
    good = tunnel("ike-proposal", n + 2, ike="aes256gcm16-prfsha384-ecp384")
    yield "ike-proposal", good[0], change(good[1], ike="aes128-sha256-modp2048"), \
        "NO_PROPOSAL_CHOSEN", (["AES_GCM_16_256"], ["AES_GCM_16_256", "AES_CBC_128"])
    good = tunnel("ike-group", n + 3, ike="aes256gcm16-prfsha384-ecp384")
    yield "ike-group", good[0], change(good[1], ike="aes256gcm16-prfsha384-x25519"), \
        "NO_PROPOSAL_CHOSEN", (["ECP_384"], ["ECP_384", "CURVE_25519"])
    good = tunnel("esp-proposal", n + 4, esp="aes256gcm16")
    yield "esp-proposal", good[0], change(good[1], esp="aes128-sha256"), \
        "NO_PROPOSAL_CHOSEN", (["AES_GCM_16_256"], ["AES_GCM_16_256", "AES_CBC_128"])
    good = tunnel("selectors", n + 5)
    yield "selectors", good[0], change(good[1], local_ts="10.99.0.0/24"), \
        "TS_UNACCEPTABLE", (["10.2.6.0/24"], ["10.2.6.0/24", "10.99.0.0/24"])


def narrowing_cases(n):
    wide = tunnel("they-offer-more", n)
    yield wide[0], change(wide[1], local_ts="10.2.0.0/16", remote_ts="0.0.0.0/0")
    narrow = tunnel("list-in-list", n + 1)
    yield narrow[0], change(narrow[1], local_ts=f"10.98.0.0/24,10.2.{n + 1}.0/24",
                            remote_ts="10.1.0.0/16,10.97.0.0/16")


def main():
    suite = Suite("refusals")
    rows = list(cases(1))
    narrowing = list(narrowing_cases(len(rows) + 1))
    # keyingtries=1: a refused attempt is not tried again while the next case runs.
    tunnels = [(change(ours, extra=("keyingtries=1",)), theirs)
               for ours, theirs in [row[1:3] for row in rows] + narrowing]
    with Pair(tunnels) as pair:
        for who, index in (("we initiate", 0), ("they initiate", 1)):
            initiator = (pair.ours, pair.theirs)[index]
            for name, _, _, notify, words in rows:
                suite.case(f"{name}, {who}", refused, pair, name, initiator, notify,
                           words[index], logs=(pair.ours, pair.theirs))
            for ours, _ in narrowing:
                suite.case(f"narrowing, {ours.name}, {who}", narrowed, pair, ours.name,
                           initiator, logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
