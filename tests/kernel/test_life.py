#!/usr/bin/env python3
"""SAs that come and go in an order that nobody planned, with the kernel's IPsec: a second SA for
one peer and the older one ends, both sides at once, reauthentication under load, a peer without
a fixed address. What the kernel holds in the end is one pair of states for each tunnel."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis, sent_too_early  # noqa: E402
from tests.support.sniffer import LinkWatch  # noqa: E402
from tests.support.strongswan import KernelCharon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

DEVICE = "tun1"
INTERVAL = 0.01  # of pings


def states(namespace):
    return namespace.ip("xfrm", "state").count("proto esp")


def goes_on(pinging, count=30):
    before = pinging.said().count("ttl=")
    until(f"{count} more answers", lambda: pinging.said().count("ttl=") >= before + count, 20)


class Steady:
    """Nothing is lost (but what is borne), and the link does not move, while the block runs."""

    def __init__(self, pair, name, device=DEVICE, borne=lambda: 0):
        self.borne = borne
        self.watch = LinkWatch(pair.namespaces[0], device)
        self.pinging = pair.pinging(name)

    def __enter__(self):
        self.watch.__enter__()
        return self.pinging.__enter__()

    def __exit__(self, kind, *more):
        self.pinging.__exit__(kind, *more)
        self.watch.__exit__()
        if kind is None:
            check(set(self.watch.states()) <= {"UP"}, f"the link flapped: {self.watch.states()}")
            self.pinging.check_no_loss(self.borne())


def until_up(pair, name):
    pair.both_up(name)
    until("UP", lambda: pair.ours.operstate(pair.end(name, pair.ours).device) == "UP")
    pair.ping(name)


def second_then_older_ends(pair, name, again):
    """pain_01_stale_teardown: charon makes a second IKE_SA with the same identities (another
    conn of its own), and ends the first one afterwards."""
    pair.theirs.initiate(name)
    until_up(pair, name)
    first = pair.theirs.sas(name)[0]["uniqueid"]
    with Steady(pair, name) as pinging:
        pair.theirs.initiate(again)
        until("two IKE_SAs", lambda: len(pair.ours.sas(name)) == 2)
        goes_on(pinging)
        pair.theirs.control.request("terminate", {"ike-id": first, "timeout": 10000})
        until("one IKE_SA", lambda: len(pair.ours.sas(name)) == 1)
        goes_on(pinging)
    pair.theirs.terminate(again)
    pair.ours.wait_down(name)
    until("DORMANT", lambda: pair.ours.operstate(DEVICE) == "DORMANT")
    until("no state is left", lambda: states(pair.namespaces[0]) == 0)


def established(peer, name):
    """What is half open yet, of an initiation that was given up, ends by itself."""
    return sum(sa["state"] == "ESTABLISHED" for sa in peer.sas(name))


def duplicates(pair, name):
    """pain_05_duplicates: both sides initiate at once, again and again; one of each is left, on
    both ends the same, and packets pass."""
    for _ in range(2):
        ready = threading.Barrier(2)

        def start(peer, ready=ready):
            ready.wait()
            try:
                peer.initiate(name)
            except RuntimeError:
                pass  # the loser's attempt may be reported as failed

        threads = [threading.Thread(target=start, args=(peer,))
                   for peer in (pair.ours, pair.theirs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for peer in (pair.ours, pair.theirs):
            until(f"{peer.kind}: one IKE_SA", lambda p=peer: established(p, name) == 1, 15)
        for namespace in pair.namespaces:
            until("one pair of states", lambda n=namespace: states(n) == 2, 15)
        until_up(pair, name)
        pair.take_down(name)


def reauthenticated(pair, name, times=2):
    """By the lifetime in the conn: the new SAs are there before the old ones go. charon sends by
    its new one before its answer is with us, and the kernel drops what it has no state for: what may
    have come meanwhile is borne, mostly one each time (docs/operations.md)."""
    pair.ours.initiate(name)
    until_up(pair, name)
    mark = pair.ours.log_mark()

    def borne():
        return sent_too_early(pair.ours.log(mark), INTERVAL) if pair.theirs.kind == "charon" else 0
    with Steady(pair, name, borne=borne) as pinging:
        for _ in range(times):
            ikes, children = ike_spis(pair.ours, name), child_spis(pair.ours, name)
            until("a new IKE_SA", lambda i=ikes: not i & ike_spis(pair.ours, name), 20)
            until("a new CHILD_SA", lambda c=children: not c & child_spis(pair.ours, name), 20)
            goes_on(pinging)
    pair.take_down(name)


def their_reauthentication(pair, name):
    """charon's, make-before-break."""
    pair.theirs.initiate(name)
    until_up(pair, name)
    with Steady(pair, name) as pinging:
        ikes = ike_spis(pair.ours, name)
        pair.theirs.control.request("rekey", {"ike": name, "reauth": "yes"})
        until("a new IKE_SA", lambda: not ikes & ike_spis(pair.ours, name), 20)
        goes_on(pinging)
    pair.take_down(name)


def remote_of(pair, device):
    return pair.ours.link(device)["linkinfo"]["info_data"].get("remote")


def from_anywhere(pair, name):
    """pain_16_dynamic_peer: `right=%any`; the device's end point follows the peer, to another
    address, too."""
    device = pair.end(name, pair.ours).device
    index = pair.ours.link(device)["ifindex"]
    placeholder = remote_of(pair, device)
    end = pair.end(name, pair.theirs)
    for address in (end.local, "172.16.2.77"):
        pair.namespaces[1].address_once("eth0", address)
        moved = change(end, local=address)
        pair.namespaces[1].ip("link", "del", "dev", end.device, check=False)
        pair.theirs.load([moved if e.name == name else e for e in pair.theirs.ends])
        pair.theirs.initiate(name)
        until_up(pair, name)
        check_equal(remote_of(pair, device), address, "remote of the device")
        pair.take_down(name)
    check_equal(pair.ours.link(device)["ifindex"], index, "ifindex")
    print(f"      without a peer: remote {placeholder}")


def main():
    suite = Suite("life")
    ours, theirs = vti_tunnel("twice", 1)
    # What differs makes it another IKE_SA for charon, not one more child of the first.
    gcm, cbc = ours.ike, "aes128-sha256-x25519"
    ours, again = change(ours, ike=f"{gcm},{cbc}"), change(theirs, name="again", ike=cbc)
    short = {"child_rekey": 600, "ike_rekey": 4}
    crossing, reauth, anywhere = vti_tunnel("crossing", 2), vti_tunnel("reauth", 3), \
        vti_tunnel("anywhere", 4)
    with KernelPair([(ours, theirs)], setup="uniqueids=no") as pair:
        pair.theirs.load([theirs, again])
        suite.case("pain_01_stale_teardown: a second SA, the older ends", second_then_older_ends,
                   pair, "twice", "again", logs=(pair.ours, pair.theirs))
    tunnels = [(crossing[0], change(crossing[1])),
               (change(reauth[0], extra=("reauth=yes",), **short), reauth[1]),
               (change(anywhere[0], remote="%any"), anywhere[1])]
    for kind, settings in ((KernelCharon, "make_before_break = yes"), (Ipsecd, "")):
        with KernelPair(tunnels[:2] + (tunnels[2:] if kind is KernelCharon else []), theirs=kind,
                        charon_settings=settings) as pair:
            cases = [("pain_05_duplicates: both initiate at once", duplicates, "crossing"),
                     ("reauthentication by us", reauthenticated, "reauth")]
            if kind is KernelCharon:
                cases += [("reauthentication by them", their_reauthentication, "crossing"),
                          ("pain_16_dynamic_peer", from_anywhere, "anywhere")]
            for what, function, name in cases:
                suite.case(f"{pair.theirs.kind} opposite: {what}", function, pair, name,
                           logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
