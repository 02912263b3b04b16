#!/usr/bin/env python3
"""Processes of ipsecd are killed, some hundreds of times, at random points of exchanges between two
ipsecds. A killed ike or helper costs no packet; behind a killed plane packets pass within a second;
no IV is used twice; both ends have the same SAs in the end, and the devices of before.

KILLS=N kills of ike (the others in proportion), SEED=N another course of things."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.killing import OTHER, SPLIT, STEADY, Killer, killed  # noqa: E402
from tests.support.pair import OursWithOurs  # noqa: E402
from tests.support.suite import Suite  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

KILLS = int(os.environ.get("KILLS", "240"))
SEED = int(os.environ.get("SEED", "1"))
PLANE_HOLE = 1.0  # seconds


SCRIPT = """#!/bin/sh
echo "$PLUTO_VERB" >>"{file}"
"""


def with_script(pair):
    """OTHER gets an updown script at our end; what it was told so far."""
    script, file = (os.path.join(pair.folder, name) for name in ("script", "told"))
    with open(script, "w", encoding="utf-8") as out:
        out.write(SCRIPT.format(file=file))
    os.chmod(script, 0o700)
    pair.ours.load([change(ours, extra=(f"leftupdown={script}",)) if ours.name == OTHER else ours
                    for ours, _ in pair.tunnels])

    def told():
        with open(file, encoding="utf-8") as lines:
            return lines.read().split()
    return told


def killer(pair, victims, told):
    made = Killer(pair, SEED, victims)
    made.told = told
    return made


def main():
    suite = Suite("kills")
    with OursWithOurs([tunnel(STEADY, 1), tunnel(OTHER, 2, dpd=1)],
                      ipsecd_options=SPLIT) as pair:
        logs = (pair.ours, pair.theirs)
        told = with_script(pair)
        for name in (STEADY, OTHER):
            pair.ours.initiate(name)
            pair.both_up(name)
        one, both = (pair.ours,), (pair.ours, pair.theirs)
        for what, victims, times, roles, hole in (
                ("ike", one, KILLS // 2, ("ike",), 0),
                ("ike of either end", both, KILLS // 2, ("ike",), 0),
                ("helper", one, KILLS // 8, ("helper",), 0),
                ("plane", one, KILLS // 4, ("plane",), PLANE_HOLE),
                ("any of either end", both, KILLS // 2, ("ike", "helper", "plane"),
                 PLANE_HOLE)):
            suite.case(f"{what}, {times} times", killed, killer(pair, victims, told), times,
                       lambda r, roles=roles: r.choice(roles), hole, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
