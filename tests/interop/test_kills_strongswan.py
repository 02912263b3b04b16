#!/usr/bin/env python3
"""As test_kills.py, with strongSwan at the other end: it sees retransmissions and no restart.

Limits of the peer: charon 5.9.8 keeps CHILD_SAs that nobody else has when an IKE_SA and its
CHILD_SA are rekeyed at once by either end, and more of the kind; so one exchange follows the
other here. Simultaneous ones are in test_kills.py and the simulations."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.killing import OTHER, SPLIT, STEADY, Killer, killed  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.suite import Suite  # noqa: E402
from tests.support.tunnel import tunnel  # noqa: E402

KILLS = int(os.environ.get("KILLS", "120"))
SEED = int(os.environ.get("SEED", "2"))
PLANE_HOLE = 1.0  # seconds


def main():
    suite = Suite("kills-strongswan")
    with Pair([tunnel(STEADY, 1), tunnel(OTHER, 2, dpd=1)], ipsecd_options=SPLIT,
              charon_settings="delete_rekeyed_delay = 1") as pair:
        logs = (pair.ours, pair.theirs)
        for name in (STEADY, OTHER):
            pair.ours.initiate(name)
            pair.both_up(name)
        for what, times, roles, hole in (
                ("ike", KILLS, ("ike",), 0),
                ("any", KILLS // 2, ("ike", "helper", "plane"), PLANE_HOLE)):
            suite.case(f"{what}, {times} times", killed, Killer(pair, SEED, (pair.ours,), True),
                       times,
                       lambda r, roles=roles: r.choice(roles), hole, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
