#!/usr/bin/env python3
"""CHILD_SAs for single resources (RFC 9611): between two ipsecd as many as both want, through rekeys and kills of
ike without losing a packet, of plane with no more than what it had in hand; with a strongSwan that knows nothing of
them there is the general one alone."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.ipsecd import BINARY, OPTIONS  # noqa: E402
from tests.support.pair import OursWithOurs, Pair  # noqa: E402
from tests.support.per_resource import killed, rekeyed, resources, wait  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

IPSECCTL = os.path.join(os.path.dirname(BINARY), "ipsecctl")


def as_many(pair, name, wanted):
    pair.ours.initiate(name)
    wait(pair, name, wanted)
    pair.ping(name)
    pair.transfer(name, 1 << 18)
    status = netns.run(IPSECCTL, "--vici", pair.ours.socket_path, "status", name)
    check_equal([int(n) for n in re.findall(r"for resource (\d+)$", status, re.M)], wanted[1:], status)
    # The one of the thread that sends is used, both ways.
    for peer in (pair.ours, pair.theirs) if len(wanted) > 1 else ():
        first = next(c for c in peer.children(name) if c.get("resource") == "1")
        check(int(first["bytes-out"]) > 1 << 18, f"{peer.kind}: {first}")


def script_once(pair, name):
    """Up with the first one, down with the last, whichever that is."""
    script, told = pair.ours.path("updown"), pair.ours.path("told")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\necho $PLUTO_VERB >>{told}\n")
    os.chmod(script, 0o700)

    def verbs():
        return open(told, encoding="utf-8").read().split() if os.path.exists(told) else []
    wanted = resources(pair.ours, name)
    pair.ours.terminate(name)
    pair.both_down(name)
    pair.ours.load([change(end, extra=(*end.extra, f"leftupdown={script}")) if end.name == name else end
                    for end, _ in pair.tunnels])
    pair.ours.initiate(name)
    wait(pair, name, wanted)
    until("the script is told", verbs)
    general = next(c for c in pair.ours.children(name) if not int(c.get("resource", 0)))
    pair.ours.control.request("terminate", {"child-id": general["uniqueid"], "timeout": 10000})
    until("without the general one", lambda: resources(pair.ours, name) == wanted[1:])
    check_equal(verbs(), ["up-client"], "the script's runs while there are others")
    pair.ours.terminate(name)
    pair.both_down(name)
    until("the script is told of the end", lambda: len(verbs()) > 1)
    check_equal(verbs(), ["up-client", "down-client"], "the script's runs")


def general_alone(pair, name, initiator):
    with pair.up(name, initiator):
        check_equal(resources(pair.ours, name), [0], "CHILD_SAs")
        pair.transfer(name, 1 << 16)


def both(name, n, ours_say, theirs_say=None):
    ours, theirs = tunnel(name, n)
    theirs = change(theirs, extra=(f"per-resource-sas={theirs_say}",)) if theirs_say else theirs
    return change(ours, extra=(f"per-resource-sas={ours_say}",)), theirs


def main():
    suite = Suite("resources")
    tunnels = [both("three", 1, "3", "3"), both("fewer", 2, "4", "2"), both("more", 3, "2", "4"),
               both("none", 4, "4", "no")]
    with OursWithOurs(tunnels) as pair:
        logs = (pair.ours, pair.theirs)
        for name, wanted in (("three", [0, 1, 2, 3]), ("fewer", [0, 1, 2]), ("more", [0, 1, 2]), ("none", [0])):
            suite.case(f"{name}: as many as both want", as_many, pair, name, wanted, logs=logs)
        suite.case("rekeys, 0 lost", rekeyed, pair, "three", logs=logs)
        for role in ("plane", "ike") if "--single-process" not in OPTIONS else ():
            suite.case(f"{role} is killed", killed, pair, "three", role, logs=logs)
        suite.case("a script is run once", script_once, pair, "three", logs=logs)
    with Pair([both("charon", 1, "4")]) as pair:
        for initiator in (pair.ours, pair.theirs):
            suite.case(f"strongSwan, {initiator.kind} initiates", general_alone, pair, "charon", initiator,
                       logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
