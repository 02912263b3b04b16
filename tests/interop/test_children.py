#!/usr/bin/env python3
"""Several CHILD_SAs in one IKE SA (RFC 7296 1.3.1), made by either side, each with its
own selectors, all through the one tunnel device of the connection: which packets take
which, what stays when one goes, and that all move when the IKE SA is rekeyed.

Both ends are configured by swanctl.conf, which, unlike ipsec.conf, can give a connection
several children.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.strongswan import connections, swanctl  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

NAME = "trunk"
NETS = {NAME: 1, "voice": 50, "video": 60}  # child: third byte of its networks


def installed(peer):
    return {child["name"] for child in peer.children(NAME)}


def start(pair, children, initiator):
    for child in children:
        initiator.control.request("initiate", {"ike": NAME, "child": child, "timeout": 10000})
    for peer in (pair.ours, pair.theirs):
        until(f"{peer.kind} has {children}", lambda peer=peer: installed(peer) == set(children))
        check_equal(len(peer.sas(NAME)), 1, f"IKE SAs of {peer.kind}")


def packets_out(peer, child):
    return sum(int(c["packets-out"]) for c in peer.children(NAME) if c["name"] == child)


def ping(pair, child, wait=10):
    net = NETS[child]
    output = pair.ours.namespace.run("ping", "-n", "-c", "1", "-W", str(wait), "-I", f"10.1.{net}.1",
                                     f"10.2.{net}.1", check=False)
    return " 1 received" in output


def each_takes_its_own(pair, initiator):
    start(pair, NETS, initiator)
    for child in NETS:
        before = {name: packets_out(pair.ours, name) for name in NETS}
        check(ping(pair, child), f"ping through {child}")
        after = {name: packets_out(pair.ours, name) for name in NETS}
        changed = {name for name in NETS if after[name] != before[name]}
        check_equal(changed, {child}, "CHILD_SAs that the ping took")
    pair.take_down(NAME)


def one_goes_others_stay(pair, initiator):
    start(pair, NETS, initiator)
    device = pair.end(NAME, pair.ours).device
    initiator.terminate_child("voice")
    until("voice is gone", lambda: installed(pair.ours) == set(NETS) - {"voice"})
    check_equal(pair.ours.operstate(device), "UP", "device while two children remain")
    check(ping(pair, "video") and ping(pair, NAME), "the others still pass packets")
    check(not ping(pair, "voice", 2), "what has no CHILD_SA does not pass")
    pair.take_down(NAME)
    until("device dormant", lambda: pair.ours.operstate(device) == "DORMANT")


def ike_rekey_moves_all(pair, initiator):
    start(pair, NETS, initiator)
    spis = {c["spi-in"] for c in pair.ours.children(NAME)}
    ike = pair.ours.sas(NAME)[0]["initiator-spi"]
    initiator.rekey_ike(NAME)
    for peer in (pair.ours, pair.theirs):
        until(f"{peer.kind} has a new IKE SA only", lambda peer=peer: [
            sa["initiator-spi"] != ike for sa in peer.sas(NAME)] == [True])
    check_equal({c["spi-in"] for c in pair.ours.children(NAME)}, spis, "CHILD_SAs")
    check(all(ping(pair, child) for child in NETS), "every child passes packets")
    initiator.rekey_child("video")  # and can be rekeyed in the new IKE SA
    until("video is new", lambda: {c["spi-in"] for c in pair.ours.children(NAME)} != spis)
    check(ping(pair, "video"), "ping through the new one")
    pair.take_down(NAME)


def load_ours(pair, end):
    path = pair.ours.write("swanctl.conf", connections([end]))
    swanctl(pair.ours.socket_path, "--load-all", "--file", path)
    until("the device", lambda: pair.ours.link(NAME))
    for net in NETS.values():
        pair.ours.namespace.address(NAME, f"10.1.{net}.1/24")
        pair.ours.namespace.route(f"10.2.{net}.0/24", "dev", NAME)
        pair.theirs.namespace.address_once("lo", f"10.2.{net}.1")


def with_children(end, here, there):
    return change(end, device=NAME, more=tuple(
        (name, f"10.{here}.{net}.0/24", f"10.{there}.{net}.0/24")
        for name, net in NETS.items() if name != NAME))


def main():
    suite = Suite("children")
    ours, theirs = tunnel(NAME, 1)
    with Pair([]) as pair:
        pair.add_tunnel(with_children(ours, 1, 2), with_children(theirs, 2, 1))
        load_ours(pair, with_children(ours, 1, 2))
        for who, initiator in (("by us", pair.ours), ("by them", pair.theirs)):
            for name, function in (("each takes its own packets", each_takes_its_own),
                                   ("one goes, others stay", one_goes_others_stay),
                                   ("rekeying the IKE SA moves all", ike_rekey_moves_all)):
                suite.case(f"{name}, {who}", function, pair, initiator,
                           logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
