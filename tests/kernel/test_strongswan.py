#!/usr/bin/env python3
"""ipsecd's kernel plane against strongSwan with the kernel's IPsec, vti devices on both ends:
each cipher, both families inside and out, ESN, ESP in UDP, rekeys of both SAs from both sides.
Every tunnel is brought up by each side in turn."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.rekeying import rekey_child, rekey_ike  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

CIPHERS = ("aes128gcm16", "aes256gcm16", "chacha20poly1305", "aes128-sha256", "aes256-sha256",
           "aes256-sha384", "aes256-sha512")
ESN = ("aes128gcm16-esn", "aes256-sha256-esn")
FAMILIES = ((4, (6,)), (4, (4, 6)), (6, (4,)), (6, (6,)), (6, (4, 6)))
SUITE = ("encr-alg", "encr-keysize", "integ-alg", "esn")


def all_tunnels():
    rows = [(f"cipher-{esp}", {"esp": esp}) for esp in CIPHERS + ESN]
    rows += [(f"{'+'.join(map(str, inside))}-in-{outer}", {"outer": outer, "inside": inside})
             for outer, inside in FAMILIES]
    rows += [("udp-encap", {"encap": True}),
             ("udp-encap-in-6", {"encap": True, "outer": 6, "inside": (6,)}),
             ("udp-encap-chacha", {"encap": True, "esp": "chacha20poly1305"})]
    return [vti_tunnel(name, n, **fields) for n, (name, fields) in enumerate(rows, 1)]


def esp_of(peer, name):
    child = peer.children(name)[0]
    return {key: child[key] for key in SUITE if key in child}


def works(pair, name, initiator):
    """ESP on the cable, in UDP only where asked; nothing in clear; every size of packets."""
    with Sniffer(pair.namespaces[1], "eth0") as cable, pair.up(name, initiator):
        check_equal(esp_of(pair.ours, name), esp_of(pair.theirs, name), "algorithms")
        pair.ping_sizes(name)
        check_equal(pair.ours.operstate(pair.end(name, pair.ours).device), "UP", "device")
    check(cable.seen["esp"] == 0 if name.startswith("udp") else cable.seen["esp"] >= 4,
          f"on the cable: {cable.seen}")
    check(not cable.clear, f"in clear on the cable: {cable.clear[:5]}")


def rekeys(pair, name, initiator):
    """Both at once in this order: charon 6 forgets a CHILD_SA that it is told to rekey between its
    answer to our rekey and our DELETE of the old one."""
    with pair.up(name, initiator):
        for peers in ([pair.ours], [pair.theirs], [pair.theirs, pair.ours]):
            rekey_child(pair, name, peers, times=1)
            rekey_ike(pair, name, peers, times=1)


def main():
    suite = Suite("strongswan")
    tunnels = all_tunnels()
    with KernelPair(tunnels, charon_settings="delete_rekeyed_delay = 1") as pair:
        logs = (pair.ours, pair.theirs)
        for ours, _ in tunnels:
            for who, initiator in (("we initiate", pair.ours), ("they initiate", pair.theirs)):
                suite.case(f"{ours.name}, {who}", works, pair, ours.name, initiator, logs=logs)
        for name in ("cipher-aes128gcm16", "cipher-aes256-sha256", "4-in-6", "udp-encap"):
            suite.case(f"rekeys of {name}, 0 lost", rekeys, pair, name, pair.ours, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
