#!/usr/bin/env python3
"""Begin and end of SAs: deletes from both sides (CHILD_SA, IKE SA, shutdown of a daemon),
both sides initiating at once, a reload that changes nothing, and what the tunnel device
shows at each step.
"""
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402


def device_shows(pair, name, state):
    device = pair.end(name, pair.ours).device
    until(f"{device} shows {state}", lambda: pair.ours.operstate(device) == state)


def device_index(pair, name):
    return pair.ours.link(pair.end(name, pair.ours).device)["ifindex"]


def delete_ike_sa(pair, name, who):
    index = device_index(pair, name)
    device_shows(pair, name, "DORMANT")
    pair.ours.initiate(name)
    pair.both_up(name)
    device_shows(pair, name, "UP")
    pair.ping(name)
    who.terminate(name)
    pair.both_down(name)
    device_shows(pair, name, "DORMANT")
    check_equal(device_index(pair, name), index, "ifindex of the device")


def delete_child(pair, name, who):
    """The IKE SA may stay or go; the CHILD_SA is gone on both sides."""
    with pair.up(name, pair.ours):
        who.terminate_child(name)
        for peer in (pair.ours, pair.theirs):
            until(f"{peer.kind} has no CHILD_SA", lambda peer=peer: not peer.children(name))
        device_shows(pair, name, "DORMANT")


def child_again(pair, name, initiator):
    """After its CHILD_SA was deleted, the IKE SA makes a new one by CREATE_CHILD_SA."""
    with pair.up(name, initiator):
        initiator.terminate_child(name)
        until("no CHILD_SA", lambda: not pair.theirs.children(name))
        initiator.initiate(name)
        pair.both_up(name)
        one_of_each(pair.ours, name)
        one_of_each(pair.theirs, name)
        pair.ping(name)


def both_at_once(pair, name):
    """RFC 7296 2.8.2 in spirit: two first exchanges that cross end as one IKE SA and one
    CHILD_SA, and both sides keep the same. (charon alone would keep both.)"""
    mark, crossed = pair.ours.log_mark(), "both ends initiated at once"
    for _ in range(8):
        if pair.ours.log(mark).count(crossed) == 2:
            break
        ready = threading.Barrier(2)

        def start(peer):
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
        one_of_each(pair.ours, name)
        one_of_each(pair.theirs, name)
        pair.ping(name)
        check_equal(*[peer.sas(name)[0]["initiator-spi"] for peer in (pair.ours, pair.theirs)],
                    "the IKE SA that survived")
        pair.take_down(name)
    check(crossed in pair.ours.log(mark), "the initiations have crossed at least once")


def initiate_twice(pair, name):
    """Asking for what is there already makes no second one."""
    with pair.up(name, pair.ours):
        pair.ours.initiate(name)
        one_of_each(pair.ours, name)
        one_of_each(pair.theirs, name)


def reload_changes_nothing(pair, name):
    """SIGHUP with the same files: SAs, SPIs, device and pings stay."""
    with pair.up(name, pair.ours):
        index = device_index(pair, name)
        spi = pair.ours.children(name)[0]["spi-in"]
        with pair.pinging(name) as pinging:
            pair.ours.load(pair.ours.ends)
            pair.ping(name)
        pinging.check_no_loss()
        check_equal(pair.ours.children(name)[0]["spi-in"], spi, "SPI")
        check_equal(device_index(pair, name), index, "ifindex of the device")


def renamed(pair, name):
    """Another name for the connection and the same for its device: the device passes over,
    though the former connection's SAs are still being deleted."""
    before, index = pair.ours.ends, device_index(pair, name)
    pair.ours.initiate(name)
    pair.both_up(name)
    pair.ours.load([change(end, name="renamed") if end.name == name else end for end in before])
    check_equal(device_index(pair, name), index, "ifindex of the device")
    pair.ours.initiate("renamed")
    pair.ours.wait_up("renamed")
    device_shows(pair, name, "UP")
    pair.ping(name)
    pair.ours.load(before)
    check_equal(device_index(pair, name), index, "ifindex of the device")
    pair.theirs.wait_down(name)
    device_shows(pair, name, "DORMANT")


def retried_when_addresses_come(pair, name):
    """A connection that waits for its next attempt makes it when the machine gets an address;
    our own devices are no such event."""
    ours = pair.ours
    before = ours.ends
    lonely = change(before[0], name="lonely", local="172.16.1.77", remote="172.16.2.77",
                    device="lonely", inside=(), auto="start", local_ts="10.77.1.0/24",
                    remote_ts="10.77.2.0/24", extra=("retransmit-timeout=1s",))
    mark = ours.log_mark()
    ours.load([*before, lonely])
    ours.wait_log("sending from 172.16.1.77[500] to 172.16.2.77[500] failed", mark)
    check("addresses or links changed" not in ours.log(mark), "only ours changed")
    changed = "addresses or links changed"
    pair.namespaces[0].address("eth0", "172.16.1.77/16")
    try:
        ours.wait_log(changed, mark, 30)
        until("another attempt behind it", lambda: "ike[lonely] initiating" in
              ours.log(mark).split(changed, 1)[1], 30)
    finally:
        pair.namespaces[0].ip("address", "delete", "172.16.1.77/16", "dev", "eth0")
        ours.load(before)


def their_shutdown(pair, name):
    pair.ours.initiate(name)
    pair.both_up(name)
    pair.theirs.stop()
    pair.ours.wait_down(name)
    device_shows(pair, name, "DORMANT")
    pair.theirs.start(pair.theirs.ends)


def our_shutdown(pair, name):
    """TERM: peers are told, the exit status is 0."""
    pair.ours.initiate(name)
    pair.both_up(name)
    check_equal(pair.ours.stop(), 0, "exit status")
    pair.theirs.wait_down(name)
    pair.ours.start(pair.ours.ends)


NO_ANSWERS = """
table inet mute {
    chain out { type filter hook output priority 0; udp sport { 500, 4500 } drop; }
}
"""


def shutdown_is_final(pair, name):
    """Who wants the tunnel up while the daemon ends is refused, and peers are told still."""
    pair.ours.initiate(name)
    pair.both_up(name)
    pair.theirs.namespace.nft(NO_ANSWERS)  # so that it is not over before we ask
    try:
        pair.ours.daemon.kill(signal.SIGTERM)
        until("the drain has begun",
              lambda: pair.ours.operstate(pair.end(name, pair.ours).device) == "DORMANT")
        check("shutting down" in pair.ours.try_initiate(name), "the reason of the refusal")
    finally:
        pair.theirs.namespace.nft_clear()
    pair.ours.daemon.child.wait(20)
    check_equal(pair.ours.stop(), 0, "exit status")
    pair.theirs.wait_down(name)
    pair.ours.start(pair.ours.ends)


def reloads_look_again(pair, name):
    """Devices that were as configured at the last reload are not looked at in the next; once somebody
    changes one, they are."""
    device = pair.end(name, pair.ours).device

    def mended():
        pair.ours.load(pair.ours.ends)  # again, in case the plane has not heard of it yet
        return pair.ours.link(device)["mtu"] == mtu

    with pair.up(name, pair.ours):
        mtu = pair.ours.link(device)["mtu"]
        for change_to in (mtu - 20, mtu - 40):
            for _ in range(2):
                pair.ours.load(pair.ours.ends)
            pair.ours.namespace.ip("link", "set", device, "mtu", str(change_to))
            until("a reload mends the MTU", mended)


def device_again(pair, name):
    """What an operator took from the device, or the device itself, a reload brings back, and
    the CHILD_SA serves it."""
    end = pair.end(name, pair.ours)
    with pair.up(name, pair.ours):
        spi = pair.ours.children(name)[0]["spi-in"]
        index = device_index(pair, name)
        pair.ours.namespace.ip("address", "del", end.inside[0], "dev", end.device)
        pair.ours.load(pair.ours.ends)
        pair.ping(name)
        check_equal(device_index(pair, name), index, "ifindex of the device")
        pair.ours.namespace.ip("link", "del", end.device)
        until("the device is gone", lambda: not pair.ours.link(end.device))
        pair.ours.load(pair.ours.ends)
        device_shows(pair, name, "UP")
        pair.ping(name)
        check_equal([c["spi-in"] for c in pair.ours.children(name)], [spi], "the CHILD_SA")


def main():
    suite = Suite("lifecycle")
    ours, theirs = tunnel("crossing", 2)
    tunnels = [tunnel("plain", 1), (ours, change(theirs, extra=("unique = replace",)))]
    with Pair(tunnels) as pair:
        def case(name, *words):
            suite.case(name, *words, logs=(pair.ours, pair.theirs))

        case("we delete the IKE SA", delete_ike_sa, pair, "plain", pair.ours)
        case("they delete the IKE SA", delete_ike_sa, pair, "plain", pair.theirs)
        case("we delete the CHILD_SA", delete_child, pair, "plain", pair.ours)
        case("they delete the CHILD_SA", delete_child, pair, "plain", pair.theirs)
        case("a new CHILD_SA, by us", child_again, pair, "plain", pair.ours)
        case("a new CHILD_SA, by them", child_again, pair, "plain", pair.theirs)
        case("both initiate at once", both_at_once, pair, "crossing")
        case("initiate what is up", initiate_twice, pair, "plain")
        case("reload without a change", reload_changes_nothing, pair, "plain")
        case("a reload mends the device", device_again, pair, "plain")
        case("reloads look again", reloads_look_again, pair, "plain")
        case("a connection is renamed", renamed, pair, "plain")
        case("retried when addresses come", retried_when_addresses_come, pair, "plain")
        case("their shutdown", their_shutdown, pair, "plain")
        case("our shutdown", our_shutdown, pair, "plain")
        case("initiate while we shut down", shutdown_is_final, pair, "plain")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
