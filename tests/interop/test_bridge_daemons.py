#!/usr/bin/env python3
"""routed-bridge with real IKE daemons: ipsecd at one end, strongSwan's charon at the
other, a bridge and a zebra at each. The bridge is the same program at both; charon has
no link-updown and names no interface (its device, ipsec0, is configured)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.bridge import Site  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis, settled  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402
from tests.support.tunnel import tunnel  # noqa: E402

NAME = "a-b"
BEHIND_THEIRS, BEHIND_OURS = "10.77.2.0/24", "10.77.1.0/24"
OURS = f"conn {NAME}\n prefix {BEHIND_THEIRS}\n tag 65002\n"
THEIRS = f"conn {NAME}\n interface ipsec0\n prefix {BEHIND_OURS}\n tag 65001\n"


class Ends:
    """The pair with a site at each end."""

    def __init__(self, pair, ours, theirs):
        self.pair = pair
        self.ours = ours
        self.theirs = theirs

    def wait_installed(self):
        self.ours.wait_installed(BEHIND_THEIRS, timeout=15)
        self.theirs.wait_installed(BEHIND_OURS, timeout=15)

    def wait_gone(self):
        self.ours.wait_gone(BEHIND_THEIRS, timeout=15)
        self.theirs.wait_gone(BEHIND_OURS, timeout=15)


def up_and_down(ends):
    ends.pair.ours.initiate(NAME)
    ends.wait_installed()
    check("dev tun1" in ends.ours.kernel(BEHIND_THEIRS), "the daemon named the device")
    ends.pair.theirs.terminate(NAME)
    ends.wait_gone()


def withdrawn_before_dormant(ends):
    ends.pair.ours.initiate(NAME)
    ends.wait_installed()
    since = len(ends.ours.log())
    ends.pair.ours.terminate(NAME)
    ends.wait_gone()
    ends.ours.wait_log("INTERFACE_DOWN: tun1", ends.ours.log()[:since].count(
        "INTERFACE_DOWN: tun1") + 1)
    log = ends.ours.log()[since:]
    check(f"withdraw {BEHIND_THEIRS} dev tun1: link-updown down" in log,
          "the announcement was the cause")
    check(log.index("withdraw") < log.index("INTERFACE_DOWN"), "withdrawn before zebra saw it")


def rekeys_touch_nothing(ends):
    ends.pair.ours.initiate(NAME)
    ends.wait_installed()
    with ends.ours.untouched(), ends.theirs.untouched():
        for peer, site in ((ends.pair.ours, ends.theirs), (ends.pair.theirs, ends.ours)):
            for rekey, spis in ((peer.rekey_child, child_spis), (peer.rekey_ike, ike_spis)):
                seen, before = site.log().count("child-rekey,"), spis(peer, NAME)
                rekey(NAME)
                if rekey == peer.rekey_child:
                    site.wait_log("child-rekey,", seen + 1, 10)
                # Another exchange into the midst of it would be refused, and tried again much later.
                until("new SPIs", lambda s=spis, p=peer, b=before: not b & s(p, NAME), 15)
                settled(ends.pair, NAME)
    ends.pair.ours.terminate(NAME)
    ends.wait_gone()


def daemons_die_and_return(ends):
    """Each is killed and started again; the tunnel comes up anew."""
    for peer, folder_ends in ((ends.pair.ours, 0), (ends.pair.theirs, 1)):
        ends.pair.ours.initiate(NAME)
        ends.wait_installed()
        peer.kill()
        peer.start([pair_ends[folder_ends] for pair_ends in ends.pair.tunnels])
        site = (ends.ours, ends.theirs)[folder_ends]
        site.wait_gone((BEHIND_THEIRS, BEHIND_OURS)[folder_ends], timeout=15)
        peer.initiate(NAME)
        ends.wait_installed()
        ends.pair.ours.terminate(NAME)
        ends.wait_gone()


CASES = (up_and_down, withdrawn_before_dormant, rekeys_touch_nothing, daemons_die_and_return)


def main():
    suite = Suite("bridge-daemons")
    with Pair([tunnel(NAME, 1)]) as pair, \
            Site("ours", OURS, peer=pair.ours) as ours, \
            Site("theirs", THEIRS, peer=pair.theirs) as theirs:
        ends = Ends(pair, ours.start(), theirs.start())
        for case in CASES:
            suite.case(case.__name__.replace("_", " "), case, ends, logs=(pair.ours,))
            if suite.failed:
                break  # the next would not start clean
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
