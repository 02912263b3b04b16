#!/usr/bin/env python3
"""A router that masquerades between an ipsecd and a strongSwan, both with the kernel's IPsec:
either side behind it, initiating, and from outside in where the router forwards IKE; a new mapping
in mid-life; and several peers behind one address."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import nat, netns  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, rekey_child, rekey_ike  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.strongswan import KernelCharon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402
from tests.support.vici import Failed  # noqa: E402


def through(pair, name, initiator, outside_peer, router_address):
    with Sniffer(pair.namespaces[1], "eth0") as cable, pair.up(name, initiator):
        sa = outside_peer.sas(name)[0]
        check_equal(sa["remote-host"], router_address, "peer's address as seen outside")
        for peers in ([pair.ours], [pair.theirs]):
            rekey_child(pair, name, peers, times=1)
            rekey_ike(pair, name, peers, times=1)
    check(not cable.clear and not cable.seen["esp"], f"on the cable: {cable.seen} "
                                                     f"{cable.clear[:3]}")


def new_mapping(pair, name):
    """The peer inside is seen at another port all of a sudden: the kernel says so, and our SA
    and device follow."""
    with pair.up(name, pair.theirs):
        inside = pair.end(name, pair.theirs)
        nat.clear(pair.router)
        nat.masquerade(pair.router, "eth1", "40000-40999")

        def moved():
            pair.theirs.namespace.run("ping", "-n", "-c", "1", "-W", "1", "-I",
                                      inside.inside[0].split("/")[0], inside.ping[0],
                                      check=False)
            return 40000 <= int(pair.ours.sas(name)[0]["remote-port"]) < 41000
        until("our side follows to the new port", moved, 20)
        pair.ping(name)
        rekey_child(pair, name, [pair.ours], times=1)


def second_gateway(pair, ends):
    """One more peer behind the router; (namespace, charon)."""
    namespace = netns.Namespace("second")
    netns.veth(namespace, "eth0", pair.router, "eth3")
    pair.router.address("eth3", "172.16.3.254/24")
    namespace.address("eth0", ends.local + "/24")
    namespace.route("default", "via", "172.16.3.254")
    charon = KernelCharon(namespace, os.path.join(pair.folder, "second"))
    return namespace, charon


def behind_router(name, n, kind, **theirs_fields):
    """One of several peers behind one address, for our end that knows no address of theirs."""
    ours, theirs = vti_tunnel(name, n)
    ours = change(ours, local="172.16.1.3", remote="%any", device_kind=kind,
                  mark=n if kind == "vti" else 0)
    return ours, change(theirs, remote="172.16.1.3", **theirs_fields)


def refused_with_a_way_out(pair, names, charon):
    """A vti can't tell two peers of one address apart."""
    _, other = names
    mark = pair.ours.log_mark()
    try:
        charon.initiate(other)
    except Failed:
        pass  # it had the answer, or came up first and was told then
    line = pair.ours.wait_log("interface-type=xfrm", mark)
    print(f"      {line}")
    until("the second peer has no CHILD_SA", lambda: not charon.children(other))


def both_served(pair, names, charon):
    """An xfrm interface has no end points to be told apart by. Rekeys, and the end of one of
    them, do not confuse them."""
    first, other = names
    charon.initiate(other)
    pair.ours.wait_up(other)
    seen = [pair.ours.sas(name)[0] for name in names]
    check_equal({sa["remote-host"] for sa in seen}, {"172.16.1.254"}, "address of both")
    check_equal(len({sa["remote-port"] for sa in seen}), 2, "ports")
    for name in names:
        before = child_spis(pair.ours, name)
        pair.ours.rekey_child(name)
        until("a new CHILD_SA", lambda n=name, b=before: not b & child_spis(pair.ours, n), 20)
    for name in names:
        pair.ping(name)
    charon.terminate(other)
    pair.ours.wait_down(other)
    until("DORMANT", lambda: pair.ours.operstate(pair.end(other, pair.ours).device) == "DORMANT")


def two_behind_one(pair, names, second, what_happens):
    """pain_16_same_endpoints: the first peer is served, whatever becomes of the second."""
    first, other = names
    pair.tunnels.append(second)
    pair.ours.load([ours for ours, _ in pair.tunnels])
    namespace, charon = second_gateway(pair, second[1])
    try:
        charon.start([second[1]])
        pair.theirs.initiate(first)
        pair.ours.wait_up(first)
        what_happens(pair, names, charon)
        pair.ping(first)
        check_equal(pair.ours.operstate(pair.end(first, pair.ours).device), "UP", "first device")
    finally:
        charon.stop()
        namespace.remove()
        pair.take_down(first)


def main():
    suite = Suite("nat")
    # Tunnel 1: we are inside, they know the router's outer address; the others mirrored.
    ours, theirs = vti_tunnel("ours-inside", 1)
    first = ours, change(theirs, remote="172.16.2.254")
    ours, theirs = vti_tunnel("theirs-inside", 2)
    second = change(ours, remote="172.16.1.254"), theirs
    office = behind_router("office", 3, "vti")
    branch = behind_router("branch", 4, "vti", local="172.16.3.4")
    with KernelPair([first, second, office], routed=True,
                    charon_settings="delete_rekeyed_delay = 1") as pair:
        logs = (pair.ours, pair.theirs)
        nat.masquerade(pair.router, "eth2")
        nat.forward_ike(pair.router, "eth2", "172.16.1.1")
        for who, initiator in (("we initiate", pair.ours), ("they initiate", pair.theirs)):
            suite.case(f"we are inside, {who}", through, pair, "ours-inside", initiator,
                       pair.theirs, "172.16.2.254", logs=logs)
        nat.clear(pair.router)
        nat.masquerade(pair.router, "eth1")
        nat.forward_ike(pair.router, "eth1", "172.16.2.2")
        for who, initiator in (("they initiate", pair.theirs), ("we initiate", pair.ours)):
            suite.case(f"they are inside, {who}", through, pair, "theirs-inside", initiator,
                       pair.ours, "172.16.1.254", logs=logs)
        suite.case("they are inside, the mapping changes", new_mapping, pair, "theirs-inside",
                   logs=logs)
        nat.clear(pair.router)
        nat.masquerade(pair.router, "eth1")
        suite.case("pain_16_same_endpoints: two peers behind one address", two_behind_one, pair,
                   ("office", "branch"), branch, refused_with_a_way_out, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
