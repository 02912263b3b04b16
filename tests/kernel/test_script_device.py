#!/usr/bin/env python3
"""The device is the script's: a conn with marks (or an interface id) that ipsecd chooses, a script
and no interface=. The script makes the device with the keys it is told; ipsecd takes it over, shows
it, lets it carry traffic, gives it its link state, and never removes it. DEVICE_KIND: vti (the
default) or xfrm (qemu_script_device.py)."""
import os
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import IpsecdOf  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

NAME = "scripted"
DEVICE = "made0"
XFRM = os.environ.get("DEVICE_KIND") == "xfrm"

SCRIPT = """#!/bin/sh
set -e
case "$PLUTO_VERB" in
up-client)
    ip link add name {device} type {kind}
    ip link set dev {device} up
    ip addr add {inside} dev {device}
    ip route add {network} dev {device}
    ;;
down-client)
    ip link del dev {device}
    ;;
esac
"""

VTI = 'vti local "$PLUTO_ME" remote "$PLUTO_PEER" ' \
      'ikey "${PLUTO_MARK_IN%%/*}" okey "${PLUTO_MARK_OUT%%/*}"'

CONF = """
conn {end.name}
    left={end.local}
    right={end.remote}
    leftid=@{end.local_id}
    rightid=@{end.remote_id}
    authby=secret
    leftsubnet={end.local_ts}
    rightsubnet={end.remote_ts}
    esp={end.esp}
    {keys}
    leftupdown={script}
    auto=add
"""


class ScriptedPair(KernelPair):
    """Our end has no device of its own."""

    def _our_daemon(self, options):
        end = self.tunnels[0][0]
        conf = CONF.format(end=end, keys="if-id=%unique" if XFRM else "mark=%unique",
                           script=os.path.join(self.folder, "updown"))
        return self._daemon(IpsecdOf, 0, conf,
                            f'@{end.local_id} @{end.remote_id} : PSK "{end.secret}"\n')


def write_script(pair):
    end = pair.tunnels[0][0]
    path = os.path.join(pair.folder, "updown")
    kind = 'xfrm dev eth0 if_id "$PLUTO_IF_ID_OUT"' if XFRM else VTI
    with open(path, "w", encoding="utf-8") as script:
        script.write(SCRIPT.format(device=DEVICE, kind=kind, inside=end.inside[0],
                                   network=end.remote_ts))
    os.chmod(path, stat.S_IRWXU)


def taken_over(pair):
    pair.ours.initiate(NAME, 30)
    until("the device is UP", lambda: pair.ours.operstate(DEVICE) == "UP", 20)
    # It is taken over as soon as it is there: the script may have more to do.
    until("the script's route", lambda: DEVICE in pair.namespaces[0].ip(
        "route", "show", pair.tunnels[0][0].remote_ts))
    pair.ping(NAME)
    shown = pair.ours.conns()[NAME]
    check_equal(shown["interface"], DEVICE, "the device's name")
    check_equal(shown["interface-type"], "xfrm" if XFRM else "vti", "its kind")
    child = pair.ours.children(NAME)[0]
    key = "if-id-out" if XFRM else "mark-out"
    check_equal(child[key], shown[key], "the key that was chosen")
    check(int(child[key], 16) > 0xffff, f"the key that was chosen: {child[key]}")


def same_key_again(pair):
    """Another process chooses the same keys: the device that the script made fits it."""
    key = pair.ours.conns()[NAME]["if-id-out" if XFRM else "mark-out"]
    index = pair.ours.link(DEVICE)["ifindex"]
    pair.ours.kill()
    pair.ours.start()
    until("the device is known", lambda: pair.ours.conns()[NAME]["interface"] == DEVICE)
    check_equal(pair.ours.conns()[NAME]["if-id-out" if XFRM else "mark-out"], key, "the key")
    check_equal(pair.ours.link(DEVICE)["ifindex"], index, "ifindex")
    pair.namespaces[0].ip("link", "del", "dev", DEVICE)  # as its script would, when told
    taken_over(pair)


def left_to_the_script(pair):
    pair.ours.terminate(NAME)
    until("the script has removed it", lambda: not pair.ours.link(DEVICE), 20)
    taken_over(pair)


def main():
    suite = Suite("script-device")
    tunnel = vti_tunnel(NAME, 1)
    with ScriptedPair([tunnel]) as pair:
        write_script(pair)
        for function in (taken_over, left_to_the_script, same_key_again):
            suite.case(function.__name__.replace("_", " "), function, pair,
                       logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
