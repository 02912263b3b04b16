#!/usr/bin/env python3
"""Message IDs are synchronised (RFC 6311) with charon, which answers who asks, and between ours:
our daemon is killed, and the next one is given memory as it was some exchanges before.

charon 5.9.8 announces IKEV2_MESSAGE_ID_SYNC_SUPPORTED as initiator alone, and never the other one. It
can answer with message ID 0 where IVs are random: with CBC.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import BINARY, Ipsecd  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import ike_spis, rekeyed, settled  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402


class KeptPair(Pair):
    """Our state outlives our daemon."""

    def _our_daemon(self, options):
        daemon = super()._our_daemon(options)
        daemon.keep_state()
        return daemon


class OursPair(KeptPair):
    """ipsecd at both ends."""

    def _their_daemon(self, settings, retransmit_timeout):
        return Ipsecd(self.namespaces[1], os.path.join(self.folder, "theirs"))


def counter(peer, name):
    return peer.counters()[name]


def negotiated(peer, name):
    return [(sa.get("message-id-sync"), sa.get("replay-counter-sync")) for sa in peer.sas(name)]


def announced(pair, name):
    """By whichever end begins; charon does not mind, and nor do we what charon says."""
    charon = pair.theirs.kind == "charon"
    for peer in (pair.ours, pair.theirs):
        ids = None if charon and peer is pair.ours else "yes"
        with pair.up(name, peer):
            check_equal(negotiated(pair.ours, name), [(ids, None if charon else "yes")],
                        "what was negotiated")
            pair.ping(name)


def switched_off(pair, name):
    for peer in (pair.ours, pair.theirs):
        with pair.up(name, peer):
            check_equal(negotiated(pair.ours, name), [(None, None)], "what was negotiated")
            pair.ping(name)


def routes(pair):
    for end in pair.ours.ends:
        until(f"device {end.device}", lambda end=end: pair.ours.link(end.device))
        for network in end.remote_ts.split(","):
            pair.ours.namespace.route(network, "dev", end.device)


class Memory:
    """What our daemon had kept at this moment."""

    def __init__(self, pair, name):
        self.pair, self.ikes = pair, ike_spis(pair.ours, name)
        self.data = os.pread(pair.ours.state, os.fstat(pair.ours.state).st_size, 0)

    def goes_on(self):
        ours = self.pair.ours
        mark = ours.log_mark()
        ours.kill()
        os.ftruncate(ours.state, len(self.data))
        os.pwrite(ours.state, self.data, 0)
        ours.again()
        ours.wait_log("going on from a former process", mark)
        routes(self.pair)
        return mark


def works(pair, name):
    settled(pair, name, 60)
    pair.ping(name)
    for peer in (pair.ours, pair.theirs):
        rekeyed(pair, name, peer.rekey_child)
    pair.ping(name)


def synchronised(pair, name, ikes):
    """It takes a while until one of the two has something to say that the other can't place. Then the
    IKE SA is replaced, since what was agreed on is not known."""
    until("message IDs are synchronised", lambda: counter(pair.ours, "sync-done"), 60)
    if pair.theirs.kind != "charon":
        check(counter(pair.theirs, "sync-answered") >= 1, "the peer answered")
    check_equal(counter(pair.ours, "peers-dead"), 0, "dead peers")
    until("the IKE SA goes", lambda: not ikes & ike_spis(pair.ours, name), 20)
    if not ike_spis(pair.ours, name):  # its only CHILD SA was gone, and we had not begun it
        pair.ours.initiate(name)
    works(pair, name)


def older(pair, name):
    """Rekeys of CHILD_SAs by both ends are not known any more."""
    with pair.up(name, pair.theirs):
        memory = Memory(pair, name)
        for peer in (pair.ours, pair.theirs, pair.ours):
            rekeyed(pair, name, peer.rekey_child)
        memory.goes_on()
        synchronised(pair, name, memory.ikes)


def older_twice(pair, name):
    """The IDs that were asked with are higher each time: the second one is no replay."""
    with pair.up(name, pair.ours):
        for _ in range(2):
            memory = Memory(pair, name)
            for _ in range(3):
                rekeyed(pair, name, pair.ours.rekey_child)
            memory.goes_on()
            synchronised(pair, name, memory.ikes)


def without(pair, name):
    """The peer has not announced it: the SAs come up again all the same."""
    with pair.up(name, pair.ours):
        memory = Memory(pair, name)
        for peer in (pair.theirs, pair.ours, pair.theirs):
            rekeyed(pair, name, peer.rekey_child)
        memory.goes_on()
        works(pair, name)
        check_equal(counter(pair.ours, "sync-asked"), 0, "requests for message IDs")


def told(pair, name):
    """`ipsecctl status CONN` says what was negotiated."""
    with pair.up(name, pair.ours):
        said = subprocess.run([os.path.join(os.path.dirname(BINARY), "ipsecctl"), "--vici",
                               pair.ours.socket_path, "status", name],
                              capture_output=True, text=True, check=False).stdout
        check("synchronisation of message IDs and replay counters was negotiated" in said, said)


def cases(suite, pair, kind):
    logs = (pair.ours, pair.theirs)
    suite.case(f"{kind}: announced", announced, pair, "on", logs=logs)
    suite.case(f"{kind}: older state", older, pair, "on", logs=logs)
    suite.case(f"{kind}: switched off", switched_off, pair, "off", logs=logs)
    suite.case(f"{kind}: older state without RFC 6311", without, pair, "off", logs=logs)


def main():
    suite = Suite("sync")
    off = tunnel("off", 2, dpd=2)
    tunnels = [tunnel("on", 1, dpd=2, ike="aes128-sha256-x25519"), (change(off[0], extra=("message-id-sync=no",)), off[1])]
    with KeptPair(tunnels, charon_settings="delete_rekeyed_delay = 1") as pair:
        cases(suite, pair, "charon")
    with OursPair(tunnels) as pair:
        cases(suite, pair, "ipsecd")
        suite.case("older state, twice", older_twice, pair, "on", logs=(pair.ours, pair.theirs))
        suite.case("status", told, pair, "on", logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
