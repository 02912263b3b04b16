#!/usr/bin/env python3
"""Quick crash detection (RFC 6290): ipsecd is killed with all that it has, devices and SAs, and
starts anew with its secret alone. The other ipsecd checks liveness every 30 s, and yet the tunnel
is back at once, because of the token. Against charon, which knows no tokens, all is as ever."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import OursWithOurs, Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

NAME = "net"
WITHIN = 10.0  # a loaded machine; without the token it takes 30 s and 18 s
PROOF = "the peer shows its token"


def counter(peer, name):
    return peer.counters().get(name, 0)


def established(pair):
    pair.ours.wait_up(NAME, 15)
    pair.theirs.wait_up(NAME, 15)
    until("both devices up", lambda: pair.ours.operstate("tun1") == "UP"
          and pair.theirs.operstate("tun1") == "UP")
    pair.ping(NAME)
    # Younger ones come back with a pause.
    until("SAs older than a crash in a loop",
          lambda: int(pair.ours.sas(NAME)[0]["established"]) > 11, 20)


def reboot(peer):
    """As a power failure: no DELETE, and no device is left (TUN goes with its process)."""
    peer.kill()
    until("the device is gone", lambda: not peer.link("tun1"))
    peer.start(peer.ends)


def responder_reboots(pair):
    """It waits for others: ESP is answered with INVALID_SPI, the check that follows with the
    token."""
    established(pair)
    mark = pair.ours.log_mark()
    proved, dead = counter(pair.ours, "crash-token-proved"), counter(pair.ours, "peers-dead")
    reboot(pair.theirs)
    start = time.monotonic()
    with pair.pinging(NAME, "0.05"):
        pair.ours.wait_log(PROOF, mark, WITHIN)
        seen = time.monotonic() - start
        pair.ours.wait_up(NAME, WITHIN)
        pair.theirs.wait_up(NAME, WITHIN)
    print(f"      token after {seen:.2f} s, tunnel after {time.monotonic() - start:.2f} s")
    check_equal(counter(pair.ours, "crash-token-proved"), proved + 1, "tokens that proved a crash")
    check_equal(counter(pair.ours, "peers-dead"), dead, "peers found dead by silence")
    pair.ping(NAME)
    one_of_each(pair.ours, NAME)
    one_of_each(pair.theirs, NAME)
    check(counter(pair.theirs, "invalid-spi-told") >= 1, "ESP was answered")
    check(counter(pair.theirs, "crash-token-given") >= 1, "a token was given")


def initiator_reboots(pair):
    """It begins by itself; its INITIAL_CONTACT does what a token would."""
    established(pair)
    reboot(pair.ours)
    start = time.monotonic()
    pair.ours.wait_up(NAME, WITHIN)
    pair.theirs.wait_up(NAME, WITHIN)
    print(f"      tunnel after {time.monotonic() - start:.2f} s")
    established(pair)
    one_of_each(pair.theirs, NAME)


def secret_is_kept(pair):
    path = pair.theirs.path("crash-secret")
    with open(path, "rb") as file:
        before = file.read()
    check_equal((len(before), os.stat(path).st_mode & 0o777), (32, 0o600), "the secret")
    reboot(pair.theirs)
    with open(path, "rb") as file:
        check(file.read() == before, "it is the same after a new start")
    other = pair.ours.path("crash-secret")
    with open(other, "rb") as file:
        check(file.read() != before, "each has its own")


def bad_secret(pair):
    """One that others may read is not used, and its owner says so."""
    path = pair.theirs.path("crash-secret")
    os.chmod(path, 0o644)
    mark = pair.theirs.log_mark()
    reboot(pair.theirs)
    pair.theirs.wait_log("peers will see a crash of this machine late", mark)
    pair.theirs.wait_log("expected mode 0600", mark)
    os.chmod(path, 0o600)


def with_charon(pair):
    """Unknown notifies are ignored, in IKE_AUTH and behind a rekey."""
    pair.ours.wait_up(NAME, 15)
    pair.theirs.wait_up(NAME, 15)
    pair.ping(NAME)
    since = counter(pair.ours, "ike-rekey-init")
    pair.ours.control.request("rekey", {"ike": NAME})
    until("rekeyed", lambda: counter(pair.ours, "ike-rekey-init") > since, 15)
    pair.ping(NAME)
    check_equal(counter(pair.ours, "crash-token-wrong"), 0, "wrong tokens")
    one_of_each(pair.ours, NAME)


def main():
    suite = Suite("reboot")
    ours, theirs = tunnel(NAME, 1, dpd=30)
    ours = change(ours, auto="start")
    for how, options in (("several", ("--restart-pause", "0")), ("one", ("--single-process",))):
        with OursWithOurs([(ours, theirs)], ipsecd_options=options) as pair:
            cases = [("a responder reboots", responder_reboots),
                     ("an initiator reboots", initiator_reboots)]
            if how == "one":
                cases += [("the secret is kept", secret_is_kept),
                          ("a secret that others may read", bad_secret)]
            for name, function in cases:
                suite.case(f"{how}, {name}", function, pair, logs=(pair.ours, pair.theirs))
    with Pair([(ours, theirs)]) as pair:
        suite.case("charon", with_charon, pair, logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
