"""CHILD_SAs for single resources (RFC 9611) at both ends of a pair, through what may happen to them."""
from .killing import reconnect
from .poll import until
from .rekeying import ike_spis
from .replacing import LOST_WITH_PLANE, kill_role
from .suite import check_equal


def resources(peer, name):
    return sorted(int(child.get("resource", 0)) for child in peer.children(name))


def wait(pair, name, wanted):
    for peer in (pair.ours, pair.theirs):
        until(f"{peer.kind}: CHILD_SAs of '{name}' for {wanted}", lambda p=peer: resources(p, name) == wanted)


def rekeyed(pair, name):
    wanted = resources(pair.ours, name)
    before = {c["spi-in"] for c in pair.ours.children(name)}
    with pair.pinging(name) as pinging:
        for peer in (pair.ours, pair.theirs):
            peer.rekey_child(name)
            until("all are rekeyed", lambda: not before & {c["spi-in"] for c in pair.ours.children(name)})
            wait(pair, name, wanted)
            before, ikes = {c["spi-in"] for c in pair.ours.children(name)}, ike_spis(peer, name)
            peer.rekey_ike(name)
            until("a new IKE_SA alone, at both ends", lambda p=peer, i=ikes: not i & ike_spis(p, name) and
                  len(ike_spis(p, name)) == 1 and ike_spis(pair.ours, name) == ike_spis(pair.theirs, name))
            wait(pair, name, wanted)
    pinging.check_no_loss()


def killed(pair, name, role):
    """At both ends. What a plane had in hand is gone."""
    wanted = resources(pair.ours, name)
    spis = {c["spi-in"] for c in pair.ours.children(name)}
    with pair.pinging(name) as pinging:
        for peer in (pair.ours, pair.theirs):
            kill_role(peer, role)
            reconnect(peer)
            pinging.go_on(20)
    pinging.check_no_loss(2 * LOST_WITH_PLANE if role == "plane" else 0)
    wait(pair, name, wanted)
    check_equal({c["spi-in"] for c in pair.ours.children(name)}, spis, "the same ones")
