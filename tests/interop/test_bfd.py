#!/usr/bin/env python3
"""BFD: routed-bridge as the data plane of bfdd, against bfdd by itself and against another
of its kind, over IPv4, IPv6 and link-local addresses, one hop and several."""
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bridge import BINARY  # noqa: E402
from tests.support.frr import Frr  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import Daemon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

DEVICE = "tun-x"
V4 = ("10.77.0.0", "10.77.0.1")
V6 = ("2001:db8:77::a", "2001:db8:77::b")
LOCAL = ("fe80::a", "fe80::b")
LOOPBACK = ("10.77.9.1", "10.77.9.2")
PATIENT = 12  # packets: where no session may go down, and bfdd is at the other end
CUT = f"""table inet cut {{
 chain in {{ type filter hook input priority 0; iifname "{DEVICE}" drop; }}
 chain out {{ type filter hook output priority 0; oifname "{DEVICE}" drop; }}
}}"""


def profile(milliseconds, multiplier=3):
    return (f"profile tunnel\n detect-multiplier {multiplier}\n"
            f" transmit-interval {milliseconds}\n receive-interval {milliseconds}\nexit\n")


def peer(remote, local=None, multihop=False, extra=""):
    words = f"peer {remote}"
    if multihop:
        words += f" multihop local-address {local}"
    else:
        words += (f" local-address {local}" if local else "") + f" interface {DEVICE}"
    return f"{words}\n profile tunnel\n {extra}\nexit\n"


class End:
    """One router: zebra and bfdd, and with `ours` a bridge that is bfdd's data plane."""

    def __init__(self, number, ours, hold=0):
        self.number = number
        self.ours = ours
        self.hold = hold
        self.ns = netns.Namespace(f"bfd-{number}")
        self.dir = tempfile.mkdtemp(prefix="bfd-")
        os.chmod(self.dir, 0o755)
        self.frr = Frr(self.ns, f"{self.dir}/frr")
        self.socket = f"{self.dir}/frr/dplane"
        self.bridge = None
        self.peers = ""

    def address(self):
        self.ns.address(DEVICE, f"{V4[self.number]}/31", f"{V6[self.number]}/64",
                        f"{LOCAL[self.number]}/64")
        self.ns.address_once("lo", LOOPBACK[self.number])
        self.ns.route(f"{LOOPBACK[1 - self.number]}/32", "via", V4[1 - self.number])

    def start(self):
        self.frr.start("zebra")
        self.start_bfdd()
        if self.ours:
            with open(f"{self.dir}/bridge.conf", "w", encoding="utf-8") as file:
                file.write(f"vici {self.dir}/vici\nzserv {self.frr.zserv}\n"
                           f"vty-dir {self.frr.dir}\nbfd-dplane {self.socket}\n"
                           f"bfd-hold {self.hold}\n")
            self.start_bridge()

    def start_bfdd(self):
        self.frr.configure("bfdd", f"bfd\n{self.peers}exit\n")
        self.frr.start("bfdd", *(["--dplaneaddr", f"unix:{self.socket}"] if self.ours else []))
        if not self.ours:  # it looks at its timers before its packets: late, it finds silence
            with contextlib.suppress(OSError):
                os.sched_setscheduler(self.frr.daemons["bfdd"].child.pid, os.SCHED_RR,
                                      os.sched_param(1))

    def start_bridge(self):
        self.bridge = Daemon("routed-bridge", self.ns.argv(
            BINARY, "--config", f"{self.dir}/bridge.conf", "--foreground", "--log-level",
            "debug"), f"{self.dir}/bridge.log")

    def stop_bridge(self, sig=signal.SIGTERM):
        self.bridge.kill(sig)
        self.bridge.stop()

    def stop(self):
        if self.bridge:
            self.bridge.stop()
        self.frr.stop_all()
        self.ns.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- what is seen --

    def command(self, *lines):
        self.frr.vty("bfdd", "configure terminal", "bfd", *lines)

    def shown(self, remote):
        """bfdd's view of the session with `remote`, its counters with it."""
        for words in ("show bfd peers json", "show bfd peers counters json"):
            check(self.frr.json("bfdd", words) is not None, words)
        found = {}
        for words in ("show bfd peers json", "show bfd peers counters json"):
            for session in self.frr.json("bfdd", words):
                if session["peer"] == remote:
                    found.update(session)
        return found

    def status(self, remote):
        return self.shown(remote).get("status")

    def downs(self, remote):
        return self.shown(remote).get("session-down")

    def plane(self):
        """The pid of the process that runs BFD."""
        for pid in netns.run("ip", "netns", "pids", self.ns.name).split():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if b"--bfd-only" in file.read():
                        return int(pid)
            except OSError:  # the process between bridge and plane: it has ended
                pass
        return None


class Two:
    """Two ends and a cable, with the sessions that `pairs` has: (remote address of end 0, of
    end 1, more words)."""

    def __init__(self, ours, pairs, milliseconds=50, hold=0, multiplier=3):
        self.pairs = pairs
        self.ends = []
        for number in (0, 1):
            self.ends.append(End(number, ours[number], hold))
        a, b = self.ends
        netns.veth(a.ns, DEVICE, b.ns, DEVICE)
        for end in self.ends:
            end.address()
            end.peers = profile(milliseconds, multiplier)
            for addresses in pairs:
                end.peers += peer(addresses[1 - end.number], addresses[end.number],
                                  addresses is LOOPBACK)

    def __enter__(self):
        try:
            for end in self.ends:
                end.start()
        except BaseException:
            self.__exit__(None)
            raise
        return self

    def __exit__(self, kind, *_exception):
        for end in self.ends:
            if kind and end.bridge:
                lines = end.bridge.log().splitlines()[-40:]
                print("\n".join(f"      bridge {end.number}| {line}" for line in lines))
            end.stop()

    def remote(self, end, addresses=V4):
        return addresses[1 - end.number]

    def up(self, timeout=15):
        for end in self.ends:
            for addresses in self.pairs:
                until(f"{self.remote(end, addresses)} is up at {end.number}",
                      lambda e=end, p=addresses: e.status(self.remote(e, p)) == "up", timeout)

    def negotiated(self, milliseconds):
        """Both ends know each other's intervals."""
        for end in self.ends:
            until(f"{milliseconds} ms negotiated at {end.number}", lambda e=end: (
                lambda s: s.get("remote-transmit-interval") == milliseconds
                and s.get("remote-receive-interval") == milliseconds)(
                    e.shown(self.remote(e))))

    def downs(self):
        return [end.downs(self.remote(end)) for end in self.ends]


# ---- cases

def sessions_come_up(ours):
    pairs = [V4, V6, LOCAL, LOOPBACK]
    with Two(ours, pairs) as two:
        two.up()
        two.negotiated(50)
        for end in two.ends:
            for addresses in pairs:
                here = end.shown(two.remote(end, addresses))
                there = two.ends[1 - end.number].shown(addresses[end.number])
                check_equal(here["remote-id"], there["id"], "remote discriminator")
                check_equal(here["remote-detect-multiplier"], 3, "remote multiplier")
        a = two.ends[0]
        before = a.shown(V4[1])["control-packet-input"]
        until("packets are counted", lambda: a.shown(V4[1])["control-packet-input"] > before + 20)
        check(a.shown(V4[1])["control-packet-output"] > 20, "sent packets are counted")


def silent_cut():
    with Two((True, False), [V4], 10) as two:
        a, b = two.ends
        two.up()
        two.negotiated(10)
        mark = a.bridge.log_mark()
        a.ns.nft(CUT)
        line = a.bridge.wait_log("control detection time expired", mark)
        silence = float(re.search(r"([0-9.]+) ms of silence", line)[1])
        check(30 <= silence < 2000, f"found after {silence} ms of silence")
        until("both say down", lambda: a.status(V4[1]) == b.status(V4[0]) == "down")
        check("passes nothing" in a.bridge.log(mark), "the tunnel is called dead")
        a.ns.nft_clear()
        two.up()
        a.bridge.wait_log("passes packets again", mark)


def the_only_tunnel_is_held():
    """A cut of a moment, where nothing else is left, ends nothing; bfd-hold is long here, so
    that a busy machine has the time to mend it."""
    with Two((True, True), [V4], 10, 9000) as two:
        a, b = two.ends
        two.up()
        two.negotiated(10)
        for end in two.ends:
            end.bridge.wait_log("the last way: silence is borne for 9000 ms")
        marks = [end.bridge.log_mark() for end in two.ends]
        before = two.downs()
        a.ns.nft(CUT)
        for end, mark in zip(two.ends, marks):
            end.bridge.wait_log("is silent for more than 30 ms: borne", mark)
        a.ns.nft_clear()
        for end, mark in zip(two.ends, marks):
            end.bridge.wait_log("is Up: sends every 10 ms", mark)
        check_equal(two.downs(), before, "sessions that went down")
        check_equal([a.status(V4[1]), b.status(V4[0])], ["up", "up"], "sessions")


def one_of_two_ways_is_not_held():
    with Two((True, True), [V4, LOOPBACK], 10, 4000) as two:
        a, b = two.ends
        two.up()
        two.negotiated(10)
        marks = [end.bridge.log_mark() for end in two.ends]
        for end in two.ends:  # while the first alone was up it may have been the last
            until("it is not the last way", lambda e=end: not re.search(
                "the last way", e.bridge.log()) or e.bridge.log().rfind(
                    "not the last way") > e.bridge.log().rfind("the last way:"))
        a.ns.nft(CUT)
        for end, mark in zip(two.ends, marks):
            line = end.bridge.wait_log("control detection time expired", mark)
            silence = float(re.search(r"([0-9.]+) ms of silence", line)[1])
            check(30 <= silence < 2000, f"found after {silence} ms of silence")
        until("both say down", lambda: a.status(V4[1]) == b.status(V4[0]) == "down")
        a.ns.nft_clear()
        two.up()


def administration():
    with Two((True, False), [V4], multiplier=PATIENT) as two:
        a, b = two.ends
        two.up()
        mark = a.bridge.log_mark()
        a.command(f"peer {V4[1]} local-address {V4[0]} interface {DEVICE}", "shutdown")
        until("shut down", lambda: a.status(V4[1]) == "shutdown")
        until("the peer was told", lambda: b.status(V4[0]) == "down")
        a.command(f"peer {V4[1]} local-address {V4[0]} interface {DEVICE}", "no shutdown")
        two.up()
        b.command(f"peer {V4[0]} local-address {V4[1]} interface {DEVICE}", "shutdown")
        until("we were told", lambda: a.status(V4[1]) == "down")
        b.command(f"peer {V4[0]} local-address {V4[1]} interface {DEVICE}", "no shutdown")
        two.up()
        check("passes nothing" not in a.bridge.log(mark), "no tunnel was called dead for that")


def profiles_change_while_up(ours):
    with Two(ours, [V4], multiplier=PATIENT) as two:
        two.up()
        before = two.downs()
        for milliseconds in (20, 300, 10):
            for end in two.ends:
                end.command("profile tunnel", f"transmit-interval {milliseconds}",
                            f"receive-interval {milliseconds}")
            two.negotiated(milliseconds)
        for end in two.ends:
            end.command("profile tunnel", f"detect-multiplier {PATIENT + 7}")
        until("the multiplier is known", lambda: all(
            e.shown(two.remote(e))["remote-detect-multiplier"] == PATIENT + 7 for e in two.ends))
        check_equal(two.downs(), before, "sessions that went down")


def deleted_sessions_end():
    with Two((True, True), [V4, V6]) as two:
        a, b = two.ends
        two.up()
        a.command(f"no peer {V6[1]} local-address {V6[0]} interface {DEVICE}")
        until("it is gone", lambda: not a.shown(V6[1]))
        until("the peer finds silence", lambda: b.status(V6[0]) == "down")
        check_equal(a.status(V4[1]), "up", "the other session")


def bridges_come_and_go():
    with Two((True, True), [V4], 10) as two:
        a = two.ends[0]
        two.up()
        two.negotiated(10)
        before, plane = two.downs(), a.plane()
        for sig in (signal.SIGTERM, signal.SIGKILL):
            a.stop_bridge(sig)
            counted = a.shown(V4[1])["control-packet-input"]
            until("BFD goes on", lambda c=counted: a.shown(
                V4[1])["control-packet-input"] > c + 50)
            a.start_bridge()
            mark = a.bridge.log_mark()
            a.bridge.wait_log(f"session with {V4[1]} is Up", max(0, mark - 4096))
        check_equal(a.plane(), plane, "the process that runs BFD")
        check_equal(two.downs(), before, "sessions that went down")


def bfdd_is_killed():
    """Its peer does not notice, and the next bfdd takes the session over."""
    with Two((True, False), [V4, V6], 20, multiplier=PATIENT) as two:
        a, b = two.ends
        two.up()
        two.negotiated(20)
        before = b.downs(V4[0]), b.downs(V6[0])
        for sig in (signal.SIGKILL, signal.SIGTERM):
            a.frr.stop("bfdd", sig)
            a.start_bfdd()
            two.up()
        check_equal((b.downs(V4[0]), b.downs(V6[0])), before, "sessions that went down")
        # The former bfdd's discriminators are no sessions that are still Up.
        mark = a.bridge.log_mark()
        a.ns.nft(CUT)
        a.bridge.wait_log("passes nothing", mark)
        a.ns.nft_clear()
        two.up()
        a.bridge.wait_log("passes packets again", mark)


def bfd_process_is_killed():
    with Two((True, False), [V4], 50) as two:
        a = two.ends[0]
        two.up()
        plane = a.plane()
        os.kill(plane, signal.SIGKILL)
        until("another one runs", lambda: a.plane() not in (None, plane))
        until("the session was down", lambda: a.downs(V4[1]) > 0)
        two.up()
        # And one that is told to end says so to its peer.
        plane = a.plane()
        os.kill(plane, signal.SIGTERM)
        until("another one runs", lambda: a.plane() not in (None, plane))
        two.up()


def sleep_is_no_silence():
    """A process that was stopped finds the peer's packets waiting."""
    with Two((True, False), [V4], 300) as two:
        a, b = two.ends
        two.up()
        two.negotiated(300)
        mark, before = a.bridge.log_mark(), b.downs(V4[0])
        os.kill(a.plane(), signal.SIGSTOP)
        until("the peer has found silence", lambda: b.downs(V4[0]) > before, 30)
        os.kill(a.plane(), signal.SIGCONT)
        two.up()
        check("control detection time expired" not in a.bridge.log(mark), "a false alarm")
        a.bridge.wait_log("kept from running", mark)


def devices_come_and_go():
    with Two((True, True), [V4]) as two:
        a, b = two.ends
        two.up()
        a.ns.ip("link", "delete", DEVICE)
        until("both say down", lambda: a.status(V4[1]) == b.status(V4[0]) == "down")
        netns.veth(a.ns, DEVICE, b.ns, DEVICE)
        for end in two.ends:
            end.address()
        two.up()


def many_sessions():
    """More than bfdd gives to one connection at once."""
    number = 140
    with Two((True, True), []) as two:
        for end in two.ends:
            end.ns.batch(f"address add 10.88.{end.number}.{i}/16 dev {DEVICE}"
                         for i in range(1, number + 1))
            end.frr.stop("bfdd")
            end.peers = profile(300) + "".join(
                peer(f"10.88.{1 - end.number}.{i}", f"10.88.{end.number}.{i}")
                for i in range(1, number + 1))
            end.start_bfdd()
        for end in two.ends:
            until("all are up", lambda e=end: [s["status"] for s in e.frr.json(
                "bfdd", "show bfd peers json")].count("up") == number, 30)
            check_equal(len(end.frr.json("bfdd", "show bfd peers counters json")), number,
                        "counters")


def bgp_follows(hold):
    """Down when the cut lasts; with bfd-hold not at once, and a short one is nothing."""
    with Two((True, True), [], 50, hold) as two:
        for end in two.ends:
            other = V4[1 - end.number]
            end.frr.configure("bgpd", f"""router bgp {65001 + end.number}
 no bgp ebgp-requires-policy
 neighbor {other} remote-as {65002 - end.number}
 neighbor {other} bfd profile tunnel
 neighbor {other} timers connect 1
""")
            end.frr.start("bgpd")

        def established(end):
            peers = end.frr.json("bgpd", "show bgp ipv4 unicast summary json").get("peers", {})
            return [p["state"] for p in peers.values()] == ["Established"]

        def uptime(end):
            peers = end.frr.json("bgpd", "show bgp ipv4 unicast summary json")["peers"]
            return min(p.get("peerUptimeMsec", 0) for p in peers.values())

        for end in two.ends:
            until("BGP is up", lambda e=end: established(e), 20)
            until("its BFD is up", lambda e=end: e.status(two.remote(e)) == "up", 15)
        a = two.ends[0]
        # bgpd 10 asks bfdd for another session once it knows the interface, and pays no heed
        # to BFD in the second in which BGP's session came up.
        until("BGP has been up for a while", lambda: uptime(a) > 2000)
        until("BFD is up", lambda: all(e.status(two.remote(e)) == "up" for e in two.ends))
        mark = a.bridge.log_mark()
        if hold:
            begun = uptime(a)
            a.bridge.wait_log(f"the last way: silence is borne for {hold} ms")
            a.ns.nft(CUT)
            a.bridge.wait_log("is silent for more than 150 ms: borne", mark)
            a.ns.nft_clear()
            a.bridge.wait_log("is Up: sends every 50 ms", mark)
            check(established(a) and uptime(a) >= begun, "BGP went on")
            mark = a.bridge.log_mark()
        a.ns.nft(CUT)
        until("BGP is down", lambda: not established(a), 10)
        check("BFD Down" in a.frr.vty("bgpd", f"show bgp neighbors {V4[1]}"), "because of BFD")
        a.bridge.wait_log("passes nothing", mark)
        a.ns.nft_clear()
        for end in two.ends:
            until("BGP is up again", lambda e=end: established(e), 20)


CASES = (
    ("with bfdd, sessions come up", sessions_come_up, (True, False)),
    ("with its like, sessions come up", sessions_come_up, (True, True)),
    ("a silent cut is found in time", silent_cut),
    ("the only tunnel is held", the_only_tunnel_is_held),
    ("one of two ways is not held", one_of_two_ways_is_not_held),
    ("shutdown at either end", administration),
    ("with bfdd, profiles change while up", profiles_change_while_up, (True, False)),
    ("with its like, profiles change while up", profiles_change_while_up, (True, True)),
    ("deleted sessions end", deleted_sessions_end),
    ("bridges come and go", bridges_come_and_go),
    ("bfdd is killed", bfdd_is_killed),
    ("the BFD process is killed", bfd_process_is_killed),
    ("sleep is no silence", sleep_is_no_silence),
    ("devices come and go", devices_come_and_go),
    ("many sessions", many_sessions),
    ("BGP follows", bgp_follows, 0),
    ("BGP follows, later over the only tunnel", bgp_follows, 4000),
)


def main():
    netns.remove_stale()
    suite = Suite("bfd")
    for name, function, *args in CASES:
        suite.case(name, function, *args)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
