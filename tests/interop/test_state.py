#!/usr/bin/env python3
"""kill -9 of ipsecd, and another one that goes on from the memory that was kept (--state-fd): the
IKE SAs are the same ones, with the same SPIs and message IDs, and the peer sees no new exchange of
IKE_SA_INIT. Against strongSwan and against ourselves.

In one process the TUN devices and the packets' numbers die with it, so that the CHILD_SAs are made
anew, inside of the IKE SAs; tests of the processes look at those that stay.
"""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis, settled  # noqa: E402
from tests.support.sniffer import LinkWatch  # noqa: E402
from tests.support.strongswan import connections, swanctl  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

GOING_ON = "going on from a former process"
VIPS = "install_virtual_ip = yes"
PATIENCE = 45  # s: a DELETE for an IKE_SA that the peer has not any more is given up after 18


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


def first_exchanges(peer, mark):
    """How many exchanges of IKE_SA_INIT it was part of."""
    if peer.kind == "charon":
        return peer.log(mark).count("parsed IKE_SA_INIT")
    return peer.counters()["ike-init-in-req"] + peer.counters()["ike-init-out-req"]


def routes(pair):
    for end in pair.ours.ends:
        until(f"device {end.device}", lambda end=end: pair.ours.link(end.device))
        for network in end.remote_ts.split(","):
            pair.ours.namespace.route(network, "dev", end.device)


def once_more(pair):
    mark = pair.ours.log_mark()
    pair.ours.kill()
    pair.ours.again()
    pair.ours.wait_log(GOING_ON, mark)
    routes(pair)
    return mark


def same_sas(pair, name, before, count, mark):
    """The peer must not have noticed; and both go on."""
    settled(pair, name, PATIENCE)
    check_equal(ike_spis(pair.ours, name), before, "SPIs of our IKE SA")
    check_equal(ike_spis(pair.theirs, name), before, "SPIs of their IKE SA")
    pair.ping(name)
    check_equal(first_exchanges(pair.theirs, mark), count, "exchanges of IKE_SA_INIT")


def killed(pair, name):
    with pair.up(name, pair.ours):
        before = ike_spis(pair.ours, name)
        mark = pair.theirs.log_mark()
        count = first_exchanges(pair.theirs, mark)
        for _ in range(3):
            once_more(pair)
            same_sas(pair, name, before, count, mark)


def goes_on(pair, name):
    """Message IDs are right in both directions: rekeying by either, and a delete at the end."""
    with pair.up(name, pair.ours):
        once_more(pair)
        settled(pair, name, PATIENCE)
        for peer in (pair.ours, pair.theirs, pair.ours):
            before = ike_spis(pair.ours, name)
            peer.rekey_ike(name)
            until("new SPIs", lambda before=before: not before & ike_spis(pair.ours, name), 15)
            settled(pair, name, PATIENCE)
            once_more(pair)
            settled(pair, name, PATIENCE)
        pair.ping(name)


def amid_exchanges(pair, name):
    """Killed a little after an exchange began, at whatever point that is."""
    draw = random.Random(5)
    with pair.up(name, pair.ours):
        mark = pair.theirs.log_mark()
        count = first_exchanges(pair.theirs, mark)
        for turn in range(12):
            peer = (pair.ours, pair.theirs)[turn % 2]
            try:
                (peer.rekey_ike, peer.rekey_child)[turn // 2 % 2](name)
            except RuntimeError:
                pass  # it is being rekeyed yet
            time.sleep(draw.random() * 0.02)
            once_more(pair)
        settled(pair, name, PATIENCE)
        pair.ping(name)
        check_equal(first_exchanges(pair.theirs, mark), count, "exchanges of IKE_SA_INIT")


def files_are_not_read(pair, name):
    """A restart is no reload, and a reload knows afterwards what came from the files."""
    ends = list(pair.ours.ends)
    with pair.up(name, pair.ours):
        conf = os.path.join(pair.ours.folder, "ipsec.conf")
        with open(conf, encoding="utf-8") as file:
            text = file.read()
        with open(conf, "w", encoding="utf-8") as file:
            file.write("conn broken\n    left=%nonsense\n")
        once_more(pair)
        check_equal(set(pair.ours.conns()), {end.name for end in ends}, "connections")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(text)
        before = ike_spis(pair.ours, name)
        pair.ours.load([end for end in ends if end.name == name])
        check_equal(ike_spis(pair.ours, name), before, "SPIs behind the reload")
    pair.ours.load(ends)


def regular_end(pair, name):
    """Who was told to end leaves nothing to go on from."""
    pair.ours.initiate(name)
    pair.both_up(name)
    pair.ours.stop()
    pair.theirs.wait_down(name)
    mark = os.path.getsize(pair.ours.path("log"))
    pair.ours.again()
    routes(pair)
    until("it runs", lambda: " runs" in pair.ours.log(mark))
    check(GOING_ON not in pair.ours.log(mark), "it went on")
    check(not pair.ours.sas(), "SAs are there")


def damaged(pair, name):
    """State that can't be read costs the SAs, not the daemon."""
    with pair.up(name, pair.ours):
        mark = pair.ours.log_mark()
        pair.ours.kill()
        os.pwrite(pair.ours.state, b"\xff" * 64, 200)
        pair.ours.again()
        pair.ours.wait_log("the state of a former process is of no use (damaged", mark)
        check(not pair.ours.sas(), "SAs are there")
        routes(pair)
        pair.ours.initiate(name)
        pair.both_up(name)
        pair.ping(name)


def process_killed(pair, name):
    """ike alone dies, three times: not a packet is lost, no link changes, no SPI."""
    ours = pair.end(name, pair.ours)
    with pair.up(name, pair.ours):
        before, children = ike_spis(pair.ours, name), child_spis(pair.ours, name)
        mark = pair.theirs.log_mark()
        count = first_exchanges(pair.theirs, mark)
        with LinkWatch(pair.ours.namespace, ours.device) as link, pair.pinging(name) as pinging:
            for _ in range(3):
                kill_ike(pair)
                same_sas(pair, name, before, count, mark)
                check_equal(child_spis(pair.ours, name), children, "SPIs of the CHILD_SA")
        pinging.check_no_loss()
        check(set(link.states()) <= {"UP"}, f"the link: {link.states()}")


POOLS = """
pools {
    loaded {
        addrs = 10.46.0.0/28
    }
}
"""


def kill_ike(pair):
    place = pair.ours.log_mark()
    os.kill(pair.ours.role("ike"), signal.SIGKILL)
    pair.ours.wait_log(GOING_ON, place)
    pair.ours.connect()


def leases(pair):
    return [line.split() for line in
            swanctl(pair.ours.socket_path, "--list-pools", "--leases").splitlines()]


def clients_load(pair, end):
    """A connection with its secret, and a pool, from a vici client."""
    path = pair.ours.write("swanctl.conf", connections([end]) + POOLS)
    swanctl(pair.ours.socket_path, "--load-all", "--file", path)
    until("the device", lambda: pair.ours.link(end.name))
    pair.ours.namespace.address(end.name, *end.inside)
    pair.ours.namespace.route(end.remote_ts, "dev", end.name)


def all_is_kept(pair, client_end):
    """What clients loaded, what scripts were told, who has which address; and a reload knows what
    came from the files."""
    clients_load(pair, client_end)
    names = ("scripted", "client", "pooled")
    pair.ours.initiate("scripted")
    pair.ours.initiate("client")
    pair.theirs.initiate("pooled")
    for name in names:
        pair.both_up(name)
    before = {name: ike_spis(pair.ours, name) for name in names}
    until("the script ran", lambda: ran(pair) == ["up-client"])
    given = leases(pair)
    check(any("10.46.0.1" in line for line in given), f"leases: {given}")
    for _ in range(2):
        kill_ike(pair)
        check_equal(set(pair.ours.conns()), set(names), "connections")
        check_equal(leases(pair), given, "leases")
        for name in names:
            check_equal(ike_spis(pair.ours, name), before[name], f"SPIs of {name}")
        pair.ping("scripted")
        pair.ping("client")
        check_equal(ran(pair), ["up-client"], "what the script was told")
    # Another authentication: the secrets are there, the files' and the client's.
    for name in ("scripted", "client"):
        pair.ours.control.request("rekey", {"ike": name, "reauth": "yes"})
        until("new SPIs", lambda name=name: not before[name] & ike_spis(pair.ours, name), 15)
        settled(pair, name, PATIENCE)
    pair.ours.load([end for end in pair.ours.ends if end.name == "pooled"], ("client",))
    until("down at the end", lambda: ran(pair) == ["up-client", "down-client"])
    check(pair.ours.is_up("client") and pair.ours.is_up("pooled"), "the others stay")
    pair.theirs.terminate("pooled")
    until("the address is free", lambda: any("offline" in line for line in leases(pair)))


SCRIPT = """#!/bin/sh
echo "$PLUTO_VERB" >> {log}
"""


def ran(pair):
    """What the script was told."""
    try:
        with open(os.path.join(pair.folder, "script-log"), encoding="utf-8") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def script(pair, name):
    """A script that was told of "up" is told of "down", by whichever process."""
    with pair.up(name, pair.ours):
        until("it is up by its script", lambda: ran(pair)[-1:] == ["up-client"])
        before = len(ran(pair))
        once_more(pair)
        settled(pair, name, PATIENCE)
        pair.ping(name)
        # In one process the CHILD_SA is another one: "down" of the old, "up" of the new one.
        until("down and up", lambda: ran(pair)[before:] == ["down-client", "up-client"])
    until("down at the end", lambda: ran(pair)[-1] == "down-client")


def cases(suite, pair, kind, names):
    logs = (pair.ours, pair.theirs)
    suite.case(f"{kind}: killed, three times", killed, pair, names[0], logs=logs)
    suite.case(f"{kind}: goes on where it was", goes_on, pair, names[0], logs=logs)
    suite.case(f"{kind}: amid exchanges", amid_exchanges, pair, names[0], logs=logs)


class SplitPair(Pair):
    """With one connection that a client loads."""

    def _our_daemon(self, options):
        daemon = super()._our_daemon((*options, "--split"))
        daemon.start = lambda ends: Ipsecd.start(daemon, [e for e in ends if e.name != "client"])
        return daemon


def scripted(pair_class, *more, **options):
    """A pair whose first tunnel has a script."""
    ours, theirs = tunnel("scripted", 1)
    pair = pair_class([(ours, theirs), *more], **options)
    path = os.path.join(pair.folder, "updown")
    with open(path, "w", encoding="utf-8") as file:
        file.write(SCRIPT.format(log=os.path.join(pair.folder, "script-log")))
    os.chmod(path, 0o755)
    pair.tunnels[0] = (change(ours, extra=(f"leftupdown={path}",)), theirs)
    return pair


def main():
    suite = Suite("state")
    tunnels = [tunnel("first", 1), tunnel("second", 2)]
    with KeptPair(tunnels, charon_settings="delete_rekeyed_delay = 1") as pair:
        cases(suite, pair, "charon", ("first", "second"))
        logs = (pair.ours, pair.theirs)
        suite.case("files are not read again", files_are_not_read, pair, "first", logs=logs)
        suite.case("state is damaged", damaged, pair, "first", logs=logs)
        suite.case("a regular end", regular_end, pair, "first", logs=logs)
    with Pair([tunnel("split", 1)], ipsecd_options=("--split",)) as pair:
        suite.case("ike is killed", process_killed, pair, "split", logs=(pair.ours, pair.theirs))
    client = tunnel("client", 2)
    pooled = tunnel("pooled", 3)
    pooled = (change(pooled[0], remote_ts="%dynamic", extra=("rightsourceip=%loaded",)),
              change(pooled[1], local_ts="dynamic", inside=(), extra=("vips = 0.0.0.0",)))
    with scripted(SplitPair, client, pooled, charon_settings=VIPS) as pair:
        suite.case("all is kept", all_is_kept, pair, client[0], logs=(pair.ours, pair.theirs))
    with scripted(OursPair) as pair:
        cases(suite, pair, "ipsecd", ("scripted",))
        suite.case("updown scripts", script, pair, "scripted", logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
