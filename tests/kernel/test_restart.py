#!/usr/bin/env python3
"""ipsecd is killed, stopped, started again, and told to remove all that is its own: what packets,
devices and the other end notice. The devices keep their ifindex, and rtnetlink shows no change
of their state that is not meant."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.pair import one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis  # noqa: E402
from tests.support.sniffer import LinkWatch  # noqa: E402
from tests.support.strongswan import KernelCharon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

NAME = "restart"
DEVICE = "tun1"


def established(pair):
    pair.both_up(NAME, 30)
    until("the device is UP", lambda: pair.ours.operstate(DEVICE) == "UP", 20)
    pair.ping(NAME)


def goes_on(pair, pinging, count=30):
    """Some more answers come in."""
    before = pinging.said().count("ttl=")
    until(f"{count} more answers", lambda: pinging.said().count("ttl=") >= before + count, 20)


def killed(pair):
    """pain_14_restart: packets pass without a daemon; the next one takes the device over, makes
    SAs of its own and lets go of the old ones then."""
    established(pair)
    index = pair.ours.link(DEVICE)["ifindex"]
    before = child_spis(pair.ours, NAME)
    with LinkWatch(pair.namespaces[0], DEVICE) as watch, \
            pair.pinging(NAME) as pinging:
        pair.ours.kill()
        goes_on(pair, pinging)
        check_equal(pair.ours.operstate(DEVICE), "UP", "the device without a daemon")
        pair.ours.start(pair.ours.ends)
        pair.ours.wait_up(NAME, 30)
        check(not before & child_spis(pair.ours, NAME), "the SAs are new")
        goes_on(pair, pinging)
        until("only one pair of states is left", lambda: states(pair.namespaces[0]) == 2, 20)
        goes_on(pair, pinging)
    check_equal(pair.ours.link(DEVICE)["ifindex"], index, "ifindex")
    check(set(watch.states()) <= {"UP"}, f"the link flapped: {watch.states()}")
    print(f"      {pinging.lost} of {pinging.sent} pings lost")
    if isinstance(pair.theirs, Ipsecd):
        pinging.check_no_loss()
    else:  # strongSwan drops the old SAs at INITIAL_CONTACT: what is under way then is lost
        check(pinging.lost <= 50, "half a second is lost")
    one_of_each(pair.ours, NAME)
    one_of_each(pair.theirs, NAME)


def states(namespace):
    return namespace.ip("xfrm", "state").count("proto esp")


def killed_twice(pair):
    """A second kill before the first one's traces are gone."""
    established(pair)
    with pair.pinging(NAME) as pinging:
        for _ in range(2):
            pair.ours.kill()
            pair.ours.start(pair.ours.ends)
        pair.ours.wait_up(NAME, 30)
        goes_on(pair, pinging)
        until("only one pair of states is left", lambda: states(pair.namespaces[0]) == 2, 20)
    print(f"      {pinging.lost} of {pinging.sent} pings lost")
    pinging.check_no_loss()
    one_of_each(pair.ours, NAME)
    one_of_each(pair.theirs, NAME)


def stopped(pair):
    """pain_07_interface_stays: SIGTERM ends the SAs, and the device waits, DORMANT, with its
    ifindex and the routes into it."""
    established(pair)
    index = pair.ours.link(DEVICE)["ifindex"]
    check_equal(pair.ours.stop(), 0, "exit status")
    pair.ours.daemon = None
    check_equal(pair.ours.operstate(DEVICE), "DORMANT", "the device without a daemon")
    check(f"dev {DEVICE}" in pair.namespaces[0].ip("route", "show", "10.2.1.0/24"), "its route")
    check_equal(states(pair.namespaces[0]), 0, "states left")
    with LinkWatch(pair.namespaces[0], DEVICE) as watch:
        pair.ours.start(pair.ours.ends)
        established(pair)
    check_equal(pair.ours.link(DEVICE)["ifindex"], index, "ifindex")
    check(set(watch.states()) <= {"DORMANT", "UP"}, f"the link: {watch.states()}")


def reloaded(pair):
    """pain_13_reload: nothing is disturbed by a reload, neither SAs nor the device."""
    established(pair)
    before = child_spis(pair.ours, NAME)
    with LinkWatch(pair.namespaces[0], DEVICE) as watch, pair.pinging(NAME) as pinging:
        for _ in range(3):
            pair.ours.load(pair.ours.ends)
        goes_on(pair, pinging, 10)
    pinging.check_no_loss()
    check_equal(child_spis(pair.ours, NAME), before, "SPIs")
    check(set(watch.states()) <= {"UP"}, f"the link flapped: {watch.states()}")


def flushed(pair):
    """`ipsecd --flush` after a kill: device, states and policies of ours are gone, and those of
    others are as they were."""
    established(pair)
    namespace = pair.namespaces[0]
    namespace.ip("link", "add", "name", "theirs0", "type", "vti", "local", "172.16.1.1", "remote",
                 "172.16.9.9", "key", "99")
    namespace.ip("xfrm", "state", "add", "src", "172.16.1.1", "dst", "172.16.9.9", "proto", "esp",
                 "spi", "0x1234", "reqid", "9", "mode", "tunnel", "mark", "99", "aead",
                 "rfc4106(gcm(aes))", "0x" + "11" * 20, "128")
    namespace.ip("xfrm", "policy", "add", "src", "10.9.0.0/16", "dst", "10.8.0.0/16", "dir", "out",
                 "mark", "99", "tmpl", "src", "172.16.1.1", "dst", "172.16.9.9", "proto", "esp",
                 "reqid", "9", "mode", "tunnel")
    said = namespace.run(pair.ours.binary, "--flush", check=False)
    check(pair.ours.operstate(DEVICE) == "UP", f"flushed beside a daemon: {said}")
    pair.ours.kill()
    namespace.run(pair.ours.binary, "--flush")
    check(not pair.ours.link(DEVICE), "our device is gone")
    check(pair.ours.link("theirs0"), "the other device is there")
    check_equal(states(namespace), 1, "states")
    check("0x00001234" in namespace.ip("xfrm", "state"), "the other state is there")
    policies = namespace.ip("xfrm", "policy").count("dir ")
    check_equal(policies, 1, "policies")
    namespace.ip("link", "del", "theirs0")
    namespace.ip("xfrm", "state", "flush")
    namespace.ip("xfrm", "policy", "flush")
    pair.ours.start(pair.ours.ends)
    established(pair)


def removed(pair):
    """A conn that goes from the configuration takes its device and policies along."""
    established(pair)
    ends = pair.ours.ends
    pair.ours.load(())
    until("no device", lambda: not pair.ours.link(DEVICE))
    until("no states", lambda: states(pair.namespaces[0]) == 0)
    until("no policies", lambda: pair.namespaces[0].ip("xfrm", "policy").count("dir ") == 0)
    pair.ours.load(ends)
    established(pair)


def load(ours, ends):
    ours.load(ends)


def stop_and_start(ours, ends):
    ours.stop()
    ours.start(ends)


def kill_and_start(ours, ends):
    ours.kill()
    ours.start(ends)


def renamed(pair):
    """A vti of another name needs the endpoints of the former one, which goes first: by a reload,
    over a stop, over a kill."""
    established(pair)
    ends, former = pair.ours.ends, DEVICE
    for name, device, how in ((NAME, "tun1b", load), ("other", "tun1c", load),
                              ("other", "tun1d", stop_and_start), (NAME, "tun1e", kill_and_start)):
        how(pair.ours, [change(ends[0], name=name, device=device)])
        pair.ours.wait_up(name, 30)
        until(f"{device} is UP", lambda device=device: pair.ours.operstate(device) == "UP", 20)
        until(f"{former} is gone", lambda former=former: not pair.ours.link(former), 20)
        check_equal([conn for conn in pair.ours.conns() if conn != name], [], "other conns")
        former = device
    pair.ours.load(ends)
    established(pair)


def exchanged(pair):
    """Two conns that exchange their peers in one reload get each other's endpoints, although
    neither vti can have them before the other one has given them up."""
    one, two = pair.ours.ends
    exchange = [change(two, name=one.name, device=one.device, mark=one.mark),
                change(one, name=two.name, device=two.device, mark=two.mark)]
    for ends in (exchange, [one, two]):
        for end in pair.ours.ends:
            pair.ours.wait_up(end.name, 30)
        pair.ours.load(ends)
        for end in ends:
            until(f"{end.device} has its endpoints", lambda end=end: f"remote {end.remote} "
                  in pair.namespaces[0].ip("-d", "link", "show", "dev", end.device), 30)
            pair.ours.wait_up(end.name, 30)
            until(f"{end.device} is UP", lambda end=end: pair.ours.operstate(end.device) == "UP")


def main():
    suite = Suite("restart")
    ours, theirs = vti_tunnel(NAME, 1)
    ours = change(ours, auto="start")
    shared = (("pain_14_restart: killed and started", killed),
              ("pain_13_reload", reloaded), ("pain_07_interface_stays", stopped))
    more = (("killed twice", killed_twice), ("a conn is removed", removed), ("--flush", flushed),
            ("renamed", renamed))
    # With selectors for all traffic, an SA's policy stands where the tunnel's base policy does.
    all_traffic = tuple(change(end, local_ts="0.0.0.0/0", remote_ts="0.0.0.0/0")
                        for end in (ours, theirs))
    for whose, kind, ends, cases in (("ipsecd", Ipsecd, (ours, theirs), shared + more),
                                     ("ipsecd, all traffic", Ipsecd, all_traffic, shared[:1]),
                                     ("strongSwan", KernelCharon, (ours, theirs), shared)):
        with KernelPair([ends], theirs=kind) as pair:
            for name, function in cases:
                suite.case(f"{whose} opposite: {name}", function, pair,
                           logs=(pair.ours, pair.theirs))
    pairs = [vti_tunnel("one", 1), vti_tunnel("two", 2)]
    with KernelPair([(change(our, auto="start"), their) for our, their in pairs],
                    theirs=Ipsecd) as pair:
        suite.case("peers are exchanged", exchanged, pair, logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
