#!/usr/bin/env python3
"""Every cipher, PRF and key exchange group, each side initiating, with a ping through
the tunnel each time. The group rows rekey the CHILD_SA with PFS, too, so that the
group also serves in CREATE_CHILD_SA.

Limits of the peer: strongSwan's kernel-libipsec has no extended sequence numbers, so
ESN is proposed here and declined ('esn-noesn'); with ESN on, see the data plane's own
tests.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

CIPHERS = ["aes128gcm16", "aes256gcm16", "chacha20poly1305",
           "aes128-sha256", "aes128-sha384", "aes128-sha512",
           "aes256-sha256", "aes256-sha384", "aes256-sha512"]
PRFS = ["prfsha256", "prfsha384", "prfsha512"]
GROUPS = ["x25519", "ecp256", "ecp384", "ecp521", "modp2048", "modp3072", "modp4096"]


def all_tunnels():
    """(name, IKE proposal, ESP proposal) for each row, then as pairs of ends."""
    rows = [(f"cipher-{c}", f"{c}-{PRFS[i % 3]}-x25519", c) for i, c in enumerate(CIPHERS)]
    rows += [(f"prf-{p}", f"aes128-sha256-{p}-ecp256", "aes128-sha256") for p in PRFS]
    rows += [(f"group-{g}", f"aes256gcm16-prfsha384-{g}", f"aes256gcm16-{g}") for g in GROUPS]
    return [tunnel(name, n, ike=ike, esp=esp) for n, (name, ike, esp) in enumerate(rows, 1)]


SUITE = ("encr-alg", "encr-keysize", "integ-alg", "prf-alg", "dh-group")


def suites(peer, name):
    """The algorithms of the IKE SA and of the CHILD_SA, as list-sas names them."""
    return [{key: sa[key] for key in SUITE if key in sa}
            for sa in (peer.sas(name)[0], peer.children(name)[0])]


def rekey_with_pfs(pair, name, initiator):
    before = initiator.children(name)[0]["spi-in"]
    initiator.rekey_child(name)
    until("new SPIs", lambda: [c["spi-in"] for c in initiator.children(name)] not in ([], [before]))
    pair.ping(name)
    child = initiator.children(name)[0]
    check_equal(child.get("dh-group"), initiator.sas(name)[0]["dh-group"], "group of the child")


def one_tunnel(pair, name, initiator):
    with pair.up(name, initiator):
        check_equal(suites(pair.ours, name), suites(pair.theirs, name), "algorithms")
        if name.startswith("group-"):
            rekey_with_pfs(pair, name, initiator)


def main():
    suite = Suite("algorithms")
    tunnels = all_tunnels()
    with_esn = tunnel("esn-declined", len(tunnels) + 1)
    tunnels.append((change(with_esn[0], esp="aes128gcm16-esn-noesn"), with_esn[1]))
    with Pair(tunnels) as pair:
        for ours, _ in tunnels:
            for initiator, who in ((pair.ours, "we initiate"), (pair.theirs, "they initiate")):
                suite.case(f"{ours.name}, {who}", one_tunnel, pair, ours.name, initiator,
                           logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
